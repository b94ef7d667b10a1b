"""The cache in the database: what Django's does, with JSON in its rows."""

from __future__ import annotations

import ast
import base64
import json
import os
import pickle
import time
from pathlib import Path

import pytest
from django.core.cache import cache
from django.db import connection

from console.celery import app
from tests.demo_process import ROOT

TABLE = "accounts_cache"


def rows():
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT value FROM {TABLE}")
        return [value for (value,) in cursor.fetchall()]


@pytest.fixture(autouse=True)
def _empty(db):
    cache.clear()


@pytest.mark.parametrize("value", [True, None, 0, 1.5, "é\n", [time.time()] * 3, {"a": [1, {}]}])
def test_what_is_kept_comes_back(value):
    cache.set("k", value, 60)
    assert cache.get("k", "nothing") == value
    assert [json.loads(text) for text in rows()] == [value]


def test_what_json_cannot_say_is_not_kept():
    with pytest.raises(TypeError):
        cache.set("k", object())


def test_a_row_of_somebody_else_s_runs_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    cache.set("k", 1, 60)
    for text in (base64.b64encode(pickle.dumps(Evil())).decode(), "[" * 100_000, "", "\xff"):
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {TABLE} SET value = %s", [text])
        assert cache.get("k", "nothing") == "nothing"
    assert not (tmp_path / "owned").exists()


def test_adding_takes_a_place_once_until_it_runs_out():
    assert cache.add("k", 1, 60)
    assert not cache.add("k", 2, 60)
    assert cache.get("k") == 1
    assert cache.touch("k", -5)
    assert cache.get("k") is None
    assert cache.add("k", 3, 60)
    assert cache.get_many(["k", "other"]) == {"k": 3}
    assert cache.incr("k") == 4
    assert cache.has_key("k")
    assert cache.delete("k")
    assert not cache.touch("k")


def test_too_many_rows_make_room(monkeypatch):
    monkeypatch.setattr(cache._connections[cache._alias], "_max_entries", 20)
    for number in range(60):
        cache.set(f"k{number}", number, 60)
    assert 0 < len(rows()) <= 21
    cache.set("for-ever", 1, None)
    assert cache.get("for-ever") == 1


@pytest.mark.slow
def test_nothing_of_ours_and_nothing_that_is_set_unpickles(settings):
    """Our code imports none of it, and of Django's and Celery's parts none that would do it is set."""
    for top in ("console", "stores", "clusters"):
        for path in Path(ROOT, top).rglob("*.py"):
            if "emulators" in path.parts:  # which keep their own state so, and are no part of the product
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                names = [one.name for one in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not {"pickle", "cPickle", "marshal", "shelve", "dill"} & {*names}, path
    assert {one["BACKEND"] for one in settings.CACHES.values()} == {"console.web.cache.JSONCache"}
    assert settings.SESSION_SERIALIZER.endswith("JSONSerializer")
    assert {*app.conf.accept_content} == {"json"}
    assert app.conf.task_serializer == app.conf.result_serializer == "json"
