"""Recovering deleted backups: the page, the identity that reads them, and the files that hold its secrets."""

from __future__ import annotations

import json

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from clusters.models import RecoveryIdentity, Repository
from clusters.recovery import identities
from clusters.recovery.rescue import Recovering, hand_out, planned
from clusters.recovery.rescue_forms import IdentityForm, RescueForm
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.pages import announced, dialog_done, dialog_form, file_download, fragment_or_page, posted, text_file
from stores.models import Store


def _found(request: MemberRequest, pk: int) -> tuple[Repository, Store, RecoveryIdentity | None]:
    rows = Repository.objects.visible_to(request.membership).select_related(
        "cluster", "inventory", "store__cloud_account"
    )
    repository = get_object_or_404(rows, pk=pk)
    if repository.store is None:
        raise Http404
    return repository, repository.store, RecoveryIdentity.objects.filter(repository=repository).first()


def _asked(
    request: HttpRequest, repository: Repository, store: Store, identity: RecoveryIdentity | None
) -> tuple[RescueForm, Recovering | None]:
    """Return the form, and what is recovered if its time and stanza are known."""
    form = RescueForm(request.GET if "at" in request.GET else None, repository=repository, store=store)
    if not form.is_bound or not form.is_valid():
        return form, None
    return form, Recovering(repository, store, form.cleaned_data["stanza"], form.cleaned_data["at"], identity)


@require_GET
@require_permission(Permission.SEE_STORES)
def rescue(request: MemberRequest, pk: int) -> HttpResponse:
    """Ask for the time before the loss, then show what to run; secrets are in files of their own."""
    repository, store, identity = _found(request, pk)
    form, recovering = _asked(request, repository, store, identity)
    context = {
        "repository": repository,
        "store": store,
        "form": form,
        "recovering": recovering,
        "identity": identity,
        "refusal": identities.refusal(repository),
        "query": request.GET.urlencode(),  # goes along to the files
        "busy": identity is not None and (identity.is_awaited or identity.is_over),
    }
    return fragment_or_page(request, "clusters/rescue.html", "rescue", context, status=422 if form.errors else 200)


def _back(repository: Repository) -> str:
    return reverse("clusters:rescue", args=[repository.pk])


@require_http_methods(["GET", "POST"])
@require_permission(Permission.SEE_SECRETS)
def identity_create(request: MemberRequest, pk: int) -> HttpResponse:
    """Have a worker make an identity that reads the repository's versions, and ends."""
    repository, store, _ = _found(request, pk)
    takes_key = store.cloud_account.capabilities.node_key_by_hand
    form = IdentityForm(posted(request), takes_key=takes_key)
    if form.is_bound and form.is_valid():
        try:
            identities.begin(repository, hours=form.cleaned_data["hours"], keys=form.keys, by=request.user)
        except identities.Refused as error:
            form.add_error(None, str(error))
        else:
            message = gettext("A worker makes the recovery identity.")
            return dialog_done(request, _back(repository), "clusters-changed", message=message)
    policy = store.cloud.access.policy(planned(repository, store)) if takes_key else None
    context = {
        "form": form,
        "repository": repository,
        "store": store,
        "back": _back(repository),
        "policy": json.dumps(policy, indent=2) if policy else "",
    }
    return dialog_form(request, "clusters/rescue_identity.html", context)


@require_POST
@require_permission(Permission.SEE_SECRETS)
def identity_end(request: MemberRequest, pk: int) -> HttpResponse:
    """Have a worker remove the identity now."""
    repository, _, identity = _found(request, pk)
    if identity:
        identities.end(identity, by=request.user)
    return announced(request, _back(repository), "clusters-changed", message=gettext("A worker removes the identity."))


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
@file_download
def rescue_setup(request: MemberRequest, pk: int) -> HttpResponse:
    """Return the script that puts the read-only configuration into its place, with the identity's secrets."""
    repository, store, identity = _found(request, pk)
    _, recovering = _asked(request, repository, store, identity)
    if recovering is None or not recovering.is_ready:
        messages.error(
            request, gettext("Choose the time first, and make a recovery identity: the script holds its key.")
        )
        return redirect(_back(repository))
    return text_file(hand_out(recovering, by=request.user), recovering.setup_name)


@require_GET
@require_permission(Permission.SEE_STORES)
@file_download
def rescue_undelete(request: MemberRequest, pk: int) -> HttpResponse:
    """Return the script that brings the cluster's folder back; nothing in it is secret."""
    repository, store, identity = _found(request, pk)
    _, recovering = _asked(request, repository, store, identity)
    if recovering is None:
        messages.error(request, gettext("Choose the time first."))
        return redirect(_back(repository))
    return text_file(recovering.undelete.text, recovering.undelete.filename)
