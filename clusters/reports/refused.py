"""Reports that are refused while the console is compared with what is there: they tell of nodes made after the copy."""

from __future__ import annotations

import re
from uuid import UUID

from django.utils import timezone

from console.restoration.models import RefusedReport, Restoration

NAME = re.compile(r"n\d{1,8}")


def note(cluster: UUID, node: str) -> None:
    """Note that somebody reports as this node, in vain; anybody can, so only so many are kept."""
    if not NAME.fullmatch(node) or not Restoration.objects.open().exists():
        return
    now = timezone.now()
    rows = RefusedReport.objects.filter(cluster=cluster, node=node)
    if rows.update(last_at=now) or RefusedReport.objects.count() >= RefusedReport.AT_MOST:
        return
    RefusedReport.objects.bulk_create([RefusedReport(cluster=cluster, node=node)], ignore_conflicts=True)
