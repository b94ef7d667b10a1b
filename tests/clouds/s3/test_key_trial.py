"""A key that was made by hand is tried by what pgBackRest does, and leaves nothing behind."""

# ruff: noqa: N803 - boto3's own names
from __future__ import annotations

import io
import json
import re
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from console.clouds.key_trial import KeyTrial
from console.clouds.s3 import access as s3_access
from console.clouds.s3 import by_hand, key_trial
from console.clouds.s3api.nodes import node_name
from console.clouds.specs import AccessSpec
from console.clouds.steps import Denied
from tests.clouds.plans import steps
from tests.clouds.s3.buckets import node_spec, slow
from tests.clouds.s3_accounts import S3, an_account

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
PREFIX = "c-abcdefghij23"


# --- A server in memory, which refuses what it is told to -------------------------------------------------------------


def refusal(operation, code, status):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


class Server:
    """Buckets in memory; `answers` has an error for a call of the nodes, or of all keys outside of the folder."""

    def __init__(self, answers=(), outside=()):
        self.files, self.answers, self.outside = {}, dict(answers), set(outside)
        self.meta = SimpleNamespace(events=SimpleNamespace(register=lambda *_: None))
        self.called, self.folders = [], (PREFIX,)

    def _call(self, operation, key=PREFIX):
        self.called.append(operation)
        if error := self.answers.get(operation):
            raise error
        if not key.startswith(self.folders) and operation not in self.outside:
            raise refusal(operation, "AccessDenied", 403)

    def list_objects_v2(self, Bucket, Prefix="", **_):
        self._call("ListObjectsV2", Prefix)
        return {"Contents": [{"Key": key} for key in sorted(self.files)]}

    def head_object(self, Bucket, Key):
        self._call("HeadObject", Key)
        raise refusal("HeadObject", "404", 404)

    def put_object(self, Bucket, Key, Body):
        self._call("PutObject", Key)
        self.files[Key] = Body

    def get_object(self, Bucket, Key, **_):
        self._call("GetObject", Key)
        if Key not in self.files:
            raise refusal("GetObject", "NoSuchKey", 404)
        return {"Body": io.BytesIO(self.files[Key])}

    def create_multipart_upload(self, Bucket, Key):
        self._call("CreateMultipartUpload", Key)
        return {"UploadId": "u"}

    def upload_part(self, Bucket, Key, UploadId, PartNumber, Body):
        self._call("UploadPart", Key)
        return {"ETag": "e"}

    def complete_multipart_upload(self, Bucket, Key, UploadId, MultipartUpload):
        self._call("CompleteMultipartUpload", Key)
        self.files[Key] = b"parts"

    def abort_multipart_upload(self, Bucket, Key, UploadId):
        self._call("AbortMultipartUpload", Key)

    def delete_object(self, Bucket, Key):
        self._call("DeleteObject", Key)
        self.files.pop(Key, None)

    def delete_objects(self, Bucket, Delete):
        self._call("DeleteObjects")
        for one in Delete["Objects"]:
            self.files.pop(one["Key"], None)
        return {}

    def to_console(self):
        """Return the server as it answers the console."""
        free = Server(outside={"GetObject", "ListObjectsV2", "DeleteObject"})
        free.files = self.files
        return free


@pytest.fixture
def trying(monkeypatch):
    """Try a key on a server in memory; `console` has the operations that the console's own key may not do."""

    def go(server, console=(), kind="", logs=(), kept=None, prefix=PREFIX):
        @contextmanager
        def as_console(operation, subject):
            if operation in console:
                raise Denied(f"The server refused {operation}.", action=operation)
            yield server.to_console()

        monkeypatch.setattr(key_trial, "s3_client", lambda account: server)
        monkeypatch.setattr(key_trial, "calling_s3", as_console)
        spec = AccessSpec(uuid4(), "Orders", an_account(has=kind), prefix, ("pgbk-store",), kept=kept or {})
        return key_trial.try_key(spec, {"access_key_id": "NODE", "secret_access_key": "S"}, logs)

    return go


NEEDED = {
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:ListBucket",
    "PutObject": "s3:PutObject",
    "GetObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "DeleteObjects": "s3:DeleteObject",
}


def test_a_key_that_may_do_just_what_it_should_passes(trying):
    server = Server()
    assert trying(server) == KeyTrial()
    assert server.files == {}
    assert set(NEEDED) <= set(server.called)


def test_a_repository_that_was_there_before_is_tried_where_it_is(trying):
    found = trying(Server(), kept={"pgbk-store": "old/repo"})
    assert any("s3:PutObject on arn:aws:s3:::pgbk-store/old/repo/*" in one for one in found.refused)
    server = Server()
    server.folders = (PREFIX, "old/repo/")
    assert trying(server, kept={"pgbk-store": "old/repo"}) == KeyTrial()
    assert server.files == {}
    server.folders = ("",)
    assert trying(server, kept={"pgbk-store": ""}) == KeyTrial()  # all of the bucket is the repository's


