"""What a server that speaks S3 can do: found out by trying it when it is linked, since none says so itself."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from console.clouds import addresses, streams
from console.clouds.contract import Check, Identity, LinkError
from console.clouds.naming import listed
from console.clouds.s3.access import node_ways
from console.clouds.s3.controls import (
    ask_for_bucket,
    create_bucket,
    keeps,
    keeps_logging,
    refuses_to_delete_what_is_not_empty,
    stop_logging,
)
from console.clouds.s3.features import features
from console.clouds.s3.plain_http import find_port, read
from console.clouds.s3.session import (
    Lacking,
    bucket_of,
    calling_s3,
    has,
    host,
    on_server,
    s3_client,
    trouble,
    verifies,
    who,
)
from console.clouds.s3.storage import cli
from console.clouds.s3.trial import (
    access_parts,
    delete,
    is_readable,
    left_out,
    ownership_part,
    policy_part,
    refusing_reading,
    remove_policy,
    tls_statement,
    versioning_part,
)
from console.clouds.s3api.buckets import document, log_delivery, log_expiry, tags, upload_expiry, version_expiry
from console.clouds.s3api.clients import forget_clients
from console.clouds.s3api.errors import bucket_arn, code_of, no_answer, unanswered
from console.clouds.s3api.settings import (
    CLOSED,
    LIFECYCLE,
    OBJECT_LOCK,
    OWNER_ENFORCED,
    OWNERSHIP,
    POLICY,
    PUBLIC_ACCESS_BLOCK,
    TAGS,
    VERSIONING,
)
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Failed, NotReady, StepError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

PROBE_KEY = "probe"
# What is answered to the creation of a bucket with Object Lock where there is none.
NO_LOCKED_BUCKETS = frozenset({"InvalidRequest", "InvalidArgument", "InvalidBucketState"})
TIDY_SECONDS = 30.0  # for deleting what a server was tried out with


def preflight(account: AccountRef, regions: Sequence[str]) -> list[Check]:
    """Return whether the server answers and knows the key, and what it was found to have when it was linked."""
    subject = on_server(account, "the server's buckets", lambda operation, action: "*")
    with calling_s3("ListBuckets", subject) as s3:
        s3.list_buckets()
    answers = Check(
        label="Answers, and knows the access key",
        on=host(account),
        outcome="pass",
        without="Nothing on this server can be created, looked at or deleted.",
    )
    found = [
        Check(one.label, host(account), "pass" if one.has else "fail", one.without, one.remark, required=False)
        for one in features(account)
    ]
    return [answers, *found]


# Linking a server


def identify(account: AccountRef) -> Identity:
    """Prove that the server is one, with buckets that are made, tried out and removed; raises LinkError."""
    for value, label, asked in (
        (account.settings.get("access_key_id"), "access key ID", "access_key_id"),
        (account.secrets.get("secret_access_key"), "secret access key", "secret_access_key"),
    ):
        if not value:
            raise LinkError(f"Enter the {label}.", asked)
    _refuse_where_it_may_not_be(account)
    name = f"pgbk-probe-{secrets.token_hex(8)}"
    probe = StoreSpec(uuid4(), "probe", account, account.settings["region"], name, f"{name}-log")
    made: list[str] = []
    try:
        found = _try_out(probe, made)
        for way in node_ways(account):
            found.keep(way, True)
    except (StepError, LinkError) as error:
        left, name = _remove_probe(probe, made), getattr(error, "field", "")
        raise LinkError(" ".join(filter(None, (str(error), left))), name, passing=_is_passing(error)) from error
    except BaseException:
        _remove_probe(probe, made)
        raise
    else:
        if left := _remove_probe(probe, made):
            raise LinkError(left)
    finally:
        forget_clients(account)  # of an account that may never be kept
    proofs = (
        f"The server {host(account)} took an object with this access key, and gave it back.",
        "Its certificate is verified." if verifies(account) else "Its certificate is NOT verified.",
    )
    return Identity(number=host(account), partition="", found=found.settings, proofs=proofs)


def _refuse_where_it_may_not_be(account: AccountRef) -> None:
    """Raise LinkError at once; each connection is checked again, but botocore tries those several times."""
    server = urlsplit(account.settings["endpoint"])
    try:
        addresses.resolve(str(server.hostname), server.port or 443, account.deployment.endpoints_allowed)
    except addresses.Forbidden as error:
        raise LinkError(str(error), "endpoint") from error
    except OSError as error:
        raise LinkError(
            f"The console cannot find the address of {host(account)}. Check the name, and the console's DNS.",
            "endpoint",
            passing=True,
        ) from error


@dataclass
class _Found:
    """What came of trying the server out, as the account's settings list it."""

    has: set[str] = field(default_factory=set)
    claims: set[str] = field(default_factory=set)
    breaks: set[str] = field(default_factory=set)
    tls_condition: str = ""
    plain: str = ""  # the port at which it answers plain HTTP

    def keep(self, name: str, is_kept: bool) -> bool:
        """Note whether the server has this, and return that."""
        if is_kept:
            self.has.add(name)
        return is_kept

    def leave_out(self, names: Collection[str]) -> None:
        """Note that a store's own work fails with these in force."""
        self.breaks.update(names)
        self.has.difference_update(names)

    @property
    def settings(self) -> dict[str, str]:
        """Return what the account's settings say from now on."""
        words = {name: " ".join(sorted(getattr(self, name))) for name in ("has", "claims", "breaks")}
        return {**words, "tls_condition": self.tls_condition, "plain": self.plain}


