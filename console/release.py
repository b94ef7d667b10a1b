"""Which release this is, said here alone: pyproject.toml and CHANGELOG.md follow it (tests/test_release.py)."""

from __future__ import annotations

import re

VERSION = "0.1.0"


def ordered(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, as they are compared; of none, what is before all."""
    return tuple(int(number) for number in re.findall(r"\d+", version))
