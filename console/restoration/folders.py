"""The folders of clusters in the stores: those that no cluster here has were made since the copy, or are left over."""

from __future__ import annotations

import re
from typing import Any

from console.operations.snapshots import SnapshotQuerySet
from console.restoration.models import FolderScan, of_row
from stores.models import State, Store

FOLDER = re.compile(r"c-[a-z2-7]{12}")
AT_MOST = 200  # of a store


def readable() -> SnapshotQuerySet:
    """Return the scans of the stores of organisations that are being compared."""
    stores = Store.objects.filter(of_row("organisation"), state__in=(State.AVAILABLE, State.DEGRADED))
    missing = stores.filter(folder_scan=None).values_list("pk", flat=True)
    FolderScan.objects.bulk_create([FolderScan(store_id=pk) for pk in missing], ignore_conflicts=True)
    return FolderScan.objects.filter(store__in=stores)


def look(scan: FolderScan) -> Any:
    """Return the names of the clusters' folders in the store; raises a StepError."""
    store = scan.store
    found = store.cloud.storage.objects(store.spec()).folders("")
    return sorted(name for name in found if FOLDER.fullmatch(name))[:AT_MOST]
