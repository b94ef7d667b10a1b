"""What webhooks are sent beside alerts: tasks and changes, of their own organisation alone, signed as alerts are."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta
from hashlib import sha256

import pytest
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from console.accounts import activity
from console.alerts import actions, deadman, deliveries, news
from console.alerts.evaluation import delivery
from console.alerts.messages import Item, Message
from console.alerts.models import Channel, Delivery
from console.audit.models import AuditEvent
from console.clouds.steps import Failed, Refused, Stage, Step
from console.operations import messages, registry
from console.operations.actions import begin, cancel
from console.operations.registry import Workflow
from stores.models import State, Store
from tests import delivery as workers
from tests import factories
from tests.operations.steps import failing
from tests.responses import HTMX

BOTH = ["tasks", "changes"]
ITEM = Item(id="1", event="opened", rule="verdict", severity="critical", title="orders is at risk")
ENDS = {"refused": Refused("It holds data."), "failed": Failed("The cloud says no."), "cancelled": None}


@pytest.fixture
def plan(monkeypatch):
    """A list of stages that "create" means for a store, and "nothing" undoes them."""
    stages: list[Stage] = []
    made = Workflow(
        model=Store,
        verb="create",
        title="Create Backup Store",
        plan=lambda store: tuple(stages),
        undo=lambda store: (),
        spec=lambda store: store.name,
    )
    monkeypatch.setitem(registry._works, ("store", "create"), made)
    return stages


@pytest.fixture
def store(account):
    return factories.store(account, state=State.CREATING)


def send_all():
    """Have all that waits sent, as the workers and the sweep do."""
    for _ in range(10):
        waiting = Delivery.objects.filter(state="waiting").order_by("created_at")
        waiting.update(due_at=Now())
        if not [pk for pk in waiting.values_list("pk", flat=True) if deliveries.deliver(pk)]:
            return


def types(receiver):
    return [one["type"] for one in receiver.bodies]


def test_a_task_is_told_as_it_begins_and_ends(channel, receiver, plan, store, alice):
    channel(events=["tasks"])
    plan.append(Stage(Step("one", "one", lambda spec: None)))
    task = begin(store, "create", by=alice)
    workers.deliver(task.pk)
    send_all()
    assert types(receiver) == ["task.begun", "task.done"]
    begun, done = (one["data"] for one in receiver.bodies)
    assert begun["organisation"] == done["organisation"] == "Acme"
    assert (begun["task"]["state"], begun["task"]["finished_at"]) == ("waiting", None)
    told = done["task"]
    assert (told["id"], told["subject"], told["state"], told["requested_by"]) == (
        str(task.pk), "orders", "done", "alice",
    )  # fmt: skip
    assert told["finished_at"]
    assert told["url"] == f"https://console.example.org/tasks/{task.pk}/"


@pytest.mark.parametrize("end", ENDS)
def test_whatever_the_end_of_a_task_is_it_is_told(channel, receiver, plan, store, alice, end):
    channel(events=["tasks"])
    plan.append(Stage(Step("one", "one", failing(ENDS[end]))))
    task = begin(store, "create", by=alice)
    if end == "cancelled":
        cancel(store, by=alice)
    workers.deliver(task.pk)
    send_all()
    assert types(receiver) == ["task.begun", f"task.{end}"]
    assert bool(receiver.bodies[1]["data"]["task"]["error"]) == (end != "cancelled")


def test_those_of_one_task_come_in_their_order(channel, receiver, plan, store, alice):
    channel(events=["tasks"])
    task = begin(store, "create", by=alice)
    workers.deliver(task.pk)
    begun, done = Delivery.objects.order_by("created_at")
    assert not deliveries.deliver(done.pk)
    assert deliveries.deliver(begun.pk)
    assert deliveries.deliver(done.pk)
    assert types(receiver) == ["task.begun", "task.done"]


def test_a_change_is_told_as_the_audit_log_has_it(channel, receiver, acme, alice):
    channel(events=["changes"])
    actions.change_repeat(acme, hours=6, by=alice)
    send_all()
    [body] = receiver.bodies
    event = AuditEvent.objects.get()
    told = body["data"]["change"]
    assert body["type"] == "change.recorded"
    assert (told["id"], told["who"], told["what"]) == (str(event.pk), "alice", "Changed when alerts are repeated")
    assert (told["before"], told["after"], told["is_cut"]) == ({"repeat_hours": 24}, {"repeat_hours": 6}, False)
    assert "address" not in told


def test_it_is_signed_and_tried_again_as_alerts_are(channel, receiver, acme, alice):
    one = channel(events=["changes"])
    receiver.status = 503
    actions.change_repeat(acme, hours=6, by=alice)
    row = Delivery.objects.get()
    deliveries.deliver(row.pk)
    row.refresh_from_db()
    assert (row.state, row.status, row.kind) == ("waiting", 503, "change")
    receiver.status = 200
    send_all()
    row.refresh_from_db()
    assert (row.state, row.tries) == ("sent", 2)
    _, headers, body = receiver.got[-1]
    key = base64.b64decode(one.secrets["secret"].removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()}"
    assert headers["webhook-id"] == f"msg_{row.pk.hex}" == receiver.got[0][1]["webhook-id"]


def test_nothing_goes_to_an_address_that_may_not_be_sent_to(channel, receiver, acme, alice, settings):
    settings.ALERT_ENDPOINTS_ALLOWED = []
    channel(events=["changes"])
    actions.change_repeat(acme, hours=6, by=alice)
    send_all()
    assert not receiver.got
    assert Delivery.objects.get().status is None


def test_another_organisation_is_told_nothing(channel, receiver, plan, store, alice, acme, charlie):
    other = charlie.memberships.get().organisation
    channel(organisation=other, events=BOTH)
    begin(store, "create", by=alice)
    actions.change_repeat(acme, hours=6, by=alice)
    activity.record("Signed in", alice, organisation=None, by=alice)
    assert not Delivery.objects.exists()
    actions.change_repeat(other, hours=6, by=charlie)
    send_all()
    assert [one["data"]["organisation"] for one in receiver.bodies] == [other.name]


def test_who_does_not_ask_for_them_is_sent_none(channel, plan, store, alice, acme):
    channel(name="alerts alone")
    channel(name="off", events=BOTH, disabled_at=timezone.now())
    channel("email", events=BOTH)
    channel("slack", events=BOTH)
    begin(store, "create", by=alice)
    actions.change_repeat(acme, hours=6, by=alice)
    assert not Delivery.objects.exists()


def test_what_is_rolled_back_is_not_told(channel, acme, alice):
    channel(events=BOTH)

    def broken_off():
        with transaction.atomic():
            actions.change_repeat(acme, hours=6, by=alice)
            assert Delivery.objects.exists()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert not Delivery.objects.exists()


def test_no_secret_is_in_what_is_told(channel, receiver, as_alice, acme, alice):
    one = channel(events=BOTH)
    planted = one.secrets["secret"].removeprefix("whsec_")
    fresh = actions.replace_secret(one, by=alice)
    actions.set_deadman(acme, url="https://alerts.example.org/planted-in-the-path", minutes=5, by=alice)
    send_all()
    assert len(receiver.got) == 2
    for text in (body.decode() for _, _, body in receiver.got):
        assert planted not in text
        assert fresh.removeprefix("whsec_") not in text
        assert "planted" not in text
        assert "/hook" not in text


def test_what_is_too_large_is_left_out(channel, receiver, acme, alice):
    channel(events=["changes"])
    activity.record("Did much", acme, organisation=acme, by=alice, after={"list": ["x" * 100] * 1000})
    send_all()
    [body] = receiver.bodies
    told = body["data"]["change"]
    assert (told["is_cut"], told["before"], told["after"]) == (True, {}, {})
    assert len(json.dumps(body)) < 4096


def test_a_webhook_that_takes_nothing_is_not_kept_messages_without_end(channel, acme, alice, monkeypatch):
    monkeypatch.setattr(news, "WAITING_AT_MOST", 3)
    channel(events=["changes"])
    for hours in range(1, 6):
        actions.change_repeat(acme, hours=hours, by=alice)
    assert Delivery.objects.count() == 3
    assert AuditEvent.objects.count() == 5


def test_they_hold_no_alert_up(channel, receiver, acme, alice, monkeypatch):
    monkeypatch.setattr(deliveries, "OF_ONE", 2)
    monkeypatch.setattr(messages, "waiting", lambda queue: 0)
    one = channel(events=["changes"])
    for hours in range(1, 6):
        actions.change_repeat(acme, hours=hours, by=alice)
    alert = delivery(one, Message.of("Acme", [ITEM]))
    alert.save()
    Delivery.objects.exclude(pk=alert.pk).update(due_at=Now() - timedelta(hours=1))
    Delivery.objects.filter(pk=alert.pk).update(due_at=Now() - timedelta(minutes=1))
    assert deliveries.overdue()[0] == alert.pk
    assert deadman._stuck().count() == 0, "what waits there silences no dead man's switch"


# The form


def edit(client, one, **data):
    return client.post(f"/alerts/channels/{one.pk}/", {"name": one.name, "at_least": "warning", **data}, headers=HTMX)


def test_the_form_of_a_webhook_asks_for_them_and_no_other(as_alice, channel):
    hook, slack = channel(), channel("slack")
    assert edit(as_alice, hook, events=BOTH).status_code == 204
    hook.refresh_from_db()
    assert hook.news == BOTH
    assert "Tasks and changes" in as_alice.get("/alerts/settings/").content.decode()
    assert "checked" in as_alice.get(f"/alerts/channels/{hook.pk}/").content.decode()
    assert edit(as_alice, slack, events=BOTH).status_code == 204
    slack.refresh_from_db()
    assert slack.news == []
    assert edit(as_alice, hook, events=["nonsense"]).status_code == 422
    hook.refresh_from_db()
    assert hook.news == BOTH
    assert edit(as_alice, hook).status_code == 204
    hook.refresh_from_db()
    assert hook.events is None
    told = {"name": "new", "at_least": "warning", "url": "https://hooks.example.org/x", "events": ["tasks"]}
    as_alice.post("/alerts/channels/create/webhook/", told, headers=HTMX)
    assert Channel.objects.get(name="new").news == ["tasks"]
