"""What fails beside other tests is tried once more only where that can be an accident."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.again import AT_MOST, without_group
from tests.demo_process import ROOT

pytestmark = pytest.mark.slow

FIRST = """
import pathlib, pytest
{mark}
@pytest.mark.parametrize("number", range({number}))
def test_it(number):
    seen = pathlib.Path(f"seen-{{number}}")
    again, _ = seen.exists(), seen.touch()
    assert again and {passes}
"""


@pytest.mark.parametrize(
    ("processes", "mark", "number", "passes", "code", "runs"),
    [
        ("1", "slow", 1, True, 0, 2),
        ("0", "slow", AT_MOST, True, 0, 2),
        ("0", "slow", 1, False, 1, 2),
        ("0", "slow", AT_MOST + 1, True, 1, 1),
        ("0", "", 1, True, 1, 1),
    ],
    ids=["accident", "accidents", "failure", "too many", "quick"],
)
def test_only_a_few_tests_of_real_processes_are_tried_again(tmp_path, processes, mark, number, passes, code, runs):
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    marked = f"@pytest.mark.{mark}" if mark else ""
    (tmp_path / "test_one.py").write_text(FIRST.format(mark=marked, number=number, passes=passes))
    found = subprocess.run(
        [sys.executable, "-m", "tests.again", "-q", "-n", processes, "--dist", "loadgroup", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # nine starts of pytest, none of which needs Django or a browser
            "PYTEST_ADDOPTS": "-p xdist.plugin",
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert found.returncode == code, found.stdout + found.stderr
    assert ("Once more, alone:" in found.stdout) is (runs == 2)
    assert ("Failed beside others and passed alone:" in found.stdout) is (code == 0)
    assert found.stdout.partition("passed alone:")[2].count("test_one.py::test_it[") == (number if code == 0 else 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tests/test_a.py::test_b", "tests/test_a.py::test_b"),
        ("tests/test_a.py::test_b@group", "tests/test_a.py::test_b"),
        ("tests/test_a.py::test_b[a@b]", "tests/test_a.py::test_b[a@b]"),
        ("tests/test_a.py::test_b[a@b]@group", "tests/test_a.py::test_b[a@b]"),
    ],
    ids=["plain", "group", "parameter", "both"],
)
def test_the_id_of_a_test_has_no_group(name, expected):
    assert without_group(name) == expected
