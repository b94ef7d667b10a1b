"""What lets database nodes use their stores on an S3-compatible server: one user with one key for each cluster.

Two traps of SeaweedFS 4.48 give the order. It keeps the policy of a user that is deleted, for the next user of that
name: so the policy goes first. And it lets every user make keys for itself: so keys that the console does not know go.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from console.clouds.contract import Need, RepositoryOptions
from console.clouds.naming import CLUSTER_TAG, KEY_PART
from console.clouds.s3.by_hand import kind_of
from console.clouds.s3.session import Lacking, calling_iam, calling_s3, has, host, on_server, verifies
from console.clouds.s3api.errors import CallTarget, code_of
from console.clouds.s3api.nodes import (
    IAM_PATH,
    POLICY,
    brought_key_of,
    cluster_in,
    compact,
    node_name,
    node_tags,
    or_nothing,
    policy,
)
from console.clouds.s3api.settings import same_document
from console.clouds.specs import AccessSpec, AccountRef, StoreSpec
from console.clouds.steps import Failed, NotReady, Stage, Step, StepError, StepResult

if TYPE_CHECKING:
    from mypy_boto3_iam.type_defs import TagTypeDef

LISTS = 10  # of a user's keys, until there is none that is not ours
USERS = "iam_users"  # as an account's settings list what its server has
BY_HAND = (
    "This server has no users that the console could make: make a key for the nodes by hand, with the policy shown."
)
TAKE_BACK = "This server has no users that the console could make: take back by hand the key that was made by hand."


def facts(spec: AccessSpec) -> list[tuple[str, str]]:
    """Return the nodes' user and the ID of its key, as far as there are any."""
    found = [("User", node_name(spec))] if has(spec.account, USERS) else []
    key = key_id(spec.keys)
    return [*found, ("Access Key ID", key)] if key else found


def key_id(keys: Mapping[str, str]) -> str:
    """Return the public half of the nodes' key."""
    return keys.get("access_key_id", "")


# The calls, each about one user


def _user(account: AccountRef, name: str) -> CallTarget:
    return on_server(account, f"user {name}", lambda operation, action: f"arn:aws:iam:::user/{name}", user=name)


def _tag(account: AccountRef, name: str) -> str | None:
    """Return the cluster ID that the user is tagged with, '' when with none; None when there is no such user."""
    with calling_iam("GetUser", _user(account, name)) as iam:
        try:
            found: Iterable[TagTypeDef] = iam.get_user(UserName=name).get("User", {}).get("Tags", [])
        except ClientError as error:
            if code_of(error) == "NoSuchEntity":
                return None
            raise
    if not found:  # SeaweedFS shows them only here
        with suppress(Lacking), calling_iam("ListUserTags", _user(account, name)) as iam:
            found = iam.list_user_tags(UserName=name).get("Tags", [])
    return cluster_in(found)


def _is_ours(spec: AccessSpec, tag: str | None) -> bool:
    """Say whether the user exists and is the cluster's: by its tag, or by its name where the server kept no tag."""
    return tag in {"", str(spec.id)}


def _keep_policy(account: AccountRef, name: str, document: dict[str, Any]) -> bool:
    """Give the user this policy as a whole and return whether the server keeps it."""
    with calling_iam("PutUserPolicy", _user(account, name)) as iam:
        iam.put_user_policy(UserName=name, PolicyName=POLICY, PolicyDocument=compact(document))
    with calling_iam("GetUserPolicy", _user(account, name)) as iam:
        found = iam.get_user_policy(UserName=name, PolicyName=POLICY).get("PolicyDocument")
    return same_document(document, found)


def _delete_policy(account: AccountRef, name: str) -> None:
    with calling_iam("DeleteUserPolicy", _user(account, name)) as iam, or_nothing():
        iam.delete_user_policy(UserName=name, PolicyName=POLICY)


def _keys(account: AccountRef, name: str) -> list[str]:
    with calling_iam("ListAccessKeys", _user(account, name)) as iam, or_nothing():
        found = iam.list_access_keys(UserName=name).get("AccessKeyMetadata", [])
        return [one["AccessKeyId"] for one in found]
    return []


def _make_key(account: AccountRef, name: str) -> dict[str, str]:
    with calling_iam("CreateAccessKey", _user(account, name)) as iam:
        key = iam.create_access_key(UserName=name).get("AccessKey", {})
    if not (key.get("AccessKeyId") and key.get("SecretAccessKey")):
        raise Lacking(f"The server made no access key for user {name}.", user=name)
    if not all(KEY_PART.fullmatch(part) for part in (key["AccessKeyId"], key["SecretAccessKey"])):
        # It goes into files that root runs: a second line there would be the server's own command.
        raise Lacking(f"The server made an access key for user {name} that is no single word.", user=name)
    return {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}


