"""What the S3 provider says without a server: names, facts, capabilities, repositories."""

from dataclasses import replace
from uuid import UUID

import pytest

from console.clouds import CLOUDS, lifecycle
from console.clouds.s3 import session as s3_session
from console.clouds.s3api import clients, settings
from console.clouds.specs import StoreSpec
from console.clouds.steps import StepResult
from tests.clouds import plans
from tests.clouds.aws_accounts import key_account
from tests.clouds.s3.buckets import node_spec
from tests.clouds.s3_accounts import S3, SECRET, an_account, make_spec

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


def test_the_plans_have_the_shape_and_the_titles_of_amazons_and_then_a_trial():
    aws, s3 = ([[step.title for step in stage] for stage in plans.creation(CLOUDS[key])] for key in ("aws", "s3"))
    assert s3 == [*aws, ["Trying out what a backup does"]]


def test_what_a_bucket_is_tried_with_goes_again_because_it_comes_before_the_lock():
    spec = replace(make_spec(an_account()), versions_days=30, lock_days=2)
    keys = [step.key for stage in lifecycle.creation(S3, spec) for step in stage]
    assert keys[-3:] == ["set_backup_trial", "set_backup_versioning", "set_backup_object_lock"]


def test_bucket_names_hold_the_whole_id():
    names = S3.storage.names(UUID("00112233-4455-4677-8899-aabbccddeeff"), "us-east-1", "s3.example.com")
    assert names == ("pgbk-aaisem2ekvdhpcezvk54zxpo74", "pgbk-aaisem2ekvdhpcezvk54zxpo74-log")


def test_repository_says_how_a_node_reaches_the_bucket():
    account = an_account("https://s3.example.com:9000", ca_certificate="-----BEGIN …")
    spec, keys = make_spec(account), {"access_key_id": "NODE", "secret_access_key": SECRET}
    found = S3.access.repository(spec, node_spec(account, spec.bucket, keys=keys))
    assert found.options == (
        ("type", "s3"),
        ("s3-bucket", spec.bucket),
        ("s3-endpoint", "s3.example.com"),
        ("s3-region", "us-east-1"),
        ("s3-uri-style", "path"),
        ("storage-port", "9000"),
        ("s3-key", "NODE"),
        ("s3-key-secret", SECRET),
    )
    assert found.secret == {"s3-key", "s3-key-secret"}
    assert found.ca_certificate == "-----BEGIN …"
    assert (found.needs, found.lacks) == ((), "")


def test_repository_without_keys_leaves_them_out():
    account = an_account(addressing_style="host", skip_tls_verify="yes")
    spec, access = make_spec(account), node_spec(account)
    found = S3.access.repository(spec, access)
    assert [name for name, _ in found.options] == [
        *("type", "s3-bucket", "s3-endpoint", "s3-region"),
        "storage-verify-tls",
    ]
    assert dict(found.options)["storage-verify-tls"] == "n"

    assert f"limited to {access.prefix}/ in {spec.bucket}" in found.lacks


@pytest.mark.parametrize("bucket", ["backups", "backups.example.com"])
@pytest.mark.parametrize("account", [key_account(), an_account(addressing_style="host")], ids=["amazon", "host"])
def test_a_bucket_with_dots_is_reached_by_path(account, bucket):
    """The certificate of bucket.s3.example.com is for one name more, as a * stands for no dot."""
    cloud = S3 if account.settings.get("endpoint") else CLOUDS["aws"]
    spec = StoreSpec(UUID(int=1), "Orders", account, "eu-west-1", bucket, f"{bucket}-log")
    options = dict(cloud.access.repository(spec, node_spec(account)).options)
    assert options.get("s3-uri-style") == ("path" if "." in bucket else None)


