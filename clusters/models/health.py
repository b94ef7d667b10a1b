"""What was last judged of each database in each store that it is backed up to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from clusters.health.advice import BY_MANAGERS, PLACES, Told
from clusters.health.verdicts import Verdict
from console.accounts.models import Organisation, OwnedQuerySet

RANKS = {one: one.rank for one in Verdict}


class HealthQuerySet(OwnedQuerySet):
    def troubled(self) -> Self:
        """Return those that cannot be restored as promised."""
        return self.filter(rank__lt=Verdict.RECOVERABLE.rank)

    def worst_first(self) -> Self:
        """Return them with the worst verdict first, and of one verdict that which has it longest."""
        return self.order_by("rank", "since", "pk")


class Health(models.Model):
    """One database of one node in one store: whether it can be restored, to when, and why not.

    Node and database are names, as in KnownStanza. A row is there for each pair that should be backed up now; judging
    makes it and takes it away.
    """

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="+")
    cluster = models.ForeignKey("clusters.Cluster", models.CASCADE, related_name="health")
    repository = models.ForeignKey("clusters.Repository", models.CASCADE, related_name="health")
    node = models.CharField(max_length=100)  # whose folder it is: of a streaming replication, its first host
    database = models.CharField(max_length=100)
    verdict = models.CharField(max_length=20, choices=Verdict, default=Verdict.UNKNOWN)
    rank = models.PositiveSmallIntegerField(default=Verdict.UNKNOWN.rank)  # of the verdict, for sorting
    since = models.DateTimeField(default=timezone.now)  # when it became so
    # All that is wrong, the worst first: {"code", "verdict", "words", "advice"}; nothing where it is recoverable.
    problems: Any = models.JSONField(default=list)
    # What is wrong and does not count yet, since it may pass: {"code", "verdict", "since"}; and what is over and still
    # counts, since it may come back: {"code", "verdict", "over"}. Null where a former release has judged.
    held: Any = models.JSONField(null=True)
    # Another verdict, by what is wrong now, whether it counts yet or not, and since when.
    coming = models.CharField(max_length=20, choices=Verdict, blank=True, db_default="")
    coming_since = models.DateTimeField(null=True)
    # The facts, as they were judged
    oldest = models.DateTimeField(null=True)  # the recovery window
    newest = models.DateTimeField(null=True)
    backup_at = models.DateTimeField(null=True)  # when the newest backup was complete
    full_at = models.DateTimeField(null=True)  # when the newest full backup was
    wal_at = models.DateTimeField(null=True)  # when the newest WAL segment came
    gaps: Any = models.JSONField(default=list)  # {"timeline", "after", "before", "segments", "from", "to"}
    missed: Any = models.JSONField(default=list)  # runs that should have been and were not: {"kind", "at"}
    read_at = models.DateTimeField(null=True)  # when the store was last read
    proved_at = models.DateTimeField(null=True)  # when a restore of it last succeeded
    proof_seconds = models.PositiveIntegerField(null=True)  # how long that took
    bytes = models.PositiveBigIntegerField(default=0)  # that it takes in the store
    bytes_before = models.PositiveBigIntegerField(null=True)  # the same a week ago; null where that is not known
    judged_at = models.DateTimeField(default=timezone.now)

    objects = HealthQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "health"
        constraints = [
            models.UniqueConstraint(
                fields=["repository", "node", "database"], name="one_health_per_repository_node_and_database"
            ),
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="health_is_a_known_verdict"),
        ]
        indexes = [models.Index(fields=["organisation", "rank", "since"], name="health_worst_first")]

    def __str__(self) -> str:
        return f"{self.database} on {self.node}"

    def save(self, *args: Any, **options: Any) -> None:
        """Save it with its verdict's rank."""
        self.rank = RANKS[Verdict(self.verdict)]
        super().save(*args, **options)

    @property
    def word(self) -> Verdict:
        """Return the verdict with its label and its class."""
        return Verdict(self.verdict)

    @property
    def reason(self) -> str:
        """Return why it is not recoverable, in a sentence; "" where it is."""
        return self.problems[0]["words"] if self.problems else ""

    @property
    def advice(self) -> str:
        """Return what to do about it, in a sentence; "" where there is nothing to do."""
        return self.problems[0].get("advice", "") if self.problems else ""

    @property
    def told(self) -> list[Told]:
        """Return all that is wrong, the worst first, each with where it is put right."""
        return [
            Told(one["words"], one.get("advice", ""), self._place(code), code in BY_MANAGERS)
            for one in self.problems
            for code in [str(one.get("code", ""))]
        ]

    def _place(self, code: str) -> str:
        place = PLACES.get(code, "node")
        if place == "account":
            return reverse("cloud_accounts:detail", args=[self.cluster.cloud_account_id])
        if place == "store" and self.repository.store_id:
            return reverse("stores:detail", args=[self.repository.store_id])
        return self.cluster.get_absolute_url() if place == "cluster" else self.node_url

    @property
    def node_url(self) -> str:
        """Return the address of its node's page."""
        return reverse("clusters:node", args=[self.cluster_id, self.node])

    @property
    def age(self) -> timedelta | None:
        """Return how old the newest moment is that can be restored."""
        return max(timedelta(), timezone.now() - self.newest) if self.newest else None
