"""What pages say once backups are gone, and where they still say that there never was anything."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from clusters.models import Cluster, Inventory, KnownStanza
from clusters.pgbackrest.repository import StanzaState, as_json
from clusters.repositories.growth import growth
from console.audit.models import AuditEvent
from stores.models import DeletionPreview, Store
from tests import factories
from tests.clusters.pgbackrest.repository_files import backup
from tests.responses import HTMX, text_of

FULL, LATER = backup("F", 3, stored=2_800_000), backup("F", 1, stored=3_000_000)
SEEN, MISSED = timezone.now() - timedelta(hours=2), timezone.now() - timedelta(hours=1)
VERSIONS = {"objects": 4, "bytes": 2_800_000, "there": 0, "more": False, "folder": False}
VERSIONS |= {"first": "2026-11-22T01:08:00+00:00", "last": "2026-11-22T01:09:00+00:00", "looked_at": MISSED.isoformat()}


@pytest.fixture
def cluster(make, account):
    """A cluster whose two stores were looked into; the first one keeps what was deleted."""
    stores = [factories.store(account, name="archive-dub", region="eu-west-1", versions_days=30)]
    cluster = make([*stores, factories.store(account, name="archive-iad", region="us-east-1")])
    for found in cluster.repositories.all():
        Inventory.objects.update_or_create(repository=found, defaults={"read_at": SEEN, "due_at": None})
    return cluster


@pytest.fixture
def rob(cluster):
    """A function that has backups of n1 missed in the first store, as a look does; returns what is known."""

    def rob(*lost, left=(), versions=VERSIONS, number=1, node="n1"):
        found = cluster.repositories.get(number=number)
        rows = [
            {"backup": asdict(one), "seen_at": SEEN.isoformat(), "missed_at": MISSED.isoformat()}
            for one in lost or [FULL]
        ]
        known, _ = KnownStanza.objects.update_or_create(
            repository=found,
            node=node,
            name="orders",
            defaults={
                "lost": rows,
                "lost_since": MISSED,
                "seen_at": SEEN,
                "backup_at": SEEN,
                "backups": {one.label: asdict(one) for one in left},
                "sizes": [[SEEN.astimezone(UTC).date().isoformat(), 2_800_000, 0]],
                "versions": versions,
            },
        )
        states = [StanzaState(node, "orders", "read", backups=list(left))] if left else []
        Inventory.objects.filter(repository=found).update(content=as_json(states))
        return known

    return rob


def store_of(cluster, number=1):
    return cluster.repositories.get(number=number).store


def pages(cluster, number=1):
    """Return the addresses of all pages that show a state of the cluster or of its store, or what is in it."""
    store = store_of(cluster, number)
    return {
        "cluster": cluster.get_absolute_url(),
        "node": cluster.nodes.get(name="n1").get_absolute_url(),
        "store": store.get_absolute_url(),
        "clusters": reverse("clusters:list"),
        "stores": reverse("stores:list"),
        "preview": reverse("stores:deletion_preview", args=[store.pk]),
        "delete": reverse("stores:delete", args=[store.pk]),
    }


def said(client, address):
    return " ".join(text_of(client.get(address)).split())


def test_nothing_was_ever_seen_and_so_it_is_said(as_alice, cluster):
    page = said(as_alice, cluster.get_absolute_url())
    assert page.count("Nothing has been written yet") == 2
    assert "None was ever seen" in said(as_alice, pages(cluster)["preview"])
    for address in pages(cluster).values():
        assert "gone" not in said(as_alice, address).replace("is gone.", "")


@pytest.mark.parametrize("name", ["cluster", "node", "store", "clusters", "stores", "preview", "delete"])
def test_a_loss_is_said_on_every_page(as_alice, cluster, rob, name):
    rob()
    page = said(as_alice, pages(cluster)[name])
    assert "gone" in page
    assert "Nothing has been written yet" not in page.partition("archive-iad")[0] or name == "cluster"
    assert "None was ever seen" not in page


def test_a_loss_turns_cluster_and_store_red_wherever_their_state_shows(as_alice, cluster, rob):
    red = '<span class="badge failed">Backups gone</span>'
    everywhere = {
        name: address for name, address in pages(cluster).items() if name not in {"node", "preview", "delete"}
    }
    for address in everywhere.values():
        assert red not in said(as_alice, address)
    rob()
    for name, address in everywhere.items():
        page = said(as_alice, address)
        assert page.count(red) == (2 if name == "cluster" else 1), name  # with the chip of its store
        assert 'class="state-dot verdict-at-risk" title="At risk"' in page, name
        assert ", At risk</span>" in page
        assert ", Backups gone</span>" in page
    assert Cluster.objects.get().has_loss
    assert Store.objects.get(name="archive-dub").has_loss
    assert not Store.objects.get(name="archive-iad").has_loss
    Cluster.objects.update(state="updating")
    assert "Updating" in said(as_alice, pages(cluster)["clusters"])


def test_a_loss_says_what_when_what_can_come_back_and_where_else_there_is_one(as_alice, cluster, rob):
    rob(FULL, backup("I", 2, FULL, stored=1000), backup("I", 1, FULL, stored=500), left=[LATER])
    KnownStanza.objects.create(
        repository=cluster.repositories.get(number=2), node="n1", name="orders", backups={LATER.label: asdict(LATER)}
    )
    page = said(as_alice, cluster.get_absolute_url())
    assert "1 full backup (2.7 MB) and 2 incremental backups (1.5 KB) of orders on n1</strong> in archive-dub" in page
    assert f"{SEEN.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" in page
    assert "4 deleted objects of them (2.7 MB)</strong>" in page
    assert "2026-11-22 01:08:00 UTC" in page
    assert "2026-12-22 01:08:00 UTC" in page  # 30 days later
    elsewhere = store_of(cluster, 2)
    assert f'are also in <a href="{elsewhere.get_absolute_url()}">archive-iad</a>' in page
    assert FULL.label in page


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ({**VERSIONS, "objects": 0, "first": ""}, "Nothing of it can come back."),
        ({**VERSIONS, "objects": 0, "there": 3}, "3 objects of it are still in the store"),
        ({**VERSIONS, "folder": True}, "can come back with all that was in it"),
        ({**VERSIONS, "more": True}, "still keeps more than"),
        ({**VERSIONS, "error": "AWS refused s3:ListBucketVersions."}, "could not be seen: AWS refused"),
        ({}, "gone"),  # not counted yet
    ],
)
def test_a_loss_says_what_the_versions_hold(as_alice, cluster, rob, versions, words):
    rob(versions=versions)
    assert words in said(as_alice, cluster.get_absolute_url())


def test_a_loss_in_a_store_that_keeps_nothing_says_so(as_alice, cluster, rob):
    rob(versions={**VERSIONS, "objects": 0, "first": ""}, number=2)
    page = said(as_alice, store_of(cluster, 2).get_absolute_url())
    assert "Nothing of it can come back: the store keeps nothing that was deleted." in page
    assert "Recover deleted backups" not in page


def test_a_loss_leads_to_the_way_back(as_alice, cluster, rob):
    way_back = reverse("clusters:rescue", args=[rob().repository_id])
    page = said(as_alice, cluster.get_absolute_url())
    assert f'href="{way_back}">Recover deleted backups</a>' in page
    assert as_alice.get(way_back).status_code == 200


def test_a_loss_in_a_repository_that_no_cluster_uses_is_shown_where_it_is_listed(as_alice, cluster, rob):
    known = rob()
    known.repository.attachment.delete()
    page = said(as_alice, reverse("clusters:retained"))
    assert "gone" in page
    assert reverse("clusters:rescue", args=[known.repository_id]) in page


def test_a_stanza_that_is_gone_is_never_one_that_has_not_begun(as_alice, cluster, rob):
    rob()
    assert "no full backup any more" in said(as_alice, cluster.get_absolute_url())
    KnownStanza.objects.update(lost=[], lost_since=None)  # they deleted them themselves
    page = said(as_alice, cluster.get_absolute_url())
    assert "no full backup any more" in page
    assert page.count("Nothing has been written yet") == 1  # in the other store
    preview = said(as_alice, pages(cluster)["preview"])
    assert "None is left; something was last seen" in preview


def test_the_preview_of_a_deletion_says_first_what_the_versions_are(as_alice, cluster, rob):
    rob()
    found = {"objects": 0, "older": 4, "markers": 4, "size": 2_800_000, "versioned": True}
    content = {"contents": found, "commands": "aws s3api delete-objects"}
    defaults = {"content": content, "read_at": timezone.now(), "due_at": None}
    DeletionPreview.objects.update_or_create(store=store_of(cluster), defaults=defaults)
    for name in ("preview", "delete"):
        page = said(as_alice, pages(cluster)[name])
        assert page.index("4 deleted objects") < page.index("Older versions") < page.index("Commands that empty it")


def test_a_page_shows_a_few_losses_and_says_that_there_are_more(as_alice, cluster, rob):
    for number in range(25):
        rob(node=f"a{number:02}")
    known = rob()
    KnownStanza.objects.filter(pk=known.pk).update(postgresql="17")
    page = said(as_alice, cluster.get_absolute_url())
    assert page.count("We deleted it ourselves") == 20
    assert "Backups of 6 more databases are gone from these stores." in page
    assert "of orders on n1</strong>" in page


# --- We deleted them ourselves --------------------------------------------------------------------------------------


def forget(known):
    return reverse("clusters:lost_forget", args=[known.repository_id]), {"until": MISSED.isoformat()}


def test_lost_forget_forgets_and_is_written_down(as_alice, cluster, rob):
    known = rob()
    answer = as_alice.post(*forget(known), headers=HTMX)
    assert "clusters-changed" in answer["HX-Trigger"]
    known.refresh_from_db()
    assert (known.lost, known.lost_since) == ([], None)
    event = AuditEvent.objects.get(action="Said who deleted backups")
    assert event.after["backups"] == [f"{FULL.label} of orders on n1"]
    assert "Backups gone" not in said(as_alice, cluster.get_absolute_url())


def test_lost_forget_leaves_what_was_missed_after_the_page_was_made(as_alice, rob):
    known = rob()
    address, data = forget(known)
    as_alice.post(address, {"until": (MISSED - timedelta(seconds=1)).isoformat()})
    known.refresh_from_db()
    assert len(known.lost) == 1
    assert as_alice.post(address, data)["Location"]


@pytest.mark.parametrize(
    "until", ["", "x", "2026-13-45T00:00:00+00:00", "9999-12-31T23:59:59-14:00", "\x00", "9" * 9999]
)
def test_lost_forget_refuses_what_is_no_time(as_alice, rob, until):
    known = rob()
    assert as_alice.post(forget(known)[0], {"until": until}).status_code == 422
    known.refresh_from_db()
    assert len(known.lost) == 1


def test_lost_forget_is_for_owners_and_admins_of_the_organisation(client, bob, charlie, rob):
    known = rob()
    client.force_login(bob)
    assert client.post(*forget(known)).status_code == 403
    assert "We deleted it ourselves" not in said(client, known.repository.cluster.get_absolute_url())
    client.force_login(charlie)
    assert client.post(*forget(known)).status_code in {403, 404}
    known.refresh_from_db()
    assert len(known.lost) == 1


# --- How it grew ----------------------------------------------------------------------------------------------------


def day(number):
    return f"2026-11-{number:02}"


def test_growth_is_of_all_stanzas_together():
    one = KnownStanza(sizes=[[day(1), 100, 10], [day(9), 300, 10]])
    two = KnownStanza(sizes=[[day(2), 50, 5], [day(20), 0, 0]])
    found = growth([one, two])
    assert [(one.day.day, one.backups, one.wal) for one in found.sizes] == [
        (1, 100, 10),
        (2, 150, 15),
        (9, 350, 15),
        (20, 300, 10),
    ]
    assert (found.now.total, found.change.since.day, found.change.bytes, found.change.amount) == (310, 9, -55, 55)
    assert growth([]) is None
    assert growth([KnownStanza(sizes=[[day(1), 1, 1]])]).change is None


def test_growth_shows_a_few_days_of_many():
    found = growth([KnownStanza(sizes=[[day(number), number, 0] for number in range(1, 31)])])
    assert found.rows[0] == found.now
    assert len(found.rows) <= 14
    assert [row.day for row in found.rows] == sorted((row.day for row in found.rows), reverse=True)


def test_growth_shows_on_the_cluster_s_page(as_alice, cluster):
    found = cluster.repositories.get(number=1)
    sizes = [[day(1), 1_000_000, 16_000_000], [day(9), 3_000_000, 32_000_000]]
    KnownStanza.objects.create(repository=found, node="n1", name="orders", sizes=sizes, seen_at=SEEN)
    page = said(as_alice, cluster.get_absolute_url())
    assert "17.2 MB more than on 2026-11-01" in page
