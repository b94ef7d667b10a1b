"""Reading what is in a bucket that speaks S3, Amazon's or another's, for the console's own look into a repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.clouds import streams
from console.clouds.calls import pages
from console.clouds.contract import Entry
from console.clouds.s3api.errors import code_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class S3Objects:
    """What a backup bucket holds; `calling` lends a client for one operation and turns its errors into StepErrors."""

    calling: Callable[[str], AbstractContextManager[S3Client]]
    bucket: str
    expected: dict[str, Any]  # what each call adds, such as whose bucket it must be

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix that ends in "/" and hold something, without that prefix."""
        found = [
            folder["Prefix"] for page in self._pages(prefix, Delimiter="/") for folder in page.get("CommonPrefixes", [])
        ]
        return [folder.removeprefix(prefix).rstrip("/") for folder in found]

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Return the objects below a prefix, in the order of their keys, page by page as they are asked for."""
        for page in self._pages(prefix):
            for one in page.get("Contents", []):
                yield Entry(one["Key"], one["Size"], one["LastModified"])

    def read(self, key: str, at_most: int) -> bytes | None:
        """Return the object, or as much of it as `at_most` bytes; None when there is none."""
        with self.calling("GetObject") as s3:
            streams.expect(at_most)
            try:
                return s3.get_object(Bucket=self.bucket, Key=key, **self.expected)["Body"].read(at_most)
            except ClientError as error:
                if code_of(error) != "NoSuchKey":
                    raise
        return None

    def _pages(self, prefix: str, **options: Any) -> Iterator[Any]:
        def one(token: str | None) -> tuple[Any, str | None]:
            following = {"ContinuationToken": token} if token else {}
            with self.calling("ListObjectsV2") as s3:
                page = s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix, **options, **following, **self.expected)  # type: ignore[arg-type]
            return page, page.get("NextContinuationToken") if page.get("IsTruncated") else None

        return pages(one)
