"""The forms of clusters; their field names are a contract."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django import forms
from django.utils.translation import gettext, gettext_lazy, ngettext

from clusters.choice import changed_meanwhile, consequences, planned_nodes
from clusters.models import NODES_AT_MOST, REPOSITORIES_AT_MOST, BackupPolicy, Cluster, Database, Node, NodeDatabase
from clusters.node_setup import attached
from clusters.pgbackrest.configuration import BY_NUMBER, unknown
from clusters.pgbackrest.grammar import Unfit, data_directory, key_part
from clusters.pgbackrest.schedules import KINDS, Unusable, parse
from clusters.replication import groups
from clusters.repositories.removed import Removed
from console.accounts.models import Membership
from console.cloud_accounts.forms import AccountForm, SecretField, named_region
from console.cloud_accounts.models import CloudAccount
from console.clouds.key_trial import KeyTrial
from console.clouds.regions import Region, meant
from console.web.forms import NameField, TypedNameForm
from stores.models import State, Store


class StoresField(forms.TypedMultipleChoiceField):
    """The IDs of chosen stores; which of them may be chosen is for the form to say, with their names."""

    def __init__(self) -> None:
        super().__init__(required=False, coerce=UUID, error_messages={"invalid_choice": "This is not a backup store."})

    def valid_value(self, value: Any) -> bool:
        """Return whether it looks like an ID at all."""
        try:
            UUID(str(value))
        except ValueError:
            return False
        return True


class RegionsField(forms.MultipleChoiceField):
    """The codes of regions, one for each node."""

    def __init__(self) -> None:
        super().__init__(error_messages={"required": "Choose at least one region: each gets one node."})

    def to_python(self, value: Any) -> list[str]:
        """Return the codes and places, also those that were typed with commas between."""
        texts = [part.strip() for one in super().to_python(value) for part in one.split(",")]
        return [text for text in texts if text]

    def valid_value(self, value: Any) -> bool:
        """Leave it to the form, which knows the cloud."""
        return True


def chosen_stores(
    ids: list[UUID],
    membership: Membership,
    account: CloudAccount,
    attached: set[UUID] = frozenset(),  # type: ignore[assignment]
) -> list[Store]:
    """Return the stores, each once, in the order given; raises ValidationError for one that cannot be attached."""
    ids = list(dict.fromkeys(ids))
    if len(ids) > REPOSITORIES_AT_MOST:
        raise forms.ValidationError(
            gettext("pgBackRest knows at most {repositories_at_most} repositories; {ids} stores were chosen.").format(
                repositories_at_most=REPOSITORIES_AT_MOST, ids=len(ids)
            )
        )
    mine = Store.objects.visible_to(membership)
    found = {store.pk: store for store in mine.filter(pk__in=ids)}
    if missing := len(ids) - len(found):
        raise forms.ValidationError(
            ngettext(
                "{missing} of the chosen stores does not exist any more. The list below is as it is now.",
                "{missing} of the chosen stores do not exist any more. The list below is as it is now.",
                missing,
            ).format(missing=missing)
        )
    for store in found.values():
        if store.cloud_account_id != account.pk:
            raise forms.ValidationError(
                gettext("{store} is not in {account}, the account of the cluster.").format(
                    store=store.name, account=account.name
                )
            )
        if store.state != State.AVAILABLE and store.pk not in attached:
            state = store.get_state_display().lower()
            raise forms.ValidationError(
                gettext("{store} is {state}. Only an available store can be attached.").format(
                    store=store.name, state=state
                )
            )
    return [found[pk] for pk in ids]


def known_regions(codes: list[str], account: CloudAccount) -> list[str]:
    """Return the codes of the regions, if the account can reach them all; raises ValidationError.

    A region that is chosen by its code and typed by its place is meant once.
    """
    if len(codes) > NODES_AT_MOST:
        raise forms.ValidationError(
            gettext("A cluster has at most {nodes_at_most} nodes; {codes} were asked for.").format(
                nodes_at_most=NODES_AT_MOST, codes=len(codes)
            )
        )
    offered = account.regions
    found = [named_region(text, account, offered) for text in codes]
    return [code for text, code in zip(codes, found, strict=True) if text == code or code not in codes]


def found_regions(texts: list[str], account: CloudAccount) -> list[str]:
    """Return the codes of those texts that name one region, for a form that is not complete yet."""
    found = (meant(text, account.regions) for text in RegionsField().to_python(texts))
    return list(dict.fromkeys(one[0].code for one in found if len(one) == 1))


class ClusterForm(AccountForm):
    """A cluster to create: name, linked account, regions of its nodes, stores."""

    name = NameField(
        label=gettext_lazy("Cluster Name"), error_messages={"required": gettext_lazy("Give the cluster a name.")}
    )
    cloud_account = forms.ModelChoiceField(
        CloudAccount.objects.none(),
        empty_label=gettext_lazy("Choose a linked account"),
        error_messages={
            "required": gettext_lazy("Choose the account that the nodes and their stores are in."),
            "invalid_choice": gettext_lazy("Choose one of the linked accounts."),
        },
    )
    regions = RegionsField()
    is_replication = forms.BooleanField(required=False)
    backup_stores = StoresField()

    @property
    def chosen_regions(self) -> list[tuple[str, Region]]:
        """Return the nodes that the chosen regions would make, as far as the regions exist."""
        account = self.account
        return planned_nodes(account, found_regions(self["regions"].value() or [], account)) if account else []

    def suggest_name(self) -> None:
        """Have the name begin with one after the account and the first region, once both are chosen."""
        if self.account and (nodes := self.chosen_regions):
            mine = Cluster.objects.visible_to(self.membership)
            self.begin_name(self.account, nodes[0][1], lambda name: mine.named(name).exists())

    def clean_name(self) -> str:
        """Return the name, if no other cluster of the organisation has it."""
        name = str(self.cleaned_data["name"])
        if Cluster.objects.filter(organisation=self.membership.organisation).named(name).exists():
            raise forms.ValidationError(gettext("A cluster of this name exists. Choose another name."))
        return name

    def clean(self) -> dict[str, Any]:
        """Check regions and stores against the account."""
        data = super().clean() or {}
        if account := data.get("cloud_account"):
            for name, check in (
                ("regions", lambda codes: known_regions(codes, account)),
                ("backup_stores", lambda ids: chosen_stores(ids, self.membership, account)),
            ):
                if name in data:
                    try:
                        data[name] = check(data[name])
                    except forms.ValidationError as error:
                        self.add_error(name, error)
        return data


class StoresForm(forms.Form):
    """The stores of a cluster; detaching one asks for a second, informed yes."""

    backup_stores = StoresField()
    version = forms.IntegerField(required=False)  # of the choice that was shown
    confirmed = forms.CharField(required=False)  # the names of what is detached, as the warning named them

    def __init__(self, data: Any = None, *, membership: Membership, cluster: Cluster, **options: Any) -> None:
        super().__init__(data, **options)
        self.membership, self.cluster = membership, cluster
        self.attached = {one.store_id for one in cluster.wanted}
        self.warnings: list[str] = []
        self.confirmation = self.question = ""  # asked where nothing is wrong, but a yes is needed

    def clean(self) -> dict[str, Any]:
        """Check the stores, and that whoever detaches some has been told what that means."""
        data = super().clean() or {}
        if data.get("version") not in {None, self.cluster.version}:
            raise forms.ValidationError(changed_meanwhile(self.cluster))
        if "backup_stores" in data:
            try:
                data["backup_stores"] = chosen_stores(
                    data["backup_stores"], self.membership, self.cluster.cloud_account, self.attached
                )
            except forms.ValidationError as error:
                self.add_error("backup_stores", error)
        if not self.errors:
            kept = {store.pk for store in data["backup_stores"]}
            removed = self.attached - kept
            self.warnings = consequences(self.cluster, removed, data["backup_stores"])
            self.names = " and ".join(one.store.name for one in self.cluster.wanted if one.store_id in removed)
            self.confirmation = " ".join(sorted(str(pk) for pk in removed))
            if self.warnings and data["confirmed"] != self.confirmation:
                self.question = f"Detach {self.names}?"
                raise forms.ValidationError(
                    gettext("{question} Nothing has changed yet: read what it means, then say yes.").format(
                        question=self.question
                    )
                )
        return data


class DeleteClusterForm(TypedNameForm):
    """Asks for the cluster's name and, where repositories stay, whether their recovery kit is at hand."""

    kit = forms.BooleanField(required=False)

    def __init__(self, data: Any = None, *, cluster: Cluster, leaves: bool) -> None:
        super().__init__(data, expected=cluster.name)
        self.leaves = leaves

    def clean_kit(self) -> bool:
        """Return whether the kit was taken; it has to be where anything stays that only it opens."""
        if self.leaves and not self.cleaned_data["kit"]:
            raise forms.ValidationError(
                gettext(
                    "Take the recovery kit first and keep it, then tick this: backups stay, and nobody reads them "
                    "without their passphrases."
                )
            )
        return bool(self.cleaned_data["kit"])


