"""What the console reads of repositories that pgBackRest writes here, beside what `pgbackrest info` says of them."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta

import pytest

from clusters.pgbackrest import gaps, repository
from clusters.pgbackrest.repository import Report
from clusters.repositories.backups import Descent, StanzaView
from tests.clusters.pgbackrest.folder import Folder
from tests.pgbackrest_node import SOCKETS, Node
from tests.postgres import binaries

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="runs a server as the user postgres"),
]
PASSPHRASE = "only-for-this-test"


class Server(Node):
    """A node that archives into a plain and an encrypted repository in folders of its own."""

    def __init__(self):
        super().__init__()
        self.config = self.folder / "pgbackrest.conf"
        self.buckets = {1: self.folder / "bucket1", 2: self.folder / "bucket2"}
        self.set_up(self.data)

    def set_up(self, data):
        lines = [
            "[global]",
            "start-fast=y",
            "log-level-file=off",
            f"lock-path={self.folder}/lock",
            f"repo1-path={self.buckets[1]}/c-abc/n1",
            f"repo2-path={self.buckets[2]}/c-abc/n1",
            "repo2-bundle=y",
            "repo2-cipher-type=aes-256-cbc",
            f"repo2-cipher-pass={PASSPHRASE}",
            "compress-type=zst",
            "compress-level=1",
            "[main]",
            f"pg1-path={data}",
            f"pg1-port={self.port}",
        ]
        self.config.write_text("\n".join(lines) + "\n")
        archive = f"pgbackrest --config={self.config} --stanza=main archive-push %p"
        with (data / "postgresql.auto.conf").open("a") as file:
            file.write(f"archive_mode = on\narchive_command = '{archive}'\n")

    def pgbackrest(self, *arguments):
        return self.run("pgbackrest", f"--config={self.config}", "--stanza=main", *arguments).stdout

    def write(self, rows=1000, port=None):
        """Write something, and have the segment archived."""
        table = "CREATE TABLE IF NOT EXISTS receipts (number int)"
        self.sql(f"{table}; INSERT INTO receipts SELECT generate_series(1, {rows}); ", port)
        name = self.sql("SELECT pg_walfile_name(pg_current_wal_lsn())", port)
        self.sql("SELECT pg_switch_wal()", port)
        until = f"SELECT last_archived_wal >= '{name}' FROM pg_stat_archiver"
        for _ in range(200):
            if self.sql(until, port) == "t":
                return
            self.sql("SELECT pg_sleep(0.05)", port)
        raise AssertionError(f"{name} was not archived")

    def id_of(self, port=None):
        return self.sql("SELECT system_identifier FROM pg_control_system()", port)

    def look(self, number, before=(), **report):
        [found] = repository.look(
            Folder(self.buckets[number]), "c-abc", PASSPHRASE, before, {("n1", "main"): Report(**report)}
        )
        return found

    def compare(self, number):
        """Compare all that the console reads of a repository with what pgBackRest says of it."""
        [said] = json.loads(self.pgbackrest("info", f"--repo={number}", "--output=json"))
        found = self.look(number)
        assert (found.node, found.stanza, found.note) == ("n1", said["name"], "")
        assert found.status == {0: "read", 2: "empty"}[said["status"]["code"]]
        databases = [(one["id"], str(one["system-id"]), one["version"]) for one in said["db"]]
        assert [(one.db_id, one.system_id, one.postgresql) for one in found.history] == databases
        assert (found.db_id, found.system_id, found.postgresql) == databases[-1]
        ids = {number: system_id for number, system_id, _ in databases}
        ends = {
            archive: (min(one.first for one in of), max(one.last for one in of))
            for archive in {one.archive for one in found.timelines}
            if (of := [one for one in found.timelines if one.archive == archive])
        }
        assert ends == {one["id"]: (one["min"], one["max"]) for one in said["archive"] if one["min"]}
        assert len(found.backups) == len(said["backup"])
        for one, row in zip(found.backups, said["backup"], strict=True):
            assert (one.label, one.kind, one.failed) == (row["label"], row["type"], row["error"])
            assert (one.started, one.stopped) == (row["timestamp"]["start"], row["timestamp"]["stop"])
            assert (one.size, one.stored) == (row["info"]["size"], row["info"]["repository"]["delta"])
            assert (one.first_wal, one.last_wal) == (row["archive"]["start"], row["archive"]["stop"])
            assert (one.db_id, one.system_id) == (row["database"]["id"], ids[row["database"]["id"]])
        # How much WAL there is, pgBackRest does not say; the folder does.
        there = [
            one
            for one in (self.buckets[number] / "c-abc/n1/archive/main").rglob("*-*")
            if repository.archive.SEGMENT.fullmatch(one.name)
        ]
        assert (found.wal_segments, found.wal_bytes) == (len(there), sum(one.stat().st_size for one in there))
        return found


@pytest.fixture(scope="module")
def server():
    one = Server()
    yield one
    one.remove(one.folder / "copy", one.folder / "new")


def test_a_stanza_s_life_reads_as_pgbackrest_tells_it(server):
    # At first: nothing but a stanza
    space = server.folder / "space"
    server.run("mkdir", space)
    server.start()
    server.pgbackrest("stanza-create")
    assert server.compare(1).status == "empty"
    server.sql(f"CREATE TABLESPACE space LOCATION '{space}'")
    server.sql("CREATE TABLE kept TABLESPACE space AS SELECT generate_series(1, 1000) AS n")

    # Backups of each type, in a plain and in an encrypted repository
    server.pgbackrest("--repo=1", "--type=full", "backup")
    server.write()
    server.pgbackrest("--repo=1", "--type=incr", "backup")
    server.pgbackrest("--repo=1", "--type=diff", "backup")
    server.pgbackrest("--repo=2", "--type=full", "--no-resume", "backup")
    assert [one.kind for one in server.compare(1).backups] == ["full", "incr", "diff"]
    assert server.compare(2).backups[0].stored > 0
    own = {"system_id": server.id_of(), "timeline": 1}
    first = server.look(1, **own)
    assert StanzaView(first, own["system_id"], False, 1, datetime.now(UTC)).is_bad is False

    # A copy archives into the same repository
    copy = server.folder / "copy"
    server.pgbackrest("--repo=1", f"--pg1-path={copy}", f"--tablespace-map-all={server.folder}/spaces", "restore")
    with (copy / "postgresql.auto.conf").open("a") as file:
        file.write(f"port = {server.port + 1}\narchive_mode = on\n")
    server.start(copy)
    for _ in range(200):
        if server.sql("SELECT pg_is_in_recovery()", server.port + 1) == "f":
            break
        server.sql("SELECT pg_sleep(0.05)")
    config = server.config.read_text()
    server.config.write_text(config.replace(f"pg1-path={server.data}", f"pg1-path={copy}"))
    server.write(port=server.port + 1)
    server.config.write_text(config)
    both = server.compare(1)
    assert [one.number for one in both.timelines] == [1, 2]
    told = datetime.now(UTC) + timedelta(minutes=10)  # a report of the node, some time later

    def view(state, timeline, at=told):
        return StanzaView(state, own["system_id"], False, timeline, at)

    assert [one.number for one in view(both, 1).strays] == [2]
    assert not view(both, 2).is_bad  # the node itself was promoted
    server.write()
    later = server.compare(1)
    assert [one.number for one in view(later, 1).strays] == [2]
    assert [one.number for one in view(later, 2).strays] == [1]  # its former self is still at work
    assert view(later, None).strays  # whoever the node is, there are two
    assert server.look(1, [first], **own).last_wal == later.timelines[0].last
    server.stop(copy)

    # The database is made anew, and the stanza follows
    server.stop()
    new = server.folder / "new"
    server.run(binaries() / "initdb", "-D", new, "-A", "trust", "--no-sync", "--locale=C.UTF-8")
    (new / "postgresql.auto.conf").write_text(
        f"port = {server.port}\nunix_socket_directories = '{SOCKETS}'\nlisten_addresses = ''\nfsync = off\n"
    )
    server.set_up(new)
    server.start(new)
    renewed = {"system_id": server.id_of(), "timeline": 1}
    before = server.look(1, [server.look(1, **own)], **renewed)
    waiting = StanzaView(before, renewed["system_id"], False, 1, told)
    assert (waiting.descent, waiting.last_full.backup.kind) == (Descent.UPGRADED, "full")
    server.pgbackrest("stanza-upgrade")
    server.compare(1)
    upgraded = server.look(1, [before], **own)
    assert StanzaView(upgraded, own["system_id"], False, 1, told).descent == Descent.EARLIER
    server.pgbackrest("--repo=1", "--type=full", "backup")
    done = server.compare(1)
    rows = StanzaView(done, renewed["system_id"], False, 1, told).rows
    assert [row.is_prior for row in rows] == [False, True, True, True]
    assert not any(row.is_foreign for row in rows)
    assert done.last_wal == max(one.last for one in done.timelines if one.archive == "15-2")
    text = server.pgbackrest("info", "--repo=1")
    assert text.count("db (prior)") == 1

    # Somebody deletes a segment
    for _ in range(4):
        server.write()
    whole = server.look(1, **renewed)
    told = datetime.now(UTC) + timedelta(hours=1)
    assert not gaps.reach(whole, told).holes
    folder = server.buckets[1] / "c-abc/n1/archive/main/15-2"
    *_, lost, last = sorted(one for one in folder.rglob("*-*") if repository.archive.SEGMENT.fullmatch(one.name))
    lost.unlink()
    robbed = server.look(1, [whole], **renewed)
    hole = gaps.reach(robbed, told).ends_in
    assert (hole.gap.segments, hole.gap.before) == (1, last.name[:24])
    # pgBackRest finds nothing missing, but names two ranges of WAL where there was one.
    said = server.pgbackrest("verify", "--log-level-console=detail")
    ranges = re.findall(r"15-2, wal start: (\w{24}), wal stop: (\w{24})", said)
    assert [one for pair in ranges for one in pair][1:-1] == [hole.gap.after, hole.gap.before], said
    server.stop(new)
