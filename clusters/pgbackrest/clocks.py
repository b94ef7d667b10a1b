"""What a change of the clock does to what runs by it, with Debian's cron and with systemd's timers. Pure.

cron (3.0pl1, cron.c) runs what the clock skipped at once, unless minute or hour begin with a star or the clock skipped
three hours or more; and runs nothing twice, unless minute or hour begin with a star. A timer (systemd 252, asked by
systemd-analyze calendar) leaves out what is skipped, and comes at the first of two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

MINUTE, YEAR = timedelta(minutes=1), timedelta(days=366)
CAUGHT_UP = timedelta(hours=3)  # from here on cron makes up for nothing
NAMED = 3  # so many times are named, and of more their number


@dataclass(frozen=True)
class Change:
    """The clock goes from one time to another; both as it shows them."""

    before: datetime
    after: datetime


def zone(name: str) -> ZoneInfo | None:
    """Return the time zone of that name (IANA), such as Europe/Berlin; None if it is not known here."""
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # no such zone; no name of one; the name of a folder
        return None


def changes(zone: ZoneInfo, now: datetime) -> Iterator[Change]:
    """Yield the changes of the clock within a year from `now`, which has a time zone."""
    start, end = now.astimezone(UTC).replace(second=0, microsecond=0), now + YEAR
    while start < end:
        stop = start + timedelta(days=1)
        if _offset(start, zone) != _offset(stop, zone):
            low, high = start, stop
            while high - low > MINUTE:
                middle = low + (high - low) // MINUTE // 2 * MINUTE
                low, high = (middle, high) if _offset(middle, zone) == _offset(low, zone) else (low, middle)
            at = high.replace(tzinfo=None)
            yield Change(at + _offset(low, zone), at + _offset(high, zone))
        start = stop


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _skipped(shown: datetime, zone: ZoneInfo) -> timedelta:
    """Return how much the clock skipped when it did not show this time; nothing where it does."""
    before, after = (shown.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return max(after - before, timedelta())  # PEP 495: in a gap the first is that from before it


def cron_runs(runs: Iterable[datetime], zone: ZoneInfo | None, *, wild: bool) -> Iterator[datetime]:
    """Yield when cron runs what the schedule has at these times, each time once, as the clock shows it."""
    last = None
    for named in runs:
        run, skipped = named, _skipped(named, zone) if zone else timedelta()
        if skipped and (wild or skipped >= CAUGHT_UP):
            continue
        while zone and _skipped(run, zone):
            run += MINUTE
        if run != last:
            yield run
            last = run


def timer_runs(runs: Iterable[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the runs as a timer makes them, of those that the schedule names."""
    return (run for run in runs if not _skipped(run, zone))


def said(
    runs: Callable[[datetime], Iterator[datetime]], zone: ZoneInfo | None, now: datetime, *, wild: bool
) -> list[str]:
    """Return in sentences what changes of the clock within a year do to a schedule that has these runs after a time."""
    found = []
    for change in changes(zone, now) if zone else ():
        low, high = sorted((change.before, change.after))
        touched = [f"{run:%H:%M}" for run in takewhile(high.__gt__, runs(low - MINUTE))]
        if touched:
            found.append(_sentence(change, touched, wild))
    return found


def _sentence(change: Change, touched: Sequence[str], wild: bool) -> str:
    named = " and ".join(touched) if len(touched) <= NAMED else f"{len(touched)} runs"
    come, are, them = ("comes", "is", "it") if len(touched) == 1 else ("come", "are", "them")
    clock = f"{change.before:%a} {change.before.day} {change.before:%b %Y}: the clock goes"
    times = f"{change.before:%H:%M} to {change.after:%H:%M}"
    if change.after < change.before:
        both = "cron makes both, a systemd timer the first" if wild else "a backup is made the first time only"
        return f"{clock} back from {times}. {named} {come} twice; {both}."
    if wild or change.after - change.before >= CAUGHT_UP:
        return f"{clock} from {times}. {named} {are} left out."
    return f"{clock} from {times}. cron makes {named} right after it; a systemd timer leaves {them} out."