def _try_out(probe: StoreSpec, made: list[str]) -> _Found:
    """Return what the server has, as the account's settings list it, and put down the buckets that were made.

    What makes a store's own work fail is found where it was set: after access, after the policy, after versioning.
    """
    found, body = _Found(), secrets.token_bytes(32)
    bucket, log_bucket = probe.bucket, probe.log_bucket
    _prove_it_is_s3(probe, made, body)
    port = find_port(probe.account, bucket, PROBE_KEY, body)
    made.append(log_bucket)
    create_bucket(probe, log_bucket)
    found.keep("tags", keeps(TAGS, probe, bucket, tags(probe)))
    _try_access(probe, found)
    _try_policy(probe, found, port)
    _try_expiry(probe, found)
    found.keep("access_logging", keeps_logging(probe))
    stop_logging(probe)
    _try_versions(probe, found)
    found.keep("object_lock", _locks(probe, made))
    # Last, because a server without the guard deletes the bucket.
    found.keep("deletion_guard", refuses_to_delete_what_is_not_empty(probe, bucket))
    return found


def _try_access(probe: StoreSpec, found: _Found) -> None:
    """Turn ACLs off and close the bucket to the public, as a store's creation begins."""
    bucket, parts = probe.bucket, []
    if found.keep("ownership", keeps(OWNERSHIP, probe, bucket, OWNER_ENFORCED)):
        parts.append(ownership_part(probe, bucket, OWNER_ENFORCED))
    blocked = dict(CLOSED)
    if found.keep("public_access_block", keeps(PUBLIC_ACCESS_BLOCK, probe, bucket, CLOSED)):
        parts += access_parts(probe, bucket, blocked)
    out, _ = left_out(probe, bucket, parts)
    found.leave_out(out)
    if not any(blocked.values()):
        found.leave_out(["public_access_block"])


def _try_policy(probe: StoreSpec, found: _Found, port: int) -> None:
    """Find out whether the server refuses plain HTTP when a policy says so, and nothing else with it.

    At first only reading is refused: a policy that takes our TLS for plain HTTP, as behind a proxy that ends it, could
    else never be taken away. Where plain HTTP is answered, the policy has to refuse it; where no port for it was found,
    the opposite policy has to refuse TLS, which shows at least that the server knows what it is reached by.
    """
    account, bucket = probe.account, probe.bucket
    found.plain = str(port or "")
    harmless = False
    for condition in _conditions(account, port):
        if not keeps(POLICY, probe, bucket, refusing_reading(bucket, condition, "false")):
            continue
        if not is_readable(probe, bucket, PROBE_KEY):
            remove_policy(probe, bucket)
            found.breaks.add("bucket_policy")
            continue
        harmless = True
        if port:
            is_followed = _refuses(account, port, bucket)
        else:
            opposite = refusing_reading(bucket, condition, "true")
            is_followed = keeps(POLICY, probe, bucket, opposite) and not is_readable(probe, bucket, PROBE_KEY)
        if is_followed:
            found.breaks.discard("bucket_policy")
            _try_whole_policy(probe, found, condition)
            return
        remove_policy(probe, bucket)
    if harmless:  # and another one would have refused TLS
        found.breaks.discard("bucket_policy")
        found.claims.add("bucket_policy")


def _refuses(account: AccountRef, port: int, bucket: str) -> bool:
    """Return whether the object is refused over plain HTTP: what gives no answer, or is in trouble, refuses nothing."""
    for _ in range(3):
        status, _ = read(account, port, bucket, PROBE_KEY)
        if status and status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return status >= HTTPStatus.BAD_REQUEST
    return False


