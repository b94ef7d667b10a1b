"""Buckets and objects as the emulated Google keeps them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import google_crc32c


def now() -> str:
    """Return the time as Google writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


@dataclass
class Stored:
    """One generation of an object; `deleted` says since when it is noncurrent, `lost` since when it is soft-deleted."""

    name: str
    data: bytes
    generation: int
    created: str = field(default_factory=now)
    content_type: str = "application/octet-stream"
    deleted: str = ""
    lost: str = ""
    metadata: dict[str, str] = field(default_factory=dict)

    def resource(self, bucket: str) -> dict[str, Any]:
        """Return it as the API shows it."""
        shown: dict[str, Any] = {
            "kind": "storage#object",
            "id": f"{bucket}/{self.name}/{self.generation}",
            "name": self.name,
            "bucket": bucket,
            "generation": str(self.generation),
            "metageneration": "1",
            "contentType": self.content_type,
            "storageClass": "STANDARD",
            "size": str(len(self.data)),
            "md5Hash": base64.b64encode(hashlib.md5(self.data, usedforsecurity=False).digest()).decode(),
            "crc32c": base64.b64encode(google_crc32c.value(self.data).to_bytes(4, "big")).decode(),
            "etag": base64.b64encode(str(self.generation).encode()).decode(),
            "timeCreated": self.created,
            "updated": self.created,
        }
        if self.metadata:
            shown["metadata"] = self.metadata
        if self.deleted:
            shown["timeDeleted"] = self.deleted
        if self.lost:
            shown["softDeleteTime"] = self.lost
        return shown


@dataclass
class Bucket:
    """A bucket: its settings as the API shows them, its policy, and its objects by name, oldest generation first."""

    settings: dict[str, Any]
    project: str
    policy: dict[str, Any]
    objects: dict[str, list[Stored]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.settings["name"])

    def generations(self, *, soft_deleted: bool = False) -> Iterator[Stored]:
        """Return all that listings can show, or what is soft-deleted instead, in the order of names."""
        for name in sorted(self.objects):
            yield from (one for one in self.objects[name] if bool(one.lost) == soft_deleted)

    def live(self, name: str) -> Stored | None:
        """Return the object of this name, if it is there."""
        return next((one for one in self.objects.get(name, []) if not (one.deleted or one.lost)), None)

    @property
    def is_empty(self) -> bool:
        """Return whether it can be deleted: what is soft-deleted keeps nobody from it ("Soft delete")."""
        return not any(True for _ in self.generations())


@dataclass
class Upload:
    """A resumable upload under way."""

    bucket: str
    name: str
    email: str
    content_type: str
    data: bytearray = field(default_factory=bytearray)
