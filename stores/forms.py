"""The forms of Create and Delete Backup Store; their field names are a contract."""

from __future__ import annotations

from typing import Any

from django import forms

from console.accounts.forms import AccountForm, NameField, TypedNameForm
from console.accounts.models import CloudAccount, CloudAccountQuerySet
from console.regions import Region, find, regions
from stores.models import Store
from stores.providers import PROVIDERS
from stores.providers.base import Provider


class StoreForm(AccountForm):
    """A store to create: provider, name, linked account and region."""

    provider = forms.ChoiceField(
        choices=[(p.key, p.label) for p in PROVIDERS.values()],
        error_messages={
            "required": "Choose a storage provider.",
            "invalid_choice": "Choose a storage provider that is available.",
        },
    )
    name = NameField(error_messages={"required": "Give the store a name."})
    cloud_account = forms.ModelChoiceField(
        CloudAccount.objects.none(),
        empty_label="Choose a linked account",
        error_messages={
            "required": "Choose the account in which the buckets are made.",
            "invalid_choice": "Choose one of the linked accounts of this provider.",
        },
    )
    region = forms.CharField(max_length=40, required=False)  # not asked where an account has only one

    def offered(self, accounts: CloudAccountQuerySet) -> CloudAccountQuerySet:
        """Return the accounts of the chosen provider."""
        return accounts.of_provider(self.provider_key)

    @property
    def provider_key(self) -> str:
        """Return the key of the provider that is chosen so far."""
        return str(self["provider"].value() or "")

    @property
    def chosen_provider(self) -> Provider | None:
        """Return the provider that is chosen so far."""
        return PROVIDERS.get(self.provider_key)

    def regions(self) -> tuple[Region, ...]:
        """Return the regions that the chosen provider offers."""
        return regions(self.provider_key)

    def clean_name(self) -> str:
        """Return the name, if no other store of the organisation has it."""
        name = str(self.cleaned_data["name"])
        if Store.objects.filter(organisation=self.membership.organisation, name__iexact=name).exists():
            raise forms.ValidationError("A backup store of this name exists. Choose another name.")
        return name

    def clean(self) -> dict[str, Any]:
        """Check that the account can reach the region, which need not be said where there is only one."""
        data = super().clean() or {}
        account, code = data.get("cloud_account"), str(data.get("region", "")).strip()
        provider = self.chosen_provider
        if provider and provider.one_region:
            own = account.store_regions[0].code if account else ""
            if account and code and code.lower() != own.lower():
                self.add_error("region", f"The stores of {account.name} are in its own region, {own}.")
            data["region"] = own
        elif not code:
            self.add_error("region", "Choose a region.")
        else:
            data["region"] = self._region_of_cloud(account, code.lower())
        return data

    def _region_of_cloud(self, account: CloudAccount | None, code: str) -> str:
        known = find(self.provider_key, code)
        if not known:
            self.add_error("region", f"There is no region {code} here. Choose one of the list, such as eu-west-1.")
        elif account and known not in account.store_regions:
            self.add_error("region", f"{account.name} is an account of {account.partition}: {code} is not in it.")
        return code


class DeleteForm(TypedNameForm):
    """A store to delete: its name, and whether its access logs stay, if it has any."""

    keep_logs = forms.BooleanField(required=False)

    def __init__(self, data: Any = None, *, store: Store) -> None:
        super().__init__(data, expected=store.name)
        if not store.has_logs:
            del self.fields["keep_logs"]
