"""Google, emulated by our own emulator: a project with the console's roles, and what its provider's tests do there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from console.clouds.google.linking import FIELDS
from console.clouds.google.session import forget_sessions
from console.clouds.specs import AccessSpec, AccountRef, DeploymentSettings, StoreSpec
from console.demo.credentials import GOOGLE
from console.demo.emulators.google.emulator import NUMBER, PROJECT, Emulator, trust_console
from console.demo.roles import google_roles
from tests.worlds import World

PREFIX = "c-k3v9x2m7q4ta"


FAULTS = {
    "denied": (403, "forbidden", "storekeeper does not have access.", ""),
    "busy": (429, "rateLimitExceeded", "The project exceeded the rate limit for creating and deleting buckets.", ""),
    "broken": (503, "backendError", "Backend Error", ""),
    "changed": (412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.", ""),
    "reset before": (0, "", "", "before"),
    "reset after": (0, "", "", "after"),
}


class Google(World):
    """The emulated Google; the console has exactly the roles there that it asks an administrator for."""

    key = "google"
    proof = "emulator"
    regions = ("europe-west1", "us-central1")
    faults = tuple(FAULTS)
    denials_survived: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, folder: Path | None = None) -> None:
        self.emulator = Emulator(folder).start()
        self.key_file: dict[str, str] = {}
        self.public_keys: dict[str, str] = {}
        self.reset()

    def clear(self) -> None:
        self.reset()

    def close(self) -> None:
        forget_sessions()
        self.emulator.stop()

    def reset(self) -> None:
        """Begin again, with nothing there but the project and the console's service account."""
        forget_sessions()
        self.emulator.reset()
        if self.key_file:  # making another key takes a while
            project = self.emulator.directory.projects[PROJECT]
            self.emulator.directory.add_account(project, "storekeeper", keys=dict(self.public_keys))
        else:
            self.key_file = self.emulator.administrator("storekeeper")
            self.public_keys = dict(self.emulator.directory.accounts[self.key_file["client_email"]].keys)
        self.give_roles(self.account())

    @property
    def deployment(self) -> DeploymentSettings:
        return DeploymentSettings(endpoint_url=self.emulator.url, ca_file=str(self.emulator.ca_file))

    def account(self, **settings: str) -> AccountRef:
        clean = {field.name: field.clean for field in FIELDS}
        return AccountRef(
            uuid4(),
            PROJECT,
            "",
            {
                "method": "key",
                "project_id": PROJECT,
                "project_number": NUMBER,
                "client_email": self.key_file["client_email"],
                "private_key_id": self.key_file["private_key_id"],
                "node_access": "key",
                **settings,
            },
            {"key": clean["key"](json.dumps(self.key_file))},
            self.deployment,
        )

    def signing_in(self, method: str) -> AccountRef:
        if method == "key":
            return self.account()
        email = self.key_file["client_email"]
        trust_console(self.emulator)
        linked = self.account(method=method, workload_provider=GOOGLE["workload_provider"], service_account=email)
        file = self.emulator.folder / GOOGLE["identity_file"]
        return replace(linked, secrets={}, deployment=replace(linked.deployment, token_file=str(file)))

    def prove(self, account: AccountRef) -> None:
        described = self.emulator.directory.accounts[account.settings["service_account"]]
        described.description = f"The console. storekeeper:external-id={account.settings['external_id']}"

    def give_roles(self, account: AccountRef) -> None:
        """Make the console's roles as the documents say, and bind them with their conditions."""
        self.emulator.let_in(self.key_file["client_email"], google_roles(**account.settings))

    # What stands there

    def look(self) -> dict[str, Any]:
        return {f"bucket {name}": one for name, one in self.buckets().items()} | {
            f"service account {email}": one for email, one in self.accounts().items()
        }

    def buckets(self) -> dict[str, Any]:
        """Return the buckets by name."""
        passing = {"timeCreated", "updated", "metageneration", "id", "kind"}
        buckets = {}
        for name, bucket in self.emulator.storage.buckets.items():
            settings = {key: value for key, value in bucket.settings.items() if key not in passing}
            soft = {"retentionDurationSeconds": settings["softDeletePolicy"]["retentionDurationSeconds"]}
            bindings = sorted(bucket.policy["bindings"], key=str)
            keys = {key: [bool(one.deleted) for one in many] for key, many in bucket.objects.items()}
            buckets[name] = {**settings, "softDeletePolicy": soft, "bindings": bindings, "objects": keys}
        return json.loads(json.dumps(buckets))

    def accounts(self) -> dict[str, Any]:
        """Return the service accounts but the console's and the administrator's."""
        mine = {self.key_file["client_email"], self.root()}
        return {
            email: {"description": one.description, "keys": len(one.keys)}
            for email, one in self.emulator.directory.accounts.items()
            if email not in mine
        }

    def put(self, spec: StoreSpec, key: str, data: bytes) -> None:
        self._write(spec.bucket, key, data)

    def take(self, spec: StoreSpec, key: str) -> None:
        self.emulator.storage.delete_object(self.root(), spec.bucket, key, {})

    def put_log(self, spec: StoreSpec) -> None:
        self._write(spec.log_bucket, "access_usage_2026_11_28_00_00_00_0a1b2c_v0", b"time_micros,c_ip\n")

    def _write(self, bucket: str, key: str, data: bytes) -> None:
        self.emulator.storage.put_object(self.root(), bucket, key, data, content_type="", query={})

    def root(self) -> str:
        """Return an administrator who may do everything, made when it is first asked for."""
        email = f"root@{PROJECT}.iam.gserviceaccount.com"
        if email not in self.emulator.directory.accounts:
            self.emulator.directory.add_account(self.emulator.directory.projects[PROJECT], "root")
            self.emulator.grant(email, "roles/storage.admin")
        return email

    def wipe(self, spec: StoreSpec) -> None:
        self.emulator.storage.buckets[spec.bucket].objects.clear()

    def occupy(self, spec: StoreSpec, *, log: bool) -> None:
        body = {"name": spec.log_bucket if log else spec.bucket, "location": spec.region}
        self.emulator.storage.insert(self.root(), {"project": PROJECT}, body)

    def spoils(self, spec: StoreSpec) -> Mapping[str, Callable[[], None]]:
        def settings(bucket: str, **values: Any) -> Callable[[], None]:
            return lambda: self.emulator.storage.buckets[bucket].settings.update(values)

        def let_in(bucket: str, member: str) -> Callable[[], None]:
            policy = self.emulator.storage.buckets[bucket].policy
            binding = {"role": "roles/storage.objectViewer", "members": [member]}
            return lambda: policy["bindings"].append(binding)

        def shut_out() -> None:
            bindings = self.emulator.storage.buckets[spec.log_bucket].policy["bindings"]
            bindings[:] = [one for one in bindings if one["role"] != "roles/storage.objectCreator"]

        open_ = {"uniformBucketLevelAccess": {"enabled": False}, "publicAccessPrevention": "inherited"}
        return {
            "tags": settings(spec.bucket, labels={}),
            "access": settings(spec.bucket, iamConfiguration=open_),
            "principals": let_in(spec.bucket, "allUsers"),
            "lifecycle": settings(spec.log_bucket, lifecycle={"rule": []}),
            "soft_delete": settings(spec.bucket, softDeletePolicy={"retentionDurationSeconds": "691200"}),
            "logging": settings(spec.bucket, logging={"logBucket": "elsewhere", "logObjectPrefix": ""}),
            "log_delivery": shut_out,
            "holds": settings(spec.bucket, retentionPolicy={"retentionPeriod": "864000"}, defaultEventBasedHold=True),
        }

    def access(self, *specs: StoreSpec) -> AccessSpec:
        account = specs[0].account if specs else self.account()
        return AccessSpec(uuid4(), "Orders (EU)", account, PREFIX, tuple(spec.bucket for spec in specs))

    # What goes wrong

    def fault(self, name: str, nth: int) -> None:
        status, reason, message, reset = FAULTS[name]
        self.emulator.inject(status, reason, message, reset=reset, nth=nth)

    def clear_faults(self) -> None:
        self.emulator.faults.clear()
        self.emulator.faults_met = 0

    def faults_met(self) -> int:
        return self.emulator.faults_met

    def calls(self) -> list[str]:
        return [f"{call.operation} {call.about}" for call in self.emulator.calls]

    def forget(self) -> None:
        self.emulator.calls.clear()


@contextmanager
def opened(folder: Path) -> Iterator[Google]:
    """Lend the world while it is open."""
    world = Google()
    yield world
    world.close()
