"""What support staff find in the Django admin, and what they may do there by the product's own rules."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.utils import timezone

from clusters.models import Cluster, Database, Node, Stanza
from console.accounts import activity
from console.accounts.models import Organisation
from console.accounts.permissions import SUPPORT, SUPPORT_MAY
from console.audit.models import AuditEvent
from console.operations.actions import NotNow, release
from console.operations.models import Operation
from console.web.logs import Origin, origin
from stores import actions
from stores.models import State, Store
from tests import factories
from tests.responses import text_of

PLANTED = "planted-secret"


@pytest.fixture
def sue(db):
    return factories.support()


@pytest.fixture
def as_support(client, sue):
    client.force_login(sue)
    return client


@pytest.fixture
def running(account, alice):
    """A store that a worker is creating."""
    store = actions.create(account, name="orders", region="eu-west-1", by=alice)
    assert Operation.objects.claim(store.operation_id, "host-1:42:7")
    return store


def act(client, operation, name, **data):
    operation.refresh_from_db()
    url = f"/admin/operations/operation/{operation.pk}/{name}/"
    assert client.get(url).status_code == 200
    return client.post(url, {"fence": operation.fence, **data}, follow=True)


def notes(**values):
    mine = AuditEvent.objects.filter(actor_name="sue", **values).order_by("created_at")
    return list(mine.values_list("action", "outcome"))


def test_the_group_has_what_the_table_says_and_no_more(db):
    group = Group.objects.get(name=SUPPORT)
    group.permissions.add(*Group.permissions.rel.model.objects.filter(codename="change_user"))
    call_command("migrate", verbosity=0)
    has = {f"{one.content_type.app_label}.{one.codename}" for one in group.permissions.select_related("content_type")}
    views = {f"{m._meta.app_label}.view_{m._meta.model_name}" for m in apps.get_models()}
    assert {name for name in has if name not in views} == SUPPORT_MAY
    assert {"stores.view_store", "accounts.view_user", "clusters.view_node", "operations.view_operation"} <= has
    assert not {name for name in has if name.startswith(("auth.", "sessions.", "admin."))}


@pytest.mark.slow
def test_find_leads_to_everything(as_support, account, acme, alice):
    account.settings = {"role_arn": "arn:aws:iam::123456789012:role/acme/storekeeper", "external_id": "e"}
    account.save()
    store = factories.failed_store(account, name="payroll", details={"request_id": "4442587FB7D0A2F9"})
    cluster = Cluster.objects.create(organisation=acme, cloud_account=account, name="ledger", state="available")
    node = Node.objects.create(cluster=cluster, name="n1", region="eu-west-1")
    database = Database.objects.create(cluster=cluster, name="bookings", version="17", data_directory="/d")
    Stanza.objects.create(cluster=cluster, node=node, database=database, system_id="7300000000000000001")
    alice.email = "alice@example.com"
    alice.save()
    origin.set(Origin(request_id="req-0815"))
    activity.record("Looked", "something", organisation=acme, by=alice)
    origin.set(Origin())
    for query, kind, name in (
        (str(store.pk), "store", "payroll"),
        (store.pk.hex, "store", "payroll"),
        (store.bucket, "store", "payroll"),
        (store.log_bucket, "store", "payroll"),
        (store.identifier, "store", "payroll"),
        (f"{store.identifier}/archive/*", "store", "payroll"),
        (str(store.operation.pk), "operation", ": payroll"),
        ("4442587FB7D0A2F9", "operation", ": payroll"),
        (str(cluster.pk), "cluster", "ledger"),
        (f"pgbk-{cluster.prefix}", "cluster", "ledger"),
        (f"arn:aws:iam::123456789012:role/storekeeper/pgbk-{cluster.prefix}", "cluster", "ledger"),
        ("arn:aws:iam::123456789012:role/acme/storekeeper", "cloud account", "prod"),
        (account.number, "cloud account", "prod"),
        ("ledger", "node", "n1"),
        ("bookings", "stanza", "bookings on n1"),
        ("7300000000000000001", "stanza", "bookings on n1"),
        ("req-0815", "audit event", "alice: Looked: something"),
        ("alice@example", "user", "alice"),
        ("ALICE", "user", "alice"),
        (str(acme.pk), "organisation", "Acme"),
    ):
        found = as_support.get("/admin/find/", {"q": query}).context["found"]
        hits = [one for one in found if one.kind == kind and one.name.endswith(name)]
        assert hits, (query, found)
        assert hits[0].organisation == "Acme", query
        assert as_support.get(hits[0].url).status_code == 200, query
    assert [one.state for one in as_support.get("/admin/find/", {"q": store.bucket}).context["found"]] == ["Failed"]
    for nothing in ("", "no-such-thing", "\0", "arn:", "arn:aws:iam", "c-aaaaaaaaaaaa", "c-777777777777", "%", "'"):
        assert as_support.get("/admin/find/", {"q": nothing}).status_code == 200


def test_find_is_on_the_front_page_and_for_staff(as_support, client, alice):
    assert 'action="/admin/find/"' in as_support.get("/admin/").content.decode()
    client.force_login(alice)
    assert client.get("/admin/find/", {"q": "orders"}).status_code == 302


def test_find_shows_only_kinds_that_may_be_seen(client, account, db):
    factories.store(account, name="payroll")
    client.force_login(factories.user("newcomer", is_staff=True))
    assert client.get("/admin/find/", {"q": "payroll"}).context["found"] == []


def test_support_sees_no_secret(as_support, account, acme, alice):
    account.secrets = {"secret_access_key": PLANTED}
    account.save()
    cluster = Cluster.objects.create(
        organisation=acme, cloud_account=account, name="ledger", state="available", keys={"secret": PLANTED}
    )
    node = Node.objects.create(cluster=cluster, name="n1", region="eu-west-1", secrets={"report_token": PLANTED})
    for path in (
        f"cloud_accounts/cloudaccount/{account.pk}/change/",
        f"clusters/cluster/{cluster.pk}/change/",
        f"clusters/node/{node.pk}/change/",
        f"accounts/user/{alice.pk}/change/",
    ):
        page = as_support.get(f"/admin/{path}")
        assert page.status_code == 200, path
        assert PLANTED not in page.content.decode()
        assert "md5" not in page.content.decode()  # the hash of a password


def test_the_story_of_an_operation_is_on_one_page(as_support, account, acme, alice, sue):
    store = factories.failed_store(account, name="payroll", details={"request_id": "REQ123", "action": "s3:PutBucket"})
    operation = store.operation
    operation.requested_by, operation.fence = alice, 3
    operation.steps = [
        {
            "stage": 0,
            "title": "Creating the log bucket",
            "state": "failed",
            "started": "2026-11-23T08:00:00.000+00:00",
            "finished": "2026-11-23T08:00:01.500+00:00",
            "note": "AWS refused it, of course.",
        }
    ]
    operation.save()
    activity.record("Support: Try again", operation, organisation=acme, by=sue, after={"operation": str(operation.pk)})
    page = text_of(as_support.get(f"/admin/operations/operation/{operation.pk}/change/"))
    for word in (
        *("payroll", "Acme", "alice", "REQ123", "s3:PutBucket", "AWS refused it.", "3 times", "Try again"),
        *("Creating the log bucket", "1.50", "AWS refused it, of course.", "Support: Try again", "now failed"),
    ):
        assert word in page, word


def test_the_story_says_who_holds_it_and_what_it_waits_for(as_support, running):
    url = f"/admin/operations/operation/{running.operation_id}/change/"
    assert "host-1:42:7, until" in as_support.get(url).content.decode()
    Operation.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert "Its worker is gone." in as_support.get(url).content.decode()
    Operation.objects.update(state="waiting", retries=2, retry_note="AWS is slow.", retrying_since=timezone.now())
    assert "Waits for a free worker." in as_support.get(url).content.decode()
    Operation.objects.update(due_at=timezone.now() + timedelta(seconds=30))
    page = as_support.get(url).content.decode()
    assert "Waits to try again by itself." in page
    assert "2 retries in a row" in page
    assert "AWS is slow." in page


def test_a_released_lease_is_lost_and_free_when_it_would_have_run_out(running, sue):
    """Whatever the old worker writes, or wants to renew, changes nothing; and nobody goes on while it may be at it."""
    first = Operation.objects.get()
    old = Operation.objects.get()  # as the worker has it
    release(first)
    row = Operation.objects.values().get()
    assert not old.renew()
    assert not old.record([{"state": "done"}])
    assert not old.postpone(1, "later")
    assert not old.finish("done")
    assert not old.hand_back()
    assert Operation.objects.values().get() == row
    assert row["worker"] == ""
    assert Operation.objects.claim(first.pk, "another") is None  # its last call may be under way
    Operation.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert Operation.objects.in_turn() == [first.pk]
    assert Operation.objects.claim(first.pk, "another").fence == 3
    assert not old.renew()
    with pytest.raises(NotNow):
        release(first)  # which another worker holds by now


def test_support_releases_a_lease(as_support, running):
    page = act(as_support, running.operation, "release")
    assert "Release lease: Create Backup Store: orders" in page.content.decode()
    running.operation.refresh_from_db()
    assert (running.operation.worker, running.operation.fence, running.operation.state) == ("", 2, "running")
    assert "nobody; free at" in page.content.decode()
    act(as_support, running.operation, "release", fence="1")  # as an old page has it
    running.operation.refresh_from_db()
    assert running.operation.fence == 2
    assert notes(organisation=running.organisation) == [
        ("Support: Release lease", "done"),
        ("Support: Release lease", "refused"),
    ]


def test_support_tries_again_and_the_tenant_sees_it(as_support, account, alice):
    store = factories.failed_store(account)
    act(as_support, store.operation, "try-again")
    store.refresh_from_db()
    assert (store.state, store.operation.state, store.operation.requested_by.username) == ("creating", "waiting", "sue")
    act(as_support, store.operation, "try-again")  # it has not failed
    assert notes(organisation=account.organisation) == [
        ("Create Backup Store", "begun"),
        ("Support: Try again", "done"),
        ("Support: Try again", "refused"),
    ]


def test_support_tries_again_within_the_limit(as_support, account):
    Organisation.objects.update(operations_at_once=1)
    busy, store = factories.store(account, name="busy", state=State.CREATING), factories.failed_store(account)
    Operation.objects.create(
        organisation=account.organisation,
        subject_kind="store",
        subject_id=busy.pk,
        verb="create",
        state="running",
        due_at=timezone.now() + timedelta(seconds=20),
    )
    page = act(as_support, store.operation, "try-again")
    store.refresh_from_db()
    assert Operation.objects.claim(store.operation_id, "w") is None
    page = as_support.get(f"/admin/operations/operation/{store.operation_id}/change/")
    assert "Waits for its turn" in page.content.decode()


def test_support_cancels_by_the_rules(as_support, account, running):
    page = act(as_support, running.operation, "cancel")  # a creation cannot be undone
    assert "Nothing is working on orders that could be cancelled." in page.content.decode()
    gone = factories.store(account, name="gone")
    actions.delete(gone, by=None)
    steps = gone.operation.steps
    next(step for step in steps if step["point_of_no_return"])["state"] = "done"
    Operation.objects.filter(pk=gone.operation_id).update(steps=steps)
    assert "It is too late to cancel" in act(as_support, gone.operation, "cancel").content.decode()
    store = factories.store(account, name="kept")
    actions.delete(store, by=None)
    act(as_support, store.operation, "cancel")
    store.operation.refresh_from_db()
    assert (store.operation.cancel, store.operation.cancelled_by.username) == ("wanted", "sue")
    assert [outcome for _, outcome in notes(action="Support: Cancel")] == ["refused", "refused", "done"]


def test_support_acts_only_on_the_last_operation_of_what_is_there(as_support, account):
    store = factories.failed_store(account)
    old = store.operation
    act(as_support, old, "try-again")
    assert "has a newer task" in act(as_support, old, "try-again").content.decode()
    Store.objects.all().delete()
    assert "is gone" in act(as_support, old, "try-again").content.decode()
    Operation.objects.filter(pk=old.pk).update(verb="unheard-of")
    assert as_support.get(f"/admin/operations/operation/{old.pk}/change/").status_code == 200
    assert "is gone" in act(as_support, old, "cancel").content.decode()


@pytest.mark.parametrize("name", ["try-again", "release", "cancel"])
def test_acts_are_for_who_may(client, running, name):
    url = f"/admin/operations/operation/{running.operation_id}/{name}/"
    before = Operation.objects.values().get()
    newcomer = factories.user("newcomer", is_staff=True)
    newcomer.user_permissions.add(*Group.permissions.rel.model.objects.filter(codename="view_operation"))
    client.force_login(newcomer)
    page = client.get(f"/admin/operations/operation/{running.operation_id}/change/")
    assert page.status_code == 200
    assert url not in page.content.decode()
    assert client.post(url, {"fence": "1"}).status_code == 403
    client.force_login(factories.support())
    assert client.post(url, {"fence": "no"}).status_code == 422
    assert client.get(f"/admin/operations/operation/{running.pk}/{name}/").status_code == 404
    assert Operation.objects.values().get() == before
