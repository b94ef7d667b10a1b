"""What can be set on a bucket of any S3 server: how each setting is read, written, compared and said in words.

Names and forms are those of the Amazon S3 API reference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from console.clouds.contract import Control
from console.clouds.naming import STORE_TAG, listed
from console.clouds.s3api.buckets import Bucket, tags
from console.clouds.s3api.errors import code_of
from console.clouds.specs import StoreSpec
from console.clouds.steps import Failed


@dataclass(frozen=True)
class Setting:
    """One setting of a bucket, as plain values: None where it is not set."""

    key: str
    label: str
    name: str  # of the API's calls, after Get and Put
    unset: str  # the codes with which S3, or another server, says that there is none
    parse: Callable[[Any], Any]  # what Get answers: the value
    form: Callable[[Any], dict[str, Any]]  # a value: what Put is given
    words: Callable[[Any], str]  # a value, in a sentence without its end

    def read(self, bucket: Bucket) -> Any:
        """Return what the bucket has; whatever goes wrong leaves as a StepError."""
        with bucket.calling(f"Get{self.name}") as s3:
            try:
                answer = getattr(s3, xform_name(f"Get{self.name}"))(Bucket=bucket.name, **bucket.expected)
            except ClientError as error:
                if code_of(error) in self.unset.split():
                    return None
                raise
        return self.parse(answer)

    def write(self, bucket: Bucket, value: Any) -> None:
        """Give the bucket this value, in the place of what it has."""
        with bucket.calling(f"Put{self.name}") as s3:
            getattr(s3, xform_name(f"Put{self.name}"))(Bucket=bucket.name, **self.form(value), **bucket.expected)

    def same(self, wanted: Any, observed: Any) -> bool:
        """Return whether they say the same, however a server writes it."""
        return same_document(wanted, observed)

    def control(self, bucket: Bucket, wanted: Any, *, log: bool, fixed: bool = False) -> Control:
        """Return this value as one that the bucket should have."""
        return Control(
            key=self.key,
            label=self.label,
            bucket=bucket.name,
            log=log,
            wanted=wanted,
            observe=partial(self.read, bucket),
            ensure=partial(self.write, bucket, wanted),
            matches=partial(self.same, wanted),
            describe=self.words,
            fixed=fixed,
        )


def same_document(one: Any, other: Any) -> bool:
    """Return whether two documents, such as policies, say the same, however a server writes them."""
    return one == other or bool(_plain(one) == _plain(other))


def _plain(value: Any) -> Any:
    """Return the value without what means nothing: one element or a list of it, order, the names of rules."""
    if isinstance(value, dict):
        found = {key: _plain(one) for key, one in value.items() if key != "ID"}
        return "*" if found == {"AWS": "*"} else found
    if isinstance(value, list | tuple):
        several = sorted((_plain(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
        return several[0] if len(several) == 1 else several
    return value


# Their values in words

BLOCKS = {
    "BlockPublicAcls": "new public ACLs",
    "IgnorePublicAcls": "existing public ACLs",
    "BlockPublicPolicy": "public policies",
    "RestrictPublicBuckets": "public access by policy",
}
CLOSED = dict.fromkeys(BLOCKS, True)
OWNER_ENFORCED = "BucketOwnerEnforced"
SSE_S3 = "AES256"


def _block_words(value: Mapping[str, bool] | None) -> str:
    missing = [words for key, words in BLOCKS.items() if not (value or {}).get(key)]
    if not missing:
        return "All four parts on"
    return "Off" if len(missing) == len(BLOCKS) else f"Does not block {listed(tuple(missing))}"


def _ownership_words(value: str | None) -> str:
    return "ACLs off (BucketOwnerEnforced)" if value == OWNER_ENFORCED else f"ACLs on ({value or 'ObjectWriter'})"


def _encryption_words(value: str | None) -> str:
    return {None: "None", SSE_S3: "SSE-S3 (AES256)"}.get(value, f"SSE-KMS ({value})")


# The statements that the console itself writes, by their Sid.
STATEMENTS = {
    "DenyInsecureTransport": "refuses plain HTTP",
    "DenyOldTLS": "refuses TLS before 1.2",
    "S3ServerAccessLogs": "lets log delivery write",
    "DenyWritesBeforeDeletion": "refuses all writing",
}


def _policy_words(value: Mapping[str, Any] | None) -> str:
    if value and "unreadable" in value:
        return "One that is not written as policies are"
    statements = [] if value is None else value.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    if not statements:
        return "No policy"
    said = [
        STATEMENTS.get(one.get("Sid", ""), f"has a statement {one.get('Sid') or 'without Sid'}") for one in statements
    ]
    text = listed(tuple(said))
    return text[0].upper() + text[1:]


def _rule_words(rule: Mapping[str, Any]) -> str:
    parts = []
    if days := rule.get("AbortIncompleteMultipartUpload"):
        parts.append(f"drops unfinished uploads after {_days(days.get('DaysAfterInitiation'))}")
    if expiry := rule.get("Expiration"):
        if expiry.get("Days") or expiry.get("Date"):
            parts.append(f"deletes objects after {_days(expiry.get('Days')) if expiry.get('Days') else expiry['Date']}")
        if expiry.get("ExpiredObjectDeleteMarker"):
            parts.append("deletes markers that hide nothing")
    if older := rule.get("NoncurrentVersionExpiration"):
        parts.append(f"deletes older versions after {_days(older.get('NoncurrentDays'))}")
    for key in ("Transitions", "NoncurrentVersionTransitions"):
        parts += [f"moves objects to {one.get('StorageClass')}" for one in rule.get(key, [])]
    text = listed(tuple(parts)) or "does nothing"
    prefix = f" below {rule['Prefix']}" if rule.get("Prefix") else ""
    return f"{text}{prefix}" if rule.get("Status") == "Enabled" else f"({text}{prefix}: disabled)"


def _days(number: Any) -> str:
    return f"{number} day{'' if number == 1 else 's'}"


def _lifecycle_words(value: list[Mapping[str, Any]] | None) -> str:
    text = "; ".join(_rule_words(rule) for rule in value or [])
    return text[:1].upper() + text[1:] or "No rule"


def _parse_rules(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rules with their prefix in one place, however the server writes it."""
    found = []
    for rule in answer.get("Rules", []):
        scope = dict(rule.get("Filter") or {})
        prefix = scope.pop("Prefix", "") or rule.get("Prefix", "")
        parts = {key: value for key, value in rule.items() if key not in {"Filter", "Prefix"} and value != {}}
        found.append({**parts, "Prefix": prefix, **({"Filter": scope} if scope else {})})
    return found


