"""What was found of each control of a store's buckets, as it is kept and shown: wanted, observed, since, accepted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime


def digest(value: Any) -> str:
    """Return a short digest of plain data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ControlStatus:
    """One control as a page shows it."""

    key: str
    label: str
    bucket: str
    log: bool
    state: str  # ok, off, gone, unseen
    wanted_words: str
    words: str
    wanted: Any
    observed: Any
    fixed: bool
    statement: str
    since: str
    noun: str = "bucket"  # what its cloud calls one
    repairable: bool = True  # a repair makes what is wanted of it
    accepted: dict[str, str] | None = None  # by, at

    def kept(self) -> dict[str, Any]:
        """Return it as plain data, without what people decided about it."""
        return {key: value for key, value in vars(self).items() if key != "accepted"}

    @property
    def name(self) -> str:
        """Return what a form calls the control."""
        return f"{'log' if self.log else 'backup'}.{self.key}"

    @property
    def bucket_words(self) -> str:
        """Return which of the two buckets it is about."""
        return f"log {self.noun}" if self.log else f"backup {self.noun}"

    @property
    def seen(self) -> str:
        """Return a digest of what was observed: what somebody accepts is what they saw."""
        return digest([self.state, self.observed])

    @property
    def since_at(self) -> datetime | None:
        """Return when it was first seen like this."""
        return parse_datetime(self.since)

    @property
    def is_drift(self) -> bool:
        """Return whether it differs from what is wanted and nobody has accepted that."""
        return self.state in {"off", "gone"} and self.accepted is None

    @property
    def sentence(self) -> str:
        """Return what is wrong, in words."""
        if self.state == "gone":
            return f"The {self.bucket_words} {self.bucket} was deleted."
        return f"{self.label} of the {self.bucket_words}: {self.words}. Wanted: {self.wanted_words}."

    @property
    def advice(self) -> str:
        """Return what to do about drift that no repair ends, in words; "" where a repair does."""
        if self.repairable or not self.is_drift:
            return ""
        return (
            f"Somebody has changed what was in this {self.noun} before, and the console only adds its own to that. "
            "Accept it as it is now, or change it back."
        )

    @property
    def documents(self) -> tuple[str, str] | None:
        """Return wanted and observed as documents, for a control whose words do not say all."""
        if self.key not in {"policy", "lifecycle"} or self.state != "off":
            return None
        return json.dumps(self.wanted, indent=2), json.dumps(self.observed, indent=2)


def agreed(found: Sequence[ControlStatus]) -> str:
    """Return a digest of all that differs, which a repair is agreed to by."""
    return digest([[line.name, line.seen] for line in found])
