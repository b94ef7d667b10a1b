"""What was seen in a repository and is gone: expired by the retention, or lost."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.config import Config
from django.utils import timezone

from clusters import actions
from clusters.models import BackupPolicy, Inventory, KnownStanza, Node
from clusters.pgbackrest.repository import Backup, StanzaState, as_json
from clusters.pgbackrest.retention import DAY
from clusters.repositories import inventory, memory
from console.audit.models import AuditEvent
from console.clouds.contents import DeletedEntry
from console.clouds.steps import Failed
from console.demo.object_server import ObjectServer
from console.operations import snapshots
from stores import actions as stores_actions
from stores.models import Store
from tests import factories
from tests.clusters.pgbackrest.repository_files import backup, backup_info, backup_row, label
from tests.delivery import deliver
from tests.sampling import thorough_but


def state(*backups, node="n1", stanza="orders", status="read", **values):
    return StanzaState(node, stanza, status, backups=sorted(backups, key=lambda one: one.label), **values)


@pytest.fixture
def cluster(make, stores):
    return make(stores[:1])


@pytest.fixture
def seen(cluster):
    """A function that has the cluster's repository looked into, where these stanzas are; returns what is remembered."""
    found = cluster.repositories.get()
    inventory, _ = Inventory.objects.get_or_create(repository=found)

    def seen(*states, error=None, deleted=(), there=()):
        class Objects:
            def deleted(self, prefix):
                if error:
                    raise error
                yield from (one for one in deleted if one.key.startswith(prefix) or one.key.endswith("/"))

            def entries(self, prefix, after=""):
                yield from (one for one in there if one.key.startswith(prefix))

        def look(inventory, *_):
            if error and not states:
                raise error
            return as_json(list(states))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("clusters.repositories.inventory.look", look)
            patch.setattr("console.clouds.aws.storage.AWSStorage.objects", lambda self, spec: Objects())
            Inventory.objects.update(due_at=timezone.now() - timedelta(seconds=1))
            snapshots.read("inventory", inventory.pk)
        return {(one.node, one.name): one for one in KnownStanza.objects.filter(repository=found)}

    return seen


def lost(known):
    return sorted(one["backup"]["label"] for one in known["n1", "orders"].lost)


def test_remember_keeps_what_was_seen(seen):
    full = backup("F", 3)
    known = seen(state(full, backup("I", 2, full), wal_bytes=70, backup_bytes=2000, last_wal="0" * 24))
    [one] = known.values()
    assert sorted(one.backups) == sorted([full.label, next(label for label in one.backups if label != full.label)])
    assert one.backups[full.label]["stored"] == 1000
    assert one.lost == []
    assert one.lost_since is None
    assert one.sizes == [[timezone.now().astimezone(UTC).date().isoformat(), 2000, 70]]
    assert one.seen_at == one.repository.inventory.read_at
    assert one.backup_at.timestamp() == max(row["stopped"] for row in one.backups.values())
    again = seen(state(full, wal_bytes=90, backup_bytes=1000))["n1", "orders"]
    assert again.sizes == [[timezone.now().astimezone(UTC).date().isoformat(), 1000, 90]]  # a row for each day
    assert again.backups[full.label]["seen_at"] == one.backups[full.label]["seen_at"]


def test_remember_keeps_for_evidence_what_has_expired(seen, cluster, alice):
    first, second, third = backup("F", 30), backup("F", 20), backup("F", 1)
    seen(state(first, second))
    for number in range(2):  # of which the second finds nothing new
        known = seen(state(second, third))["n1", "orders"]
        assert first.label not in known.backups, number
        assert [row[0] for row in known.made] == sorted([first.label, second.label, third.label])
    assert known.made[0][1:] == [first.stopped, first.stopped - first.started, first.stored]


