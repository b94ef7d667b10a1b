"""The stores that clusters are attached to, the repositories in them, and what was seen there."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy

from console.accounts.encryption import EncryptedJSONField
from console.accounts.models import Membership, Organisation
from console.operations.snapshots import Snapshot
from stores.models import Store

REPLACEMENT = re.compile(r"r\d+/")  # the folder of a repository that has replaced another; nodes are called nN
REPOSITORIES_AT_MOST = 256  # pgBackRest's repoN: "key must be between 1 and 256"


def new_passphrase() -> dict[str, str]:
    """Return the secrets of a new repository: 64 random characters that pgBackRest encrypts it with."""
    return {"cipher_pass": secrets.token_urlsafe(48)}


class RepositoryQuerySet(models.QuerySet):  # type: ignore[type-arg]
    def visible_to(self, membership: Membership | None) -> Self:
        """Return the repositories of the member's organisation; none for nobody."""
        return self.filter(organisation=membership.organisation_id) if membership else self.none()

    def with_inventory(self) -> Self:
        """Return the repositories with their stores, what was last seen in them and what was ever, by number."""
        return self.select_related("store", "inventory").prefetch_related("known_stanzas").order_by("number")

    def in_use(self) -> Self:
        """Return the repositories whose store is attached to their cluster, or on its way."""
        return self.exclude(attachment=None)

    def retained(self) -> Self:
        """Return those that no cluster uses any more: of a store that was detached, or of a cluster that is deleted."""
        return self.filter(attachment=None)


