"""Who the console is in Google Cloud, by a key or by federation, and what is wrong with what was filled in."""

import json
from dataclasses import replace

import pytest

from console.clouds.contract import LinkError, Unproven
from console.clouds.google import session as google_session
from console.clouds.google.linking import FIELDS
from console.clouds.specs import DeploymentSettings
from console.demo.emulators.google.emulator import NUMBER, PROJECT
from tests.clouds import plans
from tests.clouds.google.specs import GOOGLE, forget_key, make_spec, run, take_permission

CLEAN = {field.name: field.clean for field in FIELDS}


def disable(world):
    world.emulator.directory.accounts[world.key_file["client_email"]].disabled = True


def switch_off(world, service):
    world.emulator.directory.projects[PROJECT].disabled.add(service)


def set_project(world, **values):
    for name, value in values.items():
        setattr(world.emulator.directory.projects[PROJECT], name, value)


def test_identify_says_who_google_says_we_are(world):
    found = GOOGLE.linking.identify(world.account())
    assert (found.number, found.arn) == (PROJECT, world.key_file["client_email"])
    assert found.found["project_number"] == NUMBER
    assert found.found["private_key_id"] == world.key_file["private_key_id"]
    assert len(found.proofs) == 2


@pytest.mark.parametrize(
    ("change", "words", "name"),
    [
        (disable, "is disabled", ""),
        (lambda world: world.emulator.directory.accounts.clear(), "knows no service account", ""),
        (forget_key, "does not know this key", "key"),
        (lambda world: take_permission(world, "resourcemanager.projects.get"), "has no access to it", "project_id"),
        (lambda world: take_permission(world, "storage.buckets.list"), "has no access to it", "project_id"),
        (lambda world: switch_off(world, "storage.googleapis.com"), "gcloud services enable storage", "project_id"),
        (
            lambda world: switch_off(world, "cloudresourcemanager.googleapis.com"),
            "gcloud services enable cloudresourcemanager.googleapis.com --project=415104041262",
            "project_id",
        ),
        (lambda world: set_project(world, billed=False), "no active billing account", "project_id"),
        (lambda world: set_project(world, active=False), "is being deleted", "project_id"),
    ],
)
def test_identify_says_what_is_wrong(world, change, words, name):
    account = world.account()
    change(world)
    with pytest.raises(LinkError, match=words) as raised:
        GOOGLE.linking.identify(account)
    assert raised.value.field == name
    assert "PRIVATE KEY" not in str(raised.value)


def test_identify_of_a_project_that_is_not_there(world):
    with pytest.raises(LinkError, match="does not exist, or") as raised:
        GOOGLE.linking.identify(world.account(project_id="no-such-project"))
    assert raised.value.field == "project_id"


def test_identify_without_an_answer_is_passing(world):
    account = replace(world.account(), deployment=DeploymentSettings(endpoint_url="https://127.0.0.1:9"))
    key = json.dumps({**json.loads(account.secrets["key"]), "token_uri": google_session.TOKEN_URI})
    with pytest.raises(LinkError, match="no answer") as raised:
        GOOGLE.linking.identify(replace(account, secrets={"key": key}))
    assert raised.value.passing


def test_identify_trusts_no_certificate_but_its_own(world):
    account = replace(world.account(), deployment=DeploymentSettings(endpoint_url=world.emulator.url))
    with pytest.raises(LinkError, match="no answer"):
        GOOGLE.linking.identify(account)


def test_a_key_may_name_no_token_service_but_googles(world):
    key = json.dumps({**world.key_file, "token_uri": "https://169.254.169.254/token"})
    account = replace(world.account(), secrets={"key": CLEAN["key"](key)})
    world.forget()
    with pytest.raises(LinkError, match="not Google's") as raised:
        GOOGLE.linking.identify(account)
    assert raised.value.field == "key"
    assert world.calls() == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"type": "external_account", "credential_source": {"file": "/etc/passwd"}},
            "not the key of a service account",
        ),
        ({"type": "authorized_user"}, "not the key of a service account"),
        ({"private_key": "-----BEGIN PRIVATE KEY-----\n'; rm -rf /\n"}, "missing or damaged"),
        ({"client_email": "nobody@example.com"}, "missing or damaged"),
        ({"private_key_id": "../../x"}, "missing or damaged"),
        ({"universe_domain": "evil.example"}, "another cloud"),
    ],
)
def test_a_key_file_is_checked(world, change, words):
    with pytest.raises(LinkError, match=words):
        CLEAN["key"](json.dumps({**world.key_file, **change}))


