"""What a message says, whatever carries it. Pure: made of alerts once, and kept with its delivery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from console.clouds import foreign

AT_MOST = 100  # alerts in one message; of more it says how many
EVENTS = {
    "opened": "",
    "worse": "Got worse",
    "better": "Got better",
    "repeated": "Still",
    "closed": "Over",
    "test": "Test",
    "acknowledged": "Acknowledged",
}


@dataclass(frozen=True)
class Item:
    """One alert, and what happened to it."""

    id: str
    event: str  # one of EVENTS
    rule: str
    severity: str
    title: str
    words: str = ""
    advice: str = ""
    url: str = ""
    key: str = ""
    cluster: str = ""
    subject_kind: str = ""
    subject_id: str = ""
    opened_at: str = ""
    closed_at: str = ""

    @property
    def line(self) -> str:
        """Return it as one line."""
        word = EVENTS[self.event] or self.severity.capitalize()
        return foreign.text(f"{word}: {self.title}")

    @property
    def detail(self) -> str:
        """Return why, and what to do, as one line."""
        return foreign.text(" ".join(one for one in (self.words, "" if self.event == "closed" else self.advice) if one))


@dataclass(frozen=True)
class Message:
    """What is told of some alerts at once."""

    organisation: str
    items: Sequence[Item] = field(default_factory=tuple)
    more: int = 0  # alerts that are not among the items
    group: str = ""  # of an incident: what the other side knows it by
    action: str = ""  # of an incident: trigger, acknowledge, resolve

    @classmethod
    def of(cls, organisation: str, items: Iterable[Item], **rest: Any) -> Self:
        """Return a message of these, the worst first, and of so many as there may be in one."""
        known = sorted(items, key=lambda one: (one.event in {"closed", "better"}, one.severity != "critical"))
        more = max(0, len(known) - AT_MOST)
        return cls(organisation, tuple(known[:AT_MOST]), more, **rest)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return the message that as_json() gave."""
        return cls(**{**content, "items": tuple(Item(**one) for one in content.get("items", ()))})

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return asdict(self)

    @property
    def others(self) -> int:
        """Return how many alerts there are beside the first."""
        return max(0, len(self.items) - 1) + self.more

    @property
    def subject(self) -> str:
        """Return it as one line, such as "Critical: ledger on n1 is not recoverable, and 299 more"."""
        if not self.items:
            return "Nothing"
        return self.items[0].line + (f", and {self.others:,} more" if self.others else "")

    @property
    def severity(self) -> str:
        """Return the worst severity of what is not over; "ok" where all is."""
        found = {one.severity for one in self.items if one.event not in {"closed", "better"}}
        return "critical" if "critical" in found else "warning" if found else "ok"

    def lines(self, at_most: int) -> list[tuple[str, str, str]]:
        """Return a line, its detail and its page for each of the first alerts."""
        return [(one.line, one.detail, one.url) for one in self.items[:at_most]]

    def rest(self, at_most: int) -> str:
        """Return how many are not among so many lines, in words; "" where none is."""
        left = max(0, len(self.items) - at_most) + self.more
        return f"and {left:,} more" if left else ""


@dataclass(frozen=True)
class News:
    """Something that has happened, as a webhook is sent it beside alerts."""

    type: str  # such as task.done, change.recorded
    subject: str  # one line
    organisation: str
    name: str  # of what follows in the data: task, change
    content: dict[str, Any]
    url: str = ""  # of its page, as a path

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return the news that as_json() gave."""
        return cls(**content)

    def as_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return asdict(self)
