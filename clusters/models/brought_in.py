"""What was brought in from a configuration that somebody had made by hand, until its node has the console's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from console.accounts.encryption import EncryptedJSONField
from console.accounts.models import Organisation, OwnedQuerySet, User
from console.accounts.personal_data import KEPT, Kept
from console.operations.snapshots import Snapshot, SnapshotQuerySet

KEPT.append(Kept("repositories being brought in", "clusters.Bringing", "by", ("begun_at",)))


class BroughtIn(models.Model):
    """That a cluster's repositories were there before it: the console watches them until the hand-over has begun."""

    cluster = models.OneToOneField("clusters.Cluster", models.CASCADE, related_name="brought_in")
    at = models.DateTimeField(default=timezone.now)
    handed_over_at = models.DateTimeField(
        null=True
    )  # when somebody began the hand-over; null: nothing is written there
    # The file, as clusters.pgbackrest.kept has it: its lines with secrets hidden, what is kept of it and what is not.
    # An option that nobody knows may hold a secret.
    file: Any = EncryptedJSONField(default=dict)

    class Meta:
        verbose_name = "repository that was brought in"
        verbose_name_plural = "repositories that were brought in"

    def __str__(self) -> str:
        return str(self.cluster)

    @property
    def own_keys(self) -> dict[int, dict[str, str]]:
        """Return the key with which the nodes reach a repository as before, by its number: options without repoN-."""
        return {int(number): options for number, options in (self.file.get("own") or {}).items()}

    @property
    def was_granted(self) -> bool:
        """Return whether the cloud ever gave the nodes access to its repositories, so that it has to be taken back."""
        return bool(self.file.get("granted"))


class BringingQuerySet(OwnedQuerySet, SnapshotQuerySet):  # type: ignore[override]
    def waiting(self) -> Self:
        """Return those of which somebody still waits for the end."""
        alone = Q(batch=None, begun_at__gt=Now() - Bringing.WITHIN)
        return self.filter(alone | Q(batch__isnull=False), cluster=None, tried_at=None)

    def over(self) -> Self:
        """Return those that are forgotten now, with what was entered."""
        alone = Q(batch=None, begun_at__lte=Now() - Bringing.KEPT)
        return self.filter(alone | Q(batch__isnull=False, begun_at__lte=Now() - Bringing.LIST_KEPT))


class Bringing(Snapshot):
    """What somebody has entered to bring in a repository, while a worker opens it.

    It has ended when there is a cluster of it, or when it was refused: with `error`, and in `details` the field that it
    is about. One of a list is first looked at alone: then `content` has what was found, and there is no cluster.
    """

    LABEL: ClassVar = "bringing"
    WITHIN, KEPT = timedelta(seconds=90), timedelta(minutes=10)  # as an attempt to link an account
    LIST_KEPT = timedelta(hours=2)  # of a list, which people read before they take it

    key = models.UUIDField(unique=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    cloud_account = models.ForeignKey("cloud_accounts.CloudAccount", models.CASCADE, related_name="+")
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    entered = EncryptedJSONField(default=dict)  # with file and passphrase; nothing once it is done
    begun_at = models.DateTimeField(db_default=Now(), db_index=True)
    cluster = models.ForeignKey("clusters.Cluster", models.CASCADE, null=True, related_name="+")  # that came of it
    batch = models.UUIDField(null=True, editable=False)  # the list that it came in; null: it came alone

    objects = BringingQuerySet.as_manager()  # type: ignore[assignment,misc]

    class Meta:
        verbose_name = "repository that is being brought in"
        verbose_name_plural = "repositories that are being brought in"

    def __str__(self) -> str:
        return str(self.entered.get("name", self.key))

    @property
    def is_waiting(self) -> bool:
        """Return whether a worker may still be at it."""
        within = self.WITHIN if self.batch is None else self.LIST_KEPT
        return self.cluster_id is None and self.tried_at is None and timezone.now() - self.begun_at < within

    @property
    def is_ready(self) -> bool:
        """Return whether, of a list, it was found as it should be, and nobody has taken it yet."""
        return bool(self.batch and self.content and not self.error and not self.is_waiting and self.cluster_id is None)
