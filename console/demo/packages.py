"""The packages that the demo needs and production does not have: the dependency group `demo` of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent / "pyproject.toml"


def missing_packages() -> list[str]:
    """Return the names of those that are not installed."""
    group = tomllib.loads(PROJECT.read_text())["dependency-groups"]["demo"]
    return [name for name in (re.split(r"[^\w.-]", line)[0] for line in group) if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
