"""Posture of a store: its buckets are looked at every day, and people decide about what differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from console.accounts.models import User
from console.operations.plan import NotReady
from console.operations.readings import ReadingQuerySet
from stores.findings import Line
from stores.models import Posture, State, Store
from stores.providers.inspection import PRESENCE, inspect

SETTLED = timedelta(minutes=2)  # what was set within it may still be read as it was before: S3 is eventually consistent


# Checking


def checkable() -> ReadingQuerySet:
    """Return the postures of the stores that are there; one that is worked on is checked afterwards."""
    return Posture.objects.filter(store__state__in=(State.AVAILABLE, State.DEGRADED))


def check(posture: Posture) -> list[dict[str, Any]]:
    """Return what both buckets have now, since when; raises a StepError when that could not be found out."""
    store = posture.store
    now, before = timezone.now().isoformat(), {line.name: line for line in posture.lines}
    found = []
    for finding in inspect(store.provider.controls(store.spec())):
        line = Line(**vars(finding), since=now, noun=store.provider.words.bucket)
        known = before.get(line.name)
        found.append(replace(line, since=known.since) if known and known.seen == line.seen else line)
    if _was_changed_lately(store) and any(one.is_drift for one in posture.with_decisions(found)):
        raise NotReady(f"{store.provider.label} may not show yet what was just set; it is looked at again in a minute.")
    return [line.kept() for line in found]


def _was_changed_lately(store: Store) -> bool:
    last = store.operation.finished_at if store.operation else None
    return last is not None and timezone.now() - last < SETTLED


def settle(posture: Posture) -> None:
    """Call the store degraded, or available again, by what was found."""
    was, now = State.AVAILABLE, State.DEGRADED
    if not posture.drift:
        was, now = now, was
    Store.objects.filter(pk=posture.store_id, state=was).update(state=now)


# What people decide


class Changed(Exception):
    """What was found has changed since the page was shown."""


def locked(store: Store) -> Posture:
    """Return the store's posture, held until the transaction ends; raises Changed when it was never looked at."""
    posture: Posture | None = Posture.objects.select_for_update().filter(store=store).first()
    if posture is None:
        raise Changed
    return posture


def accept(store: Store, *, name: str, seen: str, by: User) -> Line:
    """Accept what was found of one control as meant; raises Changed when something else has been found since."""
    with transaction.atomic():
        posture = locked(store)
        line: Line | None = next((one for one in posture.lines if one.name == name and one.is_drift), None)
        if line is None or line.seen != seen or line.fixed or line.key == PRESENCE:
            raise Changed
        entry = {"seen": seen, "by": by.get_username(), "at": timezone.now().isoformat(), "words": line.words}
        posture.accepted = {**posture.accepted, name: entry}
        posture.save(update_fields=["accepted"])
        settle(posture)
    return line


def reconsider(store: Store, *, name: str) -> None:
    """Take back that something was accepted."""
    with transaction.atomic():
        posture = locked(store)
        posture.accepted = {key: value for key, value in posture.accepted.items() if key != name}
        posture.save(update_fields=["accepted"])
        settle(posture)
