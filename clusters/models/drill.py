"""Plans to try restores and to verify repositories, and what came of each run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy

from clusters.models.cluster import SCHEDULE, Cluster, Database
from clusters.models.node import Node, Reporting
from clusters.models.repository import Repository
from clusters.pgbackrest import drill
from clusters.validators import validate_check_database, validate_checks, validate_drill_folder, validate_drill_machine
from console.accounts.models import Organisation, OwnedQuerySet

DRILLS_AT_MOST = 50  # of a cluster
HOURS = [MinValueValidator(1), MaxValueValidator(168)]
GIB = [MinValueValidator(0), MaxValueValidator(1024 * 1024)]
LATE = timedelta(hours=2)  # after the time that a run may take, nothing is awaited of it any more
KEPT_FOR = timedelta(days=2 * 366)


class Drill(Reporting):
    """A plan: what is tried, of which databases, when, and on which machine; a drill machine has a token of its own."""

    class What(models.TextChoices):
        RESTORE = drill.RESTORE, gettext_lazy("Restore drill")
        VERIFY = drill.VERIFY, gettext_lazy("Verification")

    class Backup(models.TextChoices):
        NEWEST = drill.NEWEST, gettext_lazy("the newest backup, up to the end of the archive")
        RANDOM = drill.RANDOM, gettext_lazy("a random backup, up to a random moment after it")

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="drills")
    what = models.CharField(max_length=10, choices=What, default=What.RESTORE)
    database = models.ForeignKey(Database, models.CASCADE, null=True, blank=True, related_name="+")  # null: each
    node = models.ForeignKey(Node, models.CASCADE, null=True, blank=True, related_name="+")  # null: of each
    machine = models.CharField(
        gettext_lazy("drill machine"), max_length=60, blank=True, validators=[validate_drill_machine]
    )
    schedule = models.CharField(**SCHEDULE | {"blank": False})
    backup = models.CharField(gettext_lazy("what is restored"), max_length=10, choices=Backup, default=Backup.NEWEST)
    folder = models.CharField(max_length=80, default="/var/lib/postgresql/drill", validators=[validate_drill_folder])
    keep_free = models.PositiveIntegerField(gettext_lazy("leave free"), default=10, validators=GIB)  # GiB
    hours = models.PositiveSmallIntegerField(gettext_lazy("give up after"), default=6, validators=HOURS)
    is_amchecked = models.BooleanField(gettext_lazy("pg_amcheck"), default=True)
    checks = models.TextField(max_length=8000, blank=True, validators=[validate_checks])  # a line each: SQL => answer
    check_database = models.CharField(
        gettext_lazy("database of the checks"), max_length=63, default="postgres", validators=[validate_check_database]
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    reported_at = models.DateTimeField(null=True, editable=False)  # when a machine last said anything of it
    applied_digest = models.CharField(max_length=16, blank=True, editable=False)  # of the plan that it has

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(condition=Q(what__in=("restore", "verify")), name="a_drill_restores_or_verifies"),
            models.CheckConstraint(condition=Q(backup__in=("newest", "random")), name="a_drill_takes_a_known_backup"),
        ]

    def __str__(self) -> str:
        of = f"{self.database or 'every database'} of {self.node or 'every node'}"
        return f"{self.get_what_display()} of {of}"

    def get_absolute_url(self) -> str:
        return reverse("clusters:drill_list", args=[self.cluster_id])

    @property
    def is_on_nodes(self) -> bool:
        """Return whether the nodes do it themselves."""
        return not self.machine

    @property
    def check_list(self) -> list[drill.Check]:
        """Return the checks of the restored copy."""
        return drill.checks(self.checks)

    @property
    def is_restore(self) -> bool:
        """Return whether it restores; else it verifies."""
        return self.what == drill.RESTORE


class DrillRunQuerySet(OwnedQuerySet):
    def newest_first(self) -> Self:
        """Return them as they are shown."""
        return self.order_by("-created_at", "-pk")

    def unfinished(self) -> Self:
        """Return those of which an end is awaited."""
        return self.filter(state=DrillRun.State.RUNNING)

    def to_compare(self) -> Self:
        """Return those that say they have succeeded, with a backup that the console has not seen yet."""
        return self.filter(state=DrillRun.State.REPORTED)


class DrillRun(models.Model):
    """One run of a plan for one stanza in one repository, as its machine reported it.

    Node and database are names, since the row outlives both, and the cluster, too: it is evidence.
    """

    class State(models.TextChoices):
        RUNNING = "running", gettext_lazy("Running")
        REPORTED = "reported", gettext_lazy("Being compared")  # until the store is read, and its backup is known
        SUCCEEDED = "succeeded", gettext_lazy("Succeeded")
        FAILED = "failed", gettext_lazy("Failed")
        NOT_BELIEVED = "not_believed", gettext_lazy("Not believed")
        LOST = "lost", gettext_lazy("No word")

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    cluster = models.ForeignKey(Cluster, models.SET_NULL, null=True, related_name="drill_runs")
    cluster_name = models.CharField(max_length=60)
    drill = models.ForeignKey(Drill, models.SET_NULL, null=True, related_name="runs")
    repository = models.ForeignKey(Repository, models.SET_NULL, null=True, related_name="+")
    number = models.PositiveSmallIntegerField()  # the repository's
    store = models.CharField(max_length=60, blank=True)  # its name
    node = models.CharField(max_length=100)  # whose folder it is
    database = models.CharField(max_length=100)
    what = models.CharField(max_length=10, choices=Drill.What)
    machine = models.CharField(max_length=60, blank=True)  # the drill machine; "": the node itself
    machine_id = models.CharField(max_length=64, blank=True)  # as Node.machine
    run_id = models.CharField(max_length=32, unique=True)  # the machine's own
    created_at = models.DateTimeField(default=timezone.now)  # when it began, by our clock
    received_at = models.DateTimeField(null=True, editable=False)  # when it was first heard of; null: before 0020
    due_at = models.DateTimeField()  # by then its end should have been reported
    ended_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=20, choices=State, default=State.RUNNING)
    words = models.CharField(max_length=700, blank=True)  # why it did not succeed
    restore_seconds = models.PositiveIntegerField(null=True)
    recovery_seconds = models.PositiveIntegerField(null=True)
    check_seconds = models.PositiveIntegerField(null=True)
    # What the copy said of itself
    label = models.CharField(max_length=40, blank=True)
    target = models.CharField(max_length=40, blank=True)  # an LSN; "": the end of the archive
    lsn = models.CharField(max_length=20, blank=True)  # up to which it was recovered
    restored_to = models.DateTimeField(null=True)
    said: Any = models.JSONField(
        default=dict
    )  # the facts that are compared: system_id, timeline, first_wal, postgresql
    size = models.PositiveBigIntegerField(null=True)  # bytes of the database
    amcheck = models.CharField(max_length=10, blank=True)  # passed, failed, absent, off
    results: Any = models.JSONField(default=list)  # of the checks: {"number", "sql", "ok", "said"}

    objects = DrillRunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    state__in=("running", "reported", "succeeded", "failed", "not_believed", "lost"),
                ),
                name="a_drill_run_is_in_a_known_state",
            ),
        ]
        indexes = [
            models.Index(fields=["cluster", "-created_at", "-id"], name="drill_runs_page_by_page"),
            models.Index(fields=["due_at"], condition=Q(state="running"), name="drill_runs_that_are_awaited"),
        ]

    def __str__(self) -> str:
        return f"{self.get_what_display()} of {self.database} on {self.node}"

    @property
    def state_words(self) -> str:
        """Return the state in words: of a run that has ended and is lost all the same, there was a word."""
        if self.state == self.State.LOST and self.ended_at:
            return "Not compared"
        return str(self.State(self.state).label)

    @property
    def css(self) -> str:
        """Return the class that gives its badge a colour."""
        return {
            "running": "updating",
            "reported": "updating",
            "succeeded": "available",
            "failed": "failed",
            "not_believed": "failed",
            "lost": "degraded",
        }[self.state]

    @property
    def seconds(self) -> int | None:
        """Return how long the restore took, with its recovery: the measured RTO; None before that."""
        if self.restore_seconds is None or self.recovery_seconds is None:
            return None
        return self.restore_seconds + self.recovery_seconds
