"""Google's calls, the permissions that they take, and what its errors mean for a step: two tables, in our words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from console.clouds import foreign
from console.clouds.specs import AccountRef, StoreSpec
from console.clouds.steps import Conflict, Denied, Failed, NotReady, StepError

Service = Literal["storage", "iam", "cloudresourcemanager"]


@dataclass(frozen=True)
class ApiMethod:
    """One call of an API: where it goes, and what the caller has to be allowed for it."""

    service: Service
    method: str
    path: str
    permissions: tuple[str, ...] = ()


# Paths and permissions: Cloud Storage JSON API reference and "IAM permissions for JSON methods"; IAM API v1 reference
# and "Service account permissions"; Resource Manager API v1 reference. Nothing else is ever called.
CALLS: dict[str, ApiMethod] = {
    "buckets.insert": ApiMethod("storage", "POST", "/storage/v1/b", ("storage.buckets.create",)),
    "buckets.list": ApiMethod("storage", "GET", "/storage/v1/b", ("storage.buckets.list",)),
    "buckets.get": ApiMethod("storage", "GET", "/storage/v1/b/{bucket}", ("storage.buckets.get",)),
    "buckets.patch": ApiMethod(
        "storage", "PATCH", "/storage/v1/b/{bucket}", ("storage.buckets.update", "storage.buckets.get")
    ),
    "buckets.delete": ApiMethod("storage", "DELETE", "/storage/v1/b/{bucket}", ("storage.buckets.delete",)),
    "buckets.getIamPolicy": ApiMethod(
        "storage", "GET", "/storage/v1/b/{bucket}/iam", ("storage.buckets.getIamPolicy",)
    ),
    "buckets.setIamPolicy": ApiMethod(
        "storage", "PUT", "/storage/v1/b/{bucket}/iam", ("storage.buckets.setIamPolicy",)
    ),
    "buckets.testIamPermissions": ApiMethod("storage", "GET", "/storage/v1/b/{bucket}/iam/testPermissions"),
    "objects.list": ApiMethod("storage", "GET", "/storage/v1/b/{bucket}/o", ("storage.objects.list",)),
    "objects.get": ApiMethod("storage", "GET", "/storage/v1/b/{bucket}/o/{object}", ("storage.objects.get",)),
    "objects.delete": ApiMethod("storage", "DELETE", "/storage/v1/b/{bucket}/o/{object}", ("storage.objects.delete",)),
    "projects.get": ApiMethod(
        "cloudresourcemanager", "GET", "/v1/projects/{project}", ("resourcemanager.projects.get",)
    ),
    "projects.testIamPermissions": ApiMethod(
        "cloudresourcemanager", "POST", "/v1/projects/{project}:testIamPermissions"
    ),
    "serviceAccounts.create": ApiMethod(
        "iam", "POST", "/v1/projects/{project}/serviceAccounts", ("iam.serviceAccounts.create",)
    ),
    "serviceAccounts.get": ApiMethod(
        "iam", "GET", "/v1/projects/{project}/serviceAccounts/{email}", ("iam.serviceAccounts.get",)
    ),
    "serviceAccounts.delete": ApiMethod(
        "iam", "DELETE", "/v1/projects/{project}/serviceAccounts/{email}", ("iam.serviceAccounts.delete",)
    ),
    "keys.list": ApiMethod(
        "iam", "GET", "/v1/projects/{project}/serviceAccounts/{email}/keys", ("iam.serviceAccountKeys.list",)
    ),
    "keys.create": ApiMethod(
        "iam", "POST", "/v1/projects/{project}/serviceAccounts/{email}/keys", ("iam.serviceAccountKeys.create",)
    ),
    "keys.delete": ApiMethod(
        "iam", "DELETE", "/v1/projects/{project}/serviceAccounts/{email}/keys/{key}", ("iam.serviceAccountKeys.delete",)
    ),
}


class Answer(Exception):
    """An error as Google answered it: the HTTP status, the reason, the message, and the details that APIs add."""

    def __init__(self, status: int, reason: str, message: str, details: Mapping[str, str], request_id: str) -> None:
        self.status, self.reason, self.message = status, foreign.word(reason), foreign.text(message)
        self.details, self.request_id = foreign.tidy(details), foreign.word(request_id)
        super().__init__(f"{status} {self.reason}: {self.message}")


class Silence(Exception):
    """No answer came; `resolves` says that not even the address was found."""

    def __init__(self, message: str, *, resolves: bool = False) -> None:
        super().__init__(foreign.text(message))
        self.resolves = resolves


class NoEntry(Exception):
    """The token service gave no token; `code` and message as RFC 6749 names them, or ours."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = foreign.word(code), foreign.text(message)
        super().__init__(f"{self.code}: {self.message}")


