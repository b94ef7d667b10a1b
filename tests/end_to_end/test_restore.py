"""Every kind of restore, run as it is handed out: real PostgreSQL, Debian's pgBackRest and a newer one.

One node and one repository serve all of them: what is restored is what a table held at each of its times.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from clusters.handover.steps import archive_command
from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, StanzaConfiguration, Target
from clusters.pgbackrest.layout import Layout
from clusters.pgbackrest.restore import IN_PLACE, Point, Restore, drill_command
from clusters.pgbackrest.restore_script import restore_script
from console.clouds.contract import RepositoryOptions
from console.demo.servers import free_port
from tests.newer_pgbackrest import Unavailable, unpacked
from tests.pgbackrest_node import Node, fresh_node
from tests.sampling import thorough_but

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="runs what an administrator runs as root on a node"),
]
CALLED = Layout().pgbackrest.split()
FULL, POINT = "full", "before-the-mistake"


@dataclass
class World:
    """A node that has written rows 1 to 5, each at a time of its own, with a full and an incremental backup."""

    node: Node
    repository: Path
    target: Target
    labels: list[str] = field(default_factory=list)
    at: dict[str, str] = field(default_factory=dict)  # after row 2: time, lsn; xid of row 3

    @property
    def timelines(self) -> list[str]:
        """The history files of the archive: one for each timeline that was begun."""
        return sorted(one.name.split(".")[0] for one in (self.repository / "archive").rglob("*.history*"))

    def add(self, row: int) -> None:
        self.node.sql(f"INSERT INTO rows VALUES ({row})")

    def sent(self) -> None:
        """Have everything archived."""
        last = self.node.sql("SELECT pg_walfile_name(pg_switch_wal())")
        until = time.monotonic() + 30
        while not list(self.repository.rglob(f"{last}-*")):
            assert time.monotonic() < until
            time.sleep(0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    # In memory: pgBackRest has each of the thousand files of each copy written through to the disk.
    below = Path("/dev/shm")
    with fresh_node(tmp_path_factory.mktemp("aside"), below if below.is_dir() else None) as node:
        repository = node.folder / "repository"
        options = RepositoryOptions((("type", "posix"),))
        target = Target(1, "attic", str(repository), options, "p" * 64, "count", 9, None, folder=Layout().folder)
        stanza = StanzaConfiguration("main", 15, str(node.data), node.port)
        configuration = Configuration("orders", "n1", BY_NUMBER["2.45"], [target], [stanza])
        layout = configuration.layout
        for place in (layout.folder, layout.logs, layout.spool):
            Path(place).mkdir(parents=True)
            os.chown(place, node.owner.pw_uid, node.owner.pw_gid)
        Path(configuration.layout.configuration).write_text(configuration.render(secrets=True))
        Path(configuration.layout.configuration).chmod(0o644)
        with (node.data / "postgresql.auto.conf").open("a") as file:
            command = archive_command(configuration, "main")
            file.write(f"archive_mode = on\narchive_command = '{command}'\nmax_connections = 130\n")
        tablespace = node.folder / "elsewhere" / "fast"
        node.run("mkdir", "-p", tablespace)
        node.start()
        node.run(*CALLED, "--stanza=main", "stanza-create")
        world = World(node, repository, target)
        node.sql(f"CREATE TABLESPACE fast LOCATION '{tablespace}'")
        node.sql("CREATE TABLE rows (number int) TABLESPACE fast")
        world.add(1)
        node.run(*CALLED, "--stanza=main", "--type=full", "backup")
        world.add(2)
        time.sleep(1.1)  # a target is a whole second
        world.at["time"] = node.sql("SET timezone = 'UTC'; SELECT date_trunc('second', now())") + ""
        world.at["lsn"] = node.sql("SELECT pg_current_wal_lsn()")
        node.sql(f"SELECT pg_create_restore_point('{POINT}')")
        world.at["xid"] = node.sql("BEGIN; INSERT INTO rows VALUES (3); SELECT txid_current(); COMMIT").splitlines()[-1]
        world.sent()
        node.run(*CALLED, "--stanza=main", "--type=incr", "backup")
        world.add(4)
        world.sent()
        world.labels = sorted(one.name for one in (repository / "backup/main").iterdir() if one.name[:2] == "20")
        yield world
        world.node.stop(how="immediate")


VERSIONS = {"Debian's": "", "newer": os.environ.get("NEWER_PGBACKREST_OF", "trixie")}


@pytest.fixture(scope="module")
def newer():
    """PATH with the pgBackRest of a later Debian, or why there is none."""
    # Beside pytest's own folder, which each run of pytest closes to all but root.
    folder = Path(tempfile.mkdtemp(prefix="newer-"))
    try:
        yield f"{unpacked(folder, VERSIONS['newer'])}:{os.environ['PATH']}", ""
    except Unavailable as error:
        yield os.environ["PATH"], f"no newer pgBackRest here: {error}"
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=VERSIONS)
def path(request):
    """PATH with Debian 12's pgBackRest, and with that of a later Debian."""
    if not VERSIONS[request.param]:
        return os.environ["PATH"]
    found, missing = request.getfixturevalue("newer")
    if missing:
        pytest.skip(missing)
    return found


