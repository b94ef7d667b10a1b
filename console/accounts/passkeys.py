"""Passkeys: allauth's forms, which whoever likes may send anything."""

from __future__ import annotations

import logging

from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.db import Error as DatabaseError
from django.utils.translation import gettext

from console.web.forms import JSONObjectField

log = logging.getLogger(__name__)


class _Form(forms.Form):
    """Refuses a credential that cannot be read, as one that is wrong."""

    credential = JSONObjectField(widget=forms.HiddenInput)

    def full_clean(self) -> None:
        """Check the form.

        fido2 reads binary structures in the sender's hands (CBOR, authenticator data), and fails at a damaged one in
        as many ways as Python has: struct.error, IndexError, RecursionError.
        """
        try:
            super().full_clean()
        except DatabaseError:
            raise
        except Exception as error:
            log.info("A passkey could not be read: %s", type(error).__name__)
            self.add_error("credential", gettext("This passkey could not be read. Try again."))


class AddForm(_Form, AddWebAuthnForm):  # type: ignore[misc]
    """A new passkey."""


class AuthenticateForm(_Form, AuthenticateWebAuthnForm):  # type: ignore[misc]
    """A passkey as the second step of signing in."""


class ReauthenticateForm(_Form, ReauthenticateWebAuthnForm):  # type: ignore[misc]
    """A passkey that shows who is at the keyboard."""


class SignInForm(_Form, LoginWebAuthnForm):  # type: ignore[misc]
    """A passkey that signs in alone."""
