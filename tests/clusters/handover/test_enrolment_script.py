"""The script that a machine enrols by, run by a shell as root against the console, on a machine of the test's own."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

import pytest

from clusters import enrolment
from clusters.handover.enrolment_script import command, enrolment_script
from clusters.models import Cluster
from console.audit.models import AuditEvent
from console.demo.certificates import certify
from tests.clusters.nodes import standing
from tests.clusters.reports.listening import listening
from tests.node_machine import Machine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="is root on a machine of its own"),
]
PROGRAMS = ("curl", "wget", "python3")  # in the order in which the script looks for them
HANDED = "Handed out the set-up script by enrolment"


@pytest.fixture
def enrolled(transactional_db, account, alice, stores):
    """A cluster of one node, and a token for it; its console answers at another thread's port."""
    cluster = standing(account, alice, stores, regions=["eu-west-1"])
    made, token = enrolment.begin(
        cluster.organisation, nodes=list(cluster.nodes.all()), hostnames={}, hours=1, by=alice
    )
    return cluster, made, token


@pytest.fixture
def node(tmp_path):
    machine = Machine(tmp_path)
    machine.place("/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    return machine


def _address(server):
    return f"{server.url.replace('localhost', '127.0.0.1')}/enrol/"  # the machine's /etc has no hosts


def run(node, address, *arguments, token="", ca=""):
    """Run the script as root on the machine; the token is what it reads from standard input."""
    node.place("/outside/enrol.sh").write_text(enrolment_script(address, ca))
    tools = node.place("/outside/tools")
    path = f"PATH={tools}; export PATH; " if tools.exists() else ""
    shell = f"{path}printf '%s\\n' {shlex.quote(token)} | sh {node.place('/outside/enrol.sh')} {shlex.join(arguments)}"
    return node.run(shell)


def test_a_machine_enrols_once_and_then_is_in_order(node, enrolled, live_server):
    cluster, made, token = enrolled
    address, folder = _address(live_server), f"/etc/pgbackrest/{cluster.called}"
    before = node.look()

    looked = run(node, address, "--check", "--node", "n1", token=token)
    assert (looked.returncode, looked.stderr) == (1, "")
    assert (
        f"Storekeeper: on n1 it would\n  make the folder /etc/pgbackrest\n  make the folder {folder}" in looked.stdout
    )
    assert f"write {folder}/pgbackrest.conf" in looked.stdout
    assert {path for path in node.look() if not path.startswith("/outside")} == {
        path for path in before if not path.startswith("/outside")
    }
    assert made.taken == 0

    ran = run(node, address, "--node", f"{cluster.called}/n1", token=token)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Storekeeper: on n1 it does this:" in ran.stdout
    assert "cipher-pass" in node.place(f"{folder}/pgbackrest.conf").read_text()
    assert AuditEvent.objects.filter(action=HANDED).count() == 1

    again = run(node, address, "--node", "n1", token=token)  # looks, finds all as it is, and asks for nothing more
    assert (again.returncode, again.stdout.split(",")[0]) == (0, "Storekeeper: n1 is in order")
    assert AuditEvent.objects.filter(action=HANDED).count() == 1

    node.place(f"{folder}/report.sh").write_text("changed\n")
    refused = run(node, address, "--node", "n1", token=token)
    assert refused.returncode == 2
    assert "n1 was enrolled already" in refused.stderr
    assert node.place(f"{folder}/report.sh").read_text() == "changed\n"


def _only(node, program):
    """Leave the machine only this program of those that can ask; returns the folder that is its PATH."""
    tools = node.place("/outside/tools")
    tools.mkdir()
    for path in Path("/usr/bin").iterdir():
        if path.name not in PROGRAMS or path.name == program:
            (tools / path.name).symlink_to(path)
    return tools


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_asks_with_what_there_is_and_nobody_sees_the_token(node, enrolled, live_server, program):
    """The program is a wrapper that writes down its command line and its environment: no token is there."""
    token, seen, tools = enrolled[-1], node.place("/outside/seen"), _only(node, program)
    (tools / program).unlink()
    (tools / program).write_text(f'#!/bin/sh\n{{ echo "$@"; env; }} >> {seen}\nexec /usr/bin/{program} "$@"\n')
    (tools / program).chmod(0o755)
    node.place("/outside/token").write_text(f"{token}\n")
    node.place("/outside/enrol.sh").write_text(enrolment_script(_address(live_server)))
    given = f"--check --node n1 --token-file {node.place('/outside/token')}"
    ran = node.run(f"PATH={tools}; sh {node.place('/outside/enrol.sh')} {given} < /dev/null")
    assert (ran.stderr, ran.returncode) == ("", 1)
    assert _address(live_server) in seen.read_text()
    assert token not in seen.read_text()


@pytest.mark.parametrize(
    ("arguments", "token", "words"),
    [
        (["--node", "n1"], "x" * 43, "This token is not taken"),
        (["--node", "n9"], None, "This enrolment knows no node n9."),
        ([], None, "This enrolment knows no machine"),
        (["--node"], None, "--node wants a value."),
        (["--node", "$(id)"], None, "small letters, digits and hyphens"),
        (["--nonsense"], None, "It does not know --nonsense."),
        (["--token-file", "/nowhere"], None, "/nowhere cannot be read."),
        (["--node", "n1"], "", "This is no token"),
        (["--node", "n1"], "a token", "This token is not taken"),  # pasted with a space in it
    ],
)
def test_what_cannot_be_is_refused_with_nothing_changed(node, enrolled, live_server, arguments, token, words):
    _, made, right = enrolled
    ran = run(node, _address(live_server), *arguments, token=right if token is None else token)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert ran.stderr.strip().endswith("Nothing was changed.")
    assert not node.place("/etc/pgbackrest").exists()
    assert made.taken == 0


def test_plain_http_elsewhere_gets_no_token(node):
    ran = run(node, "http://console.example.org/enrol/", "--node", "n1", token="x" * 43)
    assert (ran.returncode, "is no HTTPS" in ran.stderr) == (2, True)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_console_s_own_authority_is_the_one_that_counts(node, program):
    """The check script of the test says that all is in order; of a console that another has signed nothing is run."""
    (node.folder / "tls").mkdir()
    ca, certificate, key = certify(node.folder / "tls")
    node.place("/etc/hosts").write_text("127.0.0.1 localhost\n")
    _only(node, program)
    script = "echo it was run\n"
    with listening((certificate, key)) as console:
        console.answer = f"{hashlib.sha256(script.encode()).hexdigest()}\n{script}".encode()
        known = run(node, console.address, "--node", "n1", token="x" * 43, ca=ca.read_text())
        foreign = run(node, console.address, "--node", "n1", token="x" * 43)
    assert (known.returncode, known.stdout) == (0, "it was run\n"), known.stderr
    assert (foreign.returncode, foreign.stdout) == (2, "")
    [(_, headers, body)] = console.received
    assert headers["Authorization"] == f"Bearer {'x' * 43}"
    assert b"kind=check&node=n1&" in body


def test_a_script_that_did_not_come_whole_is_not_run(node, enrolled, live_server, monkeypatch):
    _, made, token = enrolled
    monkeypatch.setattr("clusters.enrolment_views._handed", _cut(made))
    ran = run(node, _address(live_server), "--node", "n1", token=token)
    assert (ran.returncode, "did not come whole" in ran.stderr) == (2, True)
    assert not node.place("/etc/pgbackrest").exists()


def _cut(made):
    from django.http import HttpResponse

    return lambda script: HttpResponse(f"{'0' * 64}\n{script[: len(script) // 2]}", content_type="text/plain")


def test_the_line_that_people_copy_runs_nothing_that_was_changed(node):
    """A shell reads it, with a curl that delivers one script and a sudo that runs it, or another script."""
    for name, text in (("curl", 'cat "$DELIVERED" > "$3"'), ("sudo", 'exec "$@"')):
        node.place(f"/bin/{name}").write_text(f"#!/bin/sh\n{text}\n")
        node.place(f"/bin/{name}").chmod(0o755)
    sha256 = hashlib.sha256(b"echo it runs\n").hexdigest()
    line = command("https://console.example.org/enrol/enrol.sh", sha256, own_ca=False)
    for script, code, said in (("echo it runs\n", 0, "it runs\n"), ("echo evil\n", 1, "enrol.sh: FAILED\n")):
        node.place("/outside/script").write_text(script)
        ran = node.run(f"DELIVERED={node.place('/outside/script')}; export DELIVERED; {line}")
        assert (ran.returncode, ran.stdout) == (code, said)


def test_the_script_is_the_same_for_everybody_and_names_no_cluster(db, client, live_server):
    assert not Cluster.objects.exists()
    script = client.get("/enrol/enrol.sh").content.decode()
    assert script == enrolment_script("http://testserver/enrol/")
