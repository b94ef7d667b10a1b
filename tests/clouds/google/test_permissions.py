"""The console's roles in Google Cloud: exactly what it does, and nothing that it could give itself."""

import shlex
from dataclasses import replace

import pytest

from console.clouds.contract import LinkError
from console.clouds.google.errors import CALLS
from console.clouds.google.permissions import CONSEQUENCES, needed, roles
from console.clouds.steps import StepError
from console.demo.emulators.google.emulator import PROJECT
from console.demo.emulators.google.iam import Refusal
from tests.clouds import plans
from tests.clouds.google.specs import GOOGLE, make_spec, run, take_permission
from tests.worlds.google import PREFIX


def whole_life(world):
    """Link, create, repair, attach, look, detach, dismiss, delete: every call that the provider knows."""
    account = world.account()
    GOOGLE.linking.identify(account)
    spec = make_spec(world, account=account, complete=True)
    run(plans.creation(GOOGLE), spec)
    world.spoils(spec)["lifecycle"]()
    world.emulator.storage.buckets[spec.bucket].settings["logging"] = {}
    for control in GOOGLE.storage.settings(spec):
        if not control.matches(control.observe()):
            control.ensure()
    granted = run(GOOGLE.access.grant, replace(world.access(spec), account=account))
    run(GOOGLE.access.grant, replace(granted, keys={}))  # a key that was lost: others are deleted
    world.put(spec, f"{PREFIX}/n1/backup/main/backup.info", b"[backrest]")
    assert GOOGLE.storage.objects(spec).read(f"{PREFIX}/n1/backup/main/backup.info", 100).data
    world.wipe(spec)
    run(GOOGLE.access.delete, granted)
    world.put_log(spec)
    run(plans.deletion(GOOGLE), spec)
    assert [*GOOGLE.storage.list_unmanaged(account, ())] == []
    return GOOGLE.linking.preflight(account, [])


def test_the_whole_life_takes_all_calls_and_only_the_roles_that_are_asked_for(world):
    checks = whole_life(world)
    made = {call.operation for call in world.emulator.calls if call.email == world.key_file["client_email"]}
    assert made | {"buckets.testIamPermissions"} == {*CALLS}
    assert not [call for call in world.emulator.calls if call.status == 403]
    assert {one.label for one in checks} == {*needed(world.account())} == {*CONSEQUENCES}
    assert sorted(one for role in roles(world.account()) for one in role.permissions) == sorted(CONSEQUENCES)


@pytest.mark.slow
@pytest.mark.parametrize("permission", CONSEQUENCES)
def test_each_permission_is_needed(world, permission):
    take_permission(world, permission)
    with pytest.raises((StepError, LinkError)) as raised:
        whole_life(world)
    if isinstance(raised.value, StepError):
        assert permission in raised.value.details["action"]
        assert permission in raised.value.message
        assert world.key_file["client_email"] in raised.value.message


def test_preflight_says_what_is_missing(world, store):
    take_permission(world, "storage.buckets.delete")
    take_permission(world, "iam.serviceAccountKeys.create")
    lines = {one.label: one for one in GOOGLE.linking.preflight(store.account, ["europe-west1"])}
    failed = {label for label, one in lines.items() if one.outcome == "fail"}
    assert failed == {"storage.buckets.delete", "iam.serviceAccountKeys.create"}
    assert lines["storage.buckets.delete"].without == "Stores cannot be deleted."
    assert lines["storage.buckets.delete"].statement == (
        f"gcloud iam roles update storekeeperBuckets --project={PROJECT} --add-permissions=storage.buckets.delete"
    )
    unknown = {label for label, one in lines.items() if one.outcome == "unknown"}
    assert unknown == {"storage.objects.get", "storage.objects.delete"}


def test_preflight_before_the_first_store_cannot_know_of_conditions(world):
    lines = {one.label: one for one in GOOGLE.linking.preflight(world.account(), [])}
    assert lines["storage.buckets.create"].outcome == "pass"
    assert lines["storage.buckets.get"].outcome == "unknown"
    assert "first store" in lines["storage.buckets.get"].why
    assert not [one for one in lines.values() if one.outcome == "fail"]


def test_preflight_asks_for_no_keys_where_nodes_need_none(world):
    labels = {one.label for one in GOOGLE.linking.preflight(world.account(node_access="attached"), [])}
    assert not [one for one in labels if "Keys" in one]


