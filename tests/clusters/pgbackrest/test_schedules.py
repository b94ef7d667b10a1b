"""Cron expressions, in words and as other files."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from clusters.pgbackrest import schedules
from clusters.pgbackrest.schedules import Unusable

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday


def test_in_words_says_when():
    assert schedules.in_words("0 1 * * 0") == "At 01:00 on Sunday"


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("0 0 31 2 *", "never comes"),
        ("0 0 30 feb *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("61 * * * *", "61 is no minute for cron: give 0 to 59"),
        ("0 24 * * *", "24 is no hour"),
        ("0 0 32 * *", "32 is no day of the month"),
        ("0 0 * 0 *", "0 is no month"),
        ("0 0 * * 8", "8 is no day of the week"),
        ("0 0 * * fri/2", "A step follows"),
        ("0 0 * * 7/4", "A step follows"),
        ("0 0 * * sat-sun", "from the lower to the higher"),  # cron takes it, and never runs it
        ("0 22-2 * * *", "from the lower to the higher"),
        ("*/0 * * * *", "a step is 1 or more"),
        ("5-5/0 * * * *", "a step is 1 or more"),
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
    assert next(schedules.runs("0 0 29 2 *", NOON)) == datetime(2028, 2, 29)


def test_times_follow_the_node_s_clock():
    [full, incremental] = schedules.times({"full": "0 1 * * 0", "incr": "0 0 31 12 *"}, NOON, ZoneInfo("Asia/Tokyo"))
    assert (full.kind, full.next[0], full.changes) == ("full", datetime(2026, 11, 29, 1), [])
    assert incremental.next == [datetime(year, 12, 31) for year in (2026, 2027, 2028)]
    late = datetime(2026, 12, 30, 16, tzinfo=UTC)  # 31 December there, an hour after the run
    assert schedules.times({"full": "0 0 31 12 *"}, late, ZoneInfo("Asia/Tokyo"))[0].next[0] == datetime(2027, 12, 31)
    assert schedules.times({"full": "0 0 31 12 *"}, late)[0].next[0] == datetime(2026, 12, 31)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 1 1,15 * 1", "At 01:00 on the first and the 15th day of month, and also on Monday"),
        ("0 1 1-31 * 1", "At 01:00 every day"),
        ("0 1 1-31 * 1-5", "At 01:00 every day"),
        ("0 1 1 3 0-6", "At 01:00 every day in March"),
        ("0 1 */2 * 1", "At 01:00 on every second day of month if it's on Monday"),
    ],
)
def test_in_words_says_which_days(expression, words):
    assert schedules.in_words(expression) == words
