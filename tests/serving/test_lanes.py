"""More requests than a process has threads: some wait, for a while, and the others are told to come again."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from console import rsgi
from tests import loops


class Protocol:
    def __init__(self) -> None:
        self.answer = None

    def response_bytes(self, status, headers, body):
        self.answer = status, dict(headers), body


def ask(path="/stores/", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {"method": "GET", "path": path, "query_string": "", "scheme": "http", "http_version": "1.1"}
    return SimpleNamespace(**given, server="127.0.0.1:8000", client="127.0.0.1:1", headers=headers), Protocol()


@pytest.fixture
def blocked():
    """A server with one thread and one place to wait, whose application answers when the event is set."""
    go_on = threading.Event()

    def application(environ, start):
        assert go_on.wait(30)
        start("200 OK", [])
        return [environ["PATH_INFO"].encode()]

    server = rsgi.Server(application, threads=1, places=1)
    yield server, go_on
    go_on.set()


async def begin(server, scope, protocol):
    task = asyncio.create_task(server.__rsgi__(scope, protocol))
    await asyncio.sleep(0)  # so far that it has its place
    return task


def test_server_refuses_a_request_when_all_places_are_taken(blocked):
    server, go_on = blocked

    async def run():
        taken = [ask(), ask()]
        tasks = [await begin(server, *one) for one in taken]
        refused = [ask(), ask(accept="text/html,*/*"), ask(accept="text/html,*/*", hx_request="true")]
        for one in refused:
            await server.__rsgi__(*one)
        go_on.set()
        await asyncio.gather(*tasks)
        again = ask()
        await server.__rsgi__(*again)
        return [protocol.answer for _, protocol in (*taken, *refused, again)]

    *taken, text, page, fragment, again = loops.run(run())
    assert [status for status, *_ in (*taken, again)] == [200, 200, 200]
    for status, headers, _ in (text, page, fragment):
        assert (status, headers["retry-after"], headers["cache-control"]) == (503, "5", "no-store")
    assert text[2] == fragment[2]
    assert text[2].startswith(b"The console is busy")
    assert text[1]["content-type"] == "text/plain; charset=utf-8"
    assert page[1]["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page[1]["content-security-policy"]
    assert b"<h1>Try again in a moment</h1>" in page[2]


def test_server_does_not_begin_what_has_waited_too_long(blocked, monkeypatch):
    server, go_on = blocked
    monkeypatch.setattr(rsgi, "QUEUE_SECONDS", 0.05)

    async def run():
        first, late = ask(), ask()
        tasks = [await begin(server, *one) for one in (first, late)]
        await asyncio.sleep(0.1)
        go_on.set()
        await asyncio.gather(*tasks)
        return late[1].answer[0]

    assert loops.run(run()) == 503


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/static/console.css"])
def test_server_answers_probes_and_files_while_all_threads_are_busy(path):
    go_on = threading.Event()

    def application(environ, start):
        assert environ["PATH_INFO"] != "/stores/" or go_on.wait(30)
        start("200 OK", [])
        return [b"ok\n"]

    server = rsgi.Server(application, threads=1, places=1)

    async def run():
        tasks = [await begin(server, *ask()) for _ in range(2)]
        scope, protocol = ask(path)
        await asyncio.wait_for(server.__rsgi__(scope, protocol), 10)
        go_on.set()
        await asyncio.gather(*tasks)
        return protocol.answer

    assert loops.run(run())[0::2] == (200, b"ok\n")
