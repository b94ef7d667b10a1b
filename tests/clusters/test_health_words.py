"""How a verdict that is known by its rank, and an age, are told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from clusters.health.verdicts import Verdict
from clusters.health.words import age_words, of_rank


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86_399, "23 h"),
     (86_400, "1 d"), (86_400 * 1234, "1,234 d")],
)  # fmt: skip
def test_age_words(seconds, words):
    assert age_words(timedelta(seconds=seconds)) == words


def test_age_words_of_nothing():
    assert age_words(None) == "none"


def test_of_rank_is_what_rank_is_the_other_way():
    assert [of_rank(one.rank) for one in Verdict] == list(Verdict)
    assert of_rank(None) is None
