"""What IAM allows a caller of the emulator: policies, judged as AWS judges them, for calls and simulations.

Those of the caller, its permissions boundary and the bucket's own policy. Beside each rule stands the title of the page
of the IAM user guide, or of the Service Authorization Reference ("SAR"), that says so. Not emulated: session policies,
service control policies and resource control policies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import xmltodict  # type: ignore[import-untyped]
from moto.iam.models import IAMBackend, Role, User

Statement = Mapping[str, Any]
Context = Mapping[str, str]


class Asked(NamedTuple):
    """An action on a resource, such as a call needs it."""

    action: str
    resource: str


# Judging


def judge(statements: Iterable[Statement], asked: Asked, context: Context) -> str:
    """Return "allowed", "explicitDeny" or "implicitDeny" ("Policy evaluation logic": an explicit deny wins)."""
    effects = {one["Effect"] for one in statements if _applies(one, asked, context)}
    return "explicitDeny" if "Deny" in effects else "allowed" if "Allow" in effects else "implicitDeny"


def _applies(statement: Statement, asked: Asked, context: Context) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
    if unknown:  # better no emulator than one that lets through what it did not understand
        raise NotImplementedError(f"policy elements {sorted(unknown)}")
    return (
        _names(statement, "Action", asked.action.lower())  # "IAM JSON policy elements: Action": not case-sensitive
        and _names(statement, "Resource", asked.resource)
        and all(
            _holds(operator, key, as_list(values), context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def judge_trust(statements: Iterable[Statement], names: Mapping[str, str], context: Context) -> str:
    """Return how a role's trust policy trusts a caller of these names: "itself", its "account", or not at all: ""."""
    asked, trusted = Asked("sts:AssumeRole", ""), ""
    for statement in statements:
        rest = {key: value for key, value in statement.items() if key != "Principal"} | {"Resource": "*"}
        if "Principal" not in statement:
            raise NotImplementedError(f"trust policy elements {sorted(statement)}")
        how = _principal_is(statement["Principal"], names)
        if how and _applies(rest, asked, context):
            if statement["Effect"] == "Deny":
                return ""
            how = "itself" if how == "role" else how  # a session of the role is the role's
            trusted = "itself" if "itself" in {how, trusted} else how
    return trusted


def judge_call(own: str, bound: str, theirs: str, *, at_home: bool) -> str:
    """Return the decision on a call: from those by the caller's policies, by its boundary and by the resource's policy.

    "Policy evaluation logic" and "Permissions boundaries for IAM entities": a deny anywhere wins. In the caller's own
    account (`at_home`) the resource's policy is enough by itself, where it names the session also beyond the boundary;
    elsewhere both have to allow it ("Cross-account policy evaluation logic"). `theirs` is "explicitDeny", "itself",
    "role", "account", or nothing.
    """
    if "explicitDeny" in (own, bound, theirs):
        return "explicitDeny"
    within = own == bound == "allowed"
    if at_home:
        by_policy = theirs == "itself" or (theirs == "role" and bound == "allowed")
        return "allowed" if within or by_policy else "implicitDeny"
    return "allowed" if within and theirs else "implicitDeny"


def judge_resource(statements: Iterable[Statement], names: Mapping[str, str], asked: Asked, context: Context) -> str:
    """Return what a resource's policy says of a caller of these names: see judge_call."""
    found = set()
    for statement in statements:
        rest = {key: value for key, value in statement.items() if key != "Principal"}
        how = _principal_is(statement.get("Principal"), names)
        if how and _applies(rest, asked, context):
            if statement["Effect"] == "Deny":
                return "explicitDeny"
            found.add(how)
    return next((how for how in ("itself", "role", "account") if how in found), "")


def _principal_is(principal: Any, names: Mapping[str, str]) -> str:
    """Say how the element names the caller ("IAM JSON policy elements: Principal"): exactly, or with a lone *."""
    named = as_list(principal.get("AWS") if isinstance(principal, dict) else principal)
    found = {names.get(one, "itself" if one == "*" else "") for one in named}
    return next((how for how in ("itself", "role", "account") if how in found), "")


