"""Support sees the console as an organisation does: for a reason, for a while, and changing nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import RequestFactory
from django.urls import get_resolver
from django.utils import timezone

from console.accounts import impersonation
from console.audit.models import AuditEvent
from stores.models import Store
from tests import factories


@pytest.fixture
def sue(db):
    return factories.support()


@pytest.fixture
def as_support(client, sue):
    client.force_login(sue)
    return client


@pytest.fixture
def looking(as_support, acme, account):
    """Sue, who looks at Acme."""
    answer = as_support.post(f"/admin/accounts/organisation/{acme.pk}/see-as/", {"reason": "Ticket 4711"}, follow=True)
    assert answer.redirect_chain[-1][0] == "/"
    return as_support


def entries(organisation):
    return list(
        AuditEvent.objects.filter(organisation=organisation).order_by("created_at").values_list("action", flat=True)
    )


def test_support_sees_what_a_viewer_sees_with_a_banner(looking, acme, account, alice):
    store = factories.store(account)
    theirs = factories.store(factories.account(factories.organisation("Globex")), name="foreign")
    page = looking.get("/stores/").content.decode()
    assert "sue sees the console as Acme does, as support, until" in page
    assert store.get_absolute_url() in page
    assert str(theirs.pk) not in page
    assert 'href="/stores/create/"' not in page
    for path in (store.get_absolute_url(), "/cloud-accounts/", "/tasks/", "/clusters/"):
        page = looking.get(path)
        assert page.status_code == 200, path
        assert "as support, until" in page.content.decode(), path
    for path in ("/stores/create/", f"/stores/{store.pk}/delete/", "/cloud-accounts/link/"):
        page = looking.get(path)
        assert page.status_code == 403, path
        assert "as support, until" in page.content.decode()
    assert looking.get(theirs.get_absolute_url()).status_code == 404


def test_a_reason_is_needed(as_support, acme):
    url = f"/admin/accounts/organisation/{acme.pk}/see-as/"
    assert url in as_support.get(f"/admin/accounts/organisation/{acme.pk}/change/").content.decode()
    assert as_support.get(url).status_code == 200
    for reason in ("", "  ", "x" * 201):
        assert as_support.post(url, {"reason": reason}).status_code == 422
    assert entries(acme) == []
    assert as_support.get("/stores/").status_code == 403  # of no organisation


def test_the_organisation_finds_both_ends_in_its_audit(looking, acme):
    looking.post("/stop-seeing/")
    assert entries(acme) == ["Support began to look", "Support stopped looking"]
    event = AuditEvent.objects.get(action="Support began to look")
    assert (event.actor_name, event.after["reason"]) == ("sue", "Ticket 4711")
    assert looking.get("/stores/").status_code == 403
    looking.post("/stop-seeing/")  # again: nothing
    assert len(entries(acme)) == 2


def test_it_ends_with_the_time_the_sign_in_and_the_permission(looking, acme, sue):
    def look():
        looking.force_login(sue)
        looking.post(f"/admin/accounts/organisation/{acme.pk}/see-as/", {"reason": "again"})
        assert looking.get("/stores/").status_code == 200

    session = looking.session
    session["impersonation"] = {
        **session["impersonation"],
        "until": (timezone.now() - timedelta(seconds=1)).isoformat(),
    }
    session.save()
    assert looking.get("/stores/").status_code == 403
    look()
    looking.post("/logout/")
    assert "impersonation" not in looking.session
    look()
    sue.groups.clear()
    assert looking.get("/stores/").status_code == 403
    sue.groups.add(factories.Group.objects.get(name=factories.SUPPORT))
    look()
    assert (
        1790
        < (timezone.datetime.fromisoformat(looking.session["impersonation"]["until"]) - timezone.now()).seconds
        < 1801
    )
    assert entries(acme) == ["Support began to look", "Support stopped looking"] * 3 + ["Support began to look"]


@pytest.mark.slow
def test_nothing_can_be_changed_whatever_the_view_would_do(looking, acme, account, sample):
    """Every address of the console and of the admin: refused before any view, even where there is none."""
    store = factories.store(account)
    before = Store.objects.values().get()
    count = AuditEvent.objects.count()
    paths = {f"/{route}" for route in _routes(get_resolver().url_patterns, str(store.pk))} - {
        "/stop-seeing/",
        "/logout/",
    }
    assert len(paths) > 60
    taken = sample("addresses refused to support", sorted(paths), by=lambda path: path.split("/")[1], of_each=5)
    for method in ("post", "put", "patch", "delete"):
        for path in taken if method == "post" else ["/stores/create/", "/no/such/"]:
            assert getattr(looking, method)(path, {"name": store.name}).status_code == 403, (method, path)
    assert Store.objects.values().get() == before
    assert AuditEvent.objects.count() == count


def _routes(patterns, pk, base=""):
    for one in patterns:
        route = base + str(one.pattern).replace("<uuid:pk>", pk).replace("^", "").replace("$", "")
        if hasattr(one, "url_patterns"):
            yield from _routes(one.url_patterns, pk, route)
        else:
            yield route


def test_seeing_as_is_for_who_may(client, acme, alice):
    client.force_login(factories.user("newcomer", is_staff=True))
    url = f"/admin/accounts/organisation/{acme.pk}/see-as/"
    assert client.get(url).status_code == 403
    assert client.post(url, {"reason": "curious"}).status_code == 403
    client.force_login(alice)
    assert client.post(url, {"reason": "curious"}).status_code == 302  # to the sign-in of the admin
    request = RequestFactory().get("/")
    request.session = {}
    with pytest.raises(impersonation.PermissionDenied):
        impersonation.start(request, acme, reason="curious", by=alice)
    assert entries(acme) == []


def test_a_member_of_staff_with_an_organisation_sees_the_other_one_only(client, acme, account):
    sue = factories.support()
    factories.Membership.objects.create(user=sue, organisation=factories.organisation("Own"), role="owner")
    client.force_login(sue)
    client.post(f"/admin/accounts/organisation/{acme.pk}/see-as/", {"reason": "Ticket"})
    assert "Acme" in client.get("/stores/").content.decode()
    assert client.get("/stores/create/").status_code == 403
    client.post("/stop-seeing/")
    assert client.get("/stores/create/").status_code == 200
