"""The drill script with Debian's pgBackRest and PostgreSQL: what it reports of a good restore, and of each trouble."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from clusters.drills.report import of_json
from clusters.handover import drill_script
from clusters.pgbackrest.configuration import Target
from clusters.pgbackrest.drill import Drills, Job, Plan, checks
from console.clouds.contract import RepositoryOptions
from tests.clusters.handover.places import Places
from tests.clusters.reports.listening import listening
from tests.pgbackrest_node import Node
from tests.postgres import binaries

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("pgbackrest"), reason="runs pgBackRest as postgres"),
]
CHECKS = """SELECT count(*) FROM receipts => 3
SELECT count(*) FROM receipts => 4
SELECT pg_sleep(60) => x
SELECT pg_read_file('/etc/passwd') => x
COPY (SELECT 1) TO PROGRAM 'id' => x
SET default_transaction_read_only = off; CREATE TABLE mine () => x"""


# What whoever may make objects in production's database could leave there for the copy's administrator to trip on.
TRAPS = """CREATE FUNCTION trap() RETURNS bool LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE $x$COPY (SELECT 1) TO PROGRAM 'touch {trapped}'$x$; RETURN true; END $$;
CREATE FUNCTION matches(name, name) RETURNS bool LANGUAGE sql AS 'SELECT trap()';
CREATE OPERATOR !~ (LEFTARG = name, RIGHTARG = name, FUNCTION = matches);
CREATE FUNCTION format(text, name) RETURNS text LANGUAGE sql AS $$ SELECT 'SELECT trap()' WHERE trap() $$;
CREATE FUNCTION floor(numeric) RETURNS numeric LANGUAGE sql AS 'SELECT 1 WHERE trap()';
CREATE ROLE storekeeper_drill SUPERUSER LOGIN;
CREATE EXTENSION file_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER file_fdw;
CREATE USER MAPPING FOR PUBLIC SERVER elsewhere;
CREATE USER MAPPING FOR storekeeper_drill SERVER elsewhere;
CREATE FOREIGN TABLE live (n int) SERVER elsewhere OPTIONS (program 'touch {trapped}');
ALTER DATABASE postgres SET temp_file_limit = -1;
ALTER DATABASE postgres SET search_path = public, pg_catalog"""


CLUSTER = Places().cluster
ELSEWHERE = {"PGHOSTADDR": "192.0.2.1", "PGSERVICE": "x", "PGSERVICEFILE": "/x", "PGBACKREST_REPO1_PATH": "/nowhere"}


@dataclass
class World:
    """A repository with two backups, and a machine that tries them."""

    node: Node
    listener: object
    pgbackrest: tuple
    prefix = "c-abc"

    def target(self, passphrase="p" * 32):
        options = RepositoryOptions((("type", "posix"),))
        return Target(1, "attic", f"{self.node.folder}/repository", options, passphrase, "count", 9, None, "")

    @property
    def copies(self):
        return self.node.folder / "copies"

    @property
    def identity(self):
        return f"{self.prefix} {CLUSTER}"

    def place(self, *, job=None, passphrase="p" * 32, cluster=CLUSTER, **plan):
        here = self.node.folder
        jobs = [job or Job("n1", "main", 1, 15)]
        values = {"id": 7, "what": "restore", "schedule": "0 3 * * 0", "jobs": jobs, "place": str(self.copies)}
        drills = Drills(
            [Plan(**values | plan)],
            [("n1", [self.target(passphrase)])],
            Places(here=str(here), prefix=self.prefix, cluster=cluster),
        )
        script = drill_script.drill_script(drills, self.listener.address, "token")
        for one in [*drills.configurations(), script]:
            path = Path(one.path)
            path.write_text(one.content)
            path.chmod(0o755)
        return script.path

    def begin(self, script):
        owner = self.node.owner
        return subprocess.Popen(
            [script, "7"],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "HOME": "/", **ELSEWHERE},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=owner.pw_uid,
            group=owner.pw_gid,
            extra_groups=[],
            start_new_session=True,
        )

    def run(self, **plan):
        """Run a plan; return its code, what it printed, and the report of its end."""
        process = self.begin(self.place(**plan))
        said = process.communicate(timeout=100)
        assert not self.copies.exists()
        begun, ended = (of_json(body) for _, _, body in self.listener.received[-2:])
        assert (begun.event, ended.event, begun.run) == ("begin", "end", ended.run)
        assert said[0] == ""
        return process.returncode, said[1], ended


@pytest.fixture(scope="module")
def world():
    # In memory: pgBackRest has each of the thousand files of each copy written through to the disk.
    below = Path("/dev/shm")
    node = Node(below if below.is_dir() else None)
    here = node.folder
    for name in ("etc", "spool", "log", "repository"):
        (here / name).mkdir()
        os.chown(here / name, node.owner.pw_uid, node.owner.pw_gid)
    common = f"log-path={here}/log\nlock-path={here}/lock\nspool-path={here}/spool\nlog-level-file=off\nstart-fast=y\n"
    repository = f"repo1-path={here}/repository\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass={'p' * 32}\n"
    stanza = f"[main]\npg1-path={node.data}\npg1-port={node.port}\n"
    (here / "own.conf").write_text(f"[global]\n{common}{repository}repo1-retention-full=9\n{stanza}")
    called = ("pgbackrest", f"--config={here}/own.conf", "--stanza=main", "--log-level-console=warn")
    with (node.data / "postgresql.auto.conf").open("a") as file:
        file.write(
            f"archive_mode = on\narchive_command = '{' '.join(called)} archive-push %p'\nmax_connections = 130\n"
            f"recovery_end_command = 'touch {here}/trapped'\narchive_cleanup_command = 'touch {here}/trapped'\n"
        )
    (here / "fast").mkdir()
    os.chown(here / "fast", node.owner.pw_uid, node.owner.pw_gid)
    try:
        node.start()
        node.run(*called, "stanza-create")
        node.sql(f"CREATE TABLESPACE fast LOCATION '{here}/fast'")
        node.sql("CREATE TABLE receipts TABLESPACE fast AS SELECT n FROM generate_series(1, 2) n")
        node.sql(TRAPS.format(trapped=here / "trapped"))
        node.run(*called, "--type=full", "backup")
        node.sql("INSERT INTO receipts VALUES (3)")
        node.run(*called, "--type=incr", "backup")
        node.stop()
        with listening() as listener:
            yield World(node, listener, called)
    finally:
        node.remove()


def test_a_restore_is_checked_measured_and_taken_away(world):
    code, said, ended = world.run(checks=checks("SELECT count(*) FROM receipts => 3"), is_amchecked=True)
    assert (code, said, ended.words, ended.ok) == (0, "", "", True)
    told = json.loads(world.node.run(*world.pgbackrest, "--output=json", "info").stdout)[0]
    last = told["backup"][-1]
    assert ended.label == last["label"]
    assert ended.first_wal == last["archive"]["start"]
    assert (ended.system_id, ended.timeline) == (str(told["db"][0]["system-id"]), 1)
    assert ended.size == last["info"]["size"]
    assert (ended.target, ended.amcheck, [one.ok for one in ended.results]) == ("", "passed", [True])
    assert ended.postgresql // 10000 == 15
    assert None not in (ended.restore_seconds, ended.recovery_seconds, ended.check_seconds, ended.restored_to)
    # It archived nothing, and wrote nothing beside its own folder.
    assert not list((world.node.folder / "repository").rglob("00000002*"))
    assert list((world.node.folder / "spool/drill/unsent").iterdir()) == []


def test_a_random_moment_is_between_two_backups(world):
    code, said, ended = world.run(kind="random")
    assert (code, said, ended.ok) == (0, "", True)
    told = json.loads(world.node.run(*world.pgbackrest, "--output=json", "info").stdout)[0]["backup"]
    first, last = told
    if ended.label == first["label"]:
        assert position(first["lsn"]["stop"]) <= position(ended.target) <= position(last["lsn"]["start"])
        assert position(ended.target) <= position(ended.lsn)
    else:
        assert (ended.label, ended.target) == (last["label"], "")


def is_gone(pid):
    """Whether no process has this number any more, or one that has ended and that nobody has asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def position(lsn):
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def test_a_check_reads_and_does_nothing_else(world, monkeypatch):
    monkeypatch.setattr(drill_script, "CHECK_SECONDS", 1)
    code, said, ended = world.run(checks=checks(CHECKS))
    assert (code, ended.ok, ended.words) == (1, False, "Check 2 did not pass. It answered: 3")
    assert ended.words in said
    good, differs, endless, file, program, table = ended.results
    assert (good.ok, good.said) == (True, "")
    assert (differs.ok, differs.said) == (False, "It answered: 3")
    assert "statement timeout" in endless.said
    assert "permission denied for function pg_read_file" in file.said
    assert "must be superuser" in program.said
    assert "cannot execute CREATE TABLE in a read-only transaction" in table.said


