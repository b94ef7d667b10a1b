"""The script for Google makes what it says, and run again adds what is missing and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from copy import deepcopy
from dataclasses import replace
from uuid import UUID

import pytest

from console.clouds.google import GOOGLE
from console.clouds.google.permissions import existing_roles, needed, roles
from console.clouds.specs import AccountRef, Place
from console.demo.emulators.google.emulator import NUMBER, PROJECT
from tests.clouds.offers import gcloud as stand_in

EMAIL = f"storekeeper@{PROJECT}.iam.gserviceaccount.com"
TOKEN = {"ISSUER": "https://issuer.example/", "SUBJECT": "system:serviceaccount:storekeeper:console", "AUDIENCE": "sk"}
CHANGES = re.compile(r"^\+ (.*)$", re.MULTILINE)
KEY_FILE = "storekeeper-key.json"


def unlinked():
    return AccountRef(UUID(int=0), "", "", {"external_id": "sk-1"}, {})


def linked(**settings):
    given = {"project_id": PROJECT, "client_email": EMAIL, "method": "key", "node_access": "key", **settings}
    return AccountRef(UUID(int=1), PROJECT, "", given, {})


def document(account):
    return next(one for one in GOOGLE.linking.documents(account) if one.filename == "storekeeper-setup.sh")


@pytest.fixture
def gcloud(shell):
    return shell(
        "gcloud",
        stand_in.answer,
        {
            "projects": {PROJECT: NUMBER},
            **{name: [] for name in ("services", "policy", "denied")},
            **{name: {} for name in ("accounts", "buckets", "roles", "pools", "providers", "slow")},
            "dies_after": "",
        },
    )


def first(gcloud, *arguments, **environment):
    answer = gcloud.run(document(unlinked()).text, *(arguments or ("key", PROJECT)), **environment)
    assert answer.returncode == 0, answer.stderr
    return answer


def wanted_policy(email=EMAIL):
    found = [
        (f"projects/{PROJECT}/roles/{role.id}", f"serviceAccount:{email}", role.condition) for role in roles(linked())
    ]
    return sorted(found)


def policy(gcloud):
    return sorted(
        (one["role"], one["member"], (one["condition"] or {}).get("expression", "")) for one in gcloud.state["policy"]
    )


def test_the_first_run_makes_all_and_says_what_to_enter(gcloud):
    answer = first(gcloud)
    state = gcloud.state
    assert {role: {*made["permissions"]} for role, made in state["roles"].items()} == {
        role.id: {*role.permissions} for role in roles(linked())
    }
    assert {one for made in state["roles"].values() for one in made["permissions"]} == {*needed(linked())}
    assert policy(gcloud) == wanted_policy()
    assert len(state["accounts"][EMAIL]["keys"]) == 1
    assert gcloud.written() == {KEY_FILE: 0o600}
    assert f"  Project ID                 {PROJECT}\n" in answer.stdout
    assert re.search(rf"^  Service Account Key +all that is in {KEY_FILE}", answer.stdout, re.MULTILINE)
    assert "secret~" not in answer.stdout + answer.stderr
    assert state["accounts"][EMAIL]["description"] is None  # a key is proof enough
    assert {"iam.googleapis.com", "iamcredentials.googleapis.com", "storage.googleapis.com"} < {*state["services"]}


def test_a_second_run_changes_nothing_and_makes_no_other_key(gcloud):
    first(gcloud)
    state = deepcopy(gcloud.state)
    answer = first(gcloud)
    assert CHANGES.findall(answer.stdout) == []
    assert gcloud.state == state
    assert "has a key already" in answer.stdout


def test_another_key_is_made_beside_the_first_and_never_over_a_file(gcloud):
    first(gcloud)
    kept = (gcloud.folder / KEY_FILE).read_text()
    refused = gcloud.run(document(unlinked()).text, "new-key", PROJECT)
    assert refused.returncode != 0
    assert "delete it" in refused.stderr
    assert (gcloud.folder / KEY_FILE).read_text() == kept
    (gcloud.folder / KEY_FILE).unlink()
    first(gcloud, "new-key", PROJECT)
    assert len(gcloud.state["accounts"][EMAIL]["keys"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "after",
    [
        *("services enable", "iam service-accounts create", "iam roles create", "projects add-iam-policy-binding"),
        "iam service-accounts keys create",
    ],
)
def test_a_run_that_was_interrupted_is_finished_by_the_next(gcloud, after):
    gcloud.change(dies_after=after)
    assert gcloud.run(document(unlinked()).text, "key", PROJECT).returncode != 0
    gcloud.change(dies_after="")
    first(gcloud)
    assert policy(gcloud) == wanted_policy()
    assert len(gcloud.state["accounts"][EMAIL]["keys"]) == 1
    assert gcloud.written() == {KEY_FILE: 0o600}


def test_what_is_not_known_everywhere_at_once_is_waited_for(gcloud):
    gcloud.change(slow={"projects add-iam-policy-binding": 3, "iam service-accounts keys create": 2})
    assert "trying again" in first(gcloud).stderr
    assert policy(gcloud) == wanted_policy()


@pytest.mark.slow
@pytest.mark.parametrize(
    "denied", ["projects describe", "services enable", "iam roles create", "projects add-iam-policy-binding"]
)
def test_somebody_who_may_not_is_told_so_and_somebody_who_may_finishes_it(gcloud, denied):
    gcloud.change(denied=[denied])
    answer = gcloud.run(document(unlinked()).text, "key", PROJECT)
    assert answer.returncode != 0
    assert "PERMISSION_DENIED" in answer.stderr
    assert "Enter this" not in answer.stdout
    assert gcloud.written() == {}
    gcloud.change(denied=[])
    first(gcloud)
    assert policy(gcloud) == wanted_policy()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("key",),
        ("SIGN-IN", "PROJECT-ID"),
        ("key", "PROJECT-ID"),
        ("all", PROJECT),
        ("key", "a'b"),
        ("federation", PROJECT),
    ],
    ids=lambda value: "-".join(value) or "nothing",
)
def test_what_it_was_not_told_it_asks_for_and_makes_nothing(gcloud, arguments):
    answer = gcloud.run(document(unlinked()).text, *arguments)
    assert answer.returncode == 2
    assert "sh storekeeper-setup.sh SIGN-IN PROJECT-ID" in answer.stderr
    assert gcloud.calls == []


def test_federation_trusts_the_console_and_keeps_what_is_described(gcloud):
    gcloud.change(accounts={EMAIL: {"description": "Ours. storekeeper:external-id=sk-other", "keys": [], "policy": []}})
    pool = f"projects/{NUMBER}/locations/global/workloadIdentityPools/storekeeper"
    for _ in range(2):
        answer = first(gcloud, "federation", PROJECT, **TOKEN)
        account = gcloud.state["accounts"][EMAIL]
        assert account["description"] == "Ours. storekeeper:external-id=sk-other storekeeper:external-id=sk-1"
        assert account["policy"] == [
            {
                "role": "roles/iam.workloadIdentityUser",
                "member": f"principal://iam.googleapis.com/{pool}/subject/{TOKEN['SUBJECT']}",
                "condition": None,
            }
        ]
        assert account["keys"] == []
        assert re.search(rf"^  Workload Identity Provider +{pool}/providers/console$", answer.stdout, re.MULTILINE)
        assert re.search(rf"^  Service Account +{EMAIL}$", answer.stdout, re.MULTILINE)
    assert CHANGES.findall(answer.stdout) == []
    provider = gcloud.state["providers"]["console"]
    assert (provider["issuer"], provider["audience"]) == (TOKEN["ISSUER"], TOKEN["AUDIENCE"])
    gcloud.state["providers"]["console"]["state"] = gcloud.state["pools"]["storekeeper"]["state"] = "DELETED"
    assert len(CHANGES.findall(first(gcloud, "federation", PROJECT, **TOKEN).stdout)) == 2
    assert gcloud.state["pools"]["storekeeper"]["state"] == "ACTIVE"


def test_an_account_of_another_project_may_read_itself(gcloud):
    other = "console@elsewhere-1.iam.gserviceaccount.com"
    gcloud.change(accounts={other: {"description": None, "keys": [], "policy": []}})
    first(gcloud, "federation", PROJECT, SERVICE_ACCOUNT=other, **TOKEN)
    assert [*gcloud.state["accounts"]] == [other]
    assert "roles/iam.serviceAccountViewer" in [one["role"] for one in gcloud.state["accounts"][other]["policy"]]
    assert policy(gcloud) == wanted_policy(other)


def test_run_again_after_an_upgrade_it_adds_what_is_needed_now(gcloud):
    first(gcloud)
    state = gcloud.state
    state["roles"]["storekeeperBuckets"]["permissions"] = ["storage.buckets.get", "storage.buckets.getObjectInsights"]
    state["roles"]["storekeeperLogs"]["deleted"] = True
    state["roles"].pop("storekeeperLists")
    former = next(one for one in state["policy"] if one["role"].endswith("storekeeperGrants"))
    former["condition"] = {
        "expression": 'resource.name.startsWith("projects/_/buckets/")',
        "title": "storekeeperGrants",
    }
    assert document(linked()).command == "sh storekeeper-setup.sh"
    answer = gcloud.run(document(linked()).text)
    assert answer.returncode == 0, answer.stderr
    for role in roles(linked()):
        made = state["roles"][role.id]
        assert {*role.permissions} <= {*made["permissions"]}
        assert not made["deleted"]
    assert "storage.buckets.getObjectInsights" in state["roles"]["storekeeperBuckets"]["permissions"]
    assert policy(gcloud) == wanted_policy()
    assert len(state["accounts"][EMAIL]["keys"]) == 1
    assert CHANGES.findall(gcloud.run(document(linked()).text).stdout) == []


def test_nodes_without_keys_take_nothing_from_those_with(gcloud):
    first(gcloud)
    before = deepcopy(gcloud.state)
    assert gcloud.run(document(linked(node_access="attached")).text).returncode == 0
    assert gcloud.state == before


def test_a_project_that_lacks_permissions_has_them_all_after_the_command_of_its_page(gcloud, google):
    account, email = google.account(), google.key_file["client_email"]
    first(gcloud)
    lacks = {"storage.buckets.list", "iam.serviceAccountKeys.list", "iam.serviceAccounts.get"}
    of_project = gcloud.state["roles"]["storekeeperProject"]
    of_project["permissions"] = [one for one in of_project["permissions"] if one not in lacks]
    give(google, gcloud.state, email)
    assert failing(account) == lacks
    assert gcloud.run(document(linked()).text).returncode == 0
    give(google, gcloud.state, email)
    assert failing(account) == set()


PLACES = (Place("archive", True, ("pg",)), Place("pgbk-own", False, ("old/repo",)))


def test_a_bucket_that_was_there_is_named_by_the_script_and_no_other_is_opened(gcloud, google):
    account = replace(google.account(), places=PLACES)
    email, storage = google.key_file["client_email"], google.emulator.storage
    for name in ("archive", "pgbk-own", "other"):
        storage.insert(google.root(), {"project": PROJECT}, {"name": name, "location": "EU"})
    first(gcloud)
    give(google, gcloud.state, email)
    lacking = [one for one in GOOGLE.linking.preflight(account, []) if one.outcome == "fail"]
    assert {one.on for one in lacking} == {"bucket archive"}
    assert all(one.in_files and not one.statement for one in lacking)
    assert {one.label for one in lacking} > {"storage.buckets.get", "storage.buckets.setIamPolicy"}

    gcloud.change(buckets={"archive": [], "pgbk-own": []})
    text = document(replace(linked(), places=PLACES)).text
    answer = gcloud.run(text)
    assert answer.returncode == 0, answer.stderr
    assert CHANGES.findall(gcloud.run(text).stdout) == []
    made = {one for role in existing_roles(account) for one in role.permissions}
    assert not [one for one in made if one.endswith(".delete")]
    give(google, gcloud.state, email)
    for name, policy_of in gcloud.state["buckets"].items():
        grant_on_bucket(google, storage.buckets[name], policy_of, email)
    assert failing(account) == set()
    for name, key, expected in (
        ("archive", "pg/backup/main/backup.info", True),
        ("archive", "pg/archive/main/archive.info.copy", True),
        ("archive", "c-k3v9/n1/backup/main/backup.info", True),
        ("archive", "pg/backup/main/1/file", False),
        ("archive", "elsewhere/backup/main/backup.info", False),
        ("pgbk-own", "old/repo/backup/main/backup.info", True),
        ("pgbk-own", "old/repo/archive/main/archive.info", True),
        ("pgbk-own", "old/archive/main/archive.info", False),
        ("other", "pg/backup/main/backup.info", False),
    ):
        assert storage.may(email, "storage.objects.get", storage.buckets[name], key) is expected, (name, key)
    for name, expected in (("archive", True), ("other", False)):
        for one in ("get", "update", "getIamPolicy"):
            assert storage.may(email, f"storage.buckets.{one}", storage.buckets[name]) is expected
    assert not storage.may(email, "storage.buckets.delete", storage.buckets["archive"])


def grant_on_bucket(google, bucket, policy_of, email):
    """Have the emulated bucket's policy have these bindings, beside its own."""
    for one in policy_of:
        binding = {"role": one["role"], "members": [f"serviceAccount:{email}"]}
        bucket.policy["bindings"].append(binding | ({"condition": one["condition"]} if one["condition"] else {}))


