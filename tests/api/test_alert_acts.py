"""Alerts, channels, windows and settings by the API: what a channel keeps secret is shown once, or never."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from console.alerts.models import Alert, AlertSettings, Channel, Delivery, MaintenanceWindow
from console.audit.models import AuditEvent
from tests.api.callers import Caller, give_service

URL = "https://hooks.example.com/planted-7f3a"


@pytest.fixture(autouse=True)
def _names(monkeypatch):
    """Every host may be sent to: none is looked up."""
    monkeypatch.setattr("console.alerts.sending.refusal", lambda url: "" if url.startswith("https://") else "Not so.")


@pytest.fixture
def alert(acme):
    return Alert.objects.create(
        organisation=acme, key="k", group="g", rule="store drift", severity="warning", weight=1, title="It drifted"
    )


@pytest.fixture
def robot(acme, alice):
    account = acme.service_accounts.create(name="robot", role="admin")
    return Caller(give_service(account, alice)[1])


def later(**past):
    return (timezone.now() + timedelta(**past)).isoformat()


def test_an_alert_is_acknowledged_and_silenced_and_told_again(as_owner, robot, as_stranger, alert):
    path = f"/alerts/{alert.pk}"
    told = robot.send("POST", f"{path}/acknowledge", {"why": "The disk is full."}).json()
    assert (told["state"], told["acknowledged_by"]) == ("acknowledged", "robot (service account)")
    assert as_owner.send("POST", f"{path}/unacknowledge").json()["state"] == "open"
    assert as_owner.send("POST", f"{path}/unacknowledge").status_code == 409
    told = as_owner.send("POST", f"{path}/silence", {"until": later(hours=2), "why": "Moved."}).json()
    assert (told["state"], told["silenced_until"][-1]) == ("silenced", "Z")
    assert as_owner.send("POST", f"{path}/unsilence").json()["state"] == "open"
    assert as_stranger.send("POST", f"{path}/acknowledge", {}).status_code == 404
    Alert.objects.update(closed_at=timezone.now())
    assert "closed already" in as_owner.send("POST", f"{path}/acknowledge", {}).json()["detail"]


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"until": "2020-01-01T00:00:00Z", "why": "x"}, "/until"),
        ({"until": "2099-01-01T00:00:00Z", "why": "x"}, "/until"),
        ({"until": "0001-01-01T00:00:00+14:00", "why": "x"}, "/until"),
        ({"until": "9999-12-31T23:59:59-14:00", "why": "x"}, "/until"),
        ({"until": "2026-12-01T00:00:00", "why": "x"}, "/until"),
        ({"until": "tomorrow", "why": "x"}, "/until"),
        ({"until": 10**400, "why": "x"}, "/until"),
        ({"until": None, "why": "x"}, "/until"),
        ({"until": "2020-01-01T00:00:00Z"}, "/why"),
        ({"why": "a\x00"}, "/why"),
        ({"why": "\ud800"}, "/why"),
        ({"why": "x" * 501}, "/why"),
        ({"why": ""}, "/until"),
    ],
    ids=lambda given: str(given)[:60],
)
def test_a_silence_refuses_what_makes_no_sense(as_owner, alert, given, pointer):
    answer = as_owner.send("POST", f"/alerts/{alert.pk}/silence", given)
    assert answer.status_code == 422
    assert pointer in [one["pointer"] for one in answer.json()["errors"]]
    alert.refresh_from_db()
    assert alert.silenced_until is None


def test_kinds_of_alerts_are_listed(as_viewer):
    items = as_viewer.get("/alert-rules").json()["items"]
    assert len(items) > 3
    assert all(one["key"] and one["label"] for one in items)


# Channels


def test_a_webhook_is_added_and_its_secret_shown_once(as_owner, as_viewer, as_stranger):
    body = {"kind": "webhook", "name": "on call", "url": URL}
    answer = as_owner.post("/alert-channels", body, key="k1")
    told, channel = answer.json(), Channel.objects.get()
    assert (answer.status_code, told["to"], told["is_on"]) == (201, "hooks.example.com", True)
    assert told["secret"] == channel.secrets["secret"]
    assert as_owner.post("/alert-channels", body, key="k1").json() == told, "whoever lost the answer gets it again"
    path = f"/alert-channels/{channel.pk}"
    for answer in (as_viewer.get("/alert-channels"), as_viewer.get(path)):
        assert told["secret"] not in answer.content.decode()
        assert "planted" not in answer.content.decode()
    assert as_stranger.get(path).status_code == 404
    fresh = as_owner.send("POST", f"{path}/secret").json()["secret"]
    channel.refresh_from_db()
    assert channel.signing_secrets == [fresh, told["secret"]]
    assert as_viewer.send("POST", f"{path}/secret").status_code == 403


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"kind": "pigeon"}, "/kind"),
        ({"url": ""}, "/url"),
        ({"url": "http://hooks.example.com"}, "/url"),
        ({"name": ""}, "/name"),
        ({"at_least": "info"}, "/at_least"),
        ({"rules": ["nothing"]}, "/rules"),
        ({"rules": "drift"}, "/rules"),
        ({"rules": [1]}, "/rules/0"),
        ({"key": "k"}, "/key"),
        ({"kind": "email"}, "/url"),
        ({"kind": "pagerduty", "url": "", "key": "a b"}, "/key"),
        ({"kind": "pagerduty", "url": "", "key": "ab", "region": "mars"}, "/region"),
        ({"kind": "ntfy", "url": "https://ntfy.sh"}, "/url"),
        ({"secret": "mine"}, "/secret"),
        ({"events": ["nonsense"]}, "/events"),
        ({"events": "tasks"}, "/events"),
        ({"kind": "slack", "events": ["tasks"]}, "/events"),
    ],
    ids=str,
)
def test_a_channel_is_refused_with_a_pointer(as_owner, given, pointer):
    answer = as_owner.post("/alert-channels", {"kind": "webhook", "name": "on call", "url": URL, **given})
    assert answer.status_code == 422
    assert pointer in [one["pointer"] for one in answer.json()["errors"]]
    assert not Channel.objects.exists()


def test_a_channel_is_changed_turned_off_tested_and_deleted(as_owner, robot, as_stranger, as_viewer):
    as_owner.post("/alert-channels", {"kind": "pagerduty", "name": "on call", "key": "planted-7f3a"})
    as_owner.post("/alert-channels", {"kind": "webhook", "name": "hook", "url": URL})
    channel = Channel.objects.get(kind="pagerduty")
    path = f"/alert-channels/{channel.pk}"
    told = as_owner.send("PATCH", path, {"at_least": "critical"}).json()
    assert (told["at_least"], told["name"], told["is_on"]) == ("critical", "on call", True)
    assert as_owner.send("PATCH", path, {"name": "HOOK"}).json()["errors"][0]["pointer"] == "/name"
    assert as_owner.send("PATCH", path, {"is_on": "perhaps"}).status_code == 422
    assert as_owner.send("PATCH", path, {"key": "other"}).json()["errors"][0]["pointer"] == "/key"
    answer = as_owner.send("POST", f"{path}/test")
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    assert as_viewer.client.get(answer["Location"]).json()["items"][0]["id"] == str(Delivery.objects.get().pk)
    assert as_owner.send("POST", f"{path}/test").status_code == 409
    assert as_owner.send("POST", f"{path}/secret").status_code == 409
    assert as_owner.send("POST", f"{path}/link").status_code == 409
    told = robot.send("PATCH", path, {"is_on": False}).json()
    assert (told["is_on"], told["why_off"]) == (False, "Turned off by robot (service account).")
    assert as_stranger.send("DELETE", path).status_code == 404
    assert as_owner.send("DELETE", path).status_code == 204
    assert [one.name for one in Channel.objects.all()] == ["hook"]
    assert as_stranger.get("/alert-deliveries").json()["items"] == []


def test_a_webhook_is_sent_tasks_and_changes(as_owner, alice, caller):
    body = {"kind": "webhook", "name": "hook", "url": URL, "events": ["tasks"]}
    told = as_owner.post("/alert-channels", body).json()
    assert told["events"] == ["tasks"]
    path = f"/alert-channels/{told['id']}"
    assert as_owner.send("PATCH", path, {"at_least": "critical"}).json()["events"] == ["tasks"]
    assert as_owner.send("PATCH", path, {"events": ["tasks", "changes"]}).json()["events"] == ["tasks", "changes"]
    assert as_owner.send("PATCH", path, {"events": ["x"]}).json()["errors"][0]["pointer"] == "/events"
    assert as_owner.send("PATCH", path, {"events": []}).json()["events"] == []
    slack = as_owner.post("/alert-channels", {"kind": "slack", "name": "chat", "url": URL}).json()
    answer = as_owner.send("PATCH", f"/alert-channels/{slack['id']}", {"events": ["tasks"]})
    assert answer.json()["errors"][0]["pointer"] == "/events"
    # Who may not see the audit log has it sent nowhere.
    narrow = caller(alice, "manage_alerts", "see_stores")
    assert narrow.send("PATCH", path, {"events": ["changes"]}).status_code == 403
    assert narrow.post("/alert-channels", {**body, "name": "b", "events": ["changes"]}).status_code == 403
    assert narrow.send("PATCH", path, {"events": ["tasks"]}).json()["events"] == ["tasks"]
    assert Channel.objects.count() == 2


def test_an_address_is_sent_a_link(as_owner, settings, mailoutbox):
    body = {"kind": "email", "name": "mail", "address": "ops@example.org"}
    settings.EMAIL_HOST = ""
    assert as_owner.post("/alert-channels", body).json()["errors"][0]["pointer"] == "/address"
    settings.EMAIL_HOST = "mail.example.org"
    told = as_owner.post("/alert-channels", body).json()
    assert (told["confirmed_at"], "on its way" in told["note"]) == (None, True)
    assert len(mailoutbox) == 1
    again = as_owner.send("POST", f"/alert-channels/{told['id']}/link").json()
    assert "less than" in again["note"]


# Windows and settings


def test_maintenance_windows(as_owner, robot, as_viewer, as_stranger):
    given = {"starts_at": later(hours=1), "ends_at": later(hours=3), "why": "An upgrade."}
    answer = robot.post("/maintenance-windows", given)
    assert (answer.status_code, answer.json()["by"]) == (201, "robot (service account)")
    assert [one["why"] for one in as_viewer.get("/maintenance-windows").json()["items"]] == ["An upgrade."]
    path = f"/maintenance-windows/{answer.json()['id']}/end"
    assert as_stranger.send("POST", path).status_code == 404
    assert as_owner.send("POST", path).status_code == 200
    assert as_owner.send("POST", path).status_code == 409
    for changed, pointer in (
        ({"ends_at": later(hours=-1)}, "/ends_at"),
        ({"ends_at": later(days=200)}, "/ends_at"),
        ({"why": ""}, "/why"),
        ({"cluster_id": str(uuid4())}, "/cluster_id"),
        ({"starts_at": "now"}, "/starts_at"),
    ):
        refused = as_owner.post("/maintenance-windows", {**given, **changed})
        assert pointer in [one["pointer"] for one in refused.json()["errors"]], changed
    assert MaintenanceWindow.objects.count() == 1


def test_settings_and_the_dead_mans_switch(as_owner, as_viewer):
    assert as_owner.send("PATCH", "/alert-settings", {"repeat_hours": 6}).json()["repeat_hours"] == 6
    for wrong in (-1, 1000, "x", None, 10**100):
        answer = as_owner.send("PATCH", "/alert-settings", {"repeat_hours": wrong})
        assert answer.json()["errors"][0]["pointer"] == "/repeat_hours", wrong
    path = "/alert-settings/dead-mans-switch"
    told = as_owner.send("PUT", path, {"url": URL, "minutes": 15}).json()["dead_mans_switch"]
    assert (told["to"], told["minutes"]) == ("hooks.example.com", 15)
    assert "planted" not in as_viewer.get("/alert-settings").content.decode()
    for wrong, pointer in (({"url": "ftp://x"}, "/url"), ({"url": URL, "minutes": 7}, "/minutes"), ({}, "/url")):
        assert as_owner.send("PUT", path, wrong).json()["errors"][0]["pointer"] == pointer
    assert AlertSettings.objects.get().secrets == {"url": URL}
    assert as_owner.send("PUT", path, {"url": ""}).json()["dead_mans_switch"]["to"] == ""
    assert as_viewer.send("PUT", path, {"url": ""}).status_code == 403
    assert not AuditEvent.objects.filter(after__icontains="planted").exists()
