"""A store's life on each real server: linked, made, checked, used as pgBackRest does and by it, emptied, deleted."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from console.clouds import bringing, lifecycle
from console.clouds.existing import TakenOver
from console.clouds.s3 import session as s3_session
from console.clouds.steps import Refused
from tests.clouds import plans
from tests.clouds.contract.running import PREFIX, access_to, settled, with_keys
from tests.clouds.s3_accounts import S3, an_account, make_spec
from tests.servers.archive import Archive
from tests.servers.real import Key, program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
# Without SERVERS this is a part of `make test`, which has no AWS CLI, and backs up and restores in tests/end_to_end.
WHOLE = bool(os.environ.get("SERVERS"))
KEY = f"{PREFIX}/n1/backup/main/backup.info"


def client_of(server, key):
    """Return a client as a node's program is one: the checksums of a decade ago, and no others."""
    return boto3.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        verify=str(server.ca_file),
        region_name=server.region,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def ours(server):
    found = client_of(server, server.key).list_buckets().get("Buckets", [])
    return {one["Name"] for one in found if one["Name"].startswith("pgbk-")}


def as_pgbackrest(s3, bucket):
    """Do with objects what pgBackRest does: ask for what is missing, put, read, list below a prefix, delete."""
    with pytest.raises(ClientError) as raised:
        s3.head_object(Bucket=bucket, Key=KEY)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    s3.put_object(Bucket=bucket, Key=KEY, Body=b"[backrest]\n")
    assert s3.get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"[backrest]\n"
    found = s3.list_objects_v2(Bucket=bucket, Prefix=f"{PREFIX}/n1/", Delimiter="/")
    assert [one["Prefix"] for one in found["CommonPrefixes"]] == [f"{PREFIX}/n1/backup/"]
    upload = s3.create_multipart_upload(Bucket=bucket, Key=f"{KEY}.copy")["UploadId"]
    where = {"Bucket": bucket, "Key": f"{KEY}.copy", "UploadId": upload}
    part = s3.upload_part(**where, PartNumber=1, Body=b"12345")["ETag"]
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"ETag": part, "PartNumber": 1}]})


def emptied(server, spec, commands):
    """Run the commands that the console shows, as an administrator does, until nothing is left."""
    if not WHOLE:
        s3_session.bucket_of(spec, spec.bucket).empty()  # what the commands do
        return
    folder = server.ca_file.parent / "administrator"
    folder.mkdir(exist_ok=True)
    (folder / "ca.pem").write_bytes(server.ca_file.read_bytes())
    aws = os.path.dirname(program("aws", "PyPI's awscli"))
    environment = {
        "PATH": f"{aws}:/usr/bin:/bin",
        "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": server.key.id,
        "AWS_SECRET_ACCESS_KEY": server.key.secret,
    }
    for _ in range(4):  # "repeat these until nothing is left"
        ran = subprocess.run(["bash", "-c", commands], check=False, capture_output=True, text=True, timeout=300,
                             env=environment, cwd=folder)  # fmt: skip
        if plans.contents(S3, spec, lambda counted: None).is_empty:
            return
    raise AssertionError(f"the commands left something:\n{commands}\n{ran.stdout}\n{ran.stderr}")


def refused(spec):
    """Return the commands with which the deletion of a store that holds something is refused."""
    with pytest.raises(Refused) as raised:
        settled(plans.deletion(S3), spec)
    return raised.value.details["commands"]


def node_key(server, account, access):
    """Return the nodes' key, made by the console or else by hand, and how it came."""
    if "iam_users" not in account.settings["has"].split():
        keys = {"access_key_id": server.node.id, "secret_access_key": server.node.secret}
        return replace(access, keys=keys), "by hand"
    return with_keys(settled(S3.access.grant, access), access), "made"


def test_a_store_lives_and_ends(named, table, tmp_path):
    name, server = named
    before = ours(server)
    account = an_account(server.endpoint, server.ca_file.read_text(), server.key.id, server.key.secret, has="")
    with table.step(name, "link") as say:
        account = replace(account, settings={**account.settings, **S3.linking.identify(account).found})
        assert ours(server) == before
        say(f"has {account.settings['has'] or 'nothing more'}")
    spec = make_spec(account)
    with table.step(name, "create"):
        settled(plans.creation(S3), spec)
    spec = replace(spec, complete=True)
    with table.step(name, "posture"):
        for control in S3.storage.settings(spec):
            if control.offered and control.key in account.settings["has"].split():
                assert control.matches(control.observe()), control.key
    with table.step(name, "node access") as say:
        access, how = node_key(server, account, access_to(spec))
        say(how)
    with table.step(name, "objects"):
        node = client_of(server, Key(access.keys["access_key_id"], access.keys["secret_access_key"]))
        as_pgbackrest(node, spec.bucket)
        objects = S3.storage.objects(spec)
        assert objects.folders(f"{PREFIX}/") == ["n1"]
        assert objects.read(KEY, 100).data == b"[backrest]\n"
        assert {one.key for one in objects.entries(f"{PREFIX}/")} == {KEY, f"{KEY}.copy"}
        for key in (KEY, f"{KEY}.copy"):
            node.delete_object(Bucket=spec.bucket, Key=key)
        assert plans.contents(S3, spec, lambda counted: None).is_empty
    if WHOLE and os.geteuid() == 0:
        with table.step(name, "pgBackRest") as say, Archive(tmp_path, S3.access.repository(spec, access)) as archive:
            say(archive.walked())
    else:
        client_of(server, server.key).put_object(Bucket=spec.bucket, Key=KEY, Body=b"1")
    with table.step(name, "deletion"):
        emptied(server, spec, refused(spec))
        if how == "made":
            settled((*S3.access.revoke, *S3.access.delete), replace(access, buckets=()))
        settled(plans.deletion(S3), spec)
        assert ours(server) == before


