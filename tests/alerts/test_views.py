"""The pages of alerts: who may see and do what, what they show, and what is refused in words."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from console.accounts.sign_in import CONFIRMED_AT
from console.alerts import actions
from console.alerts.evaluation import evaluate
from console.alerts.models import (
    ASK_AGAIN,
    CONFIRM_WITHIN,
    LINKS_A_DAY,
    Alert,
    AlertSettings,
    Channel,
    Delivery,
    MaintenanceWindow,
)
from console.alerts.notices import about_channels
from console.audit.models import AuditEvent
from tests import factories
from tests.responses import HTMX


def sign_in(client, name):
    client.post("/login/", {"username": name, "password": "secret"})
    return client


@pytest.fixture
def alice_s(client, alice):
    return sign_in(client, "alice")


@pytest.fixture
def bob_s(client, bob):
    return sign_in(client, "bob")


@pytest.fixture
def charlie_s(client, charlie):
    return sign_in(client, "charlie")


@pytest.fixture
def alert(acme, holding):
    holding.add(acme, severity="critical", words="WAL is missing.", advice="Make a backup.")
    evaluate()
    return Alert.objects.get()


@pytest.fixture
def window(acme, alice):
    now = timezone.now()
    return MaintenanceWindow.objects.create(
        organisation=acme, starts_at=now, ends_at=now + timedelta(hours=1), why="move", by=alice, by_name="alice"
    )


def at(one, what=""):
    return f"/alerts/{one.pk}/{what}"


def actions_on(alert, channel, window):
    now = timezone.now()
    moments = {"starts_at": f"{now:%Y-%m-%dT%H:%M}", "ends_at": f"{now + timedelta(hours=2):%Y-%m-%dT%H:%M}"}
    until = {"until": moments["ends_at"], "why": "noise"}
    told = {"name": "other", "at_least": "critical"}
    return [
        (at(alert, "acknowledge/"), {"why": "at it"}, "Acknowledged an alert"),
        (at(alert, "unacknowledge/"), {}, "Took an acknowledgement back"),
        (at(alert, "silence/"), until, "Silenced an alert"),
        (at(alert, "unsilence/"), {}, "Ended the silence of an alert"),
        (f"/alerts/channels/{channel.pk}/", told, "Changed an alert channel"),
        (f"/alerts/channels/{channel.pk}/test/", {}, "Tested an alert channel"),
        (f"/alerts/channels/{channel.pk}/secret/", {}, "Replaced the secret of a webhook"),
        (f"/alerts/channels/{channel.pk}/switch/", {"on": "0"}, "Turned an alert channel off"),
        (f"/alerts/channels/{channel.pk}/switch/", {"on": "1"}, "Turned an alert channel on"),
        (f"/alerts/windows/{window.pk}/end/", {}, "Ended a maintenance window"),
        ("/alerts/windows/create/", {**moments, "cluster": "", "why": "move"}, "Planned a maintenance window"),
        ("/alerts/settings/repeat/", {"hours": "3"}, "Changed when alerts are repeated"),
        ("/alerts/settings/dead-mans-switch/", {"url": "", "minutes": "5"}, "Took the dead man's switch away"),
        (
            "/alerts/channels/create/pagerduty/",
            {"name": "pd", "at_least": "warning", "key": "k" * 32, "region": "eu"},
            "Added an alert channel",
        ),
        (f"/alerts/channels/{channel.pk}/delete/", {}, "Deleted an alert channel"),
    ]


def test_an_owner_does_all_of_it_and_each_is_written_down(alice_s, alert, channel, window):
    for url, data, action in actions_on(alert, channel(), window):
        answer = alice_s.post(url, data, headers=HTMX)
        assert answer.status_code in {200, 204}, (url, answer.content.decode()[-800:])
        assert AuditEvent.objects.filter(action=action, actor_name="alice").count() == 1, action


def test_a_viewer_sees_all_and_changes_nothing(bob_s, alert, channel, window):
    one = channel()
    for url in ("/alerts/", at(alert), "/alerts/settings/", "/alerts/deliveries/"):
        page = bob_s.get(url)
        assert page.status_code == 200
        assert "Add Channel" not in page.content.decode()
    for url, data, _ in actions_on(alert, one, window):
        assert bob_s.post(url, data).status_code == 403, url
    alert.refresh_from_db()
    assert alert.acknowledged_at is alert.silenced_until is None


def test_a_stranger_finds_nothing(charlie_s, alert, channel, window):
    one = channel()
    Delivery.objects.create(organisation=one.organisation, channel=one, subject="of Acme's")
    assert charlie_s.get(at(alert)).status_code == 404
    for url, data, _ in actions_on(alert, one, window):
        if str(one.pk) in url or str(alert.pk) in url or str(window.pk) in url:
            assert charlie_s.post(url, data, headers=HTMX).status_code == 404, url
    for url in ("/alerts/", "/alerts/settings/", "/alerts/deliveries/"):
        assert "of Acme" not in (page := charlie_s.get(url).content.decode())
        assert alert.title not in page
        assert one.shown not in page
        assert "move" not in page
    assert charlie_s.post(
        "/alerts/windows/create/", {"cluster": str(alert.pk), "why": "x", "starts_at": "", "ends_at": ""}
    ).status_code in {200, 422}
    assert MaintenanceWindow.objects.count() == 1


def test_nobody_is_sent_to_sign_in(client, alert):
    assert client.get("/alerts/")["Location"].startswith("/login/")


@pytest.mark.parametrize(
    ("ago", "asked"), [(600, {"new", "secret", "switch"}), (7200, {"new", "secret", "switch", "edit"})]
)
def test_who_was_away_for_long_shows_again_who_they_are(alice_s, channel, ago, asked):
    session = alice_s.session
    session[CONFIRMED_AT] = time.time() - ago
    session.save()
    one = channel()
    addresses = {
        "new": "/alerts/channels/create/slack/",
        "secret": f"/alerts/channels/{one.pk}/secret/",
        "switch": "/alerts/settings/dead-mans-switch/",
        "edit": f"/alerts/channels/{one.pk}/",
        "settings": "/alerts/settings/",
    }
    led = {name for name, url in addresses.items() if alice_s.get(url).status_code == 302}
    assert led == asked


def test_the_list_has_what_is_open_first_and_filters(alice_s, acme, holding, alert):
    holding.add(acme, "b", title="mild")
    holding.add(acme, "c", title="gone", severity="critical")
    evaluate()
    holding.drop(acme, "c")
    evaluate()
    page = alice_s.get("/alerts/").content.decode()
    assert page.index(alert.title) < page.index("mild") < page.index("gone")
    assert "Open: <strong>2</strong>" in page
    shown = alice_s.get("/alerts/?state=open&severity=warning").content.decode()
    assert "mild" in shown
    assert alert.title not in shown
    assert "gone" not in shown
    closed = alice_s.get("/alerts/?state=closed").content.decode()
    assert "gone" in closed
    assert "mild" not in closed
    assert alice_s.get("/alerts/?rule=nonsense").status_code == 422


def history(organisation, number):
    now = timezone.now()
    Alert.objects.bulk_create(
        Alert(
            organisation=organisation,
            key=f"k{one}",
            group="g",
            rule="verdict",
            severity="warning",
            weight=10,
            title=f"old {one}",
            created_at=now - timedelta(minutes=one),
            closed_at=now,
        )
        for one in range(number)
    )


@pytest.mark.slow
def test_ten_thousand_alerts_page_as_ten_do(alice_s, acme, holding, django_assert_num_queries):
    history(acme, 60)
    alice_s.get("/alerts/")
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as few:
        page = alice_s.get("/alerts/")
    history(acme, 3000)
    with django_assert_num_queries(len(few)):
        assert "old 0" in alice_s.get("/alerts/").content.decode()
    older = page.content.decode().split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    with django_assert_num_queries(len(few) - 2):  # nothing is asked about open ones
        assert "old 49<" not in alice_s.get(f"/alerts/{older}").content.decode()
    with connection.cursor() as cursor:
        rows = Alert.objects.filter(organisation=acme).exclude(closed_at=None).order_by("-created_at", "-pk")[:50]
        sql, values = rows.query.sql_with_params()
        explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
        cursor.execute(explain + sql, values)
        plan = str(cursor.fetchall())
    assert connection.vendor != "sqlite" or ("alerts_page_by_page" in plan and "TEMP B-TREE" not in plan)


def test_messages_sent_have_their_answers(alice_s, channel, django_assert_max_num_queries):
    one = channel()
    for number in range(60):
        Delivery.objects.create(
            organisation=one.organisation, channel=one, subject=f"s{number}", answer="<b>no</b>", status=500
        )
    with django_assert_max_num_queries(12):
        page = alice_s.get("/alerts/deliveries/").content.decode()
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert 'rel="next"' in page
    assert (
        "Nothing was sent there"
        in alice_s.get(f"/alerts/deliveries/?channel={channel(name='other').pk}").content.decode()
    )
    assert alice_s.get("/alerts/deliveries/?channel=nonsense").status_code == 200


# Channels


def add(client, kind, **data):
    given = {"name": kind, "at_least": "warning", **data}
    return client.post(f"/alerts/channels/create/{kind}/", given, headers=HTMX)


def test_a_webhook_s_secret_is_shown_once_and_its_address_never(alice_s, receiver):
    answer = add(alice_s, "webhook", url=f"{receiver.url}/hook/very-secret")
    one = Channel.objects.get()
    secret = one.secrets["secret"]
    assert secret in answer.content.decode()
    assert one.secrets["url"].endswith("very-secret")
    for url in ("/alerts/settings/", f"/alerts/channels/{one.pk}/", "/alerts/deliveries/", "/audit/"):
        page = alice_s.get(url).content.decode()
        assert secret not in page
        assert "very-secret" not in page
    fresh = alice_s.post(f"/alerts/channels/{one.pk}/secret/", headers=HTMX).content.decode()
    one.refresh_from_db()
    assert one.secrets["secret"] in fresh
    assert one.secrets["former_secret"] == secret


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("webhook", {"url": ""}, "Enter the address"),
        ("webhook", {"url": "http://hooks.example.org"}, "begin with https://"),
        ("slack", {"url": "https://169.254.169.254/x"}, "link-local address"),
        ("teams", {"url": "nonsense"}, "whole address"),
        ("ntfy", {"url": "https://ntfy.example.org/"}, "Add the topic"),
        ("ntfy", {"url": "https://ntfy.example.org/a", "token": "a\r\nb c"}, "ASCII"),
        ("pagerduty", {"key": "", "region": "us"}, "Enter the key"),
        ("pagerduty", {"key": "k k", "region": "us"}, "no spaces"),
        ("opsgenie", {"key": "k", "region": "mars"}, "not one of the available choices"),
        ("email", {"address": "nobody"}, "valid email"),
        ("email", {"address": "ops@example.org"}, "EMAIL_HOST"),
        ("webhook", {"url": "https://a.example.org", "name": ""}, "Give it a name"),
        ("webhook", {"url": "https://a.example.org", "rules": "nonsense"}, "not one of the available choices"),
        ("webhook", {"url": "https://a.example.org", "at_least": "all"}, "not one of the available choices"),
    ],
)
def test_what_cannot_be_a_channel_is_refused_beside_its_field(alice_s, settings, kind, data, words):
    settings.EMAIL_HOST = ""
    answer = add(alice_s, kind, **data)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Channel.objects.exists()


def test_a_name_is_given_once_and_channels_are_so_many(alice_s, monkeypatch, acme):
    assert add(alice_s, "slack", url="https://a.example.org/x").status_code == 204
    again = add(alice_s, "slack", url="https://a.example.org/x", name="SLACK")
    assert "has this name already" in again.content.decode()
    monkeypatch.setattr(Channel, "AT_MOST", 1)
    assert "no more may be" in add(alice_s, "slack", url="https://a.example.org/x", name="b").content.decode()
    assert alice_s.get("/alerts/channels/create/pigeon/").status_code == 404


def paths(mail_server):
    """The links that were sent."""
    return [re.search(r"http://testserver(\S+)", mail.get_content())[1] for mail in mail_server.mails]


def test_an_e_mail_address_gets_a_link_and_alerts_after_that(alice_s, acme, mail_server, client):
    add(alice_s, "email", address="Ops@Example.org")
    one = Channel.objects.get()
    assert (one.shown, one.is_active) == ("Ops@example.org", False)
    [path] = paths(mail_server)
    page = alice_s.get("/alerts/settings/").content.decode()
    assert "Not confirmed" in page
    alice_s.logout()
    assert "Send them to me" in client.get(path).content.decode()
    assert not Channel.objects.get().is_active  # a link that a mail server looks at confirms nothing
    assert client.post(path).status_code == 200
    assert Channel.objects.get().is_active
    assert client.get(path).status_code == 404
    assert AuditEvent.objects.filter(action="Confirmed an alert address", organisation=acme).exists()
    assert client.get("/alerts/confirm/nonsense/").status_code == 404


def test_the_link_can_be_sent_again_and_the_old_one_is_worth_nothing(alice_s, mail_server):
    add(alice_s, "email", address="ops@example.org")
    one = Channel.objects.get()
    Channel.objects.update(asked_at=timezone.now() - ASK_AGAIN)
    alice_s.post(f"/alerts/channels/{one.pk}/link/")
    assert [alice_s.get(link).status_code for link in paths(mail_server)] == [404, 200]
    Channel.objects.update(confirmed_at=timezone.now())
    assert alice_s.post(f"/alerts/channels/{one.pk}/link/").status_code == 404


def test_a_link_is_good_for_a_week(alice_s, mail_server, client):
    add(alice_s, "email", address="ops@example.org")
    [path] = paths(mail_server)
    for age, status in ((CONFIRM_WITHIN - timedelta(hours=1), 200), (CONFIRM_WITHIN, 404)):
        Channel.objects.update(asked_at=timezone.now() - age)
        assert client.get(path).status_code == status
    assert client.post(path).status_code == 404
    assert not Channel.objects.get().is_active


def test_nobody_is_sent_mail_without_end(alice_s, acme, mail_server):
    add(alice_s, "email", address="ops@example.org")
    address = f"/alerts/channels/{Channel.objects.get().pk}/link/"
    assert "less than 10 minutes ago" in alice_s.post(address, follow=True).content.decode()
    assert len(mail_server.mails) == 1
    AlertSettings.objects.update(links=LINKS_A_DAY)
    Channel.objects.all().delete()  # that makes no room
    add(alice_s, "email", address="others@example.org")
    assert f"{LINKS_A_DAY} links were sent within a day" in alice_s.get("/alerts/settings/").content.decode()
    assert len(mail_server.mails) == 1
    AlertSettings.objects.update(links_since=timezone.now() - timedelta(days=1))
    alice_s.post(f"/alerts/channels/{Channel.objects.get().pk}/link/")
    assert len(mail_server.mails) == 2
    assert AlertSettings.objects.get().links == 1


def test_a_link_that_could_not_be_sent_may_be_sent_again_at_once(alice_s, mail_server, settings):
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    add(alice_s, "email", address="ops@example.org")
    settings.EMAIL_PORT = port
    alice_s.post(f"/alerts/channels/{Channel.objects.get().pk}/link/")
    assert len(mail_server.mails) == 1


def test_a_test_shows_its_answer(alice_s, channel, receiver):
    from console.alerts import deliveries

    one = channel()
    receiver.status, receiver.said = 403, "no such hook"
    alice_s.post(f"/alerts/channels/{one.pk}/test/", headers=HTMX)
    waits = alice_s.get("/alerts/settings/").content.decode()
    assert "every 1s" in waits
    deliveries.deliver(Delivery.objects.get().pk)
    page = alice_s.get("/alerts/settings/").content.decode()
    assert "no such hook" in page
    assert "every 1s" not in page
    Channel.objects.update(disabled_at=timezone.now())
    said = alice_s.post(f"/alerts/channels/{one.pk}/test/", follow=True).content.decode()
    assert "nothing is sent to it" in said


# Windows, silence, the switch


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"ends_at": "2001-01-01T00:00"}, "end after its start"),
        ({"starts_at": "2001-01-01T00:00", "ends_at": "2001-01-02T00:00"}, "This time is over"),
        ({"ends_at": "2999-01-01T00:00"}, "At most 90 days"),
        ({"why": ""}, "Say why"),
        ({"starts_at": "nonsense"}, "valid date"),
        ({"cluster": "11111111-1111-1111-1111-111111111111"}, "not one of the available choices"),
    ],
)
def test_a_window_that_cannot_be_is_refused(alice_s, data, words):
    now = timezone.now()
    given = {
        "cluster": "",
        "why": "move",
        "starts_at": f"{now:%Y-%m-%dT%H:%M}",
        "ends_at": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M}",
    }
    answer = alice_s.post("/alerts/windows/create/", {**given, **data}, headers=HTMX)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not MaintenanceWindow.objects.exists()


def test_a_window_shows_where_people_look(alice_s, window, alert):
    assert "nobody is told of its alerts" in alice_s.get("/alerts/").content.decode()
    alice_s.post(f"/alerts/windows/{window.pk}/end/")
    assert "It is over already" in alice_s.post(f"/alerts/windows/{window.pk}/end/", follow=True).content.decode()


def test_a_closed_alert_is_neither_acknowledged_nor_silenced(alice_s, acme, holding, alert):
    holding.drop(acme)
    evaluate()
    answer = alice_s.post(at(alert, "acknowledge/"), {"why": ""}, headers=HTMX)
    assert (answer.status_code, "closed already" in answer.content.decode()) == (422, True)
    until = f"{timezone.now() + timedelta(hours=1):%Y-%m-%dT%H:%M}"
    assert alice_s.post(at(alert, "silence/"), {"until": until, "why": "x"}, headers=HTMX).status_code == 422


@pytest.mark.parametrize("until", ["2001-01-01T00:00", "2999-01-01T00:00", "soon", ""])
def test_a_silence_has_an_end_that_can_be(alice_s, alert, until):
    answer = alice_s.post(at(alert, "silence/"), {"until": until, "why": "x"}, headers=HTMX)
    assert answer.status_code == 422
    alert.refresh_from_db()
    assert alert.silenced_until is None


def test_the_story_says_who_and_why(alice_s, alert):
    alice_s.post(at(alert, "acknowledge/"), {"why": "<i>disk</i> ordered"})
    page = alice_s.get(at(alert)).content.decode()
    assert "&lt;i&gt;disk&lt;/i&gt; ordered" in page
    assert "by alice" in page
    assert "Make a backup." in page


def test_the_dead_man_s_switch_shows_its_host_and_last_answer(alice_s, acme, receiver):
    switch = "/alerts/settings/dead-mans-switch/"
    bad = alice_s.post(switch, {"url": "http://x.example.org", "minutes": "5"}, headers=HTMX)
    assert bad.status_code == 422
    alice_s.post(switch, {"url": f"{receiver.url}/ping/secret", "minutes": "15"})
    AlertSettings.objects.update(pinged_at=timezone.now(), ping_status=200, ping_answer="OK then")
    page = alice_s.get("/alerts/settings/").content.decode()
    assert receiver.url.removeprefix("http://") in page
    assert "OK then" in page
    assert "ping/secret" not in page


@pytest.mark.parametrize("hours", ["-1", "745", "x", ""])
def test_hours_are_a_number_that_can_be(alice_s, acme, hours):
    assert alice_s.post("/alerts/settings/repeat/", {"hours": hours}, headers=HTMX).status_code == 422
    assert AlertSettings.of(acme).repeat_hours == 24


def test_an_organisation_without_a_channel_is_told_so(alice_s, alice, acme, channel, django_assert_num_queries):
    membership = alice.memberships.get()
    with django_assert_num_queries(1):
        assert "Nobody is told" in about_channels(membership)[0].title
    assert "Nobody is told" in alice_s.get("/alerts/").content.decode()
    one = channel()
    assert about_channels(membership) == []
    channel("email", name="dead", disabled_at=timezone.now(), failing_since=timezone.now())
    assert "1 of the channels" in about_channels(membership)[0].title
    actions.switch_channel(one, on=False, by=alice)
    assert "Nobody is told" in about_channels(membership)[0].title
    factories.organisation("Other")
