"""A storage account of a store: whose it is, what can be set on it, and how each setting is said in words.

Names and forms are those of the Azure Storage resource provider's REST API, and of Azure Monitor's and the locks'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from console.clouds.azure.errors import GONE, CallTarget, on_bucket, resource_id
from console.clouds.azure.session import ask, gives_signatures
from console.clouds.contract import Control
from console.clouds.naming import LOG_DAYS, STORE_TAG, store_tags
from console.clouds.specs import StoreSpec
from console.clouds.steps import Failed

LOGS_VERSION, LOCKS_VERSION = "2021-05-01-preview", "2020-05-01"
SETTING = LOCK = "storekeeper"  # the names of our diagnostic setting and of our lock
CATEGORIES = ("StorageDelete", "StorageRead", "StorageWrite")
LOCK_NOTE = "Storekeeper keeps backups here. It takes this lock away itself when the empty store is deleted there."
TLS = "TLS1_2"


def tags(spec: StoreSpec) -> dict[str, str]:
    """Return the tags of the store's accounts; a colon is allowed in their names ("Use tags …", Limitations)."""
    return store_tags(spec.id, spec.name)


@dataclass(frozen=True)
class StorageAccount:
    """One of the two storage accounts of a store."""

    spec: StoreSpec
    name: str

    @property
    def subject(self) -> CallTarget:
        """Return it as the subject of a call."""
        return on_bucket(self.spec, self.name)

    @property
    def id(self) -> str:
        """Return its resource ID."""
        return resource_id(self.spec.account, self.name)

    def find(self) -> dict[str, Any] | None:
        """Return its properties; None when there is no such account."""
        found: dict[str, Any] | None = ask(
            "StorageAccounts_GetProperties",
            self.subject,
            lambda cloud: cloud.storage.storage_accounts.get_properties(cloud.group, self.name).as_dict(),
            {GONE},
        )
        return found

    def properties(self) -> dict[str, Any]:
        """Return its properties; raises a StepError of the code ResourceNotFound when there is no such account."""
        found: dict[str, Any] = ask(
            "StorageAccounts_GetProperties",
            self.subject,
            lambda cloud: cloud.storage.storage_accounts.get_properties(cloud.group, self.name).as_dict(),
        )
        return found

    def owner(self) -> str | None:
        """Return the store ID that it is tagged with, '' when with none; None when there is no such account."""
        found = self.find()
        return None if found is None else owner_in(found)

    def update(self, **values: Any) -> None:
        """Change these values, and no other."""
        body: Any = values
        ask(
            "StorageAccounts_Update",
            self.subject,
            lambda cloud: cloud.storage.storage_accounts.update(cloud.group, self.name, body),
        )

    def delete(self) -> None:
        """Delete it, with all that is in it."""
        ask(
            "StorageAccounts_Delete",
            self.subject,
            lambda cloud: cloud.storage.storage_accounts.delete(cloud.group, self.name),
            {GONE},
        )

    # What belongs to it

    def blob_service(self) -> dict[str, Any]:
        """Return the properties of its blob service."""
        found = ask(
            "BlobServices_GetServiceProperties",
            self.subject,
            lambda cloud: cloud.storage.blob_services.get_service_properties(cloud.group, self.name).as_dict(),
        )
        return dict(found.get("properties") or {})

    def set_blob_service(self, **values: Any) -> None:
        """Change these properties of its blob service, and no other: what is not sent is kept."""
        body: Any = {"properties": values}
        ask(
            "BlobServices_SetServiceProperties",
            self.subject,
            lambda cloud: cloud.storage.blob_services.set_service_properties(cloud.group, self.name, body),
        )

    def rules(self) -> list[Any]:
        """Return the rules of its lifecycle policy."""
        found = ask(
            "ManagementPolicies_Get",
            self.subject,
            lambda cloud: cloud.storage.management_policies.get(cloud.group, self.name, "default").as_dict(),
            {"ManagementPolicyNotFound"},
        )
        return list(((found or {}).get("properties") or {}).get("policy", {}).get("rules") or [])

    def set_rules(self, rules: list[Any]) -> None:
        """Give it these rules, in the place of those that it has."""
        if not rules:  # Azure takes no policy without a rule
            ask(
                "ManagementPolicies_Delete",
                self.subject,
                lambda cloud: cloud.storage.management_policies.delete(cloud.group, self.name, "default"),
                {"ManagementPolicyNotFound"},
            )
            return
        ask(
            "ManagementPolicies_CreateOrUpdate",
            self.subject,
            lambda cloud: cloud.storage.management_policies.create_or_update(
                cloud.group, self.name, "default", {"properties": {"policy": {"rules": rules}}}
            ),
        )

    def logging(self) -> dict[str, Any] | None:
        """Return where the requests to its blobs are logged by our diagnostic setting: account and categories."""
        found = self._extension("DiagnosticSettings_Get", "GET", self._setting, LOGS_VERSION, none={"ResourceNotFound"})
        if found is None:
            return None
        given = found.get("properties") or {}
        logs = [one["category"] for one in given.get("logs") or () if one.get("enabled") and one.get("category")]
        return {"account": str(given.get("storageAccountId") or "").rpartition("/")[2], "categories": sorted(logs)}

    def set_logging(self, target: str) -> None:
        """Log the requests to its blobs into the storage account of this ID."""
        logs = [{"category": one, "enabled": True} for one in CATEGORIES]
        body = {"properties": {"storageAccountId": target, "logs": logs}}
        self._extension("DiagnosticSettings_CreateOrUpdate", "PUT", self._setting, LOGS_VERSION, body)

    def stop_logging(self) -> None:
        """Take our diagnostic setting away."""
        self._extension("DiagnosticSettings_Delete", "DELETE", self._setting, LOGS_VERSION, none={"ResourceNotFound"})

    def lock(self) -> str | None:
        """Return the level of our lock on it; None without one."""
        found = self._extension(
            "ManagementLocks_GetByScope", "GET", self._lock, LOCKS_VERSION, none={"LockNotFound", "404"}
        )
        return None if found is None else str((found.get("properties") or {}).get("level"))

    def set_lock(self) -> None:
        """Let nobody delete it who does not take the lock away first."""
        body = {"properties": {"level": "CanNotDelete", "notes": LOCK_NOTE}}
        self._extension("ManagementLocks_CreateOrUpdateByScope", "PUT", self._lock, LOCKS_VERSION, body)

    def unlock(self) -> None:
        """Take our lock away; another's stays."""
        self._extension(
            "ManagementLocks_DeleteByScope", "DELETE", self._lock, LOCKS_VERSION, none={"LockNotFound", "404"}
        )

    @property
    def _setting(self) -> str:
        return f"{self.id}/blobServices/default/providers/Microsoft.Insights/diagnosticSettings/{SETTING}"

    @property
    def _lock(self) -> str:
        return f"{self.id}/providers/Microsoft.Authorization/locks/{LOCK}"

    def _extension(
        self, operation: str, method: str, path: str, version: str, body: Any = None, *, none: set[str] | None = None
    ) -> Any:
        return ask(operation, self.subject, lambda cloud: cloud.send(method, path, version, body), none or ())


