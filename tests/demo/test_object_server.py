"""The real S3 server of the demo and the tests: who reaches it, what it keeps, and that it does not outlive us."""

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, SSLError

from console.demo.object_server import ObjectServer
from tests.demo_process import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def client():
    """Make clients of a server that trust its authority, unless told to trust another."""
    made = []

    def client(server, **options):
        made.append(
            boto3.client(
                "s3",
                **{
                    "endpoint_url": server.endpoint,
                    "region_name": server.region,
                    "aws_access_key_id": server.access_key_id,
                    "aws_secret_access_key": server.secret_access_key,
                    "verify": str(server.ca_file),
                    "config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
                    **options,
                },
            )
        )
        return made[-1]

    yield client
    for one in made:
        one.close()


def listening(pid: int) -> set[str]:
    """Return the addresses, as the kernel writes them in hexadecimal, on which the process listens for TCP."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            sockets.add(os.readlink(descriptor).removeprefix("socket:[").rstrip("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = row.split()
            if state == "0A" and rest[5] in sockets:
                found.add(local.split(":")[0])
    return found


def test_server_answers_whoever_trusts_its_authority(object_server, client):
    s3 = client(object_server)
    s3.create_bucket(Bucket="trust")
    s3.put_object(Bucket="trust", Key="a", Body=b"1")
    assert s3.get_object(Bucket="trust", Key="a")["Body"].read() == b"1"
    assert "BEGIN CERTIFICATE" in object_server.ca_certificate
    context = ssl.create_default_context(cadata=object_server.ca_certificate)
    for host in ("localhost", "127.0.0.1"):  # the certificate is for both
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"https://{host}:{object_server.port}/", context=context)


def test_server_is_not_trusted_without_its_authority(object_server, client):
    with pytest.raises(SSLError):
        client(object_server, verify=ssl.get_default_verify_paths().cafile or True).list_buckets()


def test_server_refuses_another_key(object_server, client):
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(object_server, aws_secret_access_key="not it").list_buckets()


def test_server_listens_on_the_loopback_interface_only(object_server):
    assert listening(object_server.process.pid) == {"0100007F"}


def test_two_servers_share_no_port(object_server, tmp_path):
    with_its_own = ObjectServer(tmp_path)
    assert not set(with_its_own.ports.values()) & set(object_server.ports.values())
    assert with_its_own.secret_access_key != object_server.secret_access_key


def test_server_keeps_its_data_over_a_restart(tmp_path, client):
    first = ObjectServer(tmp_path).start()
    try:
        s3 = client(first)
        s3.create_bucket(Bucket="kept")
        s3.put_object(Bucket="kept", Key="a", Body=b"1" * 100_000)
        first.process.kill()  # even so
    finally:
        first.stop()
    second = ObjectServer(tmp_path).start()
    try:
        assert (second.endpoint, second.ports) == (first.endpoint, first.ports)
        assert second.ca_certificate == first.ca_certificate
        assert len(s3.get_object(Bucket="kept", Key="a")["Body"].read()) == 100_000
    finally:
        second.stop()
    for name in ("server.json", "server.key"):
        assert oct((tmp_path / name).stat().st_mode).endswith("600")


def test_server_ends_with_its_parent(tmp_path):
    script = (
        "import sys, time; from pathlib import Path; from console.demo.object_server import ObjectServer;"
        "print(ObjectServer(Path(sys.argv[1])).start().process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    server = Path(f"/proc/{int(parent.stdout.readline())}")
    assert server.exists()
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    until = time.monotonic() + 10
    while server.exists() and "\nState:\tZ" not in (server / "status").read_text():
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.05)
