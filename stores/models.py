"""Backup stores: two buckets each, with the states that they can be in; and buckets that belong to none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, reduce
from operator import or_
from typing import Any, ClassVar, Self
from uuid import uuid4

from django.db import models
from django.db.models import Exists, ExpressionWrapper, F, Q, Subquery
from django.db.models.functions import Lower, Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy

from console.accounts.models import Organisation, OwnedQuerySet, User
from console.cloud_accounts.models import CloudAccount
from console.clouds.contents import Contents
from console.clouds.contract import DAYS_AT_MOST, Cloud
from console.clouds.existing import TakenOver
from console.clouds.regions import Region
from console.clouds.specs import StoreSpec
from console.operations.models import ManagedResource, ManagedResourceQuerySet, Transition
from console.operations.snapshots import Snapshot, SnapshotQuerySet
from console.web.addresses import address
from console.web.validators import NameField
from stores.control_status import ControlStatus
from stores.losses import Loss


class State(models.TextChoices):
    CREATING = "creating", gettext_lazy("Creating")
    AVAILABLE = "available", gettext_lazy("Available")
    DELETING = "deleting", gettext_lazy("Deleting")
    FAILED = "failed", gettext_lazy("Failed")
    DEGRADED = "degraded", gettext_lazy("Degraded")
    REPAIRING = "repairing", gettext_lazy("Repairing")


class Logs(models.TextChoices):
    """Where the access logs of a store go whose bucket was there before; any other store has a log bucket made."""

    MADE = "made", gettext_lazy("Into one that is made")
    NAMED = "named", gettext_lazy("Into one that is named")
    NONE = "none", gettext_lazy("Nowhere")


class StoreQuerySet(ManagedResourceQuerySet):
    SEARCHED: ClassVar = ("name", "bucket", "log_bucket", "logs_into")

    def with_story(self) -> Self:
        """Return the stores with all that a pane shows, in one query."""
        ranks = [one.rank() for one in store_verdicts[:1]]
        found = self.with_loss().annotate(worst_rank=ranks[0]) if ranks else self.with_loss()
        return found.select_related("cloud_account", "operation", "drift_report")

    def with_loss(self) -> Self:
        """Return the stores with whether backups in them are gone, as far as any app knows of backups."""
        found = reduce(or_, (Q(condition()) for condition in loss_conditions), Q(pk__in=[]))
        return self.annotate(has_loss=ExpressionWrapper(found, models.BooleanField()))


class Store(ManagedResource):
    """A backup store: the bucket of the backups, and the bucket of the first one's access logs."""

    VERBS: ClassVar = {
        "create": Transition((State.FAILED,), State.CREATING, State.AVAILABLE, State.FAILED),
        "repair": Transition(
            (State.AVAILABLE, State.DEGRADED, State.FAILED), State.REPAIRING, State.AVAILABLE, State.DEGRADED
        ),
        "delete": Transition((State.AVAILABLE, State.FAILED, State.DEGRADED), State.DELETING, None, State.FAILED),
        # Of a store whose bucket was there before: instead of creating and deleting.
        "bring": Transition((State.FAILED,), State.CREATING, State.AVAILABLE, State.FAILED),
        "forget": Transition((State.AVAILABLE, State.FAILED, State.DEGRADED), State.DELETING, None, State.FAILED),
    }

    cloud_account = models.ForeignKey(CloudAccount, models.PROTECT, related_name="stores")
    region = models.CharField(max_length=40)
    bucket = models.CharField(max_length=63)
    log_bucket = models.CharField(max_length=63)
    # What shares one space of bucket names with its account; null where the release before wrote the row.
    namespace = models.CharField(max_length=100, null=True, editable=False)
    # A protected store keeps versions so many days after they were overwritten or deleted, and lets nobody delete one
    # so many days after it was written. Chosen when it is created, and never weakened.
    versions_days = models.PositiveIntegerField(null=True)
    lock_days = models.PositiveIntegerField(null=True)
    names_tried = models.PositiveSmallIntegerField(default=1, editable=False)
    state = models.CharField(max_length=20, choices=State, default=State.CREATING)
    keep_logs = models.BooleanField(null=True, editable=False)  # as the last deletion was asked, if there was one
    # Of a store whose bucket was there before, else null: what was found and decided (stores.existing.actions), where
    # its logs go, and the bucket that was named for them. Without one of its own `log_bucket` is a name kept free.
    taken_over: Any = models.JSONField(null=True, editable=False)
    logs = models.CharField(max_length=10, choices=Logs, null=True, editable=False)
    logs_into = models.CharField(max_length=63, null=True, editable=False)

    objects = StoreQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("organisation", Lower("name"), name="one_store_name_per_organisation"),
            models.UniqueConstraint(fields=["namespace", "bucket"], name="a_bucket_is_of_one_store"),
            models.UniqueConstraint(fields=["namespace", "log_bucket"], name="a_log_bucket_is_of_one_store"),
            models.CheckConstraint(condition=~Q(name=""), name="a_store_has_a_name"),
            models.CheckConstraint(condition=~Q(bucket=F("log_bucket")), name="a_store_has_two_buckets"),
            models.CheckConstraint(
                condition=Q(lock_days=None) | Q(versions_days__isnull=False), name="a_lock_needs_versions"
            ),
            models.CheckConstraint(condition=Q(state__in=State.values), name="a_store_is_in_a_known_state"),
        ]
        indexes = [models.Index(fields=["organisation", "-created_at", "-id"], name="stores_page_by_page")]

    def save(self, **options: Any) -> None:
        """Save it, with what shares one space of bucket names with its account when it is new."""
        if self._state.adding:
            self.namespace = self.namespace or self.cloud_account.namespace
        super().save(**options)

    def get_absolute_url(self) -> str:
        return address("stores:detail", self.pk)

    @property
    def cloud(self) -> Cloud:
        """Return the cloud's functions and words."""
        return self.cloud_account.cloud

    @property
    def blocked(self) -> str:
        """Return why nothing is done in its account, and what to do; nothing when the account has proved itself."""
        return self.cloud_account.unproven

    @property
    def can_cancel(self) -> bool:
        """Return whether cancelling its deletion is offered: until the backup bucket is known to be gone."""
        last = self.operation
        if last is None or last.cancel:
            return False
        if last.verb == "bring":
            return self.state == State.CREATING
        return self.state == State.DELETING and last.verb == "delete" and not last.is_past_return

    @property
    def is_brought(self) -> bool:
        """Return whether its bucket was there before: then the console neither empties nor deletes it, ever."""
        return self.taken_over is not None

    @property
    def has_log_bucket(self) -> bool:
        """Return whether the console has made a log bucket for it, and looks after that."""
        return self.logs in {None, Logs.MADE}

    @property
    def logs_bucket(self) -> str:
        """Return the bucket into which its access logs go, whoever made it; "" for none."""
        return self.log_bucket if self.has_log_bucket else self.logs_into or ""

    @property
    def too_late_to_cancel(self) -> str:
        """Return why its deletion cannot be cancelled any more; nothing while it can, or when there is none."""
        last = self.operation
        if last and last.verb == "delete" and last.is_unfinished and not last.cancel and not self.can_cancel:
            return f"It is too late to cancel: the backup {self.cloud.vocabulary.bucket} of {self.name} is gone."
        return ""

    @property
    def has_logs(self) -> bool:
        """Return whether it has access logs that can be kept."""
        return self.has_log_bucket and self.cloud_account.capabilities.access_logs

    @property
    def newest_backup_at(self) -> datetime | None:
        """Return when the newest backup that anybody has seen in it was complete, whatever app knows of backups."""
        found = (find(self) for find in newest_backup_finders)
        return max((at for at in found if at), default=None)

    @property
    def stored(self) -> int | None:
        """Return the bytes of the backups and WAL that were last seen in it; None while nobody has looked."""
        found = [size for find in size_finders if (size := find(self)) is not None]
        return sum(found) if found else None

    @property
    def last_seen_at(self) -> datetime | None:
        """Return when anything of a backup was last seen in it."""
        found = (find(self) for find in last_seen_finders)
        return max((at for at in found if at), default=None)

    @cached_property
    def has_loss(self) -> bool:
        """Return whether backups were seen in it, are gone, and had not expired."""
        return bool(Store.objects.with_loss().values_list("has_loss", flat=True).get(pk=self.pk))

    @property
    def verdict(self) -> Any:
        """Return the worst verdict on what is kept in it, of a store with_story(); None where nothing is judged."""
        rank = getattr(self, "worst_rank", None)
        found = [one.of_rank(rank) for one in store_verdicts if rank is not None]
        return found[0] if found else None

    @cached_property
    def losses(self) -> list[Loss]:
        """Return what is gone of what was seen in it."""
        return [loss for find in loss_finders for loss in find(self)] if self.has_loss else []

    @property
    def kept(self) -> list[str]:
        """Return what is kept in it that nothing uses any more, such as the backups of a deleted cluster, in words."""
        return [text for find in kept_finders for text in find(self)]

    @cached_property
    def located(self) -> Region | None:
        """Return the region that it is in; None where the account no longer reaches one of that code."""
        return self.cloud_account.region(self.region)

    @property
    def place(self) -> str:
        """Return where the region is, such as "Dublin, Ireland"."""
        return self.located.place if self.located else ""

    @property
    def identifier(self) -> str:
        """Return the exact identifier of the backup bucket: its ARN, resource ID or URI."""
        return self.cloud.storage.identifier(self.cloud_account.credentials(), self.bucket)

    @property
    def facts(self) -> list[tuple[str, object, str]]:
        """Return what "Show more details" shows: label, exact value, and a word of explanation or nothing."""
        return [
            ("Cloud Account ID", self.cloud_account_id, ""),
            ("Signing Region" if self.located and self.located.is_signing else "Region", self.region, self.place),
            *((label, value, "") for label, value in self.cloud.storage.facts(self.spec()) if self._is_there(label)),
            *([("Protection", self.protection, "")] if self.versions_days else []),
        ]

    def _is_there(self, label: str) -> bool:
        return self.logs != Logs.NONE or not label.startswith("Log ")

    @property
    def protection(self) -> str:
        """Return what a protected store promises, in words."""
        found = (self.taken_over or {}).get("found", {}).get("object_lock") or {}
        mode = str(found.get("mode") or "governance").lower()  # that of one which was there before is its owner's
        lock = f"; Object Lock ({mode}) for {self.lock_days} days" if self.lock_days else ""
        if self.versions_days == DAYS_AT_MOST:  # as it was found: no rule ends them
            return f"every version kept{lock}"
        return f"versions kept {self.versions_days} days{lock}" if self.versions_days else ""

    @property
    def may_verify(self) -> bool:
        """Return whether its buckets are there to be looked at, and nothing works on them."""
        return self.state in {State.AVAILABLE, State.DEGRADED}

    @property
    def may_be_kept(self) -> bool:
        """Return whether its deletion failed, so that a repair would make it whole again."""
        return self.state == State.FAILED and self.operation is not None and self.operation.verb in {"delete", "forget"}

    @property
    def is_watched(self) -> bool:
        """Return whether something will change soon: work on it, or a look at its buckets that was asked for."""
        return self.is_busy or (hasattr(self, "drift_report") and self.drift_report.is_awaited)

    def spec(self, *, complete: bool = False) -> StoreSpec:
        """Return the store as its cloud needs it."""
        return StoreSpec(
            id=self.id,
            name=self.name,
            account=self.cloud_account.credentials(),
            region=self.region,
            bucket=self.bucket,
            log_bucket=self.logs_bucket,
            versions_days=self.versions_days or 0,
            lock_days=self.lock_days or 0,
            complete=complete,
            taken_over=TakenOver(self.taken_over["found"], self.logs == Logs.NAMED) if self.is_brought else None,
        )


