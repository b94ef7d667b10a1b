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
from console.clouds.contract import RepositoryOptions
from console.web.validators import readable
from tests.clusters.earlier_layout import EARLIER, earlier_files
from tests.clusters.handed_over import handed
from tests.node_machine import Machine
from tests.sampling import THOROUGH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="is root on a machine of its own"),
]
LAYOUT = handed().layout
FILE, FOLDER, LOCKS = LAYOUT.configuration, LAYOUT.folder, LAYOUT.left_locks
ABOVE = "/etc/pgbackrest"
WANTS = "/etc/systemd/system/timers.target.wants"  # where systemctl links what is enabled
ORDER = ("setup", "timers", "setup", "timers")
ATTACK = r"""
my ($to, $in, $name) = @ARGV;
while (1) { for (glob("$in/.storekeeper*"), map { "$in/$_" } ($name, qw(report.sh repo1-ca.pem))) {
  unlink; symlink $to, $_
} }
"""


@cache
def scripts():
    """The two scripts of a node."""
    node_setup = handed(schedules={"full": "0 1 * * 0"})
    return {"setup": node_setup.setup("https://console.example.com/"), "timers": node_setup.timers_script}


def new(folder):
    return Machine(folder)


def from_before(folder):
    """A machine with the files of an earlier set-up, whose folder it gave to postgres with all that is in it."""
    machine = Machine(folder)
    earlier_files(machine, "orders", "n1")
    for place in machine.place(ABOVE).iterdir():
        machine.own(f"{ABOVE}/{place.name}")
    machine.own(ABOVE)
    return machine


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """How a machine ends on which nobody has planted anything; and every path that the scripts change on it."""
    ends, found = [], set()
    for make in (new, from_before):
        machine = make(tmp_path_factory.mktemp("clean"))
        for name in ORDER:
            before = machine.look()
            ran = machine.run(scripts()[name])
            assert (ran.returncode, ran.stderr) == (0, "")
            after = machine.look()
            found |= {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        ends.append({path: what for path, what in after.items() if path not in {f"{FOLDER}/installed", ABOVE}})
    # PostgreSQL may still read the earlier configuration, so that stays.
    stays = ends[1].keys() - ends[0].keys()
    assert {path: what for path, what in ends[1].items() if path not in stays} == ends[0]
    assert f"{ABOVE}/pgbackrest.conf" in stays
    assert all(path.startswith(f"{ABOVE}/") for path in stays)
    found = {path for path in found if path not in stays and "earlier" not in path}
    found |= {str(parent) for path in found for parent in Path(path).parents} - {"/"}
    return ends[0], sorted(found - {"/etc", "/var"})


def files_of(clean):
    """The files that the scripts put there."""
    end, _ = clean
    # Links that systemctl makes are systemd's own.
    return [path for path in clean[1] if end.get(path, "?")[0] == "-" and not path.startswith(f"{WANTS}/")]


def folders_of(clean):
    return [path for path in clean[1] if clean[0].get(path, "d")[0] == "d"]


# What is planted


def linked_to_a_file(machine, place):
    place.symlink_to(machine.folder / "outside/secret")


def linked_to_a_folder(machine, place):
    place.symlink_to(machine.folder / "outside/folder")


def linked_to_nothing(machine, place):
    place.symlink_to(machine.folder / "outside/new")


def written_by_hand(machine, place):
    place.write_text("mine\n")


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


FILES = (written_by_hand, linked_to_a_file, linked_to_a_folder, linked_to_nothing, hard_linked, pipe)
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
        if after[path][1] != parent[1] and (parent[1] or parent[3] & 0o022):
            found.append(f"{path} was written in {parent}")
    return found


def whose(path):
    """The script that writes there."""
    return "timers" if path.startswith("/etc/systemd/") else "setup"


def emptied(machine):
    """As if an earlier version had made the folder, which had none of these files yet."""
    assert machine.run(scripts()["setup"]).returncode == 0
    listed = machine.place(f"{FOLDER}/installed")
    lines = listed.read_text().splitlines(keepends=True)
    head = [line for line in lines if line.startswith(("# ", "folder "))]
    for line in lines[len(head) :]:
        machine.place(line[66:].strip()).unlink()
    listed.write_text("".join(head))


@pytest.mark.parametrize("how", [*FILES, folder_of_postgres])
def test_what_somebody_else_has_put_where_a_file_belongs_is_refused(tmp_path, clean, how, say):
    machine, tried = new(tmp_path), 0
    emptied(machine)
    before = machine.look()
    files = [path for path in files_of(clean) if not path.endswith(("/installed", "/to-reload"))]
    assert len(files) >= 12
    # Each of these meets every sixth file, the next one another sixth; all of them in `make thorough`.
    for path in files if THOROUGH else files[(*FILES, *FOLDERS).index(how) % 6 :: 6]:
        plant(machine, path, how)
        planted = machine.look()
        ran = machine.run(scripts()[whose(path)])
        assert ran.returncode == 1, path
        assert re.search(rf"^Storekeeper: {re.escape(path)} .*\. Nothing was changed\.$", ran.stderr), (
            path,
            ran.stderr,
        )
        assert machine.look() == planted, path
        place = machine.place(path)
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
        tried += 1
    assert machine.look() == before
    assert tried >= 2
    say(things_planted=tried)


@pytest.mark.parametrize("turn", [0, 3, *(pytest.param(turn, marks=pytest.mark.thorough) for turn in (1, 2, 4, 5, 6))])
def test_what_somebody_has_made_of_a_file_of_ours_is_kept_aside_and_not_followed(tmp_path, clean, turn):
    """The next file meets the next thing that may be made of it, so each turn has all files and all things."""
    machine, (end, ours), hows = new(tmp_path), clean, (*FILES, folder_of_postgres)
    for name in ORDER[:2]:
        assert machine.run(scripts()[name]).returncode == 0
    there = machine.look()
    planted = [one for one in files_of(clean) if one in there and not one.endswith("/installed")]
    for number, path in enumerate(planted):
        plant(machine, path, hows[(number + turn) % len(hows)])
    before = machine.look()
    for name in ORDER:
        ran = machine.run(scripts()[name])
        assert (ran.returncode, ran.stderr) == (0, ""), name
    after = machine.look()
    kept = {path for path in after if ".changed-" in path and path not in before}
    assert len([path for path in kept if path.count("/") == 4]) == len(planted)
    found = wrongs(before, after, {*ours, *kept})
    assert [one for one in found if "/deeper " not in one] == []  # which moved with its folder
    assert {path: after.get(path) for path in end} == end


@pytest.mark.parametrize("make", [new, from_before])
@pytest.mark.parametrize("how", [*FILES, *FOLDERS])
def test_a_place_that_cannot_be_used_is_refused_before_anything_is_changed(tmp_path, clean, how, make, say):
    ours, planted = clean[1], folders_of(clean)
    if make is from_before:  # which differs there alone
        planted = [path for path in planted if path.startswith(f"{ABOVE}/")]
    elif how is not folder_of_postgres:  # which is tried everywhere; of the others each folder meets some, in turn
        part = 3 if THOROUGH else len(FILES) + len(FOLDERS) - 1
        planted = planted[(*FILES, *FOLDERS).index(how) % part :: part]
    for number, path in enumerate(planted):
        machine = make(tmp_path / str(number))
        plant(machine, path, how)
        before = machine.look()
        for name in ORDER[:2]:
            start = machine.look()
            ran = machine.run(scripts()[name])
            if ran.returncode:
                assert re.fullmatch(r"Storekeeper: .*\. Nothing was changed\.\n", ran.stderr), (path, name, ran)
                assert machine.look() == start, (path, name)
        assert wrongs(before, machine.look(), {*ours, *EARLIER}) == [], path
    say(things_planted=len(planted))


@pytest.mark.parametrize("name", ["pgbackrest.conf", "orders-aaa4"])
def test_a_folder_is_taken_from_postgres_however_fast_it_is(tmp_path, clean, name):
    machine, (_, ours) = from_before(tmp_path), clean
    secret = str(machine.folder / "outside/secret")
    before = machine.look()
    with machine.postgres_runs("perl", "-e", ATTACK, secret, ABOVE, name):
        for script in ORDER:
            machine.run(scripts()[script])
    found = wrongs(before, machine.look(), {*ours, *EARLIER})
    # What postgres itself has put there, while it could.
    assert [one for one in found if not one.startswith(f"{ABOVE}/")] == []
    assert machine.look()["/outside/secret"] == before["/outside/secret"]


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
    kept = machine.place(node_setup.layout.configuration).read_text()
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
    command = f"setpriv --reuid=postgres --regid=postgres --clear-groups {node_setup.layout.pgbackrest} --stanza=main"
    # There is no database, which it finds out when it has read its options and begun its log.
    said = machine.run(f"{command} --log-level-console=info --log-level-file=info check")
    assert f'--pg1-path="{DIRECTORY}"' in said.stdout
    assert machine.place(f"{node_setup.layout.logs}/main-check.log").stat().st_uid == machine.postgres.pw_uid


def test_owners_and_modes(clean):
    end, _ = clean
    postgres = pwd.getpwnam("postgres")
    user, group = postgres.pw_uid, postgres.pw_gid
    for path, expected in (
        (FOLDER, ("d", 0, group, 0o750)),
        (FILE, ("-", 0, group, 0o640)),
        (f"{FOLDER}/report.sh", ("-", 0, group, 0o750)),
        (f"{FOLDER}/undo.sh", ("-", 0, 0, 0o700)),
        (f"{FOLDER}/repo1-gcs-1234.json", ("-", 0, group, 0o640)),
        (f"{FOLDER}/repo1-ca.pem", ("-", 0, 0, 0o644)),
        (f"{LAYOUT.unit('report')}.timer", ("-", 0, 0, 0o644)),
        (LAYOUT.rotation, ("-", 0, 0, 0o644)),
        (LAYOUT.logs, ("d", user, group, 0o750)),
        (LAYOUT.spool, ("d", user, group, 0o750)),
    ):
        assert end[path][:4] == expected, path
