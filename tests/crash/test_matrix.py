"""Whatever boundary a worker is killed at, another one brings the work to the end that was asked for."""

from __future__ import annotations

import itertools
import json
import signal
import statistics
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from django.utils.dateparse import parse_datetime
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from clusters.models import Cluster
from console.accounts.models import Organisation
from console.clouds.s3api.nodes import node_name
from console.demo.emulators.aws.calls import find_bucket
from console.demo.emulators.aws.emulator import Emulator
from console.operations.models import Operation
from stores.models import RetainedLogs, Store
from stores.unmanaged import known_names
from tests.worker_process import database_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crash import killed_worker

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.timeout(1800)]

AT_ONCE = 4
TRIES = 12  # to meet a boundary: two lanes may pass it in either order, and another worker may be quicker
STRANGER = "210987654321"
# Works that go as another does, but for a part: of what both pass, only what is about making buckets is tried again.
LIKE = {
    "create a store in us-east-1": "create a store",
    "create a protected store": "create a store",
    "delete a store, keep its logs": "delete a store",
}
# What moto makes up by chance, or at a time of its own; and what Amazon's log delivery, not the console, has written.
PASSING = {"id", "creation_date", "create_date", "keys", "multiparts", "backend"}


def plain(thing: Any) -> Any:
    """Return whatever moto keeps as data that can be compared."""
    if isinstance(thing, bytes):
        thing = thing.decode()
    if isinstance(thing, dict):
        return {str(key): plain(value) for key, value in thing.items() if key not in PASSING}
    if isinstance(thing, list | tuple):
        return [plain(one) for one in thing]
    return plain(vars(thing)) if hasattr(thing, "__dict__") else thing


def bucket_as_it_is(name: str) -> Any:
    """Return all that a bucket has, but its objects; None when it is not there."""
    if (bucket := find_bucket(name)) is None:
        return None
    tagger = s3_backends[bucket.account_id][bucket.partition].tagger
    return {**plain(bucket), "tags": tagger.list_tags_for_resource(bucket.arn)}


def node_access() -> dict[str, Any]:
    """Return the roles and instance profiles of all clusters, each with all that it has."""
    iam = iam_backends[Emulator.account_id]["aws"]
    kinds = {"role": iam.roles, "instance profile": iam.instance_profiles}
    every = [(f"{kind} {one.name}", plain(one)) for kind, there in kinds.items() for one in there.values()]
    return {name: one for name, one in every if one["path"] == "/pgbk/"}


class Outcome:
    """What a cell came to: the rows, and what is in the cloud, in words that do not depend on names."""

    def __init__(self, cell: killed_worker.Cell) -> None:
        lines = [line.split(" ", 1) for line in cell.passed.read_text().splitlines()]
        self.boundaries, self.died = [name for _, name in lines], float(lines[-1][0])
        operation = Operation.objects.filter(subject_name=cell.name).latest("created_at")
        model = {"store": Store, "cluster": Cluster}[operation.subject_kind]
        subject: Any = model.objects.filter(pk=operation.subject_id).first()
        self.names: dict[str, str] = {}
        attachments: list[Any] = []
        if isinstance(subject, Store):
            self.names = {"backup bucket": subject.bucket, "log bucket": subject.log_bucket}
        if isinstance(subject, Cluster):
            self.names = {"role": node_name(subject.spec())}
            stores = Store.objects.filter(name__startswith=f"{cell.name}-")
            self.names |= {f"bucket {store.name[-1]}": store.bucket for store in stores}
            attachments = sorted(subject.attachments.values_list("store__name", "state", "repository__number"))
        retained = RetainedLogs.objects.filter(store_id=operation.subject_id).first()
        if retained:
            self.names = {
                "backup bucket": retained.bucket.replace("-log-", "-"),
                "retained log bucket": retained.bucket,
            }
        access = node_access()
        cloud = {
            **{word: bucket_as_it_is(name) for word, name in self.names.items() if "bucket" in word},
            **{kind: access.get(f"{kind} {self.names.get('role')}") for kind in ("role", "instance profile")},
        }
        found = {
            "operation": [operation.state, operation.error, [(one["title"], one["state"]) for one in operation.steps]],
            "subject": [subject and subject.state, attachments, retained is not None],
            "cloud": cloud,
        }
        words = {
            **self.names,
            "ID": str(operation.subject_id),
            "name": cell.name,
            "prefix": Cluster(id=operation.subject_id).prefix,
        }
        text = json.dumps(found, sort_keys=True)
        for word, name in sorted(words.items(), key=lambda pair: -len(pair[1])):
            text = text.replace(name, f"<{word}>")
        self.found = json.loads(text)
        # When another one went on, if anything was left to do.
        times = [parse_datetime(one[key]) for one in operation.steps for key in ("started", "finished") if one[key]]
        times += [operation.finished_at or operation.updated_at]
        later = [one.timestamp() - self.died for one in times if one.timestamp() > self.died]
        self.taken_over_after = min(later, default=None)
        self.fence = operation.fence


@pytest.fixture
def stranger(amazon):
    """The keys of another account of Amazon's, and buckets that no store has anything to do with."""
    keys = dict(zip(("aws_access_key_id", "aws_secret_access_key"), amazon.add_account(STRANGER), strict=True))
    ours = {"aws_access_key_id": amazon.access_key_id, "aws_secret_access_key": amazon.secret_access_key}
    for which, name in ((keys, "strangers-own"), (ours, "somebody-elses"), (ours, "pgbk-aaaaaaaaaaaaaaaaaaaaaaaaaa")):
        boto3.client("s3", region_name="me-central-1", **which).create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "me-central-1"}
        )
    return ":".join(keys.values())


