"""The report script for real: a PostgreSQL, what a shell makes of anybody's text, and each program that can send."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from itertools import product
from pathlib import Path

import pytest

from clusters.handover.report_script import EVERY, delay
from clusters.reports.report import BYTES_AT_MOST, of_json
from console.demo.certificates import certify
from tests.clusters.reports.listening import TOKEN, listening, place
from tests.pgbackrest_node import Node
from tests.postgres import binaries
from tests.sampling import thorough_but

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="runs PostgreSQL as postgres"),
]


@pytest.fixture(scope="module")
def node():
    found = Node()
    with (found.data / "postgresql.auto.conf").open("a") as file:
        file.write("archive_mode = on\narchive_command = 'false'\n")
    found.start()
    yield found
    found.remove()


@pytest.fixture
def listener():
    with listening() as found:
        yield found


@pytest.fixture
def placed(node, listener):
    """What the script is made of, and where it is; the node's folder is empty but for it."""
    for name in ("etc", "spool"):
        shutil.rmtree(node.folder / name, ignore_errors=True)
    return place(node.folder, node.owner, [("main", node.data, node.port)], listener.address)


def run(node, script, *arguments, path=os.environ["PATH"], check=True):
    return node.run("env", f"PATH={path}", "sh", script, *arguments, check=check)


def test_a_primary_says_what_it_is(node, listener, placed):
    configuration, script = placed
    listener.answer = b"applied\n"
    ran = run(node, script)
    assert (ran.stdout, ran.stderr) == ("applied\n", "")
    _, headers, body = listener.received[-1]
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    report, (main,) = of_json(body), of_json(body).stanzas
    assert (report.sha256, report.repositories, report.by_hand) == (configuration.sha256, (1, 3), True)
    assert report.pgbackrest == node.run("pgbackrest", "version").stdout.split()[1]
    assert abs(report.sent - time.time()) < 60
    assert (report.hostname, bool(report.timezone)) == (os.uname().nodename, True)
    system_id = node.sql("SELECT system_identifier FROM pg_control_system()")
    assert (main.name, main.server, main.role, main.timeline) == ("main", "up", "primary", 1)
    assert (main.system_id, main.postgresql) == (system_id, int(node.sql("SHOW server_version_num")))
    assert (main.archive_mode, main.is_archived_here, main.segment) == ("on", False, 16 * 1024**2)
    disk = shutil.disk_usage(node.data).free
    assert abs(main.free - disk) < 2**30
    assert len(body) < 2048, len(body)


def test_a_report_is_as_old_as_when_it_began_to_ask(node, listener, placed):
    """A server may take a while to answer, and what it has said then is not of when that was sent."""
    folder = node.folder / "etc/slow"
    folder.mkdir()
    (folder / "psql").write_text("#!/bin/sh\nsleep 4\nexit 1\n")
    for one in (folder, folder / "psql"):
        one.chmod(0o755)
    _, script = placed
    before = time.time()
    run(node, script, path=f"{folder}:{os.environ['PATH']}")
    assert time.time() - before > 4
    assert before - 1 <= of_json(listener.received[-1][2]).sent < before + 3


def test_what_waits_and_fails_is_counted(node, listener, placed):
    _, script = placed
    node.sql("CREATE TABLE IF NOT EXISTS x (n int); INSERT INTO x VALUES (1); SELECT pg_switch_wal()")
    for _ in range(100):
        if int(node.sql("SELECT failed_count FROM pg_stat_archiver")):
            break
        time.sleep(0.1)
    out = node.folder / "spool/archive/main/out"
    out.mkdir(parents=True)
    (out / "000000010000000000000002.ok").touch()
    (out / "000000010000000000000003.error").write_text('103\nunable to "find" a \\ valid\trepository\n   another line')
    run(node, script, "--scheduled")
    report = of_json(listener.received[-1][2])
    (main,) = report.stanzas
    ready = list((node.data / "pg_wal/archive_status").glob("*.ready"))
    assert (main.waiting, main.waiting_bytes) == (len(ready), len(ready) * main.segment)
    assert main.waiting > 0
    assert (main.spooled, main.spool_errors) == (1, 1)
    assert main.error == 'unable to "find" a \\ valid repository another line'
    assert main.archiver.failed > 0
    assert main.archiver.failed_wal.startswith("00000001")
    assert abs(main.archiver.failed_at - time.time()) < 600
    assert main.archiver.last_at is None
    assert not report.by_hand


