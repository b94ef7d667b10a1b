"""The forms of existing buckets: which one to look at, what to do with it, and a list of many."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy

from console.accounts.models import Membership
from console.cloud_accounts.forms import AccountForm, named_region
from console.cloud_accounts.models import CloudAccount
from console.clouds.regions import Region
from console.web.csv_lines import CSVForm
from console.web.forms import NameField
from console.web.retold import retold
from stores.control_status import ControlStatus, agreed
from stores.existing.actions import Decision, Wish, choices_of, lines_of, target_of
from stores.existing.reading import taken_here
from stores.forms import NAME_TAKEN, free_name, offered_by
from stores.models import BucketLook, Logs, Store

SET, ACCEPT = "set", "accept"


def bucket_name(account: CloudAccount, text: str) -> str:
    """Return the name of a bucket as the account's cloud allows it; raises ValidationError."""
    existing = account.cloud.existing
    if not re.fullmatch(existing.legal, text):
        raise ValidationError(existing.legal_words)
    return text


def region_of(account: CloudAccount, text: str) -> str:
    """Return the code of the region that the text names by code, city or country; raises ValidationError.

    A server that is in no cloud has its own names for regions, which its buckets are compared with as they are.
    """
    return text if account.cloud.storage.one_region else named_region(text, account, account.store_regions)


def other_bucket(account: CloudAccount, text: str, bucket: str) -> str:
    """Return the name of a bucket for the logs of another; raises ValidationError for one of the organisation's stores.

    Whether it is another organisation's, its tag says when the store is brought in: nobody learns that by a name.
    """
    name = bucket_name(account, text)
    if name == bucket:
        raise ValidationError(gettext("A bucket that logs into itself never stops growing. Name another."))
    here = taken_here(name, account)
    if here and here.organisation_id == account.organisation_id:
        raise ValidationError(gettext("A store of this console uses this bucket. Name another."))
    return name


class ExistingForm(AccountForm):
    """A bucket to look at."""

    cloud_account = forms.ModelChoiceField(
        CloudAccount.objects.none(),
        label=gettext_lazy("Cloud Account"),
        empty_label=gettext_lazy("Choose a linked account"),
        error_messages={
            "required": gettext_lazy("Choose the account that the bucket is in."),
            "invalid_choice": gettext_lazy("Choose one of the linked accounts."),
        },
    )
    bucket = forms.CharField(
        max_length=63, label=gettext_lazy("Bucket"), error_messages={"required": gettext_lazy("Name the bucket.")}
    )
    name = NameField(label=gettext_lazy("Name"), error_messages={"required": gettext_lazy("Give the store a name.")})
    region = forms.CharField(max_length=40, required=False, label=gettext_lazy("Region"))

    def clean_name(self) -> str:
        """Return the name, if no store of the organisation has it."""
        return free_name(str(self.cleaned_data["name"]), self.membership.organisation)

    def clean(self) -> dict[str, Any]:
        """Check that the cloud has such names."""
        data = super().clean() or {}
        account, bucket = data.get("cloud_account"), data.get("bucket")
        if account and bucket:
            try:
                bucket_name(account, bucket)
            except ValidationError as error:
                self.add_error("bucket", error)
        if account and data.get("region"):
            try:
                data["region"] = region_of(account, data["region"])
            except ValidationError as error:
                self.add_error("region", error)
        return data

    @property
    def suggestions(self) -> list[Region]:
        """Return the regions of the organisation's accounts, by code and place, to choose from while typing."""
        return offered_by(self.offered(CloudAccount.objects.visible_to(self.membership)), self.membership.organisation)

    def wish(self) -> Wish:
        """Return what was asked for."""
        data = self.cleaned_data
        return Wish(data["cloud_account"], data["bucket"], data["name"], data["region"])


