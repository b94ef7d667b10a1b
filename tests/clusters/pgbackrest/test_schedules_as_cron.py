"""What we take for a schedule is one for Debian's cron and for systemd, and means for them what we say."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import islice

import pytest

from clusters.pgbackrest.schedules import FIELD, is_wild, on_calendar, runs
from tests.clusters.pgbackrest.cron_answers import (
    BASE,
    HOUR_STAR,
    ITERATIONS,
    MIN_STAR,
    NUMBER,
    SEED,
    Read,
    ask_crontab,
    ask_systemd,
    expressions,
    first_of,
    has,
    ours,
    recorded,
)

NEEDS_CRON = pytest.mark.skipif(not has("crontab"), reason="cron is not installed")
NEEDS_SYSTEMD = pytest.mark.skipif(not has("systemd-analyze"), reason="systemd is not installed")
STARTS = (7, 23, 4711)  # of other expressions than the recorded ones


def our_first(expression, number=ITERATIONS):
    """The first times after BASE by our own count."""
    return list(islice(runs(expression, BASE - timedelta(minutes=1)), number))


def is_backwards(expression):
    """Whether a range of it goes from the higher to the lower: cron makes nothing of that range."""
    return "from the lower to the higher" in ours(expression)


def test_the_record_is_of_these_expressions():
    assert [line[0] for line in recorded()] == list(expressions(SEED, NUMBER))


@pytest.mark.slow
def test_what_we_take_cron_takes_and_reads_as_we_do(say):
    taken = 0
    for expression, answer, *_ in recorded():
        if ours(expression):
            continue
        read = Read.of(answer)
        assert read, (expression, answer)
        assert our_first(expression) == read.first(ITERATIONS, 45), expression
        assert is_wild(expression) == bool(read.flags & (MIN_STAR | HOUR_STAR)), expression
        taken += 1
    say(expressions=len(recorded()), taken=taken)


@pytest.mark.slow
def test_what_cron_takes_and_we_refuse_never_runs_or_is_not_what_it_seems(say):
    count = 0
    for expression, answer, *_ in recorded():
        if (read := Read.of(answer)) and ours(expression):
            shaped = all(FIELD.fullmatch(field) for field in expression.split(" "))
            # Characters after a field's end are skipped by cron, and ranges that go backwards.
            assert not shaped or is_backwards(expression) or read.never, expression
            count += 1
    say(taken_by_cron_alone=count)


@pytest.mark.slow
def test_our_timers_come_when_cron_runs(say):
    timers = 0
    for expression, _, *rest in recorded():
        if not ours(expression):
            events, minutes = rest
            assert "; ".join(on_calendar(expression)) == events, "record anew"
            times = [BASE + timedelta(minutes=int(one)) for one in minutes.split(" ")]
            assert times == our_first(expression), expression
            timers += 1
    say(timers=timers)


@NEEDS_CRON
@pytest.mark.slow
def test_cron_still_answers_so(say):
    lines = recorded()
    assert not ask_crontab([line[0] for line in lines if not ours(line[0])])
    some = random.Random(SEED).sample(lines, 200)
    assert [not ask_crontab([line[0]]) for line in some] == [Read.of(line[1]) is not None for line in some]
    fresh = [one for start in STARTS for one in expressions(start, 2000) if not ours(one)]
    assert not ask_crontab(fresh)
    say(crontab_asked=len(lines) + len(fresh))


@NEEDS_SYSTEMD
@pytest.mark.slow
def test_systemd_comes_when_we_say(say):
    taken = [one for start in STARTS for one in expressions(start, 1000) if not ours(one)]
    answers = ask_systemd([event for one in taken for event in on_calendar(one)], BASE)
    for one in taken:
        assert first_of(list(on_calendar(one)), answers) == our_first(one), one
    say(systemd_asked=len(taken))
