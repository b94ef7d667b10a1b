"""When a cluster's databases alarm."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from clusters import actions
from clusters.health.forms import AlarmForm
from clusters.models import Cluster
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.web.pages import dialog_done, dialog_form, posted


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def alarm(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Say how old the newest restorable moment may be, and how long ago a restore may have been proved."""
    cluster = get_object_or_404(Cluster.objects.visible_to(request.membership), pk=pk)
    form = AlarmForm(posted(request), instance=cluster)
    if form.is_bound and form.is_valid():
        given = {name: form.cleaned_data[name] for name in ("rpo_minutes", "proof_days")}
        actions.alarm_when(cluster, by=request.user, **given)
        return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=gettext("Saved."))
    return dialog_form(request, "clusters/alarm.html", {"form": form, "cluster": cluster})
