"""A store's buckets at Google: what they are called, what they are made with, and what can be done with one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, ClassVar
from uuid import UUID

from console.clouds.contents import Contents, DeletedEntry, Entry, Reading
from console.clouds.google.errors import Answer, CallTarget, NoEntry, Silence
from console.clouds.google.session import call, pages, read, reported
from console.clouds.naming import LOG_DAYS, PREFIX, base32, id_from
from console.clouds.specs import StoreSpec
from console.clouds.steps import NotReady

STORE_LABEL = "storekeeper-store-id"  # whose bucket it is; the console touches none that has another's
NAME_LABEL = "storekeeper-store-name"
# Base32 without its g, for which there is an 8: Google refuses names with "goog" or "google" in them, and near
# misspellings ("About Cloud Storage buckets", bucket names).
NAME = re.compile(r"pgbk-([a-fh-z2-8]{26})(-log)?")
LEGAL_NAME = re.compile(r"pgbk-[a-z0-9_-]{1,58}")
LOG_PREFIX = "access"
LOG_WRITER = "group:cloud-storage-analytics@google.com"  # "Usage logs & storage logs"
LOG_ROLE = "roles/storage.objectCreator"
DAY = 86_400
SOFT_DAYS = (7, 90)  # the least and the most that soft delete takes
PAGE = 1000
COUNT_AT_MOST = 100_000
DELETIONS_PER_RUN = 1000  # then the worker is free for others, and the step goes on later
TRIES = 4  # at changing a policy that others change at the same moment


# Names and labels


def bucket_names(store_id: UUID) -> tuple[str, str]:
    """Return the names of the backup bucket and of its log bucket, which nobody can guess: all share one space."""
    letters = base32(store_id.bytes).replace("g", "8")
    return f"{PREFIX}{letters}", f"{PREFIX}{letters}-log"


def kind_of(name: str) -> str:
    """Return what a bucket of this name is: "backup", "log", or "" when the console gives no such name."""
    ours = NAME.fullmatch(name)
    return "" if not ours else "log" if ours[2] else "backup"


def id_in(name: str) -> str:
    """Return the store ID that the name was made of, or ""."""
    ours = NAME.fullmatch(name)
    return id_from(ours[1].replace("8", "g")) if ours else ""


def label_value(text: str) -> str:
    """Return the text in the characters and the length that labels allow ("Bucket labels")."""
    return re.sub(r"[^a-z0-9_-]", "_", text.lower()).strip("_")[:63]


def labels(spec: StoreSpec) -> dict[str, str]:
    """Return the labels of the store's buckets."""
    return {
        STORE_LABEL: str(spec.id),
        NAME_LABEL: label_value(spec.name),
        "storekeeper-managed-by": "storekeeper",
    }


# What they are made with, in the words of the API's resource representation of a bucket

CLOSED = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}


def kept_days(spec: StoreSpec) -> tuple[int, int]:
    """Return for how many days what is deleted stays as a noncurrent version, and then soft-deleted.

    Soft delete alone where it can: whoever may delete an object may delete its versions too (there is one permission
    for both), but nobody can end what soft delete keeps. Only what is promised beyond 90 days is left to versions.
    """
    if not spec.versions_days:
        return 0, 0
    least, most = SOFT_DAYS
    return max(0, spec.versions_days - most), min(max(spec.versions_days, least), most)


def backup_rules(spec: StoreSpec) -> list[dict[str, Any]]:
    """Return the lifecycle of the backup bucket: never a rule that deletes or moves what is current."""
    rules = [_abort_after(7)]
    if days := kept_days(spec)[0]:
        rules.append({"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": days}})
    return rules


def log_rules() -> list[dict[str, Any]]:
    """Return the lifecycle of the log bucket."""
    return [{"action": {"type": "Delete"}, "condition": {"age": LOG_DAYS}}, _abort_after(1)]


