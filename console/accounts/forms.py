"""Forms about linked accounts; the field names are a contract."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django import forms

from console.accounts.models import CloudAccount, Organisation
from stores.providers import PROVIDERS

ROLE_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov|aws-eusc):iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
ACCESS_KEY_ID = re.compile(r"[A-Z0-9]{16,128}", re.ASCII)


class NameField(forms.CharField):
    """A name that people can read: at most 60 characters, none of them a control character."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=60, **options)

    def clean(self, value: Any) -> str:
        """Return the name in Unicode's composed form, so that the same name has the same characters."""
        name = unicodedata.normalize("NFC", str(super().clean(value)))
        if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
            raise forms.ValidationError("The name holds control characters. Use letters, digits, spaces and signs.")
        return name


class TypedNameForm(forms.Form):
    """Asks for the name of what is to go, exactly as it is written."""

    name = forms.CharField(required=False, strip=False, max_length=200)

    def __init__(self, data: Any = None, *, expected: str) -> None:
        super().__init__(data)
        self.expected = expected
        self.fields["name"].label = f"If you are sure, type {expected} to confirm."

    def clean_name(self) -> str:
        """Return the name; anything but the exact one is refused."""
        if self.cleaned_data["name"] != self.expected:
            raise forms.ValidationError(f"This is not the name. Type {self.expected} exactly, capitals included.")
        return str(self.cleaned_data["name"])


class LinkForm(forms.Form):
    """An AWS account to link, by a role that the console assumes or by an access key."""

    provider = forms.ChoiceField(
        choices=[(p.key, p.label) for p in PROVIDERS.values()],
        error_messages={"invalid_choice": "Choose a provider that is available."},
    )
    name = forms.CharField(max_length=60)
    method = forms.ChoiceField(
        choices=[("role", "IAM role"), ("access_key", "Access key")], widget=forms.RadioSelect, initial="role"
    )
    role_arn = forms.CharField(label="AWS IAM Role", required=False, max_length=600)
    access_key_id = forms.CharField(label="Access Key ID", required=False, max_length=128)
    secret_access_key = forms.CharField(
        label="Secret Access Key",
        required=False,
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),  # never refilled
    )

    def __init__(self, data: Any = None, *, organisation: Organisation, **options: Any) -> None:
        super().__init__(data, **options)
        self.organisation = organisation

    def clean_name(self) -> str:
        """Return the name, if no other account of the organisation has it."""
        name = str(self.cleaned_data["name"])
        if CloudAccount.objects.filter(organisation=self.organisation, name__iexact=name).exists():
            raise forms.ValidationError("A linked account of this name exists. Choose another name.")
        return name

    def clean(self) -> dict[str, Any]:
        """Check the fields of the chosen method, and those only."""
        data = super().clean() or {}
        if data.get("method") == "role":
            if not ROLE_ARN.fullmatch(data.get("role_arn", "")):
                self.add_error("role_arn", "Enter the role's ARN, such as arn:aws:iam::012345678910:role/storekeeper.")
        elif data.get("method") == "access_key":
            if not ACCESS_KEY_ID.fullmatch(data.get("access_key_id", "")):
                self.add_error("access_key_id", "Enter the access key's ID: 16 or more capitals and digits.")
            if not data.get("secret_access_key"):
                self.add_error("secret_access_key", "Enter the secret that AWS showed with the access key.")
        return data
