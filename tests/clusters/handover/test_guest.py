"""The set-up script is a guest on other people's machines: it touches nothing but its own, and can be undone."""

from __future__ import annotations

import os
import shutil
import signal
import stat

import pytest

from tests.clusters.earlier_layout import EARLIER, earlier_files
from tests.clusters.handed_over import handed
from tests.node_machine import Machine
from tests.sampling import THOROUGH

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="is root on a machine of its own"),
]
MANY = 1000  # more than a script does
ADDRESS = "https://console.example.com/"
SCHEDULE = {"full": "0 1 * * 0"}
# What a script changes a machine with. Each ends the script that calls it, as a machine that is switched off would.
TOOLS = ("mv", "rm", "rmdir", "mkdir", "chown", "chmod", "install", "mktemp", "cat", "systemctl")
COUNTING = """#!/bin/sh
[ -e {counter} ] || exec {real} "$@"
exec 9>>{counter} # two of a pipeline run at once
flock 9
left=$(($(cat {counter}.n) - 1))
echo $left > {counter}.n
[ $left -gt 0 ] || kill -KILL 0
exec 9>&-
exec {real} "$@"
"""


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "machine")


def run(machine, script, *arguments):
    return machine.run(f"set -- {' '.join(arguments)}\n{script}")


def setup_of(node_setup):
    return node_setup.setup(ADDRESS)


def ran_well(machine, script, *arguments):
    ran = run(machine, script, *arguments)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout


def changed(before, after):
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def times(machine):
    """When each file was last written or given to somebody, by its path."""
    found = {}
    for path in machine.look():
        facts = machine.place(path).lstat()
        found[path] = (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)
    return found


def test_it_only_looks_then_does_what_it_said_and_then_nothing(machine):
    script, before = setup_of(handed()), machine.look()
    looked = run(machine, script, "--check")
    assert (looked.returncode, machine.look()) == (1, before)
    assert ran_well(machine, script).replace("does this:", "would").startswith(looked.stdout)
    new = [path for path, what in machine.look().items() if path not in before and what[0] == "-"]
    said = looked.stdout.split()
    assert {path for path in new if path not in said} == {f"{handed().layout.installed}"}
    first = times(machine)
    for arguments in ((), ("--check",), ("--replace",)):
        assert ran_well(machine, script, *arguments) == "Storekeeper: n1 is in order, and nothing was changed.\n"
    assert times(machine) == first


def test_a_mode_that_somebody_has_changed_is_put_right(machine):
    script, layout = setup_of(handed()), handed().layout
    ran_well(machine, script)
    machine.place(layout.configuration).chmod(0o644)
    assert run(machine, script, "--check").returncode == 1
    ran_well(machine, script)
    assert stat.S_IMODE(machine.place(layout.configuration).stat().st_mode) == 0o640


def test_what_was_copied_by_hand_from_the_page_is_taken_for_ours(machine):
    node_setup = handed()
    layout = node_setup.layout
    machine.place(layout.crontab).write_text(node_setup.crontab.content)
    ran_well(machine, setup_of(node_setup))
    assert f"  {layout.crontab}\n" in machine.place(layout.installed).read_text()


def test_a_file_that_is_handed_out_no_more_goes_and_one_that_somebody_changed_is_kept(machine):
    layout, with_left = handed().layout, handed()
    without = handed()
    vars(without)["configuration"] = type(without.configuration)(**{**vars(without.configuration), "left": ()})
    ran_well(machine, setup_of(with_left))
    assert machine.place(layout.left).exists()
    said = ran_well(machine, setup_of(without))
    assert f"remove {layout.left}\n" in said
    assert not machine.place(layout.left).exists()
    ran_well(machine, setup_of(with_left))
    machine.place(layout.left).write_text("mine\n")
    ran_well(machine, setup_of(without))
    [kept] = machine.place(layout.folder).glob("left.conf.changed-*")
    assert kept.read_text() == "mine\n"


