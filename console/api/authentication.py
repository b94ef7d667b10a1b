"""Who calls: the bearer of a token, and whether token and member may do what is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from django.http import HttpRequest
from ninja.security import HttpBearer

from console.accounts import activity
from console.accounts.access import MemberRequest
from console.accounts.models import User
from console.accounts.permissions import ENTERPRISE, ROLES, Permission
from console.accounts.sign_in import has_second_factor
from console.api import limits, tokens
from console.api.middleware import too_many
from console.api.models import SCOPES, Token
from console.api.problems import Problem
from console.web.logs import origin

NAMES = {one: name for name, one in SCOPES.items()}  # of permissions, as scopes are called


class CallRequest(MemberRequest):
    """A request whose sender has shown a token that may what is asked."""

    token: Token
    person: User | None  # whose token it is; None of a service account's
    usage: limits.Usage


class Bearer(HttpBearer):
    """Lets in a token whose scopes and whose member's role have the permission; no cookie lets anybody in.

    What the member may is looked up at each call. None for the permission: any good token.
    """

    openapi_description = "An API token (sk_…), or an access token (ska_…) from /v1/oauth/token."

    def __init__(self, permission: Permission | None) -> None:
        super().__init__()
        self.permission = permission

    def __call__(self, request: HttpRequest) -> Any:
        """Return the token; raises Problem."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Problem(401, "Send a token: Authorization: Bearer sk_…", headers={"WWW-Authenticate": "Bearer"})
        return self.authenticate(request, text.strip())

    def authenticate(self, request: HttpRequest, token: str) -> Token:
        """Return the token, with its member put on the request as the pages have it; raises Problem."""
        try:
            found = tokens.find(token)
        except tokens.TokenRefused as refusal:
            told = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Problem(401, str(refusal), headers=told) from refusal
        call = cast(CallRequest, request)
        call.usage = limits.count(found.key)
        if call.usage.is_over:
            raise too_many(call.usage)
        call.token, call.membership, call.person = found, found.member, found.person
        here = {"organisation_id": str(found.organisation_id), "token": _named(found)}
        here |= {"user_id": str(found.person.pk)} if found.person else {"actor": f"{found.owner} (service account)"}
        origin.set(replace(origin.get(), **here))  # the middleware puts it back
        self._check(call)
        return found

    def _check(self, request: CallRequest) -> None:
        membership, wanted = request.membership, self.permission
        organisation = membership.organisation
        person = request.person
        if organisation.second_factor_required and person and not has_second_factor(person):
            raise Problem(403, f"{organisation} asks its members for a second factor. Set one up in the console.")
        if wanted is None:
            return
        if wanted in ENTERPRISE and not organisation.is_enterprise:
            raise Problem(403, "The Developer edition does not have this. Backup stores are part of Enterprise.")
        told = {"X-Accepted-Permissions": NAMES[wanted]}
        if wanted not in ROLES[membership.role]:
            activity.refused(request.path, organisation=organisation, by=person, why=wanted.value)
            said = f"This needs {NAMES[wanted]}, which your role here ({membership.role}) does not have."
            raise Problem(403, said, headers=told)
        if wanted not in request.token.may:
            raise Problem(403, f"This needs {NAMES[wanted]}, which the token does not name.", headers=told)


def _named(token: Token) -> str:
    return f"{token.name} ({token.shown})"