class AddNodesForm(forms.Form):
    """Regions in which the cluster gets one more node each, and whose standbys they are."""

    regions = RegionsField()
    follows = forms.ChoiceField(label=gettext_lazy("They are"), required=False)

    def __init__(self, data: Any = None, *, cluster: Cluster, **options: Any) -> None:
        super().__init__(data, **options)
        self.cluster = cluster
        self.firsts = {there[0].name: there[0] for there in groups(cluster).values()}
        field = cast("forms.ChoiceField", self.fields["follows"])
        field.choices = [("", gettext("primaries, each with a folder of its own"))]
        field.choices += [(name, gettext("standbys of {n}").format(n=name)) for name in self.firsts]
        field.error_messages["invalid_choice"] = "There is no node %(value)s to follow."

    @property
    def first(self) -> Node | None:
        """Return the node that they follow."""
        return self.firsts.get(self.cleaned_data["follows"])

    def clean_regions(self) -> list[str]:
        """Return the codes, if the account can reach them all."""
        return known_regions(self.cleaned_data["regions"], self.cluster.cloud_account)


class RemoveNodesForm(forms.Form):
    """Nodes to take out of the cluster."""

    nodes = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": gettext_lazy("Choose the nodes to remove."),
            "invalid_choice": gettext_lazy("There is no node %(value)s."),
        },
    )

    def __init__(self, data: Any = None, *, cluster: Cluster, **options: Any) -> None:
        super().__init__(data, **options)
        choices = [(node.name, f"{node.name}, {node.region}") for node in cluster.nodes.all()]
        cast("forms.MultipleChoiceField", self.fields["nodes"]).choices = choices


