"""Cron expressions, in words and as other files."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from cronsim import CronSim

from clusters.pgbackrest import schedules
from clusters.pgbackrest.schedules import Unusable

NOON = datetime(2026, 11, 22, 12)  # a Sunday


def test_in_words_says_when():
    assert schedules.in_words("0 1 * * 0") == "At 01:00 on Sunday"


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("0 0 31 2 *", "never comes"),
        ("0 0 30 feb *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("61 * * * *", "bad minute"),
        ("0 1 * *", "five fields"),
        ("@daily", "five fields"),
        ("0 0 L * *", "five fields"),  # CronSim knows it, Debian's cron does not
        ("0 0 * * 1#2", "five fields"),
        ("0 0 * * *; reboot", "five fields"),
        ("5/15 * * * *", "A step follows"),  # CronSim takes it, and Debian's cron says "bad minute"
        ("0 1 * * \u017fun", "five fields"),
        ("0 \u0661 * * 1", "five fields"),
        ("0 1 * * 1\xa0", "five fields"),
        ("0  1 * * 1", "five fields"),
    ],
)
def test_parse_refuses_what_cron_would_not_run(expression, why):
    with pytest.raises(Unusable, match=why):
        schedules.parse(expression)


def test_parse_takes_a_leap_day():
    assert schedules.next_runs("0 0 29 2 *", NOON, 1) == [datetime(2028, 2, 29)]


def test_next_runs_follow_the_node_s_clock():
    assert schedules.next_runs("0 1 * * 0", NOON, 2) == [datetime(2026, 11, 29, 1), datetime(2026, 12, 6, 1)]


@pytest.mark.parametrize(
    ("first", "second", "when"),
    [
        ("0 1 * * 0", "0 1 * * *", datetime(2026, 11, 29, 1)),
        ("0 1 * * 0", "0 1 * * 1-6", None),
        ("0 1 1 * 0", "0 1 1 * *", datetime(2026, 12, 1, 1)),
        ("*/2 * * * *", "1-59/2 * * * *", None),
        ("0 1 1 1 *", "0 1 * * *", datetime(2027, 1, 1, 1)),
    ],
)
def test_collision_finds_two_backups_in_one_minute(first, second, when):
    found = schedules.collision({"full": first, "incr": second}, NOON)
    assert found == (("full", "incr", when) if when else None)


@pytest.mark.parametrize(
    "expression", ["0 1 * * 0", "0 1 1 * 0", "*/15 3 */2 * mon", "5,35 */6 * * *", "0 1 * * 7", "0 4 1-7 1,7 *"]
)
def test_on_calendar_comes_when_cron_does(expression):
    """Read systemd's own notation back, and compare every minute of a month that has all days of the week."""
    events = [read_event(event) for event in schedules.on_calendar(expression)]
    cron = CronSim(expression, datetime(2027, 1, 1) - timedelta(minutes=1))
    wanted = set()
    while (run := next(cron)) < datetime(2027, 2, 1):
        wanted.add(run)
    minutes = (datetime(2027, 1, 1) + timedelta(minutes=at) for at in range(31 * 24 * 60))
    assert {minute for minute in minutes if any(event(minute) for event in events)} == wanted


def read_event(text):
    """Return what tells whether a calendar event (systemd.time(7)) comes at a moment."""
    *days, date, clock = text.split(" ")
    _, months, monthdays = date.split("-")
    hours, minutes, seconds = clock.split(":")
    assert seconds == "00"

    def among(value, values):
        return values == "*" or f"{value:02d}" in values.split(",")

    return lambda moment: (
        (not days or moment.strftime("%a") in days[0].split(","))
        and among(moment.month, months)
        and among(moment.day, monthdays)
        and among(moment.hour, hours)
        and among(moment.minute, minutes)
    )
