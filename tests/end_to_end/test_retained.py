"""The end of a cluster, and a restore after it with nothing but the recovery kit; what a node has left expires."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.end_to_end.console import Console, text_of
from tests.pgbackrest_node import FOLDERS, crontab, installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="puts files below /etc as root, as an administrator of a node does"),
]


class Built:
    """A cluster with stores and one node, which has its files and archives."""

    def __init__(self, demo, node, folder, *names):
        self.console, self.node, self.folder = Console(demo), node, folder
        account = self.console.find("/cloud-accounts/", "Acme datacentre")
        self.stores = []
        for name in names:
            self.console.post("/stores/create/", {"provider": "s3", "name": name, "cloud_account": account})
            self.stores.append(self.console.find(f"/stores/?q={name}", name))
            self.console.wait(f"/stores/{self.stores[-1]}/", "Available")
        form = {"name": names[0], "cloud_account": account, "regions": demo["s3"]["region"]}
        self.console.post("/clusters/create/", form | {"backup_stores": self.stores})
        self.page = f"/clusters/{self.console.find(f'/clusters/?q={names[0]}', names[0])}/"
        self.console.wait(self.page, "Available")
        database = {"name": "main", "version": "15", "data_directory": str(node.data), "port": node.port}
        self.console.post(f"{self.page}databases/add/", database)
        self.set_up()
        node.start()
        _, _, _, create, archive, restart, quiet, check, *_ = self.commands()
        for line in (create, archive, restart, quiet, check):
            node.shell(line)

    def set_up(self):
        script = self.folder / "n1-setup.sh"
        script.write_text(self.console.get(f"{self.page}nodes/n1/setup.sh"))
        subprocess.run(["sh", script], check=True, capture_output=True)

    def commands(self):
        return self.console.commands(self.console.get(f"{self.page}nodes/n1/"))

    def seen(self, text):
        self.console.post(f"{self.page}backups/refresh/", {})
        return self.console.wait(self.page, text)


def labels(node, repository):
    told = json.loads(node.pgbackrest("info", "--output=json", f"--repo={repository}").stdout)
    return [one["label"] for one in told[0]["backup"]]


def test_after_the_end_of_a_cluster_its_kit_brings_the_rows_back(demo, node, tmp_path):
    built = Built(demo, node, tmp_path, "ended")
    console, page = built.console, built.page
    node.pgbackrest("--stanza=main", "--type=full", "backup")
    node.sql("CREATE TABLE receipts AS SELECT n AS number FROM generate_series(1, 100000) AS n")
    node.sql("SELECT pg_switch_wal()")
    node.pgbackrest("--stanza=main", "check")
    [label] = labels(node, 1)
    built.seen(label)
    node.stop()

    # Detached, deleted
    console.post(f"{page}backup-stores/", {"confirmed": built.stores[0]})
    console.wait(page, "None: no store is attached.")
    refused = text_of(console.post(f"{page}delete/", {"name": "ended"}, status=422))
    assert "Take the recovery kit first" in refused
    assert "ended (repo1" in refused
    kit = console.get(f"{page}kit.txt")
    console.post(f"{page}delete/", {"name": "ended", "kit": "on"})
    console.wait(page, "", gone=404)
    listed = console.get("/clusters/retained/?q=ended")
    assert "Cluster deleted" in text_of(listed)
    number = re.search(r"/clusters/repositories/(\d+)/kit/", listed)[1]
    later = console.get(f"/clusters/repositories/{number}/kit.txt")
    for text in (kit, later):  # the one that was taken before, and the one that can be had afterwards
        restore(text, node, demo["s3"])

    # Nobody expires it but who runs this
    listed = html.unescape(re.sub(r'data-copy="[^"]*"', "", console.get("/clusters/retained/?q=ended")))
    [expire] = re.findall(r"sudo -u postgres pgbackrest [^<]* expire", listed)
    node.shell(expire)
    assert len(node.shell(expire.split(" --repo=")[0] + " info").stdout.split("full backup:")) == 2

    # Not let go while it holds anything
    page = text_of(console.get(f"/clusters/repositories/{number}/let-go/"))
    assert "its passphrase may still be needed" in page


def restore(text, node, server):
    """Restore on a machine that has nothing of ours, with what the kit says and an administrator's key."""
    for folder in FOLDERS:
        shutil.rmtree(folder, ignore_errors=True)
    save = re.search(r"then put in the key:\n\n(.*?)\n\nStanza ", text, re.DOTALL)[1]
    save = save.replace("FILL-IN-THE-ACCESS-KEY-ID", server["access_key_id"])
    save = save.replace("FILL-IN-ITS-SECRET", server["secret_access_key"])
    assert "FILL-IN" not in save
    subprocess.run(["sh", "-euc", save], check=True, capture_output=True)
    file = next(Path("/etc/pgbackrest/recovery").glob("*.conf"))
    assert (file.stat().st_gid, oct(file.stat().st_mode & 0o777)) == (node.owner.pw_gid, "0o640")
    info, make, command = re.findall(r"^sudo .*$", text, re.MULTILINE)
    assert "20" in node.shell(info).stdout
    subprocess.run(["sh", "-euc", make.removeprefix("sudo ")], check=True)
    node.shell(command)
    restored = Path(f"{node.data}-recovered")
    assert "archive_mode = 'off'" in (restored / "postgresql.auto.conf").read_text()
    node.start(restored, "-p", str(node.port + 1))
    until = time.monotonic() + 60  # it takes connections before it is at the end of the archive
    while node.sql("SELECT pg_is_in_recovery()", node.port + 1) == "t":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert node.sql("SELECT count(*) FROM receipts", node.port + 1) == "100000"
    assert node.sql("SHOW archive_mode", node.port + 1) == "off"
    node.stop(restored)
    shutil.rmtree(restored)


