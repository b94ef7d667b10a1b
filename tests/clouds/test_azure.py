"""What the Azure provider does, against the strict emulator: the contract's own cases stand in test_contract.py."""

import base64
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient

from console.clouds.azure import AZURE
from console.clouds.azure import access as azure_access
from console.clouds.azure import errors as azure_errors
from console.clouds.azure import session as azure_session
from console.clouds.azure import storage as azure_storage
from console.clouds.azure.accounts import expiry
from console.clouds.azure.documents import access_documents, condition, definition, permissions
from console.clouds.azure.errors import NoAnswer, Refusal, on_bucket, step_error
from console.clouds.contract import LinkError, StoreSpec, Unproven
from console.clouds.inspection import inspect
from console.clouds.regions import regions
from console.clouds.steps import Conflict, Denied, Failed, NotReady, Refused, TooLate
from console.demo.credentials import AZURE_IDENTITY
from console.demo.roles import azure_roles
from tests.clouds import plans
from tests.worlds.azure import Azure, opened

pytestmark = pytest.mark.slow  # Azurite is a process

OTHER = "00000000-1111-4222-8333-444444444444"


@pytest.fixture(scope="module", params=["identity", "sas"])
def both(request, tmp_path_factory):
    with opened(tmp_path_factory.mktemp("azure"), request.param) as world:
        yield world


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("azure")) as world:
        yield world


@pytest.fixture
def world(one):
    one.clear()
    yield one
    azure_session.forget_clients()


@pytest.fixture
def worlds(both):
    both.clear()
    yield both
    azure_session.forget_clients()


def make_spec(world, region="westeurope", **changes):
    store_id, account = uuid4(), world.account()
    bucket, log_bucket = AZURE.storage.names(store_id, region, account.number)
    return replace(StoreSpec(store_id, "Orders (EU)", account, region, bucket, log_bucket), **changes)


def steps(plan):
    return [step for stage in plan for step in stage]


def run(plan, spec):
    """Run the plan and return the spec with what its steps gave to be kept."""
    for step in steps(plan):
        made = step.run(spec)
        if made and made.keep is not None:
            spec = replace(spec, keys=made.keep)
    return spec


def settled(plan, spec, tries=6):
    """Run the plan as the engine does: again after each NotReady, and once more after what was refused by accident."""
    for _ in range(tries):
        try:
            return run(plan, spec)
        except (NotReady, Failed):
            continue
    raise AssertionError("it never settled")


# --- Names ----------------------------------------------------------------------------------------------------------


def test_bucket_names():
    found = AZURE.storage.names(UUID("00112233-4455-4677-8899-aabbccddeeff"), "westeurope", "x")
    assert found == ("pgbkiz3yrgnkxpgn33x7", "pgbliz3yrgnkxpgn33x7")
    assert all(len(name) == 20 and name.isalnum() and name == name.lower() for name in found)
    # A version 7 UUID begins with the time: two of one moment still differ.
    others = {AZURE.storage.names(UUID(f"0199{'0' * 12}{number:016x}"), "", "")[0] for number in range(50)}
    assert len(others) == 50


def test_identifier_is_the_resource_id(world):
    account = world.account()
    assert AZURE.storage.identifier(account, "pgbkx") == (
        f"/subscriptions/{account.number}/resourceGroups/rg-backups/providers/Microsoft.Storage/storageAccounts/pgbkx"
    )


# --- Creating -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("region", Azure.regions)
@pytest.mark.parametrize("days", [0, 14])
def test_provision_steps_run_twice_leave_the_same_state(worlds, region, days):
    spec = make_spec(worlds, region, versions_days=days)
    for step in steps((*plans.creation(AZURE), *(plans.versions(AZURE) if days else ()))):
        step.run(spec)
        once = worlds.look()
        step.run(spec)
        assert worlds.look() == once
    found = worlds.tables()["accounts"]
    assert found[spec.bucket]["properties"] == {
        "allowBlobPublicAccess": False,
        "minimumTlsVersion": "TLS1_2",
        "supportsHttpsTrafficOnly": True,
        "isHnsEnabled": False,
        "allowSharedKeyAccess": worlds.node_access == "sas",
        "allowCrossTenantReplication": False,
    }
    assert found[spec.bucket]["tags"] == {
        "storekeeper:store-id": str(spec.id),
        "storekeeper:store-name": "Orders _EU_",
        "storekeeper:managed-by": "storekeeper",
    }
    assert {one["sku"] for one in found.values()} == {"Standard_LRS" if region == "westus" else "Standard_ZRS"}
    assert bool(found[spec.bucket]["blob_service"]["deleteRetentionPolicy"]["enabled"]) == bool(days)
    assert found[spec.bucket]["rules"] is None  # nothing ever deletes a backup
    for step in steps(plans.deletion(AZURE)):
        step.run(spec)
        step.run(spec)
    assert worlds.look() == {}


