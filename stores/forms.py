"""The forms of Create and Delete Backup Store, whose field names are a contract; of repairing and adopting a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from console.accounts.models import Membership, Organisation
from console.cloud_accounts.forms import AccountForm, named_region
from console.cloud_accounts.models import CloudAccount, CloudAccountQuerySet
from console.clouds import CLOUDS
from console.clouds.contract import DAYS_AT_MOST, Capabilities, Cloud
from console.clouds.regions import Region, find, meant, nearest_first, regions
from console.web.forms import NameField, TypedNameForm
from stores.models import Store, node_region_finders
from stores.protection import USUAL_VERSIONS, Protection

NAME_TAKEN = "A backup store of this name exists. Choose another name."


def free_name(name: str, organisation: Organisation) -> str:
    """Return the name, if no store of the organisation has it."""
    if Store.objects.filter(organisation=organisation).named(name).exists():
        raise forms.ValidationError(NAME_TAKEN)
    return name


def near_nodes(offered: Sequence[Region], organisation: Organisation, provider: str) -> list[Region]:
    """Return the regions, those nearest to a node that the organisation has in this cloud first."""
    codes = [code for of in node_region_finders for code in of(organisation, provider)] if offered else []
    return nearest_first(offered, [region for code in codes if (region := find(provider, code))])


def offered_by(accounts: CloudAccountQuerySet, organisation: Organisation) -> list[Region]:
    """Return the regions of the clouds of these accounts, those near to the organisation's nodes first in each."""
    keys = accounts.order_by("provider_key").values_list("provider_key", flat=True).distinct()
    several = (near_nodes(regions(key), organisation, key) for key in keys if not CLOUDS[key].storage.one_region)
    return [region for offered in several for region in offered]


def only_provider(membership: Membership) -> dict[str, str]:
    """Return the cloud of all linked accounts, as the form has it, where there is only one: it need not be chosen."""
    keys = CloudAccount.objects.visible_to(membership).order_by("provider_key").values_list("provider_key", flat=True)
    found = list(keys.distinct()[:2])
    return {"provider": found[0]} if len(found) == 1 else {}


class AdoptForm(forms.Form):
    """What an adopted store is called: as before, unless another has that name now."""

    name = NameField(error_messages={"required": gettext_lazy("Give the store a name.")})

    def __init__(self, data: Any = None, *, organisation: Organisation, **options: Any) -> None:
        super().__init__(data, **options)
        self.organisation = organisation

    def clean_name(self) -> str:
        """Return the name, if no store of the organisation has it."""
        return free_name(str(self.cleaned_data["name"]), self.organisation)


