"""Forms about linked accounts; the field names are a contract."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django import forms
from django.conf import settings

from console.accounts.models import CloudAccount, CloudAccountQuerySet, Membership, Organisation
from console.regions import Region, find, find_place, places
from stores.providers import PROVIDERS
from stores.providers.base import Account, Document

ROLE_ARN = re.compile(r"arn:(aws|aws-cn|aws-us-gov|aws-eusc):iam::\d{12}:role/[\w+=,.@/-]{1,512}", re.ASCII)
HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
SIGNING_REGION = re.compile(r"(?!\d+$)(?!-)[a-zA-Z0-9-]{1,40}(?<!-)", re.ASCII)  # what botocore takes for a region
NUMBER_AT_MOST = 64  # of the account's number, which for a server is its name and port
TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # Unicode's bidirectional controls
ACCESS_KEY_ID = re.compile(r"[A-Z0-9]{16,128}", re.ASCII)


class NameField(forms.CharField):
    """A name that people can read: at most 60 characters, none of which changes how others are shown."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=60, **options)

    def to_python(self, value: Any) -> str:
        """Return the name in Unicode's composed form, so that the same name has the same characters.

        Before it is measured: a few characters become three.
        """
        return unicodedata.normalize("NFC", str(super().to_python(value)))

    def clean(self, value: Any) -> str:
        """Return the name, without line ends, control characters, and those that turn the direction of writing."""
        name = str(super().clean(value))
        if any(
            unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(character) in TURNS
            for character in name
        ):
            raise forms.ValidationError("The name holds control characters. Use letters, digits, spaces and signs.")
        return name


class AccountForm(forms.Form):
    """Something that is made in a linked account, which its field `cloud_account` chooses."""

    def __init__(self, data: Any = None, *, membership: Membership, **options: Any) -> None:
        super().__init__(data, **options)
        self.membership = membership
        self.accounts.queryset = self.offered(CloudAccount.objects.visible_to(membership))
        self.accounts.label_from_instance = lambda account: f"{account.name} ({account.number})"  # type: ignore

    def offered(self, accounts: CloudAccountQuerySet) -> CloudAccountQuerySet:
        """Return those of the organisation's accounts that can be chosen, in their order."""
        return accounts.filter(provider_key__in=PROVIDERS).order_by("name")

    @property
    def accounts(self) -> forms.ModelChoiceField[CloudAccount]:
        """Return the field that chooses the account."""
        return cast("forms.ModelChoiceField[CloudAccount]", self.fields["cloud_account"])

    @property
    def account(self) -> CloudAccount | None:
        """Return the account that is chosen so far, valid or not as the rest may be."""
        try:
            account: CloudAccount | None = self.accounts.clean(self["cloud_account"].value())
        except forms.ValidationError:
            return None
        return account


class SecretField(forms.CharField):
    """A secret: typed, and never given back to the page."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=256, widget=forms.PasswordInput(attrs={"autocomplete": "off"}), **options)


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
    """An account to link: what every provider asks for. The rest is in a form for each provider."""

    pk: UUID | None = None  # of an account that is linked already

    provider = forms.ChoiceField(
        choices=[(p.key, p.label) for p in PROVIDERS.values()],
        error_messages={"invalid_choice": "Choose a provider that is available."},
    )
    name = NameField()

    def __init__(self, data: Any = None, *, organisation: Organisation, external_id: str = "", **options: Any) -> None:
        super().__init__(data, **options)
        self.organisation = organisation
        self.external_id = external_id  # ours, for the clouds that know such a thing

    def clean_name(self) -> str:
        """Return the name, if no other account of the organisation has it."""
        name = str(self.cleaned_data["name"])
        if CloudAccount.objects.filter(organisation=self.organisation).exclude(pk=self.pk).named(name).exists():
            raise forms.ValidationError("A linked account of this name exists. Choose another name.")
        return name

    def account_settings(self) -> dict[str, str]:
        """Return what the account's provider needs to know, nothing of it secret."""
        return {}

    def account_secrets(self) -> dict[str, str]:
        """Return what is kept encrypted."""
        return {}

    def documents(self) -> list[Document]:
        """Return the files that give the console its access, as far as they can be written before it has any."""
        provider = PROVIDERS.get(str(self["provider"].value()))
        return list(provider.documents(self.unlinked(), settings.AWS_PRINCIPAL)) if provider else []

    def unlinked(self) -> Account:
        """Return the account as it is known while nobody has asked for it."""
        return Account(UUID(int=0), "", "", {"external_id": self.external_id}, {})


