"""What moto's buckets lack: AWS's defaults, TLS-only policies, whom logs may be delivered to, lists in pages."""

from __future__ import annotations

import base64
import json
from fnmatch import fnmatchcase
from typing import Any

import xmltodict  # type: ignore[import-untyped]
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.exceptions import CrossLocationLoggingProhibited, InvalidTargetBucketForLogging
from moto.s3.models import FakeBucket, PublicAccessBlock, S3Backend, s3_backends
from moto.utilities.utils import get_partition
from werkzeug.wrappers import Response

from console.demo.emulators.aws.calls import Call, conditions_hold, create_configuration, find_bucket, statements
from console.demo.emulators.aws.permissions import as_list


class StrictBucket(FakeBucket):
    """A bucket that knows TLS-only policies, and whom logs may be delivered to."""

    __module__ = FakeBucket.__module__  # moto files its models by the second part of that name; "__main__" has none

    def get_permission(self, action: str, resource: str) -> Any:
        """Judge a call as one over TLS 1.3: moto ignores conditions, so a TLS-only Deny would refuse every call."""
        rest = [
            statement
            for statement in statements(self.policy)
            if "false" not in as_list(statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport"))
            and "s3:TlsVersion" not in statement.get("Condition", {}).get("NumericLessThan", {})
        ]
        if not rest:
            return PermissionResult.NEUTRAL
        return IAMPolicy(json.dumps({"Version": "2012-10-17", "Statement": rest})).is_action_permitted(action, resource)

    def set_logging(self, logging_config: dict[str, Any] | None, bucket_backend: S3Backend) -> None:
        """Check the target as "Enabling Amazon S3 server access logging" says, with the policy's conditions."""
        if logging_config:
            target = bucket_backend.buckets.get(logging_config["TargetBucket"])
            if target is None:
                raise InvalidTargetBucketForLogging("The target bucket for logging does not exist")
            if target.region_name != self.region_name:
                raise CrossLocationLoggingProhibited()
            objects = f"{target.arn}/{logging_config.get('TargetPrefix') or ''}"
            if not any(self._may_log(statement, objects) for statement in statements(target.policy)):
                message = "The logging service is not permitted to write to the target bucket"
                raise InvalidTargetBucketForLogging(message)
        self.logging = logging_config or {}

    def _may_log(self, statement: dict[str, Any], objects: str) -> bool:
        principal = statement.get("Principal")
        return (
            statement.get("Effect") == "Allow"
            and isinstance(principal, dict)
            and "logging.s3.amazonaws.com" in as_list(principal.get("Service"))
            and any(fnmatchcase("s3:PutObject", action) for action in as_list(statement.get("Action")))
            and any(fnmatchcase(objects, resource) for resource in as_list(statement.get("Resource")))
            and conditions_hold(statement, {"aws:SourceArn": self.arn, "aws:SourceAccount": self.account_id})
        )


def apply_defaults(call: Call) -> None:
    """Give a new bucket its tags ("CreateBucket") and AWS's defaults.

    "Blocking public access to your storage", "Setting default server-side encryption behavior for Amazon S3 buckets",
    "Controlling ownership of objects and disabling ACLs".
    """
    if (bucket := find_bucket(call.bucket_name)) is None:
        return
    bucket.__class__ = StrictBucket  # type: ignore[type-abstract]
    bucket.public_access_block = PublicAccessBlock(True, True, True, True)
    algorithm = {"SSEAlgorithm": "AES256"}
    bucket.encryption = {"Rule": {"ApplyServerSideEncryptionByDefault": algorithm, "BucketKeyEnabled": "false"}}
    bucket.ownership_rule = bucket.ownership_rule or "BucketOwnerEnforced"  # type: ignore[assignment]
    sent = as_list((create_configuration(call).get("Tags") or {}).get("Tag"))
    tags = {tag["Key"]: tag["Value"] or "" for tag in sent}
    # Also when there are none: moto keeps the tags of a deleted bucket of the same name.
    s3_backends[bucket.account_id][bucket.partition].put_bucket_tagging(bucket.name, tags)


def add_key_format(call: Call, response: Response) -> None:
    """Answer the TargetObjectKeyFormat that was put ("GetBucketLogging"), which moto keeps but does not tell."""
    if call.bucket and (key_format := call.bucket.logging.get("TargetObjectKeyFormat")):
        element = xmltodict.unparse({"TargetObjectKeyFormat": key_format}, full_document=False)
        response.set_data(response.get_data(as_text=True).replace("</LoggingEnabled>", f"{element}</LoggingEnabled>"))


def page_buckets(call: Call, response: Response) -> None:
    """Answer a page, and where each bucket is as soon as anything is asked for ("ListBuckets"); moto does neither."""
    asked = {key: call.query.get(key, "") for key in ("prefix", "bucket-region", "max-buckets", "continuation-token")}
    after = base64.urlsafe_b64decode(asked["continuation-token"]).decode()
    found = [
        bucket
        for _, bucket in sorted(s3_backends[str(call.account_id)][get_partition(call.region)].buckets.items())
        if bucket.name.startswith(asked["prefix"])
        and bucket.name > after
        and asked["bucket-region"] in ("", bucket.region_name)
    ]
    size = int(asked["max-buckets"] or 10_000)
    page = [
        {"Name": bucket.name, "CreationDate": bucket.creation_date_ISO8601}
        | ({"BucketRegion": bucket.region_name} if any(asked.values()) else {})
        for bucket in found[:size]
    ]
    result: dict[str, Any] = {"Buckets": {"Bucket": page}} if page else {"Buckets": None}
    if len(found) > size:
        result["ContinuationToken"] = base64.urlsafe_b64encode(found[size - 1].name.encode()).decode()
    response.set_data(xmltodict.unparse({"ListAllMyBucketsResult": result}))


def page_uploads(call: Call, response: Response) -> None:
    """Answer one page of unfinished uploads ("ListMultipartUploads"); moto answers them all."""
    result = xmltodict.parse(response.get_data())["ListMultipartUploadsResult"]
    after = (call.query.get("key-marker", ""), call.query.get("upload-id-marker", "\U0010ffff"))
    size = min(int(call.query.get("max-uploads", 1000)), 1000)
    uploads = sorted(as_list(result.pop("Upload", None)), key=lambda one: (one["Key"], one["UploadId"]))
    rest = [one for one in uploads if (one["Key"], one["UploadId"]) > after]
    result |= {"Upload": rest[:size], "MaxUploads": size, "IsTruncated": str(len(rest) > size).lower()}
    if len(rest) > size:
        last = rest[size - 1]
        result |= {"NextKeyMarker": last["Key"], "NextUploadIdMarker": last["UploadId"]}
    response.set_data(xmltodict.unparse({"ListMultipartUploadsResult": result}))
