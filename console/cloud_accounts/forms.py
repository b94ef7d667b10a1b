"""Forms about linked accounts; the field names are a contract."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast
from uuid import UUID

from django import forms
from django.utils.text import slugify
from django.utils.translation import gettext, gettext_lazy

from console.accounts.models import Membership, Organisation
from console.cloud_accounts.models import CloudAccount, CloudAccountQuerySet, LookBudget, deployment_settings
from console.clouds import CLOUDS
from console.clouds.contract import Cloud, Document, Field, LinkError
from console.clouds.naming import lower_first
from console.clouds.proof import SignIn
from console.clouds.regions import Region, matching, meant, regions
from console.clouds.specs import AccountRef
from console.web.forms import NameField, suggested
from console.web.natural import Natural
from console.web.retold import retold


class AccountForm(forms.Form):
    """Something that is made in a linked account, which its field `cloud_account` chooses."""

    def __init__(self, data: Any = None, *, membership: Membership, **options: Any) -> None:
        super().__init__(data, **options)
        self.membership = membership
        self.accounts.queryset = self.offered(CloudAccount.objects.visible_to(membership))
        self.accounts.label_from_instance = lambda account: f"{account.name} ({account.number})"  # type: ignore
        is_open = data is None and not self.initial.get("cloud_account")
        if is_open and len(only := list(self.accounts.queryset[:2])) == 1:
            self.initial["cloud_account"] = str(only[0].pk)  # there is nothing to choose

    def offered(self, accounts: CloudAccountQuerySet) -> CloudAccountQuerySet:
        """Return those of the organisation's accounts that can be chosen, in their order."""
        return accounts.filter(provider_key__in=CLOUDS).order_by(Natural("name"))

    @property
    def accounts(self) -> forms.ModelChoiceField[CloudAccount]:
        """Return the field that chooses the account."""
        return cast("forms.ModelChoiceField[CloudAccount]", self.fields["cloud_account"])

    def clean_cloud_account(self) -> CloudAccount:
        """Return the account, if it has proved itself."""
        account: CloudAccount = self.cleaned_data["cloud_account"]
        if account.unproven:
            raise forms.ValidationError(account.unproven)
        return account

    def begin_name(self, account: CloudAccount, region: Region, is_taken: Callable[[str], bool]) -> None:
        """Have the name begin with one after the account and the region, unless one was typed.

        So does a form that was refused without a name: Enter in the field of the place sends it before the page has its
        suggestion.
        """
        if not self.is_bound:  # a bound field would keep what it began with
            given = str(self.initial.get("name") or "")
            self.initial["name"] = name_after(account, region, given, is_taken)
        elif not self["name"].value() and (name := name_after(account, region, "", is_taken)):
            said = self.fields["name"].error_messages["required"]
            self.errors["name"] = self.error_class([f"{said} One is suggested now."])
            sent: Any = self.data
            self.data = sent = sent.copy()
            sent["name"] = name

    @cached_property
    def account(self) -> CloudAccount | None:
        """Return the account that is chosen so far, valid or not as the rest may be."""
        try:
            account: CloudAccount | None = self.accounts.clean(self["cloud_account"].value())
        except forms.ValidationError:
            return None
        return account


def name_after(account: CloudAccount, region: Region, given: str, is_taken: Callable[[str], bool]) -> str:
    """Return what was typed; else, and instead of what another place suggested, a free name: the account and place."""
    bases = {_base(account, one) for one in (region, *account.regions)}
    if re.sub(r"-\d+$", "", given) not in {"", *bases}:
        return given
    return suggested(_base(account, region), is_taken, "-")


def _base(account: CloudAccount, region: Region) -> str:
    return slugify(f"{account.name[:30]} {region.city}")


