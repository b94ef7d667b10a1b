"""When backups are made: cron expressions in words, and the same as crontab lines and timers. Pure.

An expression means what Debian's cron makes of it (crontab(5), its entry.c and cron.c); the node's own clock reads it.
CronSim does the counting. It takes more than cron does, and is only asked about what cron takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from clusters.pgbackrest import clocks
from clusters.pgbackrest.grammar import Unfit

KINDS = {"full": "full", "diff": "differential", "incr": "incremental"}  # pgBackRest's --type: in words
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS_AT_MOST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# What cron reads in a field (crontab(5), entry.c): a step follows only * or a range. CronSim also reads steps after a
# single value, L, # and W, and digits and letters of other alphabets; of one of those cron ignores the whole file.
# Nine digits are a C int, whatever they are.
_VALUE = rf"(\d{{1,9}}|{'|'.join((*MONTHS, *WEEKDAYS))})"
_ITEM = rf"((\*|{_VALUE}-{_VALUE})(/\d{{1,9}})?|{_VALUE})"
FIELD = re.compile(rf"{_ITEM}(,{_ITEM})*", re.IGNORECASE | re.ASCII)
TAKEN = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12, or jan to dec"),
    ("day of the week", "0 to 7, or sun to sat; 0 and 7 are Sunday"),
)

SHOWN = 3  # so many next runs


class Unusable(Unfit):
    """The expression cannot be a schedule; the message says why."""


def parse(expression: str, now: datetime = datetime(2024, 1, 1)) -> CronSim:
    """Return the expression's runs after `now`, by the clock of whichever node reads it; raises Unusable.

    Refused is what cron does not take or never runs, and other spaces than one. cron takes a range that goes backwards,
    such as sat-sun, and makes nothing of it.
    """
    fields = expression.split(" ")
    if len(fields) != 5 or not all(FIELD.fullmatch(field) for field in fields):
        raise Unusable(
            "Give the five fields of a cron expression: minute, hour, day of the month, month, day of the week, such "
            "as 0 1 * * 0 for Sundays at 01:00. A step follows * or a range, such as */15 or 5-59/15."
        )
    fields = [",".join(_plain(item) for item in field.split(",")) for field in fields]
    for at, (field, (name, taken)) in enumerate(zip(fields, TAKEN, strict=True)):
        try:
            CronSim(" ".join((*"*" * at, field, *"*" * (4 - at))), now)
        except CronSimError as error:
            raise Unusable(
                f"{field} is no {name} for cron: give {taken}. A range goes from the lower to the higher, and a "
                "step is 1 or more."
            ) from error
    plain = " ".join(fields)
    try:
        next(CronSim(plain, datetime(2024, 1, 1)))
    except (CronSimError, StopIteration):
        raise Unusable("This never comes: there is no such day. Choose another day or month.") from None
    return CronSim(plain, now)


def _plain(item: str) -> str:
    """Return the item; a step in a range of one value, which means nothing, would for CronSim go on to the end."""
    first, _, rest = item.partition("-")
    last, _, step = rest.partition("/")
    return first if step and int(step) and _number(first) == _number(last) else item


def _number(value: str) -> int:
    for names, first in ((MONTHS, 1), (WEEKDAYS, 0)):
        if value.lower() in names:
            return names.index(value.lower()) + first
    return int(value)


def in_words(expression: str) -> str:
    """Return the schedule in words, such as "At 01:00 on Sunday"."""
    cron = parse(expression)
    if not cron.day_and and _is_every_day(cron):  # such as 1-31 beside a day of the week
        *others, _, month, _ = cron.parts[1:]
        return CronSim(" ".join((*others, "*", month, "*")), cron.dt).explain()
    return cron.explain() if cron.day_and else cron.explain().replace(" and on ", ", and also on ")


def _is_every_day(cron: CronSim) -> bool:
    return len(cron.days) == 31 or len(_weekdays(cron)) == 7


def runs(expression: str, after: datetime) -> Iterator[datetime]:
    """Yield when the schedule comes after that, both as a clock shows it that is never changed."""
    yield from parse(expression, after.replace(tzinfo=None))


def is_wild(expression: str) -> bool:
    """Return whether cron follows the clock's changes with it: minute or hour begin with a star."""
    minute, hour, *_ = expression.split(" ")
    return minute.startswith("*") or hour.startswith("*")


def is_hourly(expression: str) -> bool:
    """Return whether it comes in every hour of its days."""
    return len(parse(expression).hours) == 24


@dataclass(frozen=True)
class Time:
    """A schedule as pages show it."""

    kind: str  # in words
    expression: str
    words: str
    next: Sequence[datetime]  # as cron makes them and the node's clock shows them
    changes: Sequence[str]  # what changes of the clock do to it within a year, in sentences


def times(schedules: Mapping[str, str], now: datetime, zone: ZoneInfo | None = None) -> list[Time]:
    """Return the schedules in words, with their next runs; without a zone by a clock that shows UTC."""
    found = []
    for kind, expression in schedules.items():
        here, wild = now.astimezone(zone).replace(tzinfo=None), is_wild(expression)
        coming = clocks.cron_runs(runs(expression, here), zone, wild=wild)
        said = [] if is_hourly(expression) else clocks.said(partial(runs, expression), zone, now, wild=wild)
        found.append(Time(KINDS[kind], expression, in_words(expression), list(islice(coming, SHOWN)), said))
    return found


def _weekdays(cron: CronSim) -> set[int]:
    """Return the days of the week, Sunday being 0; pairs, such as the second Monday, are not cron's."""
    return {day % 7 for day in cron.weekdays if isinstance(day, int)}


def on_calendar(expression: str) -> Iterator[str]:
    """Yield systemd's calendar events (systemd.time(7)) that together come when the cron expression does.

    cron takes a day that either the day of the month or the day of the week names, when neither begins with a star;
    systemd one that both name. So there may be two.
    """
    cron = parse(expression)
    clock = f"{_list(cron.hours, 24)}:{_list(cron.minutes, 60)}:00"
    months, days = _list(cron.months, 12), _list(cron.days, 31)
    weekdays = sorted(_weekdays(cron))
    names = "" if len(weekdays) == 7 else ",".join(WEEKDAYS[day].capitalize() for day in weekdays) + " "
    if cron.day_and:
        yield f"{names}*-{months}-{days} {clock}"
    elif _is_every_day(cron):
        yield f"*-{months}-* {clock}"
    else:
        if any(day <= DAYS_AT_MOST[month - 1] for day in cron.days for month in cron.months):
            yield f"*-{months}-{days} {clock}"
        yield f"{names}*-{months}-* {clock}"


def _list(values: set[int], every: int) -> str:
    return "*" if len(values) == every else ",".join(f"{value:02d}" for value in sorted(values))