def test_provision_says_that_a_region_has_no_zones(world):
    made = plans.create(AZURE, make_spec(world, "westus"))
    assert made.note == "Azure keeps nothing in three zones of this region: all copies are in one (LRS)."
    assert plans.create(AZURE, make_spec(world)) is None


@pytest.mark.parametrize("tags", [{}, {"storekeeper:store-id": "another"}, {"team": "web"}])
@pytest.mark.parametrize("log", [True, False])
def test_provision_never_touches_an_account_that_is_not_the_stores(world, tags, log):
    spec = make_spec(world)
    name = spec.log_bucket if log else spec.bucket
    world.make_account(name, **tags)
    before = world.tables()["accounts"][name]
    with pytest.raises(Failed, match="exists in this resource group and does not belong to this store"):
        run(plans.creation(AZURE), spec)
    assert world.tables()["accounts"][name] == before
    run(plans.deletion(AZURE), spec)  # the store is deletable, and the account stays
    assert list(world.tables()["accounts"]) == [name]


@pytest.mark.parametrize("log", [True, False])
def test_provision_takes_a_new_name_when_somebody_in_azure_has_it(world, log):
    spec = make_spec(world)
    name = spec.log_bucket if log else spec.bucket
    world.emulator.state["taken"].append(name)
    with pytest.raises(Conflict) as raised:
        run(plans.creation(AZURE), spec)
    assert raised.value.details["bucket"] == name
    run(plans.deletion(AZURE), spec)
    assert world.tables()["accounts"] == {}


def test_provision_takes_a_new_name_when_another_resource_group_has_it(world):
    spec = make_spec(world)
    world.make_account(spec.bucket)
    world.emulator.state["accounts"][spec.bucket] |= {"group": "other", "group_name": "other"}
    with pytest.raises(Conflict):
        plans.create(AZURE, spec)


def test_provision_waits_for_azure_to_make_the_account(world, monkeypatch):
    world.emulator.creation_seconds = 0.4
    spec = make_spec(world)
    assert plans.create(AZURE, spec) is None
    world.emulator.creation_seconds = 30
    monkeypatch.setattr(azure_storage, "NEWEST_SHOWN", 0.1)
    with pytest.raises(NotReady, match="still making") as raised:
        plans.create_log(AZURE, spec)
    assert raised.value.patience == 600
    with pytest.raises(NotReady):
        plans.create_log(AZURE, spec)  # does not ask for it once more
    assert sum(call.startswith("PUT") and spec.log_bucket in call for call in world.calls()) == 1
    world.emulator.state["accounts"][spec.log_bucket]["made_at"] = 0
    assert plans.create_log(AZURE, spec) is None


def test_provision_says_which_policy_refuses(world):
    spec = make_spec(world)
    run(plans.creation(AZURE)[:2], spec)
    world.emulator.policy = "No diagnostic settings by hand"
    with pytest.raises(
        Failed, match=r"A policy of your organisation \(No diagnostic settings by hand\) forbids"
    ) as raised:
        plans.ensure(AZURE, "logging", spec)
    assert raised.value.details["code"] == "RequestDisallowedByPolicy"
    world.emulator.policy = ""
    run(plans.creation(AZURE), spec)


def test_provision_says_what_is_not_registered(world):
    world.emulator.unregistered.add("microsoft.storage")
    with pytest.raises(Failed, match=r"az provider register --namespace Microsoft\.Storage"):
        plans.create(AZURE, make_spec(world))


def test_provision_says_that_the_quota_is_full(world):
    world.emulator.quota = 1
    spec = make_spec(world)
    plans.create_log(AZURE, spec)
    with pytest.raises(Failed, match="as many storage accounts in westeurope as its quota allows"):
        plans.create(AZURE, spec)


def test_provision_says_that_the_resource_group_is_gone(world):
    world.emulator.state["groups"].clear()
    with pytest.raises(Failed, match="resource group rg-backups is not there any more"):
        plans.create(AZURE, make_spec(world))


