"""What is asked when a node's file is brought."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from console.accounts.models import Membership
from console.cloud_accounts.models import CloudAccount
from console.restoration import node_file
from console.web.forms import NameField
from console.web.natural import Natural


class NodeFileForm(forms.Form):
    """A node's pgbackrest.conf, with its report.sh behind it, and in which account its stores are."""

    cloud_account = forms.ModelChoiceField(
        CloudAccount.objects.none(),
        label=gettext_lazy("Cloud account"),
        error_messages={
            "required": gettext_lazy("Choose the account."),
            "invalid_choice": gettext_lazy("Choose an account from the list."),
        },
    )
    text = forms.CharField(
        label=gettext_lazy("What the command printed"),
        max_length=node_file.TEXT_AT_MOST,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false", "autocomplete": "off"}),
        error_messages={"required": gettext_lazy("Paste the files.")},
    )
    name = NameField(required=False, label=gettext_lazy("Name of the cluster"))

    def __init__(self, data: Any = None, *, member: Membership, **options: Any) -> None:
        super().__init__(data, **options)
        accounts = CloudAccount.objects.visible_to(member).order_by(Natural("name"))
        field: Any = self.fields["cloud_account"]
        field.queryset = accounts
        if len(accounts) == 1:
            field.initial = accounts[0].pk

    def clean_text(self) -> str:
        """Return the text, if it is a file that the console made; `given` is what it says."""
        text = str(self.cleaned_data["text"])
        try:
            self.given = node_file.read(text)
        except node_file.NotOurs as error:
            raise forms.ValidationError(str(error)) from error
        return text
