"""What is wrong beside the verdicts: drifted stores, failed tasks, accounts, keys, clusters without a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from clusters.models import Attachment, Cluster, Database, Node, Repository
from clusters.models import State as ClusterState
from console.accounts.models import Membership
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.clouds.specs import AccessSpec
from console.operations.models import Operation
from console.web.natural import Natural
from console.web.notices import SHOWN, Notice, Subject
from stores.models import State as StoreState
from stores.models import Store

FAILED_FOR = timedelta(days=7)  # so long a failed task is told, unless its subject still waits for it
REPLACED_IN = timedelta(days=7)  # in which every node should have its new key
SIGNED_SINCE = timedelta(days=90)  # younger signatures end not soon, whichever cloud they are of
ACCOUNTS = SIGNED = 200  # more accounts, or clusters with signatures, are not looked at
AT_MOST = 5000  # rows of all kinds, the worst kind first
KINDS = ("no store", "task", "no database", "drift", "old key", "no kit")


@dataclass(frozen=True)
class Row:
    """Something that is wrong with one subject."""

    kind: str
    id: Any
    name: str
    number: int


def rows(membership: Membership) -> list[Row]:
    """Return what is wrong with the organisation's stores, clusters and tasks, in one query."""
    now = timezone.now()
    stores = Store.objects.visible_to(membership)
    clusters = Cluster.objects.visible_to(membership).exclude(state=ClusterState.DELETING)
    tasks = Operation.objects.visible_to(membership).filter(state=Operation.State.FAILED)
    later = Operation.objects.filter(subject_id=OuterRef("subject_id"), created_at__gt=OuterRef("created_at"))
    waiting = [
        Q(pk__in=of.filter(state="failed").exclude(operation=None).values("operation")) for of in (stores, clusters)
    ]
    attached = Attachment.objects.filter(cluster=OuterRef("pk")).exclude(state=Attachment.State.DETACHING)
    has_databases = Exists(Database.objects.filter(cluster=OuterRef("pk")))
    unsaved = Repository.objects.in_use().filter(cluster=OuterRef("pk"), kit_taken_at=None)
    failed = tasks.filter(waiting[0] | waiting[1] | (Q(finished_at__gt=now - FAILED_FOR) & ~Exists(later)))
    found = [
        _of("no store", clusters.filter(has_databases).exclude(Exists(attached)), number=_databases()),
        _of("task", failed, name="subject_name"),
        _of("no database", clusters.exclude(has_databases)),
        _of("drift", stores.filter(state=StoreState.DEGRADED)),
        _of("old key", clusters.filter(key_replaced_at__lt=now - REPLACED_IN)),
        _of("no kit", clusters.filter(Exists(unsaved), has_databases)),
    ]
    ordered = found[0].union(*found[1:], all=True).order_by("place", "called")
    return [Row(KINDS[place], *one) for place, *one in ordered[:AT_MOST]]


def _of(kind: str, found: QuerySet[Any], *, name: str = "name", number: Any = None) -> Any:
    counted = Value(0, IntegerField()) if number is None else number
    place = Value(KINDS.index(kind), IntegerField())
    given = found.order_by().annotate(place=place, called=F(name), counted=counted)
    return given.values_list("place", "pk", "called", "counted")


def _databases() -> Coalesce:
    """Return how many databases a cluster's nodes run, all hosts of one replication counted once, as a column."""
    folder = Coalesce(NullIf(F("folder"), Value("")), F("name"))
    nodes = (
        Node.objects.filter(cluster=OuterRef("pk"))
        .order_by()
        .values("cluster")
        .annotate(n=Count(folder, distinct=True))
    )
    databases = Database.objects.filter(cluster=OuterRef("pk")).order_by().values("cluster").annotate(n=Count("pk"))
    product = Subquery(nodes.values("n")) * Subquery(databases.values("n"))
    return Coalesce(product, Value(0), output_field=IntegerField())


def nowhere(found: Iterable[Row]) -> int:
    """Return how many databases have no store to be backed up to."""
    return sum(one.number for one in found if one.kind == "no store")


def notices(found: Sequence[Row], membership: Membership) -> list[Notice]:
    """Return what to tell of it, with two queries more: of the accounts, and of signatures that end soon."""
    return [*_of_rows(found), *of_accounts(membership), *_signatures(membership)]


def _of_rows(found: Sequence[Row]) -> Iterable[Notice]:
    for kind in KINDS:
        there = [one for one in found if one.kind == kind]
        if there:
            yield TELL[kind](there)


def _subjects(there: Sequence[Row], view: str) -> list[Subject]:
    return [Subject(one.name, reverse(view, args=[one.id])) for one in there[:SHOWN]]


def _s(there: Sequence[Any], text: str, **values: object) -> str:
    return text.format(number=f"{len(there):,}", **values)


