"""What the search (key /) finds: the organisation's things by name, ID, bucket, number or place, pages, and help."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.urls import resolve, reverse
from django.utils.translation import gettext, gettext_lazy

from clusters import listing as cluster_listing
from clusters.models import Cluster, Database, Node
from console.accounts.models import Membership
from console.accounts.permissions import ENTERPRISE, ROLES, Permission
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.help import searching
from console.operations.models import Operation
from console.web.natural import Natural
from stores import listing as store_listing
from stores.models import Store

EACH = 6  # of a kind: whoever sees that many goes on in the kind's own list, or types more
SHORTEST = 2  # characters: of one, everything would be found

# Pages by their titles, with other words that people look for them by.
PAGES = (
    (gettext_lazy("Overview"), "home", "recoverable verdict health start"),
    (gettext_lazy("All databases"), "overview:databases", "recoverable verdict worst"),
    (gettext_lazy("Fleet map"), "overview:fleet", "regions nodes places"),
    (gettext_lazy("Clusters"), "clusters:list", "nodes databases postgresql"),
    (gettext_lazy("New Cluster"), "clusters:create", "add create register nodes"),
    (gettext_lazy("Backup Stores"), "stores:list", "buckets repositories storage"),
    (gettext_lazy("Create Backup Store"), "stores:create", "add new bucket"),
    (gettext_lazy("Add Existing Store"), "stores:existing_list", "bucket import csv"),
    (gettext_lazy("Bring in a Repository"), "clusters:bring_in", "pgbackrest.conf import existing"),
    (gettext_lazy("Cloud Accounts"), "cloud_accounts:list", " ".join(["link", *CLOUDS])),
    (gettext_lazy("Alerts"), "alerts:list", "channels email webhook silence maintenance"),
    (gettext_lazy("Tasks"), "tasks:list", "operations running failed"),
    (gettext_lazy("Members"), "organisation:members", "people users invite roles"),
    (gettext_lazy("Audit"), "audit:list", "log events evidence who"),
    (gettext_lazy("Your account"), "mfa_index", "password second factor sessions"),
    (gettext_lazy("API tokens"), "tokens:list", "keys client credentials"),
    (gettext_lazy("Help"), "help:index", "manual documentation how to glossary"),
)


@dataclass(frozen=True)
class Hit:
    """One thing that was found: its name, what tells it from others of that name, and its page."""

    title: str
    detail: str
    url: str


@dataclass(frozen=True)
class Group:
    """What was found of one kind, at most EACH; `more` is where all of it is listed, "" when this is all."""

    title: str
    hits: list[Hit]
    more: str = ""


def find(membership: Membership, text: str) -> list[Group]:
    """Return what the member may see and the text is in, kind by kind; all pages when there is no text."""
    groups = [Group(gettext("Pages"), [*_pages(membership, text)])]
    if len(text) >= SHORTEST:
        if _may(membership, Permission.SEE_STORES):
            groups += _things(membership, text)
        accounts = CloudAccount.objects.visible_to(membership).search(text)
        groups.append(
            _group(gettext("Cloud accounts"), accounts.only("name", "number"), "number", "cloud_accounts:list", text)
        )
        groups.append(_help(text))
    return [group for group in groups if group.hits]


def _may(membership: Membership, permission: Permission | None) -> bool:
    if permission is None:
        return True
    closed = permission in ENTERPRISE and not membership.organisation.is_enterprise
    return not closed and permission in ROLES[membership.role]


def _pages(membership: Membership, text: str) -> Iterator[Hit]:
    words = text.lower().split()
    for title, name, other in PAGES:
        url = reverse(name)
        needed = getattr(resolve(url).func, "permission", None)  # require_permission's
        if all(word in f"{title} {other}".lower() for word in words) and _may(membership, needed):
            yield Hit(str(title), "", url)


def _things(membership: Membership, text: str) -> Iterator[Group]:
    """Yield what is found of each kind: stores and clusters as their lists find them, where "All" leads."""
    accounts = CloudAccount.objects.visible_to(membership).in_bulk()

    def where(store: Store) -> str:
        region = accounts[store.cloud_account_id].region(store.region)
        return f"{region.place} · {store.bucket}" if region else store.bucket

    stores = store_listing.search(membership, Store.objects.visible_to(membership), text, accounts.values())
    yield _group(
        gettext("Backup stores"), stores.only("name", "bucket", "region", "cloud_account"), where, "stores:list", text
    )
    clusters = cluster_listing.search(membership, Cluster.objects.visible_to(membership), text, accounts.values())
    yield _group(gettext("Clusters"), clusters.only("name", "state"), "", "clusters:list", text)
    nodes = Node.objects.filter(cluster__organisation=membership.organisation_id, name__icontains=text)
    yield _group(
        gettext("Nodes"), nodes.select_related("cluster").defer("cluster__keys", "cluster__former_keys"), "cluster"
    )
    databases = Database.objects.filter(cluster__organisation=membership.organisation_id, name__icontains=text)
    yield _group(
        gettext("Databases"),
        databases.select_related("cluster").defer("cluster__keys", "cluster__former_keys"),
        "cluster",
    )
    tasks = Operation.objects.visible_to(membership).filter(Q(subject_name__icontains=text) | Q(title__icontains=text))
    rows = tasks.only("title", "subject_name", "state").order_by("-created_at", "-pk")[: EACH + 1]
    hits = [
        Hit(f"{one.title}: {one.subject_name}", one.get_state_display(), reverse("tasks:detail", args=[one.pk]))
        for one in rows
    ]
    yield Group(gettext("Tasks"), hits[:EACH], _all("tasks:list", text) if len(hits) > EACH else "")


def _help(text: str) -> Group:
    found = searching.search(text, most=EACH + 1)
    hits = [Hit(one.title, one.chapter if one.chapter != one.title else "", one.url) for one in found[:EACH]]
    return Group(gettext("Help"), hits, _all("help:index", text) if len(found) > EACH else "")


def _group(
    title: str, rows: QuerySet[Any], detail: str | Callable[[Any], str], listed: str = "", text: str = ""
) -> Group:
    """Return the first of the rows, by name; `detail` is what tells two of a name apart: a field, or made of a row."""
    found = list(rows.order_by(Natural("name"), "pk")[: EACH + 1])
    told = detail if callable(detail) else lambda one: str(getattr(one, detail)) if detail else ""
    hits = [Hit(one.name, told(one), _page_of(one)) for one in found[:EACH]]
    return Group(title, hits, _all(listed, text) if listed and len(found) > EACH else "")


def _page_of(one: Any) -> str:
    return str((one.cluster if isinstance(one, Database) else one).get_absolute_url())


def _all(listed: str, text: str) -> str:
    return f"{reverse(listed)}?{urlencode({'q': text})}"
