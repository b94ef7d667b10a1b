"""Buckets that belong to no store: found, explained, adopted and forgotten, in an emulated Amazon."""

from __future__ import annotations

import threading
from dataclasses import replace
from uuid import uuid4

import boto3
import pytest
from django.db import connections
from django.test import Client

from console.audit.models import AuditEvent
from console.clouds.aws import storage as aws_storage
from console.clouds.contract import UnmanagedBucket
from console.clouds.naming import base32
from console.clouds.s3 import session as s3_session
from console.clouds.s3api import buckets, clients
from console.operations import snapshots
from console.operations.models import Operation
from stores import actions, unmanaged
from stores.models import IgnoredBucket, Store, UnmanagedScan
from tests import factories
from tests.clouds.s3_accounts import on
from tests.delivery import deliver
from tests.responses import HTMX, text_of


@pytest.fixture
def s3(amazon):
    """The administrator's own S3 client, beside the console's."""
    return boto3.client(
        "s3",
        region_name="eu-west-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )


@pytest.fixture
def made(account, alice, amazon):
    """A function that makes a store with its buckets."""

    def made(name="orders", region="eu-west-1", **promised):
        store = actions.create(account, name=name, region=region, by=alice, **promised)
        deliver(store.operation_id)
        store.refresh_from_db()
        assert store.state == "available"
        return store

    return made


def lose(store):
    """Take the row away, as a database that was restored from before the store lacks it."""
    Store.objects.filter(pk=store.pk).delete()
    return store


def make_bucket(s3, name, region="eu-west-1", **tags):
    tagged = {"Tags": [{"Key": f"storekeeper:{key.replace('_', '-')}", "Value": value} for key, value in tags.items()]}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region, **(tagged if tags else {})})


def scan(account):
    """Do what a worker does when somebody asked for it."""
    actions.scan_for_unmanaged(account)
    kept = UnmanagedScan.objects.get(cloud_account=account)
    snapshots.read("scan", kept.pk)
    kept.refresh_from_db()
    return kept


def listed(user, organisation):
    account_scans = unmanaged.account_scans(user.memberships.get(organisation=organisation))
    return {
        one.bucket.name: one
        for account_scan in account_scans
        for one in (*account_scan.unmanaged, *account_scan.forgotten)
    }


def path(account, bucket, verb):
    return f"/stores/orphans/{account.pk}/{bucket}/{verb}/"


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


def test_adopt_takes_the_store_back_with_what_is_in_it(account, as_alice, made, s3, amazon):
    store = made()
    s3.put_object(Bucket=store.bucket, Key="c-1/backup/x", Body=b"precious")
    s3.put_object(Bucket=store.log_bucket, Key="access/1", Body=b"log")
    lose(store)
    s3.put_bucket_logging(Bucket=store.bucket, BucketLoggingStatus={})
    scan(account)
    dialog = as_alice.get(path(account, store.bucket, "adopt"), headers=HTMX).content.decode()
    assert 'value="orders"' in dialog
    assert store.log_bucket in dialog
    answer = as_alice.post(path(account, store.bucket, "adopt"), {"name": "orders"}, headers=HTMX)
    assert answer.status_code == 204
    back = Store.objects.get()
    deliver(back.operation_id)
    back.refresh_from_db()
    assert (back.pk, back.bucket, back.log_bucket, back.region) == (
        store.pk,
        store.bucket,
        store.log_bucket,
        "eu-west-1",
    )
    assert back.state == "available"
    assert s3.get_object(Bucket=store.bucket, Key="c-1/backup/x")["Body"].read() == b"precious"
    assert s3.get_object(Bucket=store.log_bucket, Key="access/1")["Body"].read() == b"log"
    assert s3.get_bucket_logging(Bucket=store.bucket)["LoggingEnabled"]["TargetBucket"] == store.log_bucket
    assert "DeleteBucket" not in {operation for operation, _, _ in amazon.calls}
    assert AuditEvent.objects.filter(action="Adopted a backup store").exists()
    assert scan(account).content == []


@pytest.mark.parametrize("lock", [14, None])
@pytest.mark.parametrize("which", ["bucket", "log_bucket"])
def test_adopt_keeps_what_a_protected_store_promised(account, as_alice, made, s3, which, lock):
    store = lose(made(versions_days=40, lock_days=lock))
    scan(account)
    url = path(account, getattr(store, which), "adopt")
    dialog = text_of(as_alice.get(url, headers=HTMX))
    assert "versions are kept for 40 days" in dialog
    assert ("for 14 days (Object Lock, governance)" in dialog) is bool(lock)
    as_alice.post(url, {"name": "orders"}, headers=HTMX)
    back = Store.objects.get()
    assert (back.versions_days, back.lock_days) == (40, lock)
    deliver(back.operation_id)
    rules = s3.get_bucket_lifecycle_configuration(Bucket=store.bucket)["Rules"]
    assert [one["NoncurrentVersionExpiration"] for one in rules if one["ID"] == "expire-versions"] == [
        {"NoncurrentDays": 40}
    ]
    back.refresh_from_db()
    assert back.state == "available"