def test_remember_begins_for_evidence_with_what_is_known_already(seen):
    first, second = backup("F", 3), backup("F", 2)
    known = seen(state(first))["n1", "orders"]
    KnownStanza.objects.update(made=None)  # as the release before has left it
    assert seen(state(first))["n1", "orders"].made is None  # nothing is new
    assert [row[0] for row in seen(state(first, second))["n1", "orders"].made] == [first.label, second.label]
    assert known.pk


def test_remember_keeps_the_newest_for_evidence(seen, monkeypatch):
    monkeypatch.setattr(memory, "MADE_AT_MOST", 2)
    rows = [backup("F", days) for days in (4, 3, 2)]
    assert [row[0] for row in seen(state(*rows))["n1", "orders"].made] == [one.label for one in rows[1:]]


def test_remember_says_what_is_gone_and_had_not_expired(seen, cluster):
    full, other = backup("F", 3), backup("F", 2)
    first = seen(state(full, backup("I", 2.5, full), other))["n1", "orders"]
    known = seen(state(other))
    one = known["n1", "orders"]
    assert len(lost(known)) == 2
    assert all(label.startswith(full.label) for label in lost(known))
    assert {row["seen_at"] for row in one.lost} == {first.seen_at.isoformat()}
    assert {row["missed_at"] for row in one.lost} == {one.repository.inventory.read_at.isoformat()}
    assert one.lost_since == one.repository.inventory.read_at
    event = AuditEvent.objects.get(action="Missed backups")
    assert event.organisation == cluster.organisation
    assert event.after["number"] == 2
    seen(state(other))
    assert AuditEvent.objects.filter(action="Missed backups").count() == 1  # said once


@pytest.mark.parametrize("empty", [(), (StanzaState("n1", "orders", "empty"),)])
def test_remember_misses_everything_of_a_stanza_that_is_gone(seen, empty):
    full = backup("F", 40)  # the only one: `expire` never removes it
    seen(state(full), state(backup("F", 1), node="n2"))
    known = seen(*empty)
    assert lost(known) == [full.label]
    assert len(known["n2", "orders"].lost) == 1


@pytest.mark.parametrize("status", ["encrypted", "damaged", "too-large", "unknown"])
def test_remember_concludes_nothing_from_what_cannot_be_read(seen, status):
    full = backup("F", 3)
    before = seen(state(full))["n1", "orders"]
    after = seen(state(status=status))["n1", "orders"]
    assert (after.backups, after.lost, after.seen_at, after.sizes) == (
        before.backups,
        [],
        before.seen_at,
        before.sizes,
    )
    assert lost(seen(state())) == [full.label]


def test_remember_concludes_nothing_while_the_store_is_out_of_reach(seen):
    full = backup("F", 3)
    before = seen(state(full))["n1", "orders"]
    after = seen(error=Failed("no answer"))["n1", "orders"]
    assert (after.backups, after.lost, after.seen_at) == (before.backups, [], before.seen_at)


def test_remember_takes_back_what_comes_back(seen):
    full, incremental = backup("F", 3), backup("I", 2, backup("F", 3))
    seen(state(full, incremental))
    assert len(lost(seen(state()))) == 2
    another = Backup(**{**incremental.__dict__, "stopped": incremental.stopped + 1})
    assert lost(seen(state(full, another))) == [incremental.label]  # that is not the one that was there
    known = seen(state(full, incremental))
    assert lost(known) == []
    assert known["n1", "orders"].lost_since is None


def test_remember_keeps_since_when_something_is_lost(seen):
    first, second = backup("F", 3), backup("F", 2)
    seen(state(first, second))
    since = seen(state(second))["n1", "orders"].lost_since
    known = seen(state())["n1", "orders"]
    assert len(known.lost) == 2
    assert known.lost_since == since < known.repository.inventory.read_at