# Each tells when the newest backup in a store was complete, as far as its app knows: appended by the apps' plans.py.
newest_backup_finders: list[Callable[[Store], datetime | None]] = []
# The regions of an organisation's nodes in one cloud, as its app knows them: what is near to them is offered first.
node_region_finders: list[Callable[[Organisation, str], list[str]]] = []
# And how many bytes were last seen in it; None where nobody has looked.
size_finders: list[Callable[[Store], int | None]] = []
# And when there was last anything in it, what of that is gone, and whether anything is, as a condition on stores.
last_seen_finders: list[Callable[[Store], datetime | None]] = []
loss_finders: list[Callable[[Store], list[Loss]]] = []
loss_conditions: list[Callable[[], Exists]] = []


@dataclass(frozen=True)
class StoreVerdicts:
    """How an app that knows of backups judges what is kept in stores."""

    rank: Callable[[], Subquery]  # of the worst of its verdicts on a store, as a column of a query of stores
    of_rank: Callable[[int | None], Any]  # that verdict, with a label and a class for its colour
    every: Sequence[Any] = ()  # all of them, the worst first, each with its value, its rank and its label


store_verdicts: list[StoreVerdicts] = []  # of one app: appended by its plans.py


# Each tells what apps know to be kept in a store that nothing uses any more, in words: also appended by plans.py.
kept_finders: list[Callable[[Store], list[str]]] = []


