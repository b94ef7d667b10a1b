"""Backup stores on Google Cloud Storage: two lists of steps, at the end, and the functions that they name, above."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from console.clouds.contract import AccountRef, Cloud, Contents, Objects, StoreSpec, UnmanagedBucket, Vocabulary
from console.clouds.google.access import DISMISS, GRANT, REVOKE, facts, policy, repository
from console.clouds.google.buckets import (
    LEGAL_NAME,
    LOG_DAYS,
    NAME_LABEL,
    PAGE,
    PREFIX,
    STORE_LABEL,
    BucketObjects,
    bucket_names,
    kind_of,
    settings,
    value_of,
)
from console.clouds.google.controls import SETTINGS, bucket_of, closed, controls, with_log_writer
from console.clouds.google.documents import documents
from console.clouds.google.errors import on_project
from console.clouds.google.linking import LINK
from console.clouds.google.permissions import preflight
from console.clouds.google.session import account_facts, identify, pages
from console.clouds.regions import Region, regions
from console.clouds.s3api.buckets import listed
from console.clouds.steps import Conflict, Failed, NotReady, Pace, Refused, Stage, Step, StepResult, TooLate

# "Quotas and limits", Cloud Storage: "Maximum rate of bucket creation and deletion".
CREATE_PACE = Pace(
    key=lambda spec: f"google buckets {spec.account.number}",
    seconds=2.0,
    rule="Google lets a project create one bucket every 2 seconds",
)


# Whose bucket it is


def store_label(spec: StoreSpec, bucket: str) -> str | None:
    """Return the store ID that the bucket is labelled with, '' when with none; None when there is no such bucket."""
    found = bucket_of(spec, bucket).read()
    if found is None:
        return None
    # Of another project is nobody's here, whatever its labels say: anybody may copy them.
    number = spec.account.settings.get("project_number", "")
    if number and str(found.get("projectNumber", number)) != number:
        return f"project {found['projectNumber']}"
    return str(found.get("labels", {}).get(STORE_LABEL, ""))


def _is_ours_to_delete(spec: StoreSpec, bucket: str) -> bool:
    """Say whether the bucket exists and carries this store's label; deleting a store touches no other."""
    try:
        label = store_label(spec, bucket)
    except Failed as error:
        # Without permission to read it, or with another project's bucket, Google answers alike; the project's own list
        # tells them apart.
        if error.details.get("action") and not _is_listed(spec, bucket):
            return False
        raise
    if label == "" and spec.complete:
        raise Failed(
            f"Bucket {bucket} does not carry this store's label; it is left alone. Put the label "
            f"{STORE_LABEL}={spec.id} back on it, or delete the bucket in Google Cloud, then delete the store again.",
            bucket=bucket,
        )
    return label == str(spec.id)


def _is_listed(spec: StoreSpec, bucket: str) -> bool:
    listing = pages("buckets.list", on_project(spec.account), project=spec.account.number, prefix=bucket)
    return any(one["name"] == bucket for page in listing for one in page.get("items", []))


# Creating


def ensure_log_bucket(spec: StoreSpec) -> None:
    """Create the bucket that takes the access logs, with all that it is set to."""
    _ensure_bucket(spec, spec.log_bucket, log=True)


def ensure_bucket(spec: StoreSpec) -> None:
    """Create the bucket that takes the backups, with all that it is set to; it logs from its first moment on."""
    _ensure_bucket(spec, spec.bucket, log=False)


def _ensure_bucket(spec: StoreSpec, name: str, *, log: bool) -> None:
    bucket, wanted = bucket_of(spec, name), settings(spec, log=log)
    if bucket.create({"location": spec.region, **wanted}):
        return
    try:
        found, label = bucket.read(), store_label(spec, name)
    except Failed as error:
        if error.details.get("action") and not _is_listed(spec, name):
            raise Conflict(
                f"The name {name} is taken in another project: all bucket names share one space.", bucket=name
            ) from error
        raise
    if found is None:
        raise NotReady(
            f"Google says that bucket {name} exists, and does not show it yet. If it stays so, try again.",
            patience=120,
            bucket=name,
        )
    if label and label.startswith("project "):
        raise Conflict(f"The name {name} is taken in another project, {label[8:]}.", bucket=name)
    if label != str(spec.id):
        raise Failed(
            f"A bucket named {name} exists in this project and does not belong to this store. It was left alone. "
            "Delete this store here and create it again: it gets another name.",
            bucket=name,
        )
    if str(found.get("location", "")).upper() != spec.region.upper():
        raise Failed(
            f"Bucket {name} is this store's, but in {found.get('location')} instead of {spec.region}, and no bucket "
            "moves. Delete this store here and create it again.",
            bucket=name,
        )
    # What an earlier attempt made has all of it already; what somebody has changed since is put back.
    off = {key: wanted[key] for key in SETTINGS if key in wanted and value_of(found, key) != value_of(wanted, key)}
    if off:
        bucket.patch(off, found)