def test_remember_concludes_nothing_of_the_oldest_of_a_list_that_is_too_long(seen):
    """What lies beyond the end of what was read may be there."""
    fulls = [backup("F", days) for days in (9, 8, 7, 6)]
    seen(state(*fulls))
    known = seen(state(fulls[2], omitted=2))  # the newest is gone, of the two oldest nobody knows
    assert lost(known) == [fulls[3].label]
    assert sorted(known["n1", "orders"].backups) == [one.label for one in fulls[:3]]
    assert lost(seen(state(*fulls[1:3]))) == [fulls[0].label, fulls[3].label]


def test_remember_knows_what_expires_by_the_policy(seen, cluster, alice):
    old, kept, new = backup("F", 40), backup("F", 20), backup("F", 1)
    seen(state(old, backup("I", 39, old), kept, new))
    assert lost(seen(state(kept, new))) == []
    assert lost(seen(state(new))) == [kept.label]  # which is kept for those of the last 14 days


def test_remember_counts_a_new_backup_that_made_the_old_one_expire(seen, cluster, alice):
    actions.plan_backups(cluster, None, by=alice, retention_type="count", retention_full=1)
    old, new = backup("F", 2), backup("F", 1)
    seen(state(old))
    assert lost(seen(state(new))) == []


def test_remember_goes_by_the_node_s_own_policy(seen, cluster, alice):
    node = cluster.nodes.get(name="n1")
    actions.plan_backups(cluster, node, by=alice, retention_type="count", retention_full=1)
    fulls = [backup("F", days) for days in (5, 4, 3)]
    seen(state(*fulls), state(*fulls, node="n2"))
    known = seen(state(fulls[-1]), state(fulls[-1], node="n2"))
    assert lost(known) == []
    assert [one["backup"]["label"] for one in known["n2", "orders"].lost] == [one.label for one in fulls[:2]]


def test_remember_knows_what_expires_by_the_policy_before_until_the_node_has_the_new_one(
    seen, cluster, alice, monkeypatch
):
    actions.plan_backups(cluster, None, by=alice, retention_type="count", retention_full=2)
    fulls = [backup("F", days) for days in (9, 8, 7, 6)]
    seen(state(*fulls[:2]))
    actions.plan_backups(cluster, None, by=alice, retention_type="count", retention_full=5)
    assert lost(seen(state(*fulls[1:3]))) == []  # the node has not been told yet
    assert lost(seen(state(*fulls[1:3]))) == []
    monkeypatch.setattr("clusters.repositories.memory._is_applied", lambda known: True)
    one = KnownStanza.objects.get()
    assert [row["full"] for row in one.retentions] == [2, 5]
    one.retentions[1]["since"] = (timezone.now() - timedelta(days=3)).isoformat()
    one.save()
    [row] = seen(state(*fulls[1:3]))["n1", "orders"].retentions
    assert row["full"] == 5
    assert lost(seen(state(*fulls[2:]))) == [fulls[1].label]


def test_remember_keeps_a_policy_that_was_in_force_between_two_looks(seen, cluster, alice):
    fulls = [backup("F", days) for days in (9, 8, 7)]
    seen(state(*fulls))
    actions.plan_backups(cluster, None, by=alice, retention_type="count", retention_full=1)
    actions.plan_backups(cluster, None, by=alice, retention_type="time", retention_full=14)
    assert lost(seen(state(fulls[-1]))) == []


def test_remember_goes_on_with_the_last_policy_when_the_cluster_is_gone(seen, cluster, alice):
    actions.plan_backups(cluster, None, by=alice, retention_type="count", retention_full=1)
    fulls = [backup("F", days) for days in (9, 8)]
    seen(state(fulls[0]))
    found = cluster.repositories.get()
    cluster.attachments.all().delete()
    found.cluster = None
    found.save()
    assert lost(seen(state(fulls[1]))) == []
    assert lost(seen()) == [fulls[1].label]


