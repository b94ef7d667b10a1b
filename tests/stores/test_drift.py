"""What is wanted of both buckets, what is there, and what people decide about the difference."""

from __future__ import annotations

import json
from datetime import timedelta

import boto3
import pytest
from django.test import Client
from django.utils import timezone

from console.audit.models import AuditEvent
from console.operations import snapshots
from console.operations.snapshots import daily
from stores import actions, plans
from stores.control_status import ControlStatus
from stores.models import DriftReport, State
from tests import factories
from tests.responses import HTMX, text_of
from tests.stores.conftest import again, check, due, settled, work

CONTROLS = ("tags", "public_access_block", "ownership", "policy", "encryption", "lifecycle")
NAMES = [*(f"log.{key}" for key in CONTROLS), *(f"backup.{key}" for key in (*CONTROLS, "logging"))]
READS = ("Get", "List", "Head")


@pytest.fixture
def store(amazon, account, alice):
    """An available store, made a while ago."""
    made = actions.create(account, name="orders", region="eu-west-1", by=alice)
    work(made)
    settled()
    return again(made)


def tamper(s3, bucket, key):
    """Change one setting of a bucket behind the console's back."""
    glacier = [{"Days": 30, "StorageClass": "GLACIER"}]
    rule = {"ID": "cold", "Status": "Enabled", "Filter": {"Prefix": ""}, "Transitions": glacier}
    kms = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    partly = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": False}
    {
        "tags": lambda: s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "team", "Value": "blue"}]}),
        "public_access_block": lambda: s3.put_public_access_block(
            Bucket=bucket, PublicAccessBlockConfiguration={**partly, "RestrictPublicBuckets": False}
        ),
        "ownership": lambda: s3.put_bucket_ownership_controls(
            Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        ),
        "policy": lambda: s3.delete_bucket_policy(Bucket=bucket),
        "encryption": lambda: s3.put_bucket_encryption(
            Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [kms]}
        ),
        "lifecycle": lambda: s3.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [rule]}
        ),
        "logging": lambda: s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={}),
    }[key]()


WORDS = {
    "tags": "team=blue",
    "public_access_block": "Does not block public policies and public access by policy",
    "ownership": "ACLs on (ObjectWriter)",
    "policy": "No policy",
    "encryption": "SSE-KMS (aws:kms)",
    "lifecycle": "Moves objects to GLACIER",
    "logging": "Off",
}


def test_a_new_store_is_checked_soon_and_has_all_that_is_wanted(amazon, account, alice):
    store = work(actions.create(account, name="orders", region="eu-west-1", by=alice))
    assert store.drift_report.is_awaited
    [pk] = due("drift_report")
    snapshots.read("drift_report", pk)
    store = again(store)
    assert [line.name for line in store.drift_report.lines] == NAMES
    assert {line.state for line in store.drift_report.lines} == {"ok"}
    assert store.state == State.AVAILABLE
    assert not store.drift_report.is_awaited


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_that_differs_is_found_said_and_mended_alone(amazon, store, s3, alice, name):
    which, key = name.split(".")
    check(store)
    tamper(s3, store.log_bucket if which == "log" else store.bucket, key)
    found = check(store)
    assert found.state == State.DEGRADED
    [line] = found.drift_report.drift
    assert (line.name, line.words) == (name, WORDS[key])
    assert f"the {which if which == 'log' else 'backup'} bucket" in line.sentence
    before = len(amazon.calls)
    actions.repair(found, by=alice)
    mended = work(found)
    writes = [call.operation for call in amazon.calls[before:] if not call.operation.startswith(READS)]
    assert len(writes) == 1, writes
    assert (mended.state, mended.operation.state) == (State.AVAILABLE, "done")
    settled()
    assert {one.state for one in check(store).drift_report.lines} == {"ok"}


def test_tags_of_others_stay_when_ours_are_put_back(store, s3, alice):
    tamper(s3, store.bucket, "tags")
    found = check(store)
    actions.repair(found, by=alice)
    work(found)
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=store.bucket)["TagSet"]}
    assert tags["team"] == "blue"
    assert tags["storekeeper:store-id"] == str(store.pk)


