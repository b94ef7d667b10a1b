"""What the repositories hold, on the pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clusters import actions
from clusters.models import Cluster, Stanza
from clusters.repositories import backups
from console.operations import snapshots
from tests.clusters.nodes import FOREIGN_ID, SYSTEM_ID, node_setup, report, seen, stanza_state
from tests.responses import HTMX, text_of


def test_backups_are_listed_by_store_and_stanza(as_alice, cluster):
    report(cluster, sha256="0" * 64, **{"system_id.orders": SYSTEM_ID})
    seen(cluster, stanza_state())
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    for text in ("20261122-140000F", "5 s", "1.9 MB", "293.0 KB", "000000010000000000000007", "last full"):
        assert text.replace(" ", "") in page.replace("\xa0", "").replace(" ", ""), text
    assert "Foreign" not in page
    assert "Not confirmed" not in page


def test_a_store_s_page_has_the_backups_of_every_cluster_that_uses_it(as_alice, client, cluster, make, stores, charlie):
    make([stores[0]], name="shop")
    seen(cluster, stanza_state())
    seen(cluster, stanza_state(node="n2"), number=2)
    assert f"/clusters/stores/{stores[0].pk}/backups/" in text_of(as_alice.get(stores[0].get_absolute_url()))
    for headers in ({}, HTMX):
        page = text_of(as_alice.get(f"/clusters/stores/{stores[0].pk}/backups/", headers=headers))
        assert page.count("<code>20261122-140000F</code>") == 1  # that of the other store is not here
        assert (">orders</a>" in page, ">shop</a>" in page) == (True, True)
        assert "Not looked into yet" in page
    client.force_login(charlie)
    assert client.get(f"/clusters/stores/{stores[0].pk}/backups/").status_code == 404


def test_a_repository_of_another_database_is_foreign_and_never_adopted(as_alice, cluster):
    seen(cluster, stanza_state(system_id=FOREIGN_ID))
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    assert "Not confirmed" in page  # the node has not said yet who it is
    report(cluster, sha256="0" * 64, **{"system_id.orders": SYSTEM_ID})
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    assert "Foreign" in page
    assert FOREIGN_ID in page
    assert Stanza.objects.get().system_id == SYSTEM_ID


def test_backups_of_another_database_are_not_counted(as_alice, cluster, stores):
    report(cluster, sha256="0" * 64, **{"system_id.orders": SYSTEM_ID})
    [own] = stanza_state().backups
    theirs = replace(own, label="20261123-140000F", system_id=FOREIGN_ID, stopped=own.stopped + 86_400)
    seen(cluster, stanza_state(system_id=FOREIGN_ID, backups=[own, theirs]))
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    assert page.count("Another database</span>") == 1
    first, _ = backups.bookcases(Cluster.objects.with_node_setup().get(pk=cluster.pk))
    assert first.stanza_views[0].last_full.backup == own
    keep_second = {"version": cluster.version, "backup_stores": [str(stores[1].pk)]}
    url = f"/clusters/{cluster.pk}/backup-stores/"
    warned = text_of(as_alice.post(url, keep_second, headers=HTMX))
    assert "the only full backups of orders on n1, the newest 20261122-140000F" in warned
    seen(cluster, stanza_state(system_id=FOREIGN_ID, backups=[theirs]))
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    assert "no full backup yet" in page
    assert "the only full backups" not in text_of(as_alice.post(url, keep_second, headers=HTMX))


@pytest.mark.parametrize(
    ("status", "note", "badge"),
    [
        ("encrypted", "It is encrypted, and the console has no passphrase for it.", "Encrypted"),
        ("damaged", "backup.info cannot be read: it is cut off.", "Damaged"),
    ],
)
def test_what_cannot_be_read_is_shown_as_objects_and_bytes(as_alice, cluster, status, note, badge):
    unread = {"system_id": "", "backups": [], "objects": 1_234, "bytes": 3 * 1024**3}
    seen(cluster, stanza_state(status=status, note=note, **unread))
    page = text_of(as_alice.get(cluster.get_absolute_url())).replace("\xa0", " ")
    for words in (f">{badge}<", note, "1,234 objects, 3.0 GB.", "last WAL"):
        assert words in page, words
    assert "no full backup yet" not in page  # which nobody can say


def test_what_no_node_of_the_cluster_writes_is_told_apart(as_alice, cluster):
    seen(cluster, stanza_state(node="n7", system_id=FOREIGN_ID))
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    assert "Not in the cluster" in page
    assert f"system identifier {FOREIGN_ID}" in page
    assert not Stanza.objects.exists()


def test_detaching_names_the_only_full_backups(as_alice, cluster, stores):
    url = f"/clusters/{cluster.pk}/backup-stores/"
    keep_second = {"version": cluster.version, "backup_stores": [str(stores[1].pk)]}
    page = text_of(as_alice.post(url, keep_second, headers=HTMX))
    assert "may hold the only full backup" in page
    seen(cluster, stanza_state())
    page = text_of(as_alice.post(url, keep_second, headers=HTMX))
    assert "holds the only full backups of orders on n1, the newest 20261122-140000F" in page
    assert "may hold" not in page
    seen(cluster, stanza_state(), number=2)
    assert "only full backup" not in text_of(as_alice.post(url, keep_second, headers=HTMX))
    report(cluster, sha256=node_setup(cluster).sha256)
    assert "n1 still has it in the configuration" in text_of(as_alice.post(url, keep_second, headers=HTMX))


def test_last_known_backups_are_shown_with_their_age_while_the_server_is_down(as_alice, cluster, amazon):
    seen(cluster, stanza_state())
    amazon.inject("ListObjectsV2", code="ServiceUnavailable", status=503, times=10)
    assert as_alice.post(f"/clusters/{cluster.pk}/backups/refresh/", headers=HTMX).status_code == 204
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    assert "looking" in page
    assert 'hx-trigger="every 1s"' in page
    for label, pk in snapshots.due():
        snapshots.read(label, pk)
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    assert "failed: AWS is busy" in page
    assert "What is below was seen" in page
    assert "20261122-140000F" in page
    assert 'hx-trigger="every 1s"' not in page


def test_cluster_page_asks_as_much_for_many_nodes_as_for_one(as_alice, cluster, django_assert_max_num_queries):
    with django_assert_max_num_queries(26) as few:
        as_alice.get(cluster.get_absolute_url())
    actions.add_nodes(cluster, regions=["eu-west-1"] * 10, by=None)
    with django_assert_max_num_queries(len(few)):
        as_alice.get(cluster.get_absolute_url())
