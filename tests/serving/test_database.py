"""The console and a real PostgreSQL that has troubles: what is answered meanwhile, and that all is well afterwards."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from contextlib import ExitStack, suppress

import dj_database_url
import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.db.utils import load_backend

from console.demo.servers import free_port
from console.web import database
from tests import postgres
from tests.serving.instances import Instance, ask, wait_until
from tests.small_disk import filled, small_disk
from tests.worker_process import Broker

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("serving-database"), pytest.mark.timeout(240)]

POOL, THREADS, PLACES = 3, 6, 20
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'storekeeper web'"
COOKIE = f"sessionid={'0' * 32}"  # is looked up, and not found
LINES = "INSERT INTO scratch SELECT repeat(md5(n::text), 30) FROM generate_series(1, 3000) AS n"
BROWSER = {"Accept": "text/html", "Cookie": COOKIE}
SIGNED_OUT = 302


@pytest.fixture(scope="module")
def disk():
    """A small file system, if one may be mounted; else no more than a folder."""
    with small_disk("110m") as folder:
        yield folder


@pytest.fixture(scope="module")
def server(disk, migrations):
    """A PostgreSQL on that disk; it has all tables, and few connections."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(disk))
        patch.setitem(postgres.SETTINGS, "max_connections", "12")
        patch.setitem(postgres.SETTINGS, "max_wal_size", "32MB")
        with postgres.cluster() as server:
            migrations.migrate(server.url)
            yield server


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="module")
def web(server, broker, tmp_path_factory):
    """One process of the web server, whose static files are one."""
    folder = tmp_path_factory.mktemp("web")
    static = folder / "static"
    static.mkdir()
    (static / "one.0123456789ab.css").write_text("p {}")
    environment = {
        "DATABASE_URL": server.url,
        "REDIS_URL": broker.url,
        "STATIC_ROOT": str(static),
        "DATABASE_POOL": str(POOL),
        "WEB_THREADS": str(THREADS),
        "WEB_QUEUE": str(PLACES - THREADS),
    }
    web = Instance(folder, free_port(), environment)
    web.wait_until_ready()
    wait_until(lambda: is_well(web))
    yield web
    web.stop()


def at_once(count, work):
    """Return what so many calls at the same time returned."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def is_well(web) -> bool:
    return ask(web.port, "/readyz")[0] == 200 and ask(web.port, "/stores/", **BROWSER)[0] == SIGNED_OUT


def test_many_requests_share_the_connections_of_a_process(server, web):
    for _ in range(2):
        answers = Counter(at_once(PLACES, lambda: ask(web.port, "/stores/", **BROWSER)[0]))
        assert answers == {SIGNED_OUT: PLACES}
        with psycopg.connect(server.url) as beside:
            (count,) = beside.execute(CONNECTIONS).fetchone()
        assert 1 <= count <= POOL


def test_a_hung_database_is_said_by_a_page_and_the_probes_answer(server, web):
    with postgres.hung(server.processes()):
        pages = []
        visitors = [
            threading.Thread(target=lambda: pages.append(ask(web.port, "/stores/", **BROWSER))) for _ in range(THREADS)
        ]
        for visitor in visitors:
            visitor.start()
        assert ask(web.port, "/healthz")[0] == 200
        assert ask(web.port, "/static/one.0123456789ab.css")[0] == 200
        status, _, text = ask(web.port, "/readyz")
        assert (status, b'"database": "ok"' in text, b'"broker": "ok"' in text) == (503, False, True)
        assert pages == []  # so all of that was answered while every thread waited
        for visitor in visitors:
            visitor.join()
    assert {status for status, *_ in pages} == {503}
    for _, headers, body in pages:
        assert headers["retry-after"] == "5"
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert b"<h1>Try again in a moment</h1>" in body
    wait_until(lambda: is_well(web))


def test_a_database_that_is_away_is_said_and_found_again(server, web):
    server.stop()
    try:
        status, headers, text = ask(web.port, "/stores/", Accept="application/json", Cookie=COOKIE)
        assert (status, headers["retry-after"]) == (503, "5")
        assert text == b"The console's database does not answer. Try again in 5 seconds.\n"
        assert ask(web.port, "/readyz")[0] == 503
        assert ask(web.port, "/healthz")[0] == 200
    finally:
        server.start()
    wait_until(lambda: is_well(web))


def test_a_database_that_others_have_filled_is_said_and_used_again(server, web):
    server.stop()  # so that the console has no connection
    server.start()
    with ExitStack() as held:
        with suppress(psycopg.OperationalError):
            while True:
                held.enter_context(psycopg.connect(server.url))
        assert ask(web.port, "/stores/", **BROWSER)[0] == 503
        assert ask(web.port, "/readyz")[0] == 503
    wait_until(lambda: is_well(web))


def test_a_lock_that_is_held_costs_its_own_requests_and_readyz_says_when_all_connections_are_used(server, web):
    with psycopg.connect(server.url) as holder:
        holder.execute("LOCK TABLE django_session")
        visitors = [threading.Thread(target=ask, args=(web.port, "/stores/"), kwargs=BROWSER) for _ in range(THREADS)]
        for visitor in visitors:
            visitor.start()
        found = []
        wait_until(lambda: found.append(ask(web.port, "/readyz")) or found[-1][0] == 503)
        assert b"all connections of this process are in use" in found[-1][2]
    for visitor in visitors:
        visitor.join()
    wait_until(lambda: is_well(web))


def test_a_full_disk_leaves_pages_that_can_be_read(server, web, disk):
    if not disk.is_mount():
        pytest.skip("only root, where it may mount, can have a disk that is small enough to fill")
    with psycopg.connect(server.url, autocommit=True) as writer:
        writer.execute("CREATE TABLE scratch (line text)")
        with filled(disk):
            with pytest.raises(psycopg.errors.DiskFull) as full:
                writer.execute(LINES)
            assert ask(web.port, "/stores/", **BROWSER)[0] == SIGNED_OUT
            assert isinstance(full.value, psycopg.OperationalError)  # of which Django's is made, and of that a 503
        writer.execute(LINES)
        writer.execute("DROP TABLE scratch")
    assert is_well(web)


def test_check_asks_the_server_how_many_connections_it_has(server, monkeypatch, django_db_blocker):
    facts = connections.configure_settings({"default": dj_database_url.parse(server.url)})["default"]
    before, beside = connections["default"], load_backend(facts["ENGINE"]).DatabaseWrapper(facts, "default")
    monkeypatch.setitem(settings.DATABASES, "default", facts)
    connections["default"] = beside
    try:
        with django_db_blocker.unblock():
            (said,) = database.connections_are_enough(None, databases=["default"])
    finally:
        beside.close()
        connections["default"] = before
    assert said.id == "connections.W003"
    assert "more connections than the 9 that this server has" in said.msg


def test_a_hung_broker_is_said_within_the_time_of_a_probe(web, broker):
    with postgres.hung([broker.process.pid]):
        status, _, text = ask(web.port, "/readyz")
        assert (status, text) == (503, b'{"database": "ok", "broker": "does not answer"}')
        assert ask(web.port, "/stores/", **BROWSER)[0] == SIGNED_OUT
    assert is_well(web)
