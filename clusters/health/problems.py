"""What can be wrong with a database in a store, and what of that counts yet, or still. Pure.

Each problem has a hold of its own: what one report says and the next may take back counts once it has stood for so
long, and until it has been gone for a while. What else is wrong meanwhile changes nothing about that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from clusters.health.facts import Before
from clusters.health.verdicts import Verdict

# What one report or look says and the next may take back counts once it has stood for so long.
HOLD = timedelta(minutes=10)
HOLDS = {
    **dict.fromkeys(("silent", "lost", "archiver", "not_archiving", "backlog", "down", "clock"), HOLD),
    "out_of_reach": timedelta(minutes=20),  # it is tried again after 15
    "not_applied": timedelta(days=1),
}
CALM = timedelta(minutes=20)  # and for so long it has to be gone
# Until what was wrong is only not known: as alerts.UNKNOWN_FOR, so that no alert closes for it.
UNSURE = timedelta(hours=1)
NEXT_AT_MOST = timedelta(hours=1)  # what nobody marks, such as an account that proved itself, is seen by then

UNKNOWN, BEHIND = Verdict.UNKNOWN, Verdict.BEHIND

Key = tuple[str, str]  # a problem's code and verdict
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and what to do about it."""

    code: str
    verdict: Verdict
    words: str
    advice: str = ""
    since: str = ""  # ISO 8601

    @property
    def key(self) -> Key:
        """Return what tells it from all others: a long queue is another problem than a short one."""
        return self.code, str(self.verdict)

    @property
    def begun(self) -> datetime:
        """Return since when it stands; it has to be dated."""
        return datetime.fromisoformat(self.since)

    @property
    def hold(self) -> timedelta:
        """Return for how long it has to stand until it counts."""
        return HOLDS.get(self.code, timedelta())

    def as_json(self) -> dict[str, str]:
        """Return it as Health.problems has it."""
        found = {"code": self.code, "verdict": str(self.verdict), "words": self.words, "advice": self.advice}
        return found | {"since": self.since}


class Clock:
    """Collects the moments at which time alone changes what is said."""

    def __init__(self, now: datetime) -> None:
        self.now, self.due = now, now + NEXT_AT_MOST

    def passed(self, at: datetime | None) -> bool:
        """Return whether the moment has come; if it has not, it is one at which to judge again."""
        if at is None:
            return False
        if at > self.now:
            self.due = min(self.due, at)
        return at <= self.now


@dataclass(frozen=True)
class Counted:
    """What counts of all that is wrong, and what is to be known of the rest the next time."""

    verdict: Verdict
    since: datetime | None  # since when the verdict is true, where that is longer than it counts
    problems: Sequence[Row]  # as Health has them, the worst first
    held: Sequence[Row]  # as Health has it


def count(found: Iterable[Problem], before: Before | None, clock: Clock) -> Counted:
    """Return what counts now of what is wrong, by what counted before; where nothing was said before, all does."""
    then = {_key(row): row for row in before.problems} if before else {}
    there = {one.key: one for one in _dated(_with_lesser(found), before, clock.now)}
    counts = [one for one in there.values() if not before or one.key in then or clock.passed(one.begun + one.hold)]
    gone = _gone([key for key in then if key not in there], before, clock.now)
    unsure = min((one.begun for one in there.values() if one.verdict == UNKNOWN), default=None)
    staying = {key: at for key, at in gone.items() if not clock.passed(_stays_until(key, at, unsure))}
    rows = _shown([one.as_json() for one in counts] + [then[key] for key in staying])
    verdict, since = worst(rows), None
    if verdict == UNKNOWN and unsure and before and before.verdict.rank < UNKNOWN.rank:
        # What was told is not over because nobody can look: it goes on for an hour, and was unknown since then.
        ended = [at for key, at in gone.items() if key not in staying and key[1] != UNKNOWN]
        since = max([unsure, *ended])
        if any(one["verdict"] == BEHIND for one in rows) and not clock.passed(since + UNSURE):
            verdict, since = BEHIND, None
    rows.sort(key=lambda one: (one["verdict"] != verdict, Verdict(one["verdict"]).rank))
    shown = {_key(row) for row in rows}
    held = [_held(key, "since", one.begun) for key, one in there.items() if key not in shown]
    held += [_held(key, "over", at) for key, at in staying.items() if key in shown]
    return Counted(verdict, since, rows, held)


def worst(rows: Iterable[Row]) -> Verdict:
    """Return the worst verdict; what nobody can know is worse than to be behind."""
    verdicts = {one["verdict"] for one in rows}
    order = (Verdict.NOT_RECOVERABLE, Verdict.AT_RISK, Verdict.NOT_SET_UP, UNKNOWN, BEHIND)
    return next((one for one in order if one in verdicts), Verdict.RECOVERABLE)


def _key(row: Row) -> Key:
    return row["code"], row["verdict"]


def _held(key: Key, name: str, at: datetime) -> Row:
    return {"code": key[0], "verdict": key[1], name: at.isoformat()}


def _lesser(one: Problem) -> Problem | None:
    """Return what is wrong, too, where this is: it has stood for longer, and goes on where this does not."""
    if one.code == "lost":
        return replace(one, code="silent", verdict=BEHIND)
    return replace(one, verdict=BEHIND) if (one.code, one.verdict) == ("backlog", Verdict.AT_RISK) else None


def _with_lesser(found: Iterable[Problem]) -> Iterator[Problem]:
    for one in found:
        yield one
        if lesser := _lesser(one):
            yield lesser


def _shown(rows: Sequence[Row]) -> list[Row]:
    """Return the rows without what another one says, too; nothing else is said of what is not set up yet."""
    if any(one["verdict"] == Verdict.NOT_SET_UP for one in rows):
        return [one for one in rows if one["verdict"] == Verdict.NOT_SET_UP]
    lesser = (_lesser(Problem(one["code"], Verdict(one["verdict"]), "")) for one in rows)
    said = {one.key for one in lesser if one}
    return [one for one in rows if _key(one) not in said]


def _dated(found: Iterable[Problem], before: Before | None, now: datetime) -> Iterator[Problem]:
    """Yield the problems with since when each stands."""
    then = [*before.problems, *before.held] if before else []
    by_key = {_key(row): row["since"] for row in then if row.get("since")}
    by_code = {row["code"]: row["since"] for row in then if row.get("since")}
    for one in found:
        # What counts at once has begun when it did so in another measure: a second run that was missed, say.
        since = by_key.get(one.key) or ("" if one.hold else by_code.get(one.code))
        yield replace(one, since=since or now.isoformat())


def _gone(keys: Iterable[Key], before: Before | None, now: datetime) -> dict[Key, datetime]:
    """Return since when each of them is not there any more."""
    over = {_key(row): datetime.fromisoformat(row["over"]) for row in (before.held if before else ()) if "over" in row}
    return {key: over.get(key, now) for key in keys}


def _stays_until(key: Key, gone: datetime, unsure: datetime | None) -> datetime:
    """Return until when a problem that is gone counts; `unsure` is since when nobody can know."""
    code, verdict = key
    if verdict == UNKNOWN:
        return gone
    calm = gone + CALM if code in HOLDS else gone
    return max(calm, gone + UNSURE, unsure + UNSURE) if unsure and Verdict(verdict).rank < UNKNOWN.rank else calm
