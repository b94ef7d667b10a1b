"""Backup stores on Azure Storage: the primitives that a store's life is written on.

A store is two storage accounts in the linked resource group. Each cluster has a container of its own in the first; the
requests to its blobs are logged into the second.
"""

from __future__ import annotations

import re
import shlex
import time
from base64 import b32encode
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any
from uuid import UUID

from console.clouds.azure.accounts import (
    LOCK,
    StorageAccount,
    account_controls,
    expiry,
    kept_control,
    lock_control,
    logging_control,
    rules_control,
    tags,
    wishes,
)
from console.clouds.azure.blobs import COUNT_AT_MOST, Blobs, count
from console.clouds.azure.errors import STORAGE, NoAnswer, Refusal, on_group, resource_id, step_error
from console.clouds.azure.places import blob_of
from console.clouds.azure.session import ask, call, gives_signatures
from console.clouds.contents import Contents, Objects
from console.clouds.contract import AlreadyExists, Control, UnmanagedBucket
from console.clouds.naming import LOG_DAYS, NAME_TAG, STORE_TAG
from console.clouds.regions import Region, regions
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import NotReady, StepResult, ensure_lease

BACKUPS, LOGS = "pgbk", "pgbl"
OUR_NAME = re.compile(r"pgb([kl])[a-z2-7]{16}")
LEFT_AT_MOST = 1000  # that many are counted before a deletion is refused
ZONES, ONE_ZONE = "Standard_ZRS", "Standard_LRS"
NEWEST_SHOWN = 20.0  # seconds that a step waits for an account that Azure is making, before it lets others work
PAUSE = 0.5


