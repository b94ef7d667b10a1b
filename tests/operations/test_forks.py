"""A worker that would fork is refused on SQLite, whose file is damaged by it."""

from __future__ import annotations

import os

import pytest

from tests.nursery import nursery


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--pool", "threads", "--beat"], "celery -A console beat"),
        ([], "--pool threads"),
        (["--pool", "prefork"], "--pool threads"),
    ],
)
def test_a_worker_that_would_fork_does_not_start_on_sqlite(tmp_path, options, says):
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path}/console.sqlite3"}
    environment["DJANGO_SETTINGS_MODULE"] = "console.settings"
    started = nursery().start(["-A", "console", "worker", *options], environment, tmp_path / "log")
    assert started.wait(60) == 2
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last.startswith("Storekeeper cannot start: on SQLite")
    assert says in last
