"""Clusters, their databases, and how these are backed up."""

from __future__ import annotations

import json
import re
from base64 import b32decode, b32encode
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Prefetch, Q, Subquery
from django.db.models.functions import Lower, Now
from django.forms.models import model_to_dict
from django.utils.translation import gettext_lazy

from clusters.health.verdicts import Verdict, worst
from clusters.health.words import of_rank
from clusters.models.health import Health
from clusters.models.node import PORT, Node
from clusters.models.repository import Attachment, KnownStanza, Repository
from clusters.pgbackrest.layout import Layout, called
from clusters.validators import (
    validate_data_directory,
    validate_schedule,
    validate_stanza,
)
from console.accounts.encryption import EncryptedJSONField
from console.cloud_accounts.models import CloudAccount
from console.clouds.contract import Cloud, Document
from console.clouds.regions import Region
from console.clouds.specs import AccessSpec
from console.operations.models import ManagedResource, ManagedResourceQuerySet, Transition
from console.web.addresses import address
from stores.models import Store

NODES_AT_MOST = 20
# A cron expression, read by the node's own clock; empty: never.
SCHEDULE: Any = {"max_length": 100, "blank": True, "validators": [validate_schedule]}
QUEUE = [MinValueValidator(1), MaxValueValidator(4096 * 1024)]  # up to pgBackRest's 4 PiB
TIMEOUT = [MinValueValidator(1), MaxValueValidator(3600)]  # pgBackRest's io-timeout, in whole seconds
RPO = [MinValueValidator(5), MaxValueValidator(366 * 24 * 60)]  # reports come every five minutes
PROOF = [MinValueValidator(1), MaxValueValidator(3660)]
RETENTION = [MinValueValidator(1), MaxValueValidator(9_999_999)]  # what pgBackRest takes


class State(models.TextChoices):
    CREATING = "creating", gettext_lazy("Creating")
    AVAILABLE = "available", gettext_lazy("Available")
    UPDATING = "updating", gettext_lazy("Updating")
    DELETING = "deleting", gettext_lazy("Deleting")
    FAILED = "failed", gettext_lazy("Failed")


class ClusterQuerySet(ManagedResourceQuerySet):
    def with_story(self) -> Self:
        """Return the clusters with all that their page shows, in a fixed number of queries."""
        attachments = Attachment.objects.select_related("store", "repository").order_by("repository__number")
        return (
            self.with_loss()
            .with_verdict()
            .select_related("cloud_account", "operation")
            .prefetch_related(
                "databases",
                Prefetch("nodes", Node.objects.prefetch_related("chosen")),
                Prefetch("attachments", attachments),
            )
        )

    def with_loss(self) -> Self:
        """Return the clusters with whether backups of theirs are gone."""
        lost = KnownStanza.objects.filter(repository__cluster=OuterRef("pk"), repository__store__isnull=False)
        return self.annotate(has_loss=Exists(lost.exclude(lost_since=None)))

    def with_verdict(self) -> Self:
        """Return the clusters with the rank of the worst verdict on their databases."""
        judged = Health.objects.filter(cluster=OuterRef("pk")).order_by("rank").values("rank")
        return self.annotate(worst_rank=Subquery(judged[:1]))

    def judge_now(self) -> None:
        """Have the databases of these clusters judged anew: something about them was changed."""
        self.update(judge_at=None)

    def to_judge(self) -> Self:
        """Return those whose databases are to be judged now."""
        return self.filter(Q(judge_at=None) | Q(judge_at__lte=Now()))

    def with_node_setup(self) -> Self:
        """Return the clusters with all that their nodes are handed, and what their repositories hold."""
        return (
            self.with_story()
            .select_related("brought_in")
            .prefetch_related(
                "policies",
                "drills",
                "nodes__differences",
                "stanzas__database",
                "removed_nodes",
                Prefetch("repositories", Repository.objects.with_inventory()),
            )
        )