def ensure_log_policy(spec: StoreSpec) -> None:
    """Let Google deliver access logs, and nobody in for belonging to the project alone."""
    bucket_of(spec, spec.log_bucket).change_policy(with_log_writer)


def ensure_policy(spec: StoreSpec) -> None:
    """Let nobody in for belonging to the project alone, as its viewers and editors do in every new bucket."""
    bucket_of(spec, spec.bucket).change_policy(closed)


def ensure_versions(spec: StoreSpec) -> StepResult | None:
    """Have the backup bucket keep what is overwritten or deleted."""
    for control in controls(spec):
        if not control.log and control.key in {"soft_delete", "versioning", "lifecycle"}:
            control.ensure()
    if spec.versions_days >= 7:
        return None
    return StepResult(note="Google keeps what is deleted for 7 days at least.")


# Deleting


def check_bucket_is_empty(spec: StoreSpec) -> None:
    """Refuse to go on while anything at all is in the backup bucket."""
    if _is_ours_to_delete(spec, spec.bucket):
        _refuse_if_anything_is_left(spec)


def remove_bucket(spec: StoreSpec) -> None:
    """Delete the backup bucket; Google itself refuses, at that very moment, when it is not empty."""
    if not _is_ours_to_delete(spec, spec.bucket):
        return
    if not bucket_of(spec, spec.bucket).delete():
        _refuse_if_anything_is_left(spec)
        raise NotReady(f"Google does not see yet that {spec.bucket} is empty.", bucket=spec.bucket)


def remove_log_bucket(spec: StoreSpec) -> None:
    """Delete the access logs and their bucket."""
    if not _is_ours_to_delete(spec, spec.log_bucket):
        return
    logs = bucket_of(spec, spec.log_bucket)
    logs.empty()
    if not logs.delete():
        raise NotReady("Google is still delivering late access logs; they are deleted as they come.", patience=3600)


def keep_log_bucket(spec: StoreSpec) -> None:
    """Leave the log bucket where it is, with the rule by which its logs expire."""
    if _is_ours_to_delete(spec, spec.log_bucket):
        for control in controls(spec):
            if control.log and control.key == "lifecycle":
                control.ensure()


def clear_logs(spec: StoreSpec, over: bool) -> bool:
    """Return whether the log bucket that was kept is gone; when all is over, the empty bucket is deleted."""
    if not _is_ours_to_delete(spec, spec.log_bucket):
        return True
    logs = bucket_of(spec, spec.log_bucket)
    return over and logs.left().is_empty and logs.delete()


def restore(spec: StoreSpec) -> None:
    """Make sure that the store is as it was: until its bucket is deleted, a deletion changes nothing."""
    if not _is_ours_to_delete(spec, spec.bucket):
        raise TooLate(f"The backup bucket {spec.bucket} is not there any more.", bucket=spec.bucket)


def contents(spec: StoreSpec, tell: Callable[[int], None]) -> Contents:
    """Return what the backup bucket holds."""
    if not _is_ours_to_delete(spec, spec.bucket):
        return Contents(exists=False)
    return bucket_of(spec, spec.bucket).contents(tell)


def _refuse_if_anything_is_left(spec: StoreSpec) -> None:
    left = bucket_of(spec, spec.bucket).left()
    if not left.is_empty:
        raise Refused(
            f"The backup bucket still holds {listed(left.counts)}. Empty it in Google Cloud, then delete the store "
            "again.",
            bucket=spec.bucket,
            commands=emptying(spec, left),
        )


def emptying(spec: StoreSpec, found: Contents) -> str:
    """Return the command of the Google Cloud CLI that empties the bucket, for an administrator to run."""
    lines = [f"gcloud storage rm --all-versions {shlex.quote(f'gs://{spec.bucket}/**')} --project={_project(spec)}"]
    if spec.versions_days:
        lines.insert(0, "# Soft delete keeps what is deleted for a while longer; that does not hold up the deletion.")
    return "\n".join(lines)


def _project(spec: StoreSpec) -> str:
    return shlex.quote(spec.account.number)


# What the pages need to know


def regions_of(account: AccountRef) -> list[Region]:
    """Return Google's regions."""
    return list(regions("google"))


