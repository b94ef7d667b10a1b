"""Cloud accounts that organisations have linked, and what was last read of each: its permissions, its verification."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Self
from uuid import uuid4

from django.conf import settings as django_settings
from django.db import models
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Lower, Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy

from console.accounts.encryption import EncryptedJSONField
from console.accounts.models import Membership, Organisation, OwnedQuerySet, User
from console.cloud_accounts import places
from console.clouds import CLOUDS, bringing, proof
from console.clouds.contract import Capabilities, Check, Cloud, Document, Fact
from console.clouds.existing import Proof
from console.clouds.proof import SignIn
from console.clouds.regions import Region
from console.clouds.specs import AccountRef, DeploymentSettings
from console.operations.snapshots import HELD, Snapshot, SnapshotQuerySet
from console.web.natural import Natural
from console.web.validators import NameField

SHORTEST = 3  # characters of a cloud that are searched for: fewer are in nearly all of them


class CloudAccountQuerySet(OwnedQuerySet):
    def of_provider(self, key: str) -> Self:
        """Return the accounts of one cloud, by name."""
        return self.filter(provider_key=key).order_by(Natural("name"))

    def search(self, text: str) -> Self:
        """Return the accounts whose name, number, ID or cloud a text names."""
        if not text:
            return self
        wanted = text.casefold()
        is_long = len(wanted) >= SHORTEST
        clouds = [one.key for one in CLOUDS.values() if is_long and wanted in f"{one.label} {one.key}".casefold()]
        # SQLite keeps UUIDs without dashes.
        keys = Q(id__icontains=text) | Q(id__icontains=text.replace("-", ""))
        return self.filter(keys | Q(name__icontains=text) | Q(number__icontains=text) | Q(provider_key__in=clouds))


class CloudAccount(models.Model):
    """A linked account of a cloud: who it is was read from the cloud itself, its secrets are encrypted."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="cloud_accounts")
    provider_key = models.CharField(gettext_lazy("provider"), max_length=20)
    name = NameField(max_length=60)
    number = models.CharField(gettext_lazy("account ID"), max_length=64)
    partition = models.CharField(max_length=20, blank=True)
    # Nothing secret: role ARN and external ID, or access key ID; the external ID that was found, where we look for it.
    settings = models.JSONField(default=dict)
    secrets = EncryptedJSONField(default=dict)
    # What whoever linked it over the compatible API has said of it; no page asks for it. Null: nothing.
    description: Any = NameField(max_length=300, null=True, editable=False)  # type: ignore[misc]
    created_at = models.DateTimeField(gettext_lazy("linked"), default=timezone.now, editable=False)
    key_since = models.DateTimeField(null=True, editable=False)  # of key or role; null: since it was linked
    verified_at = models.DateTimeField(null=True, editable=False)
    proofs = models.JSONField(default=list, editable=False)  # what was verified then, in sentences
    verify_error = models.TextField(blank=True, editable=False)
    # What the daily verification, or a store, last found to have changed of what the server does: labels, and when.
    changes = models.JSONField(null=True, editable=False)

    CHANGES_SHOWN: ClassVar = timedelta(days=30)
    KEY_IS_OLD: ClassVar = timedelta(days=90)

    shown_preflight: Preflight  # where preflight.show() has given it one

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
    def cloud(self) -> Cloud:
        """Return the cloud's functions and words."""
        return CLOUDS[self.provider_key]

    @property
    def capabilities(self) -> Capabilities:
        """Return what can be done in the account."""
        return self.cloud.capabilities(self.credentials())

    @property
    def namespace(self) -> str:
        """Return what it shares one space of bucket names with."""
        return namespace(self.provider_key, self.partition, self.number)

    @property
    def sign_in(self) -> SignIn:
        """Return how the console signs in to the account, and what proves the link."""
        return self.cloud.linking.sign_in(self.credentials())

    @property
    def unproven(self) -> str:
        """Return why nothing is done with the account, and what to do, until it has proved itself; else nothing."""
        way = self.sign_in
        return "" if proof.is_proven(way, self.settings) else proof.refusal(way, self.settings)

    @property
    def proof_command(self) -> str:
        """Return the command with which the account's administrator proves it."""
        return self.sign_in.command(self.settings)

    @property
    def has_key(self) -> bool:
        """Return whether the console signs in with a secret that should be replaced from time to time."""
        return self.sign_in.proof == "secret"

    @property
    def key_given_at(self) -> datetime:
        """Return since when the console has the key."""
        return self.key_since or self.created_at

    @property
    def key_is_old(self) -> bool:
        """Return whether the key should be replaced by now."""
        return self.has_key and timezone.now() - self.key_given_at > self.KEY_IS_OLD

    @property
    def recent_changes(self) -> dict[str, Any]:
        """Return what the server was lately found to have gained and lost, and `at`, since when; {} for nothing."""
        found = self.changes or {}
        at = datetime.fromisoformat(found["at"]) if found else None
        return {**found, "at": at} if at and timezone.now() - at < self.CHANGES_SHOWN else {}

    @property
    def look_hours(self) -> int:
        """Return after how many hours, at most, a store's backups are looked for again."""
        return (getattr(self, "look_budget", None) or LookBudget()).hours

    @property
    def regions(self) -> list[Region]:
        """Return the regions in which nodes of the account can be, in the order of their codes."""
        return list(self.cloud.access.regions(self.credentials()))

    @property
    def store_regions(self) -> list[Region]:
        """Return the regions in which stores of the account can be made, in the order of their codes."""
        return list(self.cloud.storage.regions(self.credentials()))

    def region(self, code: str) -> Region | None:
        """Return the region, or None when the account reaches none of that code."""
        return next((region for region in self.regions if region.code == code), None)

    @property
    def facts(self) -> list[Fact]:
        """Return what identifies the account and how the console signs in to it."""
        return list(self.cloud.linking.facts(self.credentials()))

    @property
    def documents(self) -> list[Document]:
        """Return the files that give the console its access to the account."""
        return list(self.cloud.linking.documents(self.with_places()))

    @property
    def bucket_proof(self) -> Proof:
        """Return what shows on a bucket that was there before whose it is."""
        return bringing.proof(self.cloud, self.credentials())

    def with_places(self) -> AccountRef:
        """Return the credentials with what the account's permissions name beside the console's own buckets."""
        return replace(self.credentials(), places=places.of(self))

    def credentials(self) -> AccountRef:
        """Return the account as its cloud needs it, secrets decrypted."""
        operator_s = deployment_settings(self.provider_key)
        return AccountRef(self.id, self.number, self.partition, self.settings, self.secrets, operator_s)


