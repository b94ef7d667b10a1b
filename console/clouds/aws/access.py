"""What lets database nodes use their stores: one IAM role and one instance profile for each cluster."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.clouds.aws.boundary import boundary_of
from console.clouds.aws.errors import on_amazon
from console.clouds.aws.session import HOME_REGIONS, calling_iam, instance_service
from console.clouds.contract import MachineStep, RepositoryOptions
from console.clouds.naming import CLUSTER_TAG
from console.clouds.s3api import nodes
from console.clouds.s3api.errors import CallTarget, code_of
from console.clouds.s3api.nodes import (
    IAM_PATH,
    POLICY,
    brought_key_of,
    cluster_in,
    compact,
    node_name,
    node_tags,
    of_bucket,
    or_nothing,
)
from console.clouds.specs import AccessSpec, StoreSpec
from console.clouds.steps import Failed, NotReady, Stage, Step, StepResult

if TYPE_CHECKING:
    from mypy_boto3_iam.type_defs import InstanceProfileTypeDef, RoleTypeDef

# Of all inline policies of a role, whitespace not counted, and fixed (IAM user guide, "IAM and AWS STS quotas").
POLICY_CHARACTERS = 10_240
BOUND = "boundary"  # what is kept of a cluster whose role has one


# Names


def role_arn(spec: AccessSpec) -> str:
    """Return the ARN of the role that the cluster's nodes have."""
    return _arn(spec, "role")


def profile_arn(spec: AccessSpec) -> str:
    """Return the ARN of the instance profile that the cluster's nodes are started with."""
    return _arn(spec, "instance-profile")


def _arn(spec: AccessSpec, kind: str) -> str:
    return f"arn:{spec.account.partition}:iam::{spec.account.number}:{kind}{IAM_PATH}{node_name(spec)}"


def facts(spec: AccessSpec) -> list[tuple[str, str]]:
    """Return what an administrator needs to start a node, each with its label."""
    return [("IAM Role ARN", role_arn(spec)), ("Instance Profile ARN", profile_arn(spec))]


# Of the partitions' consoles ("AWS service endpoints", "Signing in to the AWS Management Console").
CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def machine_steps(spec: AccessSpec, region: str) -> list[MachineStep]:
    """Return how a machine gets the instance profile, and how it is seen there."""
    host = CONSOLES.get(spec.account.partition)
    give = (
        f"aws ec2 associate-iam-instance-profile --region {region} --instance-id INSTANCE_ID "
        f"--iam-instance-profile Name={node_name(spec)}"
    )
    see = (
        "curl -sf -H \"X-aws-ec2-metadata-token: $(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "
        'http://169.254.169.254/latest/api/token)" http://169.254.169.254/latest/meta-data/iam/security-credentials/'
    )
    return [
        MachineStep(
            "Give the machine the cluster's instance profile, with which pgBackRest signs in. An instance has one "
            "alone: where it has another, replace that (replace-iam-instance-profile-association), and let the "
            "cluster's role have what the other one had",
            give,
            f"https://{region}.{host}/ec2/home?region={region}#Instances:" if host else "",
        ),
        MachineStep(f"See on the machine that it has it: this prints {node_name(spec)}", see),
    ]


# The policies


def policy(spec: AccessSpec) -> dict[str, Any]:
    """Return what the role may do; that of a recovery identity is worth nothing once its time is over."""
    document = nodes.policy(spec)
    if spec.reads_until:
        for statement in document["Statement"]:
            statement["Condition"] = {**statement.get("Condition", {}), "DateLessThan": {"aws:CurrentTime": spec.ends}}
    return document


def refusal(spec: AccessSpec) -> str:
    """Return why the policy of so many stores does not fit on a role, with the number that does; '' when it fits."""
    room = POLICY_CHARACTERS - len(compact({**policy(spec), "Statement": []}))
    for fit, bucket in enumerate(spec.buckets):
        room -= sum(len(compact(statement)) + 1 for statement in of_bucket(spec, bucket))  # 1: the comma
        if room < -1:  # the last statement has none
            return (
                f"{len(spec.buckets)} stores are too many for one cluster: AWS limits the permissions of its nodes' "
                f"IAM role to {POLICY_CHARACTERS:,} characters, which has room for {fit} of them."
            )
    return ""


