"""How nodes get into their folder: by a user of their own, or by a key that a person makes."""

from dataclasses import replace
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from console.clouds.s3 import access as s3_access
from console.clouds.s3 import session as s3_session
from console.clouds.specs import AccountRef, DeploymentSettings
from console.clouds.steps import Failed
from tests.clouds import plans
from tests.clouds.plans import run, steps
from tests.clouds.s3.buckets import node_spec, slow
from tests.clouds.s3_accounts import ALLOWED, S3, an_account, make_spec

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


def granted(spec):
    """Run the plan as the engine does and return the cluster with the key that it keeps from then on."""
    kept = None
    for step in steps(S3.access.grant):
        made = step.run(spec)
        kept = made.keep if made and made.keep else kept
    return replace(spec, keys=kept) if kept else spec


@pytest.fixture
def node(store):
    spec = granted(node_spec(store.account, store.bucket))
    yield spec
    run(S3.access.delete, spec)


def client_of(spec):
    """Return a client that signs in with the nodes' key."""
    settings = {**spec.account.settings, "access_key_id": spec.keys["access_key_id"]}
    secrets = {"secret_access_key": spec.keys["secret_access_key"]}
    return s3_session.s3_client(AccountRef(uuid4(), "", "", settings, secrets, DeploymentSettings(ALLOWED)))


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] in {"AccessDenied", "InvalidAccessKeyId"}
    return False


@slow
def test_a_nodes_key_reaches_its_own_folder_and_nothing_else(node, store, s3):
    other, bucket = make_spec(store.account), store.bucket
    run(plans.creation(S3), other)
    mine = client_of(node)
    mine.put_object(Bucket=bucket, Key=f"{node.prefix}/backup", Body=b"1")
    assert mine.get_object(Bucket=bucket, Key=f"{node.prefix}/backup")["Body"].read() == b"1"
    assert mine.list_objects_v2(Bucket=bucket, Prefix=f"{node.prefix}/")["KeyCount"] == 1
    assert mine.list_objects_v2(Bucket=bucket, Prefix=node.prefix, Delimiter="/")["KeyCount"] == 1
    mine.delete_object(Bucket=bucket, Key=f"{node.prefix}/backup")
    for key in ("c-another/backup", f"{node.prefix}x/backup", "top"):
        assert refused(mine.put_object, Bucket=bucket, Key=key, Body=b"1")
        assert refused(mine.get_object, Bucket=bucket, Key=key)
        assert refused(mine.delete_object, Bucket=bucket, Key=key)
    assert refused(mine.list_objects_v2, Bucket=bucket)
    assert refused(mine.list_objects_v2, Bucket=bucket, Prefix="c-another/")
    for foreign in (other.bucket, store.log_bucket):
        assert refused(mine.put_object, Bucket=foreign, Key=f"{node.prefix}/x", Body=b"1")
        assert refused(mine.list_objects_v2, Bucket=foreign, Prefix=f"{node.prefix}/")
    assert refused(mine.get_bucket_policy, Bucket=bucket)
    assert refused(mine.delete_bucket_policy, Bucket=bucket)
    assert refused(mine.delete_bucket, Bucket=bucket)
    assert refused(mine.create_bucket, Bucket="pgbk-evil")
    run(plans.deletion(S3), other)


@slow
def test_grant_twice_keeps_the_key(node, iam):
    assert all(step.run(node) is None for step in steps(S3.access.grant))
    [key] = iam.list_access_keys(UserName=f"pgbk-{node.prefix}")["AccessKeyMetadata"]
    assert key["AccessKeyId"] == node.keys["access_key_id"]
    assert S3.access.facts(node) == [
        ("User", f"pgbk-{node.prefix}"),
        ("Access Key ID", node.keys["access_key_id"]),
    ]


@slow
def test_a_key_whose_secret_a_crash_lost_is_replaced(node, iam):
    again = granted(replace(node, keys={}))
    [key] = iam.list_access_keys(UserName=f"pgbk-{node.prefix}")["AccessKeyMetadata"]
    assert key["AccessKeyId"] == again.keys["access_key_id"] != node.keys["access_key_id"]
    assert refused(client_of(node).list_objects_v2, Bucket=node.buckets[0], Prefix=f"{node.prefix}/")


