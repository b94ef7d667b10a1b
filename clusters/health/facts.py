"""All that is known of one database in one store, as it is judged. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from clusters.health.schedule import Missed, Plan
from clusters.health.verdicts import Verdict
from clusters.pgbackrest.repository import StanzaState
from clusters.reports.report import Report, StanzaReport


@dataclass(frozen=True)
class Host:
    """The node whose word counts: the primary of its replication, or the only one."""

    node: str
    reported_at: datetime | None = None  # by the console's clock
    ahead: timedelta = timedelta()  # how far its own clock was ahead then
    report: Report = field(default_factory=Report)
    has_store: bool = False  # the file that it reported has the repository
    is_applied: bool = True  # and is the one that it should have


@dataclass(frozen=True)
class Look:
    """How the store was read last."""

    read_at: datetime | None = None
    error: str = ""  # of the last try, if it failed
    failing_since: datetime | None = None  # the last try that went well before that, or when it was attached
    due_at: datetime | None = None


@dataclass(frozen=True)
class Before:
    """What was judged last."""

    verdict: Verdict
    since: datetime
    problems: Sequence[Mapping[str, Any]] = ()
    held: Sequence[Mapping[str, Any]] = ()  # what did not count yet, or still did
    coming: str = ""
    coming_since: datetime | None = None
    missed: Sequence[Missed] = ()
    newest: datetime | None = None


@dataclass(frozen=True)
class Proof:
    """How a restore of it went, when it was last tried; seconds are how long the last good one took.

    `failed_at` is of the last restore or verification that failed, unless one of its kind has succeeded since: a
    restore that went well says nothing of damage that a verification has found.
    """

    good_at: datetime | None = None
    seconds: int | None = None
    failed_at: datetime | None = None
    reason: str = ""
    lost_at: datetime | None = None  # when one began of which there is no word, where none has ended since


@dataclass(frozen=True)
class Facts:
    """What was read of one database in one store, each with when."""

    now: datetime
    database: str
    store: str
    host: Host
    look: Look = field(default_factory=Look)
    state: StanzaState | None = None  # None: nothing was seen there
    own: frozenset[str] = frozenset()  # system identifiers of the database and those before it; none: not known
    foreign: str = ""  # what else writes there, in words
    two_primaries: str = ""  # the nodes
    account: str = ""  # why nothing is asked of its account
    known_at: datetime | None = None  # when the newest backup that was ever seen was complete
    lost: int = 0  # backups that are gone and had not expired
    lost_since: datetime | None = None
    since: datetime | None = None  # when the store was attached, or the node made
    plan: Plan = field(default_factory=Plan)
    is_watched: bool = False  # somebody else's schedule makes the backups, which nobody has told the console
    may_drop: bool = False  # pgBackRest was told to drop WAL that waits too long
    rpo: timedelta | None = None
    proof_within: timedelta | None = None
    proof: Proof = field(default_factory=Proof)
    before: Before | None = None

    @property
    def said(self) -> StanzaReport | None:
        """Return what the node said of the database."""
        return self.host.report.of(self.database)
