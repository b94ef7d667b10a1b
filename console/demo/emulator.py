"""Amazon S3, STS and IAM, emulated by moto and made as strict as AWS; the demo and the tests share it.

moto does the work; the rules below add what AWS checks and moto does not, each with the title of the AWS page that
says so. moto keeps its data in module globals, so every Emulator of one process sees the same buckets and accounts.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import cache
from io import BytesIO
from typing import Any, ClassVar, NamedTuple, Self
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape  # which parses nothing  # nosec B406

import botocore.session
import xmltodict  # type: ignore[import-untyped]
from moto.core.utils import utcnow
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.models import IAMBackend, Role, User, iam_backends
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from moto.s3.exceptions import CrossLocationLoggingProhibited, InvalidTargetBucketForLogging
from moto.s3.models import FakeBucket, PublicAccessBlock, S3Backend, s3_backends
from moto.s3.responses import S3Response
from moto.s3.utils import bucket_name_from_url, bucket_policy_is_public
from moto.sts.models import sts_backends
from moto.utilities.utils import PARTITION_NAMES, get_partition
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request, Response

from console.demo import permissions
from console.demo.permissions import Asked, as_list

# Objects have the same subresources as buckets, and these are told apart by a parameter or by nothing.
OBJECT_OPERATIONS = {
    ("PUT", ""): "PutObject",
    ("GET", ""): "GetObject",
    ("DELETE", ""): "DeleteObject",
    ("PUT", "uploadId"): "UploadPart",
    ("GET", "uploadId"): "ListParts",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
}


@cache
def bucket_and_object_operations() -> dict[tuple[str, bool, str], str]:
    """Return the S3 API's operation names by (method, whether a key is named, subresource), from botocore's model."""
    model = botocore.session.get_session().get_service_model("s3")
    names: dict[tuple[str, bool, str], str] = {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        if not operation.deprecated:
            path, _, query = operation.http["requestUri"].partition("?")
            subresource = query.partition("&")[0].partition("=")[0]
            # "Get…" and "List…Configurations" share a subresource; the first, which is "Get…", is as good.
            names.setdefault((operation.http["method"], "{Key+}" in path, subresource), name)
    names["GET", False, ""] = "ListObjects"
    return names | {(method, True, subresource): name for (method, subresource), name in OBJECT_OPERATIONS.items()}


@cache
def known_regions() -> frozenset[str]:
    """Return the codes of every region that has S3, in all partitions."""
    session = botocore.session.get_session()
    partitions = session.get_available_partitions()
    return frozenset(code for name in partitions for code in session.get_available_regions("s3", partition_name=name))


class Refusal(NamedTuple):
    """An error as AWS words it: an HTTP status, a code and a message."""

    status: int
    code: str
    message: str


class Call:
    """One request to AWS: who calls (None: unsigned or unknown), what, and on which bucket."""

    def __init__(self, environ: dict[str, Any]) -> None:
        request = Request(environ)
        self.environ, self.headers, self.query = environ, request.headers, request.args
        self.body: bytes = environ["wsgi.input"].getvalue()
        is_form = request.mimetype == "application/x-www-form-urlencoded" and b"Action=" in self.body
        self.form = dict(parse_qsl(self.body.decode(errors="replace"))) if is_form else {}

        credential = re.search(r"Credential=([^,\s]+)", self.headers.get("Authorization", ""))
        scope: list[str] = (credential[1] if credential else self.query.get("X-Amz-Credential", "")).split("/")
        if len(scope) != 5:
            scope = ["", "", "us-east-1", "sts" if self.form else "s3", ""]
        self.access_key_id, _, self.region, self.service, _ = scope
        self.account_id = account_of(self.access_key_id)

        self.bucket_name, self.key = "", ""
        if self.service == "s3":
            path = request.path.removeprefix("/")
            if S3Response.subdomain_based_buckets(request):  # virtual-host style
                self.bucket_name, self.key = bucket_name_from_url(f"http://{request.host}") or "", path
            else:
                self.bucket_name, _, self.key = path.partition("/")
            self.operation = self._s3_operation(request.method)
        else:
            self.operation = self.form.get("Action") or self.headers.get("x-amz-target", "").rpartition(".")[2]
        self.bucket: FakeBucket | None = None  # looked up when the call's turn has come
        self.asked: list[Asked] = []  # what the caller has to be allowed for it

    def _s3_operation(self, method: str) -> str:
        if not self.bucket_name:
            return "ListBuckets"
        names, has_key = bucket_and_object_operations(), bool(self.key)
        copies = "x-amz-copy-source" in self.headers
        if method == "PUT" and has_key and copies:
            return "UploadPartCopy" if "uploadId" in self.query else "CopyObject"
        for subresource in self.query:
            if name := names.get((method, has_key, subresource)):
                return name
        return names.get((method, has_key, ""), method)

    @property
    def configures_bucket(self) -> bool:
        """Whether the call creates, configures or deletes the bucket itself."""
        writes = self.environ["REQUEST_METHOD"] in ("PUT", "DELETE")
        return writes and bool(self.bucket_name) and not self.key

    def refuse(self, refusal: Refusal) -> Response:
        """Return the error in this service's XML."""
        code, message = escape(refusal.code), escape(refusal.message)
        error = f"<Code>{code}</Code><Message>{message}</Message>"
        if self.service == "s3":  # REST Error Responses
            body = f"<Error>{error}<BucketName>{escape(self.bucket_name)}</BucketName></Error>"
        else:
            body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId></RequestId></ErrorResponse>"
        return Response(body, refusal.status, content_type="application/xml")


