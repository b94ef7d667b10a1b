"""Whose backups these are, as the pages say it: after upgrades, copies, and what else becomes of a database."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters.models import Attachment, Cluster, Database, Inventory, KnownStanza, Stanza
from clusters.repositories import backups, inventory
from clusters.repositories.backups import Descent
from tests.clusters.pgbackrest.repository_files import FILES, PLAIN, Bucket, info, name_of, row
from tests.responses import HTMX, text_of

BEFORE = (FILES / "upgraded/before.backup.info").read_bytes()
UPGRADED = (FILES / "upgraded/backup.info").read_bytes()
OLD, NEW, OTHER = "7713384368563661959", "7713384420308426099", "7000000000000000001"
FULL = "20261129-003052F"
COMMAND = "sudo -u postgres pgbackrest --stanza=orders stanza-upgrade"
NOW = datetime(2026, 11, 29, 1, tzinfo=UTC)


class World:
    """A cluster with a repository in memory, which is looked into as the workers do, and its pages."""

    def __init__(self, cluster, client):
        self.cluster, self.client = cluster, client
        self.buckets = {number: Bucket({}) for number in (1, 2)}
        self.stores = {one.store.bucket: one.repository.number for one in cluster.attachments.all()}

    def objects(self, spec):
        return self.buckets[self.stores[spec.bucket]]

    def write(self, data, number=1):
        self.buckets[number].objects[f"{self.cluster.prefix}/n1/backup/orders/backup.info"] = data

    def push(self, timeline, at=NOW, archive="15-1", number=2):
        name = name_of(timeline, number)
        key = f"{self.cluster.prefix}/n1/archive/orders/{archive}/{name[:16]}/{name}-{'a' * 40}"
        self.buckets[1].objects[key], self.buckets[1].times[key] = b"x" * 1000, at

    def report(self, system_id, timeline=None, at=None):
        node, database = self.cluster.nodes.get(name="n1"), self.cluster.databases.get()
        values = {
            "cluster": self.cluster,
            "system_id": system_id,
            "timeline": timeline,
            "reported_at": at or timezone.now(),
        }
        Stanza.objects.update_or_create(node=node, database=database, defaults=values)

    def look(self):
        for kept in inventory.of(self.cluster.pk):
            kept.content, kept.read_at = inventory.look(kept), timezone.now()
            kept.save()
        return self.view()

    def view(self, number=1):
        cluster = Cluster.objects.with_node_setup().get(pk=self.cluster.pk)
        case = next(one for one in backups.bookcases(cluster) if one.repository.number == number)
        return case.stanza_views[0]

    def page(self):
        answer = self.client.get(self.cluster.get_absolute_url())
        assert answer.status_code == 200
        text = text_of(answer).replace("\xa0", " ")
        return text[text.index('class="case"') :]

    def detach(self):
        keep_second = {
            "version": self.cluster.version,
            "backup_stores": [str(self.cluster.attachments.get(repository__number=2).store_id)],
        }
        return text_of(self.client.post(f"/clusters/{self.cluster.pk}/backup-stores/", keep_second, headers=HTMX))


@pytest.fixture
def world(make, stores, as_alice, monkeypatch):
    made = make(stores, run=False)  # what the cloud has for it is nothing to these tests
    Attachment.objects.update(state=Attachment.State.ATTACHED)
    Cluster.objects.update(state="available")
    Database.objects.create(cluster=made, name="orders", version="15", data_directory="/var/lib/postgresql/15/main")
    found = World(Cluster.objects.with_node_setup().get(pk=made.pk), as_alice)
    monkeypatch.setattr("console.clouds.aws.storage.AWSStorage.objects", lambda _, spec: found.objects(spec))
    return found


# Upgrades


def test_what_an_upgrade_leaves_is_prior_and_counts_as_the_stanza_s_own(world):
    world.write(UPGRADED)
    world.report(NEW)
    view = world.look()
    assert (view.descent, view.is_bad) == (Descent.OWN, False)
    assert [(row.is_prior, row.is_foreign) for row in view.rows] == [(True, False)] * 2
    page = world.page()
    assert page.count(">Prior database<") == 2
    assert "Another database" not in page
    assert "no full backup of the present database yet" in page
    assert f"the only full backups of orders on n1, the newest {FULL}" in world.detach()


def test_once_the_present_database_has_a_full_backup_that_counts(world):
    later = row("20261129-003059F", db_id=2, backup_timestamp_stop=1795912259)
    world.write(info(row(FULL), later, ids=(int(OLD), int(NEW))).encode())
    world.write(UPGRADED, number=2)
    world.report(NEW)
    world.look()
    assert "the only full backups of orders on n1, the newest 20261129-003059F" in world.detach()
    world.write(info(row(FULL), later, ids=(int(OLD), int(NEW))).encode(), number=2)
    world.write(UPGRADED)
    world.look()
    assert "full backup" not in world.detach().split("What detaching means")[1].split("Nothing in it is deleted")[0]


def test_before_stanza_upgrade_the_page_says_that_and_no_copied_machine(world):
    world.write(BEFORE)
    world.report(OLD)
    assert world.look().descent == Descent.OWN
    world.report(NEW)
    for _ in range(3):  # however often it is looked into
        view = world.look()
    assert view.descent == Descent.UPGRADED
    page = world.page()
    assert COMMAND in page
    for words in ("copied", ">Foreign<", "Another database", "Prior database"):
        assert words not in page
    assert f"the only full backups of orders on n1, the newest {FULL}" in world.detach()
    world.write(UPGRADED)
    assert world.look().descent == Descent.OWN
    assert "stanza-upgrade" not in world.page()


def test_what_the_console_knew_before_it_looked_is_enough(world):
    """The node was upgraded before anything was seen in this repository."""
    world.write(BEFORE)
    world.report(NEW)
    repository = world.cluster.repositories.get(number=1)
    KnownStanza.objects.create(repository=repository, node="n1", name="orders", system_id=OLD)
    assert world.look().descent == Descent.UPGRADED
    KnownStanza.objects.update(system_id=OTHER)
    assert world.look().descent == Descent.FOREIGN


@pytest.mark.parametrize(("version", "said"), [("15", "cannot tell another machine"), ("17", "looks like an upgrade")])
def test_a_system_identifier_in_no_history_stays_foreign(world, version, said):
    Database.objects.update(version=version)
    world.write(BEFORE)
    world.report(OTHER)
    view = world.look()
    assert (view.descent, view.last_full) == (Descent.FOREIGN, None)
    page = world.page()
    assert ">Foreign<" in page
    assert page.count("Another database</span>") == 2
    assert said in page
    assert COMMAND in page  # the console cannot know
    assert "only full backups" not in world.detach()


def test_wal_that_still_comes_is_another_server(world):
    world.write(BEFORE)
    world.report(OTHER)
    world.look()
    world.push(1, at=timezone.now())
    assert world.look().still_writes
    page = world.page()
    assert "a copied machine" in page
    assert COMMAND not in page  # it would hand the stanza to the wrong one
    world.report(OLD)
    world.look()
    world.report(NEW)
    world.look()
    assert "still arrives" not in world.page()
    world.push(1, at=timezone.now(), number=3)
    view = world.look()
    assert (view.descent, view.still_writes) == (Descent.UPGRADED, True)
    assert "WAL of the earlier database still arrives" in world.page()


def test_a_stanza_upgrade_that_the_node_does_not_know_of_is_said(world):
    world.write(UPGRADED)
    world.report(OLD)
    view = world.look()
    assert view.descent == Descent.EARLIER
    assert [row.is_foreign for row in view.rows] == [False, False]
    page = world.page()
    assert "run its report" in page
    assert COMMAND in page
    # What the newer database made is nobody's yet.
    world.write(info(row(FULL), row("20261129-003059F", db_id=2), ids=(int(OLD), int(NEW))).encode())
    world.look()
    assert world.page().count("Not confirmed</span>") == 1
    assert world.view().last_full.backup.label == FULL


def test_a_stanza_that_was_made_anew_by_another_is_not_an_upgrade(world):
    world.write(BEFORE)
    world.report(OLD)
    world.look()
    world.write(info(row(FULL), ids=(int(OTHER),)).encode())
    assert world.look().descent == Descent.FOREIGN


def test_a_list_that_cannot_be_read_for_a_while_takes_nothing_back(world):
    world.write(BEFORE)
    world.report(OLD)
    world.look()
    world.write(BEFORE[:-40])
    assert world.look().stanza_state.status == "damaged"
    world.write(BEFORE)
    world.report(NEW)
    assert world.look().descent == Descent.UPGRADED


# Copies


def test_a_second_timeline_is_red_and_says_what_to_do(world):
    world.write(BEFORE)
    world.push(1, at=NOW - timedelta(hours=3))
    world.push(2, at=NOW - timedelta(hours=2), number=3)
    world.push(1, at=NOW, number=4)
    world.report(OLD, timeline=1, at=NOW)
    view = world.look()
    assert ([one.number for one in view.strays], view.is_bad) == ([2], True)
    page = world.page()
    for words in (
        ">Second timeline<",
        "n1 reports timeline 1",
        "--archive-mode=off",
        "--target-timeline=1",
        name_of(2, 3),
    ):
        assert words in page
    assert view.stanza_state.last_wal == name_of(1, 4)


def test_nobody_reported_a_timeline(world):
    world.write(BEFORE)
    world.push(2, at=NOW - timedelta(days=3), number=3)
    world.push(1, number=59)
    world.report(OLD)
    assert world.look().stanza_state.last_wal == name_of(1, 59)
    page = world.page()
    assert "Two servers archive orders here, on timelines 1 and 2" in page
    assert "run the report on n1" in page


def test_a_promoted_node_is_asked_for_its_report_and_then_in_order(world):
    world.write(BEFORE)
    world.push(1, at=NOW - timedelta(hours=3))
    world.push(2, at=NOW, number=3)
    world.report(OLD, timeline=1, at=NOW - timedelta(hours=1))
    world.look()
    page = world.page()
    assert 'class="notice warn"' in page
    assert "run its report" in page
    assert ">Second timeline<" not in page
    world.report(OLD, timeline=2, at=NOW + timedelta(hours=1))
    assert not world.view().is_bad
    assert "timeline" not in world.page()


def test_wal_of_a_database_that_the_stanza_never_had_is_red(world):
    world.write(BEFORE)
    world.report(OLD)
    world.push(1)
    world.push(1, archive="16-2")
    view = world.look()
    assert (view.strange_archives, view.is_bad) == (["16-2"], True)
    page = world.page()
    assert ">WAL of another database<" in page
    assert "archive/orders/16-2" in page


# Sizes


def test_backups_and_wal_are_the_total(world):
    world.write(info(row(FULL, backup_info_repo_size_delta=2_000_000)).encode())
    for number in range(300):
        world.push(1, number=number)
    view = world.look()
    assert (view.stored, view.stanza_state.wal_bytes, view.total) == (2_000_000, 300_000, 2_300_000)
    page = re.sub(r"\s+", " ", world.page())
    assert "1.9 MB backups + 293.0 KB WAL (300 segments) = 2.2 MB" in page


def test_what_cannot_be_read_has_the_size_of_its_objects(world):
    world.write(BEFORE[:-40])
    world.push(1)
    view = world.look()
    assert view.total == len(BEFORE) - 40 + 1000
    assert "0 bytes backups" not in world.page()


def test_ten_thousand_backups_take_no_query_more(world, django_assert_num_queries):
    from django.db import connection

    world.write(PLAIN)
    world.look()
    with CaptureQueriesContext(
        connection,
    ) as few:
        short = world.page()
    rows = [
        row(f"20{year}{month:02}{day:02}-{hour:02}0000F")
        for year in (24, 25)
        for month in range(1, 13)
        for day in range(1, 29)
        for hour in range(15)
    ]
    world.write(info(*rows[:10_000]).encode())
    world.look()
    with CaptureQueriesContext(connection) as many:
        long = world.page()
    assert "10,000 backups" in long
    assert len(many) == len(few)
    assert len(long) - len(short) < 60_000


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"[backrest]\n", BEFORE[:900], b"x" * 17_000_000, b"Salted__" + b"x" * 160],
    ids=["empty", "binary", "beginning", "cut off", "too large", "encrypted"],
)
def test_no_page_breaks_by_what_a_node_wrote(world, data):
    world.write(data)
    world.report(OLD)
    world.look()
    page = world.page()
    assert re.search(r">(Damaged|Encrypted|Not read)<", page)
    for address in ("/clusters/", "/stores/", f"/clusters/{world.cluster.pk}/nodes/n1/", "/"):
        assert world.client.get(address, follow=True).status_code == 200
    store = world.cluster.attachments.get(repository__number=1).store
    for address in (f"/clusters/stores/{store.pk}/backups/", store.get_absolute_url()):
        assert world.client.get(address).status_code == 200
    assert Inventory.objects.get(repository__number=1).error == ""