class Days(forms.IntegerField):
    """A number of days, as Amazon takes it; nothing for none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            required=False,
            min_value=1,
            max_value=DAYS_AT_MOST,
            error_messages={
                "invalid": "Enter a whole number of days.",
                "min_value": "Enter at least one day.",
                "max_value": f"Enter at most {DAYS_AT_MOST:,} days.",
            },
            **options,
        )


class ProtectionForm(forms.Form):
    """What the calculator of a protected store is asked."""

    versions_days = Days()
    lock_days = Days()
    retention_days = Days()

    def protection(self) -> Protection | None:
        """Return what was asked; None while it makes no sense."""
        if not self.is_valid() or not (data := self.cleaned_data)["versions_days"] or not data["retention_days"]:
            return None
        return Protection(data["versions_days"], data["lock_days"] or 0, data["retention_days"])


class StoreForm(AccountForm):
    """A store to create: cloud, name, linked account and region."""

    provider = forms.ChoiceField(
        choices=[(p.key, p.label) for p in CLOUDS.values()],
        error_messages={
            "required": gettext_lazy("Choose a storage provider."),
            "invalid_choice": gettext_lazy("Choose a storage provider that is available."),
        },
    )
    name = NameField(error_messages={"required": gettext_lazy("Give the store a name.")})
    cloud_account = forms.ModelChoiceField(
        CloudAccount.objects.none(),
        empty_label=gettext_lazy("Choose a linked account"),
        error_messages={
            "required": gettext_lazy("Choose the account that the store is made in."),
            "invalid_choice": gettext_lazy("Choose one of the linked accounts of this provider."),
        },
    )
    region = forms.CharField(max_length=40, required=False)  # not asked where an account has only one
    protected = forms.BooleanField(required=False)
    versions_days = Days(initial=USUAL_VERSIONS, label=gettext_lazy("Keep deleted and overwritten files for"))
    lock_days = Days(label=gettext_lazy("Lock what is written for"))

    def offered(self, accounts: CloudAccountQuerySet) -> CloudAccountQuerySet:
        """Return the accounts of the chosen cloud."""
        return accounts.of_provider(self.provider_key)

    @property
    def provider_key(self) -> str:
        """Return the key of the cloud that is chosen so far."""
        return str(self["provider"].value() or "")

    @property
    def chosen_provider(self) -> Cloud | None:
        """Return the cloud that is chosen so far."""
        return CLOUDS.get(self.provider_key)

    def regions(self) -> list[Region]:
        """Return the regions that the chosen cloud offers, those near to the organisation's nodes first."""
        return near_nodes(regions(self.provider_key), self.membership.organisation, self.provider_key)

    @property
    def offers_protection(self) -> bool:
        """Return whether a protected store can be asked for; of a server that is so once its account is chosen."""
        provider, account = self.chosen_provider, self.account
        if provider and provider.storage.one_region:
            return bool(account and account.capabilities.versions)
        return provider is not None

    @property
    def offers_lock(self) -> bool:
        """Return whether Object Lock can be asked for: what the cloud has, and the account, once one is chosen."""
        provider, account = self.chosen_provider, self.account
        return bool(provider and provider.locks and (account is None or account.capabilities.lock))

    def suggest_name(self) -> None:
        """Have the name begin with one after the account and the region, once both are chosen."""
        account, offered = self.account, self.account.store_regions if self.account else []
        found = offered if len(offered) == 1 else meant(str(self["region"].value() or "").strip(), offered)
        if account and len(found) == 1:
            mine = Store.objects.visible_to(self.membership)
            self.begin_name(account, found[0], lambda name: mine.named(name).exists())

    def clean_name(self) -> str:
        """Return the name, if no other store of the organisation has it."""
        return free_name(str(self.cleaned_data["name"]), self.membership.organisation)

    def clean(self) -> dict[str, Any]:
        """Check that the account can reach the region, which need not be said where there is only one."""
        data = super().clean() or {}
        account = data.get("cloud_account")
        if "region" in data:
            try:
                data["region"] = self._region(account, data["region"])
            except forms.ValidationError as error:
                self.add_error("region", error)
        self._check_protection(data, account)
        return data

    def _check_protection(self, data: dict[str, Any], account: CloudAccount | None) -> None:
        if not data.get("protected"):
            data["versions_days"] = data["lock_days"] = None
            return
        offered = account.capabilities if account else Capabilities(versions=True, lock=True)
        if account and not offered.versions:
            self.add_error(
                "protected",
                gettext("{account} keeps no versions that expire, so it has no protected stores.").format(
                    account=account.name
                ),
            )
        elif not data.get("versions_days") and "versions_days" not in self.errors:
            self.add_error("versions_days", gettext("Say for how many days."))
        if data.get("lock_days") and not offered.lock:
            self.add_error("lock_days", gettext("Object Lock is not offered for this account. Leave this empty."))

    def _region(self, account: CloudAccount | None, text: str) -> str:
        provider = self.chosen_provider
        if provider and provider.storage.one_region:
            own = account.store_regions[0] if account else None
            if account and own and text and text.lower() != own.code.lower():
                raise forms.ValidationError(
                    gettext("The stores of {account} are in its own region, {code}.").format(
                        account=account.name, code=own.code
                    )
                )
            return own.code if own else ""
        if not text:
            raise forms.ValidationError(gettext("Choose a region."))
        return named_region(text, account, account.store_regions if account else self.regions())


class RepairForm(forms.Form):
    """What was shown to whoever agrees to a repair."""

    seen = forms.CharField(widget=forms.HiddenInput, required=False)


class DeleteForm(TypedNameForm):
    """A store to delete: its name, and whether its access logs stay, if it has any."""

    keep_logs = forms.BooleanField(required=False)

    def __init__(self, data: Any = None, *, store: Store) -> None:
        super().__init__(data, expected=store.name)
        if not store.has_logs:
            del self.fields["keep_logs"]
