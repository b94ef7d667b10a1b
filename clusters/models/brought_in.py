"""What was brought in from a configuration that somebody had made by hand, until its node has the console's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Self
from uuid import uuid4

from django.db import models
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


class BringingQuerySet(OwnedQuerySet, SnapshotQuerySet):  # type: ignore[override]
    def waiting(self) -> Self:
        """Return those of which somebody still waits for the end."""
        return self.filter(cluster=None, tried_at=None, begun_at__gt=Now() - Bringing.WITHIN)


class Bringing(Snapshot):
    """What somebody has entered to bring in a repository, while a worker opens it.

    It has ended when there is a cluster of it, or when it was refused: with `error`, and in `details` the field that it
    is about.
    """

    LABEL: ClassVar = "bringing"
    WITHIN, KEPT = timedelta(seconds=90), timedelta(minutes=10)  # as an attempt to link an account

    key = models.UUIDField(unique=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    cloud_account = models.ForeignKey("cloud_accounts.CloudAccount", models.CASCADE, related_name="+")
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    entered = EncryptedJSONField(default=dict)  # with file and passphrase; nothing once it is done
    begun_at = models.DateTimeField(db_default=Now(), db_index=True)
    cluster = models.ForeignKey("clusters.Cluster", models.CASCADE, null=True, related_name="+")  # that came of it

    objects = BringingQuerySet.as_manager()  # type: ignore[assignment,misc]

    class Meta:
        verbose_name = "repository that is being brought in"
        verbose_name_plural = "repositories that are being brought in"

    def __str__(self) -> str:
        return str(self.entered.get("name", self.key))

    @property
    def is_waiting(self) -> bool:
        """Return whether a worker may still be at it."""
        return self.cluster_id is None and self.tried_at is None and timezone.now() - self.begun_at < self.WITHIN
