"""The recovery kit, as a page that prints and as a text: for who manages, after the password, and written down."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from clusters import actions
from clusters.models import Cluster, Repository
from clusters.recovery.kit import NOTHING_IS_WRITTEN, as_text
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.pages import file_download, text_file


def _cluster(request: MemberRequest, pk: UUID) -> Cluster:
    found: Cluster = get_object_or_404(Cluster.objects.visible_to(request.membership), pk=pk)
    return found


def _repository(request: MemberRequest, pk: int) -> Repository:
    found: Repository = get_object_or_404(Repository.objects.visible_to(request.membership), pk=pk)
    return found


def _page(request: MemberRequest, subject: Cluster | Repository, download: str) -> HttpResponse:
    title, cluster = (subject.name, subject) if isinstance(subject, Cluster) else (subject.title, subject.cluster)
    context = {
        "kits": actions.take_kit(subject, by=request.user),
        "title": title,
        "cluster": cluster,
        "download": download,
        "at": timezone.now(),
        "nothing_is_written": NOTHING_IS_WRITTEN,
    }
    return render(request, "clusters/kit.html", context)


def _file(request: MemberRequest, subject: Cluster | Repository, name: str) -> HttpResponse:
    kits = actions.take_kit(subject, by=request.user)
    text = as_text(kits, organisation=str(request.membership.organisation), at=timezone.now())
    return text_file(text, f"recovery-kit-{name}.txt")


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
def cluster_kit(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show the recovery kit of all repositories of a cluster, to be printed."""
    cluster = _cluster(request, pk)
    return _page(request, cluster, reverse("clusters:kit_text", args=[pk]))


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
@file_download
def cluster_kit_text(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Return the same as a text file."""
    cluster = _cluster(request, pk)
    return _file(request, cluster, cluster.prefix)


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
def repository_kit(request: MemberRequest, pk: int) -> HttpResponse:
    """Show the recovery kit of one repository, whether a cluster uses it or not."""
    found = _repository(request, pk)
    return _page(request, found, reverse("clusters:repository_kit_text", args=[pk]))


@require_GET
@never_cache
@require_permission(Permission.SEE_SECRETS)
@file_download
def repository_kit_text(request: MemberRequest, pk: int) -> HttpResponse:
    """Return the same as a text file."""
    found = _repository(request, pk)
    return _file(request, found, f"{found.cluster_prefix}-repo{found.number}")
