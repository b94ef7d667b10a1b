"""A key that was made by hand is tried by what pgBackRest does with it, before it goes into the nodes' files.

pgBackRest asks for a file that is not there, lists by prefix, puts, puts in parts, gets, deletes one and many (its
storage/s3/storage.c). Beside that the console has to read what a node writes: on some servers an object belongs to
whoever wrote it. And what the key must not do is tried, too: that is said, and no reason to refuse it.
"""

from __future__ import annotations

import base64
import hashlib
import math
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError

from console.clouds import foreign, streams
from console.clouds.key_trial import KeyTrial
from console.clouds.s3.by_hand import CEPH, READING, SWIFT
from console.clouds.s3.session import calling_s3, has, host, on_server, s3_client, trouble
from console.clouds.s3api.clients import forget_clients
from console.clouds.s3api.errors import REFUSED, bucket_arn, bucket_resource, code_of, no_answer, unanswered
from console.clouds.specs import AccessSpec, AccountRef
from console.clouds.steps import Failed, StepError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SECONDS = 20.0  # for all of it: somebody waits
TIDY_SECONDS = 5.0
BODY = b"The console tried the nodes' key.\n"
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
# What a server answers that does not know the key, by the field that this is about.
WRONG = {
    "InvalidAccessKeyId": ("access_key_id", "{host} does not know this access key ID."),
    "SignatureDoesNotMatch": ("secret_access_key", "This secret does not belong to the access key ID."),
}
# What lets Swift's users do the same, where there are no policies: the ACLs of a container.
IN_SWIFT = {
    "s3:ListBucket": "Put the nodes' user into X-Container-Read of {bucket}.",
    "s3:GetObject": "Put the nodes' user into X-Container-Read of {bucket}.",
    "s3:PutObject": "Put the nodes' user into X-Container-Write of {bucket}.",
    "s3:DeleteObject": "Put the nodes' user into X-Container-Write of {bucket}.",
    "parts": "Make the container {bucket}+segments, and put the nodes' user into its X-Container-Read and "
    "X-Container-Write: files of more than one part go through it.",
}


class _Unanswered(Exception):
    """The server gave no answer that says anything about the key."""