def test_a_key_file_loses_what_is_not_needed(world):
    kept = json.loads(CLEAN["key"](json.dumps({**world.key_file, "extra": "x"})))
    assert {*kept} == {"type", "client_email", "private_key_id", "private_key", "token_uri"}


@pytest.mark.parametrize("text", ["", "no json", "[]", '"text"'])
def test_a_key_file_must_be_one(text):
    with pytest.raises(LinkError):
        CLEAN["key"](text)


@pytest.mark.parametrize("text", ["Project", "a", "x" * 31, "1-project", "project-", "my project"])
def test_project_ids_are_checked(text):
    with pytest.raises(LinkError):
        CLEAN["project_id"](text)


def test_workload_providers_are_checked():
    name = "projects/12/locations/global/workloadIdentityPools/pool-one/providers/provider-one"
    assert CLEAN["workload_provider"](f"//iam.googleapis.com/{name}") == name
    assert CLEAN["workload_provider"](f"https://iam.googleapis.com/{name}") == name
    for text in ("projects/x/locations/global", f"{name}/../x", f"https://evil.example/{name}"):
        with pytest.raises(LinkError):
            CLEAN["workload_provider"](text)


@pytest.fixture
def federated(world):
    """An account that is linked by federation, and has proved itself."""
    linked = world.signing_in("federation")
    linked = replace(linked, settings={**linked.settings, "external_id": "8c1f-own"})
    world.prove(linked)
    return linked


def test_federation_signs_in_without_a_secret(world, federated):
    found = GOOGLE.linking.identify(federated)
    assert found.arn == world.key_file["client_email"]
    proven = replace(federated, settings={**federated.settings, **found.found})
    run(plans.creation(GOOGLE), make_spec(world, account=proven))
    assert len(world.buckets()) == 2


def test_a_proven_service_account_cannot_be_borrowed_for_another_project(world, federated):
    world.emulator.add_project("attackers-project", "999000111222")
    world.emulator.grant(
        world.key_file["client_email"], "roles/owner", "roles/storage.admin", project="attackers-project"
    )
    borrowed = {**federated.settings, "project_id": "attackers-project", "external_id": "9d2e-other"}
    with pytest.raises(Unproven, match="9d2e-other") as raised:
        GOOGLE.linking.identify(replace(federated, settings=borrowed))
    assert raised.value.field == "service_account"
    assert not any(call.operation.startswith("buckets.") for call in world.emulator.calls)


def test_federation_needs_to_read_its_own_description(world, federated):
    project = world.emulator.directory.projects[PROJECT]
    role = world.emulator.role("storekeeperProject")
    project.roles[role] = tuple(one for one in project.roles[role] if one != "iam.serviceAccounts.get")
    with pytest.raises(LinkError, match=r"Give it iam\.serviceAccounts\.get") as raised:
        GOOGLE.linking.identify(federated)
    assert raised.value.field == "service_account"
    assert not raised.value.passing


def test_federation_says_what_is_wrong(world, federated):
    with pytest.raises(LinkError, match="GOOGLE_SUBJECT_TOKEN_FILE"):
        GOOGLE.linking.identify(replace(federated, deployment=replace(federated.deployment, token_file="")))
    with pytest.raises(LinkError, match="GOOGLE_SUBJECT_TOKEN_FILE"):
        GOOGLE.linking.identify(replace(federated, deployment=replace(federated.deployment, token_file="/nonexistent")))
    world.emulator.directory.accounts[world.key_file["client_email"]].users.clear()
    google_session.forget_sessions()
    with pytest.raises(LinkError, match="does not let the console's identity act as") as raised:
        GOOGLE.linking.identify(federated)
    assert raised.value.field == "service_account"
    world.emulator.directory.issuers.clear()
    google_session.forget_sessions()
    with pytest.raises(LinkError, match="knows no workload identity provider") as raised:
        GOOGLE.linking.identify(federated)
    assert raised.value.field == "workload_provider"


def test_a_changed_key_takes_effect_at_once(world):
    account = world.account()
    GOOGLE.linking.identify(account)
    forget_key(world)
    with pytest.raises(LinkError):
        GOOGLE.linking.identify(replace(account, secrets={"key": account.secrets["key"] + " "}))
