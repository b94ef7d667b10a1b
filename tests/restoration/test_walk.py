"""A copy, three hours of work, the copy restored: everything is in the console again, and nothing was deleted."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.utils import timezone

from clusters import actions as cluster_actions
from clusters.models import Cluster, Database, Node, Repository
from console.audit.models import AuditEvent
from console.operations.actions import cancel
from console.operations.models import Operation
from console.restoration import findings
from console.restoration.models import NodeFile, Restoration
from stores import actions
from stores.models import Store
from tests.cloud_accounts.linking import submit
from tests.responses import HTMX, words_of
from tests.restoration.work import Key, back_up, files_of, read_all, run, setup_of

NODES = ["eu-west-1"]


@pytest.fixture(autouse=True)
def reports_at_once(monkeypatch):
    monkeypatch.setattr("clusters.reports.receiving.APART", timedelta(0))


def store(account, name, by):
    made = actions.create(account, name=name, region="eu-west-1", by=by)
    assert run(made.operation_id) == "done"
    made.refresh_from_db()
    return made


def cluster(account, name, stores, by):
    made = cluster_actions.create(account, name=name, regions=NODES, stores=stores, by=by)
    folder = f"/var/lib/postgresql/15/{name}"
    Database.objects.create(cluster=made, name=name, version="15", data_directory=folder)
    assert run(made.operation_id) == "done"
    return made


def passphrases():
    return {(one.prefix, one.bucket): one.passphrase for one in Repository.objects.all()}


def report(text, **values):
    """Send what a node's report.sh, as it lies there, would send."""
    path = text.split("https://console.example.org")[1].split("applied/")[0] + "applied/"
    token = text.split("token() { echo ")[1].split(";")[0].strip("'")
    return Client().post(path, {"version": "2.45", **values}, headers={"Authorization": f"Bearer {token}"})


def open_kinds(alice, acme):
    current = Restoration.objects.open().get(organisation=acme)
    return sorted(one.kind for one in findings.of(current, alice.memberships.get()).open)


def test_three_hours_of_work_are_found_again(account, acme, alice, as_alice, amazon):
    key = Key(amazon, account)
    key.give(account)
    kept, gone, wanted = (store(account, name, alice) for name in ("kept", "gone", "wanted"))
    orders = cluster(account, "orders", [kept], alice)
    actions.delete(wanted, by=alice)  # at work while the copy is made, and cancelled afterwards
    Operation.objects.exclude(finished_at=None).update(finished_at=timezone.now() - timedelta(hours=1))
    copy = transaction.savepoint()

    # Three hours of work
    cancel(wanted, by=alice)
    assert run(Store.objects.get(pk=wanted.pk).operation_id) == "cancelled"
    fresh = store(account, "fresh", alice)
    ledger = cluster(account, "ledger", [fresh], alice)
    cluster_actions.update_stores(orders, stores=[kept, fresh], by=alice)
    assert run(Cluster.objects.get(pk=orders.pk).operation_id) == "done"
    cluster_actions.write_to(Node.objects.get(cluster=orders), choice="all", by=alice)
    actions.delete(gone, by=alice)
    run_until_done(gone)
    for repository in Repository.objects.all():
        back_up(amazon, repository, repository.cluster.name)
    key.give(account)
    given, ledgers = files_of(orders), files_of(ledger)
    then = passphrases()
    digest = setup_of(orders).sha256

    # The copy comes back
    transaction.savepoint_rollback(copy)
    account.refresh_from_db()
    assert not Store.objects.filter(name="fresh").exists()
    said = StringIO()
    call_command("reconcile", "--begin", stdout=said)
    assert "Begun for 1 organisation." in said.getvalue()
    as_alice.force_login(alice)  # everybody was signed out
    amazon.calls.clear()

    # The deletion that was cancelled is held back; nothing sends it
    held = Operation.objects.get(subject_id=wanted.pk, verb="delete")
    assert held.pk not in Operation.objects.in_turn()
    assert run(held.pk) == "waiting"

    # The copy's key was replaced since
    read_all()
    page = words_of(as_alice.get("/restoration/"))
    assert f"{account} cannot be looked through" in page
    new, hidden = key.replace()
    answer = submit(
        as_alice,
        f"{account.get_absolute_url()}change/",
        {"name": account.name, "access_key_id": new, "secret_access_key": hidden},
        headers=HTMX,
    )
    assert answer.status_code == 204, words_of(answer)
    as_alice.post("/restoration/look/")
    read_all()
    assert open_kinds(alice, acme).count("account") == 0

    # The store that was made since
    page = words_of(as_alice.get("/restoration/"))
    assert "fresh is not known here" in page
    assert "gone is gone" in page
    address = f"/stores/orphans/{account.pk}/{fresh.bucket}/adopt/"
    assert as_alice.post(address, {"name": "fresh"}, headers=HTMX).status_code == 204
    adopted = Store.objects.get(name="fresh")
    assert (adopted.pk, adopted.bucket, adopted.log_bucket) == (fresh.pk, fresh.bucket, fresh.log_bucket)
    assert run(adopted.operation_id) == "done"

    # Its clusters' folders, and the nodes' files
    as_alice.post("/restoration/look/")
    read_all()
    assert f"{ledger.prefix} is no known" in words_of(as_alice.get("/restoration/"))
    assert report(ledgers, sha256=setup_of(orders).sha256).status_code == 401
    for text in (given, ledgers):
        answer = as_alice.post(
            "/restoration/node-file/", {"cloud_account": account.pk, "text": text, "name": ""}, headers=HTMX
        )
        assert answer.status_code == 204, words_of(answer)
        read_all()
        brought = NodeFile.objects.order_by("-pk")[0]
        assert brought.taken_at, brought.error
        assert brought.entered == {}
        assert "n1 would be handed exactly the file that it has" in brought.content["notes"]
    assert passphrases() == then
    assert Cluster.objects.get(name="ledger").pk == ledger.pk
    assert setup_of(orders).sha256 == digest
    assert report(ledgers, sha256=setup_of(ledger).sha256).status_code == 200
    assert report(given, sha256=digest).status_code == 200

    # What is left is for people to say
    assert as_alice.post("/restoration/end/").status_code == 302
    assert Restoration.objects.open().exists()
    assert as_alice.post(f"/restoration/tasks/{held.pk}/give-up/").status_code == 302
    for one in (f"store {gone.pk}", "members"):
        as_alice.post("/restoration/settle/", {"key": one})
    read_all()
    assert open_kinds(alice, acme) == []
    as_alice.post("/restoration/end/")
    assert not Restoration.objects.open().exists()
    wanted.refresh_from_db()
    assert wanted.state == "available"
    assert {one.name for one in Store.objects.all()} == {"kept", "gone", "wanted", "fresh"}
    deleted = [operation for operation, _, _ in amazon.calls if operation.startswith("Delete")]
    assert deleted == ["DeleteAccessKey"]  # the administrator's
    assert AuditEvent.objects.filter(action="Adopted a backup store").exists()


def run_until_done(store):
    for _ in range(5):
        operation = Operation.objects.filter(subject_id=store.pk, verb="delete").get()
        if operation.state == "done":
            return
        Operation.objects.filter(pk=operation.pk).update(due_at="2000-01-01T00:00:00Z")
        run(operation.pk)
    raise AssertionError(operation.state)