def test_a_bucket_with_another_store_s_tag_is_not_touched(amazon, store, s3, alice):
    other = [{"Key": "storekeeper:store-id", "Value": "somebody-else"}]
    s3.put_bucket_tagging(Bucket=store.bucket, Tagging={"TagSet": other})
    tamper(s3, store.bucket, "policy")
    found = check(store)
    before = len(amazon.calls)
    actions.repair(found, by=alice)
    failed = work(found)
    assert (failed.state, failed.operation.state) == (State.DEGRADED, "failed")
    assert "carries the tag of another store, somebody-else" in failed.operation.error
    assert len(amazon.calls) > before
    assert all(call.operation.startswith(READS) for call in amazon.calls[before:])
    assert failed.can_retry


def test_since_is_when_it_was_first_seen_like_this(store, s3):
    first = check(store).drift_report.lines[0].since
    tamper(s3, store.bucket, "policy")
    differs = next(line.since for line in check(store).drift_report.drift)
    after = check(store).drift_report
    assert after.lines[0].since == first
    assert [line.since for line in after.drift] == [differs]
    assert differs > first


def test_a_deleted_log_bucket_is_said_and_made_again(store, s3, alice):
    s3.put_bucket_logging(Bucket=store.bucket, BucketLoggingStatus={})
    for one in s3.list_objects_v2(Bucket=store.log_bucket).get("Contents", []):
        s3.delete_object(Bucket=store.log_bucket, Key=one["Key"])
    s3.delete_bucket(Bucket=store.log_bucket)
    found = check(store)
    assert [line.sentence for line in found.drift_report.drift] == [
        f"The log bucket {store.log_bucket} was deleted.",
        f"Access logging of the backup bucket: Off. Wanted: Into {store.log_bucket}/access/.",
    ]
    actions.repair(found, by=alice)
    assert work(found).state == State.AVAILABLE
    settled()
    assert {line.state for line in check(store).drift_report.lines} == {"ok"}


@pytest.mark.parametrize("protected", [{}, {"versions_days": 30, "lock_days": 14}])
def test_a_bucket_that_is_made_again_gets_all_and_the_other_one_keeps_what_was_accepted(
    amazon, account, as_alice, alice, s3, protected
):
    made = work(actions.create(account, name="vault", region="eu-west-1", **protected, by=alice))
    settled()
    tamper(s3, made.log_bucket, "lifecycle")
    s3.delete_bucket(Bucket=made.bucket)
    found = check(made)
    lifecycle = next(line for line in found.drift_report.drift if line.key == "lifecycle")
    data = {"control": lifecycle.name, "seen": lifecycle.seen}
    as_alice.post(f"{made.get_absolute_url()}accept/", data, headers=HTMX)
    actions.repair(again(made), by=alice)
    assert work(made).state == State.AVAILABLE
    [kept] = s3.get_bucket_lifecycle_configuration(Bucket=made.log_bucket)["Rules"]
    assert kept["Transitions"]
    settled()
    after = check(made).drift_report
    assert [line.name for line in after.lines if line.state != "ok"] == ["log.lifecycle"]
    assert after.drift == []
    if protected:
        assert {"backup.versioning", "backup.object_lock"} <= {line.name for line in after.lines}


def test_a_bucket_that_may_not_be_seen_is_not_taken_for_deleted(amazon, as_alice, store):
    for read in ("Tagging", "Policy", "LifecycleConfiguration", "OwnershipControls", "Encryption", "Logging"):
        amazon.inject(f"GetBucket{read}", code="AccessDenied", status=403, times=2)
    amazon.inject("GetPublicAccessBlock", code="AccessDenied", status=403, times=2)
    found = check(store)
    assert {line.state for line in found.drift_report.lines} == {"unseen"}
    assert found.drift_report.drift == []
    assert found.state == State.AVAILABLE  # nothing is known against it
    page = text_of(as_alice.get(store.get_absolute_url()))
    assert "13 settings could not be seen" in page
    assert "s3:GetBucketPublicAccessBlock" in page
    amazon.clear_faults()


