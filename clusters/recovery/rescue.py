"""What the page that recovers deleted backups shows of a repository: its stanzas, the time, and what to run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from uuid import UUID

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from clusters.handover.schedule_files import backup_command
from clusters.models import Database, KnownStanza, Node, RecoveryIdentity, Repository
from clusters.pgbackrest import rescue
from clusters.pgbackrest.configuration import Target
from clusters.pgbackrest.grammar import STANZA
from clusters.pgbackrest.layout import Layout, called
from console.accounts import activity
from console.accounts.models import User
from console.clouds.contract import Document
from console.clouds.specs import AccessSpec
from stores.models import Store


@dataclass(frozen=True)
class Place:
    """A stanza of a node that is or was in the repository."""

    node: str
    stanza: str
    postgresql: str = ""
    data_directory: str = ""
    pgbackrest: str = ""  # as the node reported or somebody chose; "" when that is not known
    user: str = "postgres"  # of the operating system

    @property
    def key(self) -> str:
        """Return how forms name it."""
        return f"{self.node}/{self.stanza}"

    def __str__(self) -> str:
        return f"{self.stanza} on {self.node}"


def places(repository: Repository) -> list[Place]:
    """Return what is or was in the repository, sorted: by the last look, the cluster, and the console's memory.

    Without names that are none of ours: folders in a store are named by whoever has the node's key, and these names go
    into commands.
    """
    found: dict[tuple[str, str], Place] = {}
    inventory = getattr(repository, "inventory", None)
    for state in inventory.content if inventory else []:
        found[state["node"], state["stanza"]] = Place(state["node"], state["stanza"])
    nodes = {one.repository_folder: one for one in Node.objects.filter(cluster=repository.cluster_id).order_by("-pk")}
    for database in Database.objects.filter(cluster=repository.cluster_id):
        for name in nodes:
            found[name, database.name] = Place(name, database.name, database.version, database.data_directory)
    for known in KnownStanza.objects.filter(repository=repository):
        if known.postgresql or (known.node, known.name) not in found:
            found[known.node, known.name] = Place(known.node, known.name, known.postgresql, known.data_directory)
    return [
        replace(one, **_of_machine(nodes.get(one.node)))
        for _, one in sorted(found.items())
        if STANZA.fullmatch(one.node) and STANZA.fullmatch(one.stanza)
    ]


def _of_machine(node: Node | None) -> dict[str, str]:
    return {"pgbackrest": node.applied_version or node.pgbackrest_version, "user": node.os_user} if node else {}


def last_seen_whole(repository: Repository) -> datetime | None:
    """Return the last look at which all was there, in UTC; None when the console remembers none."""
    known = list(KnownStanza.objects.filter(repository=repository))
    lost = [parse_datetime(str(one["seen_at"])) for row in known for one in row.lost]
    found = [at for at in lost if at] or [row.seen_at for row in known if row.seen_at]
    return max((at.astimezone(UTC) for at in found), default=None)


def window(store: Store) -> tuple[datetime, datetime]:
    """Return the times between which the store still has what there was: since when, and now."""
    now = timezone.now()
    return now - timedelta(days=store.versions_days or 0), now


def planned(repository: Repository, store: Store) -> AccessSpec:
    """Return an identity that is not there yet, for what it would be allowed."""
    return AccessSpec(
        id=UUID(int=0),
        name=repository.cluster_name,
        account=store.cloud_account.credentials(),
        prefix=repository.cluster_prefix,
        buckets=(store.bucket,),
        reads_until=timezone.now(),
        kept=repository.reached,
    )


@dataclass(frozen=True)
class Recovering:
    """One stanza of the repository at one time, with all that the page hands out for it."""

    repository: Repository
    store: Store
    place: Place
    at: datetime
    identity: RecoveryIdentity | None

    @property
    def has_versions(self) -> bool:
        """Return whether pgBackRest can read what was deleted."""
        return self.store.cloud.recovery.has_versions(self.store.spec())

    @property
    def is_ready(self) -> bool:
        """Return whether there is an identity with which it can be read now."""
        return self.has_versions and self.identity is not None and self.identity.is_ready

    @cached_property
    def folder(self) -> str:
        """Return what is brought back as a whole: the repository, or the node's part where another one is inside."""
        own = self.repository.folder.lstrip("/")
        return f"{own}/{self.place.node}" if self.repository.replacements.exists() else own

    @cached_property
    def rescue(self) -> rescue.Rescue:
        """Return the configuration and the commands that read the repository as it was."""
        spec = self.store.spec()
        access = self.identity.spec() if self.identity else planned(self.repository, self.store)
        target = Target(
            number=self.repository.number,
            store=f"{self.store.name}, {self.store.region}",
            path=f"/{self.repository.place_of(self.place.node)}",
            repository=self.store.cloud.access.repository(spec, access),
            cipher_pass=self.repository.passphrase,
            retention_type="time",
            retention_full=1,
            retention_diff=None,
            folder=rescue.FOLDER,
        )
        place = self.place
        return rescue.Rescue(
            self.repository.cluster_name,
            place.node,
            place.stanza,
            target,
            self.at,
            place.postgresql,
            place.data_directory,
        )

    @property
    def run_setup(self) -> str:
        """Return the command that runs the set-up script where it was downloaded."""
        return f"sudo sh {self.setup_name}"

    @property
    def setup_name(self) -> str:
        """Return the name of the set-up script."""
        return f"{self.place.node}-{self.place.stanza}-recover.sh"

    @property
    def masked(self) -> str:
        """Return the configuration with each secret hidden."""
        return self.rescue.configuration(secrets=False)

    @property
    def full_backup(self) -> str:
        """Return the command that makes a full backup, as it stands in the schedule."""
        layout = Layout(called(self.repository.cluster_name, self.repository.prefix), self.place.user)
        return layout.as_user(backup_command(self.place.stanza, "full", self.repository.number, layout))

    @property
    def machine(self) -> str:
        """Return on which machine pgBackRest runs, in sentences."""
        place, whole_from = self.place, self.store.cloud.recovery.whole_from
        return rescue.machine_words(place.node, place.pgbackrest, postgresql=place.postgresql, whole_from=whole_from)

    @property
    def undelete(self) -> Document:
        """Return the script that brings the cluster's folder back, for an administrator."""
        return self.store.cloud.recovery.undelete(self.store.spec(), self.folder, self.at)

    @property
    def deleters(self) -> str:
        """Return the commands that say who deleted; "" where there are no logs."""
        return self.store.cloud.recovery.deleters(self.store.spec(), self.folder)


def hand_out(recovering: Recovering, *, by: User | None) -> str:
    """Return the set-up script with the identity's secrets, and note who was shown it."""
    repository = recovering.repository
    after = {"cluster": repository.cluster_name, "store": recovering.store.name, "time": recovering.rescue.time}
    said = "Was shown the recovery set-up script with its secrets"
    activity.record(said, repository, organisation=repository.organisation, by=by, after=after)
    return recovering.rescue.setup()
