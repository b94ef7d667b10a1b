"""Messages on their way: claimed by one worker, tried again with longer and longer pauses, at least once.

A worker takes a message by a conditional UPDATE that puts its due time off; one that dies leaves a message that is due
again in a minute, and may so be sent twice. Its ID is the same then (`webhook-id`, `Message-ID`), and an incident
service knows it by its key.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, Q, When, Window
from django.db.models.functions import Now, RowNumber
from django.utils import timezone

from console.accounts import activity
from console.alerts import sending
from console.alerts.formats import FORMATS, Envelope, Request, news, plain_text
from console.alerts.messages import Message, News
from console.alerts.models import NEWS, Channel, Delivery
from console.alerts.sending import Answer
from console.operations import messages
from console.operations.models import RateSlot

log = logging.getLogger(__name__)

MINUTE, HOUR = 60, 3600
PAUSES = (10, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR)  # seconds; after the last it is given up
HELD = timedelta(seconds=60)  # that a worker has for one: longer than any takes
GRACE = timedelta(seconds=5)  # in which the message that was sent for it comes
AT_ONCE = 4  # messages of one organisation: nobody's slow server holds up the others'
NEWS_AT_ONCE = 2  # of them that are no alerts, in places of their own: they hold no alert up
AGAIN = 2  # seconds until one is tried for which there was no place
DISABLED_AFTER = timedelta(days=5)  # without one success
SWEPT, OF_ONE = 200, 20  # sent by one sweep; of one organisation


def send_soon(keys: Iterable[UUID]) -> None:
    """Have workers send these after the commit. What a broker that is down does not take, the sweep finds."""
    known = [str(pk) for pk in keys]

    def send() -> None:
        for pk in known:
            current_app.send_task("console.alerts.tasks.deliver", (pk,))

    if known:
        transaction.on_commit(send, robust=True)


def overdue() -> list[UUID]:
    """Return what is due and for which no message seems to be on its way: of each organisation no more than a share.

    The share is taken before anything is cut, and each organisation's first come before anybody's second: however much
    of one waits, it keeps nobody else's waiting. Of its own, alerts come before tasks and changes.
    """
    room = SWEPT - messages.waiting(messages.PEOPLE)
    if room <= 0:
        return []
    after_alerts = Case(When(kind__in=NEWS.values(), then=1), default=0)
    place = Window(RowNumber(), partition_by="organisation", order_by=[after_alerts, "due_at", "pk"])
    rows = Delivery.objects.due().filter(due_at__lte=Now() - GRACE).annotate(place=place).filter(place__lte=OF_ONE)
    return list(rows.order_by("place", "due_at").values_list("pk", flat=True)[:room])


def deliver(pk: UUID) -> bool:
    """Send it, if it is due and nobody else does; return whether it was tried."""
    found = Delivery.objects.due().filter(pk=pk).values_list("organisation", "kind").first()
    if found is None:
        return False
    whose, kind = found
    name, places = ("news", NEWS_AT_ONCE) if kind in NEWS.values() else ("alerts", AT_ONCE)
    place = RateSlot.objects.hold(f"{name} {whose}", places, HELD.total_seconds())
    if not place:
        Delivery.objects.due().filter(pk=pk).update(due_at=Now() + timedelta(seconds=AGAIN))
        return False
    try:
        return _try(pk)
    finally:
        RateSlot.objects.give_back(place)


def in_turn() -> Q:
    """Return of which messages no earlier one of the same incident waits on its channel: they go in their order."""
    earlier = Delivery.objects.filter(
        channel=OuterRef("channel"), group=OuterRef("group"), state=Delivery.State.WAITING
    ).filter(created_at__lt=OuterRef("created_at"))
    return Q(group="") | Q(~Exists(earlier))


def _try(pk: UUID) -> bool:
    first = Delivery.objects.due().filter(in_turn(), pk=pk)
    if not first.update(due_at=Now() + HELD, tries=F("tries") + 1, tried_at=Now()):
        return False
    row = Delivery.objects.select_related("channel").get(pk=pk)
    if row.channel.is_active:
        try:
            answer = carry(row)
        except Exception as error:  # one that cannot be made into a message must not come back for ever in silence
            log.exception("Delivery %s could not be made.", pk)
            answer = Answer(None, f"The console could not make this message ({type(error).__name__}).")
    else:
        answer = Answer(None, "The channel is off.")
    _record(row, answer)
    return True


def carry(row: Delivery) -> Answer:
    """Hand the message to its channel, and return what came back."""
    channel = row.channel
    envelope = Envelope(
        id=f"msg_{row.pk.hex}",
        at=int(time.time()),
        secrets=channel.secrets,
        signing=channel.signing_secrets if channel.kind == Channel.Kind.WEBHOOK else (),
        base=settings.PUBLIC_URL,
    )
    if row.kind in NEWS.values():
        return _post(channel, news(News.from_json(row.content), envelope))
    message = Message.from_json(row.content)
    if channel.kind == Channel.Kind.EMAIL:
        subject = f"[Storekeeper] {message.subject}"
        return sending.mail(channel.secrets["address"], subject, plain_text(message, envelope), row.pk.hex)
    return _post(channel, FORMATS[channel.kind](message, envelope))


def _post(channel: Channel, request: Request) -> Answer:
    secrets = [one for one in channel.secrets.values() if isinstance(one, str)]
    return sending.post(replace(request, secrets=secrets))


def _record(row: Delivery, answer: Answer) -> None:
    """Write down what came of it, unless another worker has taken it up meanwhile."""
    mine = Delivery.objects.filter(pk=row.pk, tries=row.tries, state=Delivery.State.WAITING)
    said = {"status": answer.status, "answer": answer.text[:300]}
    if answer.is_good:
        mine.update(**said, state=Delivery.State.SENT, sent_at=Now())
        Channel.objects.filter(pk=row.channel_id).exclude(failing_since=None).update(failing_since=None)
        return
    is_over = row.tries > len(PAUSES) or not row.channel.is_active or answer.is_gone or row.kind == "test"
    if is_over:
        kept = mine.update(**said, state=Delivery.State.FAILED)
    else:
        pause = max(PAUSES[row.tries - 1], answer.retry_after)
        kept = mine.update(**said, due_at=Now() + timedelta(seconds=pause))
    if kept and row.channel.is_active:
        _note_failure(row.channel, answer)


def _note_failure(channel: Channel, answer: Answer) -> None:
    """Note that the channel fails, and turn it off when it has done so for days, or the other side wants no more."""
    now = timezone.now()
    Channel.objects.filter(pk=channel.pk, failing_since=None).update(failing_since=now)
    since = channel.failing_since or now
    if answer.is_gone:
        why = "It answered 410 Gone: it wants no messages any more."
    elif now - since >= DISABLED_AFTER:
        why = f"It has taken no message for {(now - since).days} days. The last answer: {answer.text}"
    else:
        return
    with transaction.atomic():
        if Channel.objects.filter(pk=channel.pk, disabled_at=None).update(disabled_at=now, disabled_why=why[:300]):
            activity.record(
                "Turned an alert channel off",
                channel,
                organisation=channel.organisation,
                by=None,
                after={"why": why[:300]},
            )
