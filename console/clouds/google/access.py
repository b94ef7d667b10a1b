"""What lets database nodes use their stores: one service account for each cluster, bound to its own folders."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

from console.clouds.contract import BroughtKey, KeyPart, MachineStep, RepositoryOptions, SecretFile
from console.clouds.google.buckets import Bucket, kind_of
from console.clouds.google.errors import CallTarget
from console.clouds.google.session import call, pages, token_uri
from console.clouds.naming import PREFIX
from console.clouds.specs import AccessSpec, AccountRef, StoreSpec
from console.clouds.steps import Failed, NotReady, Stage, Step, StepResult

MARK = "storekeeper-cluster-id"  # in the description, since service accounts have no labels
# Read, write, delete and list objects; unlike roles/storage.objectAdmin it cannot give anybody else access ("IAM roles
# for Cloud Storage"). What it has beside, such as folders and restoring, the condition limits as well.
ROLE = "roles/storage.objectUser"
READ_ROLE = "roles/storage.objectViewer"  # of a recovery identity: list and read objects, also noncurrent versions
SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
TITLE = "storekeeper"  # of the condition
KEY_PARTS = ("type", "project_id", "private_key_id", "private_key", "client_email", "client_id", "token_uri")


# Names


def account_id(spec: AccessSpec) -> str:
    """Return the name of the cluster's service account: at most 30 characters."""
    return f"pgbk-{spec.label}"[:30].rstrip("-")


def email(spec: AccessSpec) -> str:
    """Return the cluster's service account."""
    return f"{account_id(spec)}@{spec.account.number}.iam.gserviceaccount.com"


def member(spec: AccessSpec) -> str:
    """Return it as policies name it."""
    return f"serviceAccount:{email(spec)}"


def is_attached(account: AccountRef) -> bool:
    """Return whether nodes sign in as the service account of their machine, so that there are no keys."""
    return account.settings.get("node_access") == "attached"


def facts(spec: AccessSpec) -> list[tuple[str, str]]:
    """Return what an administrator needs to start a node, each with its label."""
    if is_attached(spec.account):
        return [("Service Account", email(spec)), ("Access Scope of the Machines", SCOPE)]
    key = key_id(spec.keys)
    return [("Service Account", email(spec)), *([("Key ID", key)] if key else [])]


def machine_steps(spec: AccessSpec, region: str) -> list[MachineStep]:
    """Return how a machine gets the cluster's service account; nothing where its nodes have a key."""
    if not is_attached(spec.account):
        return []
    return [
        MachineStep(
            "Attach the cluster's service account to the machine, which has to be stopped for that; as this pgBackRest "
            "signs in",
            f"gcloud compute instances set-service-account MACHINE --project {spec.account.number} "
            f"--zone {region}-ZONE --service-account {email(spec)} --scopes {SCOPE}",
            f"https://console.cloud.google.com/compute/instances?project={spec.account.number}",
        )
    ]


def key_id(keys: Mapping[str, str]) -> str:
    """Return the ID of the nodes' key; its file on a node has it in its name."""
    return keys.get("private_key_id", "")


# What they may do


def condition(spec: AccessSpec, bucket: str) -> dict[str, str]:
    """Return what limits a binding to the cluster's own folder in the bucket.

    Listing is asked of the bucket, not of objects, so it has an attribute of its own, which is the prefix that the call
    asks for ("Attribute reference for IAM Conditions", API attributes). It is empty for calls that list no objects.
    """
    objects, asked = (
        f"projects/_/buckets/{bucket}/objects/",
        'api.getAttribute("storage.googleapis.com/objectListPrefix", "")',
    )
    below = [f"{folder}/" if folder else "" for folder in spec.folders(bucket)]
    parts = [
        one
        for each in below
        for one in (f'resource.name.startsWith("{objects}{each}")', f'{asked}.startsWith("{each}")')
    ]
    expression = " || ".join(parts)
    if spec.reads_until:
        expression = f'({expression}) && request.time < timestamp("{spec.ends}")'
    return {"title": TITLE, "expression": expression}


def binding(spec: AccessSpec, bucket: str) -> dict[str, Any]:
    """Return the binding that a bucket of the cluster's has."""
    role = READ_ROLE if spec.reads_until else ROLE
    return {"role": role, "members": [member(spec)], "condition": condition(spec, bucket)}


def policy(spec: AccessSpec) -> dict[str, Any]:
    """Return the bindings by bucket, as an administrator would set them by hand."""
    return {bucket: {"version": 3, "bindings": [binding(spec, bucket)]} for bucket in spec.buckets}


