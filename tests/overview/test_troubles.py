"""What is wrong beside the verdicts, each found once, and gone when it is put right."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import Cluster, Repository
from console.accounts.models import Membership
from console.operations.models import Operation
from console.overview import troubles
from stores.models import Store
from tests import factories
from tests.clusters import judged

NOW = timezone.now


@pytest.fixture
def told(alice):
    """A function that gives the notices by key."""
    mine = Membership.objects.get(user=alice)
    return lambda: {one.key: one for one in troubles.notices(troubles.rows(mine), mine)}


def task(store, state="failed", age=0, **values):
    at = NOW() - timedelta(days=age)
    given = {"error": "It failed."} if state == "failed" else {}
    return Operation.objects.create(
        organisation=store.organisation, subject_kind="store", subject_id=store.pk, subject_name=store.name,
        verb="repair", title="Repair", state=state, finished_at=at, created_at=at, **given, **values,
    )  # fmt: skip


def test_nothing_is_wrong_with_what_is_well(told, account, dub):
    judged.cluster(account, stores=[dub])
    Repository.objects.update(kit_taken_at=NOW())
    task(dub, "done")
    assert told() == {}


def test_a_store_that_drifted(told, dub, iad):
    Store.objects.filter(pk=dub.pk).update(state="degraded")
    notice = told()["drift"]
    assert notice.title == "1 store has drifted"
    assert [one.url for one in notice.subjects] == [dub.get_absolute_url()]


def test_a_task_that_failed_is_told_for_a_week_or_until_another_follows(told, dub):
    failed = task(dub, age=6)
    assert told()["task"].subjects[0].url == failed.get_absolute_url()
    Operation.objects.filter(pk=failed.pk).update(finished_at=NOW() - timedelta(days=8))
    assert "task" not in told()
    Store.objects.filter(pk=dub.pk).update(state="failed", operation=failed)  # which still waits for it
    assert told()["task"].title == "1 task failed"
    Store.objects.filter(pk=dub.pk).update(state="available")
    again = task(dub, age=1)
    assert len(told()["task"].subjects) == 1
    task(dub, "done")
    assert "task" not in told()
    assert again.error


def test_clusters_that_back_up_nothing(told, account, dub):
    judged.cluster(account, "alone")
    judged.cluster(account, "empty", databases=(), stores=[dub])
    found = told()
    assert [one.name for one in found["no store"].subjects] == ["alone"]
    assert [one.name for one in found["no database"].subjects] == ["empty"]
    Cluster.objects.update(state="deleting")
    assert {*told()} == set()


def test_a_store_that_is_being_detached_is_none(told, account, dub):
    cluster = judged.cluster(account, stores=[dub])
    assert "no store" not in told()
    cluster.attachments.update(state="detaching")
    assert "no store" in told()


def test_a_key_that_nodes_have_not_taken_up(told, account, dub):
    cluster = judged.cluster(account, stores=[dub], key_replaced_at=NOW() - timedelta(days=6))
    assert "old key" not in told()
    Cluster.objects.filter(pk=cluster.pk).update(key_replaced_at=NOW() - timedelta(days=8))
    assert told()["old key"].subjects[0].name == "orders"


def test_a_kit_that_nobody_saved(told, account, dub, iad):
    judged.cluster(account, stores=[dub, iad])
    Repository.objects.filter(store=dub).update(kit_taken_at=NOW())
    assert told()["no kit"].level == "info"
    Repository.objects.update(kit_taken_at=NOW())
    assert "no kit" not in told()


def test_accounts_that_do_not_verify_and_keys_that_are_old(told, account):
    assert told() == {}
    account.created_at = NOW() - timedelta(days=91)
    account.save()
    assert told()["account key"].title == "The console's key to 1 account is older than 90 days"
    account.verify_error = "Refused."
    account.save()
    assert told()["account"].level == "bad"


def test_signatures_that_were_not_renewed(told, acme):
    azure = factories.azure(acme)
    ends = (NOW() + timedelta(days=20)).isoformat()
    cluster = judged.cluster(
        azure, keys={"bucket": "signature", "bucket expires": ends}, key_made_at=NOW() - timedelta(days=345)
    )
    assert told()["signature"].title == "The nodes' signatures of 1 cluster end soon"
    cluster.keys["bucket expires"] = (NOW() + timedelta(days=40)).isoformat()
    cluster.save()
    assert "signature" not in told()


def test_what_another_organisation_has_is_not_told(told, charlie):
    theirs = factories.account(Membership.objects.get(user=charlie).organisation, verify_error="Refused.")
    task(factories.store(theirs, state="degraded"))
    judged.cluster(theirs, key_replaced_at=NOW() - timedelta(days=8))
    judged.cluster(theirs, "empty", databases=())
    assert told() == {}
