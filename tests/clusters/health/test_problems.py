"""What counts of what is wrong: each problem by itself, by generated sequences of what was seen."""

from __future__ import annotations

import itertools
from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.health.alerts import UNKNOWN_FOR
from clusters.health.facts import Before
from clusters.health.problems import CALM, HOLDS, Clock, Problem, count
from clusters.health.verdicts import Verdict
from tests.clusters.health.known import DAY, HOUR, MINUTE, NOW

STEP = 5 * MINUTE
# A certain one, short ones, one that lasts, and one that says nobody knows; some worse than others.
KINDS = [
    Problem("foreign", Verdict.AT_RISK, "Another database writes there."),
    Problem("archiver", Verdict.AT_RISK, "Archiving fails."),
    Problem("lost", Verdict.AT_RISK, "It has been silent for a day."),
    Problem("backlog", Verdict.AT_RISK, "300 wait."),
    Problem("backlog", Verdict.BEHIND, "20 wait."),
    Problem("silent", Verdict.BEHIND, "It is silent."),
    Problem("not_applied", Verdict.BEHIND, "It has an old configuration."),
    Problem("proof_overdue", Verdict.BEHIND, "It was not proved."),
    Problem("out_of_reach", Verdict.UNKNOWN, "It does not answer."),
    Problem("account", Verdict.UNKNOWN, "It has not proved itself."),
]
IDS = [f"{one.code}-{one.verdict}" for one in KINDS]
# The one says the other, too.
GREATER = {
    ("silent", "behind"): {("lost", "at_risk")},
    ("backlog", "behind"): {("backlog", "at_risk")},
}


def told(sequence, start=None):
    """Return what counts at each of the moments, STEP apart, for what is wrong at each; before that, all was well."""
    before = start or Before(Verdict.RECOVERABLE, NOW - DAY)
    found = []
    for n, wrong in enumerate(sequence):
        now = NOW + n * STEP
        counted = count(wrong, before, Clock(now))
        since = before.since if before.verdict == counted.verdict else counted.since or now
        before = Before(counted.verdict, since, counted.problems, counted.held)
        found.append(before)
    return found


def shown(said):
    return {(one["code"], one["verdict"]) for one in said.problems}


def is_there(wrong, key):
    return any(one.key == key or one.key in GREATER.get(key, ()) for one in wrong)


examples = settings(max_examples=60, deadline=None)
# For how many moments each of them is there, and then is not, and so on.
STRETCHES = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30)), min_size=1, max_size=6)
LENGTH = 72


@st.composite
def sequences(draw):
    """Draw what is wrong at each moment: each kind comes and goes by itself."""
    wrong = defaultdict(list)
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5, unique=True)):
        at = 0
        for absent, present in draw(STRETCHES):
            for n in range(at + absent, min(at + absent + present, LENGTH)):
                wrong[n].append(kind)
            at += absent + present
    return [wrong[n] for n in range(LENGTH)]


@pytest.mark.slow
@examples
@given(sequences())
def test_what_is_shorter_than_its_hold_never_shows_whatever_else_is_wrong(sequence):
    said = told(sequence)
    for kind in KINDS:
        stood, last = timedelta(), None  # for how long it stands; when it last counted and was there
        for n, wrong in enumerate(sequence):
            stood = stood + STEP if is_there(wrong, kind.key) else timedelta()
            if kind.key not in shown(said[n]):
                continue
            # It stands since the first moment of its stretch, so one step less. What comes back soon goes on.
            goes_on = n > 0 and kind.key in shown(said[n - 1])
            if stood and (goes_on or stood - STEP >= kind.hold):
                last = n
            assert last is not None
            unsure = any(one.verdict == Verdict.UNKNOWN for one in wrong) and kind.verdict != Verdict.UNKNOWN
            calm = CALM if kind.code in HOLDS and kind.verdict != Verdict.UNKNOWN else timedelta()
            # One step after it was last there, it is gone.
            assert n == last or unsure or (n - last - 1) * STEP < calm