def test_is_applied_is_what_the_node_says_of_its_file(cluster):
    known = KnownStanza.objects.create(repository=cluster.repositories.get(), node="n1", name="orders")
    assert not memory._is_applied(known)
    from clusters.models import Cluster
    from clusters.node_setup import node_setups

    setup = next(one for one in node_setups(Cluster.objects.with_node_setup().get()) if one.node.name == "n1")
    Node.objects.filter(name="n1").update(applied_sha256=setup.sha256, reported_at=timezone.now())
    assert memory._is_applied(known)


@pytest.mark.parametrize("seed", thorough_but(range(12), by=lambda seed: seed % 2))
def test_remember_over_looks_loses_exactly_what_neither_expired_nor_is_there(seen, cluster, alice, seed, monkeypatch):
    """A node makes backups and expires them as pgBackRest does; now and then somebody takes one away."""
    from clusters.pgbackrest.retention import Retention, expired

    dice = random.Random(seed)
    policy = Retention(False, dice.randint(1, 4), dice.choice([None, 1, 2]))
    kind = {"retention_type": "count", "retention_full": policy.full, "retention_diff": policy.diff}
    actions.plan_backups(cluster, None, by=alice, **kind)
    there, taken, day, full = {}, {}, 60.0, None
    for _ in range(25):
        day -= dice.uniform(0.2, 2)
        one = backup(dice.choice("FDI") if full and full.label in there else "F", day, full)
        if one.kind == "full":
            one = full = backup("F", day)
        there[one.label] = one
        if dice.random() < 0.7:
            for name in expired({name: row.stopped for name, row in there.items()}, policy, timezone.now().timestamp()):
                del there[name]
        known = seen(state(*there.values()))
        assert lost(known) == sorted(taken)
        if dice.random() < 0.15:
            newest = max(name for name in there if name.endswith("F"))
            for name in [name for name in there if name.startswith(newest)]:
                taken[name] = there.pop(name)
            known = seen(state(*there.values()))
            assert lost(known) == sorted(taken)
            full = None
    assert set(known["n1", "orders"].backups) == set(there)


# --- It has an end --------------------------------------------------------------------------------------------------


def forged(turn, number):
    now = int(timezone.now().timestamp())
    return [Backup(f"2020010{turn}-{n:06}F", "full", 1, now, 3, 4, "", "", "", False) for n in range(number)]


def test_remember_has_an_end_however_much_is_written(seen, monkeypatch):
    monkeypatch.setattr(memory, "BACKUPS_AT_MOST", 30)
    monkeypatch.setattr(memory, "LOST_AT_MOST", 20)
    monkeypatch.setattr(memory, "STRANGERS_AT_MOST", 5)
    ours = backup("F", 3)
    seen(state(ours))
    for turn in range(4):
        fake = forged(turn, 50)
        known = seen(state(ours, *fake), *(state(ours, node=f"x{turn}-{n}") for n in range(9)), state(node="n" * 200))
    assert len(known["n1", "orders"].backups) == 30
    assert ours.label in known["n1", "orders"].backups
    assert len(known["n1", "orders"].lost) == 20
    assert len(known) == 1 + 4
    known = seen(state())
    assert len(known["n1", "orders"].lost) == 20
    one = known["n1", "orders"]
    one.sizes = [[f"2025-{n:03}", 1, 1] for n in range(memory.SIZES_AT_MOST)]
    one.save()
    assert len(seen(state(ours))["n1", "orders"].sizes) == memory.SIZES_AT_MOST
    assert seen(state(ours))["n1", "orders"].sizes[-1][0] == timezone.now().astimezone(UTC).date().isoformat()


def test_remember_keeps_a_loss_whatever_is_written_afterwards(seen, monkeypatch):
    monkeypatch.setattr(memory, "LOST_AT_MOST", 20)
    ours = backup("F", 3)
    seen(state(ours))
    for turn in range(4):
        seen(state(*forged(turn, 30)))
    assert ours.label in lost(seen(state()))