def test_archiving_by_our_command_is_told_from_another(node, listener, placed):
    _, script = placed
    ours = f"pgbackrest --config={node.folder}/etc/pgbackrest.conf --stanza=main archive-push %p"
    node.sql(f"ALTER SYSTEM SET archive_command = '{ours}'")
    node.sql("SELECT pg_reload_conf()")
    try:
        for _ in range(50):
            run(node, script)
            if of_json(listener.received[-1][2]).stanzas[0].is_archived_here:
                return
        pytest.fail("not seen")
    finally:
        node.sql("ALTER SYSTEM SET archive_command = 'false'")
        node.sql("SELECT pg_reload_conf()")


def test_a_server_that_is_down_is_said_to_be(node, listener, placed):
    _, script = place(node.folder, node.owner, [("main", node.data, 1), ("a_b-2", "/nowhere", 2)], listener.address)
    assert run(node, script).returncode == 0
    main, other = of_json(listener.received[-1][2]).stanzas
    assert (main.server, main.role, main.system_id) == ("down", "", "")
    assert main.waiting is not None  # the folder is there all the same
    assert (other.server, other.waiting, other.free) == ("down", None, None)


def test_a_server_that_the_console_does_not_know_is_told(node, listener, placed):
    _, script = place(node.folder, node.owner, [("main", "/nowhere", 1)], listener.address)
    run(node, script)
    others = {one.port: one for one in of_json(listener.received[-1][2]).others}
    assert others[node.port].data_directory == str(node.data)
    assert (others[node.port].postgresql // 10000, others[node.port].is_archived) == (15, True)


def test_a_node_without_configuration_and_pgbackrest_reports(node, listener, placed, tmp_path):
    _, script = placed
    (node.folder / "etc/pgbackrest.conf").unlink()
    script.write_text(script.read_text().replace("pgbackrest version", "no-such-program version"))
    run(node, script)
    report = of_json(listener.received[-1][2])
    assert (report.sha256, report.repositories, report.pgbackrest) == ("", (), "")


@pytest.mark.parametrize("number", thorough_but(range(6), by=bool))  # bytes that are listed, and any
def test_whatever_the_last_runs_say_it_is_json(node, listener, placed, number):
    """Lines of errors are anybody's: all bytes, in lines of any length."""
    _, script = placed
    kept = node.folder / "spool/runs"
    line = bytes(one for one in os.urandom(4000) if one not in b"\n") if number else bytes(range(1, 10)) + b'"\\"\\'
    (kept / "main.full.1").write_bytes(b"main\tfull\t1\t1795358980\t1795358985\t50\t" + line + b"\n")
    (kept / "main.incr.1").write_bytes(b"main\tincr\t1\t1795358999\t\t\t\n")
    (kept / "main.diff.1").write_bytes(b"main\tdiff\t1\t1795358999\t1795359000\t0\t")
    (kept / "main.full.1.new").write_bytes(b"main\tfu")
    (kept / "main.full.2").write_bytes(os.urandom(300))
    (kept / "main.full.3").write_bytes(b"")
    run(node, script)
    found = {(one.stanza, one.kind, one.repository): one for one in of_json(listener.received[-1][2]).runs}
    failed, running, well = (found["main", kind, 1] for kind in ("full", "incr", "diff"))
    assert (failed.code, failed.begun, failed.ended) == (50, 1795358980, 1795358985)
    assert all(" " <= one <= "~" for one in failed.line)
    assert len(failed.line) <= 200
    assert (running.ended, running.code) == (None, None)
    assert (well.code, well.line, well.has_failed) == (0, "", False)


def test_what_is_too_much_for_one_report_is_left_out(node, listener, placed):
    stanzas = [(f"database-{number:02d}", node.data, node.port) for number in range(12)]
    _, script = place(node.folder, node.owner, stanzas, listener.address)
    for number in range(60):
        line = "".join(f'"{number}' for _ in range(60))
        text = f"database-{number % 12:02d}\tfull\t{number + 1}\t1795358980\t1795358985\t50\t{line}\n"
        (node.folder / f"spool/runs/database-{number % 12:02d}.full.{number + 1}").write_text(text)
    run(node, script)
    body = listener.received[-1][2]
    assert len(body) <= BYTES_AT_MOST
    assert len(of_json(body).stanzas) == 12


# Sending


@pytest.fixture(scope="module")
def only(node):
    """A function that returns a PATH with one program that sends, and the rest of what a machine has."""
    folder = node.folder / "paths"
    folder.mkdir()

    def path(*programs):
        here = folder / ("-".join(programs) or "none")
        if not here.exists():
            here.mkdir()
            left = {"curl", "wget", "python3"} - {*programs}
            for place in (str(binaries()), "/usr/bin", "/bin"):
                for one in Path(place).iterdir():
                    if one.name not in left and not (here / one.name).is_symlink():
                        (here / one.name).symlink_to(one)
        return str(here)

    return path


PROGRAMS = ("curl", "wget", "python3")


@pytest.mark.parametrize(
    ("program", "status"),
    thorough_but(product(PROGRAMS, (200, 401, 302, 500)), by=lambda cell: (cell[0], cell[1] == 200)),
)
def test_each_program_sends_and_says_what_became_of_it(node, listener, placed, only, program, status):
    _, script = placed
    script.write_text(script.read_text().replace(":/usr/local/bin:", ":"))  # where the script looks for itself
    listener.status, listener.answer = status, b"The words of the console.\n"
    ran = run(node, script, path=only(program), check=False)
    _, headers, body = listener.received[-1]
    assert len(listener.received) == 1  # a redirection is not followed
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Content-Type"] == "application/json"
    assert of_json(body).pgbackrest
    if status == 200:
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "The words of the console.\n", "")
    else:
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f"The console answered {status}." in ran.stderr
        # wget keeps what it is told with a 401 or a 302 to itself.
        assert "The words of the console." in ran.stderr or (program == "wget" and status != 500)
    assert TOKEN not in ran.stdout + ran.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_console_s_own_certificate_authority_is_the_one_that_counts(node, placed, only, program):
    (node.folder / "tls").mkdir(exist_ok=True)
    (node.folder / "other").mkdir(exist_ok=True)
    ca, certificate, key = certify(node.folder / "tls")
    other, *_ = certify(node.folder / "other")
    with listening((certificate, key)) as console:
        for ca_file, sent in ((ca, 1), (other, 0), ("", 0)):
            console.received.clear()
            _, script = place(node.folder, node.owner, [], console.address, str(ca_file))
            script.write_text(script.read_text().replace(":/usr/local/bin:", ":"))
            ran = run(node, script, path=only(program), check=False)
            assert (ran.returncode, len(console.received)) == (1 - sent, sent), ran.stderr


