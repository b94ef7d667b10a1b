"""Buckets and repositories that the console did not make, as policies name them."""

from __future__ import annotations

from collections.abc import Iterable

from console.clouds.naming import PREFIX
from console.clouds.s3api.errors import ON_OBJECTS, bucket_arn
from console.clouds.specs import Place

LISTS = ("backup/*/backup.info*", "archive/*/archive.info*")  # of a repository, which are read to bring it in


def existing(places: Iterable[Place]) -> list[str]:
    """Return the buckets that were there before and are not named like ours."""
    return [one.bucket for one in places if one.is_existing and not one.bucket.startswith(PREFIX)]


def lists(places: Iterable[Place], partition: str = "aws") -> list[str]:
    """Return the ARNs of the lists of backups that the console may read there."""
    found = []
    for one in places:
        keys = [f"{path}/{name}" if path else name for path in one.repositories for name in LISTS]
        if one.is_existing and not one.bucket.startswith(PREFIX):  # clusters have their folders there, too
            keys.insert(0, ON_OBJECTS["GetObject"])
        found += [f"{bucket_arn(one.bucket, partition)}/{key}" for key in keys]
    return found