# --- What the versions hold -----------------------------------------------------------------------------------------


def gone(cluster, name, size=10, day=22):
    at = datetime(2026, 11, day, tzinfo=UTC)
    return DeletedEntry(f"{cluster.prefix}/n1/backup/orders/{name}", size, at - timedelta(days=1), at)


def test_look_counts_what_can_come_back_once_something_is_lost(seen, cluster):
    full, kept = backup("F", 3), backup("F", 1)
    deleted = [gone(cluster, f"{full.label}/a"), gone(cluster, f"{full.label}/b", 5, 23), gone(cluster, "backup.info")]
    deleted += [gone(cluster, f"{full.label}_20991231-000000I/a"), gone(cluster, f"{kept.label}/x")]
    assert seen(state(full, kept), deleted=deleted)["n1", "orders"].versions == {}
    versions = seen(state(kept), deleted=deleted)["n1", "orders"].versions
    assert {name: versions[name] for name in ("objects", "bytes", "there", "more", "folder")} == {
        "objects": 2,
        "bytes": 15,
        "there": 0,
        "more": False,
        "folder": False,
    }
    assert (versions["first"][:10], versions["last"][:10]) == ("2026-11-22", "2026-11-23")
    again = seen(state(kept), deleted=[])["n1", "orders"]
    assert again.versions == versions  # a day later they are counted anew
    again.versions["looked_at"] = (timezone.now() - timedelta(days=2)).isoformat()
    again.save()
    assert seen(state(kept), deleted=[])["n1", "orders"].versions["objects"] == 0
    assert seen(state(full, kept))["n1", "orders"].versions == {}


def test_look_counts_the_versions_of_a_few_stanzas_at_once_and_of_ours_first(seen, cluster):
    found, nodes = cluster.repositories.get(), [f"a{n:02}" for n in range(9)]
    KnownStanza.objects.create(repository=found, node="n1", name="orders", postgresql="17")
    full = backup("F", 3)
    seen(state(full), *(state(full, node=node) for node in nodes))
    known = seen()
    assert known["n1", "orders"].versions
    assert sum(bool(one.versions) for one in known.values()) == memory.COUNTED_A_LOOK
    assert all(one.versions for one in seen().values())
    event = AuditEvent.objects.get(action="Missed backups")
    assert (event.after["number"], event.after["backups"][0]) == (10, f"{full.label} of orders on n1")


def test_look_says_that_only_the_list_was_taken_away(seen, cluster):
    full = backup("F", 3)
    there = [gone(cluster, f"{full.label}/a"), gone(cluster, "backup.history/2026/x")]
    seen(state(full))
    versions = seen(state(), there=there)["n1", "orders"].versions
    assert (versions["objects"], versions["there"]) == (0, 1)


def test_look_says_that_the_folder_was_deleted_as_a_whole(seen, cluster):
    seen(state(backup("F", 3)))
    at = datetime(2026, 11, 22, tzinfo=UTC)
    versions = seen(deleted=[DeletedEntry(f"{cluster.prefix}/", 0, at, at)])["n1", "orders"].versions
    assert (versions["folder"], versions["first"]) == (True, at.isoformat())


def test_look_succeeds_when_the_versions_cannot_be_read(seen):
    full = backup("F", 3)
    seen(state(full))
    known = seen(state(), error=Failed("AWS refused s3:ListBucketVersions.", action="s3:ListBucketVersions"))
    assert lost(known) == [full.label]
    assert "s3:ListBucketVersions" in known["n1", "orders"].versions["error"]
    assert known["n1", "orders"].repository.inventory.error == ""


# --- Somebody deleted them himself ----------------------------------------------------------------------------------