class DriftReport(Snapshot):
    """What was last seen of a store's buckets, control by control, as stores.control_status.ControlStatus keeps it."""

    LABEL: ClassVar = "drift_report"
    OVERDUE: ClassVar = timedelta(hours=36)  # checks are daily: then one was missed

    store = models.OneToOneField(Store, models.CASCADE, related_name="drift_report")
    accepted: Any = models.JSONField(default=dict)  # by control: what was seen, who accepted it, and when

    def __str__(self) -> str:
        return f"drift report of {self.store}"

    @property
    def lines(self) -> list[ControlStatus]:
        """Return what was last seen, with what was accepted of exactly that."""
        return self.with_decisions([ControlStatus(**one) for one in self.content])

    def with_decisions(self, found: Iterable[ControlStatus]) -> list[ControlStatus]:
        """Return these lines with what was accepted of them."""
        return [replace(line, accepted=kept) if (kept := self._accepted(line)) else line for line in found]

    def _accepted(self, line: ControlStatus) -> dict[str, str] | None:
        kept = self.accepted.get(line.name)
        return kept if kept and kept["seen"] == line.seen and not line.fixed else None

    @property
    def drift(self) -> list[ControlStatus]:
        """Return what differs from what is wanted and was not accepted."""
        return [line for line in self.lines if line.is_drift]

    @property
    def unseen(self) -> list[ControlStatus]:
        """Return what the console may not see."""
        return [line for line in self.lines if line.state == "unseen"]

    @property
    def summary(self) -> str:
        """Return what was found in a few words, such as "12 of 13 as wanted, 1 differs"; nothing before a check."""
        lines = self.lines
        if not lines:
            return ""
        parts = [f"{sum(line.state == 'ok' for line in lines)} of {len(lines)} as wanted"]
        accepted, differ, unseen = sum(bool(one.accepted) for one in lines), len(self.drift), len(self.unseen)
        parts += [f"{accepted} accepted"] if accepted else []
        parts += [f"{differ} differ{'s' if differ == 1 else ''}"] if differ else []
        parts += [f"{unseen} could not be seen"] if unseen else []
        return ", ".join(parts)

    @property
    def differs(self) -> bool:
        """Return whether anything that was looked at is not as it is wanted, be it accepted or unseen."""
        return any(line.state != "ok" for line in self.lines)

    @property
    def is_as_wanted(self) -> bool:
        """Return whether all was seen, and is as it is wanted or was accepted."""
        return bool(self.content) and not self.drift and not self.unseen

    @property
    def is_overdue(self) -> bool:
        """Return whether a daily check was missed, be it the very first."""
        last = self.read_at or self.wanted_at
        return last is not None and timezone.now() - last > self.OVERDUE


