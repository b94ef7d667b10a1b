"""Backup stores on Azure Storage: two lists of steps, at the end, and the functions that they name, above.

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
from urllib.parse import urlsplit
from uuid import UUID

from console.clouds.azure.access import DISMISS, GRANT, REVOKE, due, facts, policy
from console.clouds.azure.accounts import (
    LOCK,
    StorageAccount,
    account_controls,
    expiry,
    kept,
    kept_control,
    kept_days,
    lock_control,
    logging_control,
    owner_in,
    rules_control,
    tags,
    wishes,
)
from console.clouds.azure.blobs import COUNT_AT_MOST, Blobs, count
from console.clouds.azure.documents import documents
from console.clouds.azure.errors import STORAGE, NoAnswer, Refusal, on_group, resource_id, step_error
from console.clouds.azure.permissions import preflight
from console.clouds.azure.session import LINK, LINKING, account_facts, ask, call, gives_signatures, identify, linked
from console.clouds.contract import (
    AccessSpec,
    AccountRef,
    Cloud,
    Contents,
    Control,
    Need,
    Objects,
    RepositoryOptions,
    StoreSpec,
    UnmanagedBucket,
    Vocabulary,
)
from console.clouds.regions import Region, regions
from console.clouds.s3api.buckets import LOG_DAYS, NAME_TAG, STORE_TAG, listed
from console.clouds.steps import Failed, NotReady, Refused, Stage, Step, StepResult, TooLate, ensure_lease

BACKUPS, LOGS = "pgbk", "pgbl"
OUR_NAME = re.compile(r"pgb([kl])[a-z2-7]{16}")
ASKED = (
    "Azure says which actions the console's roles allow on the resource group. Policies and locks of your organisation "
    "are not part of that answer and may forbid a call all the same."
)
LEFT_AT_MOST = 1000  # that many are counted before a deletion is refused
ZONES, ONE_ZONE = "Standard_ZRS", "Standard_LRS"
NEWEST_SHOWN = 20.0  # seconds that a step waits for an account that Azure is making, before it lets others work
PAUSE = 0.5


# Names


def bucket_names(store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
    """Return the names of both storage accounts: of all of Azure's at most 24 small letters and digits.

    80 bits from the random end of the ID, because a version 7 UUID begins with the time.
    """
    letters = b32encode(store_id.bytes[-10:]).decode().lower()
    return BACKUPS + letters, LOGS + letters


# Whose storage account it is


def _backups(spec: StoreSpec) -> StorageAccount:
    return StorageAccount(spec, spec.bucket)


def _logs(spec: StoreSpec) -> StorageAccount:
    return StorageAccount(spec, spec.log_bucket)


def _is_ours_to_delete(account: StorageAccount) -> bool:
    """Say whether the account exists and carries this store's tag; deleting a store touches no other."""
    owner = account.owner()
    if owner == "" and account.spec.complete:
        raise Failed(
            f"Storage account {account.name} does not carry this store's tag; it is left alone. Put the tag "
            f"{STORE_TAG}={account.spec.id} back on it, or delete the account in Azure, then delete the store again.",
            bucket=account.name,
        )
    return owner == str(account.spec.id)


# Creating


def ensure_log_account(spec: StoreSpec) -> StepResult | None:
    """Create the storage account that takes the access logs."""
    return _ensure_account(_logs(spec), log=True)


def ensure_account(spec: StoreSpec) -> StepResult | None:
    """Create the storage account that takes the backups."""
    return _ensure_account(_backups(spec), log=False)


def _ensure_account(account: StorageAccount, *, log: bool) -> StepResult | None:
    # Asked first, because creating an account that is there changes it, whosever it is ("Storage Accounts - Create").
    found = account.find()
    made = None
    if found is None:
        made = _create(account, log=log)
        found = _shown(account)
    if owner_in(found) != str(account.spec.id):
        raise Failed(
            f"A storage account named {account.name} exists in this resource group and does not belong to this store. "
            "It was left alone. Delete this store here and create it again: it gets another name.",
            bucket=account.name,
        )
    if _state(found) != "Succeeded":
        _shown(account)
    return made


def _state(found: dict[str, Any]) -> str:
    return str((found.get("properties") or {}).get("provisioningState") or "Succeeded")


def _create(account: StorageAccount, *, log: bool) -> StepResult | None:
    """Create the account in three zones of its region, as Amazon keeps its objects; in one where there are no zones."""
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


def ensure_log_expiry(spec: StoreSpec) -> None:
    """Let access logs expire."""
    _logs(spec).set_rules(expiry())


def ensure_access_logging(spec: StoreSpec) -> None:
    """Log every request to the backup account's blobs into the log account."""
    _backups(spec).set_logging(resource_id(spec.account, spec.log_bucket))


def ensure_lock(spec: StoreSpec) -> None:
    """Let nobody delete the backup account who does not take our lock away first."""
    _backups(spec).set_lock()


