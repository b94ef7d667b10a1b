"""What the console's role or user may do in an AWS account, looked up before anything is made there.

The lines come from the very statements of the policy that the console asks for. Nothing is created and nothing is read
but lists: IAM is asked what it would answer ("SimulatePrincipalPolicy", IAM API reference).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from console.clouds.aws.boundary import BOUNDARY, as_list, boundary_arn, is_boundary, unnamed
from console.clouds.aws.errors import on_amazon
from console.clouds.aws.places import READS, USES
from console.clouds.aws.session import HOME_REGIONS, calling_iam, calling_s3, calling_sts, statements
from console.clouds.contract import Check, Outcome
from console.clouds.naming import listed
from console.clouds.regions import find
from console.clouds.s3api.errors import CallTarget
from console.clouds.s3api.nodes import IAM_PATH, or_nothing
from console.clouds.specs import AccountRef
from console.clouds.steps import NotReady, StepError

if TYPE_CHECKING:
    from mypy_boto3_iam.type_defs import ContextEntryTypeDef, EvaluationResultTypeDef

CREATES, LISTS, SIMULATES = "s3:CreateBucket", "s3:ListAllMyBuckets", "iam:SimulatePrincipalPolicy"
READS_BOUNDARY = ("iam:GetPolicy", "iam:GetPolicyVersion")
NOT_CREATED = "No backup store can be created"
NOT_DELETED = "A backup store cannot be deleted"
NO_BACKUPS = "The backups that a store holds are not shown."
NO_NODES = "A cluster cannot be given its stores: its nodes get no access"
NO_PARTING = "A cluster cannot be deleted"
# What breaks without an action; the actions of one statement that nobody has described share a sentence, below.
CONSEQUENCES = {
    CREATES: f"{NOT_CREATED}.",
    "s3:TagResource": f"{NOT_CREATED}: its buckets are tagged as they are made.",
    "s3:PutBucketVersioning": "No protected store can be created.",
    "s3:PutBucketObjectLockConfiguration": "No protected store with Object Lock can be created.",
    "s3:PutBucketOwnershipControls": f"{NOT_CREATED}: ACLs are turned off as its buckets are made.",
    "s3:PutBucketPolicy": f"{NOT_CREATED}: it stops once its buckets are there, before they are closed.",
    "s3:PutLifecycleConfiguration": f"{NOT_CREATED}: it stops once its buckets are there, at the expiry of logs.",
    "s3:PutBucketLogging": f"{NOT_CREATED}, nor deleted: both stop at access logging.",
    "s3:GetBucketLogging": "A deletion that is refused may leave the store without access logging.",
    "s3:GetBucketTagging": f"{NOT_DELETED}, and in us-east-1 none created: whose a bucket is cannot be seen.",
    "s3:ListBucketVersions": f"{NOT_DELETED}: whether it is empty cannot be seen. Nor what can still come back.",
    "s3:ListBucketMultipartUploads": f"{NOT_DELETED}: whether it is empty cannot be seen.",
    "s3:DeleteBucket": f"{NOT_DELETED}.",
    "s3:DeleteObject": f"{NOT_DELETED} once it has access logs.",
    "s3:AbortMultipartUpload": f"{NOT_DELETED} while an upload to its log bucket is unfinished.",
    "s3:ListBucket": NO_BACKUPS,
    "s3:GetObject": NO_BACKUPS,
    LISTS: f"{NOT_DELETED} when a bucket of its name is another account's.",
    "iam:GetRole": f"{NO_NODES}, nor is it taken back.",
    "iam:GetInstanceProfile": f"{NO_NODES}, nor is it taken back.",
    "iam:DeleteRolePolicy": "Detaching the last store of a cluster fails: its nodes keep their access.",
    "iam:RemoveRoleFromInstanceProfile": f"{NO_PARTING}.",
    "iam:DeleteInstanceProfile": f"{NO_PARTING}.",
    "iam:DeleteRole": f"{NO_PARTING}.",
    **dict.fromkeys(READS_BOUNDARY, "Whether the permissions boundary of nodes is as it should be cannot be seen."),
    SIMULATES: "The console cannot say beforehand what it may do here. All else works.",
}
CONSEQUENCES_BY_STATEMENT = {
    USES: "The store of this bucket, which was there before, is neither compared with what it should be nor repaired.",
    READS: "The backups in what was brought in are not shown.",
    "ConfigureStoreBuckets": "Whether a store's buckets are still as they should be cannot be seen or restored.",
    "GiveNodeRolesTheirBounds": f"{NO_NODES}.",
    "ManageNodeRoles": f"{NO_NODES}.",
    "HandNodeRolesToInstances": f"{NO_NODES}.",
}
ROOT = (
    "The access key is the root user's, whom no policy of the account limits; IAM does not simulate it. Use a role or "
    "a user with just these permissions."
)
NOT_NAMED = (
    "A policy denies it. The console's own does while it does not name this place: replace it with the file of the "
    "account's page. If that was done, another policy denies it, which has to change."
)
# What would make the boundary worthless: changing roles that have another one or none, taking it off, changing it.
AROUND_BOUNDARY = {
    "role": (
        *("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"),
        *("iam:PutRolePermissionsBoundary", "iam:DeleteRolePermissionsBoundary"),
    ),
    "policy": ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"),
}
# What a region that is not enabled answers ("Manage AWS STS in an AWS Region", "Error responses" of Amazon S3).
NOT_ENABLED = frozenset(
    {
        *("InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidToken"),
        *("OptInRequired", "RegionDisabledException", "AllAccessDisabled"),
    }
)


@dataclass(frozen=True)
class Probe:
    """One action of the policy, with an example of what it is allowed on."""

    check: Check  # as it is while nobody has been asked
    example: str
    context: tuple[tuple[str, str], ...]
    is_place: bool = False  # which the console's own policy denies as long as it does not name it


def preflight(account: AccountRef, regions: Sequence[str]) -> list[Check]:
    """Return a line for each permission of the console's policy, and one for each of these regions."""
    principal = _principal(account)
    regions = list(dict.fromkeys(regions)) or [HOME_REGIONS[account.partition]]
    probes = list(_probes(account, principal, regions))
    if principal.endswith(":root"):
        lines = [replace(probe.check, outcome="pass", why=ROOT, statement="") for probe in probes]
    else:
        lines = _simulated(account, principal, probes)
    bounds = [_boundary(account), _way_around(account, principal)]
    return [*lines, *bounds, _listed(account, probes), *(_region(account, principal, code) for code in regions)]


