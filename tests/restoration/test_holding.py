"""What a copy believed half-done: held back, let go on or given up; and what may not begin meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters import actions as cluster_actions
from clusters.models import Attachment, Cluster, Repository
from console.audit.models import AuditEvent
from console.operations import holding
from console.operations.actions import NotNow, begin
from console.operations.models import Operation
from console.restoration import actions
from console.restoration.models import Restoration
from stores.models import RetainedLogs, Store
from tests import factories
from tests.delivery import deliver
from tests.restoration.work import at_work


@pytest.fixture
def deletion(account):
    return at_work(account, "delete", "deleting")


@pytest.fixture
def creation(account):
    return at_work(account, "create", "creating", name="fresh", was="creating")


@pytest.fixture
def begun(deletion, creation):
    assert actions.begin("A test said so") == 1
    for one in (deletion, creation):
        one.refresh_from_db()


def state_of(operation):
    return Store.objects.get(pk=operation.subject_id).state


def test_what_is_unfinished_is_taken_up_by_nobody(begun, deletion, creation):
    assert Operation.objects.in_turn() == []
    assert not Operation.objects.due().exists()
    assert [deliver(one.pk) for one in (deletion, creation)] == [None, None]
    assert {one.waits_for for one in (deletion, creation)} == {"Held back."}


def test_a_worker_that_holds_one_loses_it(account, deletion):
    held = Operation.objects.claim(deletion.pk, "a worker")
    assert held.renew()
    actions.begin("A test said so")
    assert not held.renew()
    assert not held.record([])


def test_to_begin_again_changes_nothing(begun, deletion):
    fence = deletion.fence
    assert actions.begin("Again") == 0
    deletion.refresh_from_db()
    assert deletion.fence == fence
    assert Restoration.objects.count() == 1


def test_one_goes_on(begun, deletion, creation, alice):
    holding.go_on(deletion, by=alice)
    assert Operation.objects.in_turn() == [deletion.pk]
    with pytest.raises(NotNow, match="not held back any more"):
        holding.go_on(deletion, by=alice)
    assert AuditEvent.objects.filter(action="Let a task go on", actor=alice).count() == 1


def test_a_deletion_that_is_given_up_leaves_the_store_as_it_was(begun, deletion, alice):
    holding.give_up(deletion, by=alice)
    deletion.refresh_from_db()
    assert (deletion.state, deletion.cancelled_by, state_of(deletion)) == ("cancelled", alice, "available")
    with pytest.raises(NotNow):
        holding.give_up(deletion, by=alice)


def test_a_creation_that_is_given_up_can_be_tried_again(begun, creation, alice):
    holding.give_up(creation, by=alice)
    creation.refresh_from_db()
    assert (creation.state, state_of(creation)) == ("failed", "failed")
    assert "given up" in creation.error
    assert Store.objects.get(pk=creation.subject_id).can_retry


def test_nothing_is_deleted_meanwhile(begun, account, alice):
    store = factories.store(account, name="quiet")
    with pytest.raises(NotNow, match="restored from a copy"):
        begin(store, "delete", by=alice)
    assert state_of(begin(store, "repair", by=alice)) == "repairing"
    other = factories.store(factories.account(factories.organisation("Later")), name="later")
    begin(other, "delete", by=None)  # an organisation that came after


def test_no_number_and_no_name_is_given_twice_meanwhile(account, alice, deletion):
    store = factories.store(account, name="archive")
    cluster = Cluster.objects.create(
        organisation=account.organisation, cloud_account=account, name="ledger", state="available", nodes_made=1
    )
    repository = Repository.objects.create(cluster=cluster, store=store, number=1)
    Attachment.objects.create(cluster=cluster, store=store, repository=repository, state="attached")
    left = Repository.objects.create(cluster=cluster, number=2, empty_at=timezone.now(), detached_at=timezone.now())
    actions.begin("A test said so")
    refused = {"match": "restored from a copy"}
    with pytest.raises(cluster_actions.NotAttachable, **refused):
        cluster_actions.replace_passphrase(repository, by=alice)
    with pytest.raises(cluster_actions.NodesRefused, **refused):
        cluster_actions.add_nodes(cluster, regions=["eu-west-1"], by=alice)
    with pytest.raises(cluster_actions.Kept, **refused):
        cluster_actions.let_go(left, by=alice)
    with pytest.raises(NotNow, **refused):
        cluster_actions.update_stores(cluster, stores=[], by=alice)
    actions.dismiss()
    assert cluster_actions.add_nodes(cluster, regions=["eu-west-1"], by=alice) == ["n2"]


def test_kept_logs_are_not_looked_for_meanwhile(account, acme, deletion):
    logs = RetainedLogs.objects.create(
        organisation=acme,
        cloud_account=account,
        store_id=account.pk,
        store_name="old",
        region="eu-west-1",
        bucket="pgbk-old-log",
        expires_at=timezone.now() - timedelta(days=1),
    )
    due = RetainedLogs.objects.filter(pk=logs.pk).due()
    assert due.exists()
    actions.begin("A test said so")
    assert not due.exists()
    actions.dismiss()
    assert due.exists()


def test_dismissed_everything_goes_on(begun, deletion, creation):
    assert actions.dismiss() == 1
    assert {*Operation.objects.in_turn()} == {deletion.pk, creation.pk}
    assert not Restoration.objects.open().exists()


def test_what_was_held_by_another_copy_is_compared_again(begun):
    actions.dismiss()
    assert actions.begin("Another copy") == 1
    assert Restoration.objects.count() == 2
