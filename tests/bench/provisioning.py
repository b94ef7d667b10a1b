"""From the POST to AVAILABLE in the database, against raw boto3 that makes the same 7 calls in two lanes."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import boto3
import psycopg
from botocore.config import Config
from playwright.sync_api import sync_playwright

from console.clouds.aws import AWS
from console.demo.emulators.aws.emulator import Emulator
from tests.bench import screens
from tests.bench.installation import Installation, installation
from tests.demo_process import CHROMIUM, Visitor, running_demo, transfers

REGION = "eu-west-1"
REPEATS = 7
MANY = 50
ROUNDS = 3
Figure = tuple[str, float, str]


def measure() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder, running_demo(Path(folder)) as demo:
        yield from _first_load(demo)
        yield from screens.measure(demo)
    for latency in (0, 80):
        with tempfile.TemporaryDirectory() as folder, installation(Path(folder), latency) as console:
            yield from _measure(console, latency)


def _first_load(demo: dict) -> Iterator[Figure]:
    """Open the stores page in a browser with an empty cache."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        page = browser.new_page(base_url=demo["url"])
        page.goto("/login/")
        page.fill("[name=username]", demo["username"])
        page.fill("[name=password]", demo["password"])
        page.click("button.primary")
        page.wait_for_load_state()
        sizes = transfers(page, "/stores/")
        browser.close()
    yield "first_load_requests", len(sizes), "requests"
    yield "first_load_transfer", sum(sizes) / 1000, "kB"


def _measure(installed: Installation, latency: int) -> Iterator[Figure]:
    floor, ours = Floor(installed), Console(installed)
    floor.one()  # connections open, on both sides
    ours.one()
    pairs = [(floor.one(), ours.one()) for _ in range(REPEATS)]
    calls = _calls_of_one(installed, ours)
    one = [statistics.median(times) for times in zip(*pairs, strict=True)]
    # By turns, so that whatever else the machine does falls on both.
    rounds = [_many(installed, floor, ours) for _ in range(ROUNDS)]
    many = [min(times) for times in zip(*((bare, all_there) for bare, all_there, *_ in rounds), strict=True)]
    at = f"{latency}ms"
    yield f"one_store_{at}", one[1] * 1000, "ms"
    yield f"one_store_{at}_floor", one[0] * 1000, "ms"
    yield f"one_store_{at}_ratio", one[1] / one[0], "x"
    yield f"fifty_stores_{at}", many[1] * 1000, "ms"
    yield f"fifty_stores_{at}_floor", many[0] * 1000, "ms"
    yield f"fifty_stores_{at}_ratio", many[1] / many[0], "x"
    yield f"calls_per_store_{at}", calls, "calls"
    bare = min(cpu for *_, cpu, _ in rounds)
    cpu = min((cpu for *_, cpu in rounds), key=lambda parts: sum(parts.values()))
    yield f"cpu_per_store_{at}", sum(cpu.values()) * 1000 / MANY, "ms"
    for part, seconds in cpu.items():
        yield f"cpu_per_store_{at}_{part}", seconds * 1000 / MANY, "ms"
    yield f"cpu_per_store_{at}_floor", bare * 1000 / MANY, "ms"


def _many(installed: Installation, floor: Floor, ours: Console) -> tuple[float, float, float, dict[str, float]]:
    """Return the seconds for fifty stores, bare and ours, and of the processor for the bare ones and for ours."""
    began = time.process_time()
    bare = floor.many()
    cpu_bare = time.process_time() - began
    before = installed.seconds_of_cpu()
    seconds = ours.many()
    after = installed.seconds_of_cpu()
    return bare, seconds, cpu_bare, {part: after[part] - before[part] for part in ("web", "worker", "beat")}


def _calls_of_one(installed: Installation, ours: Console) -> int:
    before = installed.calls()
    ours.one()
    return installed.calls() - before


