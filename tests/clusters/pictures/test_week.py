"""The backups of the next seven days: where they stand, which of them meet, and what a change of the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from clusters import actions
from clusters.models import Node
from clusters.pictures.week import RUNS_AT_MOST, Planned, weeks
from tests.clusters.nodes import POLICY, seen, stanza_state
from tests.responses import text_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)  # a Tuesday
BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = (
    datetime(2026, 3, 27, 12, tzinfo=UTC),
    datetime(2026, 10, 23, 12, tzinfo=UTC),
)  # before a change


def planned(node="n1", zone=None, lasts=(0, 0), **schedules):
    hours = dict(zip(("full", "incr"), (timedelta(hours=one) for one in lasts), strict=True))
    return Planned(node, "orders", schedules or {"full": "0 6 * * 3"}, zone, hours)


def week(*args, now=NOW, **values):
    [one], _ = weeks([planned(*args, **values)], now)
    return one


def test_a_backup_stands_on_its_day_and_is_as_long_as_it_lasts():
    found = week(lasts=(6, 0))
    assert [one.date.day for one in found.days] == [24, 25, 26, 27, 28, 29, 30]
    assert [one.full for one in found.days] == ["", "M250 2H500V18H250Z", *[""] * 5]
    assert [one.words for one in found.days[:2]] == [[], ["full 06:00"]]
    assert found.days[0].now == 50


def test_one_that_ends_after_midnight_goes_on_the_next_day():
    found = week(lasts=(24, 0))
    assert [one.full for one in found.days[1:4]] == ["M250 2H1000V18H250Z", "M0 2H250V18H0Z", ""]


def test_the_clock_is_the_node_s():
    found = week(zone=ZoneInfo("Asia/Tokyo"), now=datetime(2026, 11, 24, 20, tzinfo=UTC))
    assert found.zone == "Asia/Tokyo"
    assert (found.days[0].date.day, found.days[0].words) == (25, ["full 06:00"])  # where it is Wednesday already


def test_backups_that_meet_are_said_and_those_of_the_past_are_not():
    found = week(lasts=(3, 1), full="0 1 * * *", incr="0 3 * * *")
    assert len(found.meetings) + found.more_meetings == 6  # today's are over
    assert found.meetings[0] == (
        "orders on n1: the incremental backup of Wed 25 Nov 03:00 meets the full one of Wed 01:00, "
        "which takes about 3 h."
    )
    assert week(lasts=(2, 1), full="0 1 * * *", incr="0 3 * * *").meetings == []


def test_two_of_one_minute_meet_however_short_they_are():
    found = week(full="0 1 * * 3", incr="0 1 * * *")
    assert len(found.meetings) == 1
    assert "Wed 25 Nov 01:00" in found.meetings[0]


def test_a_skipped_time_is_drawn_and_the_backup_comes_after_it():
    found = week(zone=BERLIN, now=SPRING, full="30 2 * * *")
    sunday = next(one for one in found.days if one.skipped)
    assert (sunday.date.day, sunday.skipped) == (29, "M83 0H125V20H83Z")
    assert sunday.words == ["full 03:00"]
    assert "02:00 to 03:00" in found.changes[0]


def test_backups_that_meet_since_the_clock_skips_an_hour_are_said():
    schedules = {"full": "0 0 * * 0", "incr": "30 3 * * *"}
    assert len(week(zone=BERLIN, now=SPRING, lasts=(3, 0), **schedules).meetings) == 1
    assert week(zone=None, now=SPRING, lasts=(3, 0), **schedules).meetings == []


def test_what_comes_twice_is_said():
    found = week(zone=BERLIN, now=AUTUMN, full="30 2 * * *")
    assert "goes back from 03:00 to 02:00" in found.changes[0]
    assert week(zone=BERLIN, now=NOW, full="30 2 * * *").changes == []  # no change within the week


def test_a_schedule_of_every_minute_ends_somewhere():
    found = week(full="* * * * *")
    assert found.is_cut
    assert sum("more" in words for one in found.days for words in one.words) == 1  # 1000 are less than a day
    assert RUNS_AT_MOST < 24 * 60


def test_stanzas_with_one_schedule_and_one_clock_are_one_week():
    found, more = weeks([planned("n1"), planned("n2"), planned("n3", zone=BERLIN)], NOW)
    assert [one.names for one in found] == [["orders on n1", "orders on n2"], ["orders on n3"]]
    assert more == 0
    many = [planned(f"n{number}", full=f"{number} 1 * * *") for number in range(20)]
    assert weeks(many, NOW)[1] == 14


@pytest.mark.parametrize("schedules", [{"diff": "0 0 1 1 *"}])
def test_a_week_without_a_backup_says_so(schedules):
    assert week(**schedules).is_empty


def test_the_pages_show_it(as_alice, alice, cluster):
    full = {**POLICY, "full_schedule": "0 1 * * *", "incr_schedule": "1 1 * * *"}
    actions.plan_backups(cluster, None, by=alice, **{**full, "retention_full": 14, "retention_diff": None})
    Node.objects.filter(cluster=cluster).update(status={"timezone": "Europe/Berlin"})
    seen(cluster, stanza_state())
    for address in (cluster.get_absolute_url(), cluster.nodes.get(name="n1").get_absolute_url()):
        page = text_of(as_alice.get(address))
        assert page.count('class="week-full"') >= 7
        assert "Europe/Berlin" in page
        assert "full 01:00, incremental 01:01" in page