def read_answer(status: int, body: Any, request_id: str) -> Answer:
    """Return the error in an answer's body, whichever API wrote it.

    Cloud Storage names its reason in errors[0].reason ("HTTP status and error codes for JSON"), the other APIs a status
    such as PERMISSION_DENIED and, in a google.rpc.ErrorInfo, a reason such as SERVICE_DISABLED (AIP-193).
    """
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return Answer(status, str(status), error if isinstance(error, str) else "", {}, request_id)
    listed = [one for one in _list(error.get("errors")) if isinstance(one, dict)] or [{}]
    reason = str(listed[0].get("reason") or error.get("status") or status)
    details: dict[str, str] = {}
    for one in _list(error.get("details")):
        if not isinstance(one, dict):
            continue
        if "reason" in one:
            reason, metadata = str(one["reason"]), one.get("metadata")
            details |= {key: str(value) for key, value in (metadata if isinstance(metadata, dict) else {}).items()}
        for violation in _list(one.get("violations")):
            details["constraint"] = str(violation.get("type", "")) if isinstance(violation, dict) else ""
    message = error.get("message")
    return Answer(status, reason, message if isinstance(message, str) else "", details, request_id)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def wait(patience: float) -> Callable[..., StepError]:
    """Return the reaction "try again for so many seconds"."""
    return partial(NotReady, patience=patience)


