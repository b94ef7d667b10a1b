"""What every test may ask for: three people, a linked account, an emulated Amazon, and no way out of this machine."""

from __future__ import annotations

import fcntl
import gc
import os
import socket
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.accounts import access  # noqa: F401 - it notes who signs in, from the very first test on
from tests import factories, last_use, sampling, turns
from tests.demo_process import ROOT, Made, running_demo
from tests.migrated import Dump, Migrated, Template

LEFT_OUT: dict[str, int] = {}  # how many, by test
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_connect = socket.socket.connect


def _connect_within_this_machine(self: socket.socket, address: object) -> None:
    host = address[0] if isinstance(address, tuple) else None
    if host is not None and host not in LOOPBACK:
        raise PermissionError(f"a test tried to reach {host}")
    _connect(self, address)


if not os.environ.get("LIVE_PROVIDER"):  # `make live-test` is there to reach a cloud
    socket.socket.connect = _connect_within_this_machine


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Leave what is there now out of all searches for garbage, which tests/environment.py has put off until here."""
    try:
        with compiled_once():
            return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # tests leave little garbage; the search took an eighth of their time
        gc.enable()


@contextmanager
def compiled_once():
    """Have one process of a fresh checkout rewrite the asserts of all test modules, and the others wait for them.

    It takes 40% of the time in which a process collects the tests, and all would do it at once, each for itself.
    """
    if sys.dont_write_bytecode or list(Path(__file__).parent.glob("web/__pycache__/test_*-pytest-*.pyc")):
        yield
        return
    with open(__file__) as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(turn, fcntl.LOCK_SH)
            fcntl.flock(turn, fcntl.LOCK_UN)
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Choose who begins and who keeps together; mark those that ask for a database or a cloud."""
    read_no_constants()
    if not sampling.THOROUGH:
        left = [item for item in items if item.get_closest_marker("thorough")] + sampling.on_sqlite_alone(items)
        LEFT_OUT.update(Counter(item.nodeid.partition("[")[0] for item in left))
        leave(config, items, left)
    for item in items:
        if "_emulator" in item.fixturenames:
            item.add_marker("slow")
        asks = {"db", "transactional_db"} & {*item.fixturenames} or item.get_closest_marker("django_db")
        if asks or sampling.on_postgresql_alone(item):
            item.add_marker("database")
        if not item.get_closest_marker("xdist_group") and (group := turns.group(item)):
            item.add_marker(pytest.mark.xdist_group(group))
    if sampling.QUICK:
        left = sampling.too_long(item for item in items if not item.get_closest_marker("slow"))
        LEFT_OUT["tests that take long, and further cases of tests with a database"] = len(left)
        leave(config, items, left)
    yield
    items.sort(key=turns.turn)  # last: pytest-django has an order of its own
    last_use.count(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """End what was there for this test, and will be asked for by none that comes."""
    try:
        return (yield)
    finally:
        last_use.is_over(item)


def read_no_constants():
    """Keep hypothesis from reading each module of ours for constants to try: two seconds of each process.

    `make thorough` tries them; the values for ours are in tests/hostile.py and tests/fuzz/strategies.py.
    """
    if "hypothesis" in sys.modules and not sampling.THOROUGH:
        from hypothesis.internal.conjecture import providers

        providers.is_local_module_file = lambda path: False


def leave(config, items, left):
    """Take some tests out of those that are run."""
    config.hook.pytest_deselected(items=left)
    gone = {*left}
    items[:] = [item for item in items if item not in gone]


@pytest.fixture
def say(record_property):
    """A function that has something said at the end of the run: a text, or counts that are added up over all tests."""

    def say(text="", **counts):
        record_property("said", text)
        record_property("counted", counts)

    return say


@pytest.fixture
def sample(record_property):
    """A function that takes so many of each kind of a matrix's cells (tests/sampling.py), and has it said how many."""

    def sample(name, cells, by, of_each=1):
        there = list(cells)
        taken = sampling.spread(there, by, of_each)
        record_property("sampled", [name, len(taken), len(there)])
        return taken

    return sample


def pytest_sessionfinish(session):
    """Tell the process that prints what this one has left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left out"] = dict(LEFT_OUT)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Hear it; all processes collect the same tests, and leave out the same."""
    LEFT_OUT.update(getattr(node, "workeroutput", {}).get("left out", {}))


def pytest_terminal_summary(terminalreporter):
    """Say what the matrices and the walks have counted, whichever process they ran in."""
    counts, taken, there = Counter(), Counter(), Counter()
    for report in (one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == "said" and value:
                terminalreporter.write_line(f"  {value}")
            elif name == "counted":
                counts.update(value)
            elif name == "sampled":
                taken[value[0]] += value[1]
                there[value[0]] += value[2]
    for name, value in counts.items():
        terminalreporter.write_line(f"  {name}: {value:,}")
    for name, number in LEFT_OUT.items():
        whole = "make thorough" if "::" in name else "make test"
        terminalreporter.write_line(f"  {name}: {number} left out; {whole} tries all")
    for name, number in taken.items():
        more = "" if number == there[name] else "; make thorough tries all"
        terminalreporter.write_line(f"  {name}: {number:,} of {there[name]:,} tried{more}")


@pytest.fixture(scope="session")
def migrations(request, tmp_path_factory):
    """PostgreSQL's database after all migrations: `migrate` gives an empty one of a test's own all of it."""
    cache = getattr(request.config, "cache", None)
    return Dump(cache.mkdir("migrated_postgresql") if cache else tmp_path_factory.mktemp("migrated_postgresql"))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory, worker_id, request, migrations, django_db_modify_db_settings_parallel_suffix):
    """Have all migrations run once. SQLite's database is a file: one in memory cannot be shared by two connections."""
    from django.conf import settings

    default, base = settings.DATABASES["default"], tmp_path_factory.getbasetemp()
    if not default["ENGINE"].endswith("sqlite3"):
        if worker_id == "master":
            yield None
            return
        template = Template(base.parent, default, request.getfixturevalue("testrun_uid"), migrations)
        yield template
        template.forget()
        return
    file = tmp_path_factory.mktemp("database") / "test.sqlite3"
    default.setdefault("TEST", {})["NAME"] = str(file)
    cache = getattr(request.config, "cache", None)
    yield Migrated(base if worker_id == "master" else base.parent, file, cache and cache.mkdir("migrated"))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(migrated):
    """Have the test database where it is to be."""


@pytest.fixture(scope="session")
def django_db_keepdb(migrated):
    """Whether there is a database already, with all migrations: they take seven seconds."""
    return bool(migrated and migrated.is_copy)


@pytest.fixture(scope="session")
def migrated_file(django_db_setup, migrated, tmp_path_factory):
    """SQLite's database after all migrations, for consoles that tests start on a copy of it."""
    if isinstance(migrated, Migrated) and migrated.made.exists():
        return migrated.made
    file = tmp_path_factory.mktemp("migrated") / "migrated.sqlite3"
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{file}"}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=environment, check=True)
    return file


@pytest.fixture(scope="session")
def collected(tmp_path_factory, worker_id):
    """The folder of static files as `collectstatic` leaves them, which the first process of a run makes for all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "collected"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            new = folder.with_suffix(".new")
            command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity=0"]
            subprocess.run(command, cwd=ROOT, env={**os.environ, "STATIC_ROOT": str(new)}, check=True)
            new.rename(folder)
    return folder


@pytest.fixture(scope="session")
def made_for_demos(migrated_file, collected):
    """What a demo need not make itself at its start."""
    return Made(migrated_file, collected)


@pytest.fixture(scope="session")
def plain_demo(tmp_path_factory, made_for_demos):
    """A demo that nothing is done to but what people do: a start takes as long as a test of it (tests/turns.py)."""
    with running_demo(tmp_path_factory.mktemp("demo"), made=made_for_demos) as facts:
        yield facts


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, migrated, django_db_blocker):
    """Let the flush after a transactional test, and nothing else, empty the table of audit events.

    And let it empty the cache, whose table has no model: what a test has left there runs out in the midst of another.
    """
    from django.conf import settings
    from django.db import connection

    from console.audit.migrations import _triggers as audit

    if migrated:
        with django_db_blocker.unblock():
            connection.close()
        migrated.give()
    operations, postgresql = type(connection.ops), connection.vendor == "postgresql"
    flush = operations.execute_sql_flush
    off = ["ALTER TABLE audit_auditevent DISABLE TRIGGER USER"] if postgresql else audit.SQLITE_BACK
    empty_cache = f"DELETE FROM {settings.CACHES['default']['LOCATION']}"
    on = ["ALTER TABLE audit_auditevent ENABLE TRIGGER USER"] if postgresql else audit.SQLITE

    def execute_sql_flush(self, sql_list):
        flush(self, [*off, *sql_list, empty_cache, *on] if sql_list else [])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "execute_sql_flush", execute_sql_flush)
        yield


@pytest.fixture(autouse=True)
def _plain_static_files(settings):
    """Serve static files under their own names: the manifest is made by collectstatic, which only the demo runs."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def acme(db):
    """An Enterprise organisation."""
    return factories.organisation("Acme")


@pytest.fixture
def alice(acme):
    """Owns Acme."""
    return factories.user("alice", acme, "owner")


@pytest.fixture
def as_alice(alice):
    """Alice's own browser, beside the one that is called `client`."""
    from django.test import Client

    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def bob(acme):
    """Views Acme."""
    return factories.user("bob", acme, "viewer")


@pytest.fixture
def charlie(db):
    """A stranger: an administrator, but of another organisation."""
    return factories.user("charlie", factories.organisation("Charlie's"), "admin")


@pytest.fixture
def account(acme):
    """An account of Acme, linked by access key."""
    return factories.account(acme)


@pytest.fixture(scope="session")
def _emulator():
    from console.demo.emulators.aws.emulator import Emulator
    from tests.clouds.aws_accounts import make_boundary

    emulator = Emulator().start()
    make_boundary()
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def object_server(tmp_path_factory):
    """A real S3 server over TLS, which every test of this run shares."""
    from console.demo.object_server import ObjectServer

    server = ObjectServer(tmp_path_factory.mktemp("objects")).start()
    yield server
    server.stop()


@pytest.fixture
def amazon(_emulator, monkeypatch):
    """Amazon, emulated, empty at the start of each test."""
    from console.clouds.s3api.clients import forget_clients

    _emulator.reset()
    forget_clients()
    monkeypatch.setenv("AWS_ENDPOINT_URL", _emulator.url)
    yield _emulator
    forget_clients()


@pytest.fixture
def broker(tmp_path):
    """A Valkey server of this test's own."""
    from tests.worker_process import Broker

    broker = Broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def start_worker(broker, amazon, tmp_path):
    """A function that starts a worker process, and a beat beside it."""
    from tests.worker_process import Workers

    workers = Workers(broker, tmp_path)
    yield workers
    workers.kill()
