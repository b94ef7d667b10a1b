"""Each call of a cloud, counted, timed and logged with the ID that the cloud gave it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import Counter, Histogram

from console.clouds import foreign
from console.clouds.steps import Failed

if TYPE_CHECKING:
    from botocore.hooks import BaseEventHooks

log = logging.getLogger("storekeeper.calls")

CALLS = Counter("storekeeper_provider_calls", "Calls of providers.", ["service", "operation", "code"])
DURATIONS = Histogram(
    "storekeeper_provider_call_seconds", "Time of a call, with its retries.", ["service", "operation"]
)
# Who else is told of each call that has ended: service, operation, its error's code, seconds.
told_of_calls: list[Callable[[str, str, str, float], None]] = []
BEGAN = "storekeeper_began"  # in the call's own context
QUIET = frozenset({"", "304", "NotModified", "ConditionNotMet"})  # of a call that went as it should
PAGES = 1000  # of a list; the longest that is read has a hundred


@dataclass
class Tally:
    """Calls that were made, as clouds ask money for them: lists, and reads."""

    lists: int = 0
    reads: int = 0

    def __str__(self) -> str:
        return (
            f"{self.lists:,} list{'' if self.lists == 1 else 's'}, {self.reads:,} read{'' if self.reads == 1 else 's'}"
        )

    @property
    def all(self) -> int:
        """Return how many these are together."""
        return self.lists + self.reads


_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


@contextmanager
def tallied() -> Iterator[Tally]:
    """Count the lists and reads that are made inside, each with its repetitions as one, and tell less of them.

    It is for what is read by itself, day and night: a line for each of these calls would drown all others.
    """
    token = _tally.set(Tally())
    try:
        yield _tally.get()  # type: ignore[misc]
    finally:
        _tally.reset(token)


def watch(events: BaseEventHooks) -> None:
    """Have all calls of the session's clients seen."""
    events.register("before-call", _before)
    events.register("after-call", _after)
    events.register("after-call-error", _failed)


def _before(context: dict[str, Any], **_: Any) -> None:
    context[BEGAN] = time.perf_counter()


def _after(http_response: Any, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
    # Before anybody else sees them: botocore makes its exception of these.
    parsed |= {part: foreign.tidy(parsed[part]) for part in ("Error", "ResponseMetadata") if part in parsed}
    found = parsed.get("ResponseMetadata", {})
    code = (
        "" if http_response.status_code < 300 else str(parsed.get("Error", {}).get("Code") or http_response.status_code)
    )
    ids = {"aws_request_id": found.get("RequestId"), "aws_host_id": found.get("HostId")}
    _told(
        model.service_model.service_name, model.name, code, context, {key: value for key, value in ids.items() if value}
    )


def _failed(exception: Exception, context: dict[str, Any], event_name: str, **_: Any) -> None:
    service, operation = event_name.split(".")[1:]
    _told(service, operation, type(exception).__name__, context, {})


def _told(service: str, operation: str, code: str, context: dict[str, Any], ids: dict[str, str]) -> None:
    tell(service, operation, code, time.perf_counter() - context.get(BEGAN, time.perf_counter()), ids)


def tell(service: str, operation: str, code: str, seconds: float, ids: dict[str, str]) -> None:
    """Count, time and log a call that has ended; `code` is that of its error, `ids` are those that the cloud gave."""
    code, ids = foreign.word(code), {name: foreign.word(value) for name, value in ids.items()}
    CALLS.labels(service, operation, code[:64]).inc()
    DURATIONS.labels(service, operation).observe(seconds)
    for one in told_of_calls:
        one(service, operation, code[:64], seconds)
    told = {"service": service, "call": operation, "code": code, "seconds": round(seconds, 4), **ids}
    level = logging.INFO
    if tally := _tally.get():
        tally.lists += "list" in operation.lower()
        tally.reads += "get" in operation.lower()
        level = logging.DEBUG if code in QUIET else logging.INFO
    log.log(level, "%s %s %s", service, operation, code or "ok", extra={"data": told})


def pages(ask: Callable[[Any], tuple[Any, Any]]) -> Iterator[Any]:
    """Yield the pages of a list, as they are asked for; raises Failed when there is no end of them.

    `ask` gets what the page before said about the next one, None for the first, and returns the page and that.
    """
    token = None
    for _ in range(PAGES):
        page, token = ask(token)
        yield page
        if not token:
            return
    raise Failed(f"A list had more than {PAGES} pages: the console stopped reading it.", code="EndlessList")
