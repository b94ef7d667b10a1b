"""The forms of existing buckets: which one to look at, what to do with it, and a list of many."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from console.accounts.models import Membership
from console.cloud_accounts.forms import AccountForm
from console.cloud_accounts.models import CloudAccount
from console.web.forms import NameField
from stores.control_status import ControlStatus, agreed
from stores.existing.actions import Decision, Wish, choices_of, lines_of, target_of
from stores.existing.reading import taken_here
from stores.forms import NAME_TAKEN, free_name
from stores.models import BucketLook, Logs, Store

SET, ACCEPT = "set", "accept"
LINES_AT_MOST = 100
SIZE_AT_MOST = 64 * 1024  # characters of a list
COLUMNS = ("account", "bucket", "region", "name", "log_bucket")


def bucket_name(account: CloudAccount, text: str) -> str:
    """Return the name of a bucket as the account's cloud allows it; raises ValidationError."""
    existing = account.cloud.existing
    if not re.fullmatch(existing.legal, text):
        raise ValidationError(existing.legal_words)
    return text


def other_bucket(account: CloudAccount, text: str, bucket: str) -> str:
    """Return the name of a bucket for the logs of another; raises ValidationError for one of a store."""
    name = bucket_name(account, text)
    if name == bucket:
        raise ValidationError("A bucket that logs into itself never stops growing. Name another.")
    if taken_here(name, account):
        raise ValidationError("A store of this console uses this bucket. Name another.")
    return name


class ExistingForm(AccountForm):
    """A bucket to look at."""

    cloud_account = forms.ModelChoiceField(
        CloudAccount.objects.none(),
        label="Cloud Account",
        empty_label="Choose a linked account",
        error_messages={
            "required": "Choose the account that the bucket is in.",
            "invalid_choice": "Choose one of the linked accounts.",
        },
    )
    bucket = forms.CharField(max_length=63, label="Bucket", error_messages={"required": "Name the bucket."})
    name = NameField(label="Name", error_messages={"required": "Give the store a name."})
    region = forms.CharField(max_length=40, required=False, label="Region")

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
        return data

    def wish(self) -> Wish:
        """Return what was asked for."""
        data = self.cleaned_data
        return Wish(data["cloud_account"], data["bucket"], data["name"], data["region"])


