"""Protected stores: what they promise, what that costs, and that it is never weakened."""

from __future__ import annotations

import json
from datetime import date

import pytest
from django.db import IntegrityError
from django.utils import timezone

from clusters import actions as clusters
from stores import actions
from stores.models import State, Store
from stores.protection import Protection
from tests import factories
from tests.delivery import deliver
from tests.responses import HTMX, text_of
from tests.stores.conftest import again, check, settled, work


@pytest.fixture
def store(amazon, account, alice):
    """A store that keeps versions for 30 days and is locked for 14."""
    made = actions.create(account, name="vault", region="eu-west-1", versions_days=30, lock_days=14, by=alice)
    work(made)
    settled()
    return again(made)


def test_a_protected_store_keeps_versions_and_is_locked(store, s3):
    assert s3.get_bucket_versioning(Bucket=store.bucket)["Status"] == "Enabled"
    lock = s3.get_object_lock_configuration(Bucket=store.bucket)["ObjectLockConfiguration"]
    assert lock["Rule"]["DefaultRetention"].items() >= {"Mode": "GOVERNANCE", "Days": 14}.items()
    rules = {one["ID"]: one for one in s3.get_bucket_lifecycle_configuration(Bucket=store.bucket)["Rules"]}
    assert rules["expire-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert rules["expire-versions"]["Expiration"] == {"ExpiredObjectDeleteMarker": True}
    assert "abort-mpu" in rules
    assert "Status" not in s3.get_bucket_versioning(Bucket=store.log_bucket)  # a locked bucket can receive no logs
    assert {line.state for line in check(store).drift_report.lines} == {"ok"}
    assert store.protection == "versions kept 30 days; Object Lock (governance) for 14 days"


def test_versions_without_a_lock(amazon, account, alice, s3):
    made = work(actions.create(account, name="vault", region="us-east-1", versions_days=7, by=alice))
    assert made.state == State.AVAILABLE
    titles = [step["title"] for step in made.operation.steps]
    assert titles[-1] == "Turning on versioning"
    assert "15 minutes" in made.operation.steps[-1]["note"]
    settled()
    assert {line.state for line in check(made).drift_report.lines} == {"ok"}


def test_the_nodes_of_a_protected_store_cannot_delete_versions(store, account, alice):
    cluster = clusters.create(account, name="orders", regions=["eu-west-1"], stores=[store], by=alice)
    deliver(cluster.operation_id)
    cluster.refresh_from_db()
    allowed = json.dumps(cluster.cloud.access.policy(cluster.spec()))
    assert "s3:PutObject" in allowed
    for action in ("DeleteObjectVersion", "BypassGovernanceRetention", "PutBucket", "PutObjectRetention", "*:", "s3:*"):
        assert action not in allowed


@pytest.mark.parametrize(
    ("weaken", "words"),
    [
        (
            lambda aws, bucket: aws.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
            ),
            "Versioning",
        ),
        (
            lambda aws, bucket: aws.put_object_lock_configuration(
                Bucket=bucket,
                ObjectLockConfiguration={
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
                },
            ),
            "Object Lock",
        ),
        (lambda aws, bucket: aws.delete_bucket_lifecycle(Bucket=bucket), "Lifecycle"),
    ],
)
def test_what_was_promised_is_not_accepted_otherwise(as_alice, store, s3, alice, weaken, words):
    weaken(s3, store.bucket)
    [line] = check(store).drift_report.drift
    assert line.label == words
    data = {"control": line.name, "seen": line.seen}
    as_alice.post(f"{store.get_absolute_url()}accept/", data, headers=HTMX)
    assert again(store).state == State.DEGRADED
    actions.repair(again(store), by=alice)
    work(store)
    settled()
    assert check(store).drift_report.drift == []


def test_a_repair_does_not_weaken_what_was_made_stronger(store, s3, alice):
    stronger = {"Mode": "GOVERNANCE", "Days": 90}
    s3.put_object_lock_configuration(
        Bucket=store.bucket,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": stronger}},
    )
    rules = s3.get_bucket_lifecycle_configuration(Bucket=store.bucket)["Rules"]
    for rule in rules:
        if rule["ID"] == "expire-versions":
            rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": 120}
    s3.put_bucket_lifecycle_configuration(Bucket=store.bucket, LifecycleConfiguration={"Rules": rules})
    s3.delete_bucket_policy(Bucket=store.bucket)
    found = check(store)
    assert [line.key for line in found.drift_report.drift] == ["policy"]
    actions.repair(found, by=alice)
    assert work(found).state == State.AVAILABLE
    kept = s3.get_object_lock_configuration(Bucket=store.bucket)["ObjectLockConfiguration"]
    assert kept["Rule"]["DefaultRetention"].items() >= stronger.items()


