"""How nodes get into their container: by an identity, or by a signature."""

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import HttpResponseError

from console.clouds.azure import AZURE
from console.clouds.azure import access as azure_access
from console.clouds.azure import session as azure_session
from console.clouds.steps import Failed, NotReady
from console.demo.roles import azure_roles
from tests.clouds import plans
from tests.clouds.azure.specs import make_spec, node_client, run
from tests.worlds.azure import opened

pytestmark = pytest.mark.slow  # Azurite is a process


def refused(call):
    with pytest.raises(HttpResponseError) as raised:
        call()
    return raised.value.status_code in {401, 403, 404}


def test_grant_lets_the_nodes_use_exactly_their_container(worlds):
    first, second = make_spec(worlds), make_spec(worlds)
    run(plans.creation(AZURE), first)
    run(plans.creation(AZURE), second)
    other = run(AZURE.access.grant, worlds.access(first))
    access = run(AZURE.access.grant, worlds.access(first, second))
    for spec in (first, second):
        node = node_client(worlds, spec, access)
        node.upload_blob(f"{access.prefix}/n1/x", b"mine")
        assert node.download_blob(f"{access.prefix}/n1/x").readall() == b"mine"
        assert [one.name for one in node.list_blobs()] == [f"{access.prefix}/n1/x"]
        node.delete_blob(f"{access.prefix}/n1/x")
    worlds.put(first, f"{other.prefix}/n1/x", b"theirs")
    foreign = node_client(worlds, first, access, container=other.prefix)
    assert refused(lambda: foreign.download_blob(f"{other.prefix}/n1/x"))
    assert refused(lambda: foreign.upload_blob(f"{other.prefix}/n1/y", b""))
    assert refused(lambda: foreign.delete_blob(f"{other.prefix}/n1/x"))
    assert refused(lambda: list(foreign.list_blobs()))
    assert refused(node_client(worlds, first, access).get_container_access_policy)
    assert refused(node_client(worlds, first, access, container="new").create_container)


def test_grant_twice_changes_nothing(worlds):
    spec = make_spec(worlds)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, worlds.access(spec))
    once = worlds.look()
    assert run(AZURE.access.grant, access) == access
    assert worlds.look() == once


def test_detaching_takes_the_access_back_and_leaves_the_lock(worlds):
    first, second = make_spec(worlds), make_spec(worlds)
    run(plans.creation(AZURE), first)
    run(plans.creation(AZURE), second)
    locks = worlds.tables()["locks"]
    before = run(AZURE.access.grant, worlds.access(first, second))
    after = run(AZURE.access.grant, replace(before, buckets=(second.bucket,)))
    assert worlds.tables()["locks"] == locks  # which forbid to delete role assignments
    assert refused(lambda: list(node_client(worlds, first, before).list_blobs()))
    assert list(node_client(worlds, second, after).list_blobs()) == []
    revoked = run(AZURE.access.revoke, replace(after, buckets=()))
    assert refused(lambda: list(node_client(worlds, second, after).list_blobs()))
    assert dict(revoked.keys) == {}
    run(AZURE.access.delete, revoked)
    run(AZURE.access.delete, revoked)
    found = worlds.tables()
    assert (found["identities"], found["roles"], found["locks"]) == ({}, {}, locks)


def test_taking_back_needs_no_store(worlds):
    spec = make_spec(worlds)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, worlds.access(spec))
    run(plans.deletion(AZURE), spec)  # only possible where somebody took the access away by hand
    run(AZURE.access.delete, run(AZURE.access.revoke, replace(access, buckets=())))
    assert worlds.look() == {}


