"""Which servers are walked: the one that SERVERS names, `all` of them, or the quick one that `make test` has."""

from __future__ import annotations

import os

import pytest

from tests.servers import ceph, small, swift
from tests.servers.table import Table

# By name: what opens it.
SERVERS = {
    "SeaweedFS behind nginx": small.seaweedfs_behind_nginx,
    "SeaweedFS": small.seaweedfs,
    "Ceph RGW 16": ceph.opened,
    "Swift 2.30": swift.opened,
    "MinIO's code in JuiceFS": small.minio_in_juicefs,
    "rclone 1.75": small.rclone,
    "s3rver": small.s3rver,
    "moto": small.moto,
}
QUICK = "SeaweedFS behind nginx"
WANTED = os.environ.get("SERVERS") or QUICK
NAMES = list(SERVERS) if WANTED == "all" else WANTED.split(",")
assert {*NAMES} <= {*SERVERS}, f"SERVERS is all, or some of {', '.join(SERVERS)}"
TABLE = Table()


def pytest_terminal_summary(terminalreporter):
    """Print the table: server by step."""
    for line in TABLE.lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="package", params=NAMES)
def named(request, tmp_path_factory):
    """One server after the other, with its name; one that cannot be had fails with a sentence."""
    name = request.param
    folder = tmp_path_factory.mktemp("server")
    with SERVERS[name](folder) as server:
        yield name, server


@pytest.fixture
def table():
    return TABLE
