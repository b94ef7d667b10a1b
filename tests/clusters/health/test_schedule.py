"""Which runs were missed, and which only seem so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from clusters.health.schedule import Missed, Plan, missed, next_run
from clusters.pgbackrest.clocks import zone
from tests.clusters.health.known import BACKUPS, DAY, HOUR, MINUTE, NIGHTLY, NOW, SUNDAY, backup

LONG_AGO = SUNDAY - 60 * DAY
THURSDAY = SUNDAY + 4 * DAY - 10 * MINUTE  # 01:00


def asked(plan, backups, until=NOW, running=None):
    return [(one.kind, one.at) for one in missed(plan, backups, until, running or {})]


def plan(schedules=NIGHTLY, where="UTC", since=LONG_AGO, ahead=0 * MINUTE):
    return Plan(schedules, zone(where), since, ahead)


def test_missed_is_what_no_backup_of_its_kind_or_a_stronger_one_has_kept():
    assert asked(plan(), BACKUPS) == []
    assert asked(plan(), BACKUPS[:4]) == [("incr", THURSDAY)]
    assert asked(plan(), [*BACKUPS[:4], backup("full", NOW - HOUR)]) == []
    assert asked(plan(), [*BACKUPS[:4], backup("diff", NOW - HOUR)]) == []
    # An incremental one does not keep a full one's run.
    late = [backup("full", SUNDAY - 7 * DAY), *BACKUPS[1:]]
    assert asked(plan(), late) == [("full", SUNDAY - 10 * MINUTE)]


def test_missed_waits_for_as_long_as_it_takes_and_half_of_that():
    slow = [*BACKUPS[:3], backup("incr", SUNDAY + 3 * DAY, lasted=2 * HOUR)]
    assert asked(plan(), slow, THURSDAY + 3 * HOUR - MINUTE) == []
    assert asked(plan(), slow, THURSDAY + 3 * HOUR + MINUTE) == [("incr", THURSDAY)]
    assert asked(plan(), BACKUPS[:4], THURSDAY + 24 * MINUTE) == []
    assert asked(plan(), BACKUPS[:4], THURSDAY + 26 * MINUTE) == [("incr", THURSDAY)]


def test_missed_goes_by_the_nodes_own_zone():
    tokyo = plan(where="Asia/Tokyo")
    run = datetime(2026, 11, 25, 16, tzinfo=UTC)  # Thursday at 01:00 there
    made = [*BACKUPS[:3], backup("incr", run - DAY + 10 * MINUTE)]
    assert asked(tokyo, made, run + 24 * MINUTE) == []
    assert asked(tokyo, made, run + 26 * MINUTE) == [("incr", run)]
    # Not known yet: by none of those that it may be in is it missed.
    assert asked(plan(where=""), BACKUPS[:4], NOW) == []
    assert asked(plan(where=""), BACKUPS[:4], NOW + 4 * HOUR) == [("incr", THURSDAY)]


@pytest.mark.parametrize("ahead", [-3 * HOUR, 3 * HOUR])
def test_missed_goes_by_the_nodes_own_clock_however_wrong(ahead):
    # The node shows 01:00 when it is later, or earlier; its backups have its own times.
    wrong = plan(ahead=ahead)
    assert asked(wrong, BACKUPS[:4], THURSDAY - ahead + 24 * MINUTE) == []
    assert asked(wrong, BACKUPS[:4], THURSDAY - ahead + 26 * MINUTE) == [("incr", THURSDAY)]
    assert asked(wrong, BACKUPS, THURSDAY - ahead + 26 * MINUTE) == []
    assert next_run(wrong, THURSDAY - ahead - MINUTE) == THURSDAY - ahead


def test_a_schedule_that_was_changed_an_hour_ago_asks_for_nothing_before():
    hourly = {"full": "0 0 * * *", "incr": "30 * * * *"}
    assert asked(plan(hourly, since=NOW - HOUR), BACKUPS[:4], NOW - 6 * MINUTE) == []
    assert asked(plan(hourly, since=NOW - HOUR), BACKUPS[:4], NOW + HOUR)[-1] == ("incr", NOW - 30 * MINUTE)


def test_what_the_node_is_at_is_not_missed_and_lets_nothing_else_begin():
    at_it = {"full": THURSDAY - 3 * HOUR}
    assert asked(plan(), BACKUPS[:4], NOW, at_it) == []
    assert asked(plan(), BACKUPS[:3], NOW, at_it) == [("incr", THURSDAY - DAY)]
    assert asked(plan(since=SUNDAY - DAY), [BACKUPS[1]], NOW, {"incr": NOW})[-1] == ("full", THURSDAY - 4 * DAY)


def test_the_clock_that_is_put_forward_makes_nothing_missed():
    berlin, night = plan({"full": "30 2 * * *"}, "Europe/Berlin"), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    made = [backup("full", night - DAY + 10 * MINUTE), backup("full", night + 10 * MINUTE)]
    assert asked(berlin, made, night + 12 * HOUR) == []


def test_the_hour_that_the_clock_shows_twice_brings_no_run_again():
    berlin, night = plan({"full": "30 2 * * *"}, "Europe/Berlin"), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    # 02:10 for the second time: what ran at 02:30 for the first time is over.
    begin = night + 40 * MINUTE
    assert [*berlin.runs("full", begin, night + 2 * DAY)] == [night + 25 * HOUR]
    made = [backup("full", begin)]
    assert asked(berlin, made, night + 12 * HOUR) == []


@pytest.mark.parametrize("east", range(-12, 15))
def test_where_the_zone_is_not_known_nothing_is_missed_by_whatever_it_is(east):
    run = THURSDAY - east * HOUR
    made = [backup("full", run - n * DAY + 10 * MINUTE) for n in range(9)]
    for hour in range(-24, 24):  # then the next one comes
        until = run + hour * HOUR
        there = [one for one in made if one.stopped <= until.timestamp()]
        assert asked(plan({"full": "0 1 * * *"}, ""), there, until) == []
        assert asked(plan({"full": "0 1 * * *"}, "", since=run - 3 * HOUR), there[-1:], until) == []
    assert asked(plan({"full": "0 1 * * *"}, ""), made, run + 54 * HOUR) != []


def test_longest_is_between_runs_of_any_kind():
    assert plan().longest == DAY
    assert plan({"full": "0 1 * * 0"}).longest == 7 * DAY
    assert plan({"full": "0 1 * * 0", "incr": "0 8-18 * * *"}).longest == 14 * HOUR
    assert plan({}).longest is None


def test_only_the_newest_that_were_missed_are_told():
    found = missed(plan({"full": "0 * * * *"}), BACKUPS[:1], NOW, {})
    assert (len(found), found[0]) == (10, Missed("full", NOW - HOUR))