def _abort_after(days: int) -> dict[str, Any]:
    return {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": days}}


def logging_target(spec: StoreSpec) -> dict[str, str]:
    """Return where requests to the backup bucket are logged."""
    return {"logBucket": spec.log_bucket, "logObjectPrefix": LOG_PREFIX}


def settings(spec: StoreSpec, *, log: bool) -> dict[str, Any]:
    """Return all that a bucket of the store is set to, which is given in the call that creates it."""
    versions, soft = (0, 0) if log else kept_days(spec)
    found: dict[str, Any] = {
        "labels": labels(spec),
        "iamConfiguration": CLOSED,
        "lifecycle": {"rule": log_rules() if log else backup_rules(spec)},
        "softDeletePolicy": {"retentionDurationSeconds": str(soft * DAY)},  # else Google keeps for 7 days what is gone
    }
    if not log:
        found["logging"] = logging_target(spec)
    if versions:
        found["versioning"] = {"enabled": True}
    return found


HOLDS = "holds"  # as value_of() calls what keeps objects from being overwritten and deleted


def value_of(bucket: Mapping[str, Any], key: str) -> Any:
    """Return one setting of a bucket as plain data, without what Google adds to it and what means nothing."""
    found = bucket.get(key)
    if key == "iamConfiguration":
        access = found or {}
        return {
            "uniformBucketLevelAccess": {"enabled": bool(access.get("uniformBucketLevelAccess", {}).get("enabled"))},
            "publicAccessPrevention": access.get("publicAccessPrevention", "inherited"),
        }
    if key == "softDeletePolicy":
        return {"retentionDurationSeconds": str((found or {}).get("retentionDurationSeconds", "0"))}
    if key == HOLDS:
        policy = bucket.get("retentionPolicy") or {}
        return {
            "seconds": int(policy.get("retentionPeriod", 0)),
            "locked": bool(policy.get("isLocked")),
            "by_event": bool(bucket.get("defaultEventBasedHold")),
        }
    if key == "versioning":
        return {"enabled": bool((found or {}).get("enabled"))}
    if key == "lifecycle":
        return {"rule": sorted((found or {}).get("rule", []), key=str)}
    return found


# One bucket


@dataclass(frozen=True)
class Bucket:
    """A bucket as the subject of calls; whatever goes wrong leaves as a StepError."""

    subject: CallTarget
    name: str

    @property
    def project(self) -> str:
        """Return the ID of the project that the bucket belongs in."""
        return self.subject.account.number

    def read(self) -> dict[str, Any] | None:
        """Return its settings; None when there is no such bucket."""
        found: dict[str, Any] | None = call("buckets.get", self.subject, accept=404)
        return found

    def there(self) -> dict[str, Any]:
        """Return its settings; raises NotReady when it is not there."""
        found: dict[str, Any] = call("buckets.get", self.subject)
        return found

    def create(self, body: Mapping[str, Any]) -> bool:
        """Create it and say whether it was made now; somebody, or an earlier attempt, may have made it before."""
        made = call("buckets.insert", self.subject, {"name": self.name, **body}, accept=409, project=self.project)
        return made is not None

    def patch(self, body: Mapping[str, Any], seen: Mapping[str, Any]) -> None:
        """Change settings, if nobody else has changed any since they were seen."""
        call("buckets.patch", self.subject, body, ifMetagenerationMatch=seen["metageneration"])

    def delete(self) -> bool:
        """Delete it and say whether it is gone; Google refuses, at that very moment, when something is in it."""
        return call("buckets.delete", self.subject, accept=409) is not None

    def policy(self) -> dict[str, Any]:
        """Return its IAM policy; version 3, since those before cannot show conditions."""
        found: dict[str, Any] = call("buckets.getIamPolicy", self.subject, optionsRequestedPolicyVersion=3)
        return found

    def change_policy(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        """Give it other bindings, made from those that it has; does nothing when they are the same.

        Others may change the policy at the same moment: its etag tells, and then it is looked at again.
        """
        for left in reversed(range(TRIES)):
            policy = self.policy()
            was = policy.get("bindings", [])
            wanted = [one for one in change([dict(one) for one in was]) if one["members"]]
            if wanted == was:
                return
            body = {"version": 3, "bindings": wanted, "etag": policy["etag"]}
            try:
                call("buckets.setIamPolicy", self.subject, body)
                return
            except NotReady as error:
                if error.details.get("code") != "conditionNotMet" or not left:
                    raise

    # What is in it

    def left(self) -> Contents:
        """Return what keeps it from being deleted, counted as far as one page goes."""
        return self.contents(lambda counted: None, PAGE)

    def contents(self, tell: Callable[[int], None], at_most: int = COUNT_AT_MOST) -> Contents:
        """Return what is in it, as far as it is counted; what is soft-deleted keeps no bucket from being deleted."""
        objects = older = size = 0
        fields = "nextPageToken,items(size,timeDeleted)"
        for page in pages("objects.list", self.subject, versions="true", maxResults=PAGE, fields=fields):
            for one in page.get("items", []):
                objects += "timeDeleted" not in one
                older += "timeDeleted" in one
                size += int(one["size"])
            tell(objects + older)
            if objects + older > at_most or (objects + older == at_most and page.get("nextPageToken")):
                return Contents(objects=objects, older=older, size=size, more=True, versioned=older > 0)
        return Contents(objects=objects, older=older, size=size, versioned=older > 0)

    def empty(self, patience: float = 86_400) -> None:
        """Delete all that is in it, versions too; raises NotReady when there is very much."""
        deleted = 0
        fields = "nextPageToken,items(name,generation)"
        for page in pages("objects.list", self.subject, versions="true", maxResults=PAGE, fields=fields):
            for one in page.get("items", []):
                if deleted >= DELETIONS_PER_RUN:
                    raise NotReady("Deleting the access logs: there are many.", patience=patience, bucket=self.name)
                self._delete(one["name"], one["generation"])
                deleted += 1

    def _delete(self, name: str, generation: str) -> None:
        # It may have expired meanwhile.
        call("objects.delete", self._object(name), accept=404, generation=generation)

    def _object(self, name: str) -> CallTarget:
        path = {"bucket": self.name, "object": name}
        account, details = self.subject.account, self.subject.details
        return CallTarget(account, f"objects in bucket {self.name}", details, self.subject.region, path)

    # As base.Objects

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix that ends in "/" and hold something, without that prefix."""
        query = {"prefix": prefix, "delimiter": "/", "maxResults": PAGE, "fields": "nextPageToken,prefixes"}
        found = [one for page in pages("objects.list", self.subject, **query) for one in page.get("prefixes", [])]
        return [one.removeprefix(prefix).rstrip("/") for one in found]

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Return the objects below a prefix and after a key, in the order of their keys, page by page."""
        query = {"prefix": prefix, "maxResults": PAGE, "fields": "nextPageToken,items(name,size,updated)"}
        if after:
            query["startOffset"] = after  # which is in the list itself, if there is such an object
        for page in pages("objects.list", self.subject, **query):
            for one in page.get("items", []):
                if one["name"] != after:
                    yield Entry(one["name"], int(one["size"]), datetime.fromisoformat(one["updated"]))

    def deleted(self, prefix: str) -> Iterator[DeletedEntry]:
        """Return what was deleted or overwritten below a prefix and can still come back, in the order of the keys.

        No list has both kinds, what is noncurrent and what is soft-deleted ("Objects: list").
        """
        fields = "nextPageToken,items(name,generation,size,updated,timeDeleted,softDeleteTime)"
        found = [
            (one for page in pages("objects.list", self.subject, **query) for one in page.get("items", []))
            for query in (
                {"prefix": prefix, "maxResults": PAGE, "fields": fields, kind: "true"}
                for kind in ("versions", "softDeleted")
            )
        ]
        for name, group in groupby(merge(*found, key=itemgetter("name")), itemgetter("name")):
            gone = [one for one in group if "timeDeleted" in one or "softDeleteTime" in one]
            if gone:
                kept = max(gone, key=lambda one: int(one["generation"]))
                at = kept.get("timeDeleted") or kept["softDeleteTime"]
                yield DeletedEntry(name, int(kept["size"]), _time(kept["updated"]), _time(at))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class BucketObjects:
    """What a backup bucket holds, for the console's own look into a repository."""

    bucket: Bucket
    begins_after: ClassVar[bool] = True

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix that ends in "/" and hold something, without that prefix."""
        return self.bucket.folders(prefix)

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Return the objects below a prefix and after a key, in the order of their keys, page by page."""
        return self.bucket.entries(prefix, after)

    def deleted(self, prefix: str) -> Iterator[DeletedEntry]:
        """Return what was deleted or overwritten below a prefix and can still come back, in the order of the keys."""
        return self.bucket.deleted(prefix)

    def read(self, key: str, at_most: int, known: str = "") -> Reading:
        """Return the object, or as much of it as `at_most` bytes; nothing of it when `known` is its generation still.

        "Request preconditions": ifGenerationNotMatch answers 304 when it is.
        """
        subject = self.bucket._object(key)
        try:
            data, tag = read("objects.get", subject, at_most, **({"ifGenerationNotMatch": known} if known else {}))
            return Reading(data, tag)
        except Answer as error:
            if known and error.status == 304:
                return Reading(tag=known, is_known=True)
            if error.status == 404 and "bucket" not in error.message.lower():
                return Reading()
            raise reported(error, "objects.get", subject) from error
        except (Silence, NoEntry) as error:
            raise reported(error, "objects.get", subject) from error