# The calls


def _account(spec: AccessSpec, key: str = "") -> CallTarget:
    path = {"project": spec.account.number, "email": email(spec), **({"key": key} if key else {})}
    details = {"service_account": email(spec)}
    return CallTarget(spec.account, f"service account {email(spec)}", details, path=path)


def _bucket(spec: AccessSpec, name: str) -> Bucket:
    return Bucket(CallTarget(spec.account, f"bucket {name}", {"bucket": name}, path={"bucket": name}), name)


def _describe(spec: AccessSpec) -> str:
    return f"{MARK}={spec.id}"


def _is_ours(spec: AccessSpec, found: Mapping[str, Any]) -> bool:
    return _describe(spec) in str(found.get("description", "")).split()


def _adopt(spec: AccessSpec, found: Mapping[str, Any] | None) -> None:
    """Accept a service account that is there already, or raise: one that is not this cluster's is never changed."""
    subject = _account(spec)
    if found is None:  # IAM shows what it just made only after a while ("Access change propagation")
        raise NotReady(
            f"Google does not show {subject.name} yet. If someone deleted it meanwhile, try again: it is created anew.",
            patience=120,
            **subject.details,
        )
    if not _is_ours(spec, found):
        raise Failed(
            f"A {subject.name} exists in this project and does not belong to this cluster. It was left alone. Delete "
            f"it if nothing uses it, or, if it is this cluster's after all, put {_describe(spec)} into its "
            "description; then try again.",
            **subject.details,
        )


# Granting


def ensure_account(spec: AccessSpec) -> None:
    """Create the nodes' service account, with whose it is."""
    subject = _account(spec)
    name = f"Storekeeper: {spec.name}".encode()[:100].decode(errors="ignore")  # IAM counts bytes, not letters
    described = {"displayName": name, "description": _describe(spec)}
    body = {"accountId": account_id(spec), "serviceAccount": described}
    if call("serviceAccounts.create", subject, body, accept=409) is None:
        _adopt(spec, call("serviceAccounts.get", subject, accept=404))


def ensure_bindings(spec: AccessSpec) -> None:
    """Let the nodes use exactly these buckets, each with their own folder; in all others they lose what they had."""
    _adopt(spec, call("serviceAccounts.get", _account(spec), accept=404))
    for name in spec.buckets:
        _bucket(spec, name).change_policy(partial(_with, spec, name))
    _take_from(spec, set(spec.buckets))


def _with(spec: AccessSpec, bucket: str, bindings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*_without(spec, bindings), binding(spec, bucket)]


