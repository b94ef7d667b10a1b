"""Scales, axes and paths of pictures."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.web.drawing import LABELS, WIDTH, Span, TimeScale, area, bars, overlaps, strokes, thinned

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def after(**values):
    return NOON + timedelta(**values)


def test_a_moment_is_where_its_part_of_the_time_is():
    scale = TimeScale(NOON, after(days=10))
    assert [scale.at(after(days=day)) for day in (-3, 0, 1, 5, 10, 12)] == [0, 0, 10, 50, 100, 100]
    assert TimeScale(NOON, NOON).at(NOON) == 0  # nothing between, and no division by it


def test_a_short_time_is_seen_and_does_not_leave_the_picture():
    scale = TimeScale(NOON, after(days=100))
    assert scale.span(after(days=50), after(days=50, seconds=1)) == Span(50, 0.4)
    assert scale.span(after(days=100), after(days=100)) == Span(99.6, 0.4)


@given(st.integers(1, 4 * 10**8), st.integers(0, 10**9))
def test_an_axis_has_a_few_words_in_order_and_within_it(seconds, begin):
    first = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=begin)
    labels = TimeScale(first, first + timedelta(seconds=seconds)).labels()
    assert len(labels) <= LABELS
    assert all(0 <= one.x <= 100 for one in labels)
    assert all(one.x < other.x for one, other in pairwise(labels))


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(hours=6), ["12:00", "14:00", "16:00", "18:00"]),
        (timedelta(days=3), ["30 Nov", "1 Dec", "2 Dec"]),
        (timedelta(days=100), ["Dec 2026", "Jan 2027", "Feb 2027", "Mar 2027"]),
        (timedelta(days=1000), ["Jan 2027", "Jan 2028", "Jan 2029"]),
    ],
)
def test_an_axis_stands_at_round_times(length, words):
    assert [one.words for one in TimeScale(NOON, NOON + length).labels()] == words


def test_an_axis_stands_at_round_times_of_a_zone():
    labels = TimeScale(NOON, after(days=3)).labels(ZoneInfo("Asia/Kolkata"))
    assert labels[0].x == pytest.approx(100 * 6.5 / 72, abs=0.01)  # midnight there is 18:30 here


def test_words_at_the_ends_stay_within():
    labels = TimeScale(NOON - timedelta(hours=12), after(days=2, hours=12)).labels()
    assert (labels[0].anchor, labels[1].anchor, labels[-1].anchor) == ("start", "middle", "end")


def test_lines_that_fall_together_are_drawn_once():
    assert strokes([0.5, 0.50001, 0, 1], 4, 27) == "M0 4V27M500 4V27M999 4V27"


def test_boxes_that_touch_are_drawn_as_one_and_the_least_is_seen():
    assert bars([(0.2, 0.3), (0.1, 0.2)], 0, 9) == "M100 0H300V9H100Z"
    assert bars([(0.5, 0.5)], 0, 9) == "M500 0H503V9H500Z"
    assert bars([(1, 1)], 0, 9) == f"M997 0H{WIDTH}V9H997Z"
    assert bars([], 0, 9) == ""


def test_an_area_stands_on_the_ground():
    assert area([(0, 0), (1, 1)], 60) == "M0 60L0 60L1000 0L1000 60Z"
    assert area([], 60) == ""


def test_thinned_keeps_the_ends():
    rows = [(float(number), 0.0) for number in range(1000)]
    few = thinned(rows, 100)
    assert (len(few), few[0], few[-1]) == (100, rows[0], rows[-1])
    assert thinned(rows[:5], 100) == rows[:5]


def test_overlaps_are_told_with_the_one_that_ends_last():
    rows = [(NOON, after(hours=5), "full"), (after(hours=1), after(hours=2), "diff"), (after(hours=4), NOON, "incr")]
    assert [*overlaps(rows)] == [("full", "diff", after(hours=1)), ("full", "incr", after(hours=4))]
    assert [*overlaps([(NOON, after(hours=1), "a"), (after(hours=1), after(hours=2), "b")])] == []