class AzureStorage:
    """Two storage accounts of the linked resource group, each closed by the very call that creates it."""

    log_days = LOG_DAYS
    one_region = False
    create_pace = None
    closed_for_deletion = frozenset({"shared_keys", "logging", "delete_lock"})

    def settings(self, spec: StoreSpec) -> list[Control]:
        """Return what both storage accounts should have for ever."""
        logs, backups = StorageAccount(spec, spec.log_bucket), StorageAccount(spec, spec.bucket)
        log_into = partial(backups.set_logging, resource_id(spec.account, spec.log_bucket))
        return [
            *account_controls(logs, log=True),
            rules_control(logs, expiry(), log=True),
            *account_controls(backups, log=False),
            rules_control(backups, [], log=False),
            *([kept_control(backups, spec.versions_days)] if spec.versions_days else []),
            logging_control(backups, spec.log_bucket, log_into),
            lock_control(backups),
        ]

    # Names

    def regions(self, account: AccountRef) -> list[Region]:
        """Return Azure's regions."""
        return regions_of(account)

    def names(self, store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
        """Return the names of both storage accounts: of all of Azure's at most 24 small letters and digits.

        80 bits from the random end of the ID, because a version 7 UUID begins with the time.
        """
        letters = b32encode(store_id.bytes[-10:]).decode().lower()
        return BACKUPS + letters, LOGS + letters

    def namespace(self, partition: str, account_number: str) -> str:
        """Return the one space that there is: a storage account's name is part of a host's ("Storage account name")."""
        return "azure"

    def identifier(self, account: AccountRef, bucket: str) -> str:
        """Return the storage account's resource ID."""
        return resource_id(account, bucket)

    def facts(self, spec: StoreSpec) -> list[tuple[str, str]]:
        """Return both storage accounts with their resource IDs."""
        return [
            ("Storage Account", spec.bucket),
            ("Resource ID", resource_id(spec.account, spec.bucket)),
            ("Log Storage Account", spec.log_bucket),
            ("Log Resource ID", resource_id(spec.account, spec.log_bucket)),
        ]

    # One storage account

    def owner(self, spec: StoreSpec, bucket: str) -> str | None:
        """Return the store ID in the account's tag, "" without one; None when there is no such account."""
        return StorageAccount(spec, bucket).owner()

    def create(self, spec: StoreSpec, bucket: str) -> StepResult | None:
        """Create the account in three zones of its region, as Amazon keeps its objects; in one where there are none."""
        account = StorageAccount(spec, bucket)
        # Asked first, because creating an account that is there changes it, whosever it is ("Storage Accounts -
        # Create").
        if account.find() is not None:
            raise AlreadyExists
        result = _create(account, log=bucket == spec.log_bucket)
        _shown(account)
        return result

    def adopt(self, spec: StoreSpec, bucket: str) -> None:
        """Wait until Azure has made the account."""
        _shown(StorageAccount(spec, bucket))

    def contents(self, spec: StoreSpec, bucket: str, tell: Callable[[int], None] | None = None) -> Contents:
        """Return what the account holds."""
        account = StorageAccount(spec, bucket)
        if tell:
            return count(account.subject, bucket, COUNT_AT_MOST, tell)
        return count(account.subject, bucket, LEFT_AT_MOST, lambda counted: None)

    def close(self, spec: StoreSpec) -> None:
        """Make every signature void: Azure deletes an account with all that is in it."""
        if gives_signatures(spec.account):
            StorageAccount(spec, spec.bucket).update(properties={"allowSharedKeyAccess": False})

    def release(self, spec: StoreSpec) -> None:
        """Take our lock away, which forbids the rest, and the logging, which would come back with the same name.

        ("Diagnostic settings in Azure Monitor" says that of an account that is made again.)
        """
        account = StorageAccount(spec, spec.bucket)
        account.unlock()
        account.stop_logging()

    def empty(self, spec: StoreSpec, bucket: str) -> None:
        """Do nothing: a storage account goes with all that is in it."""

    def delete(self, spec: StoreSpec, bucket: str) -> bool:
        """Delete the account with all that is in it."""
        StorageAccount(spec, bucket).delete()
        return True

    def objects(self, spec: StoreSpec) -> Objects:
        """Return what reads the backup account's blobs."""
        return Blobs(StorageAccount(spec, spec.bucket).subject, spec.bucket)

    # All storage accounts, and what administrators run

    def list_unmanaged(self, account: AccountRef, known: Collection[str]) -> Iterator[UnmanagedBucket]:
        """Yield the resource group's storage accounts that are named like ours and are not known."""
        found = ask(
            "StorageAccounts_ListByResourceGroup",
            on_group(account),
            lambda cloud: [one.as_dict() for one in cloud.storage.storage_accounts.list_by_resource_group(cloud.group)],
        )
        for one in found:
            ours = OUR_NAME.fullmatch(one["name"])
            if not ours or one["name"] in known:
                continue
            given = {key.lower(): value for key, value in (one.get("tags") or {}).items()}
            yield UnmanagedBucket(
                name=one["name"],
                region=one["location"],
                created=str((one.get("properties") or {}).get("creationTime") or ""),
                kind="backup" if ours[1] == "k" else "log",
                store_id=given.get(STORE_TAG, ""),
                store_name=given.get(NAME_TAG, ""),
            )

    def empty_commands(self, spec: StoreSpec, found: Contents, prefix: str = "") -> str:
        """Return the commands of the Azure CLI that empty the backup account, or one container of it."""
        here = _cli(spec.account)
        name = shlex.quote(spec.bucket)
        lines = ["# As somebody with the role Storage Blob Data Contributor on the storage account:"]
        if found.older or found.versioned:
            lines.append("# First have it keep no longer what is deleted.")
            lines.append(
                f"az storage account blob-service-properties update --account-name {name} {here} "
                "--enable-delete-retention false --enable-container-delete-retention false"
            )
        container, _, below = prefix.partition("/")
        if below:  # another repository is in the same container
            pattern = shlex.quote(f"{blob_of(prefix)}/*")
            lines.append(
                f"az storage blob delete-batch --account-name {name} --auth-mode login --source {container} "
                f"--pattern {pattern}"
            )
            return "\n".join(lines)
        if prefix:
            lines.append(f"az storage container delete --account-name {name} --auth-mode login --name {prefix}")
            return "\n".join(lines)
        listing = (
            f"az storage container list --account-name {name} --auth-mode login --num-results '*' --query '[].name' "
            "--output tsv"
        )
        delete = f'az storage container delete --account-name {name} --auth-mode login --name "$container"'
        lines.append(f"{listing} | while read -r container; do {delete}; done")
        return "\n".join(lines)

    def delete_commands(self, account: AccountRef, bucket: str, region: str) -> str:
        """Return the commands that delete the storage account; Azure deletes what is in it, so that is shown first."""
        name, here = shlex.quote(bucket), _cli(account)
        return "\n".join(
            [
                "# Azure deletes an account with all that is in it. These containers are:",
                f"az storage container list --account-name {name} --auth-mode login --query '[].name' --output tsv",
                f"az lock delete --name {LOCK} {here} --resource {name} --resource-type {STORAGE}",
                f"az storage account delete --name {name} {here}",
            ]
        )


def regions_of(account: AccountRef) -> list[Region]:
    """Return Azure's regions."""
    return list(regions("azure"))


def _create(account: StorageAccount, *, log: bool) -> StepResult | None:
    try:
        _ask_for(account, ZONES, log=log)
        return None
    except Refusal as refusal:
        # How Azure says that a region has no zones is written nowhere, so whatever is about the SKU is taken for that.
        if refusal.status not in {400, 409} or "sku" not in f"{refusal.code} {refusal.reason}".lower():
            raise step_error(refusal, "StorageAccounts_Create", account.subject) from refusal
    except NoAnswer as error:
        raise step_error(error, "StorageAccounts_Create", account.subject) from error
    try:
        _ask_for(account, ONE_ZONE, log=log)
    except (Refusal, NoAnswer) as error:
        raise step_error(error, "StorageAccounts_Create", account.subject) from error
    return StepResult(note="Azure keeps nothing in three zones of this region: all copies are in one (LRS).")


def _ask_for(account: StorageAccount, sku: str, *, log: bool) -> None:
    body: Any = {
        "kind": "StorageV2",
        "sku": {"name": sku},
        "location": account.spec.region,
        "tags": tags(account.spec),  # given in the create call, so that the account never stands untagged
        "properties": {**wishes(account.spec, log=log), "allowCrossTenantReplication": False},
    }
    call(
        "StorageAccounts_Create",
        account.spec.account,
        lambda cloud: cloud.storage.storage_accounts.begin_create(cloud.group, account.name, body, polling=False),
    )


def _shown(account: StorageAccount) -> dict[str, Any]:
    """Return the account once Azure has made it, which takes half a minute; raises NotReady when it takes longer."""
    until = time.monotonic() + NEWEST_SHOWN
    pause = PAUSE / 10
    while True:
        found = account.find()
        if found is not None and _state(found) == "Succeeded":
            return found
        if time.monotonic() > until:
            raise NotReady(f"Azure is still making storage account {account.name}.", patience=600, bucket=account.name)
        time.sleep(pause)
        pause = min(2.0, pause * 2)
        ensure_lease()


def _state(found: dict[str, Any]) -> str:
    return str((found.get("properties") or {}).get("provisioningState") or "Succeeded")


def _cli(account: AccountRef) -> str:
    """Return the options of the Azure CLI that name where the account's stores are."""
    group = shlex.quote(account.settings.get("resource_group", ""))
    return f"--resource-group {group} --subscription {shlex.quote(account.number)}"
