"""Drift of a store: its buckets are looked at every day, and people decide about what differs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from console.accounts import activity
from console.accounts.models import User
from console.clouds import lifecycle
from console.clouds.inspection import PRESENCE
from console.clouds.steps import NotReady
from console.operations.snapshots import SnapshotQuerySet
from stores.control_status import ControlStatus
from stores.models import DriftReport, State, Store

SETTLED = timedelta(minutes=2)  # what was set within it may still be read as it was before: S3 is eventually consistent


# Checking


def checkable() -> SnapshotQuerySet:
    """Return the postures of the stores that are there; one that is worked on is checked afterwards."""
    return DriftReport.objects.filter(store__state__in=(State.AVAILABLE, State.DEGRADED))


def check(drift_report: DriftReport) -> list[dict[str, Any]]:
    """Return what both buckets have now, since when; raises a StepError when that could not be found out."""
    store = drift_report.store
    now, before = timezone.now().isoformat(), {line.name: line for line in drift_report.lines}
    found = []
    for finding in lifecycle.check(store.cloud, store.spec()):
        line = ControlStatus(**vars(finding), since=now, noun=store.cloud.vocabulary.bucket)
        known = before.get(line.name)
        found.append(replace(line, since=known.since) if known and known.seen == line.seen else line)
    if _was_changed_lately(store) and any(one.is_drift for one in drift_report.with_decisions(found)):
        raise NotReady(f"{store.cloud.label} may not show yet what was just set; it is looked at again in a minute.")
    return [line.kept() for line in found]


def _was_changed_lately(store: Store) -> bool:
    last = store.operation.finished_at if store.operation else None
    return last is not None and timezone.now() - last < SETTLED


def settle(drift_report: DriftReport) -> None:
    """Call the store degraded, or available again, by what was found."""
    was, now = State.AVAILABLE, State.DEGRADED
    if not drift_report.drift:
        was, now = now, was
    Store.objects.filter(pk=drift_report.store_id, state=was).update(state=now)


# What people decide


class Changed(Exception):
    """What was found has changed since the page was shown."""


def locked(store: Store) -> DriftReport:
    """Return the store's drift_report, held until the transaction ends; raises Changed when it was never looked at."""
    drift_report: DriftReport | None = DriftReport.objects.select_for_update().filter(store=store).first()
    if drift_report is None:
        raise Changed
    return drift_report


def accept(store: Store, *, name: str, seen: str, by: User | None) -> ControlStatus:
    """Accept what was found of one control as meant; raises Changed when something else has been found since."""
    with transaction.atomic():
        drift_report = locked(store)
        line: ControlStatus | None = next(
            (one for one in drift_report.lines if one.name == name and one.is_drift), None
        )
        if line is None or line.seen != seen or line.fixed or line.key == PRESENCE:
            raise Changed
        entry = {"seen": seen, "by": activity.name_of(by), "at": timezone.now().isoformat(), "words": line.words}
        drift_report.accepted = {**drift_report.accepted, name: entry}
        drift_report.save(update_fields=["accepted"])
        settle(drift_report)
    return line


def reconsider(store: Store, *, name: str) -> None:
    """Take back that something was accepted."""
    with transaction.atomic():
        drift_report = locked(store)
        drift_report.accepted = {key: value for key, value in drift_report.accepted.items() if key != name}
        drift_report.save(update_fields=["accepted"])
        settle(drift_report)
