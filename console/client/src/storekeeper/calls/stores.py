"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NotRequired, TypedDict

from ..core import OMIT, Begun, Core, Omit
from .shapes import (
    Store,
)


class Accepted(TypedDict):
    by: str
    at: str


class BucketRepository(TypedDict):
    path: str
    stanzas: list[str]


class BucketToLookAt(TypedDict):
    """A bucket to look at: what a line of the import has."""

    cloud_account_id: str
    bucket: str
    log_bucket: NotRequired[str]
    name: NotRequired[str]
    region: NotRequired[str]


class BucketsLookedAt(TypedDict):
    """The buckets that are looked at, in the order in which they were named."""

    items: list[ExistingBucket]


class Contents(TypedDict):
    """What the backup bucket holds, as far as it was counted."""

    exists: bool
    is_empty: bool
    objects: int
    older_versions: int
    delete_markers: int
    unfinished_uploads: int
    bytes: int
    is_more: bool
    locked_until: str


class Control(TypedDict):
    """One thing that a bucket should have, and what it has."""

    name: str
    label: str
    bucket: str
    state: str
    wanted: str
    found: str
    since: str | None
    is_drift: bool
    accepted: Accepted | None
    seen: str


class DeletionPreview(TypedDict):
    """What keeps a store from being deleted, or would be lost with it."""

    store_id: str
    used_by: list[str]
    counted_at: str | None
    is_awaited: bool
    error: str
    contents: Contents | None


class Drift(TypedDict):
    """What both buckets of a store should have, and what they had when they were looked at last."""

    store_id: str
    state: str
    checked_at: str | None
    is_awaited: bool
    error: str
    seen: str
    controls: list[Control]


class ExistingBucket(TypedDict):
    """A bucket that is looked at; what is null or empty was not found out yet."""

    id: str
    cloud_account_id: str
    bucket: str
    name: str
    region: str
    log_bucket: str
    state: str
    error: str
    looked_at: str | None
    seen: str
    obstacle: str
    owner: str
    tag_command: str
    warnings: list[str]
    contents: str
    controls: list[FoundControl]
    repositories: list[BucketRepository]
    is_whole: bool


class FoundControl(TypedDict):
    """A setting of the bucket: what it is, what a store would have, and whether that can be chosen."""

    key: str
    label: str
    state: str
    found: str
    wanted: str
    can_be_set: bool


class ProtectionCost(TypedDict):
    """What a protected store of these days promises and costs."""

    in_use_days: int
    held_days: int
    window_days: int
    overhead_percent: int
    is_covered: bool
    deletable_on: str
    empty_on: str