def failing(account):
    return {one.label for one in GOOGLE.linking.preflight(account, []) if one.outcome == "fail"}


def give(google, state, email):
    """Have the emulated Google know the roles and their bindings as the stand-in has them."""
    project = google.emulator.directory.projects[PROJECT]
    project.bindings.clear()
    for name, role in state["roles"].items():
        google.emulator.add_role(name, tuple(role["permissions"]))
    for one in state["policy"]:
        condition = (one["condition"] or {}).get("expression", "")
        google.emulator.grant(email, one["role"], condition=condition)


@pytest.fixture
def google():
    from tests.worlds.google import Google

    world = Google()
    yield world
    world.close()


@pytest.mark.parametrize(
    "account",
    [
        unlinked(),
        linked(),
        linked(method="federation", external_id="sk-1", service_account=EMAIL),
        replace(linked(), places=(Place("archive", True, ("pg",)), Place("pgbk-own", False, ("old/repo",)))),
    ],
    ids=["new", "key", "federation", "places"],
)
def test_the_script_is_in_order(account):
    text = document(account).text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert max(len(line) for line in text.splitlines() if not line.startswith("bind")) <= 160
    if shutil.which("shellcheck"):
        found = subprocess.run(["shellcheck", "-"], input=text, text=True, capture_output=True, check=False)
        assert found.returncode == 0, found.stdout


def test_the_key_file_is_what_linking_asks_for(gcloud):
    first(gcloud)
    assert json.loads((gcloud.folder / KEY_FILE).read_text())["type"] == "service_account"
