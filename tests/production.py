"""Run Python as where only requirements.lock is installed: `python -m tests.production manage.py check`, or `-c …`.

The environment of the tests holds far more. What production has not is hidden here, from imports and from
importlib.metadata alike; tests/test_dependencies.py uses it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import MetadataPathFinder, packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)==([^ ;\\]+)", re.MULTILINE)


def canonical(name: str) -> str:
    """Return a distribution's name as all of its spellings have it in common."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str = "requirements.lock") -> dict[str, set[str]]:
    """Return the versions that a lock names for each distribution: more than one where Python's version decides."""
    found: dict[str, set[str]] = {}
    for name, version in _PINNED.findall((ROOT / lock).read_text()):
        found.setdefault(canonical(name), set()).add(version)
    return found


class Hidden:
    """Finds no module of a distribution that production has not."""

    def __init__(self, known: Iterable[str]) -> None:
        self.names = {
            module for module, names in packages_distributions().items() if not {*map(canonical, names)} & {*known}
        }

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r} in production", name=name)


def hide() -> None:
    """Hide what is not in the lock from everything that this process imports from now on."""
    known = {*locked()}
    sys.meta_path.insert(0, Hidden(known))
    find = MetadataPathFinder.find_distributions

    def find_distributions(*context):
        return (one for one in find(*context) if canonical(one.metadata["Name"]) in known)

    MetadataPathFinder.find_distributions = staticmethod(find_distributions)


if __name__ == "__main__":
    hide()
    sys.argv = sys.argv[1:]
    code = sys.argv[1] if sys.argv[0] == "-c" else Path(sys.argv[0]).read_text()
    exec(compile(code, sys.argv[0], "exec"), {"__name__": "__main__"})
