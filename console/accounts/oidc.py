"""Signing in by the company's own identity provider (OpenID Connect), for who is invited or has connected it."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import requests
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.app_settings import UID_MAX_LENGTH
from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext

from console.accounts import members
from console.accounts.addresses import normalised
from console.accounts.models import Invitation, User
from console.accounts.sign_in import ASKED_THERE, AUTHENTICATED_AT
from console.clouds import foreign, streams
from console.clouds.sessions import limited
from console.web.retold import retold

log = logging.getLogger(__name__)

SECONDS = 5.0  # for each answer of the provider: somebody waits, and so does a thread of the console
SIZE = 1024 * 1024  # bytes; what it says about itself, its keys and a person are some thousand


class _Session(requests.Session):
    """Asks the provider, whose answers have an end and are objects of JSON; else sign-in ends with a message."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """Return the answer, read to its end."""
        try:
            with streams.within(SECONDS, SIZE):
                answer = super().request(*args, **{"timeout": SECONDS, **options})
            said = answer.json()
        except (requests.RequestException, ValueError, RecursionError) as error:
            raise _no_sign_in(streams.end_of(error) or type(error).__name__) from error
        if not isinstance(said, dict) or ("sub" in said and not _is_id(said["sub"])):
            raise _no_sign_in("its answer is none of OpenID Connect")
        return answer


def _is_id(sub: object) -> bool:
    """Return whether this can be a person's ID (OpenID Connect Core 1.0, section 2), here and in the database."""
    return isinstance(sub, str) and sub != "" and sub == foreign.text(sub, UID_MAX_LENGTH)


def _no_sign_in(why: str) -> ImmediateHttpResponse:
    log.warning("The provider of sign-in cannot be used: %s", why)
    messages.error(
        context.request,
        gettext("{oidc_name} does not answer as it should. Try again in a minute.").format(
            oidc_name=settings.OIDC_NAME
        ),
    )
    return ImmediateHttpResponse(redirect("login"))


class Company(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Makes no user but one who is invited at an address that the provider has verified.

    Nobody is taken for a user who is here already because the address is the same: addresses here are not verified.
    Who is here connects the provider under Your account.
    """

    def get_requests_session(self) -> requests.Session:
        """Return what the provider is asked with."""
        return limited(_Session())

    def populate_user(self, request: HttpRequest, sociallogin: Any, data: dict[str, Any]) -> User:
        """Fill in a user; of what the provider has said, keep only what is used, as text that every database takes."""
        said = sociallogin.account.extra_data
        kept = {part: _kept(said[part]) for part in ("userinfo", "id_token") if isinstance(said.get(part), dict)}
        sociallogin.account.extra_data = kept
        # As the provider wrote them: allauth has put them into small letters, which makes a k of the sign of kelvin.
        if any(not str(claims.get("email", "")).isascii() for claims in kept.values()):
            sociallogin.email_addresses = []
        user: User = super().populate_user(request, sociallogin, _kept(data))
        return user

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Note when the person last showed there that it is they: only so far does this sign-in prove anything.

        A provider in whose session somebody is sends them back unasked; which form they came by says nothing of that.
        """
        setattr(request, AUTHENTICATED_AT, _authenticated_at(sociallogin))
        # The session does not outlive signing in again.
        setattr(request, ASKED_THERE, request.session.get(ASKED_THERE, ""))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Return whether somebody new may come in."""
        invitations = _invitations(sociallogin)
        if not invitations:
            return False
        if User.objects.filter(email__lower=invitations[0].email.lower()).exists():
            text = "Somebody here has your address already. If it is you, sign in, then connect it under Your account."
            messages.warning(request, text)
            raise ImmediateHttpResponse(redirect("login"))
        return True

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Return that nothing more is asked."""
        return True

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """Make the user, and a member wherever they are invited."""
        invitations = _invitations(sociallogin)
        try:
            with transaction.atomic():
                sociallogin.user.email = invitations[0].email
                user: User = super().save_user(request, sociallogin, form)
                for invitation in invitations:
                    members.join(invitation, user)
        except members.MembershipRefused as refused:  # an invitation was used or revoked at this moment
            messages.warning(request, retold(refused))
            raise ImmediateHttpResponse(redirect("login")) from refused
        return user


CLAIMS = ("sub", "name", "email", "preferred_username", "first_name", "last_name", "username")


def _kept(claims: dict[str, Any]) -> dict[str, Any]:
    """Return the few claims that are used: short texts without control characters, and finite numbers."""
    texts = {name: claims[name] for name in CLAIMS if isinstance(claims.get(name), str)}
    kept: dict[str, Any] = {name: foreign.text(text, 254) for name, text in texts.items()}
    told = claims.get("auth_time")
    if isinstance(told, int | float) and not isinstance(told, bool) and 0 < told < 1e12:
        kept["auth_time"] = told
    return kept


def _authenticated_at(sociallogin: Any) -> float:
    """Return the ID token's `auth_time` (OpenID Connect Core 1.0, 2), in seconds; 0 where the provider tells none."""
    token = sociallogin.account.extra_data.get("id_token")
    if not isinstance(token, dict) or str(token.get("sub")) != sociallogin.account.uid:
        return 0.0
    told = token.get("auth_time")
    return float(told) if isinstance(told, int | float) else 0.0


def _invitations(sociallogin: Any) -> list[Invitation]:
    asked = set()
    for address in sociallogin.email_addresses:
        with suppress(ValueError):  # at such an address nobody is invited
            if address.verified:
                asked.add(normalised(address.email).lower())
    found = Invitation.objects.filter(email__lower__in=asked, expires_at__gt=timezone.now()).order_by("created_at")
    return [one for one in found if one.email.lower() in asked and one.email.isascii()]
