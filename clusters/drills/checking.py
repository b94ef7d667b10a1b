"""Whether a restore was asked what its plan asks: a success that left checks out proves less than it seems to."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from clusters.drills.machines import MachineSetup
from clusters.drills.report import DrillReport
from clusters.models import Cluster, Drill, Node
from clusters.node_setup import node_setups

EARLIER = "It was made by an earlier version of the plan, so that its checks are not compared with those of now."


def current_digest(plan: Drill, node: Node | None) -> str:
    """Return what tells the plan as its machine would be handed it now; "" where it would be handed none."""
    cluster = Cluster.objects.with_node_setup().filter(pk=plan.cluster_id).first()
    if cluster is None:
        return ""
    if plan.machine:
        return MachineSetup(cluster, plan).drills.plans[0].digest
    setup = next((one for one in node_setups(cluster) if node and one.node.pk == node.pk), None)
    drills = setup.configuration.drills if setup else None
    return next((one.digest for one in drills.plans if one.id == plan.pk), "") if drills else ""


def compared(plan: Drill | None, node: Node | None, said: DrillReport) -> dict[str, Any]:
    """Return what there is to keep of the checks that a restore tells of.

    `results` have the SQL only where it is the one that was asked; `doubt` says what is missing, and `note` that
    nobody can tell. Of an earlier version of the plan the console does not know the checks.
    """
    results = [asdict(one) | {"sql": ""} for one in said.results]
    if said.what == Drill.What.VERIFY:
        return {"results": results, "doubt": "", "note": ""}
    if plan is None or not said.digest or said.digest != current_digest(plan, node):
        return {"results": results, "doubt": "", "note": EARLIER}
    wanted = plan.check_list
    for one in results:
        if one["number"] <= len(wanted):
            one["sql"] = wanted[one["number"] - 1].sql
    return {"results": results, "doubt": _missing(plan, said, len(wanted)), "note": ""}


def _missing(plan: Drill, said: DrillReport, wanted: int) -> str:
    """Return which of the plan's checks it does not tell of, in a sentence; "" where it tells of each, once."""
    numbers = sorted(one.number for one in said.results)
    if numbers != list(range(1, wanted + 1)):
        told = ", ".join(map(str, numbers)) or "none"
        return f"the plan has {wanted} check{'' if wanted == 1 else 's'}, and it tells of these: {told}."
    if plan.is_amchecked and said.amcheck not in {"passed", "absent"}:
        return "the plan asks for pg_amcheck, and it says nothing of that."
    return ""
