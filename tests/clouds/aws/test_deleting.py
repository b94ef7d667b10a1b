"""How AWS takes a store away, and puts logging back when it may not."""

import json

import pytest
from botocore.stub import Stubber

from console.clouds.s3api import buckets
from console.clouds.steps import Failed, NotReady, Refused, TooLate
from tests.clouds import plans
from tests.clouds.aws.specs import AWS, READS, make_spec, names, s3, state
from tests.clouds.plans import run, steps


@pytest.fixture
def store(amazon):
    spec = make_spec(complete=True)
    run(plans.creation(AWS), spec)
    amazon.calls.clear()
    return spec


def empty(spec, bucket):
    client = s3(spec)
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    page = client.list_object_versions(Bucket=bucket)
    for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
        client.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


def test_remove_deletes_the_backup_bucket_first(amazon, store):
    run(plans.deletion(AWS), store)
    assert [call.bucket for call in amazon.calls if call.operation == "DeleteBucket"] == [
        store.bucket,
        store.log_bucket,
    ]
    assert names(store) == set()


def test_remove_refuses_objects(amazon, store):
    for number in range(3):
        s3(store).put_object(Bucket=store.bucket, Key=f"k{number}", Body=b"1")
    before = state(store)
    with pytest.raises(Refused, match=r"holds 3 objects\. Empty it in AWS, then delete the store again") as raised:
        run(plans.deletion(AWS), store)
    assert raised.value.details["commands"].startswith(f"aws s3 rm s3://{store.bucket} --recursive")
    assert "delete-objects" not in raised.value.details["commands"]
    assert state(store) == before
    empty(store, store.bucket)
    run(plans.deletion(AWS), store)
    assert names(store) == set()


def test_remove_counts_versions_markers_and_uploads(amazon, store):
    client = s3(store)
    client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a", "a", "b", "c", "d"):
        client.put_object(Bucket=store.bucket, Key=key, Body=b"1")
    client.delete_object(Bucket=store.bucket, Key="d")
    client.create_multipart_upload(Bucket=store.bucket, Key="e")
    with pytest.raises(Refused) as raised:
        run(plans.deletion(AWS), store)
    assert "holds 3 objects, 3 older versions, 1 delete marker and 1 unfinished upload." in raised.value.message
    assert "[Versions, DeleteMarkers][]" in raised.value.details["commands"]
    assert "abort-multipart-upload" in raised.value.details["commands"]
    empty(store, store.bucket)
    run(plans.deletion(AWS), store)


def test_remove_refuses_unfinished_uploads(amazon, store):
    s3(store).create_multipart_upload(Bucket=store.bucket, Key="e")
    with pytest.raises(Refused, match="still holds 1 unfinished upload"):
        run(plans.deletion(AWS), store)


def test_remove_says_so_when_there_are_more(amazon, store, monkeypatch):
    monkeypatch.setattr(buckets, "PAGE", 2)
    for number in range(3):
        s3(store).put_object(Bucket=store.bucket, Key=f"k{number}", Body=b"1")
    with pytest.raises(Refused, match="still holds more than 2 objects"):
        run(plans.deletion(AWS), store)


def test_remove_turns_logging_on_again_when_a_backup_came_in_between(amazon, store):
    before = state(store)
    plans.check_empty(AWS, store)
    s3(store).put_object(Bucket=store.bucket, Key="late", Body=b"1")
    with pytest.raises(Refused, match="1 object"):
        plans.delete_backups(AWS, store)
    assert state(store) == before


def test_remove_turns_logging_on_again_after_a_deletion_that_got_stuck(amazon, store):
    before = state(store)
    amazon.inject("DeleteBucket", code="AccessDenied", status=403)
    with pytest.raises(Failed, match="s3:DeleteBucket"):
        run(plans.deletion(AWS), store)
    s3(store).put_object(Bucket=store.bucket, Key="late", Body=b"1")
    with pytest.raises(Refused):
        run(plans.deletion(AWS), store)
    assert state(store) == before


def test_remove_deletes_the_access_logs(amazon, store):
    client = s3(store)
    client.create_multipart_upload(Bucket=store.log_bucket, Key="m")
    for number in range(12):
        client.put_object(Bucket=store.log_bucket, Key=f"access/{number}", Body=b"1")
    run(plans.deletion(AWS), store)
    assert names(store) == set()


