"""Clusters, their nodes and databases, and how these are backed up."""

from __future__ import annotations

import json
import re
import secrets
from base64 import b32decode, b32encode
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar, Self

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Prefetch, Q
from django.db.models.functions import Lower
from django.forms.models import model_to_dict
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from clusters.models.repository import Attachment, KnownStanza, Repository
from clusters.pgbackrest.configuration import BY_NUMBER, SSH_PORT, VERSIONS, Version, release
from clusters.pgbackrest.layout import Layout, called
from clusters.reports.primaries import SILENT
from clusters.validators import (
    validate_data_directory,
    validate_host,
    validate_os_user,
    validate_schedule,
    validate_stanza,
    validate_unit,
)
from console.accounts.encryption import EncryptedJSONField
from console.cloud_accounts.models import CloudAccount
from console.clouds.contract import AccessSpec, Cloud
from console.clouds.regions import Region
from console.operations.models import ManagedResource, ManagedResourceQuerySet, Transition
from stores.models import Store

NODES_AT_MOST = 20
# A cron expression, read by the node's own clock; empty: never.
SCHEDULE: Any = {"max_length": 100, "blank": True, "validators": [validate_schedule]}
PORT = [MinValueValidator(1), MaxValueValidator(65535)]
QUEUE = [MinValueValidator(1), MaxValueValidator(4096 * 1024)]  # up to pgBackRest's 4 PiB
TIMEOUT = [MinValueValidator(1), MaxValueValidator(3600)]  # pgBackRest's io-timeout, in whole seconds
RETENTION = [MinValueValidator(1), MaxValueValidator(9_999_999)]  # what pgBackRest takes
MACHINE_SILENT = SILENT  # then another machine may take the node's place
FILES_KNOWN = 10  # of a node: one change of its files makes one
DOUBLE_FOR = timedelta(hours=1)  # after its last report


class State(models.TextChoices):
    CREATING = "creating", "Creating"
    AVAILABLE = "available", "Available"
    UPDATING = "updating", "Updating"
    DELETING = "deleting", "Deleting"
    FAILED = "failed", "Failed"


def new_token() -> dict[str, str]:
    """Return the secrets of a new node: the token with which it reports what is applied on it."""
    return {"report_token": secrets.token_urlsafe(32)}


