"""How many connections there may be, what `check --deploy` says of them, and what a request without one is answered."""

from __future__ import annotations

import logging
import sys

import dj_database_url
import psycopg
import pytest
from django.db import OperationalError, connections

from console.web import database, unavailable

POSTGRESQL = dj_database_url.parse("postgres://u@127.0.0.1:1/n", engine="console.web.postgresql")


@pytest.fixture
def numbers(settings, monkeypatch):
    """Settings of so many processes, on PostgreSQL."""
    monkeypatch.setitem(settings.DATABASES, "default", POSTGRESQL)
    settings.WEB_PROCESSES, settings.WORKER_PROCESSES, settings.DATABASE_POOL = 4, 2, 8
    return settings


def test_needed_adds_up_all_processes_and_those_that_replace_them(numbers):
    assert database.needed().total == (4 + 1 + 2 + 1) * 8 + 1 + 6


def test_check_says_how_many_connections_there_may_be(numbers):
    (said,) = database.connections_are_enough(None)
    assert said.id == "connections.I001"
    assert "8 for each of 4 + 1 processes of the web server and 2 + 1 workers" in said.msg
    assert "71, of the 97 that PostgreSQL has unless it is told otherwise" in said.msg


def test_check_warns_of_more_than_there_are(numbers):
    numbers.WEB_PROCESSES = 12
    (said,) = database.connections_are_enough(None)
    assert (said.id, said.level) == ("connections.W003", 30)
    assert "max_connections to 138 or more" in said.hint


def test_check_says_nothing_on_sqlite(settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES, "default", dj_database_url.parse("sqlite://:memory:"))
    assert list(database.connections_are_enough(None)) == []


def test_within_is_never_longer_than_what_is_around_it():
    with database.within(5), database.within(1000):
        assert database.left() <= 5
    with database.within(-1):
        assert 0 < database.left() < 1


@pytest.fixture
def failed(rf, monkeypatch):
    """A function that answers a request of a browser that an error has ended."""

    def answer(error, vendor="postgresql", **headers):
        monkeypatch.setattr(type(connections["default"]), "vendor", vendor)
        try:
            raise error
        except type(error):
            return unavailable.server_error(rf.get("/", headers={"Accept": "text/html", **headers}))

    return answer


def test_server_error_says_that_the_database_is_away(failed):
    answer = failed(OperationalError("connection refused"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "database does not answer" in answer.content.decode()
    assert answer["Content-Type"] == "text/html; charset=utf-8"


def test_server_error_says_it_in_a_line_where_no_page_is_shown(failed):
    answer = failed(OperationalError("connection refused"), **{"HX-Request": "true"})
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.content == b"The console's database does not answer. Try again in 5 seconds.\n"


@pytest.mark.parametrize(
    ("error", "vendor", "status"),
    [
        (OperationalError("database is locked"), "sqlite", 503),
        (OperationalError("no such table: stores_store"), "sqlite", 500),
        (ValueError("connection refused"), "postgresql", 500),
    ],
)
def test_server_error_tells_errors_of_our_own_from_a_database_that_is_away(failed, error, vendor, status):
    assert failed(error, vendor).status_code == status


def test_a_request_without_a_database_is_one_line_in_the_log(monkeypatch):
    monkeypatch.setattr(type(connections["default"]), "vendor", "postgresql")
    records = []
    for error in (OperationalError("refused,\n is it running?"), ValueError("ours")):
        try:
            raise error from psycopg.OperationalError("refused")
        except Exception:
            records.append(logging.LogRecord("django.request", 40, "", 1, "%s: /", ("Error",), sys.exc_info()))
    assert all(unavailable.Briefly().filter(record) for record in records)
    away, ours = records
    assert (away.getMessage(), away.exc_info) == ("Error: /: refused, is it running?", None)
    assert (ours.getMessage(), ours.exc_info[0]) == ("Error: /", ValueError)