def by_hand(machine):
    """A machine with a configuration, a schedule and a unit that somebody made for pgBackRest."""
    for path in (
        "/etc/pgbackrest.conf",
        "/etc/pgbackrest/pgbackrest.conf",
        "/etc/pgbackrest/conf.d/main.conf",
        "/etc/cron.d/pgbackrest",
        "/etc/logrotate.d/pgbackrest",
        "/etc/systemd/system/pgbackrest-full.timer",
        "/etc/systemd/system/pgbackrest-full.service",
        "/var/log/pgbackrest/main-backup.log",
        "/var/spool/pgbackrest/archive/main/out/x.ok",
    ):
        machine.place(path).parent.mkdir(parents=True, exist_ok=True)
        machine.place(path).write_text("mine\n")
    for path in ("/var/log/pgbackrest", "/var/spool/pgbackrest"):
        machine.own(path)


@pytest.mark.parametrize("others", [lambda machine: None, by_hand], ids=["alone", "beside a hand-made one"])
def test_undo_takes_everything_back_and_nothing_else(machine, others):
    others(machine)
    node_setup, before = handed(schedules=SCHEDULE), machine.look()
    script = setup_of(node_setup)
    for timers in (False, True):
        ran_well(machine, script)
        if timers:
            ran_well(machine, node_setup.timers_script)
        there = machine.look()
        assert {path for path in changed(before, there) if path in before} == set()
        undo = machine.place(node_setup.layout.undo).read_text() if timers else f"set -- --undo\n{script}"
        ran_well(machine, undo)
        assert changed(before, machine.look()) <= {"/etc/systemd/system/timers.target.wants"}  # systemctl's own
    assert "nothing of n1 is here" in ran_well(machine, script, "--undo")


def test_undo_keeps_logs_and_what_somebody_has_changed(machine):
    node_setup = handed()
    layout = node_setup.layout
    ran_well(machine, setup_of(node_setup))
    log, spooled = machine.place(f"{layout.logs}/main-backup.log"), machine.place(f"{layout.spool}/archive")
    log.write_text("a log\n")
    spooled.mkdir()
    machine.own(f"{layout.spool}/archive")
    machine.place(layout.crontab).write_text("mine\n")
    said = ran_well(machine, setup_of(node_setup), "--undo")
    assert f"Logs stay in {layout.logs}." in said
    assert log.exists()
    assert not machine.place(layout.spool).exists()
    assert not machine.place(layout.crontab).exists()
    [kept] = machine.place(layout.folder).glob("pgbackrest-orders-aaa4.changed-*")
    assert kept.read_text() == "mine\n"
    assert not machine.place(layout.configuration).exists()
    # And set up again, as before.
    ran_well(machine, setup_of(node_setup))
    assert machine.place(layout.crontab).read_text() == node_setup.crontab.content


def archives_with(machine, command):
    """Have a psql there that answers for PostgreSQL, "" that it does not; and what its configuration says."""
    psql = machine.place("/var/bin/psql")  # where postgres may run it
    psql.parent.mkdir(exist_ok=True)
    psql.write_text(f"#!/bin/sh\n[ '{command}' ] || exit 2\necho '{command}'\n")
    psql.chmod(0o755)


@pytest.mark.parametrize("is_running", [True, False])
def test_undo_is_refused_while_postgresql_archives_with_our_configuration(machine, is_running):
    node_setup = handed()
    [command] = node_setup.archiving
    ran_well(machine, setup_of(node_setup))
    archives_with(machine, command if is_running else "")
    settings = machine.place("/var/lib/postgresql/15/main/postgresql.auto.conf")
    settings.write_text("" if is_running else f"archive_command = '{command}'\n")
    machine.own("/var/lib/postgresql/15/main")
    before = machine.look()
    for script in (f"set -- --undo\n{setup_of(node_setup)}", machine.place(node_setup.layout.undo).read_text()):
        ran = machine.run(script)
        assert (ran.returncode, machine.look()) == (1, before)
        assert "The PostgreSQL on port 5432 archives with" in ran.stderr
        assert "ALTER SYSTEM RESET archive_command" in ran.stderr
    settings.write_text(f"# archive_command = '{command}'\n")
    archives_with(machine, "(disabled)")
    ran_well(machine, setup_of(node_setup), "--undo")


def test_an_archive_command_of_somebody_else_s_is_named(machine):
    archives_with(machine, "wal-g wal-push %p")
    node_setup = handed()
    for arguments in (("--check",), (), ()):
        said = run(machine, setup_of(node_setup), *arguments).stdout
        assert "The PostgreSQL on port 5432 archives by: wal-g wal-push %p\n" in said
        assert f"replaces that by: {node_setup.archiving[0]}\n" in said


