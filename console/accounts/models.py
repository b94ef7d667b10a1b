"""Who uses the console: people, organisations, and who belongs where."""

from __future__ import annotations

from typing import Self
from uuid import UUID, uuid4

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.translation import gettext_lazy

from console.accounts.addresses import normalised
from console.accounts.encryption import EncryptedJSONField
from console.accounts.permissions import ROLES, Permission
from console.web.prepared import KEY, Prepared
from console.web.validators import NameField

LONGEST_URL = 4096  # characters, as console.environment has it
# `email__lower` compares as the constraints do; `iexact` would by UPPER, which takes other letters for the same.
models.EmailField.register_lookup(Lower)


class User(AbstractUser):
    """A person who signs in; what they may do comes from their membership, or from is_staff for support."""

    lists_as_tables = models.BooleanField(null=True, editable=False)  # or as panes; null: never chosen
    language = models.CharField(max_length=10, null=True, editable=False)  # as settings.LANGUAGES; null: the browser's

    def clean(self) -> None:
        """Write the address as it is kept."""
        super().clean()
        try:
            self.email = normalised(self.email) if self.email else ""
        except ValueError as error:
            raise ValidationError({"email": str(error)}) from error

    def __str__(self) -> str:
        return self.get_full_name() or self.username


class Organisation(models.Model):
    """The tenant: owns everything else."""

    class Edition(models.TextChoices):
        DEVELOPER = "developer", gettext_lazy("Developer")
        ENTERPRISE = "enterprise", gettext_lazy("Enterprise")

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = NameField(max_length=100)
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
        if found := _LOCKED.first(pk):
            return found
        raise cls.DoesNotExist


# Not against rows that only point to it.
_LOCKED: Prepared[Organisation] = Prepared(
    lambda pk: Organisation.objects.select_for_update(no_key=True).filter(pk=pk), KEY
)


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
        OWNER = "owner", gettext_lazy("Owner")
        ADMIN = "admin", gettext_lazy("Admin")
        AUDITOR = "auditor", gettext_lazy("Auditor")
        VIEWER = "viewer", gettext_lazy("Viewer")

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role, default=Role.VIEWER)
    # Of the account that they link next: made by us, never chosen, and never used twice (the confused deputy).
    external_id = models.CharField(max_length=36, blank=True, editable=False)
    created_at = models.DateTimeField(gettext_lazy("since"), default=timezone.now, editable=False)

    # Of what stands for a service account's, which is in no database: that one's ID.
    service: UUID | None = None

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "user"], name="one_membership_per_user_and_organisation")
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_role_display()} of {self.organisation}"

    @property
    def person(self) -> User | None:
        """Return who it is; None of what stands for a service account's, which is no person's."""
        return self.user if self.user_id else None

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
    # Whoever joins may also do everything in /admin/: of `manage.py bootstrap` alone.
    operator = models.BooleanField(default=False, db_default=False, editable=False)
    created_at = models.DateTimeField(gettext_lazy("invited"), default=timezone.now, editable=False)
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


class Installation(models.Model):
    """Whose database this is: one row, by which a process finds that it has another console's, or lacks a key."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    only = models.BooleanField(default=True, db_default=True, unique=True, editable=False)
    proof = EncryptedJSONField()  # whoever opens it has the keys of what else is encrypted here
    secret_key_hmac = models.CharField(max_length=64, editable=False)  # of the ID: tells nothing of the key
    public_url = models.CharField(max_length=LONGEST_URL, blank=True, default="", db_default="", editable=False)
    version = models.CharField(max_length=40, blank=True, default="", db_default="", editable=False)  # the newest
    created_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(only=True), name="one_installation")]

    def __str__(self) -> str:
        return str(self.id)
