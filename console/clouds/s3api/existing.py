"""Buckets of S3 that were there before, on Amazon or elsewhere: their settings merged, their tags set and taken off."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from console.clouds.contract import DAYS_AT_MOST, Control
from console.clouds.existing import FoundBucket
from console.clouds.naming import NAME_TAG, OURS, STORE_TAG
from console.clouds.s3api.buckets import LOCK_TAG, NO_LOCK, VERSIONS_TAG, Bucket, logging_target, tags, upload_expiry
from console.clouds.s3api.errors import NOT_THERE, code_of
from console.clouds.s3api.settings import (
    BLOCKS,
    LIFECYCLE,
    LOGGING,
    OBJECT_LOCK,
    OWNER_ENFORCED,
    OWNERSHIP,
    POLICY,
    PUBLIC_ACCESS_BLOCK,
    TAGS,
    VERSIONING,
    Setting,
    same_document,
)
from console.clouds.specs import StoreSpec
from console.clouds.steps import Failed, NotReady, StepError, StepResult

LEGAL = r"[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9._-]{1,61}[A-Za-z0-9]"
LEGAL_WORDS = "The name of a bucket has 3 to 63 letters, digits, dots, hyphens and underscores."
OWN_TAGS = {STORE_TAG, NAME_TAG, VERSIONS_TAG, LOCK_TAG, *OURS}
GROUPS = "http://acs.amazonaws.com/groups/global/"
EVERYBODY = (f"{GROUPS}AllUsers", f"{GROUPS}AuthenticatedUsers")

Put = Callable[[Setting, Any], StepResult | None]  # gives the bucket a value, and says what the server did not keep


# What was there stays


def joined_policy(found: Any, wanted: Mapping[str, Any] | None) -> Any:
    """Return the policy with those of the wanted statements that it lacks; raises Failed for one that is unreadable."""
    if wanted is None:  # this server is better off without ours
        return found
    if not found:
        return dict(wanted)
    if "unreadable" in found:
        raise Failed(
            "The bucket's policy is not written as policies are, so nothing can be added to it. It was left as it is."
        )
    there = _statements(found)
    names = {one.get("Sid") for one in there}
    lacking = [one for one in _statements(wanted) if not any(_same_statement(one, other) for other in there)]
    new = [{**one, "Sid": f"{one['Sid']}Storekeeper"} if one.get("Sid") in names else one for one in lacking]
    return {**found, "Statement": [*there, *new]} if new else dict(found)


def _statements(policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    statements = policy.get("Statement", [])
    return [statements] if isinstance(statements, dict) else list(statements)


def _same_statement(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return same_document(*({key: value for key, value in each.items() if key != "Sid"} for each in (one, other)))


def joined_rules(found: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Return the lifecycle with a rule that lets unfinished uploads expire, if none does so for the whole bucket."""
    rules = list(found or [])
    if any(_is_everywhere(rule) and rule.get("AbortIncompleteMultipartUpload") for rule in rules):
        return rules
    rule = upload_expiry()
    taken = {one.get("ID") for one in rules}
    return [*rules, {**rule, "ID": f"storekeeper-{rule['ID']}"} if rule["ID"] in taken else rule]


def _is_everywhere(rule: Mapping[str, Any]) -> bool:
    return rule.get("Status") == "Enabled" and not rule.get("Prefix") and not rule.get("Filter")


def adjusted(spec: StoreSpec, control: Control, bucket: Bucket, put: Put) -> Control:
    """Return the control of a bucket that was there before: nothing of what it had is taken away."""
    found = spec.taken_over.found.get(control.key) if spec.taken_over else None
    if control.key == "policy":
        ours = control.wanted
        return _merged(control, POLICY, joined_policy(found, ours), bucket, put, lambda now: joined_policy(now, ours))
    if control.key == "lifecycle":
        return _merged(control, LIFECYCLE, joined_rules(found), bucket, put, joined_rules)
    if control.key == "logging":
        target = logging_target(spec)
        wanted = found if found and found.get("bucket") == target["bucket"] else target
        return _merged(control, LOGGING, wanted, bucket, put, lambda now: wanted)
    return control


def _merged(  # noqa: PLR0917
    control: Control, setting: Setting, wanted: Any, bucket: Bucket, put: Put, join: Callable[[Any], Any]
) -> Control:
    def repairable(observed: Any) -> bool:
        try:
            return not setting.same(join(observed), observed)
        except Failed:
            return False

    def ensure() -> StepResult | None:
        now = setting.read(bucket)
        joined = join(now)
        return None if setting.same(joined, now) else put(setting, joined)

    return replace(
        control,
        wanted=wanted,
        ensure=ensure,
        matches=lambda observed: setting.same(wanted, observed),
        fixed=False,
        repairable=repairable,
    )


# Whose it is


def untag(bucket: Bucket) -> None:
    """Take the store's tags off; others stay."""
    found = TAGS.read(bucket) or {}
    rest = {key: text for key, text in found.items() if key not in OWN_TAGS}
    if rest == found:
        return
    if rest:
        TAGS.write(bucket, rest)
        return
    with bucket.calling("PutBucketTagging") as s3:  # whose permission it takes
        s3.delete_bucket_tagging(Bucket=bucket.name, **bucket.expected)


def stop_logging(spec: StoreSpec, bucket: Bucket) -> None:
    """End the logging into the store's own log bucket."""
    if same_document(LOGGING.read(bucket), logging_target(spec)):
        LOGGING.write(bucket, None)


