"""Clients, which are client credentials here, and the tenant, which is the organisation."""

# No `from __future__ import annotations` here: ninja reads the annotations themselves.

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query

from console.accounts import activity
from console.accounts.permissions import Permission
from console.api import tokens
from console.api.authentication import NAMES, CallRequest
from console.api.compatible import shapes, shown
from console.api.compatible.calls import View, account, answer, call, gone
from console.api.compatible.lists import Slice, part
from console.api.models import Token
from console.api.problems import Problem
from console.cloud_accounts.actions import external_id
from console.web.forms import NameField
from console.web.validators import readable

# A page asks for the password before it makes a token; a call cannot, so it takes who manages members.
WRITE = Permission.MANAGE_MEMBERS


def _clients(request: CallRequest) -> Any:
    member = request.membership
    rows = Token.objects.shown_to(member)
    if member.pk is None and not member.may["manage_members"]:  # a service account's own
        rows = Token.objects.visible_to(member).filter(service_account=request.token.service_account_id)
    return rows.good().with_member().filter(kind=Token.Kind.CLIENT).order_by("created_at", "pk")


def _call(
    method: str, path: str, permission: Permission, answers: dict[int, Any], asked: Any = None
) -> Callable[[View], View]:
    return call(account, method, path, permission, answers, asked=asked)


@_call("get", "/clients", Permission.SEE_ACCOUNTS, {200: list[shapes.Client]}, Slice)
def list_clients(request: CallRequest, asked: Query[Slice]) -> HttpResponse:
    """List the client credentials that are good: one's own, or everybody's for who manages members."""
    return part(_clients(request), asked, shown.client)


@_call("get", "/clients/{uuid:pk}", Permission.SEE_ACCOUNTS, {200: shapes.Client})
def get_client(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show client credentials, without their secret."""
    return answer(shown.client(get_object_or_404(_clients(request), pk=pk)))


@_call("post", "/clients", WRITE, {200: shapes.MadeClient})
def create_client(request: CallRequest, asked: shapes.NewClient) -> HttpResponse:
    """Make client credentials: they may no more than the token that asks for them, and are good for no longer."""
    mine = request.token
    of = mine.service_account or mine.membership
    assert of is not None, "the database sees to that"
    name, description = _name(asked.name), description_of(asked.description)
    scopes, until = {NAMES[one] for one in mine.may}, mine.expires_at
    try:
        made, secret = tokens.issue(
            of, name=name, kind=Token.Kind.CLIENT, scopes=scopes, expires_at=until, by=request.person
        )
    except tokens.TooMany as error:
        raise Problem(400, str(error)) from error
    Token.objects.filter(pk=made.pk).update(description=description)
    made.description = description
    return answer({**shown.client(made), "auth0_secret": secret})


@_call("patch", "/clients/{uuid:pk}", WRITE, {200: shapes.Client})
def update_client(request: CallRequest, pk: UUID, asked: shapes.ChangedClient) -> HttpResponse:
    """Call client credentials otherwise."""
    found: Token = get_object_or_404(_clients(request), pk=pk)
    given: dict[str, Any] = {}
    if asked.name is not None:
        given["name"] = _name(asked.name)
    if asked.description is not None:
        given["description"] = description_of(asked.description)
    before = {name: getattr(found, name) or "" for name in given}
    Token.objects.filter(pk=found.pk).update(**given, changed_at=timezone.now())
    activity.record(
        "Renamed an API token",
        found,
        organisation=found.organisation,
        by=request.person,
        before=before,
        after=given,
    )
    return answer(shown.client(get_object_or_404(_clients(request), pk=pk)))


@_call("delete", "/clients/{uuid:pk}", WRITE, {204: None})
def delete_client(request: CallRequest, pk: UUID) -> HttpResponse:
    """End client credentials, and all access tokens that were got with them, now."""
    tokens.revoke(get_object_or_404(_clients(request), pk=pk), by=request.person)
    return gone()


def _name(text: str) -> str:
    try:
        return NameField().clean(text)
    except ValidationError as error:
        raise Problem(400, f"name: {' '.join(error.messages)}") from error


def description_of(text: str) -> str:
    """Return what is said of something, if people can read it; raises Problem."""
    try:
        readable(text)
    except ValidationError as error:
        said = "It holds control characters, or some that cannot be seen."
        raise Problem(400, f"description: {said}") from error
    return text


@_call("get", "/tenants", Permission.SEE_ACCOUNTS, {200: list[shapes.Tenant]}, Slice)
def list_tenants(request: CallRequest, asked: Query[Slice]) -> HttpResponse:
    """List the one organisation that the token is of."""
    return answer([_tenant(request)][asked.offset :])


@_call("get", "/tenants/{uuid:pk}", Permission.SEE_ACCOUNTS, {200: shapes.Tenant})
def get_tenant(request: CallRequest, pk: UUID) -> HttpResponse:
    """Show the organisation."""
    if pk != request.membership.organisation_id:
        raise Http404
    return answer(_tenant(request))


def _tenant(request: CallRequest) -> dict[str, Any]:
    membership = request.membership
    organisation = membership.organisation
    told = {
        "id": str(organisation.pk),
        "name": organisation.name,
        "plan": organisation.edition,
        "created_at": shown.time(organisation.created_at),
        "updated_at": shown.time(organisation.created_at),
    }
    if Permission.MANAGE_ACCOUNTS in request.token.may:
        told["external_id"] = external_id(membership)
    return told