def _on_account(account: AccountRef, region: str, service: str, principal: str = "") -> CallTarget:
    name = principal or f"account {account.number}"
    return on_amazon(account, region, service, name, lambda operation, action: principal or "*")


def _principal(account: AccountRef) -> str:
    """Return the ARN of the role, or of the access key's user."""
    subject = _on_account(account, HOME_REGIONS[account.partition], "AWS STS")
    with calling_sts("GetCallerIdentity", subject) as sts:
        arn = sts.get_caller_identity()["Arn"]
    return account.settings.get("role_arn") or arn


# The lines, as the policy has them


def _probes(account: AccountRef, principal: str, regions: Sequence[str]) -> Iterator[Probe]:
    """Yield the permissions for each kind of bucket names that the regions need, and creating for each region."""
    kinds: dict[bool, list[str]] = {}
    for code in regions:
        known = find("aws", code)
        kinds.setdefault(bool(known and known.account_namespace), []).append(code)
    for number, (namespace, codes) in enumerate(kinds.items()):
        policy = statements(
            account.number,
            account.partition,
            global_names=not namespace,
            principal=principal.partition(f":{account.number}:")[2],
            places=account.places,
        )
        for statement in policy["Statement"]:
            if statement["Effect"] == "Deny":
                continue
            if statement["Sid"] in {USES, READS}:
                if number == 0:
                    for resource in statement["Resource"]:
                        yield from _probes_of({**statement, "Resource": resource}, [])
            elif statement["Sid"] == "CreateStoreBuckets":  # which policies limit to regions, if anything
                for code in codes:
                    yield from _probes_of(statement, [code])
            elif ":s3:::" in str(statement["Resource"]):
                yield from _probes_of(statement, codes)
            elif number == 0:  # the rest is the same for both kinds of names
                yield from _probes_of(statement, [])


def _probes_of(statement: Mapping[str, Any], regions: Sequence[str]) -> Iterator[Probe]:
    conditions, region = statement.get("Condition", {}), next(iter(regions), "")
    context = {key: value for test in conditions.values() for key, value in test.items()}
    for action in as_list(statement["Action"]):
        resources = as_list(statement["Resource"])
        kind = ":instance-profile/" if "InstanceProfile" in action else ":role/"
        resource = next((one for one in resources if kind in one), resources[0])
        allow = {"Effect": "Allow", "Action": action, "Resource": resource}
        check = Check(
            label=action,
            on=resource.replace("-*-an", f"-{region}-an") if action == CREATES else resource,
            outcome="unknown",
            without=_consequence(action, statement["Sid"]),
            statement=json.dumps(allow | ({"Condition": conditions} if conditions else {}), indent=2),
            regions=tuple(regions),
            required=action not in {SIMULATES, *READS_BOUNDARY},
        )
        is_place = statement["Sid"] in {USES, READS}
        yield Probe(check, _example(resource, region), tuple((context | _always(region)).items()), is_place)