def named_region(text: str, account: CloudAccount | None, offered: Sequence[Region]) -> str:
    """Return the code of the one region that the text names; raises ValidationError, which says what to enter.

    `offered` are the regions that can be chosen: the account's, or while there is none its cloud's.
    """
    text = text.strip()
    found = meant(text, offered)
    if len(found) == 1:
        return found[0].code
    if found:
        codes = ", ".join(f"{region.code} ({region.city})" for region in found)
        if matching(text, offered):
            said = gettext("There are {found} regions in {text}: {codes}. Enter one of these codes.")
        else:
            said = gettext("There are {found} regions that begin with {text}: {codes}. Enter one of these codes.")
        raise forms.ValidationError(said.format(found=len(found), text=text, codes=codes))
    if account and account.partition and matching(text, regions(account.provider_key)):
        raise forms.ValidationError(
            gettext("{account} is an account of {partition}: {text} is not in it.").format(
                account=account.name, partition=account.partition, text=text
            )
        )
    if offered:
        said = gettext("There is no region {text} here. Choose one of the list, such as {example}.")
    else:
        said = gettext("There is no region {text} here. Choose one of the list.")
    raise forms.ValidationError(said.format(text=text, example=offered[0].code if offered else ""))


class SecretField(forms.CharField):
    """A secret: typed, and never given back to the page."""

    def __init__(self, max_length: int = 256, **options: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": "off"})
        super().__init__(max_length=max_length, widget=widget, **options)


@dataclass(frozen=True)
class Part:
    """One question of a cloud, as a page asks it."""

    asked: Field
    field: forms.BoundField
    way: int  # asked only with the way to sign in of this number; 0: always
    kept: str  # what is said of a secret that need not be entered again

    @property
    def suggestions(self) -> Sequence[tuple[str, str]]:
        """Return what can be chosen while typing: value and label."""
        return self.asked.suggestions() if self.asked.suggestions else ()


@dataclass(frozen=True)
class Kept:
    """What is known already: the secrets in it need not be entered again, as long as they go to the same place."""

    settings: dict[str, str]
    secrets: dict[str, str]


class LinkForm(forms.Form):
    """An account to link: what every cloud asks for, then what the chosen one does."""

    pk: UUID | None = None  # of an account that is linked already
    kept_hint = "Leave it empty to use the one that you entered. Kept encrypted for minutes and never shown again."

    provider = forms.ChoiceField(
        choices=[(p.key, p.label) for p in CLOUDS.values()],
        error_messages={"invalid_choice": gettext_lazy("Choose a provider that is available.")},
    )
    name = NameField()

    def __init__(
        self,
        data: Any = None,
        *,
        organisation: Organisation,
        chosen: str,
        external_id: str = "",
        kept: Kept | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data, **options)
        self.kept = kept or Kept({}, {})
        self.organisation = organisation
        self.chosen = CLOUDS.get(chosen)
        self.external_id = external_id  # ours, for the ways to sign in that are proven by one
        for asked in self.asked:
            self.fields[asked.name] = _as_form_field(asked)

    @property
    def asked(self) -> Sequence[Field]:
        """Return what the chosen cloud asks for."""
        return self.chosen.linking.fields if self.chosen else ()

    @property
    def ways(self) -> Sequence[SignIn]:
        """Return the ways to sign in to the chosen cloud."""
        return self.chosen.linking.sign_ins if self.chosen else ()

    def number_of(self, method: str) -> int:
        """Return the number of a way to sign in, counted from 1, as the page tells them apart; 0 for none."""
        return next((number for number, way in enumerate(self.ways, 1) if method and way.key == method), 0)

    def proofs(self) -> list[tuple[int, SignIn, str]]:
        """Return the ways that an external ID proves: number, way, and the command that puts the ID there, if any."""
        known = {"external_id": self.external_id}
        return [(self.number_of(way.key), way, way.command(known)) for way in self.ways if way.takes_external_id]

    def parts(self) -> Iterator[Part]:
        """Return the questions as a page asks them, those about the way to sign in with the number of the way."""
        for asked in self.asked:
            kept = self.kept_hint if self.kept.secrets.get(asked.name) else ""
            yield Part(asked, self[asked.name], self.number_of(asked.method), kept)

    def clean_name(self) -> str:
        """Return the name, if no other account of the organisation has it."""
        name = str(self.cleaned_data["name"])
        if CloudAccount.objects.filter(organisation=self.organisation).exclude(pk=self.pk).named(name).exists():
            raise forms.ValidationError(gettext("A linked account of this name exists. Choose another name."))
        return name

    def clean(self) -> dict[str, Any]:
        """Check what the chosen cloud asks for, and of the ways to sign in only the chosen one.

        Each secret that is not given stays as it is, as long as it goes with the same key and to the same place.
        """
        data = super().clean() or {}
        for asked in self.asked:
            if asked.name not in data:
                continue
            if asked.method and asked.method != data.get("method"):
                del data[asked.name]
            elif data[asked.name]:
                try:
                    data[asked.name] = asked.clean(data[asked.name])
                except LinkError as error:
                    self.add_error(asked.name, retold(error))
            elif message := self.missing(asked):
                self.add_error(asked.name, message)
        if self.chosen and not self.errors:
            try:
                self.answers = self.chosen.linking.clean(self._given(data))
            except LinkError as error:
                self.add_error(error.field or None, retold(error))
        self._keep_secrets(data)
        return data

    def missing(self, asked: Field) -> str:
        """Return what is said when this question has no answer: a secret that is kept is one, others may need none."""
        return "" if asked.secret and self.kept.secrets.get(asked.name) else asked.required

    def _keep_secrets(self, data: dict[str, Any]) -> None:
        moved = [one for one in self.asked if one.binds_secrets and one.name in data and self._differs(one, data)]
        for asked in self.asked:
            if not asked.secret or asked.name not in data or data[asked.name] or asked.name in self.errors:
                continue
            known = self.kept.secrets.get(asked.name, "")
            if known and moved:
                self.add_error(
                    asked.name,
                    gettext("Another {lower_first} needs this again: the one that is kept stays here.").format(
                        lower_first=lower_first(moved[0].label)
                    ),
                )
            data[asked.name] = known

    def _differs(self, asked: Field, data: dict[str, Any]) -> bool:
        return bool(data[asked.name] != self.kept.settings.get(asked.name, ""))

    def _given(self, data: dict[str, Any]) -> dict[str, str]:
        asked = [one for one in self.asked if one.name in data and not one.secret]
        given = {one.name: data[one.name] for one in asked if data[one.name] or one.kind != "flag"}
        by_id = any(way.takes_external_id and way.key == data.get("method", "") for way in self.ways)
        return {**given, "external_id": self.external_id} if by_id else given

    def account_settings(self) -> dict[str, str]:
        """Return what the account's cloud needs to know, nothing of it secret."""
        return dict(self.answers)

    def account_secrets(self) -> dict[str, str]:
        """Return what is kept encrypted."""
        names = [asked.name for asked in self.asked if asked.secret]
        return {name: self.cleaned_data[name] for name in names if self.cleaned_data.get(name)}

    def entered(self) -> dict[str, Any]:
        """Return what was entered, for an attempt: what the form shows of it again, and what is asked for with it."""
        secret = {asked.name for asked in self.asked if asked.secret}
        shown = {name: self.data[name] for name in self.fields if name in self.data and name not in secret}
        asked = {
            "name": self.cleaned_data["name"],
            "settings": self.account_settings(),
            "secrets": self.account_secrets(),
        }
        return {"shown": shown, "asked": asked}

    def documents(self, method: str = "") -> list[Document]:
        """Return the files that give the console its access, as far as they can be written before it has any.

        `method` is the way to sign in that they are for; without one it is the first that there is.
        """
        return list(self.chosen.linking.documents(self._unlinked(self.chosen, method))) if self.chosen else []

    def set_ups(self) -> list[tuple[int, str, list[tuple[str, list[Document]]]]]:
        """Return these files by the way to sign in (its number and query; 0 and "": any) and by tool, by hand last."""
        methods = self.chosen.linking.documents_for if self.chosen else ()
        queries = {one: f"?method={one}" if one else "" for one in methods or ("",)}
        return [(self.number_of(one), query, _by_tool(self.documents(one))) for one, query in queries.items()]

    def _unlinked(self, provider: Cloud, method: str) -> AccountRef:
        """Return the account as it is known while nobody has asked for it."""
        known = {"external_id": self.external_id, **({"method": method} if method else {})}
        return AccountRef(UUID(int=0), "", "", known, {}, deployment_settings(provider.key))


def _by_tool(documents: Sequence[Document]) -> list[tuple[str, list[Document]]]:
    found: dict[str, list[Document]] = {}
    for document in documents:
        found.setdefault(document.way, []).append(document)
    by_hand = found.pop("", [])
    return [*found.items(), *([("By hand", by_hand)] if by_hand and found else [("", by_hand)] if by_hand else [])]


class Flag(forms.BooleanField):
    """Yes or no, kept as a text."""

    def clean(self, value: Any) -> str:  # type: ignore[override]
        """Return "yes" or nothing."""
        return "yes" if super().clean(value) else ""


def _as_form_field(asked: Field) -> forms.Field:
    common: dict[str, Any] = {"label": asked.label, "required": False}
    plain: dict[str, Any] = {"autocomplete": "off", "spellcheck": "false"}
    if asked.kind == "flag":
        return Flag(widget=forms.CheckboxInput(attrs={"role": "switch"}), **common)
    if asked.kind == "choice":
        widget = forms.RadioSelect if asked.name == "method" else forms.Select
        choices = [(key, retold(label)) for key, label in asked.choices]
        return _Choice(choices=choices, widget=widget, initial=asked.choices[0][0], **common)
    if asked.kind == "area":
        # A secret that is typed into an area is not given back either.
        area = _SecretArea if asked.secret else forms.Textarea
        return forms.CharField(max_length=asked.at_most, widget=area(attrs={"rows": 4, **plain}), **common)
    if asked.secret:
        return SecretField(asked.at_most, **common)
    shown = {"placeholder": asked.placeholder} if asked.placeholder else {}
    suggested = {"list": f"{asked.name}-suggestions"} if asked.suggestions else {}
    return forms.CharField(
        max_length=asked.at_most, widget=forms.TextInput(attrs={**plain, **shown, **suggested}), **common
    )


class _Choice(forms.ChoiceField):
    def clean(self, value: Any) -> str:
        """Return what was chosen; when nothing was, the usual one, which is the first."""
        return str(super().clean(value) or self.initial)


class _SecretArea(forms.Textarea):
    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


class ChangeForm(LinkForm):
    """The same for an account that is linked already: what is left as it is, its secrets too, stays."""

    kept_hint = "Leave it empty to keep the present one. Kept encrypted and never shown again."

    def __init__(self, data: Any = None, *, account: CloudAccount, kept: Kept | None = None) -> None:
        fixed = {"provider": account.provider_key, "method": account.sign_in.key}
        super().__init__(
            data,
            organisation=account.organisation,
            chosen=account.provider_key,
            external_id=account.settings.get("external_id", ""),
            kept=kept or Kept(account.settings, account.secrets),
            initial={"name": account.name, **account.settings, **fixed},
        )
        self.account, self.pk = account, account.pk
        if kept:
            self.kept_hint = LinkForm.kept_hint
        for name in fixed.keys() & self.fields.keys():
            self.fields[name].disabled = True

    def parts(self) -> Iterator[Part]:
        """Return the questions about the way to sign in that the account has, and all others."""
        for part in super().parts():
            if part.asked.name != "method" and part.asked.method in {"", self.account.sign_in.key}:
                yield replace(part, way=0)

    def account_settings(self) -> dict[str, str]:
        """Return what the form says, and what was read from the cloud itself."""
        asked = {one.name for one in self.asked} | {"external_id"}
        found = {name: value for name, value in self.account.settings.items() if name not in asked}
        return found | super().account_settings()


class LookingForm(forms.ModelForm):  # type: ignore[type-arg]
    """How often the account's backups are looked for at least, and how many calls a day that may take."""

    hours = forms.IntegerField(label=gettext_lazy("At least every … hours"), min_value=1, max_value=24)
    calls_a_day = forms.IntegerField(label=gettext_lazy("Calls a day, at most"), min_value=100, max_value=100_000_000)

    class Meta:
        model = LookBudget
        fields = ("hours", "calls_a_day")
