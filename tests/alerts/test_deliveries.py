"""Messages on their way: once by one worker, again after a failure, given up in the end."""

from __future__ import annotations

import base64
import hmac
from datetime import timedelta
from hashlib import sha256

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from console.alerts import actions, deliveries, sending
from console.alerts.evaluation import delivery
from console.alerts.messages import Item, Message
from console.alerts.models import Channel, Delivery, new_secret
from console.audit.models import AuditEvent
from console.operations import messages
from console.operations.models import RateSlot
from tests import factories

ITEM = Item(id="1", event="opened", rule="verdict", severity="critical", title="orders is at risk")


def waiting(channel, **values):
    row = delivery(channel, Message.of("Acme", [ITEM], **values))
    row.save()
    return row


def now_due():
    Delivery.objects.filter(state="waiting").update(due_at=Now())


def test_it_is_sent_once(channel, receiver):
    row = waiting(channel())
    assert deliveries.deliver(row.pk)
    assert not deliveries.deliver(row.pk)
    row.refresh_from_db()
    assert (row.state, row.tries, row.status, row.answer) == ("sent", 1, 200, "ok")
    assert len(receiver.got) == 1


def test_who_has_the_secret_can_verify_it_and_the_former_one_for_a_day(channel, receiver, alice):
    one = channel()
    former = one.secrets["secret"]
    fresh = actions.replace_secret(one, by=alice)
    assert fresh != former
    row = waiting(one)
    deliveries.deliver(row.pk)
    [(_, headers, body)] = receiver.got
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    assert headers["webhook-id"] == f"msg_{row.pk.hex}"

    def by(secret):
        key = base64.b64decode(secret.removeprefix("whsec_"))
        return f"v1,{base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()}"

    assert headers["webhook-signature"] == f"{by(fresh)} {by(former)}"
    one.secrets = {**one.secrets, "former_until": (timezone.now() - timedelta(seconds=1)).isoformat()}
    assert one.signing_secrets == [fresh]


def test_of_two_workers_one_sends(channel, receiver, monkeypatch):
    row = waiting(channel())
    post, seen = sending.post, []

    def meanwhile(request):
        seen.append(deliveries.deliver(row.pk))  # the other one comes while this one sends
        return post(request)

    monkeypatch.setattr(sending, "post", meanwhile)
    deliveries.deliver(row.pk)
    assert seen == [False]
    assert len(receiver.got) == 1


def test_a_worker_that_dies_leaves_it_to_another_with_the_same_id(channel, receiver, monkeypatch):
    row = waiting(channel())

    def dies(request):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(sending, "post", dies)
        with pytest.raises(SystemExit):
            deliveries.deliver(row.pk)
    assert not deliveries.deliver(row.pk)  # it may still be at it
    row.refresh_from_db()
    assert row.due_at > timezone.now() + timedelta(seconds=50)
    now_due()
    assert deliveries.deliver(row.pk)
    [(_, headers, _)] = receiver.got
    assert headers["webhook-id"] == f"msg_{row.pk.hex}"


def test_what_was_not_taken_is_tried_again_later_and_later_and_given_up(channel, receiver):
    receiver.status, receiver.said = 503, "busy"
    one = channel()
    row = waiting(one)
    pauses = []
    for _ in range(20):
        now_due()
        if not deliveries.deliver(row.pk):
            break
        row.refresh_from_db()
        pause = (row.due_at - row.tried_at).total_seconds()
        pauses.append(min(deliveries.PAUSES, key=lambda one, pause=pause: abs(one - pause)))
    assert pauses[:-1] == list(deliveries.PAUSES)
    assert (row.state, row.tries, row.status, row.answer) == ("failed", 8, 503, "busy")
    one.refresh_from_db()
    assert one.failing_since
    receiver.status = 200
    deliveries.deliver(waiting(one).pk)
    one.refresh_from_db()
    assert one.failing_since is None


def test_who_asks_for_more_time_gets_it(channel, receiver):
    receiver.status, receiver.headers = 429, {"Retry-After": "900"}
    row = waiting(channel())
    deliveries.deliver(row.pk)
    row.refresh_from_db()
    assert row.due_at - row.tried_at >= timedelta(seconds=890)


def test_a_channel_that_fails_for_days_is_turned_off_and_that_is_written_down(channel, receiver, acme):
    receiver.status = 500
    one = channel(failing_since=timezone.now() - timedelta(days=5, seconds=1))
    deliveries.deliver(waiting(one).pk)
    one.refresh_from_db()
    assert "no message for 5 days" in one.disabled_why
    event = AuditEvent.objects.get(action="Turned an alert channel off")
    assert (event.organisation, event.actor) == (acme, None)
    second = waiting(one)
    deliveries.deliver(second.pk)
    second.refresh_from_db()
    assert (second.state, second.answer) == ("failed", "The channel is off.")


