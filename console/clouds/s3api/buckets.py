"""What every server that speaks S3 has in common, Amazon's or another's: what a store's buckets get, and their end."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from botocore.exceptions import ClientError

from console.clouds.calls import pages
from console.clouds.contents import Contents
from console.clouds.contract import DAYS_AT_MOST, UnmanagedBucket
from console.clouds.naming import LOG_DAYS, NAME_TAG, STORE_TAG, base32, id_from, store_tags
from console.clouds.s3api.errors import NOT_THERE, code_of
from console.clouds.specs import StoreSpec
from console.clouds.steps import Failed, NotReady, StepError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import BucketTypeDef, ObjectIdentifierTypeDef

VERSIONS_TAG, LOCK_TAG = "storekeeper:versions-days", "storekeeper:lock-days"  # what a protected store promised
LEGAL_NAME = re.compile(r"pgbk-[a-z0-9.-]{1,58}")  # what S3 takes, as far as it begins like ours
LEGAL_REGION = re.compile(r"[a-zA-Z0-9-]{1,40}")
GLOBAL_NAME = re.compile(r"pgbk-([a-z2-7]{26})(-log)?")
REGIONAL_NAME = re.compile(r"pgbk-([a-z2-7]{12})(-log)?-\d{12}-[a-z0-9-]+-an")  # in an account's own namespace
PROBE_NAME = re.compile(r"pgbk-probe-[0-9a-f]{16}(-log|-lock)?")
PAGE = 1000  # the most that S3 lists, or deletes, in one call
PAGES_PER_RUN = 100  # then the worker is free for others, and the step goes on later
COUNT_AT_MOST = 100_000  # versions with delete markers, and as many uploads: a hundred calls each


# What a store's buckets get


def global_names(store_id: UUID) -> tuple[str, str]:
    """Return the names of the backup bucket and of its log bucket where all names of a server share one space."""
    letters = base32(store_id.bytes)
    return f"pgbk-{letters}", f"pgbk-{letters}-log"


def tags(spec: StoreSpec) -> dict[str, str]:
    """Return the tags of the store's buckets: all that it takes to adopt them."""
    promised = {VERSIONS_TAG: spec.versions_days, LOCK_TAG: spec.lock_days}
    return {
        **store_tags(spec.id, spec.name),
        **{tag: str(days) for tag, days in promised.items() if days},
    }


def _days(tags: Mapping[str, str], tag: str) -> int:
    """Return the days that a tag names; 0 when it names none that a lifecycle rule or a lock would take."""
    text = tags.get(tag, "")
    days = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return days if days <= DAYS_AT_MOST else 0


def logging_target(spec: StoreSpec) -> dict[str, str]:
    """Return where the requests to the backup bucket are logged."""
    return {"bucket": spec.log_bucket, "prefix": "access/"}


def only_tls(arn: str) -> dict[str, Any]:
    """Return the statement that refuses plain HTTP to this bucket."""
    return _refusing("DenyInsecureTransport", arn, {"Bool": {"aws:SecureTransport": "false"}})


def only_new_tls(arn: str) -> dict[str, Any]:
    """Return the statement that refuses TLS before 1.2; it stands alone, because conditions of one are ANDed."""
    return _refusing("DenyOldTLS", arn, {"NumericLessThan": {"s3:TlsVersion": "1.2"}})


