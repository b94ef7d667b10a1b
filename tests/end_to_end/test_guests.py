"""Two clusters and a pgBackRest that somebody set up by hand, on one machine, each with a stanza of the same name."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from clusters.handover import steps
from clusters.handover.setup_script import Known, setup_script
from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, StanzaConfiguration, Target
from clusters.pgbackrest.layout import Layout
from console.clouds.contract import RepositoryOptions
from tests.pgbackrest_node import Node, fresh_node

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="puts files below /etc as root, as an administrator of a node does"),
]
KNOWN = Known("https://console.example.com/", "a-token")
BY_HAND, INCLUDED = Path("/etc/pgbackrest/pgbackrest.conf"), Path("/etc/pgbackrest/conf.d/by-hand.conf")


@dataclass
class Guest:
    """A cluster of ours, whose one node is a server on this machine."""

    node: Node
    configuration: Configuration

    @classmethod
    def of(cls, node: Node, prefix: str) -> Guest:
        repository = node.folder / "repository"
        layout = Layout(f"orders-{prefix[-4:]}", prefix=prefix)
        options = RepositoryOptions((("type", "posix"),))
        target = Target(1, "attic", str(repository), options, "p" * 64, "count", 9, None, folder=layout.folder)
        stanza = StanzaConfiguration("main", 15, str(node.data), node.port)
        return cls(node, Configuration("orders", "n1", BY_NUMBER["2.45"], [target], [stanza], {}, layout))

    def set_up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        script = setup_script(self.configuration, KNOWN)
        return subprocess.run(
            ["sh", "-s", "--", *arguments], input=script, check=False, capture_output=True, text=True, cwd="/"
        )

    @property
    def commands(self) -> list[str]:
        return [one.text for one in steps.commands(self.configuration)]

    def told(self) -> list[dict]:
        called = self.configuration.layout.pgbackrest.split()
        return json.loads(self.node.run(*called, "info", "--output=json").stdout)[0]["backup"]


@pytest.fixture
def machine(tmp_path):
    """A server that is archived by a configuration made by hand, and two clusters of ours."""
    below = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    debian = Path("/etc/pgbackrest.conf")
    kept = debian.read_bytes() if debian.exists() else None
    with fresh_node(tmp_path, below) as theirs:
        ours = [Guest.of(Node(below), "c-aaaaaaaaaaa4"), Guest.of(Node(below), "c-bbbbbbbbbbb5")]
        for place in ("/var/log/pgbackrest", "/var/spool/pgbackrest"):  # as the package makes them
            Path(place).mkdir()
            os.chown(place, theirs.owner.pw_uid, theirs.owner.pw_gid)
            Path(place).chmod(0o750)
        INCLUDED.parent.mkdir(parents=True)
        for path in (BY_HAND, INCLUDED, debian):  # of which only the last would be read without the others
            path.write_text("[global]\nlog-level-console=warn\nrepo1-cipher-type=none\n")
        BY_HAND.write_text(f"[global]\nspool-path=/var/spool/pgbackrest\n[main]\npg1-path={theirs.data}\n")
        with BY_HAND.open("a") as file:
            file.write(f"pg1-port={theirs.port}\n")
        INCLUDED.write_text(f"[global]\nrepo1-path={theirs.folder}/repository\nrepo1-retention-full=1\n")
        try:
            yield theirs, ours
        finally:
            for one in ours:
                one.node.remove()
            debian.unlink() if kept is None else debian.write_bytes(kept)


def archive_by_hand(node):
    node.run("mkdir", node.folder / "repository")
    node.sql("ALTER SYSTEM SET archive_mode = on")
    node.sql("ALTER SYSTEM SET archive_command = 'pgbackrest --stanza=main archive-push %p'")
    node.stop()
    node.start()
    node.run("pgbackrest", "--stanza=main", "stanza-create")
    node.run("pgbackrest", "--stanza=main", "check")


def look():
    files = [BY_HAND, INCLUDED, Path("/etc/pgbackrest.conf")]
    return [(one, one.read_bytes(), one.stat().st_mtime_ns) for one in files]


def test_they_archive_side_by_side_and_go_one_after_the_other(machine):
    theirs, ours = machine
    for one in (theirs, *(guest.node for guest in ours)):
        one.start()
    archive_by_hand(theirs)
    before = look()
    for guest in ours:
        ran = guest.set_up()
        assert (ran.returncode, ran.stderr) == (0, ""), ran
        assert f"{guest.node.port} archives by" not in ran.stdout
        *prepared, check, _, _ = guest.commands
        for line in (*prepared, check):  # the stanza before archiving, which is checked at last
            guest.node.shell(line)

    # At the same time: none waits for another one's lock.
    backups = [(guest, guest.commands[-2].replace("sudo -u postgres ", "")) for guest in ours]
    running = [
        subprocess.Popen(line, shell=True, user="postgres", group="postgres", extra_groups=[], cwd="/")
        for _, line in [*backups, (None, "pgbackrest --stanza=main --type=full backup")]
    ]
    assert [one.wait(120) for one in running] == [0, 0, 0]
    for guest in ours:
        assert len(guest.told()) == 1
        layout = guest.configuration.layout
        assert {one.name for one in Path(layout.logs).iterdir()} >= {"main-backup.log", "main-archive-push-async.log"}
        assert (Path(layout.spool) / "archive/main").is_dir()
        assert "in order" in guest.set_up("--check").stdout
    told = json.loads(theirs.run("pgbackrest", "info", "--output=json").stdout)[0]
    assert len(told["backup"]) == 1
    assert look() == before

    # They go: while PostgreSQL archives, not at all; then with nothing left but the logs.
    for guest in ours:
        ran = guest.set_up("--undo")
        assert ran.returncode == 1
        [command] = re.findall(r"then run this again: (sudo -u postgres psql .*) Nothing was changed\.$", ran.stderr)
        guest.node.shell(command)
        guest.node.stop()
        guest.node.start()
        assert guest.node.sql("SHOW archive_mode") == "off"
        ran = guest.set_up("--undo")
        assert (ran.returncode, ran.stderr) == (0, ""), ran
        layout = guest.configuration.layout
        assert not [one for one in (layout.folder, layout.spool, layout.crontab, layout.rotation) if Path(one).exists()]
        assert Path(layout.logs).is_dir()
    theirs.run("pgbackrest", "--stanza=main", "check")
    assert look() == before


def test_a_server_that_somebody_else_archives_is_named_before_that_is_replaced(machine):
    theirs, _ = machine
    theirs.start()
    archive_by_hand(theirs)
    guest = Guest.of(theirs, "c-ccccccccccc6")
    for arguments, code in (("--check",), 1), ((), 0):
        ran = guest.set_up(*arguments)
        assert ran.returncode == code
        assert f"The PostgreSQL on port {theirs.port} archives by: pgbackrest --stanza=main archive-push" in ran.stdout
    assert guest.set_up("--undo").returncode == 0
