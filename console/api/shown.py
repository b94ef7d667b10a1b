"""Rows as the API shows them: each function returns what one of the shapes has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from clusters import models as clusters
from clusters.health.verdicts import Verdict
from clusters.pgbackrest.repository import Backup, StanzaState
from console.accounts.models import Membership
from console.alerts.models import Alert
from console.api.models import Token
from console.audit.models import AuditEvent
from console.cloud_accounts.models import CloudAccount
from console.operations.models import ManagedResource, Operation
from stores.models import Store


def moment(at: datetime | None) -> str | None:
    """Return a time as RFC 3339 has it, in UTC."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _task(last: Operation | None) -> dict[str, Any] | None:
    return {"id": str(last.pk), "name": last.title, "state": last.state} if last else None


def _changed(row: ManagedResource) -> str | None:
    last = row.operation
    return moment(last.updated_at if last else row.created_at)


def store(row: Store) -> dict[str, Any]:
    """Show a store as reading.stores() has it: with its account, its operation and its attachments."""
    return {
        "id": str(row.pk),
        "name": row.name,
        "state": row.state,
        "cloud_account_id": str(row.cloud_account_id),
        "cloud_account_type": row.cloud_account.provider_key,
        "region": row.region,
        "bucket": row.bucket,
        "log_bucket": row.logs_bucket,
        "versions_days": row.versions_days,
        "lock_days": row.lock_days,
        "stored_bytes": row.size,  # type: ignore[attr-defined]
        "cluster_ids": [str(one.cluster_id) for one in row.attached if one.state != "detaching"],  # type: ignore[attr-defined]
        "task": _task(row.operation),
        "created_at": moment(row.created_at),
        "updated_at": _changed(row),
    }


def cloud_account(row: CloudAccount) -> dict[str, Any]:
    """Show a linked account, without anything that signs in."""
    return {
        "id": str(row.pk),
        "name": row.name,
        "type": row.provider_key,
        "account_number": row.number,
        "problem": row.unproven or row.verify_error,
        "key_is_old": row.key_is_old,
        "verified_at": moment(row.verified_at),
        "created_at": moment(row.created_at),
    }


PLANNED = (
    *("retention_type", "retention_full", "retention_diff", "full_schedule", "diff_schedule", "incr_schedule"),
    *("backup_from", "queue_max", "io_timeout"),
)


def policy(row: clusters.BackupPolicy) -> dict[str, Any]:
    """Show how backups are kept and made, of a cluster or of a node."""
    return {name: getattr(row, name) for name in PLANNED}


def cluster(row: clusters.Cluster) -> dict[str, Any]:
    """Show a cluster that came as reading.clusters() has it."""
    own = {one.node_id: policy(one) for one in row.policies.all()}
    stores = {one.pk: str(one.store_id) for one in row.attachments.all()}
    return {
        "id": str(row.pk),
        "name": row.name,
        "state": row.state,
        "verdict": row.verdict.value,
        "is_watched_only": row.is_watched_only,
        "version": row.version,
        "cloud_account_id": str(row.cloud_account_id),
        "cloud_account_type": row.cloud_account.provider_key,
        "rpo_minutes": row.rpo_minutes,
        "proof_days": row.proof_days,
        "policy": policy(row.policy),
        "nodes": [node(one, own.get(one.pk), stores) for one in row.nodes.all()],
        "databases": [
            {
                "name": one.name,
                "postgresql": one.version,
                "data_directory": one.data_directory,
                "port": one.port,
                "folder": one.folder,
            }
            for one in row.databases.all()
        ],
        "attachments": [
            {
                "store_id": str(one.store_id),
                "store": one.store.name,
                "state": one.state,
                "repository": one.repository.number,
                "attached_at": moment(one.attached_at),
            }
            for one in row.attachments.all()
        ],
        "task": _task(row.operation),
        "created_at": moment(row.created_at),
        "updated_at": _changed(row),
    }


CHOSEN = ("name", "region", "folder", "writes_to", "store_ids", "pgbackrest_chosen", "system", "os_user", "address")


def cluster_etag(told: Mapping[str, Any]) -> str:
    """Return the ETag of a cluster that is shown so: of what people have chosen, and of nothing that happens to it."""
    chosen = {name: told[name] for name in ("id", "name", "rpo_minutes", "proof_days", "policy", "databases")}
    chosen["nodes"] = [{name: one[name] for name in (*CHOSEN, "ssh_port", "policy")} for one in told["nodes"]]
    chosen["stores"] = [one["store_id"] for one in told["attachments"] if one["state"] != "detaching"]
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()
    return f'"{told["version"]}-{digest[:16]}"'


