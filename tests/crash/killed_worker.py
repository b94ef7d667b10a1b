"""A worker that ends itself by SIGKILL at one boundary of its work, forked from a process that has everything loaded.

A boundary is before or after a cloud call, a write to the database, a commit, or the task itself. Nobody lists them:
they are what botocore, the database connection and Celery report while the work runs. Who goes on after a kill finds
only what lasts: between two boundaries without a commit or a change of the cloud, there is nothing else to find.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import django

django.setup()

from celery.signals import task_postrun, task_prerun, worker_ready  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.db import transaction  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402
from django.db.models.signals import post_save  # noqa: E402

from clusters import actions as clusters  # noqa: E402
from clusters.models import Cluster  # noqa: E402
from console.celery import app  # noqa: E402
from console.cloud_accounts.models import CloudAccount  # noqa: E402
from console.clouds.s3api.clients import session  # noqa: E402
from console.operations.actions import cancel  # noqa: E402
from console.operations.models import ManagedResource, Operation  # noqa: E402
from console.operations.tasks import run_operation  # noqa: E402
from stores import actions as stores  # noqa: E402
from stores.models import Store  # noqa: E402
from tests import factories  # noqa: E402
from tests.delivery import deliver  # noqa: E402

AFTER_ALL = "after the task #1"  # dies when all is done and only the broker has not heard of it
NOT_MET = 3  # the exit status of a worker that came to its end without meeting its boundary
UNCOMMITTED = ", uncommitted"
READS = ("Get", "Head", "List")
WRITES = {"INSERT": 2, "UPDATE": 1, "DELETE": 2}  # where the table stands among the words
# What a process says of itself, in threads and at times of its own: none of it is a boundary of the work.
OF_ITSELF = {"operations_heartbeat", "operations_chore", "accounts_installation", "restoration_generation"}

# --- What is done: a name, what was there before, and what is asked for ----------------------------------------------


def done(subject: ManagedResource) -> Any:
    """Carry out the subject's operation, undisturbed, and return the subject; another worker may be quicker."""
    subject.refresh_from_db()
    assert subject.operation
    until = time.monotonic() + 50
    while Operation.objects.unfinished().filter(pk=subject.operation.pk).exists():
        assert time.monotonic() < until
        deliver(subject.operation.pk)
        time.sleep(0.01)
    subject.refresh_from_db()
    return subject


def create_store(account: CloudAccount, name: str, region: str = "eu-west-1", **promised: int) -> Store:
    return stores.create(account, name=name, region=region, by=None, **promised)


def create_store_whose_name_is_taken(account: CloudAccount, name: str) -> Store:
    """Create it where all names of AWS share one space, and somebody else has the first one that we come up with."""

    def take(instance: Store, created: bool, **_: Any) -> None:
        if created:
            # The second account of the emulator, as the test has made it.
            key = os.environ["STRANGERS_KEY"].split(":")
            s3 = boto3.client("s3", region_name="me-central-1", aws_access_key_id=key[0], aws_secret_access_key=key[1])
            s3.create_bucket(Bucket=instance.bucket, CreateBucketConfiguration={"LocationConstraint": "me-central-1"})

    post_save.connect(take, Store, weak=False)
    return create_store(account, name, "me-central-1")


def delete_store(account: CloudAccount, name: str, keep_logs: bool = False) -> Callable[[], Store]:
    store = done(create_store(account, name))

    def ask() -> Store:
        stores.delete(store, keep_logs=keep_logs, by=None)
        return store

    return ask


def cancel_a_deletion(account: CloudAccount, name: str) -> Callable[[], Store]:
    """Cancel one that has come so far that access logging is off."""
    store, given = done(create_store(account, name)), account.credentials()
    s3 = boto3.client(
        "s3",
        region_name=store.region,
        aws_access_key_id=given.settings["access_key_id"],
        aws_secret_access_key=given.secrets["secret_access_key"],
    )
    s3.put_bucket_logging(Bucket=store.bucket, BucketLoggingStatus={})

    def ask() -> Store:
        with transaction.atomic():  # nobody hears of the one without the other
            stores.delete(store, by=None)
            cancel(store, by=None)
        return store

    return ask


def cluster_with(account: CloudAccount, name: str, before: str, after: str | None) -> Callable[[], Cluster]:
    """Have a cluster with the stores `before`, and ask for those `after`, or for its end."""
    made = {letter: factories.store(account, name=f"{name}-{letter}") for letter in sorted({*before, *(after or "")})}
    attached = [made[letter] for letter in before]
    cluster = done(clusters.create(account, name=name, regions=["eu-west-1"], stores=attached, by=None))
    if after is None and before:  # only a cluster without stores can be deleted
        clusters.update_stores(cluster, stores=[], by=None)
        cluster = done(cluster)

    def ask() -> Cluster:
        if after is None:
            clusters.delete(cluster, by=None)
        else:
            clusters.update_stores(cluster, stores=[made[letter] for letter in after], by=None)
        return cluster

    return ask


# Each prepares what must be there, and returns what asks for the work.
WORK: dict[str, Callable[[CloudAccount, str], Callable[[], ManagedResource]]] = {
    "create a store": lambda account, name: lambda: create_store(account, name),
    "create a store in us-east-1": lambda account, name: lambda: create_store(account, name, "us-east-1"),
    "create a store, name taken": lambda account, name: lambda: create_store_whose_name_is_taken(account, name),
    "create a protected store": lambda account, name: (
        lambda: create_store(account, name, versions_days=30, lock_days=14)
    ),
    "delete a store": delete_store,
    "delete a store, keep its logs": lambda account, name: delete_store(account, name, keep_logs=True),
    "cancel a deletion": cancel_a_deletion,
    "attach the first store": lambda account, name: cluster_with(account, name, "", "a"),
    "attach and detach": lambda account, name: cluster_with(account, name, "ab", "bc"),
    "detach the last store": lambda account, name: cluster_with(account, name, "a", ""),
    "delete a cluster": lambda account, name: cluster_with(account, name, "a", None),
}