# --- Trouble on the way ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "kind", "says"),
    [
        ("AuthorizationFailed", 403, Denied, "Add it to the console's custom role"),
        ("StorageAccountAlreadyTaken", 409, Conflict, "share one space of names"),
        ("StorageAccountOperationInProgress", 409, NotReady, "still working"),
        ("TooManyRequests", 429, NotReady, "slow down"),
        ("SomethingNew", 503, NotReady, "slow down"),
        ("SomethingNew", 429, NotReady, "slow down"),
        ("SomethingNew", 400, Failed, "Azure refused the request for storage account b: SomethingNew: why"),
        ("LocationNotAvailableForResourceType", 400, Failed, "cannot make storage accounts in westeurope"),
        ("ReadOnlyDisabledSubscription", 409, Failed, "is disabled"),
        ("ContainerBeingDeleted", 409, NotReady, "still deleting a container"),
        ("KeyBasedAuthenticationNotPermitted", 403, NotReady, "takes no shared keys"),
        ("PrincipalNotFound", 400, NotReady, "does not know storage account b everywhere"),
        ("ScopeLocked", 409, Failed, "one that the console has not made"),
        ("AADSTS7000222", 401, Failed, "has expired"),
        ("AADSTS7000215", 401, Failed, "does not accept the client secret"),
        ("AADSTS700016", 400, Failed, "does not know application"),
        ("InvalidAuthenticationToken", 401, NotReady, "signs in anew"),
        ("AccountNameInvalid", 400, Failed, "please report it"),
    ],
)
def test_step_error_says_what_to_do(world, code, status, kind, says):
    spec = replace(make_spec(world), bucket="b")
    error = step_error(
        Refusal(code, "why", status=status, request_id="r1"), "StorageAccounts_Create", on_bucket(spec, "b")
    )
    assert type(error) is kind
    assert says in error.message
    assert error.details["request_id"] == "r1"
    assert error.details["code"] == code
    assert error.details["bucket"] == "b"


def test_step_error_names_the_action_that_is_missing(world):
    reason = "The client 'c' has permission to perform action 'a/b/write' on scope 's'; however, it does not have "
    linked = Refusal(
        "LinkedAuthorizationFailed", f"{reason}permission to perform action(s) 'd/e/action' on the linked."
    )
    error = step_error(linked, "DiagnosticSettings_CreateOrUpdate", on_bucket(make_spec(world), "b"))
    assert error.details["action"] == "d/e/action"
    assert json.loads(error.details["statement"]) == {"actions": ["d/e/action"]}
    silent = step_error(Refusal("AuthorizationPermissionMismatch", ""), "Blobs_List", on_bucket(make_spec(world), "b"))
    assert json.loads(silent.details["statement"]) == {"dataActions": [azure_errors.BLOBS_READ]}


def test_no_answer_is_worth_waiting_for(world):
    account = replace(
        world.account(), deployment=replace(world.account().deployment, endpoint_url="https://localhost:9")
    )
    spec = replace(make_spec(world), account=account)
    with pytest.raises(NotReady) as raised:
        plans.create(AZURE, spec)
    assert raised.value.patience == 600
    assert isinstance(step_error(NoAnswer("x"), "o", on_bucket(spec, "b")), NotReady)


def test_a_token_that_is_void_is_replaced(world):
    spec = make_spec(world)
    plans.create(AZURE, spec)
    world.emulator._token_key = b"another"
    with pytest.raises(NotReady, match="signs in anew"):
        plans.create_log(AZURE, spec)
    plans.create_log(AZURE, spec)


def test_calls_are_counted_with_the_id_that_azure_gave(world, caplog):
    caplog.set_level("INFO", "storekeeper.calls")
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    told = [record.data for record in caplog.records if record.name == "storekeeper.calls"]
    assert {one["service"] for one in told} == {"azure"}
    assert "StorageAccounts_Create" in {one["call"] for one in told}
    assert all(len(one["request_id"]) == 36 for one in told)
    assert world.emulator.client_secret not in caplog.text


# --- What both accounts should have ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["tags", "public_access", "tls", "https", "shared_keys", "lifecycle", "logging", "delete_lock", "versions"],
)
def test_controls_see_and_mend_what_was_spoilt(worlds, key):
    spec = make_spec(worlds, versions_days=7, complete=True)
    run((*plans.creation(AZURE), *plans.versions(AZURE)), spec)
    wanted = worlds.look()
    assert all(control.matches(control.observe()) for control in AZURE.storage.settings(spec))
    worlds.spoils(spec)[key]()
    assert worlds.look() != wanted
    off = [control for control in AZURE.storage.settings(spec) if not control.matches(control.observe())]
    assert [control.key for control in off] == [key]
    [control] = off
    assert control.describe(control.observe()) != control.describe(control.wanted)
    control.ensure()
    assert worlds.look() == wanted


def test_controls_of_an_account_that_is_gone_say_so(world):
    found = inspect(AZURE.storage.settings(make_spec(world)))
    assert [(line.key, line.log, line.state) for line in found] == [("bucket", True, "gone"), ("bucket", False, "gone")]