PROXY = "proxy-"  # before a status: it came without a reason of Google's, so what is in between has answered
UNKNOWN = "*"  # stands for every reason that is in no row
ENABLE = "gcloud services enable {service} --project={consumer}"
Row = tuple[Callable[..., StepError], str]
# Reasons (or call:reason, or status), the reaction, and what to tell. Meanings: Cloud Storage, "HTTP status and error
# codes for JSON" and "Troubleshooting"; IAM, "Troubleshoot allow policies" and "Quotas and limits".
ROWS: tuple[tuple[str, Callable[..., StepError], str], ...] = (
    (
        "forbidden PERMISSION_DENIED IAM_PERMISSION_DENIED",
        Denied,
        "Google refused {action} on {name}. Grant it to {who} (the role is on the account's page), then try again. "
        "Google says: {reason}",
    ),
    (
        "buckets.setIamPolicy:forbidden",
        Denied,
        "Google refused {action} on {name}. Either {who} lacks it (the role storekeeperGrants, on the account's page), "
        "or somebody has a role there that its condition does not let the console take away: do that in Google Cloud. "
        "Then try again. Google says: {reason}",
    ),
    (
        "403",  # without a reason of Google's
        Denied,
        "Something answered 403 for Google without saying why: a firewall or proxy on the way may not let this "
        "console, or {operation}, through. If there is none, grant {action} on {name} to {who} (the role is on the "
        "account's page). It says: {reason}",
    ),
    (
        # "VPC Service Controls: troubleshoot"; "Bucket IP filtering"
        "SECURITY_POLICY_VIOLATED vpcServiceControls because-network",
        Failed,
        "Google refused {operation} on {name} because of where the console is: a perimeter of VPC Service Controls, or "
        "the bucket's IP filter, lets in only certain networks. Have it let in the console's, then try again. Google "
        "says: {reason}",
    ),
    (
        "retentionPolicyNotMet objectUnderActiveHold because-locked",
        Failed,
        "Google refused {operation} on {name}, because a retention policy or a hold keeps what is there. Wait until it "
        "is over, or have somebody take the hold away who may; then try again. Google says: {reason}",
    ),
    (
        "CloudKmsBadKey CloudKmsDisabledKey CloudKmsDecryptionKeyNotFound CloudKmsEncryptionKeyNotFound "
        "CloudKmsDecryptionFailed CloudKmsKeyLocationNotAllowed because-kms",
        Failed,
        "Google cannot use the Cloud KMS key that {name} is encrypted with ({code}). Enable it, and let the project's "
        "Cloud Storage service agent use it (roles/cloudkms.cryptoKeyEncrypterDecrypter), then try again. Google says: "
        "{reason}",
    ),
    (
        "CONSUMER_SUSPENDED because-suspended",
        Failed,
        "Google has suspended project {project} or {who} ({code}). Have it enabled again, then try again. Google says: "
        "{reason}",
    ),
    (
        "502 504 proxy-503",
        wait(600),
        "A proxy on the way to Google answered {status} in its place: it got no answer. See that it reaches Google.",
    ),
    (
        "413",
        Failed,
        "A proxy on the way to Google refused the request for {name} as too large (413). Have it let requests of any "
        "size through to googleapis.com, then try again.",
    ),
    (
        "407 511",
        Failed,
        "A proxy on the way to Google wants a sign-in ({status}), which the console has none for. Let the console "
        "through, then try again.",
    ),
    (
        "insufficientPermissions ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        Failed,
        "The console's token is not for this call ({reason}). This is a fault in the console: please report it.",
    ),
    (
        "accessNotConfigured SERVICE_DISABLED",
        wait(300),  # switched on just now, it takes minutes until all of Google knows
        "The API {service} is not enabled in project {consumer}. Enable it: " + ENABLE + ". It may take a few minutes.",
    ),
    (
        "accountDisabled userProjectAccountProblem BILLING_DISABLED UserProjectAccountProblem",
        Failed,
        "Project {project} has no active billing account, so Google keeps no buckets for it. Link one (Google Cloud "
        "console, Billing), then try again. Google says: {reason}",
    ),
    (
        "authError required UNAUTHENTICATED 401",
        wait(120),
        "Google no longer accepts the console's token for project {project}; the console asks for a new one.",
    ),
    (
        "rateLimitExceeded userRateLimitExceeded RESOURCE_EXHAUSTED RATE_LIMIT_EXCEEDED quotaExceeded 429",
        wait(600),
        "Google asked the console to slow down ({code}): {reason}",
    ),
    (
        "backendError internalError UNAVAILABLE INTERNAL DEADLINE_EXCEEDED 408 500",
        wait(600),
        "Google is busy or has trouble of its own ({code}).",
    ),
    (
        "conditionNotMet ABORTED",
        wait(60),
        "Somebody else changed {name} at the same moment; the console looks at it again.",
    ),
    (
        "notFound NOT_FOUND 404",
        wait(120),
        "Google does not show {name} yet. If someone deleted it meanwhile, try again.",
    ),
    (
        "buckets.delete:notFound",  # the step is run again, and finds out whether there is one
        wait(120),
        "Google says that {name} is gone already; the console makes sure of it.",
    ),
    (
        "buckets.insert:conflict",
        Conflict,
        "The name {name} is taken by another project of Google's customers: all bucket names share one space.",
    ),
    (
        "conflict",
        wait(60),
        "Google is applying another change to {name}.",
    ),
    (
        "too-many-service-accounts",
        Failed,
        "Project {project} has as many service accounts as its quota allows. Delete unused ones, or ask for more "
        "(Google Cloud console, IAM, Quotas), then try again. Google says: {reason}",
    ),
    (
        "keys.create:FAILED_PRECONDITION keys.create:failedPrecondition",
        Failed,
        "Google makes no key for {name}: it has ten already, or the organisation policy "
        "constraints/iam.disableServiceAccountKeyCreation forbids keys. Attach service accounts to the nodes' machines "
        "instead (the account's page), or have the policy changed; then try again. Google says: {reason}",
    ),
    (
        "buckets.insert:invalid",
        Failed,
        "Google does not take the bucket {name} as it was asked for, in location {region}: {reason}",
    ),
    (
        "invalid invalidArgument badRequest INVALID_ARGUMENT FAILED_PRECONDITION failedPrecondition parseError",
        Failed,
        "Google rejected the console's request for {name} ({code}: {reason}). This is a fault in the console: please "
        "report it.",
    ),
    (
        "constraint",  # of an organisation policy, whatever its reason is called
        Failed,
        "An organisation policy forbids this for {name}: {constraint}. Ask whoever administers the organisation for an "
        "exception for project {project}, then try again. Google says: {reason}",
    ),
    (
        "no-such-member",
        wait(120),  # IAM is eventually consistent ("Access change propagation")
        "Google does not know the service account everywhere yet: {reason}",
    ),
    (UNKNOWN, Failed, "Google refused the request for {name}: {code}: {reason}"),
)


def by_code(rows: Iterable[tuple[str, Callable[..., StepError], str]]) -> dict[str, Row]:
    """Return reaction and message by code."""
    return {code: (reaction, message) for codes, reaction, message in rows for code in codes.split()}


ERRORS = by_code(ROWS)
REFUSED = frozenset({"forbidden", "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", "403"})
# Why else a call is refused, by the words of the answer, where its reason is that of a permission that lacks.
BECAUSE = tuple(
    (re.compile(words, re.IGNORECASE), row)
    for words, row in (
        (r"vpcServiceControls|prohibited by organization's policy|ip filter", "because-network"),
        (r"retention policy|under active .*hold|\bhold\b", "because-locked"),
        (r"\bKMS\b", "because-kms"),
        (r"\b(?:project|account) (?:is|was|has been) (?:suspended|disabled)", "because-suspended"),
    )
)
PERMISSION = re.compile(r"(?:^|[\s'])((?:storage|iam|resourcemanager)\.[a-zA-Z]+\.[a-zA-Z]+)(?=[\s']|$)")
CONSTRAINT = re.compile(r"constraints/[\w.]+")
# What Google says instead of naming the constraint.
SAID_OF_CONSTRAINTS = {
    "do not belong to a permitted customer": "constraints/iam.allowedPolicyMemberDomains",
    "public access prevention is enforced": "constraints/storage.publicAccessPrevention",
}


