"""When backups are made: cron expressions in words, their next runs, and the same as crontab lines and timers. Pure.

An expression means what Debian's cron makes of it (crontab(5)); the node's own clock reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from cronsim import CronSim, CronSimError

from clusters.pgbackrest.grammar import Unfit

KINDS = {"full": "full", "diff": "differential", "incr": "incremental"}  # pgBackRest's --type: in words
# What cron reads in a field (crontab(5), entry.c): a step follows only * or a range. CronSim also reads steps after a
# single value, L, # and W, and digits and letters of other alphabets; of one of those cron ignores the whole file.
_VALUE = r"(\d+|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)"
_ITEM = rf"((\*|{_VALUE}-{_VALUE})(/\d+)?|{_VALUE})"
FIELD = re.compile(rf"{_ITEM}(,{_ITEM})*", re.IGNORECASE | re.ASCII)
WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
RUNS_COMPARED = 1000  # how many runs of the rarer of two schedules are looked at


class Unusable(Unfit):
    """The expression cannot be a schedule; the message says why."""


def parse(expression: str) -> CronSim:
    """Return the expression, understood; raises Unusable when cron would not run it, or has other spaces than one."""
    fields = expression.split(" ")
    if len(fields) != 5 or not all(FIELD.fullmatch(field) for field in fields):
        raise Unusable(
            "Give the five fields of a cron expression: minute, hour, day of the month, month, day of the week, such "
            "as 0 1 * * 0 for Sundays at 01:00. A step follows * or a range, such as */15 or 5-59/15."
        )
    now = datetime(2024, 1, 1)  # by the clock of whichever node reads it
    try:
        schedule = CronSim(expression, now)
        next(schedule)
    except StopIteration:
        raise Unusable("This never comes: there is no such day. Choose another day or month.") from None
    except CronSimError as error:
        if _is_a_day_that_never_comes(fields, now):
            raise Unusable("This never comes: there is no such day. Choose another day or month.") from error
        raise Unusable(f"cron does not understand this: {str(error)[:1].lower()}{str(error)[1:]}.") from error
    return CronSim(expression, now)


def _is_a_day_that_never_comes(fields: Sequence[str], now: datetime) -> bool:
    try:
        CronSim(" ".join((*fields[:3], "*", fields[4])), now)
        CronSim(" ".join((*fields[:2], "*", *fields[3:])), now)
    except CronSimError:
        return False
    return True


def in_words(expression: str) -> str:
    """Return the schedule in words, such as "At 01:00 on Sunday"."""
    return parse(expression).explain()


def next_runs(expression: str, now: datetime, number: int = 3) -> list[datetime]:
    """Return the next times at which the schedule comes; `now`, and they, are what the node's clock shows."""
    return list(islice(CronSim(expression, now.replace(tzinfo=None)), number))


@dataclass(frozen=True)
class Time:
    """A schedule as pages show it."""

    kind: str  # in words
    expression: str
    words: str
    next: Sequence[datetime]


def times(schedules: Mapping[str, str], now: datetime) -> list[Time]:
    """Return the schedules in words, with their next runs by a clock that shows UTC, as those of most servers do."""
    return [
        Time(KINDS[kind], expression, in_words(expression), next_runs(expression, now))
        for kind, expression in schedules.items()
    ]


def collision(schedules: Mapping[str, str], now: datetime) -> tuple[str, str, datetime] | None:
    """Return the first two types of backup that would begin in the same minute, and when; None when none do."""
    for at, (first, expression) in enumerate(schedules.items()):
        for second, other in list(schedules.items())[at + 1 :]:
            if when := _meeting(expression, other, now.replace(tzinfo=None)):
                return first, second, when
    return None


def _meeting(one: str, other: str, now: datetime) -> datetime | None:
    rare, often = sorted((CronSim(one, now), CronSim(other, now)), key=lambda cron: len(cron.hours) * len(cron.minutes))
    try:
        return next((when for when in islice(rare, RUNS_COMPARED) if _comes_at(often, when)), None)
    except OverflowError:  # so rare that the calendar ends first
        return None


def _comes_at(cron: CronSim, when: datetime) -> bool:
    day, weekday = when.day in cron.days, when.isoweekday() % 7 in _weekdays(cron)
    on_this_day = day and weekday if cron.day_and else day or weekday
    return on_this_day and when.month in cron.months and when.hour in cron.hours and when.minute in cron.minutes


def _weekdays(cron: CronSim) -> set[int]:
    """Return the days of the week, Sunday being 0; pairs, such as the second Monday, are not cron's."""
    return {day % 7 for day in cron.weekdays if isinstance(day, int)}


def on_calendar(expression: str) -> Iterator[str]:
    """Return systemd's calendar events (systemd.time(7)) that together come when the cron expression does.

    cron takes a day that either the day of the month or the day of the week names, when both are given; systemd one
    that both name. So there may be two.
    """
    cron = parse(expression)
    clock = f"{_list(cron.hours, 24)}:{_list(cron.minutes, 60)}:00"
    months = _list(cron.months, 12)
    weekdays = sorted(_weekdays(cron))
    every_day, every_weekday = len(cron.days) == 31, len(weekdays) == 7
    names = "" if every_weekday else ",".join(WEEKDAYS[day] for day in weekdays) + " "
    if every_day or every_weekday or cron.day_and:
        yield f"{names}*-{months}-{_list(cron.days, 31)} {clock}"
    else:
        yield f"*-{months}-{_list(cron.days, 31)} {clock}"
        yield f"{names}*-{months}-* {clock}"


def _list(values: set[int], every: int) -> str:
    return "*" if len(values) == every else ",".join(f"{value:02d}" for value in sorted(values))