class AWSLinkForm(LinkForm):
    """An AWS account to link, by a role that the console assumes or by an access key."""

    method = forms.ChoiceField(
        choices=[("role", "IAM role"), ("access_key", "Access key")], widget=forms.RadioSelect, initial="role"
    )
    role_arn = forms.CharField(label="AWS IAM Role", required=False, max_length=600)
    access_key_id = forms.CharField(label="Access Key ID", required=False, max_length=128)
    secret_access_key = SecretField(label="Secret Access Key", required=False)

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

    def account_settings(self) -> dict[str, str]:
        """Return the role with our external ID, or the access key's ID."""
        if self.cleaned_data["method"] == "role":
            return {"role_arn": self.cleaned_data["role_arn"], "external_id": self.external_id}
        return {"access_key_id": self.cleaned_data["access_key_id"]}

    def account_secrets(self) -> dict[str, str]:
        """Return the access key's secret; a role has none."""
        by_role = self.cleaned_data["method"] == "role"
        return {} if by_role else {"secret_access_key": self.cleaned_data["secret_access_key"]}


class S3LinkForm(LinkForm):
    """An S3-compatible server to link, by its address and an access key."""

    endpoint = forms.CharField(
        label="Endpoint",
        max_length=300,
        widget=forms.TextInput(
            attrs={"placeholder": "https://s3.example.com", "inputmode": "url", "autocomplete": "off"}
        ),
        error_messages={"required": "Enter the server's address, such as https://s3.example.com."},
    )
    region = forms.CharField(
        label="Region",
        max_length=40,
        error_messages={"required": "Enter the region that the server signs for, such as us-east-1."},
    )
    location = forms.CharField(
        label="Location",
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"list": "places", "autocomplete": "off"}),
    )
    addressing_style = forms.ChoiceField(
        label="Addressing Style",
        choices=[("path", "Path: https://server/bucket"), ("host", "Host: https://bucket.server")],
        required=False,
        initial="path",
    )
    ca_certificate = forms.CharField(
        label="CA Certificate",
        max_length=100_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false", "autocomplete": "off"}),
    )
    # Not "verify": a field that is absent must mean that certificates are verified.
    skip_tls_verify = forms.BooleanField(
        label="Do not verify the server's certificate",
        required=False,
        widget=forms.CheckboxInput(attrs={"role": "switch"}),
    )
    access_key_id = forms.CharField(
        label="Access Key ID", max_length=128, error_messages={"required": "Enter the access key's ID."}
    )
    secret_access_key = SecretField(
        label="Secret Access Key", error_messages={"required": "Enter the secret of the access key."}
    )

    def places(self) -> tuple[Region, ...]:
        """Return the places that a server can be near to."""
        return places()

    def clean_endpoint(self) -> str:
        """Return the endpoint as https://host, with :port if that is not 443."""
        given = str(self.cleaned_data["endpoint"]).strip()
        try:
            url = urlsplit(given if "//" in given else f"https://{given}")
            port = url.port
        except ValueError as error:
            raise forms.ValidationError("This is no address. Enter one such as https://s3.example.com.") from error
        if url.scheme != "https":
            raise forms.ValidationError("Enter an address with https://: pgBackRest speaks S3 over TLS only.")
        if url.username is not None or url.query or url.fragment or url.path not in {"", "/"}:
            raise forms.ValidationError("Enter only the server's name and port, such as https://s3.example.com:9000.")
        host = url.hostname or ""
        if not HOST.fullmatch(host):
            raise forms.ValidationError("This is no name of a server. Enter one such as https://s3.example.com.")
        number = host if port in {None, 443} else f"{host}:{port}"
        if len(number) > NUMBER_AT_MOST:
            raise forms.ValidationError(f"The server's name and port may have {NUMBER_AT_MOST} characters at most.")
        return f"https://{number}"

    def clean_region(self) -> str:
        """Return the region as it is given: other servers than Amazon's have capitals in it."""
        region = str(self.cleaned_data["region"]).strip()
        if not SIGNING_REGION.fullmatch(region):
            raise forms.ValidationError("A region has letters, digits and hyphens, such as us-east-1.")
        return region

    def clean_addressing_style(self) -> str:
        """Return the style; path when none is chosen, which every server understands."""
        return self.cleaned_data["addressing_style"] or "path"

    def clean_ca_certificate(self) -> str:
        """Return the certificates and nothing else of what was pasted."""
        text = str(self.cleaned_data["ca_certificate"]).strip()
        if "PRIVATE KEY" in text:
            raise forms.ValidationError(
                "This holds a private key, which only the server may have. Paste only the certificate."
            )
        if not text:
            return ""
        try:
            found = x509.load_pem_x509_certificates(text.encode())
        except ValueError as error:
            raise forms.ValidationError(
                "This is no certificate. Paste one as PEM: it begins with -----BEGIN CERTIFICATE-----."
            ) from error
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in found)

    def clean(self) -> dict[str, Any]:
        """Find out where the server stands; the regions of a cloud say it themselves."""
        data = super().clean() or {}
        if "location" in data and "region" in data:
            given = data["location"].strip()
            cloud = find("aws", data["region"])
            place = find_place(given or (cloud.city if cloud else ""))
            if place:
                data["location"] = place.code
            elif given:
                self.add_error("location", f"There is no place {given} here. Choose the one nearest to the server.")
            else:
                self.add_error("location", f"Say where the server stands: {data['region']} does not tell.")
        return data

    def account_settings(self) -> dict[str, str]:
        """Return how the server is reached."""
        names = ("endpoint", "region", "location", "addressing_style", "ca_certificate", "access_key_id")
        verify = {"verify_tls": "no"} if self.cleaned_data["skip_tls_verify"] else {}
        return {**{name: self.cleaned_data[name] for name in names}, **verify}

    def account_secrets(self) -> dict[str, str]:
        """Return the access key's secret."""
        return {"secret_access_key": self.cleaned_data["secret_access_key"]}

    def unlinked(self) -> Account:
        """Return a server that has users: only for such a one there is a policy to write."""
        return Account(UUID(int=0), "", "", {"has": "iam_users"}, {})


