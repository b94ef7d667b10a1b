"""What workers read of the clouds when the console was restored from a copy."""

from __future__ import annotations

from console.operations.snapshots import SnapshotSource, register
from console.restoration import folders, taking
from console.restoration.models import FolderScan, NodeFile

register(
    SnapshotSource(
        model=FolderScan,
        read=folders.look,
        every=None,
        rows=folders.readable,
        rate_key="store__cloud_account",
        related=("store__cloud_account",),
    )
)
register(
    SnapshotSource(
        model=NodeFile,
        read=taking.look,
        kept=taking.take,
        every=None,
        rows=NodeFile.objects.all,
        rate_key="cloud_account",
        related=("organisation", "by"),
        places="asks",
        queue="celery",  # somebody waits for it
    )
)
