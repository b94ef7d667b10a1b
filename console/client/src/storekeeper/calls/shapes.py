"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from typing import Any, TypedDict


class Attempting(TypedDict):
    """What a worker asks the cloud about an account, and what came of it."""

    id: str
    verb: str
    state: str
    error: str
    field: str
    cloud_account_id: str | None
    begun_at: str


class AuditEvent(TypedDict):
    id: str
    created_at: str
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


class DrillRun(TypedDict):
    """A run of a plan for one database in one repository, as its machine reported it."""

    id: int
    cluster_id: str | None
    cluster: str
    node: str
    database: str
    repository: int
    store: str
    machine: str
    what: str
    state: str
    words: str
    backup: str
    restored_to: str | None
    seconds: int | None
    created_at: str
    ended_at: str | None


class NewAPIToken(TypedDict):
    """A token that was made, with what is shown of it this one time."""

    id: str
    kind: str
    name: str
    shown: str
    scopes: list[str]
    owner: str
    service_account_id: str | None
    is_good: bool
    created_at: str
    expires_at: str
    last_used_at: str | None
    revoked_at: str | None
    secret: str
    client_id: str


class Sent(TypedDict):
    """A message to a channel, and what became of it."""

    id: str
    channel_id: str
    channel: str
    kind: str
    subject: str
    state: str
    tries: int
    created_at: str
    tried_at: str | None
    sent_at: str | None
    status: int | None
    answer: str


class SetupFile(TypedDict):
    """A file with which the access is set up that linking needs."""

    filename: str
    label: str
    hint: str
    command: str
    text: str


class Step(TypedDict):
    title: str
    state: str
    started_at: str | None
    finished_at: str | None
    note: str


class Store(TypedDict):
    id: str
    name: str
    state: str
    cloud_account_id: str
    cloud_account_type: str
    region: str
    bucket: str
    log_bucket: str
    versions_days: int | None
    lock_days: int | None
    stored_bytes: int | None
    cluster_ids: list[str]
    task: TaskBrief | None
    created_at: str
    updated_at: str


class Task(TypedDict):
    id: str
    name: str
    verb: str
    state: str
    is_finished: bool
    progress: int
    subject_kind: str
    subject_id: str
    subject: str
    steps: list[Step]
    error: str
    note: str
    requested_by: str
    created_at: str
    updated_at: str
    finished_at: str | None


class TaskBrief(TypedDict):
    """The last task that worked on something."""

    id: str
    name: str
    state: str
