"""How deleted backups come back from a store on AWS."""

from __future__ import annotations

from datetime import datetime

from console.clouds.contract import Document, Recovery
from console.clouds.s3api import recovery
from console.clouds.specs import StoreSpec


def _undelete(spec: StoreSpec, prefix: str, at: datetime) -> Document:
    return recovery.undelete(spec, prefix, at, ["--region", spec.region])


RECOVERY = Recovery(
    has_versions=recovery.has_versions,
    undelete=_undelete,
    whole_from=recovery.WHOLE_FROM,
    uses="The machine has to be one of EC2, with this instance profile: start it so, or run aws ec2 "
    "associate-iam-instance-profile.",
    ends="Its policy ends by itself, to the second, and a worker deletes the role and the instance profile then.",
    shut_out="The nodes sign in as their machines. Take the instance profile from the machine that was broken into, or "
    "replace the machine; then revoke the role's older sessions (IAM, Roles, Revoke sessions), since what was copied "
    "from it stays good for hours.",
    deleters=lambda spec, prefix: recovery.deleters(spec, prefix, f"--region {spec.region}"),
)
