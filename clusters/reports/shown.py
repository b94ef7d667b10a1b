"""A node's last report as pages show it, and what in it somebody must look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from django.utils import timezone
from django.utils.timesince import timesince

from clusters.models import Cluster, Node
from clusters.pgbackrest.schedules import KINDS
from clusters.reports.primaries import SILENT, Host, TwoPrimaries, two_primaries
from clusters.reports.report import OtherServer, Report, Run, StanzaReport, of_status

LOST = timedelta(days=1)  # after which a silent node is red
CLOCK_OFF = timedelta(minutes=5)  # less is the way of the report, and how it was spread


@dataclass(frozen=True)
class Alert:
    """Something that somebody must look at, in a few words."""

    words: str
    is_bad: bool = True


def moment(seconds: int | None) -> datetime | None:
    """Return the time of a report's seconds since 1970."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True)
class ServerView:
    """What a node said of one of its servers."""

    said: StanzaReport

    @property
    def is_down(self) -> bool:
        """Return whether nothing answered."""
        return self.said.server == "down"

    @property
    def last_at(self) -> datetime | None:
        """Return when PostgreSQL had its last WAL archived."""
        return moment(self.said.archiver.last_at) if self.said.archiver else None

    @property
    def failed_at(self) -> datetime | None:
        """Return when archiving failed last."""
        return moment(self.said.archiver.failed_at) if self.said.archiver else None

    @property
    def since(self) -> datetime | None:
        """Return since when archived and failed segments are counted."""
        return moment(self.said.archiver.since) if self.said.archiver else None

    @property
    def fails(self) -> bool:
        """Return whether archiving failed after it last went well."""
        return self.failed_at is not None and (self.last_at is None or self.failed_at > self.last_at)

    @property
    def alert(self) -> Alert | None:
        """Return what is wrong, the worst first."""
        if self.is_down:
            return Alert(f"{self.said.name} does not answer")
        if self.fails or self.said.spool_errors:
            return Alert(f"{self.said.name}: archiving fails")
        if self.said.archive_mode == "off":
            return Alert(f"{self.said.name} does not archive", is_bad=False)
        if self.said.is_archived_here is False:
            return Alert(f"{self.said.name}: another archive_command", is_bad=False)
        return None


@dataclass(frozen=True)
class RunView:
    """The last run of a schedule."""

    said: Run

    @property
    def kind(self) -> str:
        """Return what it did, in words."""
        return KINDS.get(self.said.kind, self.said.kind)

    @property
    def begun_at(self) -> datetime | None:
        """Return when it began, by the node's clock."""
        return moment(self.said.begun)

    @property
    def ended_at(self) -> datetime | None:
        """Return when it ended, by the node's clock."""
        return moment(self.said.ended)

    @property
    def minutes(self) -> int | None:
        """Return how long it took."""
        if self.said.begun is None or self.said.ended is None:
            return None
        return max(0, self.said.ended - self.said.begun) // 60


@dataclass(frozen=True)
class ReportView:
    """A node's last report."""

    node: Node

    @cached_property
    def said(self) -> Report:
        """Return it as it is kept."""
        return of_status(self.node.status)

    @property
    def is_short(self) -> bool:
        """Return whether it is of a script from before reports told more than what is applied."""
        return self.node.reported_at is not None and self.said.version == 1

    @cached_property
    def servers(self) -> list[ServerView]:
        """Return the servers of the cluster's databases."""
        return [ServerView(one) for one in self.said.stanzas if one.server]

    @cached_property
    def runs(self) -> list[RunView]:
        """Return the last run of each schedule in each repository, the newest first."""
        return [RunView(one) for one in sorted(self.said.runs, key=lambda one: -(one.begun or 0))]

    @property
    def others(self) -> Sequence[OtherServer]:
        """Return the servers that are none of the cluster's."""
        return self.said.others

    @cached_property
    def silent_for(self) -> timedelta | None:
        """Return for how long it has missed its reports; None while it has not."""
        ago = timezone.now() - self.node.reported_at if self.node.reported_at else timedelta(0)
        return ago if ago > SILENT else None

    @property
    def silence(self) -> Alert | None:
        """Return that it is silent."""
        if self.silent_for is None:
            return None
        words = timesince(timezone.now() - self.silent_for, depth=1).replace("\xa0", " ")
        return Alert(f"Silent for {words}", is_bad=self.silent_for > LOST)

    @property
    def clock(self) -> Alert | None:
        """Return how far the node's clock is off, measured when its last report came."""
        if not (self.node.sent_at and self.node.reported_at):
            return None
        ahead = self.node.sent_at - self.node.reported_at
        if abs(ahead) <= CLOCK_OFF:
            return None
        minutes = round(abs(ahead) / timedelta(minutes=1))
        much = f"{minutes} min" if minutes < 48 * 60 else f"{minutes // (24 * 60):,} days"
        return Alert(f"Its clock is {much} {'ahead' if ahead > timedelta(0) else 'behind'}", is_bad=False)

    def _alerts(self) -> Iterator[Alert | None]:
        yield self.silence
        yield from (one.alert for one in self.servers)
        failed = sorted({one.said.stanza for one in self.runs if one.said.has_failed})
        yield Alert(f"Last backup of {' and '.join(failed)} failed") if failed else None
        yield self.clock

    @cached_property
    def alerts(self) -> list[Alert]:
        """Return what somebody must look at."""
        return [one for one in self._alerts() if one]


def primaries(cluster: Cluster) -> list[TwoPrimaries]:
    """Return where more than one node of the cluster is primary of a stanza in the same folder."""
    hosts = (
        Host(one.name, one.repository_folder, of_status(one.status), one.reported_at) for one in cluster.nodes.all()
    )
    return two_primaries(hosts)
