"""Cloud Accounts: the list, linking, verifying, unlinking."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods
from django_htmx.http import HttpResponseClientRedirect

from console.accounts.access import (
    MemberRequest,
    require_permission,
)
from console.accounts.permissions import Permission
from console.cloud_accounts import actions, attempts, budget, preflight
from console.cloud_accounts.forms import ChangeForm, Kept, LinkForm, LookingForm
from console.cloud_accounts.models import Attempt, CloudAccount
from console.clouds import CLOUDS
from console.clouds.contract import Document, LinkError
from console.web.forms import TypedNameForm, suggested
from console.web.lists import part_of, plain_filters
from console.web.pages import (
    dialog_done,
    dialog_form,
    file_download,
    fragment_or_page,
    paginate,
    posted,
    searched,
)
from console.web.retold import retold


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
    """Show the organisation's linked accounts, searched by ?q= and filtered by ?provider=."""
    accounts = CloudAccount.objects.visible_to(request.membership)
    query, provider = searched(request), request.GET.get("provider", "")
    accounts = accounts.search(query)
    if provider in CLOUDS:
        accounts = accounts.filter(provider_key=provider)
    page = paginate(request, accounts)
    preflight.show(page.items)
    clouds = [(key, cloud.label) for key, cloud in CLOUDS.items()]
    context = {
        "page": page,
        "filters": plain_filters(query, ("provider", "Provider", provider if provider in CLOUDS else "", clouds)),
    }
    return fragment_or_page(request, "cloud_accounts/list.html", part_of(request, "accounts-list", "panes"), context)


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
    preflight.show([account])
    context = {"account": account, "documents": account.documents, "usage": budget.usage(account)}
    return fragment_or_page(request, "cloud_accounts/detail.html", "pane", context)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ACCOUNTS)
def account_link(request: MemberRequest) -> HttpResponse:
    """Link an account: a worker asks the cloud who it is before anything is kept, and ?attempt= shows how far it is."""
    given = request.POST or request.GET
    attempt = _attempt(request, Attempt.Verb.LINK)
    if attempt and request.method == "GET":
        return _waiting(request, attempt) or _link_ended(request, attempt)
    chosen = given.get("provider", "")
    if request.method == "POST" and "continue" not in request.POST:
        form = _link_form(request, chosen, request.POST, attempt)
        if form.is_valid():
            entered = form.entered()
            entered["asked"]["provider"] = chosen
            if begun := _begin(request, form, Attempt.Verb.LINK, entered):
                return begun
    else:
        name = _suggested_name(request, chosen, given.get("name", ""))
        form = _link_form(request, chosen, initial={"provider": given.get("provider", ""), "name": name})
    return _link_dialog(request, form, attempt)


def _suggested_name(request: MemberRequest, chosen: str, given: str) -> str:
    """Return what was typed, else a free name after the cloud; that of another cloud is suggested no more."""
    labels = [cloud.label for cloud in CLOUDS.values()]
    if given.rstrip(" 0123456789") not in {"", *labels} or chosen not in CLOUDS:
        return given
    mine = CloudAccount.objects.visible_to(request.membership)
    return suggested(CLOUDS[chosen].label, lambda name: mine.named(name).exists())


def _link_form(
    request: MemberRequest, chosen: str, data: Any = None, attempt: Attempt | None = None, **options: Any
) -> LinkForm:
    same = attempt and attempt.entered and attempt.entered["asked"]["provider"] == chosen
    return LinkForm(
        data,
        organisation=request.membership.organisation,
        chosen=chosen,
        external_id=actions.external_id(request.membership),
        kept=_kept(attempt) if attempt and same else None,
        **options,
    )


def _link_ended(request: MemberRequest, attempt: Attempt) -> HttpResponse:
    if account := attempt.done_at and attempt.cloud_account:
        messages.success(
            request,
            gettext("{account} is linked: {linked}").format(
                account=account.name, linked=account.cloud.linking.linked(account.credentials())
            ),
        )
        # To its page, where it shows what the console may do there.
        url = account.get_absolute_url()
        return HttpResponseClientRedirect(url) if request.htmx else redirect(url)
    form = _link_form(request, attempt.entered["asked"]["provider"], attempt.entered["shown"], attempt)
    _say_beside(form, attempt.details.get("field", ""), attempts.how_it_ended(attempt))
    return _link_dialog(request, form, attempt)


def _link_dialog(request: MemberRequest, form: LinkForm, attempt: Attempt | None = None) -> HttpResponse:
    chosen = form.chosen.key if form.chosen else ""
    context = {"form": form, "providers": provider_tiles(chosen), "external_id": form.external_id, "attempt": attempt}
    return dialog_form(request, "cloud_accounts/link.html", context)


def _attempt(request: MemberRequest, verb: Attempt.Verb, account: CloudAccount | None = None) -> Attempt | None:
    """Return the attempt that is named, if it is the member's own and about this; raises Http404 when it is shown."""
    key = (request.POST or request.GET).get("attempt", "")
    attempt = attempts.find(request.membership, key, verb, account) if key else None
    if key and not attempt and request.method == "GET":
        raise Http404
    return attempt


def _kept(attempt: Attempt) -> Kept | None:
    """Return what was entered, which need not be entered again; nothing once it was forgotten."""
    asked = attempt.entered.get("asked")
    return Kept(asked["settings"], asked["secrets"]) if asked else None


def _begin(
    request: MemberRequest,
    form: forms.Form,
    verb: Attempt.Verb,
    entered: dict[str, Any],
    account: CloudAccount | None = None,
) -> HttpResponse | None:
    """Have a worker ask the cloud, and show that; nothing, with why beside the form, when that cannot be now."""
    try:
        attempt = attempts.begin(request.membership, verb, account=account, entered=entered)
    except LinkError as error:
        _say_beside(form, error.field, retold(error))
        return None
    return _shown(request, attempt)


