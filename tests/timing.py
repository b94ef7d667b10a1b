"""What each test takes of a core, and which tests are too long for `make check`: tests/long.txt.

    CPU=/tmp/cpu .venv/bin/python -m pytest -p tests.timing -n 2 -m "not slow"
    .venv/bin/python -m tests.timing /tmp/cpu

writes that list anew. What a test shares with others (a database, a world) counts for none of them: of the cases of a
test, and of what a file's tests set up, the median does.
"""

from __future__ import annotations

import os
import resource
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

import pytest

from tests.sampling import LONG

LIMIT = 0.1  # seconds of a core
ABOUT = "# Each of these takes over a tenth of a second of a core: `make check` leaves them out (tests/timing.py).\n"


def taken() -> float:
    """Return the seconds of a core that this process has taken, and those that it has waited for."""
    both = [resource.getrusage(one) for one in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Note what the test's fixtures take."""
    return (yield from _noted(item, "setup"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Note what the test itself takes."""
    return (yield from _noted(item, "call"))


def _noted(item, phase):
    before = taken()
    try:
        return (yield)
    finally:
        with open(os.environ["CPU"], "a") as file:
            file.write(f"{taken() - before:.4f}\t{phase}\t{item.nodeid.partition('@')[0]}\n")


def long(lines: list[str]) -> list[str]:
    """Return the tests that take too long, by what was noted."""
    setups, calls = defaultdict(list), defaultdict(list)
    for line in lines:
        seconds, phase, test = line.split("\t")
        name = test.partition("[")[0]
        (setups[name.partition("::")[0]] if phase == "setup" else calls[name]).append(float(seconds))
    of_file = {name: median(found) for name, found in setups.items()}
    return sorted(name for name, found in calls.items() if median(found) + of_file[name.partition("::")[0]] > LIMIT)


if __name__ == "__main__":
    LONG.write_text(ABOUT + "".join(f"{one}\n" for one in long(Path(sys.argv[1]).read_text().splitlines())))