@examples
@given(sequences())
def test_what_stands_as_long_as_its_hold_always_shows_or_what_says_it_too(sequence):
    said = told(sequence)
    for kind in KINDS:
        stood = timedelta()
        for n, wrong in enumerate(sequence):
            stood = stood + STEP if is_there(wrong, kind.key) else timedelta()
            if stood and stood - STEP >= kind.hold:
                assert shown(said[n]) & {kind.key, *GREATER.get(kind.key, ())}
                worse = Verdict.UNKNOWN if kind.verdict == Verdict.BEHIND else kind.verdict
                assert said[n].verdict in {kind.verdict, worse} or said[n].verdict.rank < kind.verdict.rank


@pytest.mark.slow
@examples
@given(sequences(), st.sampled_from(KINDS))
def test_what_counts_of_a_problem_does_not_go_by_what_else_is_wrong(sequence, kind):
    """The same comes and goes alone: it shows at the same moments, as long as somebody can know."""
    kept = {kind.key, *GREATER.get(kind.key, ())}
    known = [[one for one in wrong if one.verdict != Verdict.UNKNOWN] for wrong in sequence]
    alone = [[one for one in wrong if one.key in kept] for wrong in known]
    for one, other in zip(told(known), told(alone), strict=True):
        assert bool(shown(one) & kept) == bool(shown(other) & kept)


@examples
@given(sequences())
def test_an_alert_goes_on_while_nobody_can_look(sequence):
    """Alerts tell of what is worse than unknown, and of what is unknown for an hour."""
    said = told(sequence)
    for n, (one, other) in enumerate(itertools.pairwise(said), 1):
        if one.verdict.rank < Verdict.UNKNOWN.rank and other.verdict == Verdict.UNKNOWN:
            assert other.since <= NOW + n * STEP - UNKNOWN_FOR


@pytest.mark.slow
@examples
@given(sequences())
def test_the_time_at_which_something_changes_by_itself_is_told(sequence):
    before = Before(Verdict.RECOVERABLE, NOW - DAY)
    for n, wrong in enumerate(sequence):
        clock = Clock(NOW + n * STEP)
        counted = count(wrong, before, clock)
        now = Before(counted.verdict, NOW, counted.problems, counted.held)
        # Nothing that was seen has changed, and it is not due: then neither does what is said.
        same = count(wrong, now, Clock(clock.due - MINUTE / 60))
        assert [*map(dict, same.problems)] == [*map(dict, counted.problems)]
        before = now


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_before_anything_was_said_all_counts(kind):
    counted = count([kind], None, Clock(NOW))
    assert (counted.verdict, counted.problems[0]["code"]) == (kind.verdict, kind.code)


def test_a_short_one_does_not_count_because_a_long_one_has_waited():
    long, short = KINDS[6], KINDS[5]
    sequence = [[long]] * 100 + [[long, short], [long, short], [long], [long]]
    assert {one.verdict for one in told(sequence)} == {Verdict.RECOVERABLE}
    assert told([[long]] * 100 + [[long, short]] * 3)[-1].verdict == Verdict.BEHIND


def test_a_queue_that_shrinks_is_behind_without_another_hold():
    long, short = KINDS[3], KINDS[4]
    said = told([[long]] * 4 + [[short]] * 6)
    assert [str(one.verdict) for one in said] == ["recoverable"] * 2 + ["at_risk"] * 6 + ["behind"] * 2
    assert all(len(one.problems) == 1 for one in said[2:])


def test_what_a_former_release_has_judged_goes_on():
    row = KINDS[5].as_json() | {"since": (NOW - HOUR).isoformat()}
    said = told([[KINDS[5]], []], Before(Verdict.BEHIND, NOW - HOUR, [row]))
    assert [one.verdict for one in said] == [Verdict.BEHIND, Verdict.BEHIND]
