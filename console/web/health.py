"""Whether the console lives and can work, for the machines that watch it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis import RedisError

from console.web import broker, database

SECONDS = 2.0  # for each of the two, which are asked at the same time
_brokers = ThreadPoolExecutor(4, thread_name_prefix="broker")


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that the process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database and the broker answer within two seconds, else 503 with what does not."""
    broker = _brokers.submit(copy_context().run, _broker)
    found = {"database": _database(), "broker": broker.result()}
    return JsonResponse(found, status=200 if set(found.values()) == {"ok"} else 503)


def _database() -> str:
    try:
        with database.within(SECONDS), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "all connections of this process are in use" if database.is_full() else "does not answer"
    return "ok"


def _broker() -> str:
    try:
        with broker.client(connect=SECONDS / 2, answer=SECONDS / 2) as there:
            there.ping()
    except RedisError:
        return "does not answer"
    return "ok"