def _names(statement: Statement, element: str, asked: str) -> bool:
    """Say whether the statement is about it ("IAM JSON policy elements: NotAction", "… NotResource")."""
    named = as_list(statement.get(element, statement.get(f"Not{element}")))
    lower = element == "Action"
    return (element in statement) == any(is_like(one.lower() if lower else one, asked) for one in named)


def _holds(operator: str, key: str, wanted: list[Any], context: Context) -> bool:
    """Judge one condition ("IAM JSON policy elements: Condition operators"); names of keys ignore case."""
    found = {name.lower(): value for name, value in context.items()}.get(key.lower())
    values = [str(value).lower() if isinstance(value, bool) else str(value) for value in wanted]
    kind, if_exists = operator.removesuffix("IfExists"), operator.endswith("IfExists")
    if kind == "Null":
        return values == ["true" if found is None else "false"]
    if found is None:  # "a key that is not in the request": a negated operator matches, any other does not
        return if_exists or "Not" in kind
    match kind.replace("Not", ""):
        case "StringEquals" | "Bool":
            matched = found in values
        case "StringEqualsIgnoreCase":
            matched = found.lower() in [value.lower() for value in values]
        case "StringLike" | "ArnEquals" | "ArnLike":
            matched = any(is_like(value, found) for value in values)
        case "DateLessThan":
            matched = any(datetime.fromisoformat(found) < datetime.fromisoformat(value) for value in values)
        case _:
            raise NotImplementedError(f"condition operator {operator}")
    return matched != ("Not" in kind)


def is_like(pattern: str, text: str) -> bool:
    """Say whether * (any characters) and ? (any one) of the pattern can stand for the text's."""
    return _expression(pattern).fullmatch(text) is not None


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    if "${" in pattern:
        raise NotImplementedError(f"policy variable in {pattern}")
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def as_list(value: Any) -> list[Any]:
    """Return a policy element as a list: JSON policies may leave out the brackets around one item."""
    return value if isinstance(value, list) else [] if value is None else [value]


# Whose policies


def policies_of(iam: IAMBackend, who: Role | User) -> list[Statement]:
    """Return the statements of the role's or the user's own, attached and groups' policies ("Identity-based …")."""
    holders: list[Any] = [who]
    if isinstance(who, User):
        holders += [group for group in iam.groups.values() if who in group.users]
    inline = [_text(policy) for one in holders for policy in dict(one.policies).values()]
    attached = [_default(policy) for one in holders for policy in one.managed_policies.values()]
    return [statement for document in (*inline, *attached) for statement in parsed(document)]


def _default(policy: Any) -> str:
    """Return the document of a managed policy's default version."""
    return str(next(one.document for one in policy.versions if one.version_id == policy.default_version_id))


def boundary_of(iam: IAMBackend, who: Role | User) -> tuple[Statement, ...] | None:
    """Return the statements of its permissions boundary; None without one, nothing where its policy is gone."""
    arn = getattr(who, "permissions_boundary_arn", None)
    policy = iam.managed_policies.get(arn) if arn else None
    if policy is None and arn and "::aws:policy/" in arn:
        raise NotImplementedError(f"a policy of AWS's own as a boundary: {arn}")
    return None if not arn else parsed(_default(policy)) if policy else ()


def judge_bound(iam: IAMBackend, who: Role | User | None, asked: Asked, context: Context) -> str:
    """Return what the permissions boundary says; "allowed" without one."""
    bound = boundary_of(iam, who) if who else None
    return "allowed" if bound is None else judge(bound, asked, context)


def _text(policy: Any) -> str:
    return str(policy["policy_document"] if isinstance(policy, dict) else policy)


@cache
def parsed(document: str) -> tuple[Statement, ...]:
    """Return the statements of a policy document."""
    return tuple(as_list(json.loads(document)["Statement"]))


# What a call asks for


