"""What both buckets of a store at Google should have for ever: how each setting is seen, compared, set, described."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from console.clouds.contract import Control
from console.clouds.google.buckets import (
    DAY,
    HOLDS,
    LOG_ROLE,
    LOG_WRITER,
    STORE_LABEL,
    Bucket,
    kept_days,
    labels,
    settings,
    value_of,
)
from console.clouds.google.errors import on_bucket
from console.clouds.specs import StoreSpec
from console.clouds.steps import Failed

Bindings = list[dict[str, Any]]
# Who has something in a bucket only for belonging to its project, or to nothing at all: nobody should. The project's
# owners may stay, who could give it back to themselves.
EVERYBODY = ("allUsers", "allAuthenticatedUsers")
BY_PROJECT = ("projectViewer:", "projectEditor:")


def bucket_of(spec: StoreSpec, name: str) -> Bucket:
    """Return a bucket of the store."""
    return Bucket(on_bucket(spec, name), name)


# Policies


def closed(bindings: Bindings) -> Bindings:
    """Return the bindings without those of everybody, and of the project's viewers and editors."""
    for binding in bindings:
        binding["members"] = [one for one in binding["members"] if not _too_many(one)]
    return bindings


def _too_many(member: str) -> bool:
    return member in EVERYBODY or member.startswith(BY_PROJECT)


def open_to(bindings: Bindings) -> list[str]:
    """Return who of them there is, in the order of their names."""
    return sorted({one for binding in bindings for one in binding["members"] if _too_many(one)})


def with_log_writer(bindings: Bindings) -> Bindings:
    """Return the bindings with the one that lets Google deliver access logs, and closed."""
    bindings = closed(bindings)
    if not lets_log_writer(bindings):
        bindings.append({"role": LOG_ROLE, "members": [LOG_WRITER]})
    return bindings


def lets_log_writer(bindings: Bindings) -> bool:
    """Return whether Google may deliver access logs."""
    return any(one["role"] == LOG_ROLE and LOG_WRITER in one["members"] and "condition" not in one for one in bindings)


# Settings in words


def _access_words(value: Mapping[str, Any]) -> str:
    uniform = value["uniformBucketLevelAccess"]["enabled"]
    enforced = value["publicAccessPrevention"] == "enforced"
    return f"{'IAM alone decides' if uniform else 'ACLs on'}, public access {'prevented' if enforced else 'possible'}"


def _lifecycle_words(value: Mapping[str, Any]) -> str:
    text = "; ".join(_rule_words(rule) for rule in value["rule"])
    return text[:1].upper() + text[1:] or "No rule"


def _rule_words(rule: Mapping[str, Any]) -> str:
    kind, condition = rule["action"]["type"], dict(rule["condition"])
    if kind == "AbortIncompleteMultipartUpload" and [*condition] == ["age"]:
        return f"drops unfinished uploads after {_days(condition['age'])}"
    if kind == "Delete" and [*condition] == ["age"]:
        return f"deletes objects after {_days(condition['age'])}"
    if kind == "Delete" and [*condition] == ["daysSinceNoncurrentTime"]:
        return f"deletes older versions after {_days(condition['daysSinceNoncurrentTime'])}"
    verb = {"Delete": "deletes", "SetStorageClass": "moves"}.get(kind, "aborts")
    return f"{verb} what fits {', '.join(f'{key} {value}' for key, value in condition.items())}"


def _days(number: Any) -> str:
    return f"{number} day{'' if int(number) == 1 else 's'}"


def _soft_words(value: Mapping[str, Any]) -> str:
    seconds = int(value["retentionDurationSeconds"])
    return f"Kept for {_days(round(seconds / DAY))}" if seconds else "Off"


def _logging_words(value: Mapping[str, str] | None) -> str:
    return f"Into {value.get('logBucket')}/{value.get('logObjectPrefix', '')}" if value else "Off"


def _label_words(value: Mapping[str, str] | None) -> str:
    return ", ".join(f"{key}={text}" for key, text in (value or {}).items()) or "None"


# Each setting: its label, and how it is said.
SETTINGS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "iamConfiguration": ("access", "Public and uniform access", _access_words),
    "lifecycle": ("lifecycle", "Lifecycle", _lifecycle_words),
    "softDeletePolicy": ("soft_delete", "Soft delete", _soft_words),
    "versioning": ("versioning", "Versioning", lambda value: "On" if value["enabled"] else "Off"),
    "logging": ("logging", "Access logging", _logging_words),
}


def controls(spec: StoreSpec) -> list[Control]:
    """Return what both buckets should have for ever, whose they are first."""
    return [*_of_bucket(spec, spec.log_bucket, log=True), *_of_bucket(spec, spec.bucket, log=False)]


def _of_bucket(spec: StoreSpec, name: str, *, log: bool) -> list[Control]:
    bucket, wanted = bucket_of(spec, name), settings(spec, log=log)
    keys = [key for key in SETTINGS if key in wanted]
    principals = Control(
        key="principals",
        label="Access of groups",
        bucket=name,
        log=log,
        wanted=[],
        observe=lambda: open_to(bucket.policy().get("bindings", [])),
        ensure=lambda: bucket.change_policy(closed),
        matches=lambda observed: not observed,
        describe=lambda value: f"Open to {', '.join(value)}" if value else "None: neither everybody nor the project's",
    )
    writer = Control(
        key="log_delivery",
        label="Log delivery",
        bucket=name,
        log=True,
        wanted=True,
        observe=lambda: lets_log_writer(bucket.policy().get("bindings", [])),
        ensure=lambda: bucket.change_policy(with_log_writer),
        matches=bool,
        describe=lambda value: "May write" if value else "May not write",
    )
    location = Control(
        key="location",
        label="Location",
        bucket=name,
        log=log,
        wanted=spec.region.upper(),
        observe=lambda: str(bucket.there().get("location", "")).upper(),
        ensure=lambda: None,  # no bucket ever moves
        matches=lambda observed: observed == spec.region.upper(),
        describe=str,
        fixed=True,
    )
    return [
        _tags(spec, bucket, log=log),
        location,
        principals,
        *([writer] if log else []),
        *(_setting(spec, bucket, key, wanted, log=log) for key in keys),
        *([] if log else [_holds(bucket)]),
    ]