class ClusterQuerySet(ManagedResourceQuerySet):
    def with_story(self) -> Self:
        """Return the clusters with all that their page shows, in a fixed number of queries."""
        attachments = Attachment.objects.select_related("store", "repository").order_by("repository__number")
        return (
            self.with_loss()
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

    def with_node_setup(self) -> Self:
        """Return the clusters with all that their nodes are handed, and what their repositories hold."""
        return self.with_story().prefetch_related(
            "policies",
            "nodes__differences",
            "stanzas__database",
            "removed_nodes",
            Prefetch("repositories", Repository.objects.with_inventory()),
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
    def cloud(self) -> Cloud:
        """Return the cloud's functions and words."""
        return self.cloud_account.cloud

    @cached_property
    def has_loss(self) -> bool:
        """Return whether backups of its nodes were seen, are gone, and had not expired."""
        return bool(Cluster.objects.with_loss().values_list("has_loss", flat=True).get(pk=self.pk))

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
    def wanted(self) -> list[Attachment]:
        """Return the attachments that are to be, by repository number."""
        return [one for one in self.attachments.all() if one.state != Attachment.State.DETACHING]

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
        return list(self.cloud.access.facts(self.spec())) if self.repositories.exists() else []

    @property
    def permissions(self) -> str:
        """Return the policy of the nodes as JSON, such as a key that is made by hand needs; "" without a store."""
        spec = self.spec()
        return json.dumps(self.cloud.access.policy(spec), indent=2) if spec.buckets else ""

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
    def can_update(self) -> bool:
        """Return whether its stores and nodes may be changed now."""
        return self.may("update")

    @property
    def outdated(self) -> str:
        """Return why the nodes' access should be repaired, in a sentence; "" when it need not."""
        return self.cloud.access.outdated(self.spec())

    def spec(self) -> AccessSpec:
        """Return the cluster as its cloud needs it, with the backup buckets that its nodes may use."""
        buckets = tuple(
            self.attachments.exclude(state=Attachment.State.DETACHING)
            .order_by("repository__number")
            .values_list("store__bucket", flat=True)
        )
        return AccessSpec(
            id=self.id,
            name=self.name,
            account=self.cloud_account.credentials(),
            prefix=self.prefix,
            buckets=buckets,
            keys=self.keys,
            former=self.former_keys,
        )


class Reporting(models.Model):
    """Whoever reports, with a token of its own; while that is replaced, with either of two."""

    secrets = EncryptedJSONField(default=new_token)

    class Meta:
        abstract = True

    def takes(self, token: str) -> str:
        """Return which of its report tokens this is, "report_token" or "former_token"; "" for neither."""
        names = ("report_token", "former_token")
        return next((one for one in names if token and constant_time_compare(token, self.secrets.get(one, ""))), "")


class Node(Reporting):
    """A machine that runs PostgreSQL and pgBackRest, in one region."""

    class WritesTo(models.TextChoices):
        NEAREST = "nearest", "the nearest store"
        ALL = "all", "all stores of the cluster"
        CHOSEN = "chosen", "chosen stores"

    class System(models.TextChoices):
        DEBIAN = "debian", "Debian or Ubuntu"
        RPM = "rpm", "Red Hat, Rocky, SUSE (PGDG's RPMs)"
        OTHER = "other", "another: no packages of these"

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=10)
    region = models.CharField(max_length=40)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    pgbackrest_version = models.CharField(
        "pgBackRest version",
        max_length=10,
        blank=True,
        default="",
        choices=[(version.number, version.label) for version in VERSIONS if version.number],
    )
    system = models.CharField("packages", max_length=10, choices=System, default=System.DEBIAN)
    os_user = models.CharField("system user", max_length=32, default="postgres", validators=[validate_os_user])
    # Whose folder in a store it shares: of the hosts of one streaming replication, all write to that of the first.
    folder = models.CharField(max_length=10, blank=True, editable=False)  # "": its own
    address = models.CharField(max_length=253, blank=True, validators=[validate_host])  # at which the others reach it
    ssh_port = models.PositiveIntegerField("SSH port", default=SSH_PORT, validators=PORT)
    writes_to = models.CharField(max_length=10, choices=WritesTo, default=WritesTo.NEAREST)
    chosen: Any = models.ManyToManyField("Attachment", related_name="chosen_by")  # where writes_to is CHOSEN
    # What the node itself said last; nothing here was seen by the console.
    applied_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    applied_version = models.CharField(max_length=20, blank=True, editable=False)  # of pgBackRest
    applied_targets: Any = models.JSONField(default=list, editable=False)  # repository numbers in the last known file
    known_files: Any = models.JSONField(default=dict, editable=False)  # which key is in files it had: ID by digest
    reported_at = models.DateTimeField(null=True, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)  # the last report, by the node's own clock
    status: Any = models.JSONField(default=dict, editable=False)  # the rest of its last report
    machine = models.CharField(max_length=64, blank=True, editable=False)  # a digest of its machine-id
    other_machine_at = models.DateTimeField(null=True, editable=False)  # when another one said that it was this node

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["cluster", "name"], name="one_node_name_per_cluster"),
            models.CheckConstraint(
                condition=Q(writes_to__in=("nearest", "all", "chosen")), name="a_node_writes_to_a_known_choice"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("clusters:node", args=[self.cluster_id, self.name])

    @property
    def repository_folder(self) -> str:
        """Return the node's folder below the cluster's in each store; all hosts of a replication share one."""
        return self.folder or self.name

    @property
    def release(self) -> Version:
        """Return the pgBackRest that it has: as it reported last, or else as somebody said."""
        return release(self.applied_version) or BY_NUMBER[self.pgbackrest_version]

    @property
    def ssh_test(self) -> str:
        """Return the command that shows on another host whether this one is reached as pgBackRest reaches it."""
        port = f" -p {self.ssh_port}" if self.ssh_port != SSH_PORT else ""
        return f"sudo -u {self.os_user} ssh -o BatchMode=yes{port} {self.os_user}@{self.address} pgbackrest version"

    @property
    def applied_key(self) -> str:
        """Return the ID of the key in the file that the node reported last; "" when that is not known."""
        return str(self.known_files.get(self.applied_sha256, ""))

    @property
    def is_silent(self) -> bool:
        """Return whether three reports or more were missed, or none ever came."""
        return self.reported_at is None or timezone.now() - self.reported_at > MACHINE_SILENT

    def remember_file(self, sha256: str, key_id: str) -> None:
        """Note which key is in the file with that digest, and forget the oldest such notes."""
        others = {digest: key for digest, key in self.known_files.items() if digest != sha256}
        self.known_files = dict([*others.items(), (sha256, key_id)][-FILES_KNOWN:])

    @property
    def has_former_token(self) -> bool:
        """Return whether an earlier token is taken, too, since none of its reports has come with the present one."""
        return "former_token" in self.secrets

    @property
    def has_double(self) -> bool:
        """Return whether another machine has lately reported with this node's files."""
        return self.other_machine_at is not None and timezone.now() - self.other_machine_at < DOUBLE_FOR

    @property
    def place(self) -> str:
        """Return where the node is, such as "Dublin, Ireland"."""
        region = self.cluster.cloud_account.region(self.region)
        return region.place if region else ""


class Database(models.Model):
    """A PostgreSQL database cluster that each node runs: one pgBackRest stanza on each."""

    # One that came after the console counts as the newest that it knows.
    VERSIONS = ("19", "18", "17", "16", "15", "14", "13")

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="databases")
    name = models.CharField(max_length=40, validators=[validate_stanza])
    version = models.CharField("PostgreSQL version", max_length=4, choices=[(one, one) for one in VERSIONS])
    data_directory = models.CharField(max_length=200, validators=[validate_data_directory])
    port = models.PositiveIntegerField(default=5432, validators=PORT)

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


