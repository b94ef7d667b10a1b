"""A store's bucket proves itself: no policy that locks out, and no setting with which a backup would be refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.clouds.s3.controls import keeps
from console.clouds.s3.session import Lacking, breaks, bucket_of, claims
from console.clouds.s3.trial import (
    FOLDER,
    Part,
    access_parts,
    do_own_work,
    left_out,
    locks_out,
    ownership_part,
    policy_part,
    remove_policy,
    said,
)
from console.clouds.s3api.settings import (
    OBJECT_LOCK,
    OWNER_ENFORCED,
    OWNERSHIP,
    POLICY,
    PUBLIC_ACCESS_BLOCK,
    Setting,
    same_document,
)
from console.clouds.specs import StoreSpec
from console.clouds.steps import Denied, Failed, StepResult

TLS_ONLY = "DenyInsecureTransport"  # the Sid of the statement
NO_WRITES = "DenyWritesBeforeDeletion"  # the Sid of the one that closes a bucket before its deletion
OURS = frozenset({TLS_ONLY, NO_WRITES, "DenyReadingOnTrial"})
NO_POLICY = "This server has no bucket policies."
UNFOLLOWED = "This server keeps a TLS-only policy and answers plain HTTP all the same, so none was set."
LOCKED_OUT = (
    "This server takes the console's own TLS for plain HTTP, as behind a proxy that ends the TLS, so the bucket has no "
    "TLS-only policy."
)
UNTRIED = (
    f"The console's access key may not put, read and delete objects below {FOLDER}/ in the bucket, so nobody has tried "
    "whether a backup can be written. Give it the permissions of the file on the account's page."
)


# The policy


def policy_matches(spec: StoreSpec, wanted: Any, observed: Any) -> bool:
    """Return whether the policy is as wanted; where refusing plain HTTP does harm on this server, that must be gone."""
    if breaks(spec.account, "bucket_policy"):
        return not _ours(observed)
    if claims(spec.account, "bucket_policy"):  # what it does not follow does no harm, but it may follow what closes
        return not any(one.get("Sid") == NO_WRITES for one in _statements(observed))
    return same_document(wanted, observed)


def ensure_policy(spec: StoreSpec, bucket: str, wanted: Any) -> StepResult | None:
    """Give the bucket this policy, once a part of it has shown that it locks nobody out; None takes ours away."""
    there = bucket_of(spec, bucket)
    if (known := _read(POLICY, spec, bucket)) is None and wanted is None:
        return _why_none(spec)
    if wanted is None:
        _write(spec, bucket, _theirs(known))
        return _why_none(spec)
    condition = _condition(wanted)
    if condition and not _ours(known) and locks_out(spec, bucket, condition):
        rest = _theirs(wanted)
        if rest is not None:
            POLICY.write(there, rest)
        return StepResult(note=LOCKED_OUT, keep={"breaks": ["bucket_policy"]})
    return None if keeps(POLICY, spec, bucket, wanted) else StepResult(note=NO_POLICY)


def _why_none(spec: StoreSpec) -> StepResult | None:
    if breaks(spec.account, "bucket_policy"):
        return StepResult(note=LOCKED_OUT)
    return StepResult(note=UNFOLLOWED if claims(spec.account, "bucket_policy") else NO_POLICY)


def _statements(policy: Any) -> list[Mapping[str, Any]]:
    found = (policy or {}).get("Statement", [])
    return [found] if isinstance(found, dict) else list(found)


def _ours(policy: Any) -> list[Mapping[str, Any]]:
    return [one for one in _statements(policy) if one.get("Sid") in OURS]


def _theirs(policy: Any) -> dict[str, Any] | None:
    """Return the policy without what refuses plain HTTP; None when nothing is left of it."""
    rest = [one for one in _statements(policy) if one.get("Sid") not in OURS]
    return {**policy, "Statement": rest} if rest else None


def _condition(policy: Any) -> str:
    """Return the condition by which the policy refuses plain HTTP, "" when it does not."""
    return next((next(iter(one["Condition"]), "") for one in _statements(policy) if one.get("Sid") == TLS_ONLY), "")


def _write(spec: StoreSpec, bucket: str, policy: Any) -> None:
    if policy is None:
        remove_policy(spec, bucket)
    else:
        POLICY.write(bucket_of(spec, bucket), policy)


def _read(setting: Setting, spec: StoreSpec, bucket: str) -> Any:
    try:
        return setting.read(bucket_of(spec, bucket))
    except Lacking:
        return None


# The store's own work


def try_out(spec: StoreSpec) -> StepResult | None:
    """Do in the backup bucket what a backup does, and take back what makes that fail, in both buckets."""
    if spec.lock_days and (_read(OBJECT_LOCK, spec, spec.bucket) or {}).get("days"):
        return None  # what is written now could not be deleted before its time; it was tried before the lock was set
    try:
        do_own_work(spec, spec.bucket)
    except Failed as error:
        return _mend(spec, error)
    return None


def _mend(spec: StoreSpec, error: Failed) -> StepResult:
    parts = _in_force(spec, spec.bucket)
    try:
        out, _ = left_out(spec, spec.bucket, parts)
    except Denied:
        if isinstance(error, Denied):  # with all settings and without any: it is the key
            return StepResult(note=UNTRIED)
        raise
    for part in _in_force(spec, spec.log_bucket):
        if part.name in out:
            part.off()
    return StepResult(note=said(out, parts), keep={"breaks": out}) if out else StepResult()


def _in_force(spec: StoreSpec, bucket: str) -> list[Part]:
    """Return what the bucket has that may be what a backup is refused for."""
    parts = []
    policy = _read(POLICY, spec, bucket)
    if _ours(policy):
        parts.append(policy_part(spec, bucket, policy, _theirs(policy)))
    blocked = _read(PUBLIC_ACCESS_BLOCK, spec, bucket)
    parts += access_parts(spec, bucket, {name: bool(on) for name, on in (blocked or {}).items()})
    if _read(OWNERSHIP, spec, bucket) == OWNER_ENFORCED:
        parts.append(ownership_part(spec, bucket, OWNER_ENFORCED))
    return parts
