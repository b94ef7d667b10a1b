"""Buckets of the linked project that the console did not make."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from console.clouds.contract import Control, Document
from console.clouds.existing import ExistingBuckets, FoundBucket
from console.clouds.google.buckets import DAY, HOLDS, SOFT_DAYS, labels, logging_target, value_of
from console.clouds.google.controls import EVERYBODY, bucket_of, open_to
from console.clouds.google.errors import who
from console.clouds.google.permissions import existing_roles
from console.clouds.google.storage import GoogleStorage, _foreign_project
from console.clouds.naming import PREFIX
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Failed, NotReady, StepError

LEGAL = r"[a-z0-9](?!.*\.\.)[a-z0-9._-]{1,61}[a-z0-9]"


def find(account: AccountRef, bucket: str) -> FoundBucket:
    """Return the bucket, if it is in the linked project: anybody may label what is in his own."""
    spec = StoreSpec(UUID(int=0), "", account, "", bucket, "")
    there = bucket_of(spec, bucket)
    found = there.read()
    if found is None or _foreign_project(spec, found):
        raise Failed(
            f"Project {account.number} has no bucket named {bucket}. A bucket of another project cannot be added: link "
            "that project, and add it there.",
            bucket=bucket,
        )
    return FoundBucket(
        region=str(found.get("location", "")).lower(),
        created=str(found.get("timeCreated", "")),
        versions_days=_kept(found),
        warnings=tuple(_warnings(spec, found)),
    )


def _kept(found: Mapping[str, Any]) -> int:
    """Return for how many days soft delete keeps what is gone, and then versions, where it keeps as long as it can."""
    soft = int(value_of(found, "softDeletePolicy")["retentionDurationSeconds"]) // DAY
    if soft < SOFT_DAYS[1] or not value_of(found, "versioning")["enabled"]:
        return soft
    rules = value_of(found, "lifecycle")["rule"]
    days = [int(d) for rule in rules if (d := rule.get("condition", {}).get("daysSinceNoncurrentTime"))]
    return soft + min(days, default=0)


def _warnings(spec: StoreSpec, found: Mapping[str, Any]) -> list[str]:
    said = []
    try:
        bindings = bucket_of(spec, spec.bucket).policy().get("bindings", [])
        everybody = [one for one in open_to(bindings) if one in EVERYBODY]
    except NotReady:
        raise
    except StepError:
        everybody = []
    if everybody and value_of(found, "iamConfiguration")["publicAccessPrevention"] != "enforced":
        them = " and ".join(everybody)
        said.append(f"It is public: open to {them}. Backups in it can be read, or changed, by anybody.")
    if (found.get("billing") or {}).get("requesterPays"):
        said.append(
            "Requester Pays is on: each request has to name a project that pays, which pgBackRest does not do. Turn it "
            "off before nodes are given the store."
        )
    if any(value_of(found, HOLDS).values()):
        said.append(
            "A retention policy or a hold keeps what is in it: pgBackRest can neither overwrite its lists nor expire "
            "backups there. Take it off before nodes are given the store, if it can be."
        )
    if found.get("locationType") not in {None, "region"}:
        said.append(f"It is in {found.get('location')}, which is no single region: the map shows it nowhere.")
    for rule in value_of(found, "lifecycle")["rule"]:
        kind, condition = rule.get("action", {}).get("type"), rule.get("condition", {})
        of_old = {"daysSinceNoncurrentTime", "numNewerVersions"} & {*condition} or condition.get("isLive") is False
        if kind in {"Delete", "SetStorageClass"} and not of_old:
            said.append(
                "A rule of its lifecycle deletes or moves objects. Backups would go the same way: pgBackRest cannot "
                "read what is gone."
            )
            break
    return said


def owner(spec: StoreSpec) -> str | None:
    """Return the store ID in the bucket's label."""
    return GoogleStorage().owner(spec, spec.bucket)


def adjusted(spec: StoreSpec, control: Control) -> Control:
    """Return the control as it suits a bucket that others use: rules stay, what it keeps is as it was."""
    found = spec.taken_over.found.get(control.key) if spec.taken_over else None
    if control.key == "lifecycle":
        wanted = _joined(control.wanted, found)
        return _set(spec, control, "lifecycle", wanted, lambda now: _joined(control.wanted, now))
    if control.key == "logging":
        target = logging_target(spec)
        wanted = found if found and found.get("logBucket") == target["logBucket"] else target
        return _set(spec, control, "logging", wanted, lambda now: wanted)
    if control.key == HOLDS:  # its owner's: the console weakens no promise that it did not make
        return replace(control, repairable=lambda observed: False)
    return control