class Cluster(ManagedResource):
    """PostgreSQL nodes of one cloud account that share their databases and their backup stores."""

    VERBS: ClassVar = {
        "create": Transition((State.FAILED,), State.CREATING, State.AVAILABLE, State.FAILED),
        "update": Transition((State.AVAILABLE, State.FAILED), State.UPDATING, State.AVAILABLE, State.FAILED),
        "replace_key": Transition((State.AVAILABLE, State.FAILED), State.UPDATING, State.AVAILABLE, State.FAILED),
        "replace_key_at_once": Transition(
            (State.AVAILABLE, State.FAILED), State.UPDATING, State.AVAILABLE, State.FAILED
        ),
        "end_key": Transition((State.AVAILABLE, State.FAILED), State.UPDATING, State.AVAILABLE, State.FAILED),
        "delete": Transition((State.AVAILABLE, State.FAILED), State.DELETING, None, State.FAILED),
    }

    cloud_account = models.ForeignKey(CloudAccount, models.PROTECT, related_name="clusters")
    state = models.CharField(max_length=20, choices=State, default=State.CREATING)
    nodes_made = models.PositiveIntegerField(default=0, editable=False)  # a removed node's name is not given again
    version = models.PositiveIntegerField(
        default=1, editable=False
    )  # of its choice of stores: who changes it says from which
    stores = models.ManyToManyField(Store, through="Attachment", related_name="clusters")
    numbers_given = models.PositiveSmallIntegerField(null=True, editable=False)  # to repositories that were let go
    # What a step of the cloud gave to be kept: the key that the nodes sign in with, where they have one.
    keys = EncryptedJSONField(default=dict)
    former_keys = EncryptedJSONField(default=dict)  # what `keys` replaces: good until every node has the new one
    key_made_at = models.DateTimeField(null=True, editable=False)
    key_replaced_at = models.DateTimeField(null=True, editable=False)  # null once every node has reported the new one

    # How old the newest restorable moment may be (RPO), in minutes; null: as the schedule has it.
    rpo_minutes = models.PositiveIntegerField(
        gettext_lazy("recovery point objective"), null=True, blank=True, validators=RPO
    )
    # Within how many days a restore of each database has to have been proved; null: whenever.
    proof_days = models.PositiveSmallIntegerField(
        gettext_lazy("proof of a restore"), null=True, blank=True, validators=PROOF
    )
    # What a client of the compatible API has sent and reads again, which the console itself never uses: node_location,
    # networks, firewall_rules, resource_tags, capacity, ssh_key_id, regions, backup_store_ids (their order), and nodes:
    # by the node's name, what was sent of it. Null: no such client has made it.
    declared: Any = models.JSONField(null=True, editable=False)
    # When its databases are judged next (clusters.health); null: at once, since something about them was changed.
    judge_at = models.DateTimeField(null=True, editable=False)

    objects = ClusterQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("organisation", Lower("name"), name="one_cluster_name_per_organisation"),
            models.CheckConstraint(condition=~Q(name=""), name="a_cluster_has_a_name"),
            models.CheckConstraint(condition=Q(state__in=State.values), name="a_cluster_is_in_a_known_state"),
        ]
        indexes = [models.Index(fields=["organisation", "-created_at", "-id"], name="clusters_page_by_page")]

    def get_absolute_url(self) -> str:
        return address("clusters:detail", self.pk)

    @property
    def cloud(self) -> Cloud:
        """Return the cloud's functions and words."""
        return self.cloud_account.cloud

    @cached_property
    def has_loss(self) -> bool:
        """Return whether backups of its nodes were seen, are gone, and had not expired."""
        return bool(Cluster.objects.with_loss().values_list("has_loss", flat=True).get(pk=self.pk))

    @cached_property
    def worst_rank(self) -> int | None:
        """Return the rank of the worst verdict on its databases; None while there is none."""
        return Health.objects.filter(cluster=self).order_by("rank").values_list("rank", flat=True).first()

    @property
    def verdict(self) -> Verdict:
        """Return the worst verdict on its databases; what was seen to vanish is at risk before anybody judges."""
        known = of_rank(self.worst_rank) or Verdict.NOT_SET_UP
        return worst([known, Verdict.AT_RISK]) or known if self.has_loss else known

    @property
    def blocked(self) -> str:
        """Return why nothing is done in its account, and what to do; nothing when the account has proved itself."""
        return self.cloud_account.unproven

    @property
    def prefix(self) -> str:
        """Return the cluster's own folder in each of its stores; the nodes' permissions end there."""
        return "c-" + b32encode(self.id.bytes).decode().rstrip("=").lower()[-12:]

    @property
    def called(self) -> str:
        """Return what the cluster is called on its nodes' machines, such as orders-7q4t."""
        return called(self.name, self.prefix)

    @property
    def run_undo(self) -> str:
        """Return the command that takes back on a node's machine what its set-up script has put there."""
        return f"sudo sh {Layout(self.called).undo}"

    @staticmethod
    def id_end(name: str) -> str:
        """Return how the ID ends of the cluster whose prefix the name holds, such as its role's; "" without one."""
        found = re.search(r"\bc-([a-z2-7]{12})\b", name)
        # 26 characters of 5 bits hold 128 bits, so two bits of the last one are nothing.
        return f"{int.from_bytes(b32decode(f'AAAA{found[1]}'.upper())) >> 2:020x}"[-12:] if found else ""

    @property
    def repository_path(self) -> str:
        """Return where in a store the cluster's repository is, as pgBackRest's repoN-path begins."""
        return f"/{self.prefix}"

    @property
    def opened(self) -> list[str]:
        """Return the folders that the nodes' key opens, each with its stores."""
        spec, names = self.spec(), {one.store.bucket: one.store.name for one in self.wanted}
        found: dict[str, list[str]] = {}
        for bucket in spec.buckets:
            for folder in spec.folders(bucket):
                found.setdefault(f"/{folder}", []).append(names.get(bucket, bucket))
        return [f"{folder} in {' and '.join(there)}" for folder, there in found.items()]

    @property
    def wanted(self) -> list[Attachment]:
        """Return the attachments that are to be, by repository number."""
        return [one for one in self.attachments.all() if one.state != Attachment.State.DETACHING]

    def databases_in(self, folder: str) -> list[Database]:
        """Return the databases of the hosts that share this folder."""
        return [one for one in self.databases.all() if one.folder in {"", folder}]

    @property
    def policy(self) -> BackupPolicy:
        """Return how the cluster's nodes keep and make backups, where they do not differ."""
        found = (one for one in self.policies.all() if one.node_id is None)
        return next(found, None) or BackupPolicy(cluster=self)

    @property
    def places(self) -> list[tuple[str, Region]]:
        """Return the nodes' names and regions."""
        found = [(node.name, self.cloud_account.region(node.region)) for node in self.nodes.all()]
        return [(name, region) for name, region in found if region]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Return what the cloud has for the nodes: label and exact value, such as the ARN of their role."""
        mine = self.repositories.exclude(number__in=[*self.own_keys])
        return list(self.cloud.access.facts(self.spec())) if mine.exists() else []

    @property
    def permissions(self) -> str:
        """Return the policy of the nodes as JSON, such as a key that is made by hand needs; "" without a store."""
        spec = self.spec()
        return json.dumps(self.cloud.access.policy(spec), indent=2) if spec.buckets else ""

    @property
    def key_documents(self) -> Sequence[Document]:
        """Return what makes the nodes' key by hand, in the order of use; nothing without a store."""
        spec = self.spec()
        return self.cloud.access.by_hand(spec) if spec.buckets else ()

    @property
    def takes_key(self) -> bool:
        """Return whether the nodes' key is made by hand, and given to the console here."""
        return self.cloud_account.capabilities.node_key_by_hand

    @property
    def key_id(self) -> str:
        """Return what tells the nodes' key from another; "" where they sign in as their machines."""
        return self.cloud.access.key_id(self.keys)

    @property
    def former_key_id(self) -> str:
        """Return the same of the key that is being replaced; "" without one."""
        return self.cloud.access.key_id(self.former_keys)

    @property
    def is_watched_only(self) -> bool:
        """Return whether its repositories were brought in, and no hand-over has begun: nothing is written there."""
        found = getattr(self, "brought_in", None)
        return found is not None and found.handed_over_at is None

    @property
    def is_being_handed_over(self) -> bool:
        """Return whether its hand-over has begun, and no node has reported one of the console's files yet."""
        found = getattr(self, "brought_in", None)
        if found is None or found.handed_over_at is None:
            return False
        # Of machines with stanzas of their own each has to.
        done = {one.repository_folder for one in self.nodes.all() if one.applied_sha256}
        return not done or not {one.folder for one in self.databases.all() if one.folder} <= done

    @property
    def own_keys(self) -> dict[int, dict[str, str]]:
        """Return the keys that its nodes had before, by number of repository: for these the cloud makes none."""
        found = getattr(self, "brought_in", None)
        return {} if found is None or found.handed_over_at is None else found.own_keys

    @property
    def own_retentions(self) -> list[tuple[str, str]]:
        """Return its repositories that expire as the file had it that they were brought in with, and how."""
        return [(str(one), one.own_retention) for one in self.repositories.all() if one.own_retention]

    @property
    def can_update(self) -> bool:
        """Return whether its stores and nodes may be changed now."""
        return self.may("update")

    @property
    def outdated(self) -> str:
        """Return why the nodes' access should be repaired, in a sentence; "" when it need not."""
        return self.cloud.access.outdated(self.spec())

    def spec(self) -> AccessSpec:
        """Return the cluster as its cloud needs it, with the backup buckets that its nodes may use, as they are now."""
        attachments = self.attachments.exclude(state=Attachment.State.DETACHING)
        rows = attachments.order_by("repository__number").values_list(
            "store__bucket", "repository__brought", "repository__number"
        )
        return self._spec(rows)

    def spec_as_read(self) -> AccessSpec:
        """Return the same by the attachments that were read with the cluster, without a query of its own."""
        wanted = sorted(self.wanted, key=lambda one: one.repository.number)
        return self._spec((one.store.bucket, one.repository.brought, one.repository.number) for one in wanted)

    def _spec(self, rows: Iterable[tuple[str, dict[str, Any] | None, int]]) -> AccessSpec:
        own = self.own_keys
        found = {
            bucket: brought
            for bucket, brought, number in rows
            if number not in own and not (self.is_watched_only and brought is not None)
        }
        kept = {bucket: brought["path"] for bucket, brought in found.items() if brought is not None}
        if getattr(self, "brought_in", None) and not self.is_watched_only:
            # What was replaced since the hand-over is still expired by the node, and restored there.
            left = (one for one in self.repositories.all() if one.brought is not None and one.bucket in found)
            left = (one for one in left if one.number not in own)
            kept = {one.bucket: one.brought["path"] for one in left} | kept
        return AccessSpec(
            id=self.id,
            name=self.name,
            account=self.cloud_account.credentials(),
            prefix=self.prefix,
            buckets=tuple(found),
            keys=self.keys,
            former=self.former_keys,
            kept=kept,
        )


