"""Server-sent events of a task: what is sent, when it ends, how many there may be."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.utils import timezone

from console import rsgi
from console.api import following, tokens
from console.api.following import FOLLOW, Followers
from console.api.models import Token
from console.operations.models import Operation
from stores import actions
from tests import loops
from tests.api.callers import Caller, give


@pytest.fixture
def task(account, alice):
    return actions.create(account, name="orders", region="eu-west-1", by=alice).operation


def end(task):
    Operation.objects.filter(pk=task.pk).update(state="done", finished_at=timezone.now())


def read(text):
    """Return the events of a stream: each is its fields by their names."""
    return [
        dict(line.split(": ", 1) for line in one.splitlines() if not line.startswith(":"))
        for one in text.decode().split("\n\n")
        if one and not one.startswith(":")
    ]


def ask(person, task, **headers):
    return Caller(give(person)[1]).client.get(f"/api/v1/tasks/{task.pk}/events", headers=headers)


def test_the_first_event_is_the_task_as_it_is(alice, task):
    answer = ask(alice, task)
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/event-stream")
    [event] = read(answer.content)
    told = json.loads(event["data"])
    assert (event["event"], told["id"], told["state"]) == ("task", str(task.pk), "waiting")
    assert answer[FOLLOW].split() == [str(task.pk), str(Token.objects.get().pk), event["id"]]
    again = ask(alice, task, **{"Last-Event-ID": event["id"]})
    assert (again.status_code, again.content) == (200, b"")


def test_a_task_that_has_ended_is_told_once(alice, task):
    end(task)
    answer = ask(alice, task)
    assert FOLLOW not in answer
    [event] = read(answer.content)
    assert ask(alice, task, **{"Last-Event-ID": event["id"]}).status_code == 204
    assert ask(alice, task, **{"Last-Event-ID": "x\r"}).status_code in {200, 400}


def test_a_renewed_lease_is_no_news(task):
    before = following.event(task)[0]
    task.updated_at = timezone.now()
    assert following.event(task)[0] == before


def test_what_is_a_stranger_s_is_not_followed(charlie, task):
    assert ask(charlie, task).status_code == 404


def test_a_look_says_how_tasks_are_and_which_tokens_are_good(alice, task, django_assert_num_queries):
    good, _ = give(alice)
    revoked, _ = give(alice)
    tokens.revoke(revoked, by=alice)
    with django_assert_num_queries(2):
        found, known = following.look({task.pk, uuid4()}, {good.pk, revoked.pk})
    assert (set(found), known) == ({task.pk}, {good.pk})


# As the server sends it


class Protocol:
    """What granian gives: keeps what is sent; a client that has gone raises, as granian's own errors do."""

    def __init__(self, leaves_after=99):
        self.sent, self.head, self.left = [], None, leaves_after

    def response_bytes(self, status, headers, body):
        self.head, self.sent = (status, headers), [body]

    def response_stream(self, status, headers):
        self.head = status, headers
        return self

    async def send_bytes(self, data):
        if len(self.sent) >= self.left:
            raise ConnectionResetError
        self.sent.append(data)


class Looks:
    """Answers look after look what it was made of; the last one again and again."""

    def __init__(self, task, token, *states):
        self.task, self.token, self.states, self.count = task, token, list(states), 0

    def __call__(self, tasks, known):
        assert tasks == {self.task}
        self.count += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state == "away":
            raise OSError
        good = known - {self.token} if state == "revoked" else known
        return {self.task: (state, f"id: {state}\n\n".encode(), state == "done")}, good


def serve(monkeypatch, *states, protocol=None, already=0):
    """Have a server answer one who follows; returns the protocol, the looks and the server."""
    monkeypatch.setattr(following, "EACH", 0.01)
    task, token = uuid4(), uuid4()
    protocol, looks = protocol or Protocol(), Looks(task, token, *states)

    def application(environ, start):
        start("200 OK", [("Content-Type", "text/event-stream"), ("Content-Length", "5"), (FOLLOW, f"{task} {token} a")])
        return [b"first"]

    async def run():
        server = rsgi.Server(application, threads=1, places=1)
        server.followers = Followers(looks)
        server.followers.there |= {following.Follower(task, token, "a") for _ in range(already)}
        scope = SimpleNamespace(
            method="GET", path="/api/v1/tasks/1/events", query_string="", scheme="http", http_version="1.1",
            server="127.0.0.1:8000", client="127.0.0.1:1", headers={},
        )  # fmt: skip
        async with asyncio.timeout(20):
            await server.__rsgi__(scope, protocol)
        return server

    return protocol, looks, loops.run(run())


def test_each_change_is_sent_once_until_the_task_has_ended(monkeypatch):
    protocol, _, server = serve(monkeypatch, "a", "b", "b", "away", "c", "done")
    assert protocol.sent == [b"first", b"id: b\n\n", b"id: c\n\n", b"id: done\n\n"]
    status, headers = protocol.head
    assert (status, [name for name, _ in headers]) == (200, ["Content-Type"])
    assert not server.followers.there


def test_what_is_silent_gives_signs_of_life_and_ends_by_its_time(monkeypatch):
    monkeypatch.setattr(following, "BEAT", 0.02)
    monkeypatch.setattr(following, "SECONDS", 0.3)
    protocol, _, server = serve(monkeypatch, "a")
    assert set(protocol.sent[1:]) == {following.ALIVE}
    assert not server.followers.there


def test_a_token_that_is_revoked_ends_it(monkeypatch):
    protocol, _, _ = serve(monkeypatch, "a", "revoked")
    assert len(protocol.sent) <= 2


def test_who_has_gone_is_followed_no_more(monkeypatch):
    _, _, server = serve(monkeypatch, "a", "b", "c", "d", protocol=Protocol(leaves_after=2))
    assert not server.followers.there


def test_one_too_many_is_told_the_first_event_alone(monkeypatch):
    protocol, looks, _ = serve(monkeypatch, "a", already=following.OF_ONE)
    assert (protocol.sent, looks.count) == ([b"first"], 0)
    assert FOLLOW not in dict(protocol.head[1])