def account_of(access_key_id: str) -> str | None:
    """Return the ID of the account that an access key or an assumed role's key belongs to."""
    for account_id, partitions in list(iam_backends.items()):
        if any(access_key_id in partitions[name].access_keys for name in PARTITION_NAMES):
            return account_id
    return None


def find_bucket(name: str) -> FakeBucket | None:
    """Return the bucket of that name, whoever owns it."""
    partition, account_id = s3_backends.bucket_accounts.get(name, ("", ""))
    return s3_backends[account_id][partition].buckets.get(name) if account_id else None


def iam_of(call: Call) -> IAMBackend:
    """Return the caller's IAM, as moto keeps it."""
    return iam_backends[call.account_id or Emulator.account_id][get_partition(call.region)]


def find_role(arn: str) -> Role | None:
    """Return the IAM role, in whichever account the ARN names."""
    matched = re.match(r"arn:([^:]+):iam::(\d{12}):role/", arn)
    if not matched or matched[1] not in PARTITION_NAMES:
        return None
    return next((role for role in iam_backends[matched[2]][matched[1]].get_roles() if role.arn == arn), None)


def statements(policy: str | bytes | None) -> list[dict[str, Any]]:
    """Return the statements of a policy document."""
    return as_list(json.loads(policy).get("Statement")) if policy else []


def conditions_hold(statement: dict[str, Any], context: dict[str, str]) -> bool:
    """Whether each condition finds its key in the context, equal to or like one of its values."""
    lowered = {name.lower(): value for name, value in context.items()}  # condition keys ignore case
    return all(
        any(fnmatchcase(lowered.get(name.lower(), ""), str(pattern)) for pattern in as_list(patterns))
        for test in statement.get("Condition", {}).values()
        for name, patterns in test.items()
    )


def not_authorized(call: Call, action: str, resource: str) -> str:
    """Return the beginning of AWS's message for a call that no policy allows."""
    backend = sts_backends[call.account_id or Emulator.account_id][get_partition(call.region)]
    arn = backend.get_caller_identity(call.access_key_id, call.region)[1]
    return f"User: {arn} is not authorized to perform: {action} on resource: {resource}"


# --- Rules: each may refuse a call; moto serves what none refuses ---------------------------------------------------


