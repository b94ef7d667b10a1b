"""Run pytest, and try the few tests of real processes that failed once more: `python -m tests.again -q -n 4`.

Such a test has started servers, workers or a browser, and shares two cores with three tests beside it: it can run out
of its time without anything being wrong. So it is tried again when the others have ended, alone, and what passes then
is named at the end. A quick test has no such excuse, and many failures at once are no accident.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

AT_MOST = 3  # tests
SLOW = "slow"  # pyproject.toml says which those are


class Failures:
    """A plugin that keeps the IDs of the tests that failed, with whether they may be tried again."""

    def __init__(self) -> None:
        self.found: dict[str, bool] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep it; one whose process died says nothing of its markers, and is not tried again."""
        if report.failed:
            self.found[without_group(report.nodeid)] = SLOW in report.keywords

    @property
    def may_be_accidents(self) -> bool:
        """Return whether they are few, and all of real processes."""
        return 0 < len(self.found) <= AT_MOST and all(self.found.values())


def without_group(name: str) -> str:
    """Return a test's ID without what xdist's `--dist loadgroup` puts behind it."""
    at = name.rfind("@")
    return name[:at] if at > name.rfind("]") else name


def main(arguments: list[str]) -> int:
    """Run the tests; returns pytest's exit code, of the second run where there was one."""
    failures = Failures()
    code = int(pytest.main(arguments, plugins=[failures]))
    if code != pytest.ExitCode.TESTS_FAILED or not failures.may_be_accidents:
        return code
    print("\nOnce more, alone:", *failures.found, sep="\n  ", flush=True)
    code = subprocess.run([sys.executable, "-m", "pytest", "-q", "-n", "0", *failures.found], check=False).returncode
    if not code:
        print("Failed beside others and passed alone:", *failures.found, sep="\n  ", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