# "Actions, resources, and condition keys for Amazon S3" (SAR), where the action has not the operation's name.
S3_ACTIONS = {
    "ListBuckets": ("ListAllMyBuckets",),
    "HeadBucket": ("ListBucket",),
    "ListObjects": ("ListBucket",),
    "ListObjectsV2": ("ListBucket",),
    "ListObjectVersions": ("ListBucketVersions",),
    "ListMultipartUploads": ("ListBucketMultipartUploads",),
    "ListParts": ("ListMultipartUploadParts",),
    "HeadObject": ("GetObject",),
    "CopyObject": ("PutObject",),
    "CreateMultipartUpload": ("PutObject",),
    "UploadPart": ("PutObject",),
    "CompleteMultipartUpload": ("PutObject",),
    "GetBucketLifecycleConfiguration": ("GetLifecycleConfiguration",),
    "PutBucketLifecycleConfiguration": ("PutLifecycleConfiguration",),
    "DeleteBucketLifecycle": ("PutLifecycleConfiguration",),
    "GetBucketEncryption": ("GetEncryptionConfiguration",),
    "PutBucketEncryption": ("PutEncryptionConfiguration",),
    "DeleteBucketEncryption": ("PutEncryptionConfiguration",),
    "GetPublicAccessBlock": ("GetBucketPublicAccessBlock",),
    "PutPublicAccessBlock": ("PutBucketPublicAccessBlock",),
    "DeletePublicAccessBlock": ("PutBucketPublicAccessBlock",),
    "DeleteBucketTagging": ("PutBucketTagging",),
    "DeleteBucketOwnershipControls": ("PutBucketOwnershipControls",),
    "GetObjectLockConfiguration": ("GetBucketObjectLockConfiguration",),
    "PutObjectLockConfiguration": ("PutBucketObjectLockConfiguration",),
}
# Of any caller, whatever its policies say ("GetCallerIdentity", AWS STS API).
FREE = frozenset({"GetCallerIdentity", "AssumeRoleWithWebIdentity"})
TRUSTED = frozenset({"AssumeRole"})  # judged by the role's trust policy, see rules.check_trust


def s3_asks(operation: str, bucket: str, keys: Iterable[tuple[str, str]], headers: Context, tags: bool) -> list[Asked]:
    """Return what S3 checks for a call; `keys` are those of objects, each with its version ID or ""."""
    if not bucket:
        return [Asked(f"s3:{action}", "*") for action in S3_ACTIONS.get(operation, (operation,))]
    arn = f"arn:aws:s3:::{bucket}"
    if operation == "CreateBucket":  # "CreateBucket" (S3 API reference), "Permissions"
        lowered = {name.lower() for name in headers}
        also = {
            "s3:TagResource": tags,
            "s3:PutBucketOwnershipControls": "x-amz-object-ownership" in lowered,
            "s3:PutBucketObjectLockConfiguration": "x-amz-bucket-object-lock-enabled" in lowered,
            "s3:PutBucketVersioning": "x-amz-bucket-object-lock-enabled" in lowered,
        }
        return [Asked(action, arn) for action in ("s3:CreateBucket", *(name for name, sent in also.items() if sent))]
    if operation in {"DeleteObjects", "DeleteObject"}:  # "DeleteObjects": naming a version asks for another action
        return [Asked(f"s3:DeleteObject{'Version' if version else ''}", f"{arn}/{key}") for key, version in keys]
    if operation in {"GetObject", "HeadObject"}:
        return [Asked(f"s3:GetObject{'Version' if version else ''}", f"{arn}/{key}") for key, version in keys]
    actions = S3_ACTIONS.get(operation, (operation,))
    return [
        Asked(f"s3:{action}", f"{arn}/{key}" if key else arn) for action in actions for key, _ in keys or [("", "")]
    ]


