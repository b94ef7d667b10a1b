"""The language of a page is the reader's; what is recorded, and what machines read, is in English."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import override_settings
from django.utils.translation import get_language, override

from console.accounts import sign_in as signing
from console.audit.models import AuditEvent
from console.web import language
from tests.accounts.signing_in import sign_in

GERMAN = {"headers": {"accept-language": "de-AT,de;q=0.9,en;q=0.5"}}


@pytest.fixture
def two(settings):
    settings.LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("en-US,en", "en"),
        ("fr", "en"),
        ("", "en"),
        ("fr,de;q=0.1", "de"),
        ("\xff", "en"),
    ],
    ids=["austrian", "american", "french", "none", "second", "garbage"],
)
def test_the_browser_decides_for_who_is_not_signed_in(client, db, two, asked, spoken):
    answer = client.get("/login/", headers={"accept-language": asked})
    assert f'<html lang="{spoken}"' in answer.content.decode()
    assert answer["Content-Language"] == {"en": "en-gb"}.get(spoken, spoken)
    assert "Accept-Language" in answer["Vary"]
    assert get_language() == "en-gb"  # the thread's, of whatever comes next


def test_with_one_language_nothing_is_told_of_it(client, db, settings):
    settings.LANGUAGES = settings.LANGUAGES[:1]
    answer = client.get("/login/", **GERMAN)
    assert '<html lang="en"' in answer.content.decode()
    assert "Content-Language" not in answer
    assert "Accept-Language" not in answer.get("Vary", "")


def test_a_person_chooses(client, alice, two):
    sign_in(client)
    page = client.get("/account/language/", **GERMAN).content.decode()
    assert '<html lang="de"' in page
    assert page.count("<option") == 3
    assert 'href="/account/language/" aria-current="page"' in page
    assert client.post("/account/language/", {"language": "en-gb"}, **GERMAN).status_code == 302
    assert '<html lang="en"' in client.get("/account/language/", **GERMAN).content.decode()
    client.post("/account/language/", {"language": "de"})
    assert '<html lang="de"' in client.get("/account/language/", headers={"accept-language": "en"}).content.decode()
    client.post("/account/language/", {"language": ""})
    alice.refresh_from_db()
    assert alice.language is None
    assert '<html lang="de"' in client.get("/", follow=True, **GERMAN).content.decode()


def test_a_language_that_there_is_not_is_refused(client, alice, two):
    sign_in(client)
    for wrong in ("fr", "de-AT", "en"):
        assert client.post("/account/language/", {"language": wrong}).status_code == 422
    alice.refresh_from_db()
    assert alice.language is None


def test_a_language_that_is_gone_is_that_of_the_browser(client, alice, two):
    alice.language = "fr"
    alice.save()
    sign_in(client)
    assert '<html lang="de"' in client.get("/account/language/", **GERMAN).content.decode()


def test_the_page_is_not_offered_while_there_is_one_language(client, alice, settings):
    settings.LANGUAGES = settings.LANGUAGES[:1]
    sign_in(client)
    assert "/account/language/" not in client.get("/account/password/change/").content.decode()


@pytest.mark.parametrize("path", ["/api/v1/stores", "/v1/oauth/token", "/healthz", "/metrics"])
def test_machines_read_english(client, db, two, path, monkeypatch):
    seen = []
    monkeypatch.setattr(language, "of", lambda request: seen.append(request.path) or "de")
    client.get(path, **GERMAN)
    assert not seen
    client.get("/login/", **GERMAN)
    assert seen == ["/login/"]


def test_the_language_costs_no_query(client, alice, two, django_assert_num_queries):
    sign_in(client)
    client.get("/account/language/")
    with override_settings(LANGUAGES=[("en-gb", "English")]), django_assert_num_queries(4) as one:
        client.get("/account/password/change/")
    with django_assert_num_queries(len(one)):
        client.get("/account/password/change/", **GERMAN)


def test_what_is_recorded_of_a_german_s_second_factor_is_in_english(client, alice, two):
    with override("de"):
        signing._FACTOR_NOTES[0][1](alice, Authenticator(user=alice, type="recovery_codes"))
    assert "Recovery codes" in str(AuditEvent.objects.latest("pk").after)


def test_a_mail_is_in_the_language_of_who_reads_it(
    alice, two, settings, django_capture_on_commit_callbacks, monkeypatch
):
    settings.EMAIL_HOST = "mail.example.org"
    alice.email, spoken = "alice@example.org", []
    monkeypatch.setattr(signing, "render_to_string", lambda *_: spoken.append(get_language()) or "text")
    for chosen in ("de", "fr", None):
        alice.language = chosen
        with django_capture_on_commit_callbacks(execute=True):
            signing.tell(alice, "your password was changed")
    assert spoken == ["de", "en-gb", "en-gb"]
    assert len(mail.outbox) == 3
