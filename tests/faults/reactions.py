"""What the product's own error tables make of a fault: the matrix tries one fault for each of these, not each code."""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

from botocore.exceptions import ClientError, EndpointConnectionError

from console.clouds.aws.errors import EXPIRED, on_bucket, step_error
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import NotReady
from tests.faults.layer import Fault

SPEC = StoreSpec(
    uuid4(), "orders", AccountRef(uuid4(), "123456789012", "aws", {}, {}), "eu-west-1", "pgbk-orders", "pgbk-orders-log"
)


class Reaction(NamedTuple):
    """How a step ends, and what else the code that meets the error does differently."""

    error: type[Exception]
    patience: float | None
    answered: bool  # by an error with a code; else no answer came
    renews: bool  # the session, which has run out
    after: bool  # the server has acted
    stranger: bool  # nothing fails: something else is there


def step_error_of(fault: Fault, operation: str):
    """Return what a step ends with that meets this fault at this call."""
    if fault.error is EndpointConnectionError:
        error = EndpointConnectionError(endpoint_url="https://s3.invalid", error="Failed to resolve 's3.invalid'")
    elif fault.error:
        error = fault.error(endpoint_url="https://s3.invalid", error="spoilt")
    else:
        answer = {
            "Error": {"Code": fault.code, "Message": fault.message},
            "ResponseMetadata": {"HTTPStatusCode": fault.status, "RequestId": "R1"},
        }
        error = ClientError(answer, operation)
    return step_error(error, operation, on_bucket(SPEC, SPEC.bucket))


def reaction(fault: Fault, operation: str) -> Reaction:
    """Return the class of reactions that this fault belongs to at this call."""
    if fault.stranger:
        return Reaction(Exception, None, answered=True, renews=False, after=False, stranger=True)
    error = step_error_of(fault, operation)
    return Reaction(
        type(error),
        error.patience if isinstance(error, NotReady) else None,
        answered=not fault.error,
        renews=fault.code in EXPIRED,
        after=fault.after,
        stranger=False,
    )