class Database(models.Model):
    """A PostgreSQL database cluster that each node runs, or those of one folder: one pgBackRest stanza on each."""

    # One that came after the console counts as the newest that it knows.
    VERSIONS = ("19", "18", "17", "16", "15", "14", "13")

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="databases")
    name = models.CharField(max_length=40, validators=[validate_stanza])
    version = models.CharField(
        gettext_lazy("PostgreSQL version"), max_length=4, choices=[(one, one) for one in VERSIONS]
    )
    data_directory = models.CharField(max_length=200, validators=[validate_data_directory])
    port = models.PositiveIntegerField(default=5432, validators=PORT)
    # Of whose hosts it is: machines with stanzas of their own that were brought in as one cluster. "": of all nodes.
    folder = models.CharField(max_length=10, blank=True, default="", db_default="", editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "name"], name="one_database_name_per_cluster"),
            models.UniqueConstraint(fields=["cluster", "folder", "port"], name="one_database_per_port_of_a_folder"),
            models.UniqueConstraint(
                fields=["cluster", "folder", "data_directory"], name="one_database_per_directory_of_a_folder"
            ),
            models.CheckConstraint(condition=Q(port__gte=1, port__lte=65535), name="a_port_is_one_of_tcp"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def on(self) -> str:
        """Return the nodes that have it, by name; of its cluster they are at hand."""
        there = [one.name for one in self.cluster.nodes.all() if self.folder in {"", one.repository_folder}]
        return " and ".join(there)


class BackupPolicy(models.Model):
    """How long backups are kept and when they are made: for a cluster, or for one node that differs from it."""

    class RetentionType(models.TextChoices):
        TIME = "time", gettext_lazy("days")
        COUNT = "count", gettext_lazy("full backups")

    class BackupFrom(models.TextChoices):
        PRIMARY = "primary", gettext_lazy("on the primary")
        STANDBY = "standby", gettext_lazy("on a standby, while one follows")

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="policies")
    node = models.OneToOneField(Node, models.CASCADE, null=True, related_name="policy")
    retention_type = models.CharField(max_length=10, choices=RetentionType, default=RetentionType.TIME)
    retention_full = models.PositiveIntegerField(gettext_lazy("keep"), default=14, validators=RETENTION)
    retention_diff = models.PositiveIntegerField(
        gettext_lazy("differential backups"), null=True, blank=True, validators=RETENTION
    )
    backup_from = models.CharField(
        gettext_lazy("backups are made"), max_length=10, choices=BackupFrom, default=BackupFrom.PRIMARY
    )
    # GiB of WAL that wait for a store; beyond that pgBackRest drops it. Nothing: PostgreSQL keeps all of it.
    queue_max = models.PositiveIntegerField(gettext_lazy("drop WAL beyond"), null=True, blank=True, validators=QUEUE)
    io_timeout = models.PositiveIntegerField(
        gettext_lazy("give a store up after"), null=True, blank=True, validators=TIMEOUT
    )  # s
    full_schedule = models.CharField(gettext_lazy("full"), default="0 1 * * 0", **SCHEDULE)
    diff_schedule = models.CharField(gettext_lazy("differential"), default="", **SCHEDULE)
    incr_schedule = models.CharField(gettext_lazy("incremental"), default="0 1 * * 1-6", **SCHEDULE)
    changed_at = models.DateTimeField(null=True, editable=False)  # the schedule; null: never, or before that was kept

    class Meta:
        verbose_name_plural = "backup policies"
        constraints = [
            models.UniqueConstraint(
                fields=["cluster"], condition=Q(node=None), name="one_backup_policy_per_cluster_beside_its_nodes"
            ),
            models.CheckConstraint(condition=Q(retention_full__gte=1), name="a_backup_policy_keeps_something"),
            models.CheckConstraint(
                condition=Q(retention_type__in=("time", "count")), name="a_backup_policy_keeps_by_days_or_by_number"
            ),
            models.CheckConstraint(
                condition=Q(backup_from__in=("primary", "standby")), name="backups_are_made_on_a_known_host"
            ),
        ]

    def __str__(self) -> str:
        return f"backup policy of {self.node or self.cluster}"

    @classmethod
    def beginning(cls, cluster: Cluster) -> dict[str, Any]:
        """Return what a node's own policy begins with: all that the cluster's says now."""
        found = cls.objects.filter(cluster=cluster, node=None).first() or cls(cluster=cluster)
        return model_to_dict(found, exclude=["id", "cluster", "node"])

    @property
    def schedules(self) -> dict[str, str]:
        """Return the cron expressions by pgBackRest's backup type, without those that are empty."""
        given = {"full": self.full_schedule, "diff": self.diff_schedule, "incr": self.incr_schedule}
        return {kind: expression for kind, expression in given.items() if expression}
