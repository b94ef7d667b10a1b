"""The way back: recovery kits, restores, and the repositories that outlive their clusters."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from typing import Annotated, Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.cache import never_cache
from ninja import Query
from pydantic import Field

from clusters import actions
from clusters.models import Cluster, Repository
from clusters.pgbackrest.restore_script import restore_script
from clusters.recovery.kit import as_text
from clusters.recovery.restore_forms import RestoreForm
from clusters.recovery.restores import Source, hand_out, of_cluster, of_repository
from clusters.repositories import memory
from console.accounts.permissions import Permission
from console.api import cluster_shapes as asks
from console.api import shapes
from console.api.authentication import CallRequest
from console.api.calls import answered, does, hands_out, reads, takes_away
from console.api.cluster_rows import find, refusing
from console.api.idempotency import once
from console.api.lists import Searched, page
from console.api.problems import Problem
from console.api.reading import of_form
from console.api.shown import moment
from console.web.pages import text_file

SECRETS, SEE, MANAGE = Permission.SEE_SECRETS, Permission.SEE_STORES, Permission.MANAGE_CLUSTERS
ONE = "/repositories/{int:pk}"
SEARCHED = ("cluster_name", "store_name", "bucket", "region", "prefix")


def _repositories(request: CallRequest) -> Any:
    rows = Repository.objects.visible_to(request.membership).defer("secrets")
    return rows.select_related("inventory", "attachment").prefetch_related("known_stanzas")


def _shown(row: Repository) -> dict[str, Any]:
    inventory = getattr(row, "inventory", None)
    return {
        "id": row.pk,
        "cluster_id": str(row.cluster_id) if row.cluster_id else None,
        "cluster": row.cluster_name,
        "store_id": str(row.store_id) if row.store_id else None,
        "store": row.store_name,
        "bucket": row.bucket,
        "folder": row.folder,
        "repository": row.number,
        "in_use": hasattr(row, "attachment"),
        "detached_at": moment(row.detached_at),
        "empty_at": moment(row.empty_at),
        "kit_taken_at": moment(row.kit_taken_at),
        "read_at": moment(inventory.read_at) if inventory else None,
        "has_loss": any(one.lost_since for one in row.known_stanzas.all()),
    }


class RepositoryList(Searched):
    in_use: Annotated[bool | None, Field(description="false: those that are retained, which no cluster uses.")] = None
    cluster_id: UUID | None = None
    store_id: UUID | None = None


@reads("/repositories", SEE, shapes.Page[asks.Repository], asked=RepositoryList)
def list_repositories(request: CallRequest, asked: Query[RepositoryList]) -> HttpResponse:
    """List the repositories, newest first: those in use, and those that are retained with their passphrases."""
    rows, wanted = _repositories(request), Q()
    for field in SEARCHED:
        wanted |= Q(**{f"{field}__icontains": asked.q.strip()})
    rows = rows.filter(wanted)
    if asked.in_use is not None:
        rows = rows.in_use() if asked.in_use else rows.retained()
    if asked.cluster_id:
        rows = rows.filter(cluster=asked.cluster_id)
    if asked.store_id:
        rows = rows.filter(store=asked.store_id)
    return answered(page(rows, asked, _shown, order=("-pk",)))


@reads(ONE, SEE, asks.Repository)
def get_repository(request: CallRequest, pk: int) -> HttpResponse:
    """Show one repository."""
    return answered(_shown(get_object_or_404(_repositories(request), pk=pk)))


@takes_away(ONE, Permission.LET_GO, asks.Repository)
def let_repository_go(request: CallRequest, pk: int) -> HttpResponse:
    """Delete a repository's passphrase, once nothing is left that it opens; answered with what it was."""
    was = _shown(get_object_or_404(_repositories(request), pk=pk))
    with refusing():
        actions.let_go(Repository.objects.with_inventory().get(pk=pk), by=request.person)
    return answered(was)


@does(f"{ONE}/passphrase", MANAGE, asks.Repository)
@once
def replace_passphrase(request: CallRequest, pk: int, asked: asks.Nothing) -> HttpResponse:
    """Have the nodes write into another folder of a store, with another passphrase; answered with that one."""
    rows = Repository.objects.visible_to(request.membership).in_use().select_related("cluster__cloud_account", "store")
    with refusing():
        made = actions.replace_passphrase(get_object_or_404(rows, pk=pk), by=request.person)
    return answered(_shown(_repositories(request).get(pk=made.pk)))


@does(f"{ONE}/losses/forget", MANAGE, asks.Forgotten)
@once
def forget_losses(request: CallRequest, pk: int, asked: asks.ForgetLoss) -> HttpResponse:
    """Have nobody told any more of backups that are gone: those that were missed until then."""
    rows = Repository.objects.visible_to(request.membership).select_related("cluster", "store", "organisation")
    found = get_object_or_404(rows, pk=pk)
    until = asked.until if asked.until.tzinfo else asked.until.replace(tzinfo=timezone.get_default_timezone())
    return answered({"number": memory.forget_lost(found, until=until, by=request.person)})


