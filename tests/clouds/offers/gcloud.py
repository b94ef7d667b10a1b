"""A stand-in for Google's CLI: it keeps what it made, and is as strict as `gcloud` where our scripts lean on it.

Commands and flags: the reference of gcloud; what each answers: the resources of IAM, Service Usage, Resource Manager.
Anything else is refused.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

EVERYWHERE = {"--project", "--format", "--flatten", "--filter"}
COMMANDS = {  # each with its own flags, and whether it takes a name
    "projects describe": (set(), True),
    "projects get-iam-policy": (set(), True),
    "projects add-iam-policy-binding": ({"--role", "--member", "--condition"}, True),
    "projects remove-iam-policy-binding": ({"--role", "--member", "--condition"}, True),
    "services list": ({"--enabled"}, False),
    "services enable": (set(), True),
    "iam roles describe": (set(), True),
    "iam roles create": ({"--title", "--permissions", "--stage"}, True),
    "iam roles update": ({"--add-permissions"}, True),
    "iam roles undelete": (set(), True),
    "iam service-accounts describe": (set(), True),
    "iam service-accounts create": (set(), True),
    "iam service-accounts update": ({"--description"}, True),
    "iam service-accounts get-iam-policy": (set(), True),
    "iam service-accounts add-iam-policy-binding": ({"--role", "--member", "--condition"}, True),
    "storage buckets get-iam-policy": (set(), True),
    "storage buckets add-iam-policy-binding": ({"--role", "--member", "--condition"}, True),
    "iam service-accounts keys list": ({"--iam-account", "--managed-by"}, False),
    "iam service-accounts keys create": ({"--iam-account"}, True),
    **{f"iam workload-identity-pools {verb}": ({"--location"}, True) for verb in ("describe", "create", "undelete")},
    **{
        f"iam workload-identity-pools providers {verb}": ({"--location", "--workload-identity-pool"}, True)
        for verb in ("describe", "undelete")
    },
    "iam workload-identity-pools providers create-oidc": (
        {
            *("--location", "--workload-identity-pool", "--issuer-uri"),
            *("--allowed-audiences", "--attribute-mapping"),
        },
        True,
    ),
}
SEP = re.compile(r'bindings\.role="([^"]+)" AND bindings\.members="([^"]+)"')


class Refused(Exception):
    pass


def parsed(words):
    """Return the command, its name and its flags; raises for what `gcloud` would not know."""
    name = next((" ".join(words[:n]) for n in (5, 4, 3, 2) if " ".join(words[:n]) in COMMANDS), "")
    if not name:
        raise Refused(f"Invalid choice: '{' '.join(words[:3])}'.")
    flags, takes_name = COMMANDS[name]
    given, names = {}, []
    for word in words[len(name.split()) :]:
        if not word.startswith("--"):
            names.append(word)
            continue
        flag, _, value = word.partition("=")
        if flag not in flags | EVERYWHERE:
            raise Refused(f"unrecognized arguments: {word}")
        given[flag] = value
    if len(names) != takes_name:
        raise Refused(f"argument: {names}")
    return name, (names or [""])[0], given


def condition_of(text):
    """Return a condition as --condition has it, or None."""
    if text == "None":
        return None
    assert text.startswith("^;^")
    return dict(part.split("=", 1) for part in text.removeprefix("^;^").split(";"))


def added(policy, given):
    role, member, condition = given["--role"], given["--member"], condition_of(given["--condition"])
    if (role, member, condition) not in [(one["role"], one["member"], one["condition"]) for one in policy]:
        policy.append({"role": role, "member": member, "condition": condition})


def matching(policy, given):
    assert given["--flatten"] == "bindings[].members"
    role, member = SEP.fullmatch(given["--filter"]).groups()
    return [{"bindings": one} for one in policy if (one["role"], one["member"]) == (role, member)]


class Gcloud:
    def __init__(self, state, name, given, folder):
        self.state, self.name, self.given, self.folder = state, name, given, folder

    def there(self, found, what):
        if self.name not in found:
            raise Refused(f"NOT_FOUND: {what} {self.name}")
        return found[self.name]

    def known(self, email):
        if email not in self.state["accounts"]:
            raise Refused(f"INVALID_ARGUMENT: Service account {email} does not exist.")
        return self.state["accounts"][email]

    def projects_describe(self):
        return {"projectNumber": self.there(self.state["projects"], "project")}

    def projects_get_iam_policy(self):
        return matching(self.state["policy"], self.given)

    def projects_add_iam_policy_binding(self):
        self.known(self.given["--member"].removeprefix("serviceAccount:"))
        role = self.given["--role"].rpartition("/")[2]
        if role not in self.state["roles"]:
            raise Refused(f"INVALID_ARGUMENT: Role {role} is not supported for this resource.")
        added(self.state["policy"], self.given)

    def projects_remove_iam_policy_binding(self):
        condition = condition_of(self.given["--condition"])
        wanted = {"role": self.given["--role"], "member": self.given["--member"], "condition": condition}
        if wanted not in self.state["policy"]:
            raise Refused("Policy binding with the specified principal, role, and condition not found!")
        self.state["policy"].remove(wanted)

    def bucket(self):
        assert self.name.startswith("gs://"), self.name
        self.name = self.name.removeprefix("gs://")
        return self.there(self.state["buckets"], "bucket")

    def storage_buckets_get_iam_policy(self):
        return matching(self.bucket(), self.given)

    def storage_buckets_add_iam_policy_binding(self):
        self.known(self.given["--member"].removeprefix("serviceAccount:"))
        if self.given["--role"].rpartition("/")[2] not in self.state["roles"]:
            raise Refused("INVALID_ARGUMENT: Role is not supported for this resource.")
        added(self.bucket(), self.given)

    def services_list(self):
        assert "--enabled" in self.given
        return [{"config": {"name": one}} for one in self.state["services"]]

    def services_enable(self):
        self.state["services"].append(self.name)

    def iam_roles_describe(self):
        role = self.there(self.state["roles"], "role")
        return {"deleted": role["deleted"] or None, "includedPermissions": role["permissions"]}

    def iam_roles_create(self):
        if self.name in self.state["roles"]:
            raise Refused(f"ALREADY_EXISTS: A role named {self.name} in the project already exists.")
        assert self.given["--stage"] == "GA"
        made = {"title": self.given["--title"], "permissions": self.given["--permissions"].split(","), "deleted": False}
        self.state["roles"][self.name] = made

    def iam_roles_update(self):
        role = self.there(self.state["roles"], "role")
        if role["deleted"]:
            raise Refused("FAILED_PRECONDITION: You can't update a deleted role.")
        role["permissions"] += [
            one for one in self.given["--add-permissions"].split(",") if one not in role["permissions"]
        ]

    def iam_roles_undelete(self):
        self.there(self.state["roles"], "role")["deleted"] = False

    def iam_service_accounts_describe(self):
        return {"email": self.name, **self.there(self.state["accounts"], "service account")}

    def iam_service_accounts_create(self):
        assert re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", self.name), self.name
        email = f"{self.name}@{self.given['--project']}.iam.gserviceaccount.com"
        if email in self.state["accounts"]:
            raise Refused("ALREADY_EXISTS: Service account already exists.")
        self.state["accounts"][email] = {"description": None, "keys": [], "policy": []}

    def iam_service_accounts_update(self):
        self.there(self.state["accounts"], "service account")["description"] = self.given["--description"]

    def iam_service_accounts_get_iam_policy(self):
        return matching(self.there(self.state["accounts"], "service account")["policy"], self.given)

    def iam_service_accounts_add_iam_policy_binding(self):
        added(self.there(self.state["accounts"], "service account")["policy"], self.given)

    def iam_service_accounts_keys_list(self):
        assert self.given["--managed-by"] == "user"
        return [{"name": one} for one in self.known(self.given["--iam-account"])["keys"]]

    def iam_service_accounts_keys_create(self):
        keys = self.known(self.given["--iam-account"])["keys"]
        keys.append(f"key-{len(keys)}")
        file = self.folder / Path(self.name).name
        file.write_text(json.dumps({"type": "service_account", "private_key": f"secret~{len(keys)}"}))
        file.chmod(0o600)  # which gcloud sees to, whatever the mask

    def iam_workload_identity_pools_describe(self):
        return self.there(self.state["pools"], "pool")

    def iam_workload_identity_pools_create(self):
        self.state["pools"][self.name] = {"state": "ACTIVE"}

    def iam_workload_identity_pools_undelete(self):
        self.there(self.state["pools"], "pool")["state"] = "ACTIVE"

    def iam_workload_identity_pools_providers_describe(self):
        return self.there(self.state["providers"], "provider")

    def iam_workload_identity_pools_providers_create_oidc(self):
        assert self.given["--workload-identity-pool"] in self.state["pools"]
        assert self.given["--attribute-mapping"] == "google.subject=assertion.sub"
        issuer, audience = self.given["--issuer-uri"], self.given["--allowed-audiences"]
        self.state["providers"][self.name] = {"state": "ACTIVE", "issuer": issuer, "audience": audience}

    def iam_workload_identity_pools_providers_undelete(self):
        self.there(self.state["providers"], "provider")["state"] = "ACTIVE"


def shown(value, path):
    for part in path.split("."):
        value = (value or {}).get(part)
    if value is None:
        return ""
    return ";".join(value) if isinstance(value, list) else str(value)


def printed(value, wanted):
    """Return what --format=value(…) prints: a line for each resource, tabs between ("gcloud topic formats")."""
    if wanted == "none":
        return ""
    fields = re.fullmatch(r"value\(([\w.,]+)\)", wanted)[1].split(",")
    rows = value if isinstance(value, list) else [value]
    return "".join("\t".join(shown(row, field) for field in fields) + "\n" for row in rows)


def answer(state, words, folder):
    """Return the exit code, what is printed, and what is said of errors."""
    try:
        name, named, given = parsed(words)
        if name in state["denied"]:
            raise Refused("PERMISSION_DENIED: The caller does not have permission")
        if state["slow"].get(name, 0) > 0:
            state["slow"][name] -= 1
            raise Refused("INVALID_ARGUMENT: Service account does not exist.")
        found = getattr(Gcloud(state, named, given, folder), name.replace(" ", "_").replace("-", "_"))()
    except Refused as refused:
        return 1, "", f"ERROR: (gcloud) {refused}\n"
    if name == state["dies_after"]:  # made, and nobody is told
        return 137, "", ""
    return 0, printed(found, given["--format"]), ""