def test_nothing_of_the_database_runs_as_the_copys_administrator(world):
    sql = "SELECT rolsuper OR current_user = 'storekeeper_drill' FROM pg_roles WHERE rolname = current_user => f"
    code, said, ended = world.run(checks=checks(sql), is_amchecked=True)
    assert (code, said, ended.amcheck) == (0, "", "passed")
    assert not (world.node.folder / "trapped").exists()


ENDLESS = """SET statement_timeout = 0; SELECT pg_sleep(90) => x
SELECT count(*) FROM pg_stat_activity WHERE usename = current_user => 1
COMMIT; BEGIN READ WRITE; CREATE TEMPORARY TABLE mine () => x
COMMIT; BEGIN READ WRITE; SELECT lo_from_bytea(0, 'x') => x
SHOW temp_file_limit => -1
SELECT n FROM live => x
SELECT count(*) FROM pg_user_mappings => 0"""


def test_a_check_fills_no_disk_reaches_no_server_and_has_an_end(world, monkeypatch):
    monkeypatch.setattr(drill_script, "CHECK_SECONDS", 1)
    _, _, ended = world.run(checks=checks(ENDLESS))
    _, sessions, table, large, limit, foreign, mappings = ended.results
    assert (sessions.ok, mappings.ok) == (True, True)
    assert "permission denied to create temporary tables" in table.said
    assert "permission denied for function lo_from_bytea" in large.said
    assert limit.said.endswith("B")
    assert 'foreign-data wrapper "file_fdw" has no handler' in foreign.said
    assert not (world.node.folder / "trapped").exists()


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"passphrase": "wrong"}, "No backup of main can be read in the repository: ["),
        ({"keep_free": 2**60}, "There is no room: the copy takes"),
        ({"job": Job("n1", "main", 1, 17)}, "PostgreSQL 17 is not installed here"),
        ({"job": Job("n1", "other", 1, 15)}, "No backup of other can be read in the repository: missing stanza path"),
        ({"place": "/proc/drill"}, "has to be a folder of the user postgres"),
        ({"seconds": 0}, "It was not done within"),
    ],
    ids=("passphrase", "no space", "another PostgreSQL", "nothing there", "no folder", "too slow"),
)
def test_what_goes_wrong_is_said(world, plan, words):
    code, said, ended = world.run(**plan)
    assert (code, ended.ok) == (1, False)
    assert words in ended.words
    assert ended.words in said


