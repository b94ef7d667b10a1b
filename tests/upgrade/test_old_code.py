"""The last release's own code, out of the history, at the same work and on the same database as the present code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import dj_database_url
import psycopg
import pytest
from django.db import connections
from django.db.utils import load_backend

from console.operations.models import Heartbeat, Operation
from stores import actions
from stores.models import State, Store
from tests import factories, postgres
from tests.demo_process import ROOT
from tests.nursery import nursery
from tests.worker_process import Process, changes, database_url, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.database]
RELEASE = "ca7e024"  # 0.1.0
PARTS = ("manage.py", "console", "stores", "clusters", "templates", "static", "pyproject.toml", "CHANGELOG.md")
QUICK = "from console.settings import *\nLEASE_SECONDS = 2\n"


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """The folder with the last release's code."""
    folder = tmp_path_factory.mktemp("release")
    archive = subprocess.run(["git", "archive", RELEASE, *PARTS], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip("a copy of the code without its history has no earlier release in it")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    (folder / "quick.py").write_text(QUICK)
    return folder


@pytest.fixture(scope="module")
def migrated(migrations):
    """A PostgreSQL whose database has all migrations."""
    with postgres.cluster() as server:
        migrations.migrate(server.url)
        yield server


@pytest.fixture
def database(migrated, django_db_blocker):
    """A copy of it for this test, which is the database meanwhile, also on a run with SQLite."""
    before, name = connections["default"], f"copy_{uuid4().hex}"
    with psycopg.connect(migrated.url.rpartition("/")[0] + "/template1", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE postgres")
    with django_db_blocker.unblock():
        there = dj_database_url.parse(migrated.url.rpartition("/")[0] + f"/{name}")
        facts = connections.configure_settings({"default": there})["default"]
        connections["default"] = load_backend(facts["ENGINE"]).DatabaseWrapper(facts, "default")
        try:
            yield
        finally:
            connections["default"].close()
            connections["default"] = before


@pytest.fixture
def start(broker, amazon, tmp_path):
    """A function that starts a worker, or beat, of the code in a folder; all are gone at the end."""
    started = []

    def start(folder: Path, *words: str) -> Process:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "REDIS_URL": broker.url,
            "DJANGO_SETTINGS_MODULE": "quick" if (folder / "quick.py").exists() else "tests.crash.quick",
            "PYTHONPATH": str(folder),
            "CELERY_SKIP_CHECKS": "1",
        }
        command, file = ["-A", "console", *words, "--pidfile", ""], tmp_path / f"{len(started)}.log"
        if folder == ROOT:
            started.append(nursery().start(command, environment, file))
            return started[-1]
        with file.open("wb") as log:
            how = {"cwd": folder, "env": environment, "stdout": log, "stderr": log, "start_new_session": True}
            started.append(subprocess.Popen([sys.executable, "-m", "celery", *command], **how))
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def worker(start, folder):
    return start(folder, "worker", "--pool", "threads", "--concurrency", "8", "--without-mingle", "--without-gossip")


def at_work():
    """Return the processes that hold an operation."""
    held = Operation.objects.filter(state="running").exclude(worker="").values_list("worker", flat=True)
    return {int(one.split(":")[1]) for one in held}


# Where the old one takes over from the new one is tried with both at once, below, too.
@pytest.mark.parametrize("first", ["old", pytest.param("new", marks=pytest.mark.thorough)])
def test_what_one_release_has_begun_the_other_finishes(first, old, database, start, amazon):
    """A worker is killed in the middle of its work, and one of the other release goes on with it, each step once."""
    account = factories.account(factories.organisation())
    amazon.inject("PutBucketPolicy", when="hang", seconds=6, times=4)
    made = [actions.create(account, name=f"store-{n}", region="eu-west-1", by=None) for n in range(2)]
    folders = {"old": old, "new": ROOT}
    begins = worker(start, folders.pop(first))
    start(ROOT, "beat")
    wait_until(lambda: at_work() == {begins.pid} and not amazon._faults, 120)
    os.killpg(begins.pid, signal.SIGKILL)
    (other,) = folders.values()
    worker(start, other)
    wait_until(lambda: Store.objects.filter(state=State.AVAILABLE).count() == len(made), 120)
    assert {*Operation.objects.values_list("state", flat=True)} == {"done"}
    created = Counter(bucket for call, bucket, status in changes(amazon) if call == "CreateBucket" and status < 400)
    assert created == Counter(name for store in made for name in (store.bucket, store.log_bucket))


def test_workers_of_both_releases_share_the_work(old, database, start, amazon):
    """Both at once, with a beat of each: nothing fails, and each step is done once."""
    account = factories.account(factories.organisation())
    for folder in (old, ROOT):
        worker(start, folder)
        start(folder, "beat")
    wait_until(lambda: Heartbeat.objects.filter(kind="worker").count() == 2, 120)
    amazon.inject("PutBucketPolicy", when="hang", seconds=1, times=24)
    made = [actions.create(account, name=f"store-{n}", region="eu-west-1", by=None) for n in range(12)]
    wait_until(lambda: Store.objects.filter(state=State.AVAILABLE).count() == len(made), 120)
    assert {*Operation.objects.values_list("state", flat=True)} == {"done"}
    done = Counter((call, bucket) for call, bucket, status in changes(amazon) if status < 400 and bucket)
    assert {*done.values()} == {1}, done.most_common(3)
    assert len({one.split(":")[1] for one in Operation.objects.values_list("worker", flat=True)}) == 2