def buckets(account: str) -> list[str]:
    """Return the names of all buckets of an account."""
    return list(s3_backends[account]["aws"].buckets)


def everything_foreign() -> dict[str, Any]:
    """Return the buckets that carry no store's tag, as they are."""
    names = buckets(Emulator.account_id) + buckets(STRANGER)
    there = {name: bucket_as_it_is(name) for name in names}
    return {name: one for name, one in there.items() if "storekeeper:store-id" not in json.dumps(one["tags"])}


def differences(wanted: Any, found: Any, place: str = "") -> Iterator[str]:
    """Yield each place at which two outcomes differ, with what was wanted and what was found there."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in sorted(wanted.keys() | found.keys()):
            yield from differences(wanted.get(key), found.get(key), f"{place}.{key}")
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for number, pair in enumerate(zip(wanted, found, strict=True)):
            yield from differences(*pair, f"{place}[{number}]")
    elif wanted != found:
        yield f"{place}: {wanted!r:.200} is {found!r:.200}"


def kind(cell: tuple[str, str]) -> str:
    """Return what a boundary is of, whatever the work and however often it was passed; of commits one in four."""
    boundary, _, times = cell[1].partition(" #")
    return f"{boundary} {int(times) % 4}" if "COMMIT" in boundary else boundary


def test_work_goes_on_after_a_kill_at_any_boundary(
    start_worker, amazon, account, stranger, tmp_path, say, sample, monkeypatch
):
    from tests.crash import killed_worker  # which watches all that this process does from now on

    monkeypatch.setenv("DATABASE_URL", database_url())  # for the process that the killed workers are forked from
    environment = {
        "REDIS_URL": start_worker.broker.url,
        "AWS_ENDPOINT_URL": amazon.url,
        "STRANGERS_KEY": stranger,
    }
    started = time.monotonic()
    Organisation.objects.update(stores_at_most=10_000, operations_at_once=1_000)  # the dead hold theirs for a while
    foreign = everything_foreign()
    numbers = itertools.count()

    def kill_at(todo: list[tuple[str, str]]) -> list[killed_worker.Cell]:
        """Do each piece of work until the boundary named beside it, some at once."""
        waiting, running, cells = [(*pair, 1) for pair in reversed(todo)], {}, []
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                work, boundary, attempt = waiting.pop()
                name = f"n{next(numbers)}"
                cell = killed_worker.Cell(work, boundary, name, tmp_path / name)
                process = killed_worker.start(cell, account.pk, environment)
                running[process.sentinel] = process, cell, attempt
            ended = wait(list(running), 60)
            assert ended, f"hanging: {running}"
            for process, cell, attempt in [running.pop(sentinel) for sentinel in ended]:
                process.join()
                if process.exitcode == -signal.SIGKILL:
                    cells.append(cell)
                else:
                    assert process.exitcode == killed_worker.NOT_MET, cell
                    assert attempt < TRIES, f"{cell} was never met"
                    waiting.append((cell.work, cell.deadly, attempt + 1))
        return cells

    undisturbed = kill_at([(work, killed_worker.AFTER_ALL) for work in killed_worker.WORK])
    wanted = {cell.work: Outcome(cell) for cell in undisturbed}
    assert min(len(outcome.boundaries) for outcome in wanted.values()) > 20  # the workers did it all themselves
    start_worker()  # an ordinary one, which knows nothing of all this; from now on it may be quicker than they
    start_worker.wait_until_ready()
    tried = {work: {*wanted[like].boundaries} for work, like in LIKE.items()}
    todo = [
        (work, one) for work, outcome in wanted.items() for one in outcome.boundaries if killed_worker.worth_a_try(one)
    ]
    todo = [(work, one) for work, one in todo if one not in tried.get(work, ()) or "CreateBucket" in one]
    cells = kill_at(sample("crashes: boundaries", todo, by=kind))
    until = time.monotonic() + 240  # where the machine is busy; whoever is late then hangs
    while Operation.objects.unfinished().exists() and time.monotonic() < until:
        time.sleep(0.1)

    outcomes = {cell: Outcome(cell) for cell in cells}
    strayed = {cell: one for cell, one in outcomes.items() if one.found != wanted[cell.work].found}
    known = {name for _, name in known_names()} | {node_name(cluster.spec()) for cluster in Cluster.objects.all()}
    ours = [name for name in buckets(Emulator.account_id) if name not in foreign]
    unmanaged = [name for name in [*ours, *node_access()] if name.split()[-1] not in known]
    waits = [one.taken_over_after for one in outcomes.values() if one.taken_over_after is not None]
    for work in killed_worker.WORK:
        mine = [cell for cell in cells if cell.work == work]
        converged = len([cell for cell in mine if cell not in strayed])
        say(f"crashes: {work}, {len(mine)} boundaries tried, {converged} converged")
    say(
        f"crashes: in all {len(cells)} tried, {len(cells) - len(strayed)} converged, {len(unmanaged)} unmanaged; "
        f"another worker went on after {statistics.median(waits):.1f} s (median), {max(waits):.1f} s (longest); "
        f"{time.monotonic() - started:.0f} s for all of it"
    )
    assert not {
        f"{cell.work}, {cell.deadly}, fence {one.fence}": list(differences(wanted[cell.work].found, one.found))[:9]
        for cell, one in strayed.items()
    }
    assert not unmanaged
    # What is not ours is as it was; what the stranger has taken meanwhile is as all of the stranger's buckets are.
    assert everything_foreign() == {**everything_foreign(), **foreign}
    theirs = {json.dumps(bucket_as_it_is(name)).replace(name, "") for name in buckets(STRANGER)}
    assert len(theirs) == 1
    assert max(waits) < 30  # with the settings of production
