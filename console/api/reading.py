"""What can be read: stores, cloud accounts, clusters, verdicts, backups, alerts, audit events, members."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query
from pydantic import Field

from clusters import listing as cluster_listing
from clusters.health.verdicts import Verdict
from clusters.models import Attachment, Cluster, Node, Repository
from clusters.models.cluster import State as ClusterState
from clusters.pgbackrest.repository import from_json
from console.accounts.models import Membership
from console.accounts.permissions import Permission
from console.alerts.forms import AlertFilter
from console.alerts.models import Alert, AlertQuerySet
from console.api import shapes, shown
from console.api.authentication import NAMES, CallRequest
from console.api.calls import answered, reads
from console.api.lists import ListQuery, Searched, decode, encode, no_cursor, page
from console.api.problems import Problem, fields, one_of
from console.audit.models import AuditEvent
from console.audit.views import FilterForm
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.clouds.regions import matching, regions
from console.overview import states
from console.web.lists import Asked, Listing
from stores import listing as store_listing
from stores.models import State as StoreState
from stores.models import Store, StoreQuerySet

CLOSED = Field(description="As on the page.")
CHOICES = {
    "verdict": [*Verdict.values, store_listing.NOT_JUDGED],
    "provider": list(CLOUDS),
    "used": ["yes", "no"],
    "stores": ["yes", "no"],
}
DAY = Field(pattern=r"^(\d{4}-\d\d-\d\d)?$", description="A day (UTC), such as 2026-11-30.")


@reads("/me", None, shapes.Me)
def me(request: CallRequest) -> HttpResponse:
    """Say whose token this is, and what can be done with it now."""
    return answered(shown.me(request.token, sorted(NAMES[one] for one in request.token.may)))


# Stores and accounts


def stores(membership: Membership) -> StoreQuerySet:
    """Return the organisation's stores with all that is shown of them, without secrets, in two queries."""
    mine: StoreQuerySet = Store.objects.visible_to(membership).select_related("cloud_account", "operation")
    mine = mine.only(
        *(one.name for one in Store._meta.concrete_fields),
        "cloud_account__provider_key",
        *(f"operation__{one}" for one in ("title", "state", "updated_at")),
    )
    for one in store_listing.store_columns:
        mine = mine.annotate(size=one.size())
    attached = Attachment.objects.order_by("repository__number").only("cluster", "store", "state")
    # As a plain list: a manager for each row would take longer than the row.
    return mine.prefetch_related(Prefetch("attachments", attached, to_attr="attached"))


class StoreList(Searched):
    state: Annotated[str, CLOSED] = ""
    verdict: Annotated[str, Field(description="The worst verdict on what is kept in it; none: nothing is judged.")] = ""
    provider: Annotated[str, CLOSED] = ""
    cloud_account_id: UUID | None = None
    region: Annotated[str, Field(max_length=100, description="A region's code, or a city or country.")] = ""
    used: Annotated[str, Field(description="yes or no: whether a cluster uses it.")] = ""


@reads("/stores", Permission.SEE_STORES, shapes.Page[shapes.Store], asked=StoreList)
def list_stores(request: CallRequest, asked: Query[StoreList]) -> HttpResponse:
    """List the stores, newest first."""
    given = {"account": str(asked.cloud_account_id or ""), **_filters(asked), "region": ""}
    chosen = _chosen(store_listing.LISTING, StoreState.values, given)
    rows = store_listing.search(request.membership, stores(request.membership), chosen.query)
    rows = store_listing.compared(rows, chosen)
    if region := asked.region.strip():
        rows = rows.filter(_in_region(request.membership, region))
    return answered(page(store_listing.LISTING.filtered(rows, chosen), asked, shown.store))


def _filters(asked: Searched) -> dict[str, str]:
    return {key: text for key, text in asked.dict().items() if isinstance(text, str) and key != "cursor"}


def _in_region(membership: Membership, text: str) -> Q:
    """Return the condition that a store is in the regions that a text names, by code or place; raises Problem.

    A server that is in no cloud has regions of its own: the place where it stands, under the code that it signs with.
    """
    found, is_known = Q(region=text), any(matching(text, regions(provider)) for provider in CLOUDS)
    for account in CloudAccount.objects.visible_to(membership):
        if codes := [one.code for one in matching(text, account.store_regions)]:
            found |= Q(cloud_account=account, region__in=codes)
            is_known = True
    if not is_known and not Store.objects.visible_to(membership).filter(region=text).exists():
        raise fields([("/region", "No region has this code, and none is in a city or country of this name.")])
    return found


def _chosen(listing: Listing, states: Sequence[str], given: Mapping[str, str]) -> Asked:
    """Return what the filters of a list are asked; raises Problem for what can be no choice."""
    if wrong := listing.no_choices(given):
        choices = {**CHOICES, "state": states}
        raise fields([(f"/{key}", one_of(choices[key])) for key in wrong])
    return listing.asked(given)


