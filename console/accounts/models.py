"""Who uses the console, and the cloud accounts that they linked."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

from django.conf import settings as django_settings
from django.contrib.auth.models import AbstractUser
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

from console.accounts.encryption import EncryptedJSONField
from console.accounts.permissions import ROLES, Permission
from console.clouds import CLOUDS
from console.clouds.contract import AccountRef, Capability, Cloud, DeploymentSettings, Document, Fact
from console.clouds.regions import Region


class User(AbstractUser):
    """A person who signs in; what they may do comes from their membership, or from is_staff for support."""

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Organisation(models.Model):
    """The tenant: owns everything else."""

    class Edition(models.TextChoices):
        DEVELOPER = "developer", "Developer"
        ENTERPRISE = "enterprise", "Enterprise"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.CharField(max_length=100)
    edition = models.CharField(max_length=20, choices=Edition, default=Edition.DEVELOPER)
    # What keeps one tenant from taking the others' share; raised by support.
    stores_at_most = models.PositiveIntegerField(default=50)
    invitations_at_most = models.PositiveIntegerField(default=20)
    operations_at_once = models.PositiveIntegerField(default=12, validators=[MinValueValidator(1)])
    second_factor_required = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    members = models.ManyToManyField(User, through="Membership", related_name="organisations")

    class Meta:
        ordering = ["name"]
        permissions = [("see_as_organisation", "Can see the console as the organisation does, and change nothing")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_enterprise(self) -> bool:
        """Return whether backup stores are part of the edition."""
        return self.edition == self.Edition.ENTERPRISE

    @classmethod
    def locked(cls, pk: UUID) -> Organisation:
        """Return the organisation with its row locked until the commit: who counts towards a limit waits here."""
        # Not against rows that only point to it.
        return cls.objects.select_for_update(no_key=True).get(pk=pk)


class OwnedQuerySet(models.QuerySet):  # type: ignore[type-arg]
    """Rows that belong to an organisation: every query of a view begins with visible_to()."""

    def visible_to(self, membership: Membership) -> Self:
        """Return the rows of the organisation that the member has open: what they may do goes by their role there."""
        return self.filter(organisation=membership.organisation_id)

    def named(self, name: str) -> Self:
        """Return the rows of that name, in capitals or not: exactly as the constraint on names compares them."""
        return self.alias(lowered=Lower("name")).filter(lowered=Lower(models.Value(name)))


class Membership(models.Model):
    """A user in an organisation, with what they may do there."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        ADMIN = "admin", "Admin"
        VIEWER = "viewer", "Viewer"

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role, default=Role.VIEWER)
    # Of the account that they link next: made by us, never chosen, and never used twice (the confused deputy).
    external_id = models.CharField(max_length=36, blank=True, editable=False)
    created_at = models.DateTimeField("since", default=timezone.now, editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "user"], name="one_membership_per_user_and_organisation")
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_role_display()} of {self.organisation}"

    @property
    def may(self) -> dict[str, bool]:
        """Return, for each permission, whether the member has it."""
        return {permission.value: permission in ROLES[self.role] for permission in Permission}