def check_caller(call: Call) -> Refusal | None:
    """Know the access key ("Error responses", Amazon S3 API; "Common error types", AWS STS API)."""
    if call.account_id or call.operation == "AssumeRoleWithWebIdentity":
        return None
    if call.service != "s3":
        return Refusal(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    if not call.access_key_id:
        return Refusal(403, "AccessDenied", "Access Denied")
    return Refusal(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")


def check_permissions(call: Call) -> Refusal | None:
    """Refuse what the caller's own policies do not allow ("Policy evaluation logic", IAM user guide)."""
    if call.account_id is None or call.operation in permissions.FREE | permissions.TRUSTED:
        return None
    iam, who = iam_of(call), caller_of(call)
    statements = permissions.policies_of(iam, who) if who else []
    call.asked = what_is_asked(call, iam)
    for asked in call.asked:
        decision = permissions.judge(statements, asked, context_of(call, asked))
        if decision != "allowed":
            an, why = "an identity-based policy", f"because no identity-based policy allows the {asked.action} action"
            why = f"with an explicit deny in {an}" if decision == "explicitDeny" else why
            message = f"{not_authorized(call, asked.action, asked.resource)} {why}"
            return Refusal(403, "AccessDenied", message)
    return None


def caller_of(call: Call) -> Role | User | None:
    """Return the user whose key it is, or the role whose session; None when the role is gone."""
    iam = iam_of(call)
    session = sts_backends[call.account_id or ""][get_partition(call.region)]
    assumed = session.get_assumed_role_from_access_key(call.access_key_id)
    if assumed:
        return next((role for role in iam.get_roles() if role.arn == assumed.role_arn), None)
    return iam.get_user_from_access_key_id(call.access_key_id)


def what_is_asked(call: Call, iam: IAMBackend) -> list[Asked]:
    """Return the actions that the service checks for the call, with their resources."""
    if call.service == "s3":
        keys = [(call.key, call.query.get("versionId", ""))] if call.key else []
        if call.operation == "DeleteObjects":
            listed = as_list(xmltodict.parse(call.body)["Delete"].get("Object"))
            keys = [(one["Key"], one.get("VersionId") or "") for one in listed]
        tags = call.operation == "CreateBucket" and bool(create_configuration(call).get("Tags"))
        return permissions.s3_asks(call.operation, call.bucket_name, keys, dict(call.headers), tags)
    if call.service == "iam":
        root = f"arn:{get_partition(call.region)}:iam::{call.account_id}"
        return permissions.iam_asks(call.operation, call.form, iam, root)
    return [Asked(f"{call.service}:{call.operation}", "*")]


def context_of(call: Call, asked: Asked) -> dict[str, str]:
    """Return the condition keys of the request ("AWS global condition context keys", and those of S3 and IAM)."""
    context = {
        "aws:SecureTransport": "true",  # judged as one over TLS, which the emulator does not speak
        "aws:RequestedRegion": call.region,
        "aws:PrincipalAccount": str(call.account_id),
        "aws:PrincipalArn": who.arn if (who := caller_of(call)) else "",
        "aws:ResourceAccount": call.bucket.account_id if call.bucket else "",
        "s3:x-amz-bucket-namespace": call.headers.get("x-amz-bucket-namespace", ""),
        "s3:prefix": call.query.get("prefix", ""),
        "iam:PassedToService": "ec2.amazonaws.com" if asked.action == "iam:PassRole" else "",
    }
    if call.service == "iam":
        context["aws:ResourceAccount"] = str(call.account_id)
    return {name: value for name, value in context.items() if value}


def check_bucket_name(call: Call) -> Refusal | None:
    """Refuse illegal names ("General purpose bucket naming rules")."""
    name = call.bucket_name
    legal = (
        re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name)
        and ".." not in name
        and not re.fullmatch(r"(\d+\.){3}\d+", name)
        and not name.startswith(("xn--", "sthree-", "amzn-s3-demo-"))
        and not name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"))
    )
    if call.operation == "CreateBucket" and not legal:
        return Refusal(400, "InvalidBucketName", "The specified bucket is not valid.")
    return None


def check_namespace(call: Call) -> Refusal | None:
    """Keep "-an" for the account regional namespace ("Namespaces for general purpose buckets").

    moto itself compares the rest of the suffix with the caller's account and region.
    """
    if call.operation != "CreateBucket":
        return None
    regional = call.headers.get("x-amz-bucket-namespace") == "account-regional"
    if regional and call.region in ("me-south-1", "me-central-1"):
        return Refusal(400, "InvalidNamespaceHeader", f"Account regional namespaces are not supported in {call.region}")
    if call.bucket_name.endswith("-an") and not regional:
        message = "Bucket names that end with -an need x-amz-bucket-namespace: account-regional"
        return Refusal(400, "InvalidNamespaceHeader", message)
    return None


def check_region(call: Call) -> Refusal | None:
    """Refuse regions that do not exist ("CreateBucket"); moto compares the constraint with the endpoint."""
    if call.operation != "CreateBucket":
        return None
    constraint = create_configuration(call).get("LocationConstraint") or call.region
    if not {call.region, constraint} <= known_regions():
        return Refusal(400, "InvalidLocationConstraint", "The specified location-constraint is not valid")
    return None


def check_owner(call: Call) -> Refusal | None:
    """Refuse other accounts' buckets, and a wrong owner ("Verifying bucket ownership with bucket owner condition")."""
    expected = call.headers.get("x-amz-expected-bucket-owner")
    if call.bucket is None or call.operation == "CreateBucket":
        return None
    if call.bucket.account_id not in (call.account_id, None) or expected not in (call.bucket.account_id, None):
        return Refusal(403, "AccessDenied", "Access Denied")
    return None


def refuse_acls(call: Call) -> Refusal | None:
    """Refuse ACLs on a bucket that has them off ("Controlling ownership of objects and disabling ACLs")."""
    canned = call.headers.get("x-amz-acl", "private") not in ("private", "bucket-owner-full-control")
    sends_acl = canned or any(name.lower().startswith("x-amz-grant-") for name, _ in call.headers)
    if call.operation == "CreateBucket":
        if sends_acl and call.headers.get("x-amz-object-ownership", "BucketOwnerEnforced") == "BucketOwnerEnforced":
            message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
            return Refusal(400, "InvalidBucketAclWithObjectOwnership", message)
        return None
    acls_are_off = call.bucket is not None and str(call.bucket.ownership_rule) == "BucketOwnerEnforced"
    if acls_are_off and (sends_acl or call.operation in ("PutBucketAcl", "PutObjectAcl")):
        return Refusal(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
    return None


def check_policy(call: Call) -> Refusal | None:
    """Refuse policies that S3 does not accept ("Bucket policies", "Blocking public access to your storage")."""
    if call.operation != "PutBucketPolicy" or call.bucket is None:
        return None
    try:
        resources = [arn for statement in statements(call.body) for arn in as_list(statement.get("Resource"))]
    except (ValueError, AttributeError):
        return Refusal(400, "MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
    if not all(arn == call.bucket.arn or arn.startswith(f"{call.bucket.arn}/") for arn in resources):
        return Refusal(400, "MalformedPolicy", "Policy has invalid resource")
    blocks = call.bucket.public_access_block
    if blocks and blocks.block_public_policy and bucket_policy_is_public(call.body):
        message = not_authorized(call, "s3:PutBucketPolicy", call.bucket.arn)
        why = "because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access."
        return Refusal(403, "AccessDenied", f"{message} {why}")
    return None


def keep_owned_bucket(call: Call) -> None:
    """Change nothing when a bucket is created again, which us-east-1 answers with 200 ("CreateBucket")."""
    if call.operation == "CreateBucket" and call.bucket:
        for header in ("ACL", "OBJECT_OWNERSHIP", "BUCKET_OBJECT_LOCK_ENABLED"):
            call.environ.pop(f"HTTP_X_AMZ_{header}", None)


def check_trust(call: Call) -> Refusal | None:
    """Assume only roles that trust the caller and its external ID ("Access to AWS accounts owned by third parties").

    In the role's own account trusting the caller itself is enough; otherwise the caller's own policies have to allow it
    too ("Cross-account policy evaluation logic").
    """
    if call.operation != "AssumeRole":
        return None
    arn, external_id = call.form.get("RoleArn", ""), call.form.get("ExternalId")
    if external_id is not None and not re.fullmatch(r"[\w+=,.@:/-]{2,1224}", external_id, re.ASCII):  # "AssumeRole"
        return Refusal(400, "ValidationError", "Value at 'externalId' failed to satisfy constraint")
    role, who, asked = find_role(arn), caller_of(call), Asked("sts:AssumeRole", arn)
    context = context_of(call, asked) | ({"sts:ExternalId": external_id} if external_id is not None else {})
    trusted = permissions.judge_trust(
        permissions.parsed(role.assume_role_policy_document) if role else (), caller_names(call, who), context
    )
    decision = permissions.judge(permissions.policies_of(iam_of(call), who) if who else [], asked, context)
    by_itself = trusted == "itself" and f"::{call.account_id}:" in arn and decision != "explicitDeny"
    if by_itself or (trusted and decision == "allowed"):
        return None
    return Refusal(403, "AccessDenied", not_authorized(call, "sts:AssumeRole", arn))


def caller_names(call: Call, who: Role | User | None) -> dict[str, str]:
    """Return by what a trust policy may name the caller, and how: "itself", or its "account"."""
    backend = sts_backends[call.account_id or Emulator.account_id][get_partition(call.region)]
    itself = backend.get_caller_identity(call.access_key_id, call.region)[1]
    account = str(call.account_id)
    names = {account: "account", f"arn:{get_partition(call.region)}:iam::{account}:root": "account"}
    return names | {itself: "itself"} | ({who.arn: "itself"} if who else {})


def check_session(call: Call) -> Refusal | None:
    """Refuse an assumed role's credentials once they ran out ("Error responses", Amazon S3 API)."""
    if not call.access_key_id.startswith("ASIA") or call.account_id is None:
        return None
    backend = sts_backends[call.account_id][get_partition(call.region)]
    role = backend.get_assumed_role_from_access_key(call.access_key_id)
    if role and role.expiration < utcnow():
        return Refusal(400 if call.service == "s3" else 403, "ExpiredToken", "The provided token has expired.")
    return None


def check_role_policies(call: Call) -> Refusal | None:
    """Refuse inline policies that together are too long, whitespace not counted ("IAM and AWS STS quotas")."""
    if call.operation != "PutRolePolicy":
        return None
    name = call.form.get("RoleName", "")
    role = next((role for role in iam_of(call).get_roles() if role.name == name), None)
    policies = {**(role.policies if role else {}), call.form.get("PolicyName", ""): call.form.get("PolicyDocument", "")}
    if sum(len(re.sub(r"\s", "", policy)) for policy in policies.values()) > 10_240:
        return Refusal(409, "LimitExceeded", f"Maximum policy size of 10240 bytes exceeded for role {name}")
    return None


def check_held_role(call: Call) -> Refusal | None:
    """Know that a profile does not hold the role to take out of it ("RemoveRoleFromInstanceProfile")."""
    if call.operation != "RemoveRoleFromInstanceProfile":
        return None
    name, role_name = call.form.get("InstanceProfileName", ""), call.form.get("RoleName", "")
    profile = iam_of(call).instance_profiles.get(name)
    if profile and all(role.name != role_name for role in profile.roles):
        message = f"Role {role_name} in Instance Profile {name} cannot be found."
        return Refusal(404, "NoSuchEntity", message)
    return None


RULES: tuple[Callable[[Call], Refusal | None], ...] = (
    check_caller,
    check_session,
    check_permissions,
    check_bucket_name,
    check_namespace,
    check_region,
    check_owner,
    refuse_acls,
    check_policy,
    keep_owned_bucket,
    check_trust,
    check_role_policies,
    check_held_role,
)


# --- What moto's buckets lack ---------------------------------------------------------------------------------------


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


def create_configuration(call: Call) -> dict[str, Any]:
    """Return the CreateBucketConfiguration that was sent, or an empty one."""
    return (xmltodict.parse(call.body)["CreateBucketConfiguration"] if call.body else None) or {}


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


def simulate(call: Call) -> Response:
    """Answer a simulation, which moto does not know."""
    try:
        return Response(permissions.simulate(iam_of(call), call.form), content_type="application/xml")
    except permissions.Unfit as error:
        status = 404 if error.code == "NoSuchEntity" else 400
        return call.refuse(Refusal(status, error.code, error.message))


# --- The server -----------------------------------------------------------------------------------------------------


EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Fault(NamedTuple):
    """An answer to give instead of, or after, the real one; see Emulator.inject."""

    operation: str
    code: str
    status: int
    message: str
    bucket: str | None
    when: str
    seconds: float


class Seen(NamedTuple):
    """A call that was answered; its status is 0 when the connection was dropped, its bucket "" when it named none."""

    operation: str
    bucket: str
    status: int


@cache
def moto_app(service: str) -> Any:
    """Return moto's application for one service; its own dispatcher lists moto's folders anew for each request."""
    return create_backend_app(service)  # type: ignore[arg-type]


class Emulator:
    """An AWS of our own on 127.0.0.1, as strict as the real one; each call takes `latency_ms` longer."""

    account_id: ClassVar[str] = "123456789012"
    # The example key of AWS's documentation: it opens nothing anywhere else.
    access_key_id: ClassVar[str] = "AKIAIOSFODNN7EXAMPLE"
    secret_access_key: ClassVar[str] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - an example, see above

    def __init__(self, latency_ms: float = 0) -> None:
        self.latency_ms = latency_ms
        self.calls: list[Seen] = []  # only ever appended to and copied, which threads may do at once
        self.asked: set[Asked] = set()  # all that callers had to be allowed so far
        self.url = ""
        self._faults: list[Fault] = []
        self._writing: set[str] = set()
        self._lock = threading.Lock()
        self._server: BaseWSGIServer | None = None
        if account_of(self.access_key_id) is None:
            self._add_key(self.account_id, self.access_key_id, self.secret_access_key)

    def start(self, port: int = 0) -> Self:
        """Serve in the background, on a free port unless one is named."""
        self._server = make_server("127.0.0.1", port, self, threaded=True, request_handler=RequestHandler)
        self.url = f"http://127.0.0.1:{self._server.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening, and drop the connections that are open at their next call."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()

    def reset(self) -> None:
        """Forget all buckets, nodes' roles, faults and calls; accounts, keys and other roles stay."""
        for account in list(s3_backends.values()):
            account.reset()
        for iam in [iam for account in list(iam_backends.values()) for iam in list(account.values())]:
            for named in (iam.roles, iam.instance_profiles):
                for key in [key for key, entity in named.items() if entity.path == "/pgbk/"]:
                    del named[key]
        self._faults.clear()
        self.calls.clear()
        self.asked.clear()

    def add_account(self, account_id: str) -> tuple[str, str]:
        """Make a user with an access key in that account, and return the key's ID and secret."""
        return self._add_key(account_id)

    def _add_key(  # "": one is made up  # nosec B107
        self, account_id: str, key_id: str = "", secret: str = ""
    ) -> tuple[str, str]:
        iam = iam_backends[account_id]["aws"]
        user = iam.create_user("us-east-1", f"administrator-{secrets.token_hex(4)}")
        user.put_policy("everything", json.dumps(EVERYTHING))
        key = iam.create_access_key(user.name)
        if key_id:
            del iam.access_keys[key.access_key_id]
            key.access_key_id, key.secret_access_key = key_id, secret
            iam.access_keys[key_id] = key
        return key.access_key_id, key.secret_access_key

    def inject(
        self,
        operation: str,
        *,
        code: str = "InternalError",
        status: int = 500,
        message: str = "We encountered an internal error. Please try again.",
        bucket: str | None = None,
        times: int = 1,
        when: str = "before",
        seconds: float = 0,
    ) -> None:
        """Spoil the next calls of an operation, on one bucket or on any, so many times.

        `when` is "before" (nothing is done, the error is answered), "after" (it is done, the error is answered),
        "drop" (it is done, the connection closes without an answer) or "hang" (answered rightly, `seconds` later).
        """
        if when not in ("before", "after", "drop", "hang"):
            raise ValueError(f"when is before, after, drop or hang, not {when}")
        with self._lock:
            self._faults += [Fault(operation, code, status, message, bucket, when, seconds)] * times

    def mend(self) -> None:
        """Forget the faults that have not been met."""
        with self._lock:
            self._faults.clear()

    def _take_fault(self, call: Call) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.operation == call.operation and fault.bucket in (None, call.bucket_name):
                    self._faults.remove(fault)
                    return fault
        return None

    def answer(self, environ: dict[str, Any]) -> Response | None:
        """Answer one request whose body is in memory; None closes the connection without an answer."""
        if self._server is None:
            return None
        if environ["PATH_INFO"].startswith("/_emulator/"):
            return self._steer(Request(environ))
        call = Call(environ)
        fault = self._take_fault(call)
        if fault and fault.when == "before":
            time.sleep(self.latency_ms / 1000)
            response = call.refuse(Refusal(fault.status, fault.code, fault.message))
        else:
            response = self._serve(call)
        if fault and fault.when == "after":
            response = call.refuse(Refusal(fault.status, fault.code, fault.message))
        if fault and fault.when == "hang":
            time.sleep(fault.seconds)
        dropped = fault is not None and fault.when == "drop"
        self.calls.append(Seen(call.operation, call.bucket_name, 0 if dropped else response.status_code))
        self.asked.update(call.asked)
        return None if dropped else number(call, response)

    def _serve(self, call: Call) -> Response:
        # One configuration write at a time for each bucket: OperationAborted in "Error responses", Amazon S3 API.
        name = call.bucket_name if call.configures_bucket else ""
        with self._lock:
            conflict = name in self._writing
            if name and not conflict:
                self._writing.add(name)
        try:
            time.sleep(self.latency_ms / 1000)
            if conflict:
                message = "A conflicting conditional operation is currently in progress against this resource."
                return call.refuse(Refusal(409, "OperationAborted", f"{message} Please try again."))
            return self._obey(call)
        finally:
            if not conflict:
                self._writing.discard(name)

    def _obey(self, call: Call) -> Response:
        call.bucket = find_bucket(call.bucket_name)
        for rule in RULES:
            if refusal := rule(call):
                return call.refuse(refusal)
        if call.operation == "SimulatePrincipalPolicy":
            return simulate(call)
        call.environ["HTTP_X_MOTO_ACCOUNT_ID"] = call.account_id or self.account_id
        response = Response.from_app(moto_app(call.service), call.environ, buffered=True)
        if call.operation == "CreateBucket" and response.status_code == 200 and call.bucket is None:
            apply_defaults(call)
        if call.operation == "GetBucketLogging" and response.status_code == 200:
            add_key_format(call, response)
        if call.operation == "ListBuckets" and response.status_code == 200:
            page_buckets(call, response)
        if call.operation == "ListMultipartUploads" and response.status_code == 200:
            page_uploads(call, response)
        return response

    def _steer(self, request: Request) -> Response:
        """Serve /_emulator/faults, calls and accounts, with which another process steers this one."""
        lists: dict[str, list[Any]] = {"/_emulator/faults": self._faults, "/_emulator/calls": self.calls}
        try:
            match request.method, request.path:
                case "POST", "/_emulator/faults":
                    self.inject(**json.loads(request.get_data()))
                    return as_json({})
                case "POST", "/_emulator/accounts":
                    key_id, secret = self.add_account(json.loads(request.get_data())["account_id"])
                    return as_json({"access_key_id": key_id, "secret_access_key": secret})
                case "GET", path if path in lists:
                    return as_json([item._asdict() for item in lists[path]])
                case "DELETE", path if path in lists:
                    lists[path].clear()
                    return as_json({})
        except (TypeError, ValueError, KeyError) as error:
            return as_json({"error": str(error)}, status=400)
        return as_json({"error": "No such page"}, status=404)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Be a WSGI application, for servers other than our own."""
        keep_body(environ)
        response = self.answer(environ)
        if response is None:
            raise ConnectionResetError("dropped on purpose")
        return response(environ, start_response)


def number(call: Call, response: Response) -> Response:
    """Give the answer the request's ID, in the headers and in an error's body ("Getting Amazon S3 request IDs")."""
    request_id = secrets.token_hex(8).upper()
    response.headers.remove("x-amzn-RequestId")  # moto's own, which botocore would prefer
    if call.service == "s3":
        response.headers["x-amz-request-id"] = request_id
        response.headers["x-amz-id-2"] = base64.b64encode(secrets.token_bytes(56)).decode()
        if response.status_code >= 400:
            error = re.sub(r"<(RequestI[dD])>.*?</\1>", "", response.get_data(as_text=True))
            response.set_data(error.replace("</Error>", f"<RequestId>{request_id}</RequestId></Error>"))
    else:
        response.headers["x-amzn-RequestId"] = request_id
        body = response.get_data(as_text=True)
        response.set_data(re.sub(r"(?<=<RequestId>).*?(?=</RequestId>)", request_id, body))
    return response


def as_json(data: object, status: int = 200) -> Response:
    """Return the data as a JSON answer."""
    return Response(json.dumps(data), status, content_type="application/json")


def keep_body(environ: dict[str, Any]) -> None:
    """Read the request's body into memory: rules look at it, and a kept connection needs it read to its end."""
    length = None if environ.get("wsgi.input_terminated") else int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    if length is not None and len(body) < length:  # IncompleteBody in "Error responses"; the one who called is gone
        raise ConnectionResetError("the request ended in the middle of its body")
    environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    environ.pop("HTTP_TRANSFER_ENCODING", None)


class RequestHandler(MotoRequestHandler):
    """HTTP with connections that are kept, which werkzeug's own handler closes after each answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; together with delayed ACKs that costs 40 ms

    def run_wsgi(self) -> None:
        """Answer one request."""
        environ = self.make_environ()
        keep_body(environ)
        emulator = self.server.app
        response = emulator.answer(environ) if isinstance(emulator, Emulator) else None
        if response is None:
            self.close_connection = True
            return
        body = response.get_data()
        if self.command == "HEAD" or response.status_code in (204, 304):
            body = b""
        else:
            response.headers["Content-Length"] = str(len(body))
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log(self, kind: str, message: str, *args: Any) -> None:
        """Stay quiet: Emulator.calls is the log."""


def main() -> None:
    """Serve until terminated, or until the parent process is gone."""
    parser = argparse.ArgumentParser(description="Amazon, emulated.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="how much longer each call takes")
    parser.add_argument("--watch-parent", action="store_true", help="end when the parent process ends")
    options = parser.parse_args()
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    parent = os.getppid()
    emulator = Emulator(options.latency).start(options.port)
    print(f"Amazon, emulated, on {emulator.url}", flush=True)  # noqa: T201 - what the one who started us waits for
    while not ended.wait(0.5):
        if options.watch_parent and os.getppid() != parent:
            break
    emulator.stop()


if __name__ == "__main__":
    main()
