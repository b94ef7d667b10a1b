"""Who may read what was deleted below one cluster's folder of one store, until a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import uuid4

from django.db import models
from django.utils import timezone

from clusters.models.repository import Repository
from console.accounts.encryption import EncryptedJSONField
from console.accounts.models import Membership, Organisation
from console.cloud_accounts.models import CloudAccount
from console.clouds.specs import AccessSpec
from console.operations.snapshots import Snapshot, SnapshotQuerySet


class RecoveryIdentityQuerySet(SnapshotQuerySet):
    def visible_to(self, membership: Membership | None) -> Self:
        """Return those of the member's organisation; none for nobody."""
        return self.filter(organisation=membership.organisation_id) if membership else self.none()


class RecoveryIdentity(Snapshot):
    """A user, role or service account of the cloud that only reads; a worker makes it, and removes it at its end.

    The row holds all that its removal needs, so that it comes to an end whatever becomes of repository and store, and
    is gone once that is done.
    """

    LABEL: ClassVar = "recovery_identity"

    key = models.UUIDField(default=uuid4, unique=True, editable=False)  # as the cloud knows it, by tag and name
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="+")
    cloud_account = models.ForeignKey(CloudAccount, models.PROTECT, related_name="recovery_identities")
    repository = models.OneToOneField(
        "clusters.Repository", models.SET_NULL, null=True, related_name="recovery_identity"
    )
    cluster_name = models.CharField(max_length=60)
    bucket = models.CharField(max_length=63)
    prefix = models.CharField(max_length=20)
    until = models.DateTimeField()
    keys = EncryptedJSONField(default=dict)  # what it signs in with, where it has a key

    objects = RecoveryIdentityQuerySet.as_manager()  # type: ignore[assignment,misc]

    class Meta:
        verbose_name_plural = "recovery identities"

    def __str__(self) -> str:
        return f"for {self.cluster_name} in {self.bucket}"

    @property
    def is_over(self) -> bool:
        """Return whether its time has come, so that it is to be removed."""
        return timezone.now() >= self.until

    @property
    def is_ready(self) -> bool:
        """Return whether it was made and may be used."""
        return bool(self.read_at) and not self.is_over

    def spec(self) -> AccessSpec:
        """Return it as its cloud needs it."""
        repository = Repository.objects.filter(recovery_identity=self).first()  # it may have gone since this was read
        return AccessSpec(
            id=self.key,
            name=self.cluster_name,
            account=self.cloud_account.credentials(),
            prefix=self.prefix,
            buckets=(self.bucket,),
            keys=self.keys,
            reads_until=self.until,
            kept=repository.reached if repository else {},
        )

    @property
    def facts(self) -> list[tuple[str, Any]]:
        """Return what the cloud has for it: label and exact value."""
        return list(self.cloud_account.cloud.access.facts(self.spec()))

    @property
    def ends_at(self) -> datetime:
        """Return when it ends."""
        return self.until
