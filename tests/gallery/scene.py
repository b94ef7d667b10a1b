"""What the pictures show: one organisation with stores on each cloud and clusters in each state, always the same.

Times lie so long before now, which is screens.MOMENT: no clock moves while the pictures are taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from clusters.health.verdicts import Verdict
from clusters.models import Cluster, Health, KnownStanza, Node, Stanza
from clusters.pgbackrest.repository import Backup, StanzaState
from clusters.reports.report import of_json
from console.accounts import activity
from console.accounts.models import Membership, User
from console.cloud_accounts.models import CloudAccount, Preflight
from console.clouds.aws.access import BOUND
from console.clouds.aws.boundary import boundary_of
from console.operations.models import Operation
from console.web.logs import Origin, origin
from stores.models import DriftReport, Store
from tests import factories
from tests.clusters.nodes import SYSTEM_ID, node_setup, seen, standing
from tests.clusters.reports.sent import content, stanza

GB = 1000**3
DAY = timedelta(days=1)
BACKUPS = (("full", 8, 182 * GB, 41 * GB), ("incr", 3, 183 * GB, 2 * GB), ("full", 1, 184 * GB, 42 * GB))


@dataclass(frozen=True)
class Scene:
    """Who looks, and what the addresses of the pages name."""

    olivia: User
    newcomer: User
    account: CloudAccount
    store: Store
    cluster: Cluster


def make() -> Scene:
    """Make it all; nothing of a cloud is asked."""
    acme = factories.organisation("Acme Retail")
    olivia = factories.user("olivia", acme, first_name="Olivia", last_name="Owens", email="olivia@acme.example")
    for name, first, last, role in (("adam", "Adam", "Ames", "admin"), ("audrey", "Audrey", "Archer", "auditor")):
        factories.user(name, acme, role, first_name=first, last_name=last, email=f"{name}@acme.example")
    newcomer = factories.user("nina", factories.organisation("Umbrella"), first_name="Nina", last_name="North")
    accounts = {
        "aws": factories.account(acme, name="Acme production"),
        "azure": factories.azure(acme, name="Acme on Azure"),
        "google": factories.google(acme, name="Acme analytics"),
        "s3": factories.server(acme, name="Acme datacentre", location="frankfurt"),
    }
    now = timezone.now()
    CloudAccount.objects.update(created_at=now - 22 * DAY, verified_at=now - timedelta(hours=2))
    for one in accounts.values():
        Preflight.objects.create(cloud_account=one, content=[], read_at=now)
    stores = dict(_stores(accounts))
    orders = standing(
        accounts["aws"], olivia, [stores["orders-ireland"], stores["orders-oregon"]],
        regions=("eu-west-1", "us-west-2", "eu-central-1"),
    )  # fmt: skip
    for name, key, store, region in (
        ("events", "google", "events-belgium", "europe-west1"),
        ("invoices", "azure", "invoices-amsterdam", "westeurope"),
        ("ledger", "s3", "ledger-frankfurt", "us-east-1"),
    ):
        other = standing(accounts[key], olivia, [stores[store]], name=name, regions=(region,))
        other.databases.update(name=name)
        _judge(other, Verdict.AT_RISK if name == "ledger" else Verdict.RECOVERABLE)
    _judge(orders, Verdict.RECOVERABLE)
    Health.objects.filter(cluster=orders, node="n3").update(**_behind())
    _read(orders)
    _report(orders)
    _settle()
    token = origin.set(Origin(address="203.0.113.24"))
    _events(acme, olivia, stores)
    origin.reset(token)
    return Scene(olivia, newcomer, accounts["aws"], stores["orders-ireland"], Cluster.objects.get(pk=orders.pk))


def _stores(accounts: dict[str, CloudAccount]) -> Iterator[tuple[str, Store]]:
    now = timezone.now()
    for number, (name, key, region) in enumerate(
        (
            ("orders-ireland", "aws", "eu-west-1"),
            ("orders-oregon", "aws", "us-west-2"),
            ("orders-frankfurt", "aws", "eu-central-1"),
            ("events-belgium", "google", "europe-west1"),
            ("invoices-amsterdam", "azure", "westeurope"),
            ("ledger-frankfurt", "s3", "us-east-1"),
        )
    ):
        # Of one age, they would stand in another order each time.
        at = now - 21 * DAY - timedelta(minutes=number)
        made = factories.store(accounts[key], name=name, region=region, created_at=at)
        made.operation = Operation.objects.create(
            organisation=made.organisation, subject_kind="store", subject_id=made.pk, subject_name=name, verb="create",
            title="Create Backup Store", state="done", created_at=now - 21 * DAY, finished_at=now - 21 * DAY,
        )  # fmt: skip
        made.save(update_fields=["operation"])
        DriftReport.objects.create(store=made, content=[], read_at=now - timedelta(hours=1))
        yield name, made


def _judge(cluster: Cluster, verdict: Verdict) -> None:
    """Have each node's database be judged in the store that the node writes to, as a worker would."""
    now = timezone.now()
    repositories = list(cluster.repositories.order_by("number"))
    for at, node in enumerate(cluster.nodes.order_by("name")):
        problem = {
            "code": "wal_stopped",
            "verdict": verdict.value,
            "words": "No WAL has arrived for 52 minutes.",
            "advice": "Look at the archiver on n1.",
        }
        Health.objects.create(
            organisation=cluster.organisation, cluster=cluster, repository=repositories[at % len(repositories)],
            node=node.name, database=cluster.databases.get().name, verdict=verdict, rank=verdict.rank,
            problems=[problem] if verdict is Verdict.AT_RISK else [], since=now - timedelta(hours=1),
            oldest=now - 14 * DAY, newest=now - timedelta(minutes=3), backup_at=now - timedelta(hours=7),
            full_at=now - 1 * DAY, wal_at=now - timedelta(minutes=3), read_at=now - timedelta(minutes=9),
            bytes=(85 + 7 * at) * GB, bytes_before=(80 + 7 * at) * GB,
        )  # fmt: skip