def namespace(provider: str, partition: str, number: str) -> str:
    """Return what an account shares one space of bucket names with: there no two buckets have one name."""
    return CLOUDS[provider].storage.namespace(partition, number) if provider in CLOUDS else f"{provider}/{number}"


def deployment_settings(provider: str) -> DeploymentSettings:
    """Return what whoever runs the console has set for all accounts of a cloud."""
    return DeploymentSettings(**django_settings.DEPLOYMENT_SETTINGS.get(provider, {}))


class LookBudget(models.Model):
    """How often the console looks into an account's backups at least, and with how many calls a day at most."""

    cloud_account = models.OneToOneField(CloudAccount, models.CASCADE, related_name="look_budget")
    hours = models.PositiveSmallIntegerField(default=6, db_default=6)
    calls_a_day = models.PositiveIntegerField(default=50_000, db_default=50_000)  # lists and reads together

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(hours__gte=1, hours__lte=24), name="a_look_comes_every_1_to_24_hours"),
            models.CheckConstraint(condition=Q(calls_a_day__gte=100), name="a_budget_has_100_calls_a_day_or_more"),
        ]

    def __str__(self) -> str:
        return f"every {self.hours} hours, {self.calls_a_day:,} calls a day"


class CallsOfDay(models.Model):
    """How many calls the console has made on a day (UTC) to look into an account's backups."""

    cloud_account = models.ForeignKey(CloudAccount, models.CASCADE, related_name="calls_of_days")
    day = models.DateField()
    lists = models.PositiveBigIntegerField(default=0, db_default=0)
    reads = models.PositiveBigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cloud_account", "day"], name="one_count_of_calls_a_day")]
        indexes = [models.Index(fields=["day"], name="calls_of_a_day")]

    def __str__(self) -> str:
        return f"calls of {self.day}"


