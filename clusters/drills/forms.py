"""A plan of drills, as people enter it."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.utils.translation import gettext, gettext_lazy

from clusters.models import Cluster, Database, Drill, Node, NodeDatabase
from clusters.pgbackrest import drill as pure
from clusters.pgbackrest.drill import RESTORE
from clusters.pgbackrest.grammar import Unfit
from clusters.replication import groups

NODES, MACHINE = "nodes", "machine"
WHERE = (
    (NODES, gettext_lazy("On the nodes themselves, each its own backups")),
    (MACHINE, gettext_lazy("On a drill machine, which I set up")),
)


class DrillForm(forms.ModelForm):  # type: ignore[type-arg]
    """What is tried, of what, where and when."""

    where = forms.ChoiceField(label=gettext_lazy("Where"), choices=WHERE, initial=NODES)
    database: forms.ModelChoiceField[Database] = forms.ModelChoiceField(
        Database.objects.none(),
        required=False,
        empty_label=gettext_lazy("Each database"),
        error_messages={"invalid_choice": gettext_lazy("The cluster has no such database.")},
    )
    node: forms.ModelChoiceField[Node] = forms.ModelChoiceField(
        Node.objects.none(),
        required=False,
        empty_label=gettext_lazy("Each node"),
        error_messages={
            "invalid_choice": gettext_lazy("The cluster has no such node, or it shares the backups of another one.")
        },
    )

    class Meta:
        model = Drill
        fields = (
            "what",
            "database",
            "node",
            "machine",
            "schedule",
            "backup",
            "folder",
            "keep_free",
            "hours",
            "is_amchecked",
            "checks",
            "check_database",
        )
        labels = {"is_amchecked": gettext_lazy("Check tables and indexes with pg_amcheck")}
        widgets = {"checks": forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})}
        error_messages = {
            "schedule": {"required": gettext_lazy("Give a cron expression, such as 0 3 * * 0 for Sundays at 03:00.")}
        }

    def __init__(self, data: Any = None, *, cluster: Cluster, **options: Any) -> None:
        super().__init__(data, **options)
        self.instance.cluster = cluster
        firsts = [there[0].pk for there in groups(cluster).values()]
        cast("forms.ModelChoiceField[Database]", self.fields["database"]).queryset = cluster.databases.all()
        cast("forms.ModelChoiceField[Node]", self.fields["node"]).queryset = cluster.nodes.filter(pk__in=firsts)
        self.fields["schedule"].initial = self.fields["schedule"].initial or "0 3 * * 0"
        self.fields["machine"].required = False
        for name in ("folder", "backup", "check_database", "keep_free", "hours"):
            self.fields[name].required = False
        if self.instance.pk:
            self.fields["where"].initial = MACHINE if self.instance.machine else NODES

    def clean(self) -> dict[str, Any]:
        """Ask for a machine's name where there is to be one; what is left empty is as a new plan has it."""
        data = super().clean() or {}
        if data.get("where") == MACHINE and not data.get("machine") and "machine" not in self.errors:
            self.add_error("machine", gettext("Give the drill machine's name, such as drills-1."))
        if data.get("where") == NODES:
            data["machine"] = ""
        database, node = data.get("database"), data.get("node")
        if database and node and database.folder not in {"", node.repository_folder}:
            self.add_error(
                "database",
                gettext("{node} does not have {database}. Choose its node, or every node.").format(
                    node=node, database=database
                ),
            )
        for name in ("folder", "backup", "check_database", "keep_free", "hours"):
            if data.get(name) in (None, "") and name not in self.errors:
                data[name] = getattr(Drill(), name)
        if f"{data.get('folder') or ''}/".startswith(tuple(self._data_directories())):
            self.add_error(
                "folder", gettext("This is in the data directory of a PostgreSQL. Give a folder outside of it.")
            )
        if data.get("what") != RESTORE:
            data |= {"checks": "", "is_amchecked": False}
        elif data.get("checks"):
            try:
                data["checks"] = "\n".join(str(one) for one in pure.checks(data["checks"]))
            except Unfit as error:
                self.add_error("checks", str(error))
        return data

    def _data_directories(self) -> list[str]:
        """Return the cluster's, with a slash at their end; the script looks for others, also on a drill machine."""
        cluster = self.instance.cluster
        own = cluster.databases.values_list("data_directory", flat=True)
        others = NodeDatabase.objects.filter(node__cluster=cluster).values_list("data_directory", flat=True)
        return [f"{one}/" for one in {*own, *others} if one]
