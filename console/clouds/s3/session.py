"""Getting into a server that speaks S3 and is not Amazon's: clients with TLS of their own, and what its errors mean.

An account's settings are: `endpoint` (https://host[:port]), `region` (that requests are signed for), `location` (the
code of a place), `addressing_style` (path or host), `ca_certificate` (PEM, or nothing for the system's),
`skip_tls_verify` (anything means that certificates are not verified), `access_key_id`, and what the server was found to
be, each as words with spaces between them: `has`, what it keeps and does; `claims`, what it keeps and does not do;
`breaks`, with what in force it refuses a store's own work; `tls_condition`, how it has to be told to refuse plain HTTP.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import ssl
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, HTTPClientError, SSLError
from botocore.exceptions import ConnectionError as NoConnectionError
from urllib3.exceptions import InsecureRequestWarning

from console.clouds import addresses, streams
from console.clouds.regions import Region, find, places
from console.clouds.s3.guard import guard
from console.clouds.s3api.buckets import Bucket
from console.clouds.s3api.clients import FOREVER, client_of, network, s3_network, send_md5
from console.clouds.s3api.errors import (
    S3_ACTIONS,
    SHARED_ERRORS,
    UNKNOWN,
    CallTarget,
    Row,
    answered,
    bucket_arn,
    bucket_resource,
    by_code,
    no_answer,
    unanswered,
    unreadable,
    wait,
)
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Conflict, Denied, Failed, NotReady, StepError

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client

# That a server's certificate is not verified is said to people, on its account's page, and not with each request.
warnings.filterwarnings("ignore", category=InsecureRequestWarning)

# Nothing that is set for Amazon in the environment or in a configuration file may redirect these clients. Checksums
# that S3 does not ask for are left out: many servers refuse them, and others store them as if they were data.
OWN_WAY: Any = {
    "proxies": {},
    "use_dualstack_endpoint": False,
    "use_fips_endpoint": False,
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


# Where and what the server is


def host(account: AccountRef) -> str:
    """Return the server's name, with its port if that is not 443."""
    return urlsplit(account.settings["endpoint"]).netloc


def who(account: AccountRef) -> str:
    """Return the server as the subject of a sentence."""
    return f"The server {host(account)}"


def verifies(account: AccountRef) -> bool:
    """Return whether the server's certificate is verified: always, unless someone said no."""
    return not account.settings.get("skip_tls_verify")


def has(account: AccountRef, feature: str) -> bool:
    """Return whether the server was found to have this, when the account was linked or last verified."""
    return feature in account.settings.get("has", "").split()


def claims(account: AccountRef, feature: str) -> bool:
    """Return whether the server was found to keep this and not to do it."""
    return feature in account.settings.get("claims", "").split()


def breaks(account: AccountRef, feature: str) -> bool:
    """Return whether a store's own work was found to be refused with this in force."""
    return feature in account.settings.get("breaks", "").split()


def own_region(account: AccountRef) -> Region:
    """Return the server as a region: the code that requests are signed for, where the server stands."""
    place = find("s3", account.settings.get("location", "")) or places()[0]
    return replace(place, code=account.settings["region"], name=host(account), is_signing=True)


def node_regions(account: AccountRef) -> list[Region]:
    """Return the server's own region, then every place where a node may be."""
    own = own_region(account)
    return [own, *(place for place in places() if place.code != own.code)]


# Clients


def s3_client(account: AccountRef) -> S3Client:
    """Return the account's client, made anew when anything about the account changed."""
    style = {"addressing_style": "virtual" if account.settings.get("addressing_style") == "host" else "path"}
    client: S3Client = _client("s3", account, s3_network(s3=style, **OWN_WAY))
    return client


def iam_client(account: AccountRef) -> IAMClient:
    """Return the account's client of the server's IAM, which is at the same address where there is one."""
    client: IAMClient = _client("iam", account, network(**OWN_WAY))
    return client


def _client(service: Literal["s3", "iam"], account: AccountRef, config: Config) -> Any:
    _trusted(account)  # its file may have been tidied away since the client was made
    return client_of(
        service,
        account,
        account.settings["region"],
        lambda: (_options(account, config), FOREVER),
        partial(_prepare, service, account),
    )


def _prepare(service: str, account: AccountRef, client: Any) -> None:
    guard(client, account.deployment.endpoints_allowed)
    if service == "s3":
        send_md5(client)


def _options(account: AccountRef, config: Config) -> dict[str, Any]:
    return {
        "config": config,
        "endpoint_url": account.settings["endpoint"],
        "verify": _trusted(account),
        "aws_access_key_id": account.settings.get("access_key_id", ""),
        "aws_secret_access_key": account.secrets.get("secret_access_key", ""),
    }


def _trusted(account: AccountRef) -> str | bool:
    """Return what this one client trusts: the file of a CA, or False for any certificate."""
    if not verifies(account):
        return False
    if certificate := account.settings.get("ca_certificate"):
        return _file_of(certificate)
    # The system's own list, which the nodes trust too, and not the one that comes with botocore.
    return ssl.get_default_verify_paths().cafile or True