def _conditions(account: AccountRef, port: int) -> tuple[str, str]:
    """Return how a policy can say "plain HTTP", in the order to try them.

    Ceph 16.2 knows aws:SecureTransport only where it is true, so that "false" never holds and only BoolIfExists refuses
    plain HTTP. Where that cannot be tried, the stricter comes first, unless the buckets of the account have the other.
    """
    known = account.settings.get("tls_condition") or ("Bool" if has(account, "bucket_policy") else "")
    return ("Bool", "BoolIfExists") if port or known == "Bool" else ("BoolIfExists", "Bool")


def _try_whole_policy(probe: StoreSpec, found: _Found, condition: str) -> None:
    bucket, log_bucket = probe.bucket, probe.log_bucket
    whole = document(tls_statement(bucket, condition))
    if not found.keep("bucket_policy", keeps(POLICY, probe, bucket, whole)):
        remove_policy(probe, bucket)
        return
    out, _ = left_out(probe, bucket, [policy_part(probe, bucket, whole, None)])
    found.leave_out(out)
    if not out:
        found.tls_condition = condition
        delivery = log_delivery(bucket_arn(log_bucket), bucket_arn(bucket))
        keeps(POLICY, probe, log_bucket, document(delivery, tls_statement(log_bucket, condition)))


def _try_expiry(probe: StoreSpec, found: _Found) -> None:
    """Try each rule alone: a server that refuses one may well keep another."""
    bucket = probe.bucket
    for name, rule in (
        ("log_expiry", {key: part for key, part in log_expiry().items() if key != "AbortIncompleteMultipartUpload"}),
        ("version_expiry", version_expiry(1)),
        ("upload_expiry", upload_expiry()),
    ):
        found.keep(name, keeps(LIFECYCLE, probe, bucket, [rule]))


def _try_versions(probe: StoreSpec, found: _Found) -> None:
    """Keep versions, with all that expires at once as in a protected store, and see that an object gets one."""
    bucket = probe.bucket
    if not found.keep("versioning", keeps(VERSIONING, probe, bucket, "Enabled")):
        return
    out, versions = left_out(probe, bucket, [versioning_part(probe, bucket)])
    found.leave_out(out)
    if not (versions or out):
        found.has.discard("versioning")
        found.claims.add("versioning")
    both = [
        rule
        for name, rule in (("upload_expiry", upload_expiry()), ("version_expiry", version_expiry(1)))
        if name in found.has
    ]
    if len(both) > 1 and not keeps(LIFECYCLE, probe, bucket, both):
        found.has.discard("upload_expiry")


def _locks(probe: StoreSpec, made: list[str]) -> bool:
    """Return whether the server makes buckets that can lock what is in them; nothing is written into this one."""
    name = f"{probe.bucket}-lock"
    made.append(name)
    try:
        create_bucket(probe, name, locked=True)
        return keeps(OBJECT_LOCK, probe, name, {"mode": "GOVERNANCE", "days": 1})
    except Lacking:
        return False
    except Failed as error:
        if error.details.get("code") in NO_LOCKED_BUCKETS:
            return False
        raise


# What servers answer to the first call, beside the form field that it is about.
REFUSALS = {
    "InvalidAccessKeyId": ("This server does not know this access key ID.", "access_key_id"),
    "SignatureDoesNotMatch": (
        "This secret does not belong to the access key ID; or a proxy on the way changes the path or the Host header, "
        "which are signed.",
        "secret_access_key",
    ),
    "AuthorizationHeaderMalformed": ("The server does not accept this region.", "region"),
    "RequestTimeTooSkewed": (
        "The clocks of the console and of the server differ by more than 15 minutes. Set them, then try again.",
        "endpoint",
    ),
    "AccessDenied": (
        "This access key may not make buckets. Allow s3:CreateBucket, and all of s3:* on buckets named pgbk-*.",
        "access_key_id",
    ),
    "TooManyBuckets": ("The user of this access key may have no more buckets. Have the limit raised.", "access_key_id"),
}


MAY_NOT_DELETE = (
    "This access key may not delete buckets, so nothing was made. Allow s3:DeleteBucket, and all of s3:* on buckets "
    "named pgbk-*."
)
# What is no error of S3's and comes from something else that speaks HTTP, and not only from a proxy in the way.
NOT_S3 = frozenset({301, 302, 303, 307, 308, 400, 401, 404, 405, 501})
PASSING = frozenset({"SlowDown", "429", "408", "RequestTimeout", "TooManyRequests", "XMinioServerNotInitialized"})


