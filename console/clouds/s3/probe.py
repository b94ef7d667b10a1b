"""What a server that speaks S3 can do: found out by trying it when it is linked, since none says so itself."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from contextlib import suppress
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
from console.clouds.contract import AccountRef, Capabilities, Check, Feature, Identity, LinkError, StoreSpec
from console.clouds.naming import listed, lower_first
from console.clouds.s3.access import USERS, makes_users
from console.clouds.s3.controls import (
    ask_for_bucket,
    create_bucket,
    keeps,
    keeps_logging,
    refuses_to_delete_what_is_not_empty,
    stop_logging,
)
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
from console.clouds.s3api.buckets import document, log_delivery, only_tls, tags, upload_expiry, version_expiry
from console.clouds.s3api.clients import forget_clients
from console.clouds.s3api.errors import NO_ANSWER, bucket_arn, code_of, no_answer
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
from console.clouds.steps import Denied, Failed, NotReady, StepError

TIDY_SECONDS = 5.0  # for deleting what a server was tried out with

# What a store would like of its server: as an account's settings list it, its label, and what it means not to have it.
WISHES = (
    ("access_logging", "Access logging", "Who read or changed backups is not recorded; the log bucket stays empty."),
    ("bucket_policy", "TLS-only policy", "If the server also listens for plain HTTP, backups may be sent unencrypted."),
    (
        "upload_expiry",
        "Expiry of unfinished uploads",
        "What an interrupted backup has half uploaded takes up room until somebody deletes it.",
    ),
    (
        "public_access_block",
        "Public access block",
        "Nothing stops an administrator of the server from opening a bucket to everybody by mistake.",
    ),
    ("versioning", "Versioning", "What is deleted or overwritten is gone at once: there are no protected stores."),
    (
        "version_expiry",
        "Expiry of older versions",
        "Older versions would take up room for ever: there are no protected stores.",
    ),
    (
        "object_lock",
        "Object Lock",
        "Protected stores keep versions, and who may delete versions on the server can still delete those.",
    ),
    (USERS, "IAM users", "The access keys of the nodes have to be made by hand, with the policy that is shown."),
    (
        "deletion_guard",
        "Refusal to delete what is not empty",
        "The server would delete a bucket with what is in it: the console closes it to writers and counts again.",
    ),
)


def capabilities(account: AccountRef) -> Capabilities:
    """Return what can be done with the server, as it was found to be."""
    versions = has(account, "versioning") and has(account, "version_expiry")
    return Capabilities(
        versions=versions,
        lock=versions and has(account, "object_lock"),
        access_logs=has(account, "access_logging"),
        node_key_by_hand=not has(account, USERS),
        features=features(account),
    )


def features(account: AccountRef) -> list[Feature]:
    """Return what the server was found to have and to lack."""
    return [Feature(label, has(account, name), without) for name, label, without in WISHES]


def linked(account: AccountRef) -> str:
    """Return what was found, in one sentence."""
    lacking = tuple(lower_first(one.label) for one in features(account) if not one.has)
    return f"The server lacks {listed(lacking)}." if lacking else "The server has all that a store uses."


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
        Check(one.label, host(account), "pass" if one.has else "fail", one.without, required=False)
        for one in features(account)
    ]
    return [answers, *found]


# Linking a server


def identify(account: AccountRef) -> Identity:
    """Prove that the server is one, with buckets that are made, tried out and removed; raises LinkError."""
    for value, label, field in (
        (account.settings.get("access_key_id"), "access key ID", "access_key_id"),
        (account.secrets.get("secret_access_key"), "secret access key", "secret_access_key"),
    ):
        if not value:
            raise LinkError(f"Enter the {label}.", field)
    _refuse_where_it_may_not_be(account)
    name = f"pgbk-probe-{secrets.token_hex(8)}"
    probe = StoreSpec(uuid4(), "probe", account, account.settings["region"], name, f"{name}-log")
    made: list[str] = []
    try:
        found = _try_out(probe, made)
        if makes_users(account):
            found.append(USERS)
    except (StepError, LinkError) as error:
        left, name = _remove_probe(probe, made), getattr(error, "field", "")
        passing = getattr(error, "passing", isinstance(error, NotReady))
        raise LinkError(" ".join(filter(None, (str(error), left))), name, passing=passing) from error
    else:
        if left := _remove_probe(probe, made):
            raise LinkError(left)
    finally:
        forget_clients(account)  # of an account that may never be kept
    proofs = (
        f"The server {host(account)} took an object with this access key, and gave it back.",
        "Its certificate is verified." if verifies(account) else "Its certificate is NOT verified.",
    )
    return Identity(number=host(account), partition="", found={"has": " ".join(sorted(found))}, proofs=proofs)


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


def _try_out(probe: StoreSpec, made: list[str]) -> list[str]:
    """Return what the server has, as the account's settings list it, and put down the buckets that were made."""
    bucket, log_bucket, log_arn = probe.bucket, probe.log_bucket, bucket_arn(probe.log_bucket)
    _prove_it_is_s3(probe, made)
    made.append(log_bucket)
    create_bucket(probe, log_bucket)
    found = {
        "tags": keeps(TAGS, probe, bucket, tags(probe)),
        "ownership": keeps(OWNERSHIP, probe, bucket, OWNER_ENFORCED),
        "public_access_block": keeps(PUBLIC_ACCESS_BLOCK, probe, bucket, CLOSED),
        "bucket_policy": keeps(POLICY, probe, bucket, document(only_tls(bucket_arn(bucket)))),
        "upload_expiry": keeps(LIFECYCLE, probe, bucket, [upload_expiry()]),
    }
    keeps(POLICY, probe, log_bucket, document(log_delivery(log_arn, bucket_arn(bucket)), only_tls(log_arn)))
    found["access_logging"] = keeps_logging(probe)
    stop_logging(probe)
    found["versioning"] = keeps(VERSIONING, probe, bucket, "Enabled")
    found["version_expiry"] = keeps(LIFECYCLE, probe, bucket, [upload_expiry(), version_expiry(1)])
    found["object_lock"] = _locks(probe, made)
    # Last, because a server without the guard deletes the bucket.
    found["deletion_guard"] = refuses_to_delete_what_is_not_empty(probe, bucket)
    return [name for name, it_has in found.items() if it_has]


