"""pgEdge's clients against the console and a real worker: each waits by its own rules (clients.py)."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from clusters.models import Attachment, Repository
from console.operations.models import Operation
from tests.api.callers import give
from tests.api.compatible.clients import CommandLine, Terraform, hold

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def below(tried):
    """Have `make test` wait below this prefix alone: test_surface finds the same calls below both."""
    return pytest.mark.parametrize(
        "prefix",
        [pytest.param(one, marks=() if one == tried else pytest.mark.thorough) for one in ("/v1", "/byoc/v1")],
    )


class Wire:
    """Sends as those clients do, and raises RuntimeError with the status and message of what is refused."""

    def __init__(self, prefix, client_id, secret):
        token = f"{'/v1' if prefix == '/v1' else '/account/v1'}/oauth/token"
        given = {"client_id": client_id, "client_secret": secret}
        told = Client().post(token, given, content_type="application/json").json()
        self.prefix, self.client = prefix, Client(headers={"Authorization": f"Bearer {told['access_token']}"})

    def __call__(self, method, path, body=None):
        data, path = b"" if body is None else json.dumps(body).encode(), f"{self.prefix}{path}"
        answer = self.client.generic(method, path, data, content_type="application/json")
        hold(answer.status_code, answer.get("Content-Type"), answer.content, method, path)
        if answer.status_code >= 400:
            raise RuntimeError(f"{answer.status_code} {answer.json()['message']}")
        assert answer.status_code == (204 if method == "DELETE" else 200)
        return answer.json() if answer.content else None


@pytest.fixture
def send(start_worker, alice, prefix):
    token, secret = give(alice, kind="client")
    start_worker()
    start_worker.wait_until_ready()
    return Wire(prefix, token.client_id, secret)


@below("/v1")
def test_terraform_applies_and_destroys_in_its_order(send, account, declared, stores):
    terraform = Terraform(send, pause=0.2)
    made = []
    for name in ("one", "two"):
        body = {"name": name, "cloud_account_id": str(account.pk), "region": "eu-west-1"}
        made.append(send("POST", "/backup-stores", body)["id"])
        terraform.wait(made[-1], "backup_store")
        assert send("GET", f"/backup-stores/{made[-1]}")["status"] == "available"
    body = {**declared, "backup_store_ids": made}
    cluster = send("POST", "/clusters", body)["id"]
    terraform.wait(cluster, "cluster")
    told = send("GET", f"/clusters/{cluster}")
    assert (told["status"], told["backup_store_ids"]) == ("available", made)
    # A second apply that changes one tag: null for what did not change.
    sent = {
        "regions": declared["regions"],
        "backup_store_ids": None,
        "firewall_rules": None,
        "nodes": [],
        "networks": [],
    }
    sent["resource_tags"] = {"team": "payments"}
    send("PATCH", f"/clusters/{cluster}", sent)
    terraform.wait(cluster, "cluster")
    again = send("GET", f"/clusters/{cluster}")
    assert again == {**told, "resource_tags": {"team": "payments"}, "updated_at": again["updated_at"]}
    # destroy: the cluster first, with its stores attached, then they.
    send("DELETE", f"/clusters/{cluster}")
    terraform.wait(cluster, "cluster")
    with pytest.raises(RuntimeError, match=r"^404 "):
        send("GET", f"/clusters/{cluster}")
    for store in made:
        send("DELETE", f"/backup-stores/{store}")
        terraform.wait(store, "backup_store")
        with pytest.raises(RuntimeError, match=r"^404 "):
            send("GET", f"/backup-stores/{store}")
    assert not Attachment.objects.exists()
    assert [bool(one.passphrase) for one in Repository.objects.all()] == [True, True]
    assert set(Operation.objects.values_list("state", flat=True)) == {"done"}


@below("/byoc/v1")
@pytest.mark.thorough  # like Terraform's above, which waits the same way
def test_the_command_line_attaches_and_detaches_and_reads_each_message_once(send, account, declared):
    line = CommandLine(send, pause=0.2)
    store = send("POST", "/backup-stores", {"name": "a", "cloud_account_id": str(account.pk), "region": "eu-west-1"})
    status, messages = line.wait(store["id"])
    assert status == "succeeded"
    assert len({(one["step"], one["status"]) for one in messages}) == len(messages) == 14
    cluster = send("POST", "/clusters", {**declared, "backup_store_ids": []})["id"]
    assert line.wait(cluster)[0] == "succeeded"
    for wanted in ([store["id"]], [store["id"]], []):
        before = line.newest(cluster)
        read = send("GET", f"/clusters/{cluster}")
        body = {name: value for name, value in read.items() if name not in {"id", "status", "created_at", "updated_at"}}
        send("PATCH", f"/clusters/{cluster}", {**body, "backup_store_ids": wanted})
        assert line.wait(cluster, before)[0] == "succeeded"
        assert send("GET", f"/clusters/{cluster}")["backup_store_ids"] == wanted
