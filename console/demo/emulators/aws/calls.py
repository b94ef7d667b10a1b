"""A call to AWS, taken apart: who makes it, what it asks for, and of which bucket; and how AWS refuses it."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape  # which parses nothing

import botocore.session
import xmltodict  # type: ignore[import-untyped]
from moto.iam.models import IAMBackend, Role, iam_backends
from moto.s3.models import FakeBucket, s3_backends
from moto.s3.responses import S3Response
from moto.s3.utils import bucket_name_from_url
from moto.sts.models import sts_backends
from moto.utilities.utils import PARTITION_NAMES, get_partition
from werkzeug.wrappers import Request, Response

from console.demo.credentials import AMAZON
from console.demo.emulators.aws.permissions import Asked, as_list

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
        self.let_in = False  # to another account's bucket, by that bucket's policy

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
    return iam_backends[call.account_id or AMAZON["account_id"]][get_partition(call.region)]


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
    backend = sts_backends[call.account_id or AMAZON["account_id"]][get_partition(call.region)]
    arn = backend.get_caller_identity(call.access_key_id, call.region)[1]
    return f"User: {arn} is not authorized to perform: {action} on resource: {resource}"


def create_configuration(call: Call) -> dict[str, Any]:
    """Return the CreateBucketConfiguration that was sent, or an empty one."""
    return (xmltodict.parse(call.body)["CreateBucketConfiguration"] if call.body else None) or {}
