"""A thief deletes everything with the node's own key; with what the console hands out, every row is back."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests import newer_pgbackrest
from tests.end_to_end.console import Clock, Console, text_of
from tests.pgbackrest_node import installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="puts files below /etc as root, as an administrator of a node does"),
]
RECOVERY = Path("/etc/pgbackrest-recovery")


@pytest.fixture
def newer():
    """Return the folder of a pgBackRest that knows repo-target-time, for PATH; "" where none can be had."""
    # Beside pytest's own folder, which each run of pytest closes to all but root.
    folder = Path(tempfile.mkdtemp(prefix="newer-"))
    try:
        yield str(newer_pgbackrest.unpacked(folder))
    except newer_pgbackrest.Unavailable:
        yield ""
    shutil.rmtree(folder)


@pytest.fixture
def _recovery_folder():
    yield
    subprocess.run(["rm", "-rf", str(RECOVERY)], check=True)


class Protected:
    """A protected store of a cluster whose one node has made backups."""

    def __init__(self, demo, node, tmp_path):
        self.console, self.node, self.server, self.folder = Console(demo), node, demo["s3"], tmp_path
        console = self.console
        account = console.find("/cloud-accounts/", "Acme datacentre")
        form = {
            "provider": "s3",
            "name": "e2e-rescue",
            "cloud_account": account,
            "protected": "on",
            "versions_days": "30",
        }
        console.post("/stores/create/", form)
        self.store = console.find("/stores/?q=e2e-rescue", "e2e-rescue")
        console.wait(f"/stores/{self.store}/", "Available")
        form = {"name": "e2e-rescued", "cloud_account": account, "regions": self.server["region"]}
        console.post("/clusters/create/", {**form, "backup_stores": self.store})
        self.cluster = console.find("/clusters/?q=e2e-rescued", "e2e-rescued")
        self.page = f"/clusters/{self.cluster}/"
        console.wait(self.page, "Available")
        database = {"name": "main", "version": "15", "data_directory": str(node.data), "port": node.port}
        console.post(f"{self.page}databases/add/", database)
        self.run_as_root(console.get(f"{self.page}nodes/n1/setup.sh"))
        node.start()
        *_, create, archive, restart, quiet, check, full, report, self.restore = console.commands(
            console.get(f"{self.page}nodes/n1/")
        )
        for line in (create, archive, restart, quiet, check, full, report):
            node.shell(line)
        node.sql("CREATE TABLE receipts AS SELECT n AS number FROM generate_series(1, 100000) AS n")
        node.shell(full.replace("--type=full", "--type=incr"))
        node.sql("INSERT INTO receipts SELECT n FROM generate_series(100001, 200000) AS n")
        segment = node.sql("SELECT pg_walfile_name(pg_switch_wal())")
        until = time.monotonic() + 60
        while node.sql("SELECT last_archived_wal FROM pg_stat_archiver") < segment:
            assert time.monotonic() < until
            time.sleep(0.2)

    def run_as_root(self, script):
        path = self.folder / "as-root.sh"
        path.write_text(script)
        subprocess.run(["sh", path], check=True, capture_output=True)

    def look(self, text, *, gone=""):
        """Have the console look into the store, and wait until its page says this."""
        self.console.post(f"{self.page}backups/refresh/", {})
        until = time.monotonic() + 60
        while True:
            shown = self.console.get(self.page)
            main = shown[shown.find('<main id="content"') :]
            if text in text_of(main) and not (gone and gone in main):
                return shown
            assert time.monotonic() < until, text_of(main)
            time.sleep(0.5)

    @property
    def configured(self):
        """Return the options of the node's own file, as whoever breaks into the node finds them."""
        text = (installed() / "pgbackrest.conf").read_text()
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")

    def s3(self, key, secret):
        return boto3.client(
            "s3",
            endpoint_url=self.server["endpoint"],
            region_name=self.server["region"],
            verify=self.server["ca_certificate"],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )

    def steal(self):
        """Do what a thief does who has all that is on the node; return what remains undeleted of the versions."""
        options = self.configured
        s3, bucket = self.s3(options["repo1-s3-key"], options["repo1-s3-key-secret"]), options["repo1-s3-bucket"]
        prefix = options["repo1-path"].split("/")[1]
        self.node.pgbackrest("--stanza=main", "stop")
        self.node.stop()
        self.node.pgbackrest("--stanza=main", "--repo=1", "--force", "stanza-delete")
        s3.put_object(Bucket=bucket, Key=f"{prefix}/n1/backup/main/backup.info", Body=b"ransom")
        for one in s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=one["Key"])
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")
        root = self.s3(self.server["access_key_id"], self.server["secret_access_key"])
        versions = root.list_object_versions(Bucket=bucket, Prefix=f"{prefix}/")["Versions"]
        for name, arguments in (
            ("list_object_versions", {"Prefix": f"{prefix}/"}),
            ("delete_object", {"Key": versions[0]["Key"], "VersionId": versions[0]["VersionId"]}),
            ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Suspended"}}),
            ("put_bucket_lifecycle_configuration", {"LifecycleConfiguration": {"Rules": []}}),
        ):
            with pytest.raises(ClientError):
                getattr(s3, name)(Bucket=bucket, **arguments)
        self.node.pgbackrest("--stanza=main", "start")
        return versions

    def rows(self, data, port):
        """Return how many rows the restored server has once it has read all its WAL, and stop it."""
        until = time.monotonic() + 60
        while self.node.sql("SELECT pg_is_in_recovery()", port) == "t":
            assert time.monotonic() < until
            time.sleep(0.2)
        found = self.node.sql("SELECT count(*) FROM receipts", port)
        self.node.stop(data)
        return found