def _joined(ours: Mapping[str, Any], found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the rules with one that drops unfinished uploads, if none does."""
    rules = list((found or {}).get("rule", []))
    if any(one.get("action", {}).get("type") == "AbortIncompleteMultipartUpload" for one in rules):
        return {"rule": rules}
    dropping = [one for one in ours["rule"] if one["action"]["type"] == "AbortIncompleteMultipartUpload"]
    return {"rule": sorted([*rules, *dropping], key=str)}


def _set(spec: StoreSpec, control: Control, name: str, wanted: Any, join: Callable[[Any], Any]) -> Control:
    there = bucket_of(spec, spec.bucket)

    def ensure() -> None:
        now = there.there()
        if (joined := join(value_of(now, name))) != value_of(now, name):
            there.patch({name: joined}, now)

    return replace(control, wanted=wanted, ensure=ensure, matches=lambda observed: observed == wanted, fixed=False)


def untag(spec: StoreSpec) -> None:
    """Take the store's labels off; others stay. A label that is set to nothing is removed ("Buckets: patch")."""
    there = bucket_of(spec, spec.bucket)
    found = there.there()
    gone = {key: None for key in labels(spec) if key in found.get("labels", {})}
    if gone:
        there.patch({"labels": gone}, found)


def stop_logging(spec: StoreSpec) -> None:
    """End the logging into the store's own log bucket."""
    there = bucket_of(spec, spec.bucket)
    found = there.there()
    if (found.get("logging") or {}).get("logBucket") == spec.log_bucket:
        there.patch({"logging": None}, found)


def tag_command(spec: StoreSpec, found: Mapping[str, str]) -> str:
    """Return the command that gives the bucket the store's labels; it leaves others."""
    given = ",".join(f"{key}={value}" for key, value in labels(spec).items())
    return f"gcloud storage buckets update gs://{spec.bucket} --update-labels={shlex.quote(given)}"


def needs(account: AccountRef, bucket: str) -> Sequence[Document]:
    """Return the commands that let the console use the bucket, since the conditions of its roles name ours alone.

    Without what deletes: the console does neither to a bucket that it did not make, nor to what is in it.
    """
    project, member = account.number, shlex.quote(f"serviceAccount:{who(account)}")
    lines = []
    for role in existing_roles(account):
        lines.append(
            f"gcloud iam roles create {role.id} --project={project} --title={shlex.quote(role.title)} "
            f"--stage=GA --permissions={','.join(role.permissions)} || true"
        )
        given = f"^;^expression={role.condition};title={role.id}" if role.condition else "None"
        lines.append(
            f"gcloud storage buckets add-iam-policy-binding gs://{bucket} --member={member} "
            f"--role=projects/{project}/roles/{role.id} --condition={shlex.quote(given)}"
        )
    hint = (
        "The console's roles are for buckets named pgbk-. An owner of the project gives it this one, too. Once it is "
        "added, the files of the account's page name it."
    )
    return [Document("existing-bucket.sh", "gcloud", "\n".join(lines), hint)]


def lists_need(account: AccountRef, bucket: str, path: str) -> str:
    """Return what the console's roles lack for a repository that it did not make, in sentences."""
    return (
        "The role “Storekeeper: lists of backups” opens backup.info in its own buckets alone. Give the console "
        f"storage.objects.get in {bucket} for names that end in backup.info or archive.info, with or without .copy, "
        'such as by resource.name.extract("/archive/{stanza}/archive.info") != "" in its condition; then try again. '
        "Once it is brought in, the files of the account's page name it."
    )


EXISTING = ExistingBuckets(
    lists_need=lists_need,
    legal=LEGAL,
    legal_words="The name of a bucket has 3 to 63 small letters, digits, dots, hyphens and underscores.",
    find=find,
    owner=owner,
    adjusted=adjusted,
    untag=untag,
    stop_logging=stop_logging,
    tag_command=tag_command,
    needs=lambda account, bucket: () if bucket.startswith(PREFIX) else needs(account, bucket),
)