class DecisionForm(forms.Form):
    """What is to be done with a bucket that was looked at: a choice for each control that differs."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False, max_length=64)
    name = NameField(label=gettext_lazy("Name"), error_messages={"required": gettext_lazy("Give the store a name.")})
    logs = forms.ChoiceField(
        choices=Logs.choices,
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Say where the access logs go."),
            "invalid_choice": gettext_lazy("Choose one of these."),
        },
    )
    logs_into = forms.CharField(max_length=63, required=False, label=gettext_lazy("Its name"))
    tag = forms.BooleanField(required=False)

    def __init__(self, data: Any = None, *, look: BucketLook, membership: Membership) -> None:
        self.look, self.membership, lines = look, membership, lines_of(look)
        logging = next((one.observed for one in lines if one.key == "logging" and one.state in {"ok", "off"}), None)
        target = target_of(logging)
        has_logs = look.cloud_account.capabilities.access_logs
        into = look.log_bucket or target
        logs = Logs.NAMED if into else Logs.MADE if has_logs else Logs.NONE
        super().__init__(
            data, initial={"seen": agreed(lines), "name": look.name, "logs": logs, "logs_into": into, "tag": False}
        )
        word = retold(look.cloud_account.cloud.vocabulary.bucket)
        made = gettext("Into a new {word}, which the console makes and looks after").format(word=word)
        named = gettext("Into a {word} that is there").format(word=word)
        offered = [*([(Logs.MADE.value, made)] if has_logs else []), (Logs.NAMED.value, named)]
        offered.append((Logs.NONE.value, str(Logs.NONE.label)))
        self.fields["logs"].choices = offered  # type: ignore[attr-defined]
        self.choices = choices_of(lines)
        for line in self.choices:
            self.fields[f"control_{line.key}"] = forms.ChoiceField(
                choices=[(ACCEPT, gettext("Accept as it is")), (SET, gettext("Set"))],
                initial=ACCEPT,
                widget=forms.RadioSelect,
                error_messages={"required": gettext("Choose one."), "invalid_choice": gettext("Choose one of these.")},
            )

    @property
    def decided(self) -> Iterator[tuple[ControlStatus, forms.BoundField]]:
        """Yield each control that differs, with its question."""
        for line in self.choices:
            yield line, self[f"control_{line.key}"]

    def clean_name(self) -> str:
        """Return the name, if no store of the organisation has it."""
        return free_name(str(self.cleaned_data["name"]), self.membership.organisation)

    def clean(self) -> dict[str, Any]:
        """Check what is named for the logs, and that somebody shows or sets whose the bucket is."""
        data = super().clean() or {}
        account = self.look.cloud_account
        if data.get("logs") == Logs.NAMED and "logs_into" in data:
            try:
                data["logs_into"] = other_bucket(account, data["logs_into"], self.look.bucket)
            except ValidationError as error:
                self.add_error("logs_into", error)
        if self.look.content and not self.look.content["owner"] and not data.get("tag"):
            shows = account.bucket_proof.one
            said = f"Nothing shows yet that you may add it. Set the {shows} and check, or let the console set it."
            self.add_error("tag", said)
        return data

    def decision(self) -> Decision:
        """Return what was decided."""
        data = self.cleaned_data
        chosen = {line.key for line in self.choices if data[f"control_{line.key}"] == SET}
        into = data["logs_into"] if data["logs"] == Logs.NAMED else ""
        return Decision(data["logs"], into, data["tag"], chosen, data["seen"])


class Wishes:
    """Buckets that are asked for together: no bucket and no name of a store twice."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.found: list[Wish] = []

    def add(self, account: CloudAccount, *, bucket: str, name: str, region: str, log_bucket: str) -> None:
        """Add one; raises ValidationError, by field, for what cannot be looked at."""
        if account.unproven:
            raise ValidationError({"account": account.unproven})
        with _about("bucket"):
            bucket = bucket_name(account, bucket)
        if len(region) > 40:
            raise ValidationError({"region": gettext("The region is too long.")})
        if region:
            with _about("region"):
                region = region_of(account, region)
        with _about("name"):
            name = NameField().clean(name or bucket)
        if Store.objects.filter(organisation=self.membership.organisation).named(name).exists():
            raise ValidationError({"name": NAME_TAKEN})
        with _about("log_bucket"):
            log_bucket = other_bucket(account, log_bucket, bucket) if log_bucket else ""
        if any((one.account.pk, one.bucket) == (account.pk, bucket) for one in self.found):
            raise ValidationError({"bucket": gettext("the bucket is named twice")})
        if any(one.name.lower() == name.lower() for one in self.found):
            raise ValidationError({"name": gettext("the name is given twice")})
        self.found.append(Wish(account, bucket, name, region, log_bucket))


@contextmanager
def _about(field: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        raise ValidationError({field: error.messages}) from error


class ImportForm(CSVForm):
    """A list of buckets to look at, one a line, as CSV with a head."""

    columns = ("account", "bucket", "region", "name", "log_bucket")

    def __init__(self, data: Any = None, *, membership: Membership) -> None:
        super().__init__(data)
        self.fields["lines"].label = gettext("Buckets")
        self.membership = membership

    @cached_property
    def accounts(self) -> dict[str, list[CloudAccount]]:
        """Return the linked accounts by name and by number."""
        found: dict[str, list[CloudAccount]] = {}
        for one in CloudAccount.objects.visible_to(self.membership):
            found.setdefault(one.name.lower(), []).append(one)
            found.setdefault(one.number.lower(), []).append(one)
        return found

    @cached_property
    def asked(self) -> Wishes:
        """Return what the lines before this one have asked for."""
        return Wishes(self.membership)

    @property
    def wishes(self) -> list[Wish]:
        """Return what the lines ask for."""
        return self.asked.found

    def take(self, number: int, row: dict[str, str]) -> None:
        """Keep the wish of a line; raises ValidationError."""
        given = dict(row)
        found = self.accounts.get(given.pop("account").lower(), [])
        if len(found) != 1:
            said = gettext("no linked account") if not found else gettext("several linked accounts")
            raise forms.ValidationError(gettext("{said} of this name or number.").format(said=said))
        self.asked.add(found[0], **given)


class AddAllForm(forms.Form):
    """What is done with all buckets that were looked at and can be added; `seen` is all_seen() of what was shown."""

    tag = forms.BooleanField(required=False)
    seen = forms.CharField(required=False, max_length=64)
