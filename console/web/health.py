"""Whether the console lives and can work, for the machines that watch it."""

from __future__ import annotations

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from redis import Redis, RedisError


def healthz(request: HttpRequest) -> HttpResponse:
    """Answer that the process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when the database and the broker answer, else 503 with what does not."""
    found = {"database": _database(), "broker": _broker()}
    return JsonResponse(found, status=200 if set(found.values()) == {"ok"} else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "does not answer"
    return "ok"


def _broker() -> str:
    try:
        with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=2) as broker:
            broker.ping()
    except RedisError:
        return "does not answer"
    return "ok"
