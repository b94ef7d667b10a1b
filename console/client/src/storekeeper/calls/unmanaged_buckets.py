"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Begun, Core, Omit
from .shapes import (
    Store,
)


class UnmanagedBucket(TypedDict):
    """A bucket that belongs to no store."""

    cloud_account_id: str
    bucket: str
    region: str
    created_at: str | None
    what: str
    store_id: str | None
    store: str
    is_adoptable: bool
    is_hidden: bool
    delete_commands: str


class UnmanagedScan(TypedDict):
    """What the last look through an account found."""

    cloud_account_id: str
    cloud_account: str
    read_at: str | None
    is_awaited: bool
    error: str
    buckets: list[UnmanagedBucket]


class UnmanagedBucketsCalls(Core):
    """The calls of unmanaged-buckets."""

    def list_unmanaged_buckets(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        cloud_account_id: str | None | Omit = OMIT,
    ) -> Iterator[UnmanagedScan]:
        """List by account what the last look found that is named like a store's bucket and belongs to none.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        """
        return self.rows("list_unmanaged_buckets", {"limit": limit, "cursor": cursor, "cloud_account_id": cloud_account_id})

    def look_for_unmanaged_buckets(
        self,
        account: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[UnmanagedScan]:
        """Have an account looked through now.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("look_for_unmanaged_buckets", {"account": account, "idempotency_key": idempotency_key})

    def adopt_unmanaged_bucket(
        self,
        account: str,
        bucket: str,
        *,
        idempotency_key: str | Omit = OMIT,
        name: str | Omit = OMIT,
    ) -> Begun[Store]:
        """Make the bucket's store a store of the console again; nothing that it holds is changed.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("adopt_unmanaged_bucket", {"account": account, "bucket": bucket, "idempotency_key": idempotency_key, "name": name})

    def hide_unmanaged_bucket(
        self,
        account: str,
        bucket: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> UnmanagedBucket:
        """Show the bucket no more on the page; it is not deleted.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: UnmanagedBucket = self.row("hide_unmanaged_bucket", {"account": account, "bucket": bucket, "idempotency_key": idempotency_key})
        return found

    def show_unmanaged_bucket(
        self,
        account: str,
        bucket: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> UnmanagedBucket:
        """Show a hidden bucket again.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        found: UnmanagedBucket = self.row("show_unmanaged_bucket", {"account": account, "bucket": bucket, "idempotency_key": idempotency_key})
        return found