def tag_command(spec: StoreSpec, found: Mapping[str, str], options: str) -> str:
    """Return the command of the AWS CLI that sets the store's tags; S3 knows no other way than to set all at once."""
    given = [{"Key": key, "Value": text} for key, text in {**found, **tags(spec)}.items()]
    document = shlex.quote(json.dumps({"TagSet": given}))  # in ASCII: nobody sees what else may be in a tag
    return f"aws s3api put-bucket-tagging --bucket {shlex.quote(spec.bucket)} {options} --tagging {document}"


# What it is


@dataclass(frozen=True)
class _Kept:
    versions: int
    lock: int
    warnings: tuple[str, ...] = ()


def describe(bucket: Bucket, region: str, created: str) -> FoundBucket:
    """Return what a bucket promises, and what somebody should know who adds it; what cannot be read is left out."""
    kept = _kept(bucket)
    warnings = [*kept.warnings, *_dangers(bucket), *_public(bucket), *_requester_pays(bucket)]
    if "." in bucket.name:
        warnings.append(
            "Its name has dots: no certificate is for such a name before the server's, so nodes reach it by its path."
        )
    return FoundBucket(region, created, kept.versions, kept.lock, tuple(warnings))


def _kept(bucket: Bucket) -> _Kept:
    if _or_nothing(lambda: VERSIONING.read(bucket)) != "Enabled":
        return _Kept(0, 0)
    rules = _or_nothing(lambda: LIFECYCLE.read(bucket)) or []
    days = [
        rule["NoncurrentVersionExpiration"].get("NoncurrentDays", 0)
        for rule in rules
        if rule.get("Status") == "Enabled" and "NoncurrentVersionExpiration" in rule
    ]
    locked = (_or_nothing(lambda: _read_lock(bucket)) or {}).get("days", 0)
    lock = _days(locked) if locked else 0
    if days:
        return _Kept(_days(min(days)), lock)
    return _Kept(DAYS_AT_MOST, lock, ("It keeps every version for ever: no rule of its lifecycle ends that.",))


def _days(said: int) -> int:
    """Return a number of days as a store has one, whatever a server says."""
    return min(max(said, 1), DAYS_AT_MOST)


def _read_lock(bucket: Bucket) -> Any:
    with bucket.calling("GetObjectLockConfiguration") as s3:
        try:
            answer = s3.get_object_lock_configuration(Bucket=bucket.name, **bucket.expected)
        except ClientError as error:
            if code_of(error) in NO_LOCK:
                return None
            raise
    return OBJECT_LOCK.parse(answer)


def _dangers(bucket: Bucket) -> Iterable[str]:
    """Yield what would take backups away: rules that delete or move what is current."""
    for rule in _or_nothing(lambda: LIFECYCLE.read(bucket)) or []:
        expiry = rule.get("Expiration") or {}
        ends, moves = expiry.get("Days") or expiry.get("Date"), rule.get("Transitions")
        if rule.get("Status") == "Enabled" and (ends or moves):
            yield (
                f"A rule of its lifecycle deletes or moves objects: {LIFECYCLE.words([rule])}. Backups would go the "
                "same way: pgBackRest cannot read what is gone or archived."
            )


def _public(bucket: Bucket) -> Iterable[str]:
    block = _or_nothing(lambda: PUBLIC_ACCESS_BLOCK.read(bucket)) or {}
    policy = _or_nothing(lambda: POLICY.read(bucket)) or {}
    opens = [one for one in _statements(policy) if one.get("Effect") == "Allow" and _is_everybody(one)]
    if opens and not block.get("RestrictPublicBuckets"):
        yield "It is public: its policy lets everybody in. Backups in it can be read, or changed, by anybody."
    if any(block.get(key) for key in BLOCKS) and block.get("IgnorePublicAcls"):
        return
    if _or_nothing(lambda: OWNERSHIP.read(bucket)) == OWNER_ENFORCED:
        return
    if _or_nothing(lambda: _open_acl(bucket)):
        yield "It is public: its ACL lets everybody in. Backups in it can be listed, or changed, by anybody."


def _is_everybody(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    named = principal.get("AWS") if isinstance(principal, dict) else principal
    return "*" in (named if isinstance(named, list) else [named]) and not statement.get("Condition")


def _open_acl(bucket: Bucket) -> bool:
    with bucket.calling("GetBucketAcl") as s3:
        answer = s3.get_bucket_acl(Bucket=bucket.name, **bucket.expected)
    return any(one.get("Grantee", {}).get("URI") in EVERYBODY for one in answer.get("Grants", []))


def _requester_pays(bucket: Bucket) -> Iterable[str]:
    if _or_nothing(lambda: _payer(bucket)) == "Requester":
        yield (
            "Requester Pays is on: who is of another account pays for each request, and has to say so in it. Nodes of "
            "this account are not concerned."
        )


def _payer(bucket: Bucket) -> Any:
    with bucket.calling("GetBucketRequestPayment") as s3:
        return s3.get_bucket_request_payment(Bucket=bucket.name, **bucket.expected).get("Payer")


def _or_nothing(read: Callable[[], Any]) -> Any:
    """Return what was read; None where the server lacks it, or the console may not see it."""
    try:
        return read()
    except StepError as error:
        if isinstance(error, NotReady):
            raise
        return None
    except ClientError as error:
        if code_of(error) in NOT_THERE:
            return None
        raise