def ensure_kept(spec: StoreSpec) -> None:
    """Have the backup account keep what is overwritten or deleted; never for a shorter time than it does."""
    if kept_days(_backups(spec)) < spec.versions_days:
        _backups(spec).set_blob_service(**kept(spec.versions_days))


# What both accounts should have


def controls(spec: StoreSpec) -> list[Control]:
    """Return what both storage accounts should have for ever."""
    logs, backups = _logs(spec), _backups(spec)
    return [
        *account_controls(logs, log=True),
        rules_control(logs, expiry(), log=True),
        *account_controls(backups, log=False),
        rules_control(backups, [], log=False),
        *([kept_control(backups, spec.versions_days)] if spec.versions_days else []),
        logging_control(backups, spec.log_bucket, partial(ensure_access_logging, spec)),
        lock_control(backups),
    ]


# Deleting


def check_account_is_empty(spec: StoreSpec) -> None:
    """Refuse to go on while anything at all is in the backup account."""
    if _is_ours_to_delete(_backups(spec)):
        _refuse_if_anything_is_left(spec)


def remove_account(spec: StoreSpec) -> None:
    """Delete the backup account. Azure deletes all that is in it, so it is closed first and looked into once more."""
    backups = _backups(spec)
    if not _is_ours_to_delete(backups):
        return
    if gives_signatures(spec.account):
        backups.update(properties={"allowSharedKeyAccess": False})  # no signature is good any more
    _refuse_if_anything_is_left(spec)
    backups.unlock()  # which forbids the next, too
    backups.stop_logging()  # else it comes back with an account of the same name ("Diagnostic settings …")
    backups.delete()


def remove_log_account(spec: StoreSpec) -> None:
    """Delete the access logs with their account."""
    if _is_ours_to_delete(_logs(spec)):
        _logs(spec).delete()


def keep_log_account(spec: StoreSpec) -> None:
    """Leave the log account where it is, with the rule by which its logs expire."""
    if _is_ours_to_delete(_logs(spec)):
        ensure_log_expiry(spec)


def clear_logs(spec: StoreSpec, over: bool) -> bool:
    """Return whether the log account that was kept is gone; when all is over, the empty account is deleted."""
    logs = _logs(spec)
    if not _is_ours_to_delete(logs):
        return True
    if not over or not count(logs.subject, logs.name, LEFT_AT_MOST, lambda counted: None).is_empty:
        return False
    logs.delete()
    return True


def restore(spec: StoreSpec) -> None:
    """Put back what a deletion that somebody cancels has changed; raises TooLate when the backup account is gone."""
    if not _is_ours_to_delete(_backups(spec)):
        raise TooLate(f"The storage account {spec.bucket} is not there any more.", bucket=spec.bucket)
    _put_back(spec)


def _put_back(spec: StoreSpec) -> None:
    """Undo what a deletion has done that went further than this one: the store stays in use."""
    if not spec.complete:
        return  # it may never have been so
    backups = _backups(spec)
    if gives_signatures(spec.account):
        backups.update(properties={"allowSharedKeyAccess": True})
    if _logs(spec).owner() == str(spec.id):
        ensure_access_logging(spec)
    backups.set_lock()


def contents(spec: StoreSpec, tell: Callable[[int], None]) -> Contents:
    """Return what the backup account holds."""
    if not _is_ours_to_delete(_backups(spec)):
        return Contents(exists=False)
    return count(_backups(spec).subject, spec.bucket, COUNT_AT_MOST, tell)


def _refuse_if_anything_is_left(spec: StoreSpec) -> None:
    left = count(_backups(spec).subject, spec.bucket, LEFT_AT_MOST, lambda counted: None)
    if not left.is_empty:
        _put_back(spec)
        raise Refused(
            f"The storage account still holds {listed(left.counts)}. Empty it in Azure, then delete the store again.",
            bucket=spec.bucket,
            commands=emptying(spec, left),
        )


def emptying(spec: StoreSpec, found: Contents) -> str:
    """Return the commands of the Azure CLI that empty the backup account: a container goes with all that is in it."""
    here = _cli(spec.account)
    name = shlex.quote(spec.bucket)
    lines = ["# As somebody with the role Storage Blob Data Contributor on the storage account:"]
    if found.older or found.versioned:
        lines.append("# First it shall no longer keep what is deleted.")
        lines.append(
            f"az storage account blob-service-properties update --account-name {name} {here} "
            "--enable-delete-retention false --enable-container-delete-retention false"
        )
    listing = f"az storage container list --account-name {name} --auth-mode login --query '[].name' --output tsv"
    delete = f'az storage container delete --account-name {name} --auth-mode login --name "$container"'
    lines.append(f"{listing} | while read -r container; do {delete}; done")
    return "\n".join(lines)


def _cli(account: AccountRef) -> str:
    """Return the options of the Azure CLI that name where the account's stores are."""
    group = shlex.quote(account.settings.get("resource_group", ""))
    return f"--resource-group {group} --subscription {shlex.quote(account.number)}"


# What a node, and whoever looks into a repository, needs to know