def test_a_protected_store_keeps_what_is_deleted(named, table):
    name, server = named
    account = an_account(server.endpoint, server.ca_file.read_text(), server.key.id, server.key.secret, has="")
    account = replace(account, settings={**account.settings, **S3.linking.identify(account).found})
    with table.step(name, "protected") as say:
        if not S3.capabilities(account).versions:
            say("not offered")
            return
        spec, before = make_spec(account), ours(server)
        spec = replace(spec, complete=True, versions_days=30)
        settled(plans.creation(S3), replace(spec, complete=False))
        settled(plans.versions(S3), spec)
        s3 = client_of(server, server.key)
        for body in (b"1", b"2"):
            s3.put_object(Bucket=spec.bucket, Key=KEY, Body=body)
        s3.delete_object(Bucket=spec.bucket, Key=KEY)
        found = plans.contents(S3, spec, lambda counted: None)
        assert (found.objects, found.older, found.markers) == (0, 2, 1)
        [deleted] = S3.storage.objects(spec).deleted(f"{PREFIX}/")
        assert deleted.key == KEY
        emptied(server, spec, refused(spec))
        settled(plans.deletion(S3), spec)
        assert ours(server) == before


def test_orphans_are_found(named, table):
    name, server = named
    account = an_account(server.endpoint, server.ca_file.read_text(), server.key.id, server.key.secret, has="")
    account = replace(account, settings={**account.settings, **S3.linking.identify(account).found})
    spec = make_spec(account)
    settled(plans.creation(S3), spec)
    with table.step(name, "orphans"):
        found = {one.name: one for one in S3.storage.list_unmanaged(account, ())}
        assert {found[one].store_id for one in (spec.bucket, spec.log_bucket)} == {str(spec.id)}
        assert not any(found[one].error for one in (spec.bucket, spec.log_bucket))
    settled(plans.deletion(S3), replace(spec, complete=True))


def test_a_bucket_that_was_there_is_brought_in_and_given_back(named, table):
    name, server = named
    account = an_account(server.endpoint, server.ca_file.read_text(), server.key.id, server.key.secret, has="")
    account = replace(account, settings={**account.settings, **S3.linking.identify(account).found})
    spec, s3 = replace(make_spec(account), complete=True), client_of(server, server.key)
    s3.create_bucket(Bucket=spec.bucket)
    try:
        with table.step(name, "brought in") as say:
            has_tags = "tags" in account.settings["has"].split()
            say("by its tags" if has_tags else "by a marker")
            _brought_in_and_given_back(s3, spec, has_tags=has_tags)
    finally:
        s3.delete_object(Bucket=spec.bucket, Key="theirs")
        s3.delete_bucket(Bucket=spec.bucket)


def _brought_in_and_given_back(s3, spec, *, has_tags):
    tags = [{"Key": "team", "Value": "web"}]
    if has_tags:
        s3.put_bucket_tagging(Bucket=spec.bucket, Tagging={"TagSet": tags})
    s3.put_object(Bucket=spec.bucket, Key="theirs", Body=b"1")
    found = S3.existing.find(spec.account, spec.bucket)
    assert (found.versions_days, found.lock_days, S3.existing.owner(spec)) == (0, 0, "")
    lines = bringing.look(S3, spec)
    there = {one.key: one.observed for one in lines if one.state in {"ok", "off"}}
    spec = replace(spec, taken_over=TakenOver(there, logs_named=False))
    chosen = [
        lifecycle.Differing(False, one.key, one.label)
        for one in lines
        if one.state == "off" and one.key not in {"tags", "logging"}
    ]
    settled(bringing.bringing(S3, spec, tag=True, chosen=chosen), spec)
    assert [one.key for one in lifecycle.check(S3, spec) if one.state != "ok"] == []
    assert S3.existing.owner(spec) == str(spec.id)
    assert s3.get_object(Bucket=spec.bucket, Key="theirs")["Body"].read() == b"1"
    settled(bringing.forgetting(S3, tagged=True, made_logs=True, keep_logs=False), spec)
    if has_tags:
        assert s3.get_bucket_tagging(Bucket=spec.bucket)["TagSet"] == tags
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=spec.bucket)["Contents"]] == ["theirs"]
    assert S3.existing.owner(spec) == ""
