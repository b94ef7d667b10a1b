"""Who may call the API: tokens of members, none of which can be read again; and answers kept for a repeated call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils import timezone
from django.utils.functional import cached_property

from console.accounts.encryption import EncryptedJSONField
from console.accounts.models import Membership, Organisation, OwnedQuerySet, User
from console.accounts.permissions import ROLES, Permission
from console.web.validators import NameField

# A scope is called as the permission that it stands for, but for secrets, which nobody should get with the rest.
SCOPES = {"secrets:read" if one is Permission.SEE_SECRETS else one.value: one for one in Permission}


class ServiceAccount(models.Model):
    """Somebody who is no person: it has a role in an organisation, and calls the API with tokens of its own.

    It stays when whoever made it leaves.
    """

    AT_MOST: ClassVar = 50  # of an organisation

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="service_accounts")
    name = NameField(max_length=60)
    role = models.CharField(max_length=20, choices=Membership.Role, default=Membership.Role.VIEWER)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField("created", default=timezone.now, editable=False)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint("organisation", Lower("name"), name="one_service_account_name_per_organisation"),
            models.CheckConstraint(condition=~Q(name=""), name="a_service_account_has_a_name"),
            models.CheckConstraint(
                condition=Q(role__in=("owner", "admin", "auditor", "viewer")), name="a_service_account_has_a_role"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def as_member(self) -> Membership:
        """Return what stands for a membership; it is in no database, and has no person."""
        found = Membership(organisation=self.organisation, role=self.role)
        found.service = self.pk
        return found


class TokenQuerySet(OwnedQuerySet):
    def shown_to(self, membership: Membership) -> Self:
        """Return the member's own tokens; of who manages members, all of the organisation; of support, none."""
        mine = self.visible_to(membership)
        if membership.may["manage_members"]:
            return mine
        return mine.filter(membership=membership.pk) if membership.pk else mine.none()  # NULL is a service account's

    def good(self) -> Self:
        """Return those that are neither revoked nor over."""
        return self.filter(revoked_at=None, expires_at__gt=Now())

    def with_member(self) -> Self:
        """Return them with all that says what they may do, in one query, and of the others no more than that.

        Each call asks for it: a row whole would take twice as long to be made.
        """
        people = ("username", "first_name", "last_name", "is_active")
        return self.select_related("organisation", "membership__user", "service_account").only(
            *(one.name for one in Token._meta.concrete_fields),
            *(f"organisation__{one}" for one in ("name", "edition", "second_factor_required")),
            *(f"membership__{one}" for one in ("organisation", "role", "user")),
            *(f"membership__user__{one}" for one in people),
            *(f"service_account__{one}" for one in ("organisation", "name", "role")),
        )


class Token(models.Model):
    """A key to the API, of a member or a service account: it may what its scopes name and that may at that moment.

    It goes with the membership: who is removed has none any more.
    """

    class Kind(models.TextChoices):
        TOKEN = "token", "API token"  # sent with each call
        CLIENT = "client", "Client credentials"  # changed for access tokens of a day

    AT_MOST: ClassVar = 50  # good ones of a member
    LONGEST: ClassVar = timedelta(days=366)
    USED_EACH: ClassVar = timedelta(minutes=1)  # its last use is not written for each call

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    membership = models.ForeignKey(Membership, models.CASCADE, null=True, related_name="api_tokens")
    service_account = models.ForeignKey(ServiceAccount, models.CASCADE, null=True, related_name="tokens")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.TOKEN)
    name = NameField(max_length=60)
    # Of client credentials that were made over the compatible API. Null: nothing was said.
    description: Any = NameField(max_length=300, null=True, editable=False)  # type: ignore[misc]
    key = models.CharField(max_length=12, unique=True, editable=False)  # by which it is found: no secret
    digest = models.CharField(max_length=64, editable=False)  # HMAC-SHA256 of the whole text, under SECRET_KEY
    scopes: Any = models.JSONField(default=list)  # of SCOPES
    created_at = models.DateTimeField("created", default=timezone.now, editable=False)
    changed_at = models.DateTimeField(null=True, editable=False)  # name or description; null: never
    expires_at = models.DateTimeField("ends")
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = TokenQuerySet.as_manager()

    class Meta:
        verbose_name = "API token"
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=("token", "client")), name="a_token_is_of_a_known_kind"),
            models.CheckConstraint(condition=~Q(name=""), name="a_token_has_a_name"),
            models.CheckConstraint(
                condition=Q(membership=None, service_account__isnull=False)
                | Q(membership__isnull=False, service_account=None),
                name="a_token_is_of_a_member_or_of_a_service_account",
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-created_at", "-id"], name="tokens_page_by_page")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_good(self) -> bool:
        """Return whether it is neither revoked nor over."""
        return self.revoked_at is None and self.expires_at > timezone.now()

    @property
    def client_id(self) -> str:
        """Return what client credentials are known by."""
        return f"skc_{self.key}"

    @property
    def shown(self) -> str:
        """Return what everybody may see of it: how it begins, or its client ID."""
        return self.client_id if self.kind == self.Kind.CLIENT else f"sk_{self.key}_…"

    @property
    def may(self) -> frozenset[Permission]:
        """Return what can be done with it now."""
        return frozenset(SCOPES[one] for one in self.scopes if one in SCOPES) & ROLES[self.member.role]

    @cached_property
    def member(self) -> Membership:
        """Return as whose place in the organisation it acts."""
        if self.service_account:
            return self.service_account.as_member
        assert self.membership is not None, "the database sees to that"
        self.membership.organisation = self.organisation  # it is the same one, without a query
        return self.membership

    @property
    def person(self) -> User | None:
        """Return whose it is; None of a service account's."""
        return self.membership.user if self.membership else None

    @property
    def owner(self) -> User | ServiceAccount | None:
        """Return whose it is, to be shown."""
        return self.person or self.service_account


class KeptAnswer(models.Model):
    """What a call with an Idempotency-Key was answered, so that the same call again does nothing a second time."""

    KEPT: ClassVar = timedelta(hours=24)

    token = models.ForeignKey(Token, models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    asked_sha256 = models.CharField(max_length=64)  # of method, address and body
    status = models.PositiveSmallIntegerField(default=0)
    content: Any = models.JSONField(default=dict)  # of an answer that an older release has kept
    sealed = EncryptedJSONField(null=True)  # content
    location = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "key"], name="one_answer_per_token_and_key")]
        indexes = [models.Index(fields=["created_at"], name="kept_answers_by_age")]

    def __str__(self) -> str:
        return self.key