@pytest.mark.parametrize("place", ["old/repo", ""], ids=["path", "root"])
def test_a_key_of_somebody_s_is_tried_in_its_repository_alone(trying, monkeypatch, place):
    server, written = Server(), []
    server.folders = ("old/repo/", PREFIX) if place else ("",)
    put = server.put_object
    monkeypatch.setattr(server, "put_object", lambda Bucket, Key, Body: (written.append(Key), put(Bucket, Key, Body)))
    assert trying(server, prefix=place) == KeyTrial()
    below = f"{place}/key-test-" if place else "key-test-"
    assert any(one.startswith(below) for one in written)
    assert not any(one.startswith(PREFIX) for one in written)
    assert server.files == {}


@pytest.mark.parametrize("operation", NEEDED)
def test_each_action_that_is_refused_is_named_with_what_to_add(trying, operation):
    server = Server({operation: refusal(operation, "403" if operation == "HeadObject" else "AccessDenied", 403)})
    found = trying(server)
    assert found.refused
    assert all("was refused" in one and NEEDED[operation] in one for one in found.refused)
    assert not found.may_be_kept_anyway
    assert (server.files, found.left) == ({}, ())


@pytest.mark.parametrize("operation", NEEDED)
def test_what_a_server_does_not_have_is_said_as_that(trying, operation):
    found = trying(Server({operation: refusal(operation, "NotImplemented", 501)}))
    assert any("NotImplemented" in one and "cannot do without it" in one for one in found.refused)


@pytest.mark.parametrize("operation", NEEDED)
@pytest.mark.parametrize(
    "error",
    [refusal("X", "SlowDown", 503), refusal("X", "502", 502), EndpointConnectionError(endpoint_url="https://x")],
    ids=["busy", "a proxy", "no answer"],
)
def test_trouble_of_the_server_says_nothing_about_the_key(trying, operation, error):
    server = Server({operation: error})
    found = trying(server)
    assert found.untried
    assert found.may_be_kept_anyway
    assert (server.files, found.left) == ({}, ())


@pytest.mark.parametrize(
    ("code", "field"), [("InvalidAccessKeyId", "access_key_id"), ("SignatureDoesNotMatch", "secret_access_key")]
)
def test_a_half_that_is_wrong_is_said_of_that_half(trying, code, field):
    found = trying(Server({"ListObjectsV2": refusal("ListObjectsV2", code, 403)}))
    assert found.field == field
    assert not found.may_be_kept_anyway


def test_files_that_the_console_cannot_read_are_said_and_may_be(trying):
    server = Server()
    found = trying(server, console={"GetObject"})
    assert "belongs to the user that wrote it" in found.unread[0]
    assert found.may_be_kept_anyway
    assert server.files == {}


def test_what_a_key_may_do_outside_of_its_folder_is_a_warning(trying):
    server = Server(outside={"ListObjectsV2", "PutObject", "GetObject", "DeleteObject"})
    server.files["c-other/backup"] = b"theirs"
    found = trying(server, logs=["pgbk-store-log"])
    assert [re.match(r"It may (\w+) (\S+)", one)[0] for one in found.broad] == [
        "It may list all",
        "It may write outside",
        "It may read outside",
        "It may list the",
    ]
    assert found.refused == ()
    assert server.files == {"c-other/backup": b"theirs"}


def test_a_key_that_only_reads_others_files_is_found_out_by_one_that_is_there(trying):
    server = Server(outside={"GetObject"})
    assert trying(server).broad == ()
    server.files["c-other/backup"] = b"theirs"
    assert ["It may read outside" in one for one in trying(server).broad] == [True]


def test_what_nobody_may_delete_is_named_with_the_command(trying):
    denied = {one: refusal(one, "AccessDenied", 403) for one in ("DeleteObject", "DeleteObjects")}
    server = Server(denied)
    found = trying(server, console={"DeleteObjects"})
    assert len(found.left) == len(server.files) == 2
    assert all(f"s3://pgbk-store/{key}" in " ".join(found.left) for key in server.files)


def test_a_server_that_keeps_empty_folders_is_left_with_none(trying):
    """As JuiceFS: what held the last file is listed with a slash, and one further out only then."""

    class Folders(Server):
        def shown(self):
            parents = {key.rpartition("/")[0] for key in self.files}
            chain = {"/".join(one.split("/")[:deep]) for one in self.made for deep in range(1, one.count("/") + 1)}
            empty = [one for one in chain - self.gone if not any(f"{each}/".startswith(f"{one}/") for each in parents)]
            inner = [one for one in empty if not any(each.startswith(f"{one}/") for each in empty)]
            return sorted([*self.files, *(f"{one}/" for one in inner if "key-test" in one)])

        def __init__(self):
            super().__init__()
            self.made, self.gone = set(), set()

        def put_object(self, Bucket, Key, Body):
            super().put_object(Bucket=Bucket, Key=Key, Body=Body)
            self.made.add(Key)

        def list_objects_v2(self, Bucket, Prefix="", **_):
            return {"Contents": [{"Key": key} for key in self.shown() if key.startswith(Prefix)]}

        def delete_object(self, Bucket, Key):
            if Key.endswith("/"):
                self.gone.add(Key.rstrip("/"))
            else:
                super().delete_object(Bucket=Bucket, Key=Key)

        def to_console(self):
            return self

    server = Folders()
    trying(server)
    assert server.made
    assert server.shown() == []


