"""Signing in by the company's own identity provider (OpenID Connect), for who is invited or has connected it."""

from __future__ import annotations

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.contrib import messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils import timezone

from console.accounts import members
from console.accounts.models import Invitation, User


class Company(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Makes no user but one who is invited at an address that the provider has verified.

    Nobody is taken for a user who is here already because the address is the same: addresses here are not verified.
    Who is here connects the provider under Your account.
    """

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Return whether somebody new may come in."""
        invitations = _invitations(sociallogin)
        if not invitations:
            return False
        if User.objects.filter(email__iexact=invitations[0].email).exists():
            text = "Somebody here has your address already. If it is you, sign in, then connect it under Your account."
            messages.warning(request, text)
            raise ImmediateHttpResponse(redirect("login"))
        return True

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Return that nothing more is asked."""
        return True

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """Make the user, and a member wherever they are invited."""
        invitations = list(_invitations(sociallogin))
        with transaction.atomic():
            sociallogin.user.email = invitations[0].email
            user: User = super().save_user(request, sociallogin, form)
            for invitation in invitations:
                members.join(invitation, user)
        return user


def _invitations(sociallogin: Any) -> QuerySet[Invitation]:
    asked = Q(pk__in=[])
    for address in sociallogin.email_addresses:
        if address.verified:
            asked |= Q(email__iexact=address.email)
    return Invitation.objects.filter(asked, expires_at__gt=timezone.now()).order_by("created_at")
