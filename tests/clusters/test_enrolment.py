"""A token for many machines: what each is handed, once; who gets nothing; and what the owners see of it."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from clusters import actions, enrolment
from clusters.models import Database, Enrolment, Node
from console.accounts.models import Membership
from console.audit.models import AuditEvent
from tests.clusters.nodes import standing
from tests.responses import HTMX, text_of

BEGIN = "/clusters/enrolment/begin/"
MACHINE, OTHER = "a" * 64, "b" * 64
REFUSED = "This token is not taken: it may be mistyped, over, or revoked."


@pytest.fixture
def cluster(account, alice, stores):
    """Three nodes and two stores; no cloud is asked for them."""
    return standing(account, alice, stores)


@pytest.fixture
def other(account, alice, stores):
    """Another cluster, with one node."""
    return standing(account, alice, stores, name="other", regions=["eu-west-1"])


@pytest.fixture
def begun(cluster, acme, alice):
    """An enrolment for the three nodes of orders, and its token."""
    return enrolment.begin(acme, nodes=list(cluster.nodes.all()), hostnames={}, hours=4, by=alice)


def ask(token, node="n1", kind="setup", machine=MACHINE, **more):
    return Client().post(
        "/enrol/",
        {"kind": kind, "node": node, "machine": machine, **more},
        headers={"Authorization": f"Bearer {token}"},
    )


def said(answer):
    return answer.status_code, answer.content.decode().split("\n")[0]


def form(*clusters, **values):
    return {"clusters": [str(one.pk) for one in clusters], "whose": "new", "hours": "4", "machines": "", **values}


def secrets_of(cluster):
    passphrases = [one.secrets["cipher_pass"] for one in cluster.repositories.all()]
    return [*passphrases, *(one.secrets["report_token"] for one in cluster.nodes.all())]


def test_a_machine_gets_the_script_of_its_node_and_all_else_is_written_down(cluster, begun, as_alice):
    made, token = begun
    answer = ask(token)
    digest, script = answer.content.decode().split("\n", 1)
    assert answer.status_code == 200
    assert digest == hashlib.sha256(script.encode()).hexdigest()
    assert script == as_alice.get(f"/clusters/{cluster.pk}/nodes/n1/setup.sh").content.decode()
    assert "no-store" in answer["Cache-Control"]
    place = made.places.get(node__name="n1")
    assert (place.machine, place.address, place.times) == (MACHINE, "127.0.0.1", 1)
    assert place.node.machine == MACHINE
    event = AuditEvent.objects.get(action="Handed out the set-up script by enrolment")
    assert (event.address, event.subject, event.actor) == ("127.0.0.1", "n1", None)
    assert event.after["cluster"] == "orders"


def test_a_node_is_handed_out_once_until_somebody_allows_it_again(begun, as_alice):
    made, token = begun
    assert ask(token).status_code == 200
    assert said(ask(token))[0] == 409
    assert "was enrolled already" in said(ask(token))[1]
    assert "tell your administrators" in said(ask(token, machine=OTHER))[1]
    place = made.places.get(node__name="n1")
    as_alice.post(f"/clusters/enrolment/{made.pk}/{place.pk}/again/")
    assert Node.objects.get(pk=place.node_id).machine == ""
    assert ask(token, machine=OTHER).status_code == 200
    assert said(ask(token, machine=OTHER))[0] == 409
    assert made.places.get(pk=place.pk).times == 2


def test_what_only_looks_holds_no_secret_and_uses_nothing_up(cluster, begun):
    made, token = begun
    for _ in range(3):
        answer = ask(token, kind="check")
        assert answer.status_code == 200
        assert not [one for one in secrets_of(cluster) if one in answer.content.decode()]
    assert made.taken == 0
    assert [one for one in secrets_of(cluster) if one in ask(token).content.decode()]


@pytest.mark.parametrize("spoil", ["unknown", "empty", "expired", "revoked", "viewer", "gone", "inactive", "edition"])
def test_every_token_that_is_not_taken_gets_the_same_answer(begun, alice, acme, spoil):
    made, token = begun
    if spoil == "expired":
        Enrolment.objects.update(created_at=timezone.now() - timedelta(2), expires_at=timezone.now() - timedelta(1))
    elif spoil == "revoked":
        enrolment.revoke(made, by=alice)
    elif spoil in {"viewer", "gone"}:
        whose = Membership.objects.filter(user=alice)
        whose.update(role="viewer") if spoil == "viewer" else whose.delete()
    elif spoil == "inactive":
        alice.is_active = False
        alice.save()
    elif spoil == "edition":
        acme.edition = "developer"
        acme.save()
    token = {"unknown": "x" * 43, "empty": ""}.get(spoil, token)
    for kind in ("check", "setup", "nonsense"):
        status, line = said(ask(token, kind=kind))
        assert (status, line.startswith(REFUSED)) == (403, True)
    assert said(ask(token, node="n9"))[0] == 403
    assert made.taken == 0
    refused = AuditEvent.objects.filter(action="Was refused an enrolment", outcome="refused").count()
    assert refused == (0 if spoil in {"unknown", "empty"} else 4)


def test_a_token_is_good_for_its_own_nodes_alone(other, cluster, acme, alice):
    first = cluster.nodes.first()
    _, token = enrolment.begin(acme, nodes=[first], hostnames={}, hours=1, by=alice)
    for node in ("n2", f"{other.called}/n1", "nothing"):
        assert said(ask(token, node=node)) == (
            422,
            f"This enrolment knows no node {node}. Say which it is with --node: {cluster.called}/n1.",
        )
    assert ask(token, node=f"{cluster.called}/n1").status_code == 200


@pytest.mark.parametrize(
    ("hostname", "fqdn", "name"),
    [
        ("db1", "db1.example.org", "n1"),  # as the enrolment says
        ("DB2", "", "n2"),
        ("db2", "db2.example.org", "n2"),
        ("n3", "n3.example.org", "n3"),  # by the node's own name
        ("db3", "db3.internal", "n3"),  # by its address
        ("db9", "db9.example.org", None),
        ("n1", "", None),  # which the enrolment knows by another name
        ("", "", None),
    ],
)
def test_a_machine_is_found_by_its_name(cluster, acme, alice, hostname, fqdn, name):
    nodes = list(cluster.nodes.all())
    Node.objects.filter(pk=nodes[2].pk).update(address="db3.internal")
    names = {nodes[0].pk: "db1.example.org", nodes[1].pk: "db2"}
    made, token = enrolment.begin(acme, nodes=nodes, hostnames=names, hours=1, by=alice)
    answer = ask(token, node="", hostname=hostname, fqdn=fqdn)
    assert answer.status_code == (200 if name else 422), said(answer)
    assert [one.node.name for one in made.places.exclude(taken_at=None)] == ([name] if name else [])


def test_one_name_in_two_clusters_has_to_be_said(other, cluster, acme, alice):
    nodes = [cluster.nodes.first(), other.nodes.first()]
    _, token = enrolment.begin(acme, nodes=nodes, hostnames={}, hours=1, by=alice)
    assert said(ask(token)) == (
        422,
        f"It could be one of several: {cluster.called}/n1, {other.called}/n1. Say which with --node.",
    )


def test_the_place_of_a_machine_that_reports_is_not_handed_out(begun):
    _, token = begun
    Node.objects.filter(name="n1").update(machine=OTHER, reported_at=timezone.now())
    for more in ({}, {"replace": "yes"}):
        assert said(ask(token, **more))[0] == 409
        assert "Another machine reports as" in said(ask(token, **more))[1]
    Node.objects.filter(name="n1").update(reported_at=timezone.now() - timedelta(hours=1))
    assert "add --replace" in said(ask(token))[1]
    assert ask(token, replace="yes").status_code == 200


def test_a_cluster_that_has_no_configuration_uses_nothing_up(cluster, begun):
    made, token = begun
    Database.objects.filter(cluster=cluster).delete()
    assert said(ask(token)) == (409, "orders has no configuration yet: give it a database first.")
    assert made.taken == 0


def test_what_is_revoked_meanwhile_is_not_handed_out(begun, alice):
    made, _ = begun
    asked = enrolment.Asked(node="n1", machine=MACHINE)
    place = enrolment.place_for(made, asked)
    node_setup = enrolment.setup_for(place, asked)
    enrolment.revoke(made, by=alice)
    with pytest.raises(enrolment.NotHandedOut, match="is not taken"):
        enrolment.hand_out(place, node_setup, asked)


@pytest.mark.parametrize(("field", "value"), [("kind", "nonsense"), ("machine", "../etc"), ("machine", "A" * 64)])
def test_what_no_script_of_ours_sends_is_refused(begun, field, value):
    made, token = begun
    assert said(ask(token, **{field: value}))[0] == 422
    assert made.taken == 0


def test_too_many_requests_are_put_off(begun, monkeypatch):
    _, token = begun
    cache.clear()
    monkeypatch.setattr(enrolment, "UNKNOWN_A_MINUTE", 2)
    monkeypatch.setattr(enrolment, "ASKED_A_MINUTE", 2)
    assert [ask(token, kind="check").status_code for _ in range(3)] == [200, 200, 429]
    assert ask(token, node="n2").status_code == 200
    assert [ask("x").status_code for _ in range(3)] == [403, 403, 429]


def test_the_token_is_shown_once_and_its_digest_kept(cluster, as_alice):
    answer = as_alice.post(BEGIN, form(cluster), headers=HTMX)
    page, made = text_of(answer), Enrolment.objects.get()
    token = page.split('data-copy="')[1].split('"')[0]
    assert made.token_sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert token not in text_of(as_alice.get(made.get_absolute_url()))
    assert ask(token).status_code == 200
    script = Client().get("/enrol/enrol.sh").content
    assert hashlib.sha256(script).hexdigest() in page
    assert "http://testserver/enrol/enrol.sh" in page


def test_an_own_ca_travels_in_the_script_whose_digest_is_compared(cluster, as_alice, settings):
    settings.PUBLIC_CA, settings.PUBLIC_URL = "-----BEGIN CERTIFICATE-----\nx", "https://console.example.org"
    page = text_of(as_alice.post(BEGIN, form(cluster), headers=HTMX))
    script = Client().get("/enrol/enrol.sh").content
    assert b"-----BEGIN CERTIFICATE-----" in script
    assert b"address=https://console.example.org/enrol/\n" in script
    assert "curl -fsSk -o enrol.sh https://console.example.org/enrol/enrol.sh" in page
    assert hashlib.sha256(script).hexdigest() in page


def test_only_nodes_that_never_reported_are_enrolled_unless_all_are_wanted(cluster, as_alice):
    Node.objects.filter(cluster=cluster, name="n1").update(reported_at=timezone.now())
    as_alice.post(BEGIN, form(cluster))
    as_alice.post(BEGIN, form(cluster, whose="all"))
    assert [one.places.count() for one in Enrolment.objects.order_by("pk")] == [2, 3]
    Node.objects.update(reported_at=timezone.now())
    answer = as_alice.post(BEGIN, form(cluster))
    assert answer.status_code == 422
    assert "All nodes of these clusters have reported." in text_of(answer)


def test_lines_of_machines_choose_the_nodes(cluster, as_alice):
    lines = f"# racks\nDB1.example.org n1\n\n db2.example.org {cluster.called}/n2 \n"
    as_alice.post(BEGIN, form(cluster, machines=lines))
    places = Enrolment.objects.get().places.all()
    assert [(one.node.name, one.hostname) for one in places] == [("n1", "db1.example.org"), ("n2", "db2.example.org")]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"clusters": []}, "Choose at least one cluster."),
        ({"clusters": ["nonsense"]}, "nonsense"),
        ({"hours": "720"}, "720"),
        ({"whose": ""}, "required"),
        ({"machines": "db1.example.org"}, "Line 1: write a host name, a space, and the name of a node."),
        ({"machines": "db1 n1\n# db0 n0\ndb2 n9"}, "Line 3: n9 is none of the chosen nodes."),
        ({"machines": "db_1;x n1"}, "Line 1: "),
        ({"machines": "db1 n1\ndb1 n2"}, "Line 2: db1 or n2 stands in an earlier line already."),
        ({"machines": "db1 n1\ndb2 n1"}, "Line 2: db2 or n1 stands in an earlier line already."),
    ],
)
def test_a_form_with_something_wrong_makes_nothing(cluster, as_alice, values, words):
    answer = as_alice.post(BEGIN, {**form(cluster), **values})
    assert answer.status_code == 422
    assert words in text_of(answer)
    assert not Enrolment.objects.exists()


def test_a_stranger_s_cluster_cannot_be_enrolled(cluster, client, charlie, begun):
    client.force_login(charlie)
    answer = client.post(BEGIN, form(cluster))
    assert answer.status_code == 422
    assert "There is no such cluster here." in text_of(answer)
    assert cluster.called not in text_of(client.get(BEGIN))
    made, _ = begun
    place = made.places.first()
    assert client.get(made.get_absolute_url()).status_code == 404
    assert client.post(f"{made.get_absolute_url()}revoke/").status_code == 404
    assert client.post(f"{made.get_absolute_url()}{place.pk}/again/").status_code == 404


def test_who_sees_no_secrets_sees_no_token_but_how_far_it_is(cluster, client, bob, begun):
    made, token = begun
    client.force_login(bob)
    for address in ("/clusters/enrolment/", BEGIN, made.get_absolute_url()):
        assert client.get(address).status_code == 403
    ask(token)
    page = text_of(client.get(cluster.get_absolute_url()))
    assert "1 of 3 nodes enrolled, 2 waiting" in page
    assert made.get_absolute_url() not in page


def test_the_owner_sees_how_far_it_is_and_revokes_it(cluster, as_alice, begun):
    made, token = begun
    ask(token, node="n2")
    for address in ("/clusters/enrolment/", made.get_absolute_url(), cluster.get_absolute_url()):
        assert "1 of 3 nodes enrolled, 2 waiting" in text_of(as_alice.get(address))
    as_alice.post(f"{made.get_absolute_url()}revoke/")
    assert said(ask(token))[0] == 403
    assert "1 of 3 nodes" not in text_of(as_alice.get(cluster.get_absolute_url()))
    assert "Revoked" in text_of(as_alice.get(made.get_absolute_url()))
    assert AuditEvent.objects.get(action="Revoked an enrolment").after == {"enrolled": 1, "waiting": 2}


def test_what_cannot_be_done_any_more_is_said(begun, as_alice, alice):
    made, _ = begun
    place = made.places.first()
    answer = as_alice.post(f"{made.get_absolute_url()}{place.pk}/again/", follow=True)
    assert "is not enrolled, or the token is not taken any more" in text_of(answer)
    enrolment.revoke(made, by=alice)
    answer = as_alice.post(f"{made.get_absolute_url()}revoke/", follow=True)
    assert "was not taken any more already" in text_of(answer)


def test_old_enrolments_are_forgotten(cluster, acme, alice, begun):
    Enrolment.objects.update(created_at=timezone.now() - timedelta(41), expires_at=timezone.now() - timedelta(40))
    enrolment.begin(acme, nodes=list(cluster.nodes.all()), hostnames={}, hours=1, by=alice)
    assert Enrolment.objects.count() == 1


def test_a_removed_node_leaves_its_enrolment(cluster, begun):
    made, token = begun
    actions.remove_nodes(cluster, names=["n1"], by=None)
    assert said(ask(token))[0] == 422
    assert made.places.count() == 2


def test_the_list_needs_the_same_queries_for_five_enrolments_as_for_one(
    cluster, acme, alice, as_alice, begun, django_assert_max_num_queries
):
    with django_assert_max_num_queries(20) as one:
        as_alice.get("/clusters/enrolment/")
    for _ in range(4):
        enrolment.begin(acme, nodes=list(cluster.nodes.all()), hostnames={}, hours=1, by=alice)
    with django_assert_max_num_queries(len(one)):
        as_alice.get("/clusters/enrolment/")
