"""A node is one machine with its databases: its files refuse another one, and the console sees who reports twice."""

from __future__ import annotations

import os
import struct
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from clusters.models import MACHINE_SILENT, Database, Node, Stanza
from console.audit.models import AuditEvent
from tests.clusters.handed_over import handed
from tests.node_machine import Machine

OWN, OTHER = "7711006151604898924", "7713384420308426099"
DIRECTORY = "/var/lib/postgresql/15/main"
HERE, THERE = "a" * 64, "b" * 64


# On the machine


@pytest.fixture
def machine(tmp_path):
    if os.geteuid():
        pytest.skip("is root on a machine of its own")
    found = Machine(tmp_path / "machine")
    found.place("/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    return found


def database(machine, system_id):
    folder = machine.place(f"{DIRECTORY}/global")
    folder.mkdir()
    (folder / "pg_control").write_bytes(struct.pack("<Q", int(system_id)) + bytes(8184))


def digest(machine):
    """What the report of this machine says of it."""
    script = handed().report("https://console.example.com/").content
    command = script.split('"$by_hand" "$sha256" "$repositories" "$release" "$(', 1)[1].split(')"\n', 1)[0]
    return machine.run(command).stdout.strip()


def setup(machine, *arguments, known="", system_id=OWN):
    node_setup = handed()
    node_setup.node.machine = known
    vars(node_setup)["system_ids"] = {"main": system_id}
    before = machine.look()
    script = node_setup.setup("https://console.example.com/")
    ran = machine.run(f"set -- {' '.join(arguments)}\n{script}")
    assert ran.returncode == 0 or machine.look() == before
    return ran


def test_the_node_s_own_machine_and_database_are_taken(machine):
    database(machine, OWN)
    ran = setup(machine, known=digest(machine))
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_machine_without_a_database_yet_is_taken(machine):
    assert setup(machine, known=digest(machine)).returncode == 0


def test_another_machine_is_refused_until_it_is_to_replace_the_node(machine):
    ran = setup(machine, known=THERE)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "n1 has reported from another machine" in ran.stderr
    assert "Nothing was changed." in ran.stderr
    assert setup(machine, "--replace", known=THERE).returncode == 0


def test_another_database_is_refused_until_it_is_to_replace_the_node_s(machine):
    database(machine, OTHER)
    ran = setup(machine, known=digest(machine))
    assert ran.returncode == 1
    assert f"{DIRECTORY} has the system identifier {OTHER}, and main on n1 has reported {OWN}" in ran.stderr
    assert setup(machine, "--replace").returncode == 0


@pytest.mark.parametrize("arguments", [("--replac",), ("--replace", "n2"), ("''",)])
def test_other_arguments_are_refused(machine, arguments):
    ran = setup(machine, *arguments)
    assert (ran.returncode, "no argument but --check, --replace or --undo" in ran.stderr) == (1, True)


def test_root_reads_nothing_that_postgres_may_not(machine):
    machine.place(f"{DIRECTORY}/global").mkdir()
    machine.place(f"{DIRECTORY}/global/pg_control").symlink_to(machine.folder / "outside/secret")
    ran = setup(machine)
    number = struct.unpack("<Q", b"root's alone"[:8])[0]
    assert str(number) not in ran.stdout + ran.stderr
    assert ran.returncode == 0


@pytest.mark.slow
def test_a_pipe_in_place_of_the_control_file_does_not_hold_the_script_up(machine):
    machine.place(f"{DIRECTORY}/global").mkdir()
    os.mkfifo(machine.place(f"{DIRECTORY}/global/pg_control"))
    assert setup(machine).returncode == 0


# What it reports


@pytest.fixture
def node(make, stores):
    cluster = make(stores)
    Database.objects.create(cluster=cluster, name="orders", version="15", data_directory=DIRECTORY)
    return Node.objects.get(cluster=cluster, name="n1")


def report(node, **data):
    return Client().post(
        reverse("clusters:node_applied", args=[node.cluster_id, node.name]),
        {"sha256": "0" * 64, "version": "2.45", **data},
        headers={"Authorization": f"Bearer {node.secrets['report_token']}"},
    )


def silent(node):
    Node.objects.filter(pk=node.pk).update(reported_at=timezone.now() - MACHINE_SILENT - timedelta(seconds=1))


def test_a_copy_s_reports_are_refused_and_shown(as_alice, node):
    assert report(node, machine=HERE, **{"system_id.orders": OWN, "timeline.orders": "1"}).status_code == 200
    answer = report(node, machine=THERE, **{"system_id.orders": OWN, "timeline.orders": "2", "sha256": "1" * 64})
    assert (answer.status_code, b"Another machine reports as n1, too" in answer.content) == (409, True)
    node.refresh_from_db()
    assert (node.machine, node.applied_sha256, Stanza.objects.get().timeline) == (HERE, "0" * 64, 1)
    assert b"Two machines report as n1" in as_alice.get(node.get_absolute_url()).content
    assert report(node, machine=HERE).status_code == 200


def test_a_new_machine_takes_the_place_of_one_that_is_silent(as_alice, node):
    report(node, machine=HERE)
    silent(node)
    assert report(node, machine=THERE).status_code == 200
    node.refresh_from_db()
    assert (node.machine, node.has_double) == (THERE, False)
    assert AuditEvent.objects.filter(action="Reported from another machine").count() == 1
    assert b"Two machines" not in as_alice.get(node.get_absolute_url()).content


def test_a_script_from_before_reports_without_its_machine(node):
    report(node, machine=HERE)
    assert report(node).status_code == 200
    node.refresh_from_db()
    assert node.machine == HERE


@pytest.mark.parametrize("value", ["", "0", "-1", "x", "1" * 10, "1.0", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_timeline_is_a_small_number(node, value):
    report(node, **{"system_id.orders": OWN, "timeline.orders": value})
    assert Stanza.objects.get().timeline is None
