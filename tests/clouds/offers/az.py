"""A stand-in for the Azure CLI: it keeps what it made, and is as strict as `az` where our scripts lean on it.

Commands, options, and what each answers: the source of azure-cli 2.91 (`command_modules/role/custom.py` and
`_params.py`), and of knack, which prints. Anything else is refused.
"""

from __future__ import annotations

import json
from uuid import uuid4

import jmespath

EVERYWHERE = {"--only-show-errors", "--output", "--query", "--subscription"}
FLAGS = {"--only-show-errors", "--append", "--wait"}
# Each command with its own options.
COMMANDS = {
    "account show": set(),
    "group exists": {"--name"},
    "group create": {"--name", "--location"},
    "group show": {"--name"},
    "tag update": {"--operation", "--resource-id", "--tags"},
    "provider show": {"--namespace"},
    "provider register": {"--namespace", "--wait"},
    "ad app list": {"--filter"},
    "ad app create": {"--display-name"},
    "ad sp list": {"--filter"},
    "ad sp create": {"--id"},
    "ad app credential list": {"--id"},
    "ad app credential reset": {"--id", "--append", "--display-name", "--years"},
    "ad app federated-credential list": {"--id"},
    "ad app federated-credential create": {"--id", "--parameters"},
    "role definition list": {"--name", "--scope", "--custom-role-only"},
    "role definition create": {"--role-definition"},
    "role definition update": {"--role-definition"},
    "role assignment list": {"--scope"},
    "role assignment create": {
        *("--role", "--scope", "--assignee-object-id", "--assignee-principal-type"),
        *("--condition", "--condition-version"),
    },
    "role assignment update": {"--role-assignment"},
}


class Refused(Exception):
    pass


def one(found, what):
    if not found:
        raise Refused(f"{what} does not exist.")
    return found[0]


def filtered(rows, text):
    name, is_, value = text.split(" ", 2)
    assert is_ == "eq"
    return [row for row in rows if row[name] == value.strip("'")]


