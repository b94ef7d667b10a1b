"""What other S3 servers, and proxies before them, answer otherwise than SeaweedFS does: a row for each, with sources.

To add a server is to add a row: by operation, what it answers (an Answer, or a function of the request that returns one
or None), and which features the console has to find lacking there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.clouds.quirks.layer import Answer, Request

Rule = Callable[[Request], Answer | None]

NOT_IMPLEMENTED = Answer(501, "NotImplemented")
LIST_OF_OBJECTS = Answer(200, body="<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
NO_TAGS = Answer(200, body="<Tagging><TagSet></TagSet></Tagging>")
OFF = Answer(200, body="<VersioningConfiguration></VersioningConfiguration>")


@dataclass(frozen=True)
class Row:
    """One server, or one proxy: `lacks` are the features of an account that have to be found lacking on it.

    `refused`: what the link has to say when there can be none.
    """

    source: str
    answers: Mapping[str, Rule] = field(default_factory=dict)
    lacks: frozenset[str] = frozenset()
    refused: str = ""
    changes: Mapping[str, Callable[[bytes], bytes]] = field(default_factory=dict)  # of what the server answered

    def answer(self, request: Request) -> Rule | None:
        return self.answers.get(request.operation) or self.answers.get(f"{request.method} *") or self.answers.get("*")

    def changed(self, operation: str, data: bytes) -> bytes:
        """Return what becomes of an answer of the server, whatever its status."""
        return self.changes.get(operation, bytes)(data)


def each(verbs: str, names: str, answer: Rule) -> dict[str, Rule]:
    """Return the same answer for each of these operations."""
    return {f"{verb}{name}": answer for name in names.split() for verb in verbs.split()}


def without_md5(code: str, message: str = "") -> Rule:
    """Refuse what comes without Content-MD5, and let the rest through."""

    def rule(request: Request) -> Answer | None:
        return None if "content-md5" in request.headers else Answer(400, code, message)

    return rule


def with_checksum(request: Request) -> Answer | None:
    """Refuse the headers of newer checksums, as B2 does."""
    for name in request.headers:
        if name.startswith(("x-amz-checksum", "x-amz-sdk-checksum")):
            return Answer(400, "InvalidArgument", f"Unsupported header '{name}' received for this API call.")
    return None


def only_aborts(request: Request) -> Answer | None:
    """Refuse a lifecycle with a rule that does nothing but abort uploads."""
    for rule in re.findall(rb"<Rule>.*?</Rule>", request.body, re.S):
        if b"<AbortIncompleteMultipartUpload>" in rule and b"Expiration>" not in rule:
            return Answer(400, "MalformedXML", "The XML you provided was not well-formed.")
    return None


def without_abort(data: bytes) -> bytes:
    """Forget what a rule says of unfinished uploads, and keep the rest of it."""
    return re.sub(rb"<AbortIncompleteMultipartUpload>.*?</AbortIncompleteMultipartUpload>", b"", data, flags=re.S)


def both(*rules: Rule) -> Rule:
    """Answer what the first of these answers."""
    return lambda request: next(filter(None, (rule(request) for rule in rules)), None)


def locked(request: Request) -> Answer | None:
    """Refuse a bucket that is to have Object Lock."""
    return NOT_IMPLEMENTED if request.headers.get("x-amz-bucket-object-lock-enabled") == "true" else None


def at_most(size: int) -> Rule:
    """Refuse bodies that are longer, as a proxy does."""
    return lambda request: Answer(413, body="<html>413</html>") if len(request.body) > size else None


EXTRAS = "BucketLogging BucketOwnershipControls PublicAccessBlock"
NO_EXTRAS = {**each("Get Put", EXTRAS, NOT_IMPLEMENTED)}
NO_VERSIONS = {
    **each("Get Put", "BucketVersioning ObjectLockConfiguration", NOT_IMPLEMENTED),
    "ListObjectVersions": NOT_IMPLEMENTED,
    "CreateBucket": locked,
}
WANTS_MD5 = each(
    "Put",
    "BucketLifecycleConfiguration BucketTagging BucketPolicy ObjectLockConfiguration",
    without_md5("MissingContentMD5"),
) | {"DeleteObjects": without_md5("MissingContentMD5")}
VERSIONS = frozenset({"versioning", "object_lock"})
EXPIRY = frozenset({"upload_expiry", "version_expiry", "log_expiry"})
POLICY = each("Get Put Delete", "BucketPolicy", NOT_IMPLEMENTED)
TAGS = each("Get Put Delete", "BucketTagging", NOT_IMPLEMENTED)
NO_IAM = {"IAM": NOT_IMPLEMENTED}
GUARD = {"DeleteBucket": lambda request: Answer(409, "BucketNotEmpty") if request.holds() else None}

NO_MULTI_DELETE = Row("servers that say 405", {"DeleteObjects": Answer(405, "MethodNotAllowed")})

TRIAL = "storekeeper-trial/"


class Folders:
    """A multi-delete leaves the folder of what it deleted, listed like an object; only DeleteObject takes it away."""

    def __init__(self):
        self.left = set()

    def answers(self):
        return {"DeleteObjects": self._many, "DeleteObject": self._one, "DeleteBucket": self._bucket}

    def changes(self):
        return {
            "ListObjectsV2": lambda data: self._listed(data, "Contents", "</ListBucketResult>"),
            "ListObjectVersions": lambda data: self._listed(data, "Version", "</ListVersionsResult>"),
        }

    def _many(self, request):
        if f"{TRIAL}object".encode() in request.body:
            self.left.add(request.bucket)

    def _one(self, request):
        if not request.path.endswith(f"/{TRIAL}"):
            return None
        self.left.discard(request.bucket)
        return Answer(204)

    def _bucket(self, request):
        return Answer(409, "BucketNotEmpty") if request.bucket in self.left else None

    def _listed(self, data, tag, end):
        name, prefix = (re.search(rb"<%s>(.*?)</%s>" % (one, one), data) for one in (b"Name", b"Prefix"))
        if not name or name[1].decode() not in self.left or (prefix and not TRIAL.encode().startswith(prefix[1])):
            return data
        entry = f"<{tag}><Key>{TRIAL}</Key><VersionId>null</VersionId><Size>0</Size></{tag}>{end}"
        return data.replace(end.encode(), entry.encode())


FOLDERS = Folders()

ROWS: dict[str, Row] = {
    "SeaweedFS as it is": Row("the server behind this layer"),
    "R2": Row(
        "Cloudflare R2 docs, S3 API compatibility: unimplemented bucket-level operations",
        {**NO_EXTRAS, **NO_VERSIONS, **POLICY, **TAGS, **NO_IAM, **GUARD},
        VERSIONS | {"bucket_policy", "tags", "ownership", "iam_users"},
    ),
    "Garage": Row(
        "Garage reference manual, S3 compatibility status: 501 for all that is not in its list; GetBucketVersioning "
        "is a stub",
        {**NO_EXTRAS, **NO_VERSIONS, "GetBucketVersioning": OFF, **POLICY, **TAGS, **NO_IAM, **GUARD},
        VERSIONS | {"bucket_policy", "tags", "ownership", "iam_users"},
    ),
    "B2": Row(
        "Backblaze, S3-compatible API, unsupported features; home-assistant/core issue 143995",
        {
            **NO_EXTRAS,
            **POLICY,
            **TAGS,
            **NO_IAM,
            **each("Get Put", "BucketLifecycleConfiguration", NOT_IMPLEMENTED),
            "*": with_checksum,
        },
        EXPIRY | {"bucket_policy", "tags", "ownership", "iam_users"},
    ),
    "Wasabi": Row(
        "Wasabi S3 API reference (no public access block, no ownership controls). That its lifecycle wants an expiry "
        "is unproved: no document was found that says so",
        {
            **each("Get Put", "BucketOwnershipControls PublicAccessBlock", NOT_IMPLEMENTED),
            "PutBucketLifecycleConfiguration": only_aborts,
            **NO_IAM,
        },
        frozenset({"ownership", "iam_users", "upload_expiry"}),
    ),
    "Ceph before 17.2.7": Row(
        "ceph/ceph pull 27993 (bucket tags, with NoSuchTagSetError), tracker 55460 and pull 50533, which end that; "
        "rgw_rest_s3.cc: a subresource that it does not know is the bucket's",
        {
            "PutBucketOwnershipControls": Answer(200),
            "GetBucketOwnershipControls": LIST_OF_OBJECTS,
            **NO_IAM,
            **GUARD,
        },
        frozenset({"ownership", "iam_users"}),
        changes={"GetBucketTagging": lambda data: data.replace(b">NoSuchTagSet<", b">NoSuchTagSetError<")},
    ),
    "MinIO": Row(
        "minio/minio cmd/api-errors.go and pull 9852 (MissingContentMD5), cmd/api-router.go (rejected bucket APIs), "
        "internal/bucket/lifecycle/rule.go; issues 15681, 16120 and minio/minio-py 1093 (a rule that only aborts "
        "uploads is refused), 19115 (beside an expiry that part is dropped)",
        {
            **NO_EXTRAS,
            **WANTS_MD5,
            "PutBucketLifecycleConfiguration": both(without_md5("MissingContentMD5"), only_aborts),
            "IAM": Answer(405, "MethodNotAllowed"),
            **GUARD,
        },
        frozenset({"ownership", "iam_users", "upload_expiry"}),
        changes={"GetBucketLifecycleConfiguration": without_abort},
    ),
    "lists no versions": Row("NotImplemented for all of versioning", {**NO_VERSIONS, **GUARD}, VERSIONS),
    "lists objects for versions": Row(
        "jamhall/s3rver lib/controllers/bucket.js: a query that it does not know is a list of objects",
        {
            **each("Get", "BucketVersioning ObjectLockConfiguration BucketTagging BucketPolicy", LIST_OF_OBJECTS),
            **each("Get", f"BucketLifecycleConfiguration {EXTRAS}", LIST_OF_OBJECTS),
            "ListObjectVersions": LIST_OF_OBJECTS,
            "ListMultipartUploads": LIST_OF_OBJECTS,
            **NO_IAM,
        },
        VERSIONS | EXPIRY | {"bucket_policy", "tags", "ownership", "iam_users"},
    ),
    "wants Content-MD5": Row("S3 API reference, PutBucketLifecycle: Content-MD5 is required", {**WANTS_MD5, **GUARD}),
    "says that there is no upload": Row(
        "rclone 1.75, serve s3, of a bucket without unfinished uploads (make servers-test)",
        {"ListMultipartUploads": Answer(404, "NoSuchUpload")},
    ),
    "has no list of uploads": Row("servers that say 501", {"ListMultipartUploads": NOT_IMPLEMENTED}),
    "empty tags for every name": Row(
        "openstack/swift swift/common/middleware/s3api/controllers/tagging.py",
        {"GetBucketTagging": NO_TAGS, "PutBucketTagging": NOT_IMPLEMENTED},
        frozenset({"tags"}),
    ),
    "logs only where a policy lets it": Row(
        "S3 user guide, Troubleshoot server access logging; moto 5 behind nginx, where no policy is kept",
        {"PutBucketLogging": Answer(400, "InvalidTargetBucketForLogging"), **POLICY},
        frozenset({"access_logging", "bucket_policy"}),
    ),
    "keeps empty folders": Row("JuiceFS 1.4, S3 gateway", FOLDERS.answers(), changes=FOLDERS.changes()),
    "lists buckets without dates": Row(
        "ListBuckets of servers that keep none",
        changes={"ListBuckets": lambda data: re.sub(rb"<CreationDate>.*?</CreationDate>", b"", data)},
    ),
    "a proxy that lets no HEAD through": Row("nginx limit_except", {"HEAD *": Answer(405)}),
    "a proxy that takes 100 KB at once": Row("nginx client_max_body_size", {"*": at_most(100_000)}),
    "a proxy that adds a path": Row(
        "nginx proxy_pass with a path: the server checks the signature of another request",
        {"*": Answer(403, "SignatureDoesNotMatch")},
        refused="secret",
    ),
}
