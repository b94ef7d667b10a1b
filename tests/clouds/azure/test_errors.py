"""What Azure answers when something is wrong, and what people are told."""

import json
from dataclasses import replace

import pytest

from console.clouds.azure import AZURE
from console.clouds.azure import errors as azure_errors
from console.clouds.azure.errors import NoAnswer, Refusal, on_bucket, step_error
from console.clouds.steps import Conflict, Denied, Failed, NotReady
from tests.clouds import plans
from tests.clouds.azure.specs import make_spec, run

pytestmark = pytest.mark.slow  # Azurite is a process


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
