"""A time as people enter it, in each zone, at each change of its clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest

from clusters.recovery.moments import WALL, Unclear, moment

ZONES = sorted(available_timezones())[::40]


@pytest.mark.parametrize(
    ("text", "zone", "offset", "utc"),
    [
        ("2026-11-29T01:07", "UTC", "", "2026-11-29T01:07"),
        ("2026-11-29T01:07:30", "Europe/Berlin", "", "2026-11-29T00:07:30"),
        ("2026-07-01 12:00", "Asia/Kolkata", "", "2026-07-01T06:30"),
        ("2026-10-25T02:30", "Europe/Berlin", "+02:00", "2026-10-25T00:30"),
        ("2026-10-25T02:30", "Europe/Berlin", "+01:00", "2026-10-25T01:30"),
        ("2026-10-25T02:30+01:00", "Europe/Berlin", "", "2026-10-25T01:30"),
        ("2026-10-25T03:30", "Europe/Berlin", "+01:00", "2026-10-25T02:30"),  # which comes once
    ],
)
def test_moment(text, zone, offset, utc):
    assert moment(text, zone, offset).astimezone(UTC) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "zone", "offset", "field", "said"),
    [
        ("2026-10-25T02:30", "Europe/Berlin", "", "offset", "showed 02:30 twice"),
        ("2026-10-25T02:30", "Europe/Berlin", "+05:00", "offset", "showed 02:30 twice"),
        ("2026-03-29T02:30", "Europe/Berlin", "", "at", "never showed 02:30"),
        ("2026-03-29T02:30", "Europe/Berlin", "+02:00", "at", "never showed 02:30"),
        ("2026-11-29T01:07", "Mars/Olympus", "", "zone", "no such time zone"),
        ("2026-11-29T01:07", "../../etc/passwd", "", "zone", "no such time zone"),
        ("2026-11-29T01:07", "", "", "zone", "no such time zone"),
        ("yesterday", "UTC", "", "at", "Enter a date and a time"),
        ("0001-01-01T00:00", "Asia/Tokyo", "", "at", "Enter a date and a time"),
        ("9999-12-31T23:59", "America/New_York", "", "at", "Enter a date and a time"),
        ("2026-13-01T00:00", "UTC", "", "at", "Enter a date and a time"),
        ("2026-11-29T\u0661:07", "UTC", "", "at", "Enter a date and a time"),
    ],
)
def test_unclear(text, zone, offset, field, said):
    with pytest.raises(Unclear, match=said) as refused:
        moment(text, zone, offset)
    assert refused.value.field == field
    assert bool(refused.value.choices) == (field == "offset")


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_walk_what_a_clock_shows_is_that_time_or_is_asked(zone):
    """Of each half hour of a year: what the zone's clock shows is taken for that time, or for one of two."""
    at, twice = datetime(2025, 12, 31, 23, 59, 1, tzinfo=UTC), 0
    while at.year < 2027:
        shown = at.astimezone(ZoneInfo(zone)).strftime(WALL)
        try:
            found = {moment(shown, zone)}
        except Unclear as unclear:
            found = {moment(shown, zone, key) for key, _ in unclear.choices}
            twice += 1
        assert at in found, shown
        at += timedelta(minutes=30)
    assert twice <= 8
