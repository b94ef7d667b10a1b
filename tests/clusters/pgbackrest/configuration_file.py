"""Reading the file that pgBackRest reads."""

from __future__ import annotations


def options(text):
    """Return its options, whatever section they stand in."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
