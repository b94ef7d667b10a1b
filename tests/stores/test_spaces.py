"""Bucket names are unique where the cloud has them unique: two servers may each have a bucket `backups`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.executor import MigrationExecutor

from clusters.models import Attachment, Cluster, Repository
from console.accounts.models import Membership
from console.cloud_accounts import actions as accounts
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.clouds.contract import LinkError
from console.clouds.steps import Failed
from stores import unmanaged
from stores.existing import actions
from stores.existing.reading import held_here, taken_here
from stores.models import BucketLook, RetainedLogs, Store, UnmanagedScan
from stores.unmanaged import known_names
from tests import factories

PAIRS = [  # of accounts, each with provider, partition and number; and whether they share one space of names
    (("aws", "aws", "1" * 12), ("aws", "aws", "2" * 12), True),
    (("aws", "aws", "1" * 12), ("aws", "aws-cn", "2" * 12), False),
    (("google", "", "one"), ("google", "", "two"), True),
    (("azure", "", "one"), ("azure", "", "two"), True),
    (("s3", "", "a.example.com"), ("s3", "", "A.example.com"), True),
    (("s3", "", "a.example.com"), ("s3", "", "a.example.com:9000"), False),
    (("s3", "", "aws"), ("aws", "aws", "1" * 12), False),
]


def linked(organisation, provider, partition, number, name="one"):
    return factories.account(organisation, name=name, provider_key=provider, partition=partition, number=number)


@pytest.fixture
def two(acme):
    """Two servers, of two organisations."""
    other = factories.organisation("Other")
    return [linked(one, "s3", "", number) for one, number in ((acme, "a.example.com"), (other, "b.example.com"))]


@pytest.mark.parametrize(("one", "other", "shared"), PAIRS)
def test_two_accounts_have_one_space_of_names_or_two(one, other, shared):
    first, second = (CLOUDS[key].storage.namespace(partition, number) for key, partition, number in (one, other))
    assert (first == second) is shared


@pytest.mark.parametrize("key", sorted(CLOUDS))
def test_a_space_fits_its_column(key):
    space = CLOUDS[key].storage.namespace("p" * 20, "n" * 64)
    assert 0 < len(space) <= Store._meta.get_field("namespace").max_length


def test_a_bucket_of_one_name_on_each_server(db, two):
    first, second = (factories.store(one, bucket="backups", log_bucket="logs") for one in two)
    assert {first.namespace, second.namespace} == {"s3/a.example.com", "s3/b.example.com"}
    for one, account in zip((first, second), two, strict=True):
        assert held_here("backups", account) == held_here("logs", account) == one
        assert taken_here("backups", account) == one
    assert held_here("backups", factories.server(two[0].organisation)) is None


@pytest.mark.parametrize("column", ["bucket", "log_bucket"])
def test_two_stores_never_share_a_bucket(db, two, column):
    again = linked(two[1].organisation, "s3", "", "A.example.com", name="same")
    factories.store(two[0], **{column: "backups"})
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.store(again, **{column: "backups"})


def test_what_is_known_is_known_in_its_own_place(db, two):
    store = factories.store(two[0], logs="named", logs_into="elsewhere")
    logs = {"organisation": two[0].organisation, "cloud_account": two[0], "store_id": store.pk, "store_name": "x"}
    RetainedLogs.objects.create(**logs, region="r", bucket="kept", expires_at="2027-01-01T00:00Z")
    names = {store.bucket, store.log_bucket, "elsewhere", "kept"}
    assert known_names() == known_names([*names, "other"]) == {("s3/a.example.com", one) for one in names}


def test_another_server_s_bucket_of_the_name_is_found_as_a_leftover_here(db, two, monkeypatch):
    factories.store(two[0], bucket="pgbk-twice")
    asked = []
    monkeypatch.setattr(type(two[1].cloud.storage), "list_unmanaged", lambda *given: asked.append(given[-1]) or [])
    for one in two:
        unmanaged.scan(UnmanagedScan(cloud_account=one))
    assert ["pgbk-twice" in names for names in asked] == [True, False]


def looked_at(account, owner="", **more):
    content = {"owner": owner, "tag": "of-somebody" if owner else "", "lines": [], "store_id": "x"}
    return BucketLook.objects.create(cloud_account=account, bucket="backups", name="x", content=content, **more)


def test_nobody_learns_what_another_has_but_from_the_bucket_itself(db, two, alice):
    """On one server: whoever cannot read the bucket is told nothing; who can, is told by its tag."""
    ours = linked(two[1].organisation, "s3", "", "a.example.com", name="same")
    factories.user("carol", two[1].organisation)
    by, alice_s = (Membership.objects.get(user__username=name) for name in ("carol", "alice"))
    theirs = factories.store(two[0], bucket="backups", name="secret name")
    unread = BucketLook.objects.create(cloud_account=ours, bucket="backups", name="y")
    assert actions.obstacle(unread, by=by) == "It has not been looked at yet."
    unread.delete()
    said = actions.obstacle(looked_at(ours, owner="other"), by=by)
    assert said == f"It carries the {ours.bucket_proof.one} of another store, of-somebody. It is left alone."
    BucketLook.objects.all().delete()
    said = actions.obstacle(looked_at(ours), by=by)
    assert said == "It is another store's. It is left alone."
    assert theirs.name not in said
    assert actions.obstacle(looked_at(two[0]), by=alice_s).endswith("already, secret name.")


def test_a_server_that_moved_takes_its_stores_along(db, two, alice, monkeypatch):
    account, stays = two
    store = factories.store(account, bucket="backups")
    monkeypatch.setattr(accounts, "_proven", lambda account, tried: accounts.Identity(tried.settings["endpoint"], ""))
    move = {"name": account.name, "secrets": account.secrets, "by": alice}
    accounts.change(account, settings={**account.settings, "endpoint": "c.example.com"}, **move)
    store.refresh_from_db()
    assert (account.number, store.namespace) == ("c.example.com", "s3/c.example.com")
    factories.store(stays, bucket="backups")
    with pytest.raises(LinkError, match="another store's"):
        accounts.change(account, settings={**account.settings, "endpoint": stays.number}, **move)
    assert CloudAccount.objects.get(pk=account.pk).number == "c.example.com"
    store.refresh_from_db()
    assert store.namespace == "s3/c.example.com"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_bucket_that_was_there_before_is_looked_for_where_the_server_is_now(db, two, alice, monkeypatch, is_there):
    """Whatever its name: a list of what is named like ours has it not."""
    account, asked = two[0], []
    store = factories.store(account, bucket="backups", taken_over={"found": {}})

    def find(account, bucket):
        asked.append((account.number, bucket))
        if not is_there:
            raise Failed(f"c.example.com has no bucket named {bucket}.")

    cloud = account.cloud
    monkeypatch.setattr(type(cloud.storage), "list_unmanaged", lambda *given: [])
    linking = replace(cloud.linking, preflight=lambda *given: [])
    monkeypatch.setitem(CLOUDS, "s3", replace(cloud, linking=linking, existing=replace(cloud.existing, find=find)))
    monkeypatch.setattr(accounts, "_identify", lambda account, tried: accounts.Identity("c.example.com", ""))
    given = {"name": "one", "settings": {**account.settings, "endpoint": "c.example.com"}, "secrets": {}, "by": alice}
    with nullcontext() if is_there else pytest.raises(LinkError, match="has no bucket named backups"):
        accounts.change(account, **given)
    store.refresh_from_db()
    assert (store.namespace, asked) == (f"s3/{'c' if is_there else 'a'}.example.com", [("c.example.com", "backups")])


# The migration


def migrate(name):
    executor = MigrationExecutor(connection)
    executor.loader.build_graph()
    executor.migrate([("stores", name)])
    return executor.loader.project_state([("stores", name)]).apps.get_model("stores", "Store")


@pytest.fixture
def latest(transactional_db):
    yield
    connection.check_constraints()
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def triggers():
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    if connection.vendor == "postgresql":
        sql = "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal"
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} ORDER BY 1")
        return cursor.fetchall()


@pytest.mark.slow
def test_the_migration_fills_the_places_and_keeps_rows_and_triggers(latest, two, acme):
    """And whoever runs the code before it goes on writing stores, until two have a bucket of one name.

    One test for all of it: the way there and back takes ten seconds.
    """
    there = [factories.store(one, name=one.name) for one in (*two, factories.account(acme, name="amazon"))]
    before = triggers()
    assert any("deleted" in name for name, _ in before)
    cluster = Cluster.objects.create(organisation=acme, cloud_account=two[0], name="orders", state="available")
    repository = Repository.objects.create(cluster=cluster, store=there[0], number=1)
    attached = Attachment.objects.create(cluster=cluster, store=there[0], repository=repository, state="attached")
    old = migrate("0002_existing_buckets")
    assert triggers() == before
    assert sorted(old.objects.values_list("bucket", flat=True)) == sorted(one.bucket for one in there)
    with pytest.raises(IntegrityError), transaction.atomic():  # as it was
        old.objects.filter(pk=there[1].pk).update(bucket=there[0].bucket)
    migrate("0003_buckets_of_each_place")
    assert triggers() == before
    for one in there:
        assert Store.objects.get(pk=one.pk).namespace == one.cloud_account.namespace
        assert Store.objects.get(pk=one.pk).log_bucket == one.log_bucket
    assert Attachment.objects.get() == attached
    with pytest.raises(IntegrityError, match="an_attached_store_is_not_deleted"), transaction.atomic():
        Store.objects.filter(pk=there[0].pk).update(state="deleting")
    # The code before names no place; the next look at what is left over says it.
    given = {"organisation_id": two[0].organisation_id, "cloud_account_id": two[0].pk, "state": "available"}
    row = old(**given, name="old", region="r", bucket="backups", log_bucket="logs")
    row.save()
    assert Store.objects.get(pk=row.pk).namespace is None
    assert held_here("backups", two[0]).pk == row.pk
    assert held_here("backups", two[1]) is None
    unmanaged.scans()
    assert Store.objects.get(pk=row.pk).namespace == "s3/a.example.com"
    # With two of a name there is no way back.
    factories.store(two[1], name="second", bucket="backups")
    with pytest.raises(IrreversibleError, match="2 stores have a bucket that is named as another's: backups"):
        migrate("0002_existing_buckets")
    assert Store.objects.filter(bucket="backups").count() == 2
