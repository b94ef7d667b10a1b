"""The script that makes a node's backups, as it is run: beside a pgBackRest that does as it is told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import replace

import pytest

from clusters.handover import backup_script
from clusters.pgbackrest.configuration import StanzaConfiguration
from tests.clusters.handed_over import handed
from tests.clusters.handover.places import Places

pytestmark = pytest.mark.slow  # each runs the script, and some wait

# What it is asked stands in `asked`; how long it takes, what it says and its code come from a file for each repository.
PGBACKREST = """#!/bin/sh
here=${0%/*}
case "$*" in *--repo=1*) repo=1 ;; *--repo=2*) repo=2 ;; *--repo=3*) repo=3 ;; esac
echo "begin $*" >> "$here/asked"
[ ! -e "$here/$repo" ] || . "$here/$repo"
echo "end $*" >> "$here/asked"
exit "${code:-0}"
"""


class Host:
    """A host with the script for the stanzas main and other, repositories 1 and 3, and 2 that was left."""

    def __init__(self, folder):
        self.folder = folder
        configuration = handed().configuration
        target = configuration.targets[0]
        self.configuration = replace(
            configuration,
            targets=[replace(target, number=number) for number in (1, 3)],
            stanzas=[StanzaConfiguration(name, 15, f"/data/{name}", 5432) for name in ("main", "other")],
            layout=Places(here=str(folder)),
        )
        (folder / "etc").mkdir()
        (folder / "pgbackrest").write_text(PGBACKREST)
        (folder / "pgbackrest").chmod(0o755)
        self.runs = folder / "spool/runs"
        self.write()

    def write(self):
        self.script = self.folder / "etc/backup.sh"
        self.script.write_text(backup_script.backup_script(self.configuration).content)

    def does(self, repository, shell):
        (self.folder / str(repository)).write_text(shell)

    def begin(self, *arguments):
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin"}
        command = ["sh", self.script, *arguments]
        with (self.folder / "said").open("w") as said:
            return subprocess.Popen(command, env=environment, start_new_session=True, stdout=said, stderr=said)

    def run(self, *arguments):
        code = self.begin(*arguments).wait(60)
        return (self.folder / "said").read_text(), code

    @property
    def asked(self):
        file = self.folder / "asked"
        return re.findall(r"(begin|end) .*--stanza=(\S+) --repo=(\d)(?: --type=(\S+))? (\S+)", file.read_text())

    def line(self, name):
        return (self.runs / name).read_text().removesuffix("\n").split("\t")

    def wait_for(self, what):
        deadline = time.monotonic() + 60
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(backup_script, "PAUSE", 0.1)
    return Host(tmp_path)


def test_a_run_makes_a_backup_in_each_repository_says_nothing_and_writes_it_down(host):
    before = int(time.time())
    assert host.run("main", "full") == ("", 0)
    assert host.asked == [
        (what, "main", repository, "full", "backup") for repository in "13" for what in ("begin", "end")
    ]
    for repository in ("1", "3"):
        stanza, kind, number, begun, ended, code, error = host.line(f"main.full.{repository}")
        assert (stanza, kind, number, code, error) == ("main", "full", repository, "0", "")
        assert before <= int(begun) <= int(ended) <= time.time()
    assert {path.name for path in host.runs.iterdir()} == {
        "main.full.1", "main.full.3", "main.full.waiting", "main.queue"
    }  # fmt: skip


FORBIDDEN = r"""cat <<'END'
2026-11-29 01:00:00.000 P00   WARN: option 'repo1-retention-full' is not set
2026-11-29 01:00:01.000 P00  ERROR: [039]: HTTP request failed with 403 (Forbidden):
            *** Path/Query ***:
            GET /b?list-type=2
            *** Réponse ***:	<Code>AccessDenied</Code>
END
code=39
"""


def test_a_repository_that_fails_keeps_no_other_from_its_backup_and_fails_the_run(host):
    host.does(1, FORBIDDEN)
    host.does(3, "code=0")
    said, code = host.run("main", "full")
    assert code == 39
    assert said.startswith("main: full backup in repository 1 failed with code 39:\n2026-11-29 01:00:00.000 P00   WARN")
    assert host.line("main.full.1")[5:] == [
        "39",
        "ERROR: [039]: HTTP request failed with 403 (Forbidden): *** Path/Query ***: GET /b?list-type=2 *** R  ponse "
        "***: <Code>AccessDenied</Code>",
    ]
    assert host.line("main.full.3")[5:] == ["0", ""]
    host.does(1, "")
    assert host.run("main", "full") == ("", 0)
    assert host.line("main.full.1")[5:] == ["0", ""]


@pytest.mark.parametrize(
    ("says", "kept"),
    [
        ("printf ''", ""),
        ("echo; echo '  not found  '; echo", "not found"),
        ("echo ERROR: one; echo ERROR: two", "ERROR: two"),
        ("printf 'ERROR: a\\tb\\000c\\033[1m'", "ERROR: a bc [1m"),
        (f"echo ERROR: {'x' * 5000}", f"ERROR: {'x' * 193}"),
    ],
)
def test_what_is_kept_of_an_error_is_one_short_line(host, says, kept):
    host.does(1, f"{says}\ncode=25")
    assert host.run("main", "incr")[1] == 25
    assert host.line("main.incr.1")[5:] == ["25", kept]


def test_the_first_failure_is_what_the_run_ends_with(host):
    host.does(1, "code=27")
    host.does(3, "code=82")
    assert host.run("main", "diff")[1] == 27


def test_two_kinds_of_one_stanza_run_one_after_the_other_and_two_stanzas_do_not_wait(host):
    host.does(1, "sleep 0.4")
    processes = [host.begin("main", "full"), host.begin("main", "incr")]
    assert host.run("other", "full") == ("", 0)
    assert [process.wait(60) for process in processes] == [0, 0]
    main = [(what, kind, repository) for what, stanza, repository, kind, _ in host.asked if stanza == "main"]
    first = main[0][1]
    second = {"full": "incr", "incr": "full"}[first]
    assert main == [(what, kind, number) for kind in (first, second) for number in "13" for what in ("begin", "end")]


def test_one_of_a_kind_that_waits_is_enough(host):
    host.does(1, "sleep 0.5")
    processes = [host.begin("main", "full") for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(host.asked) == 4  # one run


def test_a_backup_that_was_begun_by_hand_is_waited_for(host):
    host.does(1, '[ -e "$here/released" ] || code=50')
    process = host.begin("main", "full")
    host.wait_for(lambda: (host.folder / "asked").exists() and len(host.asked) > 4)
    assert host.line("main.full.1")[4:] == ["", "", ""]
    (host.folder / "released").touch()
    assert process.wait(60) == 0
    assert host.line("main.full.1")[5:] == ["0", ""]


def test_a_wait_has_an_end(host, monkeypatch):
    monkeypatch.setattr(backup_script, "PATIENCE", 1)
    host.write()
    host.does(1, "code=50")
    assert host.run("main", "full")[1] == 50
    host.does(1, "sleep 3")
    first = host.begin("main", "full")
    host.wait_for(lambda: host.line("main.full.1")[4] == "")
    said, code = host.run("main", "incr")
    assert (code, host.line("main.incr.3")[5]) == (50, "50")
    assert "has not ended in" in said
    assert first.wait(60) == 0


def test_what_is_killed_blocks_nothing_and_stays_begun(host):
    host.does(1, "sleep 0.7")
    process = host.begin("main", "full")
    host.wait_for((host.folder / "asked").exists)
    process.kill()
    process.wait()
    assert host.line("main.full.1")[4:] == ["", "", ""]
    # Its pgBackRest goes on; what comes next waits for that, too.
    assert host.run("main", "incr") == ("", 0)
    assert [(what, kind) for what, _, repository, kind, _ in host.asked if repository == "1"] == [
        ("begin", "full"), ("end", "full"), ("begin", "incr"), ("end", "incr")
    ]  # fmt: skip


def test_what_is_told_to_stop_writes_down_how_it_ended(host):
    host.does(1, f"trap 'echo ERROR: terminated; exit 63' TERM; touch {host.folder}/trapped; sleep 60 & wait")
    process = host.begin("main", "full")
    host.wait_for((host.folder / "trapped").exists)
    os.killpg(process.pid, signal.SIGTERM)  # as systemd does it
    assert process.wait(60) == 63
    assert host.line("main.full.1")[5:] == ["63", "ERROR: terminated"]
    assert not (host.runs / "main.full.3").exists()


def test_what_was_left_is_expired_and_waits_for_no_backup(host):
    host.does(1, "sleep 1")
    backup = host.begin("main", "full")
    host.wait_for((host.folder / "asked").exists)
    assert host.run("main", "expire") == ("", 0)
    assert host.line("main.expire.2")[5:] == ["0", ""]
    assert ("end", "main", "2", "", "expire") in host.asked
    assert ("end", "main", "1", "full", "backup") not in host.asked
    assert backup.wait(60) == 0
    assert f"--config={host.folder}/etc/left.conf" in (host.folder / "asked").read_text()


def test_what_became_of_a_repository_that_was_left_is_forgotten(host):
    assert host.run("main", "full") == ("", 0)
    host.configuration = replace(host.configuration, targets=host.configuration.targets[1:])
    host.write()
    assert host.run("main", "full") == ("", 0)
    assert not (host.runs / "main.full.1").exists()
    assert (host.runs / "main.full.3").exists()


def test_a_host_that_is_not_to_back_up_makes_none(host, monkeypatch):
    only_other = 'is_to_back_up() {\n  [ "$1" = other ]\n}\n'
    monkeypatch.setattr(backup_script, "is_to_back_up", lambda configuration: only_other)
    host.write()
    assert host.run("main", "full") == ("", 0)
    assert not (host.folder / "asked").exists()
    assert host.run("other", "full") == ("", 0)
    assert len(host.asked) == 4


@pytest.mark.parametrize(
    "arguments", [(), ("main",), ("main", "all"), ("mine", "full"), ("*", "full"), ("main|other", "full")]
)
def test_what_it_does_not_know_is_refused(host, arguments):
    said, code = host.run(*arguments)
    assert (code, said) == (64, f"Usage: {host.folder}/etc/backup.sh STANZA full|diff|incr|expire\n")
    assert not host.runs.exists()
