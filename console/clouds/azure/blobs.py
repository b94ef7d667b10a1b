"""What is in a storage account: its containers and blobs, counted, and read for the console's look into a repository.

Each cluster has a container of its own, named as its folder; so the first part of a key is the container, and the blob
has the whole key for its name, as pgBackRest's path says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, ClassVar

from console.clouds import calls, streams
from console.clouds.azure.errors import GONE, CallTarget
from console.clouds.azure.places import blob_of, container_of, key_of
from console.clouds.azure.session import ask
from console.clouds.contents import Contents, DeletedEntry, Entry, Reading

if TYPE_CHECKING:
    from console.clouds.azure.clients import AzureClients

PAGE = 1000  # of the 5000 that Azure would list in one call: an answer has an end (console.clouds.streams)
COUNT_AT_MOST = 100_000
NO_CONTAINER = frozenset({"ContainerNotFound", "ContainerBeingDeleted"})
NOT_MODIFIED = 304
EVERYTHING = ("snapshots", "deleted", "versions", "uncommittedblobs")


def containers(subject: CallTarget, name: str) -> list[Any] | None:
    """Return the account's containers, deleted ones that can come back too; None when there is no such account."""
    found: list[Any] | None = ask(
        "BlobContainers_List",
        subject,
        lambda cloud: [
            one.as_dict() for one in cloud.storage.blob_containers.list(cloud.group, name, include="deleted")
        ],
        {GONE},
    )
    return found


def is_deleted(container: Any) -> bool:
    """Return whether the container was deleted, and can come back."""
    return bool(container.get("properties", {}).get("deleted"))


def count(subject: CallTarget, name: str, at_most: int, tell: Callable[[int], None]) -> Contents:
    """Return what is in the account, counted until there is one entry more than `at_most`."""
    listed = containers(subject, name)
    if listed is None:
        return Contents(exists=False)
    found = Contents()
    for container in listed:
        if is_deleted(container):  # what it holds is shown to nobody
            found = replace(found, older=found.older + 1, versioned=True)
            continue
        for page in pages(subject, name, container["name"], include=EVERYTHING):
            found = _with_page(found, page)
            counted = found.objects + found.older
            tell(counted)
            if counted > at_most or found.uploads > at_most:
                return replace(found, more=counted > at_most, more_uploads=found.uploads > at_most)
    return found


def _with_page(found: Contents, page: list[Any]) -> Contents:
    objects, older, uploads, size = found.objects, found.older, found.uploads, found.size
    for blob in page:
        size += blob.size or 0
        if blob.deleted or blob.snapshot or (blob.version_id and not blob.is_current_version):
            older += 1
        elif _is_unfinished(blob):
            uploads += 1
        else:
            objects += 1
    return replace(found, objects=objects, older=older, uploads=uploads, size=size, versioned=older > 0)


def _is_unfinished(blob: Any) -> bool:
    """Return whether there are only blocks that no list has committed; they vanish after a week ("Put Block")."""
    return not blob.size and not blob.blob_tier and str(blob.blob_type).endswith("BLOCKBLOB")


def pages(
    subject: CallTarget,
    name: str,
    container: str,
    *,
    prefix: str = "",
    include: tuple[str, ...] = (),
    folders: bool = False,
) -> Iterator[list[Any]]:
    """Return what a container holds, page by page as they are asked for; nothing when there is no such container."""
    known = partial(_page, name=name, container=container, prefix=prefix, include=include, folders=folders)

    def one(token: str | None) -> tuple[list[Any], str | None]:
        return ask("Blobs_List", subject, partial(known, token=token), NO_CONTAINER) or ([], None)

    return calls.pages(one)


def _page(
    cloud: AzureClients,
    *,
    name: str,
    container: str,
    prefix: str,
    include: tuple[str, ...],
    folders: bool,
    token: str | None,
) -> tuple[list[Any], str | None]:
    client = cloud.blobs(name).get_container_client(container)
    options: dict[str, Any] = {"name_starts_with": prefix or None, "results_per_page": PAGE}
    if folders:
        listed: Any = client.walk_blobs(delimiter="/", **options).by_page(token)
    else:
        listed = client.list_blobs(include=list(include) or None, **options).by_page(token)
    return list(next(listed)), listed.continuation_token or None


@dataclass(frozen=True)
class Blobs:
    """What a backup account holds."""

    subject: CallTarget
    name: str
    begins_after: ClassVar[bool] = False  # "List Blobs" goes on after a page of its own only

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix that ends in "/" and hold something, without that prefix.

        At the top, where the prefix is "", these are the containers.
        """
        if not prefix:
            return [one["name"] for one in containers(self.subject, self.name) or [] if not is_deleted(one)]
        below = blob_of(prefix)
        found = [
            one.name
            for page in pages(self.subject, self.name, container_of(prefix), prefix=below, folders=True)
            for one in page
        ]
        return [name.removeprefix(below).rstrip("/") for name in found if name.endswith("/")]

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Return the blobs below a prefix, in the order of their names, page by page as they are asked for."""
        container = container_of(prefix)
        for page in pages(self.subject, self.name, container, prefix=blob_of(prefix)):
            for one in page:
                yield Entry(key_of(container, one.name), one.size, one.last_modified)

    def read(self, key: str, at_most: int, known: str = "") -> Reading:
        """Return the blob, or as much of it as `at_most` bytes; nothing of it when `known` is its ETag still."""
        container, blob = container_of(key), blob_of(key)
        found: Reading | None = ask(
            "Blobs_Get",
            self.subject,
            lambda cloud: _read(cloud.blobs(self.name).get_blob_client(container, blob), at_most, known),
            {*NO_CONTAINER, "BlobNotFound"},
        )
        return found or Reading()

    def deleted(self, prefix: str) -> Iterator[DeletedEntry]:
        """Return what was deleted or overwritten below a prefix and can still come back, in the order of the names.

        A container that was deleted shows to nobody what it holds, and comes back as a whole.
        """
        name = container_of(prefix)
        for container in containers(self.subject, self.name) or ():
            if container["name"] == name and is_deleted(container):
                gone = container["properties"]
                at = [datetime.fromisoformat(gone[one]) for one in ("lastModifiedTime", "deletedTime")]
                yield DeletedEntry(f"{name}/", 0, *at)
        kinds = ("deleted", "snapshots")
        found = chain.from_iterable(pages(self.subject, self.name, name, prefix=blob_of(prefix), include=kinds))
        for _, group in groupby(found, lambda one: one.name):
            if kept := [one for one in group if one.deleted]:
                newest = sorted(kept, key=lambda one: one.last_modified)[
                    -1
                ]  # of one second, the one that is listed last
                yield DeletedEntry(key_of(name, newest.name), newest.size, newest.last_modified, newest.deleted_time)


def _read(client: Any, at_most: int, known: str) -> Reading:
    from azure.core import MatchConditions  # noqa: PLC0415
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415

    streams.expect(at_most)
    unless = {"etag": known, "match_condition": MatchConditions.IfModified} if known else {}
    try:
        blob = client.download_blob(max_concurrency=1, **unless)
    except HttpResponseError as error:
        if error.status_code != NOT_MODIFIED:
            raise
        return Reading(tag=known, is_known=True)
    return Reading(b"".join(_first(blob.chunks(), at_most)), str(blob.properties.etag or ""))


def _first(chunks: Iterator[bytes], at_most: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:at_most]
        at_most -= len(chunk)
        if at_most <= 0:
            return
