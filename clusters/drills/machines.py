"""What a drill machine is handed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

from django.conf import settings

from clusters.drills import plans
from clusters.handover.drill_machine import DrillMachine
from clusters.models import Cluster, Drill
from clusters.node_setup import NodeSetup, databases_of, node_setups
from clusters.pgbackrest.configuration import StanzaConfiguration, Target
from clusters.pgbackrest.drill import Drills, Job, command
from clusters.pgbackrest.layout import Layout


def _digest(drills: Drills) -> str:
    """Return what changes with a key or a passphrase, so that a machine with former ones is known for it."""
    files = [file.content for _, targets in drills.folders for one in targets for file in one.repository.files]
    known = "\n".join((*(one.content for one in drills.configurations()), *files))
    return hashlib.sha256(known.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class MachineSetup:
    """One plan of a drill machine, with what that needs; `cluster` is with_node_setup()."""

    cluster: Cluster
    drill: Drill

    @property
    def layout(self) -> Layout:
        """Return where its files are: beside those of the cluster's nodes, should it be one of them."""
        return Layout(f"{self.cluster.called}-drill-{self.drill.pk}", prefix=self.cluster.prefix)

    @cached_property
    def _sources(self) -> list[NodeSetup]:
        """Return the nodes whose backups it tries, the first host of each replication."""
        return [
            one
            for one in node_setups(self.cluster)
            if one.hosts[0].pk == one.node.pk and (self.drill.node_id in (None, one.node.pk)) and one.attachments
        ]

    @cached_property
    def drills(self) -> Drills:
        """Return what it does."""
        names = {one.pk: one.name for one in self.cluster.databases.all()}
        jobs: list[Job] = []
        folders: list[tuple[str, list[Target]]] = []
        for one in self._sources:
            folder, targets = one.node.repository_folder, list(one.configuration.targets)
            numbers = [target.number for target in targets]
            jobs += plans.jobs(self.drill, folder, databases_of(self.cluster, one.node), numbers, names)
            folders.append((folder, targets))
        plan = plans.plan(self.drill, jobs)
        return Drills([replace(plan, reads=_digest(Drills([plan], folders, self.layout)))], folders, self.layout)

    @property
    def missing(self) -> str:
        """Return what has to be there before it can try anything, in a sentence; "" when all is."""
        if self.drills.plans[0].jobs:
            return ""
        return f"{self.cluster.name} has nothing to try yet: give it a store and a database first."

    @property
    def lacks(self) -> list[str]:
        """Return what the machine must have beside the script, in sentences."""
        found = [one.repository for _, targets in self.drills.folders for one in targets]
        said = dict.fromkeys(one.lacks for one in found if one.lacks)
        if any(
            one.brought_key and not one.files and not one.secret & {name for name, _ in one.options} for one in found
        ):
            said["The nodes sign in as their machines: give this machine the cluster's role or identity, too."] = None
        return list(said)

    @property
    def run_now(self) -> str:
        """Return the command that does it by hand."""
        return self.layout.as_user(command(self.layout, self.drill.pk))

    @property
    def script_name(self) -> str:
        """Return what its set-up script is called where it is downloaded."""
        return self.layout.script(self.drill.machine.lower())

    @property
    def is_outdated(self) -> bool:
        """Return whether the machine has said that it has another plan than this."""
        return bool(self.drill.applied_digest) and self.drill.applied_digest != self.drills.plans[0].digest

    def script(self, address: str) -> str:
        """Return the script that sets the machine up, which reports at that address; it holds secrets."""
        stanzas: list[StanzaConfiguration] = [
            one for each in self._sources for one in databases_of(self.cluster, each.node)
        ]
        return DrillMachine(
            self.cluster.name,
            self.drill.machine,
            self.drills,
            stanzas,
            address,
            self.drill.secrets["report_token"],
            settings.PUBLIC_CA,
        ).script()