def _locks(probe: StoreSpec, made: list[str]) -> bool:
    """Return whether the server makes buckets that can lock what is in them; nothing is written into this one."""
    name = f"{probe.bucket}-lock"
    made.append(name)
    try:
        create_bucket(probe, name, locked=True)
        return keeps(OBJECT_LOCK, probe, name, {"mode": "GOVERNANCE", "days": 1})
    except Lacking:
        return False
    except Failed as error:  # servers without it answer in ways of their own
        if isinstance(error, Denied):
            raise
        return False


# What servers answer to the first call, beside the form field that it is about.
REFUSALS = {
    "InvalidAccessKeyId": ("This server does not know this access key ID.", "access_key_id"),
    "SignatureDoesNotMatch": ("This secret does not belong to the access key ID.", "secret_access_key"),
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


def _prove_it_is_s3(probe: StoreSpec, made: list[str]) -> None:
    """Make a bucket, write an object into it and read that back; raises LinkError."""
    account, bucket, body = probe.account, probe.bucket, secrets.token_bytes(32)
    s3 = s3_client(account)
    try:
        try:
            ask_for_bucket(s3, bucket, probe.region)
        except (ReadTimeoutError, ConnectionClosedError):  # the answer got lost, the bucket may be there
            made.append(bucket)
            raise
        made.append(bucket)
        s3.put_object(Bucket=bucket, Key="probe", Body=body)
        same = s3.get_object(Bucket=bucket, Key="probe")["Body"].read() == body
    except ClientError as error:
        raise _link_error(error, account) from error
    except NO_ANSWER as raised:
        why = no_answer(raised)
        passing = isinstance(why, (HTTPClientError, NoConnectionError)) and not isinstance(why, SSLError)
        raise LinkError(*trouble(why, account), passing=passing) from raised
    if not same:
        raise LinkError(f"What answers at {host(account)} is not an S3 server: it does not keep objects.", "endpoint")


def _link_error(error: ClientError, account: AccountRef) -> LinkError:
    code = code_of(error)
    if code in REFUSALS:
        return LinkError(*REFUSALS[code])
    if not error.response.get("Error", {}).get("Message") or code.isdigit():
        return LinkError(f"What answers at {host(account)} is not an S3 server (status {code}).", "endpoint")
    return LinkError(f"{who(account)} refused to be tried out: {code}: {error.response['Error']['Message']}")


def _remove_probe(probe: StoreSpec, made: list[str]) -> str:
    """Leave nothing of the probe behind; returns what to do about the buckets that the server does not let go."""
    with streams.within(TIDY_SECONDS, math.inf, afresh=True):  # also when trying it out took all the time there was
        kept = [name for name in made if not _is_gone(probe, name)]
    if not kept:
        return ""
    return (
        f"The console could not delete {listed(tuple(kept))}, made to try the server out. Delete that by hand, and "
        "allow s3:ListBucketVersions, s3:DeleteObject and s3:DeleteBucket on buckets named pgbk-*."
    )


def _is_gone(probe: StoreSpec, name: str) -> bool:
    bucket = bucket_of(probe, name)
    with suppress(StepError):  # what matters is whether the bucket goes
        bucket.empty()
    try:
        return bucket.delete()
    except StepError as error:
        return error.details.get("code") == "NoSuchBucket"