@pytest.mark.parametrize(
    ("endpoint", "given", "needed"),
    [
        ("https://192.0.2.7:9000", {}, ("2.46",)),
        ("https://192.0.2.7:9000", {"skip_tls_verify": "yes"}, ()),
        ("https://store.example:9000", {}, ()),
    ],
)
def test_repository_says_which_release_finds_an_address_in_a_certificate(endpoint, given, needed):
    account = an_account(endpoint, **given)
    found = S3.access.repository(make_spec(account), node_spec(account))
    assert tuple(one.release for one in found.needs) == needed
    assert all("find an IP address (192.0.2.7) in a certificate" in one.what for one in found.needs)


def test_facts_say_what_the_server_is():
    account = an_account("https://s3.example.com:9000", region="RegionOne", location="sao-paulo")
    facts = {fact.label: fact.value for fact in S3.linking.facts(account)}
    assert facts == {
        "Endpoint": "https://s3.example.com:9000",
        "Access Key ID": "KEY",
        "TLS": "verified with the system's certificates",
        "Region": "RegionOne",
        "Location": "São Paulo, Brazil",
        "Addressing Style": "path",
    }
    spec = make_spec(account)
    assert S3.storage.facts(spec) == [
        ("Bucket Name", spec.bucket),
        ("Log Bucket Name", spec.log_bucket),
        ("Endpoint", "https://s3.example.com:9000"),
    ]


@pytest.mark.parametrize(
    ("given", "words", "warning"),
    [({"ca_certificate": "x"}, "your CA certificate", False), ({"skip_tls_verify": "yes"}, "NOT verified", True)],
)
def test_facts_warn_of_a_certificate_that_is_not_verified(given, words, warning):
    [tls] = [fact for fact in S3.linking.facts(an_account(**given)) if fact.label == "TLS"]
    assert words in tls.value
    assert tls.warning is warning


def test_a_server_has_one_region_and_its_nodes_may_be_anywhere():
    account = an_account(region="dublin", location="oslo")
    [own] = S3.storage.regions(account)
    assert (own.code, own.city) == ("dublin", "Oslo")
    found = S3.access.regions(account)
    assert found[0] == own
    assert [region.city for region in found if region.code == "dublin"] == ["Oslo"]  # the own one wins
    assert {"singapore", "sao-paulo"} <= {region.code for region in found}


def test_capabilities_say_what_a_missing_control_means():
    rows = {one.label: one.has for one in S3.capabilities(an_account()).features}
    assert rows == {
        "Access logging": False,
        "TLS-only policy": True,
        "Expiry of unfinished uploads": True,
        "Expiry of objects": True,
        "Public access block": False,
        "ACLs off": True,
        "Versioning": True,
        "Expiry of older versions": True,
        "Object Lock": True,
        "Bucket tags": True,
        "IAM users": True,
        "Refusal to delete what is not empty": False,
    }
    assert "log bucket stays empty" in S3.capabilities(an_account()).features[0].without
    assert S3.linking.linked(an_account()) == (
        "The server lacks access logging, public access block and refusal to delete what is not empty."
    )


def test_policies_are_the_same_however_a_server_writes_them():
    ours = {"Statement": [{"Principal": "*", "Action": "s3:*", "Resource": ["a", "b"]}]}
    theirs = {"Statement": [{"Principal": {"AWS": ["*"]}, "Action": ["s3:*"], "Resource": ["b", "a"]}]}
    assert settings.same_document(ours, theirs)
    assert not settings.same_document(ours, {"Statement": [{**theirs["Statement"][0], "Action": "s3:Get*"}]})
    assert not settings.same_document(ours, None)


def test_no_message_speaks_of_amazon():
    for _, message in s3_session.SERVER_ERRORS.values():
        assert "AWS" not in message
        assert "Amazon" not in message


def test_secrets_are_in_no_repr():
    account = an_account()
    keys = {"access_key_id": "NODE", "secret_access_key": SECRET}
    s3_session.s3_client(account)
    shown = repr((account, make_spec(account), node_spec(account, keys=keys), list(clients._clients.values())))
    assert SECRET not in shown + repr(StepResult(keep=keys))
    clients.forget_clients()