class Repository(models.Model):
    """The number under which pgBackRest knows a store in a cluster, and what its backups there are encrypted with.

    Nodes that still have an old configuration must not find another store behind a number, and a passphrase is kept as
    long as anything that it opens: so the row outlives the attachment, the cluster and even the store.
    """

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    cluster = models.ForeignKey("clusters.Cluster", models.SET_NULL, null=True, related_name="repositories")
    cluster_name = models.CharField(max_length=60)  # for people, once the cluster is gone
    # The cluster's folder in the store; of one that has replaced another, the folder rN in that.
    prefix = models.CharField(max_length=20)
    store = models.ForeignKey(Store, models.SET_NULL, null=True, related_name="+")
    # For people, once the store is gone.
    store_name = models.CharField(max_length=60, blank=True)
    bucket = models.CharField(max_length=63, blank=True)
    region = models.CharField(max_length=40, blank=True)
    number = models.PositiveSmallIntegerField()
    secrets = EncryptedJSONField(default=dict)  # a row gets its passphrase when it is made, and never another one
    detached_at = models.DateTimeField(null=True, editable=False)  # null while it is in use
    kit_taken_at = models.DateTimeField(null=True, editable=False)  # when somebody last took its recovery kit
    # When a worker last saw that nothing is below its folder, no older version either; null since it saw anything.
    empty_at = models.DateTimeField(null=True, editable=False)
    # Of one that somebody had made before: {"path": where in the bucket, without slashes at its ends, "" for the whole
    # bucket; "stanzas": those in it that are the cluster's; "added": those of them that came later; "kept": [option
    # without repoN-, value], as its file had them}. Null: it is in the cluster's folder, and made as the console makes
    # them.
    brought: Any = models.JSONField(null=True, editable=False)

    objects = RepositoryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "repositories"
        constraints = [
            models.UniqueConstraint(fields=["cluster", "number"], name="one_repository_per_number"),
            models.CheckConstraint(
                condition=Q(number__gte=1, number__lte=REPOSITORIES_AT_MOST), name="a_repository_is_numbered_1_to_256"
            ),
        ]

    def __str__(self) -> str:
        return f"repo{self.number}"

    def save(self, *args: Any, **options: Any) -> None:
        """Save it; a new one gets its passphrase, and what is to be known of its cluster when that is gone."""
        if self._state.adding and self.cluster:
            self.secrets = self.secrets or new_passphrase()
            self.organisation_id = self.cluster.organisation_id
            self.cluster_name, self.prefix = self.cluster.name, self.prefix or self.cluster.prefix
        if self._state.adding and self.store:
            self.store_name, self.bucket, self.region = self.store.name, self.store.bucket, self.store.region
        super().save(*args, **options)

    @property
    def title(self) -> str:
        """Return what tells it from all others of the organisation."""
        return f"{self.cluster_name} repo{self.number} in {self.store_name}, {self.folder}"

    @property
    def folder(self) -> str:
        """Return where in its store it is; each node has its own folder below, but in one that was brought in."""
        return f"/{self.prefix if self.brought is None else self.brought['path']}"

    def place_of(self, node: str) -> str:
        """Return where in its store a node's stanzas are, without slashes at its ends; "" is the whole bucket."""
        return f"{self.prefix}/{node}" if self.brought is None else str(self.brought["path"])

    @property
    def cluster_prefix(self) -> str:
        """Return the cluster's folder in the store, in which the permissions of its nodes end."""
        return self.prefix.partition("/")[0]

    @property
    def replacements(self) -> QuerySet[Repository]:
        """Return those that have replaced it: their folders are in its own, and no command may take them for its."""
        return Repository.objects.filter(bucket=self.bucket, prefix__startswith=f"{self.prefix}/")

    def holds(self, key: str) -> bool:
        """Return whether an object below its folder is its own, and not of a repository that has replaced it."""
        return self.brought is not None or REPLACEMENT.match(key.removeprefix(f"{self.prefix}/")) is None

    def is_same_place(self, path: str, stanzas: Iterable[str]) -> bool:
        """Return whether it was brought in from that path of its store, with any of these stanzas."""
        return (
            self.brought is not None and self.brought["path"] == path and bool({*self.brought["stanzas"]} & {*stanzas})
        )

    @property
    def brought_again(self) -> Repository | None:
        """Return the repository of a cluster that was brought in from the same place since; None without one."""
        if self.brought is None or self.store_id is None:
            return None
        others = Repository.objects.filter(store=self.store_id, cluster__isnull=False).exclude(pk=self.pk)
        path, stanzas = self.brought["path"], self.brought["stanzas"]
        return next((one for one in others.exclude(brought__isnull=True) if one.is_same_place(path, stanzas)), None)

    @property
    def is_retention_unknown(self) -> bool:
        """Return whether its machine expires by something that nobody has told the console."""
        guessed = self.brought is not None and self.brought.get("guessed", False)
        return guessed and self.cluster is not None and self.cluster.is_watched_only

    @property
    def own_retention(self) -> str:
        """Return how one that was brought in expires, where that is as its file had it; "" where the policy says."""
        own = self.brought.get("retention") if self.brought else None
        if own is None:
            return ""
        if self.is_retention_unknown:
            return "not known, since no file told it"
        said = [f"retention-{name}={value}" for name, value in own.items()]
        return ", ".join(said if "full" in own else ["no full backup expires by itself", *said])

    @property
    def reached(self) -> dict[str, str]:
        """Return where it is beside its cluster's folder, as AccessSpec.kept has it."""
        return {} if self.brought is None else {self.bucket: str(self.brought["path"])}

    @property
    def folders(self) -> list[str]:
        """Return the folders of which all is its own, each with a slash at its end; of one brought in, its stanzas'."""
        if self.brought is None:
            return [f"{self.prefix}/"]
        base = f"{self.brought['path']}/" if self.brought["path"] else ""
        return [f"{base}{part}/{one}/" for one in self.brought["stanzas"] for part in ("archive", "backup")]

    @property
    def passphrase(self) -> str:
        """Return what pgBackRest encrypts it with (repoN-cipher-pass)."""
        return str(self.secrets.get("cipher_pass", ""))

    @property
    def newest_backup_at(self) -> datetime | None:
        """Return when the newest backup that was seen in it was complete."""
        inventory = getattr(self, "inventory", None)
        stanza_states = inventory.content if inventory else []
        stopped = [backup["stopped"] for stanza_state in stanza_states for backup in stanza_state["backups"]]
        return datetime.fromtimestamp(max(stopped), UTC) if stopped else None


