"""API Tokens: one's own in the open organisation, made, shown once, revoked; owners see and revoke everybody's."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.api import tokens
from console.api.forms import WORDS, TokenForm
from console.api.models import SCOPES, Token
from console.web.pages import dialog_done, dialog_form, fragment_or_page, paginate, posted

CHANGED = "tokens-changed"


@require_GET
@require_permission(Permission.SEE_ACCOUNTS)
def token_list(request: MemberRequest) -> HttpResponse:
    """Show the member's tokens, newest first; who manages members sees everybody's."""
    mine = Token.objects.shown_to(request.membership).select_related("membership__user")
    context = {"page": paginate(request, mine), "words": {name: WORDS[one] for name, one in SCOPES.items()}}
    return fragment_or_page(request, "api/token_list.html", "tokens", context)


@never_cache
@require_http_methods(["GET", "POST"])
@require_permission(Permission.SEE_ACCOUNTS)
def token_create(request: MemberRequest) -> HttpResponse:
    """Make a token of the member's own, and show it this one time."""
    form = TokenForm(posted(request), membership=request.membership)
    if form.is_bound and form.is_valid():
        given = form.cleaned_data
        wanted = {name: given[name] for name in ("name", "kind", "scopes", "expires_at")}
        try:
            token, text = tokens.issue(request.membership, **wanted, by=request.user)
        except tokens.TooMany as error:
            form.add_error(None, str(error))
        else:
            context = {"token": token, "text": text, "origin": request.build_absolute_uri("/").rstrip("/")}
            response = fragment_or_page(request, "api/token_made.html", "dialog", context)
            response["HX-Trigger"] = CHANGED
            return response
    return dialog_form(request, "api/token_create.html", {"form": form})


@require_http_methods(["GET", "POST"])
@require_permission(Permission.SEE_ACCOUNTS)
def token_revoke(request: MemberRequest, pk: UUID) -> HttpResponse:
    """End a token of one's own; who manages members can end everybody's."""
    shown = Token.objects.shown_to(request.membership).select_related("membership__user", "organisation")
    token = get_object_or_404(shown, pk=pk)
    if request.method == "POST":
        tokens.revoke(token, by=request.user)
        return dialog_done(request, reverse("tokens:list"), CHANGED, message=f"{token.name} is revoked.")
    return dialog_form(request, "api/token_revoke.html", {"token": token})
