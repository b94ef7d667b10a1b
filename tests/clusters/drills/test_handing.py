"""What nodes and drill machines are handed for drills; who has no plan is handed what it was."""

from __future__ import annotations

import re
import subprocess

import pytest

from clusters.drills.machines import MachineSetup
from clusters.node_setup import node_setups
from clusters.pgbackrest.drill import checks
from clusters.pgbackrest.grammar import Unfit
from tests.clusters.drills.said import drill, fresh
from tests.clusters.nodes import at, node_setup

ADDRESS = "https://console.example/clusters/1/nodes/n1/applied/"


def handed(cluster, name="n1"):
    setup = node_setup(cluster, name)
    files = [setup.crontab, *setup.units, setup.backup, setup.report(ADDRESS)]
    return setup.sha256, [(one.path, one.content) for one in files], setup.setup(ADDRESS), setup.check(ADDRESS)


def test_a_node_without_a_plan_is_handed_what_it_was(cluster):
    before = handed(cluster)
    assert "drill" not in "".join((before[2], before[3], *(content for _, content in before[1])))
    drill(cluster, machine="drills-1")
    drill(cluster, node=cluster.nodes.get(name="n2"))
    assert handed(cluster) == before


def test_a_plan_brings_the_node_its_script_and_its_schedule(cluster):
    plan = drill(cluster, checks="SELECT count(*) > 0 FROM orders => t", is_amchecked=True)
    setup = node_setup(cluster)
    layout = setup.layout
    command = f"{layout.folder}/drill.sh {plan.pk}"
    assert f"0 3 * * 0 postgres {command}\n" in setup.crontab.content
    [service] = [one for one in setup.units if one.path == f"{layout.unit(f'drill-{plan.pk}')}.service"]
    assert f"ExecStart={command}\n" in service.content
    script = setup.setup(ADDRESS)
    assert f"{layout.folder}/drill-n1.conf" in script
    assert "address=https://console.example/clusters/1/nodes/n1/drill/\n" in script
    assert f"as_user {layout.folder}/drill.sh sweep" in script  # when all is undone
    assert "check 1 'SELECT count(*) > 0 FROM orders' t" in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert setup.try_now == [(plan.pk, f"sudo -u postgres {command}")]


def test_a_changed_plan_shows_as_out_of_date(cluster):
    plan = drill(cluster)
    before = node_setup(cluster).sha256
    assert node_setup(cluster).sha256 == before
    plan.checks = "SELECT 1 => 1"
    plan.save()
    assert node_setup(cluster).sha256 != before


def test_each_database_and_each_store_is_tried(cluster):
    plan = drill(cluster)
    cluster.nodes.filter(name="n1").update(writes_to="all")
    [found] = node_setup(cluster).configuration.drills.plans
    assert [(one.folder, one.stanza, one.repository, one.postgresql) for one in found.jobs] == [
        ("n1", "orders", 1, 15),
        ("n1", "orders", 2, 15),
    ]
    assert found.id == plan.pk


def test_of_hosts_that_share_a_folder_the_first_one_tries_it(cluster):
    drill(cluster)
    cluster.nodes.filter(name="n2").update(folder="n1")
    has = {one.node.name: bool(one.configuration.drills) for one in node_setups(fresh(cluster))}
    assert has == {"n1": True, "n2": False, "n3": True}


def test_a_drill_machine_brings_what_it_needs(cluster, machine):
    plan = drill(cluster, machine="drills-1")
    setup = MachineSetup(fresh(cluster), plan)
    assert not setup.missing
    assert {(one.folder, one.repository) for one in setup.drills.plans[0].jobs} == {("n1", 1), ("n2", 2), ("n3", 1)}
    script = setup.script("https://console.example/report/")
    said = machine(script)
    assert said[-1] == "Storekeeper: drill machine drills-1 has its files."
    assert machine(script)[-1] == "Storekeeper: drill machine drills-1 is in order, and nothing was changed."
    assert (
        machine(f"set -- --undo\n{script}")[-1]
        == "Storekeeper: nothing of drill machine drills-1 is at work here any more."
    )


def test_a_drill_machine_has_a_configuration_for_each_node(cluster):
    setup = MachineSetup(fresh(cluster), drill(cluster, machine="drills-1"))
    found = {one.path: one.content for one in setup.drills.configurations()}
    folder = setup.layout.folder
    assert list(found) == [f"{folder}/drill-n{number}.conf" for number in (1, 2, 3)]
    assert "repo1-path=/" in found[f"{folder}/drill-n1.conf"]
    assert re.search(r"repo1-path=/\S+/n3\n", found[f"{folder}/drill-n3.conf"])
    assert "retention" not in "".join(found.values())


def test_a_machine_with_former_keys_or_another_plan_is_outdated(cluster):
    plan = drill(cluster, machine="drills-1")
    assert not MachineSetup(fresh(cluster), plan).is_outdated  # nobody knows what it has
    plan.applied_digest = MachineSetup(fresh(cluster), plan).drills.plans[0].digest
    plan.save()
    assert not MachineSetup(fresh(cluster), plan).is_outdated
    repository = cluster.repositories.get(number=1)
    before, repository.secrets = repository.secrets, {"cipher_pass": "another" * 8}
    repository.save()
    assert MachineSetup(fresh(cluster), plan).is_outdated
    repository.secrets = before
    repository.save()
    plan.schedule = "0 4 * * 0"
    assert MachineSetup(fresh(cluster), plan).is_outdated


def test_the_setup_is_downloaded_by_who_sees_secrets(cluster, as_alice, as_bob, as_charlie):
    plan = drill(cluster, machine="drills-1")
    path = f"/clusters/{cluster.pk}/drills/{plan.pk}/setup.sh"
    answer = as_alice.get(path)
    assert answer.status_code == 200
    assert cluster.repositories.get(number=1).passphrase in answer.content.decode()
    assert f"/clusters/{cluster.pk}/drills/{plan.pk}/report/" in answer.content.decode()
    assert (as_bob.get(path).status_code, as_charlie.get(path).status_code) == (403, 404)
    own = drill(cluster)
    assert as_alice.get(f"/clusters/{cluster.pk}/drills/{own.pk}/setup.sh").status_code == 404
    cluster.databases.all().delete()
    assert as_alice.get(path).status_code == 409


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT 1", "write a statement, => and its answer"),
        ("=> 1", "write a statement, => and its answer"),
        ("\\! id => x", "begins with a backslash"),
        ("SELECT\u00a01 => 1", "a character that cannot be seen"),
        ("SELECT 1 => \x07", "a character that cannot be seen"),
        ("SELECT '" + "x" * 500 + "' => 1", "too long"),
        ("SELECT 1 => 1\n" * 11, "at most 10"),
    ],
)
def test_checks_refuses(text, words):
    with pytest.raises(Unfit, match=words):
        checks(text)


def test_checks_take_an_arrow_in_the_statement():
    [found] = checks("SELECT make_interval(days => 1) => 1 day\n\n")
    assert (found.sql, found.answer) == ("SELECT make_interval(days => 1)", "1 day")


def test_the_node_page_of_a_cluster_with_plans_is_there(cluster, as_alice):
    drill(cluster)
    assert as_alice.get(at(cluster)).status_code == 200
