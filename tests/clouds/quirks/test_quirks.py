"""A store's life on each server of the table: linked, made, checked, used, deleted, and nothing left of it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from uuid import uuid4

import pytest

from console.clouds import bringing, lifecycle
from console.clouds.contract import LinkError
from console.clouds.existing import TakenOver
from console.clouds.s3.session import bucket_of
from console.clouds.s3api.settings import POLICY
from console.clouds.steps import Failed, Refused
from tests.clouds import plans
from tests.clouds.contract.running import PREFIX, settled
from tests.clouds.quirks.table import NO_MULTI_DELETE, ROWS
from tests.clouds.s3_accounts import S3, SEAWEED, an_account, make_spec
from tests.sampling import spread, thorough_but

pytestmark = pytest.mark.slow
LINKED = [name for name, row in ROWS.items() if not row.refused]
# Each server is linked, which tries a store's settings and its work out; one of those on which a store does without the
# same has its life walked, too.
LIVED = {*spread(LINKED, by=lambda name: ROWS[name].lacks)}


@pytest.fixture
def stands(administrator):
    """What stands on the server that is named like ours, whatever the layer says."""

    def names():
        return {one["Name"] for one in administrator.list_buckets()["Buckets"] if one["Name"].startswith("pgbk-")}

    before = names()
    return lambda: names() - before


def through(layer, row):
    """Return an account on the server as the row makes it, before it is linked."""
    layer.row, server = row, layer.server
    return an_account(layer.endpoint, server.ca_certificate, server.access_key_id, server.secret_access_key, has="")


def linked(account):
    found = S3.linking.identify(account).found
    return replace(account, settings={**account.settings, **found})


@pytest.mark.parametrize("name", LINKED)
def test_a_store_lives_and_ends_on_each_server(layer, administrator, stands, name):
    row = ROWS[name]
    account = linked(through(layer, row))
    has = {*account.settings["has"].split()}
    assert not stands()
    assert not has & row.lacks
    assert has >= {*SEAWEED.split()} - row.lacks - {"version_expiry"}
    if name not in LIVED:
        assert not stands()
        return
    spec = make_spec(account)
    settled(plans.creation(S3), spec)
    assert stands() == {spec.bucket, spec.log_bucket}
    done = replace(spec, complete=True)
    for control in S3.storage.settings(done):
        if control.offered and control.key in has:
            assert control.matches(control.observe()), control.key
    orphans = {one.name: one for one in S3.storage.list_unmanaged(account, ())}
    assert orphans[spec.bucket].store_id == str(spec.id)
    assert not orphans[spec.bucket].error

    backup = f"{PREFIX}/n1/backup/main/backup.info"
    administrator.put_object(Bucket=spec.bucket, Key=backup, Body=b"[backrest]\n")
    administrator.create_multipart_upload(Bucket=spec.log_bucket, Key="half")
    administrator.put_object(Bucket=spec.log_bucket, Key="access/1", Body=b"a line")
    found = plans.contents(S3, done, lambda counted: None)
    assert (found.objects, found.size, found.is_empty) == (1, 11, False)
    assert [one.key for one in S3.storage.objects(done).entries(f"{PREFIX}/")] == [backup]
    with pytest.raises(Refused, match="1 object"):
        settled(plans.deletion(S3), done)
    assert stands() == {spec.bucket, spec.log_bucket}
    administrator.delete_object(Bucket=spec.bucket, Key=backup)
    settled(plans.deletion(S3), done)
    assert not stands()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.refused])
def test_what_cannot_be_linked_says_why_and_leaves_nothing(layer, stands, name):
    with pytest.raises(LinkError, match=ROWS[name].refused):
        linked(through(layer, ROWS[name]))
    assert not stands()


@pytest.mark.parametrize("name", thorough_but(LINKED, by=lambda name: ROWS[name].lacks))
def test_what_is_somebody_elses_is_never_touched(layer, administrator, stands, name):
    """An untagged bucket that holds an object is nobody's where there are tags, and of its name's store elsewhere."""
    account = through(layer, ROWS[name])
    has = " ".join({*SEAWEED.split()} - ROWS[name].lacks)
    spec = make_spec(replace(account, settings={**account.settings, "has": has}))
    assert S3.storage.owner(spec, spec.bucket) is None
    administrator.create_bucket(Bucket=spec.bucket)
    assert S3.storage.owner(spec, spec.bucket) == str(spec.id)  # as after a crash between its creation and its tag
    administrator.put_object(Bucket=spec.bucket, Key="theirs", Body=b"1")
    assert S3.storage.owner(spec, spec.bucket) == ("" if "tags" in has.split() else str(spec.id))
    administrator.delete_object(Bucket=spec.bucket, Key="theirs")
    administrator.delete_bucket(Bucket=spec.bucket)
    assert not stands()


def test_what_has_no_call_for_many_is_emptied_one_by_one(layer, administrator, stands):
    spec = make_spec(through(layer, NO_MULTI_DELETE))
    administrator.create_bucket(Bucket=spec.log_bucket)
    for name in ("access/1", "access/2"):
        administrator.put_object(Bucket=spec.log_bucket, Key=name, Body=b"a line")
    bucket_of(spec, spec.log_bucket).empty()
    assert bucket_of(spec, spec.log_bucket).left().is_empty
    assert "DeleteObject" in layer.seen
    administrator.delete_bucket(Bucket=spec.log_bucket)
    assert not stands()


@pytest.mark.parametrize("what", ["claims", "breaks"])
def test_a_bucket_is_brought_in_with_its_policy_where_none_of_ours_is_any_good(layer, administrator, what):
    """As behind a proxy that ends TLS: there is no policy to add, and what the bucket has stays."""
    has = " ".join({*SEAWEED.split()} - {"bucket_policy"})
    account = through(layer, ROWS["SeaweedFS as it is"])
    account = replace(account, settings={**account.settings, "has": has, what: "bucket_policy"})
    spec = replace(make_spec(account), log_bucket="", complete=True)
    administrator.create_bucket(Bucket=spec.bucket)
    try:
        for policy in (None, {"Version": "2012-10-17", "Statement": [refusing_writes(spec.bucket)]}):
            if policy:
                administrator.put_bucket_policy(Bucket=spec.bucket, Policy=json.dumps(policy))
            lines = {one.key: one for one in bringing.look(S3, spec)}
            assert lines["policy"].state == "ok"
            brought = replace(spec, taken_over=TakenOver({key: one.observed for key, one in lines.items()}))
            chosen = [lifecycle.Differing(False, "policy", "policy")]
            settled(bringing.bringing(S3, brought, tag=True, chosen=chosen), brought)
            assert S3.existing.owner(brought) == str(spec.id)
            assert (POLICY.read(bucket_of(spec, spec.bucket)) or {}).get("Statement") == (policy or {}).get("Statement")
            settled(bringing.forgetting(S3, tagged=True, made_logs=False, keep_logs=False), brought)
    finally:
        administrator.delete_bucket(Bucket=spec.bucket)


def looked_at(spec):
    """Return the store as it is once somebody has decided to set all that differs, and what that is."""
    lines = bringing.look(S3, spec)
    there = {one.key: one.observed for one in lines if one.state in {"ok", "off"}}
    wanted = [one for one in lines if one.state == "off" and one.key not in {"tags", "logging"}]
    chosen = [lifecycle.Differing(False, one.key, one.label) for one in wanted]
    return replace(spec, taken_over=TakenOver(there)), chosen


@pytest.fixture
def theirs(administrator):
    """Makes a bucket that somebody uses; it has to be as it was, but for what was set on it."""
    made = []

    def make(bucket):
        administrator.create_bucket(Bucket=bucket)
        administrator.put_object(Bucket=bucket, Key="pg/backup/main/backup.info", Body=b"1")
        made.append(bucket)

    yield make
    for bucket in made:
        for one in administrator.list_objects_v2(Bucket=bucket).get("Contents", []):
            administrator.delete_object(Bucket=bucket, Key=one["Key"])
        administrator.delete_bucket(Bucket=bucket)


def keys_in(administrator, bucket):
    return [one["Key"] for one in administrator.list_objects_v2(Bucket=bucket)["Contents"]]


@pytest.mark.parametrize("name", thorough_but(LINKED, by=lambda name: ROWS[name].lacks))
def test_a_bucket_that_was_there_is_brought_in_and_given_back_on_each_server(layer, administrator, theirs, name):
    account = linked(through(layer, ROWS[name]))
    spec = replace(make_spec(account), log_bucket="", complete=True)
    theirs(spec.bucket)
    assert S3.existing.find(account, spec.bucket).region == "us-east-1"
    assert S3.existing.owner(spec) == ""
    brought, chosen = looked_at(spec)
    with pytest.raises(Failed, match=f"{spec.id}, so nothing shows"):
        settled(bringing.bringing(S3, brought, tag=False, chosen=()), brought)
    settled(bringing.bringing(S3, brought, tag=True, chosen=chosen), brought)
    assert S3.existing.owner(brought) == str(spec.id)
    assert [one.key for one in lifecycle.check(S3, brought) if one.state != "ok"] == []
    marked = [f"storekeeper-owner/{spec.id}"] if "tags" not in account.settings["has"].split() else []
    assert keys_in(administrator, spec.bucket) == ["pg/backup/main/backup.info", *marked]
    settled(bringing.forgetting(S3, tagged=True, made_logs=False, keep_logs=False), brought)
    assert S3.existing.owner(brought) == ""
    assert keys_in(administrator, spec.bucket) == ["pg/backup/main/backup.info"]


@pytest.fixture
def marked(layer, theirs):
    """A store that was brought in on a server without tags."""
    account = linked(through(layer, ROWS["Garage"]))
    spec = replace(make_spec(account), log_bucket="", complete=True)
    theirs(spec.bucket)
    spec, chosen = looked_at(spec)
    settled(bringing.bringing(S3, spec, tag=True, chosen=chosen), spec)
    return spec


def test_another_stores_marker_wins_and_is_left_alone(marked, administrator):
    other = f"storekeeper-owner/{uuid4()}"
    administrator.put_object(Bucket=marked.bucket, Key=other, Body=b"")
    assert S3.existing.owner(marked) == other.rpartition("/")[2]
    [line] = [one for one in lifecycle.check(S3, marked) if one.state != "ok"]
    assert (line.key, line.label, line.repairable, other in line.words) == ("tags", "Marker", False, True)
    with pytest.raises(Failed, match="another store"):
        settled(bringing.bringing(S3, marked, tag=True, chosen=()), marked)
    settled(bringing.forgetting(S3, tagged=True, made_logs=False, keep_logs=False), marked)
    assert other in keys_in(administrator, marked.bucket)


def test_a_marker_that_is_gone_is_found_and_put_back(marked, administrator):
    administrator.delete_object(Bucket=marked.bucket, Key=f"storekeeper-owner/{marked.id}")
    [line] = [one for one in lifecycle.check(S3, marked) if one.state != "ok"]
    assert (line.key, line.words, line.repairable) == ("tags", "None", True)
    repairs = lifecycle.repair(S3, marked, gone=(), differing=[lifecycle.Differing(False, "tags", "Marker")])
    settled(repairs, marked)
    assert S3.existing.owner(marked) == str(marked.id)


def test_the_command_puts_the_marker(marked, administrator):
    *_, line = S3.existing.tag_command(marked, {}).splitlines()
    words = shlex.split(line)
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[:3] == ["aws", "s3api", "put-object"]
    assert (given["--bucket"], given["--key"]) == (marked.bucket, f"storekeeper-owner/{marked.id}")
    assert "--body" not in given  # empty


def refusing_writes(bucket):
    """A statement of somebody else's."""
    return {
        "Sid": "Theirs",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/theirs/*",
    }
