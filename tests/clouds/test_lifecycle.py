"""The order of work on a store, over a storage that is a dictionary: what is asked of it, in which order, and when not.

Each cloud of its own is walked through the same plans by tests/clouds/contract.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from console.clouds import CLOUDS, lifecycle
from console.clouds.contents import Contents
from console.clouds.contract import AlreadyExists, Control, Setting
from console.clouds.lifecycle import Differing
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Failed, NotReady, Pace, Refused, StepResult, TooLate

OURS, ANOTHER = UUID(int=1), UUID(int=2)
SPEC = StoreSpec(OURS, "orders", AccountRef(UUID(int=3), "1", "", {}, {}), "here", "backups", "logs")
COMPLETE = replace(SPEC, complete=True)
CREATION = (
    (Setting("log", ("tags", "policy"), "Closing the log bucket"), Setting("backup", ("policy",), "Closing")),
    (Setting("backup", ("versions",), "Keeping versions", "versions"), Setting("backup", ("lock",), "Locking", "lock")),
    (Setting("backup", ("logging",), "Logging"),),
)


class Memory:
    """Buckets by name: whose they are, what they were given, and what is in them; writes down what changes them."""

    closed_for_deletion = frozenset({"policy", "logging", "unknown"})
    create_pace = Pace(lambda spec: "all", 2, "slow")

    def __init__(self, *stored, owner=str(OURS)):
        self.owners = dict.fromkeys(stored, owner)
        self.holds, self.given, self.done = dict.fromkeys(stored, 0), {}, []
        self.stays, self.free_at, self.unseen = False, "", set()

    def owner(self, spec, bucket):
        return None if bucket in self.unseen else self.owners.get(bucket)

    def create(self, spec, bucket):
        if bucket in self.owners:
            raise AlreadyExists
        self.owners[bucket] = str(spec.id)
        return StepResult(note=f"created {bucket}")

    def adopt(self, spec, bucket):
        return StepResult(note=f"adopted {bucket}")

    def settings(self, spec):
        keys = [(True, key) for key in ("tags", "policy", "lifecycle")]
        keys += [(False, key) for key in ("tags", "policy", "logging", "lock", "unknown")]
        return [
            Control(
                key,
                f"{key.capitalize()} rule",
                spec.log_bucket if log else spec.bucket,
                log,
                "wanted",
                observe=partial(self.given.get, (log, key)),
                ensure=partial(self.ensure, log, key),
                matches=lambda value: value in {"wanted", "more than wanted"},
                describe=str,
                fixed=key == "lock",
                offered=key != "unknown",
            )
            for log, key in keys
        ]

    def ensure(self, log, key):
        self.given[log, key] = "wanted"
        self.done.append(f"{'log' if log else 'backup'}.{key}")
        said = {"policy": "Public.", "logging": "Late.", "lifecycle": ""}
        return StepResult(note=said[key]) if key in said else None

    def contents(self, spec, bucket, tell=None):
        if tell:
            tell(7)
        return Contents(objects=self.holds[bucket], locked_until=self.free_at)

    def close(self, spec):
        self.done.append("close")

    def release(self, spec):
        self.done.append("release")

    def empty(self, spec, bucket):
        self.done.append(f"empty {bucket}")

    def delete(self, spec, bucket):
        if self.stays:
            self.holds[bucket] += self.stays == "written to"
            return False
        self.done.append(f"delete {bucket}")
        del self.owners[bucket]
        return True

    def empty_commands(self, spec, found):
        return f"rm {spec.bucket} {found.objects}"


def cloud_of(storage):
    return replace(CLOUDS["aws"], storage=storage, creation=CREATION)


def run(plan, spec):
    return [step.run(spec) for stage in plan for step in stage]


def keys(plan):
    return [[step.key for step in stage] for stage in plan]


def titles(plan):
    return [step.title for stage in plan for step in stage]


def filled():
    """Return the storage of a store that is as it should be."""
    storage = Memory("backups", "logs")
    for control in storage.settings(SPEC):
        control.ensure()
    storage.done.clear()
    return storage


# --- Creating -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promised", "between"),
    [
        ({}, []),
        ({"versions_days": 9}, [["set_backup_versions"]]),
        ({"lock_days": 9}, [["set_backup_lock"]]),
        ({"versions_days": 9, "lock_days": 9}, [["set_backup_versions", "set_backup_lock"]]),
    ],
)
def test_a_creation_sets_what_the_store_promises_and_has_no_empty_stage(promised, between):
    plan = lifecycle.creation(cloud_of(Memory()), replace(SPEC, **promised))
    buckets = [["create_log_bucket", "create_backup_bucket"], ["set_log_tags", "set_backup_policy"]]
    assert keys(plan) == [*buckets, *between, ["set_backup_logging"]]
    assert [step.pace for step in plan[0]] == [Memory.create_pace] * 2
    assert not any(step.pace for stage in plan[1:] for step in stage)
    assert titles(plan)[:4] == [
        "Creating the log bucket",
        "Creating the backup bucket",
        "Closing the log bucket",
        "Closing",
    ]


def test_creating_makes_both_buckets_and_gives_each_what_is_its_own():
    storage = Memory()
    results = run(lifecycle.creation(cloud_of(storage), SPEC), SPEC)
    assert [one and one.note for one in results] == ["created logs", "created backups", "Public.", "Public.", "Late."]
    assert storage.owners == {"logs": str(OURS), "backups": str(OURS)}
    assert storage.done == ["log.tags", "log.policy", "backup.policy", "backup.logging"]


@pytest.mark.parametrize(("log", "bucket"), [(0, "logs"), (1, "backups")])
def test_a_bucket_of_an_earlier_attempt_is_adopted_and_no_other(log, bucket):
    storage = Memory(bucket)
    step = lifecycle.creation(cloud_of(storage), SPEC)[0][log]
    assert step.run(SPEC).note == f"adopted {bucket}"
    for owner in ("", str(ANOTHER)):
        storage.owners[bucket] = owner
        with pytest.raises(Failed, match=f"A bucket named {bucket} exists in this account and does not") as raised:
            step.run(SPEC)
        assert raised.value.details == {"bucket": bucket}
    storage.unseen.add(bucket)
    with pytest.raises(NotReady, match=f"AWS says that bucket {bucket} exists, and does not show it yet") as raised:
        step.run(SPEC)
    assert raised.value.details == {"bucket": bucket}


def test_a_promise_that_is_stronger_is_left_and_everything_else_is_set():
    storage = filled()
    setting = partial(lifecycle._set, cloud_of(storage), ["policy", "logging", "lock", "tags"], False)
    for lock, sets in (("wanted", []), ("more than wanted", []), ("less", ["backup.lock"])):
        storage.given[False, "lock"] = lock
        storage.done.clear()
        assert setting(SPEC).note == "Public. Late."
        assert storage.done == ["backup.tags", "backup.policy", "backup.logging", *sets]
    for key in ("tags", "lifecycle"):  # nothing is made, nothing is said of it
        assert lifecycle._set(cloud_of(storage), [key], True, SPEC) is None


def test_what_is_said_twice_is_said_once():
    storage = Memory()
    storage.settings = lambda spec: [one for one in Memory.settings(storage, spec) if not one.log] * 2
    assert lifecycle._set(cloud_of(storage), ["policy"], False, SPEC).note == "Public."


# --- Checking and repairing -----------------------------------------------------------------------------------------


def test_a_check_looks_at_everything_that_the_server_offers():
    storage = filled()
    storage.given[True, "policy"] = "open"
    found = {
        f"{'log' if one.log else 'backup'}.{one.key}": one.state for one in lifecycle.check(cloud_of(storage), SPEC)
    }
    assert found == {
        **dict.fromkeys(["log.tags", "log.lifecycle"], "ok"),
        **dict.fromkeys(["backup.tags", "backup.policy", "backup.logging", "backup.lock"], "ok"),
        "log.policy": "off",
    }


OWNERS = ["check_log_owner", "check_backup_owner"]
BUCKETS = ["create_log_bucket", "create_backup_bucket"]
OF_LOG, OF_BACKUP = ["set_log_policy", "set_log_lifecycle"], ["policy", "logging", "lock"]


@pytest.mark.parametrize(
    ("gone", "differing", "wanted"),
    [
        ((), [(False, "logging"), (False, "tags"), (True, "policy")], [OWNERS, "set_log_policy", "set_backup_logging"]),
        ((), [(True, "tags")], [OWNERS]),
        ((True,), [(False, "logging")], [BUCKETS, OWNERS, *OF_LOG, "set_backup_logging"]),
        ((False,), [], [BUCKETS, OWNERS, *(f"set_backup_{key}" for key in OF_BACKUP)]),
        ((True, False), [], [BUCKETS, OWNERS, *OF_LOG, *(f"set_backup_{key}" for key in OF_BACKUP)]),
    ],
)
def test_a_repair_brings_back_what_differs_the_log_bucket_first(gone, differing, wanted):
    cloud = cloud_of(Memory())
    plan = lifecycle.repair(
        cloud, SPEC, gone=gone, differing=[Differing(log, key, f"{key.capitalize()} rule") for log, key in differing]
    )
    assert keys(plan) == [one if isinstance(one, list) else [one] for one in wanted]


def test_a_repair_sets_each_thing_where_it_belongs_and_says_so():
    storage = filled()
    differing = [Differing(False, "logging", "Logging rule"), Differing(True, "policy", "Policy rule")]
    plan = lifecycle.repair(cloud_of(storage), COMPLETE, gone=(), differing=differing)
    assert titles(plan) == [
        "Checking whose the log bucket is",
        "Checking whose the backup bucket is",
        "Setting policy rule of the log bucket",
        "Setting logging rule of the backup bucket",
    ]
    run(plan, COMPLETE)
    assert storage.done == ["log.tags", "backup.tags", "log.policy", "backup.logging"]


# --- Deleting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep_logs", "last", "title", "done"),
    [
        (False, "delete_logs", "Deleting the access logs and their bucket", ["empty logs", "delete logs"]),
        (True, "keep_logs", "Leaving the access logs to expire", ["log.lifecycle"]),
    ],
)
def test_a_deletion_looks_closes_deletes_and_leaves_the_logs_for_last(keep_logs, last, title, done):
    storage = filled()
    plan = lifecycle.deletion(cloud_of(storage), keep_logs=keep_logs)
    assert keys(plan) == [["check_empty"], ["delete_backup_bucket"], [last]]
    assert titles(plan) == ["Checking that the backup bucket is empty", "Deleting the backup bucket", title]
    assert [step.point_of_no_return for stage in plan for step in stage] == [False, True, False]
    run(plan, COMPLETE)
    assert storage.done == ["close", "release", "delete backups", *done]


@pytest.mark.parametrize("owner", [None, str(ANOTHER), ""])
@pytest.mark.parametrize("keep_logs", [False, True])
def test_a_deletion_touches_no_bucket_that_is_not_the_stores(owner, keep_logs):
    storage = Memory(*(() if owner is None else ("backups", "logs")), owner=owner)
    run(lifecycle.deletion(cloud_of(storage), keep_logs=keep_logs), SPEC)
    assert storage.done == []
    assert not lifecycle.contents(cloud_of(storage), SPEC, print).exists
    assert lifecycle.clear_logs(cloud_of(storage), SPEC, over=True)
    with pytest.raises(TooLate, match=r"The backup bucket backups is not there any more\.") as raised:
        run(lifecycle.cancellation(cloud_of(storage)), SPEC)
    assert raised.value.details == {"bucket": "backups"}


@pytest.mark.parametrize("nth", [0, 1, 2])
def test_a_complete_stores_bucket_that_lost_its_tag_is_asked_for(nth):
    storage = filled()
    storage.owners = dict.fromkeys(storage.owners, "")
    with pytest.raises(Failed, match=f"does not carry.*Put the tag storekeeper:store-id={OURS} back on") as raised:
        lifecycle.deletion(cloud_of(storage), keep_logs=False)[nth][0].run(COMPLETE)
    assert raised.value.details == {"bucket": "logs" if nth == 2 else "backups"}
    assert raised.value.message.startswith(
        f"Bucket {'logs' if nth == 2 else 'backups'} does not carry this store's tag"
    )
    assert storage.done == []


@pytest.mark.parametrize("nth", [0, 1])
def test_what_is_not_empty_is_refused_and_opened_again(nth):
    storage = filled()
    storage.holds["backups"] = 2
    storage.given[False, "policy"] = "closed"
    with pytest.raises(Refused, match=r"The backup bucket still holds 2 objects\. Empty it in AWS, then") as raised:
        lifecycle.deletion(cloud_of(storage), keep_logs=False)[nth][0].run(COMPLETE)
    assert "Object Lock" not in raised.value.message
    assert raised.value.details == {"bucket": "backups", "commands": "rm backups 2"}
    assert storage.done == [*["close"] * nth, "backup.policy"]
    storage.free_at = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    with pytest.raises(Refused, match=r"Object Lock keeps versions until \d{4}-\d\d-\d\d \d\d:\d\d UTC\."):
        lifecycle.deletion(cloud_of(storage), keep_logs=False)[nth][0].run(COMPLETE)


def test_a_bucket_that_does_not_go_is_looked_into_once_more():
    storage = filled()
    delete = lifecycle.deletion(cloud_of(storage), keep_logs=False)[1][0]
    storage.stays = "as it is"
    with pytest.raises(NotReady, match="AWS does not see yet that backups is empty") as raised:
        delete.run(COMPLETE)
    assert (raised.value.patience, raised.value.details) == (120, {"bucket": "backups"})
    storage.stays = "written to"
    with pytest.raises(Refused, match="1 object"):
        delete.run(COMPLETE)


def test_late_access_logs_are_waited_for_an_hour():
    storage = filled()
    storage.stays = "written to"
    with pytest.raises(NotReady, match="AWS is still delivering late access logs") as raised:
        lifecycle.deletion(cloud_of(storage), keep_logs=False)[2][0].run(COMPLETE)
    assert raised.value.patience == 3600
    assert storage.done == ["empty logs"]


def test_contents_are_counted_and_told():
    storage, told = filled(), []
    storage.holds["backups"] = 3
    assert lifecycle.contents(cloud_of(storage), COMPLETE, told.append).objects == 3
    assert told == [7]


@pytest.mark.parametrize(("over", "holds", "gone"), [(False, 0, False), (True, 1, False), (True, 0, True)])
def test_kept_logs_go_when_all_is_over_and_none_is_left(over, holds, gone):
    storage = filled()
    storage.holds["logs"] = holds
    assert lifecycle.clear_logs(cloud_of(storage), COMPLETE, over=over) is gone
    assert storage.done == ["delete logs"] * gone


# --- Cancelling -----------------------------------------------------------------------------------------------------


def test_cancelling_opens_what_was_closed_and_nothing_else():
    storage = filled()
    plan = lifecycle.cancellation(cloud_of(storage))
    assert (keys(plan), titles(plan)) == ([["put_back"]], ["Putting back what the deletion had changed"])
    run(plan, COMPLETE)
    assert storage.done == []
    storage.given.clear()
    run(plan, SPEC)  # it may never have been so
    assert storage.done == []
    run(plan, COMPLETE)
    assert storage.done == ["backup.policy", "backup.logging"]


@pytest.mark.parametrize("owner", [None, "", str(ANOTHER)])
def test_cancelling_logs_into_no_bucket_that_is_not_the_stores(owner):
    storage = Memory("backups")
    if owner is not None:
        storage.owners["logs"] = owner
    run(lifecycle.cancellation(cloud_of(storage)), COMPLETE)
    assert storage.done == ["backup.policy"]
