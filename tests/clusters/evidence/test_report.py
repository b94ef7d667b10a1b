"""What evidence says of backups: which were made, which the schedule had and nobody made, what became of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest

from clusters.evidence import report
from clusters.evidence.report import RUNS_AT_MOST, Counted, Made, Row, Schedule, backups, kept_schedule
from clusters.models import KnownStanza

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)  # a Sunday
NIGHTLY = {"full": "0 1 * * 0", "incr": "0 1 * * 1-6"}


def at(day, hour=1, minute=0):
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def made(*moments, kind="I"):
    return [Made(f"x{kind}", one + timedelta(minutes=10), 600, 1, "kept") for one in moments]


def kept(there, expressions=NIGHTLY, since=None, until=NOW, zone=None, began=None, now=NOW):
    schedule = Schedule(dict(expressions), zone, began or at(1))
    return kept_schedule(schedule, there, since or at(15, 0), until, now)


WEEK = [*made(at(22), kind="F"), *made(*(at(day) for day in range(23, 29))), *made(at(29), kind="F")]


def test_a_schedule_that_was_kept_has_missed_nothing():
    found = kept(WEEK, since=at(22, 0))
    assert (found.scheduled, found.missed) == (8, [])


def test_a_backup_that_nobody_made_is_missed():
    found = kept([one for one in WEEK if one.started != at(25)], since=at(22, 0))
    assert (found.scheduled, found.missed) == (8, [("incr", at(25))])
    assert found.shown == [("incremental", at(25))]


def test_the_next_backup_does_not_make_up_for_it():
    """The full backup of Sunday is due before the next incremental one: it is not Saturday's."""
    found = kept([one for one in WEEK if one.started != at(28)], since=at(22, 0))
    assert found.missed == [("incr", at(28))]


def test_a_lesser_backup_is_not_the_full_one_that_was_due_and_a_greater_one_is():
    lesser = [*made(at(22)), *WEEK[1:]]
    assert kept(lesser, since=at(22, 0)).missed == [("full", at(22))]
    greater = [*WEEK[:3], *made(at(25), kind="F"), *WEEK[4:]]
    assert kept(greater, since=at(22, 0)).missed == []


def test_one_that_began_late_was_made_and_so_was_one_of_a_clock_that_is_ahead():
    for begun in (at(25, 9), at(25, 0, 57)):
        there = [*WEEK[:3], *made(begun), *WEEK[4:]]
        assert kept(there, since=at(22, 0)).missed == []


def test_what_may_still_be_going_on_is_neither_made_nor_missed():
    assert kept(WEEK[:-1], since=at(22, 0)).scheduled == 7
    assert kept(WEEK[:-1], since=at(22, 0)).missed == []
    later = kept(WEEK[:-1], since=at(22, 0), now=NOW + timedelta(days=1), until=NOW)
    assert later.missed == [("full", at(29))]


def test_nothing_was_due_before_the_store_was_attached():
    assert kept(WEEK, since=at(1), began=at(22, 0)).missed == []
    assert kept([], began=NOW + timedelta(days=1)).scheduled == 0


def test_the_node_s_clock_reads_the_schedule():
    berlin = [Made("xF", at(day, 0, 10), 600, 1, "kept") for day in (23, 24)]  # 01:00 there
    found = kept(
        berlin,
        {"full": "0 1 * * *"},
        since=at(22, 12),
        until=at(24, 12),
        now=at(25, 12),
        zone=ZoneInfo("Europe/Berlin"),
    )
    assert (found.scheduled, found.missed) == (2, [])
    utc = kept(berlin, {"full": "0 1 * * *"}, since=at(22, 12), until=at(24, 12), now=at(25, 12))
    assert utc.missed == [("full", at(24))]  # the other one began within the day after 23 November, 01:00


def test_a_schedule_of_every_minute_is_counted_to_an_end():
    found = kept([], {"incr": "* * * * *"})
    assert found.is_cut
    assert len(found.missed) <= RUNS_AT_MOST
    assert len(found.shown) == 10


def test_a_schedule_is_worked_out_once_for_a_page_and_all_of_them_have_an_end(monkeypatch):
    asked, runs = [], report.schedules.runs
    monkeypatch.setattr(report.schedules, "runs", lambda *given: asked.append(given) or runs(*given))
    counted = Counted(at_most=1000)
    schedule = Schedule({"full": "0 * * * *", "incr": "30 * * * *"}, None, at(1))
    found = [kept_schedule(schedule, [], at(15, 0), at(25), NOW, counted=counted) for _ in range(200)]
    assert len(asked) == 2
    assert [one.is_cut for one in found] == [False, *[True] * 199]
    assert sum(one.scheduled for one in found) <= 1000
    assert found[0].scheduled > 400
    assert counted.left == 0


@pytest.mark.slow
def test_a_page_of_two_hundred_schedules_of_every_minute_comes_in_seconds():
    counted = Counted()
    began = perf_counter()
    for minute in range(200):
        schedule = Schedule(
            {"full": "* * * * *", "diff": "* * * * *", "incr": "* * * * *"}, None, at(1, 1, minute % 60)
        )
        kept_schedule(schedule, WEEK, at(1, 0), NOW, NOW, counted=counted)
    assert perf_counter() - began < 20  # on a busy machine; without a bound it takes minutes


def entry(label, day, **values):
    stopped = int(at(day).timestamp())
    return {"label": label, "started": stopped - 60, "stopped": stopped, "stored": 5, **values}


def test_what_became_of_each_backup_is_told():
    known = KnownStanza(
        made=[["aF", int(at(3).timestamp()), 60, 1], ["bF", int(at(2).timestamp()), 60, 2], ["cI", 0, 0, 3]],
        backups={"aF": entry("aF", 3)},
        lost=[{"backup": entry("bF", 2)}],
    )
    found = backups(known)
    assert [(one.label, one.state, one.kind) for one in found] == [
        ("cI", "expired", "incr"),
        ("bF", "lost", "full"),
        ("aF", "kept", "full"),
    ]
    row = Row(known, found, None, None)
    assert (row.counts, row.lost, row.stored) == ([("full", 2), ("differential", 0), ("incremental", 1)], 1, 6)


def test_before_any_is_remembered_those_that_are_known_count():
    known = KnownStanza(made=None, backups={"aF": entry("aF", 3)}, lost=[{"backup": entry("bF", 2)}])
    assert [(one.label, one.state, one.seconds) for one in backups(known)] == [("bF", "lost", 60), ("aF", "kept", 60)]