class Preflight(Snapshot):
    """What the console may do in a linked account: a line for each thing that its plans need."""

    LABEL = "preflight"

    cloud_account = models.OneToOneField(CloudAccount, models.CASCADE, related_name="preflight")
    chosen = models.JSONField(default=list)  # regions that were chosen for a store and have none yet

    def __str__(self) -> str:
        return f"preflight of {self.cloud_account}"

    @cached_property
    def checks(self) -> list[Check]:
        """Return the lines, those that fail first."""
        order = ("fail", "unknown", "pass")
        return sorted((Check(**one) for one in self.content), key=lambda one: order.index(one.outcome))

    @property
    def failing(self) -> list[Check]:
        """Return what the plans need and the account lacks."""
        return [one for one in self.checks if one.outcome == "fail" and one.required]

    @property
    def unknown(self) -> list[Check]:
        """Return what could not be checked."""
        return [one for one in self.checks if one.outcome == "unknown"]

    @property
    def lacking(self) -> list[Check]:
        """Return all that is missing or could not be checked, needed or not."""
        return [one for one in self.checks if one.outcome != "pass"]

    @property
    def there(self) -> list[Check]:
        """Return what the account has."""
        return [one for one in self.checks if one.outcome == "pass"]

    def within(self, regions: Iterable[str]) -> Preflight:
        """Return the same without the lines that are about other regions only."""
        narrowed = copy(self)
        narrowed.content = [one for one in self.content if not one["regions"] or {*one["regions"]} & {*regions}]
        return narrowed

    def knows(self, region: str) -> bool:
        """Return whether the region was looked at, if it is one that can be chosen."""
        return not region or any(region in one["regions"] for one in self.content)

    @property
    def statements(self) -> str:
        """Return what to add to the console's permissions, as one text; "" for nothing."""
        found = [one.statement for one in self.checks if one.statement and one.outcome == "fail"]
        return self.cloud_account.cloud.linking.merge_statements(found) if found else ""

    @property
    def remedies(self) -> list[Document]:
        """Return the files with what is missing that are run again; what does all of it at once comes first."""
        in_files = any(one.in_files and one.outcome == "fail" for one in self.checks)
        found = [one for one in self.cloud_account.documents if one.again] if self.statements or in_files else []
        return sorted(found, key=lambda one: not one.filename.endswith((".sh", ".template.json")))


class Verification(Snapshot):
    """That a linked account still is who it was, and still asks for its external ID; the account itself keeps that."""

    LABEL: ClassVar = "verification"

    cloud_account = models.OneToOneField(CloudAccount, models.CASCADE)

    def __str__(self) -> str:
        return f"verification of {self.cloud_account}"


class AttemptQuerySet(SnapshotQuerySet):
    def waiting(self) -> Self:
        """Return those of which somebody still waits for the end."""
        return self.filter(Attempt.WAITING)

    def over(self) -> Self:
        """Return those that are too old to go on with."""
        return self.filter(begun_at__lte=Now() - Attempt.KEPT)

    def of(self, membership: Membership) -> Self:
        """Return the member's own, for what was entered is theirs alone; each with whether it `is_waiting`."""
        waiting = ExpressionWrapper(Attempt.WAITING, BooleanField())
        mine = self.filter(membership=membership.pk) if membership.pk else self.filter(service=membership.service)
        return mine.annotate(is_waiting=waiting) if membership.pk or membership.service else self.none()


class Attempt(Snapshot):
    """What a member has entered to link, change or verify an account, while a worker asks the cloud about it.

    It has ended when the account was kept (`done_at`, in the same transaction), when it was refused (`tried_at`, with
    `error` and in `details` the field that it is about), or when nobody has told so in time: then its worker is gone,
    and if that comes back, it changes nothing.
    """

    class Verb(models.TextChoices):
        LINK = "link", gettext_lazy("Link Cloud Account")
        CHANGE = "change", gettext_lazy("Change Account")
        VERIFY = "verify", gettext_lazy("Verify Account")

    LABEL: ClassVar = "attempt"
    # Less than HELD: no worker takes up what another has begun. What was refused can be corrected for a while.
    WITHIN, KEPT = timedelta(seconds=90), timedelta(minutes=10)
    WAITING: ClassVar = Q(done_at=None, tried_at=None, begun_at__gt=Now() - WITHIN)

    key = models.UUIDField(unique=True, default=uuid4, editable=False)
    # Whose it is: a member's, or a service account's (its ID).
    membership = models.ForeignKey(Membership, models.CASCADE, null=True, related_name="+")
    service = models.UUIDField(null=True)
    organisation = models.ForeignKey(Organisation, models.CASCADE, null=True, related_name="+")
    cloud_account = models.ForeignKey(CloudAccount, models.CASCADE, null=True, related_name="+")
    verb = models.CharField(max_length=10, choices=Verb)
    entered = EncryptedJSONField(default=dict)  # with its secrets; nothing once it is done
    origin = models.JSONField(default=dict)  # of the request, for the audit log
    begun_at = models.DateTimeField(db_default=Now(), db_index=True)
    done_at = models.DateTimeField(null=True)

    is_waiting: bool  # where it was asked for by AttemptQuerySet.of()

    objects: ClassVar = AttemptQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.get_verb_display()}, {self.membership or 'a service account'}"

    @property
    def person(self) -> User | None:
        """Return who has entered it; None of a service account."""
        return self.membership.user if self.membership else None

    @property
    def whose(self) -> Organisation:
        """Return the organisation in which it is made."""
        found = self.organisation or (self.membership.organisation if self.membership else None)
        assert found is not None, "each is somebody's"
        return found

    @property
    def cloud(self) -> Cloud:
        """Return the cloud that is asked."""
        return self.cloud_account.cloud if self.cloud_account else CLOUDS[self.entered["asked"]["provider"]]


assert Attempt.WITHIN < HELD
