"""The server-sent events of a task, from the real web server with real workers."""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlsplit

import pytest
import storekeeper

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NAME = "events-orders"


@pytest.fixture
def client(demo):
    api = demo["api"]
    return storekeeper.Client(api["url"], client_id=api["client_id"], client_secret=api["client_secret"])


def follow(client, task, last=""):
    """Return the status, and the events with the seconds until each came, as `curl -N` would show them."""
    address = urlsplit(client.transport.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
    headers = {"Authorization": f"Bearer {client.credentials.bearer(client.transport)}"}
    began, found, fields = time.monotonic(), [], {}
    try:
        connection.request("GET", f"{task}/events", headers={**headers, **({"Last-Event-ID": last} if last else {})})
        answer = connection.getresponse()
        assert answer.status in {200, 204}, answer.read()
        for line in answer:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif fields.get("data"):
                found.append((time.monotonic() - began, fields.pop("id"), json.loads(fields.pop("data"))))
                fields = {}
        return answer.status, found
    finally:
        connection.close()


def test_each_change_of_a_task_comes_as_it_happens(client):
    account = next(one for one in client.list_cloud_accounts() if one["name"] == "Acme production")
    for _ in range(3):  # a worker that was very quick leaves nothing to follow
        begun = client.create_store(name=NAME, cloud_account_id=account["id"], region="eu-west-1")
        _, events = follow(client, begun.place)
        begun.wait(timeout=300)
        client.delete_store(begun.row["id"]).wait(timeout=300)
        if len(events) > 1:
            break
    first, last = events[0][2], events[-1][2]
    assert (first["is_finished"], last["is_finished"], last["state"]) == (False, True, "done")
    assert first["id"] == last["id"] == begun.task
    assert len({key for _, key, _ in events}) == len(events)
    assert events[0][0] < events[-1][0], "the first did not wait for the last"
    assert follow(client, begun.place, last=events[-1][1]) == (204, [])
