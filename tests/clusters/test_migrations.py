"""Passphrases through migrations: none is made anew, none is lost on the way back."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from django.db import connection
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from clusters.models import Cluster, Inventory, KnownStanza, Repository
from console.accounts.encryption import EncryptedJSONField
from tests import factories
from tests.clusters.pgbackrest.repository_files import backup

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
LAST = [name for app, name in MigrationLoader(None).graph.leaf_nodes() if app == "clusters"]


FIRST, NAMED = "0001_initial", "0004_repositories_name_their_cluster"
OWNED = "0005_repositories_belong_to_an_organisation"


@pytest.fixture
def repository(acme):
    account = factories.account(acme)
    cluster = Cluster.objects.create(organisation=acme, cloud_account=account, name="orders", state="available")
    yield Repository.objects.create(cluster=cluster, store=factories.store(account), number=1)
    migrate(LAST[0])


def migrate(name):
    executor = MigrationExecutor(connection)
    executor.loader.build_graph()
    executor.migrate([("clusters", name)])


def earlier():
    loader = MigrationLoader(None)
    return [name for app, name in loader.graph.nodes if app == "clusters" and name not in LAST]


@pytest.mark.thorough  # the one below takes all of them back and forward, these take fewer
@pytest.mark.parametrize("name", sorted(earlier()))
def test_a_passphrase_is_the_same_after_going_back_and_forward(repository, name):
    migrate(name)
    migrate(LAST[0])
    assert Repository.objects.get().passphrase == repository.passphrase
    assert Repository.objects.get().prefix == repository.prefix


def test_no_migration_fills_a_column_of_secrets_by_itself(db):
    """A default that makes a secret would make a new one for each row that has lost its column on the way back."""
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        for operation in migration.operations:
            field = getattr(operation, "field", None)
            if isinstance(field, EncryptedJSONField) and type(operation).__name__ == "AddField":
                nothing = None if field.null else {}
                assert field.get_default() == field.get_default() == nothing, f"{app}.{name}: {operation.name}"


def state_at(name):
    """The models as they were then."""
    return MigrationExecutor(connection).loader.project_state([("clusters", name)]).apps


def applied():
    return {name for app, name in MigrationLoader(connection).applied_migrations if app == "clusters"}


@pytest.mark.thorough  # nobody goes back but after a release, before which this runs
def test_no_way_back_loses_a_passphrase_and_what_was_seen_last_is_remembered(repository):
    """What vanishes between two releases is missed; what an earlier one kept unlooked-at does no harm.

    One test for all of it: the way there and back takes ten seconds.
    """
    Repository.objects.update(cluster=None)  # as after it was deleted
    with pytest.raises(IrreversibleError, match="the only copy of 1 passphrase "):
        migrate("0002_texts_fit_their_files")
    assert max(applied()) == NAMED
    state_at(NAMED).get_model("clusters", "Repository").objects.update(cluster_id=repository.cluster_id)
    with pytest.raises(IrreversibleError, match="the only copy of 1 passphrase "):
        migrate(None)
    assert applied() == {FIRST}  # which has the table
    migrate(OWNED)
    good = asdict(backup("F", 2))
    bad = [{**good, "label": f"x{n}F", "stopped": one} for n, one in enumerate((None, True, "1", 1e300, 10**30, -1))]
    rows = [
        {"node": "n1", "stanza": "orders", "backups": [good, *bad]},
        {"node": "n" * 300, "stanza": "orders", "backups": [good]},
        {"node": "n2", "stanza": "orders", "backups": []},
    ]
    state_at(OWNED).get_model("clusters", "Inventory").objects.create(
        repository_id=repository.pk, read_at=timezone.now(), content=rows
    )
    migrate(LAST[0])
    assert Repository.objects.get().passphrase == repository.passphrase
    assert Repository.objects.get().prefix == repository.prefix
    known = KnownStanza.objects.get()
    assert (known.node, list(known.backups)) == ("n1", [good["label"]])
    assert known.backup_at.timestamp() == good["stopped"]
    assert known.seen_at == Inventory.objects.get().read_at
