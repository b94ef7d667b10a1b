"""Linking, changing and verifying go through a worker: what the dialog shows, and what is left of what was entered."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from console.audit.models import AuditEvent
from console.cloud_accounts import actions, attempts
from console.cloud_accounts.models import Attempt, CloudAccount
from console.clouds.contract import Identity, LinkError
from console.operations import snapshots, tasks
from tests import factories
from tests.cloud_accounts.linking import SECRET, by_endpoint, submit, work
from tests.responses import HTMX, text_of

LINK = "/cloud-accounts/link/"
ENTERED = by_endpoint(location="dublin")


class Cloud:
    """A cloud that says what it is told to, and notes what it was asked with."""

    def __init__(self):
        self.asked, self.refusal = [], None

    def identify(self, account, tried, seconds=None):
        self.asked.append(tried)
        if self.refusal:
            raise self.refusal
        return Identity("s3.example.com:9000", "", "", {}, ("It said so.",))


@pytest.fixture
def cloud(monkeypatch):
    found = Cloud()
    monkeypatch.setattr(actions, "_identify", found.identify)
    monkeypatch.setattr(actions, "_proven", found.identify)
    return found


def begin(client, url=LINK, values=ENTERED):
    """Post the form, and return the address that its page then asks."""
    answer = client.post(url, values)
    assert answer.status_code == 302, answer.context["form"].errors
    return answer["Location"]


def stored():
    """Return all that the database holds of attempts, as it lies there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM cloud_accounts_attempt")
        return str([[bytes(one) if isinstance(one, memoryview) else one for one in row] for row in cursor.fetchall()])


def lose():
    Attempt.objects.update(begun_at=Now() - Attempt.WITHIN)


def change_of(account, **values):
    key = account.settings["access_key_id"]
    return {"name": account.name, "access_key_id": key, "secret_access_key": SECRET, **values}


# How far it is, and how it ends


def test_the_dialog_shows_progress_then_what_was_linked(as_alice, cloud):
    answer = as_alice.post(LINK, ENTERED, headers=HTMX)
    assert answer.status_code == 200
    page = text_of(answer)
    assert "<html" not in page
    assert "Waiting for a worker" in page
    assert SECRET not in page
    url = re.search(r'hx-get="([^"]+)"', page)[1]
    assert url in text_of(as_alice.get(url, headers=HTMX))  # it asks again, itself
    Attempt.objects.update(held_until=Now() + timedelta(minutes=1))
    assert "Asking S3-compatible" in text_of(as_alice.get(url, headers=HTMX))
    Attempt.objects.update(held_until=None)
    assert not cloud.asked
    work()
    account = CloudAccount.objects.get()
    assert as_alice.get(url, headers=HTMX)["HX-Redirect"] == account.get_absolute_url()
    assert "cellar is linked" in text_of(as_alice.get(account.get_absolute_url()))
    event = AuditEvent.objects.get()
    assert (event.action, event.outcome, event.actor_name) == ("Linked cloud account", "done", "alice")


def test_without_scripts_a_page_reloads_itself(as_alice, cloud):
    url = begin(as_alice)
    page = text_of(as_alice.get(url))
    assert '<noscript><meta http-equiv="refresh" content="3"></noscript>' in page
    assert f'<a href="{url}">Look again</a>' in page
    work()
    answer = as_alice.get(url)
    assert (answer.status_code, answer["Location"]) == (302, CloudAccount.objects.get().get_absolute_url())


@pytest.mark.parametrize("headers", [{}, HTMX])
@pytest.mark.parametrize(("field", "beside"), [("secret_access_key", True), ("endpoint", True), ("", False)])
def test_a_refusal_stands_beside_its_field_with_what_was_entered(as_alice, cloud, headers, field, beside):
    cloud.refusal = LinkError("The server says no.", field)
    url = begin(as_alice)
    work()
    answer = as_alice.get(url, headers=headers)
    form, page = answer.context["form"], text_of(answer)
    assert form.errors == {field if beside else "__all__": ["The server says no."]}
    assert "http-equiv" not in page
    assert "every 1s" not in page
    for name, value in ENTERED.items():
        if name not in {"provider", "secret_access_key"}:
            assert f'value="{value}"' in page, name
    assert SECRET not in page
    assert 'action="/cloud-accounts/link/"' in page
    assert 'hx-get="/cloud-accounts/link/"' in page  # the tiles
    assert "Try again" in page
    assert not CloudAccount.objects.exists()
    assert AuditEvent.objects.get().outcome == "refused"