def _refusing(sid: str, arn: str, condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": condition,
    }


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    """Return the policy of these statements."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def log_delivery(log_arn: str, arn: str) -> dict[str, Any]:
    """Return the statement that lets log delivery write into the log bucket, for the backup bucket alone."""
    return {
        "Sid": "S3ServerAccessLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"{log_arn}/*",
        "Condition": {"ArnLike": {"aws:SourceArn": arn}},
    }


def log_expiry() -> dict[str, Any]:
    """Return the rule that lets access logs expire."""
    return {
        "ID": "expire-logs",
        "Status": "Enabled",
        "Prefix": "",
        "Expiration": {"Days": LOG_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }


def upload_expiry() -> dict[str, Any]:
    """Return the rule that lets unfinished uploads expire, since pgBackRest never aborts one."""
    return {
        "ID": "abort-mpu",
        "Status": "Enabled",
        "Prefix": "",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }


def backup_rules(spec: StoreSpec) -> list[dict[str, Any]]:
    """Return the lifecycle of the backup bucket: never a rule that deletes or moves what is current."""
    return [upload_expiry(), *([version_expiry(spec.versions_days)] if spec.versions_days else [])]


def version_expiry(days: int) -> dict[str, Any]:
    """Return the rule that lets versions go so many days after they were overwritten or deleted."""
    return {
        "ID": "expire-versions",
        "Status": "Enabled",
        "Prefix": "",
        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    }


# What is in a bucket, and its end

# How each listing is asked for, in botocore's words: method, size of a page, where the next one begins, what it lists.
VERSIONS = ("list_object_versions", "MaxKeys", ("KeyMarker", "VersionIdMarker"), ("Versions", "DeleteMarkers"))
UPLOADS = ("list_multipart_uploads", "MaxUploads", ("KeyMarker", "UploadIdMarker"), ("Uploads",))
OBJECTS = ("list_objects_v2", "MaxKeys", ("ContinuationToken",), ("Contents",))
LISTINGS = {"ListObjectVersions": VERSIONS, "ListMultipartUploads": UPLOADS, "ListObjectsV2": OBJECTS}
# What is answered for a bucket without tags: by Amazon and most others, and by Ceph before 17.2.7.
NO_TAGS = frozenset({"NoSuchTagSet", "NoSuchTagSetError"})
# What is answered where there is no Object Lock: by Amazon, then by servers that have not heard of it.
NO_LOCK = frozenset(
    {"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "InvalidRequest"} | NOT_THERE
)


class NotListed(Exception):
    """The server has no such listing."""


@dataclass(frozen=True)
class Bucket:
    """A bucket; `calling` lends a client for one operation on it and turns its errors into StepErrors.

    `doubted`: its server may answer what it was not asked, such as a list of objects to whoever asks for versions. Then
    nothing is taken for empty, or for missing, that has not been looked at in another way too.
    """

    name: str
    calling: Callable[[str], AbstractContextManager[S3Client]]
    expected: dict[str, Any]  # what each call adds, such as whose bucket it must be
    doubted: bool = False

    def exists(self) -> bool:
        """Return whether there is such a bucket; raises Denied when it is one that this key may not see."""
        with self.calling("HeadBucket") as s3:
            try:
                s3.head_bucket(Bucket=self.name, **self.expected)
            except ClientError as error:
                if code_of(error) in {"404", "NoSuchBucket"}:
                    return False
                # Of others the list tells, too: some servers have no HeadBucket, and some proxies let no HEAD through.
                if not self._is_listed():
                    raise
        return True

    def _is_listed(self) -> bool:
        try:
            return any(one["Name"] == self.name for one in all_buckets(self.calling))
        except StepError:
            return False

    def tags(self) -> dict[str, str] | None:
        """Return its tags; None when there is no such bucket."""
        with self.calling("GetBucketTagging") as s3:
            try:
                answer = s3.get_bucket_tagging(Bucket=self.name, **self.expected)
            except ClientError as error:
                if code_of(error) == "NoSuchBucket":
                    return None
                if code_of(error) in NO_TAGS:
                    return {}
                raise
        return {tag["Key"]: tag.get("Value", "") for tag in answer.get("TagSet", [])}

    def left(self) -> Contents:
        """Return what keeps it from being deleted, counted as far as one page goes."""
        found, newest = self._counted(PAGE, lambda counted: None)
        with suppress(Failed):  # not to know about the lock is no reason to hold back the rest
            return self._with_lock(found, newest)
        return found

    def contents(self, tell: Callable[[int], None]) -> Contents:
        """Return what is in it, as far as it is counted; `tell` gets the number of versions after each page."""
        return self._with_lock(*self._counted(COUNT_AT_MOST, tell))

    def _counted(self, at_most: int, tell: Callable[[int], None]) -> tuple[Contents, datetime | None]:
        """Return what is in it, and when the newest version came."""
        objects = older = markers = size = uploads = 0
        versioned, newest = False, None
        for page in self._versions(at_most):
            for one in page.get("Versions", []):
                is_latest = one.get("IsLatest", True)
                objects += is_latest
                older += not is_latest
                size += one.get("Size", 0)
                versioned = versioned or _version(one) != "null"
                newest = max(filter(None, (newest, one.get("LastModified"))), default=None)
            markers += len(page.get("DeleteMarkers", []))
            tell(objects + older + markers)
        with suppress(NotListed):
            for page in self._pages("ListMultipartUploads", at_most):
                uploads += len(page.get("Uploads", []))
        found = Contents(
            objects=objects,
            older=older,
            markers=markers,
            uploads=uploads,
            size=size,
            more=objects + older + markers > at_most,
            more_uploads=uploads > at_most,
            versioned=versioned or markers > 0,
        )
        return found, newest

    def _versions(self, at_most: int) -> Iterator[Any]:
        """Return the pages of all versions; of the objects, as versions, where the server has no list of versions.

        A server that has not heard of versions may also answer with the list of objects, which has none in it.
        """
        found = False
        with suppress(NotListed):
            for page in self._pages("ListObjectVersions", at_most):
                found = found or any(page.get(kind) for kind in VERSIONS[3])
                yield page
            if found or not self.doubted:
                return
        for page in self._pages("ListObjectsV2", at_most):
            yield {"Versions": page.get("Contents", [])}

    def _pages(self, operation: str, at_most: int) -> Iterator[Any]:
        """Return the pages of a listing until there is one entry more than `at_most`; raises NotListed."""
        method, limit, markers, kinds = LISTINGS[operation]
        counted = 0

        def one(start: dict[str, str] | None) -> tuple[Any, dict[str, str] | None]:
            nonlocal counted
            with self.calling(operation) as s3:
                size = {limit: min(PAGE, at_most + 1 - counted)}
                try:
                    page = getattr(s3, method)(Bucket=self.name, **size, **(start or {}), **self.expected)
                except ClientError as error:
                    # rclone 1.75 says NoSuchUpload of a bucket without unfinished uploads: there are none.
                    none = operation == "ListMultipartUploads" and code_of(error) == "NoSuchUpload"
                    if none or (code_of(error) in NOT_THERE and start is None and operation != "ListObjectsV2"):
                        raise NotListed from error
                    raise
            counted += sum(len(page.get(kind, [])) for kind in kinds)
            following = {marker: page[f"Next{marker}"] for marker in markers if page.get(f"Next{marker}")}
            return page, following if page.get("IsTruncated") and counted <= at_most else None

        return pages(one)

    def _with_lock(self, found: Contents, newest: datetime | None) -> Contents:
        """Add how long Object Lock, by the bucket's default retention, keeps what was counted."""
        if not found.versioned or newest is None:
            return found  # a bucket with a lock always keeps versions, so others need not be asked
        with self.calling("GetObjectLockConfiguration") as s3:
            try:
                answer = s3.get_object_lock_configuration(Bucket=self.name, **self.expected)
            except ClientError as error:
                if code_of(error) in NO_LOCK:
                    return found
                raise
        rule = answer["ObjectLockConfiguration"].get("Rule", {}).get("DefaultRetention", {})
        # A year counts as the longest there is, so that the date is never too early.
        days = rule.get("Days") or 366 * (rule.get("Years") or 0)
        if not days:
            return found
        until = newest + timedelta(days=days)
        return replace(found, lock=rule.get("Mode", "").lower(), locked_until=until.isoformat())

    def empty(self, patience: float = 86400) -> None:
        """Delete all that is in it, versions and unfinished uploads too; raises NotReady when there is very much."""
        before: list[ObjectIdentifierTypeDef] = []
        for _ in range(PAGES_PER_RUN):
            # Always the first page: what it listed is gone when the next one is asked for.
            if not (objects := self._first_page()):
                break
            # JuiceFS, for one, keeps and lists the folders of what was deleted together; one by one they go.
            if objects == before or not self._delete_together(objects):
                for one in objects:
                    with self.calling("DeleteObject") as s3:
                        s3.delete_object(Bucket=self.name, **one, **self.expected)  # type: ignore[misc]
            before = objects
        else:
            raise NotReady("Deleting the access logs: there are many.", patience=patience)
        with suppress(NotListed):
            self._abort_uploads()

    def _delete_together(self, objects: list[ObjectIdentifierTypeDef]) -> bool:
        """Delete these in one call and return True; False where the server has no such call."""
        with self.calling("DeleteObjects") as s3:
            try:
                answer = s3.delete_objects(
                    Bucket=self.name, Delete={"Objects": objects, "Quiet": True}, **self.expected
                )
            except ClientError as error:
                if code_of(error) in NOT_THERE:
                    return False
                raise
            for refused in answer.get("Errors", []):
                raise ClientError(
                    {"Error": {"Code": refused.get("Code", ""), "Message": refused.get("Message", "")}}, "DeleteObjects"
                )  # the first says it for all
        return True

    def _abort_uploads(self) -> None:
        uploads = next(self._pages("ListMultipartUploads", PAGE - 1)).get("Uploads", [])
        for upload in uploads:
            with self.calling("AbortMultipartUpload") as s3:
                s3.abort_multipart_upload(
                    Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"], **self.expected
                )

    def _first_page(self) -> list[ObjectIdentifierTypeDef]:
        listing = self._versions(PAGE - 1)
        page: dict[str, Any] = next((one for one in listing if any(one.get(kind) for kind in VERSIONS[3])), {})
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        # Naming a version asks for s3:DeleteObjectVersion, even the "null" one of a bucket that has no versions; the
        # console's role has no need of it unless someone turned versioning on.
        if page.get("DeleteMarkers") or any(_version(one) != "null" for one in found):
            return [{"Key": one["Key"], "VersionId": _version(one)} for one in found]
        return [{"Key": one["Key"]} for one in found]

    def delete(self) -> bool:
        """Delete it and say whether it is gone; it stays when something is in it."""
        with self.calling("DeleteBucket") as s3:
            try:
                s3.delete_bucket(Bucket=self.name, **self.expected)
            except ClientError as error:
                if code_of(error) == "BucketNotEmpty":
                    return False
                raise
        return True