def test_a_second_rule_that_lets_versions_go_sooner_is_found(store, s3):
    rules = s3.get_bucket_lifecycle_configuration(Bucket=store.bucket)["Rules"]
    for rule in rules:
        days = {"expire-versions": 120, "abort-mpu": 1}[rule["ID"]]
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    s3.put_bucket_lifecycle_configuration(Bucket=store.bucket, LifecycleConfiguration={"Rules": rules})
    assert [line.key for line in check(store).drift_report.drift] == ["lifecycle"]


def test_a_lock_needs_versions(account):
    with pytest.raises(IntegrityError, match="a_lock_needs_versions"):
        factories.store(account, name="odd", lock_days=3)


# The dialog


@pytest.fixture
def form(account):
    """What the dialog sends for a protected store."""
    return {
        "provider": "aws",
        "name": "vault",
        "cloud_account": str(account.pk),
        "region": "eu-west-1",
        "protected": "on",
        "versions_days": "30",
        "lock_days": "14",
    }


def test_store_create_makes_a_protected_store(amazon, as_alice, form):
    assert as_alice.post("/stores/create/", form, headers=HTMX).status_code == 204
    store = Store.objects.get()
    assert (store.versions_days, store.lock_days) == (30, 14)
    assert "Object Lock (governance) for 14 days" in text_of(as_alice.get(store.get_absolute_url()))


def test_store_create_without_the_tick_keeps_no_versions(amazon, as_alice, form):
    del form["protected"]
    assert as_alice.post("/stores/create/", form, headers=HTMX).status_code == 204
    assert (Store.objects.get().versions_days, Store.objects.get().lock_days) == (None, None)


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"versions_days": ""}, "versions_days", "Say for how many days."),
        ({"versions_days": "0"}, "versions_days", "Enter at least one day."),
        ({"versions_days": "x"}, "versions_days", "Enter a whole number of days."),
        ({"lock_days": "36501"}, "lock_days", "Enter at most 36,500 days."),
        ({"lock_days": "-1"}, "lock_days", "Enter at least one day."),
    ],
)
def test_store_create_says_what_is_wrong_with_the_days(as_alice, form, change, field, words):
    answer = as_alice.post("/stores/create/", form | change, headers=HTMX)
    assert answer.status_code == 422
    assert answer.context["form"].errors[field] == [words]
    assert words in text_of(answer)
    assert not Store.objects.exists()


def test_a_server_without_versions_has_no_protected_stores(as_alice, acme, form):
    server = factories.server(acme, has="tags")
    data = form | {"provider": "s3", "cloud_account": str(server.pk), "region": "", "lock_days": ""}
    answer = as_alice.post("/stores/create/", data, headers=HTMX)
    assert answer.status_code == 422
    assert "keeps no versions" in answer.context["form"].errors["protected"][0]


# The calculator


def test_protection_says_what_it_costs():
    plain = Protection(versions=30, lock=14, retention=14)
    assert (plain.in_use, plain.held, plain.overhead, plain.window) == (21, 51, 143, 30)
    assert not plain.covers
    long_lock = Protection(versions=1, lock=60, retention=14)
    assert (long_lock.held, long_lock.overhead, long_lock.window, long_lock.covers) == (60, 186, 60, True)
    assert Protection(versions=7, lock=0, retention=21).overhead == 25


def test_protection_says_when_the_store_can_be_deleted():
    today = date(2026, 11, 23)
    assert Protection(versions=30, lock=14, retention=14).deletable(today) == date(2026, 12, 7)
    assert Protection(versions=30, lock=14, retention=14).empty(today) == date(2026, 12, 24)
    assert Protection(versions=7, lock=0, retention=14).deletable(today) == today


def test_calculator_answers_while_typing(as_alice, bob):
    days = {"versions_days": "30", "lock_days": "14", "retention_days": "14"}
    said = text_of(as_alice.get("/stores/calculator/", days, headers=HTMX))
    assert "about 143 %" in said
    assert "up to 21 days and locked for the first 14 of them" in said
    for nonsense in ({}, {"versions_days": "0"}, {"versions_days": "9" * 40}, {**days, "lock_days": "a"}):
        answer = as_alice.get("/stores/calculator/", nonsense, headers=HTMX)
        assert (answer.status_code, "Enter the days" in text_of(answer)) == (200, True)
    assert str(timezone.localdate().year) in said


def test_protection_draws_the_life_of_a_file():
    used, kept, locked = Protection(versions=29, lock=10, retention=13).bars
    assert (used.since, used.until, used.x, used.width) == (0, 20, 0, 40.82)
    assert (kept.since, kept.until, kept.x, kept.width) == (20, 49, 40.82, 59.18)
    assert (locked.until, locked.width) == (10, 20.41)
    assert [one.key for one in Protection(versions=1, lock=0, retention=14).bars] == ["used", "kept"]


def test_calculator_draws_it_for_who_asked(as_alice):
    days = {"versions_days": "30", "lock_days": "14", "retention_days": "14"}
    said = text_of(as_alice.get("/stores/calculator/", days))
    assert "Kept after its deletion: day 21 to 51" in said
    assert said.count('class="life-ground"') == 3
    assert "life-ground" not in text_of(as_alice.get("/stores/calculator/"))
