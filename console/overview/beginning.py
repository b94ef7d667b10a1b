"""The way from an empty organisation to a first backup: each step checked off by what is really there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Subquery
from django.utils.translation import gettext

from clusters.models import Cluster, Database, KnownStanza, Node, Repository
from console.accounts.models import Membership, Organisation
from console.accounts.permissions import ROLES, Permission
from console.cloud_accounts.models import CloudAccount
from stores.models import State, Store


@dataclass(frozen=True)
class Step:
    """One thing that somebody does: whether it is done, and where."""

    key: str
    title: str
    words: str
    done: bool
    view: str = ""  # of what does it
    argument: UUID | None = None
    button: str = ""
    dialog: bool = False
    permission: Permission = Permission.MANAGE_CLUSTERS


@dataclass(frozen=True)
class Path:
    """The steps, in order, for one member."""

    steps: Sequence[Step]
    membership: Membership

    @property
    def done(self) -> int:
        """Return how many are done."""
        return sum(one.done for one in self.steps)

    @property
    def is_done(self) -> bool:
        """Return whether nothing is left to do."""
        return self.done == len(self.steps)

    @property
    def has_cluster(self) -> bool:
        """Return whether there is anything to judge."""
        return any(one.done for one in self.steps if one.key == "cluster")

    @property
    def next(self) -> Step | None:
        """Return the first that is not done."""
        return next((one for one in self.steps if not one.done), None)

    @property
    def may(self) -> bool:
        """Return whether the member may do that one."""
        return self.next is not None and self.next.permission in ROLES[self.membership.role]


def path(membership: Membership) -> Path:
    """Return the path of the member's organisation, in one query."""
    clusters = Cluster.objects.filter(organisation=OuterRef("pk"))
    without = clusters.exclude(Exists(Database.objects.filter(cluster=OuterRef("pk")))).order_by("-created_at")
    silent = clusters.exclude(Exists(Node.objects.filter(cluster=OuterRef("pk"), reported_at__isnull=False)))
    repositories = Repository.objects.filter(organisation=OuterRef("pk"))
    stores = Store.objects.filter(organisation=OuterRef("pk"))
    there: Any = {
        "account": Exists(CloudAccount.objects.filter(organisation=OuterRef("pk"))),
        "store": Exists(stores.exclude(state__in=(State.CREATING, State.FAILED))),
        "cluster": Exists(clusters),
        "database": Exists(Database.objects.filter(cluster__organisation=OuterRef("pk"))),
        "report": Exists(Node.objects.filter(cluster__organisation=OuterRef("pk"), reported_at__isnull=False)),
        "backup": Exists(KnownStanza.objects.filter(repository__organisation=OuterRef("pk"), backup_at__isnull=False)),
        "kit": Exists(repositories.filter(kit_taken_at__isnull=False)),
        "newest": Subquery(clusters.order_by("-created_at").values("pk")[:1]),
        "without": Subquery(without.values("pk")[:1]),
        "silent": Subquery(silent.order_by("-created_at").values("pk")[:1]),
    }
    columns = {f"has_{key}": one for key, one in there.items()}
    rows = Organisation.objects.filter(pk=membership.organisation_id).annotate(**columns)
    found = dict(zip(there, rows.values_list(*columns).get(), strict=True))
    return Path(_steps(found), membership)


def _steps(found: dict[str, Any]) -> list[Step]:
    at = found["newest"]
    return [
        Step(
            "account", gettext("Link a cloud account"),
            gettext("In which the console makes your backup stores."),
            found["account"], "cloud_accounts:link", None, gettext("Link Cloud Account"), True,
            Permission.MANAGE_ACCOUNTS,
        ),
        Step(
            "store", gettext("Create a backup store"),
            gettext("Where the backups are kept: in the region of your nodes, far from them, or both."),
            found["store"], "stores:create", None, gettext("Create Backup Store"), True, Permission.MANAGE_STORES,
        ),
        Step(
            "cluster", gettext("Add a cluster"),
            gettext("Where your PostgreSQL nodes are, and which store they write to."),
            found["cluster"], "clusters:create", None, gettext("New Cluster"),
        ),
        Step(
            "database", gettext("Add a database"),
            gettext("Its name, version, port and data directory: a pgBackRest stanza on each node."),
            found["database"], "clusters:database_add" if at else "", found["without"] or at, gettext("Add Database"),
            True,
        ),
        Step(
            "report", gettext("Run the set-up script on a node"),
            gettext(
                "The node's page hands it out, and shows the commands to run after it. The node reports when it has it."
            ),
            found["report"], "clusters:detail" if at else "", found["silent"] or at, gettext("Open the cluster"),
        ),
        Step(
            "backup", gettext("First backup seen"),
            gettext(
                "Run the first full backup on the node, then press Look now; the schedule makes the ones "
                "after it."
            ),
            found["backup"], "clusters:detail" if at else "", at, gettext("Open the cluster"),
        ),
        Step(
            "kit", gettext("Save the recovery kit"),
            gettext(
                "What restores the backups without this console. Keep it where you find it when the "
                "console is gone."
            ),
            found["kit"], "clusters:kit" if at else "", at, gettext("Recovery Kit"), False, Permission.SEE_SECRETS,
        ),
    ]  # fmt: skip
