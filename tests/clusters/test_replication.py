"""Nodes that are hosts of one streaming replication: one folder, one policy, whichever is the primary."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from clusters import actions, replication
from clusters.models import BackupPolicy, Cluster, KnownStanza, Node, Stanza
from clusters.pgbackrest.repository import from_json
from clusters.recovery import restores
from clusters.recovery.kit import kit_of
from clusters.recovery.rescue import places
from clusters.repositories import inventory, memory
from clusters.repositories.backups import bookcases
from clusters.repositories.detaching import held_for
from console.audit.models import AuditEvent
from tests import factories
from tests.clusters.nodes import FOREIGN_ID, SYSTEM_ID, at, node_setup, report, seen, stanza_state
from tests.responses import HTMX, text_of, words_of

OTHER_ID = FOREIGN_ID


@pytest.fixture
def replicated(cluster):
    """The cluster, of which n2 is a standby of n1; n3 is a primary of its own."""
    Node.objects.filter(cluster=cluster, name="n2").update(folder="n1")
    return Cluster.objects.with_node_setup().get(pk=cluster.pk)


def fresh(cluster):
    return Cluster.objects.with_node_setup().get(pk=cluster.pk)


def send(client, cluster, name="n2", rest="replication/", **data):
    return client.post(at(cluster, rest, name), {"ssh_port": "22", **data}, headers=HTMX)


def told(cluster, name, timeline, *, system_id=SYSTEM_ID, ago=0):
    """Keep what a host would have reported."""
    node, database = cluster.nodes.get(name=name), cluster.databases.get()
    values = {"cluster": cluster, "system_id": system_id, "timeline": timeline}
    values["reported_at"] = timezone.now() - timedelta(minutes=ago)
    Stanza.objects.update_or_create(node=node, database=database, defaults=values)


# What they share


def test_hosts_share_folder_passphrase_stores_and_policy(replicated):
    BackupPolicy.objects.create(cluster=replicated, node=replicated.nodes.get(name="n1"), retention_full=3)
    first, standby, other = (node_setup(replicated, name) for name in ("n1", "n2", "n3"))
    # The nearest store of n2's own region is another one; WAL that went there would be a gap.
    assert [replace(one, store="") for one in standby.configuration.targets] == [
        replace(one, store="") for one in first.configuration.targets
    ]
    assert standby.configuration.targets[0].path == f"/{replicated.prefix}/n1"
    assert standby.policy == first.policy
    assert other.configuration.targets[0].path == f"/{replicated.prefix}/n3"
    assert (first.configuration.is_standby, standby.configuration.is_standby) == (False, True)
    assert other.configuration.follows == ""


def files(cluster, name):
    """What the node is handed."""
    found = node_setup(cluster, name)
    return found.setup("https://console.example/"), found.timers_script


def test_failover_changes_no_file(replicated):
    told(replicated, "n1", 1)
    before = [files(replicated, name) for name in ("n1", "n2")]
    told(replicated, "n1", 1, ago=20)
    told(replicated, "n2", 2)
    assert [files(replicated, name) for name in ("n1", "n2")] == before
    assert replication.primary(fresh(replicated), "n1").name == "n2"


def test_the_primary_speaks_for_the_folder(replicated):
    told(replicated, "n1", 1, ago=20)
    told(replicated, "n2", None)
    assert replication.reports(fresh(replicated))["n1", "orders"].timeline == 1
    told(replicated, "n2", 2)
    said = replication.reports(fresh(replicated))
    assert {key: one.timeline for key, one in said.items()} == {("n1", "orders"): 2}
    # A standby that has never reported is measured by what the others have: set-up refuses another database there.
    Stanza.objects.filter(node__name="n2").delete()
    assert node_setup(replicated, "n2").system_ids == {"orders": SYSTEM_ID}


def test_steps_of_a_standby_create_no_stanza(replicated):
    commands = " ".join(one.text for one in node_setup(replicated, "n2").commands)
    assert "stanza-create" not in commands
    assert " backup" not in commands
    assert "wal_keep_size" in commands
    assert "pg_stat_wal_receiver" in commands
    first = " ".join(one.text for one in node_setup(replicated, "n1").commands)
    assert "stanza-create" in first
    assert "wal_keep_size" in first
    assert "wal_keep_size" not in " ".join(one.text for one in node_setup(replicated, "n3").commands)
    assert node_setup(replicated, "n2").preparation == []


def test_two_databases_in_one_folder_are_told(as_alice, replicated):
    told(replicated, "n1", 1)
    told(replicated, "n2", None, system_id=OTHER_ID)
    assert "these are two databases, and not hosts of one replication" in text_of(
        as_alice.get(at(replicated, "", "n2"))
    )
    told(replicated, "n2", None)
    assert "two databases" not in text_of(as_alice.get(at(replicated, "", "n2")))


# What is known of the folder


def test_what_is_seen_counts_for_the_folder(replicated, monkeypatch):
    told(replicated, "n1", 1, ago=20)
    told(replicated, "n2", 2)
    seen(replicated, stanza_state("n1"))
    memory.note_setup(replicated)
    asked = {}
    monkeypatch.setattr(inventory.repository, "look", lambda *given: asked.update(given[4]) or [])
    inventory.look(inventory.of(replicated.pk).first())
    assert asked["n1", "orders"].timeline == 2
    again = fresh(replicated)
    view = next(one for case in bookcases(again) for one in case.stanza_views)
    assert (view.is_gone, view.known_id, view.timeline, list(view.hosts)) == (False, SYSTEM_ID, 2, ["n1", "n2"])
    source = restores.of_cluster(again)[0]
    assert (source.node.name, source.node_has_it, source.target.path) == ("n2", True, f"/{replicated.prefix}/n1")
    assert source.view.known_id == SYSTEM_ID
    assert held_for(again, "n1")
    known = set(KnownStanza.objects.values_list("node", flat=True))
    assert known == {"n1", "n3"}
    assert {one.node for one in places(again.repositories.get(number=1))} == {"n1", "n3"}


def test_setup_that_is_noted_is_the_first_host_s(replicated):
    node = replicated.nodes.get(name="n2")
    node.differences.create(database=replicated.databases.get(), data_directory="/srv/standby")
    memory.note_setup(replicated)
    assert KnownStanza.objects.get(node="n1").data_directory == "/var/lib/postgresql/15/main"


def test_retention_of_a_folder_is_that_of_its_hosts(replicated):
    memory.note_setup(replicated)
    first = replicated.nodes.get(name="n1")
    actions.plan_backups(
        fresh(replicated), first, by=None, retention_full=5, retention_type="count", retention_diff=None
    )
    assert KnownStanza.objects.get(node="n1").retentions[-1]["full"] == 5
    assert [one["full"] for one in KnownStanza.objects.get(node="n3").retentions] in ([], [14])


# Who follows whom


def test_follow_by_the_dialog(as_alice, cluster):
    dialog = text_of(as_alice.get(at(cluster, "replication/", "n2"), headers=HTMX))
    assert "a standby of n1" in dialog
    assert "a standby of n2" not in dialog
    answer = send(as_alice, cluster, follows="n1", address="10.0.0.12", ssh_port="2222")
    assert answer.status_code == 204
    node = cluster.nodes.get(name="n2")
    assert (node.repository_folder, node.address, node.ssh_port) == ("n1", "10.0.0.12", 2222)
    event = AuditEvent.objects.get(action="Said which replication a node is of")
    assert (event.before["folder"], event.after["folder"]) == ("n2", "n1")
    page = words_of(as_alice.get(at(cluster, "", "n2")))
    assert "n2 is a standby of n1" in page
    assert "standby of n1" in words_of(as_alice.get(cluster.get_absolute_url()))
    assert send(as_alice, cluster, follows="").status_code == 204
    assert cluster.nodes.get(name="n2").folder == ""


@pytest.mark.parametrize(
    ("node", "first", "words"),
    [
        ("n3", "n2", "There is no node n2 to follow"),  # it follows n1
        ("n1", "n3", "n2 share the folder of n1. Have them follow n3 first."),
        ("n1", "n1", "There is no node n1 to follow"),
        ("n3", "n9", "There is no node n9 to follow"),
    ],
)
def test_follow_refuses(as_alice, replicated, node, first, words):
    answer = send(as_alice, replicated, node, follows=first)
    assert answer.status_code == 422
    assert words in words_of(answer)
    assert {one.name: one.folder for one in replicated.nodes.all()} == {"n1": "", "n2": "n1", "n3": ""}


@pytest.mark.parametrize("address", ["a b", "-oProxyCommand=x", "host;rm", "x" * 254, "a\nb"])
def test_follow_refuses_what_is_no_host(as_alice, cluster, address):
    assert send(as_alice, cluster, follows="n1", address=address).status_code == 422
    assert cluster.nodes.get(name="n2").folder == ""


def test_follow_leaves_backups_only_when_it_is_said(as_alice, cluster):
    seen(cluster, stanza_state("n2"), number=2)
    assert "Leave the folder n2" in text_of(as_alice.get(at(cluster, "replication/", "n2"), headers=HTMX))
    answer = send(as_alice, cluster, follows="n1")
    assert answer.status_code == 422
    assert "The folder of n2 holds backups or WAL of its own" in words_of(answer)
    assert cluster.nodes.get(name="n2").folder == ""
    # An address alone moves nothing.
    assert send(as_alice, cluster, follows="", address="db2").status_code == 204
    assert send(as_alice, cluster, follows="n1", leaves_own="on").status_code == 204
    again = fresh(cluster)
    # It is listed, restored from, and expired by the node itself; the shared folder is not expired twice.
    (view,) = [one for case in bookcases(again) for one in case.stanza_views if one.stanza_state.node == "n2"]
    assert view.rows
    source = next(one for one in restores.of_cluster(again) if one.state.node == "n2")
    assert source.target.path.endswith("/n2")
    left = node_setup(cluster, "n2").configuration.left
    assert [(one.number, one.path) for one in left] == [(2, f"/{cluster.prefix}/n2")]
    assert node_setup(cluster, "n1").configuration.left == []
    assert "n2" in [one.name for one in kit_of(again.repositories.get(number=2)).nodes]


def test_first_host_goes_on_to_expire_what_its_replication_has_left(replicated, stores):
    seen(replicated, stanza_state("n1"), number=2)
    assert [one.number for one in node_setup(replicated, "n1").configuration.left] == [2]
    assert node_setup(replicated, "n2").configuration.left == []


def test_strangers_and_viewers_change_nothing(cluster, bob, charlie):
    for person, status in ((bob, 403), (charlie, 404)):
        client = Client()
        client.force_login(person)
        for rest in ("replication/", "archiving/"):
            assert client.get(at(cluster, rest, "n2")).status_code == status
            assert send(client, cluster, rest=rest, follows="n1", backup_from="primary").status_code == status
        assert client.post(f"/clusters/{cluster.pk}/archiving/", {"backup_from": "primary"}).status_code == status
    assert cluster.nodes.get(name="n2").folder == ""
    assert not BackupPolicy.objects.exists()


# New nodes, and nodes that go


def test_added_nodes_are_standbys(as_alice, cluster):
    data = {"regions": ["eu-west-1"], "follows": "n1"}
    assert as_alice.post(f"/clusters/{cluster.pk}/nodes/add/", data, headers=HTMX).status_code == 204
    assert cluster.nodes.get(name="n4").repository_folder == "n1"
    answer = as_alice.post(f"/clusters/{cluster.pk}/nodes/add/", {**data, "follows": "n7"}, headers=HTMX)
    assert (answer.status_code, "There is no node n7 to follow" in text_of(answer)) == (422, True)


def test_new_cluster_of_one_replication(as_alice, account, stores):
    data = {"name": "ledger", "cloud_account": str(account.pk), "regions": ["eu-west-1", "us-east-1"]}
    assert "is_replication" in text_of(as_alice.get("/clusters/create/", {"cloud_account": str(account.pk)}))
    as_alice.post("/clusters/create/", {**data, "is_replication": "on"})
    assert [one.repository_folder for one in Cluster.objects.get(name="ledger").nodes.all()] == ["n1", "n1"]


def test_folder_outlives_its_first_host(as_alice, replicated):
    BackupPolicy.objects.create(cluster=replicated, node=replicated.nodes.get(name="n1"), retention_full=3)
    seen(replicated, stanza_state("n1"))
    told(replicated, "n2", 2)
    before = node_setup(replicated, "n2")
    actions.remove_nodes(replicated, names=["n1"], by=None)
    after = node_setup(replicated, "n2")
    assert (after.sha256, after.policy.retention_full) == (before.sha256, 3)
    assert after.configuration.targets == before.configuration.targets
    view = next(one for case in bookcases(fresh(replicated)) for one in case.stanza_views)
    assert (view.is_gone, list(view.hosts)) == (False, ["n2"])
    memory.note_setup(replicated)
    memory.note_retentions(replicated)
    assert KnownStanza.objects.get(node="n1").retentions[-1]["full"] == 3
    # Its folder goes on with the last host; others can join.
    answer = send(as_alice, replicated, follows="n3")
    assert (answer.status_code, "n2 is the last host of the folder n1" in words_of(answer)) == (422, True)
    assert send(as_alice, replicated, follows="", address="db2").status_code == 204
    assert replicated.nodes.get(name="n2").folder == "n1"
    assert send(as_alice, replicated, "n3", follows="n2").status_code == 204
    assert replicated.nodes.get(name="n3").repository_folder == "n1"


def test_what_stays_when_all_hosts_go(replicated):
    assert replication.folders_left(replicated, ["n1"]) == set()
    assert replication.folders_left(replicated, ["n2"]) == {"n2"}  # that of its own, which it had before
    assert replication.folders_left(replicated, ["n1", "n2"]) == {"n1", "n2"}


def test_report_of_a_standby_is_taken(replicated):
    answer = report(replicated, "n2", sha256=node_setup(replicated, "n2").sha256, **{"system_id.orders": SYSTEM_ID})
    assert (answer.status_code, answer.content) == (200, b"applied\n")
    assert not node_setup(replicated, "n2").troubles


# How it is handed over


def test_backups_on_a_standby_want_each_host_s_address(as_alice, replicated):
    data = {"backup_from": "standby"}
    answer = send(as_alice, replicated, "n1", "archiving/", **data)
    assert answer.status_code == 422
    assert "have to reach n1 and n2 by SSH: give n1 its address first" in words_of(answer)
    for name, address in (("n1", "10.0.0.1"), ("n2", "db2.example")):
        replicated.nodes.filter(name=name).update(address=address, ssh_port=2222)
    dialog = words_of(as_alice.get(at(replicated, "archiving/", "n1"), headers=HTMX))
    assert "ssh -o BatchMode=yes -p 2222 postgres@db2.example pgbackrest version" in dialog
    assert send(as_alice, replicated, "n2", "archiving/", **data).status_code == 204  # of n1 and all its hosts
    assert BackupPolicy.objects.get().node.name == "n1"
    file = node_setup(replicated, "n2").configuration.render(secrets=False)
    assert "pg1-port=5432\npg2-host=10.0.0.1\npg2-host-user=postgres\npg2-host-port=2222\npg2-host-config=" in file
    assert "backup-standby" not in file  # which would keep the primary from a backup by hand
    assert "pg2-host" not in node_setup(replicated, "n3").configuration.render(secrets=False)
    replicated.nodes.filter(name="n2").update(address="")
    assert "not every host has an address" in node_setup(replicated, "n1").troubles[0]


def test_inventory_rows_of_old_still_say_whose_they_are(cluster):
    """A row from before there were hosts names its node, whose folder has the same name."""
    seen(cluster, stanza_state("n1"))
    rows = cluster.repositories.get(number=1).inventory.content
    assert from_json(rows)[0].node == "n1"
    assert not replication.holds_own(fresh(cluster), cluster.nodes.get(name="n2"))
    assert replication.holds_own(fresh(cluster), cluster.nodes.get(name="n1"))


def test_other_organisations_node_cannot_be_followed(as_alice, cluster, charlie):
    theirs = factories.account(charlie.memberships.get().organisation, name="theirs")
    Cluster.objects.create(organisation=theirs.organisation, cloud_account=theirs, name="theirs").nodes.create(
        name="n8", region="eu-west-1"
    )
    assert send(as_alice, cluster, follows="n8").status_code == 422
