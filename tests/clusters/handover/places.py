"""A node's places below a folder of the test."""

from __future__ import annotations

from dataclasses import dataclass

from clusters.pgbackrest.layout import Layout


@dataclass(frozen=True)
class Places(Layout):
    """The layout of a node whose machine is the folder `here`."""

    here: str = ""

    @property
    def folder(self) -> str:
        """Return the folder of the configuration."""
        return f"{self.here}/etc"

    @property
    def spool(self) -> str:
        """Return pgBackRest's spool-path."""
        return f"{self.here}/spool"

    @property
    def logs(self) -> str:
        """Return pgBackRest's log-path."""
        return f"{self.here}/log"

    @property
    def pgbackrest(self) -> str:
        """Return how pgBackRest is called."""
        return f"pgbackrest --config={self.configuration}"