def owner_in(properties: Mapping[str, Any]) -> str:
    """Return the store ID in the tags of an account; the names of tags know no case."""
    return next((value for key, value in (properties.get("tags") or {}).items() if key.lower() == STORE_TAG), "")


# What both accounts should have


@dataclass(frozen=True)
class Switch:
    """One property of an account, with what it is until somebody sets it ("Storage Accounts - Create")."""

    key: str
    label: str
    name: str
    unset: Any
    words: Callable[[Any], str]
    fixed: bool = False  # cannot be changed once the account is there

    def read(self, account: StorageAccount) -> Any:
        """Return what the account has."""
        found = (account.properties().get("properties") or {}).get(self.name)
        return self.unset if found is None else found

    def control(self, account: StorageAccount, wanted: Any, *, log: bool) -> Control:
        """Return this value as one that the account should have."""
        return Control(
            key=self.key,
            label=self.label,
            bucket=account.name,
            log=log,
            wanted=wanted,
            observe=partial(self.read, account),
            ensure=partial(self._ensure, account, wanted),
            matches=partial(self._same, wanted),
            describe=self.words,
            fixed=self.fixed,
        )

    def _ensure(self, account: StorageAccount, wanted: Any) -> None:
        if self.fixed:
            if self.read(account) != wanted:
                raise Failed(
                    f"{self.label}: Azure cannot change this on an account that is there.", bucket=account.name
                )
            return
        account.update(properties={self.name: wanted})

    def _same(self, wanted: Any, observed: Any) -> bool:
        # A newer TLS will do: TLS1_2, TLS1_3.
        return bool(observed >= wanted) if self.key == "tls" else bool(observed == wanted)


