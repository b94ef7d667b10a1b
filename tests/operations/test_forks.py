"""A worker that would fork is refused on SQLite, whose file is damaged by it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.demo_process import ROOT


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--pool", "threads", "--beat"], "celery -A console beat"),
        (["--pool", "prefork"], "--pool threads"),
        ([], "--pool threads"),
    ],
)
def test_a_worker_that_would_fork_does_not_start_on_sqlite(tmp_path, options, says):
    told = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "console", "worker", *options],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/console.sqlite3"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 2
    assert told.stderr.splitlines()[-1].startswith("Storekeeper cannot start: on SQLite")
    assert says in told.stderr.splitlines()[-1]