@cache
def _folder() -> Path:
    """Return a folder that only this process reads, gone when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="storekeeper-ca-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _file_of(certificate: str) -> str:
    """Return a file with this certificate, named after its content: one that is there is never another."""
    path = _folder() / f"{hashlib.sha256(certificate.encode()).hexdigest()}.pem"
    if not path.exists():
        path.parent.mkdir(mode=0o700, exist_ok=True)
        unfinished = path.with_suffix(f".{get_ident()}")  # two threads may need it at once
        unfinished.write_text(certificate)
        unfinished.replace(path)
    return str(path)


# Calls, and what their errors mean


class Lacking(Failed):
    """The server does not have what the call is about."""


# Beside those of all buckets, the actions of the calls that the console makes here alone.
SERVER_ACTIONS = {
    **S3_ACTIONS,
    "DeleteBucketPolicy": ("s3:DeleteBucketPolicy",),
    "PutObject": ("s3:PutObject",),
    "DeleteObjects": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    **{
        name: (f"iam:{name}",)
        for name in (
            *("CreateUser", "GetUser", "TagUser", "ListUserTags", "DeleteUser"),
            *("PutUserPolicy", "GetUserPolicy", "DeleteUserPolicy"),
            *("CreateAccessKey", "ListAccessKeys", "DeleteAccessKey"),
        )
    },
}
# What a server answers that lacks the one setting that a call is about; anything else is trouble, and proves nothing.
# - NoSuchKey, 404: it looks for an object, or for a page of that name.
# - BucketAlreadyExists, BucketAlreadyOwnedByYou, InvalidArgument: it takes the setting for a creation, as SeaweedFS
#   4.48 (logging) and Ceph 16.2 (ownership) were seen to do.
# - MalformedXML: it reads what it knows of the form, and this is not in it (Swift 2.30 of ownership).
# - MalformedPolicy, InvalidPolicyDocument: the same of a policy's words (SeaweedFS 4.48 of BoolIfExists).
# - InvalidTargetBucketForLogging: it logs only where a policy lets it, and keeps no policy that a store can have.
# - The others are how S3 says that a bucket has no Object Lock (S3 API reference, PutObjectLockConfiguration).
FOREIGN = ["BucketAlreadyExists", "BucketAlreadyOwnedByYou", "InvalidArgument", "MalformedXML"]
LACKING = {
    **{
        f"Put{name}": FOREIGN
        for name in (
            *("BucketTagging", "BucketOwnershipControls", "PublicAccessBlock", "BucketVersioning"),
            "BucketLifecycleConfiguration",
        )
    },
    "PutBucketLogging": [*FOREIGN, "InvalidTargetBucketForLogging"],
    "PutBucketPolicy": [*FOREIGN, "MalformedPolicy", "InvalidPolicyDocument"],
    "PutObjectLockConfiguration": [
        *(*FOREIGN, "InvalidBucketState", "InvalidRequest", "ObjectLockConfigurationNotFoundError"),
        "NoSuchObjectLockConfiguration",
    ],
    "GetObjectLockConfiguration": ["NoSuchObjectLockConfiguration"],
}
LACKING |= {
    f"Get{name[3:]}": [*LACKING.get(f"Get{name[3:]}", []), "NoSuchKey", "404"]
    for name in list(LACKING)
    if name[:3] == "Put"
}
SERVER_ERRORS: dict[str, Row] = SHARED_ERRORS | by_code(
    (
        (
            "AccessDenied UnauthorizedAccess 403",
            Denied,
            "{who} refused {action} on {name}. Allow it for the access key of the console (the statement is in the "
            "details), then try again. It says: {reason}",
        ),
        (
            "InvalidAccessKeyId InvalidClientTokenId SignatureDoesNotMatch",
            Failed,
            "{who} does not accept the console's access key any more. Change it on the account's page.",
        ),
        (
            "CreateBucket:BucketAlreadyExists",
            Conflict,
            "The name {name} is taken on this server by somebody else.",
        ),
        (
            "TooManyBuckets",
            Failed,
            "{who} allows the console's user no more buckets. Delete unused ones, or have the limit raised, then try "
            "again.",
        ),
        (
            "LimitExceeded",
            Failed,
            "{who} allows no more users or access keys. Delete unused ones, then try again. It says: {reason}",
        ),
        (
            "RequestTimeTooSkewed",  # not final, because another worker's clock may be right
            wait(600),
            "The clocks of the console and of the server differ by more than 15 minutes. Set them, then try again.",
        ),
        (
            "AuthorizationHeaderMalformed CreateBucket:IllegalLocationConstraintException "
            "CreateBucket:InvalidLocationConstraint CreateBucket:InvalidRegion",
            Failed,
            "{who} does not accept the region {region}. Change it on the account's page. It says: {reason}",
        ),
        (
            "NotImplemented 501 MethodNotAllowed 405",
            Lacking,
            "{who} does not have {operation}, which the console needs.",
        ),
        (
            " ".join(f"{operation}:{code}" for operation, codes in LACKING.items() for code in codes),
            Lacking,
            "{who} does not know {operation} as the console needs it: {code}: {reason}",
        ),
        (UNKNOWN, Failed, "{who} refused the request for {name}: {code}: {reason}"),
    )
)


def on_server(account: AccountRef, name: str, resource: Callable[[str, str], str], **details: str) -> CallTarget:
    """Return something on the server as the subject of a call."""
    return CallTarget(
        account=account,
        service=host(account),
        region=account.settings["region"],
        name=name,
        details=details,
        resource=resource,
        who=who(account),
        actions=SERVER_ACTIONS,
        errors=SERVER_ERRORS,
    )


@contextmanager
def calling(operation: str, spec: StoreSpec, bucket: str) -> Iterator[S3Client]:
    """Lend a client for one call on one bucket; whatever botocore raises leaves as a StepError."""
    resource = partial(bucket_resource, bucket_arn(bucket))
    with calling_s3(operation, on_server(spec.account, bucket, resource, bucket=bucket)) as client:
        yield client


@contextmanager
def calling_s3(operation: str, subject: CallTarget) -> Iterator[S3Client]:
    """Lend a client for one call; whatever botocore raises leaves as a StepError."""
    with _reporting(operation, subject):
        yield s3_client(subject.account)


@contextmanager
def calling_iam(operation: str, subject: CallTarget) -> Iterator[IAMClient]:
    """Lend a client for one call on a user; whatever botocore raises leaves as a StepError."""
    with _reporting(operation, subject):
        yield iam_client(subject.account)


@contextmanager
def _reporting(operation: str, subject: CallTarget) -> Iterator[None]:
    try:
        with streams.within():
            yield
    except ClientError as error:
        raise _answered(error, subject) from error
    except unanswered() as error:
        raise _unanswered(no_answer(error), operation, subject) from error


def _answered(error: ClientError, subject: CallTarget) -> StepError:
    """Return what the answer means; 405 and 501 say that the call is not there, whatever code is beside them."""
    found = answered(error, subject)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status in {405, 501} and not isinstance(found, Lacking):
        return Lacking(found.message, **found.details)
    return found


def _unanswered(error: Exception, operation: str, subject: CallTarget) -> StepError:
    message, _ = trouble(error, subject.account)
    details = {"code": type(error).__name__, "operation": operation, **subject.details}
    if _forbidden(error):
        return Failed(message, **details)
    if isinstance(error, (HTTPClientError, NoConnectionError)) and not isinstance(error, SSLError):
        return NotReady(message, patience=600, **details)
    if isinstance(error, unreadable()):
        return Lacking(message, **details)
    return Failed(message, **details)


def _forbidden(error: Exception) -> str:
    """Return why the console does not connect to where the server is, if that is why there was no answer."""
    cause = getattr(getattr(error, "kwargs", {}).get("error"), "__cause__", None)
    return str(cause) if isinstance(cause, addresses.Forbidden) else ""


def trouble(error: Exception, account: AccountRef) -> tuple[str, str]:
    """Return why there was no answer of an S3 server, in words, and the form field that this is about."""
    server, reason = host(account), str(error)
    if forbidden := _forbidden(error):
        return forbidden, "endpoint"
    if isinstance(error, SSLError):
        return _tls_trouble(reason, server)
    if isinstance(error, (HTTPClientError, NoConnectionError)):
        if "resolve" in str(error.kwargs.get("error")):
            return (
                f"The console cannot find the address of {server}. Check the name, and the console's DNS.",
                "endpoint",
            )
        if ended := streams.end_of(error):
            said = f"The console stopped reading what {server} answered: {ended}."
        else:
            said = (
                f"The console got no answer from {server}. Check that the server runs, the port, and that the network "
                "lets the console through."
            )
        return said, "endpoint"
    if isinstance(error, unreadable()):
        return f"What answers at {server} is not an S3 server.", "endpoint"
    return f"The call could not be made: {reason}", ""


def _tls_trouble(reason: str, server: str) -> tuple[str, str]:
    lowered = reason.lower()
    if "match" in lowered and "length_mismatch" not in lowered:  # hostname mismatch, IP address mismatch, doesn't match
        return (
            f"The certificate of the server is not for the name {server}. Enter a name that it is for, or give the "
            "server a certificate with this one.",
            "endpoint",
        )
    if "expired" in lowered or "not yet valid" in lowered:
        return f"The certificate of {server} has expired or is not valid yet. Renew it on the server.", "endpoint"
    if "certificate_verify_failed" in lowered:
        return (
            f"The console does not trust the certificate of {server}. Paste the certificate of the authority (CA) that "
            "signed it.",
            "ca_certificate",
        )
    return f"{server} does not speak TLS at this port: enter the port of its https.", "endpoint"


def bucket_of(spec: StoreSpec, name: str) -> Bucket:
    """Return a bucket of the store, for what all S3 servers do alike."""
    return Bucket(name, lambda operation: calling(operation, spec, name), {}, doubted=True)
