"""Backup stores: two buckets each, with the states that they can be in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import copy
from functools import cached_property
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.urls import reverse

from console.accounts.models import CloudAccount
from console.operations.models import Subject, SubjectQuerySet, Transition
from console.operations.readings import Reading
from stores.providers.base import Check, Provider, StoreSpec


class State(models.TextChoices):
    CREATING = "creating", "Creating"
    AVAILABLE = "available", "Available"
    DELETING = "deleting", "Deleting"
    FAILED = "failed", "Failed"
    DEGRADED = "degraded", "Degraded"


class StoreQuerySet(SubjectQuerySet):
    SEARCHED: ClassVar = ("name", "bucket", "log_bucket")

    def with_story(self) -> Self:
        """Return the stores with all that a pane shows, in one query."""
        return self.select_related("cloud_account", "operation")


class Store(Subject):
    """A backup store: the bucket of the backups, and the bucket of the first one's access logs."""

    VERBS: ClassVar = {
        "create": Transition((State.FAILED,), State.CREATING, State.AVAILABLE, State.FAILED),
        "repair": Transition(
            (State.AVAILABLE, State.DEGRADED, State.FAILED), State.CREATING, State.AVAILABLE, State.FAILED
        ),
        "delete": Transition((State.AVAILABLE, State.FAILED, State.DEGRADED), State.DELETING, None, State.FAILED),
    }

    cloud_account = models.ForeignKey(CloudAccount, models.PROTECT, related_name="stores")
    region = models.CharField(max_length=40)
    bucket = models.CharField(max_length=63, unique=True)
    log_bucket = models.CharField(max_length=63, unique=True)
    names_tried = models.PositiveSmallIntegerField(default=1, editable=False)
    state = models.CharField(max_length=20, choices=State, default=State.CREATING)

    objects = StoreQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("organisation", Lower("name"), name="one_store_name_per_organisation"),
            models.CheckConstraint(condition=~Q(name=""), name="a_store_has_a_name"),
            models.CheckConstraint(condition=~Q(bucket=F("log_bucket")), name="a_store_has_two_buckets"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="a_store_is_in_a_known_state"),
        ]
        indexes = [models.Index(fields=["organisation", "-created_at", "-id"], name="stores_page_by_page")]

    def get_absolute_url(self) -> str:
        return reverse("stores:detail", args=[self.pk])

    @property
    def provider(self) -> Provider:
        """Return the cloud's functions and words."""
        return self.cloud_account.provider

    @property
    def place(self) -> str:
        """Return where the region is, such as "Dublin, Ireland"."""
        region = self.cloud_account.region(self.region)
        return region.place if region else ""

    @property
    def bucket_arn(self) -> str:
        """Return the ARN of the backup bucket."""
        return self.provider.bucket_arn(self.bucket, self.cloud_account.partition)

    @property
    def log_bucket_arn(self) -> str:
        """Return the ARN of the log bucket."""
        return self.provider.bucket_arn(self.log_bucket, self.cloud_account.partition)

    @property
    def facts(self) -> list[tuple[str, object, str]]:
        """Return what "Show more details" shows: label, exact value, and a word of explanation or nothing."""
        return [
            ("Cloud Account ID", self.cloud_account_id, ""),
            ("Region", self.region, self.place),
            *((label, value, "") for label, value in self.provider.store_facts(self.spec())),
        ]

    def spec(self, *, complete: bool = False) -> StoreSpec:
        """Return the store as its provider needs it."""
        return StoreSpec(
            id=self.id,
            name=self.name,
            account=self.cloud_account.credentials(),
            region=self.region,
            bucket=self.bucket,
            log_bucket=self.log_bucket,
            complete=complete,
        )


class Preflight(Reading):
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
        """Return the statements to add to the policy as JSON, those on the same resource as one; "" for none."""
        found: dict[str, dict[str, Any]] = {}
        for one in self.checks:
            if one.statement and one.outcome == "fail":
                statement = json.loads(one.statement)
                action = statement.pop("Action")
                kept = found.setdefault(json.dumps(statement), {"Effect": "Allow", "Action": [], **statement})
                kept["Action"] = list(dict.fromkeys([*kept["Action"], action]))
        return json.dumps(list(found.values()), indent=2) if found else ""