class DecisionForm(forms.Form):
    """What is to be done with a bucket that was looked at: a choice for each control that differs."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False, max_length=64)
    name = NameField(label="Name", error_messages={"required": "Give the store a name."})
    logs = forms.ChoiceField(
        choices=Logs.choices,
        widget=forms.RadioSelect,
        error_messages={"required": "Say where the access logs go.", "invalid_choice": "Choose one of these."},
    )
    logs_into = forms.CharField(max_length=63, required=False, label="Its name")
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
        word = look.cloud_account.cloud.vocabulary.bucket
        offered = [
            *([(Logs.MADE.value, f"Into a new {word}, which the console makes and looks after")] if has_logs else []),
            (Logs.NAMED.value, f"Into a {word} that is there"),
            (Logs.NONE.value, Logs.NONE.label),
        ]
        self.fields["logs"].choices = offered  # type: ignore[attr-defined]
        self.choices = choices_of(lines)
        for line in self.choices:
            self.fields[f"control_{line.key}"] = forms.ChoiceField(
                choices=[(ACCEPT, "Accept as it is"), (SET, "Set")],
                initial=ACCEPT,
                widget=forms.RadioSelect,
                error_messages={"required": "Choose one.", "invalid_choice": "Choose one of these."},
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
            words = account.cloud.vocabulary
            self.add_error(
                "tag",
                f"Nothing shows yet that you may add it. Set the {words.tag} and check, or let the console set it.",
            )
        return data

    def decision(self) -> Decision:
        """Return what was decided."""
        data = self.cleaned_data
        chosen = {line.key for line in self.choices if data[f"control_{line.key}"] == SET}
        into = data["logs_into"] if data["logs"] == Logs.NAMED else ""
        return Decision(data["logs"], into, data["tag"], chosen, data["seen"])


class ImportForm(forms.Form):
    """A list of buckets to look at, one a line, as CSV with a head."""

    lines = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        label="Buckets",
        max_length=SIZE_AT_MOST,
        error_messages={"required": "Paste the list.", "max_length": "The list is too long. Import it in parts."},
    )

    def __init__(self, data: Any = None, *, membership: Membership) -> None:
        super().__init__(data)
        self.membership = membership
        self.problems: list[str] = []
        self.wishes: list[Wish] = []

    def clean_lines(self) -> str:
        """Return the list, if each line of it can be looked at; raises ValidationError with all that is wrong."""
        text = str(self.cleaned_data["lines"])
        reader = csv.reader(text.splitlines(), strict=True, skipinitialspace=True)
        try:
            rows = [(reader.line_num, [one.strip() for one in row]) for row in reader if any(map(str.strip, row))]
        except csv.Error as error:
            raise forms.ValidationError(f"Line {reader.line_num} is no CSV: {error}.") from None
        if not rows or tuple(rows[0][1]) != COLUMNS:
            raise forms.ValidationError(f"The first line has to be: {','.join(COLUMNS)}")
        if not rows[1:]:
            raise forms.ValidationError("There is no line after the first one.")
        if len(rows) - 1 > LINES_AT_MOST:
            raise forms.ValidationError(f"There are {len(rows) - 1:,} lines. Import at most {LINES_AT_MOST} at once.")
        self._read(rows[1:])
        if self.problems:
            raise forms.ValidationError(f"Nothing was changed. Correct {len(self.problems)} of {len(rows) - 1} lines.")
        return text

    def _read(self, rows: Sequence[tuple[int, list[str]]]) -> None:
        accounts: dict[str, list[CloudAccount]] = {}
        for one in CloudAccount.objects.visible_to(self.membership):
            accounts.setdefault(one.name.lower(), []).append(one)
            accounts.setdefault(one.number.lower(), []).append(one)
        buckets, names = set[tuple[Any, str]](), set[str]()
        for number, row in rows:
            try:
                wish = self._wish(row, accounts)
                if (wish.account.pk, wish.bucket) in buckets:
                    raise forms.ValidationError("the bucket is named twice")
                if wish.name.lower() in names:
                    raise forms.ValidationError("the name is given twice")
            except ValidationError as error:
                self.problems.append(f"Line {number}: {' '.join(error.messages)}")
                continue
            buckets.add((wish.account.pk, wish.bucket))
            names.add(wish.name.lower())
            self.wishes.append(wish)

    def _wish(self, row: list[str], accounts: dict[str, list[CloudAccount]]) -> Wish:
        if len(row) != len(COLUMNS):
            raise forms.ValidationError(f"{len(row)} values instead of {len(COLUMNS)}.")
        given = dict(zip(COLUMNS, row, strict=True))
        found = accounts.get(given["account"].lower(), [])
        if len(found) != 1:
            said = "no linked account" if not found else "several linked accounts"
            raise forms.ValidationError(f"{said} of this name or number.")
        [account] = found
        if account.unproven:
            raise forms.ValidationError(account.unproven)
        bucket = bucket_name(account, given["bucket"])
        if len(given["region"]) > 40:
            raise forms.ValidationError("The region is too long.")
        name = NameField().clean(given["name"] or bucket)
        if Store.objects.filter(organisation=self.membership.organisation).named(name).exists():
            raise forms.ValidationError(NAME_TAKEN)
        log_bucket = other_bucket(account, given["log_bucket"], bucket) if given["log_bucket"] else ""
        return Wish(account, bucket, name, given["region"], log_bucket)


class AddAllForm(forms.Form):
    """What is done with all buckets that were looked at and can be added."""

    tag = forms.BooleanField(required=False)
