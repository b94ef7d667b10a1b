"""Which backups pgBackRest's own `expire` removes, so that whatever else vanishes is known for a loss. Pure.

The rules are those of its source (src/command/expire/expire.c, alike in 2.45 and 2.59.1): full backups by time or by
number, then differential ones by number; what is built on a backup goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DAY = 86_400


@dataclass(frozen=True)
class Retention:
    """How long a repository keeps backups: repoN-retention-full-type, repoN-retention-full, repoN-retention-diff."""

    by_time: bool  # `full` is a number of days; otherwise of full backups
    full: int
    diff: int | None = None  # how many differential backups, full ones counted too; None: as long as their full one


def full_of(label: str) -> str:
    """Return the label of the full backup that a backup is built on: what its own label begins with."""
    return label.partition("_")[0]


def expired(stopped: Mapping[str, float], retention: Retention, now: float) -> set[str]:
    """Return which of these backups, label and seconds since 1970 at which each was complete, `expire` removes now."""
    labels = sorted(stopped)
    fulls = [label for label in labels if label.endswith("F")]
    if retention.by_time:
        # One full backup that is older stays, and with it all that came later: without it, nothing could be restored
        # to the beginning of the time.
        old = [label for label in fulls if stopped[label] < now - retention.full * DAY]
        going = {label for label in labels if old and label < old[-1]}
    else:
        too_many = set(fulls[: -retention.full])
        going = {label for label in labels if full_of(label) in too_many}
    if retention.diff:
        counted = [label for label in labels if label not in going and label.endswith(("F", "D"))]
        for label in counted[: -retention.diff]:
            if label.endswith("D"):
                going.update(_built_on(label, labels))
    return going


def _built_on(differential: str, labels: Iterable[str]) -> Iterable[str]:
    """Return a differential backup, and the incremental ones until its set's next differential one."""
    for label in labels:
        if label > differential and (full_of(label) != full_of(differential) or label.endswith("D")):
            return
        if label >= differential:
            yield label
