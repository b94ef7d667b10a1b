"""Storage accounts of the linked resource group that the console did not make."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from console.clouds.azure.accounts import PUBLIC, StorageAccount, _meanings, kept_days, tags
from console.clouds.contract import Control
from console.clouds.existing import ExistingBuckets, FoundBucket
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Failed, NotReady, StepError


def find(account: AccountRef, bucket: str) -> FoundBucket:
    """Return the storage account, if it is in the linked resource group: the console's role ends there."""
    there = StorageAccount(StoreSpec(UUID(int=0), "", account, "", bucket, ""), bucket)
    found = there.find()
    group = account.settings.get("resource_group", "")
    if found is None:
        raise Failed(
            f"Resource group {group} has no storage account named {bucket}. One of another group cannot be added: link "
            "that group, and add it there.",
            bucket=bucket,
        )
    properties = found.get("properties") or {}
    kind = str(found.get("kind") or "StorageV2")
    if kind not in {"StorageV2", "BlobStorage", "BlockBlobStorage"}:
        raise Failed(f"Storage account {bucket} is of the kind {kind}, where pgBackRest cannot write.", bucket=bucket)
    if properties.get("isHnsEnabled"):
        raise Failed(
            f"Storage account {bucket} has a hierarchical namespace. pgBackRest cannot expire backups there, and Azure "
            "cannot turn it off: it cannot be added.",
            bucket=bucket,
        )
    return FoundBucket(
        region=str(found.get("location", "")),
        created=str(properties.get("creationTime") or ""),
        versions_days=_or(lambda: kept_days(there), 0),
        warnings=tuple(_warnings(there, properties)),
    )


def _warnings(there: StorageAccount, properties: Mapping[str, Any]) -> list[str]:
    said = []
    if properties.get(PUBLIC.name, PUBLIC.unset):
        said.append(
            "Its containers can be made public: public access is not turned off for the account. Look whether one is."
        )
    for rule in _or(there.rules, []):
        done = ((rule.get("definition") or {}).get("actions") or {}).get("baseBlob") or {}
        if rule.get("enabled", True) is not False and {"delete", "tierToArchive"} & {*done}:
            said.append(
                "A rule of its lifecycle deletes or archives blobs. Backups would go the same way: pgBackRest cannot "
                "read what is gone or archived."
            )
            break
    if (properties.get("networkAcls") or {}).get("defaultAction") == "Deny":
        said.append("Its firewall lets in only some networks: the console and the nodes have to be among them.")
    return said


def _or(read: Any, otherwise: Any) -> Any:
    try:
        return read()
    except NotReady:
        raise
    except StepError:
        return otherwise


def owner(spec: StoreSpec) -> str | None:
    """Return the store ID in the account's tag."""
    return StorageAccount(spec, spec.bucket).owner()


def adjusted(spec: StoreSpec, control: Control) -> Control:
    """Return the control as it suits an account that others use: rules stay, tags of others too."""
    there = StorageAccount(spec, spec.bucket)
    found = spec.taken_over.found.get(control.key) if spec.taken_over else None
    if control.key == "lifecycle":
        rules = list(found or [])
        return replace(
            control,
            wanted=rules,
            ensure=lambda: None,  # there is nothing to add, and nothing is taken away
            matches=lambda observed: _meanings(observed) == _meanings(rules),
        )
    if control.key == "logging" and found and found.get("account") == spec.log_bucket:
        return replace(control, wanted=found, ensure=lambda: None, matches=lambda observed: bool(observed == found))
    if control.key == "tags":
        return replace(control, ensure=lambda: _tag(spec, there))
    return control


def _tag(spec: StoreSpec, there: StorageAccount) -> None:
    if there.owner() not in {"", str(spec.id)}:
        raise Failed(f"Storage account {there.name} belongs to another store. It was left alone.", bucket=there.name)
    there.update(tags={**(there.properties().get("tags") or {}), **tags(spec)})


def untag(spec: StoreSpec) -> None:
    """Take the store's tags off; others stay."""
    there = StorageAccount(spec, spec.bucket)
    found = there.properties().get("tags") or {}
    rest = {key: value for key, value in found.items() if key.lower() not in tags(spec)}
    if rest != found:
        there.update(tags=rest)


def stop_logging(spec: StoreSpec) -> None:
    """End the logging into the store's own log account."""
    there = StorageAccount(spec, spec.bucket)
    if (there.logging() or {}).get("account") == spec.log_bucket:
        there.stop_logging()


def tag_command(spec: StoreSpec, found: Mapping[str, str]) -> str:
    """Return the command that gives the account the store's tags; it leaves others."""
    there = StorageAccount(spec, spec.bucket)
    given = " ".join(shlex.quote(f"{key}={value}") for key, value in tags(spec).items())
    return f"az tag update --resource-id {shlex.quote(there.id)} --operation merge --tags {given}"


EXISTING = ExistingBuckets(
    legal=r"[a-z0-9]{3,24}",
    legal_words="The name of a storage account has 3 to 24 small letters and digits.",
    find=find,
    owner=owner,
    adjusted=adjusted,
    left_out=frozenset({"delete_lock"}),
    untag=untag,
    stop_logging=stop_logging,
    tag_command=tag_command,
)
