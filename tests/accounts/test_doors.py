"""No page of a viewer leads to what a viewer may not do: a door that is shut is not drawn."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import Cluster, Enrolment, Node
from console.accounts import activity
from console.accounts.permissions import ROLES
from tests import factories, walk

PAGES = [
    one.pattern
    for one in walk.routes()
    if not one.is_admin and not one.is_api and not one.arguments and hasattr(one.view, "permission")
]


def wants(view):
    """Return all that the view asks for, of its decorators too."""
    inner = getattr(view, "__wrapped__", None)
    return ({view.permission} if hasattr(view, "permission") else set()) | (wants(inner) if inner else set())


def shut(client, address, routes, role="viewer"):
    """Return what the page leads to that the role may not do; None where it is no page."""
    answer = client.get(address)
    if answer.status_code != 200 or not answer.get("Content-Type", "").startswith("text/html"):
        return None
    found = walk.Harvest(address, answer.content.decode())
    leads = {one: walk.find(one, routes) for one in {*found.links, *(action for _, action, _ in found.forms)}}
    return {one for one, route in leads.items() if route and wants(route.view) - ROLES[role]}


@pytest.fixture
def things(acme, account):
    """An account, a store and a cluster with a node."""
    store = factories.store(account)
    cluster = Cluster.objects.create(organisation=acme, cloud_account=account, name="ledger", state="available")
    node = Node.objects.create(cluster=cluster, name="n1", region="eu-west-1")
    return [account, store, cluster, node]


@pytest.mark.slow
@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_whoever_only_reads_sees_no_door_that_is_shut(client, acme, things, role):
    client.force_login(factories.user("reader", acme, role))
    routes = walk.routes()
    addresses = [f"/{one}" for one in PAGES] + [one.get_absolute_url() for one in things]
    found = {one: shut(client, one, routes, role) for one in addresses}
    assert {one: doors for one, doors in found.items() if doors} == {}
    assert sum(doors is not None for doors in found.values()) > 10


def test_an_auditor_reads_the_audit_log_and_changes_nothing(client, acme):
    assert ROLES["auditor"] - ROLES["viewer"] == {"see_audit"}
    client.force_login(factories.user("reader", acme, "auditor"))
    assert 'href="/audit/"' in client.get("/stores/").content.decode()
    for address in ("/audit/", "/audit/audit.csv", "/clusters/evidence/"):
        assert client.get(address).status_code == 200, address
    assert client.get("/organisation/invite/").status_code == 403


def test_the_audit_log_leads_to_what_the_reader_may_open(client, acme, things):
    enrolment = Enrolment.objects.create(
        organisation=acme, token_sha256="a" * 64, expires_at=timezone.now() + timedelta(hours=1)
    )
    for one in (*things, enrolment):
        activity.record("Looked at it", one, organisation=acme, by=None)
    for role, sees in (("owner", True), ("auditor", False)):
        client.force_login(factories.user(f"the-{role}", acme, role))
        page = client.get("/audit/").content.decode()
        assert (f'href="{enrolment.get_absolute_url()}"' in page) is sees
        assert f'href="{things[1].get_absolute_url()}"' in page
        assert not shut(client, "/audit/", walk.routes(), role)


def test_an_owner_sees_them(as_alice, things):
    routes = walk.routes()
    assert "/clusters/create/" in shut(as_alice, "/clusters/", routes)