def test_swifts_words_are_those_of_its_containers(trying):
    for operation in NEEDED:
        found = trying(Server({operation: refusal(operation, "AccessDenied", 403)}), kind="swift")
        assert all("X-Container-" in one for one in found.refused)
        assert "arn:" not in " ".join(found.refused + found.broad)


# --- What is shown ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"x-amz-request-id": "tx0000083dbceab184d9139-006b0cc692-1017-default"}, "ceph"),
        ({"x-amz-request-id": "tx0d60b7c8e9d848d684dae-006b0cc6ec", "x-trans-id": "tx0d60b7c8"}, "swift"),
        ({"x-amz-request-id": "17A5D6B0C0F1"}, ""),
        ({}, ""),
    ],
    ids=["ceph", "swift", "another", "none"],
)
def test_a_server_says_which_it_is_by_the_ids_of_its_answers(headers, kind):
    assert by_hand.kind_of(headers) == kind


def test_what_recovers_backups_on_ceph_lists_whole_buckets_and_writes_nothing():
    found = an_account(has=f"{by_hand.CEPH} versioning")
    spec = AccessSpec(uuid4(), "orders", found, PREFIX, ("b",), reads_until=datetime(2026, 12, 1, tzinfo=UTC))
    listing, objects = by_hand.policy(spec)["Statement"]
    assert listing == {
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
        "Resource": "arn:aws:s3:::b",
    }
    assert objects["Action"] == ["s3:GetObject", "s3:GetObjectVersion"]
    assert objects["Resource"] == f"arn:aws:s3:::b/{PREFIX}/*"


def test_the_policy_shown_is_the_one_that_works_there():
    def shown(kind):
        spec = AccessSpec(uuid4(), "Ann's; rm -rf /", an_account(has=kind), PREFIX, ("pgbk-a", "pgbk-b"))
        return by_hand.key_documents(spec), by_hand.policy(spec)

    [usual], narrow = shown("")
    assert json.loads(usual.text) == narrow
    assert "s3:prefix" in usual.text
    [nodes, console, commands], wide = shown("ceph")
    assert json.loads(nodes.text) == wide
    assert "Condition" not in nodes.text
    assert {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::pgbk-b"} in wide["Statement"]
    assert json.loads(console.text)["Statement"][0]["Resource"] == "arn:aws:s3:::pgbk-*/c-*"
    assert "can also list the names" in nodes.hint
    assert "'Nodes of Ann'\"'\"'s; rm -rf /'" in commands.text
    [swift], _ = shown("swift")
    assert swift.text.count("+segments") == 2
    assert "one cluster only" in swift.hint


# --- SeaweedFS --------------------------------------------------------------------------------------------------------


@pytest.fixture
def node(store):
    """A user with a key and just the policy that is shown."""
    spec, kept = node_spec(store.account, store.bucket), {}
    for step in steps(S3.access.grant):
        made = step.run(spec)
        kept = made.keep if made and made.keep else kept
    yield replace(spec, keys=kept)
    for step in steps(S3.access.delete):
        step.run(replace(spec, keys=kept))


@slow
def test_on_a_real_server_a_key_with_the_policy_shown_passes_and_nothing_is_left(node, store, s3):
    assert key_trial.try_key(node, node.keys, [store.log_bucket]) == KeyTrial()
    assert "Contents" not in s3.list_objects_v2(Bucket=store.bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=store.bucket)


@slow
@pytest.mark.parametrize("lacking", ["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"])
def test_on_a_real_server_each_permission_that_lacks_is_found(node, store, s3, lacking):
    document = S3.access.policy(node)
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [one for one in actions if one != lacking] or ["s3:GetBucketLocation"]
    assert s3_access._keep_policy(node.account, node_name(node), document)
    found = key_trial.try_key(node, node.keys, [])
    assert any(lacking in one for one in found.refused)
    assert "Contents" not in s3.list_objects_v2(Bucket=store.bucket)


@slow
def test_on_a_real_server_the_administrators_key_is_too_wide_and_a_wrong_one_is_known(node, store, s3):
    settings, secrets = node.account.settings, node.account.secrets
    wide = {"access_key_id": settings["access_key_id"], "secret_access_key": secrets["secret_access_key"]}
    found = key_trial.try_key(node, wide, [store.log_bucket])
    assert (len(found.broad), found.refused) == (4, ())
    assert "Contents" not in s3.list_objects_v2(Bucket=store.bucket)
    for part in wide:
        assert key_trial.try_key(node, {**node.keys, part: "WRONG"}, []).field == part