def repository(spec: StoreSpec, access: AccessSpec) -> RepositoryOptions:
    """Return pgBackRest's options for the cluster's container; a node signs in as its identity or with a signature."""
    options = [("type", "azure"), ("azure-account", spec.bucket), ("azure-container", access.prefix)]
    needs: tuple[Need, ...] = ()
    lacks = ""
    if not gives_signatures(spec.account):
        options.append(("azure-key-type", "auto"))
        needs = (_managed_identity(spec),)
    else:
        options.append(("azure-key-type", "sas"))
        if signature := access.keys.get(spec.bucket):
            options.append(("azure-key", signature))
        else:
            lacks = (
                f"The console has no signature for {spec.name} yet. It makes one when the cluster's backup stores are "
                "updated: look at the cluster's last task."
            )
    ca_certificate = ""
    if emulator := spec.account.deployment.endpoint_url:
        where = urlsplit(emulator)
        options += [
            ("azure-endpoint", where.hostname or ""),
            ("azure-uri-style", "path"),
            ("storage-port", str(where.port or 443)),
        ]
        ca_certificate = _emulators_ca(spec.account.deployment.ca_file)
    return RepositoryOptions(tuple(options), frozenset({"azure-key"}), ca_certificate, needs=needs, lacks=lacks)


def _managed_identity(spec: StoreSpec) -> Need:
    return Need(
        "2.58",  # its release notes: repo-azure-key-type=auto
        f"sign in to {spec.name} with a managed identity",
        "have the account's nodes sign in with a signature (the account's page, Change)",
    )


def _emulators_ca(file: str) -> str:
    if not file:
        return ""
    with open(file) as certificate:
        return certificate.read()


def objects(spec: StoreSpec) -> Objects:
    """Return what reads the backup account's blobs."""
    return Blobs(_backups(spec).subject, spec.bucket)


def survey(account: AccountRef, known: Collection[str]) -> Iterator[UnmanagedBucket]:
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


def removal(account: AccountRef, bucket: str, region: str) -> str:
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


def store_facts(spec: StoreSpec) -> list[tuple[str, str]]:
    """Return both storage accounts with their resource IDs."""
    return [
        ("Storage Account", spec.bucket),
        ("Resource ID", resource_id(spec.account, spec.bucket)),
        ("Log Storage Account", spec.log_bucket),
        ("Log Resource ID", resource_id(spec.account, spec.log_bucket)),
    ]


def regions_of(account: AccountRef) -> list[Region]:
    """Return Azure's regions."""
    return list(regions("azure"))


# The log account comes after: it still takes the log of what was done to the backup account.
REMOVE_ACCOUNT = (
    Stage(Step("check_account_is_empty", "Checking that the backup storage account is empty", check_account_is_empty)),
    Stage(Step("delete_account", "Deleting the backup storage account", remove_account, point_of_no_return=True)),
)
AZURE = Cloud(
    key="azure",
    label="Azure",
    service="Azure Storage",
    mark="Az",
    link=LINK,
    linking=LINKING,
    vocabulary=Vocabulary(
        bucket="storage account", account="subscription", number="subscription ID", owner_tag=STORE_TAG
    ),
    # Each account is closed by the very call that creates it. Then nothing waits for anything else.
    provision=(
        Stage(
            Step("create_log_account", "Creating the log storage account", ensure_log_account),
            Step("create_account", "Creating the backup storage account", ensure_account),
        ),
        Stage(
            Step("expire_logs", "Setting the log storage account to expire old logs", ensure_log_expiry),
            Step("lock_account", "Locking the backup storage account against deletion", ensure_lock),
        ),
        Stage(Step("log_access", "Turning on access logging", ensure_access_logging)),
    ),
    keep_versions=(Stage(Step("keep_deleted", "Turning on soft delete", ensure_kept)),),
    lock=(),
    remove=(
        *REMOVE_ACCOUNT,
        Stage(Step("delete_log_account", "Deleting the access logs and their storage account", remove_log_account)),
    ),
    remove_but_logs=(*REMOVE_ACCOUNT, Stage(Step("keep_logs", "Leaving the access logs to expire", keep_log_account))),
    restore=(Stage(Step("restore_settings", "Putting back what the deletion had changed", restore)),),
    contents=contents,
    emptying=emptying,
    clear_logs=clear_logs,
    log_days=LOG_DAYS,
    identify=identify,
    bucket_names=bucket_names,
    identifier=resource_id,
    grant=GRANT,
    revoke=REVOKE,
    dismiss=DISMISS,
    access_facts=facts,
    access_policy=policy,
    access_refusal=lambda spec: "",
    regions=regions_of,
    store_regions=regions_of,
    capabilities=lambda account: (),
    repository=repository,
    objects=objects,
    controls=controls,
    survey=survey,
    removal=removal,
    account_facts=account_facts,
    store_facts=store_facts,
    linked=linked,
    protections=lambda account: frozenset({"versions"}),
    keys_due=due,
    preflight=preflight,
    asked=ASKED,
    documents=documents,
)
