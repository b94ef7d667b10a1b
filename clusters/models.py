"""Clusters, their nodes and databases, and the backup stores that are attached to them."""

from __future__ import annotations

from base64 import b32encode
from typing import ClassVar, Self

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Prefetch, Q
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

from console.accounts.models import CloudAccount
from console.operations.models import Subject, SubjectQuerySet, Transition
from console.regions import Region
from stores.models import Store
from stores.providers.base import AccessSpec, Provider

NODES_AT_MOST = 20
REPOSITORIES_AT_MOST = 256  # pgBackRest's repoN: "key must be between 1 and 256"


class State(models.TextChoices):
    CREATING = "creating", "Creating"
    AVAILABLE = "available", "Available"
    UPDATING = "updating", "Updating"
    DELETING = "deleting", "Deleting"
    FAILED = "failed", "Failed"


class ClusterQuerySet(SubjectQuerySet):
    def with_story(self) -> Self:
        """Return the clusters with all that their page shows, in a fixed number of queries."""
        attachments = Attachment.objects.select_related("store", "repository").order_by("repository__number")
        return self.select_related("cloud_account", "operation").prefetch_related(
            "nodes", "databases", Prefetch("attachments", attachments)
        )


class Cluster(Subject):
    """PostgreSQL nodes of one cloud account that share their databases and their backup stores."""

    VERBS: ClassVar = {
        "create": Transition((State.FAILED,), State.CREATING, State.AVAILABLE, State.FAILED),
        "update": Transition((State.AVAILABLE, State.FAILED), State.UPDATING, State.AVAILABLE, State.FAILED),
        "delete": Transition((State.AVAILABLE, State.FAILED), State.DELETING, None, State.FAILED),
    }

    cloud_account = models.ForeignKey(CloudAccount, models.PROTECT, related_name="clusters")
    state = models.CharField(max_length=20, choices=State, default=State.CREATING)
    nodes_made = models.PositiveIntegerField(default=0, editable=False)  # a removed node's name is not given again
    version = models.PositiveIntegerField(
        default=1, editable=False
    )  # of its choice of stores: who changes it says from which
    stores = models.ManyToManyField(Store, through="Attachment", related_name="clusters")

    objects = ClusterQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("organisation", Lower("name"), name="one_cluster_name_per_organisation"),
            models.CheckConstraint(condition=~Q(name=""), name="a_cluster_has_a_name"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="a_cluster_is_in_a_known_state"),
        ]
        indexes = [models.Index(fields=["organisation", "-created_at", "-id"], name="clusters_page_by_page")]

    def get_absolute_url(self) -> str:
        return reverse("clusters:detail", args=[self.pk])

    @property
    def provider(self) -> Provider:
        """Return the cloud's functions and words."""
        return self.cloud_account.provider

    @property
    def prefix(self) -> str:
        """Return the cluster's own folder in each of its stores; the nodes' permissions end there."""
        return "c-" + b32encode(self.id.bytes).decode().rstrip("=").lower()[-12:]

    @property
    def repository_path(self) -> str:
        """Return where in a store the cluster's repository is, as pgBackRest's repoN-path begins."""
        return f"/{self.prefix}"

    @property
    def wanted(self) -> list[Attachment]:
        """Return the attachments that are to be, by repository number."""
        return [one for one in self.attachments.all() if one.state != Attachment.State.DETACHING]

    @property
    def places(self) -> list[tuple[str, Region]]:
        """Return the nodes' names and regions."""
        found = [(node.name, self.cloud_account.region(node.region)) for node in self.nodes.all()]
        return [(name, region) for name, region in found if region]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Return what the cloud has for the nodes: label and exact value, such as the ARN of their role."""
        return self.provider.access_facts(self.spec()) if self.repositories.exists() else []

    @property
    def can_update(self) -> bool:
        """Return whether its stores and nodes may be changed now."""
        return self.may("update")

    def spec(self) -> AccessSpec:
        """Return the cluster as its provider needs it, with the backup buckets that its nodes may use."""
        buckets = tuple(
            self.attachments.exclude(state=Attachment.State.DETACHING)
            .order_by("repository__number")
            .values_list("store__bucket", flat=True)
        )
        return AccessSpec(
            id=self.id, name=self.name, account=self.cloud_account.credentials(), prefix=self.prefix, buckets=buckets
        )


class Node(models.Model):
    """A machine that runs PostgreSQL and pgBackRest, in one region."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=10)
    region = models.CharField(max_length=40)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="one_node_name_per_cluster")]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """Return where the node is, such as "Dublin, Ireland"."""
        region = self.cluster.cloud_account.region(self.region)
        return region.place if region else ""


