"""Repositories that pgBackRest made by hand are brought in, watched, handed over, and restored: all of it real."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from urllib.request import Request, urlopen
from uuid import uuid4

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
"""
STANZA = """
[{name}]
pg1-path={node.data}
pg1-port={node.port}
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
    """Servers, by their stanzas, that back up into two buckets by a file that somebody wrote."""

    def __init__(self, nodes, server, buckets):
        self.nodes = nodes
        node = next(iter(nodes.values()))
        self.file = node.folder / "former.conf"
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
        self.options = FORMER.format(repositories="\n".join(parts))
        self.text = self.of(*nodes)
        places = f"log-path={node.folder}\nlock-path={node.folder}/lock\nspool-path={node.folder}/spool\n"
        self.file.write_text(self.text.replace("start-fast=y\n", f"start-fast=y\n{places}"))
        self.file.chmod(0o644)

    def of(self, *stanzas):
        """Return the file as a machine has it that runs these alone."""
        return self.options + "".join(STANZA.format(name=one, node=self.nodes[one]) for one in stanzas)

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
        by_hand = ByHand({"main": node, "other": other}, server, buckets)
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
    *_, create, archive, quiet, check, first, second, report, _ = console.commands(
        console.get(f"{pages['main']}nodes/n1/")
    )  # archive_mode is on, so nothing is restarted
    for line in (create, archive, quiet, check, first, second):
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


# Like the test above, whose stanzas are on one machine; which machine has which, tests/clusters/bring_in tries.
@pytest.mark.thorough
def test_machines_with_stanzas_of_their_own_are_one_cluster(demo, node, tmp_path, say):
    """One machine runs two servers, another one a third; all three are stanzas of the same two repositories."""
    console, clock, server = Console(demo), Clock(), demo["s3"]
    account = console.find("/cloud-accounts/", "Acme datacentre")
    stores = [_store(console, account, name) for name in ("shared-one", "shared-two")]
    buckets = [_bucket(console, one) for one in stores]
    others = [Node(), Node()]
    try:
        by_hand = ByHand(dict(zip(("main", "extra", "ledger"), (node, *others), strict=True)), server, buckets)
        by_hand.begin()
        clock.lap("three stanzas in two repositories, made by hand")
        page = _brought_in_by_the_api(demo, by_hand, stores[0])
        clock.lap("looked at and added through the API")
        _hand_both_over(console, clock, by_hand, page, tmp_path)
    finally:
        for one in others:
            one.remove()
    for lap in clock.times:
        say(lap)


def _brought_in_by_the_api(demo, by_hand, store):
    """Have two machines brought in as one cluster, as a program does; return the address of its page."""

    def send(path, body, **headers):
        data = json.dumps(body).encode() if body else None
        request = Request(f"{demo['url']}{path}", data, {"Content-Type": "application/json", **headers})
        with urlopen(request, timeout=30) as answer:
            return json.load(answer)

    api = demo["api"]
    client = {name: api[name] for name in ("client_id", "client_secret")}
    token = send("/v1/oauth/token", client)["access_token"]

    def ask(path, body=None):
        key = {"Idempotency-Key": str(uuid4())} if body else {}
        return send(f"/api/v1/clusters/bring-in{path}", body, Authorization=f"Bearer {token}", **key)

    def wait(state):
        until = time.monotonic() + 60
        while (told := ask(f"/{batch}")["clusters"])[0]["state"] != state:
            assert told[0]["state"] != "refused", told
            assert time.monotonic() < until, told
            time.sleep(0.3)
        return told[0]

    machines = [by_hand.of("main", "extra"), by_hand.of("ledger")]
    rows = [{"name": "shared", "store_id": store, "file": one} for one in machines]
    batch = ask("", {"repositories": rows})["id"]
    told = wait("ready")
    assert [[each["name"] for each in one["stanzas"]] for one in told["repositories"]] == [
        ["main", "extra", "ledger"],
        ["main", "extra", "ledger"],
    ]
    ask(f"/{batch}/add", {"seen": [told["seen"]]})
    return f"/clusters/{wait('added')['cluster_id']}/"


def _hand_both_over(console, clock, by_hand, page, tmp_path):
    node, there = by_hand.nodes["main"], {}
    for stanza in by_hand.nodes:
        told = json.loads(by_hand.pgbackrest(stanza, "info", "--output=json").stdout)[0]
        there[stanza] = {one["label"] for one in told["backup"]}
    for labels in there.values():
        for label in labels:
            console.wait(page, label)
    said = text_of(console.wait(page, "Recoverable"))
    assert "Watched only" in said
    clock.lap("backups and verdict seen")

    said = text_of(console.get(f"{page}hand-over/"))
    assert "n1 has extra and main, n2 has ledger" in said
    assert "On n2, in this order" in said
    console.post(f"{page}hand-over/", {"full_schedule": "0 1 * * 0", "incr_schedule": "0 1 * * 1-6"})
    console.wait(page, "Available")
    script = tmp_path / "n1-setup.sh"
    script.write_text(console.get(f"{page}nodes/n1/setup.sh"))
    subprocess.run(["sh", script], check=True, capture_output=True)
    files = {"n1": (installed() / "pgbackrest.conf").read_text(), "n2": console.get(f"{page}nodes/n2/pgbackrest.conf")}
    assert [one for one in by_hand.nodes if f"[{one}]\n" in files["n1"]] == ["main", "extra"]
    assert [one for one in by_hand.nodes if f"[{one}]\n" in files["n2"]] == ["ledger"]

    # The other machine is this one, too, so that its file is put beside the first one's
    own = node.folder / "n2.conf"
    own.write_text(files["n2"])
    own.chmod(0o644)
    handed = {"main": installed() / "pgbackrest.conf", "extra": installed() / "pgbackrest.conf", "ledger": own}
    for stanza, file in handed.items():
        server, begins = by_hand.nodes[stanza], f"pgbackrest --config={file} --stanza={stanza}"
        server.sql(f"ALTER SYSTEM SET archive_command = '{begins} archive-push %p'")
        server.sql("SELECT pg_reload_conf()")
        for rest in (["check"], ["--repo=1", "--type=full", "backup"], ["--repo=2", "--type=full", "backup"]):
            server.run(*begins.split(), *rest)
        told = json.loads(server.run(*begins.split(), "info", "--output=json").stdout)[0]
        labels = {one["label"] for one in told["backup"]}
        assert labels > there[stanza]
        assert len(labels) == 4  # one more full backup in each repository
        there[stanza] = labels
    wrong = node.run("pgbackrest", f"--config={own}", "--stanza=main", "check", check=False)
    assert wrong.returncode != 0  # it knows nothing of the first machine's servers
    clock.lap("both handed over, with a full backup of each stanza in each repository")

    console.post(f"{page}backups/refresh/", {})
    for labels in there.values():
        for label in labels:
            console.wait(page, label)
    copy = node.folder / "copy"
    by_hand.nodes["ledger"].sql("CREATE TABLE since AS SELECT 1")
    by_hand.nodes["ledger"].sql("SELECT pg_switch_wal()")
    by_hand.nodes["ledger"].run("pgbackrest", f"--config={own}", "--stanza=ledger", "check")
    (installed() / "pgbackrest.conf").write_text(files["n2"])  # as on the other machine
    script.write_text(
        console.get(f"{page}restore.sh?node=n2&stanza=ledger&where=folder&folder={copy}&port={node.port + 1}")
    )
    subprocess.run(["sh", script], check=True, capture_output=True, text=True)
    node.start(copy / "data", "-c", f"config_file={copy}/postgresql.conf")
    psql = ("psql", "-h", copy, "-p", node.port + 1, "-d", "postgres", "-XAtc")
    until = time.monotonic() + 120
    while node.run(*psql, "SELECT pg_is_in_recovery()").stdout.strip() == "t":
        assert time.monotonic() < until
        time.sleep(0.2)
    assert node.run(*psql, "SELECT count(*) FROM receipts, since").stdout.strip() == "50000"
    node.stop(copy / "data")
    clock.lap("the other machine's server restored")


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