def _delete_keys(account: AccountRef, name: str, but: Collection[str] = ()) -> list[str]:
    """Delete the user's keys but these, and return those that are left; raises NotReady while it makes itself new ones.

    Who has one may be making another meanwhile (see above), so the list is read until it holds no other.
    """
    ended: set[str] = set()  # a server may go on to list what it has deleted
    for _ in range(LISTS):
        found = [key for key in _keys(account, name) if key not in ended]
        others = [key for key in found if key not in but]
        if not others:
            return found
        ended.update(others)
        for key in others:
            with calling_iam("DeleteAccessKey", _user(account, name)) as iam, or_nothing():
                iam.delete_access_key(UserName=name, AccessKeyId=key)
    raise NotReady(
        f"User {name} has another key each time that the console has deleted all others. Somebody makes them.",
        user=name,
    )


def _delete_user(account: AccountRef, name: str) -> None:
    _delete_keys(account, name)
    _delete_policy(account, name)
    with calling_iam("DeleteUser", _user(account, name)) as iam, or_nothing():
        iam.delete_user(UserName=name)


# Granting


def ensure_user(spec: AccessSpec) -> StepResult | None:
    """Create the nodes' user, with whose it is."""
    account, name = spec.account, node_name(spec)
    if not has(account, USERS):
        return StepResult(note=BY_HAND)
    with calling_iam("CreateUser", _user(account, name)) as iam:
        try:
            iam.create_user(UserName=name, Path=IAM_PATH, Tags=node_tags(spec))
        except ClientError as error:
            if code_of(error) != "EntityAlreadyExists":
                raise
    tag = _tag(account, name)
    _adopt(spec, tag)
    if not tag:  # the server did not take it with the creation, or a crash came before the next line
        with suppress(Lacking), calling_iam("TagUser", _user(account, name)) as iam:
            iam.tag_user(UserName=name, Tags=node_tags(spec))
    return None


def _adopt(spec: AccessSpec, tag: str | None) -> None:
    """Accept a user that is there already, or raise: one that is another cluster's is never changed."""
    name = node_name(spec)
    if tag is None:
        raise NotReady(
            f"The server does not show user {name} yet. If someone deleted it, try again: it is created anew.",
            patience=60,
            user=name,
        )
    if not _is_ours(spec, tag):
        raise Failed(
            f"A user named {name} exists on this server and does not belong to this cluster. It was left alone. Delete "
            f"it if nothing uses it, or, if it is this cluster's after all, put the tag {CLUSTER_TAG}={spec.id} back "
            "on it; then try again.",
            user=name,
        )


def ensure_user_policy(spec: AccessSpec) -> StepResult | None:
    """Let the nodes use exactly these buckets: the policy is replaced as a whole."""
    account, name = spec.account, node_name(spec)
    if not has(account, USERS):
        return None  # said once, by the step before
    if not spec.buckets:  # no server takes a policy without a statement
        return remove_user_policy(spec)
    _adopt(spec, _tag(account, name))
    if not _keep_policy(account, name, policy(spec)):
        raise Failed(
            f"The server did not keep the policy of user {name} as it was given. Its nodes get no key.", user=name
        )
    return None


def ensure_key(spec: AccessSpec) -> StepResult | None:
    """Make the nodes' access key, unless the console keeps one that is still there; delete keys that nobody keeps.

    A key that nobody keeps lost its secret in a crash, or is not of the console's making.
    """
    account, name = spec.account, node_name(spec)
    if not has(account, USERS):
        return None
    _adopt(spec, _tag(account, name))
    kept = key_id(spec.keys)
    found = _delete_keys(account, name, {kept, key_id(spec.former)})
    return None if kept in found else StepResult(keep=_make_key(account, name))


def make_second_key(spec: AccessSpec) -> StepResult | None:
    """Make another key beside the one that the console keeps, unless it keeps two already."""
    if spec.former or not has(spec.account, USERS):
        return None
    _adopt(spec, _tag(spec.account, node_name(spec)))
    _delete_keys(spec.account, node_name(spec), {key_id(spec.keys)})
    return StepResult(keep=_make_key(spec.account, node_name(spec)))


def end_keys(spec: AccessSpec) -> None:
    """Delete every key of the nodes."""
    _adopt(spec, _tag(spec.account, node_name(spec)))
    _delete_keys(spec.account, node_name(spec))


# Taking back


def remove_user_policy(spec: AccessSpec) -> StepResult | None:
    """Take every permission back from the nodes."""
    account, name = spec.account, node_name(spec)
    if not has(account, USERS):
        return StepResult(note=TAKE_BACK)
    if (tag := _tag(account, name)) is None:
        return None
    _adopt(spec, tag)  # never say "taken back" of a user that the console may not change
    _delete_policy(account, name)
    return None


def remove_user(spec: AccessSpec) -> StepResult | None:
    """Delete the nodes' keys, their policy and their user; leave one that is not the cluster's."""
    account, name = spec.account, node_name(spec)
    if not has(account, USERS):
        return StepResult(note=TAKE_BACK)
    if _is_ours(spec, _tag(account, name)):
        _delete_user(account, name)
    return None


