"""Repositories that pgBackRest made by hand are brought in, watched, handed over, and restored: all of it real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.end_to_end.console import Clock, Console, text_of
from tests.pgbackrest_node import Node, installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="puts files below /etc as root, as an administrator of a node does"),
]
PATH = "backups/by-hand"
FORMER = """# made by hand, years ago
[global]
process-max=2
compress-type=gz
compress-level=3
{repositories}
start-fast=y
foo-unknown=abc

[global:archive-push]
compress-level=1

[main]
pg1-path={main.data}
pg1-port={main.port}

[other]
pg1-path={other.data}
pg1-port={other.port}
"""
REPOSITORY = """repo{number}-type=s3
repo{number}-path=/{path}
repo{number}-s3-bucket={bucket}
repo{number}-s3-endpoint=localhost
repo{number}-storage-port={port}
repo{number}-s3-region={region}
repo{number}-s3-uri-style=path
repo{number}-s3-key={key}
repo{number}-s3-key-secret={secret}
repo{number}-storage-ca-file={ca}
repo{number}-cipher-type=aes-256-cbc
repo{number}-cipher-pass={passphrase}
repo{number}-retention-full={keeps}"""


class ByHand:
    """A machine whose two servers back up into two buckets by a file that somebody wrote."""

    def __init__(self, node, other, server, buckets):
        self.file = node.folder / "former.conf"
        self.nodes = {"main": node, "other": other}
        ca = node.folder / "ca.pem"
        ca.write_text(Path(server["ca_certificate"]).read_text())
        ca.chmod(0o644)
        parts = [
            REPOSITORY.format(
                number=number,
                path=PATH,
                bucket=bucket,
                port=server["endpoint"].rpartition(":")[2].strip("/"),
                region=server["region"],
                key=server["access_key_id"],
                secret=server["secret_access_key"],
                ca=ca,
                passphrase=f"passphrase-of-repo{number}",
                keeps=number + 1,
            )
            for number, bucket in enumerate(buckets, 1)
        ]
        self.text = FORMER.format(repositories="\n".join(parts), main=node, other=other)
        places = f"log-path={node.folder}\nlock-path={node.folder}/lock\nspool-path={node.folder}/spool\n"
        self.file.write_text(self.text.replace("start-fast=y\n", f"start-fast=y\n{places}"))
        self.file.chmod(0o644)

    def pgbackrest(self, stanza, *arguments):
        return self.nodes[stanza].run("pgbackrest", f"--config={self.file}", f"--stanza={stanza}", *arguments)

    def begin(self):
        for stanza, node in self.nodes.items():
            node.start()
            self.pgbackrest(stanza, "stanza-create")
            push = f"pgbackrest --config={self.file} --stanza={stanza} archive-push %p"
            node.sql("ALTER SYSTEM SET archive_mode = on")
            node.sql(f"ALTER SYSTEM SET archive_command = '{push}'")
            node.stop()
            node.start()
            node.sql("CREATE TABLE receipts AS SELECT n AS number FROM generate_series(1, 50000) AS n")
            for number in (1, 2):
                self.pgbackrest(stanza, f"--repo={number}", "--type=full", "backup")


def test_a_repository_made_by_hand_goes_on(demo, node, tmp_path, say):
    console, clock, server = Console(demo), Clock(), demo["s3"]
    account = console.find("/cloud-accounts/", "Acme datacentre")
    stores = [_store(console, account, name) for name in ("by-hand-one", "by-hand-two")]
    buckets = [_bucket(console, one) for one in stores]
    other = Node()
    try:
        by_hand = ByHand(node, other, server, buckets)
        clock.lap("two stores")
        by_hand.begin()
        clock.lap("two stanzas in two repositories, made by hand")
        _go_on(console, clock, by_hand, stores, tmp_path)
    finally:
        other.remove()
    for lap in clock.times:
        say(lap)


def _go_on(console, clock, by_hand, stores, tmp_path):
    node = by_hand.nodes["main"]
    pages = {}
    for stanza in ("main", "other"):
        given = {"store": stores[0], "name": f"kept-{stanza}", "text": by_hand.text, "stanzas": stanza}
        console.post("/clusters/bring-in/", given)
        pages[stanza] = f"/clusters/{_wait_for(console, f'kept-{stanza}')}/"
    clock.lap("both brought in")

    # Watched only: backups are there, the verdict is, and no file is handed out
    told = json.loads(by_hand.pgbackrest("main", "info", "--output=json").stdout)[0]
    labels = [one["label"] for one in told["backup"]]
    shown = text_of(console.wait(pages["main"], labels[0]))
    assert labels[1] in shown
    assert "Watched only" in shown
    assert "passphrase-of-repo" not in shown
    console.wait(pages["main"], "Recoverable")
    console.get(f"{pages['main']}nodes/n1/setup.sh", status=409)
    clock.lap("backups and verdict seen")

    # The hand-over
    page = console.get(f"{pages['main']}hand-over/")
    said = text_of(page)
    assert "-compress-type=gz" not in said
    assert "repo1-retention-full=2" in said
    assert "passphrase-of-repo" not in page
    assert "pgBackRest knows no such option" in said
    console.post(f"{pages['main']}hand-over/", {"full_schedule": "0 1 * * 0", "incr_schedule": "0 1 * * 1-6"})
    console.wait(pages["main"], "Available")
    script = tmp_path / "n1-setup.sh"
    script.write_text(console.get(f"{pages['main']}nodes/n1/setup.sh"))
    subprocess.run(["sh", script], check=True, capture_output=True)
    file = (installed() / "pgbackrest.conf").read_text()
    for line in (f"repo1-path=/{PATH}", f"repo2-path=/{PATH}", "compress-type=gz", "repo2-retention-full=3", "[main]"):
        assert f"{line}\n" in file
    assert "bundle" not in file
    assert "[other]" not in file
    assert "foo-unknown=abc" in file
    clock.lap("handed over, set-up script run")
    *_, create, archive, _, quiet, check, first, second, report, _ = console.commands(
        console.get(f"{pages['main']}nodes/n1/")
    )
    for line in (create, archive, quiet, check, first, second):  # archive_mode is on, so nothing is restarted
        node.shell(line)
    assert node.shell(report).stdout == "applied\n"
    told = json.loads(node.pgbackrest("--stanza=main", "info", "--output=json").stdout)[0]
    assert {one["label"] for one in told["backup"]} > {*labels}
    assert len(told["backup"]) == 4  # one more full backup in each
    assert by_hand.pgbackrest("other", "check").returncode == 0  # who was not handed over goes on by the former file
    clock.lap("full backup by the console's file")

    # A restore of what was archived since
    node.sql("INSERT INTO receipts SELECT n FROM generate_series(50001, 60000) AS n")
    node.sql("SELECT pg_switch_wal()")
    node.shell(check)
    copy = node.folder / "copy"
    script.write_text(console.get(f"{pages['main']}restore.sh?folder={copy}&port={node.port + 1}"))
    subprocess.run(["sh", script], check=True, capture_output=True, text=True)
    node.start(copy / "data", "-c", f"config_file={copy}/postgresql.conf")
    psql = ("psql", "-h", copy, "-p", node.port + 1, "-d", "postgres", "-XAtc")
    until = time.monotonic() + 120
    while node.run(*psql, "SELECT pg_is_in_recovery()").stdout.strip() == "t":  # it answers before it is done
        assert time.monotonic() < until
        time.sleep(0.2)
    assert node.run(*psql, "SELECT count(*) FROM receipts").stdout.strip() == "60000"
    node.stop(copy / "data")
    clock.lap("restored")

    # The other one goes on with the key that it has, which the server is asked about first
    own = {"full_schedule": "0 1 * * 0", "access": "own", "own": by_hand.text}
    key = re.search("repo1-s3-key-secret=(.*)", by_hand.text)[0]
    console.post(f"{pages['other']}hand-over/", {**own, "own": by_hand.text.replace(key, f"{key}x")}, status=422)
    assert "Watched only" in text_of(console.get(pages["other"]))
    console.post(f"{pages['other']}hand-over/", own)
    console.wait(pages["other"], "go on with the key that they had")
    console.wait(pages["other"], "Available")
    handed = console.get(f"{pages['other']}nodes/n1/pgbackrest.conf")
    assert f"{key}\n" in handed
    assert handed.count("s3-key-secret=") == 2
    clock.lap("the other handed over with its own key")

    # Nothing is deleted with the cluster
    console.post(f"{pages['other']}backup-stores/", {"confirmed": " ".join(sorted(stores))})
    console.wait(pages["other"], "None: no store is attached.")
    console.post(f"{pages['other']}delete/", {"name": "kept-other", "kit": "on"})
    console.wait(pages["other"], "", gone=404)
    assert by_hand.pgbackrest("other", "check").returncode == 0
    clock.lap("the other cluster deleted, its repositories as they were")


def _store(console, account, name):
    console.post("/stores/create/", {"provider": "s3", "name": name, "cloud_account": account})
    store = console.find(f"/stores/?q={name}", name)
    console.wait(f"/stores/{store}/", "Available")
    return store


def _bucket(console, store):
    return re.search(r"\b(pgbk-[a-z0-9-]+)\b", console.get(f"/stores/{store}/"))[1]


def _wait_for(console, name):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        page = console.get(f"/clusters/?q={name}")
        if f">{name}<" in page:
            return console.find(f"/clusters/?q={name}", name)
        time.sleep(0.3)
    raise AssertionError(text_of(page))
