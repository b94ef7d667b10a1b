"""Buckets that belong to no store: found, explained, adopted and forgotten, in an emulated Amazon."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from console.clouds.aws import storage as aws_storage
from console.clouds.contract import UnmanagedBucket
from console.clouds.naming import base32
from console.clouds.s3 import session as s3_session
from console.clouds.s3api import clients
from console.operations import snapshots
from stores import actions, unmanaged
from stores.models import IgnoredBucket, Store, UnmanagedScan
from tests import factories
from tests.clouds.s3_accounts import on
from tests.delivery import deliver
from tests.responses import HTMX, text_of
from tests.stores.leftovers import listed, lose, make_bucket, path, scan


def test_scan_finds_what_has_no_store_on_every_page_and_in_every_region(
    account, alice, acme, made, s3, amazon, monkeypatch
):
    kept, lost, far = made(), lose(made("lost")), lose(made("far", "us-west-2"))
    make_bucket(s3, "our-own-bucket", store_id=str(lost.pk))  # a foreign name is never looked at
    amazon.calls.clear()
    monkeypatch.setattr(aws_storage, "PAGE", 2)
    assert scan(account).error == ""
    found = listed(alice, acme)
    assert found.keys() == {lost.bucket, lost.log_bucket, far.bucket, far.log_bucket}
    assert {found[far.bucket].bucket.region, found[lost.bucket].bucket.region} == {"us-west-2", "eu-west-1"}
    assert found[lost.log_bucket].bucket.kind == "log"
    assert found[lost.bucket].bucket.store_id == str(lost.pk)
    assert found[lost.bucket].created
    calls = [(operation, bucket) for operation, bucket, _ in amazon.calls]
    assert calls.count(("ListBuckets", "")) == 3  # six buckets, two on a page
    assert {bucket for operation, bucket in calls if operation == "GetBucketTagging"} == found.keys()
    assert {operation for operation, _ in calls} == {"ListBuckets", "GetBucketTagging"}  # nothing else is ever done
    assert kept.bucket not in found


@pytest.mark.parametrize("state", ["creating", "failed", "deleting", "degraded"])
def test_buckets_of_a_store_in_any_state_are_no_unmanaged(account, alice, acme, made, state):
    store = made()
    Store.objects.filter(pk=store.pk).update(state=state)
    assert scan(account).content == []


def test_a_store_that_came_since_the_scan_is_left_out(account, alice, acme, made, s3):
    store = factories.store(account)
    row = Store.objects.filter(pk=store.pk)
    Store.objects.filter(pk=store.pk).update(bucket="pgbk-elsewhere")
    make_bucket(s3, "pgbk-plain")
    scan(account)
    assert "pgbk-plain" in listed(alice, acme)
    row.update(bucket="pgbk-plain")
    assert listed(alice, acme) == {}


def test_tags_that_may_not_be_read_are_said_of_that_bucket_alone(account, alice, acme, made, amazon):
    lost = lose(made())
    amazon.inject("GetBucketTagging", code="AccessDenied", status=403, bucket=lost.bucket)
    assert scan(account).error == ""
    found = listed(alice, acme)
    assert "s3:GetBucketTagging" in found[lost.bucket].bucket.details["statement"]
    assert not found[lost.bucket].adoptable
    assert found[lost.log_bucket].adoptable


def test_a_region_that_does_not_answer_is_told_and_asked_once(account, alice, acme, made, amazon):
    far, near = lose(made("far", "us-west-2")), lose(made("near"))
    for name in (far.bucket, far.log_bucket):
        amazon.inject("GetBucketTagging", code="ServiceUnavailable", status=503, bucket=name, times=3)
    amazon.calls.clear()
    scan(account)
    found = listed(alice, acme)
    assert all(found[name].bucket.error for name in (far.bucket, far.log_bucket))
    assert not any(found[name].bucket.error for name in (near.bucket, near.log_bucket))
    asked = {bucket for operation, bucket, _ in amazon.calls if operation == "GetBucketTagging"}
    assert len(asked & {far.bucket, far.log_bucket}) == 1


def test_a_refused_list_names_the_permission_and_keeps_what_was_seen(account, as_alice, made, amazon):
    lost = lose(made())
    scan(account)
    amazon.inject("ListBuckets", code="AccessDenied", status=403)
    assert "s3:ListAllMyBuckets" in scan(account).details["statement"]
    page = as_alice.get("/stores/orphans/").content.decode()
    assert "s3:ListAllMyBuckets" in page
    assert lost.bucket in page


def test_every_account_is_swept_by_itself(account, db):
    factories.account(factories.organisation("Small", edition="developer"))
    assert [label for label, _ in snapshots.due() if label == "scan"] == ["scan"]
    assert UnmanagedScan.objects.get().cloud_account == account


def test_what_it_is_stands_in_words(account, alice, acme, charlie, made, s3):
    moved, stranger = made("moved"), uuid4()
    theirs = factories.store(factories.account(charlie.organisations.get()), name="secret plans")
    make_bucket(s3, f"pgbk-{'a' * 26}", store_id=str(stranger))
    make_bucket(s3, f"pgbk-{'b' * 26}")
    make_bucket(s3, "pgbk-something")
    make_bucket(s3, "pgbk-probe-0123456789abcdef-log")
    make_bucket(s3, f"pgbk-{'c' * 26}", store_id=str(moved.pk))
    make_bucket(s3, f"pgbk-{'d' * 26}", store_id=str(theirs.pk))
    make_bucket(s3, f"pgbk-{'e' * 26}", store_id="not an ID")
    scan(account)
    found = listed(alice, acme)
    what = {name.removeprefix("pgbk-")[:5]: one.what for name, one in found.items()}
    assert not any(one.adoptable for one in found.values())
    assert "never had" in what["aaaaa"]
    assert "no tag" in what["bbbbb"]
    assert "only begins like ours" in what["somet"]
    assert "link test" in what["probe"]
    assert "uses other buckets now" in what["ccccc"]
    assert found[f"pgbk-{'c' * 26}"].store == moved
    assert what["ddddd"] == what["aaaaa"].replace("Log", "Backup")
    assert "never had" in what["eeeee"]
    text = " ".join(what.values())
    assert "secret plans" not in text
    assert "Charlie" not in text


def test_forget_hides_and_remember_shows_again(account, as_alice, made, amazon):
    store = lose(made())
    scan(account)
    amazon.calls.clear()
    assert "2 buckets in prod belong to no store" in text_of(as_alice.get("/stores/"))
    for _ in range(2):
        assert as_alice.post(path(account, store.bucket, "forget"), headers=HTMX).status_code == 204
    assert IgnoredBucket.objects.get().by_name == "alice"
    assert "1 bucket in prod belongs to no store" in text_of(as_alice.get("/stores/"))
    page = as_alice.get("/stores/orphans/").content.decode()
    assert "1 forgotten" in page
    assert "Forgotten by alice" in page
    scan(account)
    assert "1 forgotten" in as_alice.get("/stores/orphans/").content.decode()
    as_alice.post(path(account, store.bucket, "remember"), headers=HTMX)
    assert not IgnoredBucket.objects.exists()
    assert {operation for operation, _, _ in amazon.calls} <= {"ListBuckets", "GetBucketTagging"}


def test_pages_ask_no_cloud(account, as_alice, made, amazon):
    lose(made())
    scan(account)
    amazon.calls.clear()
    for url in ("/stores/", "/stores/orphans/"):
        assert as_alice.get(url).status_code == 200
    as_alice.post(f"/stores/orphans/{account.pk}/look/")
    assert amazon.calls == []


def test_unmanaged_list_polls_until_it_was_looked(account, as_alice, amazon):
    assert "every 1s" not in as_alice.get("/stores/orphans/").content.decode()
    as_alice.post(f"/stores/orphans/{account.pk}/look/", headers=HTMX)
    assert "every 1s" in as_alice.get("/stores/orphans/").content.decode()
    snapshots.read("scan", UnmanagedScan.objects.get().pk)
    page = as_alice.get("/stores/orphans/").content.decode()
    assert "every 1s" not in page
    assert "belongs to a store" in page


def test_unmanaged_list_without_an_account(as_alice):
    assert "No linked account" in as_alice.get("/stores/orphans/").content.decode()


@pytest.mark.parametrize("number", [1, 20])
def test_unmanaged_list_asks_the_same_few_questions(account, as_alice, django_assert_num_queries, number):
    for n in range(number):
        other = factories.account(account.organisation, name=f"account-{n}")
        UnmanagedScan.objects.create(
            cloud_account=other,
            content=[{"name": f"pgbk-{n}", "region": "eu-west-1", "created": "", "kind": "", "store_id": str(uuid4())}],
        )
    # session, user, membership, accounts, known names (2), stores, history, forgotten, navigation pane
    with django_assert_num_queries(10):
        as_alice.get("/stores/orphans/")


@pytest.mark.parametrize("verb", ["adopt", "forget", "remember"])
def test_only_managers_change_anything_and_strangers_see_nothing(account, client, bob, charlie, made, verb):
    store = lose(made())
    scan(account)
    client.force_login(bob)
    assert client.post(path(account, store.bucket, verb)).status_code == 403
    page = client.get("/stores/orphans/").content.decode()
    assert store.bucket in page
    assert path(account, store.bucket, verb) not in page
    client.force_login(charlie)
    assert client.post(path(account, store.bucket, verb)).status_code == 404
    assert client.post(f"/stores/orphans/{account.pk}/look/").status_code == 404
    assert store.bucket not in client.get("/stores/orphans/").content.decode()
    assert not IgnoredBucket.objects.exists()


@pytest.mark.parametrize("verb", ["forget", "remember"])
def test_nothing_changes_by_looking(account, as_alice, made, verb):
    store = lose(made())
    scan(account)
    assert as_alice.get(path(account, store.bucket, verb)).status_code == 405
    assert as_alice.get(path(account, "pgbk-unknown", "adopt")).status_code == 404
    assert as_alice.get(f"/stores/orphans/{account.pk}/look/").status_code == 405


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_an_s3_server_is_swept_and_its_store_adopted(acme, alice, as_alice, object_server):
    given = on(object_server)
    account = factories.server(acme, **given.settings)
    account.number, account.secrets = given.number, dict(given.secrets)
    account.save()
    store = actions.create(account, name="cellar", region="us-east-1", by=alice)
    deliver(store.operation_id)
    s3 = s3_session.s3_client(account.credentials())
    s3.put_object(Bucket=store.bucket, Key="kept", Body=b"precious")
    s3.create_bucket(Bucket="pgbk-probe-0123456789abcdef")
    s3.create_bucket(Bucket="another-bucket")
    try:
        lose(store)
        assert scan(account).error == ""
        found = listed(alice, acme)
        assert {store.bucket, store.log_bucket, "pgbk-probe-0123456789abcdef"} <= found.keys()
        assert "another-bucket" not in found
        assert "link test" in found["pgbk-probe-0123456789abcdef"].what
        assert "--endpoint-url" in found[store.bucket].removal
        assert as_alice.post(path(account, store.bucket, "adopt"), {"name": "cellar"}, headers=HTMX).status_code == 204
        back = Store.objects.get(pk=store.pk)
        deliver(back.operation_id)
        back.refresh_from_db()
        assert back.state == "available"
        assert s3.get_object(Bucket=store.bucket, Key="kept")["Body"].read() == b"precious"
        # A server without tags: then the name says which store it was.
        lose(back)
        account.settings["has"] = account.settings["has"].replace("tags", "")
        account.save()
        scan(account)
        assert listed(alice, acme)[store.bucket].adoptable
    finally:
        s3.delete_object(Bucket=store.bucket, Key="kept")
        for name in (store.bucket, store.log_bucket, "pgbk-probe-0123456789abcdef", "another-bucket"):
            s3.delete_bucket(Bucket=name)
        clients.forget_clients()


def test_a_bucket_on_a_server_without_tags_is_explained_by_its_name(acme):
    """Its ID is in its name, and no tag can say more."""
    pk = uuid4()
    account = factories.server(acme, has="")
    found = UnmanagedBucket(f"pgbk-{base32(pk.bytes)}", "us-east-1", "", "backup", str(pk))
    explain = unmanaged._explainer(acme, False, [found])
    assert explain(found, account, None).proof == "name"
    assert "whose name is that of a store" in explain(found, account, None).what
    tagged = replace(found, store_name="Orders")
    assert explain(tagged, account, None).proof == "tag"
    assert "whose tag is that of a store" in explain(tagged, account, None).what
    assert explain(replace(found, name="pgbk-other"), account, None).proof == "tag"