def again(client, url, values):
    """Post again what the form shows, without what it never shows."""
    form = client.get(url)
    key = re.search(r'name="attempt" value="([^"]+)"', text_of(form))[1]
    return submit(client, url.partition("?")[0], {**values, "secret_access_key": "", "attempt": key})


def test_the_secret_need_not_be_entered_again(as_alice, cloud):
    cloud.refusal = LinkError("Not yet.", "secret_access_key")
    url = begin(as_alice)
    work()
    assert "Leave it empty to use the one that you entered" in text_of(as_alice.get(url))
    answer = again(as_alice, url, ENTERED)  # is refused, too
    assert answer.status_code == 422
    cloud.refusal = None
    key = answer.context["attempt"].key
    assert again(as_alice, f"{LINK}?attempt={key}", ENTERED).status_code == 302
    assert [tried.secrets for tried in cloud.asked] == [{"secret_access_key": SECRET}] * 3
    assert CloudAccount.objects.get().secrets == {"secret_access_key": SECRET}


@pytest.mark.parametrize("moved", [{"endpoint": "https://elsewhere.example.com"}, {"access_key_id": "OTHER"}])
def test_the_secret_goes_nowhere_else(as_alice, cloud, moved):
    cloud.refusal = LinkError("No.")
    url = begin(as_alice)
    work()
    answer = again(as_alice, url, {**ENTERED, **moved})
    assert answer.status_code == 422
    assert "needs this again" in str(answer.context["form"].errors["secret_access_key"])
    assert len(cloud.asked) == 1


def test_the_secret_of_one_cloud_is_not_another_s(as_alice, cloud):
    cloud.refusal = LinkError("No.")
    url = begin(as_alice)
    work()
    aws = {"provider": "aws", "name": "prod", "method": "access_key", "access_key_id": "AKIA0123456789ABCDEF"}
    answer = again(as_alice, url, aws)
    assert list(answer.context["form"].errors) == ["secret_access_key"]


def test_a_change_shows_progress_then_closes_the_dialog(as_alice, cloud, account):
    url = begin(as_alice, f"{account.get_absolute_url()}change/", change_of(account))
    assert "Waiting for a worker" in text_of(as_alice.get(url, headers=HTMX))
    work()
    answer = as_alice.get(url, headers=HTMX)
    assert answer.status_code == 204
    assert {*json.loads(answer["HX-Trigger"])} == {"dialog-close", "accounts-changed"}
    assert "prod is changed." in text_of(as_alice.get("/cloud-accounts/"))
    account.refresh_from_db()
    assert account.secrets == {"secret_access_key": SECRET}


def test_a_refused_change_shows_what_was_entered_and_keeps_the_present_one(as_alice, cloud, account):
    before = account.secrets
    cloud.refusal = LinkError("The cloud says no.", "access_key_id")
    path = f"{account.get_absolute_url()}change/"
    url = begin(as_alice, path, change_of(account, access_key_id="AKIA0123456789ABCDEF"))
    work()
    answer = as_alice.get(url)
    assert answer.context["form"].errors == {"access_key_id": ["The cloud says no."]}
    assert 'value="AKIA0123456789ABCDEF"' in text_of(answer)
    assert SECRET not in text_of(answer)
    account.refresh_from_db()
    assert account.secrets == before
    cloud.refusal = None
    assert again(as_alice, url, change_of(account, access_key_id="AKIA0123456789ABCDEF")).status_code == 302
    account.refresh_from_db()
    assert account.secrets == {"secret_access_key": SECRET}


def test_what_another_has_changed_meanwhile_is_not_undone(as_alice, cloud, account):
    url = begin(as_alice, f"{account.get_absolute_url()}change/", change_of(account))
    theirs = {"secret_access_key": "of somebody else"}
    account.secrets = theirs
    account.save()
    work()
    assert "changed meanwhile" in str(as_alice.get(url).context["form"].errors)
    account.refresh_from_db()
    assert account.secrets == theirs


