"""What is read of each linked account every day: what the console may do there, and that it still is who it was."""

from __future__ import annotations

from datetime import timedelta

from console.cloud_accounts import preflight, verification
from console.cloud_accounts.models import Preflight, Verification
from console.operations.snapshots import SnapshotSource, daily, register

register(
    SnapshotSource(
        model=Preflight,
        read=preflight.look,
        every=lambda preflight: timedelta(days=1),
        rows=preflight.of_all,
        rate_key="cloud_account",
        related=("cloud_account",),
    )
)
register(
    SnapshotSource(
        model=Verification,
        read=verification.verify,
        every=lambda found: daily(found.cloud_account_id),
        rows=verification.of_all,
        rate_key="cloud_account",
        related=("cloud_account__organisation",),
    )
)