class Floor:
    """The same calls, made by nothing but boto3: one warm client, two lanes for each store."""

    def __init__(self, installed: Installation) -> None:
        self.s3 = boto3.client(
            "s3",
            region_name=REGION,
            endpoint_url=installed.amazon,
            aws_access_key_id=Emulator.access_key_id,
            aws_secret_access_key=Emulator.secret_access_key,
            config=Config(max_pool_connections=64),
        )
        self.number = Emulator.account_id
        self.lanes = ThreadPoolExecutor(32)

    def one(self) -> float:
        started = time.perf_counter()
        self._store()
        return time.perf_counter() - started

    def many(self) -> float:
        with ThreadPoolExecutor(16) as pool:
            started = time.perf_counter()
            list(pool.map(lambda _: self._store(), range(MANY)))
            return time.perf_counter() - started

    def _store(self) -> None:
        bucket, log = AWS.storage.names(uuid4(), REGION, self.number)
        for calls in (self._creates, self._policies, self._lifecycles):
            list(self.lanes.map(lambda call: call(), calls(bucket, log)))
        target = {"LoggingEnabled": {"TargetBucket": log, "TargetPrefix": "access/"}}
        self.s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=target)

    def _creates(self, bucket: str, log: str) -> list:
        place = {"LocationConstraint": REGION}
        return [
            lambda name=name: self.s3.create_bucket(
                Bucket=name,
                BucketNamespace="account-regional",
                CreateBucketConfiguration=place,
                ObjectOwnership="BucketOwnerEnforced",
            )
            for name in (log, bucket)
        ]

    def _policies(self, bucket: str, log: str) -> list:
        deliver = {
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{log}/*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"},
                "StringEquals": {"aws:SourceAccount": self.number},
            },
        }

        def closed(name: str) -> dict:
            return {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }

        def put(name: str, *statements: dict) -> None:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            self.s3.put_bucket_policy(Bucket=name, Policy=policy)

        return [lambda: put(log, deliver, closed(log)), lambda: put(bucket, closed(bucket))]

    def _lifecycles(self, bucket: str, log: str) -> list:
        abort = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
        rules = {log: {**abort, "Expiration": {"Days": 90}}, bucket: abort}
        return [
            lambda name=name, rule=rule: self.s3.put_bucket_lifecycle_configuration(
                Bucket=name,
                LifecycleConfiguration={"Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, **rule}]},
            )
            for name, rule in rules.items()
        ]


class Console:
    """The console: POST as a browser does, then look into its database until the store is there."""

    def __init__(self, installed: Installation) -> None:
        self.visitors = [Visitor(installed.url, "bench", "secret") for _ in range(8)]
        self.database = psycopg.connect(installed.database, autocommit=True)
        self.account = installed.account

    def one(self) -> float:
        started = time.perf_counter()
        name = self._post(self.visitors[0])
        self._wait([name])
        return time.perf_counter() - started

    def many(self) -> float:
        with ThreadPoolExecutor(len(self.visitors)) as pool:
            started = time.perf_counter()
            names = list(pool.map(self._post, [self.visitors[n % len(self.visitors)] for n in range(MANY)]))
            self._wait(names)
            return time.perf_counter() - started

    def _post(self, visitor: Visitor) -> str:
        name = f"bench-{uuid4().hex[:12]}"
        data = {"provider": "aws", "name": name, "cloud_account": self.account, "region": REGION}
        status, text = visitor.post("/stores/create/", data)
        if status != 302:
            raise RuntimeError(f"POST answered {status}: {text[:500]}")
        return name

    def _wait(self, names: list[str]) -> None:
        query = "SELECT count(*) FROM stores_store WHERE state = 'available' AND name = ANY(%s)"
        until = time.monotonic() + 60
        while self.database.execute(query, [names]).fetchone()[0] < len(names):
            if time.monotonic() > until:
                raise RuntimeError("the stores did not become available within a minute")
            time.sleep(0.005)
