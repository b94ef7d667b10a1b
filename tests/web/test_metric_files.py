"""A folder for figures that is full, broken or gone after the start costs figures, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from console.web import metric_files
from tests.demo_process import ROOT

# What a web server and a worker count, in a process of its own: the library looks for the folder when it is imported.
COUNTS = """
import django, os, shutil
django.setup()
if os.environ["TAKEN_AWAY"]:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])
from django.test import Client
from prometheus_client import Counter
from console.clouds import calls
browser = Client()
for path in ("/healthz", "/metrics", "/healthz"):
    answer = browser.get(path, headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 200, (path, answer.status_code)
for number in range(int(os.environ["DIFFERENT"])):
    calls.tell("s3", f"Call{number}", "", 0.1, {})
text = browser.get("/metrics", headers={"Authorization": "Bearer secret"}).content.decode()
assert "storekeeper_table_rows" in text
print("counted" if "storekeeper_requests_total" in text else "not counted")
"""


def counts(folder, database, different=3, *, taken_away=False):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "console.settings",
        "DATABASE_URL": f"sqlite:///{database}",
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
        "METRICS_TOKEN": "secret",
        "INSECURE_HTTP": "1",
        "ALLOWED_HOSTS": "testserver",
        "DIFFERENT": str(different),
        "TAKEN_AWAY": "1" if taken_away else "",
    }
    command = [sys.executable, "-c", COUNTS]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)


@contextmanager
def small_disk(folder, size):
    """Mount a file system of that size, which only root may."""
    if os.geteuid():
        pytest.skip("root alone mounts a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def database(tmp_path_factory, migrated_file):
    """A database with all its tables."""
    file = tmp_path_factory.mktemp("figures") / "console.sqlite3"
    shutil.copyfile(migrated_file, file)
    return file


@pytest.mark.slow
@pytest.mark.parametrize("size", [pytest.param("64k", marks=pytest.mark.thorough), "132k"])
def test_a_full_disk_costs_figures_and_not_the_console(tmp_path, database, size):
    """64k: one of two files fits; 132k: both do, and 700 different calls do not."""
    with small_disk(tmp_path, size):
        ran = counts(tmp_path, database, 700)
        assert ran.returncode == 0, ran.stderr[-2000:]
        assert ran.stderr.count("No space left on device") == 1
        assert ran.stdout.endswith("counted\n")
        assert not [one for one in tmp_path.glob("*.db") if not one.stat().st_size]


@pytest.mark.slow
def test_a_folder_that_is_not_there_at_the_start_is_refused(tmp_path, database):
    ran = counts(tmp_path / "nowhere", database)
    assert ran.returncode
    [line] = ran.stderr.splitlines()
    assert line.startswith("Storekeeper cannot start: PROMETHEUS_MULTIPROC_DIR is ")


@pytest.mark.slow
def test_a_folder_that_goes_away_or_is_broken_costs_figures_and_not_the_console(tmp_path, database):
    gone = tmp_path / "gone"
    gone.mkdir()
    ran = counts(gone, database, taken_away=True)
    assert (ran.returncode, ran.stdout) == (0, "not counted\n"), ran.stderr[-2000:]
    metric_files.Spared(str(tmp_path / "counter_1.db")).close()
    (tmp_path / "counter_1.db").write_bytes(b"\x01")
    broken = counts(tmp_path, database)
    assert broken.returncode == 0, broken.stderr[-2000:]


# Processes that have ended


def written(folder, name, **figures):
    made = metric_files.Spared(str(folder / name))
    for key, value in figures.items():
        labels = f'["storekeeper_{key}", "storekeeper_{key}_total", {{}}, "Some."]'
        made.read_value(labels)
        made.write_value(labels, value, 0.0)
    made.close()
    old = time.time() - metric_files.STILL - 1
    os.utime(folder / name, (old, old))


def told(folder):
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    lines = generate_latest(registry).decode().splitlines()
    return {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if not line.startswith("#")}


@pytest.fixture
def dead():
    """The ID of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_gather_keeps_what_dead_processes_counted_in_one_file(tmp_path, dead):
    written(tmp_path, f"counter_{dead}.db", calls=3, audits=1)
    written(tmp_path, f"counter_{os.getpid()}.db", calls=4)
    before = told(tmp_path)
    assert metric_files.gather(str(tmp_path)) == [f"counter_{dead}.db"]
    assert told(tmp_path) == before == {"storekeeper_calls_total": 7.0, "storekeeper_audits_total": 1.0}
    written(tmp_path, f"counter_{dead}.db", calls=10)
    metric_files.gather(str(tmp_path))
    assert told(tmp_path)["storekeeper_calls_total"] == 17.0
    assert sorted(one.name for one in tmp_path.glob("*.db")) == [f"counter_{os.getpid()}.db", "counter_gone.db"]
    assert metric_files.gather(str(tmp_path)) == []


def test_gather_leaves_alone_what_was_written_to_just_now(tmp_path, dead):
    written(tmp_path, f"counter_{dead}.db", calls=3)
    Path(tmp_path / f"counter_{dead}.db").touch()  # of a process that this one cannot see: another container's
    assert metric_files.gather(str(tmp_path)) == []


def test_gather_loses_nothing_where_there_is_no_place_for_the_sums(tmp_path, dead, monkeypatch):
    written(tmp_path, f"counter_{dead}.db", calls=3)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    metric_files.gather(str(tmp_path))
    assert told(tmp_path) == {"storekeeper_calls_total": 3.0}
    assert not list(tmp_path.glob("*.new"))
