"""Bring in a repository, watch how it is opened, and hand its node over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from clusters.bring_in import hand_over as handing
from clusters.bring_in import taking
from clusters.bring_in.forms import BringInForm, HandOverForm, TakeBackForm
from clusters.models import BackupPolicy, Bringing, Cluster
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.operations.actions import NotNow
from console.web.pages import dialog_done, dialog_form, fragment_or_page, posted

SHOWN_AGAIN = ("store", "name", "region", "path")


@sensitive_post_parameters("text", "passphrase")
@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def bring_in(request: MemberRequest) -> HttpResponse:
    """Take a repository's file or its facts; a worker opens it, and ?bringing= shows how far that is."""
    row = _bringing(request)
    if row and request.method == "GET":
        return _watched(request, row)
    if request.method == "POST":
        form = BringInForm(request.POST, request.FILES, membership=request.membership)
        if form.is_valid():
            account = form.cleaned_data["store"].cloud_account
            try:
                made = taking.begin(request.membership, account, form.entered(), by=request.user)
            except taking.TooMany as error:
                form.add_error(None, str(error))
            else:
                url = f"{request.path}?{urlencode({'bringing': str(made.key)})}"
                return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    else:
        form = BringInForm(membership=request.membership, initial={"store": request.GET.get("store", "")})
    return _dialog(request, form)


def _bringing(request: MemberRequest) -> Bringing | None:
    """Return the one that is named, if it is the member's own."""
    text = request.GET.get("bringing", "")
    try:
        key = UUID(text) if text else None
    except ValueError as error:
        raise Http404 from error
    mine = Bringing.objects.visible_to(request.membership).filter(by=request.user)
    return get_object_or_404(mine, key=key) if key else None


def _watched(request: MemberRequest, row: Bringing) -> HttpResponse:
    if row.cluster:
        messages.success(
            request,
            gettext("{cluster} is watched: nothing is written to its repositories.").format(cluster=row.cluster.name),
        )
        url = row.cluster.get_absolute_url()
        return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    if row.is_waiting:
        context = {"row": row, "url": request.get_full_path(), "busy": True}
        return fragment_or_page(request, "clusters/bringing.html", "dialog", context)
    again = {name: row.entered.get(name, "") for name in SHOWN_AGAIN}
    again["stanzas"] = " ".join(row.entered.get("stanzas", ()))
    form = BringInForm(again, membership=request.membership)
    form.full_clean()
    form.errors.clear()  # what was kept is no whole form: the file and the passphrase are not given back
    field = row.details.get("field", "")
    form.add_error(
        field if field in form.fields else None, row.error or gettext("No worker has told how it ended. Try again.")
    )
    return _dialog(request, form)


def _dialog(request: MemberRequest, form: BringInForm) -> HttpResponse:
    context = {"form": form, "has_stores": form.stores.queryset.exists()}  # type: ignore[union-attr]
    return dialog_form(request, "clusters/bring_in.html", context)


@sensitive_post_parameters("own")
@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def hand_over(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show what the node's new file differs in and what to do in which order, and begin the hand-over."""
    clusters = Cluster.objects.visible_to(request.membership).filter(brought_in__isnull=False)
    cluster = get_object_or_404(clusters.with_node_setup(), pk=pk)
    policy, file = cluster.policy, cluster.brought_in.file
    if request.method != "POST":
        usual = BackupPolicy()
        policy.full_schedule, policy.incr_schedule = usual.full_schedule, usual.incr_schedule
    form = HandOverForm(posted(request), leaves=bool(file.get("left")), instance=policy)
    if form.is_bound and form.is_valid() and (message := _begun(request, cluster, form)) is not None:
        return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=message)
    return dialog_form(request, "clusters/hand_over.html", _shown(cluster, form))


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_CLUSTERS)
def take_back(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Go back to watching a cluster that was handed over."""
    clusters = Cluster.objects.visible_to(request.membership).filter(brought_in__isnull=False)
    cluster = get_object_or_404(clusters.with_node_setup(), pk=pk)
    form = TakeBackForm(posted(request), machines=len(cluster.nodes.all()))
    if form.is_bound and form.is_valid():
        try:
            handing.take_back(cluster, by=request.user)
        except (handing.Refused, NotNow) as error:
            form.add_error(None, str(error))
        else:
            message = gettext("{cluster} is watched only. Its nodes' access is being taken back.").format(
                cluster=cluster.name
            )
            return dialog_done(request, cluster.get_absolute_url(), "clusters-changed", message=message)
    context = {"form": form, "cluster": cluster, "refusal": handing.no_way_back(cluster), "machines": form.machines}
    return dialog_form(request, "clusters/take_back.html", context)


def _begun(request: MemberRequest, cluster: Cluster, form: HandOverForm) -> str | None:
    """Begin the hand-over and return what is said of it; None where it cannot begin, which the form then says."""
    own = None
    if form.is_own:
        try:
            own = handing.own_keys(cluster, form.cleaned_data["own"])
        except handing.Refused as error:
            form.add_error("own", str(error))
            return None
        trial = handing.try_own(cluster, own)
        if not form.accepts(trial):
            return None
        for one in [*trial.broad, *trial.left]:
            messages.warning(request, one)
    schedules = {name: form.cleaned_data[name] for name in HandOverForm.Meta.fields}
    try:
        handing.hand_over(cluster, schedules=schedules, own=own, by=request.user)
    except (handing.Refused, NotNow) as error:
        form.add_error(None, str(error))
        return None
    if own:
        return f"{cluster.name} goes on with its key. Run the set-up script on its node."
    return f"{cluster.name} gets access to its repositories. Then run the set-up script on its node."


def _shown(cluster: Cluster, form: HandOverForm) -> dict[str, Any]:
    whole = [one.store.name for one in cluster.attachments.all() if _is_whole(one.repository.brought)]
    return {
        "form": form,
        "cluster": cluster,
        "machines": [
            {
                "setup": one,
                "difference": handing.difference(one),
                "before": handing.before(one),
                "after": handing.after(one),
                "stanzas": " and ".join(each.name for each in one.configuration.stanzas),
            }
            for one in handing.firsts(cluster)
        ],
        "remarks": cluster.brought_in.file.get("remarks", []),
        "left": cluster.brought_in.file.get("left", []),
        "kept": [*taking.facts(cluster)],
        "counted": [*taking.counted(cluster)],
        "whole": whole,
        "containers": [*_containers(cluster)],
        "refusal": handing.refusal(cluster),
    }


def _containers(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Yield the containers that the node may use, with their stores, where a path begins with one."""
    if cluster.cloud.access.in_containers:
        for one in cluster.attachments.all():
            if one.repository.brought is not None:
                yield one.repository.brought["path"].partition("/")[0], one.store.name


def _is_whole(brought: dict[str, Any] | None) -> bool:
    return brought is not None and not brought["path"]