def test_a_run_that_was_killed_leaves_nothing_behind_the_next(world):
    process = world.begin(world.place(checks=checks("SELECT pg_sleep(100) => x")))
    until = time.monotonic() + 60
    pids = []
    while not pids:  # its copy runs
        assert time.monotonic() < until
        time.sleep(0.05)
        pids = [one for one in world.copies.glob("run.*/data/postmaster.pid") if one.read_text().count("\n") > 6]
    # While it runs, no sweep takes its copy: neither its own, nor that of another plan on this machine.
    for cluster in (CLUSTER, "another"):
        world.node.run(world.place(cluster=cluster), "sweep")
    assert pids[0].exists()
    os.killpg(process.pid, 9)
    process.communicate(timeout=20)
    world.node.run(world.place(cluster="another"), "sweep")
    assert pids[0].exists()
    server = int(pids[0].read_text().splitlines()[0])
    assert not is_gone(server)
    # What it did not make, it leaves alone.
    theirs = world.copies / "run.precious00"
    world.node.run("mkdir", "-p", theirs / "data")
    link = world.copies / "run.elsewhere0"
    link.symlink_to(theirs)
    process = world.begin(world.place(keep_free=2**60))
    process.communicate(timeout=60)
    assert sorted(one.name for one in world.copies.iterdir()) == ["run.elsewhere0", "run.precious00"]
    assert is_gone(server)
    shutil.rmtree(world.copies)


def leftover(world, name, place=None):
    """Make a folder as a run has that was killed."""
    left = (place or world.copies) / name
    world.node.run("mkdir", "-p", "-m", "700", left, left / "data")
    (left / drill_script.MARK).write_text(f"{world.identity}\n")
    return left


def test_a_sweep_stops_no_server_but_the_copys(world):
    script = world.place()
    left = leftover(world, "run.reused0000")
    world.node.start()
    try:
        shutil.copy(world.node.data / "postmaster.pid", left / "data")
        aside = leftover(world, "run.alink00000")
        (aside / "data").rmdir()
        (aside / "data").symlink_to(world.node.data)
        world.node.run(script, "sweep")
        assert world.node.sql("SELECT 1") == "1"
    finally:
        world.node.stop()
    assert [one.name for one in world.copies.iterdir()] == ["run.alink00000"]
    shutil.rmtree(world.copies)