# --- Where it dies ---------------------------------------------------------------------------------------------------


class Boundaries:
    """Counts the boundaries that the work passes, writes each down, and ends this process at one of them."""

    def __init__(self) -> None:
        self.operation, self.deadly, self.passed = "", "", Counter[str]()
        self._lock, self._out, self._begun = threading.Lock(), -1, False

    def watch(self, operation: str, deadly: str, passed: Path) -> None:
        self.operation, self.deadly = operation, deadly
        self._out = os.open(passed, os.O_WRONLY | os.O_CREAT)

    def begin(self) -> None:
        self._begun = True

    def come_to(self, boundary: str) -> None:
        with self._lock:
            if not self._begun:
                return
            self.passed[boundary] += 1
            name = f"{boundary} #{self.passed[boundary]}"
            os.write(self._out, f"{time.time()} {name}\n".encode())
            if name == self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)


def lasts(boundary: str) -> bool:
    """Return whether the boundary has left something behind that a killed worker leaves, too."""
    when, what = boundary.split(" ", 1)
    return when == "after" and UNCOMMITTED not in what and not what.startswith(READS)


def worth_a_try(boundary: str) -> bool:
    """Return whether no earlier boundary has left the same; and one in the middle of a transaction, which is undone."""
    return lasts(boundary) or boundary in {"before the task #1", "before COMMIT #1"}


boundaries = Boundaries()
in_this_thread = threading.local()


def before_call(request: Any, event_name: str, **_: Any) -> None:
    operation, bucket = event_name.rpartition(".")[2], urlsplit(request.url).path.split("/")[1]
    words = {"": operation}.get(bucket, f"{operation} {'log' if '-log' in bucket else 'backup'} bucket")
    # The second lane of a round follows the first, so that both ends are always written down by themselves.
    if "-log" in bucket or "InstanceProfile" in operation:
        time.sleep(0.02)
    in_this_thread.call = words
    boundaries.come_to(f"before {words}")


def after_call(**_: Any) -> None:
    boundaries.come_to(f"after {in_this_thread.call}")


def around_write(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    words = sql.replace('"', "").split()
    if words[0] not in WRITES or words[WRITES[words[0]]] in OF_ITSELF:
        return execute(sql, params, many, context)
    what = f"{words[0]} {words[WRITES[words[0]]]}{UNCOMMITTED if context['connection'].in_atomic_block else ''}"
    boundaries.come_to(f"before {what}")
    result = execute(sql, params, many, context)
    boundaries.come_to(f"after {what}")
    return result


def watch_connection(connection: Any, **_: Any) -> None:
    if around_write in connection.execute_wrappers:  # the connection was opened again
        return
    connection.execute_wrappers.append(around_write)
    commit = connection._commit

    def around_commit() -> None:
        boundaries.come_to("before COMMIT")
        commit()
        boundaries.come_to("after COMMIT")

    connection._commit = around_commit


@task_prerun.connect(sender=run_operation)
def before_task(args: Any, **_: Any) -> None:
    if args[0] == boundaries.operation:
        boundaries.begin()
        boundaries.come_to("before the task")


@task_postrun.connect(sender=run_operation)
def after_task(args: Any, **_: Any) -> None:
    if args[0] == boundaries.operation:
        boundaries.come_to("after the task")
        os._exit(NOT_MET)


connection_created.connect(watch_connection)
session().events.register("before-send", before_call)
session().events.register("after-call", after_call)
# What each worker would load by itself, once for all of them.
run_checks()
MODULES = """
app.amqp app.control app.events app.log app.trace apps.worker bin.celery concurrency.thread events.dispatcher
events.receiver worker.autoscale worker.components worker.consumer worker.pidbox worker.strategy
"""
for module in [f"celery.{name}" for name in MODULES.split()] + ["billiard.pool", "kombu.transport.redis"]:
    import_module(module)
for service in ("s3", "iam"):
    session().client(service, region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-")  # type: ignore[call-overload]

# --- The process -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """One piece of work, to be killed at one boundary."""

    work: str
    deadly: str
    name: str  # of the subject
    passed: Path  # where the boundaries are written that it has passed


def run(cell: Cell, account: Any, environment: dict[str, str]) -> None:
    """Prepare, start a worker, ask for the work, and die."""
    os.environ.update(environment)
    app.conf.broker_url = environment["REDIS_URL"]
    app.conf.task_default_queue = cell.name
    with suppress(FileNotFoundError):
        cell.passed.unlink()
    ask = WORK[cell.work](CloudAccount.objects.get(pk=account), cell.name)
    with app.connection_for_write() as connection:
        # What the preparation has sent says that there is work, and would begin what is asked for unseen.
        connection.default_channel.queue_purge(cell.name)

    @worker_ready.connect(weak=False)
    def begin(**_: Any) -> None:
        subject = ask()
        pk = type(subject)._default_manager.values_list("operation", flat=True).get(pk=subject.pk)
        boundaries.watch(str(pk), cell.deadly, cell.passed)

    options = ["--pool", "threads", "--concurrency", "1", "--queues", cell.name, "--pidfile", ""]
    app.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"])


def start(cell: Cell, account: Any, environment: dict[str, str]) -> Any:
    """Start the worker; it ends by SIGKILL, or with NOT_MET."""
    process = context.Process(target=run, args=(cell, account, environment))
    process.start()
    return process


context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload([__name__])
