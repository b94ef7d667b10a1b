"""The role for nodes, run by a real ansible-playbook against a machine of the test's own: changed, then in order."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from clusters import actions, enrolment
from clusters.models import Cluster, Database
from tests import factories
from tests.clusters.nodes import node_setup
from tests.demo_process import ROOT
from tests.node_machine import Machine
from tests.sampling import THOROUGH

pytestmark = pytest.mark.slow
ANSIBLE = ROOT / "console" / "deploy" / "ansible"
ROLE = ANSIBLE / "roles" / "storekeeper_node"
WAYS = ("node", "controller", "script")
SECONDS = 600  # that a run may take on a machine that has other things to do


@pytest.fixture
def clusters(transactional_db, account, alice):
    """A cluster for each way, with one node and one store, as the database knows them."""
    store = factories.store(account, name="archive-dub", region="eu-west-1")
    made = {way: actions.create(account, name=way, regions=["eu-west-1"], stores=[store], by=alice) for way in WAYS}
    for port, one in enumerate(made.values(), 5432):
        one.attachments.update(state="attached")
        Cluster.objects.filter(pk=one.pk).update(state="available")
        place = f"/var/lib/postgresql/15/{one.name}"
        Database.objects.create(cluster=one, name="orders", version="15", data_directory=place, port=port)
    return made


@pytest.fixture
def play(tmp_path):
    """A function that runs the role on the machine, as Ansible would there; returns its result and what it said."""
    if os.geteuid():
        pytest.skip("is root on a machine of its own")
    machine = Machine(tmp_path / "machine")
    machine.place("/etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    machine.place("/etc/hosts").write_text("127.0.0.1 localhost\n")
    book, inventory, home = (machine.place(f"/outside/{name}") for name in ("site.yml", "inventory.json", "home"))
    book.write_text((ANSIBLE / "site.yml").read_text())

    def play(hosts, *options):
        given = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
        inventory.write_text(json.dumps({"postgresql": {"hosts": hosts, "vars": given}}))
        settings = {
            "ANSIBLE_HOME": home,
            "ANSIBLE_ROLES_PATH": ROLE.parent,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "LC_ALL": "C.UTF-8",
            "HOME": home,
        }
        environment = " ".join(f"{name}={value}" for name, value in settings.items())
        program = Path(sys.executable).with_name("ansible-playbook")
        line = f"env {environment} {program} -i {inventory} {' '.join(options)} {book}"
        return machine.run(f"{line} < /dev/null", SECONDS)

    play.machine = machine
    return play


def recap(ran):
    """How many tasks have changed something and how many failed on each host, by Ansible's own last lines."""
    lines = re.findall(r"^(\S+) +: .*changed=(\d+) .*failed=(\d+) ", ran.stdout, re.MULTILINE)
    return {host: (int(changed), int(failed)) for host, changed, failed in lines}


def all_of(machine):
    """All paths but those of the test and of Ansible."""
    return {path for path in machine.look() if not path.startswith(("/outside", "/var/tmp"))}


@pytest.mark.thorough  # tests/clusters/test_enrolment.py does what its tasks ask for
@pytest.mark.timeout(3 * SECONDS)
def test_the_role_sets_nodes_up_once_by_token_and_by_script(play, clusters, alice, live_server):
    """Three clusters have a node on the machine, each set up in another way; a fourth host has a token that is none."""
    machine, url = play.machine, live_server.url.replace("localhost", "127.0.0.1")
    nodes = [one.nodes.get() for one in clusters.values()]
    made, token = enrolment.begin(nodes[0].cluster.organisation, nodes=nodes, hostnames={}, hours=1, by=alice)
    script = machine.place("/outside/setup.sh")
    script.write_text(node_setup(clusters["script"]).setup("https://console.example.org/report"))
    by_token = {"storekeeper_token": token, "storekeeper_url": url}
    hosts = {
        "node": {**by_token, "storekeeper_node": f"{clusters['node'].called}/n1"},
        "controller": {
            **by_token,
            "storekeeper_via": "controller",
            "storekeeper_node": f"{clusters['controller'].called}/n1",
        },
        "script": {"storekeeper_setup_script": str(script)},
        "refused": {**by_token, "storekeeper_token": "x" * 43, "storekeeper_node": "n1"},
        "nothing": {},
    }
    repositories = [repository for one in clusters.values() for repository in one.repositories.all()]
    secrets = [token, *(one.secrets["cipher_pass"] for one in repositories)]
    secrets += [one.secrets["report_token"] for one in nodes]
    before = all_of(machine)

    def discreet(ran):
        assert not [one for one in secrets if one in ran.stdout + ran.stderr]
        return ran

    looked = discreet(play(hosts, "--check", "--diff", "-vvv"))
    assert recap(looked) == {**dict.fromkeys(WAYS, (1, 0)), **dict.fromkeys(("refused", "nothing"), (0, 1))}
    assert looked.stdout.count("Storekeeper: on n1 it would") == len(WAYS)
    assert "This token is not taken" in looked.stdout
    assert "Give storekeeper_setup_script, or storekeeper_token" in looked.stdout
    assert all_of(machine) == before
    assert made.taken == 0

    hosts = {way: hosts[way] for way in WAYS}
    ran = discreet(play(hosts, "--diff", "-vvv"))
    assert recap(ran) == dict.fromkeys(WAYS, (1, 0)), ran.stdout
    for one in clusters.values():
        assert machine.place(f"/etc/pgbackrest/{one.called}/pgbackrest.conf").exists()
    assert {one.node.cluster.name: one.times for one in made.places.all()} == {"node": 1, "controller": 1, "script": 0}

    # A task of Ansible takes half a second of a core: `make test` has one way find that all is in order.
    ways = WAYS if THOROUGH else WAYS[:1]
    again = discreet(play({way: hosts[way] for way in ways}))
    assert recap(again) == dict.fromkeys(ways, (0, 0)), again.stdout
    assert sum(one.times for one in made.places.all()) == 2


def test_each_variable_of_the_role_is_described():
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    options = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    page = (ANSIBLE.parent / "fleet.md").read_text()
    assert defaults.keys() == options.keys()
    assert not [name for name in defaults if f"`{name}`" not in page]
    tasks = "".join(path.read_text() for path in (ROLE / "tasks").glob("*.yml"))
    assert not [name for name in defaults if name not in tasks]
