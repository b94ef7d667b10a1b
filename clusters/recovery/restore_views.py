"""Restoring: the page on which it is chosen, and the script that comes out of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from clusters.models import Cluster, Health, Repository
from clusters.pgbackrest.restore import MACHINE
from clusters.pgbackrest.restore_script import restore_script
from clusters.recovery.restore_forms import RestoreForm
from clusters.recovery.restores import Source, drawn, hand_out, of_cluster, of_repository
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.pages import file_download, fragment_or_page, text_file


def _of_cluster(request: MemberRequest, pk: UUID) -> tuple[Cluster, list[Source]]:
    clusters = Cluster.objects.visible_to(request.membership)
    cluster = get_object_or_404(clusters.with_node_setup(), pk=pk)
    return cluster, of_cluster(cluster)


def _of_repository(request: MemberRequest, pk: int) -> tuple[Repository, list[Source]]:
    repositories = Repository.objects.visible_to(request.membership)
    repository = get_object_or_404(repositories.with_inventory(), pk=pk, attachment=None)
    return repository, of_repository(repository)


@require_GET
@require_permission(Permission.SEE_STORES)
def restore(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Choose what of a cluster is restored; the answer is the script, with its secrets hidden."""
    cluster, sources = _of_cluster(request, pk)
    context = {"cluster": cluster, "name": cluster.name, "script": reverse("clusters:restore_script", args=[pk])}
    return _page(request, sources, context)


@require_GET
@require_permission(Permission.SEE_STORES)
def repository_restore(request: MemberRequest, pk: int) -> HttpResponse:
    """Choose what of one repository that no cluster uses is restored."""
    repository, sources = _of_repository(request, pk)
    script = reverse("clusters:repository_restore_script", args=[pk])
    return _page(request, sources, {"repository": repository, "name": repository.cluster_name, "script": script})


def _page(request: MemberRequest, sources: list[Source], context: dict[str, Any]) -> HttpResponse:
    if not sources:
        return fragment_or_page(request, "clusters/restore.html", "restore", context)
    is_asked_for = "preview" in request.GET
    form = RestoreForm(request.GET.dict(), sources=sources, lenient=bool(request.htmx) and not is_asked_for)
    chosen = form.restore if form.is_valid() else None
    refused = bool(form.errors if is_asked_for else form.problems)
    context |= {
        "form": form,
        "shown_errors": refused,
        "source": form.source,
        "lines": drawn(form.offered, _health(context.get("cluster")), form.moment),
        "restore": chosen,
        "masked": restore_script(chosen, secrets=False) if chosen else "",
        "query": urlencode({name: form[name].value() or "" for name in form.fields}),
        "is_machine": chosen and chosen.where == MACHINE,
    }
    return fragment_or_page(request, "clusters/restore.html", "restore", context, status=422 if refused else 200)


def _health(cluster: Cluster | None) -> Iterable[Health]:
    return cluster.health.all() if cluster else ()


# What holds secrets: for who manages, has just given the password, and is written down for having looked.


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
@file_download
def restore_download(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Return the script of a restore of a cluster's backups, complete."""
    return _script(request, *_of_cluster(request, pk))


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
@file_download
def repository_restore_download(request: MemberRequest, pk: int) -> HttpResponse:
    """Return the script of a restore from one repository that no cluster uses, complete."""
    return _script(request, *_of_repository(request, pk))


def _script(request: MemberRequest, subject: Cluster | Repository, sources: list[Source]) -> HttpResponse:
    form = RestoreForm(request.GET.dict(), sources=sources, lenient=False) if sources else None
    if form is None or not form.is_valid() or form.restore is None:
        wrong = (
            "; ".join(" ".join(map(str, found)) for found in form.errors.values()) if form else "There is no backup."
        )
        return HttpResponse(f"{wrong}\n", status=422, content_type="text/plain; charset=utf-8")
    script = hand_out(form.restore, form.source, subject, by=request.user)
    return text_file(script, form.restore.script_name)