def run(script, path, *, answers="", elsewhere=False):
    """Run a script as root; elsewhere is a machine without the node's configuration."""
    file = Path("/tmp") / f"restore-{os.getpid()}.sh"
    file.write_text(script)
    command = ["sh", str(file)]
    if elsewhere:
        command = ["unshare", "-m", "sh", "-ec", 'mount -t tmpfs none /etc/pgbackrest; exec "$@"', "sh", *command]
    try:
        return subprocess.run(
            command,
            input=answers,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",  # what a wrong passphrase makes of a file is no text
            timeout=120,
            env={"PATH": path, "LANG": "C.UTF-8"},
        )
    finally:
        file.unlink()


def afterwards(ran):
    """The commands that a script ends with."""
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return re.findall(r"(?m)^   (.+)$", ran.stdout)


def as_root(line, path):
    """Run a line as an administrator: sudo itself is not needed, since we are root."""
    line = line.replace("sudo -u postgres", "runuser -u postgres --").replace("sudo ", "")
    ran = subprocess.run(
        ["sh", "-ec", line],
        cwd="/",
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": path, "LANG": "C.UTF-8"},
    )
    if ran.returncode:
        log = re.search(r"-l '?([^']+postgresql\.log)", line)
        told = Path(log[1]).read_text()[-2000:] if log else ""
        raise AssertionError(f"{line}\n{ran.stdout}{ran.stderr}{told}")
    return ran.stdout


def ask(show, path, *statements):
    """What the restored server answers; `show` is the command that looks at it."""
    before, given = re.fullmatch(r'(.*) -c "(SELECT [^"]*)"', show).groups()
    assert given == "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()"
    as_root(show, path)
    asked = " ".join(f'-c "{statement}"' for statement in statements)
    return as_root(f"{before} -XAtq {asked}", path).split()


STATE = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() ELSE 'promoted' END"
ROWS = "SELECT string_agg(number::text, ',' ORDER BY number) FROM rows"


def rows_of(show, path):
    """The rows of a restored server, once it has come as far as it should."""
    until = time.monotonic() + 30
    while ask(show, path, STATE)[0] not in {"paused", "promoted"}:
        assert time.monotonic() < until
        time.sleep(0.1)
    return ask(show, path, ROWS)[0]


def copy(world, **choice):
    """A restore of the node's database into a folder of its own."""
    folder = world.node.folder / f"copy {len(list(world.node.folder.iterdir()))}"
    chosen = {"where": "folder", "folder": str(folder), "port": free_port(), "point": Point(), "size": 30_000_000}
    return Restore("orders", "n1", "main", world.target, **{"postgresql": 15, **chosen, **choice})


def kinds(world):
    full, incremental = world.labels
    at, xid = {**world.at}, world.at["xid"]
    return {
        "to the end": ("", Point(), "1,2,3,4"),
        "full backup, to the end": (full, Point(), "1,2,3,4"),
        "full backup, consistent": (full, Point("immediate"), "1"),
        "newest backup, consistent": ("", Point("immediate"), "1,2,3"),
        "time": ("", Point("time", f"{at['time']}"), "1,2"),
        "restore point": (full, Point("name", POINT), "1,2"),
        "LSN": ("", Point("lsn", at["lsn"]), "1,2"),
        "transaction": (full, Point("xid", xid), "1,2,3"),
        "before a transaction": (full, Point("xid", xid, exclusive=True), "1,2"),
        "timeline": ("", Point(timeline="1"), "1,2,3,4"),
        "an incremental backup": (incremental, Point(), "1,2,3,4"),
    }