class Az:
    def __init__(self, state, given):
        self.state, self.given = state, given

    def app(self):
        return one([app for app in self.state["apps"] if app["appId"] == self.given["--id"]], self.given["--id"])

    def account_show(self):
        if self.given.get("--subscription") != self.state["subscription"]:
            raise Refused("The subscription of '…' doesn't exist in cloud 'AzureCloud'.")
        return {"id": self.state["subscription"], "tenantId": self.state["tenant"]}

    def group_exists(self):
        return self.given["--name"].lower() in self.state["groups"]

    def group_create(self):
        self.state["groups"][self.given["--name"].lower()] = {"location": self.given["--location"], "tags": None}

    def group_show(self):
        return self.state["groups"][self.given["--name"].lower()]

    def tag_update(self):
        assert self.given["--operation"] == "Merge"
        group = self.state["groups"][self.given["--resource-id"].rpartition("/")[2].lower()]
        name, _, value = self.given["--tags"].partition("=")
        group["tags"] = {**(group["tags"] or {}), name: value}

    def provider_show(self):
        return {"registrationState": self.state["providers"].get(self.given["--namespace"], "NotRegistered")}

    def provider_register(self):
        assert "--wait" in self.given
        self.state["providers"][self.given["--namespace"]] = "Registered"

    def ad_app_list(self):
        return filtered(self.state["apps"], self.given["--filter"])

    def ad_app_create(self):
        app = {"appId": str(uuid4()), "displayName": self.given["--display-name"], "passwords": [], "federated": []}
        self.state["apps"].append(app)
        return app

    def ad_sp_list(self):
        return filtered(self.state["principals"], self.given["--filter"])

    def ad_sp_create(self):
        app = self.app()
        if filtered(self.state["principals"], f"appId eq '{app['appId']}'"):
            raise Refused("The service principal cannot be created, because its name is already in use.")
        principal = {"id": str(uuid4()), "appId": app["appId"]}
        self.state["principals"].append(principal)
        return principal

    def ad_app_credential_list(self):
        return [{"displayName": known["displayName"]} for known in self.app()["passwords"]]

    def ad_app_credential_reset(self):
        app = self.app()
        if "--append" not in self.given:
            app["passwords"].clear()  # as `az` does
        made = {"displayName": self.given["--display-name"], "password": f"secret~{uuid4()}"}
        app["passwords"].append(made)
        return {"appId": app["appId"], "password": made["password"], "tenant": self.state["tenant"]}

    def ad_app_federated_credential_list(self):
        return self.app()["federated"]

    def ad_app_federated_credential_create(self):
        made, app = json.loads(self.given["--parameters"]), self.app()
        assert {*made} == {"name", "issuer", "subject", "audiences"}
        if made["name"] in [known["name"] for known in app["federated"]]:
            raise Refused("FederatedIdentityCredential with name already exists.")
        app["federated"].append(made)

    def role_definition_list(self):
        assert self.given["--custom-role-only"] == "true"
        return [
            role
            for role in self.state["roles"]
            if role["roleName"] == self.given["--name"] and self.given["--scope"] in role["assignableScopes"]
        ]

    def _role(self, name):
        given = json.loads(self.given["--role-definition"])
        rights = {key: given[key[0].upper() + key[1:]] for key in ("actions", "notActions")}
        rights |= {key: given[key[0].upper() + key[1:]] for key in ("dataActions", "notDataActions")}
        return {
            "name": name,
            "roleName": given["Name"],
            "description": given["Description"],
            "assignableScopes": given["AssignableScopes"],
            "permissions": [rights],
        }

    def role_definition_create(self):
        made = self._role(str(uuid4()))
        if made["roleName"] in [role["roleName"] for role in self.state["roles"]]:
            raise Refused("(RoleDefinitionWithSameNameExists) A custom role with the same name already exists.")
        self.state["roles"].append(made)

    def role_definition_update(self):
        given = json.loads(self.given["--role-definition"])
        role = one([role for role in self.state["roles"] if role["roleName"] == given["Name"]], given["Name"])
        role.update(self._role(role["name"]))

    def role_assignment_list(self):
        return [found for found in self.state["assignments"] if found["scope"] == self.given["--scope"]]

    def role_assignment_create(self):
        role = one([role for role in self.state["roles"] if role["name"] == self.given["--role"]], self.given["--role"])
        made = {
            "name": str(uuid4()),
            "scope": self.given["--scope"],
            "principalId": self.given["--assignee-object-id"],
            "principalType": self.given["--assignee-principal-type"],
            "roleDefinitionId": f"/subscriptions/{self.state['subscription']}/roleDefinitions/{role['name']}",
            "condition": self.given.get("--condition"),
            "conditionVersion": self.given.get("--condition-version"),
        }
        same = ("scope", "principalId", "roleDefinitionId")
        if any(all(known[key] == made[key] for key in same) for known in self.state["assignments"]):
            raise Refused("(RoleAssignmentExists) The role assignment already exists.")
        self.state["assignments"].append(made)

    def role_assignment_update(self):
        given = json.loads(self.given["--role-assignment"])
        found = one([known for known in self.state["assignments"] if known["name"] == given["name"]], given["name"])
        found.update(given)


def parsed(words):
    """Return the command, and its options by name; raises for what `az` would not know."""
    name = next((" ".join(words[:n]) for n in (4, 3, 2) if " ".join(words[:n]) in COMMANDS), "")
    if not name:
        raise Refused(f"'{' '.join(words[:3])}' is misspelled or not recognized by the system.")
    rest, given = [*words[len(name.split()) :]], {}
    while rest:
        option = rest.pop(0)
        if option not in COMMANDS[name] | EVERYWHERE:
            raise Refused(f"unrecognized arguments: {option}")
        given[option] = "" if option in FLAGS else rest.pop(0)
    return name, given


def printed(value):
    """Return what `--output tsv` prints: a row for each item, nothing for null."""
    rows = [row for row in (value if isinstance(value, list) else [value]) if row is not None]
    return "".join(f"{str(row).lower() if isinstance(row, bool) else row}\n" for row in rows)


def answer(state, words, folder):
    """Return the exit code, what is printed, and what is said of errors."""
    try:
        name, given = parsed(words)
        if name in state["denied"]:
            raise Refused("(AuthorizationFailed) Insufficient privileges to complete the operation.")
        if state["slow"].get(name, 0) > 0:
            state["slow"][name] -= 1
            raise Refused(f"{name}: does not exist in the directory")
        found = getattr(Az(state, given), name.replace(" ", "_").replace("-", "_"))()
    except Refused as refused:
        return 1, "", f"ERROR: {refused}\n"
    if name == state["dies_after"]:  # made, and nobody is told
        return 137, "", ""
    if given.get("--output") == "none":
        return 0, "", ""
    assert given["--output"] == "tsv"
    return 0, printed(jmespath.search(given["--query"], found) if "--query" in given else found), ""
