"""Which pgBackRest goes with which PostgreSQL: said before anything is handed over, and on the machine once more."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from clusters.handover.setup_script import Known, setup_script
from clusters.models import Database
from clusters.pgbackrest.configuration import BY_NUMBER, VERSIONS, first_for, least, release, troubles
from clusters.pgbackrest.restore import least_version
from console.clouds.contract import Need, RepositoryOptions
from tests.clusters.handed_over import handed
from tests.clusters.nodes import at
from tests.node_machine import Machine
from tests.responses import HTMX, words_of

POSTGRESQLS = [int(one) for one in Database.VERSIONS]
DATABASE = {"name": "other", "version": "17", "data_directory": "/data", "port": "5433"}


def made(postgresql, version="2.45"):
    configuration = handed().configuration
    stanzas = [replace(configuration.stanzas[0], postgresql=postgresql)]
    return replace(configuration, stanzas=stanzas, version=BY_NUMBER[version])


@pytest.mark.parametrize("postgresql", [*POSTGRESQLS, 25, 99])
def test_one_that_came_later_counts_as_the_newest_that_is_known(postgresql):
    newest = VERSIONS[-1].newest_postgresql
    for reported in ("2.45", "2.51", "2.55.1", "2.61.0", "3.0.0"):
        known = release(reported).newest_postgresql >= min(postgresql, newest)
        assert bool(troubles(made(postgresql), reported)) == (not known)
    assert first_for(postgresql) == first_for(min(postgresql, newest))
    assert least_version(postgresql, RepositoryOptions(())) == first_for(postgresql).number
    assert least(made(postgresql))[0] == first_for(postgresql).number


def test_least_is_what_the_file_asks_most_for():
    assert least(made(15)) == ("2.45", "the console's files are made for that or newer ones")
    assert least(made(15, "2.59")) == ("2.46", "the file has repo-block")
    assert least(made(17, "2.59")) == ("2.52", "main runs PostgreSQL 17")
    configuration = made(17)
    target = configuration.targets[0]
    asks = replace(target.repository, needs=(Need("2.58", "sign in with a smile", "frown"),))
    asking = replace(configuration, targets=[replace(target, repository=asks)])
    assert least(asking) == ("2.58", "older ones do not sign in with a smile")


@pytest.mark.parametrize(("chosen", "reported"), [("2.45", ""), ("", "2.45"), ("2.59", "2.51.0")])
def test_database_that_a_node_s_pgbackrest_does_not_know_is_refused(as_alice, cluster, chosen, reported):
    cluster.nodes.filter(name="n2").update(pgbackrest_version=chosen, applied_version=reported)
    answer = as_alice.post(f"/clusters/{cluster.pk}/databases/add/", DATABASE, headers=HTMX)
    assert answer.status_code == 422
    assert "does not know PostgreSQL 17, which other runs. Install 2.52 or newer there" in words_of(answer)
    assert not cluster.databases.filter(name="other").exists()
    cluster.nodes.filter(name="n2").update(applied_version="2.55.1")
    assert as_alice.post(f"/clusters/{cluster.pk}/databases/add/", DATABASE, headers=HTMX).status_code == 204


def test_database_newer_than_the_console_is_taken(as_alice, cluster):
    answer = as_alice.post(f"/clusters/{cluster.pk}/databases/add/", {**DATABASE, "version": "19"}, headers=HTMX)
    assert answer.status_code == 204
    cluster.nodes.filter(name="n1").update(applied_version="2.61.0")
    assert "does not know" not in words_of(as_alice.get(at(cluster)))
    assert as_alice.get(f"/clusters/{cluster.pk}/kit/").status_code == 200


def test_version_that_does_not_know_a_database_is_refused(as_alice, cluster):
    cluster.databases.update(version="17")
    answer = as_alice.post(at(cluster, "edit/"), {"pgbackrest_version": "2.45"}, headers=HTMX)
    assert answer.status_code == 422
    assert "pgBackRest 2.45 does not know PostgreSQL 17, which orders runs. Install 2.52 or newer on n1" in words_of(
        answer
    )
    assert cluster.nodes.get(name="n1").pgbackrest_version == ""
    assert as_alice.post(at(cluster, "edit/"), {"pgbackrest_version": "2.52"}, headers=HTMX).status_code == 204


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("pgbackrest"), reason="is root, with Debian's pgBackRest")
@pytest.mark.parametrize(("postgresql", "refused"), [(15, False), (17, True)])
def test_set_up_looks_at_the_machine_s_pgbackrest_first(tmp_path, postgresql, refused):
    machine = Machine(tmp_path / "machine")
    before = machine.look()
    ran = machine.run(setup_script(made(postgresql, ""), Known("https://console.example/", "token")))
    assert (ran.returncode, machine.look() == before) == ((1, True) if refused else (0, False))
    if refused:
        assert "This machine has pgBackRest 2.45, and needs 2.52 or newer: main runs PostgreSQL 17." in ran.stderr
        assert "Nothing was changed." in ran.stderr
