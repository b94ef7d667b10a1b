"""A thousand stores looked at for drift, against the bare calls on the same buckets with as many at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clouds import plans
from tests.demo_process import ROOT

Figure = tuple[str, float, str]
STORES = 1_000
AT_ONCE = 4  # as the workers do for one account
REGION = "eu-west-1"
READS = (  # of both buckets; the last one of the backup bucket alone
    "get_bucket_tagging",
    "get_public_access_block",
    "get_bucket_ownership_controls",
    "get_bucket_policy",
    "get_bucket_encryption",
    "get_bucket_lifecycle_configuration",
    "get_bucket_logging",
)


def measure(organisation) -> Iterator[Figure]:
    """Yield the figures; Django is set up, on a database of the bench's own."""
    from console.demo.emulators.aws.emulator import Emulator

    command = [sys.executable, "-m", "console.demo.emulators.aws.emulator", "--watch-parent"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as amazon:
        os.environ["AWS_ENDPOINT_URL"] = amazon.stdout.readline().split()[-1]
        try:
            yield from _measure(organisation, Emulator)
        finally:
            del os.environ["AWS_ENDPOINT_URL"]
            amazon.terminate()


def _measure(organisation, emulator) -> Iterator[Figure]:
    from console.clouds.s3api.clients import forget_clients
    from console.operations import snapshots
    from stores.models import DriftReport, Store
    from tests import factories

    forget_clients()
    account = factories.account(organisation, name="drift")
    made = [factories.store(account, name=f"drift-{number}", region=REGION) for number in range(STORES)]
    s3 = boto3.client(
        "s3",
        region_name=REGION,
        aws_access_key_id=emulator.access_key_id,
        aws_secret_access_key=emulator.secret_access_key,
        config=Config(max_pool_connections=64),
    )
    _all(_provision, made)
    postures = DriftReport.objects.bulk_create([DriftReport(store=store) for store in made])
    floor = ours = 0.0
    for first in range(0, STORES, 100):  # by turns, so that whatever else the machine does falls on both
        floor += _all(lambda store: _bare(s3, store), made[first : first + 100])
        ours += _all(lambda one: snapshots.read("drift_report", one.pk), postures[first : first + 100])
    found = DriftReport.objects.filter(store__in=made).exclude(read_at=None)
    if found.count() != STORES or any(one.drift for one in found) or Store.objects.filter(state="degraded").exists():
        raise RuntimeError("the stores were not all found as they should be")
    yield "drift_1000_stores", ours, "s"
    yield "drift_1000_stores_floor", floor, "s"
    yield "drift_1000_stores_ratio", ours / floor, "x"


def _provision(store) -> None:
    for stage in plans.creation(store.cloud):
        for step in stage:
            step.run(store.spec())


def _bare(s3, store) -> None:
    for read in READS[:-1]:
        getattr(s3, read)(Bucket=store.log_bucket)
    for read in READS:
        getattr(s3, read)(Bucket=store.bucket)


def _all(work: Callable, rows: list) -> float:
    """Return the seconds that the work took on all rows, so many at once."""

    def one(row) -> None:
        try:
            work(row)
        except ClientError as error:
            raise RuntimeError(f"{error.operation_name}: {error}") from error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = time.perf_counter()
        list(pool.map(one, rows))
        return time.perf_counter() - started
