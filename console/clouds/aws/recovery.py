"""How deleted backups come back from a store on AWS."""

from __future__ import annotations

from datetime import datetime

from console.clouds.contract import Document, Recovery, StoreSpec
from console.clouds.s3api import recovery


def _undelete(spec: StoreSpec, prefix: str, at: datetime) -> Document:
    return recovery.undelete(spec, prefix, at, ["--region", spec.region])


RECOVERY = Recovery(
    has_versions=recovery.has_versions,
    undelete=_undelete,
    ends="Its policy ends by itself, to the second, and a worker deletes the role and the instance profile then.",
    deleters=lambda spec, prefix: recovery.deleters(spec, prefix, f"--region {spec.region}"),
)
