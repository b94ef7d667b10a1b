"""A time as people enter it: what a clock on the wall showed, and where. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

WALL = "%Y-%m-%dT%H:%M:%S"  # as a browser's field of date and time has it


class Unclear(ValueError):
    """The text is no time there; the message says what to enter instead. `choices` are those that it may mean."""

    def __init__(self, message: str, field: str, choices: list[tuple[str, str]] | None = None) -> None:
        super().__init__(message)
        self.field, self.choices = field, choices or []


@cache
def zones() -> frozenset[str]:
    """Return the names of all time zones; finding them reads a folder tree."""
    return frozenset(available_timezones())


def shown(at: datetime, zone: str) -> str:
    """Return the time as a clock in the zone shows it, to the minute; one in UTC where there is no such zone."""
    there = ZoneInfo(zone) if zone in zones() else UTC
    return f"{at.astimezone(there):%d %B %Y %H:%M}"


def moment(text: str, zone: str, offset: str = "") -> datetime:
    """Return the time, in UTC, at which a clock in the zone (such as Europe/Berlin) shows so; raises Unclear.

    Where clocks are put back, an hour comes twice: then `offset`, such as +02:00, has to say which of them is meant.
    Where they are put forward, one never comes.
    """
    try:
        return _moment(datetime.fromisoformat(text), zone, offset)
    except Unclear:
        raise
    except (ValueError, OverflowError) as error:  # the latter: no such time in UTC
        raise Unclear("Enter a date and a time, such as 2026-11-29T01:07:00.", "at") from error


def _moment(wall: datetime, zone: str, offset: str) -> datetime:
    if wall.tzinfo:
        return wall.astimezone(UTC)
    if zone not in zones():
        raise Unclear("There is no such time zone. Enter one such as UTC or Europe/Berlin.", "zone")
    there = ZoneInfo(zone)
    local = [wall.replace(tzinfo=there, fold=fold) for fold in (0, 1)]
    # In UTC, because Python calls a time of an hour that comes twice unequal to every time of another zone.
    both = [one.astimezone(UTC) for one in local]
    if both[0] == both[1]:
        return both[0]
    # Two offsets: either the hour comes twice, or never, and then no moment is shown so.
    if both[0].astimezone(there).replace(tzinfo=None) != wall:
        raise Unclear(f"Clocks in {zone} were put forward then, and never showed {wall:%H:%M} on this day.", "at")
    choices = [(one.isoformat()[-6:], one) for one in local]
    if offset in dict(choices):
        return dict(choices)[offset].astimezone(UTC)
    words = [
        (key, f"the {which} time, {one:%Z} (UTC{key})")
        for which, (key, one) in zip(("first", "second"), choices, strict=True)
    ]
    raise Unclear(f"Clocks in {zone} were put back then, and showed {wall:%H:%M} twice. Say which.", "offset", words)
