"""Traces, sent to the operator's collector; without one a span is a comparison, and the console loads no OpenTelemetry.

No address, name, tenant or secret goes into a span: of what failed it has the kind of error alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, MutableSequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from celery.signals import before_task_publish, task_postrun, task_prerun
from django.conf import settings
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse

from console.web.logs import origin
from console.web.middleware import METHODS, GetResponse

if TYPE_CHECKING:
    from console.web.opentelemetry import Traces

log = logging.getLogger("storekeeper.tracing")

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
SIGNALS = "storekeeper.tracing"
Called = Callable[[str, str, str, float], None]


class _State:
    traces: Traces | None = None  # where it is on


def start(calls: MutableSequence[Called]) -> bool:
    """Begin, where the operator wants it; returns whether it is on. Safe to call again.

    `calls` are told of each call of a cloud: one more who hears of them is added.
    """
    endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT
    if _State.traces or not endpoint:
        return _State.traces is not None
    try:
        traces: Traces = import_module("console.web.opentelemetry").Traces(endpoint)
    except Exception as error:  # not installed, or set to what OpenTelemetry does not take: the console goes on
        log.error("There are no traces: %s", error)
        return False
    _State.traces = traces
    calls.append(traces.called)
    for signal, receiver in (
        (before_task_publish, traces.send),
        (task_prerun, traces.go_on),
        (task_postrun, traces.go_back),
    ):
        signal.connect(receiver, weak=False, dispatch_uid=SIGNALS)
    return True


@contextmanager
def span(name: str, attributes: Mapping[str, str] | None = None, *, is_root: bool = False) -> Iterator[None]:
    """Have what happens inside be a span, below the one that is open, unless it `is_root`."""
    if _State.traces is None:
        yield
        return
    with _State.traces.span(name, attributes, is_root=is_root):
        yield


def requests(get_response: GetResponse) -> GetResponse:
    """Have each request be a trace of its own, but for probes; a middleware that is not there where tracing is off."""
    traces = _State.traces
    if traces is None:
        raise MiddlewareNotUsed

    def respond(request: HttpRequest) -> HttpResponse:
        if request.path in PROBES:
            return get_response(request)
        with traces.span("request", None, is_root=True, is_request=True) as one:
            response = get_response(request)
            match = request.resolver_match
            view = (match.view_name or match._func_path) if match else "unknown"
            method = request.method if request.method in METHODS else "other"
            told: dict[str, Any] = {
                "http.request.method": method,
                "http.response.status_code": response.status_code,
                "storekeeper.view": view,
                "storekeeper.request_id": origin.get().request_id,
            }
            one.update_name(f"{method} {view}")
            one.set_attributes(told)
            if response.status_code >= 500:
                traces.fail(one, str(response.status_code))
        return response

    return respond
