"""Reading what is in a bucket that speaks S3, Amazon's or another's, for the console's own look into a repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, ClassVar

from botocore.exceptions import ClientError

from console.clouds import streams
from console.clouds.calls import pages
from console.clouds.contents import DeletedEntry, Entry, Reading
from console.clouds.s3api.errors import NOT_THERE, code_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NOT_MODIFIED = frozenset({"304", "NotModified"})  # an answer without a body, of which botocore has the status only


@dataclass(frozen=True)
class S3Objects:
    """What a backup bucket holds; `calling` lends a client for one operation and turns its errors into StepErrors."""

    calling: Callable[[str], AbstractContextManager[S3Client]]
    bucket: str
    expected: dict[str, Any]  # what each call adds, such as whose bucket it must be
    begins_after: ClassVar[bool] = True

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix that ends in "/" and hold something, without that prefix."""
        found = [
            folder["Prefix"] for page in self._pages(prefix, Delimiter="/") for folder in page.get("CommonPrefixes", [])
        ]
        return [folder.removeprefix(prefix).rstrip("/") for folder in found]

    def entries(self, prefix: str, after: str = "") -> Iterator[Entry]:
        """Return the objects below a prefix and after a key, in the order of their keys, page by page."""
        for page in self._pages(prefix, **({"StartAfter": after} if after else {})):
            for one in page.get("Contents", []):
                yield Entry(one["Key"], one["Size"], one["LastModified"])

    def read(self, key: str, at_most: int, known: str = "") -> Reading:
        """Return the object, or as much of it as `at_most` bytes; nothing of it when `known` is its ETag still."""
        unless: dict[str, Any] = {"IfNoneMatch": known} if known else {}
        with self.calling("GetObject") as s3:
            streams.expect(at_most)
            try:
                found = s3.get_object(Bucket=self.bucket, Key=key, **unless, **self.expected)
                return Reading(found["Body"].read(at_most), found.get("ETag", ""))
            except ClientError as error:
                if known and code_of(error) in NOT_MODIFIED:
                    return Reading(tag=known, is_known=True)
                if code_of(error) != "NoSuchKey":
                    raise
        return Reading()

    def deleted(self, prefix: str) -> Iterator[DeletedEntry]:
        """Return what was deleted or overwritten below a prefix and can still come back, in the order of the keys."""
        rows = chain.from_iterable(self._versions(prefix))
        for _, group in groupby(rows, lambda one: one["Key"]):  # which a page may end in the middle of
            versions = list(group)
            older = [one for one in versions if "Size" in one and not one["IsLatest"]]
            if not older:
                continue
            kept = max(older, key=lambda one: one["LastModified"])
            # It went with the first thing that came after it: a delete marker, or another version.
            after = [one["LastModified"] for one in versions if one is not kept]
            gone = min((at for at in after if at >= kept["LastModified"]), default=kept["LastModified"])
            yield DeletedEntry(kept["Key"], kept["Size"], kept["LastModified"], gone)

    def _versions(self, prefix: str) -> Iterator[list[Any]]:
        """Return versions and delete markers, page by page, in the order of their keys."""

        def one(start: Any) -> tuple[list[Any], Any]:
            with self.calling("ListObjectVersions") as s3:
                try:
                    page: Any = s3.list_object_versions(
                        Bucket=self.bucket, Prefix=prefix, **(start or {}), **self.expected
                    )
                except ClientError as error:
                    if code_of(error) in NOT_THERE:
                        return [], None
                    raise
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            markers = ("KeyMarker", "VersionIdMarker")
            following = {marker: page[f"Next{marker}"] for marker in markers if page.get(f"Next{marker}")}
            return sorted(found, key=lambda row: row["Key"]), following if page.get("IsTruncated") else None

        return pages(one)

    def _pages(self, prefix: str, **options: Any) -> Iterator[Any]:
        def one(token: str | None) -> tuple[Any, str | None]:
            following = {"ContinuationToken": token} if token else {}
            with self.calling("ListObjectsV2") as s3:
                page = s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix, **options, **following, **self.expected)  # type: ignore[arg-type]
            return page, page.get("NextContinuationToken") if page.get("IsTruncated") else None

        return pages(one)
