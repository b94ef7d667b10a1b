"""Existing buckets: those that somebody thinks of adding, one of them, and the way into the console."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.clouds.contents import Contents
from console.operations import outcomes
from console.operations.actions import NotNow
from console.web.pages import began, dialog_done, dialog_form, fragment_or_page, posted
from console.web.retold import retold
from stores.actions import LimitReached, NameTaken
from stores.drift import Changed
from stores.existing import actions
from stores.existing.forms import AddAllForm, DecisionForm, ExistingForm, ImportForm
from stores.forms import NAME_TAKEN
from stores.models import BucketLook
from stores.unmanaged import known_names

LOOKED, SAW_ANOTHER = "looks-changed", "What was found has changed since this was shown. Look at it again, then decide."


def _looks(request: MemberRequest) -> QuerySet[BucketLook]:
    looks = BucketLook.objects.filter(cloud_account__organisation=request.membership.organisation_id)
    return looks.select_related("cloud_account__organisation")


def _look(request: MemberRequest, key: UUID) -> BucketLook:
    return get_object_or_404(_looks(request), key=key)


@require_GET
@require_permission(Permission.MANAGE_STORES)
def existing_list(request: MemberRequest) -> HttpResponse:
    """Show the buckets that somebody thinks of adding."""
    looks = list(_looks(request))
    known = known_names(look.bucket for look in looks)
    rows = [
        (look, actions.obstacle(look, by=request.membership, known=known) if look.content else "") for look in looks
    ]
    context = {
        "rows": rows,
        "ready": sum(not why and bool(look.content) for look, why in rows),
        "busy": any(look.is_awaited for look in looks),
        "seen": actions.all_seen(looks),
    }
    return fragment_or_page(request, "stores/existing/list.html", "looks", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_STORES)
def existing_add(request: MemberRequest) -> HttpResponse:
    """Ask for a bucket, and have it looked at."""
    initial = {name: request.GET.get(name, "") for name in ("cloud_account", "bucket")}
    form = ExistingForm(posted(request), membership=request.membership, initial=initial)
    if form.is_bound and form.is_valid():
        try:
            [look] = actions.look_at([form.wish()], by=request.membership)
        except actions.TooMany as error:
            form.add_error(None, retold(error))
        else:
            url = look.get_absolute_url()
            return HttpResponseClientRedirect(url) if request.htmx else dialog_done(request, url)
    return dialog_form(request, "stores/existing/add.html", {"form": form})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_STORES)
def existing_import(request: MemberRequest) -> HttpResponse:
    """Ask for a list of buckets, and have all of them looked at; or none, if anything in the list is wrong."""
    form = ImportForm(posted(request), membership=request.membership)
    if form.is_bound and form.is_valid():
        try:
            looks = actions.look_at(form.wishes, by=request.membership)
        except actions.TooMany as error:
            form.add_error(None, retold(error))
        else:
            url, said = reverse("stores:existing_list"), f"{len(looks)} buckets are being looked at."
            return dialog_done(request, url, LOOKED, message=said)
    return dialog_form(request, "stores/existing/import.html", {"form": form})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_STORES)
def existing(request: MemberRequest, key: UUID) -> HttpResponse:
    """Show what was found of a bucket; add it as it was decided."""
    look = _look(request, key)
    form = DecisionForm(posted(request), look=look, membership=request.membership)
    if form.is_bound and form.is_valid():
        try:
            store = actions.bring(look, form.decision(), name=form.cleaned_data["name"], by=request.membership)
        except Changed:
            form.add_error(None, SAW_ANOTHER)
        except NameTaken:
            form.add_error("name", NAME_TAKEN)
        except (LimitReached, NotNow) as error:
            form.add_error(None, retold(error))
        else:
            message = gettext("{store} is being added; nothing that it holds is changed.").format(store=store.name)
            began(request, message, follow=outcomes.address(store.operation))
            url = store.get_absolute_url()
            return HttpResponseClientRedirect(url) if request.htmx else dialog_done(request, url)
    refused = form.is_bound and not form.is_valid()
    context = {"form": form, **_seen(request, look)}
    return fragment_or_page(request, "stores/existing/detail.html", "look", context, status=422 if refused else 200)


def _seen(request: MemberRequest, look: BucketLook) -> dict[str, Any]:
    account = look.cloud_account
    context = {"look": look, "account": account, "busy": look.is_awaited, "vocabulary": account.cloud.vocabulary}
    context["shows"] = account.bucket_proof
    context["needs"] = account.cloud.existing.needs(account.credentials(), look.bucket)
    if not look.content:
        return context
    return context | {
        "found": look.content["found"],
        "contents": Contents(**look.content["contents"]),
        "lines": actions.lines_of(look),
        "obstacle": actions.obstacle(look, by=request.membership),
        "tag_command": actions.tag_command(look),
    }


@require_POST
@require_permission(Permission.MANAGE_STORES)
def existing_look(request: MemberRequest, key: UUID) -> HttpResponse:
    """Have the bucket looked at again."""
    look = _look(request, key)
    actions.look_again(look)
    return dialog_done(request, look.get_absolute_url(), LOOKED)


@require_POST
@require_permission(Permission.MANAGE_STORES)
def existing_drop(request: MemberRequest, key: UUID) -> HttpResponse:
    """Think better of it."""
    look = _look(request, key)
    actions.drop(look)
    message = gettext("{bucket} is no longer listed. Nothing was changed in it.").format(bucket=look.bucket)
    if request.htmx and request.POST.get("from") == "page":
        messages.success(request, message)
        return HttpResponseClientRedirect(reverse("stores:existing_list"))
    return dialog_done(request, reverse("stores:existing_list"), LOOKED, message=message)


@require_POST
@require_permission(Permission.MANAGE_STORES)
def existing_add_all(request: MemberRequest) -> HttpResponse:
    """Add all that can be: each as it is, with its logs where they are named, or nowhere."""
    form, looks = AddAllForm(request.POST), list(_looks(request))
    if not form.is_valid() or form.cleaned_data["seen"] != actions.all_seen(looks):
        messages.error(request, SAW_ANOTHER)
        return dialog_done(request, reverse("stores:existing_list"), LOOKED)
    tag = form.cleaned_data["tag"]
    added, left = [], []
    for look in looks:
        if not look.content:
            continue
        decision = actions.as_it_is(look, tag=tag)
        try:
            added.append(actions.bring(look, decision, name=look.name, by=request.membership).name)
        except NameTaken:
            left.append(f"{look.bucket}: {NAME_TAKEN}")
        except Changed:
            left.append(f"{look.bucket}: {SAW_ANOTHER}")
        except (LimitReached, NotNow) as error:
            left.append(f"{look.bucket}: {error}")
    for one in left[:5]:
        messages.error(request, one)
    said = f"{len(added)} store{'s are' if len(added) != 1 else ' is'} being added, {len(left)} left out."
    return dialog_done(request, reverse("stores:existing_list"), LOOKED, "stores-changed", message=said)
