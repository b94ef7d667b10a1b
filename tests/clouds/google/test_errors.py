"""What Google answers when something is wrong, and what people are told."""

import re
from dataclasses import replace

import pytest

from console.clouds.specs import DeploymentSettings
from console.clouds.steps import Failed, NotReady, StepError
from console.demo.emulators.google.emulator import NUMBER, PROJECT
from console.demo.emulators.google.iam import service_disabled
from tests.clouds import plans
from tests.clouds.google.specs import GOOGLE, forget_key, make_spec, run

LOCATION = "'europe-west1' violates constraint 'constraints/gcp.resourceLocations'"
ERRORS = [
    (
        "buckets.insert",
        403,
        "forbidden",
        "x does not have storage.buckets.create access to",
        Failed,
        None,
        "Grant it to",
    ),
    ("buckets.insert", 403, "accountDisabled", "The billing account is absent", Failed, None, "no active billing"),
    ("buckets.insert", 403, "userProjectAccountProblem", "x", Failed, None, "no active billing"),
    ("buckets.insert", 412, "orgPolicyConstraintFailed", LOCATION, Failed, None, "constraints/gcp.resourceLocations"),
    (
        "buckets.insert",
        400,
        "invalid",
        "The location constraint is not valid.",
        Failed,
        None,
        "in location europe-west1",
    ),
    ("buckets.insert", 429, "rateLimitExceeded", "slow", NotReady, 600, "slow down"),
    ("buckets.insert", 503, "backendError", "x", NotReady, 600, "busy"),
    ("buckets.insert", 500, "somethingNew", "x", NotReady, 600, "busy"),
    ("buckets.insert", 401, "authError", "Invalid Credentials", NotReady, 120, "asks for a new one"),
    (
        "buckets.insert",
        418,
        "somethingNew",
        "The message of {Google}",
        Failed,
        None,
        "somethingNew: The message of {Google}",
    ),
    ("buckets.setIamPolicy", 412, "conditionNotMet", "x", NotReady, 60, "at the same moment"),
    (
        *("buckets.setIamPolicy", 412, "conditionNotMet"),
        *("One or more users named in the policy do not belong to a permitted customer", Failed, None),
        "constraints/iam.allowedPolicyMemberDomains",
    ),
    ("buckets.getIamPolicy", 404, "notFound", "x", NotReady, 120, "does not show bucket"),
]


@pytest.mark.parametrize(("operation", "status", "reason", "message", "kind", "patience", "words"), ERRORS)
def test_errors_say_what_to_do(world, operation, status, reason, message, kind, patience, words):
    spec = make_spec(world)
    world.emulator.inject(status, reason, message, operation=operation, times=9)
    with pytest.raises(StepError) as raised:
        run(plans.creation(GOOGLE), spec)
    error = raised.value
    assert isinstance(error, kind)
    assert words in error.message
    assert getattr(error, "patience", None) == patience
    assert error.details["operation"] == operation
    assert error.details["bucket"] in {spec.bucket, spec.log_bucket}
    assert error.details["request_id"]
    assert "PRIVATE KEY" not in str(error) + repr(error) + repr(error.details)


def test_errors_name_the_api_that_is_not_enabled(world, store):
    disabled = service_disabled("iam.googleapis.com", "IAM API", NUMBER)
    world.emulator.inject(
        403, disabled.reason, disabled.message, operation="serviceAccounts.create", details=disabled.details
    )
    with pytest.raises(NotReady, match=re.escape("gcloud services enable iam.googleapis.com --project=415104041262")):
        run(GOOGLE.access.grant, world.access(store))


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("Maximum number of service accounts on project reached.", Failed, "as many service accounts as its quota"),
        (
            "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute'",
            NotReady,
            "slow down",
        ),
    ],
)
def test_errors_tell_a_full_quota_from_a_rate(world, store, message, kind, words):
    world.emulator.inject(429, "rateLimitExceeded", message, operation="serviceAccounts.create")
    with pytest.raises(kind, match=words):
        run(GOOGLE.access.grant, world.access(store))


def test_errors_name_the_policy_that_forbids_keys(world, store):
    world.emulator.directory.projects[PROJECT].constraints.add("iam.disableServiceAccountKeyCreation")
    with pytest.raises(Failed, match=re.escape("constraints/iam.disableServiceAccountKeyCreation forbids keys")):
        run(GOOGLE.access.grant, world.access(store))


def test_errors_of_a_locations_policy_come_from_the_emulator_too(world):
    world.emulator.directory.projects[PROJECT].constraints.add("gcp.resourceLocations")
    with pytest.raises(Failed, match=re.escape("constraints/gcp.resourceLocations")) as raised:
        run(plans.creation(GOOGLE), make_spec(world))
    assert raised.value.details["code"] == "constraints/gcp.resourceLocations"


def test_errors_of_the_network_are_tried_again(world):
    account = replace(world.account(), deployment=DeploymentSettings(endpoint_url="https://127.0.0.1:9"))
    with pytest.raises(NotReady, match="no answer") as raised:
        run(plans.creation(GOOGLE), make_spec(world, account=account))
    assert raised.value.patience == 600


def test_errors_of_a_token_that_was_taken_back_mend_themselves(world, store):
    world.emulator.directory.tokens.clear()
    run(plans.deletion(GOOGLE), store)  # a new one is asked for, once
    assert world.buckets() == {}


def test_a_key_that_no_longer_counts_is_final(world, store):
    forget_key(world)
    world.emulator.directory.tokens.clear()
    with pytest.raises(Failed, match="gives the console no token") as raised:
        run(plans.deletion(GOOGLE), store)
    assert raised.value.details["code"] == "invalid_grant"


def test_no_identity_of_the_machine_is_ever_used(world):
    account = replace(world.account(), secrets={})
    with pytest.raises(Failed, match="the key that is kept cannot be read"):
        run(plans.creation(GOOGLE), make_spec(world, account=account))
    assert world.calls() == []
