"""The forms of an organisation's members and of those who are invited."""

from __future__ import annotations

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from console.accounts import members
from console.accounts.addresses import normalised
from console.accounts.models import Membership, User
from console.accounts.permissions import ROLE_WORDS


class RoleForm(forms.Form):
    """What somebody may do."""

    role = forms.ChoiceField(
        choices=[(role.value, format_lazy("{}: {}", role.label, ROLE_WORDS[role.value])) for role in Membership.Role],
        error_messages={"required": gettext_lazy("Choose a role.")},
    )


class InviteForm(RoleForm):
    """Whom to invite, and as what."""

    email = forms.EmailField(
        label=gettext_lazy("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off", "autofocus": True}),
        error_messages={"required": gettext_lazy("Enter an e-mail address.")},
    )
    field_order = ("email", "role")

    def clean_email(self) -> str:
        """Return the address as it is kept."""
        try:
            return normalised(self.cleaned_data["email"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error


class SignUpForm(forms.ModelForm):  # type: ignore[type-arg]
    """How somebody who was invited, and is new here, will sign in."""

    password = forms.CharField(
        max_length=200,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        error_messages={"required": gettext_lazy("Choose a password.")},
    )

    class Meta:
        model = User
        fields = ["username"]
        labels = {"username": "User name"}
        widgets = {
            "username": forms.TextInput(
                attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
            )
        }
        error_messages = {"username": {"unique": members.NAME_TAKEN}}

    def clean_password(self) -> str:
        """Return the password, if Django's validators find it good enough."""
        password = str(self.cleaned_data["password"])
        self.instance.username = self.cleaned_data.get("username", "")
        validate_password(password, self.instance)
        return password
