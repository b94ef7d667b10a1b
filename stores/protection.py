"""What a protected store costs and promises: retention, versions and lock, held against each other. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

USUAL_VERSIONS, USUAL_LOCK = 30, 14


@dataclass(frozen=True)
class Bar:
    """A part of a file's life in days, and where it is drawn, in per cent."""

    key: str
    words: str
    since: int
    until: int
    x: float = 0
    width: float = 0

    def on(self, whole: int) -> Bar:
        """Return it as it is drawn where so many days are as wide as the picture."""
        return replace(
            self, x=round(100 * self.since / whole, 2), width=round(100 * (self.until - self.since) / whole, 2)
        )


@dataclass(frozen=True)
class Protection:
    """A protected store with clusters that keep backups for `retention` days and make a full one every `full_every`.

    pgBackRest expires a full backup when a newer one is as old as the retention, so a file stays in the repository for
    up to both together (user guide, "Time-based Full Backup Retention"). Deleting it there leaves a version, which goes
    `versions` days later, but not before its lock ends (S3 user guide, "Object Lock": lifecycle waits for it).
    """

    versions: int
    lock: int
    retention: int
    full_every: int = 7

    @property
    def in_use(self) -> int:
        """Return for how many days at most a file is part of a backup."""
        return self.retention + self.full_every

    @property
    def held(self) -> int:
        """Return after how many days at most a file is gone from the bucket."""
        return max(self.in_use + self.versions, self.lock)

    @property
    def overhead(self) -> int:
        """Return the room that is needed beside that of the backups themselves, in per cent, at a steady pace."""
        return round(100 * (self.held - self.in_use) / self.in_use)

    @property
    def covers(self) -> bool:
        """Return whether each file is locked as long as a backup needs it."""
        return self.lock >= self.in_use

    @property
    def window(self) -> int:
        """Return how many days somebody with the nodes' keys can be undone: what they delete is kept for so long."""
        return max(self.versions, self.lock)

    @property
    def bars(self) -> list[Bar]:
        """Return the life of a file as it is drawn, from the day on which it is written to that on which it is gone."""
        whole = self.held or 1
        found = [
            Bar("used", "Part of a backup", 0, self.in_use),
            Bar("kept", "Kept after its deletion", self.in_use, self.held),
            Bar("locked", "Locked", 0, self.lock),
        ]
        return [one.on(whole) for one in found if one.until > one.since]

    def deletable(self, last_write: date) -> date:
        """Return the first day on which nothing is locked any more, if nothing is written after this one."""
        return last_write + timedelta(days=self.lock)

    def empty(self, last_write: date) -> date:
        """Return the day by which all is gone by itself, if the repository is emptied on this day."""
        return last_write + timedelta(days=max(self.versions, self.lock) + 1)  # lifecycle runs once a day
