"""A real streaming replication: its failover, its archive, what is restored of it, and backups on the standby."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime

import pytest

from clusters.handover import steps
from clusters.pgbackrest import repository, timelines
from clusters.pgbackrest.repository import Report
from tests.clusters.pgbackrest.folder import Folder
from tests.end_to_end.console import Clock
from tests.replication import DATA, HOME, pair, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="runs servers as the user postgres, on machines of their own"),
    pytest.mark.skipif(not os.path.exists("/usr/sbin/sshd"), reason="has no sshd (make system)"),
]
WAITING = 4  # segments that the first primary had not archived when it failed


class Failover:
    """Two hosts, of which the first has failed and come back as a standby; what was seen on the way."""

    def __init__(self, below):
        self.n1, self.n2, self.repository = pair(below)
        self.clock, self.seen, self.moments = Clock(), {}, {}

    @property
    def state(self):
        """What the console reads in the repository."""
        return self.states["n1"]

    @property
    def states(self):
        """The same, folder by folder."""
        told = {("n1", "main"): self.report}
        found = repository.look(Folder(self.repository), "c-abc", "only-for-this-test", reports=told)
        return {one.node: one for one in found}

    report = Report()

    def archived(self, number):
        return next((one for one in self.state.timelines if one.number == number), None)

    @property
    def waiting(self):
        """How many segments the first host has not archived."""
        return len(list(self.n1.place(f"{DATA}/pg_wal/archive_status").glob("*.ready")))

    def insert(self, host, number):
        host.sql(f"INSERT INTO receipts VALUES ({number})")
        self.moments[number] = host.sql("SELECT now()")

    def alone(self):
        """The second host is a server of its own, with a folder of its own: what there was before."""
        host = self.n2
        host.writes_to = "n2"
        assert host.set_up().returncode == 0
        host.initialise()
        host.start()
        for line in ("stanza-create", "--type=full backup"):
            host.pgbackrest(line)
        host.stop()
        host.writes_to, host.left = "n1", "n2"

    def begin(self):
        """The first host is the primary, the second its standby; both are handed their files."""
        n1, n2 = self.n1, self.n2
        for host in (n1, n2):
            assert host.set_up().returncode == 0
        n1.initialise()
        n1.start()
        for verb in ("stanza-create", "check"):
            n1.pgbackrest(verb)
        n2.copy_from(n1)
        n2.start()
        for host in (n1, n2):  # what the pages say to run, also on a standby
            for line in (one.text for one in steps.commands(host.configuration)):
                if "wal_keep_size" in line or "pg_stat_wal_receiver" in line:
                    self.seen["follows"] = host.shell(line).stdout
        self.clock.lap("primary and standby")
        self.seen["first"] = [host.scheduled() for host in (n2, n1)]
        self.seen["made"] = [host.run_line().exists() for host in (n2, n1)]
        n1.sql("CREATE TABLE receipts (number int)")
        for number in range(3):
            self.insert(n1, number)
            n1.sql("SELECT pg_switch_wal()")
        until(lambda: not self.waiting)
        self.clock.lap("first backup")

    def fail(self):
        """The primary fails while WAL waits for a store; the standby takes over."""
        n1, n2 = self.n1, self.n2
        n1.sql("ALTER SYSTEM SET archive_command = 'false'")
        n1.sql("SELECT pg_reload_conf()")
        time.sleep(1)  # until the archiver has read it
        for number in range(10, 10 + WAITING):
            self.insert(n1, number)
            n1.sql("SELECT pg_switch_wal()")
        until(lambda: n2.sql("SELECT count(*) FROM receipts") == str(3 + WAITING))
        self.seen["waiting"] = self.waiting
        self.clock.lap("WAL that waits")
        n1.stop("immediate")
        self.clock.lap("primary killed")
        n2.shell(f"pg_ctl -D {DATA} -w promote")
        self.clock.lap("standby promoted")
        self.insert(n2, 20)
        n2.sql("SELECT pg_switch_wal()")
        until(lambda: self.archived(2))
        self.clock.lap("first WAL of the new primary in the archive")
        self.seen["before"] = self.archived(1)
        self.seen["pushed"] = [n2.shell(n2.layout.promoted, check=False) for _ in range(2)]
        self.clock.lap("what the earlier one had not archived")
        self.seen["after"] = [n2.scheduled()]
        self.clock.lap("next backup, by the new primary")

    def come_back(self):
        """The earlier primary becomes a standby."""
        n1, n2 = self.n1, self.n2
        n1.start()  # pg_rewind wants a clean end
        n1.stop()
        n1.shell(f"pg_rewind -D {DATA} --source-server='host=127.0.0.1 port={n2.port} dbname=postgres' -R")
        n1.configure()
        auto = n1.place(f"{DATA}/postgresql.auto.conf")
        lines = auto.read_text().splitlines(keepends=True)
        auto.write_text("".join(line for line in lines if not line.startswith("archive_command")))
        n1.start()
        self.insert(n2, 30)
        until(lambda: n1.sql("SELECT count(*) FROM receipts WHERE number = 30") == "1")
        self.clock.lap("earlier primary back as a standby")
        self.seen["back"] = n1.scheduled()
        self.seen["back made"] = n1.run_line().exists()
        n2.sql("SELECT pg_switch_wal()")
        time.sleep(1)
        self.seen["archiver"] = n1.sql("SELECT archived_count + failed_count FROM pg_stat_archiver")

    def remove(self):
        for host in (self.n1, self.n2):
            host.remove()
        shutil.rmtree(self.repository)


@pytest.fixture(scope="module")
def failover(tmp_path_factory):
    story = Failover(tmp_path_factory.mktemp("hosts"))
    try:
        story.alone()
        story.begin()
        story.fail()
        story.come_back()
        yield story
    finally:
        story.remove()


def test_failover_leaves_no_gap_in_the_archive(failover, say):
    first, second = failover.archived(1), failover.archived(2)
    assert failover.seen["waiting"] == WAITING
    # Nobody else archives what waited: without the script it is missing.
    assert int(second.first[8:], 16) - int(failover.seen["before"].last[8:], 16) == WAITING + 1
    assert [(one.returncode, one.stdout, one.stderr) for one in failover.seen["pushed"]] == [(0, "", "")] * 2
    for one in (first, second):
        assert one.segments == int(one.last[8:], 16) - int(one.first[8:], 16) + 1
    assert int(second.first[8:], 16) == int(first.last[8:], 16) + 1
    say("failover: " + ", ".join(failover.clock.times))


def test_the_primary_of_the_day_makes_the_backup(failover):
    assert "streaming" in failover.seen["follows"]
    standby, primary = failover.seen["first"]
    assert (standby.returncode, standby.stdout, standby.stderr) == (0, "", "")
    assert primary.returncode == 0
    assert failover.seen["made"] == [False, True]
    assert failover.seen["after"][0].returncode == 0
    assert [one.kind for one in failover.state.backups][:2] == ["full", "full"]
    assert [one.first_wal[:8] for one in failover.state.backups][:2] == ["00000001", "00000002"]
    assert (failover.seen["back"].returncode, failover.seen["back"].stderr) == (0, "")
    assert not failover.seen["back made"]
    assert failover.seen["archiver"] == "0"  # since it came back, it has archived nothing


def test_folder_that_a_host_has_left_is_listed_and_expires(failover):
    before = failover.states["n2"]
    assert (before.status, len(before.backups)) == ("read", 1)
    assert before.system_id != failover.state.system_id
    failover.n2.shell(f"pgbackrest --config={failover.n2.layout.left} --stanza=main expire")
    assert [one.label for one in failover.states["n2"].backups] == [one.label for one in before.backups]


@pytest.mark.parametrize(
    ("number", "rows"),
    [
        pytest.param(12, "6", id="before, in what waited"),
        pytest.param(20, "8", id="after", marks=pytest.mark.thorough),  # where the other one has been, too
    ],
)
def test_restored_to_a_moment_on_either_side_of_the_failover(failover, number, rows):
    host, data = failover.n2, f"{HOME}/15/restored"
    label = failover.state.backups[0].label  # made by the first primary
    host.pgbackrest(
        f"--pg1-path={data} --set={label} --type=time --target='{failover.moments[number]}' --target-timeline=latest "
        "--target-action=promote --archive-mode=off restore"
    )
    try:
        host.shell(f"pg_ctl -D {data} -l {HOME}/restored.log -o '-p {host.ssh_port}' -w start")
        until(lambda: host.sql("SELECT pg_is_in_recovery()", host.ssh_port) == "f")
        assert host.sql("SELECT count(*) FROM receipts", host.ssh_port) == rows
    finally:
        host.shell(f"pg_ctl -D {data} -m immediate -w stop", check=False)
        shutil.rmtree(host.place(data))


def test_another_database_is_no_host(failover):
    refused = failover.n1.set_up({"main": "7000000000000000001"})
    assert refused.returncode == 1
    assert "this is another database" in refused.stderr
    own = failover.n1.sql("SELECT system_identifier FROM pg_control_system()")
    assert own == failover.n2.sql("SELECT system_identifier FROM pg_control_system()")
    assert failover.n1.set_up({"main": own}).returncode == 0


def test_backup_on_a_standby_and_on_the_primary_while_none_follows(failover):
    n1, n2 = failover.n1, failover.n2
    for host in (n1, n2):
        host.from_standby = True
        host.serve_ssh()
    n1.trust(n2)
    n2.trust(n1)
    for host in (n1, n2):
        assert host.set_up().returncode == 0
    until(lambda: n2.shell(n2.ssh_test, check=False).stdout.startswith("pgBackRest"))
    count = len(failover.state.backups)
    assert n2.scheduled().returncode == 0
    assert not n2.run_line().exists()  # the primary leaves it to its standby
    ran = n1.scheduled()
    assert (ran.returncode, ran.stderr) == (0, "")
    made = failover.state.backups[count:]
    assert len(made) == 1
    # The log names the host that the files were copied from.
    log = n1.shell(f"cat {n1.layout.logs}/main-backup.log").stdout
    assert "wait for replay on the standby" in log
    n2.sql("SELECT pg_switch_wal()")
    until(lambda: n2.sql("SELECT last_archived_wal = pg_walfile_name(pg_current_wal_lsn() - 1) FROM pg_stat_archiver"))
    assert n2.sql("SELECT failed_count FROM pg_stat_archiver") == "0"
    n1.stop()
    assert n2.scheduled("incr").returncode == 0
    n1.start()
    until(lambda: n1.sql("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == "1")


def test_second_primary_is_seen_in_the_archive(failover):
    n1, n2 = failover.n1, failover.n2
    until(lambda: n1.sql("SELECT pg_is_in_recovery()") == "t")
    failover.report = Report(n2.sql("SELECT system_identifier FROM pg_control_system()"), 2)
    state = failover.state
    live = timelines.live(state.timelines, state.archive, 2)
    assert timelines.strays(state.timelines, live, datetime.now(UTC), datetime.now(UTC)) == []
    n1.shell(f"pg_ctl -D {DATA} -w promote")
    for _ in range(2):
        for host in (n1, n2):
            host.sql("INSERT INTO receipts VALUES (40)")
            host.sql("SELECT pg_switch_wal()")
        time.sleep(1)
    until(lambda: failover.archived(3))
    until(
        lambda: n2.sql("SELECT pg_walfile_name(pg_current_wal_lsn()) > last_archived_wal FROM pg_stat_archiver") == "t"
    )
    state = failover.state
    live = timelines.live(state.timelines, state.archive, 2)
    assert [one.number for one in timelines.strays(state.timelines, live, datetime.now(UTC), datetime.now(UTC))] == [3]
