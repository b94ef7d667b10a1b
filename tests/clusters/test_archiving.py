"""How a cluster and its nodes archive while a store is out of reach."""

from __future__ import annotations

import pytest

from clusters import actions
from clusters.models import BackupPolicy
from tests.clusters.nodes import at, node_setup
from tests.clusters.pgbackrest.configuration_file import options
from tests.responses import HTMX, text_of, words_of


def send(client, cluster, node="", **data):
    path = at(cluster, "archiving/", node) if node else f"/clusters/{cluster.pk}/archiving/"
    return client.post(path, {"backup_from": "primary", **data}, headers=HTMX)


def test_archiving_of_the_cluster_and_of_one_node(as_alice, cluster):
    before = node_setup(cluster).configuration.render(secrets=True)
    assert "archive-push-queue-max" not in before
    assert "io-timeout" not in before
    assert send(as_alice, cluster, io_timeout="5", queue_max="64").status_code == 204
    for name in ("n1", "n3"):
        found = options(node_setup(cluster, name).configuration.render(secrets=True))
        assert (found["archive-push-queue-max"], found["io-timeout"]) == ("64GiB", "5")
    assert "drops WAL when more than 64 GiB wait" in words_of(as_alice.get(cluster.get_absolute_url()))
    assert send(as_alice, cluster, "n1", io_timeout="9").status_code == 204
    assert node_setup(cluster).policy.queue_max is None
    assert node_setup(cluster).policy.io_timeout == 9
    assert node_setup(cluster, "n3").policy.io_timeout == 5


def test_archiving_of_a_node_begins_as_the_cluster_s_policy(as_alice, cluster):
    BackupPolicy.objects.create(cluster=cluster, retention_full=30, full_schedule="0 4 * * 0")
    assert send(as_alice, cluster, "n1", io_timeout="5").status_code == 204
    own = BackupPolicy.objects.get(node__name="n1")
    assert (own.retention_full, own.full_schedule, own.io_timeout) == (30, "0 4 * * 0", 5)
    # And the other way round: a policy of its own keeps how the cluster archives.
    BackupPolicy.objects.filter(node=None).update(io_timeout=7)
    actions.plan_backups(cluster, cluster.nodes.get(name="n2"), by=None, retention_full=2)
    assert BackupPolicy.objects.get(node__name="n2").io_timeout == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("io_timeout", one) for one in ("0", "-1", "3601", "five", "1.5")),
        *(("queue_max", one) for one in ("0", "-1", "4194305", "1GiB")),
    ],
)
def test_archiving_refuses_what_pgbackrest_would(as_alice, cluster, field, value):
    answer = send(as_alice, cluster, **{field: value})
    assert (answer.status_code, 'class="error"' in text_of(answer)) == (422, True)
    assert not BackupPolicy.objects.exists()


@pytest.mark.parametrize("value", ["", "nowhere"])
def test_archiving_refuses_another_host_than_there_is(as_alice, cluster, value):
    cluster.nodes.filter(name="n2").update(folder="n1")
    answer = send(as_alice, cluster, backup_from=value)
    assert (answer.status_code, 'class="error"' in text_of(answer)) == (422, True)
    assert not BackupPolicy.objects.exists()


def test_archiving_says_what_dropping_wal_risks(as_alice, cluster):
    dialog = words_of(as_alice.get(f"/clusters/{cluster.pk}/archiving/", headers=HTMX))
    assert "point-in-time recovery ends there" in dialog
    assert "Standbys" not in dialog  # there are none
