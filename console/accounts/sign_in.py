"""How people sign in: allauth's flows behind our addresses, with our limits, our keys and our audit trail."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import ChangePasswordForm, LoginForm
from allauth.account.signals import password_changed, user_logged_in
from allauth.core import context
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
    authenticator_used,
)
from allauth.mfa.utils import is_mfa_enabled
from allauth.socialaccount.models import SocialAccount, SocialLogin
from allauth.socialaccount.signals import social_account_added, social_account_removed
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.signals import user_logged_out, user_login_failed
from django.core.mail import send_mail
from django.db import transaction
from django.dispatch import receiver
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop, override

from console.accounts import activity
from console.accounts.encryption import cipher
from console.accounts.models import User
from console.accounts.passwords import TOLD_BEFORE
from console.web import language
from console.web.logs import origin
from console.web.middleware import client_address

log = logging.getLogger(__name__)

CONFIRMED_AT = "confirmed_at"  # in the session: when the person at the keyboard last showed that it is they
# On a request that comes back from the company's provider: when the person showed it there, as the provider says.
AUTHENTICATED_AT = "company_authenticated_at"
ASKED_THERE = "asked_there"  # in the session: that the person was sent there to show it; IN_VAIN if that proved nothing
IN_VAIN = "in vain"


def is_confirmed(request: HttpRequest, within: float) -> bool:
    """Return whether, in the last so many seconds, the person at the keyboard has shown that it is they."""
    return time.time() - float(request.session.get(CONFIRMED_AT, 0)) <= within


class Accounts(DefaultAccountAdapter):  # type: ignore[misc]
    """Nobody signs up by themselves; guessing is slow, and locks nobody out who sits elsewhere."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return that people come by invitation, or by the operator's hand."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address that the proxies tell which the operator trusts; "::" for what is none."""
        return client_address(request) or "::"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count a try, and refuse it when there were too many.

        Those of one address at one account have a limit of their own, so whoever guesses there shuts out nobody else.
        All addresses together have one too, for guesses from many at once; an address at which this very person is
        signed in is above it.
        """
        account = str(credentials.get("username", "")).casefold()
        limits = [("login_failed", f"{account} {ratelimit.get_ip(request)}")]
        here = UserSession.objects.filter(user__username__iexact=account, ip=self.get_client_ip(request))
        if not any(session.exists() for session in here):  # a row may outlive its session
            limits.append(("login_failed_anywhere", account))
        used = ratelimit.RateLimitUsage(usage=[])
        for action, key in limits:
            found = ratelimit.consume(request, app="allauth.account", action=action, key=key)
            if found is None:
                raise self.validation_error("too_many_login_attempts")
            used.usage += found.usage
        self._login_failed_rl_usage = used

    def is_reauthentication_required(self, *, app: str) -> bool:
        """Return whether it is too long ago that the person at the keyboard showed that it is they."""
        request = context.request
        return not is_confirmed(request, settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """Return the first page, which leads on."""
        return "/"


class Factors(DefaultMFAAdapter):  # type: ignore[misc]
    """Second factors: their secrets are encrypted at rest as all others are."""

    def get_totp_issuer(self) -> str:
        """Return what an authenticator app calls the console."""
        return "Storekeeper"

    def encrypt(self, text: str) -> str:
        """Return the secret as the database keeps it."""
        return cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Return the secret."""
        return cipher().decrypt(encrypted_text.encode()).decode()

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002 - allauth's name
        """Return the name that a new passkey gets unless it is given one."""
        known = Authenticator.objects.filter(user=user, type=type).count()
        return f"Passkey {known + 1}" if known else "Passkey"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the name of the console, as a passkey's dialog shows it."""
        return {**super().get_public_key_credential_rp_entity(), "name": "Storekeeper"}


class Sessions(DefaultUserSessionsAdapter):  # type: ignore[misc]
    """Where somebody is signed in."""

    def end_sessions(self, sessions: Iterable[UserSession]) -> None:
        """End them, and write that down."""
        ended = list(sessions)
        super().end_sessions(ended)
        for one in ended:
            activity.record_of_person(one.user, "Ended a session", by=one.user, after={"of": one.ip})


class NewPasswordForm(ChangePasswordForm):  # type: ignore[misc]
    """The password, and another one, whose rules are told before."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["password1"].help_text = TOLD_BEFORE
        for name, label in (
            ("oldpassword", gettext("Present password")),
            ("password1", gettext("New password")),
            ("password2", gettext("Once more")),
        ):
            self.fields[name].label = label
            self.fields[name].widget.attrs.pop("placeholder", None)


class SignInForm(LoginForm):  # type: ignore[misc]
    """User name and password."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["password"].label = gettext("Password")
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)


