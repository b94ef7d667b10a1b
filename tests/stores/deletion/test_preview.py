"""What a deletion says before it begins, and what it may leave: counts by a worker, logs that expire by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import boto3
import pytest
from django.urls import reverse
from django.utils import timezone

from clusters.models import Cluster, Inventory
from console.clouds.s3api import buckets
from console.operations import snapshots
from console.operations.models import Operation
from stores import actions
from stores.models import DeletionPreview, Store
from tests.responses import HTMX
from tests.sampling import thorough_but
from tests.stores.deletion.dialogs import dialog, work


def counted(store):
    """Ask for the counts and do what a worker does."""
    snapshots.read("deletion_preview", actions.count(store).pk)
    return DeletionPreview.objects.get(store=store)


def fill(s3, bucket):
    """Put four objects, three older versions, two delete markers and two unfinished uploads into the bucket."""
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a", "b", "c", "d", "e", "f"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"12345")
    for key in ("e", "f"):
        s3.delete_object(Bucket=bucket, Key=key)
    for _ in range(2):
        s3.create_multipart_upload(Bucket=bucket, Key="half")


# --- Counting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_count_is_exact_on_any_number_of_pages(store, s3, monkeypatch, size):
    fill(s3, store.bucket)
    monkeypatch.setattr(buckets, "PAGE", size)
    found = counted(store).contents
    assert (found.objects, found.older, found.markers, found.uploads, found.size) == (4, 3, 2, 2, 35)
    assert not found.more
    assert not found.more_uploads
    assert found.counts == ("4 objects", "3 older versions", "2 delete markers", "2 unfinished uploads")


@pytest.mark.parametrize(
    ("bound", "size"), thorough_but(product((7, 8, 9, 10), (1, 3, 4, 9, 1000)), by=lambda cell: cell[0], of_each=2)
)
def test_count_stops_at_its_bound_and_says_so(store, s3, monkeypatch, amazon, bound, size):
    more = bound < 9
    fill(s3, store.bucket)
    monkeypatch.setattr(buckets, "PAGE", size)
    monkeypatch.setattr(buckets, "COUNT_AT_MOST", bound)
    amazon.calls.clear()
    found = counted(store).contents
    assert found.more is more
    if more:
        assert found.counts[0] == f"more than {bound} objects, older versions and delete markers"
    calls = [call.operation for call in amazon.calls].count("ListObjectVersions")
    assert calls <= -(-(bound + 1) // size)


def test_count_stops_at_its_bound_of_uploads(store, s3, monkeypatch):
    for number in range(5):
        s3.create_multipart_upload(Bucket=store.bucket, Key=f"half-{number // 2}")
    monkeypatch.setattr(buckets, "PAGE", 2)
    for bound, counts in ((4, "more than 4 unfinished uploads"), (5, "5 unfinished uploads")):
        monkeypatch.setattr(buckets, "COUNT_AT_MOST", bound)
        DeletionPreview.objects.all().delete()
        assert counted(store).contents.counts == (counts,)


def test_count_tells_how_far_it_is(store, s3, monkeypatch):
    fill(s3, store.bucket)
    monkeypatch.setattr(buckets, "PAGE", 3)
    told = []
    monkeypatch.setattr(DeletionPreview, "tell", lambda self, progress: told.append(progress))
    counted(store)
    assert told == ["3 versions so far", "6 versions so far", "9 versions so far"]


def test_count_of_an_empty_store_asks_no_more_than_it_must(store, amazon):
    amazon.calls.clear()
    deletion_preview = counted(store)
    assert deletion_preview.contents.is_empty
    assert deletion_preview.content["commands"] == ""
    assert [call.operation for call in amazon.calls] == [
        "GetBucketTagging",
        "ListObjectVersions",
        "ListMultipartUploads",
    ]


def test_count_of_a_bucket_that_is_gone_says_so(store, s3, as_alice):
    s3.delete_bucket(Bucket=store.bucket)
    assert not counted(store).contents.exists
    assert "Not there" in dialog(as_alice, store)


def test_count_never_looks_into_a_bucket_that_is_not_the_stores(store, s3, amazon):
    tags = [{"Key": "storekeeper:store-id", "Value": "another"}]
    s3.put_bucket_tagging(Bucket=store.bucket, Tagging={"TagSet": tags})
    amazon.calls.clear()
    assert not counted(store).contents.exists
    assert "ListObjectVersions" not in {call.operation for call in amazon.calls}


def test_count_that_is_denied_says_what_to_allow(store, s3, amazon, as_alice):
    amazon.inject("ListObjectVersions", code="AccessDenied", status=403)
    deletion_preview = counted(store)
    assert deletion_preview.contents is None
    page = dialog(as_alice, store)
    assert "could not be counted" in page
    assert "s3:ListBucketVersions" in page
    assert "What to add" in page


def test_count_is_asked_once_a_minute(store, amazon):
    counted(store)
    amazon.calls.clear()
    again = actions.count(store)
    snapshots.read("deletion_preview", again.pk)
    assert (again.is_awaited, amazon.calls) == (False, [])
    old = timezone.now() - timedelta(seconds=61)
    DeletionPreview.objects.update(wanted_at=old, tried_at=old)
    again = actions.count(store)
    wanted = again.wanted_at
    assert again.is_awaited
    assert actions.count(store).wanted_at == wanted  # still awaited: nobody asks for it again
    snapshots.read("deletion_preview", again.pk)
    assert amazon.calls
    assert not actions.count(store).is_awaited


def test_count_of_a_store_that_goes_meanwhile_ends_in_peace(store, monkeypatch):
    deletion_preview = actions.count(store)
    monkeypatch.setattr(DeletionPreview, "tell", lambda self, progress: DeletionPreview.objects.all().delete())
    snapshots.read("deletion_preview", deletion_preview.pk)
    assert not DeletionPreview.objects.exists()


def lock(account, amazon, alice, **retention):
    """Make a store whose backup bucket has Object Lock with this default retention, as an administrator would."""
    store = actions.create(account, name="locked", region="eu-west-1", by=alice)
    client = boto3.client(
        "s3",
        region_name="eu-west-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )
    client.create_bucket(
        Bucket=store.bucket,
        BucketNamespace="account-regional",
        ObjectLockEnabledForBucket=True,
        CreateBucketConfiguration={
            "LocationConstraint": "eu-west-1",
            "Tags": [{"Key": "storekeeper:store-id", "Value": str(store.pk)}],
        },
    )
    store = work(store)
    assert store.state == "available", store.operation.error
    rule = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}}
    client.put_object_lock_configuration(Bucket=store.bucket, ObjectLockConfiguration=rule)
    return store, client


@pytest.mark.parametrize(
    ("retention", "days", "words"),
    [
        ({"Mode": "GOVERNANCE", "Days": 14}, 14, "--bypass-governance-retention --delete"),
        ({"Mode": "COMPLIANCE", "Days": 3}, 3, "nobody can delete them before"),
        ({"Mode": "GOVERNANCE", "Years": 1}, 366, "--bypass-governance-retention --delete"),
    ],
)
def test_count_says_when_the_last_locked_version_is_free(account, amazon, alice, as_alice, retention, days, words):
    store, s3 = lock(account, amazon, alice, **retention)
    for _ in range(2):
        s3.put_object(Bucket=store.bucket, Key="a", Body=b"1")
    newest = max(one["LastModified"] for one in s3.list_object_versions(Bucket=store.bucket)["Versions"])
    deletion_preview = counted(store)
    assert deletion_preview.contents.free_at == newest + timedelta(days=days)
    assert words in deletion_preview.content["commands"]
    assert ("BypassGovernanceRetention" in deletion_preview.content["commands"]) is (retention["Mode"] == "GOVERNANCE")
    page = dialog(as_alice, store)
    assert "Locked until" in page
    assert retention["Mode"].lower() in page
    # The refusal of the worker says the same.
    actions.delete(store, by=alice)
    store = work(store)
    assert store.operation.state == "refused"
    until = f"{newest + timedelta(days=days):%Y-%m-%d %H:%M} UTC"
    assert f"Object Lock keeps versions until {until}." in store.operation.error
    assert words in store.operation.details["commands"]


def test_count_takes_no_lock_for_granted(account, amazon, alice):
    store, s3 = lock(account, amazon, alice, Mode="GOVERNANCE", Days=1)
    assert counted(store).contents.free_at is None  # nothing is in it
    s3.put_object(Bucket=store.bucket, Key="a", Body=b"1")
    DeletionPreview.objects.all().delete()
    assert counted(store).contents.lock == "governance"
    DeletionPreview.objects.update(content={"contents": {"locked_until": "2020-01-01T00:00:00+00:00"}, "commands": ""})
    assert DeletionPreview.objects.get().contents.free_at is None  # over


def test_refusal_comes_without_the_permission_to_read_the_lock(account, amazon, alice):
    store, s3 = lock(account, amazon, alice, Mode="GOVERNANCE", Days=1)
    s3.put_object(Bucket=store.bucket, Key="a", Body=b"1")
    amazon.inject("GetObjectLockConfiguration", code="AccessDenied", status=403, times=9)
    deletion_preview = counted(store)
    assert "s3:GetBucketObjectLockConfiguration" in deletion_preview.details["statement"]
    actions.delete(store, by=alice)
    assert work(store).operation.state == "refused"


def test_commands_name_the_versions_of_a_bucket_that_keeps_them(store, s3):
    """`aws s3 rm` would leave a delete marker and a version for each object."""
    s3.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=store.bucket, Key="a", Body=b"1")
    assert "[Versions, DeleteMarkers]" in counted(store).content["commands"]


# --- The dialog -----------------------------------------------------------------------------------------------------


def test_dialog_opens_without_asking_the_cloud_and_polls_until_it_is_counted(as_alice, store, s3, amazon):
    fill(s3, store.bucket)
    amazon.calls.clear()
    first = dialog(as_alice, store)
    assert not amazon.calls
    assert "Counting what it holds" in first
    assert first.count("every 1s") == 1
    url = reverse("stores:deletion_preview", args=[store.pk])
    assert url in first
    DeletionPreview.objects.get().tell("12,000 versions so far")
    polled = as_alice.get(url, headers=HTMX).content.decode()
    assert "12,000 versions so far" in polled
    assert 'name="name"' not in polled
    DeletionPreview.objects.update(held_until=None)
    counted(store)
    polled = as_alice.get(url, headers=HTMX).content.decode()
    assert "every 1s" not in polled
    for words in ("Objects", "Older versions", "Delete markers", "Unfinished uploads", "35", "Commands that empty"):
        assert words in polled
    assert f"aws s3api list-object-versions --bucket {store.bucket}" in polled


def test_dialog_shows_the_age_of_old_counts(as_alice, store):
    counted(store)
    assert "Counted" not in dialog(as_alice, store)
    old = timezone.now() - timedelta(minutes=5)
    DeletionPreview.objects.update(wanted_at=old, read_at=old, tried_at=old)
    page = dialog(as_alice, store)
    assert "Counted" in page
    assert "Counting what it holds" in page
    assert "The backup bucket is empty." in page  # the old counts stay until there are new ones


def test_dialog_says_when_there_is_more(as_alice, store, s3, monkeypatch):
    for number in range(3):
        s3.put_object(Bucket=store.bucket, Key=f"{number}", Body=b"1")
    monkeypatch.setattr(buckets, "COUNT_AT_MOST", 2)
    counted(store)
    assert "More than 2 objects; counting stopped there" in dialog(as_alice, store)


def test_dialog_names_who_uses_the_store_and_its_newest_backup(as_alice, store, account, alice):
    from clusters import actions as clusters_actions

    page = dialog(as_alice, store)
    assert "No cluster" in page
    assert "None was ever seen" in page
    cluster = clusters_actions.create(account, name="payroll", regions=["eu-west-1"], stores=[store], by=alice)
    backup = {"label": "20261101-000000F", "stopped": 1_793_500_000}
    Inventory.objects.create(
        repository=cluster.repositories.get(),
        content=[{"backups": [{**backup, "stopped": 1_700_000_000}, backup]}, {"backups": []}],
    )
    page = dialog(as_alice, store)
    assert f'href="{Cluster.objects.get().get_absolute_url()}"' in page
    assert "payroll" in page
    assert store.newest_backup_at == datetime.fromtimestamp(1_793_500_000, UTC)
    assert "stays, because it is in use" in page
    assert 'name="name"' not in page
    answer = as_alice.post(reverse("stores:delete", args=[store.pk]), {"name": store.name}, headers=HTMX)
    assert answer.status_code == 422
    assert "attachment to cluster payroll" in answer.content.decode()


def test_dialog_without_scripts_refreshes_nothing_by_itself(as_alice, store):
    """It would take away what was typed."""
    page = as_alice.get(reverse("stores:delete", args=[store.pk])).content.decode()
    assert "http-equiv" not in page
    assert "Look again" in page
    assert "http-equiv" in as_alice.get(reverse("stores:deletion_preview", args=[store.pk])).content.decode()


def test_every_url_is_for_managers(client, store, bob, charlie):
    urls = [("get", "deletion_preview"), ("post", "cancel")]
    for person, status in ((bob, 403), (charlie, 404)):
        client.force_login(person)
        for method, name in urls:
            assert getattr(client, method)(reverse(f"stores:{name}", args=[store.pk])).status_code == status
    assert not DeletionPreview.objects.exists()


def test_wrong_methods_are_refused(as_alice, store):
    assert as_alice.post(reverse("stores:deletion_preview", args=[store.pk])).status_code == 405
    assert as_alice.get(reverse("stores:cancel", args=[store.pk])).status_code == 405


# --- Cancelling -----------------------------------------------------------------------------------------------------


def test_cancel_button_is_there_while_it_can_be_done(as_alice, client, store, alice, bob):
    url = reverse("stores:cancel", args=[store.pk])
    assert url not in as_alice.get("/stores/").content.decode()
    actions.delete(store, by=alice)
    assert url in as_alice.get("/stores/").content.decode()
    answer = as_alice.post(url, headers=HTMX)
    assert (answer.status_code, "stores-changed" in answer["HX-Trigger"]) == (204, True)
    page = as_alice.get("/stores/").content.decode()
    assert url not in page
    assert "Being cancelled" in page
    assert Operation.objects.get(verb="delete").cancelled_by == alice
    store = work(Store.objects.with_story().get())
    assert store.state == "available"
    page = as_alice.get("/stores/").content.decode()
    assert "was cancelled" in page
    assert "Cancelled" in as_alice.get("/tasks/", {"state": "cancelled"}).content.decode()
    assert "Cancelled by" in as_alice.get(store.operation.get_absolute_url()).content.decode()


def test_cancel_is_not_shown_to_a_viewer(client, store, alice, bob):
    actions.delete(store, by=alice)
    client.force_login(bob)
    assert "Cancel deletion" not in client.get("/stores/").content.decode()


def test_cancel_that_came_too_late_says_so_on_the_page(as_alice, store, s3, amazon, alice):
    actions.delete(store, by=alice)
    amazon.inject("DeleteBucket", when="drop", bucket=store.bucket, times=3)
    amazon.inject("DeleteBucket", code="BucketNotEmpty", status=409, bucket=store.log_bucket)
    store = work(store)
    as_alice.post(reverse("stores:cancel", args=[store.pk]), headers=HTMX)
    store = work(store)
    assert (store.state, store.operation.cancel) == ("deleting", "too late")
    page = as_alice.get(store.get_absolute_url()).content.decode()
    assert "It is too late to cancel this" in page
    assert "is not there any more" in page


def test_cancel_of_nothing_is_told(as_alice, store):
    answer = as_alice.post(reverse("stores:cancel", args=[store.pk]), follow=True)
    assert "could be cancelled" in answer.content.decode()
