"""Looked up before it is tried: which permissions the console has in a project, and what breaks without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from console.clouds.contract import Check
from console.clouds.google.access import ROLE
from console.clouds.google.buckets import LOG_ROLE, kind_of
from console.clouds.google.errors import CALLS, CallTarget, on_project
from console.clouds.google.session import call
from console.clouds.naming import PREFIX
from console.clouds.specs import AccountRef
from console.clouds.steps import NotReady, StepError

# What breaks without a permission. Each of those that a call takes (google_errors.CALLS) is here, and no other.
CONSEQUENCES = {
    "resourcemanager.projects.get": "The project cannot be verified.",
    "storage.buckets.create": "Stores cannot be created.",
    "storage.buckets.list": "Buckets that belong to no store are not found, and detached clusters keep their access.",
    "storage.buckets.get": "Stores can neither be created, watched nor deleted.",
    "storage.buckets.update": "What differs cannot be repaired, and an interrupted creation cannot go on.",
    "storage.buckets.delete": "Stores cannot be deleted.",
    "storage.buckets.getIamPolicy": "Who may use a bucket is neither seen nor changed: stores cannot be created.",
    "storage.buckets.setIamPolicy": "Buckets stay open to the project's viewers, and nodes get no access.",
    "storage.objects.list": "Nobody knows what a bucket holds: stores cannot be deleted, backups are not shown.",
    "storage.objects.get": "Backups are not shown.",
    "storage.objects.delete": "Access logs cannot be deleted: deleting a store with its logs stops half-way.",
    "iam.serviceAccounts.create": "Nodes get no access.",
    "iam.serviceAccounts.get": "A link by workload identity cannot prove itself, and nodes get no access.",
    "iam.serviceAccounts.delete": "A deleted cluster leaves its service account behind.",
    "iam.serviceAccountKeys.create": "Nodes get no key.",
    "iam.serviceAccountKeys.list": "Nodes get no key.",
    "iam.serviceAccountKeys.delete": "Keys that nobody keeps stay valid.",
}
NOT_KEPT = "The store of this bucket, which was there before, is neither compared with what it should be nor repaired."
KEYS = frozenset(one for one in CONSEQUENCES if one.startswith("iam.serviceAccountKeys."))
# These are asked of the project itself, so no condition on a bucket's name is ever true of them.
OF_PROJECT = frozenset({"storage.buckets.create", "storage.buckets.list", "resourcemanager.projects.get"})
GRANTS = "storage.buckets.setIamPolicy"
# The roles that the console gives and takes: the nodes', the log writer's, those that a new bucket's policy begins with
# ("IAM roles for Cloud Storage", legacy roles), which it takes from the project's viewers and editors, and the one that
# a bucket is opened to everybody with. No condition tells taking from giving, and the legacy owner's role may change
# policies itself: so this keeps other roles from being given in one step, and not in two.
GRANTED = (
    *(ROLE, LOG_ROLE, "roles/storage.objectViewer"),
    *(f"roles/storage.legacy{one}" for one in ("BucketOwner", "BucketReader", "ObjectOwner", "ObjectReader")),
)
BACKUPS, WAL = "/backup/{stanza}/backup.info", "/archive/{stanza}/archive.info"  # a repository's lists
LISTS_ROLE = "storekeeperLists"
OURS = f'resource.name.startsWith("projects/_/buckets/{PREFIX}")'
ON_OBJECTS = frozenset({"storage.objects.delete", "storage.objects.get"})  # and these of each object


@dataclass(frozen=True)
class Role:
    """A role of the console's: its permissions, and the condition that its binding has."""

    id: str
    title: str
    permissions: tuple[str, ...]
    condition: str = ""


def needed(account: AccountRef) -> tuple[str, ...]:
    """Return the permissions that the plans take for this account, each once."""
    found = dict.fromkeys(one for known in CALLS.values() for one in known.permissions)
    attached = account.settings.get("node_access") == "attached"
    return tuple(one for one in found if not (attached and one in KEYS))


def roles(account: AccountRef) -> tuple[Role, ...]:
    """Return the roles of the console: for the project, its own buckets, their policies, access logs, lists of backups.

    Of objects it may delete nothing but access logs, and read nothing but pgBackRest's backup.info. Policies it may
    change in the roles of GRANTED only ("Set limits on granting roles"); to whom it gives those, no condition can say.

    Keys and service accounts have no condition on names that would limit them, so with keys the console can make one of
    every service account of the project; attached to machines, it cannot.
    """
    wanted = needed(account)
    ours = OURS
    logs = f'{ours} && resource.name.extract("projects/_/buckets/{{bucket}}/").endsWith("-log")'
    lists = f'{ours} && resource.name.extract("/backup/{{stanza}}/backup.info") != ""'
    of_project = tuple(one for one in wanted if one in OF_PROJECT or one.startswith("iam."))
    of_buckets = tuple(one for one in wanted if one not in {*of_project, *ON_OBJECTS, GRANTS})
    granted = ", ".join(f'"{one}"' for one in GRANTED)
    limited = f'{ours} && api.getAttribute("iam.googleapis.com/modifiedGrantsByRole", []).hasOnly([{granted}])'
    return (
        Role("storekeeperProject", "Storekeeper: the project", of_project),
        Role("storekeeperBuckets", "Storekeeper: its own buckets", of_buckets, ours),
        Role("storekeeperGrants", "Storekeeper: who may use its buckets", (GRANTS,), limited),
        Role("storekeeperLogs", "Storekeeper: access logs", ("storage.objects.delete",), logs),
        Role(LISTS_ROLE, "Storekeeper: lists of backups", ("storage.objects.get",), lists),
    )


# What the console did not make