def _consequence(action: str, sid: str) -> str:
    """Return what breaks without the action of this statement."""
    return (sid not in {USES, READS} and CONSEQUENCES.get(action)) or CONSEQUENCES_BY_STATEMENT[sid]


def _always(region: str) -> dict[str, str]:
    """Return the condition keys that every call of ours has."""
    return {"aws:SecureTransport": "true"} | ({"aws:RequestedRegion": region} if region else {})


def _example(resource: str, region: str) -> str:
    """Return a resource of which the pattern is true; AWS need not have it."""
    resource = resource.replace("/pgbk*", f"{IAM_PATH}*").replace("?", "a")  # where the console makes them
    return resource.replace("-*-an", f"-{region}-an").replace("*", "preflight") if resource != "*" else "*"


# What IAM says of them


def _simulated(account: AccountRef, principal: str, probes: Iterable[Probe]) -> list[Check]:
    """Return the lines with IAM's decisions: one call for all actions on the same resource."""
    asked = [probe for probe in probes if probe.check.label not in {LISTS, SIMULATES}]
    [itself] = [probe.check for probe in probes if probe.check.label == SIMULATES]
    found: dict[Probe, Check] = {}
    try:
        for (example, context), group in groupby(
            sorted(asked, key=lambda one: (one.example, one.context)), key=lambda one: (one.example, one.context)
        ):
            batch = list(group)
            results = _simulate(account, principal, [probe.check.label for probe in batch], example, context)
            found |= {probe: _decided(probe, results.get(probe.check.label)) for probe in batch}
    except StepError as error:
        if isinstance(error, NotReady):  # busy, or no answer: another try will tell
            raise
        reason = f"The console may not ask IAM ({error.details.get('code', 'no answer')})."
        return [*(replace(probe.check, why=reason, statement="") for probe in asked), _refused(itself, error)]
    return [*(found[probe] for probe in asked), replace(itself, outcome="pass", statement="")]


def _refused(itself: Check, error: StepError) -> Check:
    denied = error.details.get("action") == SIMULATES
    return replace(itself, outcome="fail" if denied else "unknown", why=error.message)


def _simulate(
    account: AccountRef, principal: str, actions: list[str], example: str, context: Iterable[tuple[str, str]]
) -> dict[str, EvaluationResultTypeDef]:
    """Return IAM's answer by action."""
    entries: list[ContextEntryTypeDef] = [
        {
            "ContextKeyName": key,
            "ContextKeyValues": [value],
            "ContextKeyType": "boolean" if key == "aws:SecureTransport" else "string",
        }
        for key, value in context
    ]
    subject = _on_account(account, HOME_REGIONS[account.partition], "AWS IAM", principal)
    with calling_iam("SimulatePrincipalPolicy", subject) as iam:
        pages = iam.get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=principal, ActionNames=actions, ResourceArns=[example], ContextEntries=entries
        )
        return {one["EvalActionName"]: one for page in pages for one in page["EvaluationResults"]}


def _decided(probe: Probe, result: EvaluationResultTypeDef | None) -> Check:
    """Return the line with IAM's decision."""
    if result is None:
        return replace(probe.check, why="IAM gave no answer for this action.")
    if result["EvalDecision"] == "allowed":
        return replace(probe.check, outcome="pass", statement="")
    outcome, why, a_statement_helps = _denied(probe, result)
    statement = probe.check.statement if a_statement_helps else ""
    return replace(probe.check, outcome=outcome, why=why, statement=statement, in_files=why == NOT_NAMED)


def _denied(probe: Probe, result: EvaluationResultTypeDef) -> tuple[Outcome, str, bool]:
    """Return what a denial is worth, who denies it, and whether a statement in the policy would change that."""
    if not result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True):
        why = "A service control policy of the organisation forbids it. Only the organisation's administrators can "
        return "fail", f"{why}change that; no policy of the account can.", False
    if not result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True):
        return "fail", "The permissions boundary of the role or user does not allow it: that has to allow it too.", True
    if missing := _missing(result, probe):
        return "unknown", f"It depends on {', '.join(missing)}, which IAM knows only when the call is made.", False
    if result["EvalDecision"] == "explicitDeny":
        names = sorted({one.get("SourcePolicyId", "") for one in result.get("MatchedStatements", [])} - {""})
        which = f" ({', '.join(names)})" if names else ""
        if probe.is_place:
            return "fail", NOT_NAMED, False
        why = f"A policy{which} denies it. An explicit deny wins over any permission: it is that policy which has to "
        return "fail", f"{why}change.", False
    return "fail", "No policy of the role or user allows it.", True