class BucketLook(Snapshot):
    """What was last seen of a bucket that somebody thinks of adding, as stores.existing.reading writes it."""

    LABEL: ClassVar = "bucket_look"

    key = models.UUIDField(default=uuid4, unique=True, editable=False)  # in addresses
    cloud_account = models.ForeignKey(CloudAccount, models.CASCADE, related_name="bucket_looks")
    bucket = models.CharField(max_length=63)
    name = NameField(max_length=60)  # of the store that it is to be
    region = models.CharField(max_length=40, blank=True)  # where it is said to be; "" is anywhere
    log_bucket = models.CharField(max_length=63, blank=True)  # what is named for its logs
    store_id = models.UUIDField(default=uuid4, editable=False)  # of the store that it is to be, as its tag has to say
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cloud_account", "bucket"], name="a_bucket_is_looked_at_once"),
        ]
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return self.bucket

    def get_absolute_url(self) -> str:
        return reverse("stores:existing", args=[self.key])


class UnmanagedScan(Snapshot):
    """What was last found in an account that is named like our buckets and belonged to no store."""

    LABEL: ClassVar = "scan"

    cloud_account = models.OneToOneField(CloudAccount, models.CASCADE, related_name="scan")

    def __str__(self) -> str:
        return f"scan of {self.cloud_account}"


