"""What the API says of things: the shapes of its answers, of which its OpenAPI file is made.

Times are RFC 3339 in UTC, sizes bytes, and what is not set is null.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, StrictInt

T = TypeVar("T")


class Shape(Schema):
    """The base of all that is answered."""

    model_config = ConfigDict(extra="forbid")


class Page(Shape, Generic[T]):
    """A page of a list; `next` is the cursor of the one that follows."""

    items: list[T]
    next: str | None


class FieldError(Shape):
    pointer: str
    detail: str


class ProblemDetails(Shape):
    """What is wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldError] = []


class TaskBrief(Shape):
    """The last task that worked on something."""

    id: UUID
    name: str
    state: str


class Store(Shape):
    id: UUID
    name: str
    state: str
    cloud_account_id: UUID
    cloud_account_type: str
    region: str
    bucket: str
    log_bucket: str
    versions_days: int | None
    lock_days: int | None
    stored_bytes: Annotated[
        int | None, Field(description="Of backups and WAL when it was last read; null: never read, or nothing seen.")
    ]
    cluster_ids: list[UUID]
    task: TaskBrief | None
    created_at: datetime
    updated_at: datetime


class CloudAccount(Shape):
    id: UUID
    name: str
    type: str
    account_number: str
    problem: Annotated[str, Field(description="Why nothing is done with it, or what the last look found; empty: none.")]
    key_is_old: bool
    verified_at: datetime | None
    created_at: datetime


class Policy(Shape):
    """How long backups are kept, when they are made, and how WAL is archived."""

    retention_type: Annotated[str, Field(description="time (days) or count (full backups).")]
    retention_full: int
    retention_diff: int | None
    full_schedule: Annotated[str, Field(description="A cron expression, read by the node's clock; empty: never.")]
    diff_schedule: str
    incr_schedule: str
    backup_from: Annotated[str, Field(description="primary or standby.")]
    queue_max: Annotated[int | None, Field(description="GiB of WAL that wait for a store, beyond which it is dropped.")]
    io_timeout: Annotated[int | None, Field(description="Seconds.")]


class Node(Shape):
    name: str
    region: str
    folder: Annotated[str, Field(description="Whose folder in a store it shares: of a replication, the first host's.")]
    writes_to: str
    store_ids: Annotated[list[UUID], Field(description="Where writes_to is chosen: the stores.")]
    pgbackrest_version: str
    pgbackrest_chosen: Annotated[str, Field(description="For which pgBackRest its configuration is; empty: each.")]
    system: str
    os_user: str
    address: str
    ssh_port: int
    policy: Annotated[Policy | None, Field(description="Its own; null: the cluster's, or its first host's.")]
    reported_at: datetime | None
    is_silent: bool


class Database(Shape):
    name: str
    postgresql: str
    data_directory: str
    port: int
    folder: Annotated[str, Field(description="The folder of the nodes that have it; empty: all nodes.")]


class Attachment(Shape):
    store_id: UUID
    store: str
    state: str
    repository: Annotated[int, Field(description="N of pgBackRest's repoN.")]
    attached_at: datetime


class Cluster(Shape):
    id: UUID
    name: str
    state: str
    verdict: str
    is_watched_only: Annotated[bool, Field(description="Brought in and not handed over: nothing is written there.")]
    version: int
    cloud_account_id: UUID
    cloud_account_type: str
    rpo_minutes: Annotated[int | None, Field(description="How old the newest moment may be; null: by the schedule.")]
    proof_days: Annotated[int | None, Field(description="Within how many days a restore has to be proved.")]
    policy: Policy
    nodes: list[Node]
    databases: list[Database]
    attachments: list[Attachment]
    task: TaskBrief | None
    created_at: datetime
    updated_at: datetime


class Reason(Shape):
    code: str
    words: str
    advice: str


class JudgedDatabase(Shape):
    """Whether one database of one node can be restored from one store."""

    cluster_id: UUID
    cluster: str
    node: str
    database: str
    store_id: UUID | None
    store: str
    repository: int
    verdict: str
    since: datetime
    reasons: list[Reason]
    restorable_from: datetime | None
    restorable_to: datetime | None
    newest_backup_at: datetime | None
    newest_full_backup_at: datetime | None
    newest_wal_at: datetime | None
    proved_at: datetime | None
    proof_seconds: int | None
    bytes: int
    read_at: datetime | None
    judged_at: datetime


class Backup(Shape):
    """One backup, as it was last seen in a store."""

    cluster_id: UUID | None
    cluster: str
    store_id: UUID | None
    store: str
    repository: int
    node: str
    database: str
    label: str
    type: str
    started_at: datetime
    completed_at: datetime
    database_bytes: int
    stored_bytes: int
    first_wal: str
    last_wal: str
    has_page_errors: bool
    seen_at: datetime | None


class Alert(Shape):
    id: UUID
    rule: str
    severity: str
    state: str
    title: str
    words: str
    advice: str
    cluster_id: UUID | None
    cluster: str
    subject_kind: str
    subject_id: str
    created_at: datetime
    changed_at: datetime
    closed_at: datetime | None
    closed_why: str
    acknowledged_at: datetime | None
    acknowledged_by: str
    silenced_until: datetime | None


class Step(Shape):
    title: str
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    note: str


class Task(Shape):
    id: UUID
    name: str
    verb: str
    state: str
    is_finished: bool
    progress: Annotated[int, Field(description="Per cent.")]
    subject_kind: str
    subject_id: UUID
    subject: str
    steps: list[Step]
    error: str
    note: str
    requested_by: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class AuditEvent(Shape):
    id: UUID
    created_at: datetime
    who: str
    token: str
    what: str
    subject_kind: str
    subject_id: str
    subject: str
    outcome: str
    address: str
    request_id: str
    before: dict[str, Any]
    after: dict[str, Any]


class Member(Shape):
    id: int
    name: str
    username: str
    email: str
    role: str
    since: datetime


class Me(Shape):
    """Whose token was sent, and what can be done with it now."""

    username: str
    service_account: Annotated[str, Field(description="Its name, of a token that is no person's.")]
    organisation_id: UUID
    organisation: str
    edition: str
    role: str
    token: str
    scopes: list[str]
    permissions: list[str]
    expires_at: datetime


class NewStore(Schema):
    """A store to create."""

    model_config = ConfigDict(extra="forbid", str_max_length=500)

    name: Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 60})]
    cloud_account_id: UUID
    region: Annotated[str, Field(description="A code or a place; not needed where the account has only one.")] = ""
    versions_days: Annotated[
        StrictInt | None, Field(description="For a protected store: how long deleted and overwritten files are kept.")
    ] = None
    lock_days: Annotated[StrictInt | None, Field(description="And how long Object Lock holds what is written.")] = None