def test_remove_deletes_versioned_access_logs(amazon, store):
    client = s3(store)
    client.put_object(Bucket=store.log_bucket, Key="null", Body=b"1")
    client.put_bucket_versioning(Bucket=store.log_bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(3):
        client.put_object(Bucket=store.log_bucket, Key="a", Body=b"1")
    client.delete_object(Bucket=store.log_bucket, Key="a")
    run(plans.deletion(AWS), store)
    assert names(store) == set()


def test_remove_waits_for_late_logs(amazon, store):
    amazon.inject("DeleteBucket", code="BucketNotEmpty", status=409, bucket=store.log_bucket)
    with pytest.raises(NotReady, match="late access logs") as raised:
        run(plans.deletion(AWS), store)
    assert raised.value.patience == 3600
    run(plans.deletion(AWS), store)


@pytest.mark.parametrize("done", range(7))
def test_remove_after_a_half_made_creation(amazon, done):
    spec = make_spec()
    for step in steps(plans.creation(AWS))[:done]:
        step.run(spec)
    run(plans.deletion(AWS), spec)
    assert names(spec) == set()


def test_remove_without_the_backup_bucket(amazon, store):
    s3(store).delete_bucket(Bucket=store.bucket)
    run(plans.deletion(AWS), store)
    assert names(store) == set()


def test_remove_leaves_a_complete_stores_bucket_alone_when_its_tag_is_gone(amazon, store):
    s3(store).delete_bucket_tagging(Bucket=store.log_bucket)
    with pytest.raises(Failed, match=f"storekeeper:store-id={store.id}"):
        plans.delete_logs(AWS, store)
    assert store.log_bucket in names(store)


def test_remove_says_which_log_could_not_be_deleted(amazon, store):
    s3(store).put_object(Bucket=store.log_bucket, Key="a", Body=b"1")
    amazon.inject("DeleteObjects", code="AccessDenied", status=403)
    with pytest.raises(Failed) as raised:
        plans.delete_logs(AWS, store)
    assert json.loads(raised.value.details["statement"])["Resource"] == f"arn:aws:s3:::{store.log_bucket}/*"
    with Stubber(s3(store)) as answers:  # DeleteObjects answers 200 even when it deleted nothing
        tags = [{"Key": "storekeeper:store-id", "Value": str(store.id)}]
        answers.add_response("get_bucket_tagging", {"TagSet": tags})
        answers.add_response("list_object_versions", {"Versions": [{"Key": "a", "VersionId": "null"}]})
        refused = {"Key": "a", "Code": "AccessDenied", "Message": "Access Denied"}
        answers.add_response("delete_objects", {"Errors": [refused]})
        with pytest.raises(Failed, match="refused s3:DeleteObject"):
            plans.delete_logs(AWS, store)


def test_remove_goes_on_later_when_there_are_many_logs(amazon, store, monkeypatch):
    monkeypatch.setattr(buckets, "PAGES_PER_RUN", 1)
    s3(store).put_object(Bucket=store.log_bucket, Key="a", Body=b"1")
    with pytest.raises(NotReady, match="there are many"):
        plans.delete_logs(AWS, store)
    plans.delete_logs(AWS, store)


def test_restore_puts_logging_back_twice_over(amazon, store):
    before = state(store)
    amazon.inject("DeleteBucket", code="AccessDenied", status=403)
    with pytest.raises(Failed):
        run(plans.deletion(AWS), store)
    assert state(store) != before
    for _ in range(2):
        run(plans.cancellation(AWS), store)
        assert state(store) == before


@pytest.mark.parametrize("tag", ["", "another"])
def test_restore_touches_no_bucket_that_is_not_the_stores(amazon, store, tag):
    """Without its tag it cannot be told whose it is; with another's, the store's own bucket is gone."""
    s3(store).delete_bucket_tagging(Bucket=store.bucket)
    if tag:
        tags = [{"Key": "storekeeper:store-id", "Value": tag}]
        s3(store).put_bucket_tagging(Bucket=store.bucket, Tagging={"TagSet": tags})
    amazon.calls.clear()
    with pytest.raises(TooLate if tag else Failed):
        run(plans.cancellation(AWS), store)
    assert {call.operation for call in amazon.calls} <= READS


def test_remove_but_logs_leaves_nothing_that_takes_new_logs(amazon, store):
    for _ in range(2):
        run(plans.deletion_but_logs(AWS), store)
    assert names(store) == {store.log_bucket}
    assert not plans.clear_logs(AWS, store, False)
    empty(store, store.log_bucket)
    assert plans.clear_logs(AWS, store, True)
    assert plans.clear_logs(AWS, store, True)
    assert names(store) == set()


def test_remove_but_logs_after_a_half_made_creation(amazon):
    spec = make_spec()
    run(plans.deletion_but_logs(AWS), spec)
    assert plans.clear_logs(AWS, spec, False)  # there is none