# Kits


def _kit(request: CallRequest, subject: Cluster | Repository, name: str) -> HttpResponse:
    kits = actions.take_kit(subject, by=request.person)
    text = as_text(kits, organisation=str(request.membership.organisation), at=timezone.now())
    return text_file(text, f"recovery-kit-{name}.txt")


@hands_out("/clusters/{uuid:pk}/kit", SECRETS)
@never_cache
def get_cluster_kit(request: CallRequest, pk: UUID) -> HttpResponse:
    """Hand out the recovery kit of all repositories of a cluster, with their passphrases; it is written down."""
    cluster = get_object_or_404(Cluster.objects.visible_to(request.membership), pk=pk)
    return _kit(request, cluster, cluster.prefix)


@hands_out(f"{ONE}/kit", SECRETS)
@never_cache
def get_repository_kit(request: CallRequest, pk: int) -> HttpResponse:
    """Hand out the recovery kit of one repository, whether a cluster uses it or not; it is written down."""
    found = get_object_or_404(Repository.objects.visible_to(request.membership), pk=pk)
    return _kit(request, found, f"{found.cluster_prefix}-repo{found.number}")


# Restores


class RestoreQuery(asks.Asked):
    """What is restored; what is not said is as the page has it first."""

    node: str = ""
    stanza: Annotated[str, Field(description="The database.")] = ""
    repository: Annotated[str, Field(description="A repository's ID.")] = ""
    backup: Annotated[str, Field(description="A label; empty: the newest that fits.")] = ""
    target: Annotated[str, Field(description="latest, time, immediate, name, lsn or xid.")] = ""
    time: str = ""
    zone: str = ""
    offset: str = ""
    point: str = ""
    lsn: str = ""
    xid: str = ""
    exclusive: bool = False
    timeline: str = ""
    where: Annotated[str, Field(description="folder, machine or in_place.")] = ""
    folder: str = ""
    port: str = ""
    key: Annotated[bool, Field(description="The script asks for a key.")] = False


def _form(asked: RestoreQuery, sources: list[Source]) -> RestoreForm:
    if not sources:
        raise Problem(409, "There is no backup.")
    given = {name: "on" if value is True else value or "" for name, value in asked.model_dump().items()}
    form = RestoreForm(given, sources=sources, lenient=False)
    if not form.is_valid() or form.restore is None:
        raise of_form(form)
    return form


def _masked(asked: RestoreQuery, sources: list[Source]) -> HttpResponse:
    found = _form(asked, sources).restore
    assert found is not None, "of a form that is valid"
    return text_file(restore_script(found, secrets=False), found.script_name)


def _script(
    request: CallRequest, asked: RestoreQuery, subject: Cluster | Repository, sources: list[Source]
) -> HttpResponse:
    form = _form(asked, sources)
    assert form.restore is not None, "of a form that is valid"
    return text_file(hand_out(form.restore, form.source, subject, by=request.person), form.restore.script_name)


def _retained(request: CallRequest, pk: int) -> Repository:
    rows = Repository.objects.visible_to(request.membership).with_inventory()
    found: Repository = get_object_or_404(rows, pk=pk, attachment=None)
    return found


@hands_out("/clusters/{uuid:pk}/restore", SEE, asked=RestoreQuery)
def preview_restore(request: CallRequest, pk: UUID, asked: Query[RestoreQuery]) -> HttpResponse:
    """Show the script of a restore of a cluster's backups, with its secrets hidden."""
    return _masked(asked, of_cluster(find(request, pk)))


@hands_out("/clusters/{uuid:pk}/restore.sh", SECRETS, asked=RestoreQuery)
@never_cache
def get_restore_script(request: CallRequest, pk: UUID, asked: Query[RestoreQuery]) -> HttpResponse:
    """Hand out the script of a restore of a cluster's backups, complete; it is written down."""
    cluster = find(request, pk)
    return _script(request, asked, cluster, of_cluster(cluster))


@hands_out(f"{ONE}/restore", SEE, asked=RestoreQuery)
def preview_repository_restore(request: CallRequest, pk: int, asked: Query[RestoreQuery]) -> HttpResponse:
    """Show the script of a restore from a repository that no cluster uses, with its secrets hidden."""
    return _masked(asked, of_repository(_retained(request, pk)))


@hands_out(f"{ONE}/restore.sh", SECRETS, asked=RestoreQuery)
@never_cache
def get_repository_restore_script(request: CallRequest, pk: int, asked: Query[RestoreQuery]) -> HttpResponse:
    """Hand out the script of a restore from a repository that no cluster uses, complete; it is written down."""
    repository = _retained(request, pk)
    return _script(request, asked, repository, of_repository(repository))