@reads("/stores/{uuid:pk}", Permission.SEE_STORES, shapes.Store)
def get_store(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show one store."""
    return answered(shown.store(get_object_or_404(stores(request.membership), pk=pk)))


@reads("/cloud-accounts", Permission.SEE_ACCOUNTS, shapes.Page[shapes.CloudAccount], asked=Searched)
def list_cloud_accounts(request: CallRequest, asked: Query[Searched]) -> HttpResponse:
    """List the linked accounts, newest first."""
    rows = CloudAccount.objects.visible_to(request.membership).search(asked.q.strip())
    return answered(page(rows, asked, shown.cloud_account))


@reads("/cloud-accounts/{uuid:pk}", Permission.SEE_ACCOUNTS, shapes.CloudAccount)
def get_cloud_account(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show one linked account."""
    found = get_object_or_404(CloudAccount.objects.visible_to(request.membership), pk=pk)
    return answered(shown.cloud_account(found))


# Clusters


def clusters(membership: Membership) -> Any:
    """Return the organisation's clusters with all that is shown of them, without secrets."""
    rows = Cluster.objects.visible_to(membership).with_loss().with_verdict()
    attachments = Attachment.objects.select_related("store", "repository").defer("repository__secrets")
    return (
        rows.select_related("cloud_account", "operation", "brought_in")
        .defer("brought_in__file")
        .defer("cloud_account__secrets", "keys", "former_keys", "operation__steps", "operation__details")
        .prefetch_related(
            "databases",
            "policies",
            Prefetch("nodes", Node.objects.defer("secrets", "status", "known_files").prefetch_related("chosen")),
            Prefetch("attachments", attachments.order_by("repository__number")),
        )
    )


class ClusterList(Searched):
    state: Annotated[str, CLOSED] = ""
    verdict: Annotated[str, Field(description="The worst verdict on its databases; none: nothing is judged.")] = ""
    provider: Annotated[str, CLOSED] = ""
    cloud_account_id: UUID | None = None
    stores: Annotated[str, Field(description="yes or no: whether it has a backup store.")] = ""


@reads("/clusters", Permission.SEE_STORES, shapes.Page[shapes.Cluster], asked=ClusterList)
def list_clusters(request: CallRequest, asked: Query[ClusterList]) -> HttpResponse:
    """List the clusters with their nodes, databases and attached stores, newest first."""
    given = {"account": str(asked.cloud_account_id or ""), **_filters(asked)}
    chosen = _chosen(cluster_listing.LISTING, ClusterState.values, given)
    rows = cluster_listing.search(request.membership, clusters(request.membership), chosen.query)
    return answered(page(cluster_listing.LISTING.filtered(cluster_listing.columns(rows), chosen), asked, shown.cluster))


@reads("/clusters/{uuid:pk}", Permission.SEE_STORES, shapes.Cluster)
def get_cluster(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show one cluster with its nodes, databases and attached stores."""
    told = shown.cluster(get_object_or_404(clusters(request.membership), pk=pk))
    return answered(told, etag=shown.cluster_etag(told))


# What can be restored


class VerdictList(Searched):
    verdict: Annotated[Verdict | None, CLOSED] = None
    cluster_id: UUID | None = None
    store_id: UUID | None = None


@reads("/verdicts", Permission.SEE_STORES, shapes.Page[shapes.JudgedDatabase], asked=VerdictList)
def list_verdicts(request: CallRequest, asked: Query[VerdictList]) -> HttpResponse:
    """List for each database of each node in each store whether it can be restored and to when; the worst first."""
    rows = states.pairs(request.membership)
    if query := asked.q.strip():
        named = ("database", "node", "cluster__name", "repository__store_name")
        rows = rows.filter(Q(*((f"{one}__icontains", query) for one in named), _connector=Q.OR))
    if asked.verdict:
        rows = rows.filter(rank=asked.verdict.rank)
    if asked.cluster_id:
        rows = rows.filter(cluster=asked.cluster_id)
    if asked.store_id:
        rows = rows.filter(repository__store=asked.store_id)
    return answered(page(rows, asked, shown.verdict, order=("rank", "since", "pk")))


class BackupList(ListQuery):
    cluster_id: UUID | None = None
    store_id: UUID | None = None
    node: Annotated[str, Field(max_length=100)] = ""
    database: Annotated[str, Field(max_length=100)] = ""


Place = tuple[int, str, str, str]  # repository, node, database, label
NAMED_AT_MOST = 20  # choices in a refusal
AT_ONCE = 10  # repositories that are read together: the list of one may have thousands of backups


@reads("/backups", Permission.SEE_STORES, shapes.Page[shapes.Backup], asked=BackupList)
def list_backups(request: CallRequest, asked: Query[BackupList]) -> HttpResponse:
    """List the backups that were last seen, by repository, node, database and label (oldest first)."""
    mine = Repository.objects.visible_to(request.membership).exclude(inventory=None).exclude(store=None)
    if asked.cluster_id:
        mine = mine.filter(cluster=asked.cluster_id)
    if asked.store_id:
        mine = mine.filter(store=asked.store_id)
    after = _place(asked.cursor)
    found: list[tuple[Place, dict[str, Any]]] = []
    for key, item in _backups(mine, asked, after):
        if len(found) == asked.limit:
            return answered({"items": [one for _, one in found], "next": encode(found[-1][0])})
        found.append((key, item))
    return answered({"items": [one for _, one in found], "next": None})


def _place(cursor: str) -> Place:
    if not cursor:
        return (0, "", "", "")
    number, node, database, label = decode(cursor, 4)
    if not number.isascii() or not number.isdecimal() or len(number) > 18:
        raise no_cursor()
    return (int(number), node, database, label)


def _backups(mine: QuerySet[Repository], asked: BackupList, after: Place) -> Iterator[tuple[Place, dict[str, Any]]]:
    rows = mine.select_related("inventory").defer("secrets").order_by("pk")
    first = after[0]
    while batch := list(rows.filter(pk__gte=first)[:AT_ONCE]):
        for repository in batch:
            states_there = from_json(repository.inventory.content)
            yield from sorted(
                ((key, shown.backup(repository, stanza, one)))
                for stanza in states_there
                if asked.node in {"", stanza.node} and asked.database in {"", stanza.stanza}
                for one in stanza.backups
                if (key := (repository.pk, stanza.node, stanza.stanza, one.label)) > after
            )
        first = batch[-1].pk + 1


# Alerts and the audit log


class AlertList(ListQuery):
    state: Annotated[str, CLOSED] = ""
    severity: Annotated[str, CLOSED] = ""
    rule: Annotated[str, CLOSED] = ""
    cluster: Annotated[str, Field(description="A cluster's ID.")] = ""


@reads("/alerts", Permission.SEE_STORES, shapes.Page[shapes.Alert], asked=AlertList)
def list_alerts(request: CallRequest, asked: Query[AlertList]) -> HttpResponse:
    """List the alerts, open and closed, newest first."""
    form = AlertFilter(asked.dict(), organisation=request.membership.organisation_id)
    if not form.is_valid():
        raise of_form(form)
    rows: AlertQuerySet = Alert.objects.visible_to(request.membership)
    state = form.cleaned_data["state"]
    if state:
        rows = rows.open() if state == "open" else rows.exclude(closed_at=None)
    for field in ("severity", "rule", "cluster"):
        if form.cleaned_data[field]:
            rows = rows.filter(**{field: form.cleaned_data[field]})
    return answered(page(rows, asked, shown.alert))


@reads("/alerts/{uuid:pk}", Permission.SEE_STORES, shapes.Alert)
def get_alert(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show one alert."""
    return answered(shown.alert(get_object_or_404(Alert.objects.visible_to(request.membership), pk=pk)))


class AuditList(ListQuery):
    who: str = ""
    action: str = ""
    subject: Annotated[str, Field(description="An ID, or the beginning of a name.")] = ""
    outcome: Annotated[str, CLOSED] = ""
    since: Annotated[str, DAY] = ""
    until: Annotated[str, DAY] = ""


@reads("/audit", Permission.SEE_AUDIT, shapes.Page[shapes.AuditEvent], asked=AuditList)
def list_audit_events(request: CallRequest, asked: Query[AuditList]) -> HttpResponse:
    """List who did what, newest first."""
    form = FilterForm(asked.dict())
    if not form.is_valid():
        raise of_form(form)
    return answered(page(form.found(AuditEvent.objects.visible_to(request.membership)), asked, shown.audit_event))


def of_form(form: Any, names: Mapping[str, str] | None = None, *, below: str = "") -> Problem:
    """Return the refusal that says what a form has found.

    `names` are what the call calls its fields; `below` is the pointer to the object that holds them.
    """
    named = names or {}
    wrong = [
        (f"{below}/{named.get(field, field)}" if field != "__all__" else below, _told(form, field))
        for field in form.errors
    ]
    return fields(wrong)


def _told(form: Any, field: str) -> str:
    """Return what is wrong with a field: where it has few choices, which these are."""
    choices = [str(key) for key, _ in getattr(form.fields.get(field), "choices", ()) if key]
    codes = {error.code for error in form.errors.as_data()[field]}
    if codes == {"invalid_choice"} and 0 < len(choices) <= NAMED_AT_MOST:
        return one_of(choices)
    return " ".join(map(str, form.errors[field]))


@reads("/members", Permission.SEE_MEMBERS, shapes.Page[shapes.Member], asked=ListQuery)
def list_members(request: CallRequest, asked: Query[ListQuery]) -> HttpResponse:
    """List the members of the organisation, newest first."""
    return answered(page(Membership.objects.visible_to(request.membership).select_related("user"), asked, shown.member))
