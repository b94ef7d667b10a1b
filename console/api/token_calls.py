"""Tokens and service accounts: listed, made, revoked. A token makes none that may more than it does itself.

Without manage_members it makes none either that is good for longer, so that one that was stolen does not outlive its
end.
"""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Query
from pydantic import Field, StrictInt

from console.accounts.models import Membership
from console.accounts.permissions import Permission
from console.api import tokens
from console.api.authentication import CallRequest
from console.api.bodies import Body, sent
from console.api.calls import answered, creates, reads, removes
from console.api.forms import ServiceAccountForm, TokenForm
from console.api.idempotency import once
from console.api.lists import ListQuery, page
from console.api.member_calls import at_most_its_own
from console.api.models import ServiceAccount, Token, TokenQuerySet
from console.api.problems import Problem, fields
from console.api.reading import of_form
from console.api.shapes import Page, Shape
from console.api.shown import moment

NAME_TAKEN = "A service account of this name exists. Choose another name."


class APIToken(Shape):
    """A key to the API, without what opens anything."""

    id: UUID
    kind: str
    name: str
    shown: Annotated[str, Field(description="How it begins, or its client ID.")]
    scopes: list[str]
    owner: str
    service_account_id: UUID | None
    is_good: bool
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewAPIToken(APIToken):
    """A token that was made, with what is shown of it this one time."""

    secret: Annotated[str, Field(description="The token; of client credentials the client secret.")]
    client_id: Annotated[str, Field(description="Of client credentials.")]


def _token(row: Token) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "name": row.name,
        "shown": row.shown,
        "scopes": row.scopes,
        "owner": str(row.owner),
        "service_account_id": str(row.service_account_id) if row.service_account_id else None,
        "is_good": row.is_good,
        **{name: moment(getattr(row, name)) for name in ("created_at", "expires_at", "last_used_at", "revoked_at")},
    }


def _mine(request: CallRequest) -> TokenQuerySet:
    """Return the tokens of whoever calls; of all, with a token that manages members."""
    rows: TokenQuerySet = Token.objects.visible_to(request.membership).select_related(
        "membership__user", "service_account", "organisation"
    )
    if Permission.MANAGE_MEMBERS in request.token.may:
        return rows
    if request.token.service_account_id:
        return rows.filter(service_account=request.token.service_account_id)
    return rows.filter(membership=request.token.membership_id)


@reads("/tokens", Permission.SEE_ACCOUNTS, Page[APIToken], asked=ListQuery)
def list_tokens(request: CallRequest, asked: Query[ListQuery]) -> HttpResponse:
    """List one's own tokens, newest first; with a token that manages members, all of the organisation."""
    return answered(page(_mine(request), asked, _token))


class TokenToMake(Body):
    """What a token is called, what it may, and how long it is good."""

    model_config = sent(name="nightly report", kind="token", scopes=["see_stores"], days=30)

    name: str
    kind: Annotated[Literal["token", "client"], Field(description="client: client ID and secret.")] = "token"
    scopes: Annotated[list[str], Field(max_length=50, description="At most those of the token that is sent.")]
    days: Annotated[StrictInt | None, Field(description="30, 90 or 365.")] = None
    until: Annotated[str, Field(description="Or a day (UTC), such as 2026-11-30.")] = ""


@creates("/tokens", Permission.SEE_ACCOUNTS, NewAPIToken, status=201)
@once
def create_token(request: CallRequest, asked: TokenToMake) -> HttpResponse:
    """Make a token of whoever calls, and show it this one time."""
    return _make(request, asked, request.token.service_account or request.membership, request.membership)