def test_controls_want_no_rule_that_deletes_backups(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    world.emulator.state["accounts"][spec.bucket]["rules"] = expiry()
    [control] = [one for one in AZURE.storage.settings(spec) if (one.key, one.log) == ("lifecycle", False)]
    assert control.describe(control.observe()) == "Deletes after 90 days"
    control.ensure()
    assert world.tables()["accounts"][spec.bucket]["rules"] is None


def test_controls_keep_the_tags_of_others_and_never_take_over(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    tags = world.emulator.state["accounts"][spec.bucket]["tags"]
    tags.update({"team": "web", "storekeeper:store-name": "?"})
    [control] = [one for one in AZURE.storage.settings(spec) if (one.key, one.log) == ("tags", False)]
    control.ensure()
    assert world.tables()["accounts"][spec.bucket]["tags"]["team"] == "web"
    world.emulator.state["accounts"][spec.bucket]["tags"] = {"storekeeper:store-id": OTHER}
    with pytest.raises(Failed, match="belongs to another store"):
        control.ensure()


def test_soft_delete_is_never_shortened(world):
    spec = make_spec(world, versions_days=7)
    run((*plans.creation(AZURE), *plans.versions(AZURE)), replace(spec, versions_days=30))
    run(plans.versions(AZURE), spec)
    assert world.tables()["accounts"][spec.bucket]["blob_service"]["deleteRetentionPolicy"]["days"] == 30


# --- Deleting -------------------------------------------------------------------------------------------------------


def test_remove_refuses_while_anything_is_left_and_puts_everything_back(worlds):
    spec = make_spec(worlds, complete=True)
    run(plans.creation(AZURE), spec)
    worlds.put(spec, "c-a/n1/x", b"12345")
    wanted = worlds.look()
    for step in steps(plans.deletion(AZURE))[:2]:
        with pytest.raises(Refused, match="still holds 1 object") as raised:
            step.run(spec)
        assert worlds.look() == wanted
    commands = raised.value.details["commands"]
    assert "az storage container delete" in commands
    subprocess.run(["sh", "-n"], input=commands, text=True, check=True)
    worlds.wipe(spec)
    run(plans.deletion(AZURE), spec)
    assert worlds.look() == {}


def test_remove_looks_once_more_when_everything_is_closed(worlds):
    spec = make_spec(worlds, complete=True)
    run(plans.creation(AZURE), spec)
    plans.check_empty(AZURE, spec)
    worlds.put(spec, "c-a/n1/x", b"late")
    with pytest.raises(Refused):
        plans.delete_backups(AZURE, spec)


def test_remove_counts_what_was_deleted_and_is_kept(world):
    spec = make_spec(world, versions_days=7)
    run((*plans.creation(AZURE), *plans.versions(AZURE)), spec)
    access = run(AZURE.access.grant, world.access(spec))
    node = node_client(world, spec, access)
    node.upload_blob(f"{access.prefix}/x", b"1234567")
    node.upload_blob(f"{access.prefix}/x", b"12", overwrite=True)
    node.delete_blob(f"{access.prefix}/x")
    found = plans.contents(AZURE, spec, lambda counted: None)
    assert (found.objects, found.older, found.size, found.versioned) == (0, 2, 9, True)
    with pytest.raises(Refused, match="2 older versions") as raised:
        run(plans.deletion(AZURE), spec)
    assert "--enable-delete-retention false" in raised.value.details["commands"]


def test_remove_leaves_a_lock_of_others(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    lock = f"{world.emulator.group_id}/providers/microsoft.authorization/locks/ours".lower()
    world.emulator.state["locks"][lock] = {"id": lock, "scope": world.emulator.group_id, "properties": {}}
    with pytest.raises(NotReady, match="if there is another, perhaps on the resource group rg-backups"):
        plans.delete_backups(AZURE, spec)
    assert spec.bucket in world.tables()["accounts"]
    del world.emulator.state["locks"][lock]
    run(plans.deletion(AZURE), spec)


def test_remove_asks_for_a_lost_tag(world):
    spec = make_spec(world, complete=True)
    run(plans.creation(AZURE), spec)
    world.emulator.state["accounts"][spec.bucket]["tags"].clear()
    with pytest.raises(Failed, match="does not carry this store's tag"):
        run(plans.deletion(AZURE), spec)
    assert spec.bucket in world.tables()["accounts"]


def test_restore_puts_back_what_a_deletion_has_changed(worlds):
    spec = make_spec(worlds, complete=True)
    run(plans.creation(AZURE), spec)
    wanted = worlds.look()
    backups = azure_storage.StorageAccount(spec, spec.bucket)
    backups.update(properties={"allowSharedKeyAccess": False})
    backups.unlock()
    backups.stop_logging()
    assert worlds.look() != wanted
    run(plans.cancellation(AZURE), spec)
    assert worlds.look() == wanted
    run(plans.deletion(AZURE)[:2], spec)
    with pytest.raises(TooLate):
        run(plans.cancellation(AZURE), spec)


def test_logs_that_are_kept_go_when_they_have_expired(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    world.put_log(spec)
    run(plans.deletion_but_logs(AZURE), spec)
    assert list(world.tables()["accounts"]) == [spec.log_bucket]
    assert not plans.clear_logs(AZURE, spec, False)
    assert not plans.clear_logs(AZURE, spec, True)  # one is left
    world.emulator.blobs.drop(f"{spec.log_bucket}/insights-logs-storageread")
    assert not plans.clear_logs(AZURE, spec, False)
    assert plans.clear_logs(AZURE, spec, True)
    assert plans.clear_logs(AZURE, spec, False)
    assert world.tables()["accounts"] == {}


def test_contents_counts_unfinished_uploads_and_tells(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, world.access(spec))
    for number in range(3):
        world.put(spec, f"{access.prefix}/{number}", b"12")
    node_client(world, spec, access).get_blob_client(f"{access.prefix}/open").stage_block("MDA=", b"123")
    told = []
    found = plans.contents(AZURE, spec, told.append)
    assert (found.objects, found.uploads, found.older) == (3, 1, 0)
    assert told == [3]
    assert not plans.contents(AZURE, make_spec(world), told.append).exists


# --- Nodes ----------------------------------------------------------------------------------------------------------


class Token:
    """What a machine with this identity gets from Azure."""

    def __init__(self, emulator, principal):
        self.emulator, self.principal = emulator, principal

    def get_token(self, *scopes, **_):
        from azure.core.credentials import AccessToken

        audience = scopes[0].removesuffix("/.default").rstrip("/")
        return AccessToken(self.emulator.token(self.principal, audience), int(datetime.now(UTC).timestamp()) + 600)


def node_client(world, spec, access, container=""):
    """Return a client of a container as the cluster's node has it."""
    if world.node_access == "sas":
        credential = access.keys[spec.bucket]
    else:
        identity = world.emulator.state["identities"][azure_access.identity_id(access).lower()]
        credential = Token(world.emulator, identity["properties"]["principalId"])
    return ContainerClient(
        f"{world.emulator.url}/{spec.bucket}",
        container or access.prefix,
        credential=credential,
        connection_verify=str(world.emulator.ca_file),
        retry_total=0,
    )


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
    assert {name: policy["Permission"] for name, policy in policies.items()} == {"storekeeper-1": "racwdl"}
    soon = (datetime.now(UTC) + timedelta(days=29)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policies["storekeeper-1"]["Expiry"] = soon
    new = run(AZURE.access.grant, old)
    assert new.keys[spec.bucket] != old.keys[spec.bucket]
    for access in (old, new):
        assert list(node_client(signing, spec, access).list_blobs()) == []
    assert run(AZURE.access.grant, new) == new
    again = dict(signing.emulator.state["containers"][f"{spec.bucket}/{old.prefix}"]["policies"])
    assert sorted(again) == ["storekeeper-1", "storekeeper-2"]
    again["storekeeper-1"]["Expiry"] = "2026-01-01T00:00:00Z"
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


# --- What belongs to no store ---------------------------------------------------------------------------------------


def test_survey_finds_what_belongs_to_no_store(world):
    spec, known = make_spec(world), make_spec(world)
    run(plans.creation(AZURE), spec)
    run(plans.creation(AZURE), known)
    world.make_account("pgbkshort")
    world.make_account("acmewebsite")
    found = {one.name: one for one in AZURE.storage.list_unmanaged(world.account(), {known.bucket, known.log_bucket})}
    assert set(found) == {spec.bucket, spec.log_bucket}
    assert found[spec.bucket].kind == "backup"
    assert found[spec.log_bucket].kind == "log"
    assert found[spec.bucket].store_id == str(spec.id)
    assert found[spec.bucket].region == "westeurope"
    commands = AZURE.storage.delete_commands(world.account(), spec.bucket, "westeurope")
    subprocess.run(["sh", "-n"], input=commands, text=True, check=True)
    assert f"az storage account delete --name {spec.bucket} " in commands


# --- Linking --------------------------------------------------------------------------------------------------------


def test_identify_proves_who_we_are(world):
    found = AZURE.linking.identify(world.account())
    assert found.number == world.emulator.subscription
    assert found.found["location"] == "westeurope"
    assert any("rg-backups in westeurope" in proof for proof in found.proofs)
    # The role is on the resource group alone, so the subscription's name may stay unknown.
    assert any("not shown" in proof for proof in found.proofs)
    world.emulator.assign(
        world.emulator.object_id(),
        world.emulator.define_role("Sees", {"actions": ["Microsoft.Resources/subscriptions/read"]}),
        f"/subscriptions/{world.emulator.subscription}",
    )
    assert AZURE.linking.identify(world.account()).found["subscription_name"] == "Acme production"


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"tenant_id": OTHER}, "tenant_id", "no tenant"),
        ({"client_id": OTHER}, "client_id", "does not know application"),
        ({"subscription_id": OTHER}, "subscription_id", "does not know this subscription"),
        ({"resource_group": "nothing"}, "", "its role is assigned|is assigned on the resource group"),
        ({"method": "federation", "external_id": "8c1f"}, "method", "no identity of its own"),
    ],
)
def test_identify_says_beside_the_field_what_is_wrong(world, changes, field, says):
    with pytest.raises(LinkError, match=says) as raised:
        AZURE.linking.identify(world.account(**changes))
    assert raised.value.field == field
    assert not raised.value.passing


def test_identify_says_that_the_secret_is_wrong_or_expired(world):
    wrong = replace(world.account(), secrets={"client_secret": "wrong"})
    with pytest.raises(LinkError, match="its value, not its ID") as raised:
        AZURE.linking.identify(wrong)
    assert raised.value.field == "client_secret"
    world.emulator.state["apps"][world.emulator.client_id]["expired"] = True
    with pytest.raises(LinkError, match="has expired") as raised:
        AZURE.linking.identify(world.account())
    assert raised.value.field == "client_secret"


def test_identify_says_that_there_is_no_such_group_or_role(world):
    world.emulator.state["groups"].clear()
    with pytest.raises(LinkError, match="has no resource group rg-backups") as raised:
        AZURE.linking.identify(world.account())
    assert raised.value.field == "resource_group"
    world.clear()
    world.emulator.state["assignments"].clear()
    with pytest.raises(LinkError, match="role is assigned on the resource group"):
        AZURE.linking.identify(world.account())


def test_identify_knows_when_to_try_again(world):
    world.fault("busy", 1)
    with pytest.raises(LinkError) as raised:
        AZURE.linking.identify(world.account())
    assert raised.value.passing
    world.fault("reset before", 1)
    with pytest.raises(LinkError, match="got no answer") as raised:
        AZURE.linking.identify(world.account())
    assert raised.value.passing


def assertion(**claims):
    parts = [
        {"alg": "none"},
        {
            "iss": AZURE_IDENTITY["issuer"],
            "sub": AZURE_IDENTITY["subject"],
            "aud": AZURE_IDENTITY["audience"],
            **claims,
        },
    ]
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "x"]
    )