def node(
    row: clusters.Node, own: Mapping[str, Any] | None = None, stores: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """Show a node with its own policy; `stores` are the IDs of the cluster's, by the key of the attachment."""
    return {
        "name": row.name,
        "region": row.region,
        "folder": row.repository_folder,
        "writes_to": row.writes_to,
        "store_ids": [stores[one.pk] for one in row.chosen.all() if one.pk in stores] if stores else [],
        "pgbackrest_chosen": row.pgbackrest_version,
        "system": row.system,
        "os_user": row.os_user,
        "address": row.address,
        "ssh_port": row.ssh_port,
        "policy": own,
        "pgbackrest_version": row.applied_version or row.pgbackrest_version,
        "reported_at": moment(row.reported_at),
        "is_silent": row.is_silent,
    }


def verdict(row: clusters.Health) -> dict[str, Any]:
    """Show what was judged of a database in a store."""
    return {
        "cluster_id": str(row.cluster_id),
        "cluster": row.cluster.name,
        "node": row.node,
        "database": row.database,
        "store_id": str(row.repository.store_id) if row.repository.store_id else None,
        "store": row.repository.store_name,
        "repository": row.repository.number,
        "verdict": Verdict(row.verdict).value,
        "since": moment(row.since),
        "reasons": [
            {"code": one.get("code", ""), "words": one.get("words", ""), "advice": one.get("advice", "")}
            for one in row.problems
        ],
        "restorable_from": moment(row.oldest),
        "restorable_to": moment(row.newest),
        "newest_backup_at": moment(row.backup_at),
        "newest_full_backup_at": moment(row.full_at),
        "newest_wal_at": moment(row.wal_at),
        "proved_at": moment(row.proved_at),
        "proof_seconds": row.proof_seconds,
        "bytes": row.bytes,
        "read_at": moment(row.read_at),
        "judged_at": moment(row.judged_at),
    }


def backup(repository: clusters.Repository, stanza: StanzaState, one: Backup) -> dict[str, Any]:
    """Show one backup of a stanza in a repository."""
    return {
        "cluster_id": str(repository.cluster_id) if repository.cluster_id else None,
        "cluster": repository.cluster_name,
        "store_id": str(repository.store_id) if repository.store_id else None,
        "store": repository.store_name,
        "repository": repository.number,
        "node": stanza.node,
        "database": stanza.stanza,
        "label": one.label,
        "type": one.kind,
        "started_at": moment(datetime.fromtimestamp(one.started, UTC)),
        "completed_at": moment(datetime.fromtimestamp(one.stopped, UTC)),
        "database_bytes": one.size,
        "stored_bytes": one.stored,
        "first_wal": one.first_wal,
        "last_wal": one.last_wal,
        "has_page_errors": one.failed,
        "seen_at": moment(repository.inventory.read_at),
    }


def alert(row: Alert) -> dict[str, Any]:
    """Show an alert."""
    return {
        "id": str(row.pk),
        "rule": row.rule,
        "severity": row.severity,
        "state": row.state.lower(),
        "title": row.title,
        "words": row.words,
        "advice": row.advice,
        "cluster_id": str(row.cluster) if row.cluster else None,
        "cluster": row.cluster_name,
        "subject_kind": row.subject_kind,
        "subject_id": row.subject_id,
        "created_at": moment(row.created_at),
        "changed_at": moment(row.changed_at),
        "closed_at": moment(row.closed_at),
        "closed_why": row.closed_why,
        "acknowledged_at": moment(row.acknowledged_at),
        "acknowledged_by": row.acknowledged_by_name,
        "silenced_until": moment(row.silenced_until),
    }


def task(row: Operation) -> dict[str, Any]:
    """Show a task that came with who asked for it."""
    return {
        "id": str(row.pk),
        "name": row.title,
        "verb": row.verb,
        "state": row.state,
        "is_finished": not row.is_unfinished,
        "progress": row.progress,
        "subject_kind": row.subject_kind,
        "subject_id": str(row.subject_id),
        "subject": row.subject_name,
        "steps": [
            {
                "title": step["title"],
                "state": step["state"],
                "started_at": step.get("started") or None,
                "finished_at": step.get("finished") or None,
                "note": step.get("note") or "",
            }
            for step in row.steps
        ],
        "error": row.error,
        "note": row.cancel_note or row.retry_note,
        "requested_by": row.requested_by.username if row.requested_by else "",
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "finished_at": moment(row.finished_at),
    }


def audit_event(row: AuditEvent) -> dict[str, Any]:
    """Show an event of the audit log."""
    return {
        "id": str(row.pk),
        "created_at": moment(row.created_at),
        "who": row.actor_name,
        "token": row.token or "",
        "what": row.action,
        "subject_kind": row.subject_kind,
        "subject_id": row.subject_id,
        "subject": row.subject,
        "outcome": row.outcome,
        "address": row.address,
        "request_id": row.request_id,
        "before": row.before,
        "after": row.after,
    }


def drill_run(row: clusters.DrillRun) -> dict[str, Any]:
    """Show what a drill or a verification has shown."""
    return {
        "id": row.pk,
        "cluster_id": str(row.cluster_id) if row.cluster_id else None,
        "cluster": row.cluster_name,
        "node": row.node,
        "database": row.database,
        "repository": row.number,
        "store": row.store,
        "machine": row.machine,
        "what": row.what,
        "state": row.state,
        "words": row.words,
        "backup": row.label,
        "restored_to": moment(row.restored_to),
        "seconds": row.seconds,
        "created_at": moment(row.created_at),
        "ended_at": moment(row.ended_at),
    }


def member(row: Membership) -> dict[str, Any]:
    """Show a member."""
    return {
        "id": row.pk,
        "name": str(row.user),
        "username": row.user.username,
        "email": row.user.email,
        "role": row.role,
        "since": moment(row.created_at),
    }


def me(token: Token, permissions: list[str]) -> dict[str, Any]:
    """Show whose token it is, and what can be done with it now."""
    return {
        "username": token.person.username if token.person else "",
        "service_account": token.service_account.name if token.service_account else "",
        "organisation_id": str(token.organisation_id),
        "organisation": token.organisation.name,
        "edition": token.organisation.edition,
        "role": token.member.role,
        "token": token.name,
        "scopes": token.scopes,
        "permissions": permissions,
        "expires_at": moment(token.expires_at),
    }
