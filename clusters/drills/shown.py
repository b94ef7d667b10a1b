"""What pages show of drills: what is proved of each database in each store, and what each plan does next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext

from clusters.drills.machines import MachineSetup
from clusters.drills.proofs import Tries, proofs
from clusters.models import Cluster, Drill
from clusters.node_setup import NodeSetup
from clusters.pgbackrest.schedules import in_words


@dataclass(frozen=True)
class ProofRow:
    """One database of a node in one store, and what is proved of it."""

    node: str
    database: str
    store: str
    number: int
    proof: Tries
    is_overdue: bool

    @property
    def css(self) -> str:
        """Return the class of its badge."""
        if self.proof.failed_words:
            return "failed"
        if self.is_overdue or not self.proof.last_success or self.proof.lost_at:
            return "degraded"
        return "available"

    @property
    def badge(self) -> str:
        """Return what is to be said of it, in a word or two."""
        if self.proof.failed_words:
            return "Failed"
        if self.proof.lost_at:
            return gettext("No word")
        if not self.proof.last_success:
            return gettext("Never tried")
        return "Overdue" if self.is_overdue else "Proved"


def rows(cluster: Cluster, setups: Iterable[NodeSetup]) -> list[ProofRow]:
    """Return what is proved of each database in each store that it is backed up to."""
    proved, now = proofs(cluster), timezone.now()
    limit = timedelta(days=cluster.proof_days) if cluster.proof_days else None
    found = []
    for setup in setups:
        if setup.hosts[0].pk != setup.node.pk:
            continue
        for one in setup.attachments:
            folder = setup.node.repository_folder
            for database in cluster.databases_in(folder):
                proof = proved.get((one.repository_id, folder, database.name), Tries())
                last = proof.last_success
                overdue = bool(limit and (last is None or now - last > limit))
                found.append(ProofRow(folder, database.name, one.store.name, one.repository.number, proof, overdue))
    return found


@dataclass(frozen=True)
class PlanView:
    """A plan with what is shown of it."""

    drill: Drill
    words: str  # its schedule's
    commands: list[str]  # that do it by hand
    machine: MachineSetup | None = None


def plan_views(cluster: Cluster, setups: Iterable[NodeSetup]) -> list[PlanView]:
    """Return the cluster's plans."""
    by_hand: dict[int, list[str]] = {}
    for setup in setups:
        for plan, command in setup.try_now:
            if command not in by_hand.setdefault(plan, []):
                by_hand[plan].append(command)
    databases = {one.pk: one for one in cluster.databases.all()}
    nodes = {one.pk: one for one in cluster.nodes.all()}
    found = []
    for one in cluster.drills.all():
        one.cluster = cluster
        if one.database_id:
            one.database = databases[one.database_id]
        if one.node_id:
            one.node = nodes[one.node_id]
        machine = MachineSetup(cluster, one) if one.machine else None
        commands = [machine.run_now] if machine else by_hand.get(one.pk, [])
        found.append(PlanView(one, in_words(one.schedule), commands, machine))
    return found