def test_the_console_can_neither_read_write_nor_delete_backups(world, store):
    world.put(store, f"{PREFIX}/n1/archive/main/x", b"1")
    email, storage = world.key_file["client_email"], world.emulator.storage
    bucket = storage.buckets[store.bucket]
    key = f"{PREFIX}/n1/archive/main/x"
    for permission in ("get", "create", "delete", "update"):
        assert not storage.may(email, f"storage.objects.{permission}", bucket, key)
    assert not storage.may(email, "storage.objects.delete", bucket, f"{PREFIX}/n1/backup/main/backup.info")
    foreign = storage.insert(world.root(), {"project": PROJECT}, {"name": "not-ours", "location": "EU"})
    for permission in ("get", "delete", "getIamPolicy", "setIamPolicy"):
        assert not storage.may(email, f"storage.buckets.{permission}", storage.buckets[foreign["name"]])


def test_a_stolen_identity_gives_no_other_role(world, store):
    """SECURITY.md, "What a stolen identity can do": not in one step, at least; see what remains."""
    email, storage = world.key_file["client_email"], world.emulator.storage
    for role in ("roles/storage.admin", "roles/storage.objectAdmin"):
        policy = storage.get_policy(email, store.bucket, {"optionsRequestedPolicyVersion": "3"})
        policy["bindings"] = [*policy["bindings"], {"role": role, "members": [f"serviceAccount:{email}"]}]
        with pytest.raises(Refusal, match=r"does not have storage\.buckets\.setIamPolicy"):
            storage.set_policy(email, store.bucket, {**policy, "version": 3})


def test_what_remains_of_a_stolen_identity(world, store):
    """SECURITY.md, "What a stolen identity can do": whoever changes this, changes that."""
    email, storage = world.key_file["client_email"], world.emulator.storage
    project, bucket = world.emulator.directory.projects[PROJECT], storage.buckets[store.bucket]
    key = f"{PREFIX}/n1/archive/main/x"
    world.put(store, key, b"1")
    policy = storage.get_policy(email, store.bucket, {"optionsRequestedPolicyVersion": "3"})
    itself = {"role": "roles/storage.objectUser", "members": [f"serviceAccount:{email}"]}
    storage.set_policy(email, store.bucket, {**policy, "version": 3, "bindings": [*policy["bindings"], itself]})
    assert all(storage.may(email, f"storage.objects.{one}", bucket, key) for one in ("get", "create", "delete"))
    # The role that new buckets give the project's editors, whom the console takes it from, may change policies itself.
    policy = storage.get_policy(email, store.bucket, {"optionsRequestedPolicyVersion": "3"})
    for role in ("roles/storage.legacyBucketOwner", "roles/storage.admin"):
        policy["bindings"].append({"role": role, "members": [f"serviceAccount:{email}"]})
        policy = storage.set_policy(email, store.bucket, {**policy, "version": 3})
    # A key of any service account, and what expires objects; neither has a condition that would limit it.
    assert world.emulator.directory.may(email, "iam.serviceAccountKeys.create", project, ())
    assert storage.may(email, "storage.buckets.update", bucket)


def test_documents_are_made_from_the_same_table(world):
    account = world.account()
    files = {one.filename: one for one in GOOGLE.linking.documents(account)}
    for role in roles(account):
        assert all(f"- {one}\n" in files[f"{role.id}.yaml"].text for one in role.permissions)
    for name in ("storekeeper-setup.sh", "storekeeper.tf"):
        assert all(one in files[name].text for one in CONSEQUENCES)
        assert account.settings["client_email"].partition("@")[0] in files[name].text
    assert "keys of every service account" in files["storekeeper-setup.sh"].hint
    attached = {one.filename: one for one in GOOGLE.linking.documents(world.account(node_access="attached"))}
    assert "serviceAccountKeys" not in "".join(one.text for one in attached.values())
    bound = [shlex.split(line) for line in files["storekeeper-setup.sh"].text.splitlines() if line.startswith("bind ")]
    assert [one[1:] for one in bound] == [[one.id, one.condition or "None"] for one in roles(account)]
    assert ";" not in "".join(one.condition for one in roles(account))  # which is what gcloud splits it at
