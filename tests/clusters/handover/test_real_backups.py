"""The script that makes backups, with Debian's pgBackRest and PostgreSQL, as cron runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from itertools import pairwise

import pytest

from clusters.handover import backup_script
from clusters.pgbackrest.configuration import StanzaConfiguration, Target
from console.clouds.contract import RepositoryOptions
from tests.clusters.handed_over import handed
from tests.clusters.handover.places import Places
from tests.pgbackrest_node import Node

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("pgbackrest"), reason="runs pgBackRest as postgres"),
]
REPOSITORIES = ("1", "3")
STOPPED = "It was stopped by a signal, as at a shutdown."  # of which pgBackRest says nothing


class Backups:
    """A node with PostgreSQL and two repositories beside it."""

    def __init__(self, node):
        self.node, here = node, node.folder
        targets = [
            Target(
                int(number),
                "s",
                f"{here}/repository{number}",
                RepositoryOptions((("type", "posix"),)),
                "p" * 32,
                "count",
                9,
                None,
                "",
            )
            for number in REPOSITORIES
        ]
        stanzas = [StanzaConfiguration("main", 15, str(node.data), node.port)]
        configuration = replace(
            handed().configuration, targets=targets, stanzas=stanzas, left=(), layout=Places(here=str(here))
        )
        self.layout = configuration.layout
        # As cron has it; no other test on this machine waits for its locks, and no checkpoint takes its time.
        self.environment = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "PGBACKREST_START_FAST": "y"}
        self.environment["PGBACKREST_LOCK_PATH"] = f"{here}/lock"
        for place in ("etc", "spool", "log", *(f"repository{number}" for number in REPOSITORIES)):
            (here / place).mkdir()
            os.chown(here / place, node.owner.pw_uid, node.owner.pw_gid)
        (here / "etc/pgbackrest.conf").write_text(configuration.render(secrets=True))
        (here / "etc/backup.sh").write_text(backup_script.backup_script(configuration).content)
        (here / "etc/backup.sh").chmod(0o755)
        archive = f"PGBACKREST_LOCK_PATH={here}/lock {self.layout.pgbackrest} --stanza=main archive-push %p"
        with (node.data / "postgresql.auto.conf").open("a") as file:
            file.write(f"archive_mode = on\narchive_command = '{archive}'\n")
        node.start()
        assert ended(self.by_hand("stanza-create"))[1] == 0

    def _begin(self, *command):
        owner, self.since = self.node.owner, time.time()
        return subprocess.Popen(
            command,
            cwd="/",
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            user=owner.pw_uid,
            group=owner.pw_gid,
            extra_groups=[],
            start_new_session=True,
        )

    def begin(self, kind):
        return self._begin(self.layout.backup, "main", kind)

    def by_hand(self, *command):
        return self._begin(*self.layout.pgbackrest.split(" "), "--stanza=main", *command)

    def line(self, kind, repository):
        return (self.node.folder / f"spool/runs/main.{kind}.{repository}").read_text().rstrip("\n").split("\t")

    def made(self):
        """How many backups each repository has."""
        [told] = json.loads(self.by_hand("info", "--output=json").communicate(timeout=60)[0])
        numbers = [str(one["database"]["repo-key"]) for one in told["backup"]]
        return {number: numbers.count(number) for number in REPOSITORIES}


def ended(process):
    return process.communicate(timeout=120)[0], process.returncode


def is_running(backups):
    """Wait until pgBackRest has the stanza, for what was begun last."""
    lock = backups.node.folder / "lock/main-backup.lock"
    deadline = time.monotonic() + 20
    while not (lock.exists() and lock.stat().st_size and lock.stat().st_mtime > backups.since):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def backups():
    pause, backup_script.PAUSE = backup_script.PAUSE, 1
    node = Node()
    try:
        yield Backups(node)
    finally:
        backup_script.PAUSE = pause
        node.remove()


def test_two_that_are_due_at_once_are_both_made_and_a_third_by_hand_is_refused_meanwhile(backups):
    processes = [backups.begin("full")]
    is_running(backups)
    processes.append(backups.begin("incr"))
    assert ended(backups.by_hand("--repo=1", "backup"))[1] == backup_script.LOCK_HELD  # what met before
    assert [ended(process) for process in processes] == [("", 0), ("", 0)]
    assert backups.made() == {"1": 2, "3": 2}
    lines = [backups.line(kind, number) for kind in ("full", "incr") for number in REPOSITORIES]
    spans = sorted((int(line[3]), int(line[4])) for line in lines)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_one_that_was_begun_by_hand_is_waited_for(backups):
    before = backups.made()
    by_hand = backups.by_hand("--repo=1", "--type=full", "backup")
    is_running(backups)
    assert ended(backups.begin("incr")) == ("", 0)
    assert ended(by_hand)[1] == 0
    assert backups.made() == {"1": before["1"] + 2, "3": before["3"] + 1}


def test_a_repository_that_refuses_fails_the_run_and_the_other_gets_its_backup(backups):
    before, first = backups.made(), backups.node.folder / "repository1"
    first.chmod(0)
    try:
        said, code = ended(backups.begin("incr"))
    finally:
        first.chmod(0o755)
    assert code
    assert f"main: incr backup in repository 1 failed with code {code}:\n" in said
    assert backups.line("incr", "1")[5] == str(code)
    assert backups.line("incr", "1")[6].startswith(f"ERROR: [{code:03d}]: ")
    assert backups.line("incr", "3")[5:] == ["0", ""]
    assert backups.made() == {"1": before["1"], "3": before["3"] + 1}


def test_what_is_killed_or_stopped_blocks_nothing(backups):
    # pgBackRest with it, as when the power fails
    killed = backups.begin("full")
    is_running(backups)
    os.killpg(killed.pid, signal.SIGKILL)
    ended(killed)
    assert backups.line("full", "1")[4:] == ["", "", ""]
    # As systemd does it
    stopped = backups.begin("full")
    is_running(backups)
    os.killpg(stopped.pid, signal.SIGTERM)
    said, code = ended(stopped)
    assert code == 63
    assert said == f"main: full backup in repository 1 failed with code 63:\n{STOPPED}\n"
    assert backups.line("full", "1")[5:] == ["63", STOPPED]
    # The script alone: its pgBackRest goes on, and is waited for
    before, killed = backups.made(), backups.begin("full")
    is_running(backups)
    killed.kill()
    assert ended(backups.begin("incr")) == ("", 0)
    ended(killed)
    assert backups.made() == {"1": before["1"] + 2, "3": before["3"] + 1}
