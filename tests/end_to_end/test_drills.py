"""A restore drill and a verification as a node is handed them, for real; then a file of the backup is lost."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from tests.end_to_end.console import Clock, Console, text_of
from tests.pgbackrest_node import crontab, installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="puts files below /etc as root, as an administrator of a node does"),
]


def test_a_backup_is_proved_and_a_lost_file_is_found(demo, node, tmp_path, say):
    console, clock, server = Console(demo), Clock(), demo["s3"]
    account = console.find("/cloud-accounts/", "Acme datacentre")
    console.post("/stores/create/", {"provider": "s3", "name": "e2e-drills", "cloud_account": account})
    store = console.find("/stores/?q=e2e-drills", "e2e-drills")
    shown = console.wait(f"/stores/{store}/", "Available")
    bucket = re.search(r"pgbk-[a-z0-9-]+", text_of(shown))[0]
    console.post(
        "/clusters/create/",
        {"name": "drilled", "cloud_account": account, "regions": server["region"], "backup_stores": store},
    )
    page = f"/clusters/{console.find('/clusters/?q=drilled', 'drilled')}/"
    console.wait(page, "Available")
    console.post(
        f"{page}databases/add/",
        {"name": "main", "version": "15", "data_directory": str(node.data), "port": node.port},
    )
    # In memory: each of a thousand files is written through to the disk, at the lowest priority.
    copies = Path("/dev/shm") / f"drill-{node.port}"
    plan = {"where": "nodes", "schedule": "0 3 * * 0", "keep_free": "0", "folder": str(copies), "is_amchecked": "on"}
    checks = "SELECT count(*) FROM receipts => 1000\nSELECT pg_is_in_recovery() => f"
    console.post(f"{page}drills/add/", plan | {"what": "restore", "checks": checks})
    console.post(f"{page}drills/add/", plan | {"what": "verify"})
    script = tmp_path / "n1-setup.sh"
    script.write_text(console.get(f"{page}nodes/n1/setup.sh"))
    subprocess.run(["sh", script], check=True, capture_output=True)
    restore, verify = re.findall(r"postgres (\S+/drill\.sh \d+)\n", crontab().read_text())
    node.start()
    commands = console.commands(console.get(f"{page}nodes/n1/"))
    _, _, _, create, archive, restart, quiet, check, backup, report, _ = commands
    for line in (create, archive, restart, quiet, check):
        node.shell(line)
    node.sql("CREATE TABLE receipts AS SELECT n AS number FROM generate_series(1, 1000) AS n")
    node.shell(backup)
    assert node.shell(report).stdout == "applied\n"
    clock.lap("set up and backed up")

    ran = node.shell(restore)
    assert (ran.stdout, ran.stderr) == ("", "")
    clock.lap("restore drill")
    ran = node.shell(verify)
    assert (ran.stdout, ran.stderr) == ("", "")
    clock.lap("verification")
    assert not copies.exists()
    console.post(f"{page}backups/refresh/", {})  # what was restored is newer than what the console has seen
    history = text_of(console.wait(f"{page}drills/", "Proved"))
    assert re.search(r"Restore drill main of n1 .* Succeeded \d+ s, \d+ s, \d+ s", history), history
    assert re.search(r"Verification main of n1 e2e-drills repo1 Succeeded", history), history
    assert "pg_amcheck is not installed" not in history
    assert re.search(r"main of n1 e2e-drills repo1 Proved .* \d+ s", text_of(console.get(page)))

    # No second and third try of each file after 15 seconds, which pgBackRest makes.
    lose(server, bucket)
    ran = node.shell(f"PGBACKREST_JOB_RETRY=0 {restore}", check=False)
    assert ran.returncode == 1
    assert "The restore failed" in ran.stderr
    clock.lap("restore drill after a file of the backup was spoiled")
    ran = node.shell(verify, check=False)
    assert ran.returncode == 1
    assert "in backup" in ran.stderr
    clock.lap("verification after that")
    history = text_of(console.get(f"{page}drills/"))
    assert re.search(r"Verification main of n1 e2e-drills repo1 Failed .*in backup", history), history
    assert "The restore failed" in history
    assert not copies.exists()
    undo = subprocess.run(["sh", Path(installed(), "undo.sh")], check=False, capture_output=True, text=True)
    assert "archives with" in undo.stderr
    for lap in clock.times:
        say(lap)


def lose(server, bucket):
    """Spoil the bundle that holds the files of the backup."""
    client = boto3.client(
        "s3",
        endpoint_url=server["endpoint"],
        region_name=server["region"],
        aws_access_key_id=server["access_key_id"],
        aws_secret_access_key=server["secret_access_key"],
        verify=server["ca_certificate"],
        config=Config(s3={"addressing_style": "path"}),
    )
    found = [
        one["Key"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for one in page.get("Contents", ())
        if "/backup/main/" in one["Key"] and "/bundle/" in one["Key"]
    ]
    assert found
    data = bytearray(client.get_object(Bucket=bucket, Key=found[0])["Body"].read())
    data[len(data) // 2] ^= 0xFF
    client.put_object(Bucket=bucket, Key=found[0], Body=bytes(data))
