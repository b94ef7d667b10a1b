"""Restored from a Copy: who sees what, who may say what, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from clusters.models import Cluster, Node
from console.accounts.sign_in import CONFIRMED_AT
from console.audit.models import AuditEvent
from console.cloud_accounts.models import Verification
from console.restoration import actions, findings
from console.restoration.models import FolderScan, NodeFile, RefusedReport, Restoration
from stores.models import DriftReport, Store, UnmanagedScan
from tests import factories
from tests.responses import HTMX, words_of
from tests.restoration.pasted import FILE
from tests.restoration.work import at_work

PATH = "/restoration/"


@pytest.fixture
def held(account):
    return at_work(account, "delete", "deleting")


@pytest.fixture
def begun(acme, held):
    actions.begin("A test said so")
    return Restoration.objects.get(organisation=acme)


def browser(person):
    client = Client()
    client.force_login(person)
    return client


def looked(restoration, content=()):
    """Have every account of the organisation looked through, with these buckets left over."""
    now = timezone.now()
    for account in restoration.organisation.cloud_accounts.all():
        for model, kept in ((Verification, []), (UnmanagedScan, list(content))):
            values = {"read_at": now, "tried_at": now, "content": kept, "error": ""}
            model.objects.update_or_create(cloud_account=account, defaults=values)


def leftover(pk, account, **values):
    return {
        "name": f"pgbk-{str(pk)[:8]}",
        "region": "eu-west-1",
        "created": "2026-11-01T00:00:00+00:00",
        "kind": "backup",
        "store_id": str(pk),
        "store_name": "fresh",
        **values,
    }


def found(restoration, member):
    member = member.memberships.get(organisation=restoration.organisation)
    return {one.key: one for one in findings.of(restoration, member).open}


def test_the_page_and_each_other_say_that_it_is_a_copy(begun, alice, bob, charlie):
    for person in (alice, bob):
        assert "1 member" not in words_of(browser(person).get("/stores/"))
        assert "This console was restored from a copy" in words_of(browser(person).get("/stores/"))
        page = words_of(browser(person).get(PATH))
        assert "A test said so" in page
        assert "is held back" in page
    assert "Let it go on" not in words_of(browser(bob).get(PATH))
    stranger = words_of(browser(charlie).get(PATH))
    assert "orders" not in stranger


def test_without_a_copy_there_is_nothing(as_alice, account):
    assert "was not restored from a copy" in words_of(as_alice.get(PATH))
    assert "restored from a copy:" not in words_of(as_alice.get("/stores/"))
    assert as_alice.get(f"{PATH}node-file/").status_code == 404
    assert as_alice.post(f"{PATH}end/").status_code == 404


def test_afterwards_the_page_says_when_it_ended(begun, held, as_alice):
    actions.dismiss()
    assert "The last comparison ended" in words_of(as_alice.get(PATH))
    assert "restored from a copy:" not in words_of(as_alice.get("/stores/"))


@pytest.mark.parametrize("verb", ["go-on", "give-up"])
def test_tasks_are_for_those_who_manage_stores(begun, held, alice, bob, charlie, verb):
    address = f"{PATH}tasks/{held.pk}/{verb}/"
    assert browser(bob).post(address).status_code == 403
    assert browser(charlie).post(address).status_code == 404
    held.refresh_from_db()
    assert held.due_at.year == 9999
    assert browser(alice).post(address, headers=HTMX).status_code == 204
    held.refresh_from_db()
    assert held.due_at.year != 9999
    assert browser(alice).post(address).status_code == 302  # pressed twice: a message, and no more


def test_going_on_asks_for_the_password_again(begun, held, as_alice):
    session = as_alice.session
    session[CONFIRMED_AT] = 0
    session.save()
    assert "/confirm/" in as_alice.post(f"{PATH}tasks/{held.pk}/go-on/")["Location"]
    assert "/confirm/" in as_alice.post(f"{PATH}end/")["Location"]


def test_accounts_are_settled_by_looking_and_never_by_words(begun, account, alice, as_alice):
    key = f"account {account.pk}"
    assert found(begun, alice)[key].waiting
    as_alice.post(f"{PATH}settle/", {"key": key})
    assert key in found(begun, alice)
    Verification.objects.filter(cloud_account=account).update(error="The key is none.", tried_at=timezone.now())
    assert "The key is none." in words_of(as_alice.get(PATH))
    looked(begun)
    assert key not in found(begun, alice)


def test_a_store_that_was_made_since_is_adopted_by_its_tags(begun, account, alice, bob, as_alice):
    pk = uuid4()
    looked(begun, [leftover(pk, account), leftover(pk, account, name="pgbk-log", kind="log")])
    [one] = [one for one in found(begun, alice).values() if one.kind == "unknown"]
    assert one.title == "fresh is not known here"
    page = as_alice.get(PATH).content.decode()
    assert f"/stores/orphans/{account.pk}/pgbk-{str(pk)[:8]}/adopt/" in page
    address = f"/stores/orphans/{account.pk}/pgbk-{str(pk)[:8]}/adopt/"
    assert browser(bob).get(address).status_code == 403
    assert as_alice.post(address, {"name": "fresh"}, headers=HTMX).status_code == 204
    assert Store.objects.get(pk=pk).bucket == f"pgbk-{str(pk)[:8]}"
    assert not [one for one in found(begun, alice).values() if one.kind == "unknown"]


def test_without_a_copy_a_tag_makes_no_store_one_s_own(account, acme, alice, as_alice):
    pk = uuid4()
    row = UnmanagedScan.objects.create(cloud_account=account, content=[leftover(pk, account)], read_at=timezone.now())
    assert row.pk
    address = f"/stores/orphans/{account.pk}/pgbk-{str(pk)[:8]}/adopt/"
    as_alice.post(address, {"name": "fresh"}, headers=HTMX)
    assert not Store.objects.filter(pk=pk).exists()


def test_where_two_organisations_share_an_account_nobody_adopts(begun, account, alice, charlie, as_alice):
    factories.account(charlie.organisations.get(), number=account.number)
    pk = uuid4()
    looked(begun, [leftover(pk, account)])
    as_alice.post(f"/stores/orphans/{account.pk}/pgbk-{str(pk)[:8]}/adopt/", {"name": "fresh"}, headers=HTMX)
    assert not Store.objects.filter(pk=pk).exists()
    assert [one.kind for one in found(begun, alice).values()].count("unknown") == 1


def test_a_store_that_is_gone_is_said_and_left(account, acme, alice, as_alice):
    store = factories.store(account, name="gone")
    Store.objects.update(created_at=timezone.now() - timedelta(days=1))
    actions.begin("A test said so")
    as_alice.force_login(alice)  # everybody was signed out
    begun = Restoration.objects.get(organisation=acme)
    key = f"store {store.pk}"
    assert found(begun, alice)[key].waiting
    line = {
        "key": "bucket",
        "label": "Bucket",
        "bucket": store.bucket,
        "log": False,
        "state": "gone",
        "wanted": "There",
    }
    line |= dict.fromkeys(("wanted_words", "words", "observed", "statement", "since"), "") | {"fixed": False}
    DriftReport.objects.update_or_create(store=store, defaults={"content": [line], "read_at": timezone.now()})
    assert "gone is gone" in words_of(as_alice.get(PATH))
    as_alice.post(f"{PATH}settle/", {"key": key})
    assert key not in found(begun, alice)
    assert Store.objects.filter(pk=store.pk).exists()
    assert "left by alice" in words_of(as_alice.get(PATH))
    assert AuditEvent.objects.filter(action="Settled what a copy did not know").count() == 1


def test_who_is_a_member_is_for_owners_to_say(begun, acme, alice):
    dora = factories.user("dora", acme, "admin")
    assert browser(dora).post(f"{PATH}settle/", {"key": "members"}).status_code == 403
    assert "members" in found(begun, alice)
    assert browser(alice).post(f"{PATH}settle/", {"key": "members"}).status_code == 302
    assert "members" not in found(begun, alice)


def test_it_ends_when_all_is_settled_and_not_before(begun, held, account, alice, bob, as_alice):
    assert browser(bob).post(f"{PATH}end/").status_code == 403
    looked(begun)
    as_alice.post(f"{PATH}end/")
    assert "2 of what was found are not settled yet" in words_of(as_alice.get(PATH))
    assert Restoration.objects.open().exists()
    as_alice.post(f"{PATH}settle/", {"key": "members"})
    as_alice.post(f"{PATH}tasks/{held.pk}/give-up/")
    as_alice.post(f"{PATH}end/")  # the store is there again, and has not been looked at
    assert Restoration.objects.open().exists()
    DriftReport.objects.update(read_at=timezone.now())
    assert as_alice.post(f"{PATH}end/")["Location"] == "/stores/"
    begun.refresh_from_db()
    assert begun.ended_by == alice


def test_everybody_is_signed_out(account, as_alice):
    assert as_alice.get("/stores/").status_code == 200
    actions.begin("A test said so")
    assert "/login/" in as_alice.get("/stores/")["Location"]


def test_what_is_settled_twice_or_invented_is_said(begun, as_alice):
    for key in ("nothing", "", "x" * 5000, "\x00"):
        as_alice.post(f"{PATH}settle/", {"key": key})
        assert "That has changed meanwhile" in words_of(as_alice.get(PATH))
    assert not begun.decisions.exists()


def test_looking_again_has_all_read_anew(begun, account, as_alice):
    looked(begun)
    UnmanagedScan.objects.update(due_at=None)
    as_alice.post(f"{PATH}look/")
    assert UnmanagedScan.objects.due().exists()


# Nodes


@pytest.fixture
def cluster(account):
    made = Cluster.objects.create(
        organisation=account.organisation, cloud_account=account, name="orders", state="available", nodes_made=1
    )
    at = timezone.now() - timedelta(hours=1)
    Node.objects.create(
        cluster=made, name="n1", region="eu-west-1", applied_sha256="a" * 64, reported_at=at, created_at=at
    )
    return made


def report(cluster, name="n1", token="wrong"):
    address = f"/clusters/{cluster.pk}/nodes/{name}/applied/"
    data = {"version": "2.45", "sha256": "b" * 64}
    return Client().post(address, data, headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_node_settles_itself_by_the_file_that_the_copy_knows(cluster, begun, alice, as_alice):
    node = Node.objects.get()
    silent = f"silent {node.pk}"
    assert found(begun, alice)[silent].waiting
    Node.objects.update(reported_at=timezone.now())
    assert not [key for key in found(begun, alice) if key.startswith(("silent", "node"))]
    Node.objects.update(applied_sha256="c" * 64)
    assert "n1 of orders has a file that is not known here" in words_of(as_alice.get(PATH))


def test_refused_reports_tell_of_nodes_and_tokens(cluster, begun, alice, as_alice):
    assert [report(cluster), report(cluster, "n7"), report(cluster, "n7"), report(cluster, "evil")] == [401] * 4
    assert RefusedReport.objects.count() == 2
    page = words_of(as_alice.get(PATH))
    assert "The reports of n1 of orders are refused" in page
    assert "n7 of orders is not known here" in page
    Node.objects.update(reported_at=timezone.now())
    assert "The reports of n1" not in words_of(as_alice.get(PATH))


def test_refused_reports_are_noted_while_copies_are_compared_only(cluster, acme):
    assert report(cluster) == 401
    assert not RefusedReport.objects.exists()


def test_refused_reports_are_bounded(cluster, begun, monkeypatch):
    monkeypatch.setattr(RefusedReport, "AT_MOST", 3)
    for number in range(1, 6):
        report(cluster, f"n{number}")
    assert RefusedReport.objects.count() == 3


def test_folders_of_no_cluster_are_told(cluster, begun, account, alice):
    store = factories.store(account, name="archive")
    rows = [cluster.prefix, "c-abcdefghijka"]
    FolderScan.objects.create(store=store, content=rows, read_at=timezone.now())
    assert [one.key for one in found(begun, alice).values() if one.kind == "folder"] == ["folder c-abcdefghijka"]


def test_a_file_is_kept_encrypted_until_a_worker_has_tried_it(begun, account, alice, bob, charlie, as_alice):
    address = f"{PATH}node-file/"
    given = {"cloud_account": account.pk, "text": FILE, "name": ""}
    assert browser(bob).post(address, given).status_code == 403
    assert browser(charlie).post(address, given, headers=HTMX).status_code == 404
    assert as_alice.post(address, given, headers=HTMX).status_code == 204
    as_alice.post(address, given)  # the same once more replaces it
    [row] = NodeFile.objects.all()
    assert (row.cluster_name, row.node, row.by) == ("ledger", "n2", alice)
    assert "first=with=signs" not in str(NodeFile.objects.values_list("content", "error", "details"))
    page = words_of(as_alice.get(PATH))
    assert "n2 of ledger" in page
    assert "first=with=signs" not in page


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("text", "", "Paste the files."),
        ("text", "nonsense", "does not begin as a pgbackrest.conf"),
        ("text", "x" * 70_000, "at most 65536 characters"),
        ("cloud_account", "", "Choose the account."),
        ("cloud_account", "0b1f6471-1bf0-4dda-aec3-44445555666a", "Choose an account from the list."),
        ("name", "x" * 90, "at most 60 characters"),
    ],
)
def test_a_file_is_refused_beside_its_field(begun, account, as_alice, field, value, says):
    given = {"cloud_account": account.pk, "text": FILE, "name": "", field: value}
    answer = as_alice.post(f"{PATH}node-file/", given, headers=HTMX)
    assert answer.status_code == 422
    assert says in words_of(answer)
    assert not NodeFile.objects.exists()