class ChangeForm(LinkForm):
    """A form of LINK_FORMS for an account that is linked already: what is left as it is, the secret too, stays."""

    def __init__(self, data: Any = None, *, account: CloudAccount) -> None:
        known = {"skip_tls_verify": account.settings.get("verify_tls") == "no", **account.settings}
        fixed = {"provider": account.provider_key, "method": account.method}
        super().__init__(
            data,
            organisation=account.organisation,
            external_id=account.settings.get("external_id", ""),
            initial={"name": account.name, **known, **fixed},
        )
        self.account, self.pk = account, account.pk
        for name in fixed.keys() & self.fields.keys():
            self.fields[name].disabled = True
        self.fields["secret_access_key"].required = False

    def clean(self) -> dict[str, Any]:
        """Keep the secret when none is given, as long as it goes with the same key and to the same place."""
        given, known = self.cleaned_data, self.account.settings
        both = given.keys() & {"access_key_id", "endpoint"}
        moved = [name for name in both if given[name] != known.get(name, "")]
        if not (moved or given.get("secret_access_key")):
            given["secret_access_key"] = self.account.secrets.get("secret_access_key", "")
        data = super().clean() or {}
        if self.account.method == "access_key" and not data.get("secret_access_key"):
            self.errors.pop("secret_access_key", None)
            why = "Another server" if "endpoint" in moved else "Another access key"
            self.add_error("secret_access_key", f"{why} needs the secret again: the one that is kept stays here.")
        return data

    def account_settings(self) -> dict[str, str]:
        """Return what the form says, and what was read from the cloud itself."""
        found = {name: value for name, value in self.account.settings.items() if name in {"has", "partition"}}
        return found | super().account_settings()


class AWSChangeForm(ChangeForm, AWSLinkForm):
    """Another name, role or access key of a linked AWS account."""


class S3ChangeForm(ChangeForm, S3LinkForm):
    """Another name, address or access key of a linked server."""


LINK_FORMS: dict[str, type[LinkForm]] = {"aws": AWSLinkForm, "s3": S3LinkForm}


def link_form(provider: str) -> type[LinkForm]:
    """Return the form of this provider; of one that does not exist, the form that says so."""
    return LINK_FORMS.get(provider, LinkForm)


CHANGE_FORMS: dict[str, type[AWSChangeForm | S3ChangeForm]] = {"aws": AWSChangeForm, "s3": S3ChangeForm}