def test_identify_signs_in_by_federation_without_a_secret(world, tmp_path):
    file = tmp_path / "token"
    world.emulator.state["apps"][world.emulator.client_id] |= {"secret": "", "federated": AZURE_IDENTITY}
    account = world.account(method="federation", external_id="8c1f-own")
    account = replace(account, secrets={}, deployment=replace(account.deployment, token_file=str(file)))
    world.prove(account)
    file.write_text(assertion())
    assert AZURE.linking.identify(account).number == world.emulator.subscription
    azure_session.forget_clients()
    file.write_text(assertion(sub="somebody else"))
    with pytest.raises(LinkError, match="federated credential has to name that token's issuer"):
        AZURE.linking.identify(account)
    azure_session.forget_clients()
    file.unlink()
    with pytest.raises(LinkError, match="no identity of its own"):
        AZURE.linking.identify(account)


@pytest.mark.parametrize(
    ("tags", "proven"),
    [
        ({"storekeeper:external-id": "8c1f-own"}, True),
        ({"Storekeeper:External-ID": "8c1f-own"}, True),  # names of tags know no case
        ({"storekeeper:external-id": "9d2e-other 8c1f-own"}, True),
        ({"storekeeper:external-id": "9d2e-other"}, False),
        ({"storekeeper:external-id": "8C1F-OWN"}, False),
        ({"storekeeper:external-id": "8c1f-own-not"}, False),
        ({"storekeeper:external-id": ""}, False),
        ({"owner": "8c1f-own"}, False),
        ({}, False),
    ],
)
def test_identify_looks_for_the_external_id_in_the_tag_of_the_group(world, tags, proven):
    account = world.signing_in("federation")
    account = replace(account, settings={**account.settings, "external_id": "8c1f-own"})
    world.emulator.state["group_tags"][world.emulator.group.lower()] = tags
    if proven:
        assert AZURE.linking.identify(account).found["proven_id"] == "8c1f-own"
        return
    with pytest.raises(Unproven, match="8c1f-own") as raised:
        AZURE.linking.identify(account)
    assert raised.value.field == "resource_group"