@dataclass(frozen=True)
class Binding:
    """That the console has a role on one bucket, which it did not make."""

    bucket: str
    role: str
    condition: str = ""


def existing_roles(account: AccountRef) -> tuple[Role, ...]:
    """Return the roles for buckets that were there before: what the console does with its own, but nothing deletes.

    They are bound on each such bucket itself. The conditions are those of the bindings.
    """
    found = []
    for role in roles(account):
        permissions = tuple(one for one in role.permissions if not one.endswith(".delete"))
        if role.condition and permissions:
            condition = role.condition.removeprefix(OURS).removeprefix(" && ")
            found.append(Role(f"{role.id}Existing", f"{role.title}, existing", permissions, condition))
    return tuple(found)


def roles_of_places(account: AccountRef) -> tuple[Role, ...]:
    """Return those of these roles that are bound for the account's places; none without any."""
    bound = {one.role for one in bindings(account)}
    return tuple(one for one in existing_roles(account) if one.id in bound)


def bindings(account: AccountRef) -> list[Binding]:
    """Return what the account's places take: each bucket that was there before, each repository that was brought in."""
    found, lists = [], f"{LISTS_ROLE}Existing"
    for place in account.places:
        below: list[tuple[str, ...]] = [(f"{one}/" if one else "", BACKUPS, WAL) for one in place.repositories]
        if place.is_existing and not place.bucket.startswith(PREFIX):
            own = [one for one in existing_roles(account) if one.id != lists]
            found += [Binding(place.bucket, one.id, one.condition) for one in own]
            below.insert(0, ("c-", BACKUPS))  # where clusters have their folders
        found += [Binding(place.bucket, lists, _lists_below(place.bucket, *one)) for one in below]
    return found


def _lists_below(bucket: str, prefix: str, *lists: str) -> str:
    """Return the condition that opens these lists below a prefix."""
    either = " || ".join(f'resource.name.extract("{one}") != ""' for one in lists)
    return f'resource.name.startsWith("projects/_/buckets/{bucket}/objects/{prefix}") && ({either})'


def preflight(account: AccountRef, regions: Sequence[str]) -> list[Check]:
    """Return a line for each permission that the plans take; nothing is made. Raises a StepError."""
    wanted, subject = needed(account), on_project(account)
    granted = set(call("projects.testIamPermissions", subject, {"permissions": list(wanted)}).get("permissions", []))
    bucket, of_bucket = _some_bucket(account, granted), set[str]()
    if bucket:
        asked = [one for one in wanted if one.startswith("storage.") and one not in OF_PROJECT]
        there = CallTarget(account, f"bucket {bucket}", {"bucket": bucket}, path={"bucket": bucket})
        of_bucket = set(call("buckets.testIamPermissions", there, permissions=asked).get("permissions", []))
    return [*_lines(account, wanted, granted | of_bucket, bucket), *_of_places(account)]


def _of_places(account: AccountRef) -> Iterator[Check]:
    """Yield a line for each permission on each bucket that was there before; what is asked of objects is not known."""
    wanted = [one for role in roles_of_places(account) for one in role.permissions if one not in ON_OBJECTS]
    for bucket in dict.fromkeys(one.bucket for one in bindings(account) if not one.role.startswith(LISTS_ROLE)):
        there = CallTarget(account, f"bucket {bucket}", {"bucket": bucket}, path={"bucket": bucket})
        check = Check(label="", on=f"bucket {bucket}", outcome="pass", without=NOT_KEPT)
        try:
            granted = call("buckets.testIamPermissions", there, permissions=wanted).get("permissions", [])
        except NotReady:
            raise
        except StepError as error:
            yield replace(check, label="Permissions on the bucket", outcome="unknown", why=error.message)
            continue
        for one in wanted:
            line = replace(check, label=one)
            why = "No role of the console's grants it there. The account's files name this bucket: run one again."
            yield line if one in granted else replace(line, outcome="fail", why=why, in_files=True)


def _some_bucket(account: AccountRef, granted: set[str]) -> str:
    """Return a bucket of ours, of which conditions on its name can be asked; a log bucket, where there is one."""
    if "storage.buckets.list" not in granted:
        return ""
    try:
        found = call("buckets.list", on_project(account), project=account.number, prefix=PREFIX, maxResults=100)
    except StepError as error:
        if error.details.get("action"):
            return ""
        raise
    names = sorted((one["name"] for one in found.get("items", [])), key=lambda name: (kind_of(name) != "log", name))
    return next((name for name in names if kind_of(name)), "")


def _lines(account: AccountRef, wanted: Sequence[str], granted: set[str], bucket: str) -> Iterator[Check]:
    for permission in wanted:
        conditional = permission.startswith("storage.") and permission not in OF_PROJECT
        on = f"buckets named {PREFIX}*" if conditional else f"project {account.number}"
        check = Check(
            label=permission,
            on=on,
            outcome="fail",
            without=CONSEQUENCES[permission],
            why="No role of the console's grants it.",
            statement=_statement(account, permission),
        )
        if permission in granted:
            yield replace(check, outcome="pass", why="", statement="")
        elif permission in ON_OBJECTS:
            why = "Google tells permissions of buckets, and this one is asked of each object: it shows when it is used."
            yield replace(check, outcome="unknown", why=why, statement="", required=False)
        elif conditional and not bucket:
            why = "A condition on buckets' names is never true of the project: it shows with the first store."
            yield replace(check, outcome="unknown", why=why, statement="")
        else:
            yield check


def _statement(account: AccountRef, permission: str) -> str:
    """Return the command that grants it."""
    role = next(one for one in roles(account) if permission in one.permissions)
    return f"gcloud iam roles update {role.id} --project={account.number} --add-permissions={permission}"