def _version(one: Mapping[str, Any]) -> str:
    """Return the ID of a version; "null" where the server gives it none, as it does with versioning off."""
    return str(one.get("VersionId") or "null")


def empty_commands(bucket: str, found: Contents, options: str, *first: str, prefix: str = "") -> str:
    """Return the commands of the AWS CLI that empty the bucket, or a folder of it, for an administrator to run."""
    where = f"--bucket {bucket} {options}"
    below = f"{where} --prefix {prefix}/" if prefix else where
    lines, delete = list(first), f"aws s3api delete-objects {where}"
    if found.free_at and found.lock == "governance":
        lines.append(
            f"# Object Lock (governance) keeps versions until {found.free_words}. To delete them before, the commands "
            "say --bypass-governance-retention, which takes the permissions s3:BypassGovernanceRetention and "
            "s3:DeleteObjectVersion."
        )
        delete += " --bypass-governance-retention"
    elif found.free_at:
        lines.append(
            f"# Object Lock (compliance) keeps versions until {found.free_words}: nobody can delete them before, so "
            "run these commands then."
        )
    if found.versioned:
        # Always the first page: what it listed is gone when the next one is asked for.
        query = "--query '[Versions, DeleteMarkers][].{Key: Key, VersionId: VersionId}' --output json"
        lines += [
            "# All versions and delete markers, 250 at a time, until nothing is left or something is refused:",
            f"while found=$(aws s3api list-object-versions {below} --max-keys 250 --no-paginate {query}) && "
            '[ "$found" != "[]" ]',
            'do files="{\\"Objects\\": $found, \\"Quiet\\": true}"',
            f'  refused=$({delete} --delete "$files" --query Errors --output text) || break',
            '  case "$refused" in ""|None) ;; *) echo "$refused"; break ;; esac',
            "done",
        ]
    else:
        lines.append(f"aws s3 rm s3://{bucket}{prefix and f'/{prefix}/'} --recursive {options}")
    if found.uploads:
        listing = f"aws s3api list-multipart-uploads {below} --query 'Uploads[].[UploadId, Key] || `[]`' --output text"
        abort = f'aws s3api abort-multipart-upload {where} --upload-id "$id" --key "$key"'
        lines.append(f"{listing} | while read -r id key; do {abort}; done")
    return "\n".join(lines)


