"""When a repository is looked into next, and what a day of that takes in calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from clusters import actions
from clusters.models import BackupPolicy, Inventory
from clusters.pgbackrest import repository
from clusters.pgbackrest.repository import StanzaState
from clusters.repositories import memory, pace
from clusters.repositories.inventory import FULL_EVERY
from clusters.repositories.pace import Expected, next_look
from console.cloud_accounts import budget
from console.cloud_accounts.models import CallsOfDay
from console.clouds.calls import Tally
from console.operations import snapshots
from tests.clusters.nodes import detach, seen, stanza_state
from tests.clusters.pgbackrest.repository_files import Bucket, backup_info, backup_row, label, name_of

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday
NIGHTLY = {"full": "0 1 * * 0", "incr": "0 1 * * 1-6"}
SIX = 6 * HOUR


def backup(kind, started, lasted=20 * MINUTE):
    stopped = started + lasted
    [letter] = {"full": "F", "incr": "I"}[kind]
    made = stanza_state(kind=kind).backups[0]
    values = {"label": label(started.timestamp(), letter), "started": int(started.timestamp())}
    return type(made)(**{**vars(made), **values, "kind": kind, "stopped": int(stopped.timestamp())})


def wait(now, *backups, schedules=NIGHTLY, zone=None, since=None, at_most=SIX):
    state = StanzaState("n1", "orders", "read" if backups else "empty", backups=list(backups))
    return next_look(now, at_most, [Expected("n1", "orders", schedules, zone)], [state], since)


LAST = backup("full", NOON - 11 * HOUR)


def test_next_look_is_late_while_nothing_is_expected():
    assert wait(NOON, LAST) == SIX
    assert wait(NOON, LAST, at_most=3 * HOUR) == 3 * HOUR


def test_it_is_looked_for_right_after_a_backup_was_to_end():
    before = NOON + 12 * HOUR + 30 * MINUTE  # 00:30 on Monday, when an incremental one begins at 01:00
    assert wait(before, LAST) == 30 * MINUTE + pace.SOON
    incremental = backup("incr", NOON - 35 * HOUR, 7 * MINUTE)
    assert wait(before, incremental, LAST) == 37 * MINUTE + pace.SOON


def test_what_does_not_come_is_looked_for_less_and_less():
    due = NOON + 13 * HOUR + pace.SOON
    waits = []
    at = due + timedelta(seconds=1)
    while (following := wait(at, LAST)) < SIX:
        waits.append(following // (10 * MINUTE))
        at += following
    assert waits == [1, 1, 2, 4, 8, 16, 32]
    came = backup("incr", NOON + 13 * HOUR)
    assert wait(at, LAST, came) == SIX


def test_a_node_s_clock_is_its_own():
    before = datetime(2026, 11, 22, 16, 30, tzinfo=UTC)  # 01:30 on Monday in Tokyo
    late = wait(before, LAST, zone=ZoneInfo("Asia/Tokyo"))
    assert late == 30 * MINUTE - pace.SOON  # it was to end at 01:00 there, and is not there yet
    assert wait(before, LAST) == SIX


def test_without_a_schedule_it_goes_by_the_last_change():
    for minutes, expected in ((2, 10), (30, 30), (600, 360)):
        assert wait(NOON, schedules={}, since=NOON - minutes * MINUTE) == expected * MINUTE
        ended = backup("full", NOON - minutes * MINUTE, timedelta())
        assert wait(NOON, ended, schedules={}) == expected * MINUTE


def test_nobody_writes_there_any_more(cluster):
    detach(cluster, cluster.stores.get(name="archive-iad"))
    inventory = seen(cluster) or Inventory.objects.get(repository__number=1)
    assert pace.every(inventory) == timedelta(days=1)


def test_expected_are_the_databases_of_who_writes_there(cluster):
    BackupPolicy.objects.create(cluster=cluster, full_schedule="0 3 * * *")
    one, two = cluster.repositories.order_by("number")
    assert {(each.node, each.stanza) for each in pace.expected(one)} == {("n1", "orders"), ("n3", "orders")}
    [other] = pace.expected(two)
    assert (other.node, other.schedules["full"]) == ("n2", "0 3 * * *")
    two.cluster = None
    assert pace.expected(two) == []


# What has a store looked into before its time


@pytest.fixture
def later(cluster):
    """A function that returns in how many seconds each repository is looked into; all were just now."""
    for number in (1, 2):
        seen(cluster, number=number, due_at=timezone.now() + SIX)

    def later():
        rows = Inventory.objects.order_by("repository__number").values_list("due_at", flat=True)
        return [(at - timezone.now()).total_seconds() for at in rows]

    return later


RUN = {"stanza": "orders", "kind": "full", "repository": 1, "begun": 1795388478, "ended": 1795388500, "code": 0}


def test_a_report_of_a_backup_that_ended_has_its_store_looked_into(cluster, later, client):
    def send(**run):
        body = {"version": 2, "sha256": "0" * 64, "runs": [{**RUN, **run}] if run.get("ended", 1) else []}
        token = cluster.nodes.get(name="n1").secrets["report_token"]
        return client.post(
            f"/clusters/{cluster.pk}/nodes/n1/applied/",
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        ).status_code

    assert send(ended=0) == 200
    assert min(later()) > 20_000
    assert send(ended=1795388500) == 200
    first, second = later()
    assert first <= 60 < 20_000 < second
    Inventory.objects.update(due_at=timezone.now() + SIX)
    assert send(ended=1795388500) == 200  # which was told before
    assert min(later()) > 20_000


def test_a_changed_policy_has_the_stores_looked_into(cluster, later, alice):
    memory.note_retentions(cluster)
    assert max(later()) <= 90
    Inventory.objects.update(due_at=timezone.now())
    memory.note_retentions(cluster)
    assert max(later()) <= 0  # nothing is put off


def test_what_is_to_be_read_soon_stays_so_though_a_look_ends_after_that(cluster, later, monkeypatch):
    pk = Inventory.objects.get(repository__number=1).pk
    Inventory.objects.update(due_at=timezone.now() - MINUTE)

    def look(inventory):
        Inventory.objects.filter(pk=inventory.pk).update(due_at=timezone.now() + 90 * timedelta(seconds=1))
        return []

    source = snapshots._sources["inventory"]
    monkeypatch.setitem(snapshots._sources, "inventory", replace(source, read=look, every=lambda inventory: SIX))
    snapshots.read("inventory", pk)
    assert 80 < later()[0] <= 90


# A budget


def test_calls_are_counted_by_account_and_day(cluster, amazon):
    actions.look_into_backups(cluster)
    pk = Inventory.objects.get(repository__number=1).pk
    before = len(amazon.calls)
    snapshots.read("inventory", pk)
    made = [name for name, *_ in amazon.calls[before:]]
    told = CallsOfDay.objects.get()
    assert (told.cloud_account, told.lists, told.reads) == (cluster.cloud_account, len(made), 0)
    assert made  # also where it failed: these stores have no buckets
    budget.note(cluster.cloud_account_id, Tally(2, 3))
    told.refresh_from_db()
    assert (told.lists, told.reads) == (len(made) + 2, 3)


def test_a_budget_is_spread_over_the_day_and_whoever_asks_is_answered(cluster, alice, monkeypatch):
    def due():
        Inventory.objects.update(due_at=timezone.now() - MINUTE)
        return len([one for one in snapshots.due() if one[0] == "inventory"])

    budget.change(cluster.cloud_account, hours=6, calls_a_day=2400, by=alice)
    assert due() == 2
    at = datetime(2026, 11, 22, 6, tzinfo=UTC)  # a quarter of the day, and the hour before it: 700 calls
    monkeypatch.setattr(budget, "_now", lambda: at)
    budget.note(cluster.cloud_account_id, Tally(600, 99))
    assert due() == 2
    budget.note(cluster.cloud_account_id, Tally(reads=1))
    assert due() == 0
    actions.look_into_backups(cluster)
    assert due() == 2
    Inventory.objects.update(wanted_at=None)
    at += HOUR
    assert due() == 2
    monkeypatch.setattr(budget, "_now", lambda: datetime(2026, 11, 23, tzinfo=UTC))
    assert budget.exhausted() == []


# What a day takes


class Fleet(Bucket):
    """The repository of one node, whose calls are counted as clouds count them: by pages."""

    def __init__(self):
        super().__init__({}, {})
        self.counted, self.listed, self.now, self.segments = Counter(), {}, NOON, 0
        self.wrote = NOON

    def folders(self, prefix):
        self.counted["list"] += 1
        return super().folders(prefix)

    def entries(self, prefix, after=""):
        for number, entry in enumerate([*super().entries(prefix, after), None]):
            self.counted["list"] += number % 1000 == 0
            if entry:
                yield entry

    def read(self, key, at_most, known=""):
        self.counted["read"] += 1
        return super().read(key, at_most, known)

    def goes_on_until(self, moment):
        """Archive three segments an hour, and make a backup every night."""
        while self.wrote + 20 * MINUTE <= moment:
            self.wrote += 20 * MINUTE
            name = name_of(1, self.segments)
            key = f"c/n1/archive/orders/15-1/{name[:16]}/{name}-{'a' * 40}.zst"
            self.objects[key], self.times[key], self.segments = b"wal", self.wrote, self.segments + 1
            if (self.wrote.hour, self.wrote.minute) == (1, 20):
                began = self.wrote - 20 * MINUTE
                name = label(began.timestamp(), "F")
                self.objects[f"c/n1/backup/orders/{name}/backup.manifest"] = b"x"
                self.listed[name] = backup_row("F", began.timestamp(), self.wrote.timestamp())
                self.objects["c/n1/backup/orders/backup.info"] = backup_info(self.listed).encode()


EVERY_DAY = [Expected("n1", "orders", {"full": "0 1 * * *"})]


def as_it_was(bucket, states, full_at):
    return repository.look(bucket, "c", "", states), full_at, 10 * MINUTE


def as_it_is(bucket, states, full_at):
    full = full_at is None or bucket.now - full_at >= FULL_EVERY
    found = None if full else repository.news(bucket, "c", "", states, reports={}, expected=[("n1", "orders")])
    if found is None:
        found, full_at = repository.look(bucket, "c", "", states), bucket.now
    return found, full_at, next_look(bucket.now, SIX, EVERY_DAY, found)


def calls_of_a_day(do, monkeypatch):
    """Return the lists and reads of the third day, and how long after its end the backup of that day was seen."""
    bucket, states, full_at, saw = Fleet(), [], None, None
    monkeypatch.setattr("clusters.pgbackrest.backup_info.time.time", lambda: bucket.now.timestamp())  # noqa: PLW0108 - of the bucket as it is then
    at, begin = NOON, NOON + timedelta(days=2)
    while at < begin + timedelta(days=1):
        if at >= begin > bucket.now:  # this is the day's first look
            bucket.counted.clear()
        bucket.now = at
        bucket.goes_on_until(at)
        states, full_at, following = do(bucket, states, full_at)
        if saw is None and at > begin and states[0].backups and states[0].backups[-1].stopped > begin.timestamp():
            saw = at - datetime.fromtimestamp(states[0].backups[-1].stopped, UTC)
        at += following
    return bucket.counted["list"], bucket.counted["read"], saw


@pytest.mark.slow
def test_nine_hundred_nodes_take_a_fiftieth_of_the_lists(monkeypatch, say):
    lists, reads, _ = calls_of_a_day(as_it_was, monkeypatch)
    assert lists >= 6 * 144
    now_lists, now_reads, saw = calls_of_a_day(as_it_is, monkeypatch)
    say(
        f"900 nodes, a backup a night: {900 * lists:,} lists and {900 * reads:,} reads a day before, "
        f"{900 * now_lists:,} and {900 * now_reads:,} now; a backup is seen {saw.seconds} s after its end"
    )
    assert now_lists <= lists / 50
    assert now_reads <= 12
    assert saw <= 2 * MINUTE