def repository(spec: StoreSpec, access: AccessSpec) -> RepositoryOptions:
    """Return pgBackRest's options for the bucket, with the nodes' own key as far as there is one."""
    settings, (name, _, port) = spec.account.settings, host(spec.account).partition(":")
    options = [
        ("type", "s3"),
        ("s3-bucket", spec.bucket),
        ("s3-endpoint", name),
        ("s3-region", spec.region),
    ]
    if settings.get("addressing_style") != "host" or "." in spec.bucket:  # no certificate is for such a host
        options.append(("s3-uri-style", "path"))
    if port:
        options.append(("storage-port", port))
    if not verifies(spec.account):
        options.append(("storage-verify-tls", "n"))
    needs: tuple[Need, ...] = ()
    if verifies(spec.account) and name.replace(".", "").isdigit():
        # 2.45 finds names only; 2.55.1 and 2.60.0 were seen to find both.
        needs = (Need("2.46", f"find an IP address ({name}) in a certificate", "give the server a name"),)
    lacks, brought_key = "", brought_key_of(tuple(options))
    if access.keys:
        options += [
            ("s3-key", access.keys["access_key_id"]),
            ("s3-key-secret", access.keys["secret_access_key"]),
        ]
    else:
        lacks = (
            f"{spec.name} has no key for the nodes yet, and its server makes none for the console. Make one there by "
            f"hand, limited to {' and '.join(f'{one}/' if one else 'all' for one in access.folders(spec.bucket))} in "
            f"{spec.bucket}, and enter it on the cluster's page (Details, Nodes' "
            "Key)."
        )
    secret = frozenset({"s3-key", "s3-key-secret"})
    ca_certificate = settings.get("ca_certificate", "")
    return RepositoryOptions(tuple(options), secret, ca_certificate, (), needs, lacks, brought_key)


GRANT = (
    Stage(Step("create_user", "Creating the user of the nodes", ensure_user)),
    # Before the key, which therefore never may do more than it should.
    Stage(Step("allow_stores", "Allowing the nodes their own backup stores", ensure_user_policy)),
    Stage(Step("create_key", "Making the access key of the nodes", ensure_key)),
)
SECOND_KEY = (Stage(Step("create_second_key", "Making a second access key of the nodes", make_second_key)),)
END_KEYS = (Stage(Step("end_keys", "Ending every access key of the nodes", end_keys)),)
REVOKE = (Stage(Step("revoke_permissions", "Taking all permissions back from the nodes", remove_user_policy)),)
DELETE = (Stage(Step("delete_user", "Deleting the user of the nodes with its keys", remove_user)),)


# Whether there are users at all

# What says nothing about users: the key, its user or the server is in trouble.
NO_ANSWER_ABOUT_USERS = frozenset(
    [
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "ExpiredToken",
        "UserSuspended",
        "AccountProblem",
        "QuotaExceeded",
        "LimitExceeded",
        "RequestTimeTooSkewed",
    ]
)


def node_ways(account: AccountRef) -> list[str]:
    """Return how nodes get a key there, as the account's settings list it: users, or else which server that is."""
    if makes_users(account):
        return [USERS]
    with calling_s3("ListBuckets", on_server(account, "its buckets", lambda operation, action: "*")) as s3:
        kind = kind_of(s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"])
    return [kind] if kind else []


def makes_users(account: AccountRef) -> bool:
    """Make a user with a policy and a key, read all back, delete all, and return whether the server keeps users.

    Raises a StepError that names the user when it stays.
    """
    name = f"pgbk-probe-{secrets.token_hex(6)}"
    try:
        with calling_iam("CreateUser", _user(account, name)) as iam:
            iam.create_user(UserName=name, Path=IAM_PATH)
    except NotReady:  # it may be there all the same
        with suppress(StepError):
            _delete_user(account, name)
        raise
    except Failed as error:
        # Where there are no users, or this key may not make any, servers answer in ways of their own, and a person
        # makes the keys then.
        if error.details.get("code") in NO_ANSWER_ABOUT_USERS:
            raise
        return False
    try:
        found = _keeps_users(account, name)
    except StepError:
        with suppress(StepError):  # what went wrong first says more
            _delete_user_of_the_probe(account, name)
        raise
    _delete_user_of_the_probe(account, name)
    return found


def _keeps_users(account: AccountRef, name: str) -> bool:
    document = policy(AccessSpec(account.id, name, account, name, (name,)))
    try:
        return (
            _tag(account, name) is not None
            and _keep_policy(account, name, document)
            and _make_key(account, name)["access_key_id"] in _keys(account, name)
        )
    except Lacking:
        return False
    except Failed as error:
        if error.details.get("action"):
            return False
        raise


def _delete_user_of_the_probe(account: AccountRef, name: str) -> None:
    """Delete the user, part by part: a server may make users and lack what belongs to them."""
    for delete in (_delete_keys, _delete_policy):
        with suppress(Failed):
            delete(account, name)
    try:
        with calling_iam("DeleteUser", _user(account, name)) as iam, or_nothing():
            iam.delete_user(UserName=name)
    except Failed as error:
        if isinstance(error, Lacking):  # then it made none
            return
        raise Failed(
            f"The console could not delete user {name}, made to try the server out: {error.message} Delete it by hand: "
            f"aws iam delete-user --user-name {name} --endpoint-url https://{host(account)}.",
            **error.details,
        ) from error