@pytest.mark.parametrize(
    ("refusal", "said", "outcome"),
    [
        (None, "prod is verified.", "done"),
        (LinkError("It is gone."), "prod does not verify any more", "failed"),
        (LinkError("No answer.", passing=True), "could not be verified just now: No answer.", None),
    ],
)
def test_verifying_shows_progress_then_says_how_it_ended(as_alice, cloud, account, refusal, said, outcome):
    CloudAccount.objects.update(number="s3.example.com:9000")
    cloud.refusal = refusal
    path = f"{account.get_absolute_url()}verify/"
    page = text_of(as_alice.post(path, headers=HTMX))
    assert "Waiting for a worker" in page
    answer = submit(as_alice, path, headers=HTMX)
    assert answer.status_code == 204
    assert {*json.loads(answer["HX-Trigger"])} == {"dialog-close", "accounts-changed"}
    assert said in text_of(as_alice.get("/cloud-accounts/"))
    assert [one.outcome for one in AuditEvent.objects.all()] == ([outcome] if outcome else [])
    assert as_alice.get(path)["Location"] == account.get_absolute_url()


# Whose it is


def test_an_attempt_is_its_member_s_alone(as_alice, acme, charlie, cloud, account):
    cloud.refusal = LinkError("No.")
    url, path = begin(as_alice), f"{account.get_absolute_url()}change/"
    change = begin(as_alice, path, change_of(account))
    adam = factories.user("adam", acme, "admin")
    for ended in (False, True):
        for person in (adam, charlie):
            client = Client()
            client.force_login(person)
            for address in (url, change):
                assert client.get(address).status_code == 404
                assert client.get(address, headers=HTMX).status_code == 404
        if not ended:
            work()
    key = url.partition("=")[2]
    client = Client()
    client.force_login(adam)
    answer = client.post(LINK, {**ENTERED, "secret_access_key": "", "attempt": key})
    assert list(answer.context["form"].errors) == ["secret_access_key"]  # nor does it give its secret
    for wrong in (f"{path}?attempt={key}", f"{LINK}?attempt={change.partition('=')[2]}", f"{LINK}?attempt=x"):
        assert as_alice.get(wrong).status_code == 404


def test_an_attempt_ends_with_the_membership(as_alice, alice, cloud):
    begin(as_alice)
    alice.memberships.all().delete()
    assert not Attempt.objects.exists()