def iam_asks(operation: str, form: Context, iam: IAMBackend, root: str) -> list[Asked]:
    """Return what IAM checks for a call; `root` begins every ARN, such as arn:aws:iam::123456789012."""

    def arn(kind: str, name: str) -> str:
        known: dict[str, Mapping[str, Any]] = {"role": iam.roles, "instance-profile": iam.instance_profiles}
        named = next((one.arn for one in known.get(kind, {}).values() if one.name == name), "")
        return named or f"{root}:{kind}{form.get('Path', '/')}{name}"

    if operation == "SimulatePrincipalPolicy":
        return [Asked(f"iam:{operation}", form.get("PolicySourceArn", ""))]
    if "PolicyArn" in form and "Policy" in operation and "Role" not in operation:
        return [Asked(f"iam:{operation}", form["PolicyArn"])]
    kind = "instance-profile" if "InstanceProfile" in operation else "role" if "Role" in operation else "user"
    name = form.get({"instance-profile": "InstanceProfileName", "role": "RoleName"}.get(kind, "UserName"), "")
    asked = [Asked(f"iam:{operation}", arn(kind, name) if name else "*")]
    if operation.startswith("Create") and any(key.startswith("Tags.") for key in form):
        asked.append(Asked(f"iam:Tag{operation.removeprefix('Create')}", asked[0].resource))
    if operation == "AddRoleToInstanceProfile":  # "Granting a user permissions to pass a role to an AWS service"
        asked.append(Asked("iam:PassRole", arn("role", form.get("RoleName", ""))))
    return asked


# Simulating: "SimulatePrincipalPolicy", IAM API reference


class Unfit(Exception):
    """What was asked cannot be simulated; the code and the message are Amazon's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def simulate(iam: IAMBackend, form: Context) -> str:
    """Return the answer to SimulatePrincipalPolicy; raises Unfit."""
    who = _principal(iam, form.get("PolicySourceArn", ""))
    statements, bound = policies_of(iam, who), boundary_of(iam, who)
    actions = list(_members(form, "ActionNames"))
    resources = list(_members(form, "ResourceArns")) or ["*"]
    entries = range(1, 1 + sum(name.endswith(".ContextKeyName") for name in form))
    context = {
        form[f"ContextEntries.member.{entry}.ContextKeyName"]: next(
            _members(form, f"ContextEntries.member.{entry}.ContextKeyValues"), ""
        )
        for entry in entries
    }
    results = [_result(statements, bound, Asked(action, one), context) for action in actions for one in resources]
    answer = {"EvaluationResults": {"member": results}, "IsTruncated": "false"}
    body = {"SimulatePrincipalPolicyResult": answer, "ResponseMetadata": {"RequestId": ""}}
    return str(xmltodict.unparse({"SimulatePrincipalPolicyResponse": body}, full_document=False))


def _members(form: Context, name: str) -> Iterator[str]:
    number = 1
    while (value := form.get(f"{name}.member.{number}")) is not None:
        yield value
        number += 1


def _principal(iam: IAMBackend, arn: str) -> Role | User:
    kind = arn.rpartition("::")[2].partition(":")[2].partition("/")[0]
    if kind not in {"role", "user"}:  # such as the account's root user, or a session of a role
        raise Unfit("InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name.")
    holders: Mapping[str, Any] = iam.roles if kind == "role" else iam.users
    found: Role | User | None = next((one for one in holders.values() if one.arn == arn), None)
    if found is None:
        raise Unfit("NoSuchEntity", f"The {kind} with name {arn.rpartition('/')[2]} cannot be found.")
    return found


def _result(
    statements: list[Statement], bound: Iterable[Statement] | None, asked: Asked, context: Context
) -> dict[str, Any]:
    if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+", asked.action):
        raise Unfit("InvalidInput", f"Invalid Action Name: {asked.action}; wildcards are not supported.")
    given = {name.lower() for name in context}
    keys = {
        key
        for one in statements
        if _names(one, "Action", asked.action.lower()) and _names(one, "Resource", asked.resource)
        for keys in one.get("Condition", {}).values()
        for key in keys
    }
    missing = sorted(key for key in keys if key.lower() not in given)
    bounded = "allowed" if bound is None else judge(bound, asked, context)
    decision = judge_call(judge(statements, asked, context), bounded, "", at_home=True)
    # "EvaluationResult": with a list of resources, the missing keys are told for each of them.
    specific = {
        "EvalResourceName": asked.resource,
        "EvalResourceDecision": decision,
        "MissingContextValues": {"member": missing},
    }
    return {
        "EvalActionName": asked.action,
        "EvalResourceName": asked.resource,
        "EvalDecision": decision,
        "MatchedStatements": "",
        "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": str(bounded == "allowed").lower()},
        "MissingContextValues": {"member": missing} if asked.resource == "*" else "",
        "ResourceSpecificResults": {"member": [specific]},
    }
