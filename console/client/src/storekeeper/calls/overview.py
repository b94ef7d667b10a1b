"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from typing import TypedDict

from ..core import Core


class NoticeShown(TypedDict):
    """Something that somebody should do."""

    key: str
    level: str
    title: str
    words: str
    count: int
    subjects: list[NoticeSubject]


class NoticeSubject(TypedDict):
    name: str
    url: str


class Overview(TypedDict):
    """How recoverable the organisation's databases are."""

    databases: int
    recoverable: int
    partly: int
    by_verdict: list[Verdicts]
    clusters: int
    bytes: int
    grown_bytes: int | None
    judged_at: str | None
    notices: list[NoticeShown]
    places: list[Place]


class Place(TypedDict):
    """A place with nodes or stores."""

    place: str
    regions: list[str]
    nodes: int
    stores: int
    verdict: str


class Verdicts(TypedDict):
    """How many databases have a verdict: each counts once, by the best of its stores."""

    verdict: str
    count: int


class OverviewCalls(Core):
    """The calls of overview."""

    def get_overview(
        self,
    ) -> Overview:
        """Show in numbers how recoverable the databases are, what somebody should do, and where nodes and stores are."""
        found: Overview = self.row("get_overview", {})
        return found
