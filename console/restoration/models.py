"""What the console knows of itself as a copy: since when it is compared with what is there, and what is settled."""

from __future__ import annotations

from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from console.accounts.encryption import EncryptedJSONField
from console.accounts.models import Organisation, OwnedQuerySet, User
from console.accounts.personal_data import KEPT, Kept
from console.operations.snapshots import Snapshot, SnapshotQuerySet

KEPT.append(Kept("comparisons ended", "restoration.Restoration", "ended_by", ("ended_at",)))
KEPT.append(Kept("findings settled", "restoration.Decision", "by", ("at",)))
KEPT.append(Kept("nodes' files brought", "restoration.NodeFile", "by", ("at",)))


class Generation(models.Model):
    """One row: a number that grows while the console works, which the broker remembers as well."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    generation = models.BigIntegerField(default=0)
    marked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return str(self.pk)


class RestorationQuerySet(OwnedQuerySet):
    def open(self) -> Self:
        """Return those of organisations that are still compared with what is there."""
        return self.filter(ended_at=None)


class Restoration(models.Model):
    """That the database was restored from a copy, for one organisation, until all that differs is settled."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="restorations")
    copied_at = models.DateTimeField(null=True)  # what the copy knew last; null: nothing
    begun_at = models.DateTimeField(default=timezone.now)
    found_by = models.CharField(max_length=200)  # in words
    applied: Any = models.JSONField(
        default=dict
    )  # by node's key: the digest of the file that it had, as the copy has it
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")

    objects = RestorationQuerySet.as_manager()

    class Meta:
        verbose_name = "restoration from a copy"
        verbose_name_plural = "restorations from copies"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation"], condition=Q(ended_at=None), name="one_open_restoration_per_organisation"
            )
        ]

    def __str__(self) -> str:
        return f"{self.organisation}, from a copy of {self.copied_at:%Y-%m-%d %H:%M}" if self.copied_at else "a copy"


class Decision(models.Model):
    """What somebody has said of one thing that was found."""

    restoration = models.ForeignKey(Restoration, models.CASCADE, related_name="decisions")
    key = models.CharField(max_length=200)  # of the finding
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    by_name = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["restoration", "key"], name="one_decision_per_finding")]

    def __str__(self) -> str:
        return self.key


class RefusedReport(models.Model):
    """That somebody reported, while copies are compared, as a node of which this console knows no such token.

    Anybody can send one, so it says nothing but that.
    """

    AT_MOST: ClassVar = 500

    cluster = models.UUIDField()
    node = models.CharField(max_length=10)
    first_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "node"], name="one_refused_report_per_node")]

    def __str__(self) -> str:
        return f"{self.node} of {self.cluster}"


class FolderScan(Snapshot):
    """The clusters' folders that were seen in a store, by their names."""

    LABEL: ClassVar = "folders"

    store = models.OneToOneField("stores.Store", models.CASCADE, related_name="folder_scan")

    def __str__(self) -> str:
        return f"folders of {self.store}"


class NodeFileQuerySet(OwnedQuerySet, SnapshotQuerySet):  # type: ignore[override]
    pass


class NodeFile(Snapshot):
    """A pgbackrest.conf that somebody brought from a node, while a worker tries what its passphrases open."""

    LABEL: ClassVar = "node_file"

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    cloud_account = models.ForeignKey("cloud_accounts.CloudAccount", models.CASCADE, related_name="+")
    node = models.CharField(max_length=10)  # as the file names it
    cluster_name = models.CharField(max_length=60)  # that the cluster gets if it is not known
    entered = EncryptedJSONField(default=dict)  # the text; nothing once it is taken
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    taken_at = models.DateTimeField(null=True)

    objects = NodeFileQuerySet.as_manager()  # type: ignore[assignment,misc]

    def __str__(self) -> str:
        return f"file of {self.node} of {self.cluster_name}"


def is_open(organisation: UUID) -> bool:
    """Return whether the organisation is still compared with what is there."""
    return Restoration.objects.open().filter(organisation=organisation).exists()


def of_row(path: str) -> Exists:
    """Return the condition that a row's organisation, which `path` leads to, is still compared."""
    return Exists(Restoration.objects.open().filter(organisation=OuterRef(path)))


def refusal(organisation: UUID, verb: str = "", *, is_new: bool = False) -> str:
    """Return why the verb has to wait, and for what; "" when it need not. `is_new` says that nothing is there yet."""
    if verb == "repair" or (verb in {"create", "bring"} and is_new) or not is_open(organisation):
        return ""
    return (
        "The console was restored from a copy, and what was done since is not all known here: this could take away "
        "what somebody needs, or give a number or a name twice. Settle what was found first (Restored from a Copy)."
    )