@slow
def test_a_key_that_a_node_made_for_itself_goes(node, iam):
    settings = {**node.account.settings, "access_key_id": node.keys["access_key_id"]}
    own = AccountRef(
        uuid4(), "", "", settings, {"secret_access_key": node.keys["secret_access_key"]}, DeploymentSettings(ALLOWED)
    )
    made = s3_session.iam_client(own).create_access_key()["AccessKey"]["AccessKeyId"]
    granted(node)
    found = {key["AccessKeyId"] for key in iam.list_access_keys(UserName=f"pgbk-{node.prefix}")["AccessKeyMetadata"]}
    assert found == {node.keys["access_key_id"]} != {made}


@slow
def test_grant_takes_a_detached_store_away(node, store):
    other = make_spec(store.account)
    run(plans.creation(S3), other)
    both = granted(replace(node, buckets=(store.bucket, other.bucket)))
    client_of(both).put_object(Bucket=other.bucket, Key=f"{node.prefix}/x", Body=b"1")
    client_of(both).delete_object(Bucket=other.bucket, Key=f"{node.prefix}/x")
    granted(replace(both, buckets=(store.bucket,)))
    assert refused(client_of(both).put_object, Bucket=other.bucket, Key=f"{node.prefix}/x", Body=b"1")
    run(plans.deletion(S3), other)


@slow
def test_revoke_takes_everything_back_and_grant_gives_it_again(node):
    own = {"Bucket": node.buckets[0], "Key": f"{node.prefix}/x"}
    run(S3.access.revoke, node)
    run(S3.access.revoke, node)
    assert refused(client_of(node).put_object, **own, Body=b"1")
    run(S3.access.grant, node)
    client_of(node).put_object(**own, Body=b"1")
    client_of(node).delete_object(**own)


@slow
def test_dismiss_leaves_neither_user_nor_key_nor_policy(node, iam):
    name = f"pgbk-{node.prefix}"
    run(S3.access.delete, node)
    run(S3.access.delete, node)
    assert refused(client_of(node).list_objects_v2, Bucket=node.buckets[0], Prefix=f"{node.prefix}/")
    iam.create_user(UserName=name)  # the next user of that name finds nothing of the last one
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == []
    with pytest.raises(ClientError):
        iam.get_user_policy(UserName=name, PolicyName="backup-stores")


@slow
@pytest.mark.parametrize("done", range(4))
def test_grant_converges_after_a_crash(store, iam, done):
    spec = node_spec(store.account, store.bucket)
    for step in steps(S3.access.grant)[:done]:
        step.run(spec)
    kept = granted(spec)
    assert len(iam.list_access_keys(UserName=f"pgbk-{spec.prefix}")["AccessKeyMetadata"]) == 1
    client_of(kept).list_objects_v2(Bucket=store.bucket, Prefix=f"{spec.prefix}/")
    run(S3.access.delete, spec)


@slow
def test_the_user_of_another_cluster_is_never_touched(store, iam):
    spec = node_spec(store.account, store.bucket)
    name = f"pgbk-{spec.prefix}"
    iam.create_user(UserName=name)
    iam.tag_user(UserName=name, Tags=[{"Key": "storekeeper:cluster-id", "Value": "another"}])
    for plan in (S3.access.grant, S3.access.revoke):
        with pytest.raises(Failed, match="does not belong to this cluster"):
            run(plan, spec)
    run(S3.access.delete, spec)
    assert iam.get_user(UserName=name)["User"]
    assert iam.list_access_keys(UserName=name)["AccessKeyMetadata"] == []
    iam.delete_user(UserName=name)


def test_without_users_a_person_makes_the_key():
    spec = node_spec(an_account(has="tags"), "pgbk-b")
    notes = [made.note for step in steps(S3.access.grant) if (made := step.run(spec))]
    assert notes == [s3_access.BY_HAND]
    assert "by hand" in S3.access.revoke[0][0].run(spec).note
    assert "by hand" in S3.access.delete[0][0].run(spec).note
    assert S3.access.facts(spec) == []
    assert S3.access.policy(spec)["Statement"][0]["Resource"] == "arn:aws:s3:::pgbk-b"
    assert S3.access.refusal(spec) == ""


@slow
def test_objects_reads_what_is_in_the_bucket(store, s3):
    for key in ("c-a/backup/main/backup.info", "c-a/archive/x", "c-b/y"):
        s3.put_object(Bucket=store.bucket, Key=key, Body=key.encode())
    objects = S3.storage.objects(store)
    assert objects.folders("c-a/") == ["archive", "backup"]
    assert [entry.key for entry in objects.entries("c-a/")] == ["c-a/archive/x", "c-a/backup/main/backup.info"]
    assert objects.read("c-b/y", 3).data == b"c-b"
    assert objects.read("c-b/none", 3).data is None
