"""What workers ask the clouds: every day what the console may do in each account, and what somebody waits for."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from console.cloud_accounts import attempts, preflight, verification
from console.cloud_accounts.models import Attempt, CallsOfDay, Preflight, Verification
from console.operations import housekeeping
from console.operations.housekeeping import Rule
from console.operations.snapshots import SnapshotSource, daily, register

housekeeping.register(
    Rule(Attempt._meta.db_table, "ten minutes", Attempt.objects.over, "begun_at"),
    Rule(
        CallsOfDay._meta.db_table,
        "400 days",
        lambda: CallsOfDay.objects.filter(day__lt=timezone.now().date() - timedelta(days=400)),
        "day",
    ),
)
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
register(
    SnapshotSource(
        model=Attempt,
        read=attempts.look,
        every=None,
        rows=attempts.of_all,
        rate_key="organisation",
        organisation="organisation",
        related=("organisation", "membership__organisation", "membership__user", "cloud_account__organisation"),
        places="asks",
        queue="celery",  # what somebody has opened a dialog for goes before hundreds of snapshots
    )
)