NAMES = (
    "to the end",
    "full backup, to the end",
    "full backup, consistent",
    "newest backup, consistent",
    "time",
    "restore point",
    "LSN",
    "transaction",
    "before a transaction",
    "timeline",
    "an incremental backup",
)


@pytest.mark.parametrize("kind", thorough_but(NAMES, by=lambda kind: NAMES.index(kind) // 3))
def test_a_copy_is_what_was_chosen_and_archives_nothing(world, path, kind, say):
    label, point, expected = kinds(world)[kind]
    elsewhere = NAMES.index(kind) % 2 == 1
    restore = copy(world, label=label, point=point, where="machine" if elsewhere else "folder")
    began = time.monotonic()
    start, show, *rest = afterwards(run(restore_script(restore, secrets=True), path, elsewhere=elsewhere))
    restored = time.monotonic() - began
    as_root(start, path)
    assert rows_of(show, path) == expected
    say(f"{kind}: restored in {restored:.2f} s, looked at after {time.monotonic() - began:.2f} s")
    if point.kind != "latest":
        as_root(rest.pop(0), path)  # promoted
    secrets, discard = rest
    assert ask(show, path, "SHOW archive_mode") == ["off"]
    assert ask(show, path, "SELECT pg_walfile_name(pg_current_wal_lsn())")[0][:8] == "00000002"
    ask(show, path, "INSERT INTO rows VALUES (99)", "SELECT pg_switch_wal()")
    home = Path(restore.folder)
    assert home.stat().st_mode & 0o777 == 0o700
    assert not {one.name for one in home.iterdir() if one.is_file() and one.stat().st_mode & 0o007}
    assert list((home / "tablespaces").iterdir())
    as_root(secrets, path)
    assert not [one for one in home.iterdir() if one.name.startswith(("pgbackrest.conf", "repo"))]
    as_root(discard, path)
    assert not home.exists()
    assert world.timelines == []
    assert world.node.sql("SELECT count(*) FROM rows") == "4"


REFUSED = "Nothing was changed."


def look(folder):
    """All that is below a folder, with who owns it and what it says."""
    return {
        str(one): (one.lstat().st_uid, one.lstat().st_mode, one.read_bytes() if one.is_file() else b"")
        for one in sorted(folder.rglob("*"))
    }


def test_a_folder_that_is_not_empty_is_refused(world):
    restore = copy(world)
    taken = Path(restore.folder)
    world.node.run("mkdir", "-p", taken / "precious")
    before = look(taken)
    ran = run(restore_script(restore, secrets=True), os.environ["PATH"])
    assert ran.returncode == 1
    assert f"{taken} is not empty" in ran.stderr
    assert REFUSED in ran.stderr
    assert look(taken) == before
    shutil.rmtree(taken)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"least": "2.99"}, "these backups need 2.99 or newer"),
        ({"postgresql": 17}, "PostgreSQL 17 is not installed here"),
        ({"size": 10**15}, "MB free"),
        ({"folder": "/nowhere/at/all"}, "There is no folder"),
        ({"folder": Layout().configuration}, "has to be an empty folder of the user postgres"),
    ],
)
def test_a_machine_that_cannot_is_told_why(world, changes, why):
    restore = copy(world, **{"folder": str(world.node.folder / "copy"), **changes})
    before = {*world.node.folder.iterdir()}, look(Path("/etc/pgbackrest"))
    ran = run(restore_script(restore, secrets=True), os.environ["PATH"])
    assert (ran.returncode, why in ran.stderr, REFUSED in ran.stderr) == (1, True, True), ran.stderr
    assert ({*world.node.folder.iterdir()}, look(Path("/etc/pgbackrest"))) == before


def test_a_link_is_not_followed(world):
    elsewhere, link = world.node.folder / "theirs", world.node.folder / "copy"
    elsewhere.mkdir()
    link.symlink_to(elsewhere)
    ran = run(restore_script(copy(world, folder=str(link)), secrets=True), os.environ["PATH"])
    assert (ran.returncode, list(elsewhere.iterdir())) == (1, [])
    assert "has to be an empty folder" in ran.stderr
    link.unlink()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"target": {"cipher_pass": "wrong" * 10}}, "is or was the repo encrypted|CryptoError|FormatError"),
        ({"target": {"path": "/nowhere"}}, "no prior|unable to"),
        ({"label": "20200101-000000F"}, "20200101-000000F"),
        ({"point": Point("xid", "5"), "label": "no such"}, "no such"),
    ],
)
def test_what_fails_leaves_nothing_behind(world, changes, why):
    target = replace(world.target, **changes.pop("target", {}))
    restore = replace(copy(world, **changes), target=target)
    ran = run(restore_script(restore, secrets=True), os.environ["PATH"])
    assert ran.returncode
    assert re.search(why, ran.stderr), ran.stderr
    assert "Everything is as it was." in ran.stderr
    assert not Path(restore.folder).exists()


