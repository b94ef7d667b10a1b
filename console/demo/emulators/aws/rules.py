"""What AWS checks and moto does not: each rule may refuse a call, and moto serves what none refuses.

Beside each rule stands the title of the AWS page that says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import xmltodict  # type: ignore[import-untyped]
from moto.core.utils import utcnow
from moto.iam.models import IAMBackend, Role, User
from moto.s3.utils import bucket_policy_is_public
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from console.demo.credentials import AMAZON
from console.demo.emulators.aws import permissions
from console.demo.emulators.aws.calls import (
    Call,
    Refusal,
    create_configuration,
    find_role,
    iam_of,
    known_regions,
    not_authorized,
    statements,
)
from console.demo.emulators.aws.permissions import Asked, as_list
from console.demo.emulators.aws.signatures import check_signature


def check_caller(call: Call) -> Refusal | None:
    """Know the access key ("Error responses", Amazon S3 API; "Common error types", AWS STS API)."""
    if call.account_id or call.operation == "AssumeRoleWithWebIdentity":
        return None
    if call.service != "s3":
        return Refusal(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    if not call.access_key_id:
        return Refusal(403, "AccessDenied", "Access Denied")
    return Refusal(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")


def check_permissions(call: Call) -> Refusal | None:
    """Refuse what neither the caller's policies nor the bucket's allow ("Policy evaluation logic", IAM user guide)."""
    if call.account_id is None or call.operation in permissions.FREE | permissions.TRUSTED:
        return None
    iam, who = iam_of(call), caller_of(call)
    mine = permissions.policies_of(iam, who) if who else []
    stranger = call.bucket is not None and call.bucket.account_id not in (call.account_id, None)
    call.asked = what_is_asked(call, iam)
    for asked in call.asked:
        context = context_of(call, asked)
        bound = permissions.judge_bound(iam, who, asked, context)
        theirs = _of_bucket(call, who, asked, context)
        # Whom the policy does not name is told by check_owner, since a name that is taken is no secret.
        call.let_in = stranger and bool(theirs) and call.operation != "CreateBucket"
        own = permissions.judge(mine, asked, context)
        decision = permissions.judge_call(own, bound, theirs, at_home=not call.let_in)
        if decision != "allowed":
            an, why = "an identity-based policy", f"because no identity-based policy allows the {asked.action} action"
            why = f"because no permissions boundary allows the {asked.action} action" if bound != "allowed" else why
            why = f"with an explicit deny in {an}" if decision == "explicitDeny" else why
            message = f"{not_authorized(call, asked.action, asked.resource)} {why}"
            return Refusal(403, "AccessDenied", message)
    return None


def _of_bucket(call: Call, who: Role | User | None, asked: Asked, context: dict[str, str]) -> str:
    """Return what the bucket's own policy says of the caller ("Bucket policies for Amazon S3")."""
    if call.bucket is None or not call.bucket.policy:
        return ""
    names = caller_names(call, who)
    session = "itself" if isinstance(who, User) else "role"
    named = {name: session if who and name == who.arn else how for name, how in names.items()}
    return permissions.judge_resource(statements(call.bucket.policy), named, asked, context)


def caller_of(call: Call) -> Role | User | None:
    """Return the user whose key it is, or the role whose session; None when the role is gone."""
    iam = iam_of(call)
    session = sts_backends[call.account_id or ""][get_partition(call.region)]
    assumed = session.get_assumed_role_from_access_key(call.access_key_id)
    if assumed:
        return next((role for role in iam.get_roles() if role.arn == assumed.role_arn), None)
    return iam.get_user_from_access_key_id(call.access_key_id)


def what_is_asked(call: Call, iam: IAMBackend) -> list[Asked]:
    """Return the actions that the service checks for the call, with their resources."""
    if call.service == "s3":
        keys = [(call.key, call.query.get("versionId", ""))] if call.key else []
        if call.operation == "DeleteObjects":
            listed = as_list(xmltodict.parse(call.body)["Delete"].get("Object"))
            keys = [(one["Key"], one.get("VersionId") or "") for one in listed]
        tags = call.operation == "CreateBucket" and bool(create_configuration(call).get("Tags"))
        return permissions.s3_asks(call.operation, call.bucket_name, keys, dict(call.headers), tags)
    if call.service == "iam":
        root = f"arn:{get_partition(call.region)}:iam::{call.account_id}"
        return permissions.iam_asks(call.operation, call.form, iam, root)
    return [Asked(f"{call.service}:{call.operation}", "*")]


def context_of(call: Call, asked: Asked) -> dict[str, str]:
    """Return the condition keys of the request ("AWS global condition context keys", and those of S3 and IAM)."""
    context = {
        "aws:CurrentTime": datetime.now(UTC).isoformat(),
        "aws:SecureTransport": "true",  # judged as one over TLS, which the emulator does not speak
        "aws:RequestedRegion": call.region,
        "aws:PrincipalAccount": str(call.account_id),
        "aws:PrincipalArn": who.arn if (who := caller_of(call)) else "",
        "aws:ResourceAccount": call.bucket.account_id if call.bucket else "",
        "s3:x-amz-bucket-namespace": call.headers.get("x-amz-bucket-namespace", ""),
        "s3:prefix": call.query.get("prefix", ""),
        "iam:PassedToService": "ec2.amazonaws.com" if asked.action == "iam:PassRole" else "",
    }
    if call.service == "iam":
        context["aws:ResourceAccount"] = str(call.account_id)
        context["iam:PermissionsBoundary"] = _boundary_named(call)
    return {name: value for name, value in context.items() if value}


