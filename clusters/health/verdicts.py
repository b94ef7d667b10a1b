"""What the console says of one database in one store, and which of several such words is the worst. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy


class Verdict(TextChoices):
    """Whether a database can be restored from a store; the worst first, as lists sort them."""

    NOT_RECOVERABLE = "not_recoverable", gettext_lazy("Not recoverable")
    AT_RISK = "at_risk", gettext_lazy("At risk")
    BEHIND = "behind", gettext_lazy("Falling behind")
    UNKNOWN = "unknown", gettext_lazy("Unknown")
    NOT_SET_UP = "not_set_up", gettext_lazy("Not set up yet")
    RECOVERABLE = "recoverable", gettext_lazy("Recoverable")

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
