"""`manage.py demo`, started for real: what it promises to those who start it, and that nothing outlives it."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing, suppress
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.timeout(600),
]  # starts processes of its own, on SQLite whatever the suite runs on

CHILDREN = ["broker", "amazon", "google", "object-server", "worker", "scheduler", "console"]


class Running:
    """A demo that was started, and what it has printed."""

    def __init__(self, data: Path, port: int = 0):
        self.data, self.printed = data, data.with_suffix(".out")
        (data / "demo.json").unlink(missing_ok=True)  # of one that was killed together with its guard
        command = [sys.executable, "manage.py", "demo", "--port", str(port), "--data", str(data), "--latency", "0"]
        with self.printed.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)

    @property
    def output(self) -> str:
        return self.printed.read_text()

    @property
    def pids(self) -> dict[str, int]:
        return json.loads((self.data / "pids.json").read_text())

    def answering(self) -> dict:
        """Wait until it answers, and return its demo.json."""
        file = self.data / "demo.json"
        wait_until(lambda: file.exists() or self.process.poll() is not None, seconds=240)
        assert file.exists(), self.output
        return json.loads(file.read_text())

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def wait_until(happened, seconds: float = 120):
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def processes() -> dict[int, int]:
    """Return the parent of each process that lives."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(folder.name)] = int(parent)
    return found


def descendants(pid: int) -> set[int]:
    parents = processes()
    family, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in family} - family
        family, grown = family | more, bool(more)
    return family - {pid}


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status
    except OSError:
        return 0


def object_server_of(told: dict):
    """Return a client of the demo's object server, as demo.json describes it."""
    return boto3.client(
        "s3",
        endpoint_url=told["s3"]["endpoint"],
        region_name=told["s3"]["region"],
        aws_access_key_id=told["s3"]["access_key_id"],
        aws_secret_access_key=told["s3"]["secret_access_key"],
        verify=told["s3"]["ca_certificate"],
        config=Config(s3={"addressing_style": "path"}),
    )