class KnownStanzaManager(models.Manager["KnownStanza"]):
    """Leaves out what only the evidence of a period needs: it would be read with each page of a cluster."""

    def get_queryset(self) -> QuerySet[KnownStanza]:
        return super().get_queryset().defer("made")


class KnownStanza(models.Model):
    """A stanza of a node in a repository as the console has known it: how it was set up, and what was ever seen of it.

    Node and stanza are names, because the row outlives node, database and cluster.
    """

    repository = models.ForeignKey(Repository, models.CASCADE, related_name="known_stanzas")
    node = models.CharField(max_length=100)
    name = models.CharField(max_length=100)
    # As the cluster last had the database; nothing for a stanza that was only seen in the store.
    postgresql = models.CharField(max_length=4, blank=True)  # major version
    data_directory = models.CharField(max_length=200, blank=True)
    port = models.PositiveIntegerField(null=True)
    region = models.CharField(max_length=40, blank=True)  # of the node
    system_id = models.CharField(max_length=20, blank=True)  # as the node last reported
    # What was seen (clusters.repositories.memory): the backups that were there at the last look, by label; those that
    # are gone and had not expired; and how large it was, a row for each day.
    backups: Any = models.JSONField(default=dict)
    lost: Any = models.JSONField(default=list)
    lost_since = models.DateTimeField(null=True)  # null while nothing is lost
    retentions: Any = models.JSONField(default=list)  # that the node may expire by: what was in force, since when
    sizes: Any = models.JSONField(default=list)
    versions: Any = models.JSONField(default=dict)  # what the store's versions still hold of what is lost
    backup_at = models.DateTimeField(null=True)  # when the newest backup that was ever seen was complete
    wal_at = models.DateTimeField(null=True)  # when the newest WAL segment came
    seen_at = models.DateTimeField(null=True)  # the last look at which there was anything
    # All that were ever seen, also those that have expired, oldest first: label, seconds since 1970 at which each was
    # complete, seconds that it took, bytes that it added. Null until the first new one is seen.
    made: Any = models.JSONField(null=True)

    objects = KnownStanzaManager()

    class Meta:
        ordering = ["node", "name"]
        constraints = [
            models.UniqueConstraint(fields=["repository", "node", "name"], name="one_known_stanza_per_node_and_name")
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.node}"


class Attachment(models.Model):
    """A store in use by a cluster; the database refuses one of another account, or of a store that is not available."""

    class State(models.TextChoices):
        ATTACHING = "attaching", gettext_lazy("Attaching")
        ATTACHED = "attached", gettext_lazy("Attached")
        DETACHING = "detaching", gettext_lazy("Detaching")

    cluster = models.ForeignKey("clusters.Cluster", models.CASCADE, related_name="attachments")
    store = models.ForeignKey(Store, models.PROTECT, related_name="attachments")
    repository = models.OneToOneField(Repository, models.PROTECT)
    state = models.CharField(max_length=20, choices=State, default=State.ATTACHING)
    attached_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "attachment to cluster"
        constraints = [
            models.UniqueConstraint(fields=["cluster", "store"], name="a_store_is_attached_once"),
            models.CheckConstraint(
                condition=Q(state__in=("attaching", "attached", "detaching")),
                name="an_attachment_is_in_a_known_state",
            ),
        ]

    def __str__(self) -> str:
        return self.cluster.name

    def get_absolute_url(self) -> str:
        return self.cluster.get_absolute_url()


class Inventory(Snapshot):
    """What was last seen in a repository: stanzas, as clusters.pgbackrest.repository.as_json keeps them."""

    LABEL: ClassVar = "inventory"

    repository = models.OneToOneField(Repository, models.CASCADE)
    # The last look at all that is there; those since were at what changes day by day. Null: the next one is at all.
    full_at = models.DateTimeField(null=True)

    expected: Any = ()  # which backups are to come, for the look that is being made (clusters.repositories.pace)

    class Meta:
        verbose_name_plural = "inventories"

    def __str__(self) -> str:
        return f"inventory of {self.repository}"

    @cached_property
    def versions(self) -> dict[tuple[str, str], Any]:
        """Return what a look has found of lost backups' versions, by node and stanza: on its way to be kept."""
        return {}
