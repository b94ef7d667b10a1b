"""Which container and which blob the console means: its keys begin with the container, whatever is in that.

In a container of a cluster's own, pgBackRest's path begins with the container's name once more, since it was so from
the start: there the key is the blob's name. In any other, such as that of a repository that was there before, the
blob's name is what follows.
"""

from __future__ import annotations

import re

from console.clouds.specs import AccessSpec

OWN = re.compile(r"c-[a-z0-9]{12,}")  # as the console names the folders of clusters


def container_of(key: str) -> str:
    """Return the container of a key, or of a prefix."""
    return key.partition("/")[0]


def blob_of(key: str) -> str:
    """Return the name of the blob in its container; "" for the container itself."""
    container, _, below = key.partition("/")
    return key if OWN.fullmatch(container) else below


def key_of(container: str, blob: str) -> str:
    """Return the key of a blob."""
    return blob if OWN.fullmatch(container) else f"{container}/{blob}"


# What nodes may use: a place is a storage account, for the cluster's own container there, or account/container.


def places(spec: AccessSpec) -> tuple[str, ...]:
    """Return the places that the nodes may use."""
    return tuple(place for bucket in spec.buckets for place in _places(spec, bucket))


def place_of(spec: AccessSpec, bucket: str) -> str:
    """Return the place in an account where the repository is that is asked about."""
    return _places(spec, bucket)[-1]


def _places(spec: AccessSpec, bucket: str) -> list[str]:
    kept = container_of(spec.kept.get(bucket, ""))
    return [bucket] if kept in {"", spec.prefix} else [bucket, f"{bucket}/{kept}"]


def account_in(place: str) -> str:
    """Return the storage account of a place."""
    return place.partition("/")[0]


def container_in(spec: AccessSpec, place: str) -> str:
    """Return the container of a place."""
    return place.partition("/")[2] or spec.prefix