@pytest.mark.parametrize("name", ["tenant_id", "client_id", "subscription_id"])
def test_link_fields_take_ids_and_nothing_else(name):
    [field] = [one for one in AZURE.linking.fields if one.name == name]
    assert field.clean(OTHER.upper()) == OTHER
    with pytest.raises(LinkError) as raised:
        field.clean("acme.onmicrosoft.com")
    assert raised.value.field == name


@pytest.mark.parametrize("text", ["a/b", "ends.", "x" * 91, "'; drop"])
def test_link_refuses_a_resource_group_that_is_none(text):
    [field] = [one for one in AZURE.linking.fields if one.name == "resource_group"]
    assert field.clean("rg-(prod).1_x") == "rg-(prod).1_x"
    with pytest.raises(LinkError):
        field.clean(text)


# --- The console's role ---------------------------------------------------------------------------------------------


def everything(world):
    """Do all that the console ever does in an account."""
    spec = make_spec(world, versions_days=7, complete=True)
    AZURE.linking.identify(spec.account)
    AZURE.linking.preflight(spec.account, ())
    run((*plans.creation(AZURE), *plans.versions(AZURE)), spec)
    for control in AZURE.storage.settings(spec):
        control.observe()
        control.ensure()
    access = run(AZURE.access.grant, world.access(spec))
    list(AZURE.storage.objects(spec).entries(f"{access.prefix}/"))
    AZURE.storage.objects(spec).read(f"{access.prefix}/x", 1)
    list(AZURE.storage.list_unmanaged(spec.account, ()))
    run(plans.cancellation(AZURE), spec)
    run(AZURE.access.delete, run(AZURE.access.revoke, access))
    run(plans.deletion(AZURE), spec)