class IgnoredBucket(models.Model):
    """A bucket that somebody wants to see no more among those that belong to no store."""

    cloud_account = models.ForeignKey(CloudAccount, models.CASCADE, related_name="ignored_buckets")
    bucket = models.CharField(max_length=63)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    by_name = models.CharField(max_length=150)
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cloud_account", "bucket"], name="a_bucket_is_ignored_once"),
        ]

    def __str__(self) -> str:
        return self.bucket


class DeletionPreview(Snapshot):
    """What a store's backup bucket holds, counted for somebody who thinks of deleting the store."""

    LABEL: ClassVar = "deletion_preview"
    FRESH: ClassVar = timedelta(minutes=1)  # older counts show their age, and are made anew when somebody asks

    store = models.OneToOneField(Store, models.CASCADE, related_name="deletion_preview")

    def __str__(self) -> str:
        return f"deletion preview of {self.store}"

    @property
    def contents(self) -> Contents | None:
        """Return what was counted last; None before anything was."""
        return Contents(**self.content["contents"]) if self.content else None

    @property
    def is_old(self) -> bool:
        """Return whether the counts are so old that their age has to be said."""
        return self.read_at is not None and timezone.now() - self.read_at > self.FRESH


class RetainedLogsQuerySet(OwnedQuerySet, SnapshotQuerySet):  # type: ignore[override]
    pass


class RetainedLogs(Snapshot):
    """The log bucket of a store that is gone, kept until its last log has expired and the bucket with it."""

    LABEL: ClassVar = "retained logs"

    organisation = models.ForeignKey(Organisation, models.PROTECT, related_name="retained_logs")
    cloud_account = models.ForeignKey(CloudAccount, models.PROTECT, related_name="retained_logs")
    store_id = models.UUIDField()
    store_name = models.CharField(max_length=60)
    region = models.CharField(max_length=40)
    bucket = models.CharField(max_length=63, unique=True)
    since = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()  # the last log

    objects = RetainedLogsQuerySet.as_manager()  # type: ignore[assignment,misc]

    class Meta:
        verbose_name = "retained logs of store"
        verbose_name_plural = "retained logs"
        ordering = ["-since", "-pk"]

    def __str__(self) -> str:
        return self.store_name

    def get_absolute_url(self) -> str:
        return reverse("stores:list") + "#retained-logs"

    @property
    def is_over(self) -> bool:
        """Return whether the last log has expired by now."""
        return timezone.now() >= self.expires_at

    def spec(self) -> StoreSpec:
        """Return the store that it was, as far as its cloud needs to know it."""
        return StoreSpec(
            id=self.store_id,
            name=self.store_name,
            account=self.cloud_account.credentials(),
            region=self.region,
            bucket="",
            log_bucket=self.bucket,
            complete=True,
        )
