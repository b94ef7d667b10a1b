"""From the POST to AVAILABLE in the database, against raw boto3 that makes the same 7 calls in two lanes."""

from __future__ import annotations

import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen
from uuid import uuid4

import boto3
from botocore.config import Config
from playwright.sync_api import sync_playwright

from console.clouds.aws import AWS
from tests.demo_process import CHROMIUM, Visitor, running_demo, transfers

REGION = "eu-west-1"
REPEATS = 7
MANY = 50
Figure = tuple[str, float, str]


def measure() -> Iterator[Figure]:
    for latency in (0, 80):
        with tempfile.TemporaryDirectory() as folder, running_demo(Path(folder), latency) as demo:
            if not latency:
                yield from _first_load(demo)
            yield from _measure(demo, Path(folder) / "demo.sqlite3", latency)


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


def _measure(demo: dict, database: Path, latency: int) -> Iterator[Figure]:
    floor, ours = Floor(demo["aws"]), Console(demo, database)
    floor.one()  # connections open, on both sides
    ours.one()
    pairs = [(floor.one(), ours.one()) for _ in range(REPEATS)]
    calls = _calls_of_one(demo["aws"]["endpoint"], ours)
    one = [statistics.median(times) for times in zip(*pairs, strict=True)]
    many = [min(floor.many() for _ in range(2)), min(ours.many() for _ in range(2))]
    at = f"{latency}ms"
    yield f"one_store_{at}", one[1] * 1000, "ms"
    yield f"one_store_{at}_floor", one[0] * 1000, "ms"
    yield f"one_store_{at}_ratio", one[1] / one[0], "x"
    yield f"fifty_stores_{at}", many[1] * 1000, "ms"
    yield f"fifty_stores_{at}_floor", many[0] * 1000, "ms"
    yield f"fifty_stores_{at}_ratio", many[1] / many[0], "x"
    yield f"calls_per_store_{at}", calls, "calls"


def _calls_of_one(endpoint: str, ours: Console) -> int:
    def seen() -> int:
        with urlopen(f"{endpoint}/_emulator/calls") as answer:
            return len(json.load(answer))

    before = seen()
    ours.one()
    return seen() - before


class Floor:
    """The same calls, made by nothing but boto3: one warm client, two lanes for each store."""

    def __init__(self, aws: dict) -> None:
        self.s3 = boto3.client(
            "s3",
            region_name=REGION,
            endpoint_url=aws["endpoint"],
            aws_access_key_id=aws["access_key_id"],
            aws_secret_access_key=aws["secret_access_key"],
            config=Config(max_pool_connections=64),
        )
        self.number = aws["account_id"]
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
    """The running demo: POST as a browser does, then look into its database until the store is there."""

    def __init__(self, demo: dict, database: Path) -> None:
        self.visitors = [Visitor(demo["url"], demo["username"], demo["password"]) for _ in range(8)]
        self.database = sqlite3.connect(f"file:{database}?mode=ro", uri=True, check_same_thread=False)
        self.account = self.database.execute(
            "SELECT cloud_account_id FROM stores_store ORDER BY created_at LIMIT 1"
        ).fetchone()[0]

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
        marks = ",".join("?" * len(names))
        query = f"SELECT count(*) FROM stores_store WHERE state = 'available' AND name IN ({marks})"
        until = time.monotonic() + 60
        while self.database.execute(query, names).fetchone()[0] < len(names):
            if time.monotonic() > until:
                raise RuntimeError("the stores did not become available within a minute")
            time.sleep(0.002)