def _boundary_named(call: Call) -> str:
    """Return the boundary that a call gives, or that its role or user has ("AWS Identity and Access Management", SAR).

    It is that of the request where one is put on a role or user, and else the one that the role or user has.
    """
    if call.operation.startswith("Create") or (call.operation.startswith("Put") and "Boundary" in call.operation):
        return str(call.form.get("PermissionsBoundary", ""))
    iam, role, user = iam_of(call), call.form.get("RoleName"), call.form.get("UserName")
    named = [
        *(one for one in iam.get_roles() if one.name == role),
        *(one for one in [iam.users.get(user or "")] if one),
    ]
    return str(getattr(named[0], "permissions_boundary_arn", "") or "") if named else ""


def check_boundary(call: Call) -> Refusal | None:
    """Take only a policy that is there as a boundary ("CreateRole", IAM API reference)."""
    arn = call.form.get("PermissionsBoundary", "")
    if call.service != "iam" or not arn or arn in iam_of(call).managed_policies or "::aws:policy/" in arn:
        return None
    return Refusal(404, "NoSuchEntity", f"Scope ARN: {arn} does not exist or is not attachable.")


def check_bucket_name(call: Call) -> Refusal | None:
    """Refuse illegal names ("General purpose bucket naming rules")."""
    name = call.bucket_name
    legal = (
        re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name)
        and ".." not in name
        and not re.fullmatch(r"(\d+\.){3}\d+", name)
        and not name.startswith(("xn--", "sthree-", "amzn-s3-demo-"))
        and not name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"))
    )
    if call.operation == "CreateBucket" and not legal:
        return Refusal(400, "InvalidBucketName", "The specified bucket is not valid.")
    return None


def check_namespace(call: Call) -> Refusal | None:
    """Keep "-an" for the account regional namespace ("Namespaces for general purpose buckets").

    moto itself compares the rest of the suffix with the caller's account and region.
    """
    if call.operation != "CreateBucket":
        return None
    regional = call.headers.get("x-amz-bucket-namespace") == "account-regional"
    if regional and call.region in ("me-south-1", "me-central-1"):
        return Refusal(400, "InvalidNamespaceHeader", f"Account regional namespaces are not supported in {call.region}")
    if call.bucket_name.endswith("-an") and not regional:
        message = "Bucket names that end with -an need x-amz-bucket-namespace: account-regional"
        return Refusal(400, "InvalidNamespaceHeader", message)
    return None


def check_region(call: Call) -> Refusal | None:
    """Refuse regions that do not exist ("CreateBucket"); moto compares the constraint with the endpoint."""
    if call.operation != "CreateBucket":
        return None
    constraint = create_configuration(call).get("LocationConstraint") or call.region
    if not {call.region, constraint} <= known_regions():
        return Refusal(400, "InvalidLocationConstraint", "The specified location-constraint is not valid")
    return None


def check_owner(call: Call) -> Refusal | None:
    """Refuse other accounts' buckets, and a wrong owner ("Verifying bucket ownership with bucket owner condition")."""
    expected = call.headers.get("x-amz-expected-bucket-owner")
    if call.bucket is None or call.operation == "CreateBucket":
        return None
    stranger = call.bucket.account_id not in (call.account_id, None)
    if (stranger and not call.let_in) or expected not in (call.bucket.account_id, None):
        return Refusal(403, "AccessDenied", "Access Denied")
    return None


