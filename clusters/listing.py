"""How clusters are listed: searched, filtered, counted and sorted, the same on the list and in the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext_lazy

from clusters.models import Attachment, Cluster, Node
from clusters.models.cluster import ClusterQuerySet, State
from console.accounts.models import Membership
from console.cloud_accounts.models import CloudAccount
from console.web.lists import Listing, ListPage, Order, list_page, yes_or_no
from console.web.natural import Natural
from stores.listing import ACCOUNT, PROVIDER, VERDICT, accounts_named, of_states, states

ATTACHED = yes_or_no(
    "stores",
    gettext_lazy("Stores"),
    "has_stores",
    gettext_lazy("With backup stores"),
    gettext_lazy("Without a backup store"),
)
LISTING = Listing(
    facets=(of_states(State), VERDICT, PROVIDER, ACCOUNT, ATTACHED),
    orders=(
        Order("created", gettext_lazy("Newest first"), gettext_lazy("Oldest first"), "created_at", falls=True),
        Order("name", gettext_lazy("Name"), gettext_lazy("Name, Z to A"), Natural("name")),
        Order("verdict", gettext_lazy("Worst verdict first"), gettext_lazy("Best verdict first"), "worst_rank"),
        Order("state", gettext_lazy("State"), gettext_lazy("State, Z to A"), "state"),
    ),
)


def columns(rows: ClusterQuerySet) -> QuerySet[Any]:
    """Return the clusters with what filters and orders compare."""
    attached = Exists(Attachment.objects.filter(cluster=OuterRef("pk")))
    found: QuerySet[Any] = rows.with_verdict().annotate(has_stores=attached)
    return found


def search(
    membership: Membership, rows: ClusterQuerySet, text: str, accounts: Iterable[CloudAccount] | None = None
) -> ClusterQuerySet:
    """Return the clusters that a text names, by what one knows of them.

    That is the name or ID; the account's name or number; the cloud; the region's code or place of a node; the name of
    an attached store; the state. `accounts` are the member's, where they have been read already.
    """
    if not text:
        return rows
    mine = CloudAccount.objects.visible_to(membership) if accounts is None else accounts
    named, by_codes = accounts_named(mine, text, lambda account: account.regions)
    nodes = Node.objects.filter(cluster=OuterRef("pk"))
    stores = Attachment.objects.filter(cluster=OuterRef("pk"), store__name__icontains=text)
    found = rows.holding(text) | Q(cloud_account__in=named) | Q(state__in=states(State, text))
    found |= Q(Exists(nodes.filter(region__icontains=text))) | Q(Exists(stores))
    for codes, keys in by_codes.items():
        found |= Q(Exists(nodes.filter(region__in=codes)), cloud_account__in=keys)
    return rows.filter(found)


def page(membership: Membership, given: Mapping[str, str], *, path: str, size: int) -> ListPage:
    """Return a page of the member's clusters, as an address asks for it."""
    asked = LISTING.asked(given)
    found = list_page(
        LISTING,
        asked,
        found=search(membership, Cluster.objects.visible_to(membership), asked.query),
        columns=columns,
        counted=columns(Cluster.objects.all()),
        shown=Cluster.objects.with_story(),
        size=size,
        path=path,
    )
    accounts: dict[UUID, CloudAccount] = {}
    for cluster in found.items:
        cluster.cloud_account = accounts.setdefault(cluster.cloud_account_id, cluster.cloud_account)
    return found