class Database(models.Model):
    """A PostgreSQL database cluster that each node runs: one pgBackRest stanza on each."""

    VERSIONS = ("18", "17", "16", "15", "14", "13")

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="databases")
    name = models.CharField(
        max_length=40,
        validators=[
            RegexValidator(
                r"\A[a-z][a-z0-9_-]*\Z",
                "Begin with a lower-case letter; then lower-case letters, digits, - and _. It is the stanza's name.",
            )
        ],
    )
    version = models.CharField("PostgreSQL version", max_length=4, choices=[(one, one) for one in VERSIONS])
    data_directory = models.CharField(
        max_length=200,
        validators=[
            RegexValidator(
                r"\A/[^\x00-\x1f#=]*\Z", "Give the whole path, such as /var/lib/postgresql/17/main, on one line."
            )
        ],
    )
    port = models.PositiveIntegerField(default=5432, validators=[MinValueValidator(1), MaxValueValidator(65535)])

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "name"], name="one_database_name_per_cluster"),
            models.UniqueConstraint(fields=["cluster", "port"], name="one_database_per_port_of_the_nodes"),
            models.UniqueConstraint(fields=["cluster", "data_directory"], name="one_database_per_data_directory"),
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="a_port_is_one_of_tcp"),
        ]

    def __str__(self) -> str:
        return self.name


class Repository(models.Model):
    """The number under which pgBackRest knows a store in a cluster: given once, kept for ever, never given again.

    Nodes that still have an old configuration must not find another store behind a number, so the row outlives the
    attachment, and even the store.
    """

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="repositories")
    store = models.ForeignKey(Store, models.SET_NULL, null=True, related_name="+")
    number = models.PositiveSmallIntegerField()

    class Meta:
        verbose_name_plural = "repositories"
        constraints = [
            models.UniqueConstraint(fields=["cluster", "number"], name="one_repository_per_number"),
            models.UniqueConstraint(fields=["cluster", "store"], name="one_repository_per_store_and_cluster"),
            models.CheckConstraint(
                condition=Q(number__gte=1, number__lte=REPOSITORIES_AT_MOST), name="a_repository_is_numbered_1_to_256"
            ),
        ]

    def __str__(self) -> str:
        return f"repo{self.number}"


class Attachment(models.Model):
    """A store in use by a cluster; the database refuses one of another account, or of a store that is not available."""

    class State(models.TextChoices):
        ATTACHING = "attaching", "Attaching"
        ATTACHED = "attached", "Attached"
        DETACHING = "detaching", "Detaching"

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="attachments")
    store = models.ForeignKey(Store, models.PROTECT, related_name="attachments")
    repository = models.OneToOneField(Repository, models.PROTECT)
    state = models.CharField(max_length=20, choices=State, default=State.ATTACHING)
    attached_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "attachment to cluster"
        constraints = [
            models.UniqueConstraint(fields=["cluster", "store"], name="a_store_is_attached_once"),
            models.CheckConstraint(
                condition=Q(state__in=("attaching", "attached", "detaching")),
                name="an_attachment_is_in_a_known_state",
            ),
        ]

    def __str__(self) -> str:
        return self.cluster.name