def test_a_copy_can_be_made_while_a_backup_runs(world, path):
    lock = Path(Layout().locks, "main-backup.lock")
    owner = {"user": world.node.owner.pw_uid, "group": world.node.owner.pw_gid, "extra_groups": []}
    command = [*CALLED, "--stanza=main", "--type=full", "backup"]
    backup = subprocess.Popen(command, start_new_session=True, cwd="/", **owner)
    try:
        until = time.monotonic() + 20
        while not lock.exists() or not lock.read_bytes():
            assert time.monotonic() < until
            time.sleep(0.02)
        os.killpg(backup.pid, signal.SIGSTOP)  # it holds its lock, however quick it is
        start, show, _, discard = afterwards(run(restore_script(copy(world), secrets=True), path))
        as_root(start, path)
        assert rows_of(show, path) == "1,2,3,4"
        as_root(discard, path)
        drill = drill_command("main", str(world.node.data), 1, Layout())
        as_root(drill, path)
        restored = Path(f"{world.node.data}-drill")
        assert "archive_mode = 'off'" in (restored / "postgresql.auto.conf").read_text()
        for one in world.node.folder.glob("data-drill*"):
            shutil.rmtree(one)
        assert backup.poll() is None
        os.killpg(backup.pid, signal.SIGCONT)
        assert backup.wait(60) == 0
    finally:
        if backup.poll() is None:
            os.killpg(backup.pid, signal.SIGCONT)
            os.killpg(backup.pid, signal.SIGTERM)
            backup.wait()
    label = sorted((world.repository / "backup/main").glob("2*F"))[-1].name
    world.node.run(*CALLED, "--stanza=main", f"--set={label}", "expire")


def test_the_node_itself_goes_back_and_on(world, newer):
    """In place: to the end, which is what production had; then to a time, by a newer pgBackRest if there is one."""
    newer = newer[0]
    node, debian = world.node, os.environ["PATH"]
    world.add(5)
    world.sent()
    in_place = {"where": IN_PLACE, "folder": str(node.data), "port": node.port, "node_has_it": True}
    restore = copy(world, **in_place)
    ran = run(restore_script(restore, secrets=True), debian)
    assert (ran.returncode, f"PostgreSQL runs in {node.data}" in ran.stderr) == (1, True)
    node.stop()

    failed = replace(restore, label="20200101-000000F")
    before = look(node.folder)
    assert "Everything is as it was." in run(restore_script(failed, secrets=True), debian).stderr
    assert look(node.folder) == before

    tablespace = node.folder / "elsewhere/fast"
    start, show, backup = afterwards(run(restore_script(restore, secrets=True), debian))
    assert start.endswith(f"pg_ctl -D {node.data} -l {node.data}/pg_ctl.log -w start")  # none of Debian's own servers
    node.start()
    assert rows_of(show, debian) == "1,2,3,4,5"
    until = time.monotonic() + 30
    while node.sql("SELECT pg_is_in_recovery()") == "t":
        assert time.monotonic() < until
    assert world.timelines[:1] == ["00000002"]
    as_root(backup, debian)
    (aside,) = node.folder.glob("data.before-restore-*")
    kept = [Path(os.readlink(one)) for one in (aside / "pg_tblspc").iterdir()]
    assert [one.parent for one in kept] == [tablespace.parent]
    assert kept[0].name.startswith("fast.before-restore-")
    world.add(6)
    world.sent()
    node.stop()

    own = replace(restore, label=world.labels[0], point=Point("time", world.at["time"]), node_has_it=False)
    start, show, promote, backup, remove = afterwards(run(restore_script(own, secrets=True), newer))
    node.start()
    assert rows_of(show, newer) == "1,2"
    as_root(promote, newer)
    as_root(backup, newer)
    as_root(remove, newer)
    assert not Path(own.home).exists()
    world.add(7)
    assert node.sql("SELECT string_agg(number::text, ',') FROM rows") == "1,2,7"
    assert world.timelines[:2] == ["00000002", "00000003"]
