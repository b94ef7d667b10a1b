"""Cloud Accounts: the list, linking, verifying, unlinking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from console.accounts.access import (
    MemberRequest,
    require_permission,
)
from console.accounts.models import User
from console.accounts.permissions import Permission
from console.cloud_accounts import actions
from console.cloud_accounts.forms import ChangeForm, LinkForm
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.clouds.contract import Document, LinkError
from console.web.forms import TypedNameForm
from console.web.pages import (
    announced,
    dialog_done,
    dialog_form,
    file_download,
    fragment_or_page,
    paginate,
    posted,
    searched,
)


def provider_tiles(chosen: str) -> list[dict[str, object]]:
    """Return the cloud tiles of a dialog."""
    return [
        {
            "key": p.key,
            "label": p.label,
            "service": p.service,
            "mark": p.mark,
            "mark_colour": p.mark_colour,
            "chosen": p.key == chosen,
        }
        for p in CLOUDS.values()
    ]


@require_GET
@require_permission(Permission.SEE_ACCOUNTS)
def account_list(request: MemberRequest) -> HttpResponse:
    """Show the organisation's linked accounts."""
    accounts = CloudAccount.objects.visible_to(request.membership)
    query = searched(request)
    if query:
        accounts = accounts.filter(name__icontains=query)
    context = {"page": paginate(request, accounts), "query": query}
    return fragment_or_page(request, "cloud_accounts/list.html", "panes", context)


def _account(request: MemberRequest, pk: UUID) -> CloudAccount:
    account: CloudAccount = get_object_or_404(CloudAccount.objects.visible_to(request.membership), pk=pk)
    return account


@require_GET
@require_permission(Permission.SEE_ACCOUNTS)
def account_detail(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Show one linked account; a page on which it was unlinked goes back to the list."""
    account = CloudAccount.objects.visible_to(request.membership).filter(pk=pk).first()
    if account is None:
        if not request.htmx:
            raise Http404
        return HttpResponseClientRedirect(reverse("cloud_accounts:list"))
    context = {"account": account, "documents": account.documents}
    return fragment_or_page(request, "cloud_accounts/detail.html", "pane", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ACCOUNTS)
def account_link(request: MemberRequest) -> HttpResponse:
    """Link an account: the cloud is asked who it is before anything is kept."""
    external_id = actions.external_id(request.membership)
    given = request.POST or request.GET
    common: dict[str, Any] = {
        "organisation": request.membership.organisation,
        "chosen": given.get("provider", ""),
        "external_id": external_id,
    }
    if request.method == "POST" and "continue" not in request.POST:
        form = LinkForm(request.POST, **common)
        if form.is_valid() and (account := _link(form, request.user)):
            messages.success(
                request, f"{account.name} is linked: {account.cloud.linking.linked(account.credentials())}"
            )
            # To its page, where it shows what the console may do there.
            url = account.get_absolute_url()
            return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    else:
        form = LinkForm(initial={name: given.get(name, "") for name in ("provider", "name")}, **common)
    context = {"form": form, "providers": provider_tiles(common["chosen"]), "external_id": external_id}
    return dialog_form(request, "cloud_accounts/link.html", context)


def _link(form: LinkForm, by: User) -> CloudAccount | None:
    data = form.cleaned_data
    with _said_beside(form):
        return actions.link(
            form.organisation,
            provider=data["provider"],
            name=data["name"],
            settings=form.account_settings(),
            secrets=form.account_secrets(),
            by=by,
        )
    return None


@contextmanager
def _said_beside(form: forms.Form) -> Iterator[None]:
    """Have what the cloud refuses said beside the field that it is about."""
    try:
        yield
    except LinkError as error:
        form.add_error(error.field if error.field in form.fields else None, str(error))


@require_GET
@require_permission(Permission.MANAGE_ACCOUNTS)
@file_download
def account_link_document(request: MemberRequest, provider: str, filename: str) -> HttpResponse:
    """Hand out a file with which the access is set up that linking needs."""
    organisation = request.membership.organisation
    external_id = actions.external_id(request.membership)
    form = LinkForm(organisation=organisation, chosen=provider, external_id=external_id)
    return _download(form.documents(), filename)


@require_GET
@require_permission(Permission.SEE_ACCOUNTS)
@file_download
def account_document(request: MemberRequest, pk: UUID, filename: str) -> HttpResponse:
    """Hand out a file with which the access to a linked account is set up."""
    account = _account(request, pk)
    return _download(account.documents, filename)


def _download(documents: list[Document], filename: str) -> HttpResponse:
    document = next((one for one in documents if one.filename == filename), None)
    if document is None:
        raise Http404
    response = HttpResponse(document.text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{document.filename}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_POST
@require_permission(Permission.MANAGE_ACCOUNTS)
def account_verify(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Ask the cloud again whether the account still works."""
    account = _account(request, pk)
    try:
        if actions.verify(account, by=request.user):
            messages.success(request, f"{account.name} is verified.")
        else:
            messages.error(request, f"{account.name} does not verify any more; its pane says why.")
    except LinkError as error:
        messages.error(request, f"{account.name} could not be verified just now: {error}")
    return announced(request, account.get_absolute_url(), "accounts-changed")


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ACCOUNTS)
def account_change(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Give the account another name, address or key: the cloud is asked before the present one is dropped."""
    account = _account(request, pk)
    form = ChangeForm(posted(request), account=account)
    if form.is_bound and form.is_valid():
        with _said_beside(form):
            actions.change(
                account,
                name=form.cleaned_data["name"],
                settings=form.account_settings(),
                secrets=form.account_secrets(),
                by=request.user,
            )
        if form.is_valid():
            message = f"{account.name} is changed."
            return dialog_done(request, account.get_absolute_url(), "accounts-changed", message=message)
    return dialog_form(request, "cloud_accounts/change.html", {"form": form, "account": account})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ACCOUNTS)
def account_unlink(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Unlink an account that nothing uses, after its name was typed."""
    account = _account(request, pk)
    form = TypedNameForm(posted(request), expected=account.name)
    users = actions.users_of(account)
    if form.is_bound and form.is_valid():
        try:
            actions.unlink(account, by=request.user)
        except actions.InUse as error:
            users = error.users
            form.add_error(None, "The account is in use and stays linked. Delete what uses it first.")
        else:
            message = f"{form.expected} is unlinked. Nothing was changed in the cloud."
            return dialog_done(request, reverse("cloud_accounts:list"), "accounts-changed", message=message)
    context = {"form": form, "account": account, "users": users}
    return dialog_form(request, "cloud_accounts/unlink.html", context)