class _WrongKey(Exception):
    """The server does not know the key."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def try_key(spec: AccessSpec, keys: Mapping[str, str], log_buckets: Iterable[str]) -> KeyTrial:
    """Try the key in the cluster's folder of each bucket of the spec, and outside of it; takes at most 20 seconds.

    Nothing is left behind but, in buckets that keep versions, old versions of three files of a line.
    """
    settings = {**spec.account.settings, "access_key_id": keys["access_key_id"]}
    secret = {**spec.account.secrets, "secret_access_key": keys["secret_access_key"]}
    nodes = replace(spec.account, id=uuid4(), settings=settings, secrets=secret)
    trial = _Trial(spec, nodes)
    try:
        with streams.within(SECONDS, math.inf):
            for bucket in spec.buckets:
                trial.try_bucket(bucket)
            for bucket in log_buckets:
                trial.try_log_bucket(bucket)
    except _WrongKey as error:
        return KeyTrial(refused=(str(error),), field=error.field)
    except _Unanswered as error:
        trial.untried = str(error)
    finally:
        with streams.within(TIDY_SECONDS, math.inf, afresh=True):  # also when trying took all the time there was
            trial.tidy_up()
        forget_clients(nodes)
    return KeyTrial(tuple(trial.refused), "", tuple(trial.unread), tuple(trial.broad), trial.untried, tuple(trial.left))


def _with_md5(params: dict[str, Any], **_: Any) -> None:
    """Send what pgBackRest sends with a list of files to be deleted; Swift and others refuse it without."""
    body = params["body"]
    data = body if isinstance(body, bytes) else str(body).encode()
    params["headers"]["Content-MD5"] = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


class _Trial:
    """What was found so far, bucket by bucket, and what was written on the way."""

    def __init__(self, spec: AccessSpec, nodes: AccountRef) -> None:
        self.spec, self.nodes = spec, nodes
        self.refused: list[str] = []
        self.unread: list[str] = []
        self.broad: list[str] = []
        self.left: list[str] = []
        self.untried = ""
        self.written: list[tuple[str, str]] = []  # buckets and keys
        self.folders: set[tuple[str, str]] = set()  # buckets and folders of the trial, where it wrote
        self.name = f"key-test-{secrets.token_hex(6)}"
        self.outside = f"c-{self.name}/backup/1/backup.info"
        self._go_to(spec.prefix)
        self.s3: S3Client = s3_client(nodes)
        self.s3.meta.events.register("before-call.s3.DeleteObjects", _with_md5)

    # One bucket

    def try_bucket(self, bucket: str) -> None:
        """Do in each folder that the cluster has there what pgBackRest does, and outside of them what it should not."""
        folders = self.spec.folders(bucket)
        for folder in folders:
            self._go_to(folder)
            self._try_folder(bucket)
        if "" not in folders:
            self._go_to(self.spec.prefix)
            self._try_outside(bucket)

    def _go_to(self, folder: str) -> None:
        self.below = f"{folder}/" if folder else ""  # as keys begin there
        # Like the files that the console reads of a repository, so that its own policy covers it, and in no stanza.
        self.own = f"{self.below}{self.name}/backup/1/backup.info"
        self.parts = f"{self.below}{self.name}/parts"

    def _try_folder(self, bucket: str) -> None:
        lists = self._lists(bucket)
        asks = self._may(
            bucket, "Asking for a file that is not there", "s3:ListBucket", partial(self._asks, bucket), lists
        )
        puts = self._puts(bucket, self.own)
        if not (lists or asks or puts):
            self.refused.append(
                "All was refused. If the permissions are as shown, look at both parts of the key: some servers answer "
                "one that they do not know in the same way."
            )
        if puts:
            self._may(bucket, "Reading a file", "s3:GetObject", partial(self._gets, bucket, self.own))
            self._console_reads(bucket)
            if self._may(bucket, "Writing a file in parts", "parts", partial(self._puts_parts, bucket)):
                self._may(bucket, "Deleting a file", "s3:DeleteObject", partial(self._deletes, bucket, self.parts))
            self._may(bucket, "Deleting several files at once", "s3:DeleteObject", partial(self._deletes_many, bucket))

    def _lists(self, bucket: str) -> bool:
        below = f"{self.below}archive/"
        listing = partial(self.s3.list_objects_v2, Bucket=bucket, Prefix=below, Delimiter="/")
        return self._may(bucket, "Listing its folder", "s3:ListBucket", listing)

    def _asks(self, bucket: str) -> None:
        try:
            self.s3.head_object(Bucket=bucket, Key=f"{self.own}.missing")
        except ClientError as error:
            if code_of(error) not in MISSING:
                raise

    def _puts(self, bucket: str, key: str) -> bool:
        self.written.append((bucket, key))
        self.folders.add((bucket, f"{self.below}{self.name}/"))
        if self._may(bucket, "Writing a file", "s3:PutObject", partial(self._put, bucket, key)):
            return True
        self.written.remove((bucket, key))
        return False

    def _put(self, bucket: str, key: str) -> None:
        self.s3.put_object(Bucket=bucket, Key=key, Body=BODY)

    def _gets(self, bucket: str, key: str) -> None:
        if self.s3.get_object(Bucket=bucket, Key=key)["Body"].read() != BODY:
            raise ClientError({"Error": {"Code": "another content"}}, "GetObject")

    def _puts_parts(self, bucket: str) -> None:
        key: Any = {"Bucket": bucket, "Key": self.parts}
        upload = self.s3.create_multipart_upload(**key)["UploadId"]
        self.written.append((bucket, self.parts))
        try:
            part = self.s3.upload_part(**key, UploadId=upload, PartNumber=1, Body=BODY)
            parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
            self.s3.complete_multipart_upload(**key, UploadId=upload, MultipartUpload=parts)
        except ClientError:
            with suppress(ClientError, *unanswered()):
                self.s3.abort_multipart_upload(**key, UploadId=upload)
            raise

    def _deletes(self, bucket: str, key: str) -> None:
        self.s3.delete_object(Bucket=bucket, Key=key)
        self.written.remove((bucket, key))

    def _deletes_many(self, bucket: str) -> None:
        files: Any = {"Objects": [{"Key": self.own}], "Quiet": True}
        for one in self.s3.delete_objects(Bucket=bucket, Delete=files).get("Errors", []):
            raise ClientError({"Error": {"Code": one.get("Code", ""), "Message": one.get("Message", "")}}, "")
        self.written.remove((bucket, self.own))

    # What the console has to do, and what nodes must not

    def _console_reads(self, bucket: str) -> None:
        said = ""
        try:
            with self._as_console("GetObject", bucket) as s3:
                if s3.get_object(Bucket=bucket, Key=self.own)["Body"].read() == BODY:
                    return
        except Failed as error:
            said = error.message
        except StepError as error:
            raise _Unanswered(error.message) from error
        self.unread.append(
            f"The console could not read in {bucket} what the nodes write, so it would see none of their backups, "
            "although those work. On some servers (Ceph) a file belongs to the user that wrote it: let the console's "
            f"user read it by a policy, s3:GetObject on {READING['Resource']}. {said}"
        )

    def _try_outside(self, bucket: str) -> None:
        """Note what the key may do outside of the cluster's folder."""
        folder, arn = self.below, bucket_arn(bucket)
        if self._can(partial(self.s3.list_objects_v2, Bucket=bucket, MaxKeys=1)):
            self.broad.append(f"It may list all of {bucket}, not just {folder}. {self._wide_list()}")
        self.written.append((bucket, self.outside))
        self.folders.add((bucket, f"c-{self.name}/"))
        theirs: str | None = self.outside
        if self._can(partial(self._put, bucket, self.outside)):
            self.broad.append(
                f"It may write outside of {folder} in {bucket}: whoever gets hold of one node can overwrite or delete "
                f"the backups of every cluster there. {self._limit('s3:PutObject and s3:DeleteObject', arn)}"
            )
        else:
            self.written.remove((bucket, self.outside))
            theirs = self._other_file(bucket)
        if theirs and self._can(partial(self.s3.get_object, Bucket=bucket, Key=theirs, Range="bytes=0-0")):
            self.broad.append(
                f"It may read outside of {folder} in {bucket}: the backups of other clusters, which are encrypted, can "
                f"be copied. {self._limit('s3:GetObject', arn)}"
            )

    def _wide_list(self) -> str:
        if has(self.spec.account, CEPH):
            return "Ceph cannot limit that to a folder and still answer 404 for a file that is not there."
        tells = "The names tell which clusters there are and when they make backups."
        limit = "Limit s3:ListBucket by the condition on s3:prefix, if this server keeps to it."
        return tells if has(self.spec.account, SWIFT) else f"{tells} {limit}"

    def _limit(self, actions: str, arn: str) -> str:
        if has(self.spec.account, SWIFT):
            return "Swift cannot limit that to a folder: attach this store to one cluster only."
        return (
            f"Limit {actions} to {arn}/{self.below}*, or, where this server cannot, attach this store to one "
            "cluster only."
        )

    def _other_file(self, bucket: str) -> str | None:
        """Return a file that is outside of the cluster's folder, as the console sees it; None without one."""
        with suppress(StepError):
            mine = tuple(f"{folder}/" for folder in self.spec.folders(bucket))
            for after in ("", f"{self.spec.prefix}0"):  # which comes after all that begin with its name and a slash
                with self._as_console("ListObjectsV2", bucket) as s3:
                    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, StartAfter=after)
                for one in page.get("Contents", []):
                    if not one["Key"].startswith(mine):
                        return str(one["Key"])
        return None

    def try_log_bucket(self, bucket: str) -> None:
        """Note whether the key opens the access logs, which must tell what it did."""
        if self._can(partial(self.s3.list_objects_v2, Bucket=bucket, MaxKeys=1)):
            self.broad.append(f"It may list the access logs in {bucket}, which are none of the nodes' business.")

    # The calls

    def _as_console(self, operation: str, bucket: str) -> Any:
        resource = partial(bucket_resource, bucket_arn(bucket))
        return calling_s3(operation, on_server(self.spec.account, bucket, resource, bucket=bucket))

    def _may(self, bucket: str, label: str, permission: str, call: Callable[[], object], *more: bool) -> bool:
        """Make a call that pgBackRest makes, and put down what to add when it is refused."""
        code = self._code_of(call)
        if code is None:
            return True
        if code in REFUSED:
            self.refused.append(f"{label} in {bucket} was refused. {self._to_add(bucket, label, permission, *more)}")
        else:
            self.refused.append(f"{label} in {bucket} failed ({code}). pgBackRest cannot do without it.")
        return False

    def _to_add(self, bucket: str, label: str, permission: str, lists: bool = False) -> str:
        if has(self.spec.account, SWIFT):
            return IN_SWIFT[permission].format(bucket=bucket)
        arn = bucket_arn(bucket)
        if permission == "s3:ListBucket":
            if lists:  # by prefix it may
                return (
                    f"Allow s3:ListBucket on {arn} without a condition: for a file that is not there, this server "
                    "looks at no prefix, and pgBackRest takes its 403 for trouble. The nodes may then list the whole "
                    "bucket."
                )
            return f"Allow s3:ListBucket on {arn}, for the prefix {self.below}*."
        action = "s3:PutObject" if permission == "parts" else permission
        added = f"Allow {action} on {arn}/{self.below}*."
        if "several" in label:
            added += f" If it is allowed there, this server wants it on {arn}, too (Ceph 16 does)."
        return added

    def _can(self, call: Callable[[], object]) -> bool:
        return self._code_of(call) is None

    def _code_of(self, call: Callable[[], object]) -> str | None:
        """Return the code with which the server refuses this call of the nodes; None when it does not."""
        try:
            with streams.within():
                call()
        except ClientError as error:
            code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if code in WRONG:
                field, message = WRONG[code]
                raise _WrongKey(field, message.format(host=host(self.nodes))) from error
            if status >= 500 and status != 501:
                raise _Unanswered(f"{host(self.nodes)} is busy or has trouble of its own ({code}).") from error
            return foreign.word(code) or "an error without a code"
        except unanswered() as error:
            raise _Unanswered(trouble(no_answer(error), self.nodes)[0]) from error
        return None

    def _sweep(self, bucket: str, folder: str) -> None:
        """Delete what is left of a folder of the trial where the server lists it once it is empty, as JuiceFS does."""
        for _level in range(4):  # it is three deep, and an outer one shows when the inner one is gone
            with self._as_console("ListObjectsV2", bucket) as s3:
                page = s3.list_objects_v2(Bucket=bucket, Prefix=folder.rstrip("/"))
            empty = [one["Key"] for one in page.get("Contents", []) if one["Key"].endswith("/")]
            empty = [one for one in empty if f"{one}/".startswith(folder)]
            for key in sorted(empty, key=len, reverse=True):
                with self._as_console("DeleteObject", bucket) as s3:
                    s3.delete_object(Bucket=bucket, Key=key)
            if not empty:
                return

    def tidy_up(self) -> None:
        """Delete what is still there, with the nodes' key or with the console's, and put down what stays."""
        for bucket, key in self.written:
            with suppress(ClientError, *unanswered()):
                self.s3.delete_object(Bucket=bucket, Key=key)
                continue
            try:
                with self._as_console("DeleteObjects", bucket) as s3:
                    s3.delete_object(Bucket=bucket, Key=key)
            except StepError:
                where = self.spec.account.settings["endpoint"]
                self.left.append(f"aws s3 rm s3://{bucket}/{key} --endpoint-url {where}")
        for bucket, folder in sorted(self.folders):
            with suppress(StepError):
                self._sweep(bucket, folder)
