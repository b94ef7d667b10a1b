"""What nodes say of themselves, and what the console makes of it."""

from __future__ import annotations

import pytest
from django.test import Client

from clusters.models import Node, RemovedNode, Stanza
from tests.clusters.nodes import POLICY, SYSTEM_ID, at, node_setup, report
from tests.responses import HTMX, text_of


def test_report_tells_applied_from_out_of_date(as_alice, cluster):
    assert "Not reported" in text_of(as_alice.get(at(cluster)))
    answer = report(cluster, sha256=node_setup(cluster).sha256, **{"system_id.orders": SYSTEM_ID})
    assert (answer.status_code, answer.content) == (200, b"applied\n")
    assert Stanza.objects.get().system_id == SYSTEM_ID
    assert Node.objects.get(cluster=cluster, name="n1").applied_targets == [1]
    assert "Applied" in text_of(as_alice.get(cluster.get_absolute_url()))
    as_alice.post(at(cluster, "backup-stores/"), {"choice": "all"}, headers=HTMX)
    assert "Out of date" in text_of(as_alice.get(at(cluster)))
    assert report(cluster, sha256="0" * 64).content == b"outdated\n"
    assert Node.objects.get(cluster=cluster, name="n1").applied_targets == [1]  # the last file that is known


def test_a_node_that_gets_another_repository_is_told_to_prepare_it(as_alice, cluster, machine):
    pgbackrest = node_setup(cluster).layout.pgbackrest
    prepare = f"sudo -u postgres {pgbackrest} --stanza=orders stanza-create"
    as_alice.post(at(cluster, "backup-stores/"), {"choice": "all"}, headers=HTMX)
    assert text_of(as_alice.get(at(cluster))).count(f'data-copy="{prepare}"') == 1  # among all that a new node needs
    as_alice.post(at(cluster, "backup-stores/"), {"choice": "nearest"}, headers=HTMX)
    report(cluster, sha256=node_setup(cluster).sha256)
    as_alice.post(at(cluster, "backup-stores/"), {"choice": "all"}, headers=HTMX)
    page = text_of(as_alice.get(at(cluster)))
    assert "repo2: new to the node." in page
    assert page.count(f'data-copy="{prepare}"') == 2
    said = machine(as_alice.get(at(cluster, "setup.sh")).content.decode())
    noted = said.index("repo2: no WAL leaves this node until you have run")
    assert said[noted + 1].strip() == prepare
    report(cluster, sha256=node_setup(cluster).sha256)
    assert "new to the node" not in text_of(as_alice.get(at(cluster)))


def test_another_schedule_makes_what_is_applied_out_of_date(as_alice, cluster):
    report(cluster, sha256=node_setup(cluster).sha256)
    assert node_setup(cluster).state == "applied"
    as_alice.post(f"/clusters/{cluster.pk}/policy/", {**POLICY, "incr_schedule": "0 */6 * * 1-6"}, headers=HTMX)
    assert "Out of date" in text_of(as_alice.get(at(cluster)))
    assert "# Backups are made by cron or timers: full 0 1 * * 0; incr 0 */6 * * 1-6." in node_setup(cluster).masked


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"sha256": "short"}, 422),
        ({"sha256": "Z" * 64}, 422),
        ({}, 422),
        ({"sha256": "0" * 64, "version": "<script>"}, 422),
        ({"sha256": "0" * 64, "version": ""}, 200),
        ({"sha256": "0" * 64, "system_id.orders": "no number"}, 200),
        ({"sha256": "0" * 64, "system_id.unknown": "7"}, 200),
    ],
)
def test_report_takes_nothing_else(cluster, data, status):
    assert report(cluster, **data).status_code == status
    assert not Stanza.objects.exists()
    assert bool(Node.objects.get(cluster=cluster, name="n1").reported_at) == (status == 200)


def test_report_needs_the_node_s_own_token(as_alice, cluster):
    other = Node.objects.get(cluster=cluster, name="n2").secrets["report_token"]
    for token in ("wrong", other, " "):
        assert report(cluster, token=token, sha256="0" * 64).status_code == 401
    assert Client().post(at(cluster, "applied/"), {"sha256": "0" * 64}).status_code == 401
    unknown = at(cluster, "applied/", "n9")
    assert Client().post(unknown, headers={"Authorization": f"Bearer {other}"}).status_code == 401
    assert not Node.objects.exclude(reported_at=None).exists()
    old = Node.objects.get(cluster=cluster, name="n1").secrets["report_token"]
    assert as_alice.post(at(cluster, "token/"), {"how": "at_once"}, headers=HTMX).status_code == 204
    assert report(cluster, token=old, sha256="0" * 64).status_code == 401
    assert report(cluster, sha256="0" * 64).status_code == 200


def test_report_needs_no_csrf_token(cluster):
    assert report(cluster, client=Client(enforce_csrf_checks=True), sha256="0" * 64).status_code == 200


def test_a_node_removed_while_its_configuration_is_out_is_not_forgotten(as_alice, cluster):
    token = Node.objects.get(cluster=cluster, name="n2").secrets["report_token"]
    report(cluster, "n2", sha256=node_setup(cluster, "n2").sha256)
    as_alice.post(f"/clusters/{cluster.pk}/nodes/remove/", {"nodes": ["n2", "n3"]}, headers=HTMX)
    assert [(one.name, bool(one.reported_at)) for one in RemovedNode.objects.all()] == [("n2", True), ("n3", False)]
    assert as_alice.get(at(cluster, "pgbackrest.conf", "n2")).status_code == 404
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    assert "n2 was removed, and its configuration may still be out" in page
    assert "n3</a> was removed" in page  # it never reported
    assert "It has reported since" not in page
    answer = report(cluster, "n2", token=token, sha256="0" * 64)
    assert (answer.status_code, b"was removed" in answer.content) == (410, True)
    assert report(cluster, "n2", token="wrong", sha256="0" * 64).status_code == 401
    assert "It has reported since" in text_of(as_alice.get(cluster.get_absolute_url()))