@pytest.mark.thorough  # test_two_repositories expires, and restores from, what it left by the same file
def test_what_a_node_has_left_expires_by_its_second_configuration(demo, node, tmp_path):
    built = Built(demo, node, tmp_path, "left-first", "left-second")
    console, page = built.console, built.page
    policy = {"retention_full": "1", "retention_type": "count", "retention_diff": "", "full_schedule": "0 1 * * 0"}
    console.post(f"{page}policy/", policy | {"diff_schedule": "", "incr_schedule": ""})
    for _ in range(2):
        node.pgbackrest("--stanza=main", "--type=full", "--repo1-retention-full=9", "backup")
    first, second = labels(node, 1)
    built.seen(second)
    console.post(f"{page}nodes/n1/backup-stores/", {"choice": "chosen", "backup_stores": built.stores[1]})
    built.set_up()
    left = installed() / "left.conf"
    assert "repo1-path" in left.read_text()
    assert "repo2" not in left.read_text()
    assert "repo1" not in (installed() / "pgbackrest.conf").read_text().replace("expires repo1", "")
    for line in ("stanza-create", "check"):
        node.pgbackrest("--stanza=main", line)
    [line] = re.findall(r"^\S+ \S+ \S+ \S+ \S+ postgres (.* main expire)$", crontab().read_text(), re.M)
    # While a backup runs: each has its own lock.
    backup = subprocess.Popen(
        ["pgbackrest", f"--config={installed()}/pgbackrest.conf", "--stanza=main", "--type=full", "backup"],
        user="postgres",
        group="postgres",
        cwd=node.folder,
    )
    node.shell(line)
    assert backup.wait(100) == 0
    told = json.loads(node.run("pgbackrest", f"--config={left}", "info", "--output=json").stdout)
    assert [one["label"] for one in told[0]["backup"]] == [second]
    assert first != second
    assert len(labels(node, 2)) == 1
    # Back again: it expires there with its own configuration.
    console.post(f"{page}nodes/n1/backup-stores/", {"choice": "all"})
    built.set_up()
    assert not left.exists()
    assert " expire\n" not in crontab().read_text()
