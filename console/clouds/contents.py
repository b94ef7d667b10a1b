"""What a bucket holds: read, and counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Protocol


@dataclass(frozen=True)
class Entry:
    """An object in a bucket."""

    key: str
    size: int  # bytes
    modified: datetime


@dataclass(frozen=True)
class DeletedEntry(Entry):
    """An object that was deleted or overwritten: the newest older version that the store still keeps of it."""

    deleted_at: datetime  # or overwritten


@dataclass(frozen=True)
class Reading:
    """An object as it was read: its data, and what its cloud calls this version of it."""

    data: bytes | None = None  # None: there is none, or it is the version that was known
    tag: str = ""  # an ETag, or Google's generation; "" where there is none
    is_known: bool = False


class Objects(Protocol):
    """Reading what is in a backup bucket; whatever goes wrong leaves as a StepError.

    A list costs some twelve times what a read costs, at each cloud that asks money for calls (`Prices`).
    """

    begins_after: ClassVar[bool]  # whether a list can begin in the middle without the pages before it

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix, "" or one that ends in "/", without it; each holds something."""

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Return the objects below a prefix, in the order of their keys, page by page as they are asked for.

        Only those whose keys come after that one, where `begins_after`; elsewhere it is ignored.
        """

    def read(self, key: str, at_most: int, known: str = "") -> Reading:
        """Return the object, or as much of it as `at_most` bytes; nothing of it when `known` is the tag of it still."""

    def deleted(self, prefix: str) -> Iterator[DeletedEntry]:
        """Return what was deleted or overwritten below a prefix and can still come back, in the order of the keys.

        Page by page as they are asked for; nothing where the store keeps no versions. A folder that was deleted as a
        whole, as Azure's containers can be, is one entry whose key ends in "/".
        """


@dataclass(frozen=True)
class Contents:
    """What a backup bucket holds, as far as it was counted."""

    exists: bool = True
    objects: int = 0
    older: int = 0  # versions that are not the newest of their object
    markers: int = 0  # delete markers
    uploads: int = 0  # unfinished
    size: int = 0  # bytes of the objects and the older versions
    more: bool = False  # objects, versions and delete markers than were counted
    more_uploads: bool = False
    versioned: bool = False
    lock: str = ""  # Object Lock: governance or compliance
    locked_until: str = ""  # ISO 8601: when the last version that was counted is free

    @property
    def is_empty(self) -> bool:
        """Return whether nothing keeps the bucket from being deleted."""
        return not (self.objects or self.older or self.markers or self.uploads)

    @property
    def counts(self) -> tuple[str, ...]:
        """Return what is in it, such as ("3 objects", "1 delete marker")."""
        if self.more:
            kinds = "objects, older versions and delete markers" if self.older or self.markers else "objects"
            counts = [f"more than {self.objects + self.older + self.markers - 1:,} {kinds}"]
        else:
            named = ((self.objects, "object"), (self.older, "older version"), (self.markers, "delete marker"))
            counts = [_count(number, noun) for number, noun in named]
        if self.more_uploads:
            counts.append(f"more than {self.uploads - 1:,} unfinished uploads")
        else:
            counts.append(_count(self.uploads, "unfinished upload"))
        return tuple(count for count in counts if count)

    @property
    def free_at(self) -> datetime | None:
        """Return when the last of the locked versions is free, if that is yet to come."""
        until = datetime.fromisoformat(self.locked_until) if self.locked_until else None
        return until if until and until > datetime.now(UTC) else None

    @property
    def free_words(self) -> str:
        """Return when the last locked version is free, or the last that was counted."""
        return f"{self.free_at:%Y-%m-%d %H:%M} UTC{' or later' if self.more else ''}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number > 1 else ''}" if number else ""
