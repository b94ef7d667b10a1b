"""Retained repositories: what no cluster uses any more, and whose passphrases are kept."""

from __future__ import annotations

from django.db.models import F, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from clusters import actions
from clusters.models import Repository
from clusters.recovery.kit import expire_commands
from clusters.repositories.losses import losses
from clusters.repositories.retained import folders_of, holding, kept_by
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.clouds.contents import Contents
from console.web.forms import TypedNameForm
from console.web.pages import dialog_done, dialog_form, fragment_or_page, paginate, posted, searched

SEARCHED = ("cluster_name", "store_name", "bucket", "region", "prefix")


@require_GET
@require_permission(Permission.SEE_STORES)
def retained_list(request: MemberRequest) -> HttpResponse:
    """Show the organisation's retained repositories, those that were detached last first, searched by ?q=."""
    query, wanted = searched(request), Q()
    for field in SEARCHED:
        wanted |= Q(**{f"{field}__icontains": query})
    rows = Repository.objects.visible_to(request.membership).retained().filter(wanted)
    rows = rows.with_inventory().select_related("cluster").annotate(created_at=F("detached_at"))
    page = paginate(request, rows)
    rows_shown = [(holding(one), "\n".join(expire_commands(one))) for one in page.items]
    context = {"page": page, "rows": rows_shown, "query": query, "losses": losses(page.items)}
    return fragment_or_page(request, "clusters/retained.html", "retained", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.LET_GO)
def let_go(request: MemberRequest, pk: int) -> HttpResponse:
    """Delete a passphrase that opens nothing any more, after the cluster's name was typed."""
    rows = Repository.objects.visible_to(request.membership).with_inventory()
    found = get_object_or_404(rows.select_related("store__cloud_account"), pk=pk)
    form = TypedNameForm(posted(request), expected=found.cluster_name)
    if form.is_bound and form.is_valid():
        try:
            actions.let_go(found, by=request.user)
        except actions.Kept as error:
            form.add_error(None, gettext("It stays. {error}").format(error=error))
        else:
            message = gettext("The passphrase of {title} is deleted.").format(title=found.title)
            return dialog_done(request, reverse("clusters:retained"), "clusters-changed", message=message)
    context = {"form": form, "repository": found, "holding": holding(found), "kept_by": kept_by(found)}
    if context["kept_by"] and found.store:
        everything = Contents(objects=1, uploads=1, versioned=bool(found.store.versions_days))
        store = found.store
        context["commands"] = "\n".join(
            store.cloud.storage.empty_commands(store.spec(), everything, folder) for folder in folders_of(found)
        )
    return dialog_form(request, "clusters/let_go.html", context)
