"""How a verdict that is known by its rank, and the age of what can be restored, are told. Pure."""

from __future__ import annotations

from datetime import timedelta

from clusters.health.verdicts import Verdict

BY_RANK = tuple(Verdict)
UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))  # in seconds


def of_rank(rank: int | None) -> Verdict | None:
    """Return the verdict of that rank; None where nothing was judged."""
    return None if rank is None else BY_RANK[rank]


def age_words(age: timedelta | None) -> str:
    """Return an age as short as a table's cell wants it, such as "4 min", rounded down; "none" without one."""
    if age is None:
        return "none"
    seconds = max(0, int(age.total_seconds()))
    for size, unit in UNITS:
        if seconds >= size:
            return f"{seconds // size:,} {unit}"
    return f"{seconds} s"