def test_role_is_exactly_what_the_console_does(worlds):
    everything(worlds)  # under that very role
    given = permissions(worlds.account())
    assert {*given["actions"], *given["dataActions"]} == worlds.emulator.used


def test_role_lets_the_console_give_one_role_only(world):
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, world.access(spec))
    owner = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
    path = (
        f"{azure_access.container_id(access, spec.bucket)}/providers/Microsoft.Authorization/roleAssignments/{uuid4()}"
    )
    body = {
        "properties": {
            "roleDefinitionId": f"/x/roleDefinitions/{owner}",
            "principalId": world.emulator.object_id(),
            "principalType": "ServicePrincipal",
        }
    }
    with pytest.raises(Refusal, match="AuthorizationFailed"):
        azure_session.call(
            "RoleAssignments_Create", spec.account, lambda cloud: cloud.send("PUT", path, "2022-04-01", body)
        )


def call_as_console(spec, method, path, version="2022-04-01", body=None):
    """Make a call with what the console has, as whoever has stolen it can; return whether Azure lets it pass."""
    try:
        azure_session.call("Stolen", spec.account, lambda cloud: cloud.send(method, path, version, body))
    except Refusal as refusal:
        if refusal.code == "AuthorizationFailed":
            return False
        raise
    return True


def assign(spec, access, principal, role=azure_access.CONTRIBUTOR):
    scope = azure_access.container_id(access, spec.bucket)
    properties = {"roleDefinitionId": f"/x/roleDefinitions/{role}", "principalId": principal}
    body = {"properties": {**properties, "principalType": "ServicePrincipal"}}
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{uuid4()}"
    return call_as_console(spec, "PUT", path, body=body)


def test_a_stolen_identity_gives_itself_no_role(world):
    """SECURITY.md, "What a stolen identity can do": with the nodes' role it could do whatever nodes can."""
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, world.access(spec))
    itself = world.emulator.object_id()
    assert not assign(spec, access, itself)
    assert not assign(spec, access, itself.upper())
    assert not assign(spec, access, str(uuid4()), role="8e3af657-a8ff-443c-a75c-2fe8c4bcb635")
    # Nor does it become the identity of a cluster, which has the role.
    identity = azure_access.identity_id(access)
    assert not call_as_console(spec, "PUT", f"{identity}/federatedIdentityCredentials/x", "2023-01-31", {})
    assert not call_as_console(spec, "POST", f"{identity}/assign", "2023-01-31")
    # Nor change its own role, or the assignment of it.
    state = world.emulator.state
    [own] = [one["id"] for one in state["assignments"].values() if one["properties"]["principalId"] == itself]
    assert not call_as_console(spec, "DELETE", own)
    [role] = state["roles"]
    where = f"/subscriptions/{world.emulator.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    assert not call_as_console(spec, "PUT", where, body={"properties": {}})


def test_what_remains_of_a_stolen_identity(world):
    """SECURITY.md, "What a stolen identity can do": whoever changes this, changes that."""
    spec = make_spec(world)
    run(plans.creation(AZURE), spec)
    access = run(AZURE.access.grant, world.access(spec))
    assert assign(spec, access, str(uuid4()))  # another application's, which lets it in
    account = azure_access.resource_id(spec.account, spec.bucket)
    assert call_as_console(spec, "POST", f"{account}/listKeys", "2023-05-01")
    shared = {"properties": {"allowSharedKeyAccess": True}}
    assert call_as_console(spec, "PATCH", account, "2023-05-01", shared)
    world.put(spec, f"{access.prefix}/backup", b"15")
    [lock] = [one["id"] for one in world.emulator.state["locks"].values() if spec.bucket in one["id"]]
    assert call_as_console(spec, "DELETE", lock, "2020-05-01")
    assert call_as_console(spec, "DELETE", account, "2023-05-01")  # with all that is in it
    assert spec.bucket not in world.emulator.state["accounts"]


