"""What clusters know of stores, as columns of a list of stores."""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, Count, Exists, Func, Max, OuterRef, Q, QuerySet, Subquery, Sum, UUIDField

from clusters.models import Attachment, Health, KnownStanza
from stores.listing import StoreColumns


class LastSize(Func):
    """The bytes of backups and WAL of a stanza at the last look: the last row of its sizes, NULL before any look."""

    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **options: Any) -> tuple[str, Any]:
        """Return it for PostgreSQL, whose arrays are counted from their end by negative numbers."""
        [column] = self.source_expressions
        sql, values = compiler.compile(column)
        return f"({sql}->-1->>1)::bigint + ({sql}->-1->>2)::bigint", (*values, *values)

    def as_sqlite(self, compiler: Any, connection: Any, **options: Any) -> tuple[str, Any]:
        """Return it for SQLite, which calls the last one #-1."""
        [column] = self.source_expressions
        sql, values = compiler.compile(column)
        return f"json_extract({sql}, '$[#-1][1]') + json_extract({sql}, '$[#-1][2]')", (*values, *values)


def _judged() -> QuerySet[Health, dict[str, Any]]:
    return Health.objects.filter(repository__store=OuterRef("pk")).order_by().values("repository__store")


def newest_backup() -> Subquery:
    """Return when the newest backup in a store was complete; NULL without one."""
    return Subquery(_judged().annotate(found=Max("backup_at")).values("found"))


def size() -> Subquery:
    """Return how many bytes of backups and WAL were last seen in a store; NULL before any look.

    Of retained repositories, too, and of stanzas that no cluster has any more: they take as much room as any other.
    """
    known = KnownStanza.objects.filter(repository__store=OuterRef("pk")).order_by().values("repository__store")
    return Subquery(known.annotate(found=Sum(LastSize("sizes"))).values("found"))


def _attached() -> QuerySet[Attachment]:
    return Attachment.objects.filter(store=OuterRef("pk")).order_by()


def is_used() -> Exists:
    """Return whether a cluster has a store."""
    return Exists(_attached())


def users() -> Subquery:
    """Return how many clusters have a store; NULL for none."""
    return Subquery(_attached().values("store").annotate(found=Count("pk")).values("found"))


def user() -> Subquery:
    """Return the name of the first cluster that has a store, by name."""
    return Subquery(_attached().order_by("cluster__name", "pk").values("cluster__name")[:1])


def user_id() -> Subquery:
    """Return the key of that cluster."""
    return Subquery(_attached().order_by("cluster__name", "pk").values("cluster")[:1], output_field=UUIDField())


def search(text: str) -> Q:
    """Return whether the name of a cluster that has a store holds a text."""
    return Q(Exists(_attached().filter(cluster__name__icontains=text)))


COLUMNS = StoreColumns(newest_backup, size, is_used, users, user, user_id, search)
