"""The forms of replications and of archiving; their field names are a contract."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.utils.translation import gettext, gettext_lazy

from clusters.models import BackupPolicy, Cluster, Node
from clusters.replication import groups, hosts

OWN = ""


class ReplicationForm(forms.ModelForm):  # type: ignore[type-arg]
    """Whose standby a node is, and how the other hosts reach it."""

    follows = forms.ChoiceField(label=gettext_lazy("It is"), required=False, widget=forms.RadioSelect)
    leaves_own = forms.BooleanField(label=gettext_lazy("Leave its own folder"), required=False)

    class Meta:
        model = Node
        fields = ["address", "ssh_port"]

    def __init__(self, data: Any = None, *, cluster: Cluster, node: Node) -> None:
        first = hosts(cluster, node)[0]
        super().__init__(data, instance=node, initial={"follows": OWN if first.pk == node.pk else first.name})
        self.firsts = {there[0].name: there[0] for there in groups(cluster).values() if there[0].pk != node.pk}
        choices = [
            (OWN, gettext("a primary, or a server of its own")),
            *((one, gettext("a standby of {one}").format(one=one)) for one in self.firsts),
        ]
        cast("forms.ChoiceField", self.fields["follows"]).choices = choices
        self.fields["follows"].error_messages["invalid_choice"] = "There is no node %(value)s to follow."
        # Its own folder was left long ago, or it has none: the question is for the one that moves.
        self.was_first = first.pk == node.pk

    @property
    def first(self) -> Node | None:
        """Return the node to follow."""
        return self.firsts.get(self.cleaned_data["follows"])


class ArchivingForm(forms.ModelForm):  # type: ignore[type-arg]
    """How WAL is archived while a store is out of reach, and on which host backups are made."""

    class Meta:
        model = BackupPolicy
        fields = ["io_timeout", "queue_max", "backup_from"]

    def __init__(self, data: Any = None, *, instance: BackupPolicy, there: list[Node]) -> None:
        super().__init__(data, instance=instance)
        self.there = there  # the hosts that it is for, which have others
        if not there:
            del self.fields["backup_from"]

    def clean_backup_from(self) -> str:
        """Return the choice; backups on a standby want each host to be reached."""
        chosen = str(self.cleaned_data["backup_from"])
        lacking = [one.name for one in self.there if not one.address]
        if chosen == BackupPolicy.BackupFrom.STANDBY and lacking:
            raise forms.ValidationError(
                gettext(
                    "The other hosts have to reach {lacking} by SSH: give {lacking_2} its address first "
                    "(Replication, on its page)."
                ).format(lacking=" and ".join(lacking), lacking_2=lacking[0])
            )
        return chosen
