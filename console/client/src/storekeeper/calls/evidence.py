"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from ..core import OMIT, Core, File, Omit


class EvidenceCalls(Core):
    """The calls of evidence."""

    def export_backups_of_a_period(
        self,
        *,
        since: str | Omit = OMIT,
        until: str | Omit = OMIT,
        cluster_id: str | None | Omit = OMIT,
    ) -> File:
        """Hand out the backups of a period as CSV, of a cluster or of all; without one, those of the last quarter.

        since: A day (UTC), such as 2026-11-30.
        until: A day (UTC), such as 2026-11-30.
        """
        return self.file("export_backups_of_a_period", {"since": since, "until": until, "cluster_id": cluster_id})
