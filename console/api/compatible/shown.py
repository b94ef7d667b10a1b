"""Rows as the compatible surface shows them: each function returns what one of the shapes has, without null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from clusters.models import Cluster, Node
from console.api.models import Token
from console.api.shown import moment
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.clouds.regions import distance_km
from console.operations.models import ManagedResource, Operation
from stores.models import Store

STATUSES = {"repairing": "modifying", "updating": "modifying"}
KINDS = {"store": "backup_store"}
# So long a list of one subject's tasks calls each of them running: who looks for what has just begun must find it.
SEEN_FOR = timedelta(seconds=10)
UNFINISHED = {"waiting", "running"}
MADE_SETTINGS = ("node_location", "networks", "firewall_rules", "resource_tags", "ssh_key_id", "capacity")


def time(at: datetime) -> str:
    """Return a time as RFC 3339 has it."""
    return str(moment(at))


def status(row: ManagedResource) -> str:
    """Return the state of a store or cluster as these clients know it."""
    return STATUSES.get(row.state, row.state)


def cloud(key: str) -> str:
    """Return what these clients call a cloud."""
    return CLOUDS[key].pgedge.type or key


def _changed(row: ManagedResource) -> str:
    return time(row.operation.updated_at if row.operation else row.created_at)


def store(row: Store) -> dict[str, Any]:
    """Show a store that came with its account, its operation and its attachments."""
    of = row.cloud_account
    properties = {"region": row.region, "bucket_name": row.bucket, "bucket_arn": row.identifier}
    if row.logs_bucket:
        arn = of.cloud.storage.identifier(of.credentials(), row.logs_bucket)
        properties |= {"log_bucket_name": row.logs_bucket, "log_bucket_arn": arn}
    return {
        "id": str(row.pk),
        "name": row.name,
        "cloud_account_id": str(row.cloud_account_id),
        "cloud_account_type": cloud(of.provider_key),
        "status": status(row),
        "created_at": time(row.created_at),
        "updated_at": _changed(row),
        "cluster_ids": [str(one.cluster_id) for one in row.attachments.all() if one.state != "detaching"],
        "properties": {name: value for name, value in properties.items() if value},
    }


def account(row: CloudAccount) -> dict[str, Any]:
    """Show a linked account, without anything that signs in."""
    found = {"account_number": row.number, "partition": row.partition, "role_arn": row.settings.get("role_arn", "")}
    return {
        "id": str(row.pk),
        "name": row.name,
        "type": cloud(row.provider_key),
        "properties": {name: value for name, value in found.items() if value},
        "created_at": time(row.created_at),
        "updated_at": time(row.verified_at or row.created_at),
        **({"description": row.description} if row.description else {}),
    }


# Tasks


def task(row: Operation, *, just_begun: bool = False) -> dict[str, Any]:
    """Show a task; `just_begun` calls it running while it is not older than SEEN_FOR, however it ended."""
    seems = just_begun and timezone.now() - row.created_at < SEEN_FOR
    error = row.error or ("Cancelled: what was done was put back." if row.state == "cancelled" else "")
    return {
        "id": str(row.pk),
        "name": row.verb,
        "subject_kind": KINDS.get(row.subject_kind, row.subject_kind),
        "subject_id": str(row.subject_id),
        "status": "running" if seems else task_status(row),
        "messages": list(_messages(row.steps)),
        "created_at": time(row.created_at),
        "updated_at": time(row.updated_at),
        **({"error": error} if error else {}),
    }


def task_status(row: Operation) -> str:
    """Return how it stands: a cancelled task has failed, as far as these clients know."""
    if row.state == "waiting":
        return "running" if row.fence else "queued"
    return {"running": "running", "done": "succeeded"}.get(row.state, "failed")


def _messages(steps: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    """Return a message for each beginning and each end of a step, by time: clients read them by their place."""
    found = [
        (at, one, "running" if key == "started" else one["state"])
        for one in steps
        for key in ("started", "finished")
        if (at := parse_datetime(one.get(key) or ""))
    ]
    for at, one, state in sorted(found, key=lambda entry: entry[0]):
        failed = state == "failed"
        yield {
            "time": time(at),
            "level": "error" if failed else "info",
            "text": one["title"],
            "step": one["key"],
            "status": {"done": "succeeded", "waiting": "running"}.get(state, state),
            "progress": 100 if state == "done" else 0,
        }


# Clusters


def cluster(row: Cluster) -> dict[str, Any]:
    """Show a cluster that came with its account, operation, nodes and attachments, as it was declared."""
    said = row.declared or {}
    nodes = [_settings(one, said) for one in row.nodes.all()]
    there = list(dict.fromkeys(one["region"] for one in nodes))
    account_of = row.cloud_account
    return {
        "id": str(row.pk),
        "name": row.name,
        "status": status(row),
        "created_at": time(row.created_at),
        "updated_at": _changed(row),
        "regions": _in_order(there, said.get("regions", ())),
        "cloud_account": {
            "id": str(account_of.pk),
            "name": account_of.name,
            "type": cloud(account_of.provider_key),
            "native_id": account_of.number,
        },
        "backup_store_ids": _in_order([str(one.store_id) for one in row.wanted], said.get("backup_store_ids", ())),
        "nodes": nodes,
        "networks": [],
        "firewall_rules": [],
        "node_location": "public",
        **{name: said[name] for name in MADE_SETTINGS if name in said},
    }


def _settings(node: Node, said: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": node.name, **said.get("nodes", {}).get(node.name, {}), "region": node.region}


def node_name(node: Node, said: Mapping[str, Any]) -> str:
    """Return what the client calls a node: as it has named it, or as the console does."""
    return str(_settings(node, said)["name"])


def _in_order(there: list[str], said: Iterable[str]) -> list[str]:
    """Return what is there in the order that was declared; what nobody has declared comes last."""
    place = {one: at for at, one in enumerate(dict.fromkeys(said))}
    return sorted(there, key=lambda one: place.get(one, len(place)))


def node(row: Node, of: Cluster, near: tuple[float, float] | None = None) -> dict[str, Any]:
    """Show a node with where its region is; what nobody here knows of its machine is "" or 0."""
    settings, found = _settings(row, of.declared or {}), of.cloud_account.region(row.region)
    place: dict[str, Any] = {"latitude": 0.0, "longitude": 0.0}
    if found:
        place = {"latitude": found.lat, "longitude": found.lon, "city": found.city, "country": found.country}
    shown = {
        "id": str(row.pk),
        "name": settings["name"],
        "region": row.region,
        "region_detail": {
            "cloud": cloud(of.cloud_account.provider_key),
            "code": row.region,
            "name": found.name if found else row.region,
            "active": found is not None,
            "availability_zones": [],
        },
        "location": place,
        "is_active": row.reported_at is not None,
        **{one: settings.get(one, "") for one in ("availability_zone", "instance_type", "volume_type")},
        **{one: settings.get(one, 0) for one in ("volume_iops", "volume_size")},
        **dict.fromkeys(("image_id", "instance_id", "ip_address", "key_name", "pg_version"), ""),
    }
    if near and found:
        km = distance_km(replace(found, lat=near[0], lon=near[1]), found)
        measured = {"from_latitude": near[0], "from_longitude": near[1], "unit": "km"}
        shown["distance_measurement"] = {"distance": round(km, 1), **measured}
    return shown


# Who calls


def client(row: Token) -> dict[str, Any]:
    """Show client credentials, without their secret."""
    return {
        "id": str(row.pk),
        "name": row.name,
        "description": row.description or "",
        "auth0_id": row.client_id,
        "created_at": time(row.created_at),
        "updated_at": time(row.changed_at or row.created_at),
    }
