"""From nothing to a restored database: the running console, a real S3 server, real PostgreSQL, Debian's pgBackRest."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.end_to_end.console import Clock, Console, text_of
from tests.pgbackrest_node import installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # The configuration is taken as it is, so it needs the places that it names.
    pytest.mark.skipif(os.geteuid() != 0, reason="puts files below /etc as root, as an administrator of a node does"),
]


def test_from_nothing_to_a_restored_database(demo, node, tmp_path, say):
    console, clock, server = Console(demo), Clock(), demo["s3"]
    account = console.find("/cloud-accounts/", "Acme datacentre")

    # A store, a cluster with one node, a database
    console.post("/stores/create/", {"provider": "s3", "name": "e2e-store", "cloud_account": account})
    store = console.find("/stores/?q=e2e-store", "e2e-store")
    console.wait(f"/stores/{store}/", "Available")
    clock.lap("store")
    cluster_form = {"name": "e2e", "cloud_account": account, "regions": server["region"], "backup_stores": store}
    console.post("/clusters/create/", cluster_form)
    cluster = console.find("/clusters/?q=e2e", "e2e")
    page = f"/clusters/{cluster}/"
    console.wait(page, "Available")
    database = {"name": "main", "version": "15", "data_directory": str(node.data), "port": node.port}
    console.post(f"{page}databases/add/", database)
    clock.lap("cluster, store attached")

    # The files, as they are
    script = tmp_path / "n1-setup.sh"
    script.write_text(console.get(f"{page}nodes/n1/setup.sh"))
    subprocess.run(["sh", script], check=True, capture_output=True)
    configuration = console.get(f"{page}nodes/n1/pgbackrest.conf")
    file = installed() / "pgbackrest.conf"
    assert file.read_text() == configuration
    kept = file.stat()
    assert (kept.st_uid, kept.st_gid, oct(kept.st_mode & 0o777)) == (0, node.owner.pw_gid, "0o640")
    node.start()

    # What the page says to run
    copy, set_up, remove, create, archive, restart, quiet, check, backup, report, restore = console.commands(
        console.get(f"{page}nodes/n1/")
    )
    name = f"{installed().name}-n1-setup.sh"
    assert (copy, set_up, remove) == (f"scp {name} n1:", f"sudo sh {name}", f"rm {name}")
    assert node.sql("SHOW archive_mode") == "off"
    node.shell(create)
    clock.lap("stanza-create")
    assert node.shell(check, check=False).returncode  # nothing is archived yet
    node.shell(archive)
    node.shell(restart)
    node.shell(quiet)
    assert (node.sql("SHOW archive_mode"), node.sql("SHOW archive_timeout")) == ("on", "5min")
    clock.lap("PostgreSQL set up")
    node.shell(check)
    clock.lap("check")
    node.shell(backup)
    clock.lap("full backup")
    node.sql("CREATE TABLE receipts AS SELECT n AS number FROM generate_series(1, 200000) AS n")
    crontab = console.get(f"{page}nodes/n1/crontab")
    incremental = re.search(r"^[^#]\S* \S+ \S+ \S+ \S+ postgres (.*/backup\.sh main incr)$", crontab, re.MULTILINE)[1]
    node.shell(incremental)
    clock.lap("incremental backup")
    restored = Path(f"{node.data}-drill")
    node.shell(restore)
    node.start(restored, "-p", str(node.port + 1))
    assert node.sql("SHOW archive_mode", node.port + 1) == "off"
    assert node.sql("SELECT count(*) FROM receipts", node.port + 1) == "200000"
    node.stop(restored)
    clock.lap("restore, start, count")

    # What the node says of itself, and what the console sees
    assert node.shell(report).stdout == "applied\n"
    assert "timeline 1" in " ".join(console.get(f"{page}nodes/n1/").split())
    told = json.loads(node.pgbackrest("info", "--output=json").stdout)[0]
    labels = [one["label"] for one in told["backup"]]
    assert [one["type"] for one in told["backup"]] == ["full", "incr"]
    console.post(f"{page}backups/refresh/", {})
    shown = console.wait(page, labels[1])
    assert all(label in shown for label in labels)
    for text in ("Applied", told["archive"][0]["max"]):
        assert text in text_of(shown)
    for text in ("Foreign", "Not confirmed", "Encrypted", "Damaged"):
        assert text not in text_of(shown)
    clock.lap("backups listed")

    # A copy, as the page hands it out; once with the node's key, once with one that is typed in
    found = dict(line.split("=", 1) for line in configuration.splitlines() if "=" in line and line[0] != "#")
    typed = f"{found['repo1-s3-key']}\n{found['repo1-s3-key-secret']}\n\n"
    for chosen, answers in (("", ""), ("&where=machine&target=immediate&key=on", typed)):
        copy = node.folder / "copy"
        script.write_text(
            console.get(f"{page}restore.sh?backup={labels[1]}&folder={copy}&port={node.port + 1}{chosen}")
        )
        subprocess.run(["sh", script], check=True, capture_output=True, text=True, input=answers)
        node.start(copy / "data", "-c", f"config_file={copy}/postgresql.conf")
        count = node.run(
            "psql", "-h", copy, "-p", node.port + 1, "-d", "postgres", "-XAtc", "SELECT count(*) FROM receipts"
        )
        assert count.stdout.strip() == "200000"
        node.stop(copy / "data")
        shutil.rmtree(copy)
    clock.lap("two copies by the page's scripts")

    refuse_all_that_is_not_the_node_s(configuration, server)
    clock.lap("the node's key tried elsewhere")
    replace_the_key(console, page, node, script, (check, report), server)
    clock.lap("the node's key replaced, and replaced at once")

    # Detached only after a second, informed yes
    refused = text_of(console.post(f"{page}backup-stores/", {}, status=422))
    assert "What detaching means" in refused
    assert f"holds the only full backups of main on n1, the newest {labels[0]}" in refused
    assert "n1 still has it in the configuration" in refused
    console.post(f"{page}backup-stores/", {"confirmed": store})
    console.wait(page, "None: no store is attached.")
    assert node.pgbackrest("--stanza=main", "check", check=False, timeout=200).returncode  # the access is gone
    clock.lap("detached")

    # Deleted only when it is empty
    console.post(f"/stores/{store}/delete/", {"name": "e2e-store"})
    refusal = console.wait(f"/stores/{store}/", "still holds")
    counts = re.search(r"still holds (\d+) objects", text_of(refusal))
    assert int(counts[1]) > 20
    shown = html.unescape(re.search(r'data-copy="([^"]*aws s3 rm[^"]*)"', refusal)[1])
    (tmp_path / "ca.pem").write_text(Path(server["ca_certificate"]).read_text())
    subprocess.run(
        ["sh", "-euc", shown],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AWS_ACCESS_KEY_ID": server["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": server["secret_access_key"],
        },
    )
    console.post(f"/stores/{store}/delete/", {"name": "e2e-store"})
    console.wait(f"/stores/{store}/", "", gone=404)
    clock.lap("emptied by the commands shown, deleted")
    console.post(f"{page}delete/", {"name": "e2e"})
    console.wait(page, "", gone=404)
    for lap in clock.times:
        say(lap)


@pytest.mark.thorough  # test_bring_in.py backs up to two, and restores
def test_two_repositories(demo, node, tmp_path):
    """A node that gets a second store while it is at work: one file, a backup in each, a restore from the second."""
    console, server = Console(demo), demo["s3"]
    account = console.find("/cloud-accounts/", "Acme datacentre")
    stores = []
    for name in ("e2e-first", "e2e-second"):
        console.post("/stores/create/", {"provider": "s3", "name": name, "cloud_account": account})
        stores.append(console.find(f"/stores/?q={name}", name))
        console.wait(f"/stores/{stores[-1]}/", "Available")
    form = {"name": "e2e-two", "cloud_account": account, "regions": server["region"], "backup_stores": stores}
    console.post("/clusters/create/", form)
    cluster = console.find("/clusters/?q=e2e-two", "e2e-two")
    page = f"/clusters/{cluster}/"
    console.wait(page, "Available")
    database = {"name": "main", "version": "15", "data_directory": str(node.data), "port": node.port}
    console.post(f"{page}databases/add/", database)
    console.post(f"{page}nodes/n1/edit/", {"pgbackrest_version": "2.45"})

    def set_up():
        script = tmp_path / "n1-setup.sh"
        script.write_text(console.get(f"{page}nodes/n1/setup.sh"))
        subprocess.run(["sh", script], check=True, capture_output=True)

    set_up()
    node.start()
    *_, create, archive, restart, quiet, check, first, report, _ = console.commands(console.get(f"{page}nodes/n1/"))
    for line in (create, archive, restart, quiet, check):
        node.shell(line)
    assert node.shell(report).stdout == "applied\n"
    # The second one: nothing leaves the node before its stanza is there, so the page says how to create it.
    console.post(f"{page}nodes/n1/backup-stores/", {"choice": "all"})
    set_up()
    assert node.shell(check, check=False).returncode
    commands = console.commands(console.get(f"{page}nodes/n1/"))
    *preparation, _, _, _, create, _, _, _, check, first, second, _, _ = commands
    assert preparation == [create, check]
    for line in preparation:
        node.shell(line)
    assert ("--repo=1" in first, "--repo=2" in second) == (True, True)
    crontab = console.get(f"{page}nodes/n1/crontab")
    node.shell(re.search(r"^0 1 \* \* 0 postgres (.*)$", crontab, re.MULTILINE)[1])
    assert node.shell(report).stdout == "applied\n"
    told = json.loads(node.pgbackrest("info", "--output=json").stdout)[0]["backup"]
    assert sorted(one["database"]["repo-key"] for one in told) == [1, 2]
    console.post(f"{page}backups/refresh/", {})
    shown = console.wait(page, told[1]["label"])
    assert told[0]["label"] in shown
    restored = Path(f"{node.data}-restored")
    node.pgbackrest("--stanza=main", "--repo=2", f"--pg1-path={restored}", "restore")
    node.start(restored, "-p", str(node.port + 1), "-c", "archive_mode=off")
    assert node.sql("SELECT 1", node.port + 1) == "1"
    node.stop(restored)
    shutil.rmtree(restored)

    # Another passphrase for the first: a third repository, in its folder; it is expired, and restored from.
    former = dict(
        line.split("=", 1) for line in console.get(f"{page}nodes/n1/pgbackrest.conf").splitlines() if "=" in line
    )
    [replace, _] = re.findall(r'href="(/clusters/repositories/\d+/passphrase/)"', console.get(page))
    console.post(replace, {})
    set_up()
    commands = console.commands(console.get(f"{page}nodes/n1/"))
    assert commands[:2] == preparation
    for line in preparation:
        node.shell(line)
    node.shell(first.replace("--repo=1", "--repo=3"))
    present = dict(
        line.split("=", 1) for line in console.get(f"{page}nodes/n1/pgbackrest.conf").splitlines() if "=" in line
    )
    assert present["repo3-path"] == former["repo1-path"].replace("/n1", "/r3/n1")
    assert present["repo3-cipher-pass"] != former["repo1-cipher-pass"]
    assert present["repo3-s3-bucket"] == former["repo1-s3-bucket"]
    told = json.loads(node.pgbackrest("info", "--output=json").stdout)[0]["backup"]
    assert sorted(one["database"]["repo-key"] for one in told) == [2, 3]
    left = ("pgbackrest", f"--config={installed()}/left.conf", "--stanza=main")
    node.run(*left, "expire")
    node.run(*left, f"--pg1-path={restored}", "--archive-mode=off", "restore")
    node.start(restored, "-p", str(node.port + 1))
    assert node.sql("SELECT 1", node.port + 1) == "1"
    node.stop(restored)
    console.post(f"{page}backups/refresh/", {})
    console.wait(page, told[-1]["label"])


def replace_the_key(console, page, node, script, commands, server):
    """Replace it beside the present one, which ends when the node has reported; then at once, as after a theft."""
    check, report = commands

    def opens(found):
        client = boto3.client(
            "s3",
            endpoint_url=server["endpoint"],
            region_name=server["region"],
            verify=server["ca_certificate"],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
            aws_access_key_id=found["repo1-s3-key"],
            aws_secret_access_key=found["repo1-s3-key-secret"],
        )
        try:
            client.list_objects_v2(Bucket=found["repo1-s3-bucket"], Prefix=found["repo1-path"].removeprefix("/") + "/")
        except ClientError:
            return False
        return True

    def handed_out():
        text = console.get(f"{page}nodes/n1/pgbackrest.conf")
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")

    def apply():
        script.write_text(console.get(f"{page}nodes/n1/setup.sh"))
        subprocess.run(["sh", script], check=True, capture_output=True)
        node.shell(check)
        assert node.shell(report).stdout == "applied\n"

    first = handed_out()
    console.post(f"{page}key/replace/", {"how": "beside"})
    console.wait(page, "The nodes' key is being replaced")
    second = handed_out()
    assert first["repo1-s3-key"] != second["repo1-s3-key"]
    node.shell(check)  # with the file that it has
    assert (opens(first), opens(second)) == (True, True)
    apply()
    until = time.monotonic() + 60
    while opens(first) and time.monotonic() < until:
        time.sleep(0.5)
    assert (opens(first), opens(second)) == (False, True)
    console.wait(page, "Available")
    console.post(f"{page}key/replace/", {"how": "at_once"})
    console.wait(page, "was replaced at once")
    assert not opens(second)
    failed = node.shell(f"{check} --archive-timeout=1", check=False, timeout=200)
    assert failed.returncode
    apply()
    assert (opens(first), opens(second), opens(handed_out())) == (False, False, True)


def refuse_all_that_is_not_the_node_s(configuration, server):
    """Try the node's own key on its own folder, and on all that is not the node's."""
    found = dict(line.split("=", 1) for line in configuration.splitlines() if "=" in line and line[0] != "#")
    options = {
        "endpoint_url": server["endpoint"],
        "region_name": server["region"],
        "verify": server["ca_certificate"],
        "config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    }
    key = {"aws_access_key_id": found["repo1-s3-key"], "aws_secret_access_key": found["repo1-s3-key-secret"]}
    administrator = {
        "aws_access_key_id": server["access_key_id"],
        "aws_secret_access_key": server["secret_access_key"],
    }
    s3, root = boto3.client("s3", **options, **key), boto3.client("s3", **options, **administrator)
    bucket, prefix = found["repo1-s3-bucket"], found["repo1-path"].split("/")[1]
    s3.put_object(Bucket=bucket, Key=f"{prefix}/n1/probe", Body=b"")
    s3.delete_object(Bucket=bucket, Key=f"{prefix}/n1/probe")
    other = next(one["Name"] for one in root.list_buckets()["Buckets"] if one["Name"] != bucket)
    root.put_object(Bucket=bucket, Key="c-another/n1/secret", Body=b"theirs")
    for name, arguments in (
        ("put_object", {"Bucket": bucket, "Key": "c-another/n1/x", "Body": b""}),
        ("get_object", {"Bucket": bucket, "Key": "c-another/n1/secret"}),
        ("delete_object", {"Bucket": bucket, "Key": "c-another/n1/secret"}),
        ("list_objects_v2", {"Bucket": bucket, "Prefix": "c-another/"}),
        ("list_objects_v2", {"Bucket": bucket}),
        ("put_object", {"Bucket": bucket, "Key": f"{prefix}x/n1", "Body": b""}),
        ("put_object", {"Bucket": other, "Key": f"{prefix}/n1/x", "Body": b""}),
        ("list_objects_v2", {"Bucket": other, "Prefix": f"{prefix}/"}),
        ("get_bucket_policy", {"Bucket": bucket}),
        ("delete_bucket_policy", {"Bucket": bucket}),
        ("put_bucket_policy", {"Bucket": bucket, "Policy": '{"Version": "2012-10-17", "Statement": []}'}),
        ("put_bucket_versioning", {"Bucket": bucket, "VersioningConfiguration": {"Status": "Suspended"}}),
        ("delete_bucket", {"Bucket": other}),
        ("create_bucket", {"Bucket": "pgbk-of-a-node"}),
    ):
        with pytest.raises(ClientError) as refused:
            getattr(s3, name)(**arguments)
        assert refused.value.response["Error"]["Code"] in {"AccessDenied", "403"}, (name, arguments, refused.value)
    assert root.get_object(Bucket=bucket, Key="c-another/n1/secret")["Body"].read() == b"theirs"
    root.delete_object(Bucket=bucket, Key="c-another/n1/secret")