def _shown(request: MemberRequest, attempt: Attempt) -> HttpResponse:
    url = f"{request.path}?{urlencode({'attempt': attempt.key})}"
    if not request.htmx:
        return redirect(url)
    return fragment_or_page(request, "cloud_accounts/attempt.html", "dialog", {"attempt": attempt, "url": url})


def _waiting(request: MemberRequest, attempt: Attempt) -> HttpResponse | None:
    """Return the page that asks again while a worker is at it; nothing when it has ended."""
    if not attempt.is_waiting:
        return None
    context = {"attempt": attempt, "url": request.get_full_path(), "busy": True}
    return fragment_or_page(request, "cloud_accounts/attempt.html", "dialog", context)


def _say_beside(form: forms.Form, field: str, text: str) -> None:
    """Have what was refused said beside the field that it is about."""
    form.add_error(field if field in form.fields else None, text)


@require_GET
@require_permission(Permission.MANAGE_ACCOUNTS)
@file_download
def account_link_document(request: MemberRequest, provider: str, filename: str) -> HttpResponse:
    """Hand out a file with which the access is set up that linking needs."""
    organisation = request.membership.organisation
    external_id = actions.external_id(request.membership)
    form = LinkForm(organisation=organisation, chosen=provider, external_id=external_id)
    return _download(form.documents(request.GET.get("method", "")), filename)


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


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ACCOUNTS)
def account_verify(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Have a worker ask the cloud again whether the account still works; ?attempt= shows how far it is."""
    account = _account(request, pk)
    attempt = _attempt(request, Attempt.Verb.VERIFY, account)
    if request.method == "POST":
        try:
            return _shown(request, attempts.begin(request.membership, Attempt.Verb.VERIFY, account=account, entered={}))
        except LinkError as error:
            messages.error(
                request,
                gettext("{account} could not be verified just now: {error}").format(
                    account=account.name, error=retold(error)
                ),
            )
    elif attempt and (waiting := _waiting(request, attempt)):
        return waiting
    elif attempt and not attempt.done_at:
        why = attempts.how_it_ended(attempt)
        messages.error(
            request, gettext("{account} could not be verified just now: {why}").format(account=account.name, why=why)
        )
    elif attempt and account.verify_error:
        messages.error(
            request, gettext("{account} does not verify any more; its pane says why.").format(account=account.name)
        )
    elif attempt:
        _say_verified(request, account)
    return dialog_done(request, account.get_absolute_url(), "accounts-changed")


def _say_verified(request: MemberRequest, account: CloudAccount) -> None:
    """Say that the account answers as itself, and whether it lacks what the console needs there."""
    found = preflight.found_where_used(account)
    if missing := len(found.failing):
        text = gettext("{account} is verified, but {missing} of {checks} permissions are missing.").format(
            account=account.name, missing=missing, checks=len(found.checks)
        )
        messages.warning(request, text)
    else:
        messages.success(request, gettext("{account} is verified.").format(account=account.name))


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ACCOUNTS)
def account_change(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Give the account another name, address or key: a worker asks the cloud before the present one is dropped."""
    account = _account(request, pk)
    attempt = _attempt(request, Attempt.Verb.CHANGE, account)
    kept = _kept(attempt) if attempt else None
    if attempt and request.method == "GET":
        if waiting := _waiting(request, attempt):
            return waiting
        if attempt.done_at:
            return _changed(request, account)
        form = ChangeForm(attempt.entered["shown"], account=account, kept=kept)
        _say_beside(form, attempt.details.get("field", ""), attempts.how_it_ended(attempt))
    else:
        form = ChangeForm(posted(request), account=account, kept=kept)
        if form.is_bound and form.is_valid() and (ended := _change(request, form, account)):
            return ended
    submit = gettext("Try again") if attempt else gettext("Try and keep")
    context = {"form": form, "account": account, "attempt": attempt, "submit": submit}
    return dialog_form(request, "cloud_accounts/change.html", context)


def _change(request: MemberRequest, form: ChangeForm, account: CloudAccount) -> HttpResponse | None:
    try:
        attempt = attempts.change(request.membership, account, form.entered())
    except LinkError as error:
        _say_beside(form, error.field, retold(error))
        return None
    return _shown(request, attempt) if attempt else _changed(request, account)


def _changed(request: MemberRequest, account: CloudAccount) -> HttpResponse:
    message = gettext("{account} is changed.").format(account=account.name)
    return dialog_done(request, account.get_absolute_url(), "accounts-changed", message=message)


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_ACCOUNTS)
def account_looking(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Set how often the account's backups are looked for, and how many calls a day that may take."""
    account = _account(request, pk)
    form = LookingForm(posted(request), instance=budget.of(account.pk))
    if form.is_bound and form.is_valid():
        budget.change(account, **form.cleaned_data, by=request.user)
        message = gettext("The backups in {account} are looked for at least every {cleaned_data} hours.").format(
            account=account.name, cleaned_data=form.cleaned_data["hours"]
        )
        return dialog_done(request, account.get_absolute_url(), "accounts-changed", message=message)
    context = {"form": form, "account": account, "usage": budget.usage(account)}
    return dialog_form(request, "cloud_accounts/looking.html", context)


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
            form.add_error(None, gettext("The account is in use and stays linked. Delete what uses it first."))
        else:
            message = gettext("{expected} is unlinked. Nothing was changed in the cloud.").format(
                expected=form.expected
            )
            return dialog_done(request, reverse("cloud_accounts:list"), "accounts-changed", message=message)
    context = {"form": form, "account": account, "users": users}
    return dialog_form(request, "cloud_accounts/unlink.html", context)
