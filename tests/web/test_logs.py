"""Log lines: whatever is logged, a record is one line, and what follows it cannot be taken for another record."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest

from console.web.logs import JSONFormatter, Origin, TextFormatter, WithOrigin, origin
from tests.characters import CATEGORIES, of_category

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s%(told)s"
RECORD = re.compile(r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")
FORGED = "2026-01-01 00:00:00,000 INFO storekeeper.audit Signed in: root"


def written(formatter, message, *args, **given):
    record = logging.LogRecord("storekeeper", logging.INFO, __file__, 1, message, args, given.pop("exc_info", None))
    vars(record).update(given)
    WithOrigin().filter(record)
    return formatter.format(record)


def text(message, *args, **given):
    return written(TextFormatter(FORMAT), message, *args, **given)


def records_of(lines):
    return [line for line in lines.splitlines() if RECORD.match(line)]


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_message_is_one_line_that_nothing_turns_or_hides(category):
    for character in of_category(category):
        line = text("Failed to sign in: %s", f"bob{character}{FORGED}")
        assert len(line.splitlines()) == 1, f"{character!a} ends the line"
        assert line.isprintable(), f"{character!a} is written as it is"
        assert line.encode()
        assert FORGED in line  # nothing else of it is lost
        assert not character.isprintable() or character in line


def test_an_escaped_character_can_be_told():
    assert text("%s", "a\nb\x1b[31m\u202e\ud800").endswith(r"a\nb\x1b[31m\u202e\ud800")
    assert text("%s", "Zoë 東京 🙂 a\\b").endswith("Zoë 東京 🙂 a\\b")


def test_where_it_was_asked_for_is_escaped_too():
    token = origin.set(Origin(address=f"10.0.0.1\n{FORGED}", user_id="\u202e7"))
    try:
        line = text("hello")
    finally:
        origin.reset(token)
    assert len(line.splitlines()) == 1
    assert line.endswith(r"user_id=\u202e7")


def test_a_name_of_a_logger_is_escaped_too():
    assert len(text("hello", name=f"x\n{FORGED}").splitlines()) == 1


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_traceback_keeps_its_lines_and_none_looks_like_a_record(category):
    for character in of_category(category):
        try:
            raise ValueError(f"no{character}{FORGED}\n{FORGED}\n\n{FORGED}")
        except ValueError:
            lines = text("It failed", exc_info=sys.exc_info(), stack_info=f"Stack\n{FORGED}")
        assert len(records_of(lines)) == 1
        first, *more = lines.split("\n")
        assert first.endswith("It failed")
        assert all(line.startswith("    ") and line.isprintable() for line in more)
        assert any("Traceback (most recent call last)" in line for line in more)


def test_a_traceback_that_another_handler_has_written_is_not_taken():
    try:
        raise ValueError(f"x\n{FORGED}")
    except ValueError:
        found = sys.exc_info()
    assert len(records_of(text("It failed", exc_info=found, exc_text=f"Traceback\n{FORGED}"))) == 1
    assert len(records_of(text("It failed", exc_text=f"Traceback\n{FORGED}"))) == 1  # all that a queue hands on


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_object_of_json_is_one_line_of_ascii(category):
    for character in of_category(category):
        said = f"bob{character}{FORGED}"
        line = written(JSONFormatter(), "%s", said, data={"name": said})
        assert line.isascii()
        assert line.isprintable()
        assert json.loads(line)["message"] == said


@pytest.fixture
def lines(caplog):
    """A function that returns what of the console's own lines gets through the filters of its loggers."""

    def lines(level=logging.INFO):
        return [one.getMessage() for one in caplog.records if one.levelno >= level]

    return lines


SWEEP, OPERATION = "console.operations.tasks.read_due", "console.operations.tasks.run_operation"


@pytest.mark.parametrize("name", ["celery.beat", "celery.worker.strategy", "celery.app.trace"])
def test_sweeps_that_come_and_go_are_not_told_of(name, lines):
    log = logging.getLogger(name)
    for task in (SWEEP, OPERATION):
        log.info("Task %(name)s[%(id)s] received", {"name": task, "id": "1"})
        log.info("Task %(name)s[%(id)s] succeeded in %(runtime)ss: 0", {"name": task, "id": "1", "runtime": 0.1})
        log.info("Scheduler: Sending due task %s (%s)", "read-due", task)
        log.error("Task %(name)s[%(id)s] raised unexpected: %(exc)s", {"name": task, "id": "1", "exc": "x"})
    log.info("Connected to redis://")
    told = lines()
    assert [one for one in told if SWEEP in one] == [f"Task {SWEEP}[1] raised unexpected: x"]
    assert len([one for one in told if OPERATION in one]) == 4
    assert told[-1] == "Connected to redis://"


def test_sweeps_are_told_of_while_somebody_debugs(lines, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    logging.getLogger("celery.beat").info("Scheduler: Sending due task %s (%s)", "read-due", SWEEP)
    assert len(lines()) == 1


def test_health_checks_are_told_of_only_when_they_fail(client, db, lines, settings):
    settings.METRICS_TOKEN = "t" * 32
    client.get("/healthz")
    client.get("/metrics", headers={"Authorization": f"Bearer {'t' * 32}"})
    assert not [one for one in lines() if "GET" in one]
    client.get("/readyz")  # nothing listens at the tests' REDIS_URL
    client.get("/metrics")
    assert [one.rsplit(" ", 1)[1] for one in lines() if "GET" in one] == ["503", "401"]