def has_second_factor(user: Any) -> bool:
    """Return whether a password alone does not let this person in."""
    return bool(is_mfa_enabled(user, [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]))


@receiver(authenticator_used)
def _used_factor(
    request: HttpRequest, user: User, authenticator: Authenticator, *, reauthenticated: bool = False, **_: Any
) -> None:
    if reauthenticated:
        request.session[CONFIRMED_AT] = time.time()
    if authenticator.type == Authenticator.Type.RECOVERY_CODES:
        activity.record_of_person(user, "Used a recovery code", by=user)
        tell(user, gettext_noop("a recovery code was used"))


# What is written down, and what people are told


def tell(user: User, what: str, *, address: str = "", **values: str) -> None:
    """Tell somebody by e-mail what was changed about how they sign in, where the console can send e-mail.

    `what` is in English, marked by gettext_noop, and has the values' names in braces: they read it in their language.

    To the address given, or theirs. A mail server that is down keeps nobody from changing anything.
    """
    to = address or user.email
    if not (settings.EMAIL_HOST and to):
        return
    with override(language.of_person(user)):
        said = gettext(what).format(**values)
        about = {"user": user, "what": said, "at": timezone.now(), "address": origin.get().address}
        text = render_to_string("accounts/sign_in_changed.txt", about)

    def send() -> None:
        try:
            send_mail(f"Storekeeper: {said}", text, None, [to])
        except OSError:  # as all of smtplib's are
            log.warning("A notice of a change could not be sent: the mail server does not answer.")

    transaction.on_commit(send)


@receiver(user_logged_in)
def _signed_in(user: User, **_: Any) -> None:
    activity.record_of_person(user, "Signed in", by=user)


@receiver(user_login_failed)
def _failed(credentials: dict[str, Any], **_: Any) -> None:
    tried = str(credentials.get("username", ""))[:150].replace("\x00", "")
    user = User.objects.filter(username__iexact=tried).first()
    activity.record_of_person(user, "Failed to sign in", by=None, subject=tried, outcome=activity.Outcome.REFUSED)


@receiver(authentication_failed)
def _failed_factor(user: User, **_: Any) -> None:
    # Whoever gets so far knows the password.
    activity.record_of_person(user, "Failed the second factor", by=None, outcome=activity.Outcome.REFUSED)


@receiver(user_logged_out)
def _signed_out(user: User | None, **_: Any) -> None:
    if user:
        activity.record_of_person(user, "Signed out", by=user)


@receiver(password_changed)
def _changed_password(user: User, **_: Any) -> None:
    activity.record_of_person(user, "Changed the password", by=user)
    tell(user, gettext_noop("your password was changed"))


def _note_factor(action: str, told: str) -> Any:
    def note(user: User, authenticator: Authenticator, **_: Any) -> None:
        with language.in_english():
            kind = str(authenticator.get_type_display())
        activity.record_of_person(user, action, by=user, after={"second factor": kind})
        tell(user, told, kind=kind)

    return note


_FACTOR_NOTES = (
    (authenticator_added, _note_factor("Added a second factor", gettext_noop("a second factor was added: {kind}"))),
    (
        authenticator_removed,
        _note_factor("Removed a second factor", gettext_noop("a second factor was removed: {kind}")),
    ),
    (authenticator_reset, _note_factor("Made new recovery codes", gettext_noop("new recovery codes were made"))),
)
for signal, note in _FACTOR_NOTES:
    signal.connect(note)


@receiver(social_account_added)
def _connected(sociallogin: SocialLogin, **_: Any) -> None:
    activity.record_of_person(sociallogin.user, "Connected the company's sign-in", by=sociallogin.user)
    tell(sociallogin.user, gettext_noop("your company's sign-in was connected"))


@receiver(social_account_removed)
def _disconnected(socialaccount: SocialAccount, **_: Any) -> None:
    activity.record_of_person(socialaccount.user, "Disconnected the company's sign-in", by=socialaccount.user)
    tell(socialaccount.user, gettext_noop("your company's sign-in was disconnected"))
