"""The product's error table by itself: what each code means at each call, and that the matrix tries each reaction."""

from __future__ import annotations

import pytest

from console.clouds.aws.errors import ERRORS, IAM_ACTIONS, UNKNOWN
from console.clouds.steps import Failed, NotReady, StepError
from tests.faults.layer import answered
from tests.faults.reactions import reaction, step_error_of
from tests.faults.table import FAULTS, RULES, Fails, Retried

S3_CALLS = ("CreateBucket", "GetBucketTagging", "PutBucketPolicy", "PutBucketLogging", "DeleteBucket", "DeleteObjects")
# What a plan makes of the code by itself, before the table is asked.
BY_THE_PLAN = {("LimitExceeded", "AddRoleToInstanceProfile"), ("BucketAlreadyExists", "CreateBucket")}


def expectations():
    """Return fault, call and rule wherever a rule of the matrix holds for every plan."""
    found = []
    for fault in FAULTS:
        if fault.stranger:
            continue
        rules = {
            pattern.removeprefix("*: ").removesuffix(" *"): rule
            for pattern, rule in RULES[fault.name].items()
            if pattern == "*" or pattern.startswith("*: ")
        }
        calls = (*(S3_CALLS if fault.service != "iam" else ()), *(IAM_ACTIONS if fault.service != "s3" else ()))
        for call in calls:
            rule = rules.get(call, rules["*"])
            own = f"delete *: {call} *" in RULES[fault.name]
            if isinstance(rule, (Fails, Retried)) and not own and (fault.name, call) not in BY_THE_PLAN:
                found.append(pytest.param(fault, call, rule, id=f"{fault.name} at {call}"))
    return found


def test_every_fault_is_expected_somewhere():
    assert {param.values[0].name for param in expectations()} == {one.name for one in FAULTS if not one.stranger}


@pytest.mark.parametrize(("fault", "call", "rule"), expectations())
def test_code_means_what_the_matrix_says(fault, call, rule):
    error = step_error_of(fault, call)
    if isinstance(rule, Retried):
        assert type(error) is NotReady
        assert error.patience == rule.patience
    else:
        assert isinstance(error, StepError)
        assert not isinstance(error, NotReady)
    assert rule.says in error.message
    assert error.details["code"] == (fault.error.__name__ if fault.error else fault.code)
    assert error.details["operation"] == call


def rows():
    for key in ERRORS:
        operation, _, code = key.rpartition(":")
        if operation != "AssumeRole":  # linking asks for it, no plan
            yield operation or "GetBucketTagging", "Unheard" if code == UNKNOWN else code


def test_every_reaction_of_the_table_is_one_that_the_matrix_tries():
    tried = {reaction(fault, call)[:4] for fault in FAULTS for call in (*S3_CALLS, *IAM_ACTIONS)}
    wanted = {reaction(answered(code, 400), operation)[:4] for operation, code in rows()}
    assert len(wanted) >= 7
    assert wanted <= tried


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_unheard_code_of_a_server_that_is_ill_is_waited_for(status):
    error = step_error_of(answered("Unheard", status), "PutBucketPolicy")
    assert (type(error), error.patience) == (NotReady, 600)


def test_an_unheard_code_is_final():
    error = step_error_of(answered("Unheard", 400), "PutBucketPolicy")
    assert type(error) is Failed
    assert "Unheard: The message of Amazon." in error.message
