"""Tokens with which machines take what their nodes are handed: short-lived, for named nodes, each of them once."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from clusters.models.cluster import Cluster
from clusters.models.node import Node
from clusters.validators import validate_host
from console.accounts.models import Organisation, OwnedQuerySet, User
from console.accounts.permissions import Permission


class EnrolmentQuerySet(OwnedQuerySet):
    def open(self) -> Self:
        """Return those whose token is still taken."""
        return self.filter(revoked_at=None, expires_at__gt=timezone.now())

    def of_cluster(self, cluster: Cluster) -> Self:
        """Return those that have a place for one of the cluster's nodes."""
        return self.filter(pk__in=EnrolmentPlace.objects.filter(node__cluster=cluster).values("enrolment"))


class Enrolment(models.Model):
    """A token that was shown once, and is good until a certain time for the nodes that have a place in it."""

    organisation = models.ForeignKey(Organisation, models.CASCADE, related_name="enrolments")
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, editable=False)

    SEEN_BY: ClassVar = Permission.SEE_SECRETS  # its page

    objects = EnrolmentQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(expires_at__gt=models.F("created_at")), name="an_enrolment_ends_after_it_begins"
            ),
        ]

    def __str__(self) -> str:
        return f"enrolment {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("clusters:enrolment", args=[self.pk])

    @property
    def is_open(self) -> bool:
        """Return whether its token is still taken."""
        return self.revoked_at is None and self.expires_at > timezone.now()

    @property
    def taken(self) -> int:
        """Return how many of its nodes have taken their files."""
        return sum(one.taken_at is not None for one in self.places.all())

    @property
    def waiting(self) -> list[EnrolmentPlace]:
        """Return the places of the nodes that have not."""
        return [one for one in self.places.all() if one.taken_at is None]

    @property
    def clusters(self) -> list[Cluster]:
        """Return whose nodes it is for, by name."""
        return sorted({one.node.cluster for one in self.places.all()}, key=lambda one: one.name.lower())


class EnrolmentPlace(models.Model):
    """One node of an enrolment: who may take what it is handed, and who has."""

    enrolment = models.ForeignKey(Enrolment, models.CASCADE, related_name="places")
    node = models.ForeignKey(Node, models.CASCADE, related_name="places")
    # The machine that the node is, by the name that it gives itself; "": by the node's address or name.
    hostname = models.CharField(max_length=253, blank=True, db_default="", validators=[validate_host])
    taken_at = models.DateTimeField(null=True, editable=False)
    address = models.GenericIPAddressField(null=True, editable=False)  # from where
    machine = models.CharField(max_length=64, blank=True, db_default="", editable=False)  # as Node.machine
    times = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)  # that it was taken

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["enrolment", "node"], name="one_place_per_enrolment_and_node"),
            models.UniqueConstraint(
                fields=["enrolment", "hostname"], condition=~Q(hostname=""), name="one_place_per_enrolment_and_hostname"
            ),
        ]

    def __str__(self) -> str:
        return self.called

    @property
    def called(self) -> str:
        """Return what tells the node from those of other clusters, such as orders-7q4t/n1."""
        return f"{self.node.cluster.called}/{self.node.name}"

    def take(self, **values: Any) -> bool:
        """Note that it is taken now; False where it is already, or its token is not taken any more."""
        free = EnrolmentPlace.objects.filter(pk=self.pk, taken_at=None, enrolment__in=Enrolment.objects.open())
        return bool(free.update(taken_at=Now(), times=models.F("times") + 1, **values))