def _behind() -> dict[str, Any]:
    said = {
        "code": "behind",
        "verdict": Verdict.BEHIND.value,
        "words": "The newest WAL is 21 minutes old.",
        "advice": "It catches up by itself once the network does.",
    }
    return {"verdict": Verdict.BEHIND, "rank": Verdict.BEHIND.rank, "problems": [said]}


def _read(cluster: Cluster) -> None:
    """Have its repositories be read: two full backups and an incremental one of each node that writes there."""
    now = timezone.now()
    for at, node in enumerate(cluster.nodes.order_by("name")):
        if at < 2:
            backups = [_backup(kind, now - days * DAY, size, stored) for kind, days, size, stored in BACKUPS]
            state = StanzaState(
                node=node.name, stanza="orders", status="read", system_id=SYSTEM_ID, postgresql="15", backups=backups,
                last_wal="0000000100000000000004B0", last_wal_at=(now - timedelta(minutes=3)).isoformat(),
                wal_bytes=3 * GB, wal_segments=180, backup_bytes=85 * GB,
            )  # fmt: skip
            seen(cluster, state, number=at + 1)
            sizes = [[f"{now - days * DAY:%Y-%m-%d}", (85 - days) * GB, 3 * GB] for days in range(12, -1, -1)]
            KnownStanza.objects.create(
                repository=cluster.repositories.get(number=at + 1), node=node.name, name="orders", seen_at=now,
                sizes=sizes, made=[[one.label, one.stopped, 2280, one.stored] for one in backups],
                backup_at=now - 1 * DAY,
            )  # fmt: skip


def _backup(kind: str, ended: datetime, size: int, stored: int) -> Backup:
    begun = (ended - timedelta(minutes=38)).astimezone(UTC)
    full = f"{begun:%Y%m%d-%H%M%S}F"
    label = full if kind == "full" else f"{full}_{ended:%Y%m%d-%H%M%S}I"
    first, last = "000000010000000000000400", "000000010000000000000404"
    return Backup(
        label, kind, int(begun.timestamp()), int(ended.timestamp()), size, stored, first, last, SYSTEM_ID, False
    )


def _report(cluster: Cluster) -> None:
    """Have two of its nodes say that their files are applied; the third has said nothing yet."""
    now = timezone.now()
    sent = of_json(json.dumps(content(stanzas=[stanza("orders")])).encode()).status()
    for name in ("n1", "n2"):
        Node.objects.filter(cluster=cluster, name=name).update(
            applied_sha256=node_setup(cluster, name).sha256, reported_at=now - timedelta(minutes=2), status=sent
        )
        Stanza.objects.create(
            cluster=cluster, node=cluster.nodes.get(name=name), database=cluster.databases.get(), system_id=SYSTEM_ID
        )


def _settle() -> None:
    """Have all clusters be three weeks old, and nothing of them be to repair."""
    for number, cluster in enumerate(Cluster.objects.order_by("name")):
        Cluster.objects.filter(pk=cluster.pk).update(created_at=timezone.now() - 20 * DAY - timedelta(minutes=number))
    for cluster in Cluster.objects.filter(cloud_account__provider_key="aws"):
        cluster.keys = {**cluster.keys, BOUND: boundary_of(cluster.cloud_account.credentials())}
        cluster.save(update_fields=["keys"])


def _events(acme: Any, by: User, stores: dict[str, Store]) -> None:
    for store in stores.values():
        activity.record("Created a backup store", store, organisation=acme, by=by, after={"region": store.region})
    member = Membership.objects.exclude(user=by).filter(organisation=acme).first()
    activity.record("Invited", "audrey@acme.example", organisation=acme, by=by, after={"role": "auditor"})
    activity.record("Was shown the recovery kit of", "orders", organisation=acme, by=by)
    activity.refused("/clusters/create/", organisation=acme, by=member.user if member else None, why="manage_clusters")