def survey(account: AccountRef, known: Collection[str]) -> Iterator[UnmanagedBucket]:
    """Yield the project's buckets, in all locations, that are named like ours and are not known; labels are listed."""
    query = {"project": account.number, "prefix": PREFIX, "maxResults": PAGE}
    fields = "nextPageToken,items(name,location,timeCreated,labels)"
    for page in pages("buckets.list", on_project(account), **query, fields=fields):
        for one in page.get("items", []):
            name, found = one["name"], one.get("labels", {})
            if name in known or not LEGAL_NAME.fullmatch(name):
                continue
            leftover = UnmanagedBucket(name, str(one["location"]).lower(), one["timeCreated"], kind_of(name))
            yield replace(leftover, store_id=found.get(STORE_LABEL, ""), store_name=found.get(NAME_LABEL, ""))


def removal(account: AccountRef, bucket: str, region: str) -> str:
    """Return the command that deletes the bucket; Google refuses while anything is in it."""
    return f"gcloud storage buckets delete {shlex.quote(f'gs://{bucket}')} --project={shlex.quote(account.number)}"


def uri(account: AccountRef, bucket: str) -> str:
    """Return how Google's tools name the bucket."""
    return f"gs://{bucket}"


def store_facts(spec: StoreSpec) -> list[tuple[str, str]]:
    """Return both buckets with their URIs."""
    return [
        ("Bucket Name", spec.bucket),
        ("Bucket URI", uri(spec.account, spec.bucket)),
        ("Log Bucket Name", spec.log_bucket),
        ("Log Bucket URI", uri(spec.account, spec.log_bucket)),
    ]


def objects(spec: StoreSpec) -> Objects:
    """Return what reads the backup bucket's objects."""
    return BucketObjects(bucket_of(spec, spec.bucket))


# The log bucket comes after: it may still take the log of the backup bucket's deletion.
REMOVE_BUCKET = (
    Stage(Step("check_bucket_is_empty", "Checking that the backup bucket is empty", check_bucket_is_empty)),
    Stage(Step("delete_bucket", "Deleting the backup bucket", remove_bucket, point_of_no_return=True)),
)
GOOGLE = Cloud(
    key="google",
    label="Google",
    service="Google Cloud Storage",
    mark="G",
    vocabulary=Vocabulary(account="project", number="project ID", tag="label", owner_tag=STORE_LABEL),
    link=LINK,
    linking="Make a service account in your project with the roles that are described here, then either let the "
    "console's identity act as it (workload identity federation), or make a key of it. The console asks Google for a "
    "token and for the project.",
    asked="Google is asked which permissions the console has (testIamPermissions), of the project, and of one bucket "
    "where there is one. Organisation policies and deny policies may still refuse a call; its task then says why.",
    # A create call takes all settings, so two rounds do: nothing is ever there half-made. Google does not look for the
    # log bucket when it is told to log into it, so both are made at once.
    provision=(
        Stage(
            Step("create_log_bucket", "Creating the log bucket", ensure_log_bucket, CREATE_PACE),
            Step("create_bucket", "Creating the backup bucket", ensure_bucket, CREATE_PACE),
        ),
        Stage(
            Step("close_log_bucket", "Closing the log bucket to all but log delivery", ensure_log_policy),
            Step("close_bucket", "Closing the backup bucket to the project's viewers and editors", ensure_policy),
        ),
    ),
    keep_versions=(Stage(Step("keep_versions", "Keeping what is deleted or overwritten", ensure_versions)),),
    lock=(),
    remove=(
        *REMOVE_BUCKET,
        Stage(Step("delete_log_bucket", "Deleting the access logs and their bucket", remove_log_bucket)),
    ),
    remove_but_logs=(*REMOVE_BUCKET, Stage(Step("keep_logs", "Leaving the access logs to expire", keep_log_bucket))),
    restore=(Stage(Step("check_store_is_there", "Making sure that the store is as it was", restore)),),
    contents=contents,
    emptying=emptying,
    clear_logs=clear_logs,
    log_days=LOG_DAYS,
    identify=identify,
    bucket_names=bucket_names,
    identifier=uri,
    grant=GRANT,
    revoke=REVOKE,
    dismiss=DISMISS,
    access_facts=facts,
    access_policy=policy,
    access_refusal=lambda spec: "",  # each bucket has a policy of its own, with room for 1,500 principals
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
    linked=lambda account: f"Google says it is project {account.number}.",
    # No lock: a bucket's retention policy would also forbid what pgBackRest overwrites and expires.
    protections=lambda account: frozenset({"versions"}),
    preflight=preflight,
    documents=documents,
)