def test_a_folder_that_others_can_write_to_is_not_swept(world):
    open_to_all = world.node.folder / "shared"
    open_to_all.mkdir()
    place = open_to_all / "copies"
    for mode, owner, kept in ((0o777, 0, True), (0o1777, world.node.owner.pw_uid, False), (0o1777, 1, True)):
        os.chown(open_to_all, owner, owner)
        open_to_all.chmod(mode)
        left = leftover(world, "run.leftover00", place)
        world.node.run(world.place(place=str(place)), "sweep")
        assert left.exists() == kept
        code, _, ended = world.run(place=str(place), keep_free=2**60)
        assert code == 1
        assert ("above" in ended.words, left.exists()) == (kept, kept)
    shutil.rmtree(place)
    leftover(world, "run.leftover00", place)
    os.chown(open_to_all, 0, 0)
    open_to_all.chmod(0o755)
    for folder in (place, place / "run.leftover00"):
        folder.chmod(0o770)
        world.node.run(world.place(place=str(place)), "sweep")
        folder.chmod(0o700)
    os.chown(place, 1, 1)
    world.node.run(world.place(place=str(place)), "sweep")
    assert (place / "run.leftover00").exists()
    shutil.rmtree(open_to_all)


def test_a_place_in_a_data_directory_is_refused(world):
    for place in (world.node.data, world.node.data / "base/copies", world.node.data / "pg_twophase"):
        code, _, ended = world.run(place=str(place))
        assert (code, ended.words) == (1, f"{place} is in the data directory of a PostgreSQL.")
        assert not list(world.node.data.glob("base/copies")) + list(world.node.data.glob("run.*"))
    assert (world.node.data / "pg_twophase").is_dir()  # which is empty, and PostgreSQL does not start without it


def test_a_report_that_does_not_get_through_is_sent_at_the_next_run(world, monkeypatch):
    hasten(monkeypatch)
    world.listener.status = 503
    before = len(world.listener.received)
    code, said, ended = world.run(keep_free=2**60)
    assert (code, "A report waits until the console takes it. It answered 503." in said) == (1, True)
    world.listener.status = 200
    world.run(keep_free=2**60)
    late = [of_json(body) for _, _, body in world.listener.received[before:]][2:4]
    assert [(one.run, one.event) for one in late] == [(ended.run, "begin"), (ended.run, "end")]
    assert late[1].sent >= ended.sent


def hasten(monkeypatch):
    """Have a report tried once."""
    monkeypatch.setattr(drill_script, "FUNCTIONS", drill_script.FUNCTIONS.replace("in $pauses ''", "in ''"))


def test_what_waits_is_sent_without_a_run_once_the_console_is_back(world, monkeypatch):
    hasten(monkeypatch)
    world.listener.status = 503
    for _ in range(2):
        _, _, ended = world.run(keep_free=2**60)
    script, received = world.place(keep_free=2**60), world.listener.received

    def deliver():
        before = len(received)
        ran = world.node.run(script, "deliver")
        return ran.stdout + ran.stderr, [of_json(body) for _, _, body in received[before:]]

    # While it is away, one is tried, and nobody is told every five minutes.
    said, tried = deliver()
    assert (said, [one.event for one in tried]) == ("", ["begin"])
    world.listener.status = 200
    said, sent = deliver()
    assert (said, [one.event for one in sent]) == ("", ["begin", "end"] * 2)
    assert sent[-1].run == ended.run
    assert deliver() == ("", [])


def test_a_verification_finds_what_is_lost(world):
    code, said, ended = world.run(what="verify", place="")
    assert (code, said, ended.ok) == (0, "", True)
    lost = next((world.node.folder / "repository/backup/main").glob("*F/pg_data/base/1/1259.gz"))
    kept = lost.rename(lost.with_suffix(".kept"))
    code, said, ended = world.run(what="verify", place="")
    kept.rename(lost)
    assert (code, ended.ok) == (1, False)
    assert ended.words.startswith("missing: 1 in backup 20")
    assert binaries().exists()


def test_it_takes_no_other_plan_and_no_other_user(world):
    script = world.place()
    for arguments, code in (((), 64), (("8",), 64), (("7", "8"), 64), (("sweep",), 0), (("deliver",), 0)):
        assert world.node.run(script, *arguments, check=False).returncode == code
    assert subprocess.run([script, "7"], check=False, capture_output=True).returncode == 1