def refuse_acls(call: Call) -> Refusal | None:
    """Refuse ACLs on a bucket that has them off ("Controlling ownership of objects and disabling ACLs")."""
    canned = call.headers.get("x-amz-acl", "private") not in ("private", "bucket-owner-full-control")
    sends_acl = canned or any(name.lower().startswith("x-amz-grant-") for name, _ in call.headers)
    if call.operation == "CreateBucket":
        if sends_acl and call.headers.get("x-amz-object-ownership", "BucketOwnerEnforced") == "BucketOwnerEnforced":
            message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
            return Refusal(400, "InvalidBucketAclWithObjectOwnership", message)
        return None
    acls_are_off = call.bucket is not None and str(call.bucket.ownership_rule) == "BucketOwnerEnforced"
    if acls_are_off and (sends_acl or call.operation in ("PutBucketAcl", "PutObjectAcl")):
        return Refusal(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
    return None


def check_policy(call: Call) -> Refusal | None:
    """Refuse policies that S3 does not accept ("Bucket policies", "Blocking public access to your storage")."""
    if call.operation != "PutBucketPolicy" or call.bucket is None:
        return None
    try:
        resources = [arn for statement in statements(call.body) for arn in as_list(statement.get("Resource"))]
    except (ValueError, AttributeError):
        return Refusal(400, "MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'")
    if not all(arn == call.bucket.arn or arn.startswith(f"{call.bucket.arn}/") for arn in resources):
        return Refusal(400, "MalformedPolicy", "Policy has invalid resource")
    blocks = call.bucket.public_access_block
    if blocks and blocks.block_public_policy and bucket_policy_is_public(call.body):
        message = not_authorized(call, "s3:PutBucketPolicy", call.bucket.arn)
        why = "because public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access."
        return Refusal(403, "AccessDenied", f"{message} {why}")
    return None


def keep_owned_bucket(call: Call) -> None:
    """Change nothing when a bucket is created again, which us-east-1 answers with 200 ("CreateBucket")."""
    if call.operation == "CreateBucket" and call.bucket:
        for header in ("ACL", "OBJECT_OWNERSHIP", "BUCKET_OBJECT_LOCK_ENABLED"):
            call.environ.pop(f"HTTP_X_AMZ_{header}", None)


def check_trust(call: Call) -> Refusal | None:
    """Assume only roles that trust the caller and its external ID ("Access to AWS accounts owned by third parties").

    In the role's own account trusting the caller itself is enough; otherwise the caller's own policies have to allow it
    too ("Cross-account policy evaluation logic").
    """
    if call.operation != "AssumeRole":
        return None
    arn, external_id = call.form.get("RoleArn", ""), call.form.get("ExternalId")
    if external_id is not None and not re.fullmatch(r"[\w+=,.@:/-]{2,1224}", external_id, re.ASCII):  # "AssumeRole"
        return Refusal(400, "ValidationError", "Value at 'externalId' failed to satisfy constraint")
    role, who, asked = find_role(arn), caller_of(call), Asked("sts:AssumeRole", arn)
    context = context_of(call, asked) | ({"sts:ExternalId": external_id} if external_id is not None else {})
    trusted = permissions.judge_trust(
        permissions.parsed(role.assume_role_policy_document) if role else (), caller_names(call, who), context
    )
    decision = permissions.judge(permissions.policies_of(iam_of(call), who) if who else [], asked, context)
    by_itself = trusted == "itself" and f"::{call.account_id}:" in arn and decision != "explicitDeny"
    if by_itself or (trusted and decision == "allowed"):
        return None
    return Refusal(403, "AccessDenied", not_authorized(call, "sts:AssumeRole", arn))


def caller_names(call: Call, who: Role | User | None) -> dict[str, str]:
    """Return by what a trust policy may name the caller, and how: "itself", or its "account"."""
    backend = sts_backends[call.account_id or AMAZON["account_id"]][get_partition(call.region)]
    itself = backend.get_caller_identity(call.access_key_id, call.region)[1]
    account = str(call.account_id)
    names = {account: "account", f"arn:{get_partition(call.region)}:iam::{account}:root": "account"}
    return names | {itself: "itself"} | ({who.arn: "itself"} if who else {})


def check_session(call: Call) -> Refusal | None:
    """Refuse an assumed role's credentials once they ran out ("Error responses", Amazon S3 API)."""
    if not call.access_key_id.startswith("ASIA") or call.account_id is None:
        return None
    backend = sts_backends[call.account_id][get_partition(call.region)]
    role = backend.get_assumed_role_from_access_key(call.access_key_id)
    if role and role.expiration < utcnow():
        return Refusal(400 if call.service == "s3" else 403, "ExpiredToken", "The provided token has expired.")
    return None


def check_role_policies(call: Call) -> Refusal | None:
    """Refuse inline policies that together are too long, whitespace not counted ("IAM and AWS STS quotas")."""
    if call.operation != "PutRolePolicy":
        return None
    name = call.form.get("RoleName", "")
    role = next((role for role in iam_of(call).get_roles() if role.name == name), None)
    policies = {**(role.policies if role else {}), call.form.get("PolicyName", ""): call.form.get("PolicyDocument", "")}
    if sum(len(re.sub(r"\s", "", policy)) for policy in policies.values()) > 10_240:
        return Refusal(409, "LimitExceeded", f"Maximum policy size of 10240 bytes exceeded for role {name}")
    return None


def check_held_role(call: Call) -> Refusal | None:
    """Know that a profile does not hold the role to take out of it ("RemoveRoleFromInstanceProfile")."""
    if call.operation != "RemoveRoleFromInstanceProfile":
        return None
    name, role_name = call.form.get("InstanceProfileName", ""), call.form.get("RoleName", "")
    profile = iam_of(call).instance_profiles.get(name)
    if profile and all(role.name != role_name for role in profile.roles):
        message = f"Role {role_name} in Instance Profile {name} cannot be found."
        return Refusal(404, "NoSuchEntity", message)
    return None


RULES: tuple[Callable[[Call], Refusal | None], ...] = (
    check_caller,
    check_signature,
    check_session,
    check_permissions,
    check_boundary,
    check_bucket_name,
    check_namespace,
    check_region,
    check_owner,
    refuse_acls,
    check_policy,
    keep_owned_bucket,
    check_trust,
    check_role_policies,
    check_held_role,
)