def _without(spec: AccessSpec, bindings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the bindings without the cluster's service account, also as it is named once it was deleted."""
    for one in bindings:
        one["members"] = [who for who in one["members"] if not _is_it(spec, who)]
    return [one for one in bindings if one["members"]]


def _is_it(spec: AccessSpec, who: str) -> bool:
    return who == member(spec) or who.startswith(f"deleted:{member(spec)}?uid=")


def _take_from(spec: AccessSpec, but: set[str]) -> None:
    for name in _backup_buckets(spec):
        if name not in but:
            _bucket(spec, name).change_policy(lambda bindings: _without(spec, bindings))


def _backup_buckets(spec: AccessSpec) -> Iterator[str]:
    """Return the project's backup buckets, of whichever store: only there can a cluster have been let in."""
    subject = CallTarget(spec.account, f"project {spec.account.number}", path={})
    fields = "nextPageToken,items(name)"
    for page in pages("buckets.list", subject, project=spec.account.number, prefix=PREFIX, fields=fields):
        yield from (one["name"] for one in page.get("items", []) if kind_of(one["name"]) == "backup")


def ensure_key(spec: AccessSpec) -> StepResult | None:
    """Make the nodes' key, unless the console keeps one that is still there; delete keys that nobody keeps."""
    subject = _account(spec)
    if is_attached(spec.account):
        _delete_keys(spec)
        note = "Start the nodes' machines with the cluster's service account: there is no key."
        return StepResult(note=note, keep={} if spec.keys else None)
    _adopt(spec, call("serviceAccounts.get", subject, accept=404))
    kept = key_id(spec.keys)
    # Others first, since Google allows ten: the secret of such a key was lost in a crash, or is not of our making.
    return None if kept in _delete_keys(spec, {kept, key_id(spec.former)}) else StepResult(keep=_make_key(spec))


def make_second_key(spec: AccessSpec) -> StepResult | None:
    """Make another key beside the one that the console keeps, unless it keeps two already."""
    if spec.former or is_attached(spec.account):
        return None
    _adopt(spec, call("serviceAccounts.get", _account(spec), accept=404))
    _delete_keys(spec, {key_id(spec.keys)})
    return StepResult(keep=_make_key(spec))


def end_keys(spec: AccessSpec) -> None:
    """Delete every key of the nodes."""
    _adopt(spec, call("serviceAccounts.get", _account(spec), accept=404))
    _delete_keys(spec)


def _make_key(spec: AccessSpec) -> dict[str, str]:
    made = call("keys.create", _account(spec), {"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE"})
    key = json.loads(base64.b64decode(made["privateKeyData"]))
    return {name: str(key[name]) for name in KEY_PARTS if name in key}


def _delete_keys(spec: AccessSpec, but: Collection[str] = ()) -> list[str]:
    """Delete the service account's keys but these, and return which of these are there."""
    found = call("keys.list", _account(spec), accept=404) or {}
    there = [one["name"].rsplit("/", 1)[1] for one in found.get("keys", []) if one.get("keyType") == "USER_MANAGED"]
    for key in there:
        if key not in but:
            call("keys.delete", _account(spec, key), accept=404)
    return [key for key in there if key in but]


# Taking back


def remove_bindings(spec: AccessSpec) -> None:
    """Take every permission back from the nodes."""
    found = call("serviceAccounts.get", _account(spec), accept=404)
    if found is not None:
        _adopt(spec, found)  # never say "taken back" of a service account that the console may not change
    _take_from(spec, set())


def remove_account(spec: AccessSpec) -> None:
    """Delete the nodes' service account with its keys; leave one that is not the cluster's."""
    found = call("serviceAccounts.get", _account(spec), accept=404)
    if found is None or not _is_ours(spec, found):
        return
    _take_from(spec, set())
    call("serviceAccounts.delete", _account(spec), accept=404)


GRANT = (
    Stage(Step("create_service_account", "Creating the service account of the nodes", ensure_account)),
    # Before the key, which therefore never may do more than it should.
    Stage(Step("allow_stores", "Allowing the nodes their own backup stores", ensure_bindings)),
    Stage(Step("create_key", "Making the key of the nodes", ensure_key)),
)
SECOND_KEY = (Stage(Step("create_second_key", "Making a second key of the nodes", make_second_key)),)
END_KEYS = (Stage(Step("end_keys", "Ending every key of the nodes", end_keys)),)
REVOKE = (Stage(Step("revoke_permissions", "Taking all permissions back from the nodes", remove_bindings)),)
DELETE = (
    Stage(Step("delete_service_account", "Deleting the service account of the nodes with its keys", remove_account)),
)


# How a node reaches a store


def repository(spec: StoreSpec, access: AccessSpec) -> RepositoryOptions:
    """Return pgBackRest's options for the bucket, with the nodes' key as a file of its own.

    Its name has the key's ID in it: another key is another configuration, so a node that has not got it yet shows.
    """
    options = [("type", "gcs"), ("gcs-bucket", spec.bucket)]
    operator = spec.account.deployment
    if operator.endpoint_url:
        options.append(("gcs-endpoint", operator.endpoint_url.removeprefix("https://").rstrip("/")))
    ca = ""
    if operator.ca_file:
        with open(operator.ca_file, encoding="ascii") as file:
            ca = file.read()
    part = KeyPart("gcs-key", "Path of the service account's key file", is_file=True)
    brought_key = BroughtKey((*options, ("gcs-key-type", "service")), (part,), "gcs-key-type")
    if is_attached(spec.account):
        automatic = (*options, ("gcs-key-type", "auto"))
        return RepositoryOptions(options=automatic, ca_certificate=ca, brought_key=brought_key)
    options.append(("gcs-key-type", "service"))
    files: tuple[SecretFile, ...] = ()
    if access.keys:
        key = {**access.keys, "token_uri": token_uri(spec.account)}
        name = f"gcs-{access.keys['private_key_id'][:8]}.json"
        files = (SecretFile("gcs-key", name, json.dumps(key, indent=2)),)
    lacks = (
        f"The console has no key for {spec.name} yet. It makes one when the cluster's backup stores are updated: look "
        "at the cluster's last task."
    )
    return RepositoryOptions(
        options=tuple(options), ca_certificate=ca, files=files, lacks="" if files else lacks, brought_key=brought_key
    )