def _drifted(there: Sequence[Row]) -> Notice:
    title = _s(there, ngettext("1 store has drifted", "{number} stores have drifted", len(there)))
    words = "They are not set up as they should be. Each store's page says what differs, repairs it or accepts it."
    return Notice("drift", "warn", title, words, subjects=_subjects(there, "stores:detail"), total=len(there))


def _failed(there: Sequence[Row]) -> Notice:
    title, words = (
        _s(there, ngettext("1 task failed", "{number} tasks failed", len(there))),
        gettext("Each task says what failed and what to do."),
    )
    url, tasks = f"{reverse('tasks:list')}?state=failed", _subjects(there, "tasks:detail")
    return Notice("task", "bad", title, words, url, gettext("All that failed"), tasks, len(there))


def _storeless(there: Sequence[Row]) -> Notice:
    title = _s(there, ngettext("1 cluster has no backup store", "{number} clusters have no backup store", len(there)))
    words = "Their databases are backed up nowhere. Attach a store with Update Backup Stores."
    return Notice("no store", "bad", title, words, subjects=_subjects(there, "clusters:detail"), total=len(there))


def _without_database(there: Sequence[Row]) -> Notice:
    title = _s(there, ngettext("1 cluster has no database", "{number} clusters have no database", len(there)))
    words = "Nothing of them is backed up until a database is added."
    return Notice("no database", "warn", title, words, subjects=_subjects(there, "clusters:detail"), total=len(there))


def _replaced(there: Sequence[Row]) -> Notice:
    title = _s(
        there,
        ngettext(
            "The nodes' key of 1 cluster has been waiting to be replaced for more than a week",
            "The nodes' key of {number} clusters has been waiting to be replaced for more than a week",
            len(there),
        ),
    )
    words = "Some nodes have not reported the new one. Run their set-up script again, or end the former key."
    return Notice("old key", "warn", title, words, subjects=_subjects(there, "clusters:detail"), total=len(there))


def _unsaved(there: Sequence[Row]) -> Notice:
    title = _s(
        there,
        ngettext(
            "The recovery kit of 1 cluster is not saved",
            "The recovery kit of {number} clusters is not saved",
            len(there),
        ),
    )
    words = "Without the kit, backups cannot be opened when this console is gone: it holds their passphrases."
    return Notice("no kit", "info", title, words, subjects=_subjects(there, "clusters:detail"), total=len(there))


TELL: dict[str, Callable[[Sequence[Row]], Notice]] = {
    "task": _failed,
    "no store": _storeless,
    "no database": _without_database,
    "drift": _drifted,
    "old key": _replaced,
    "no kit": _unsaved,
}


def of_accounts(membership: Membership) -> list[Notice]:
    """Return what is wrong with the organisation's accounts, in one query."""
    accounts = list(CloudAccount.objects.visible_to(membership).order_by(Natural("name"))[:ACCOUNTS])
    found = []
    if there := [one for one in accounts if one.unproven or one.verify_error]:
        title = _s(there, ngettext("1 account does not verify", "{number} accounts do not verify", len(there)))
        words = "The console cannot look into their stores or change them. Each account's page says why."
        found.append(Notice("account", "bad", title, words, subjects=_pages(there), total=len(there)))
    if there := [one for one in accounts if one.key_is_old]:
        days = CloudAccount.KEY_IS_OLD.days
        title = _s(
            there,
            ngettext(
                "The console's key to 1 account is older than {days} days",
                "The console's key to {number} accounts is older than {days} days",
                len(there),
            ),
            days=days,
        )
        words = "Make a new one, and give it to the console with Change."
        found.append(Notice("account key", "info", title, words, subjects=_pages(there), total=len(there)))
    return found


def _signatures(membership: Membership) -> list[Notice]:
    """Return the clusters whose nodes' signatures end soon and were not renewed, in one query."""
    asked = {key: one.access.keys_due for key, one in CLOUDS.items() if one.access.keys_due}
    old = Cluster.objects.visible_to(membership).filter(
        cloud_account__provider_key__in=asked, key_made_at__lt=timezone.now() - SIGNED_SINCE
    )
    there = []
    for cluster in old.select_related("cloud_account").order_by(Natural("name"))[:SIGNED]:
        account = cluster.cloud_account
        spec = AccessSpec(cluster.id, cluster.name, account.credentials(), cluster.prefix, (), cluster.keys)
        due = asked[account.provider_key](spec)
        if due and due < timezone.now():
            there.append(cluster)
    if not there:
        return []
    title = _s(
        there,
        ngettext(
            "The nodes' signatures of 1 cluster end soon",
            "The nodes' signatures of {number} clusters end soon",
            len(there),
        ),
    )
    words = "They should have been renewed. Repair the cluster, and run the set-up script of its nodes again."
    return [Notice("signature", "bad", title, words, subjects=_pages(there), total=len(there))]


def _pages(there: Sequence[CloudAccount | Cluster]) -> list[Subject]:
    return [Subject(one.name, one.get_absolute_url()) for one in there[:SHOWN]]