@dataclass(frozen=True)
class CallTarget:
    """What a call is about, in the words of its errors."""

    account: AccountRef
    name: str
    details: Mapping[str, str] = field(default_factory=dict)
    region: str = ""
    path: Mapping[str, str] = field(default_factory=dict)  # what the call's path has in braces


def on_bucket(spec: StoreSpec, bucket: str) -> CallTarget:
    """Return a bucket of this store as the subject of a call."""
    return CallTarget(spec.account, f"bucket {bucket}", {"bucket": bucket}, spec.region, {"bucket": bucket})


def on_project(account: AccountRef) -> CallTarget:
    """Return the project as the subject of a call."""
    return CallTarget(account, f"project {account.number}", path={"project": account.number})


def who(account: AccountRef) -> str:
    """Return the service account that the console is, there."""
    return account.settings.get("client_email") or account.settings.get("service_account") or "the service account"


def step_error(error: Answer | Silence | NoEntry, operation: str, subject: CallTarget) -> StepError:
    """Return what this error means for the step that called."""
    account = subject.account
    if isinstance(error, Answer):
        return answered(error, operation, subject)
    details = {"operation": operation, **subject.details}
    if isinstance(error, NoEntry):
        return Failed(
            _no_token(account, foreign.said(error.message, error.code)),
            code=error.code,
            **details,
        )
    if error.resolves:
        return wait(120)(
            "The console cannot find Google's address. Check the console's DNS.", code="Silence", **details
        )
    return wait(600)(
        "The console got no answer from Google. Check that its network lets it out to googleapis.com.",
        code="Silence",
        **details,
    )


def _no_token(account: AccountRef, reason: str) -> str:
    because = f": {reason.rstrip('.')}." if reason else "."
    if re.search(r"reasonable timeframe|\biat\b|not yet valid|\bclock\b", reason):
        return (
            f"Google gives the console no token for {who(account)}{because} Set the clock of each machine that a "
            "worker of the console runs on: it differs from Google's."
        )
    return (
        f"Google gives the console no token for {who(account)}{because} Change the key, or the federation, on the page "
        f"of account {account.number}."
    )


def answered(error: Answer, operation: str, subject: CallTarget) -> StepError:
    """Return what this answer means; an unknown one is final, unless Google is ill."""
    account, known = subject.account, CALLS[operation]
    details = {"code": error.reason, "operation": operation, **subject.details, "request_id": error.request_id}
    constraint = next((name for said, name in SAID_OF_CONSTRAINTS.items() if said in error.message), "")
    found = CONSTRAINT.search(error.message)
    constraint = error.details.get("constraint") or (found[0] if found else constraint)
    reason = foreign.said(error.message, error.reason)
    code, because = error.reason, next((row for words, row in BECAUSE if words.search(reason)), "")
    if code in REFUSED and because:
        code = because
    elif code in REFUSED:
        named = PERMISSION.search(error.message)
        actions = (named[1],) if named else known.permissions
        details["action"] = ", ".join(actions)
        details["statement"] = json.dumps({"includedPermissions": list(actions)}, indent=2)
    elif constraint and operation != "keys.create":
        code = "constraint"
        details["code"] = constraint
    elif "does not exist" in error.message and operation == "buckets.setIamPolicy" and code == "invalid":
        code = "no-such-member"
    elif "maximum number" in error.message.lower() and operation == "serviceAccounts.create":
        code = "too-many-service-accounts"  # who only asks too often gets the same status and reason
    reaction, message = _row(operation, code, error.status)
    text = foreign.told(
        message,
        reason,
        action=details.get("action", ""),
        code=error.reason,
        constraint=constraint,
        consumer=error.details.get("consumer", f"projects/{account.number}").removeprefix("projects/"),
        name=subject.name,
        operation=operation,
        project=account.number,
        region=subject.region or "of the project",
        service=error.details.get("service", f"{known.service}.googleapis.com"),
        status=str(error.status),
        who=who(account),
    )
    return reaction(text, **details)


def _row(operation: str, code: str, status: int) -> Row:
    known = ERRORS.get(f"{operation}:{code}") or ERRORS.get(f"{PROXY}{code}") or ERRORS.get(code)
    if known is None and status not in {403, 502, 503, 504}:  # of a proxy only where Google gave no reason
        known = ERRORS.get(str(status))
    return known or ERRORS["backendError" if status >= 500 else UNKNOWN]