def test_grant_never_touches_an_identity_of_others(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    access = world.access(spec)
    key = azure_access.identity_id(access).lower()
    world.emulator.state["identities"][key] = theirs = {
        "name": "x",
        "tags": {},
        "location": "westeurope",
        "properties": {},
    }
    with pytest.raises(Failed, match="does not belong to this cluster"):
        run(AZURE.access.grant, access)
    run(AZURE.access.delete[1:], access)
    assert world.emulator.state["identities"][key] is theirs


def test_grant_waits_for_the_identity_to_be_known(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    world.emulator.replication_seconds = 0.6
    access = world.access(spec)
    run(AZURE.access.grant[:1], access)
    with pytest.raises(NotReady, match="does not know") as raised:
        run(AZURE.access.grant[1:2], access)
    assert raised.value.patience == 300
    world.emulator.replication_seconds = 0
    run(AZURE.access.grant[1:], access)


@pytest.fixture(scope="module")
def signing_world(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("azure"), "sas") as world:
        yield world


@pytest.fixture
def signing(signing_world):
    signing_world.clear()
    yield signing_world
    azure_session.forget_clients()


def test_signature_is_renewed_a_month_before_it_ends_and_the_old_one_stays_good(signing):
    spec = make_spec(signing)
    run(plans.creation(AZURE), spec)
    old = run(AZURE.access.grant, signing.access(spec))
    assert timedelta(days=334) < AZURE.access.keys_due(old) - datetime.now(UTC) < timedelta(days=336)
    policies = signing.emulator.state["containers"][f"{spec.bucket}/{old.prefix}"]["policies"]
    [(name, policy)] = policies.items()
    assert (name, policy["Permission"]) == (old.keys[f"{spec.bucket} policy"], "racwdl")
    soon = (datetime.now(UTC) + timedelta(days=29)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policy["Expiry"] = soon
    new = replace(run(AZURE.access.grant, old), former=old.keys)
    assert new.keys[spec.bucket] != old.keys[spec.bucket]
    for access in (old, new):
        assert list(node_client(signing, spec, access).list_blobs()) == []
    assert run(AZURE.access.grant, new) == new
    again = dict(signing.emulator.state["containers"][f"{spec.bucket}/{old.prefix}"]["policies"])
    assert {*again} == {name, new.keys[f"{spec.bucket} policy"]}
    again[name]["Expiry"] = "2026-01-01T00:00:00Z"
    assert refused(lambda: list(node_client(signing, spec, old).list_blobs()))


def test_signature_is_made_anew_when_its_key_was_replaced(signing):
    spec = make_spec(signing)
    run(plans.creation(AZURE), spec)
    old = run(AZURE.access.grant, signing.access(spec))
    signing.emulator.state["accounts"][spec.bucket]["keys"][0] = base64.b64encode(b"another key").decode()
    assert refused(lambda: list(node_client(signing, spec, old).list_blobs()))
    new = run(AZURE.access.grant, old)
    assert list(node_client(signing, spec, new).list_blobs()) == []


def test_nodes_change_from_one_way_to_the_other(signing):
    """Whoever changes it gives the console both parts of the role meanwhile."""
    signing.emulator.let_console_in(*azure_roles("identity"))
    by_signature, by_identity = signing.account(), signing.account(node_access="identity")
    spec = replace(make_spec(signing), account=by_identity)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, replace(signing.access(spec), account=by_identity))
    assert len(signing.tables()["roles"]) == 1
    access = run(AZURE.access.grant, replace(access, account=by_signature))
    assert signing.tables()["roles"] == {}
    assert list(node_client(signing, spec, access).list_blobs()) == []
    back = run(AZURE.access.grant, replace(access, account=by_identity))
    assert len(signing.tables()["roles"]) == 1
    assert spec.bucket not in back.keys
    assert refused(lambda: list(node_client(signing, spec, access).list_blobs()))


def test_signature_says_nothing_of_the_account_key(signing):
    spec = make_spec(signing)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, signing.access(spec))
    assert not any(key in str(dict(access.keys)) for key in signing.emulator.state["accounts"][spec.bucket]["keys"])
    assert "sig=" not in repr(access)


def test_repository_has_the_signature_as_a_secret(signing):
    spec = make_spec(signing)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, signing.access(spec))
    found = AZURE.access.repository(spec, access)
    options = dict(found.options)
    assert options["azure-key"] == access.keys[spec.bucket]
    assert (options["azure-container"], options["azure-account"]) == (access.prefix, spec.bucket)
    assert found.secret == {"azure-key"}
    assert "BEGIN CERTIFICATE" in found.ca_certificate
    assert (found.needs, found.lacks) == ((), "")
    without = AZURE.access.repository(spec, replace(access, keys={}))
    assert f"has no signature for {spec.name} yet" in without.lacks


def test_repository_of_azure_itself_names_no_endpoint(world):
    spec = make_spec(world)
    real = replace(
        spec, account=replace(spec.account, deployment=replace(spec.account.deployment, endpoint_url="", ca_file=""))
    )
    access = world.access(real)
    found = AZURE.access.repository(real, access)
    assert dict(found.options) == {
        "type": "azure",
        "azure-account": spec.bucket,
        "azure-container": access.prefix,
        "azure-key-type": "auto",
    }
    assert found.ca_certificate == ""
    [need] = found.needs
    assert (need.release, "with a managed identity" in need.what) == ("2.58", True)
    assert not found.lacks
