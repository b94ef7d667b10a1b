"""Which release of the console this is."""

from __future__ import annotations

import tomllib
from pathlib import Path

_PROJECT = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"
RELEASE: str = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"]


def newer(release: str, than: str) -> bool:
    """Return whether the one release came after the other; what is no release came before all."""
    return _numbers(release) > _numbers(than)


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".")) if release.replace(".", "").isdigit() else ()