def _form_rules(value: list[Mapping[str, Any]]) -> dict[str, Any]:
    rules = [
        {**{key: part for key, part in rule.items() if key != "Prefix"}, "Filter": {"Prefix": rule["Prefix"]}}
        for rule in value
    ]
    return {"LifecycleConfiguration": {"Rules": rules}}


def _parse_logging(answer: Mapping[str, Any]) -> dict[str, str] | None:
    found = answer.get("LoggingEnabled")
    return {"bucket": found.get("TargetBucket", ""), "prefix": found.get("TargetPrefix", "")} if found else None


def _form_logging(value: Mapping[str, str] | None) -> dict[str, Any]:
    if not value:
        return {"BucketLoggingStatus": {}}
    by_day = {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
    target = {"TargetBucket": value["bucket"], "TargetPrefix": value["prefix"], "TargetObjectKeyFormat": by_day}
    return {"BucketLoggingStatus": {"LoggingEnabled": target}}


def _parse_lock(answer: Mapping[str, Any]) -> dict[str, Any]:
    rule = answer.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
    days = rule.get("Days") or 365 * rule.get("Years", 0)
    return {"mode": rule.get("Mode", ""), "days": days}


def _form_lock(value: Mapping[str, Any]) -> dict[str, Any]:
    retention = {"DefaultRetention": {"Mode": value["mode"], "Days": value["days"]}}
    return {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": retention}}


def _lock_words(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return "Off"
    return (
        f"{value['mode'].capitalize()}, {_days(value['days'])}" if value["days"] else "On, without a default retention"
    )


TAGS = Setting(
    "tags",
    "Tags",
    "BucketTagging",
    "NoSuchTagSet NoSuchTagSetError",  # the second: Ceph before 17.2.7
    lambda answer: {tag["Key"]: tag.get("Value", "") for tag in answer.get("TagSet", [])},
    lambda value: {"Tagging": {"TagSet": [{"Key": key, "Value": text} for key, text in value.items()]}},
    lambda value: ", ".join(f"{key}={text}" for key, text in (value or {}).items()) or "None",
)
PUBLIC_ACCESS_BLOCK = Setting(
    "public_access_block",
    "Public access block",
    "PublicAccessBlock",
    "NoSuchPublicAccessBlockConfiguration",
    lambda answer: answer.get("PublicAccessBlockConfiguration"),
    lambda value: {"PublicAccessBlockConfiguration": value},
    _block_words,
)
OWNERSHIP = Setting(
    "ownership",
    "Object ownership",
    "BucketOwnershipControls",
    "OwnershipControlsNotFoundError",
    lambda answer: next((r.get("ObjectOwnership") for r in answer.get("OwnershipControls", {}).get("Rules", [])), None),
    lambda value: {"OwnershipControls": {"Rules": [{"ObjectOwnership": value}]}},
    _ownership_words,
)
POLICY = Setting(
    "policy",
    "Bucket policy",
    "BucketPolicy",
    "NoSuchBucketPolicy",
    lambda answer: _document(answer.get("Policy")),
    lambda value: {"Policy": json.dumps(value)},
    _policy_words,
)
ENCRYPTION = Setting(
    "encryption",
    "Default encryption",
    "BucketEncryption",
    "ServerSideEncryptionConfigurationNotFoundError",
    lambda answer: next(
        (
            rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm")
            for rule in answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        ),
        None,
    ),
    lambda value: {
        "ServerSideEncryptionConfiguration": {
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": value}}]
        }
    },
    _encryption_words,
)
LIFECYCLE = Setting(
    "lifecycle",
    "Lifecycle",
    "BucketLifecycleConfiguration",
    "NoSuchLifecycleConfiguration",
    _parse_rules,
    _form_rules,
    _lifecycle_words,
)
VERSIONING = Setting(
    "versioning",
    "Versioning",
    "BucketVersioning",
    "",
    lambda answer: answer.get("Status"),
    lambda value: {"VersioningConfiguration": {"Status": value}},
    lambda value: value or "Off",
)
OBJECT_LOCK = Setting(
    "object_lock",
    "Object Lock",
    "ObjectLockConfiguration",
    "ObjectLockConfigurationNotFoundError",
    _parse_lock,
    _form_lock,
    _lock_words,
)
LOGGING = Setting(
    "logging",
    "Access logging",
    "BucketLogging",
    "",
    _parse_logging,
    _form_logging,
    lambda value: f"Into {value['bucket']}/{value['prefix']}" if value else "Off",
)


def _document(text: str | None) -> Any:
    """Return a policy; one that is no JSON, or whose statements are no objects, with its text as "unreadable"."""
    unreadable: dict[str, Any] = {"Statement": [], "unreadable": text}
    try:
        found = json.loads(text or "null")
    except (ValueError, RecursionError):
        return unreadable
    if found is None:
        return None
    statements = found.get("Statement", []) if isinstance(found, dict) else None
    listed_ones = [statements] if isinstance(statements, dict) else statements
    if not isinstance(listed_ones, list) or not all(map(_is_statement, listed_ones)):
        return unreadable
    return found


def _is_statement(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("Sid", ""), str | None)


def own_tags(spec: StoreSpec, bucket: Bucket, *, log: bool) -> Control:
    """Return the store's tags as what the bucket should have, beside any others."""
    wanted = tags(spec)
    return replace(
        TAGS.control(bucket, wanted, log=log),
        ensure=partial(_ensure_tags, wanted, bucket),
        matches=lambda observed: wanted.items() <= (observed or {}).items(),
    )


def _ensure_tags(wanted: dict[str, str], bucket: Bucket) -> None:
    """Put the store's tags back; raises Failed when the bucket has those of another store."""
    found = TAGS.read(bucket) or {}
    if found.get(STORE_TAG, wanted[STORE_TAG]) != wanted[STORE_TAG]:
        raise Failed(
            f"Bucket {bucket.name} carries the tag of another store, {found[STORE_TAG]}. It was left alone. Find out "
            f"who changed the tag; if the bucket is this store's after all, set {STORE_TAG}={wanted[STORE_TAG]} again.",
            bucket=bucket.name,
        )
    if not wanted.items() <= found.items():
        TAGS.write(bucket, {**found, **wanted})


# What a protected store promises: nothing weaker will do, anything stronger will, and neither is ever weakened.


def kept_versions(bucket: Bucket) -> Control:
    """Return that the bucket keeps versions."""
    return VERSIONING.control(bucket, "Enabled", log=False, fixed=True)


def backup_lifecycle(bucket: Bucket, wanted: list[dict[str, Any]], *, fixed: bool) -> Control:
    """Return the lifecycle of the backup bucket; versions that are kept longer than was promised will do."""
    control = LIFECYCLE.control(bucket, wanted, log=False, fixed=fixed)
    return replace(control, matches=partial(_keeps_as_long, wanted)) if fixed else control


def _keeps_as_long(wanted: list[dict[str, Any]], observed: list[dict[str, Any]] | None) -> bool:
    found, days = _without_days(observed or [])
    promised, at_least = _without_days(wanted)
    return same_document(promised, found) and days >= at_least


def _without_days(rules: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return the rules without the days for which older versions are kept, and these: the sooner of two."""
    name = "NoncurrentVersionExpiration"
    days = [rule[name].get("NoncurrentDays", 0) for rule in rules if name in rule]
    return [{key: part for key, part in one.items() if key != name} for one in rules], min(days, default=0)


def lock(bucket: Bucket, days: int) -> Control:
    """Return that nobody may delete a version for so many days; a longer or a stricter lock will do."""
    wanted = {"mode": "GOVERNANCE", "days": days}
    return replace(
        OBJECT_LOCK.control(bucket, wanted, log=False, fixed=True),
        matches=lambda observed: observed is not None and observed["days"] >= days,
    )