def test_forget_lost_forgets_what_was_missed_until_then(seen, cluster, alice):
    first, second = backup("F", 3), backup("F", 2)
    seen(state(first, second))
    known = seen(state(second))["n1", "orders"]
    until = datetime.fromisoformat(known.lost[0]["missed_at"])
    seen(state())
    found = cluster.repositories.get()
    assert memory.forget_lost(found, until=until, by=alice) == 1
    known = KnownStanza.objects.get()
    assert [one["backup"]["label"] for one in known.lost] == [second.label]
    assert known.lost_since
    event = AuditEvent.objects.get(action="Said who deleted backups")
    assert event.after["backups"] == [f"{first.label} of orders on n1"]
    assert memory.forget_lost(found, until=timezone.now(), by=alice) == 1
    assert KnownStanza.objects.get().lost_since is None
    assert memory.forget_lost(found, until=timezone.now(), by=alice) == 0
    assert AuditEvent.objects.filter(action="Said who deleted backups").count() == 2
    assert lost(seen(state())) == []  # nor are they missed again


def test_remembered_is_plain_json(seen):
    full = backup("F", 3)
    seen(state(full))
    one = seen(state())["n1", "orders"]
    json.dumps([one.backups, one.lost, one.sizes, one.versions, one.retentions], allow_nan=False)


def test_policies_are_by_node(cluster, alice):
    node = cluster.nodes.get(name="n2")
    actions.plan_backups(cluster, node, by=alice, retention_full=7)
    policies = memory._policies(cluster)
    assert (policies["n2"].retention_full, policies[None].retention_full) == (7, 14)
    assert memory._policies(None) == {}
    assert isinstance(policies[None], BackupPolicy)


# --- For real -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_thief_with_the_node_s_key_on_a_real_server(acme, make, alice, tmp_path):
    """What he deletes from a protected store is missed at the next look, and what can come back is counted."""
    server = ObjectServer(tmp_path / "objects").start()
    try:
        identity = {"endpoint": server.endpoint, "ca_certificate": server.ca_certificate}
        account = factories.server(acme, **identity, access_key_id=server.access_key_id)
        account.secrets = {"secret_access_key": server.secret_access_key}
        account.save()
        store = stores_actions.create(account, name="vault", region="us-east-1", versions_days=30, by=alice)
        deliver(store.operation_id)
        cluster = make([Store.objects.get()], regions=["us-east-1"], account=account)
        s3 = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name=server.region,
            verify=str(server.ca_file),
            aws_access_key_id=cluster.keys["access_key_id"],
            aws_secret_access_key=cluster.keys["secret_access_key"],
            config=Config(s3={"addressing_style": "path"}),
        )
        at, bucket, base = timezone.now().timestamp() - 2 * DAY, Store.objects.get().bucket, f"{cluster.prefix}/n1"
        name = label(at, "F")
        info = backup_info({name: backup_row("F", at, at + 60)}).encode()
        for key, content in (("backup.info", info), (f"{name}/backup.manifest", b"12345"), (f"{name}/bundle/1", b"x")):
            s3.put_object(Bucket=bucket, Key=f"{base}/backup/orders/{key}", Body=content)
        assert _look(cluster).lost == []
        for one in s3.list_objects_v2(Bucket=bucket, Prefix=f"{cluster.prefix}/")["Contents"]:
            s3.delete_object(Bucket=bucket, Key=one["Key"])
        server.stop()
        assert _look(cluster).lost == []  # out of reach: nothing is concluded
        server.start()
        until = time.monotonic() + 20  # its port answers before its data are there
        while not (known := _look(cluster)).lost and time.monotonic() < until:
            time.sleep(0.2)
        assert [one["backup"]["label"] for one in known.lost] == [name]
        assert (known.versions["objects"], known.versions["bytes"], known.versions["there"]) == (2, 6, 0)
        assert known.repository.inventory.error == ""
    finally:
        server.stop()


def _look(cluster):
    actions.look_into_backups(cluster)
    snapshots.read("inventory", inventory.of(cluster.pk).get().pk)
    return KnownStanza.objects.get()