def _on(yes: str, no: str) -> Callable[[Any], str]:
    return lambda value: yes if value else no


PUBLIC = Switch("public_access", "Public access", "allowBlobPublicAccess", True, _on("May be turned on", "Off"))
TLS_VERSION = Switch(
    "tls", "TLS", "minimumTlsVersion", "TLS1_0", lambda value: f"{value.replace('TLS1_', 'TLS 1.')} or newer"
)
HTTPS = Switch("https", "HTTPS", "supportsHttpsTrafficOnly", False, _on("Only", "Plain HTTP is answered too"))
SHARED_KEYS = Switch("shared_keys", "Shared keys", "allowSharedKeyAccess", True, _on("On", "Off"))
HIERARCHY = Switch(
    "hierarchy", "Hierarchical namespace", "isHnsEnabled", False, _on("On: pgBackRest cannot expire", "Off"), fixed=True
)


def wishes(spec: StoreSpec, *, log: bool) -> dict[str, Any]:
    """Return the properties that an account of the store is created with, and should keep."""
    # Of the log account too: Azure Monitor's trusted services deliver with keys of their own, it is not known whether
    # with the account's; nobody is handed those, and the console's role may list them only for the setting's sake.
    keys = True if log else gives_signatures(spec.account)
    return {
        PUBLIC.name: False,
        TLS_VERSION.name: TLS,
        HTTPS.name: True,
        SHARED_KEYS.name: keys,
        HIERARCHY.name: False,
    }


def account_controls(account: StorageAccount, *, log: bool) -> list[Control]:
    """Return what each account of the store should have, whose it is first."""
    wanted = wishes(account.spec, log=log)
    switches = (PUBLIC, TLS_VERSION, HTTPS, *(() if log else (SHARED_KEYS,)), HIERARCHY)
    return [own_tags(account, log=log), *(one.control(account, wanted[one.name], log=log) for one in switches)]


def own_tags(account: StorageAccount, *, log: bool) -> Control:
    """Return the control that says whose the account is; tags of others are left as they are."""
    wanted = tags(account.spec)

    def observe() -> dict[str, str]:
        return dict(account.properties().get("tags") or {})

    def ensure() -> None:
        found = observe()
        owner = owner_in({"tags": found})
        if owner not in {"", str(account.spec.id)} or (not owner and not account.spec.complete and found):
            raise Failed(
                f"Storage account {account.name} belongs to another store ({owner or 'it has other tags'}). It was "
                "left alone.",
                bucket=account.name,
            )
        account.update(tags={**found, **wanted})

    return Control(
        key="tags",
        label="Tags",
        bucket=account.name,
        log=log,
        wanted=wanted,
        observe=observe,
        ensure=ensure,
        matches=lambda found: all(found.get(key) == value for key, value in wanted.items()),
        describe=lambda found: (
            "This store's" if all(found.get(key) == value for key, value in wanted.items()) else _tag_words(found)
        ),
    )


def _tag_words(found: Mapping[str, str]) -> str:
    owner = owner_in({"tags": found})
    return f"Store {owner}" if owner else "None of the console's"


def expiry() -> list[Any]:
    """Return the rule by which logs are deleted; Azure Monitor writes them as append blobs ("Lifecycle …")."""
    action = {"baseBlob": {"delete": {"daysAfterModificationGreaterThan": LOG_DAYS}}}
    return [
        {
            "enabled": True,
            "name": "expire-logs",
            "type": "Lifecycle",
            "definition": {"actions": action, "filters": {"blobTypes": ["appendBlob", "blockBlob"]}},
        }
    ]