def kill(pid: int) -> bool:
    """Kill a process; returns whether it was there still."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def store_states(data: Path) -> set[str]:
    with closing(sqlite3.connect(f"file:{data / 'demo.sqlite3'}?mode=ro", uri=True)) as database:
        return {state for (state,) in database.execute("select state from stores_store")}


def stores(data: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{data / 'demo.sqlite3'}?mode=ro", uri=True)) as database:
        return sorted(name for (name,) in database.execute("select name from stores_store"))


class Demos:
    """The demos of one folder, one after the other: each but the first finds what the one before it left.

    Starting one takes a while, so a test that does it no harm leaves it to the next.
    """

    def __init__(self, data: Path) -> None:
        self.data, self.last = data, None

    def start(self, **options) -> Running:
        """Start one where none runs."""
        self.end()
        self.last = Running(self.data, **options)
        return self.last

    def running(self) -> Running:
        """Return the one that runs and answers, started if need be."""
        if self.last is None or self.last.process.poll() is not None:
            self.start()
        self.last.answering()
        return self.last

    def end(self) -> None:
        if self.last is not None and self.last.process.poll() is None:
            self.last.end()


@pytest.fixture(scope="module")
def demos(tmp_path_factory, made_for_demos):
    """The first one finds the tables and the static files, and looks whether there is something to migrate."""
    data = tmp_path_factory.mktemp("demo") / "data"
    data.mkdir()
    made_for_demos.give(data)
    (data / "migrate.stamp").unlink()
    demos = Demos(data)
    yield demos
    demos.end()


def test_demo_takes_a_free_port_for_a_taken_one(demos):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = demos.start(port=port)
        told = demo.answering()
        assert f"Port {port} is taken" in demo.output
        assert not told["url"].endswith(f":{port}")


def test_demo_writes_what_others_rely_on(demos):
    demo = demos.running()
    told = demo.answering()
    assert status_of(f"{told['url']}/healthz") == 200
    for person in (told, *(told[key] for key in ("owner", "admin", "auditor", "viewer", "stranger", "support"))):
        assert person["username"]
        assert len(person["password"]) >= 12
    assert told["url"] in demo.output
    assert told["password"] in demo.output
    for name in ("demo.json", "secrets.json"):
        assert oct((demo.data / name).stat().st_mode).endswith("600")
    aws = told["aws"]
    client = boto3.client(
        "sts",
        endpoint_url=aws["endpoint"],
        region_name="us-east-1",
        aws_access_key_id=aws["access_key_id"],
        aws_secret_access_key=aws["secret_access_key"],
    )
    assert client.get_caller_identity()["Account"] == aws["account_id"]
    client.close()
    assert set(told["s3"]) == {"endpoint", "region", "access_key_id", "secret_access_key", "ca_certificate"}
    buckets = object_server_of(told).list_buckets()["Buckets"]
    assert len(buckets) == 2  # those of ledger-frankfurt


def test_demo_refuses_a_folder_in_use(demos):
    demo = demos.running()
    second = subprocess.run(
        [sys.executable, "manage.py", "demo", "--port", "0", "--data", str(demo.data)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert second.returncode == 1
    assert "Another demo runs" in second.stderr
    assert (demo.data / "demo.json").exists()


@pytest.mark.thorough  # test_sample.py loads twice; this takes another start
def test_demo_keeps_passwords_and_data_over_a_restart(demos):
    first = demos.running()
    told = first.answering()
    objects = object_server_of(told)
    bucket = objects.list_buckets()["Buckets"][0]["Name"]
    objects.put_object(Bucket=bucket, Key="kept", Body=b"kept")
    ends_with_all_its_children(first, signal.SIGINT)
    database = (first.data / "demo.sqlite3").stat().st_ino
    names = stores(first.data)
    second = demos.running()
    again = second.answering()
    assert again["password"] == told["password"]
    assert (second.data / "demo.sqlite3").stat().st_ino == database
    assert stores(second.data) == names
    assert again["s3"] == told["s3"]
    assert objects.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"kept"
    objects.delete_object(Bucket=bucket, Key="kept")
    assert "ledger-frankfurt" not in second.output  # it needs no repair: nothing was forgotten


def test_demo_starts_again_each_child_that_dies(demos):
    demo = demos.running()
    told = demo.answering()
    wait_until(lambda: store_states(demo.data) == {"available"})
    before = demo.pids
    # A child's own child counts too: the web server does not go on with one worker fewer. The worker is ended with
    # Amazon, of whose sessions none is known any more.
    assert any(kill(pid) for pid in descendants(before["console"]))
    for name in {*CHILDREN} - {"worker", "console"}:
        kill(before[name])  # or it has just ended by itself, for want of another one
    wait_until(lambda: demo.output.count("started again") == len(CHILDREN))
    assert all(demo.pids[name] != before[name] for name in CHILDREN)
    assert demo.output.count("; starting it again") == len(CHILDREN)
    wait_until(lambda: status_of(f"{told['url']}/healthz") == 200)
    # What the emulator forgot is made again.
    wait_until(lambda: "forgot" in demo.output.partition("started again")[2])
    wait_until(lambda: store_states(demo.data) == {"available"})


def ends_with_all_its_children(demo, number):
    told = demo.answering()
    family = descendants(demo.process.pid)
    assert len(family) >= len(CHILDREN) + 2  # the web server's workers
    assert demo.end(number) == 0
    assert not family & processes().keys()
    assert not (demo.data / "demo.json").exists()
    assert status_of(f"{told['url']}/healthz") == 0
    assert "Traceback" not in demo.output


def test_children_end_when_the_demo_is_killed(demos):
    demo = demos.running()
    family = descendants(demo.process.pid)
    demo.end(signal.SIGKILL)
    wait_until(lambda: not family & processes().keys(), seconds=20)
    assert not (demo.data / "demo.json").exists()


def test_demo_ends_while_it_starts(demos):
    demo = demos.start()
    wait_until(lambda: "broker" in demo.output)
    family = descendants(demo.process.pid)
    assert demo.end(signal.SIGTERM) == 0
    assert not family & processes().keys()


@pytest.mark.thorough  # by the kernel's doing, after another start
def test_children_end_when_the_demo_and_its_guard_are_killed(demos):
    demo = demos.running()
    family = descendants(demo.process.pid)
    guard = {pid for pid in family if b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes()}
    assert len(guard) == 1
    for pid in (*guard, demo.process.pid):
        os.kill(pid, signal.SIGKILL)
    demo.process.wait(5)
    wait_until(lambda: not family & processes().keys(), seconds=40)
