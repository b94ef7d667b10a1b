"""A node's file taken up: only once each passphrase has opened what is there, and never against what is known."""

from __future__ import annotations

import pytest

from clusters.models import Attachment, BackupPolicy, Cluster, Database, Node, Repository
from console.audit.models import AuditEvent
from console.clouds.aws.storage import AWSStorage
from console.operations import snapshots
from console.restoration import actions, node_file
from console.restoration.models import NodeFile, Restoration
from tests import factories
from tests.clusters.pgbackrest.repository_files import Bucket, encrypted, info, row
from tests.restoration.work import files_of, setup_of


@pytest.fixture
def store(account):
    return factories.store(account, name="archive")


@pytest.fixture
def orders(account, store):
    """A cluster with a node and a database, attached to the store."""
    return made(account, store, "orders")


def made(account, store, name):
    cluster = Cluster.objects.create(
        organisation=account.organisation, cloud_account=account, name=name, state="available", nodes_made=1
    )
    Node.objects.create(cluster=cluster, name="n1", region="eu-west-1")
    folder = f"/var/lib/postgresql/15/{name}"
    Database.objects.create(cluster=cluster, name=name, version="15", data_directory=folder, port=5433)
    BackupPolicy.objects.create(
        cluster=cluster, retention_full=30, retention_diff=7, diff_schedule="0 3 * * 3", queue_max=9
    )
    repository = Repository.objects.create(cluster=cluster, store=store, number=1)
    Attachment.objects.create(cluster=cluster, store=store, repository=repository, state="attached")
    return cluster


@pytest.fixture
def holds(monkeypatch):
    """A function that says what the stores hold: passphrase by where a list of backups is."""

    def holds(**passphrases):
        objects = {
            f"{place}/backup.info": encrypted(info(row("20261122-140000F")).encode(), passphrase)
            for place, passphrase in passphrases.items()
        }
        monkeypatch.setattr(AWSStorage, "objects", lambda self, spec: Bucket(objects))

    holds()
    return holds


def backups_of(cluster, stanza="orders", node="n1"):
    return f"{cluster.prefix}/{node}/backup/{stanza}"


def passphrase(cluster):
    return cluster.repositories.get(number=1).passphrase


def bring(account, alice, text, name=""):
    """Do what the page and a worker do, and return what became of it."""
    restoration = Restoration.objects.open().get()
    given = node_file.read(text)
    file = actions.give_file(restoration, account, given, text=text, name=name, by=alice)
    snapshots.read(NodeFile.LABEL, file.pk)
    file.refresh_from_db()
    return file


def forget(cluster):
    """Take the cluster away, as a copy from before it lacks it."""
    Attachment.objects.filter(cluster=cluster).delete()
    cluster.repositories.all().delete()
    cluster.delete()


def test_a_cluster_that_is_not_known_comes_back_whole(account, alice, store, orders, holds):
    text, prefix, pk = files_of(orders), orders.prefix, orders.pk
    holds(**{backups_of(orders): passphrase(orders)})
    before, secret = setup_of(orders).sha256, passphrase(orders)
    forget(orders)
    actions.begin("A test said so")
    file = bring(account, alice, text)
    assert file.taken_at, file.error
    cluster = Cluster.objects.get(name="orders")
    assert (cluster.pk, cluster.prefix, passphrase(cluster)) == (pk, prefix, secret)
    assert setup_of(cluster).sha256 == before  # so policy, schedule, port and limits are what they were
    assert cluster.databases.get().version == "15"
    assert Node.objects.get(cluster=cluster).takes(text.split("token() { echo ")[1].split(";")[0])
    assert file.entered == {}
    assert AuditEvent.objects.filter(action="Took up a node's file", actor=alice).exists()
    assert "n1 would be handed exactly the file that it has" in file.content["notes"]


def test_without_report_sh_it_gets_another_id_with_the_same_folder(account, alice, store, orders, holds):
    text, prefix = files_of(orders, report=False), orders.prefix
    forget(orders)
    actions.begin("A test said so")
    file = bring(account, alice, text, name="taken")
    cluster = Cluster.objects.get(name="taken")
    assert (cluster.prefix, cluster.pk == orders.pk) == (prefix, False)
    assert any("report.sh was not given" in note for note in file.content["notes"])
    assert any("nothing is there yet" in note for note in file.content["notes"])


