"""Traces: what is in them, who is below whom, and that nothing waits for their collector, nor is loaded without one."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from celery.signals import before_task_publish
from kombu import Connection

from console.clouds import calls
from console.operations import engine
from console.operations.models import Operation
from console.operations.tasks import run_operation
from console.web import tracing
from stores.models import State, Store
from tests.collector import Collector
from tests.demo_process import ROOT
from tests.worker_process import wait_until

SERVER, CLIENT = 2, 3  # kinds of spans


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture
def traced(settings, collector):
    """Traces of this process go to the collector; a function that has all that wait be sent, and returns its spans."""
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = collector.url
    assert tracing.start(calls.told_of_calls)
    traces = tracing._State.traces
    said = logging.getLogger("opentelemetry").level

    def sent():
        traces.provider.force_flush()
        return collector.spans

    yield sent
    traces.provider.shutdown()
    for signal in (tracing.before_task_publish, tracing.task_prerun, tracing.task_postrun):
        signal.disconnect(dispatch_uid=tracing.SIGNALS)
    calls.told_of_calls.clear()
    tracing._State.traces = None
    logging.getLogger("opentelemetry").setLevel(said and logging.NOTSET)


def form(account):
    return {"provider": "aws", "name": "Secret-name", "cloud_account": str(account.pk), "region": "eu-west-1"}


def test_a_request_an_operation_its_steps_and_calls_are_one_trace(traced, as_alice, account, amazon, acme):
    sent_with = []

    def keep(headers, **_):
        sent_with.append(headers["traceparent"])

    before_task_publish.connect(keep)
    answer = as_alice.post("/stores/create/", form(account))
    assert answer.status_code == 302
    [request] = [one for one in traced() if one.name == "POST stores:create"]
    assert (request.kind, request.parent, request.is_error) == (SERVER, b"", False)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 302,
        "storekeeper.view": "stores:create",
        "storekeeper.request_id": answer["X-Request-ID"],
    }
    assert request.resource["service.name"] == "storekeeper"
    # The message goes out after the commit, which a test has none of: what a request sends is below it.
    with tracing.span("sending"):
        with pytest.raises(run_operation.OperationalError):
            run_operation.delay(str(Operation.objects.get().pk))
        engine.execute_next(Operation.objects.get().pk)
    spans = traced()
    [sending] = [one for one in spans if one.name == "sending"]
    assert sent_with[-1].split("-")[1:3] == [sending.trace.hex(), sending.id.hex()]
    [operation] = [one for one in spans if one.name == "create store"]
    assert (operation.trace, operation.parent) == (sending.trace, sending.id)
    assert operation.attributes["storekeeper.operation_id"] == str(Operation.objects.get().pk)
    steps = [one for one in spans if "storekeeper.step" in one.attributes]
    assert {one.name for one in steps} == {step["key"] for step in Operation.objects.get().steps}
    assert {one.parent for one in steps} == {operation.id}
    made = [one for one in spans if one.name == "s3 CreateBucket"]
    assert {one.parent for one in made} <= {one.id for one in steps}
    assert [(one.kind, one.attributes["rpc.method"], one.nanoseconds > 0) for one in made] == [
        (CLIENT, "CreateBucket", True)
    ] * 2
    told = "".join(one.told for one in spans)
    store = Store.objects.get()
    for secret in ("Secret-name", store.bucket, acme.name, account.name, account.number, "alice", "127.0.0.1"):
        assert secret not in told, secret


def test_what_fails_has_the_kind_of_its_error_and_nothing_of_its_message(traced, as_alice, account, amazon):
    amazon.inject("CreateBucket", code="AccessDenied", status=403, times=99)
    as_alice.post("/stores/create/", form(account))
    engine.execute_next(Operation.objects.get().pk)
    failed = [one for one in traced() if one.is_error]
    assert {"AccessDenied", "Denied"} <= {one.attributes["error.type"] for one in failed}
    assert {"s3 CreateBucket"} <= {one.name for one in failed}
    assert "Secret-name" not in "".join(one.told for one in failed)


def test_probes_are_no_traces(traced, client, db):
    client.get("/healthz")
    client.get("/nowhere/")
    assert [one.name for one in traced()] == ["GET unknown"]


def test_an_operation_that_the_message_was_not_for_is_a_trace_of_its_own(traced, as_alice, account, amazon):
    as_alice.post("/stores/create/", form(account))
    with tracing.span("sending"):
        engine.execute_next(account.pk)  # of no operation
    found = {one.name: one for one in traced()}
    assert found["create store"].trace != found["sending"].trace


def test_nothing_waits_for_a_collector_that_takes_nothing(traced, collector, caplog):
    for status, said in ((503, "The collector takes no traces"), (400, None), (200, "Traces are sent again.")):
        collector.status = status
        caplog.clear()
        with tracing.span("one"):
            pass
        traced()
        assert [one.message.split(":")[0] for one in caplog.records if one.name == "storekeeper.tracing"] == (
            [said] if said else []
        )
    assert [one.name for one in collector.spans] == ["one"]


def test_an_address_that_is_none_leaves_the_console_as_it_is(settings, monkeypatch, caplog):
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:1"
    monkeypatch.setitem(sys.modules, "console.web.opentelemetry", None)  # as where it is not installed
    told = []
    assert not tracing.start(told)
    assert "There are no traces" in caplog.text
    assert not told


OFF = """
import sys
import django
django.setup()
import console.wsgi, console.operations.tasks
from celery.signals import worker_init
worker_init.send(sender=None)
# Not all of opentelemetry.sdk: redis-py itself loads the part for metrics, wherever it is installed.
ours = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "console.web.opentelemetry")
loaded = [name for name in sys.modules if name.startswith(ours)]
assert not loaded, loaded
from django.conf import settings
from console.web import tracing
with tracing.span("one"): pass
"""


@pytest.mark.slow
def test_without_a_collector_nothing_of_it_is_loaded():
    subprocess.run([sys.executable, "-c", OFF], check=True, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_trace_goes_on_in_a_worker(traced, collector, broker, start_worker, as_alice, account, amazon, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")  # milliseconds
    as_alice.post("/stores/create/", form(account))
    start_worker(beat=False)
    with tracing.span("sending"), Connection(broker.url) as connection:
        run_operation.apply_async((str(Operation.objects.get().pk),), connection=connection)
    wait_until(lambda: Store.objects.get().state == State.AVAILABLE)
    wait_until(lambda: collector.named("create store"))
    traced()
    [sending], [operation] = collector.named("sending"), collector.named("create store")
    assert (operation.trace, operation.parent) == (sending.trace, sending.id)
