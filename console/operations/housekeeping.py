"""What the database keeps for how long, how large it is, and what is thrown away when its time is over.

Each app registers the rules of its own tables in its plans.py. Rows go in batches, each in a short transaction, so that
nobody waits for it and a run that is broken off has done what it did. Audit events never go: nobody may delete them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from celery import shared_task
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models import Exists, Min, Model, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from console.accounts.models import Invitation
from console.operations.models import ManagedResource, Operation, RateSlot

log = logging.getLogger(__name__)

BATCH = 1000  # rows that go in one transaction
COUNTED_AT_MOST = 50_000  # rows of a table; of more PostgreSQL's own estimate is taken
CACHE = str(settings.CACHES["default"]["LOCATION"])


@dataclass(frozen=True)
class Rule:
    """How long the rows of a table stay."""

    table: str
    bound: str  # in words
    outdated: Callable[[], QuerySet[Any]] | None = None  # those whose time is over; None: they never go by themselves
    since: str = ""  # the field that says how old a row is


@dataclass(frozen=True)
class Size:
    """How large a table is; bytes with its indexes, where the database tells them."""

    table: str
    words: str
    rows: int
    bytes: int | None
    oldest: date | None
    bound: str


_rules: dict[str, Rule] = {}


def register(*rules: Rule) -> None:
    """Make rules known."""
    _rules.update({one.table: one for one in rules})


def _unneeded_operations() -> QuerySet[Any]:
    """Return the finished operations that are old enough, but for the last one of each subject: its page shows it."""
    ended = Operation.objects.filter(finished_at__lt=Now() - timedelta(days=settings.OPERATIONS_KEPT_DAYS))
    for model in apps.get_models():
        if issubclass(model, ManagedResource):
            ended = ended.exclude(Exists(model._default_manager.filter(operation=OuterRef("pk"))))
    return ended


register(
    Rule(
        "django_session",
        "until they end, 12 hours after sign-in",
        lambda: Session.objects.filter(expire_date__lt=Now()),
    ),
    Rule(
        "usersessions_usersession",
        "as long as the session",
        lambda: UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")),
        "created_at",
    ),
    Rule(
        "operations_operation",
        f"{settings.OPERATIONS_KEPT_DAYS} days after the end (OPERATIONS_KEPT_DAYS); the last one of each store and "
        "cluster as long as that",
        _unneeded_operations,
        "created_at",
    ),
    Rule(
        "operations_rateslot",
        "a day after the last use",
        # Places at which readings wait; whoever wants one makes it anew. Others are few: some for each account.
        lambda: RateSlot.objects.filter(free_at__lt=Now() - timedelta(days=1), rate_key__regex=r" [0-9]+$"),
    ),
    Rule(
        "accounts_invitation",
        "90 days after the end of the link",
        lambda: Invitation.objects.filter(expires_at__lt=Now() - timedelta(days=90)),
        "created_at",
    ),
    Rule("audit_auditevent", "for ever: nobody may delete them, nor does this", since="created_at"),
    Rule("django_admin_log", "for ever: what support staff have changed", since="action_time"),
    Rule(CACHE, "until they end, minutes to a day after they were written; 100,000 at most"),
)


# Throwing away


@shared_task
def keep_house() -> int:
    """Throw away what is outdated; return how many rows that were."""
    return sum(number for _, number in tidy())


def tidy(*, dry_run: bool = False) -> Iterator[tuple[str, int]]:
    """Throw away what is outdated, or only count it, table by table; yield each table and how many rows that were."""
    for rule in list(_rules.values()):
        number = 0
        try:
            if rule.outdated:
                number = rule.outdated().count() if dry_run else _delete(rule.outdated())
            elif rule.table == CACHE:
                number = _tidy_cache(dry_run=dry_run)
            else:
                continue
        except Exception:
            log.exception("%s: what is outdated could not be thrown away", rule.table)
        if number and not dry_run:
            log.info("%s: %d outdated rows thrown away", rule.table, number)
        yield rule.table, number


def _delete(rows: QuerySet[Any]) -> int:
    total = 0
    while keys := list(rows.order_by().values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():  # asked again: a row may have come to life meanwhile
            _, by_model = rows.filter(pk__in=keys).delete()
        if not (deleted := by_model.get(rows.model._meta.label, 0)):
            break
        total += deleted
    return total


def _tidy_cache(*, dry_run: bool) -> int:
    """Throw away what has run out in the cache, which has no model."""
    name = connection.ops.quote_name(CACHE)
    now = connection.ops.adapt_datetimefield_value(timezone.now().replace(microsecond=0))
    total = 0
    with connection.cursor() as cursor:
        if dry_run:
            cursor.execute(f"SELECT COUNT(*) FROM {name} WHERE expires < %s", [now])  # noqa: S608 - ours
            return int(cursor.fetchone()[0])
        while True:
            some = f"SELECT cache_key FROM {name} WHERE expires < %s LIMIT {BATCH}"  # noqa: S608
            cursor.execute(f"DELETE FROM {name} WHERE expires < %s AND cache_key IN ({some})", [now, now])  # noqa: S608
            if cursor.rowcount <= 0:
                return total
            total += cursor.rowcount


# Sizes


def sizes() -> list[Size]:
    """Return how large each table is, the largest first."""
    known = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    told = _told_by_postgresql([*known, CACHE])
    found = [_size(table, model, *told.get(table, (None, None))) for table, model in [*known.items(), (CACHE, None)]]
    return sorted(found, key=lambda one: (-(one.bytes or 0), -one.rows, one.table))


def _told_by_postgresql(tables: Sequence[str]) -> dict[str, tuple[int | None, int | None]]:
    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, reltuples::bigint, pg_total_relation_size(oid) FROM pg_class "
            "WHERE relkind = 'r' AND relname = ANY(%s) AND pg_table_is_visible(oid)",
            [list(tables)],
        )
        return {name: (rows, size) for name, rows, size in cursor.fetchall()}


def _size(table: str, model: type[Model] | None, estimate: int | None, size: int | None) -> Size:
    rule = _rules.get(table)
    rows = estimate if estimate and estimate > COUNTED_AT_MOST else _count(table)
    oldest = None
    if model and rule and rule.since and rows:
        manager = model._default_manager
        if rows <= COUNTED_AT_MOST:
            oldest = manager.aggregate(at=Min(rule.since))["at"]
        elif model._meta.pk.get_internal_type().endswith("AutoField"):
            oldest = manager.order_by("pk").values_list(rule.since, flat=True).first()
    words = str(model._meta.verbose_name_plural) if model else "counts of attempts to sign in, and the like"
    bound = rule.bound if rule else "as long as what it is of"
    return Size(table, words, rows, size, oldest.date() if isinstance(oldest, datetime) else oldest, bound)


def _count(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608 - ours
        return int(cursor.fetchone()[0])