def _missing(result: EvaluationResultTypeDef, probe: Probe) -> list[str]:
    """Return the condition keys of the account's own policies that a simulation cannot know."""
    named = {
        *result.get("MissingContextValues", []),
        *(key for one in result.get("ResourceSpecificResults", []) for key in one.get("MissingContextValues", [])),
    }
    # Ours, where the call does not send them, are missing when it is made, too.
    ours = {"s3:x-amz-bucket-namespace", "aws:resourceaccount", "iam:passedtoservice", "aws:requestedregion"}
    given = {key.lower() for key, _ in probe.context} | ours
    return sorted(key for key in named if key.lower() not in given)


# What can be tried without any harm


def _listed(account: AccountRef, probes: Iterable[Probe]) -> Check:
    """Return the line of listing buckets, which is tried."""
    [check] = [probe.check for probe in probes if probe.check.label == LISTS]
    try:
        with calling_s3("ListBuckets", _on_account(account, HOME_REGIONS[account.partition], "Amazon S3")) as s3:
            s3.list_buckets(MaxBuckets=1)
    except StepError as error:
        if isinstance(error, NotReady):
            raise
        return replace(check, outcome="fail", why=error.message)
    return replace(check, outcome="pass", statement="")


def _boundary(account: AccountRef) -> Check:
    """Return the line of the nodes' permissions boundary, which is read."""
    arn = boundary_arn(account.number, account.partition)
    check = Check(label=f"Permissions boundary {BOUNDARY}", on=arn, outcome="pass", without=f"{NO_NODES}.")
    subject = _on_account(account, HOME_REGIONS[account.partition], "AWS IAM", arn)
    document: Any = None
    try:
        with calling_iam("GetPolicy", subject) as iam, or_nothing():
            version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            with calling_iam("GetPolicyVersion", subject) as iam_again:
                found = iam_again.get_policy_version(PolicyArn=arn, VersionId=version)
                document = found["PolicyVersion"]["Document"]
    except StepError as error:
        if isinstance(error, NotReady):
            raise
        return replace(check, outcome="unknown", why=error.message)
    why = "It is not as boundary.json has it. Give it that file as its default version."
    if is_boundary(document, account):
        if not (lacking := unnamed(document, account)):
            return check
        why = f"It does not name {listed(tuple(lacking))}. Give it boundary.json as its default version."
    why = why if document else "There is none. Make it with boundary.json."
    return replace(check, outcome="fail", why=why, in_files=True)


def _way_around(account: AccountRef, principal: str) -> Check:
    """Return the line of what the console's role or user may do beyond what it needs, of which the boundary is kept."""
    bound = boundary_arn(account.number, account.partition)
    role = f"arn:{account.partition}:iam::{account.number}:role{IAM_PATH}"
    check = Check(
        label="No way around the boundary",
        on=f"{role}*",
        outcome="pass",
        without="Whoever steals the console's identity can give itself every permission in the account.",
        required=False,
    )
    if principal.endswith(":root"):
        return replace(check, outcome="fail", why=ROOT)
    asked = ((AROUND_BOUNDARY["role"], f"{role}preflight"), (AROUND_BOUNDARY["policy"], bound))
    other = (("iam:PermissionsBoundary", f"arn:{account.partition}:iam::aws:policy/AdministratorAccess"),)
    try:
        answers = [_simulate(account, principal, list(actions), on, other) for actions, on in asked]
    except StepError as error:
        if isinstance(error, NotReady):
            raise
        return replace(check, outcome="unknown", why=error.message)
    may = [name for found in answers for name, one in found.items() if one["EvalDecision"] == "allowed"]
    why = f"It may {', '.join(may)}. Replace its permissions with permissions.json."
    return replace(check, outcome="fail", why=why) if may else check


def _region(account: AccountRef, principal: str, code: str) -> Check:
    """Return the line of a region: its own STS answers only where it is enabled, and to everybody there."""
    known = find("aws", code)
    check = Check(
        label=f"Region {code}",
        on=known.place if known else "",
        outcome="pass",
        without="Stores in this region can neither be created nor looked at.",
        regions=(code,),
    )
    try:
        with calling_sts("GetCallerIdentity", _on_account(account, code, "AWS STS", principal)) as sts:
            sts.get_caller_identity()
    except StepError as error:
        if error.details.get("code") in NOT_ENABLED:
            why = f"The region is not enabled in account {account.number}. Enable it in AWS: Account, AWS Regions."
            return replace(check, outcome="fail", why=why)
        return replace(check, outcome="unknown", why=error.message)
    return check