class StoresCalls(Core):
    """The calls of stores."""

    def list_stores(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        q: str | Omit = OMIT,
        state: str | Omit = OMIT,
        verdict: str | Omit = OMIT,
        provider: str | Omit = OMIT,
        cloud_account_id: str | None | Omit = OMIT,
        region: str | Omit = OMIT,
        used: str | Omit = OMIT,
    ) -> Iterator[Store]:
        """List the stores, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        q: What to search for, as on the page.
        state: As on the page.
        verdict: The worst verdict on what is kept in it; none: nothing is judged.
        provider: As on the page.
        region: A region's code, or a city or country.
        used: yes or no: whether a cluster uses it.
        """
        return self.rows("list_stores", {"limit": limit, "cursor": cursor, "q": q, "state": state, "verdict": verdict, "provider": provider, "cloud_account_id": cloud_account_id, "region": region, "used": used})

    def create_store(
        self,
        *,
        name: str,
        cloud_account_id: str,
        idempotency_key: str | Omit = OMIT,
        lock_days: int | None | Omit = OMIT,
        region: str | Omit = OMIT,
        versions_days: int | None | Omit = OMIT,
    ) -> Begun[Store]:
        """Create a store: written down at once, made by a worker, whose task is at Location.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        lock_days: And how long Object Lock holds what is written.
        region: A code or a place; not needed where the account has only one.
        versions_days: For a protected store: how long deleted and overwritten files are kept.
        """
        return self.begun("create_store", {"idempotency_key": idempotency_key, "name": name, "cloud_account_id": cloud_account_id, "lock_days": lock_days, "region": region, "versions_days": versions_days})

    def list_existing_buckets(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
    ) -> Iterator[ExistingBucket]:
        """List the buckets that are looked at, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_existing_buckets", {"limit": limit, "cursor": cursor})

    def look_at_existing_buckets(
        self,
        *,
        items: list[BucketToLookAt],
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[BucketsLookedAt]:
        """Have buckets looked at, all of them or none; nothing is written to them.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("look_at_existing_buckets", {"idempotency_key": idempotency_key, "items": items})

    def forget_existing_bucket(
        self,
        pk: str,
    ) -> Begun[ExistingBucket]:
        """Think better of it; nothing was changed in the bucket."""
        return self.begun("forget_existing_bucket", {"pk": pk})

    def get_existing_bucket(
        self,
        pk: str,
    ) -> ExistingBucket:
        """Show what was found of one bucket."""
        found: ExistingBucket = self.row("get_existing_bucket", {"pk": pk})
        return found

    def add_existing_bucket(
        self,
        pk: str,
        *,
        seen: str,
        logs: Literal["made", "named", "none"],
        idempotency_key: str | Omit = OMIT,
        controls: dict[str, Literal["set", "accept"]] | Omit = OMIT,
        logs_into: str | Omit = OMIT,
        name: str | Omit = OMIT,
        tag: bool | Omit = OMIT,
    ) -> Begun[Store]:
        """Make the bucket a store; a worker does it, whose task is at Location.

        seen: `seen` of what was read: it is added as that says, or not at all.
        logs: Where its access logs go.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        controls: By the key of a control that can be set; what is not named is accepted as it is.
        logs_into: With `named`: the bucket.
        name: Of the store; empty: as it was named for the look.
        tag: The console may set the store's tags on it.
        """
        return self.begun("add_existing_bucket", {"pk": pk, "idempotency_key": idempotency_key, "seen": seen, "logs": logs, "controls": controls, "logs_into": logs_into, "name": name, "tag": tag})

    def look_again_at_existing_bucket(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[ExistingBucket]:
        """Have the bucket looked at again.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("look_again_at_existing_bucket", {"pk": pk, "idempotency_key": idempotency_key})

    def calculate_protection(
        self,
        *,
        versions_days: str,
        retention_days: str,
        lock_days: str | Omit = OMIT,
    ) -> ProtectionCost:
        """Say what a protected store of these days promises and costs; nothing is changed.

        versions_days: Days that deleted files are kept.
        retention_days: Days that backups are kept.
        lock_days: Days that Object Lock holds what is written.
        """
        found: ProtectionCost = self.row("calculate_protection", {"versions_days": versions_days, "retention_days": retention_days, "lock_days": lock_days})
        return found

    def delete_store(
        self,
        pk: str,
        *,
        keep_logs: bool | Omit = OMIT,
    ) -> Begun[Store]:
        """Begin to delete a store: refused while a cluster uses it (409), and by its task while it holds data."""
        return self.begun("delete_store", {"pk": pk, "keep_logs": keep_logs})

    def get_store(
        self,
        pk: str,
    ) -> Store:
        """Show one store."""
        found: Store = self.row("get_store", {"pk": pk})
        return found

    def accept_store_drift(
        self,
        pk: str,
        *,
        control: str,
        seen: str,
        idempotency_key: str | Omit = OMIT,
    ) -> Drift:
        """Accept what was found of one control as meant; 409 when something else was found since it was read.

        control: Its `name`.
        seen: Its `seen`.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Drift = self.row("accept_store_drift", {"pk": pk, "idempotency_key": idempotency_key, "control": control, "seen": seen})
        return found

    def cancel_store(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Store]:
        """Cancel the deletion of a store, as long as that can be done: the task undoes what it has done.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("cancel_store", {"pk": pk, "idempotency_key": idempotency_key})

    def preview_store_deletion(
        self,
        pk: str,
    ) -> DeletionPreview:
        """Show what a store holds and what uses it: counted by a worker, anew when the last count is a minute old."""
        found: DeletionPreview = self.row("preview_store_deletion", {"pk": pk})
        return found

    def get_store_drift(
        self,
        pk: str,
    ) -> Drift:
        """Show what both buckets should have and what they had: what a repair would change, before it is asked for."""
        found: Drift = self.row("get_store_drift", {"pk": pk})
        return found

    def reconsider_store_drift(
        self,
        pk: str,
        *,
        control: str,
        idempotency_key: str | Omit = OMIT,
    ) -> Drift:
        """Take back that what was found of one control was accepted.

        control: Its `name`.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: Drift = self.row("reconsider_store_drift", {"pk": pk, "idempotency_key": idempotency_key, "control": control})
        return found

    def repair_store(
        self,
        pk: str,
        *,
        seen: str,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Store]:
        """Begin to bring both buckets back to what they should be; 409 when something else differs than was read.

        seen: `seen` of the drift that was read.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("repair_store", {"pk": pk, "idempotency_key": idempotency_key, "seen": seen})

    def retry_store(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Store]:
        """Try again what failed.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("retry_store", {"pk": pk, "idempotency_key": idempotency_key})

    def verify_store(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Drift]:
        """Have both buckets looked at now; what is found stands at Location.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("verify_store", {"pk": pk, "idempotency_key": idempotency_key})