def _holds(bucket: Bucket) -> Control:
    """Return that nothing keeps pgBackRest from overwriting its lists and from expiring backups ("Bucket Lock")."""
    return Control(
        key=HOLDS,
        label="Retention policy and holds",
        bucket=bucket.name,
        log=False,
        wanted=value_of({}, HOLDS),
        observe=lambda: value_of(bucket.there(), HOLDS),
        ensure=lambda: let_go(bucket),
        matches=lambda observed: not any(observed.values()),
        describe=_hold_words,
        repairable=lambda observed: not observed["locked"],
    )


def _hold_words(value: Mapping[str, Any]) -> str:
    said = []
    if value["seconds"]:
        lock = ", locked for ever" if value["locked"] else ""
        days, minutes = value["seconds"] / DAY, value["seconds"] / 60
        how_long = f"{days:,.4g} days" if days >= 1 else f"{minutes:,.4g} minutes"
        said.append(f"Nothing is overwritten or deleted for {how_long}{lock}")
    if value["by_event"]:
        said.append("New objects are held until somebody releases each")
    return "; ".join(said) or "None: pgBackRest may overwrite and expire"


def let_go(bucket: Bucket) -> None:
    """Take the retention policy and the hold of new objects off; raises Failed for a policy that is locked."""
    found = bucket.there()
    now = value_of(found, HOLDS)
    if now["locked"]:
        raise Failed(
            f"The retention policy of bucket {bucket.name} is locked, which nobody can undo: pgBackRest can expire and "
            "overwrite nothing there until it is old enough. Use another store for new backups.",
            bucket=bucket.name,
        )
    off = {"retentionPolicy": bool(now["seconds"]), "defaultEventBasedHold": now["by_event"]}
    if any(off.values()):
        bucket.patch({name: None for name, there in off.items() if there}, found)


def _setting(spec: StoreSpec, bucket: Bucket, name: str, wanted: Mapping[str, Any], *, log: bool) -> Control:
    key, label, words = SETTINGS[name]
    value = value_of(wanted, name)
    protects = not log and bool(spec.versions_days) and name in {"softDeletePolicy", "versioning", "lifecycle"}
    return Control(
        key=key,
        label=label,
        bucket=bucket.name,
        log=log,
        wanted=value,
        observe=lambda: value_of(bucket.there(), name),
        ensure=partial(_ensure, bucket, name, wanted[name], partial(_will_do, spec, name, value, protects)),
        matches=partial(_will_do, spec, name, value, protects),
        describe=words,
        fixed=protects,
    )


def _ensure(bucket: Bucket, name: str, wanted: Any, will_do: Callable[[Any], bool]) -> None:
    found = bucket.there()
    if not will_do(value_of(found, name)):
        bucket.patch({name: wanted}, found)


def _will_do(spec: StoreSpec, name: str, wanted: Any, protects: bool, observed: Any) -> bool:
    """Return whether a setting is as wanted; of what was promised, more will do, and is never weakened."""
    if observed == wanted:
        return True
    if not protects or not observed:
        return False
    if name == "softDeletePolicy":
        return int(observed["retentionDurationSeconds"]) >= int(wanted["retentionDurationSeconds"])
    if name == "lifecycle":
        others = [rule for rule in observed["rule"] if "daysSinceNoncurrentTime" not in rule["condition"]]
        kept = [rule["condition"]["daysSinceNoncurrentTime"] for rule in observed["rule"] if rule not in others]
        plain = [rule for rule in wanted["rule"] if "daysSinceNoncurrentTime" not in rule["condition"]]
        versions = kept_days(spec)[0]
        return others == plain and (not kept or min(kept) >= versions)
    return False


def _tags(spec: StoreSpec, bucket: Bucket, *, log: bool) -> Control:
    wanted = labels(spec)
    return Control(
        key="tags",
        label="Labels",
        bucket=bucket.name,
        log=log,
        wanted=wanted,
        observe=lambda: bucket.there().get("labels", {}),
        ensure=partial(_ensure_labels, wanted, bucket),
        matches=lambda observed: wanted.items() <= (observed or {}).items(),
        describe=_label_words,
    )


def _ensure_labels(wanted: Mapping[str, str], bucket: Bucket) -> None:
    """Put the store's labels back; raises Failed when the bucket has those of another store."""
    found = bucket.there()
    theirs = found.get("labels", {}).get(STORE_LABEL, wanted[STORE_LABEL])
    if theirs != wanted[STORE_LABEL]:
        raise Failed(
            f"Bucket {bucket.name} carries the label of another store, {theirs}. It was left alone. Find out who "
            f"changed the label; if the bucket is this store's after all, set {STORE_LABEL}={wanted[STORE_LABEL]} "
            "again.",
            bucket=bucket.name,
        )
    if not wanted.items() <= found.get("labels", {}).items():
        bucket.patch({"labels": dict(wanted)}, found)