def test_a_passphrase_that_opens_nothing_is_not_taken(account, alice, store, orders, holds):
    holds(**{backups_of(orders): "another one"})
    text = files_of(orders)
    forget(orders)
    actions.begin("A test said so")
    file = bring(account, alice, text)
    assert "does not open the backups of orders in archive" in file.error
    assert not Cluster.objects.exists()
    assert not Repository.objects.exists()


def test_the_passphrase_of_the_file_replaces_one_that_opens_nothing(account, alice, store, orders, holds):
    text, secret = files_of(orders), passphrase(orders)
    holds(**{backups_of(orders): secret})
    repository = orders.repositories.get()
    Repository.objects.filter(pk=repository.pk).update(secrets={"cipher_pass": "of the copy"})
    actions.begin("A test said so")
    file = bring(account, alice, text)
    repository.refresh_from_db()
    assert repository.passphrase == secret
    assert repository.secrets["before_restoration"] == "of the copy"
    assert "The passphrase of repo1 was another one here" in file.content["notes"]


def test_a_store_that_is_not_known_or_not_there_is_asked_for_first(account, alice, store, orders, holds):
    text = files_of(orders)
    forget(orders)
    actions.begin("A test said so")
    type(store).objects.filter(pk=store.pk).update(state="creating")
    assert "repo1 is in archive, which is creating" in bring(account, alice, text).error
    type(store).objects.filter(pk=store.pk).delete()
    assert "Adopt that store first" in bring(account, alice, text).error
    assert not Cluster.objects.exists()


def test_a_number_that_another_store_has_here_is_a_conflict(account, alice, store, orders, holds):
    text = files_of(orders)
    other = factories.store(account, name="other")
    Attachment.objects.all().delete()
    orders.repositories.update(store=other)
    actions.begin("A test said so")
    assert "Nothing was changed" in bring(account, alice, text).error
    assert not Attachment.objects.exists()


def test_another_organisation_s_file_takes_nothing_of_theirs(account, alice, store, orders, holds, charlie):
    """Whoever has the file has its secrets; but here it names neither the other's store nor the other's cluster."""
    text = files_of(orders)
    theirs = factories.account(charlie.organisations.get(), name="theirs")
    actions.begin("A test said so")
    restoration = Restoration.objects.open().get(organisation=theirs.organisation)
    file = actions.give_file(restoration, theirs, node_file.read(text), text=text, name="", by=charlie)
    snapshots.read(NodeFile.LABEL, file.pk)
    file.refresh_from_db()
    assert "is in no store that the console knows in this account" in file.error
    assert Cluster.objects.get().organisation == account.organisation


def test_a_second_repository_has_replaced_the_first(account, alice, store, orders, holds):
    """As clusters.actions.replace_passphrase leaves it: another number and a folder in the first one's."""
    first = orders.repositories.get()
    second = Repository.objects.create(cluster=orders, store=store, number=2, prefix=f"{orders.prefix}/r2")
    Attachment.objects.update(repository=second)
    text = files_of(orders)
    Attachment.objects.update(repository=first)
    second.delete()
    actions.begin("A test said so")
    file = bring(account, alice, text)
    assert file.taken_at, file.error
    assert Attachment.objects.get().repository.number == 2
    first.refresh_from_db()
    assert first.detached_at
    assert "n1 would be handed exactly the file that it has" in file.content["notes"]


def test_a_name_that_is_taken_gets_a_number(account, alice, store, orders, holds):
    text = files_of(orders)
    forget(orders)
    made(account, factories.store(account, name="more"), "Orders")
    actions.begin("A test said so")
    bring(account, alice, text)
    assert {one.name for one in Cluster.objects.all()} == {"Orders", "orders 2"}


def test_after_the_end_nothing_is_taken(account, alice, store, orders, holds):
    text = files_of(orders)
    forget(orders)
    actions.begin("A test said so")
    restoration = Restoration.objects.open().get()
    file = actions.give_file(restoration, account, node_file.read(text), text=text, name="", by=alice)
    actions.dismiss()
    snapshots.read(NodeFile.LABEL, file.pk)
    assert not Cluster.objects.exists()