class Invitation(models.Model):
    """Somebody who may join an organisation until a certain day, by a link that was sent to them; used once."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=20, choices=Membership.Role)
    token_sha256 = models.CharField(max_length=64, unique=True)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField("invited", default=timezone.now, editable=False)
    expires_at = models.DateTimeField()

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("organisation", Lower("email"), name="one_invitation_per_organisation_and_address")
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def is_open(self) -> bool:
        """Return whether its link still leads in."""
        return self.expires_at > timezone.now()


class CloudAccountQuerySet(OwnedQuerySet):
    def of_provider(self, key: str) -> Self:
        """Return the accounts of one provider, by name."""
        return self.filter(provider_key=key).order_by(Lower("name"))


class CloudAccount(models.Model):
    """A linked account of a cloud: who it is was read from the cloud itself, its secrets are encrypted."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="cloud_accounts")
    provider_key = models.CharField("provider", max_length=20)
    name = models.CharField(max_length=60)
    number = models.CharField("account ID", max_length=64)
    partition = models.CharField(max_length=20, blank=True)
    settings = models.JSONField(default=dict)  # nothing secret: role ARN and external ID, or access key ID
    secrets = EncryptedJSONField(default=dict)
    created_at = models.DateTimeField("linked", default=timezone.now, editable=False)
    key_since = models.DateTimeField(null=True, editable=False)  # of key or role; null: since it was linked
    verified_at = models.DateTimeField(null=True, editable=False)
    proofs = models.JSONField(default=list, editable=False)  # what was verified then, in sentences
    verify_error = models.TextField(blank=True, editable=False)

    KEY_IS_OLD: ClassVar = timedelta(days=90)

    objects = CloudAccountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("organisation", Lower("name"), name="one_account_name_per_organisation"),
        ]
        indexes = [models.Index(fields=["organisation", "-created_at", "-id"], name="accounts_page_by_page")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("cloud_accounts:detail", args=[self.pk])

    @property
    def provider(self) -> Cloud:
        """Return the cloud's functions and words."""
        return CLOUDS[self.provider_key]

    @property
    def method(self) -> str:
        """Return how the console signs in, as its provider calls that; nothing where there is but one way."""
        return self.cloud.method(self.credentials())

    @property
    def has_key(self) -> bool:
        """Return whether the console signs in with a secret that should be replaced from time to time."""
        return self.cloud.has_key(self.credentials())

    @property
    def key_given_at(self) -> datetime:
        """Return since when the console has the key."""
        return self.key_since or self.created_at

    @property
    def key_is_old(self) -> bool:
        """Return whether the key should be replaced by now."""
        return self.has_key and timezone.now() - self.key_given_at > self.KEY_IS_OLD

    @property
    def regions(self) -> list[Region]:
        """Return the regions in which nodes of the account can be, in the order of their codes."""
        return list(self.cloud.regions(self.credentials()))

    @property
    def store_regions(self) -> list[Region]:
        """Return the regions in which stores of the account can be made, in the order of their codes."""
        return list(self.cloud.store_regions(self.credentials()))

    def region(self, code: str) -> Region | None:
        """Return the region, or None when the account reaches none of that code."""
        return next((region for region in self.regions if region.code == code), None)

    @property
    def protections(self) -> frozenset[str]:
        """Return what a protected store of the account can promise: "versions", and "lock"."""
        return self.cloud.protections(self.credentials())

    @property
    def capabilities(self) -> list[Capability]:
        """Return what the account's server was found to have and to lack; nothing when it has all that a store uses."""
        return list(self.cloud.capabilities(self.credentials()))

    @property
    def facts(self) -> list[Fact]:
        """Return what identifies the account and how the console signs in to it."""
        return list(self.cloud.account_facts(self.credentials()))

    @property
    def documents(self) -> list[Document]:
        """Return the files that give the console its access to the account."""
        return list(self.cloud.documents(self.credentials()))

    def credentials(self) -> AccountRef:
        """Return the account as its provider needs it, secrets decrypted."""
        operator_s = deployment_settings(self.provider_key)
        return AccountRef(self.id, self.number, self.partition, self.settings, self.secrets, operator_s)


def deployment_settings(provider: str) -> DeploymentSettings:
    """Return what whoever runs the console has set for all accounts of a provider."""
    return DeploymentSettings(**django_settings.DEPLOYMENT_SETTINGS.get(provider, {}))


class AuditEventQuerySet(OwnedQuerySet):
    def search(self, text: str) -> Self:
        """Return the events of the subject that has this ID, or of those whose names begin so."""
        try:
            return self.filter(subject_id=str(UUID(text)))
        except ValueError:
            return self.filter(Q(subject_id=text) | Q(subject__istartswith=text)) if text else self


class AuditEvent(models.Model):
    """Who did what, and when; the database refuses to change or delete one. Made by activity.record().

    People, organisations and subjects are named by copies and by IDs that may outlive them: a deletion elsewhere must
    change no row here.
    """

    class Outcome(models.TextChoices):
        BEGUN = "begun", "Begun"  # a task, whose end is another event
        DONE = "done", "Done"
        REFUSED = "refused", "Refused"  # by a rule, or for want of a permission
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    # Null: of the console as a whole, such as a sign-in.
    organisation = models.ForeignKey(
        Organisation, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    actor = models.ForeignKey(User, models.DO_NOTHING, null=True, related_name="+", db_constraint=False)
    actor_name = models.CharField("who", max_length=150)
    action = models.CharField("what", max_length=100)
    subject = models.CharField("of what", max_length=200)
    subject_kind = models.CharField("kind", max_length=50, blank=True)
    subject_id = models.CharField("ID", max_length=64, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.DONE)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    address = models.CharField("from where", max_length=45, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField("when", default=timezone.now, editable=False)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        indexes = [
            # Each filter of the page has one that ends as the page is sorted.
            models.Index(fields=["organisation", "-created_at", "-id"], name="audit_page_by_page"),
            models.Index(fields=["organisation", "actor_name", "-created_at", "-id"], name="audit_of_a_person"),
            models.Index(fields=["organisation", "action", "-created_at", "-id"], name="audit_of_an_action"),
            models.Index(fields=["organisation", "outcome", "-created_at", "-id"], name="audit_of_an_outcome"),
            models.Index(fields=["organisation", "subject_id", "-created_at", "-id"], name="audit_of_a_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action}: {self.subject}"

    def as_json(self) -> dict[str, Any]:
        """Return the event as the log and the download have it."""
        return {
            "event_id": str(self.pk),
            "when": self.created_at.isoformat(),
            "organisation_id": str(self.organisation_id or ""),
            "who_id": str(self.actor_id or ""),
            "who": self.actor_name,
            "what": self.action,
            "kind": self.subject_kind,
            "id": self.subject_id,
            "name": self.subject,
            "outcome": self.outcome,
            "address": self.address,
            "request_id": self.request_id,
            "before": self.before,
            "after": self.after,
        }
