"""What owners see of sign-ins, and what people are told of changes to how they sign in."""

from __future__ import annotations

import pytest
from django.core import mail
from django.test import Client

from console.accounts.models import Membership, User
from tests import factories
from tests.accounts.signing_in import code_of, noted, sign_in


def test_owners_see_who_signs_in_and_who_tries(client, acme, alice, bob):
    other = factories.organisation("Other")
    Membership.objects.create(user=bob, organisation=other, role="viewer")
    elsewhere = Client(REMOTE_ADDR="203.0.113.7")
    sign_in(elsewhere, "nobody", "wrong")
    sign_in(elsewhere, "BOB", "wrong")
    sign_in(elsewhere, "bob")
    client.force_login(alice)
    rows = [row[0] for row in client.get("/audit/").context["rows"]]
    assert [(one.action, one.outcome, one.address) for one in rows] == [
        ("Signed in", "done", "203.0.113.7"),
        ("Failed to sign in", "refused", "203.0.113.7"),
    ]
    assert noted("Signed in").filter(organisation=other).count() == 1
    assert noted("Failed to sign in").get(organisation=None).subject == "nobody"


@pytest.fixture
def mailed(settings, alice):
    """Alice has an address, and the console a mail server."""
    settings.EMAIL_HOST = "mail.example.com"
    alice.email = "alice@example.com"
    alice.save()
    return mail.outbox


def test_who_changes_how_they_sign_in_is_told_by_mail(client, alice, mailed, django_capture_on_commit_callbacks):
    sign_in(client)
    with django_capture_on_commit_callbacks(execute=True):
        given = dict.fromkeys(("password1", "password2"), "correct-horse-9")
        client.post("/account/password/change/", {"oldpassword": "secret", **given})
        page = client.get("/account/second-factor/totp/activate/")
        client.post("/account/second-factor/totp/activate/", {"code": code_of(page.context["form"].secret)})
        client.post("/account/second-factor/totp/deactivate/")
    assert {one.subject for one in mailed} == {
        "Storekeeper: your password was changed",
        "Storekeeper: a second factor was added: TOTP Authenticator",
        "Storekeeper: a second factor was added: Recovery codes",
        "Storekeeper: a second factor was removed: TOTP Authenticator",
        "Storekeeper: a second factor was removed: Recovery codes",
    }
    assert {one.to[0] for one in mailed} == {"alice@example.com"}
    assert "for your user name alice" in mailed[0].body
    assert "From: 127.0.0.1" in mailed[0].body
    assert "correct-horse-9" not in mailed[0].body


def test_a_mail_server_that_is_down_keeps_nobody_from_a_new_password(
    client, alice, mailed, monkeypatch, django_capture_on_commit_callbacks
):
    def down(*_, **__):
        raise OSError("nothing answers")

    monkeypatch.setattr("console.accounts.sign_in.send_mail", down)
    sign_in(client)
    with django_capture_on_commit_callbacks(execute=True):
        given = dict.fromkeys(("password1", "password2"), "correct-horse-9")
        client.post("/account/password/change/", {"oldpassword": "secret", **given})
    alice.refresh_from_db()
    assert alice.check_password("correct-horse-9")


@pytest.mark.parametrize(("host", "address"), [("", "alice@example.com"), ("mail.example.com", "")])
def test_nobody_is_told_where_no_mail_can_go(
    client, alice, settings, host, address, django_capture_on_commit_callbacks
):
    settings.EMAIL_HOST = host
    User.objects.filter(pk=alice.pk).update(email=address)
    sign_in(client)
    with django_capture_on_commit_callbacks(execute=True):
        given = dict.fromkeys(("password1", "password2"), "correct-horse-9")
        client.post("/account/password/change/", {"oldpassword": "secret", **given})
    assert not mail.outbox


@pytest.fixture
def as_operator(client, db):
    client.force_login(factories.user("op", is_staff=True, is_superuser=True))
    return client


def user_fields(user, **values):
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    return {"username": user.username, "email": user.email, "is_active": "on", **joined, **values}


def test_what_the_operator_changes_of_a_person_is_written_down_and_told(
    as_operator, acme, alice, mailed, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        url = f"/admin/accounts/user/{alice.pk}"
        moved = as_operator.post(f"{url}/change/", user_fields(alice, email="mallory@example.com"))
        given = {"password1": "correct-horse-9", "password2": "correct-horse-9", "usable_password": "true"}
        changed = as_operator.post(f"{url}/password/", given)
    assert (moved.status_code, changed.status_code) == (302, 302)
    assert [(one.to[0], one.subject) for one in mailed] == [
        ("alice@example.com", "Storekeeper: your e-mail address was changed"),
        ("mallory@example.com", "Storekeeper: the operator of the console has changed your user"),
        ("mallory@example.com", "Storekeeper: the operator of the console has changed your user"),
    ]
    events = noted("Operator: changed the user").filter(organisation=acme, actor_name="op").order_by("created_at")
    assert ["mail" in events[0].after["what"], "assword" in events[1].after["what"]] == [True, True]
    as_operator.post(f"{url}/delete/", {"post": "yes"})
    assert not User.objects.filter(username="alice").exists()
    assert noted("Operator: deleted the user").get().organisation == acme


def memberships(acme, **values):
    mine = acme.memberships.order_by("pk")
    fields = {"memberships-TOTAL_FORMS": str(len(mine)), "memberships-INITIAL_FORMS": str(len(mine))}
    for number, one in enumerate(mine):
        for name, value in {"id": one.pk, "organisation": acme.pk, "user": one.user_id, "role": one.role}.items():
            fields[f"memberships-{number}-{name}"] = str(value)
    limits = {"stores_at_most": 50, "invitations_at_most": 20, "operations_at_once": 12}
    return {"name": acme.name, "edition": acme.edition, **limits, **fields, **values}


def test_what_the_operator_changes_of_memberships_is_written_down(as_operator, acme, alice, bob):
    url = f"/admin/accounts/organisation/{acme.pk}/change/"
    assert as_operator.post(url, memberships(acme, **{"memberships-1-role": "admin"})).status_code == 302
    assert as_operator.post(url, memberships(acme, **{"memberships-1-DELETE": "on"})).status_code == 302
    assert acme.memberships.get().user == alice
    for did in ("changed a membership", "removed a member"):
        event = noted(f"Operator: {did}").get()
        assert (event.organisation, event.subject, event.after) == (acme, "bob", {"role": "admin"})


@pytest.mark.parametrize("how", [{"memberships-0-role": "viewer"}, {"memberships-0-DELETE": "on"}])
def test_not_even_the_operator_takes_the_last_owner_away(as_operator, acme, alice, bob, how):
    answer = as_operator.post(f"/admin/accounts/organisation/{acme.pk}/change/", memberships(acme, **how))
    assert "An organisation always has an owner" in answer.content.decode()
    assert alice.memberships.get().role == "owner"
