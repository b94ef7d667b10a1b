"""The form of Create Backup Store; its field names are a contract."""

from __future__ import annotations

from typing import Any, cast

from django import forms

from console.accounts.forms import NameField
from console.accounts.models import CloudAccount, Membership
from console.regions import Region, find, regions
from stores.models import Store
from stores.providers import PROVIDERS


class StoreForm(forms.Form):
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
    region = forms.CharField(max_length=40, error_messages={"required": "Choose a region."})

    def __init__(self, data: Any = None, *, membership: Membership, **options: Any) -> None:
        super().__init__(data, **options)
        self.membership = membership
        self.provider_key = str(self["provider"].value() or "")
        accounts = cast("forms.ModelChoiceField[CloudAccount]", self.fields["cloud_account"])
        accounts.queryset = (
            CloudAccount.objects.visible_to(membership.user)
            .filter(organisation=membership.organisation)
            .of_provider(self.provider_key)
        )
        accounts.label_from_instance = lambda account: f"{account.name} ({account.number})"  # type: ignore

    def regions(self) -> tuple[Region, ...]:
        """Return the regions that the chosen provider offers."""
        return regions(self.provider_key)

    def clean_name(self) -> str:
        """Return the name, if no other store of the organisation has it."""
        name = str(self.cleaned_data["name"])
        if Store.objects.filter(organisation=self.membership.organisation, name__iexact=name).exists():
            raise forms.ValidationError("A backup store of this name exists. Choose another name.")
        return name

    def clean_region(self) -> str:
        """Return the region's code, if the provider has it."""
        code = str(self.cleaned_data["region"]).strip().lower()
        if not find(self.provider_key, code):
            raise forms.ValidationError(f"There is no region {code} here. Choose one of the list, such as eu-west-1.")
        return code

    def clean(self) -> dict[str, Any]:
        """Check that the account can reach the region."""
        data = super().clean() or {}
        account, code = data.get("cloud_account"), data.get("region")
        region = find(self.provider_key, code) if code else None
        if account and region and region.partition != account.partition:
            self.add_error("region", f"{account.name} is an account of {account.partition}: {code} is not in it.")
        return data
