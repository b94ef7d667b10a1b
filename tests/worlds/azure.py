"""Azure as its provider's tests see it from behind: our own emulator, with Azurite for what the blobs are."""

from __future__ import annotations

import re
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from uuid import uuid4

from console.clouds.azure import session as azure_session
from console.clouds.specs import AccessSpec, AccountRef, DeploymentSettings
from console.demo.credentials import AZURE_IDENTITY, azure_token
from console.demo.emulators.azure.emulator import FAULTS, Emulator
from console.demo.roles import azure_roles


class Azure:
    """The emulated Azure; the console has exactly the role that it asks for, and nothing else."""

    key = "azure"
    proof = "emulator"
    regions = ("westeurope", "westus")  # the second has no zones
    faults = FAULTS
    denials_survived = {}

    def __init__(self, emulator, node_access="identity"):
        self.emulator, self.node_access = emulator, node_access
        self.clear()

    def clear(self):
        azure_session.forget_clients()
        self.emulator.reset()
        self.emulator.let_console_in(*azure_roles(self.node_access))

    def account(self, **changes):
        emulator = self.emulator
        settings = {
            "tenant_id": emulator.tenant_id,
            "client_id": emulator.client_id,
            "subscription_id": emulator.subscription,
            "resource_group": emulator.group,
            "method": "secret",
            "node_access": self.node_access,
            "location": emulator.location,
        }
        return AccountRef(
            uuid4(),
            emulator.subscription,
            "",
            {**settings, **changes},
            {"client_secret": emulator.client_secret},
            DeploymentSettings(endpoint_url=emulator.url, ca_file=str(emulator.ca_file)),
        )

    def signing_in(self, method):
        account = self.account(method=method)
        if method == "secret":
            return account
        self.emulator.state["apps"][self.emulator.client_id]["federated"] = dict(AZURE_IDENTITY)
        file = self.emulator.folder / "token"
        file.write_text(azure_token())
        return replace(account, secrets={}, deployment=replace(account.deployment, token_file=str(file)))

    def prove(self, account):
        group = account.settings["resource_group"].lower()
        self.emulator.state["group_tags"][group] = {"storekeeper:external-id": account.settings["external_id"]}

    def look(self):
        return {f"{kind} {name}": one for kind, found in self.tables().items() for name, one in found.items()}

    def tables(self):
        """Return what stands by kind, and by name."""
        state = deepcopy(self.emulator.state)
        accounts = {
            name: {key: one[key] for key in ("location", "sku", "kind", "tags", "properties", "blob_service", "rules")}
            for name, one in state["accounts"].items()
        }
        identities = {
            one["name"]: {"tags": one["tags"], "location": one["location"]} for one in state["identities"].values()
        }
        given = [
            (one["properties"]["roleDefinitionId"].rpartition("/")[2], one["properties"]["scope"], one["name"])
            for one in state["assignments"].values()
            if one["properties"]["principalId"] != self.emulator.object_id()
        ]
        return {
            "accounts": accounts,
            "identities": identities,
            "roles": {scope: role for role, scope, _ in given},
            "containers": {key: sorted(one["policies"]) for key, one in state["containers"].items()},
            "settings": {key: one["properties"] for key, one in state["settings"].items()},
            "locks": {key: one["properties"] for key, one in state["locks"].items()},
        }

    def put(self, spec, key, data):
        """Put a blob; in a container that is no cluster's its name is what follows the container."""
        container, _, below = key.partition("/")
        name = f"{spec.bucket}/{container}"
        key = key if re.fullmatch("c-[a-z0-9]{12,}", container) else below
        if name not in self.emulator.state["containers"]:
            self.emulator.blobs.make(name)
        self.emulator.blobs.put(name, key, data)

    def take(self, spec, key):
        container, _, below = key.partition("/")
        blob = key if re.fullmatch("c-[a-z0-9]{12,}", container) else below
        self.emulator.blobs.take(f"{spec.bucket}/{container}", blob)

    def put_log(self, spec):
        name = f"{spec.log_bucket}/insights-logs-storageread"
        if name not in self.emulator.state["containers"]:
            self.emulator.blobs.make(name)
        self.emulator.blobs.put(name, f"resourceId=/{spec.bucket}/y=2026/m=11/d=28/h=01/m=00/PT1H.json", b"{}")

    def wipe(self, spec):
        for key in [key for key in self.emulator.state["containers"] if key.startswith(f"{spec.bucket}/")]:
            self.emulator.blobs.drop(key)

    def occupy(self, spec, *, log):
        self.make_account(spec.log_bucket if log else spec.bucket)

    def make_account(self, name, location="westeurope", **tags):
        """Make a storage account as somebody else does, in the same resource group."""
        emulator = self.emulator
        emulator.state["accounts"][name] = {
            "name": name,
            "group": emulator.group.lower(),
            "group_name": emulator.group,
            "kind": "StorageV2",
            "sku": "Standard_LRS",
            "location": location,
            "tags": tags,
            "properties": {},
            "rules": None,
            "blob_service": {},
            "keys": ["a2V5", "a2V5"],
            "made_at": 0.0,
            "created": "2026-01-01T00:00:00+00:00",
        }

    def spoils(self, spec):
        state = self.emulator.state

        def on(name, **values):
            return lambda: state["accounts"][name]["properties"].update(values)

        def drop(table, name):
            def spoil():
                for key in [key for key in state[table] if name in key]:
                    del state[table][key]

            return spoil

        found = {
            "tags": state["accounts"][spec.bucket]["tags"].clear,
            "public_access": on(spec.bucket, allowBlobPublicAccess=True),
            "tls": on(spec.log_bucket, minimumTlsVersion="TLS1_0"),
            "https": on(spec.bucket, supportsHttpsTrafficOnly=False),
            "shared_keys": on(spec.bucket, allowSharedKeyAccess=self.node_access != "sas"),
            "lifecycle": lambda: state["accounts"][spec.log_bucket].update(rules=None),
            "logging": drop("settings", spec.bucket),
            "delete_lock": drop("locks", spec.bucket),
        }
        if spec.versions_days:
            found["versions"] = state["accounts"][spec.bucket]["blob_service"].clear
        return found

    def access(self, *specs):
        cluster = uuid4()
        prefix = f"c-{cluster.hex[:12]}".replace("0", "a").replace("1", "b").replace("8", "c").replace("9", "d")
        return AccessSpec(cluster, "ledger", specs[0].account, prefix, tuple(spec.bucket for spec in specs))

    def fault(self, name, nth):
        self.emulator.fault(name, nth)

    def clear_faults(self):
        self.emulator.faults.clear()
        self.emulator.faults_met = 0

    def faults_met(self):
        return self.emulator.faults_met

    def calls(self):
        return [str(call) for call in self.emulator.calls]

    def forget(self):
        self.emulator.calls.clear()


@contextmanager
def opened(folder, node_access="identity"):
    """Lend the world while it is open."""
    emulator = Emulator(folder).start()
    try:
        yield Azure(emulator, node_access)
    finally:
        azure_session.forget_clients()
        emulator.stop()