def test_the_last_known_stays_while_aws_cannot_be_asked(amazon, as_alice, store):
    before = check(store).drift_report
    amazon.inject("GetBucketTagging", code="ServiceUnavailable", status=503, times=10)
    after = check(store).drift_report
    assert (after.content, after.read_at) == (before.content, before.read_at)
    assert "busy" in after.error
    assert timedelta() < after.due_at - timezone.now() < timedelta(minutes=2)
    assert "did not come through" in text_of(as_alice.get(store.get_absolute_url()))
    amazon.clear_faults()


def test_what_was_just_set_may_not_be_shown_yet(amazon, account, alice, s3):
    """S3 is eventually consistent: a difference within two minutes of a change is looked at again first."""
    store = work(actions.create(account, name="orders", region="eu-west-1", by=alice))
    tamper(s3, store.bucket, "policy")
    soon = check(store)
    assert (soon.state, soon.drift_report.content) == (State.AVAILABLE, [])
    assert "may not show yet" in soon.drift_report.error
    settled()
    assert check(store).state == State.DEGRADED


# Deciding


def test_accept_holds_until_something_else_is_found(as_alice, store, s3, alice):
    tamper(s3, store.bucket, "encryption")
    [line] = check(store).drift_report.drift
    url = store.get_absolute_url()
    answer = as_alice.post(f"{url}accept/", {"control": line.name, "seen": line.seen}, headers=HTMX)
    assert answer.status_code == 204
    assert again(store).state == State.AVAILABLE
    assert AuditEvent.objects.filter(action="Accepted a deviation").count() == 1
    assert check(store).state == State.AVAILABLE
    assert "Accepted" in text_of(as_alice.get(url))
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms:dsse"}}
    s3.put_bucket_encryption(Bucket=store.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert check(store).state == State.DEGRADED


def test_reconsider_wants_it_again(as_alice, store, s3):
    tamper(s3, store.bucket, "encryption")
    [line] = check(store).drift_report.drift
    as_alice.post(f"{store.get_absolute_url()}accept/", {"control": line.name, "seen": line.seen}, headers=HTMX)
    as_alice.post(f"{store.get_absolute_url()}reconsider/", {"control": line.name}, headers=HTMX)
    assert again(store).state == State.DEGRADED
    assert AuditEvent.objects.filter(action__contains="deviation").count() == 2


def test_what_was_not_seen_is_not_accepted(as_alice, store, s3):
    tamper(s3, store.bucket, "encryption")
    [line] = check(store).drift_report.drift
    for control, seen in ((line.name, "0"), ("backup.tags", line.seen), ("", "")):
        data = {"control": control, "seen": seen}
        answer = as_alice.post(f"{store.get_absolute_url()}accept/", data, headers=HTMX, follow=True)
        assert answer.status_code == 204
    assert again(store).state == State.DEGRADED
    assert again(store).drift_report.accepted == {}


def test_repair_shows_the_change_first_and_makes_no_other(as_alice, store, s3):
    tamper(s3, store.bucket, "lifecycle")
    check(store)
    url = f"{store.get_absolute_url()}repair/"
    page = as_alice.get(url, headers=HTMX)
    assert "Moves objects to GLACIER" in text_of(page)
    assert "Drops unfinished uploads after 7 days" in text_of(page)
    seen = page.context["seen"]
    tamper(s3, store.bucket, "policy")  # and somebody looks again
    check(store)
    refused = as_alice.post(url, {"seen": seen}, headers=HTMX)
    assert refused.status_code == 422
    assert "has changed since this was shown" in text_of(refused)
    assert again(store).state == State.DEGRADED
    assert as_alice.post(url, {"seen": refused.context["seen"]}, headers=HTMX).status_code == 204
    assert again(store).state == State.REPAIRING
    assert work(store).state == State.AVAILABLE


def test_a_store_at_work_is_not_checked(as_alice, store, s3, alice):
    tamper(s3, store.bucket, "policy")
    found = check(store)
    actions.repair(found, by=alice)
    assert as_alice.post(f"{store.get_absolute_url()}verify/", headers=HTMX).status_code == 204
    assert "is not checked while it is repairing" in text_of(as_alice.get(store.get_absolute_url()))
    assert due("drift_report") == []


@pytest.mark.parametrize("verb", ["verify", "repair", "accept", "reconsider"])
def test_only_managers_decide(store, bob, charlie, verb):
    url = f"{store.get_absolute_url()}{verb}/"
    for user, status in ((bob, 403), (charlie, 404)):
        client = Client()
        client.force_login(user)
        assert client.post(url, headers=HTMX).status_code == status
    client = Client()
    client.force_login(bob)
    assert "Posture" in text_of(client.get(store.get_absolute_url()))
    if verb != "repair":
        assert client.get(url).status_code == 405


@pytest.mark.parametrize("verb", ["repair", "accept", "reconsider"])
def test_deciding_about_a_store_that_was_never_looked_at_changes_nothing(as_alice, account, verb):
    store = factories.store(account, name="orders", state="available")
    answer = as_alice.post(f"{store.get_absolute_url()}{verb}/", {"control": "backup.tags", "seen": "0"}, headers=HTMX)
    assert answer.status_code == (422 if verb == "repair" else 204)
    assert again(store).state == State.AVAILABLE


# Every day


def test_checks_are_spread_over_the_day(account):
    made = [DriftReport.objects.create(store=factories.store(account, name=f"s{n}")) for n in range(48)]
    hours = [daily(one.store_id) for one in made]
    assert all(timedelta(hours=12) <= one <= timedelta(hours=36) for one in hours)
    assert len({(timezone.now() + one).hour for one in hours}) > 12
    first = made[0]
    later = first.due_at + daily(first.store_id)
    assert abs((later - first.due_at) - hours[0]) < timedelta(seconds=2)


def test_no_more_than_four_of_an_account_are_read_at_once(account, acme):
    for number in range(6):
        DriftReport.objects.create(store=factories.store(account, name=f"s{number}"))
    other = factories.account(acme, name="other")
    DriftReport.objects.create(store=factories.store(other, name="elsewhere"))
    assert len(due("drift_report")) == 5
    held = DriftReport.objects.filter(store__cloud_account=account).order_by("pk")[:3]
    DriftReport.objects.filter(pk__in=[one.pk for one in held]).update(held_until=timezone.now() + timedelta(minutes=1))
    assert len(due("drift_report")) == 2


def test_missed_checks_are_shown(as_alice, store):
    check(store)
    long_ago = timezone.now() - timedelta(days=3)
    DriftReport.objects.update(read_at=long_ago, tried_at=long_ago)
    page = text_of(as_alice.get(store.get_absolute_url()))
    assert "The daily check is overdue" in page
    assert "Nobody has tried since" in page


@pytest.mark.parametrize("path", ["/stores/", ""])
def test_a_first_check_that_never_came_is_shown(as_alice, store, path):
    actions.verify(store)
    assert "overdue" not in text_of(as_alice.get(path or store.get_absolute_url()))
    DriftReport.objects.update(wanted_at=timezone.now() - timedelta(days=2))
    page = text_of(as_alice.get(path or store.get_absolute_url()))
    assert page.count("overdue: none has succeeded yet") == 1


def test_list_shows_what_is_wrong(as_alice, store, s3):
    tamper(s3, store.bucket, "policy")
    check(store)
    page = text_of(as_alice.get("/stores/"))
    assert "Degraded" in page
    assert "Bucket policy of the backup bucket: No policy" in page


@pytest.mark.slow
def test_a_real_server_s_settings_are_compared_and_mended(object_server, acme, alice):
    from console.cloud_accounts import actions as accounts

    settings = {
        "endpoint": object_server.endpoint,
        "region": object_server.region,
        "location": "frankfurt",
        "addressing_style": "path",
        "ca_certificate": object_server.ca_certificate,
        "access_key_id": object_server.access_key_id,
    }
    secrets = {"secret_access_key": object_server.secret_access_key}
    account = accounts.link(acme, provider="s3", name="cellar", settings=settings, secrets=secrets, by=None)
    store = work(actions.create(account, name="ledger", region=object_server.region, by=alice))
    settled()
    found = check(store)
    assert {line.state for line in found.drift_report.lines} == {"ok"}
    assert "backup.policy" in {line.name for line in found.drift_report.lines}
    wanted = next(line.wanted for line in found.drift_report.lines if line.name == "backup.policy")
    client = boto3.client(
        "s3",
        endpoint_url=object_server.endpoint,
        region_name=object_server.region,
        verify=str(object_server.ca_file),
        aws_access_key_id=object_server.access_key_id,
        aws_secret_access_key=object_server.secret_access_key,
    )
    client.delete_bucket_policy(Bucket=store.bucket)
    found = check(store)
    assert [line.name for line in found.drift_report.drift] == ["backup.policy"]
    actions.repair(found, by=alice)
    work(found)
    kept = json.loads(client.get_bucket_policy(Bucket=store.bucket)["Policy"])
    assert [one["Sid"] for one in kept["Statement"]] == [one["Sid"] for one in wanted["Statement"]]
    settled()
    assert check(store).drift_report.drift == []


@pytest.mark.slow
def test_a_store_comes_out_usable_without_what_its_server_refuses_work_with(object_server, acme, alice):
    from console.cloud_accounts import actions as accounts
    from tests.clouds.s3.oddities import PARTS, Closing, odd
    from tests.clouds.s3_accounts import FOUND, SEAWEED

    quirk = Closing()
    settings = {
        "endpoint": object_server.endpoint,
        "region": object_server.region,
        "location": "frankfurt",
        "addressing_style": "path",
        "ca_certificate": object_server.ca_certificate,
        "access_key_id": object_server.access_key_id,
    }
    secrets = {"secret_access_key": object_server.secret_access_key}
    with odd(quirk):
        account = accounts.link(acme, provider="s3", name="cellar", settings=settings, secrets=secrets, by=None)
        assert account.settings["has"] == f"{SEAWEED} public_access_block".replace(
            "ownership tags", "ownership public_access_block tags"
        ).removesuffix(" public_access_block")
        assert account.settings["breaks"] == FOUND["breaks"]
        quirk.culprits = ("BlockPublicAcls",)  # an upgrade, before the next verification
        store = work(actions.create(account, name="ledger", region=object_server.region, by=alice))
        assert store.state == State.AVAILABLE
        notes = [step["note"] for step in store.operation.steps if step["note"]]
        assert any("BlockPublicAcls" in note for note in notes)
        assert quirk.on[store.bucket] == quirk.on[store.log_bucket] == {*PARTS} - {"BlockPublicAcls"}
        settled()
        assert check(again(store)).drift_report.drift == []
        # A part that came on again is drift on this server, and its repair takes that away and nothing else.
        quirk.on[store.bucket] = {*PARTS}
        found = check(again(store))
        assert [line.name for line in found.drift_report.drift] == ["backup.public_access_block"]
        actions.repair(found, by=alice)
        assert work(found).state == State.AVAILABLE
        assert quirk.on[store.bucket] == {*PARTS} - {"BlockPublicAcls"}
        settled()
        assert check(again(store)).drift_report.drift == []


def test_a_store_whose_deletion_failed_can_be_kept(amazon, as_alice, store):
    amazon.inject("DeleteBucket", code="AccessDenied", status=403, times=9)
    actions.delete(store, by=None)
    failed = work(store)
    assert failed.state == State.FAILED
    amazon.clear_faults()
    url = f"{store.get_absolute_url()}repair/"
    assert "Keep the store" in text_of(as_alice.get(store.get_absolute_url()))
    page = as_alice.get(url, headers=HTMX)
    assert "get again all that they should have" in text_of(page)
    assert as_alice.post(url, {"seen": page.context["seen"]}, headers=HTMX).status_code == 204
    assert work(store).state == State.AVAILABLE
    settled()
    assert check(again(store)).drift_report.drift == []


def test_repair_speaks_in_the_clouds_own_words(acme):
    store = factories.store(factories.azure(acme), region="westeurope", state=State.DEGRADED)
    line = ControlStatus("tls", "TLS", store.bucket, False, "off", "TLS 1.2", "TLS 1.0", "a", "b", False, "", "")
    DriftReport.objects.create(store=store, content=[line.kept()])
    titles = [step.title for stage in plans.repair_plan(store) for step in stage]
    assert titles == [
        "Checking whose the log storage account is",
        "Checking whose the backup storage account is",
        "Setting TLS of the backup storage account",
    ]