def test_nothing_that_sends_is_said(node, placed, only):
    _, script = placed
    ran = run(node, script, path=only(), check=False)
    assert ran.returncode == 1
    assert "Install curl, wget or python3" in ran.stderr


def test_the_token_is_on_no_command_line(node, listener, placed, only, tmp_path):
    _, script = placed
    assert TOKEN in script.read_text()
    for program in ("curl", "wget", "python3"):
        spied = node.folder / f"spied-{program}"
        wrapper = Path(only(program)) / program
        real = wrapper.resolve()
        wrapper.unlink()
        wrapper.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {spied}\nexec {real} "$@"\n')
        wrapper.chmod(0o755)
        ran = run(node, script, path=only(program), check=False)
        wrapper.unlink()
        wrapper.symlink_to(real)
        assert ran.returncode == 0, ran.stderr
        assert TOKEN not in spied.read_text()
        assert listener.received[-1][1]["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("arguments", [("--late",), ("--later", "--scheduled"), ("",)])
def test_other_arguments_are_refused(node, placed, arguments):
    _, script = placed
    assert run(node, script, *arguments, check=False).returncode == 64


def test_root_is_told_to_run_it_as_postgres(placed):
    _, script = placed
    ran = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
    assert (ran.returncode, "sudo -u postgres" in ran.stderr) == (1, True)


# When


def test_nodes_spread_over_the_five_minutes(placed):
    delays = [delay(f"https://console.example.com/clusters/{number}/nodes/n1/applied/") for number in range(3000)]
    assert min(delays) >= 0
    assert max(delays) < EVERY
    busiest = max(delays.count(second) for second in range(EVERY))
    assert busiest < 30  # 10 a second in the mean
    _, script = placed
    assert "--later:1) by_hand=false && sleep " in script.read_text()
