"""What stands in the emulated cloud, read from moto's own memory: no call of ours can hide or change anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from typing import Any

from moto.iam.models import InstanceProfile, Role, iam_backends
from moto.s3.models import FakeBucket, PublicAccessBlock, S3Backend, s3_backends

from console.demo.emulators.aws.buckets import StrictBucket
from console.demo.emulators.aws.emulator import Emulator

STRANGER = "210987654321"
FOREIGN = "pgbk-foreign"


def look() -> dict[str, str]:
    """Return everything that stands, by kind and name, each with all that is set on it and in it."""
    seen = {}
    for backend in _s3():
        for bucket in backend.buckets.values():
            seen[f"bucket {bucket.name}"] = _text(
                owner=bucket.account_id,
                region=bucket.region_name,
                tags=backend.tagger.get_tag_dict_for_resource(bucket.arn),
                policy=json.loads(bucket.policy) if bucket.policy else None,
                lifecycle=[rule.to_config_dict() for rule in bucket.rules],
                logging=bucket.logging,
                ownership=str(bucket.ownership_rule),
                closed=vars(bucket.public_access_block) if bucket.public_access_block else None,
                encryption=bucket.encryption,
                versioning=bucket.versioning_status,
                # moto delivers access logs at once, a number of them that nobody asks about
                objects={key: one.value.decode() for key, one in bucket.keys.items() if not key.startswith("access/")},
            )
    for backend in _iam():
        for role in backend.roles.values():
            if role.name.startswith("pgbk"):
                seen[f"role {role.name}"] = _text(
                    path=role.path, tags=role.tags, trust=role.assume_role_policy_document, policies=role.policies
                )
        for profile in backend.instance_profiles.values():
            held = [role.name for role in profile.roles]
            seen[f"profile {profile.name}"] = _text(path=profile.path, tags=profile.tags, roles=held)
    return seen


def save() -> Callable[[], None]:
    """Return what brings back all that stands now, and takes away what comes."""
    buckets = [(backend, dict(backend.buckets), _settings(backend)) for backend in _s3()]
    named = [there for backend in _iam() for there in (backend.roles, backend.instance_profiles)]
    entities = [(there, dict(there), {key: _copy(one) for key, one in there.items()}) for there in named]

    def restore() -> None:
        for backend in _s3():
            for name in list(backend.buckets):
                take_away(name)
        for backend, there, settings in buckets:
            backend.buckets.update(there)
            for name, (values, tags) in settings.items():
                vars(there[name]).update(values)
                backend.put_bucket_tagging(name, tags)
                s3_backends.bucket_accounts[name] = (there[name].partition, there[name].account_id)
        for there, before, values in entities:
            there.clear()
            there.update(before)
            for key, one in before.items():
                vars(one).update({name: copy(value) for name, value in values[key].items()})

    return restore


def _settings(backend: S3Backend) -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    return {
        name: (dict(vars(bucket)), backend.tagger.get_tag_dict_for_resource(bucket.arn))
        for name, bucket in backend.buckets.items()
    }


def _copy(entity: Role | InstanceProfile) -> dict[str, Any]:
    return {name: copy(value) for name, value in vars(entity).items()}


def take_away(name: str) -> None:
    """Delete a bucket, whatever is in it."""
    for backend in _s3():
        if bucket := backend.buckets.pop(name, None):
            backend.tagger.delete_all_tags_for_resource(bucket.arn)
            s3_backends.bucket_accounts.pop(name, None)


def stand_foreign(account_id: str, name: str, region: str = "eu-west-1", tag: str = "another") -> Callable[[], None]:
    """Make somebody else's bucket, or make the one that is there somebody else's; returns what undoes it."""
    backend = s3_backends[account_id]["aws"]
    bucket = backend.buckets.get(name)
    tags = backend.tagger.get_tag_dict_for_resource(bucket.arn) if bucket else None
    if bucket is None:
        bucket = backend.buckets[name] = FakeBucket(name, account_id, region)
        bucket.__class__ = StrictBucket
        bucket.public_access_block = PublicAccessBlock(True, True, True, True)
        bucket.ownership_rule = "BucketOwnerEnforced"
        bucket.policy = json.dumps({"Version": "2012-10-17", "Statement": []}).encode()
        backend.put_object(name, "precious", b"data")
    backend.put_bucket_tagging(name, {"storekeeper:store-id": tag} if tag else {})
    return lambda: take_away(name) if tags is None else backend.put_bucket_tagging(name, tags)


def stand_foreign_role(name: str) -> Callable[[], None]:
    """Make somebody else's role, or make the one that is there somebody else's; returns what undoes it."""
    roles = iam_backends[Emulator.account_id]["aws"].roles
    role = next((one for one in roles.values() if one.name == name), None)
    if role is None:
        role = Role(Emulator.account_id, "aws", f"AROA{name}", name, "{}", "/pgbk/", None, "", [], "3600")
        role.policies["backup-stores"] = json.dumps({"Version": "2012-10-17", "Statement": []})
        roles[role.id] = role
        return _tagged(role, lambda: roles.pop(role.id))
    return _tagged(role)


def stand_foreign_profile(name: str) -> Callable[[], None]:
    """Make somebody else's instance profile, or make the one that is there somebody else's; as above."""
    profiles = iam_backends[Emulator.account_id]["aws"].instance_profiles
    profile = profiles.get(name)
    if profile is None:
        profile = InstanceProfile(Emulator.account_id, "us-east-1", f"AIPA{name}", name, "/pgbk/", [])
        profiles[name] = profile
        return _tagged(profile, lambda: profiles.pop(name))
    return _tagged(profile)


def _tagged(entity: Role | InstanceProfile, undo: Callable[[], object] | None = None) -> Callable[[], object]:
    own, entity.tags = entity.tags, [{"Key": "storekeeper:cluster-id", "Value": "another"}]
    return undo or (lambda: setattr(entity, "tags", own))


def stand_all_foreign() -> None:
    """Make what never belongs to the console: with our kind of name, of another store, with no tag, of strangers."""
    stand_foreign(Emulator.account_id, f"{FOREIGN}-of-another-store")
    stand_foreign(Emulator.account_id, f"{FOREIGN}-without-a-tag", tag="")
    stand_foreign(STRANGER, f"{FOREIGN}-of-another-account")
    stand_foreign_role(f"{FOREIGN}-of-another-cluster")
    stand_foreign_profile(f"{FOREIGN}-of-another-cluster")


def put_logs(name: str) -> None:
    """Have Amazon deliver access logs into the log bucket."""
    backend = s3_backends[Emulator.account_id]["aws"]
    backend.buckets[name].keys = type(backend.buckets[name].keys)()
    for number in range(3):
        backend.put_object(name, f"access/{number}", b"a line")


def silence(bucket: str) -> None:
    """Turn the bucket's logging off."""
    s3_backends[Emulator.account_id]["aws"].buckets[bucket].logging = {}


def damage(bucket: str, log_bucket: str) -> None:
    """Turn the bucket's logging off and take the policy of its log bucket away, as somebody might."""
    silence(bucket)
    s3_backends[Emulator.account_id]["aws"].buckets[log_bucket].policy = None


def _s3():
    return [backend for account in list(s3_backends.values()) for backend in list(account.values())]


def _iam():
    return [backend for account in list(iam_backends.values()) for backend in list(account.values())]


def _text(**values) -> str:
    return json.dumps(values, sort_keys=True, default=str, indent=1)
