"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import OMIT, Begun, Core, Omit
from .shapes import (
    Attempting,
    SetupFile,
)


class AccountPermissions(TypedDict):
    """What the console may do in an account, as a worker found it last."""

    cloud_account_id: str
    read_at: str | None
    is_awaited: bool
    error: str
    statements: str
    checks: list[PermissionCheck]


class CloudAccount(TypedDict):
    id: str
    name: str
    type: str
    account_number: str
    problem: str
    key_is_old: bool
    verified_at: str | None
    created_at: str


class Looking(TypedDict):
    """How often the account's backups are looked for, and what that takes."""

    hours: int
    calls_a_day: int
    calls_today: int
    is_exhausted: bool


class PermissionCheck(TypedDict):
    """Something that the console needs in an account."""

    label: str
    on: str
    outcome: str
    without: str
    why: str
    regions: list[str]
    is_required: bool


class CloudAccountsCalls(Core):
    """The calls of cloud-accounts."""

    def list_cloud_accounts(
        self,
        *,
        limit: int | Omit = OMIT,
        cursor: str | Omit = OMIT,
        q: str | Omit = OMIT,
    ) -> Iterator[CloudAccount]:
        """List the linked accounts, newest first.

        limit: Rows of a page, 100 at most.
        cursor: `next` of the page before.
        q: What to search for, as on the page.
        """
        return self.rows("list_cloud_accounts", {"limit": limit, "cursor": cursor, "q": q})

    def link_cloud_account(
        self,
        *,
        name: str,
        type: str,
        credentials: dict[str, str | bool],
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Attempting]:
        """Have a worker ask the cloud who this is; once it is known, the account is linked. Location says how far it
        is.

        type: One of GET /cloud-account-types.
        credentials: By name, as GET /cloud-account-types lists them.
        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("link_cloud_account", {"idempotency_key": idempotency_key, "name": name, "type": type, "credentials": credentials})

    def unlink_cloud_account(
        self,
        pk: str,
    ) -> None:
        """Forget an account that nothing uses (409), with its secrets; nothing is changed in the cloud."""
        self.nothing("unlink_cloud_account", {"pk": pk})

    def get_cloud_account(
        self,
        pk: str,
    ) -> CloudAccount:
        """Show one linked account."""
        found: CloudAccount = self.row("get_cloud_account", {"pk": pk})
        return found

    def change_cloud_account(
        self,
        pk: str,
        *,
        credentials: dict[str, str | bool] | Omit = OMIT,
        name: str | None | Omit = OMIT,
    ) -> Begun[CloudAccount]:
        """Rename an account (200); or have a worker try other credentials (202), with which the present ones are
        replaced. What is tried must belong to the same account, and may do what the present one may.

        credentials: By name, as GET /cloud-account-types lists them.
        """
        return self.begun("change_cloud_account", {"pk": pk, "credentials": credentials, "name": name})

    def list_cloud_account_files(
        self,
        pk: str,
    ) -> Iterator[SetupFile]:
        """List the files that give the console its access to a linked account."""
        return self.rows("list_cloud_account_files", {"pk": pk})

    def get_cloud_account_looking(
        self,
        pk: str,
    ) -> Looking:
        """Show how often the account's backups are looked for, and how many calls that took today."""
        found: Looking = self.row("get_cloud_account_looking", {"pk": pk})
        return found

    def set_cloud_account_looking(
        self,
        pk: str,
        *,
        hours: int,
        calls_a_day: int,
    ) -> Looking:
        """Set how often the account's backups are looked for, and how many calls a day that may take."""
        found: Looking = self.row("set_cloud_account_looking", {"pk": pk, "hours": hours, "calls_a_day": calls_a_day})
        return found

    def get_cloud_account_permissions(
        self,
        pk: str,
        *,
        region: str | Omit = OMIT,
    ) -> AccountPermissions:
        """Show what the console may do in an account: in a region, or where its stores are.

        region: A code or a place; only what is about it.
        """
        found: AccountPermissions = self.row("get_cloud_account_permissions", {"pk": pk, "region": region})
        return found

    def check_cloud_account_permissions(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
        region: str | Omit = OMIT,
    ) -> Begun[AccountPermissions]:
        """Have looked up now what the console may do in the account; what is found stands at Location.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("check_cloud_account_permissions", {"pk": pk, "idempotency_key": idempotency_key, "region": region})

    def verify_cloud_account(
        self,
        pk: str,
        *,
        idempotency_key: str | Omit = OMIT,
    ) -> Begun[Attempting]:
        """Have a worker ask the cloud again whether the account still works; what it finds stands on the account.

        idempotency_key: The same key again within 24 hours does nothing, and is answered as the first call
            was.
        """
        return self.begun("verify_cloud_account", {"pk": pk, "idempotency_key": idempotency_key})
