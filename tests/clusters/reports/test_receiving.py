"""What is kept of reports: old, replayed, huge ones; two machines; a clock an hour off; and what each costs."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters import actions
from clusters.models import MACHINE_SILENT, Database, Node, NodeDatabase, RemovedNode, Stanza
from clusters.reports.report import BYTES_AT_MOST, of_status
from tests.clusters.nodes import POLICY, at, node_setup, report, seen, stanza_state
from tests.clusters.reports.sent import SYSTEM_ID, send, stanza
from tests.responses import HTMX

HOUR = 3600


def kept(cluster, name="n1"):
    return Node.objects.get(cluster=cluster, name=name)


def test_a_report_is_kept(cluster):
    answer = send(cluster, repositories=[1, 3])
    assert (answer.status_code, answer.content) == (200, b"kept\n")
    node = kept(cluster)
    assert (node.applied_sha256, node.applied_version, node.machine) == ("0" * 64, "2.45", "a" * 64)
    assert (node.applied_targets, node.status["timezone"]) == ([1, 3], "Europe/Berlin")
    assert of_status(node.status).of("orders").archiver.archived == 1200
    told = Stanza.objects.get()
    assert (told.node, told.system_id, told.timeline) == (node, SYSTEM_ID, 1)
    send(cluster, sent=int(time.time()) + 1, stanzas=[stanza(timeline=2)])
    assert Stanza.objects.get().timeline == 2


def test_a_standby_is_on_no_timeline_of_its_own(cluster):
    send(cluster, stanzas=[stanza(role="standby")])
    assert Stanza.objects.get().timeline is None
    assert of_status(kept(cluster).status).of("orders").timeline == 1


def test_a_server_that_is_down_leaves_what_is_known_of_it(cluster):
    send(cluster)
    send(cluster, sent=int(time.time()) + 1, stanzas=[{"name": "orders", "server": "down", "waiting": 7}])
    assert Stanza.objects.get().system_id == SYSTEM_ID
    assert of_status(kept(cluster).status).of("orders").server == "down"


def test_a_database_that_the_cluster_does_not_have_makes_no_stanza(cluster):
    assert send(cluster, stanzas=[stanza("unknown")]).status_code == 200
    assert not Stanza.objects.exists()


# What it costs


@pytest.mark.parametrize(("nodes", "databases"), [(3, 1), (20, 12)])
def test_a_report_costs_seven_queries_however_large_the_cluster_is(
    cluster, nodes, databases, django_capture_on_commit_callbacks
):
    Node.objects.bulk_create(Node(cluster=cluster, name=f"n{n}", region="eu-west-1") for n in range(4, nodes + 1))
    Database.objects.bulk_create(
        Database(cluster=cluster, name=f"db{n}", version="15", data_directory=f"/srv/{n}", port=6000 + n)
        for n in range(1, databases)
    )
    stanzas = [stanza(), *(stanza(f"db{n}") for n in range(1, databases))]
    for later in range(2):
        with CaptureQueriesContext(connection) as queries, django_capture_on_commit_callbacks(execute=True):
            assert send(cluster, sent=1795358980 + later, stanzas=stanzas).status_code == 200
        helpers = 1  # send() looks the token up
        assert len(queries) - helpers <= 7, [one["sql"] for one in queries]
    assert Stanza.objects.count() == databases


@pytest.mark.parametrize(
    ("how", "status", "at_most"),
    [
        ({"token": "wrong"}, 401, 2),
        ({"body": b"{" * BYTES_AT_MOST + b"{"}, 413, 1),
        ({"body": b"{}"}, 422, 1),
        ({"sha256": "x"}, 422, 1),
    ],
)
def test_what_is_refused_costs_less_and_changes_nothing(cluster, how, status, at_most):
    token = kept(cluster).secrets["report_token"]
    with CaptureQueriesContext(connection) as queries:
        answer = send(cluster, **{"token": token, **how})
    assert answer.status_code == status
    assert answer.content.strip()
    assert len(queries) <= at_most
    assert kept(cluster).reported_at is None


def test_the_largest_report_is_taken(cluster):
    body = b'{"version": 2, "sha256": "", "moon": "' + b"x" * BYTES_AT_MOST
    assert send(cluster, body[: BYTES_AT_MOST - 2] + b'"}').status_code == 200
    assert send(cluster, body[: BYTES_AT_MOST - 1] + b'"}').status_code == 413


def test_one_right_after_another_is_put_off(cluster, monkeypatch):
    monkeypatch.setattr("clusters.reports.receiving.APART", timedelta(seconds=2))
    assert send(cluster).status_code == 200
    with CaptureQueriesContext(connection) as queries:
        answer = send(cluster, sent=int(time.time()) + 9, by_hand=True)
    assert (answer.status_code, answer["Retry-After"]) == (429, "2")
    assert len(queries) <= 2
    assert report(cluster, sha256="0" * 64).status_code == 429
    Node.objects.update(reported_at=timezone.now() - timedelta(seconds=3))
    assert send(cluster, sent=int(time.time()) + 9).status_code == 200


# Old, replayed, from elsewhere


def test_an_older_and_a_replayed_report_are_refused(cluster):
    now = int(time.time())
    assert send(cluster, sent=now, sha256="1" * 64).status_code == 200
    for sent in (now, now - 1, now - HOUR, 0):
        answer = send(cluster, sent=sent, sha256="2" * 64, stanzas=[stanza(timeline=9)])
        assert (answer.status_code, b"is kept already" in answer.content) == (409, True)
    assert (kept(cluster).applied_sha256, Stanza.objects.get().timeline) == ("1" * 64, 1)
    assert send(cluster, sent=now + 1, sha256="2" * 64).status_code == 200


def test_a_clock_that_was_set_back_counts_again_after_a_while(cluster):
    now = int(time.time())
    send(cluster, sent=now + HOUR)
    assert send(cluster, sent=now).status_code == 409
    Node.objects.update(reported_at=timezone.now() - MACHINE_SILENT - timedelta(seconds=1))
    assert send(cluster, sent=now).status_code == 200
    assert send(cluster, sent=now + 300).status_code == 200


def test_a_second_machine_is_refused_until_the_first_is_silent(cluster):
    now = int(time.time())
    send(cluster, sent=now)
    answer = send(cluster, sent=now + 1, machine="b" * 64, stanzas=[stanza(timeline=3)])
    assert (answer.status_code, b"Another machine reports as n1" in answer.content) == (409, True)
    assert (kept(cluster).machine, kept(cluster).has_double, Stanza.objects.get().timeline) == ("a" * 64, True, 1)
    Node.objects.update(reported_at=timezone.now() - MACHINE_SILENT - timedelta(seconds=1))
    assert send(cluster, sent=now - HOUR, machine="b" * 64).status_code == 200  # its clock is another one
    assert kept(cluster).machine == "b" * 64


def test_a_removed_node_is_told_so(cluster):
    token = kept(cluster, "n2").secrets["report_token"]
    actions.remove_nodes(cluster, names=["n2"], by=None)
    answer = send(cluster, name="n2", token=token)
    assert (answer.status_code, b"was removed" in answer.content) == (410, True)
    assert RemovedNode.objects.get().is_still_at_work
    assert send(cluster, b"{", name="n2", token=token).status_code == 422


def test_since_when_a_node_is_primary_is_the_console_s_word(cluster):
    send(cluster, primary_since={"orders": 5})
    first = kept(cluster).status["primary_since"]
    assert abs(first["orders"] - time.time()) < 60
    send(cluster, sent=int(time.time()) + 1, primary_since={"orders": 5})
    assert kept(cluster).status["primary_since"] == first


# Whether it is applied: what the node said, measured by what it should have at this moment


def applied(cluster):
    """What a report by hand is answered, and what the page says: the same."""
    Node.objects.update(sent_at=None)
    fresh = kept(cluster)
    said = send(cluster, by_hand=True, sha256=fresh.applied_sha256 or "0" * 64).content.decode().strip()
    assert said == node_setup(cluster).state
    return said == "applied"


def store_left(cluster, client):
    """A store that the node has written to is one that it expires, from the moment that backups were seen there."""
    seen(cluster, stanza_state(), number=2)


CHANGES = {
    "another policy": lambda cluster, client: client.post(
        f"/clusters/{cluster.pk}/policy/", {**POLICY, "retention_full": "3"}, headers=HTMX
    ),
    "a policy of its own": lambda cluster, client: client.post(
        at(cluster, "policy/"), {**POLICY, "incr_schedule": "0 3 * * 1-6"}, headers=HTMX
    ),
    "other stores": lambda cluster, client: client.post(at(cluster, "backup-stores/"), {"choice": "all"}, headers=HTMX),
    "another pgBackRest": lambda cluster, client: client.post(
        at(cluster, "edit/"), {"pgbackrest_version": "2.55"}, headers=HTMX
    ),
    "a database more": lambda cluster, client: Database.objects.create(
        cluster=cluster, name="more", version="15", data_directory="/srv/more", port=5433
    ),
    "a database less": lambda cluster, client: client.post(
        f"/clusters/{cluster.pk}/databases/orders/remove/", {"name": "orders"}, headers=HTMX
    ),
    "a port of its own": lambda cluster, client: NodeDatabase.objects.create(
        node=kept(cluster), database=cluster.databases.get(), port=5499
    ),
    "a store that it left": store_left,
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_file_changes_the_answer(as_alice, cluster, change):
    Node.objects.update(applied_sha256=node_setup(cluster).sha256)
    assert applied(cluster)
    CHANGES[change](cluster, as_alice)
    assert not applied(cluster)
    Node.objects.filter(name="n1").update(applied_sha256=node_setup(cluster).sha256)
    assert applied(cluster)


def test_the_earlier_script_s_form_is_taken_as_ever(cluster):
    setup = node_setup(cluster)
    answer = report(cluster, sha256=setup.sha256, **{"system_id.orders": SYSTEM_ID, "timeline.orders": "4"})
    assert answer.content == b"applied\n"
    assert kept(cluster).applied_targets == setup.numbers
    assert Stanza.objects.get().timeline == 4
    send(cluster)
    assert report(cluster, sha256="0" * 64).status_code == 200  # somebody put the earlier one back
    assert kept(cluster).applied_targets == [1]
