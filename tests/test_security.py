"""SECURITY.md promises nothing that is not there."""

from __future__ import annotations

import re

from tests.demo_process import ROOT

TEXT = (ROOT / "SECURITY.md").read_text()


def test_every_proof_in_the_security_file_exists():
    tests = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in (file.stem, *re.findall(r"^def (test_\w+)", file.read_text(), re.M))
    }
    assert set(re.findall(r"`(test_\w+)", TEXT)) <= tests


def test_every_row_of_the_security_file_says_whether_it_is_met():
    rows = re.findall(r"^\| \d+\.\d[^|]*\|([^|]*)\|([^|]*)\|$", TEXT, re.M)
    assert len(rows) > 100
    assert {state.strip() for state, _ in rows} == {"met", "not met", "n/a"}
    assert all(why.strip() for _, why in rows)
