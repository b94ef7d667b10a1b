"""The form of a node's machine: whose packages it has, as whom PostgreSQL runs, and in what its databases differ."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext

from clusters.models import Database, Node, NodeDatabase
from clusters.models.node import PORT
from clusters.pgbackrest.grammar import Unfit, data_directory, unit

FIELDS = forms.fields_for_model(NodeDatabase, ("data_directory", "port", "service"))
FIELDS["port"].validators += PORT  # the model's own are asked of a model alone
PARTS = tuple(FIELDS)


@dataclass(frozen=True)
class Row:
    """A database in the form, with its three fields."""

    database: Database
    data_directory: forms.BoundField
    port: forms.BoundField
    service: forms.BoundField


class MachineForm(forms.ModelForm):  # type: ignore[type-arg]
    """What the console is told of a node's machine; for each database NAME.data_directory, NAME.port, NAME.service."""

    class Meta:
        model = Node
        fields = ["system", "os_user"]

    def __init__(self, data: Any = None, *, node: Node, databases: list[Database]) -> None:
        super().__init__(data, instance=node)
        self.databases = databases
        there = {one.database_id: one for one in node.differences.all()}
        for one in databases:
            for part in PARTS:
                field = copy.deepcopy(FIELDS[part])
                field.initial = getattr(there.get(one.pk), part, None)
                self.fields[f"{one.name}.{part}"] = field

    @property
    def rows(self) -> list[Row]:
        """Return the fields of each database."""
        return [Row(one, *(self[f"{one.name}.{part}"] for part in PARTS)) for one in self.databases]

    @property
    def differences(self) -> dict[int, dict[str, Any]]:
        """Return by database what differs, of a form that is right."""
        found = {}
        for one in self.databases:
            given = {part: self.cleaned_data.get(f"{one.name}.{part}") for part in PARTS}
            kept = {part: value for part, value in given.items() if value and value != getattr(one, part, None)}
            if kept:
                found[one.pk] = kept
        return found

    def clean(self) -> dict[str, Any]:
        """Check what goes into files and commands, and that no two databases of the node share a place or a port."""
        data = super().clean() or {}
        for one in self.databases:
            for part, grammar in (("data_directory", data_directory), ("service", unit)):
                name = f"{one.name}.{part}"
                if data.get(name):
                    try:
                        data[name] = grammar(data[name])
                    except Unfit as error:
                        self.add_error(name, str(error))
        for part, words in (("port", "listens on this port of"), ("data_directory", "has this data directory on")):
            self._check_apart(data, part, words)
        return data

    def _check_apart(self, data: dict[str, Any], part: str, words: str) -> None:
        seen: dict[Any, Database] = {}
        for one in self.databases:
            value = data.get(f"{one.name}.{part}") or getattr(one, part)
            if value in seen:
                field = f"{one.name}.{part}" if data.get(f"{one.name}.{part}") else f"{seen[value].name}.{part}"
                other = seen[value] if field.startswith(f"{one.name}.") else one
                self.add_error(
                    field,
                    gettext("{other} {words} {instance}. Give each its own.").format(
                        other=other.name, words=words, instance=self.instance.name
                    ),
                )
            seen[value] = one
