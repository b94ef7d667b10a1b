"""Backups that were deleted and can still be had: what to run, the identity that reads them, and the scripts."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from typing import Annotated, Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import never_cache
from ninja import Query
from pydantic import Field

from clusters.models import RecoveryIdentity, Repository
from clusters.recovery import identities
from clusters.recovery.rescue import Recovering, hand_out
from clusters.recovery.rescue_forms import IdentityForm, RescueForm
from console.accounts.permissions import Permission
from console.api import cluster_shapes as asks
from console.api.authentication import CallRequest
from console.api.calls import answered, creates, deletes, hands_out, reads
from console.api.idempotency import once
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.api.shown import moment
from console.web.pages import text_file

SECRETS, SEE = Permission.SEE_SECRETS, Permission.SEE_STORES
ONE = "/repositories/{int:pk}/recover-deleted"
STANZA = "One of `stanzas`, such as n1/main."
AT = "The time before the loss, such as 2026-11-29T10:00:00."
ZONE = "The time zone of `at`."
OFFSET = "Which of the two, where a clock was set back: +02:00."


class RecoveryQuery(asks.Asked):
    """Of what, and the time before the loss; without both, no plan is made."""

    stanza: Annotated[str, Field(description=STANZA)] = ""
    at: Annotated[str, Field(description=AT)] = ""
    zone: Annotated[str, Field(description=ZONE)] = "UTC"
    offset: Annotated[str, Field(description=OFFSET)] = ""


class ScriptQuery(asks.Asked):
    """Of what, and the time before the loss."""

    stanza: Annotated[str, Field(description=STANZA)]
    at: Annotated[str, Field(description=AT)]
    zone: Annotated[str, Field(description=ZONE)] = "UTC"
    offset: Annotated[str, Field(description=OFFSET)] = ""


def _repository(request: CallRequest, pk: int) -> Repository:
    """Return the repository with its store; raises Http404 where that is gone, too."""
    rows = Repository.objects.visible_to(request.membership)
    found: Repository = get_object_or_404(rows.select_related("cluster", "inventory", "store__cloud_account"), pk=pk)
    if found.store is None:
        raise Http404
    return found


def _identity(repository: Repository) -> RecoveryIdentity | None:
    found: RecoveryIdentity | None = RecoveryIdentity.objects.filter(repository=repository).first()
    return found


def _recovering(repository: Repository, form: RescueForm) -> Recovering:
    assert repository.store, "as _repository() has seen"
    if not form.is_valid():
        raise of_form(form)
    data = form.cleaned_data
    return Recovering(repository, repository.store, data["stanza"], data["at"], _identity(repository))


def _plan(found: Recovering) -> dict[str, Any]:
    undelete, recovery = found.undelete, found.store.cloud.recovery
    return {
        "at": moment(found.at),
        "folder": found.folder,
        "reads_versions": found.has_versions,
        "machine": found.machine,
        "setup_script": found.setup_name if found.has_versions else "",
        "commands": [{"title": one.title, "text": one.text} for one in found.rescue.commands]
        if found.has_versions
        else [],
        "pgbackrest_conf": found.masked if found.has_versions else "",
        "undelete_script": undelete.filename,
        "undelete_command": undelete.command,
        "undelete_needs": undelete.hint,
        "shut_out": recovery.shut_out,
        "deleters_command": found.deleters,
        "full_backup_command": found.full_backup,
    }


def _shown(repository: Repository, form: RescueForm, plan: Recovering | None = None) -> dict[str, Any]:
    one, store = _identity(repository), repository.store
    state = "ended" if one and one.is_over else "ready" if one and one.is_ready else "being_made"
    return {
        "repository_id": repository.pk,
        "store_id": str(repository.store_id),
        "kept_days": store.versions_days if store else None,
        "stanzas": [*form.places],
        "seen_whole_at": moment(form.seen),
        "identity": {"state": state, "until": moment(one.until), "error": one.error} if one else None,
        "no_identity": identities.refusal(repository),
        "plan": _plan(plan) if plan else None,
    }


def _form(repository: Repository, asked: RecoveryQuery | ScriptQuery | None = None) -> RescueForm:
    assert repository.store, "as _repository() has seen"
    return RescueForm(asked.model_dump() if asked else None, repository=repository, store=repository.store)


@reads(ONE, SEE, asks.Recovery, asked=RecoveryQuery)
def preview_recovery(request: CallRequest, pk: int, asked: Query[RecoveryQuery]) -> HttpResponse:
    """Show what was in a repository, who can read what was deleted of it, and what to run to have it back."""
    repository = _repository(request, pk)
    if not asked.stanza and not asked.at:
        return answered(_shown(repository, _form(repository)))
    form = _form(repository, asked)
    return answered(_shown(repository, form, _recovering(repository, form)))


@hands_out(f"{ONE}/setup.sh", SECRETS, asked=ScriptQuery)
@never_cache
def get_recovery_script(request: CallRequest, pk: int, asked: Query[ScriptQuery]) -> HttpResponse:
    """Hand out the script that sets the reading of what was deleted up, with its secrets; it is written down."""
    repository = _repository(request, pk)
    found = _recovering(repository, _form(repository, asked))
    if not found.is_ready:
        raise Problem(409, "Make a recovery identity first, and wait until it is ready: the script holds its key.")
    return text_file(hand_out(found, by=request.person), found.setup_name)


@hands_out(f"{ONE}/undelete", SEE, asked=ScriptQuery)
def get_undelete_script(request: CallRequest, pk: int, asked: Query[ScriptQuery]) -> HttpResponse:
    """Hand out the script that brings the folder back, for an administrator of the cloud; nothing in it is secret."""
    repository = _repository(request, pk)
    undelete = _recovering(repository, _form(repository, asked)).undelete
    return text_file(undelete.text, undelete.filename)


@creates(f"{ONE}/identity", SECRETS, asks.Recovery)
@once
def make_recovery_identity(request: CallRequest, pk: int, asked: asks.NewRecoveryIdentity) -> HttpResponse:
    """Have a worker make an identity that reads what was deleted, in this folder alone, and ends."""
    repository = _repository(request, pk)
    assert repository.store, "as _repository() has seen"
    takes_key = repository.store.cloud_account.capabilities.node_key_by_hand
    given = asked.model_dump()
    if not takes_key and (asked.access_key_id or asked.secret_access_key):
        wrong = [name for name in ("access_key_id", "secret_access_key") if given[name]]
        raise fields([(f"/{name}", "The console makes the key itself.") for name in wrong])
    form = IdentityForm(given, takes_key=takes_key)
    if not form.is_valid():
        raise of_form(form)
    try:
        identities.begin(repository, hours=form.cleaned_data["hours"], keys=form.keys, by=request.person)
    except identities.Refused as error:
        raise Problem(409, str(error)) from error
    return _begun(repository)


@deletes(f"{ONE}/identity", SECRETS, asks.Recovery)
def end_recovery_identity(request: CallRequest, pk: int) -> HttpResponse:
    """Have a worker remove the identity now."""
    repository = _repository(request, pk)
    if found := _identity(repository):
        identities.end(found, by=request.person)
    return _begun(repository)


def _begun(repository: Repository) -> HttpResponse:
    where = f"/api/v1/repositories/{repository.pk}/recover-deleted"
    return answered(_shown(repository, _form(repository)), status=202, location=where)