class DatabaseForm(forms.ModelForm):  # type: ignore[type-arg]
    """A database on the nodes: a stanza on each."""

    class Meta:
        model = Database
        fields = ["name", "version", "data_directory", "port"]

    def clean_data_directory(self) -> str:
        """Return the path as it is kept, which is what others are compared with."""
        try:
            return data_directory(self.cleaned_data["data_directory"])
        except Unfit as error:
            raise forms.ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """Check against the cluster's other databases, which share its nodes."""
        data = super().clean() or {}
        cluster, postgresql = self.instance.cluster, int(data.get("version") or 0)
        for node in cluster.nodes.all():
            if not node.release.knows(postgresql):
                why = unknown(node.release, postgresql, str(data.get("name", "it")))
                self.add_error(
                    "version",
                    gettext("{node}: {why} there, and say so on its page, before you add this.").format(
                        node=node.name, why=why
                    ),
                )
        others = Database.objects.filter(cluster=cluster).exclude(pk=self.instance.pk)
        for field, message in (
            ("name", "A database of this name is in the cluster."),
            ("port", "Another database of the cluster listens on this port."),
            ("data_directory", "Another database of the cluster has this data directory."),
        ):
            if data.get(field) and others.filter(**{field: data[field]}).exists():
                self.add_error(field, message)
        elsewhere = NodeDatabase.objects.filter(database__in=others).select_related("node", "database")
        for field, words in (("port", "listens on this port"), ("data_directory", "has this data directory")):
            one = elsewhere.filter(**{field: data[field]}).first() if data.get(field) else None
            if one and field not in self.errors:
                self.add_error(
                    field,
                    gettext("On {node}, {database} {words}.").format(
                        node=one.node.name, database=one.database.name, words=words
                    ),
                )
        return data


class NodeStoresForm(forms.Form):
    """The stores that one node writes to: its nearest, all, or these."""

    choice = forms.ChoiceField(choices=Node.WritesTo, required=False, widget=forms.RadioSelect)
    backup_stores = StoresField()

    def __init__(self, data: Any = None, *, cluster: Cluster, node: Node) -> None:
        super().__init__(data, initial={"choice": node.writes_to})
        self.attached = {one.store_id: one.store for one in attached(cluster)}

    def clean_choice(self) -> str:
        """Return the choice; whoever sends stores alone means those."""
        return self.cleaned_data["choice"] or Node.WritesTo.CHOSEN

    def clean(self) -> dict[str, Any]:
        """Check the stores, where they are what counts."""
        data = super().clean() or {}
        if data.get("choice") != Node.WritesTo.CHOSEN:
            data["backup_stores"] = []
        elif "backup_stores" in data:
            ids = list(dict.fromkeys(data["backup_stores"]))
            if not ids:
                self.add_error(
                    "backup_stores", gettext("Choose at least one store: a node without one cannot archive its WAL.")
                )
            elif missing := [pk for pk in ids if pk not in self.attached]:
                count = f"{len(missing)} of these stores {'is' if len(missing) == 1 else 'are'}"
                self.add_error(
                    "backup_stores",
                    gettext("{count} not attached to the cluster. Attach it there first.").format(count=count),
                )
            else:
                data["backup_stores"] = [self.attached[pk] for pk in ids]
        return data


class NodeForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is installed on a node."""

    class Meta:
        model = Node
        fields = ["pgbackrest_version"]

    def clean_pgbackrest_version(self) -> str:
        """Return the release, if it can back up every database of the cluster."""
        chosen = str(self.cleaned_data["pgbackrest_version"])
        for database in self.instance.cluster.databases_in(self.instance.repository_folder):
            if not BY_NUMBER[chosen].knows(int(database.version)):
                why = unknown(BY_NUMBER[chosen], int(database.version), database.name)
                raise forms.ValidationError(
                    gettext("{why} on {instance}, and choose that.").format(why=why, instance=self.instance.name)
                )
        return chosen


class KeyForm(forms.Form):
    """The key that the nodes sign in with, made by hand; both halves belong together, so both are asked for."""

    access_key_id = forms.CharField(label=gettext_lazy("Access Key ID"), max_length=128)
    secret_access_key = SecretField(label=gettext_lazy("Secret Access Key"))
    save_anyway = forms.BooleanField(label=gettext_lazy("Save it anyway"), required=False)
    trial: KeyTrial | None = None  # what became of trying the key, when that keeps it from being saved

    def clean(self) -> dict[str, Any]:
        """Refuse what would not be one value in pgBackRest's file."""
        data = super().clean() or {}
        for name in sorted(data.keys() & {"access_key_id", "secret_access_key"}):
            try:
                key_part(data[name])
            except Unfit as error:
                self.add_error(name, str(error))
        return data

    @property
    def key(self) -> dict[str, str]:
        """Return both halves of the key, of a form that is valid."""
        return {name: self.cleaned_data[name] for name in ("access_key_id", "secret_access_key")}

    def accepts(self, trial: KeyTrial) -> bool:
        """Return whether the key is to be saved after this trial; what is wrong with it is said beside its fields."""
        if not (trial.refused or trial.unread or trial.untried):
            return True
        if trial.may_be_kept_anyway and self.cleaned_data["save_anyway"]:
            return True
        self.trial = trial
        if trial.field:
            self.add_error(trial.field, " ".join(trial.refused))
        elif trial.refused:
            self.add_error("access_key_id", gettext("The nodes could not work with this key. Nothing was saved."))
        elif trial.untried:
            self.add_error(
                "access_key_id",
                gettext("The key could not be tried: {untried} Nothing was saved.").format(untried=trial.untried),
            )
        else:
            self.add_error(
                "access_key_id", gettext("The console could not read what nodes write with it. Nothing was saved.")
            )
        return False


class ForgetNodeForm(TypedNameForm):
    """Asks for the name of a removed node that something keeps; of one that nothing does, for nothing."""

    def __init__(self, data: Any = None, *, removed: Removed, may_anyway: bool) -> None:
        super().__init__(data, expected=removed.node.name)
        self.kept_by, self.may_anyway = removed.kept_by, may_anyway
        if not self.kept_by:
            del self.fields["name"]

    def clean(self) -> dict[str, Any]:
        """Refuse whoever may not forget what is kept."""
        if self.kept_by and not self.may_anyway:
            raise forms.ValidationError(
                gettext("It stays. {kept_by} Until its folder is empty, only an owner may forget it.").format(
                    kept_by=self.kept_by
                )
            )
        return super().clean() or {}


class ReplaceForm(forms.Form):
    """How a key, or a token, is replaced."""

    how = forms.ChoiceField(
        choices=[("beside", gettext_lazy("Replace")), ("at_once", gettext_lazy("Replace at once"))],
        initial="beside",
        widget=forms.RadioSelect,
        error_messages={
            "required": gettext_lazy("Choose one of the two."),
            "invalid_choice": gettext_lazy("Choose one of the two."),
        },
    )

    @property
    def at_once(self) -> bool:
        """Return whether the present one ends before there is another."""
        return bool(self.cleaned_data["how"] == "at_once")


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg]
    """How long backups are kept, and when they are made."""

    class Meta:
        model = BackupPolicy
        fields = [
            "retention_full",
            "retention_type",
            "retention_diff",
            "full_schedule",
            "diff_schedule",
            "incr_schedule",
        ]

    def clean(self) -> dict[str, Any]:
        """Check that each schedule comes, and that there are full backups for the others to build on."""
        data = super().clean() or {}
        given = {}
        for kind in KINDS:
            field = f"{kind}_schedule"
            expression = data[field] = " ".join(data.get(field, "").split())
            if expression:
                try:
                    parse(expression)
                    given[kind] = expression
                except Unusable as error:
                    self.add_error(field, str(error))
        if (given.get("diff") or given.get("incr")) and not given.get("full") and not self.errors:
            self.add_error(
                "full_schedule", gettext("Plan full backups too: the others build on one, and it must not grow old.")
            )
        return data
