"""Which nodes an enrolment is for, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy

from clusters.models import Cluster, Node
from clusters.validators import validate_host
from console.accounts.models import Membership
from console.web.natural import Natural

NODES_AT_MOST = 3000
HOURS = [
    ("1", gettext_lazy("an hour")),
    ("4", gettext_lazy("four hours")),
    ("8", gettext_lazy("eight hours")),
    ("24", gettext_lazy("a day")),
]
WHOSE = [("new", gettext_lazy("those that have never reported")), ("all", gettext_lazy("all of them"))]


class EnrolmentForm(forms.Form):
    """Clusters of the organisation, which of their nodes, how long, and which machine is which node."""

    clusters: forms.ModelMultipleChoiceField[Cluster] = forms.ModelMultipleChoiceField(
        Cluster.objects.none(),
        error_messages={
            "required": gettext_lazy("Choose at least one cluster."),
            "invalid_choice": gettext_lazy("There is no such cluster here."),
        },
    )
    whose = forms.ChoiceField(label=gettext_lazy("Nodes"), choices=WHOSE, initial="new")
    hours = forms.ChoiceField(label=gettext_lazy("Good for"), choices=HOURS, initial="4")
    machines = forms.CharField(
        label=gettext_lazy("Machines"),
        required=False,
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text=(
            gettext_lazy(
                "Only these, and which node each is: a host name, a space, n1 or orders-7q4t/n1; one a line. Without "
                "any, a machine is found by the node's address, or says which node it is."
            )
        ),
    )

    def __init__(self, data: Any = None, *, membership: Membership, **options: Any) -> None:
        super().__init__(data, **options)
        offered = Cluster.objects.visible_to(membership).order_by(Natural("name"))
        cast("forms.ModelMultipleChoiceField[Cluster]", self.fields["clusters"]).queryset = offered
        self.nodes: list[Node] = []
        self.hostnames: dict[int, str] = {}  # by the node's key

    def clean(self) -> dict[str, Any]:
        """Find the nodes, and those that the machines' lines name; without any there is nothing to enrol."""
        data = super().clean() or {}
        if self.errors:
            return data
        rows = Node.objects.filter(cluster__in=data["clusters"]).select_related("cluster")
        if data["whose"] == "new":
            rows = rows.filter(reported_at=None)
        found = list(rows.order_by(Natural("cluster__name"), "pk")[: NODES_AT_MOST + 1])
        if not found:
            self.add_error(
                "whose", gettext("All nodes of these clusters have reported. Choose all, to set them up anew.")
            )
        elif len(found) > NODES_AT_MOST:
            self.add_error(
                "clusters",
                gettext("An enrolment is for at most {nodes_at_most} nodes. Choose fewer clusters.").format(
                    nodes_at_most=NODES_AT_MOST
                ),
            )
        else:
            self.nodes = found
            try:
                self._read_machines(data["machines"])
            except ValidationError as error:
                self.add_error("machines", error)
        return data

    def _read_machines(self, text: str) -> None:
        """Take the lines `host name, node`; with any, the enrolment is for those nodes alone."""
        by_name = _by_name(self.nodes)
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2:
                raise ValidationError(
                    gettext("Line {number}: write a host name, a space, and the name of a node.").format(number=number)
                )
            hostname, name = words[0].lower(), words[1]
            try:
                validate_host(hostname)
            except ValidationError as error:
                raise ValidationError(
                    gettext("Line {number}: {messages}").format(number=number, messages=" ".join(error.messages))
                ) from error
            nodes = by_name.get(name, [])
            if len(nodes) != 1:
                several = " or ".join(f"{one.cluster.called}/{one.name}" for one in nodes[:3])
                why = f"could be {several}" if nodes else "is none of the chosen nodes"
                raise ValidationError(gettext("Line {number}: {name} {why}.").format(number=number, name=name, why=why))
            if nodes[0].pk in self.hostnames or hostname in self.hostnames.values():
                raise ValidationError(
                    gettext("Line {number}: {hostname} or {name} stands in an earlier line already.").format(
                        number=number, hostname=hostname, name=name
                    )
                )
            self.hostnames[nodes[0].pk] = hostname
        if self.hostnames:
            self.nodes = [one for one in self.nodes if one.pk in self.hostnames]


def _by_name(nodes: list[Node]) -> Mapping[str, list[Node]]:
    """Return the nodes by each name that tells them: n1, and orders-7q4t/n1."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        for name in (node.name, f"{node.cluster.called}/{node.name}"):
            found.setdefault(name, []).append(node)
    return found