# The trouble of a server, or of whose key it is, that says nothing about the account: all that is not one of these, or
# that nobody at the other end speaks S3.
UNDOING = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "AccessDenied"})


def _is_passing(error: StepError | LinkError) -> bool:
    """Return whether the same may work later, so that an account which was verified stays so."""
    if isinstance(error, LinkError):
        return error.passing
    code = error.details.get("code", "")
    return isinstance(error, NotReady) or (bool(code) and code not in UNDOING and "action" not in error.details)


def _prove_it_is_s3(probe: StoreSpec, made: list[str], body: bytes) -> None:
    """Make a bucket, write an object into it and read that back; raises LinkError or a StepError.

    What is made has to go again: so the deletion of a bucket is asked for before there is one, of a name that nobody
    has, and that of objects while the bucket has none.
    """
    account, bucket = probe.account, probe.bucket
    s3 = s3_client(account)
    with _first_call(account):
        _may_delete(s3, bucket)
        try:
            ask_for_bucket(s3, bucket, probe.region)
        except (ReadTimeoutError, ConnectionClosedError):  # the answer got lost, the bucket may be there
            made.append(bucket)
            raise
    made.append(bucket)
    delete(probe, bucket, PROBE_KEY)
    bucket_of(probe, bucket).empty()
    with _first_call(account):
        s3.put_object(Bucket=bucket, Key=PROBE_KEY, Body=body)
        same = s3.get_object(Bucket=bucket, Key=PROBE_KEY)["Body"].read() == body
    if not same:
        raise LinkError(f"What answers at {host(account)} is not an S3 server: it does not keep objects.", "endpoint")


@contextmanager
def _first_call(account: AccountRef) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _link_error(error, account) from error
    except unanswered() as raised:
        why = no_answer(raised)
        passing = isinstance(why, (HTTPClientError, NoConnectionError)) and not isinstance(why, SSLError)
        raise LinkError(*trouble(why, account), passing=passing) from raised


def _may_delete(s3: S3Client, bucket: str) -> None:
    """Ask to delete a bucket that is not there; raises ClientError unless the answer is just that."""
    try:
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        if code_of(error) not in {"NoSuchBucket", "404"}:
            raise


def _link_error(error: ClientError, account: AccountRef) -> LinkError:
    code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = error.response.get("Error", {}).get("Message", "")
    if code in REFUSALS:
        words, name = REFUSALS[code]
        if code == "AccessDenied" and error.operation_name == "DeleteBucket":
            words = MAY_NOT_DELETE
        return LinkError(words, name, passing=code not in UNDOING)
    if status >= 500 or code in PASSING:
        return LinkError(f"{who(account)} is not ready or busy ({_told(code, said)}). Try again later.", passing=True)
    if code.isdigit() and status in NOT_S3:
        return LinkError(f"What answers at {host(account)} is not an S3 server (status {code}).", "endpoint")
    return LinkError(f"{who(account)} refused to be tried out ({_told(code, said)}).", passing=True)


def _told(code: str, said: str) -> str:
    code = f"status {code}" if code.isdigit() else code
    return f"{code}: {said}" if said else code


def _remove_probe(probe: StoreSpec, made: list[str]) -> str:
    """Leave nothing of the probe behind; returns what to do about the buckets that the server does not let go."""
    with streams.within(TIDY_SECONDS, math.inf, afresh=True):  # also when trying it out took all the time there was
        kept = [name for name in made if not _is_gone(probe, name)]
    if not kept:
        return ""
    options, *_ = cli(probe.account, probe.region)
    commands = "; ".join(f"aws s3 rb s3://{name} --force {options}" for name in kept)
    return (
        f"The console could not delete {listed(tuple(kept))}, made to try the server out. Delete that by hand, signed "
        f"in as a user of the server who may: {commands}. And allow the console's key s3:ListBucketVersions, "
        "s3:DeleteObject, s3:DeleteObjectVersion and s3:DeleteBucket on buckets named pgbk-*."
    )


def _is_gone(probe: StoreSpec, name: str) -> bool:
    """Return whether the bucket is gone; whatever goes wrong here hides nothing that went wrong before."""
    bucket = bucket_of(probe, name)
    try:
        bucket.empty()
    except Exception:  # it may be our own policy that refuses this
        with suppress(Exception):
            remove_policy(probe, name)
        with suppress(Exception):  # what matters is whether the bucket goes
            bucket.empty()
    try:
        return bucket.delete()
    except StepError as error:
        return error.details.get("code") == "NoSuchBucket"
    except Exception:
        log.exception("Deleting %s, with which a server was tried out", name)
        return False