@pytest.mark.usefixtures("_recovery_folder")
def test_a_robbed_store_is_rescued(demo, node, newer, tmp_path, say):
    protected, clock = Protected(demo, node, tmp_path), Clock()
    console = protected.console
    (label,) = re.findall(r"\d{8}-\d{6}F_\d{8}-\d{6}I", node.pgbackrest("--stanza=main", "info").stdout)[:1]
    protected.look(label)
    time.sleep(1.1)  # versions have their times in seconds
    before = datetime.now(UTC).replace(microsecond=0)
    time.sleep(1.1)
    clock.lap("ready")
    assert len(protected.steal()) > 20
    clock.lap("stolen")
    shown = text_of(protected.look("are gone"))
    assert re.search(
        r"1 full backup \(\S+ MB\) and 1 incremental backup \(\S+ .B\) of main on n1 in e2e-rescue, seen", shown
    )
    assert node.pgbackrest("--stanza=main", "info").stdout.find("missing stanza path") > 0
    clock.lap("seen by the console")

    found = re.search(r"/clusters/repositories/\d+/recover-deleted/", console.get(protected.page))
    assert found, "the cluster's page leads to the rescue"
    page = found[0]
    suggested = re.search(r'data-suggested="([^"]+)"', console.get(page))[1]
    assert before - timedelta(seconds=30) < datetime.fromisoformat(suggested) <= before
    asked = f"?stanza=n1/main&zone=UTC&at={before:%Y-%m-%dT%H:%M:%S}"
    far = before - timedelta(days=31)
    console.get(f"{page}?stanza=n1/main&zone=UTC&at={far:%Y-%m-%dT%H:%M:%S}", status=422)
    assert "before 2.54 the option is refused (error 031)" in text_of(console.get(page + asked))

    # By the versions, with a newer pgBackRest
    restored = Path(f"{node.data}-recovered")
    if newer:
        console.post(f"{page}identity/", {"hours": "1"})
        console.wait(page + asked, "Ready")
        clock.lap("recovery identity made")
        protected.run_as_root(console.get(f"{page}setup.sh{asked}"))
        refuse_all_but_reading(protected)
        _, info, verify, restore, start, look, *_ = console.commands(console.get(page + asked))
        path = {"PATH": f"{newer}:{os.environ['PATH']}"}
        refused = node.shell(info, check=False)
        assert refused.returncode == 31, refused
        for command in (info, verify, restore, start, look):
            ran = node.run("env", f"PATH={path['PATH']}", "sh", "-c", command.replace("sudo -u postgres ", ""))
            if command == info:
                assert label in ran.stdout, ran.stdout
            clock.lap(f"by Debian 13's pgBackRest: {command.split()[-1] if command != look else 'all WAL read'}")
        assert "archive_mode = 'off'" in (restored / "postgresql.auto.conf").read_text()
        assert protected.rows(restored, 5433) == "200000"
        subprocess.run(["rm", "-rf", restored], check=True)
        key = recovery_options()["repo1-s3-key"]
        console.post(f"{page}identity/end/", {})
        console.wait(page + asked, "Make a Recovery Identity")
        with pytest.raises(ClientError):
            protected.s3(key, recovery_options()["repo1-s3-key-secret"]).list_objects_v2(
                Bucket=protected.configured["repo1-s3-bucket"], Prefix=protected.configured["repo1-path"][1:]
            )
        clock.lap("identity ended, its key refused")
    else:
        say("no pgBackRest that knows repo-target-time could be had: only undeleted")

    # By undeleting, with the AWS CLI and the node's own pgBackRest
    script = tmp_path / "undelete.py"
    script.write_text(console.get(f"{page}undelete{asked}"))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "AWS_ACCESS_KEY_ID": demo["s3"]["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": demo["s3"]["secret_access_key"],
    }

    def undelete(*arguments):
        command = ["python3", str(script), *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    told = undelete()
    assert "Nothing was changed." in told
    assert node.pgbackrest("--stanza=main", "info").stdout.find("missing stanza path") > 0
    clock.lap("undelete: what it would do")
    assert undelete("--do").endswith("Done.\n")
    clock.lap("undeleted")
    assert "0 deleted objects, 0 delete markers to take off\n  0 overwritten" in undelete()
    protected.look(label, gone="are gone")
    node.shell(protected.restore)
    where = Path(re.search(r"--pg1-path=(\S+)", protected.restore)[1])
    node.start(where, "-p", str(node.port + 1), "-c", "archive_mode=off")
    assert protected.rows(where, node.port + 1) == "200000"
    clock.lap("restored by 2.45, started, counted")
    # And the node goes on: it archives, and makes a full backup
    node.start()
    backup = console.commands(console.get(page + asked))[-1]
    assert "--type=full" in backup
    node.shell(html.unescape(backup))
    clock.lap("full backup after the rescue")
    for lap in clock.times:
        say(lap)


def recovery_options():
    """Return the options of the recovery configuration."""
    text = (RECOVERY / "n1-main.conf").read_text()
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")


def refuse_all_but_reading(protected):
    """Try the recovery identity's key: it reads what was in the folder, and nothing else."""
    options, bucket = recovery_options(), protected.configured["repo1-s3-bucket"]
    s3 = protected.s3(options["repo1-s3-key"], options["repo1-s3-key-secret"])
    prefix = options["repo1-path"].split("/")[1]
    root = protected.s3(protected.server["access_key_id"], protected.server["secret_access_key"])
    root.put_object(Bucket=bucket, Key="c-another/n1/secret", Body=b"theirs")
    versions = s3.list_object_versions(Bucket=bucket, Prefix=f"{prefix}/")["Versions"]
    one = {"Key": versions[0]["Key"], "VersionId": versions[0]["VersionId"]}
    assert s3.get_object(Bucket=bucket, **one)["Body"].read()
    other = next(found["Name"] for found in root.list_buckets()["Buckets"] if found["Name"] != bucket)
    for name, arguments in (
        ("put_object", {"Bucket": bucket, "Key": f"{prefix}/n1/x", "Body": b""}),
        ("delete_object", {"Bucket": bucket, **one}),
        ("delete_object", {"Bucket": bucket, "Key": one["Key"]}),
        ("list_object_versions", {"Bucket": bucket}),
        ("list_object_versions", {"Bucket": bucket, "Prefix": "c-another/"}),
        ("get_object", {"Bucket": bucket, "Key": "c-another/n1/secret"}),
        ("list_object_versions", {"Bucket": other, "Prefix": f"{prefix}/"}),
        ("get_bucket_policy", {"Bucket": bucket}),
        ("put_bucket_policy", {"Bucket": bucket, "Policy": '{"Version": "2012-10-17", "Statement": []}'}),
    ):
        with pytest.raises(ClientError) as refused:
            getattr(s3, name)(**arguments)
        assert refused.value.response["Error"]["Code"] in {"AccessDenied", "403"}, (name, arguments)
    root.delete_object(Bucket=bucket, Key="c-another/n1/secret")
