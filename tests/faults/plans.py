"""The plans that the fault matrix walks: how things are before, the action that begins each, work without waiting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from django.db.models import F
from django.utils import timezone

from clusters import actions as cluster_actions
from console.operations.actions import cancel
from console.operations.models import Operation
from stores import actions
from tests import factories
from tests.clouds import plans
from tests.delivery import deliver
from tests.faults import world
from tests.faults.table import FAULTS


def run(provider_plan, spec):
    for stage in provider_plan:
        for step in stage:
            step.run(spec)


@dataclass(frozen=True)
class Plan:
    """One verb on one subject: how things are before, and the action that begins it."""

    verb: str
    region: str = "eu-west-1"
    only: tuple[str, ...] = ()  # the operations that another plan does not cover already
    faults: tuple[str, ...] = tuple(fault.name for fault in FAULTS)
    may_be_deleted: ClassVar = False  # when it failed
    ends: ClassVar = "done"

    def covers(self, call):
        return not self.only or call.operation in self.only

    def __str__(self):
        return f"{self.verb} in {self.region}"

    def prepare(self, account, alice):
        return None

    def begin(self, subject, account, alice):
        raise NotImplementedError


class Create(Plan):
    may_be_deleted = True

    def begin(self, subject, account, alice):
        return actions.create(account, name="orders", region=self.region, by=alice)


class CreateProtected(Create):
    lock_days: ClassVar = None

    def begin(self, subject, account, alice):
        promised = {"versions_days": 30, "lock_days": self.lock_days}
        return actions.create(account, name="orders", region=self.region, by=alice, **promised)


class CreateLocked(CreateProtected):
    lock_days: ClassVar = 14


class StandingStore(Plan):
    def prepare(self, account, alice):
        store = factories.store(account, region=self.region)
        Operation.objects.create(  # it was created once, by the console
            organisation=store.organisation,
            subject_kind="store",
            subject_id=store.pk,
            verb="create",
            state="done",
            finished_at=timezone.now(),
        )
        run(plans.creation(store.cloud), store.spec())
        return store


class Delete(StandingStore):
    """Of a store whose log bucket holds logs."""

    def begin(self, store, account, alice):
        world.put_logs(store.log_bucket)
        actions.delete(store, by=alice)
        return store


class DeleteButLogs(StandingStore):
    def begin(self, store, account, alice):
        world.put_logs(store.log_bucket)
        actions.delete(store, keep_logs=True, by=alice)
        return store


class Cancel(StandingStore):
    """A deletion that has turned logging off."""

    ends: ClassVar = "cancelled"

    def begin(self, store, account, alice):
        world.silence(store.bucket)
        actions.delete(store, by=alice)
        cancel(store, by=alice)
        return store


class Repair(StandingStore):
    """Of a store of which somebody took the policy of the log bucket, and turned its logging off."""

    may_be_deleted = True

    def begin(self, store, account, alice):
        world.damage(store.bucket, store.log_bucket)
        actions.repair(store, by=alice)
        return store


class Attach(Plan):
    """Two stores to a new cluster."""

    def begin(self, subject, account, alice):
        stores = [factories.store(account, name=name) for name in ("one", "two")]
        return cluster_actions.create(account, name="orders", regions=["eu-west-1"], stores=stores, by=alice)


class StandingCluster(Plan):
    def prepare(self, account, alice):
        cluster = Attach("attach").begin(None, account, alice)
        return drive(cluster)[0]


class AttachAnother(StandingCluster):
    def begin(self, cluster, account, alice):
        stores = [*cluster.stores.all(), factories.store(account, name="three")]
        cluster_actions.update_stores(cluster, stores=stores, by=alice)
        return cluster


class Detach(StandingCluster):
    """The last store, with which every permission goes."""

    def begin(self, cluster, account, alice):
        cluster_actions.update_stores(cluster, stores=[], by=alice)
        return cluster


class Dismiss(StandingCluster):
    def prepare(self, account, alice):
        cluster = super().prepare(account, alice)
        cluster_actions.update_stores(cluster, stores=[], by=alice)
        return drive(cluster)[0]

    def begin(self, cluster, account, alice):
        cluster_actions.delete(cluster, by=alice)
        return cluster


# us-east-1 answers 200 to a second CreateBucket, me-south-1 has no account namespace: there, and where a role is met
# again, the calls that find out whose something is are tried with the faults that could mislead them.
OTHER_REGIONS = ("us-east-1", "me-south-1")
WHOSE = ("CreateBucket", "GetBucketTagging", "GetRole", "GetInstanceProfile")
MISLEADING = (
    *("AccessDenied", "reset after", "timeout after", "OperationAborted", "ConcurrentModification"),
    *("NoSuchBucket", "NoSuchEntity", "BucketAlreadyExists", "a stranger's"),
)
PROTECTING = ("GetBucketVersioning", "PutBucketVersioning", "GetObjectLockConfiguration", "PutObjectLockConfiguration")
PLANS = (
    Create("create"),
    *(Create("create", region, WHOSE, MISLEADING) for region in OTHER_REGIONS),
    Repair("repair"),
    *(Repair("repair", region, WHOSE, MISLEADING) for region in OTHER_REGIONS),
    Delete("delete"),
    Delete("delete", "me-south-1", WHOSE, MISLEADING),
    CreateProtected("create protected", only=PROTECTING),
    CreateLocked("create protected, locked", only=PROTECTING),
    DeleteButLogs("delete but logs", only=("PutBucketLifecycleConfiguration",)),
    Cancel("cancel"),
    Attach("attach"),
    AttachAnother("attach another", only=WHOSE, faults=MISLEADING),
    Detach("detach"),
    Dismiss("dismiss"),
)


def pass_time(operation_id, seconds):
    """Have so many seconds gone by, as far as the operation's row can tell."""
    gone = timedelta(seconds=seconds)
    Operation.objects.filter(pk=operation_id).update(
        due_at=F("due_at") - gone, retrying_since=F("retrying_since") - gone
    )


def again(subject):
    return type(subject).objects.with_story().filter(pk=subject.pk).first()


def drive(subject, runs_at_most=3):
    """Work as the workers do until nothing is left to do; returns the subject, None when it is gone, and the runs."""
    subject.refresh_from_db()
    for runs in range(1, runs_at_most + 1):
        seconds = deliver(subject.operation_id)
        if seconds is None:
            return again(subject), runs
        pass_time(subject.operation_id, seconds)
    return again(subject), runs


def wear_out(subject, patience):
    """Work until the patience has all but run out, then until it has; returns the subject, and what went wrong."""
    subject.refresh_from_db()
    wrong = []
    for passing in (patience - 5, 10):
        if deliver(subject.operation_id) is None:
            return again(subject), [*wrong, f"gave up before {patience} seconds"]
        pass_time(subject.operation_id, passing)
    if deliver(subject.operation_id) is not None:
        wrong.append(f"did not give up after {patience} seconds")
    return again(subject), wrong
