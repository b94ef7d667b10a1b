"""Which backups pgBackRest's own `expire` removes, so that whatever else vanishes is known for a loss. Pure.

The rules are those of its source (src/command/expire/expire.c, alike in 2.45 and 2.59.1): full backups by time or by
number, then differential ones by number; what is built on a backup goes with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

DAY = 86_400
CLOCKS_DIFFER = 3600  # seconds at most: `expire` goes by the node's clock


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
        going |= _with_incremental({label for label in counted[: -retention.diff] if label.endswith("D")}, labels)
    return going


def _with_incremental(differential: Collection[str], labels: Iterable[str]) -> set[str]:
    """Return these differential backups, each with the incremental ones until its set's next differential one."""
    found, built_on = set(), ""
    for label in labels:
        if label in differential:
            built_on = label
        elif label.endswith(("F", "D")) or full_of(label) != full_of(built_on):
            built_on = ""
        if built_on:
            found.add(label)
    return found


def vanished(
    known: Mapping[str, float], seen: Mapping[str, float], retentions: Iterable[Retention], now: float
) -> set[str]:
    """Return which of the known backups are gone and had not expired, by any of the retentions that may be in force.

    Both are labels and when each backup was complete. `expire` runs after a backup, so what was seen now counts too.
    """
    gone = known.keys() - seen.keys()
    for retention in retentions if gone else ():
        gone -= expired({**known, **seen}, retention, now + CLOCKS_DIFFER)
    return gone
