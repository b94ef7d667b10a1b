"""What looking into an account's backups may cost: how often at least, how many calls a day, and how many were made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Sum
from django.utils import timezone

from console.accounts import activity
from console.accounts.models import User
from console.cloud_accounts.models import CallsOfDay, CloudAccount, LookBudget
from console.clouds.calls import Tally
from console.clouds.prices import Prices

HEAD_START = timedelta(hours=1)  # what may be spent of the day before it has begun
SHOWN = 30  # days, which the price of a month is made of


@dataclass(frozen=True)
class Usage:
    """The calls of an account that looked into its backups."""

    budget: LookBudget
    today: Tally
    a_day: Tally  # on average, on the days before on which there were any; of today while there are none
    prices: Prices | None
    is_exhausted: bool = False  # for now: lookings are put off, and spread over the rest of the day

    @property
    def a_month(self) -> float | None:
        """Return what such days cost in a month, in US dollars; None where nobody asks for them."""
        return cost(self.a_day, self.prices) if self.prices else None

    @property
    def at_most(self) -> float | None:
        """Return what a month would cost if all of the budget were spent, on lists."""
        return cost(Tally(lists=self.budget.calls_a_day), self.prices) if self.prices else None


def cost(a_day: Tally, prices: Prices) -> float:
    """Return what so many calls on each day cost in a month of 30 days, in US dollars."""
    return SHOWN * (a_day.lists * prices.lists + a_day.reads * prices.reads) / 1000


def of(account_id: UUID) -> LookBudget:
    """Return what was set for the account, or what goes for all."""
    return LookBudget.objects.filter(cloud_account=account_id).first() or LookBudget(cloud_account_id=account_id)


def change(account: CloudAccount, *, hours: int, calls_a_day: int, by: User | None) -> None:
    """Set how often backups are looked for at least, and how many calls a day that may take."""
    with transaction.atomic():
        before = of(account.pk)
        LookBudget.objects.update_or_create(
            cloud_account=account, defaults={"hours": hours, "calls_a_day": calls_a_day}
        )
        activity.record(
            "Changed how backups are looked for",
            account,
            organisation=account.organisation,
            by=by,
            before={"hours": before.hours, "calls_a_day": before.calls_a_day},
            after={"hours": hours, "calls_a_day": calls_a_day},
        )


def note(account_id: UUID, made: Tally) -> None:
    """Add calls to those of today."""
    if not made.all:
        return
    rows = CallsOfDay.objects.filter(cloud_account=account_id, day=_now().date())
    added = {"lists": F("lists") + made.lists, "reads": F("reads") + made.reads}
    if not rows.update(**added):
        CallsOfDay.objects.bulk_create(
            [CallsOfDay(cloud_account_id=account_id, day=_now().date())], ignore_conflicts=True
        )
        rows.update(**added)


def exhausted() -> Collection[UUID]:
    """Return the accounts that have made as many calls today as this part of the day may have.

    So what is left is spread over the day, and nothing is looked at in its first hours only.
    """
    now = _now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    part = min(1.0, (now - midnight + HEAD_START) / timedelta(days=1))
    rows = CallsOfDay.objects.filter(day=now.date()).values_list("cloud_account", "lists", "reads")
    set_for = dict(LookBudget.objects.values_list("cloud_account", "calls_a_day"))
    usual = LookBudget().calls_a_day
    return [pk for pk, lists, reads in rows if lists + reads >= part * set_for.get(pk, usual)]


def usage(account: CloudAccount) -> Usage:
    """Return what the account's page shows."""
    day = _now().date()
    rows = CallsOfDay.objects.filter(cloud_account=account)
    now = rows.filter(day=day).first()
    today = Tally(now.lists, now.reads) if now else Tally()
    before = rows.filter(day__lt=day, day__gte=day - timedelta(days=SHOWN))
    days = before.count()
    sums = before.aggregate(lists=Sum("lists"), reads=Sum("reads"))
    a_day = Tally(round(sums["lists"] / days), round(sums["reads"] / days)) if days else today
    return Usage(of(account.pk), today, a_day, account.cloud.prices, account.pk in exhausted())


def _now() -> datetime:
    return timezone.now().astimezone(UTC)
