"""A node that was removed keeps its page until its folder is gone: what it left, how it is restored, who expires it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from clusters import actions
from clusters.models import Inventory, Node, RemovedNode
from console.accounts.models import Membership
from console.audit.models import AuditEvent
from tests.clusters.nodes import at, report, seen, stanza_state
from tests.responses import HTMX, text_of


def signed_in(user):
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    return client


@pytest.fixture
def left(cluster):
    """n1 has reported, has a backup in repo1, and is removed."""
    report(cluster, sha256="0" * 64)
    seen(cluster, stanza_state())
    seen(cluster, number=2)
    actions.remove_nodes(cluster, names=["n1"], by=None)
    return cluster


def forget(client, cluster, node="n1", **data):
    return client.post(f"/clusters/{cluster.pk}/removed-nodes/{node}/forget/", data, headers=HTMX)


def looked(cluster, *states):
    """Have a worker look into the stores after the removal."""
    ago = timezone.now() - timedelta(minutes=1)
    RemovedNode.objects.update(removed_at=ago, reported_at=ago - timedelta(minutes=1))
    for number in (1, 2):
        seen(cluster, *states, number=number)


def test_its_page_stays_at_its_address(as_alice, left):
    page = text_of(as_alice.get(at(left)))
    for words in (
        "Removed", f"{left.repositories.get(number=1).folder}/n1", "1 backup", "Newest backup",
        f"/clusters/{left.pk}/restore/?node=n1", "Nobody expires it any more", "--repo1-retention-full=1 expire",
        "stanza-delete", "Its last report came", "undo.sh", "The passphrase is the repository",
    ):  # fmt: skip
        assert words in page, words
    assert as_alice.get(at(left), headers=HTMX).status_code == 200
    for rest in ("pgbackrest.conf", "setup.sh", "files/", "edit/", "crontab"):
        assert as_alice.get(at(left, rest)).status_code == 404


def test_it_can_be_restored(as_alice, left):
    page = text_of(as_alice.get(f"/clusters/{left.pk}/restore/?node=n1"))
    assert "orders on n1" in page
    script = as_alice.get(f"/clusters/{left.pk}/restore.sh?node=n1&stanza=orders&where=machine").content.decode()
    assert f"{left.repositories.get(number=1).folder}/n1" in script
    assert left.repositories.get(number=1).passphrase in script


def test_nobody_else_sees_it(left, bob, charlie):
    bob_sees = text_of(signed_in(bob).get(at(left)))
    assert "What it left" in bob_sees
    assert "stanza-delete" not in bob_sees
    assert signed_in(bob).post(f"/clusters/{left.pk}/removed-nodes/n1/forget/", {"name": "n1"}).status_code == 403
    assert signed_in(charlie).get(at(left)).status_code in {403, 404}
    assert signed_in(charlie).post(f"/clusters/{left.pk}/removed-nodes/n1/forget/").status_code in {403, 404}
    assert RemovedNode.objects.exists()


def test_it_is_forgotten_by_an_owner_who_types_its_name(as_alice, left):
    assert "archive-dub holds 1 backup" in text_of(as_alice.get(f"/clusters/{left.pk}/removed-nodes/n1/forget/"))
    for typed in ({}, {"name": "N1"}):
        assert forget(as_alice, left, **typed).status_code == 422
    assert RemovedNode.objects.exists()
    answer = as_alice.post(f"/clusters/{left.pk}/removed-nodes/n1/forget/", {"name": "n1"}, headers=HTMX)
    assert answer.status_code == 204
    assert not RemovedNode.objects.exists()
    assert AuditEvent.objects.filter(action="Forgot a removed node").exists()
    assert left.repositories.get(number=1).passphrase
    assert as_alice.get(at(left)).status_code == 404


def test_an_admin_forgets_it_only_once_its_folder_was_seen_empty(left, bob):
    Membership.objects.filter(user=bob).update(role="admin")
    admin = signed_in(bob)
    address = f"/clusters/{left.pk}/removed-nodes/n1/forget/"
    assert "only an owner may forget it" in text_of(admin.get(address))
    assert admin.post(address, {"name": "n1"}, headers=HTMX).status_code == 422
    looked(left, stanza_state())
    assert admin.post(address, {"name": "n1"}, headers=HTMX).status_code == 422
    looked(left)
    assert "Nothing of n1 is kept" in text_of(admin.get(address))
    assert admin.post(address, headers=HTMX).status_code == 204
    assert not RemovedNode.objects.exists()


def test_what_was_seen_before_it_was_removed_proves_nothing(as_alice, cluster):
    """It could write until then, and what it wrote last nobody has looked at."""
    report(cluster, sha256="0" * 64)
    seen(cluster)
    seen(cluster, number=2)
    actions.remove_nodes(cluster, names=["n1"], by=None)
    assert forget(as_alice, cluster).status_code == 422
    assert "No worker has looked" in text_of(as_alice.get(f"/clusters/{cluster.pk}/removed-nodes/n1/forget/"))
    Inventory.objects.all().delete()
    assert forget(as_alice, cluster).status_code == 422
    looked(cluster)
    assert forget(as_alice, cluster).status_code == 204


def test_one_that_still_reports_is_not_forgotten_by_the_way(as_alice, left):
    token = RemovedNode.objects.get().secrets["report_token"]
    looked(left)
    assert report(left, token=token, sha256="0" * 64).status_code == 410
    assert "It still runs." in text_of(as_alice.get(at(left)))
    assert forget(as_alice, left).status_code == 422
    assert "its configuration is still in place" in text_of(
        as_alice.get(f"/clusters/{left.pk}/removed-nodes/n1/forget/")
    )


def test_its_token_goes_with_it(as_alice, left):
    token = RemovedNode.objects.get().secrets["report_token"]
    looked(left)
    forget(as_alice, left)
    assert report(left, token=token, sha256="0" * 64).status_code == 401


def test_a_node_that_never_reported_keeps_a_page_too(as_alice, cluster):
    actions.remove_nodes(cluster, names=["n3"], by=None)
    page = text_of(as_alice.get(cluster.get_absolute_url()))
    assert "It never reported." in " ".join(page.split())
    assert "may still be out" not in page
    assert "It never reported. If its files were never put on a machine" in text_of(
        as_alice.get(at(cluster, name="n3"))
    )


def test_a_folder_that_others_share_is_theirs(as_alice, cluster):
    report(cluster, sha256="0" * 64)
    seen(cluster, stanza_state())
    Node.objects.filter(name="n2").update(folder="n1")
    actions.remove_nodes(cluster, names=["n1"], by=None)
    page = text_of(as_alice.get(at(cluster)))
    assert "Its folder n1 is that of n2 too" in page
    assert "stanza-delete" not in page
    assert forget(as_alice, cluster).status_code == 204
    actions.remove_nodes(cluster, names=["n2"], by=None)
    assert RemovedNode.objects.get(name="n2").repository_folder == "n1"
    assert forget(as_alice, cluster, "n2").status_code == 422