def test_preflight_says_when_the_console_could_give_itself_a_role(world):
    account = world.account()

    def line():
        return next(one for one in AZURE.linking.preflight(account, ()) if one.label == "It gives itself no role")

    assert (line().outcome, line().required) == ("pass", False)
    [mine] = [one["properties"] for one in world.emulator.state["assignments"].values()]
    for other in ("", mine["condition"].rpartition(" AND @")[0] + "))"):
        mine["condition"] = other
        assert line().outcome == "fail"
        assert "storekeeper-setup.sh" in line().why


@pytest.mark.parametrize("node_access", ["identity", "sas"])
def test_documents_make_the_role(world, node_access):
    account = world.account(node_access=node_access)
    role, script, module = access_documents(account)
    assert json.loads(role.text) == definition(account)
    assert json.loads(role.text)["AssignableScopes"] == [world.emulator.group_id]
    subprocess.run(["sh", "-n"], input=script.text, text=True, check=True)
    assert ("--condition " in script.text) == (node_access == "identity") == bool(condition(account))
    assert ("GuidNotEquals {$principal}" in script.text) == (node_access == "identity")
    assert ("GuidNotEquals {${azuread_service_principal" in module.text) == (node_access == "identity")
    assert all(f'"{action}"' in module.text for action in definition(account)["Actions"])
    assert ("roleAssignments/write" in role.text) == (node_access == "identity")
    assert world.emulator.client_secret not in role.text + script.text + module.text


def test_preflight_says_what_is_missing_and_what_mends_it(worlds):
    account = worlds.account()
    lines = AZURE.linking.preflight(account, ("westeurope",))
    assert {line.outcome for line in lines} == {"pass"}
    given = permissions(account)
    for kind, actions in given.items():
        for action in actions:
            if action == "Microsoft.Authorization/permissions/read":
                continue
            worlds.emulator.define_role(
                f"Storekeeper, {worlds.node_access}", {**given, kind: [one for one in actions if one != action]}
            )
            lines = AZURE.linking.preflight(account, ())
            unseen = {one.label for one in lines if one.outcome == "unknown"}
            assert unseen <= ({"It gives itself no role"} if action.endswith("roleAssignments/read") else set())
            [line] = [one for one in lines if one.outcome == "fail"]
            assert line.label == action
            assert json.loads(line.statement) == {kind: [action]}
            assert line.without.endswith(".")


def test_preflight_knows_stars_and_what_is_taken_back(world):
    account = world.account()
    world.emulator.define_role("Storekeeper, identity", {"actions": ["*"], "dataActions": ["microsoft.storage/*/READ"]})
    assert {line.outcome for line in AZURE.linking.preflight(account, ())} == {"pass"}
    world.emulator.define_role(
        "Storekeeper, identity", {"actions": ["*"], "notActions": ["*/delete"], "dataActions": ["*"]}
    )
    failed = {line.label: line.why for line in AZURE.linking.preflight(account, ()) if line.outcome == "fail"}
    assert failed
    assert all(label.endswith("/delete") and "NotActions" in why for label, why in failed.items())


def test_preflight_that_may_not_ask_says_so(world):
    given = permissions(world.account())
    asks = "Microsoft.Authorization/permissions/read"
    world.emulator.define_role(
        "Storekeeper, identity", {**given, "actions": [one for one in given["actions"] if one != asks]}
    )
    lines = {line.label: line for line in AZURE.linking.preflight(world.account(), ())}
    assert lines.pop(asks).outcome == "fail"
    assert {line.outcome for line in lines.values()} == {"unknown"}


def test_stores_can_be_in_every_region_of_azure(world):
    assert AZURE.storage.regions(world.account()) == list(regions("azure"))
    assert len(regions("azure")) > 40


def test_every_consequence_is_of_an_action():
    from console.clouds.azure.permissions import CONSEQUENCES

    called = {action for actions in azure_errors.ACTIONS.values() for action in actions} - {
        "Microsoft.Resources/subscriptions/read"
    }
    for begin in CONSEQUENCES:
        assert any(action == begin or (begin.endswith("/") and action.startswith(begin)) for action in called), begin


def test_sdk_is_loaded_when_it_is_first_needed():
    """A console without Azure does not pay for it."""
    text = "import sys, console.clouds; print(any(name.startswith('azure.') for name in sys.modules))"
    found = subprocess.run(["python", "-c", text], capture_output=True, text=True, check=True, env=_environment())
    assert found.stdout == "False\n"


def _environment():
    import os
    import sys
    from pathlib import Path

    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
