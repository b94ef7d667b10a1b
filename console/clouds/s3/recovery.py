"""How deleted backups come back from a store on an S3-compatible server."""

from __future__ import annotations

import shlex
from datetime import datetime

from console.clouds.contract import Document, Recovery
from console.clouds.s3.session import has, verifies
from console.clouds.s3api import recovery
from console.clouds.specs import StoreSpec


def _options(spec: StoreSpec) -> list[str]:
    options = ["--endpoint-url", spec.account.settings["endpoint"], "--region", spec.region]
    return options if verifies(spec.account) else [*options, "--no-verify-ssl"]


def _undelete(spec: StoreSpec, prefix: str, at: datetime) -> Document:
    certificate = spec.account.settings.get("ca_certificate", "") if verifies(spec.account) else ""
    return recovery.undelete(spec, prefix, at, _options(spec), ca_certificate=certificate)


def _deleters(spec: StoreSpec, prefix: str) -> str:
    return recovery.deleters(spec, prefix, shlex.join(_options(spec))) if has(spec.account, "access_logging") else ""


# No date in the policy: of the conditions that IAM has, such servers know some (SeaweedFS 4.48 refuses every call of a
# user whose policy has aws:CurrentTime).
RECOVERY = Recovery(
    has_versions=recovery.has_versions,
    undelete=_undelete,
    whole_from=recovery.WHOLE_FROM,
    uses="The configuration has its access key.",
    ends="The server ends nothing by itself: a worker deletes the user with its key then, and tries until it is gone.",
    shut_out="Delete the nodes' access key on the server. The console makes another when the cluster's access is "
    "repaired; then apply the files on each node.",
    deleters=_deleters,
)