@pytest.mark.parametrize(
    ("versions", "lock", "promised"),
    [
        ("30", "14", (30, 14)),
        ("", "14", (None, None)),
        ("0", "0", (None, None)),
        ("36501", "1", (None, None)),
        ("30", "٣", (30, None)),
        ("-1", "x", (None, None)),
        ("9" * 200, "1", (None, None)),
    ],
)
def test_adopt_takes_no_nonsense_from_tags(account, as_alice, made, s3, versions, lock, promised):
    store = lose(made())
    tags = {"store-id": str(store.pk), "versions-days": versions, "lock-days": lock}
    tagged = [{"Key": f"storekeeper:{key}", "Value": value} for key, value in tags.items()]
    s3.put_bucket_tagging(Bucket=store.bucket, Tagging={"TagSet": tagged})
    scan(account)
    assert as_alice.post(path(account, store.bucket, "adopt"), {"name": "orders"}, headers=HTMX).status_code == 204
    assert Store.objects.values_list("versions_days", "lock_days").get() == promised


def test_adopt_makes_what_is_missing(account, as_alice, made, s3):
    store = lose(made())
    s3.delete_bucket(Bucket=store.bucket)
    scan(account)
    assert "not found; a new, empty one" in as_alice.get(path(account, store.log_bucket, "adopt")).content.decode()
    as_alice.post(path(account, store.log_bucket, "adopt"), {"name": "orders"})
    back = Store.objects.get()
    deliver(back.operation_id)
    assert {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]} == {store.bucket, store.log_bucket}


def test_adopt_takes_the_pair_that_was_found_under_another_name(account, as_alice, alice, acme, s3):
    """As where a name was taken, and the store got another one for that bucket."""
    pk = uuid4()
    Operation.objects.create(
        organisation=acme,
        subject_kind="store",
        subject_id=pk,
        subject_name="orders",
        verb="create",
        title="Create Backup Store",
        state="done",
        finished_at="2026-01-01T00:00:00Z",
    )
    log_name = buckets.global_names(pk)[1]
    for name in (f"pgbk-{'a' * 26}", log_name):
        make_bucket(s3, name, store_id=str(pk))
    scan(account)
    as_alice.post(path(account, log_name, "adopt"), {"name": "orders"})
    back = Store.objects.get()
    assert (back.bucket, back.log_bucket) == (f"pgbk-{'a' * 26}", log_name)


def test_adopt_refuses_a_name_that_is_taken_beside_the_field(account, as_alice, made):
    store = lose(made())
    factories.store(account, name="Orders")
    scan(account)
    answer = as_alice.post(path(account, store.bucket, "adopt"), {"name": "orders"}, headers=HTMX)
    assert answer.status_code == 422
    assert 'id="id_name_error"' in answer.content.decode()
    assert as_alice.post(path(account, store.bucket, "adopt"), {}, headers=HTMX).status_code == 422
    assert as_alice.post(path(account, store.bucket, "adopt"), {"name": "again"}, headers=HTMX).status_code == 204


def test_adopt_refuses_what_names_no_store_of_ours(account, as_alice, charlie, s3):
    theirs = factories.store(factories.account(charlie.organisations.get()), name="secret plans")
    name = f"pgbk-{'d' * 26}"
    make_bucket(s3, name, store_id=str(theirs.pk))
    scan(account)
    answer = as_alice.post(path(account, name, "adopt"), {"name": "mine"}, headers=HTMX)
    assert answer.status_code == 422
    assert "secret plans" not in answer.content.decode()
    assert Store.objects.get() == theirs


def test_history_of_another_organisation_is_none_of_ours(account, as_alice, charlie, made):
    store = lose(made())
    Operation.objects.update(organisation=charlie.organisations.get())
    scan(account)
    assert as_alice.post(path(account, store.bucket, "adopt"), {"name": "mine"}, headers=HTMX).status_code == 422
    assert not Store.objects.exists()


def test_adopt_is_refused_when_several_buckets_could_be_it(account, as_alice, made, s3):
    store = lose(made())
    s3.delete_bucket(Bucket=store.bucket)
    for letter in "ab":
        make_bucket(s3, f"pgbk-{letter * 26}", store_id=str(store.pk))
    scan(account)
    answer = as_alice.post(path(account, store.log_bucket, "adopt"), {"name": "orders"}, headers=HTMX)
    assert answer.status_code == 422
    assert "Several buckets" in answer.content.decode()


def test_adopt_waits_for_a_task_that_the_history_says_is_at_work(account, as_alice, made):
    store = lose(made())
    Operation.objects.update(state="running", finished_at=None)
    scan(account)
    answer = as_alice.post(path(account, store.bucket, "adopt"), {"name": "orders"}, headers=HTMX)
    assert answer.status_code == 422
    assert "Another task is working" in answer.content.decode()
    assert not Store.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_adopt_twice_at_once_makes_one_store(account, alice, made):
    store = lose(made())
    scan(account)
    clients = [Client(), Client()]
    for one in clients:
        one.force_login(alice)
    answers, gate = [], threading.Barrier(2)

    def post(client, bucket):
        gate.wait()
        try:
            answers.append(client.post(path(account, bucket, "adopt"), {"name": "orders"}, headers=HTMX).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=post, args=pair) for pair in zip(clients, store_buckets(store), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) in ([204, 404], [204, 422])
    assert Store.objects.get().pk == store.pk
    assert Operation.objects.unfinished().count() == 1


def store_buckets(store):
    return (store.bucket, store.log_bucket)


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
