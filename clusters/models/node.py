"""Nodes of clusters, those that were removed, and what they say of themselves."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext_lazy

from clusters.health.verdicts import Verdict
from clusters.health.words import of_rank
from clusters.pgbackrest.configuration import BY_NUMBER, SSH_PORT, VERSIONS, Version, release
from clusters.reports.primaries import SILENT
from clusters.validators import validate_data_directory, validate_host, validate_os_user, validate_unit
from console.accounts.encryption import EncryptedJSONField

PORT = [MinValueValidator(1), MaxValueValidator(65535)]
MACHINE_SILENT = SILENT  # then another machine may take the node's place
FILES_KNOWN = 10  # of a node: one change of its files makes one
DOUBLE_FOR = timedelta(hours=1)  # after its last report


def new_token() -> dict[str, str]:
    """Return the secrets of a new node: the token with which it reports what is applied on it."""
    return {"report_token": secrets.token_urlsafe(32)}


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
        NEAREST = "nearest", gettext_lazy("the nearest store")
        ALL = "all", gettext_lazy("all stores of the cluster")
        CHOSEN = "chosen", gettext_lazy("chosen stores")

    class System(models.TextChoices):
        DEBIAN = "debian", gettext_lazy("Debian or Ubuntu")
        RPM = "rpm", gettext_lazy("Red Hat, Rocky, SUSE (PGDG's RPMs)")
        OTHER = "other", gettext_lazy("another: no packages of these")

    cluster = models.ForeignKey("clusters.Cluster", models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=10)
    region = models.CharField(max_length=40)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    pgbackrest_version = models.CharField(
        gettext_lazy("pgBackRest version"),
        max_length=10,
        blank=True,
        default="",
        choices=[(version.number, version.label) for version in VERSIONS if version.number],
    )
    system = models.CharField(gettext_lazy("packages"), max_length=10, choices=System, default=System.DEBIAN)
    os_user = models.CharField(
        gettext_lazy("system user"), max_length=32, default="postgres", validators=[validate_os_user]
    )
    # Whose folder in a store it shares: of the hosts of one streaming replication, all write to that of the first.
    folder = models.CharField(max_length=10, blank=True, editable=False)  # "": its own
    address = models.CharField(max_length=253, blank=True, validators=[validate_host])  # at which the others reach it
    ssh_port = models.PositiveIntegerField(gettext_lazy("SSH port"), default=SSH_PORT, validators=PORT)
    writes_to = models.CharField(max_length=10, choices=WritesTo, default=WritesTo.NEAREST)
    chosen: Any = models.ManyToManyField("Attachment", related_name="chosen_by")  # where writes_to is CHOSEN
    follows_since = models.DateTimeField(null=True, editable=False)  # when it gave up a backup policy of its own
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
    def verdict(self) -> Verdict | None:
        """Return the worst verdict on its databases in their stores, in a query; None where nothing is judged."""
        judged = self.cluster.health.filter(node=self.repository_folder).order_by("rank")
        return of_rank(judged.values_list("rank", flat=True).first())

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


class NodeDatabase(models.Model):
    """In what a database differs on one node: where nothing is given, it is there as in the rest of the cluster."""

    node = models.ForeignKey(Node, models.CASCADE, related_name="differences")
    database = models.ForeignKey("clusters.Database", models.CASCADE, related_name="differences")
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

    cluster = models.ForeignKey("clusters.Cluster", models.CASCADE, related_name="removed_nodes")
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


class Stanza(models.Model):
    """A database on a node, with the system identifier that the node reported for it."""

    cluster = models.ForeignKey("clusters.Cluster", models.CASCADE, related_name="stanzas")
    node = models.ForeignKey(Node, models.CASCADE, related_name="stanzas")
    database = models.ForeignKey("clusters.Database", models.CASCADE, related_name="stanzas")
    system_id = models.CharField(gettext_lazy("system identifier"), max_length=20)
    timeline = models.PositiveIntegerField(null=True)  # the one that the server is on
    reported_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "database"], name="one_stanza_per_node_and_database")]

    def __str__(self) -> str:
        return f"{self.database} on {self.node}"