# What belongs to no store


def kind_of(name: str) -> str:
    """Return what a bucket of this name is: "backup", "log", "probe", or "" when the console gives no such name."""
    if PROBE_NAME.fullmatch(name):
        return "probe"
    ours = GLOBAL_NAME.fullmatch(name) or REGIONAL_NAME.fullmatch(name)
    return "" if not ours else "log" if ours[2] else "backup"


def id_in(name: str) -> str:
    """Return the store ID that the name was made of; "" for a name that does not hold all of one."""
    ours = GLOBAL_NAME.fullmatch(name)
    return id_from(ours[1]) if ours else ""


def all_buckets(calling: Callable[[str], AbstractContextManager[S3Client]], **options: Any) -> Iterator[BucketTypeDef]:
    """Return the buckets that the account sees, page by page as they are asked for."""

    def one(token: str | None) -> tuple[Any, str | None]:
        with calling("ListBuckets") as s3:
            page = s3.list_buckets(**options | ({"ContinuationToken": token} if token else {}))
        return page, page.get("ContinuationToken")

    return (bucket for page in pages(one) for bucket in page.get("Buckets", []))


def unmanaged(
    buckets: Iterator[BucketTypeDef],
    known: Collection[str],
    region: str,
    tags_of: Callable[[str, str], Mapping[str, str] | None],
) -> Iterator[UnmanagedBucket]:
    """Return those buckets that are named like ours and not known; `tags_of` gets a name and a region.

    What cannot be read of one is said of that one. A region that does not answer is not asked again.
    """
    silent: dict[str, StepError] = {}
    for one in buckets:
        name, where = one["Name"], one.get("BucketRegion") or region
        # Of a bucket that is adopted, both go into files that root runs on the nodes.
        if not LEGAL_NAME.fullmatch(name) or name in known or not LEGAL_REGION.fullmatch(where):
            continue
        created = one["CreationDate"].isoformat() if "CreationDate" in one else ""
        found = UnmanagedBucket(name, where, created, kind_of(name))
        try:
            if where in silent:
                raise silent[where]
            tags = tags_of(name, where)
        except StepError as error:
            if isinstance(error, NotReady):
                silent[where] = error
            yield replace(found, error=error.message, details=error.details)
        else:
            if tags is not None:  # else it is gone
                versions = _days(tags, VERSIONS_TAG)
                yield replace(
                    found,
                    store_id=tags.get(STORE_TAG, ""),
                    store_name=tags.get(NAME_TAG, ""),
                    versions_days=versions,
                    lock_days=_days(tags, LOCK_TAG) if versions else 0,  # there is no lock without versions
                )
