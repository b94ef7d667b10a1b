"""The API with 100,000 stores: a list against a plain answer of the same rows, a token's check, a walk by cursor."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

Figure = tuple[str, float, str]
ROWS, REPEATS, ROUNDS = 50, 60, 5
CHECKS = 400


def measure(organisation, owner) -> Iterator[Figure]:
    """Yield the figures; the stores are there, in this organisation. Times are of the CPU: others may work here."""
    from django.db import connection
    from django.http import JsonResponse
    from django.test.utils import CaptureQueriesContext
    from django.utils import timezone

    from console.api import limits, reading, shown, tokens
    from console.api.models import SCOPES
    from stores.models import Store

    limits._shared = lambda name: 0  # no broker is there: each process counts for itself
    limits.count.__kwdefaults__["limit"] = 10**9
    member = owner.memberships.get()
    until = timezone.now() + timedelta(days=1)
    _, text = tokens.issue(member, name="bench", kind="token", scopes=SCOPES, expires_at=until, by=owner)
    get = caller(text)

    def plain() -> None:
        # The queries of the list, and nothing of it but the rows as JSON.
        rows = reading.stores(member).order_by("-created_at", "-pk")[:ROWS]
        JsonResponse({"items": [shown.store(one) for one in rows], "next": None})

    with CaptureQueriesContext(connection) as queries:
        content = get(f"?limit={ROWS}")
    yield "api_list_queries", len(queries), "queries"
    yield "api_list_bytes", len(json.dumps(content)), "bytes"
    listed, bare = compared(lambda: get(f"?limit={ROWS}"), plain)
    yield "api_list_time", listed, "ms"
    yield "api_list_plain_time", bare, "ms"
    yield "api_list_to_plain_ratio", listed / bare, "x"
    yield "api_token_check", cpu(lambda: tokens.find(text), CHECKS), "ms"
    yield from _walk(get, Store.objects.visible_to(member).count())


def _walk(get: Callable[[str], dict], number: int) -> Iterator[Figure]:
    times, seen, cursor = [], 0, ""
    while cursor is not None:
        began = time.process_time()
        page = get(f"?limit=100&cursor={cursor}")
        times.append((time.process_time() - began) * 1000)
        seen, cursor = seen + len(page["items"]), page["next"]
    if seen != number:
        raise RuntimeError(f"the walk came by {seen} of {number} stores")
    tenth = len(times) // 10
    first, last = statistics.median(times[:tenth]), statistics.median(times[-tenth:])
    yield "api_walk_pages", len(times), "pages"
    yield "api_walk_first_tenth", first, "ms"
    yield "api_walk_last_tenth", last, "ms"
    yield "api_walk_last_to_first_ratio", last / first, "x"


def caller(text: str) -> Callable[[str], dict]:
    """Return a function that asks for the stores with this query string, and returns what is answered."""
    from django.test import Client

    client = Client(headers={"host": "localhost", "authorization": f"Bearer {text}"})

    def get(query: str) -> dict:
        answer = client.get(f"/api/v1/stores{query}")
        if answer.status_code != 200:
            raise RuntimeError(f"the API answered {answer.status_code}: {answer.content[:300]!r}")
        return json.loads(answer.content)

    return get


def compared(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU time of each in ms: of rounds that take turns, the least median."""
    found = [(cpu(one, REPEATS), cpu(other, REPEATS)) for _ in range(ROUNDS)]
    return min(each for each, _ in found), min(each for _, each in found)


def cpu(do: Callable[[], object], times: int) -> float:
    """Return the median CPU time of one in ms."""
    do()
    taken = []
    for _ in range(times):
        began = time.process_time()
        do()
        taken.append((time.process_time() - began) * 1000)
    return statistics.median(taken)