# Broken off


def counting(machine, number):
    """Have the script end by itself, as if somebody had pulled the plug, when it changes something for the nth time."""
    counter = machine.folder / "bin/counter"
    for tool in TOOLS:
        kept = machine.folder / "bin" / tool
        real = f"{machine.folder}/bin/systemctl.real" if tool == "systemctl" else f"/usr/bin/{tool}"
        if tool == "systemctl" and not (machine.folder / "bin/systemctl.real").exists():
            kept.rename(machine.folder / "bin/systemctl.real")
        kept.write_text(COUNTING.format(counter=counter, real=real).replace("$(cat", "$(/usr/bin/cat"))
        kept.chmod(0o755)
    counter.touch()
    (machine.folder / "bin/counter.n").write_text(f"{number}\n")


def uncounted(machine):
    (machine.folder / "bin/counter").unlink(missing_ok=True)


@pytest.mark.parametrize("what", ["setup", "timers", "upgrade", "undo"])
def test_wherever_it_is_broken_off_running_it_again_ends_as_if_it_had_not_been(tmp_path, what, say):
    node_setup = handed(schedules=SCHEDULE)
    setup, timers = setup_of(node_setup), node_setup.timers_script
    undo = f"set -- --undo\n{setup}"
    script = {"setup": setup, "timers": timers, "upgrade": setup, "undo": undo}[what]

    def make(name):
        found = Machine(tmp_path / name)
        if what == "upgrade":
            earlier_files(found, "orders", "n1", timers=True)
        if what in {"timers", "undo"}:
            ran_well(found, setup)
        if what == "undo":
            ran_well(found, timers)
        return found

    whole = make("whole")
    counting(whole, MANY)
    ran_well(whole, script)
    uncounted(whole)
    end, steps = whole.look(), MANY - int((whole.folder / "bin/counter.n").read_text())
    # Two places, others for each script: they have the same ways to write and to remove.
    numbers = range(1, steps + 1) if THOROUGH else range(1 + len(what) % 4, steps + 1, max(1, steps // 2))
    for number in numbers:
        machine = make(str(number))
        counting(machine, number)
        assert machine.run(script).returncode == -signal.SIGKILL
        uncounted(machine)
        ran_well(machine, script)
        assert changed(machine.look(), end) <= {node_setup.layout.installed}, number
        assert ("nothing of n1 is here" if what == "undo" else "in order") in ran_well(machine, script), number
        shutil.rmtree(machine.folder)
    assert steps > 5
    say(steps=steps, broken_off=len(numbers))


# Beside others


def test_two_clusters_share_a_machine_and_go_one_after_the_other(machine):
    before = machine.look()
    one, two = handed("orders"), handed("orders", number=99)
    assert one.layout.cluster != two.layout.cluster
    for each in (one, two):
        ran_well(machine, setup_of(each))
    for each in (one, two):
        assert "in order" in ran_well(machine, setup_of(each))
        assert machine.place(each.layout.configuration).read_text() == each.configuration.render(secrets=True)
    places = [{each.layout.spool, each.layout.locks, each.layout.logs, each.layout.crontab} for each in (one, two)]
    assert not places[0] & places[1]
    ran_well(machine, setup_of(one), "--undo")
    assert "in order" in ran_well(machine, setup_of(two))
    ran_well(machine, setup_of(two), "--undo")
    assert changed(before, machine.look()) == set()


@pytest.mark.parametrize("change", [{"name": "n2"}, {"id_end": 7 + (1 << 40)}])
def test_another_node_s_folder_is_refused(machine, change):
    """Of two clusters whose folders have the same name, and of two nodes of one cluster."""
    first = handed()
    ran_well(machine, setup_of(first))
    if "name" in change:
        other = handed()
        vars(other)["configuration"] = type(other.configuration)(**{**vars(other.configuration), "node": "n2"})
    else:
        other = handed(number=change["id_end"])
        assert other.layout.cluster == first.layout.cluster
    before = machine.look()
    for arguments in ((), ("--check",), ("--undo",)):
        ran = run(machine, setup_of(other), *arguments)
        assert (ran.returncode, machine.look()) == (1, before)
        assert "has the files of another node" in ran.stderr


# From an earlier version


@pytest.mark.parametrize("timers", [True, False])
def test_an_earlier_set_up_s_schedule_goes_and_its_configuration_when_nobody_reads_it(machine, timers):
    earlier_files(machine, "orders", "n1", timers=timers)
    node_setup = handed()
    archives_with(machine, "pgbackrest --stanza=main archive-push %p")
    said = ran_well(machine, setup_of(node_setup))
    there = machine.look().keys()
    assert not [path for path in EARLIER if path.startswith(("/etc/cron.d", "/etc/systemd")) and path in there]
    assert {path for path in EARLIER if path.startswith("/etc/pgbackrest/")} <= there
    assert "PostgreSQL may still read /etc/pgbackrest/pgbackrest.conf" in said
    assert ("run orders-aaa4-n1-timers.sh to have them go on" in said) == timers
    assert "in order" in ran_well(machine, setup_of(node_setup))
    archives_with(machine, node_setup.archiving[0])
    said = ran_well(machine, setup_of(node_setup))
    assert "remove the earlier /etc/pgbackrest/pgbackrest.conf" in said
    assert not [path for path in EARLIER if path in machine.look() and path != "/etc/pgbackrest"]
    assert ran_well(machine, setup_of(node_setup)) == "Storekeeper: n1 is in order, and nothing was changed.\n"


@pytest.mark.parametrize(("cluster", "node"), [("orders", "n2"), ("orders2", "n1"), ("order", "n1")])
def test_another_node_s_earlier_files_are_left_alone(machine, cluster, node):
    earlier_files(machine, cluster, node, timers=True)
    earlier_files(machine, cluster, node)
    before = machine.look()
    ran_well(machine, setup_of(handed()))
    kept = set(EARLIER) - ({"/etc/cron.d/pgbackrest"} if cluster == "orders" else set())
    assert {path for path in kept if machine.look().get(path) != before[path]} == set()


# As machines are


def test_another_user_and_its_group_own_what_postgres_owns_elsewhere(machine):
    with machine.place("/etc/passwd").open("a") as passwd, machine.place("/etc/group").open("a") as group:
        passwd.write("pgowner:x:4711:4712::/var/lib/pg:/bin/sh\n")
        group.write("dbas:x:4712:\n")
    node_setup = handed(os_user="pgowner")
    layout = node_setup.layout
    said = ran_well(machine, setup_of(node_setup))
    found = machine.look()
    assert found[layout.configuration][1:4] == (0, 4712, 0o640)
    assert found[layout.spool][1:3] == (4711, 4712)
    assert "su pgowner dbas\n" in machine.place(layout.rotation).read_text()
    assert " pgowner " in machine.place(layout.crontab).read_text()
    assert "Save as" in machine.place(layout.configuration).read_text()
    assert "There is no" not in said


def test_a_user_that_is_not_there_is_named(machine):
    ran = run(machine, setup_of(handed(os_user="pgowner")))
    assert (ran.returncode, "There is no user pgowner" in ran.stderr) == (1, True)


def test_without_cron_the_rest_is_there_and_it_says_what_to_do(machine):
    machine.place("/etc/cron.d").rmdir()
    machine.place("/etc/logrotate.d").rmdir()
    node_setup = handed()
    said = ran_well(machine, setup_of(node_setup))
    assert "There is no /etc/cron.d, so nothing makes backups yet: run orders-aaa4-n1-timers.sh" in said
    assert machine.place(node_setup.layout.configuration).exists()
    assert "in order" in ran_well(machine, setup_of(node_setup))


def test_timers_need_what_the_set_up_script_puts_there(machine):
    ran = machine.run(handed().timers_script)
    assert (ran.returncode, "Run orders-aaa4-n1-setup.sh first." in ran.stderr) == (1, True)


def test_rpm_machines_have_their_psql_beside_each_server(machine):
    said = run(machine, setup_of(handed(system="rpm"))).stdout
    assert "There is no /usr/pgsql-15/bin/psql here that postgres can run" in said
    assert "psql here" not in run(machine, setup_of(handed())).stdout
