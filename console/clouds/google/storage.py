"""Backup stores on Google Cloud Storage: the primitives that a store's life is written on."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

from console.clouds.contents import Contents, Objects
from console.clouds.contract import AlreadyExists, Control, UnmanagedBucket
from console.clouds.google.buckets import (
    HOLDS,
    LEGAL_NAME,
    NAME_LABEL,
    PAGE,
    STORE_LABEL,
    BucketObjects,
    bucket_names,
    kind_of,
    settings,
    value_of,
)
from console.clouds.google.controls import SETTINGS, bucket_of, controls, let_go
from console.clouds.google.errors import on_project
from console.clouds.google.session import pages
from console.clouds.naming import LOG_DAYS, PREFIX
from console.clouds.regions import Region, regions
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Conflict, Failed, NotReady, Pace

# "Quotas and limits", Cloud Storage: "Maximum rate of bucket creation and deletion".
CREATE_PACE = Pace(
    key=lambda spec: f"google buckets {spec.account.number}",
    seconds=2.0,
    rule="Google lets a project create one bucket every 2 seconds",
)


class GoogleStorage:
    """Two buckets of the linked project, each made with all its settings in one call."""

    log_days = LOG_DAYS
    one_region = False
    create_pace = CREATE_PACE
    closed_for_deletion = frozenset[str]()  # until its bucket is deleted, a deletion changes nothing

    def settings(self, spec: StoreSpec) -> list[Control]:
        """Return what both buckets should have for ever."""
        return controls(spec)

    # Names

    def regions(self, account: AccountRef) -> list[Region]:
        """Return Google's regions."""
        return regions_of(account)

    def names(self, store_id: UUID, region: str, account_number: str) -> tuple[str, str]:
        """Return the names of the backup bucket and of its log bucket, which nobody can guess: all share one space."""
        return bucket_names(store_id)

    def namespace(self, partition: str, account_number: str) -> str:
        """Return the one space that there is: bucket names are global (Cloud Storage, "About buckets")."""
        return "google"

    def identifier(self, account: AccountRef, bucket: str) -> str:
        """Return how Google's tools name the bucket."""
        return f"gs://{bucket}"

    def facts(self, spec: StoreSpec) -> list[tuple[str, str]]:
        """Return both buckets with their URIs."""
        return [
            ("Bucket Name", spec.bucket),
            ("Bucket URI", f"gs://{spec.bucket}"),
            ("Log Bucket Name", spec.log_bucket),
            ("Log Bucket URI", f"gs://{spec.log_bucket}"),
        ]

    # One bucket

    def owner(self, spec: StoreSpec, bucket: str) -> str | None:
        """Return the store ID in the bucket's label, "" without one; None when the project has no such bucket."""
        try:
            found = bucket_of(spec, bucket).read()
        except Failed as error:
            # Without permission to read it, or with another project's bucket, Google answers alike; the project's own
            # list tells them apart.
            if error.details.get("action") and not _is_listed(spec, bucket):
                return None
            raise
        # What is in another project is nobody's here, whatever its labels say: anybody may copy them.
        if found is None or _foreign_project(spec, found):
            return None
        return str(found.get("labels", {}).get(STORE_LABEL, ""))

    def create(self, spec: StoreSpec, bucket: str) -> None:
        """Create the bucket with all that it is set to; it logs from its first moment on.

        Raises AlreadyExists, and Conflict when another project has the name: all bucket names share one space.
        """
        wanted = settings(spec, log=bucket == spec.log_bucket)
        if bucket_of(spec, bucket).create({"location": spec.region, **wanted}):
            return
        try:
            found = bucket_of(spec, bucket).read()
        except Failed as error:
            if error.details.get("action") and not _is_listed(spec, bucket):
                raise Conflict(
                    f"The name {bucket} is taken in another project: all bucket names share one space.", bucket=bucket
                ) from error
            raise
        if found is None:
            raise NotReady(
                f"Google says that bucket {bucket} exists, and does not show it yet. If it stays so, try again.",
                bucket=bucket,
            )
        if project := _foreign_project(spec, found):
            raise Conflict(f"The name {bucket} is taken in another project, {project}.", bucket=bucket)
        raise AlreadyExists

    def adopt(self, spec: StoreSpec, bucket: str) -> None:
        """Put back what somebody has changed since an earlier attempt made the bucket with all its settings."""
        there, wanted = bucket_of(spec, bucket), settings(spec, log=bucket == spec.log_bucket)
        found = there.there()
        if str(found.get("location", "")).upper() != spec.region.upper():
            raise Failed(
                f"Bucket {bucket} is this store's, but in {found.get('location')} instead of {spec.region}, and no "
                "bucket moves. Delete this store here and create it again.",
                bucket=bucket,
            )
        off = {key: wanted[key] for key in SETTINGS if key in wanted and value_of(found, key) != value_of(wanted, key)}
        if off:
            there.patch(off, found)
        if bucket == spec.bucket and any(value_of(found, HOLDS).values()):
            let_go(there)

    def contents(self, spec: StoreSpec, bucket: str, tell: Callable[[int], None] | None = None) -> Contents:
        """Return what the bucket holds; what is soft-deleted keeps no bucket from being deleted, and is not counted."""
        there = bucket_of(spec, bucket)
        return there.contents(tell) if tell else there.left()

    def close(self, spec: StoreSpec) -> None:
        """Do nothing: Google refuses, at the very moment, to delete a bucket that is not empty."""

    def release(self, spec: StoreSpec) -> None:
        """Do nothing: what a bucket logs ends with it."""

    def empty(self, spec: StoreSpec, bucket: str) -> None:
        """Delete all that is in the bucket; raises NotReady when it is very much."""
        bucket_of(spec, bucket).empty()

    def delete(self, spec: StoreSpec, bucket: str) -> bool:
        """Delete the bucket and say whether it is gone; it stays when something is in it."""
        return bucket_of(spec, bucket).delete()

    def objects(self, spec: StoreSpec) -> Objects:
        """Return what reads the backup bucket's objects."""
        return BucketObjects(bucket_of(spec, spec.bucket))

    # All buckets, and what administrators run

    def list_unmanaged(self, account: AccountRef, known: Collection[str]) -> Iterator[UnmanagedBucket]:
        """Yield the project's buckets, in all locations, that are named like ours and not known; labels are listed."""
        query = {"project": account.number, "prefix": PREFIX, "maxResults": PAGE}
        fields = "nextPageToken,items(name,location,timeCreated,labels)"
        for page in pages("buckets.list", on_project(account), **query, fields=fields):
            for one in page.get("items", []):
                name, labels = one["name"], one.get("labels", {})
                if name in known or not LEGAL_NAME.fullmatch(name):
                    continue
                found = UnmanagedBucket(name, str(one["location"]).lower(), one["timeCreated"], kind_of(name))
                yield replace(found, store_id=labels.get(STORE_LABEL, ""), store_name=labels.get(NAME_LABEL, ""))

    def empty_commands(self, spec: StoreSpec, found: Contents, prefix: str = "") -> str:
        """Return the command of the Google Cloud CLI that empties the backup bucket, or a folder of it."""
        project, below = shlex.quote(spec.account.number), f"{prefix}/**" if prefix else "**"
        lines = [f"gcloud storage rm --all-versions {shlex.quote(f'gs://{spec.bucket}/{below}')} --project={project}"]
        if spec.versions_days:
            lines.insert(
                0, "# Soft delete keeps what is deleted for a while longer; that does not hold up the deletion."
            )
        return "\n".join(lines)

    def delete_commands(self, account: AccountRef, bucket: str, region: str) -> str:
        """Return the command that deletes the bucket; Google refuses while anything is in it."""
        return f"gcloud storage buckets delete {shlex.quote(f'gs://{bucket}')} --project={shlex.quote(account.number)}"


def regions_of(account: AccountRef) -> list[Region]:
    """Return Google's regions."""
    return list(regions("google"))


def _foreign_project(spec: StoreSpec, found: dict[str, Any]) -> str:
    """Return the number of the project that a bucket is in, when that is not the linked one."""
    number = spec.account.settings.get("project_number", "")
    theirs = str(found.get("projectNumber", number))
    return theirs if number and theirs != number else ""


def _is_listed(spec: StoreSpec, bucket: str) -> bool:
    listing = pages("buckets.list", on_project(spec.account), project=spec.account.number, prefix=bucket)
    return any(one["name"] == bucket for page in listing for one in page.get("items", []))
