"""What a change of the clock does, beside what the programs do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest

from clusters.pgbackrest import clocks, schedules
from clusters.pgbackrest.schedules import is_wild, on_calendar, parse, runs
from tests.clusters.pgbackrest.cron_answers import ask_systemd, expressions, first_of, has, ours

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
# Hours skipped at two, at midnight, in the evening; half an hour; a whole day (which was in 2011).
PLACES = {
    "Europe/Berlin": NOW,
    "America/New_York": NOW,
    "Africa/Cairo": NOW,
    "America/Nuuk": NOW,
    "America/Santiago": NOW,
    "Australia/Lord_Howe": NOW,
    "Pacific/Apia": datetime(2011, 12, 1, tzinfo=UTC),
}
# Near the changes, which are at night.
MINUTES, HOURS = ("0", "30", "*/15", "5-59/20"), ("0", "1", "2", "3", "*", "23", "*/2")
OFTEN = [f"{minute} {hour} * * *" for minute in MINUTES for hour in HOURS]
STEPS = 40


def schedules_tried():
    return OFTEN + [one for one in expressions(99, 110) if not ours(one)]


def changes():
    for name, now in PLACES.items():
        for change in clocks.changes(ZoneInfo(name), now):
            yield ZoneInfo(name), change


def cron_c(expression, clock):
    """When cron runs it, as the loop of its cron.c has it, which is awake each minute; `clock` is what it sees then."""
    cron, wild, found = parse(expression), is_wild(expression), []

    def find_jobs(at, now, do_wild=True, do_fixed=True):
        if at.minute not in cron.minutes or at.hour not in cron.hours or at.month not in cron.months:
            return
        if (do_wild if wild else do_fixed) and cron.match_day(at.date()):
            found.append(now)

    virtual = clock[0]
    for now in clock[1:]:
        difference = (now - virtual).total_seconds() // 60
        if 5 < difference <= 180:
            find_jobs(now, now, do_fixed=False)
            while virtual < now:
                virtual += timedelta(minutes=1)
                find_jobs(virtual, now, do_wild=False)
        elif -180 < difference <= 0:
            find_jobs(now, now, do_fixed=False)
        else:
            virtual = now
            find_jobs(now, now)
    return found


def test_the_changes_of_a_year():
    assert list(clocks.changes(ZoneInfo("Europe/Berlin"), NOW)) == [
        clocks.Change(datetime(2027, 3, 28, 2), datetime(2027, 3, 28, 3)),
        clocks.Change(datetime(2027, 10, 31, 3), datetime(2027, 10, 31, 2)),
    ]
    assert list(clocks.changes(ZoneInfo("Asia/Tokyo"), NOW)) == []


@pytest.mark.slow
def test_cron_runs_are_those_of_its_loop():
    tried = 0
    for zone, change in changes():
        start = change.before.replace(tzinfo=zone).astimezone(UTC) - timedelta(hours=4)
        clock = [(start + timedelta(minutes=at)).astimezone(zone).replace(tzinfo=None) for at in range(9 * 60)]
        for expression in schedules_tried():
            # Runs that were missed are made at once: the second is queued behind the first, or is the first.
            wanted = sorted({*cron_c(expression, clock)})
            made = clocks.cron_runs(runs(expression, clock[0]), zone, wild=is_wild(expression))
            found = sorted({*takewhile(lambda run, last=clock[-1]: run <= last, made)})
            assert found == wanted, (zone, change, expression)
            tried += 1
    assert tried > 1000


# What pages say of it

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("expression", "spring", "autumn"),
    [
        (
            "30 2 * * 0",
            "Sun 28 Mar 2027: the clock goes from 02:00 to 03:00. cron makes 02:30 right after it; a systemd timer "
            "leaves it out.",
            "Sun 31 Oct 2027: the clock goes back from 03:00 to 02:00. 02:30 comes twice; a backup is made the first "
            "time only.",
        ),
        (
            "*/30 2 * * *",
            "Sun 28 Mar 2027: the clock goes from 02:00 to 03:00. 02:00 and 02:30 are left out.",
            "Sun 31 Oct 2027: the clock goes back from 03:00 to 02:00. 02:00 and 02:30 come twice; cron makes both, a "
            "systemd timer the first.",
        ),
    ],
)
def test_a_schedule_in_the_hour_that_changes_is_said(expression, spring, autumn):
    [time] = schedules.times({"full": expression}, NOW, BERLIN)
    assert time.changes == [spring, autumn]


@pytest.mark.parametrize("expression", ["0 3 * * *", "59 1 * * *", "0 * * * *", "*/5 * * * *", "30 2 * * 1"])
def test_a_schedule_that_no_change_touches_says_nothing(expression):
    assert schedules.times({"full": expression}, NOW, BERLIN)[0].changes == []


def test_many_runs_are_counted():
    [time] = schedules.times({"full": "0-50/10 2 * * *"}, datetime(2027, 3, 27, 12, tzinfo=UTC), BERLIN)
    # One run is made for all of them: the others would be of one kind, and of the same minute.
    assert time.next[:2] == [datetime(2027, 3, 28, 3), datetime(2027, 3, 29, 2)]
    assert "cron makes 6 runs right after it; a systemd timer leaves them out." in time.changes[0]


def test_the_next_run_of_a_skipped_time_is_when_cron_makes_it():
    before = datetime(2027, 3, 27, 12, tzinfo=UTC)
    [fixed, wild] = schedules.times({"full": "30 2 * * *", "incr": "*/30 2 * * *"}, before, BERLIN)
    assert fixed.next[:2] == [datetime(2027, 3, 28, 3), datetime(2027, 3, 29, 2, 30)]
    assert wild.next[0] == datetime(2027, 3, 29, 2)


@pytest.mark.parametrize(
    "name", ["", "Mars/Base", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b", "x" * 5000, "é"]
)
def test_what_is_no_zone_is_none(name):
    assert clocks.zone(name) is None


@pytest.mark.slow
@pytest.mark.skipif(not has("systemd-analyze"), reason="systemd is not installed")
def test_timers_come_when_systemd_says(say):
    tried = 0
    for zone, change in changes():
        base = change.before - timedelta(hours=6)
        usable = schedules_tried()
        answers = ask_systemd([event for one in usable for event in on_calendar(one)], base, zone.key, STEPS)
        for expression in usable:
            events = list(on_calendar(expression))
            first = first_of(events, answers, STEPS)
            end = min([answers[event][-1] for event in events if answers[event]], default=base)
            wanted = [time for time in first if time <= end]
            found = list(islice(clocks.timer_runs(runs(expression, base - timedelta(minutes=1)), zone), len(wanted)))
            assert found == wanted, (zone, change, expression)
            tried += 1
    say(timers_across_a_change=tried)