def trust(spec: AccessSpec) -> dict[str, Any]:
    """Return the trust policy that lets EC2, and nothing else, hand the role to an instance."""
    service = {"Service": instance_service(spec.account.partition)}
    statement = {"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


# Whose role and whose profile it is


def _role(spec: AccessSpec) -> CallTarget:
    return _subject(spec, "role", "role")


def _profile(spec: AccessSpec) -> CallTarget:
    return _subject(spec, "instance profile", "instance_profile")


def _subject(spec: AccessSpec, kind: str, detail: str) -> CallTarget:
    name, region = node_name(spec), HOME_REGIONS[spec.account.partition]
    return on_amazon(spec.account, region, "AWS IAM", f"{kind} {name}", partial(_resource, spec), **{detail: name})


def _resource(spec: AccessSpec, operation: str, action: str) -> str:
    return profile_arn(spec) if "InstanceProfile" in action else role_arn(spec)


def _read_role(spec: AccessSpec) -> RoleTypeDef | None:
    with calling_iam("GetRole", _role(spec)) as iam, or_nothing():
        return iam.get_role(RoleName=node_name(spec))["Role"]
    return None


def role_tag(spec: AccessSpec) -> str | None:
    """Return the cluster ID that the role is tagged with, '' when with none; None when there is no such role."""
    role = _read_role(spec)
    return None if role is None else cluster_in(role.get("Tags", []))


def _read_profile(spec: AccessSpec) -> InstanceProfileTypeDef | None:
    with calling_iam("GetInstanceProfile", _profile(spec)) as iam, or_nothing():
        return iam.get_instance_profile(InstanceProfileName=node_name(spec))["InstanceProfile"]
    return None


def _adopt(spec: AccessSpec, subject: CallTarget, tag: str | None) -> None:
    """Accept a role or profile that is there already, or raise: one that is not this cluster's is never changed."""
    if tag is None:  # IAM shows what it just made only after a while (IAM user guide, "Troubleshoot IAM")
        raise NotReady(
            f"AWS does not show {subject.name} yet. If someone deleted it meanwhile, try again: it is created anew.",
            patience=60,
            **subject.details,
        )
    if tag != str(spec.id):
        article, kind = ("A", "role") if "role" in subject.details else ("An", "instance profile")
        raise Failed(
            f"{article} {kind} named {node_name(spec)} exists in this account and does not belong to this cluster. It "
            "was left alone. Delete it in IAM if nothing uses it, or, if it is this cluster's after all, put the tag "
            f"{CLUSTER_TAG}={spec.id} back on it; then try again.",
            **subject.details,
        )


# Granting


def ensure_role(spec: AccessSpec) -> StepResult | None:
    """Create the role, tagged and bounded in the same call so that it never stands without its owner or its bounds."""
    bound = boundary_of(spec.account)
    with calling_iam("CreateRole", _role(spec)) as iam:
        try:
            iam.create_role(
                RoleName=node_name(spec),
                Path=IAM_PATH,
                AssumeRolePolicyDocument=compact(trust(spec)),
                Description="Lets the nodes of one database cluster use their backup stores.",
                PermissionsBoundary=bound,
                Tags=node_tags(spec),
            )
            return _bounded(spec)
        except ClientError as error:
            if code_of(error) != "EntityAlreadyExists":
                raise
    role = _read_role(spec)
    _adopt(spec, _role(spec), None if role is None else cluster_in(role.get("Tags", [])))
    assert role  # _adopt raises without one
    if role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn") != bound:
        with calling_iam("PutRolePermissionsBoundary", _role(spec)) as iam:
            iam.put_role_permissions_boundary(RoleName=node_name(spec), PermissionsBoundary=bound)
    return _bounded(spec)


def _bounded(spec: AccessSpec) -> StepResult | None:
    """Have it kept that the role has its boundary, unless it is."""
    kept = {BOUND: boundary_of(spec.account)}
    return None if dict(spec.keys) == kept else StepResult(keep=kept)


def outdated(spec: AccessSpec) -> str:
    """Return why the cluster's role should be repaired: it was made before roles had a boundary; '' when not."""
    if not spec.buckets or spec.keys.get(BOUND) == boundary_of(spec.account):
        return ""
    return (
        f"The nodes' IAM role {node_name(spec)} was made without a permissions boundary, which limits it to backup "
        "stores whatever its policies say."
    )


def ensure_instance_profile(spec: AccessSpec) -> None:
    """Create the instance profile, which is how EC2 gives a role to an instance."""
    with calling_iam("CreateInstanceProfile", _profile(spec)) as iam:
        try:
            iam.create_instance_profile(InstanceProfileName=node_name(spec), Path=IAM_PATH, Tags=node_tags(spec))
            return
        except ClientError as error:
            if code_of(error) != "EntityAlreadyExists":
                raise
    _own_profile(spec)


def ensure_node_policy(spec: AccessSpec) -> None:
    """Let the nodes use exactly these buckets: the policy is replaced as a whole."""
    if not spec.buckets:  # AWS takes no policy without a statement
        remove_node_policy(spec)
        return
    # Read again, although the stage before did: the role may have been replaced since by somebody else's.
    _adopt(spec, _role(spec), role_tag(spec))
    with calling_iam("PutRolePolicy", _role(spec)) as iam:
        iam.put_role_policy(RoleName=node_name(spec), PolicyName=POLICY, PolicyDocument=compact(policy(spec)))


def ensure_profile_holds_role(spec: AccessSpec) -> None:
    """Put the role into the instance profile, which has room for one."""
    if _holds_role(spec, _own_profile(spec)):
        return
    with calling_iam("AddRoleToInstanceProfile", _profile(spec)) as iam:
        try:
            iam.add_role_to_instance_profile(InstanceProfileName=node_name(spec), RoleName=node_name(spec))
            return
        except ClientError as error:
            if code_of(error) != "LimitExceeded":
                raise
    # Full, though it was empty just now: an earlier attempt whose answer got lost, as a rule.
    if not _holds_role(spec, _own_profile(spec)):
        raise NotReady(
            f"AWS does not show the role in {_profile(spec).name} yet.", patience=60, **_profile(spec).details
        )


def _own_profile(spec: AccessSpec) -> InstanceProfileTypeDef:
    profile = _read_profile(spec)
    _adopt(spec, _profile(spec), None if profile is None else cluster_in(profile.get("Tags", [])))
    assert profile  # _adopt raises without one
    return profile


def _holds_role(spec: AccessSpec, profile: InstanceProfileTypeDef) -> bool:
    """Say whether the profile holds the cluster's role; fail when it holds another, which was not put there by us."""
    held = [role["RoleName"] for role in profile["Roles"]]
    if held and held != [node_name(spec)]:
        raise Failed(
            f"The {_profile(spec).name} holds another role, {held[0]}. It was left there. Take it out of the instance "
            "profile in IAM, then try again.",
            **_profile(spec).details,
        )
    return bool(held)


# Taking back


def remove_node_policy(spec: AccessSpec) -> None:
    """Take every permission back from the nodes."""
    if (tag := role_tag(spec)) is None:
        return
    _adopt(spec, _role(spec), tag)  # never say "taken back" of a role that the console may not change
    _delete_policy(spec)


def _delete_policy(spec: AccessSpec) -> None:
    with calling_iam("DeleteRolePolicy", _role(spec)) as iam, or_nothing():
        iam.delete_role_policy(RoleName=node_name(spec), PolicyName=POLICY)


def remove_instance_profile(spec: AccessSpec) -> None:
    """Take the role out of the cluster's instance profile and delete that; leave one that is not the cluster's."""
    name, profile = node_name(spec), _read_profile(spec)
    if profile is None or cluster_in(profile.get("Tags", [])) != str(spec.id):
        return
    if any(role["RoleName"] == name for role in profile["Roles"]):
        with calling_iam("RemoveRoleFromInstanceProfile", _profile(spec)) as iam, or_nothing():
            iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    with calling_iam("DeleteInstanceProfile", _profile(spec)) as iam, or_nothing():
        iam.delete_instance_profile(InstanceProfileName=name)


def remove_role(spec: AccessSpec) -> None:
    """Delete the cluster's role with its permissions; leave one that is not the cluster's."""
    if role_tag(spec) != str(spec.id):
        return
    _delete_policy(spec)
    with calling_iam("DeleteRole", _role(spec)) as iam, or_nothing():
        iam.delete_role(RoleName=node_name(spec))


def repository(spec: StoreSpec, access: AccessSpec) -> RepositoryOptions:
    """Return pgBackRest's options for the bucket; a node signs in with the role that it was started with."""
    suffix = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}.get(spec.account.partition, "amazonaws.com")
    options = (
        ("type", "s3"),
        ("s3-bucket", spec.bucket),
        ("s3-endpoint", f"s3.{spec.region}.{suffix}"),
        ("s3-region", spec.region),
        # Amazon's certificate is for one name below its own: bucket.s3.eu-west-1.amazonaws.com, and no dot more.
        *((("s3-uri-style", "path"),) if "." in spec.bucket else ()),
    )
    brought_key = brought_key_of(options)
    return RepositoryOptions((*options, ("s3-key-type", "auto")), brought_key=brought_key)


GRANT = (
    Stage(
        Step("create_role", "Creating the IAM role of the nodes", ensure_role),
        Step("create_instance_profile", "Creating the instance profile of the nodes", ensure_instance_profile),
    ),
    Stage(
        Step("allow_stores", "Allowing the nodes their own backup stores", ensure_node_policy),
        Step("add_role_to_profile", "Putting the role into the instance profile", ensure_profile_holds_role),
    ),
)
REVOKE = (Stage(Step("revoke_permissions", "Taking all permissions back from the nodes", remove_node_policy)),)
# The profile first: AWS deletes no role that a profile holds.
DELETE = (
    Stage(Step("delete_instance_profile", "Deleting the instance profile of the nodes", remove_instance_profile)),
    Stage(Step("delete_role", "Deleting the IAM role of the nodes", remove_role)),
)