def test_the_audit_log_has_the_address_and_the_request(as_alice, cloud):
    answer = as_alice.post(LINK, ENTERED, REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 302
    work()
    event = AuditEvent.objects.get()
    assert (event.address, event.actor_name) == ("192.0.2.7", "alice")
    assert event.request_id


# Workers that die


def test_an_attempt_whose_worker_is_gone_says_so_and_can_be_made_again(as_alice, cloud):
    url = begin(as_alice)
    Attempt.objects.update(held_until=Now() + timedelta(minutes=2))
    lose()
    page = text_of(as_alice.get(url))
    assert "No worker has told how it ended, so nothing was changed. Try again" in page
    assert "http-equiv" not in page
    assert again(as_alice, url, ENTERED).status_code == 302
    assert CloudAccount.objects.get().secrets == {"secret_access_key": SECRET}
    assert Attempt.objects.get().entered == {}  # what was lost is forgotten, too


def test_a_lost_verification_says_so(as_alice, cloud, account):
    url = begin(as_alice, f"{account.get_absolute_url()}verify/", {})
    lose()
    assert as_alice.get(url)["Location"] == account.get_absolute_url()
    assert "could not be verified just now: No worker" in text_of(as_alice.get("/cloud-accounts/"))


def test_a_worker_that_comes_back_too_late_changes_nothing(as_alice, cloud, monkeypatch):
    url = begin(as_alice)
    identify = cloud.identify

    def slowly(*given):
        lose()
        return identify(*given)

    monkeypatch.setattr(actions, "_identify", slowly)
    work()
    assert cloud.asked
    assert not CloudAccount.objects.exists()
    assert "Try again" in text_of(as_alice.get(url))
    assert AuditEvent.objects.get().outcome == "failed"


class Killed(BaseException):
    """The process is killed."""


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_at_any_moment_leaves_nothing_half_done(as_alice, cloud, monkeypatch):
    monkeypatch.setattr(tasks.read, "apply_async", lambda given, **options: None)
    linked = 0
    for moment in range(100):
        url = begin(as_alice, values={**ENTERED, "name": f"cellar {moment}"})
        left = moment

        def execute(run, sql, params, many, context):
            nonlocal left
            if sql.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
                left -= 1
                if left < 0:
                    raise Killed
            return run(sql, params, many, context)

        attempt = Attempt.objects.get(key=url.partition("=")[2])
        try:
            with connection.execute_wrapper(execute):
                snapshots.read("attempt", attempt.pk)
        except Killed:
            pass
        attempt.refresh_from_db()
        kept = CloudAccount.objects.filter(name=f"cellar {moment}").count()
        assert kept == AuditEvent.objects.filter(subject=f"cellar {moment}", outcome="done").count()
        assert bool(kept) == bool(attempt.done_at) == (attempt.entered == {})
        lose()
        answer = as_alice.get(url)
        assert answer.status_code == (302 if kept else 422)
        linked += kept
        if left >= 0:
            break
    assert moment >= 8  # so many statements there are
    assert linked >= 2  # the last one, and those that were killed after it was kept
    assert attempt.tried_at


# Twice


def test_what_is_sent_twice_is_linked_once(as_alice, cloud):
    urls = {begin(as_alice) for _ in range(3)}
    assert len(urls) == Attempt.objects.count() == 1
    for _ in range(3):
        tasks.read("attempt", Attempt.objects.get().pk)
    assert len(cloud.asked) == 1
    assert CloudAccount.objects.count() == 1
    assert AuditEvent.objects.count() == 1


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_what_is_sent_many_times_at_once_is_one_attempt(alice, cloud, monkeypatch):
    monkeypatch.setattr(tasks.read, "apply_async", lambda given, **options: None)
    membership, together = alice.memberships.get(), threading.Barrier(6)

    def come(number):
        together.wait()
        try:
            return attempts.begin(membership, Attempt.Verb.LINK, entered={"asked": {"provider": "s3"}}).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        assert len({*pool.map(come, range(6))}) == 1


def test_two_who_take_one_name_are_told(as_alice, client, acme, cloud):
    client.force_login(factories.user("adam", acme, "admin"))
    urls = [begin(one) for one in (as_alice, client)]
    work()
    assert CloudAccount.objects.count() == 1
    answers = [one.get(url) for one, url in zip((as_alice, client), urls, strict=True)]
    assert sorted(answer.status_code for answer in answers) == [302, 422]
    [refused] = [answer for answer in answers if answer.status_code == 422]
    assert "exists" in refused.context["form"].errors["name"][0]


# What is left of what was entered


def test_secrets_are_ciphertext_and_gone_with_the_end(as_alice, cloud):
    cloud.refusal = LinkError("No.")
    url = begin(as_alice)
    work()
    assert Attempt.objects.get().entered["asked"]["secrets"] == {"secret_access_key": SECRET}
    assert SECRET not in stored()
    cloud.refusal = None
    again(as_alice, url, ENTERED)
    [attempt] = Attempt.objects.all()  # the refused one is forgotten
    assert attempt.entered == {}
    assert SECRET not in stored()
    with connection.cursor() as cursor:
        cursor.execute("SELECT length(entered) FROM cloud_accounts_attempt")
        assert cursor.fetchone()[0] <= 120  # a token of nothing


def test_what_was_refused_is_forgotten_after_a_while(as_alice, cloud):
    cloud.refusal = LinkError("No.")
    url = begin(as_alice)
    work()
    snapshots.due()
    assert Attempt.objects.exists()
    Attempt.objects.update(begun_at=Now() - Attempt.KEPT)
    snapshots.due()
    assert not Attempt.objects.exists()
    assert as_alice.get(url).status_code == 404
    key = url.partition("=")[2]
    answer = as_alice.post(LINK, {**ENTERED, "secret_access_key": "", "attempt": key})
    assert list(answer.context["form"].errors) == ["secret_access_key"]


def test_an_attempt_is_made_within_what_a_worker_holds():
    assert Attempt.WITHIN < snapshots.HELD  # else another would begin again what one is still at
    assert Attempt.WITHIN < Attempt.KEPT
    assert max(actions.IDENTIFY_SECONDS, actions.CHANGE_SECONDS) + tasks.TRIES < Attempt.WITHIN.total_seconds()
    assert attempts.AT_ONCE <= tasks.AT_ONCE
