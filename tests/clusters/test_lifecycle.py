"""A cluster from the action to the role in the cloud and back: what the database says is what is there."""

from __future__ import annotations

import json
import threading

import boto3
import pytest
from botocore.exceptions import ClientError
from django.db import IntegrityError, connections, transaction

from clusters import actions
from clusters.models import Attachment, Cluster, Node, Repository
from console.cloud_accounts.actions import InUse, unlink
from console.clouds.s3api import nodes
from console.operations.actions import NotNow, retry
from stores import actions as store_actions
from stores.models import State, Store
from tests import factories
from tests.clusters.conftest import work


@pytest.fixture
def iam(amazon):
    """The administrator's own IAM client, beside the console's."""
    return boto3.client(
        "iam",
        region_name="us-east-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )


def policy_of(iam, cluster):
    name = nodes.node_name(cluster.spec())
    return iam.get_role_policy(RoleName=name, PolicyName=nodes.POLICY)["PolicyDocument"]


def buckets_in(policy):
    text = json.dumps(policy)
    return {store.name for store in Store.objects.all() if store.bucket in text}


def has_role(iam, cluster):
    names = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    return nodes.node_name(cluster.spec()) in names


def test_create_gives_the_nodes_exactly_the_attached_stores(make, stores, account, iam):
    factories.store(account, name="other")
    cluster = make(stores)
    assert cluster.state == "available"
    assert [one.state for one in cluster.attachments.all()] == ["attached", "attached"]
    assert [one.repository.number for one in cluster.attachments.all()] == [1, 2]
    assert buckets_in(policy_of(iam, cluster)) == {"archive-dub", "archive-iad"}
    assert cluster.operation.progress == 100


def test_create_without_stores_asks_nothing_of_the_cloud(make, amazon):
    cluster = make()
    assert cluster.state == "available"
    assert not amazon.calls
    assert cluster.facts == []


def test_update_attaches_and_detaches_and_numbers_stay(make, stores, account, alice, iam):
    cluster = make(stores)
    third = factories.store(account, name="archive-fra", region="eu-central-1")
    actions.update_stores(cluster, stores=[stores[1], third], by=alice)
    cluster = work(cluster)
    assert {one.store.name: one.repository.number for one in cluster.wanted} == {"archive-iad": 2, "archive-fra": 3}
    assert buckets_in(policy_of(iam, cluster)) == {"archive-iad", "archive-fra"}
    actions.update_stores(cluster, stores=[stores[0]], by=alice)
    cluster = work(cluster)
    assert {one.store.name: one.repository.number for one in cluster.wanted} == {"archive-dub": 1}  # its own, again


def test_update_that_takes_the_last_store_takes_every_permission(make, stores, alice, iam):
    cluster = make(stores)
    actions.update_stores(cluster, stores=[], by=alice)
    cluster = work(cluster)
    assert cluster.wanted == []
    with pytest.raises(ClientError, match="NoSuchEntity"):
        policy_of(iam, cluster)


def test_update_with_what_is_there_does_nothing(make, stores, alice):
    cluster = make(stores)
    operation, version = cluster.operation_id, cluster.version
    assert actions.update_stores(cluster, stores=stores, by=alice) is False
    cluster.refresh_from_db()
    assert (cluster.operation_id, cluster.version) == (operation, version)


def test_update_of_a_choice_that_is_no_longer_the_latest_changes_nothing(make, stores, alice):
    cluster = make(stores[:1])
    shown = cluster.version
    actions.update_stores(cluster, stores=stores, version=shown, by=alice)
    cluster = work(cluster)
    with pytest.raises(actions.Changed):
        actions.update_stores(cluster, stores=[], version=shown, by=alice)
    assert len(Cluster.objects.with_story().get().wanted) == 2


def test_a_number_is_not_given_again_when_its_store_is_gone(make, stores, account, alice):
    cluster = make(stores)
    actions.update_stores(cluster, stores=stores[:1], by=alice)
    work(cluster)
    stores[1].delete()
    actions.update_stores(cluster, stores=[stores[0], factories.store(account, name="new")], by=alice)
    cluster = work(cluster)
    assert {one.store.name: one.repository.number for one in cluster.wanted} == {"archive-dub": 1, "new": 3}


def test_no_number_is_given_again_when_several_stores_are_gone(make, account, alice):
    stores = [factories.store(account, name=f"store-{number}") for number in range(5)]
    cluster = make(stores)
    actions.update_stores(cluster, stores=stores[:1], by=alice)
    work(cluster)
    for store in reversed(stores[1:]):
        store.delete()
    actions.update_stores(cluster, stores=[stores[0], factories.store(account, name="new")], by=alice)
    cluster = work(cluster)
    assert {one.store.name: one.repository.number for one in cluster.wanted} == {"store-0": 1, "new": 6}


def test_the_257th_repository_is_refused_and_nothing_is_changed(make, stores, alice):
    cluster = make(stores[:1])
    Repository.objects.create(cluster=cluster, number=256)
    with pytest.raises(actions.NotAttachable, match="256 repositories"):
        actions.update_stores(cluster, stores=stores, by=alice)
    cluster = Cluster.objects.with_story().get()
    assert (cluster.state, len(cluster.wanted)) == ("available", 1)


def test_more_stores_than_a_policy_takes_are_refused_before_anything_is_written(make, account):
    many = [factories.store(account, name=f"store-{number}") for number in range(120)]
    with pytest.raises(actions.NotAttachable):
        make(many)
    assert not Cluster.objects.exists()


@pytest.mark.parametrize("state", [state for state in State if state != State.AVAILABLE])
def test_a_store_that_is_not_available_is_refused(make, account, state):
    store = factories.store(account, state=state)
    with pytest.raises(actions.NotAttachable, match=state.label.lower()):
        make([store])
    assert not Cluster.objects.exists()


def test_a_store_of_another_account_is_refused(make, acme):
    store = factories.store(factories.account(acme, name="other"), name="theirs")
    with pytest.raises(actions.NotAttachable, match="account of the cluster"):
        make([store])
    assert not Cluster.objects.exists()


def test_the_database_itself_refuses_stores_of_other_accounts_and_states(make, stores, account, acme):
    cluster = make()
    foreign = factories.store(factories.account(acme, name="other"), name="theirs")
    broken = factories.store(account, name="broken", state=State.DEGRADED)
    for number, store in enumerate((foreign, broken), 1):
        repository = Repository.objects.create(cluster=cluster, store=store, number=number)
        with pytest.raises(IntegrityError, match="only_an_available_store"), transaction.atomic():
            Attachment.objects.create(cluster=cluster, store=store, repository=repository)
    repository = Repository.objects.create(cluster=cluster, store=stores[0], number=3)
    Attachment.objects.create(cluster=cluster, store=stores[0], repository=repository)
    with pytest.raises(IntegrityError, match="an_attached_store_is_not_deleted"), transaction.atomic():
        Store.objects.filter(pk=stores[0].pk).update(state="deleting")


def test_a_store_that_is_attached_cannot_be_deleted_and_its_users_are_named(make, stores, alice):
    make(stores)
    with pytest.raises(InUse, match="cluster orders"):
        store_actions.delete(stores[0], by=alice)
    stores[0].refresh_from_db()
    assert (stores[0].state, Attachment.objects.count()) == ("available", 2)


def test_an_account_with_clusters_cannot_be_unlinked(make, account):
    make()
    with pytest.raises(InUse, match="cluster orders"):
        unlink(account, by=None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_attach_against_delete_has_one_winner(make, account, alice):
    """Of those who attach a store and those who delete it at the same moment, one kind wins."""
    cluster = make()
    for attempt in range(12):
        store = factories.store(account, name=f"contested-{attempt}")
        start, outcome = threading.Barrier(2), {}

        def race(name, do, start=start, outcome=outcome):
            start.wait()
            try:
                do()
                outcome[name] = "won"
            except (actions.NotAttachable, InUse, NotNow):
                outcome[name] = "refused"
            finally:
                connections.close_all()

        cluster = Cluster.objects.get(pk=cluster.pk)
        racers = [
            threading.Thread(
                target=race,
                args=("attach", lambda: actions.update_stores(cluster, stores=[store], by=alice)),  # noqa: B023
            ),
            threading.Thread(target=race, args=("delete", lambda: store_actions.delete(store, by=alice))),  # noqa: B023
        ]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert sorted(outcome.values()) == ["refused", "won"]
        attached = Attachment.objects.filter(store=store).exists()
        store.refresh_from_db()
        assert (store.state == "deleting") != attached
        if attached:
            work(cluster)
            actions.update_stores(cluster, stores=[], by=alice)
            work(cluster)


def test_a_worker_killed_between_granting_and_recording_is_followed_by_one_that_ends_it(make, stores, iam, monkeypatch):
    cluster = make(stores, run=False)
    record = type(cluster.operation).record
    counted = []

    def die_after_the_first_round(self, steps, **options):
        counted.append(1)
        if len(counted) == 2:  # the second round begins: the first has been granted, and is written down only now
            raise KeyboardInterrupt
        return record(self, steps, **options)

    monkeypatch.setattr(type(cluster.operation), "record", die_after_the_first_round)
    with pytest.raises(KeyboardInterrupt):
        work(cluster)
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ENDPOINT_URL", iam.meta.endpoint_url)
    cluster = work(cluster)
    assert cluster.state == "available"
    assert buckets_in(policy_of(iam, cluster)) == {"archive-dub", "archive-iad"}


def test_a_role_that_is_there_and_not_ours_is_left_alone(make, stores, iam, alice):
    cluster = make(stores, run=False)
    name = nodes.node_name(cluster.spec())
    iam.create_role(RoleName=name, Path="/pgbk/", AssumeRolePolicyDocument="{}")
    cluster = work(cluster)
    assert cluster.state == "failed"
    assert "does not belong to this cluster" in cluster.operation.error
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []
    iam.delete_role(RoleName=name)
    retry(cluster, by=alice)
    assert work(cluster).state == "available"


def test_a_refused_permission_says_which_and_retry_goes_on(make, stores, amazon, alice):
    amazon.inject("PutRolePolicy", code="AccessDenied", status=403, message="not authorized")
    cluster = make(stores)
    assert cluster.state == "failed"
    assert "iam:PutRolePolicy" in cluster.operation.error
    assert [one.state for one in cluster.attachments.all()] == ["attaching", "attaching"]
    retry(cluster, by=alice)
    assert work(cluster).state == "available"


def test_delete_is_refused_while_stores_are_attached(make, stores, alice):
    cluster = make(stores)
    with pytest.raises(InUse, match="archive-dub, archive-iad"):
        actions.delete(cluster, by=alice)
    cluster.refresh_from_db()
    assert cluster.state == "available"


def test_delete_takes_the_role_with_it(make, stores, alice, iam):
    cluster = make(stores)
    actions.update_stores(cluster, stores=[], by=alice)
    cluster = work(cluster)
    assert has_role(iam, cluster)
    actions.delete(cluster, by=alice)
    assert work(cluster) is None
    assert not has_role(iam, cluster)
    assert Store.objects.count() == 2


def test_nodes_keep_their_names_and_one_stays(make):
    cluster = make()
    actions.remove_nodes(cluster, names=["n2", "n3"], by=None)
    assert actions.add_nodes(cluster, regions=["eu-west-1", "eu-north-1"], by=None) == ["n4", "n5"]
    with pytest.raises(actions.NodesRefused, match="at least one"):
        actions.remove_nodes(cluster, names=["n1", "n4", "n5"], by=None)
    assert [node.name for node in Node.objects.filter(cluster=cluster)] == ["n1", "n4", "n5"]


def test_nodes_cannot_change_while_the_cluster_is_at_work(make, stores):
    cluster = make(stores, run=False)
    with pytest.raises(actions.NodesRefused, match="at work"):
        actions.add_nodes(cluster, regions=["eu-west-1"], by=None)
    with pytest.raises(actions.NodesRefused, match="at work"):
        actions.remove_nodes(cluster, names=["n1"], by=None)