def _make(
    request: CallRequest, asked: TokenToMake, of: Membership | ServiceAccount, member: Membership
) -> HttpResponse:
    form = TokenForm({**asked.dict(), "days": str(asked.days or "")}, membership=member)
    if not form.is_valid():
        raise of_form(form)
    wanted = {name: form.cleaned_data[name] for name in ("name", "kind", "scopes", "expires_at")}
    if more := sorted({*wanted["scopes"]} - {*request.token.scopes}):
        raise Problem(403, f"A token makes none that may more than it does. It lacks {', '.join(more)}.")
    if Permission.MANAGE_MEMBERS not in request.token.may and wanted["expires_at"] > request.token.expires_at:
        ends = f"{request.token.expires_at:%Y-%m-%d %H:%M} UTC"
        raise fields([("/until", f"Without manage_members, at most until the token ends that makes it: {ends}.")])
    try:
        token, text = tokens.issue(of, **wanted, by=request.person)
    except tokens.TooMany as error:
        raise Problem(409, str(error)) from error
    once_shown = {"secret": text, "client_id": token.client_id if token.kind == Token.Kind.CLIENT else ""}
    return answered({**_token(token), **once_shown}, status=201, location="/api/v1/tokens")


@removes("/tokens/{uuid:pk}", Permission.SEE_ACCOUNTS)
def revoke_token(request: CallRequest, pk: UUID) -> HttpResponse:
    """End a token, and all access tokens that were got with it, now; the one that is sent, too."""
    tokens.revoke(get_object_or_404(_mine(request), pk=pk), by=request.person)
    return answered(None, status=204)


# Service accounts


class ServiceAccountShown(Shape):
    """Somebody who is no person, with a role and tokens of its own."""

    id: UUID
    name: str
    role: str
    by: str
    created_at: datetime


def _service_account(row: ServiceAccount) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.name,
        "role": row.role,
        "by": row.by.username if row.by else "",
        "created_at": moment(row.created_at),
    }


def _account(request: CallRequest, pk: UUID) -> ServiceAccount:
    mine = ServiceAccount.objects.visible_to(request.membership).select_related("organisation", "by")
    account: ServiceAccount = get_object_or_404(mine, pk=pk)
    return account


@reads("/service-accounts", Permission.MANAGE_MEMBERS, Page[ServiceAccountShown], asked=ListQuery)
def list_service_accounts(request: CallRequest, asked: Query[ListQuery]) -> HttpResponse:
    """List the service accounts, newest first."""
    rows = ServiceAccount.objects.visible_to(request.membership).select_related("by")
    return answered(page(rows, asked, _service_account))


class NewServiceAccount(Body):
    """What it is called, and what it may."""

    model_config = sent(name="terraform", role="admin")

    name: str
    role: Annotated[str, Field(description="owner, admin, auditor or viewer.")]


@creates("/service-accounts", Permission.MANAGE_MEMBERS, ServiceAccountShown, status=201)
@once
def create_service_account(request: CallRequest, asked: NewServiceAccount) -> HttpResponse:
    """Make a service account, which has no token yet."""
    form = ServiceAccountForm(asked.dict(), membership=request.membership)
    if not form.is_valid():
        raise of_form(form)
    at_most_its_own(request, form.cleaned_data["role"])
    try:
        made = tokens.make_service_account(request.membership.organisation, **form.cleaned_data, by=request.person)
    except tokens.NameTaken as error:
        raise fields([("/name", NAME_TAKEN)]) from error
    except tokens.TooMany as error:
        raise Problem(409, str(error)) from error
    return answered(_service_account(made), status=201, location="/api/v1/service-accounts")


@removes("/service-accounts/{uuid:pk}", Permission.MANAGE_MEMBERS)
def remove_service_account(request: CallRequest, pk: UUID) -> HttpResponse:
    """Remove a service account with its tokens."""
    tokens.remove_service_account(_account(request, pk), by=request.person)
    return answered(None, status=204)


@creates("/service-accounts/{uuid:pk}/tokens", Permission.MANAGE_MEMBERS, NewAPIToken, status=201)
@once
def create_service_account_token(request: CallRequest, pk: UUID, asked: TokenToMake) -> HttpResponse:
    """Make a token of a service account, and show it this one time."""
    account = _account(request, pk)
    return _make(request, asked, account, account.as_member)
