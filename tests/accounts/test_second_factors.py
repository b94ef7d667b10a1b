"""Who has to show a second factor, and where it is asked for."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.urls import reverse

from console.accounts.models import Membership, User
from tests import factories
from tests.accounts.signing_in import code_of, is_in, noted, sign_in


def test_a_second_factor_is_asked_for(client, totp):
    assert sign_in(client)["Location"] == "/account/second-factor/authenticate/"
    assert not is_in(client)
    answer = client.post("/account/second-factor/authenticate/", {"code": "000000"})
    assert "Incorrect code" in answer.content.decode()
    assert not is_in(client)
    assert noted("Failed the second factor").get().outcome == "refused"
    client.post("/account/second-factor/authenticate/", {"code": code_of(totp, 1)})
    assert is_in(client)
    added = noted("Added a second factor").values_list("after", flat=True)
    assert {"second factor": "TOTP Authenticator"} in added


def test_a_code_is_taken_once(client, totp):
    code = code_of(totp, 1)
    for wanted in (True, False):
        sign_in(client)
        client.post("/account/second-factor/authenticate/", {"code": code})
        assert is_in(client) is wanted
        client.logout()


@pytest.mark.slow
def test_codes_cannot_be_guessed(client, totp, clock):
    sign_in(client)
    for _ in range(30):
        client.post("/account/second-factor/authenticate/", {"code": "000000"})
    client.post("/account/second-factor/authenticate/", {"code": code_of(totp, 1)})
    assert not is_in(client)


def test_recovery_codes_are_shown_once_and_work_once(client, alice, totp):
    sign_in(client)
    client.post("/account/second-factor/authenticate/", {"code": code_of(totp, 1)})
    page = client.get("/account/second-factor/recovery-codes/").content.decode()
    codes = re.findall(r"^\s*([a-z0-9-]{8,})$", re.search(r"<textarea[^>]*>(.*?)</textarea>", page, re.S)[1], re.M)
    assert len(codes) == 10
    assert codes[0] not in client.get("/account/second-factor/recovery-codes/").content.decode()
    for wanted in (True, False):
        client.logout()
        sign_in(client)
        client.post("/account/second-factor/authenticate/", {"code": codes[0]})
        assert is_in(client) is wanted
    assert noted("Used a recovery code").get().actor == alice


def test_secrets_of_second_factors_are_encrypted_and_rotated(alice, totp, settings):
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert totp not in kept
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEYS]
    with pytest.raises(CommandError, match="2 secrets still need an older key"):
        call_command("rotate_keys", "--check")
    call_command("rotate_keys")
    settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS[:1]
    assert Authenticator.objects.get(type="totp").wrap().validate_code(code_of(totp, 1))


def test_an_organisation_asks_its_members_for_a_second_factor(client, acme, alice, bob, totp):
    client.force_login(alice)
    assert client.post("/organisation/second-factor/").status_code == 302
    acme.refresh_from_db()
    assert acme.second_factor_required
    assert is_in(client)
    assert noted("Required a second factor").get().organisation == acme
    client.force_login(bob)
    answer = client.get("/stores/")
    assert answer["Location"] == "/account/second-factor/"
    assert "asks its members for a second factor" in client.get("/account/second-factor/").content.decode()
    assert client.get("/stores/", headers={"HX-Request": "true"})["HX-Redirect"] == "/account/second-factor/"


def test_an_owner_without_one_cannot_ask_for_it(client, acme, alice):
    client.force_login(alice)
    answer = client.post("/organisation/second-factor/")
    assert answer.status_code == 422
    assert "you would lock yourself out" in answer.content.decode()
    acme.refresh_from_db()
    assert not acme.second_factor_required


def test_the_admin_wants_a_second_factor(client, alice, totp, settings):
    settings.SUPPORT_SECOND_FACTOR = True
    sue = factories.user("sue", is_staff=True, is_superuser=True)
    assert client.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/login/?next=")
    client.force_login(sue)
    assert client.get("/admin/", follow=True).redirect_chain[-1][0] == "/account/second-factor/"
    client.force_login(alice)
    assert client.get("/admin/login/").status_code == 403
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    assert client.get("/admin/").status_code == 200


def test_the_admin_has_no_password_page_of_its_own(client, db):
    client.force_login(factories.support())
    assert client.post("/admin/password_change/")["Location"] == "/account/password/change/"


def test_another_organisation_can_be_opened_from_one_that_asks_for_a_second_factor(client, acme, alice):
    other = factories.organisation("Other")
    Membership.objects.create(user=alice, organisation=other, role="viewer")
    acme.second_factor_required = True
    acme.save()
    client.force_login(alice)
    assert not is_in(client)
    client.post("/organisation/switch/", {"organisation": str(other.pk)})
    assert is_in(client)
    client.post("/organisation/switch/", {"organisation": str(acme.pk)})
    assert not is_in(client)


def test_who_comes_without_a_password_shows_the_second_factor_again(client, alice, totp):
    alice.set_unusable_password()
    alice.save()
    client.force_login(alice)
    answer = client.get("/confirm/?next=/organisation/invite/")
    assert answer["Location"].startswith("/account/second-factor/reauthenticate/")
    dialog = client.get("/confirm/?next=/organisation/invite/", headers={"HX-Request": "true"})
    assert dialog["HX-Redirect"] == answer["Location"]  # a page of its own, not one inside the dialog
    session = client.session
    session["confirmed_at"] = 0
    session.save()
    client.post(answer["Location"], {"code": code_of(totp, 1), "next": "/organisation/invite/"})
    assert client.get("/organisation/invite/").status_code == 200
    assert Membership.objects.get(user=alice).role == "owner"
    assert time.time() - client.session["confirmed_at"] < timedelta(minutes=1).total_seconds()


def test_second_factors_want_a_proof(client, alice, totp):
    client.force_login(alice)
    session = client.session
    session["confirmed_at"] = 0
    session.save()
    for name in ("mfa_deactivate_totp", "mfa_generate_recovery_codes", "mfa_download_recovery_codes"):
        answer = client.post(reverse(name))
        assert answer.status_code in {302, 404}, name  # there are no codes to download
        assert answer.get("Location", "/account/reauthenticate/").startswith("/account/reauthenticate/")
    assert Authenticator.objects.filter(user=alice).exists()
