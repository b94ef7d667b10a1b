"""What people can download of what is kept about them: everything that is about them, and nothing else."""

from __future__ import annotations

import json

import pytest
from django.apps import apps

from console.accounts.models import Invitation, User
from console.accounts.personal_data import KEPT, personal_data
from console.audit.models import AuditEvent
from tests import factories

ADDRESS = "/account/own-data.json"
# Rows that name a person and are told in another way.
REASONS = {
    ("accounts.Organisation", "members"): "as memberships",
    ("account.EmailConfirmation", "email_address"): "a secret of a moment, which nobody here is sent",
}


def test_every_row_that_names_a_person_is_told():
    told = {(one.model, one.by.partition("__")[0]) for one in KEPT}
    found = set()
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.get_fields():
            if field.concrete and not field.auto_created and (field.related_model is User or "email" in field.name):
                found.add((model._meta.label, field.name))
    found -= {("accounts.User", "email"), ("account.EmailAddress", "email")}  # told as fields of their rows
    assert len(found) >= 12
    assert found - told == set(REASONS)


def test_every_field_that_is_told_exists(db):
    for kind in KEPT:
        list(apps.get_model(kind.model)._default_manager.values(*kind.fields).order_by(kind.fields[0])[:1])


@pytest.fixture
def downloaded(client, alice):
    def download():
        answer = client.get(ADDRESS)
        assert answer.status_code == 200
        return json.loads(answer.content)["kinds"]

    client.post("/login/", {"username": "alice", "password": "secret"})
    return download


def test_somebody_downloads_what_is_kept_about_them(client, alice, acme, downloaded):
    alice.email = "alice@example.org"
    alice.save()
    Invitation.objects.create(
        organisation=factories.organisation("Elsewhere"),
        email=alice.email.upper(),
        role="viewer",
        token_sha256="f" * 64,
        expires_at="2099-01-01T00:00Z",
    )
    found = downloaded()
    [person] = found["person"]["rows"]
    assert (person["username"], person["email"]) == ("alice", alice.email)
    assert [one["organisation__name"] for one in found["memberships"]["rows"]] == ["Acme"]
    assert [one["organisation__name"] for one in found["invitations to you"]["rows"]] == ["Elsewhere"]
    assert len(found["sessions"]["rows"]) == 1
    assert {"Signed in", "Downloaded their own data"} <= {one["action"] for one in found["events"]["rows"]}
    answer = client.get(ADDRESS)
    assert answer["Content-Disposition"] == 'attachment; filename="storekeeper-own-data.json"'
    assert "no-store" in answer["Cache-Control"]
    assert ADDRESS in client.get("/account/sessions/").content.decode()


def test_nothing_secret_and_nothing_of_others_is_in_it(client, alice, bob, acme, downloaded):
    AuditEvent.objects.create(organisation=acme, actor=bob, actor_name="bob", action="Did", subject="a thing of bob's")
    AuditEvent.objects.create(
        organisation=acme,
        actor=alice,
        actor_name="alice",
        action="Did",
        subject="a-store",
        after={"name": "a-secret-plan"},
    )
    Invitation.objects.create(
        organisation=acme, email="nina@example.org", role="viewer", token_sha256="e" * 64, by=alice,
        expires_at="2099-01-01T00:00Z",
    )  # fmt: skip
    text = json.dumps(downloaded())
    session = client.session.session_key
    for hidden in (alice.password, session, "bob", "a-store", "a-secret-plan", "nina@example.org", "e" * 64):
        assert hidden not in text, hidden


def test_it_asks_who_one_is_and_again_after_five_minutes(client, alice):
    assert client.get(ADDRESS)["Location"].startswith("/login/")
    client.force_login(alice)
    session = client.session
    session["confirmed_at"] = 1
    session.save()
    assert client.get(ADDRESS)["Location"].startswith("/confirm/")


def test_the_newest_are_told_where_there_are_too_many(alice, acme, monkeypatch):
    monkeypatch.setattr("console.accounts.personal_data.ROWS_AT_MOST", 2)
    for number in range(5):
        AuditEvent.objects.create(
            organisation=acme, actor=alice, actor_name="alice", action=f"Did {number}", subject="x"
        )
    events = personal_data(alice)["kinds"]["events"]
    assert ([one["action"] for one in events["rows"]], events["more"]) == (["Did 4", "Did 3"], 3)
