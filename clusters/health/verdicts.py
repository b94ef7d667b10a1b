"""What the console says of one database in one store, and which of several such words is the worst. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import TextChoices


class Verdict(TextChoices):
    """Whether a database can be restored from a store; the worst first, as lists sort them."""

    NOT_RECOVERABLE = "not_recoverable", "Not recoverable"
    AT_RISK = "at_risk", "At risk"
    BEHIND = "behind", "Falling behind"
    UNKNOWN = "unknown", "Unknown"
    NOT_SET_UP = "not_set_up", "Not set up yet"
    RECOVERABLE = "recoverable", "Recoverable"

    @property
    def rank(self) -> int:
        """Return how far it is from the worst, which is 0."""
        return list(Verdict).index(self)

    @property
    def css(self) -> str:
        """Return the class that gives a badge or a dot its colour."""
        return self.value.replace("_", "-")


def worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the worst of them; None of none."""
    return min(verdicts, key=lambda one: one.rank, default=None)