class NodeDatabase(models.Model):
    """In what a database differs on one node: where nothing is given, it is there as in the rest of the cluster."""

    node = models.ForeignKey(Node, models.CASCADE, related_name="differences")
    database = models.ForeignKey(Database, models.CASCADE, related_name="differences")
    data_directory = models.CharField(max_length=200, blank=True, validators=[validate_data_directory])
    port = models.PositiveIntegerField(null=True, blank=True, validators=PORT)
    service = models.CharField(max_length=100, blank=True, validators=[validate_unit])  # systemd's unit of the server

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["node", "database"], name="one_difference_per_node_and_database"),
            models.CheckConstraint(
                condition=Q(port=None) | Q(port__gte=1, port__lte=65535), name="a_port_of_a_node_is_one_of_tcp"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.database} on {self.node}"


class RemovedNode(Reporting):
    """A node that was taken out of its cluster: it may still write to the stores, and its backups are in them."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="removed_nodes")
    name = models.CharField(max_length=10)
    region = models.CharField(max_length=40)
    folder = models.CharField(max_length=10, blank=True)  # as Node.folder: "" for its own
    secrets = EncryptedJSONField(default=dict)
    applied_sha256 = models.CharField(max_length=64, blank=True)
    reported_at = models.DateTimeField(null=True)  # null where it never has
    removed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["cluster", "name"], name="one_removed_node_per_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_still_at_work(self) -> bool:
        """Return whether the node has reported since it was removed: then its configuration is still in place."""
        return self.reported_at is not None and self.reported_at > self.removed_at

    @property
    def repository_folder(self) -> str:
        """Return the node's folder below the cluster's in each store, as Node.repository_folder."""
        return self.folder or self.name

    def get_absolute_url(self) -> str:
        return reverse("clusters:node", args=[self.cluster_id, self.name])


class BackupPolicy(models.Model):
    """How long backups are kept and when they are made: for a cluster, or for one node that differs from it."""

    class RetentionType(models.TextChoices):
        TIME = "time", "days"
        COUNT = "count", "full backups"

    class BackupFrom(models.TextChoices):
        PRIMARY = "primary", "on the primary"
        STANDBY = "standby", "on a standby, while one follows"

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="policies")
    node = models.OneToOneField(Node, models.CASCADE, null=True, related_name="policy")
    retention_type = models.CharField(max_length=10, choices=RetentionType, default=RetentionType.TIME)
    retention_full = models.PositiveIntegerField("keep", default=14, validators=RETENTION)
    retention_diff = models.PositiveIntegerField("differential backups", null=True, blank=True, validators=RETENTION)
    backup_from = models.CharField("backups are made", max_length=10, choices=BackupFrom, default=BackupFrom.PRIMARY)
    # GiB of WAL that wait for a store; beyond that pgBackRest drops it. Nothing: PostgreSQL keeps all of it.
    queue_max = models.PositiveIntegerField("drop WAL beyond", null=True, blank=True, validators=QUEUE)
    io_timeout = models.PositiveIntegerField("give a store up after", null=True, blank=True, validators=TIMEOUT)  # s
    full_schedule = models.CharField("full", default="0 1 * * 0", **SCHEDULE)
    diff_schedule = models.CharField("differential", default="", **SCHEDULE)
    incr_schedule = models.CharField("incremental", default="0 1 * * 1-6", **SCHEDULE)

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


class Stanza(models.Model):
    """A database on a node, with the system identifier that the node reported for it."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="stanzas")
    node = models.ForeignKey(Node, models.CASCADE, related_name="stanzas")
    database = models.ForeignKey(Database, models.CASCADE, related_name="stanzas")
    system_id = models.CharField("system identifier", max_length=20)
    timeline = models.PositiveIntegerField(null=True)  # the one that the server is on
    reported_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "database"], name="one_stanza_per_node_and_database")]

    def __str__(self) -> str:
        return f"{self.database} on {self.node}"
