"""The backups that were seen: looking anew, and what one store holds."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from clusters import actions
from clusters.models import Cluster, Repository
from clusters.repositories import memory
from clusters.repositories.backups import bookcases, retained_case
from clusters.repositories.growth import growth
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.natural import Natural
from console.web.pages import dialog_done, fragment_or_page
from stores.models import Store


@require_POST
@require_permission(Permission.SEE_STORES)
def backups_refresh(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Have the cluster's repositories looked into now."""
    clusters = Cluster.objects.visible_to(request.membership)
    cluster = get_object_or_404(clusters, pk=pk)
    actions.look_into_backups(cluster)
    return dialog_done(request, cluster.get_absolute_url(), "clusters-changed")


@require_POST
@require_permission(Permission.MANAGE_CLUSTERS)
def lost_forget(request: MemberRequest, pk: int) -> HttpResponse:
    """Have nobody told any more of backups that are gone: those that were missed until then, when the page was made."""
    repositories = Repository.objects.visible_to(request.membership).select_related("cluster", "store", "organisation")
    found = get_object_or_404(repositories, pk=pk)
    try:
        until = datetime.fromisoformat(request.POST.get("until", "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return HttpResponse("until is the time of the newest loss that was shown.\n", "text/plain", status=422)
    memory.forget_lost(found, until=until, by=request.user)
    page = found.cluster or found.store
    url = page.get_absolute_url() if page else reverse("clusters:list")
    return dialog_done(
        request, url, "clusters-changed", "stores-changed", message=gettext("Noted: you deleted them yourselves.")
    )


@require_GET
@require_permission(Permission.SEE_STORES)
def store_backups(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show what was last seen in one store, cluster by cluster, then what no cluster uses any more."""
    store = get_object_or_404(Store.objects.visible_to(request.membership), pk=pk)
    clusters = Cluster.objects.visible_to(request.membership).filter(attachments__store=store)
    found = [
        (cluster, case)
        for cluster in clusters.with_node_setup().order_by(Natural("name"))
        for case in bookcases(cluster)
        if case.repository.store_id == store.pk
    ]
    retained = Repository.objects.visible_to(request.membership).filter(store=store).retained()
    of_clusters = Cluster.objects.visible_to(request.membership).with_node_setup()
    still = {one.pk: one for one in of_clusters.filter(repositories__in=retained)}
    left = [retained_case(one, still.get(one.cluster_id)) for one in retained.with_inventory()]
    held = [*(case for _, case in found), *left]
    context = {
        "store": store,
        "found": found,
        "left": left,
        "number": len(held),
        "growth": growth(known for case in held for known in case.repository.known_stanzas.all()),
    }
    return fragment_or_page(request, "clusters/store_backups.html", "backups", context)
