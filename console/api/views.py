"""API Tokens: one's own in the open organisation, made, shown once, revoked; owners see and revoke everybody's.

And service accounts, which owners make, with tokens of their own.
"""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from console.accounts.access import MemberRequest, require_permission
from console.accounts.models import Membership
from console.accounts.permissions import Permission
from console.api import tokens
from console.api.forms import WORDS, ServiceAccountForm, TokenForm
from console.api.models import SCOPES, ServiceAccount, Token
from console.web.pages import dialog_done, dialog_form, fragment_or_page, paginate, posted
from console.web.retold import retold

CHANGED = "tokens-changed"
NAME_TAKEN = "A service account of this name exists. Choose another name."


@require_GET
@require_permission(Permission.SEE_ACCOUNTS)
def token_list(request: MemberRequest) -> HttpResponse:
    """Show the member's tokens, newest first; who manages members sees everybody's, and the service accounts."""
    mine = Token.objects.shown_to(request.membership).select_related("membership__user", "service_account")
    is_manager = request.membership.may["manage_members"]
    context = {
        "page": paginate(request, mine),
        "words": {name: WORDS[one] for name, one in SCOPES.items()},
        "service_accounts": ServiceAccount.objects.visible_to(request.membership) if is_manager else (),
    }
    return fragment_or_page(request, "api/token_list.html", "tokens", context)


@never_cache
@require_http_methods(["GET", "POST"])
@require_permission(Permission.SEE_ACCOUNTS)
def token_create(request: MemberRequest) -> HttpResponse:
    """Make a token of the member's own, and show it this one time."""
    return _create(request, request.membership, request.membership)


@never_cache
@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_MEMBERS)
def service_token_create(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Make a token of a service account, and show it this one time."""
    account = _service_account(request, pk)
    return _create(request, account, account.as_member)


def _create(request: MemberRequest, of: Membership | ServiceAccount, member: Membership) -> HttpResponse:
    form = TokenForm(posted(request), membership=member)
    account = of if isinstance(of, ServiceAccount) else None
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        wanted = {name: given[name] for name in ("name", "kind", "scopes", "expires_at")}
        try:
            token, text = tokens.issue(of, **wanted, by=request.user)
        except tokens.TooMany as error:
            form.add_error(None, retold(error))
        else:
            context = {"token": token, "text": text, "origin": request.build_absolute_uri("/").rstrip("/")}
            response = fragment_or_page(request, "api/token_made.html", "dialog", context)
            response["HX-Trigger"] = CHANGED
            return response
    return dialog_form(request, "api/token_create.html", {"form": form, "service_account": account})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.SEE_ACCOUNTS)
def token_revoke(request: MemberRequest, pk: UUID) -> HttpResponse:
    """End a token of one's own; who manages members can end everybody's."""
    token = get_object_or_404(Token.objects.shown_to(request.membership).with_member(), pk=pk)
    if request.method == "POST":
        tokens.revoke(token, by=request.user)
        return dialog_done(
            request, reverse("tokens:list"), CHANGED, message=gettext("{token} is revoked.").format(token=token.name)
        )
    return dialog_form(request, "api/token_revoke.html", {"token": token})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_MEMBERS)
def service_create(request: MemberRequest) -> HttpResponse:
    """Make a service account."""
    initial = {"role": Membership.Role.VIEWER}
    form = ServiceAccountForm(posted(request), membership=request.membership, initial=initial)
    if form.is_bound and form.is_valid():
        try:
            made = tokens.make_service_account(request.membership.organisation, **form.cleaned_data, by=request.user)
        except tokens.NameTaken:
            form.add_error("name", NAME_TAKEN)
        except tokens.TooMany as error:
            form.add_error(None, retold(error))
        else:
            message = gettext("{made} is there. It has no token yet.").format(made=made.name)
            return dialog_done(request, reverse("tokens:list"), CHANGED, message=message)
    return dialog_form(request, "api/service_create.html", {"form": form})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.MANAGE_MEMBERS)
def service_remove(request: MemberRequest, pk: UUID) -> HttpResponse:
    """Remove a service account with its tokens."""
    account = _service_account(request, pk)
    if request.method == "POST":
        tokens.remove_service_account(account, by=request.user)
        return dialog_done(
            request,
            reverse("tokens:list"),
            CHANGED,
            message=gettext("{account} is removed.").format(account=account.name),
        )
    return dialog_form(request, "api/service_remove.html", {"service_account": account})


def _service_account(request: MemberRequest, pk: UUID) -> ServiceAccount:
    mine = ServiceAccount.objects.visible_to(request.membership).select_related("organisation")
    account: ServiceAccount = get_object_or_404(mine, pk=pk)
    return account