def rules_control(account: StorageAccount, wanted: list[Any], *, log: bool) -> Control:
    """Return the lifecycle that an account should have: none, where nothing may ever be deleted."""
    return Control(
        key="lifecycle",
        label="Lifecycle",
        bucket=account.name,
        log=log,
        wanted=wanted,
        observe=account.rules,
        ensure=partial(account.set_rules, wanted),
        matches=lambda found: _meanings(found) == _meanings(wanted),
        describe=_rules_words,
    )


def _meanings(rules: list[Any]) -> list[tuple[bool, Any, Any]]:
    """Return what rules mean: without their names, and however Azure fills in what was not given."""
    found = []
    for rule in rules:
        definition = rule.get("definition") or {}
        actions = {
            kind: {
                what: {key: float(value) for key, value in when.items() if value is not None}
                for what, when in done.items()
                if when
            }
            for kind, done in (definition.get("actions") or {}).items()
            if done
        }
        filters = {key: sorted(value) for key, value in (definition.get("filters") or {}).items() if value}
        found.append((rule.get("enabled", True) is not False, actions, filters))
    return sorted(found, key=repr)


def _rules_words(rules: list[Any]) -> str:
    said = []
    for rule in rules:
        delete = ((rule.get("definition") or {}).get("actions") or {}).get("baseBlob", {}).get("delete") or {}
        days = delete.get("daysAfterModificationGreaterThan")
        off = "" if rule.get("enabled", True) is not False else " (turned off)"
        said.append(f"deletes after {days:g} days{off}" if days is not None else f"rule {rule.get('name')}{off}")
    text = ", ".join(said) or "none"
    return text[0].upper() + text[1:]


def logging_control(account: StorageAccount, log_bucket: str, ensure: Callable[[], None]) -> Control:
    """Return that requests to the account are logged into the store's other one."""
    wanted = {"account": log_bucket, "categories": sorted(CATEGORIES)}
    return Control(
        key="logging",
        label="Access logging",
        bucket=account.name,
        log=False,
        wanted=wanted,
        observe=account.logging,
        ensure=ensure,
        matches=lambda found: bool(found == wanted),
        describe=_logging_words,
    )


def _logging_words(found: Mapping[str, Any] | None) -> str:
    if not found or not found["account"]:
        return "Off"
    missing = sorted({*CATEGORIES} - {*found["categories"]})
    return f"To {found['account']}" + (f", without {' and '.join(missing)}" if missing else "")


def lock_control(account: StorageAccount) -> Control:
    """Return that nobody deletes the account by accident."""
    return Control(
        key="delete_lock",
        label="Lock against deletion",
        bucket=account.name,
        log=False,
        wanted="CanNotDelete",
        observe=account.lock,
        ensure=account.set_lock,
        matches=lambda found: found in {"CanNotDelete", "ReadOnly"},
        describe=lambda found: {None: "None", "CanNotDelete": "On"}.get(found, str(found)),
    )


def kept(days: int) -> dict[str, Any]:
    """Return the blob service's properties with which blobs and containers stay for so long after they were deleted.

    What is overwritten stays as long, as a snapshot ("Soft delete for blobs"). Versions would not do: a lifecycle rule
    counts their days from when they were written, so one that was written long ago would go as soon as it is deleted.
    """
    policy = {"enabled": True, "days": days}
    return {"deleteRetentionPolicy": policy, "containerDeleteRetentionPolicy": policy}


def kept_control(account: StorageAccount, days: int) -> Control:
    """Return that the account keeps what was overwritten or deleted, as was promised."""
    return Control(
        key="versions",
        label="Soft delete",
        bucket=account.name,
        log=False,
        wanted=days,
        observe=partial(kept_days, account),
        ensure=lambda: account.set_blob_service(**kept(days)),
        matches=lambda found: found >= days,
        describe=lambda found: f"Keeps what was deleted for {found} days" if found else "Off",
        fixed=True,
    )


def kept_days(account: StorageAccount) -> int:
    """Return for how many days the account keeps both blobs and containers that were deleted; 0: not at all."""
    found = account.blob_service()
    policies = [found.get(key) or {} for key in kept(0)]
    return min(int(one.get("days") or 0) if one.get("enabled") else 0 for one in policies)
