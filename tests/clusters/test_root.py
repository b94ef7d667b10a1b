"""What root runs on a node follows nothing that another has put there: wherever it is put, and whenever."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from functools import cache
from pathlib import Path

import pytest

from clusters.pgbackrest.grammar import data_directory
from clusters.pgbackrest.layout import Layout
from console.clouds.contract import RepositoryOptions
from console.web.validators import readable
from tests.clusters.handed_over import handed
from tests.node_machine import Machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="is root on a machine of its own")
LAYOUT = Layout()
FILE, FOLDER, LOCKS, RUNS = LAYOUT.configuration, LAYOUT.folder, LAYOUT.left_locks, LAYOUT.runs
WANTS = "/etc/systemd/system/timers.target.wants"  # where systemctl links what is enabled
OLD_KEY = f"{FOLDER}/repo9-gcs-0000.json"  # of a repository that is gone: the script removes it
ORDER = ("setup", "timers", "setup", "timers")
ATTACK = r"""
my ($to, $in) = @ARGV;
while (1) { for (glob("$in/* $in/.storekeeper.*"), map { "$in/$_" } qw(pgbackrest.conf report.sh repo1-ca.pem)) {
  unlink; symlink $to, $_
} }
"""


@cache
def scripts():
    """The two scripts of a node."""
    node_setup = handed()
    return {"setup": node_setup.setup("https://console.example.com/"), "timers": node_setup.timers_script}


def new(folder):
    return Machine(folder)


def from_before(folder):
    """A machine whose folder is postgres's with all that is in it, as the script once made it."""
    machine = Machine(folder)
    machine.place(FOLDER).mkdir()
    for name in ("pgbackrest.conf", "report.sh", "repo1-ca.pem", Path(OLD_KEY).name):
        machine.place(f"{FOLDER}/{name}").write_text("from before\n")
        machine.own(f"{FOLDER}/{name}")
    machine.own(FOLDER)
    return machine


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """How a machine ends on which nobody has planted anything; and every path that the scripts name or change on it."""
    ends, found = [], {OLD_KEY}
    for make in (new, from_before):
        machine = make(tmp_path_factory.mktemp("clean"))
        for name in ORDER:
            before = machine.look()
            ran = machine.run(scripts()[name])
            assert (ran.returncode, ran.stderr) == (0, "")
            after = machine.look()
            found |= {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        ends.append(after)
    assert ends[0] == ends[1]
    found |= {
        path for script in scripts().values() for path in re.findall(r"(?<![\w/.*])/[a-z]+/[\w./-]++(?!\*)", script)
    }
    others = ("/usr/", "/dev/null", "/bin/sh", "/etc/machine-id", LOCKS, RUNS)
    found = {path for path in found if not path.startswith(others)}
    found |= {str(parent) for path in found for parent in Path(path).parents} - {"/"}
    unknown = [path for path in found if not path.startswith(("/etc", "/var"))]
    assert not unknown, "the machine of the test has to get these too"
    return ends[0], sorted(found - {"/etc", "/var"})


def files_of(clean):
    end, paths = clean
    return [path for path in paths if path not in end or end[path][0] in "-l"]


def folders_of(clean):
    return [path for path in clean[1] if path not in files_of(clean)]


# What is planted


def linked_to_a_file(machine, place):
    place.symlink_to(machine.folder / "outside/secret")


def linked_to_a_folder(machine, place):
    place.symlink_to(machine.folder / "outside/folder")


def linked_to_nothing(machine, place):
    place.symlink_to(machine.folder / "outside/new")


def hard_linked(machine, place):
    os.link(machine.folder / "outside/secret", place)


def pipe(machine, place):
    os.mkfifo(place)


def folder_of_postgres(machine, place):
    (place / "deeper").mkdir(parents=True)
    os.chown(place, machine.postgres.pw_uid, machine.postgres.pw_gid)


def folder_for_a_group(machine, place):
    place.mkdir()
    place.chmod(0o775)


def folder_for_all(machine, place):
    place.mkdir()
    place.chmod(0o757)


FILES = (linked_to_a_file, linked_to_a_folder, linked_to_nothing, hard_linked, pipe)
FOLDERS = (folder_of_postgres, folder_for_a_group, folder_for_all)


def plant(machine, path, how):
    """Put it there, in place of what is there."""
    place = machine.place(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    how(machine, place)


def wrongs(before, after, ours):
    """What was changed outside, and what was written where another than root may change it."""
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    found = [f"{path} was {before.get(path)}, is {after.get(path)}" for path in changed if path not in ours]
    for path in changed & {*ours} & after.keys():
        parent = after.get(str(Path(path).parent), ("d", 0, 0, 0, ""))
        if parent[1] or parent[3] & 0o022:
            found.append(f"{path} was written in {parent}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("make", [new, from_before])
@pytest.mark.parametrize("how", FILES)
def test_what_is_planted_where_a_file_belongs_is_replaced_and_not_followed(tmp_path, clean, how, make, say):
    machine, (end, ours) = make(tmp_path), clean
    # Links that systemctl makes are systemd's own.
    planted = [path for path in files_of(clean) if not path.startswith(f"{WANTS}/")]
    for path in planted:
        plant(machine, path, how)
    before = machine.look()
    for name in ORDER:
        ran = machine.run(scripts()[name])
        assert (ran.returncode, ran.stderr) == (0, ""), name
    after = machine.look()
    assert wrongs(before, after, ours) == []
    assert {path: after.get(path) for path in ours} == {path: end.get(path) for path in ours}
    say(things_planted=len(planted))


@pytest.mark.slow
@pytest.mark.parametrize("make", [new, from_before])
@pytest.mark.parametrize("how", [*FILES, *FOLDERS])
def test_what_cannot_be_used_is_refused_before_anything_is_changed(tmp_path, clean, how, make, say):
    ours = clean[1]
    planted = ours if how is folder_of_postgres else folders_of(clean)
    if make is from_before:  # which differs in that folder alone
        planted = [path for path in planted if path.startswith(f"{FOLDER}/")]
    elif how is not folder_of_postgres:  # which is tried everywhere; of the others each folder meets a third, in turn
        planted = planted[(*FILES, *FOLDERS).index(how) % 3 :: 3]
        assert planted
    for number, path in enumerate(planted):
        machine = make(tmp_path / str(number))
        plant(machine, path, how)
        codes = []
        before = machine.look()
        for name in ORDER:
            start = machine.look()
            ran = machine.run(scripts()[name])
            codes.append(ran.returncode)
            if ran.returncode:
                assert re.fullmatch(r"Storekeeper: .*/.*\. Nothing was changed\.\n", ran.stderr), (path, name, ran)
                assert machine.look() == start, (path, name)
            if codes[-2:] == [1, 1]:  # again would be the same
                break
        assert wrongs(before, machine.look(), ours) == [], path
    say(things_planted=len(planted))


@pytest.mark.slow
def test_a_folder_is_taken_from_postgres_however_fast_it_is(tmp_path, clean):
    machine, (end, ours) = from_before(tmp_path), clean
    secret = str(machine.folder / "outside/secret")
    before = machine.look()
    with machine.postgres_runs("perl", "-e", ATTACK, secret, FOLDER):
        for name in ORDER:
            ran = machine.run(scripts()[name])
            assert (ran.returncode, ran.stderr) == (0, ""), name
    after = machine.look()
    assert [path for path in wrongs(before, after, ours) if not path.startswith(f"{FOLDER}/.storekeeper.")] == []
    assert {path: after.get(path) for path in ours} == {path: end.get(path) for path in ours}


NAME = 'Zoë\'s $(id) `id` \\ "%%" ; # & | > END_OF_FILE 備份 👩‍💻 \\'
DIRECTORY = "/d a/" + "".join(chr(one) for one in range(33, 127) if chr(one) not in "/#=") + "é備"


def test_what_people_may_enter_arrives_as_it_is(tmp_path):
    readable(NAME)
    assert data_directory(DIRECTORY) == DIRECTORY
    machine, node_setup = Machine(tmp_path), handed(NAME, DIRECTORY)
    for script in (node_setup.setup("https://console.example.com/"), node_setup.timers_script):
        ran = machine.run(script)
        assert (ran.returncode, ran.stderr) == (0, "")
        for file in node_setup.units if script == node_setup.timers_script else [node_setup.crontab]:
            assert machine.place(file.path).read_text() == file.content
    kept = machine.place(FILE).read_text()
    assert kept == node_setup.configuration.render(secrets=True)
    assert f"\npg1-path={DIRECTORY}\n" in kept


@pytest.mark.skipif(not shutil.which("pgbackrest"), reason="pgBackRest is not installed")
def test_pgbackrest_reads_as_postgres_what_root_wrote(tmp_path):
    machine = Machine(tmp_path)
    machine.place("/var/lib/pgbackrest").mkdir()
    machine.own("/var/lib/pgbackrest")
    repository = RepositoryOptions((("type", "posix"),))
    node_setup = handed("orders", DIRECTORY, repository, "/var/lib/pgbackrest")
    assert machine.run(node_setup.setup("https://console.example.com/")).returncode == 0
    command = "setpriv --reuid=postgres --regid=postgres --clear-groups pgbackrest --stanza=main"
    # There is no database, which it finds out when it has read its options and begun its log.
    said = machine.run(f"{command} --log-level-console=info --log-level-file=info check")
    assert f'--pg1-path="{DIRECTORY}"' in said.stdout
    assert machine.place("/var/log/pgbackrest/main-check.log").stat().st_uid == machine.postgres.pw_uid


def test_owners_and_modes(clean):
    end, _ = clean
    postgres = pwd.getpwnam("postgres")
    user, group = postgres.pw_uid, postgres.pw_gid
    for path, expected in (
        (FOLDER, ("d", 0, group, 0o750)),
        (FILE, ("-", 0, group, 0o640)),
        (f"{FOLDER}/report.sh", ("-", 0, group, 0o750)),
        (f"{FOLDER}/repo1-gcs-1234.json", ("-", 0, group, 0o640)),
        (f"{FOLDER}/repo1-ca.pem", ("-", 0, 0, 0o644)),
        ("/etc/systemd/system/pgbackrest-report.timer", ("-", 0, 0, 0o644)),
        ("/var/log/pgbackrest", ("d", user, group, 0o750)),
        ("/var/spool/pgbackrest", ("d", user, group, 0o750)),
    ):
        assert end[path][:4] == expected, path
    assert OLD_KEY not in end