def test_who_says_gone_gets_nothing_more(channel, receiver):
    receiver.status = 410
    one = channel()
    row = waiting(one)
    deliveries.deliver(row.pk)
    row.refresh_from_db()
    one.refresh_from_db()
    assert row.state == "failed"
    assert "410" in one.disabled_why


def test_incidents_go_in_their_order(channel, receiver):
    one = channel("ntfy")  # any kind: what counts is the group
    first, second = waiting(one, group="g", action="trigger"), waiting(one, group="g", action="resolve")
    assert not deliveries.deliver(second.pk)
    assert deliveries.deliver(first.pk)
    assert deliveries.deliver(second.pk)
    assert len(receiver.got) == 2


def test_an_organisation_has_so_many_places(channel, receiver, acme):
    row = waiting(channel())
    held = [RateSlot.objects.hold(f"alerts {acme.pk}", deliveries.AT_ONCE, 60) for _ in range(deliveries.AT_ONCE)]
    assert all(held)
    assert not deliveries.deliver(row.pk)
    row.refresh_from_db()
    assert (row.tries, row.due_at > timezone.now()) == (0, True)
    other = waiting(channel(organisation=factories.organisation("Other")))
    assert deliveries.deliver(other.pk)  # others have places of their own
    RateSlot.objects.give_back(held[0])
    now_due()
    assert deliveries.deliver(row.pk)


def test_overdue_is_what_no_message_is_on_its_way_for_and_a_share_of_each(channel, monkeypatch):
    monkeypatch.setattr(messages, "waiting", lambda queue: 0)
    one, other = channel(), channel(organisation=factories.organisation("Other"))
    for _ in range(30):
        waiting(one)
    [last] = [waiting(other)]
    assert deliveries.overdue() == []  # sent just now
    Delivery.objects.update(due_at=Now() - timedelta(minutes=1))
    assert len(deliveries.overdue()) == deliveries.OF_ONE + 1
    assert last.pk in deliveries.overdue()
    monkeypatch.setattr(messages, "waiting", lambda queue: deliveries.SWEPT)
    assert deliveries.overdue() == []


def test_mail_goes_by_the_mail_server(channel, receiver, mail_server):
    row = waiting(channel("email"))
    deliveries.deliver(row.pk)
    row.refresh_from_db()
    assert (row.state, row.status) == ("sent", 250)
    [mail] = mail_server.mails
    assert mail["Subject"] == "[Storekeeper] Critical: orders is at risk"


def test_a_mail_server_that_is_down_means_again(channel, mail_server, settings):
    settings.EMAIL_PORT = 1
    row = waiting(channel("email"))
    deliveries.deliver(row.pk)
    row.refresh_from_db()
    assert (row.state, row.tries) == ("waiting", 1)
    assert "could not be reached" in row.answer


def test_a_test_message_is_tried_once(channel, receiver, alice):
    receiver.status = 500
    row = actions.test_channel(channel(), by=alice)
    deliveries.deliver(row.pk)
    row.refresh_from_db()
    assert (row.state, row.status) == ("failed", 500)
    assert receiver.bodies[0]["type"] == "alerts.test"


def test_a_message_that_cannot_be_made_is_no_loop(channel, receiver, caplog):
    one = channel(secrets={"secret": "of no address"})
    row = waiting(one)
    deliveries.deliver(row.pk)
    row.refresh_from_db()
    assert row.answer.startswith("The console could not make this message")
    assert row.due_at > timezone.now()


def test_an_address_that_nobody_has_confirmed_gets_nothing(channel, holding, acme, receiver):
    one = channel("email", confirmed_at=None)
    assert not Channel.objects.active().exists()
    assert not one.is_active
    assert new_secret() != new_secret()


def test_a_channel_has_one_test_on_its_way(channel, receiver, alice):
    one, other = channel(), channel("ntfy")
    first = actions.test_channel(one, by=alice)
    with pytest.raises(actions.Refused, match="on its way to webhook already"):
        actions.test_channel(one, by=alice)
    actions.test_channel(other, by=alice)
    deliveries.deliver(first.pk)
    actions.test_channel(one, by=alice)


@pytest.mark.slow
def test_what_waits_of_one_organisation_keeps_nobody_else_s_waiting(channel, monkeypatch):
    monkeypatch.setattr(messages, "waiting", lambda queue: 0)
    monkeypatch.setattr(deliveries, "SWEPT", 4)
    monkeypatch.setattr(deliveries, "OF_ONE", 2)
    many = [channel(organisation=factories.organisation(f"Many {number}")) for number in range(2)]
    last = waiting(channel())
    for one in many:
        Delivery.objects.bulk_create([delivery(one, Message.of("Many", [ITEM])) for _ in range(1250)])
    Delivery.objects.exclude(pk=last.pk).update(due_at=Now() - timedelta(minutes=9))
    Delivery.objects.filter(pk=last.pk).update(due_at=Now() - timedelta(minutes=1))
    assert last.pk in deliveries.overdue()
    assert len(deliveries.overdue()) == 4
