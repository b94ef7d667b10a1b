"""What became of trying a key that was made by hand for a cluster's nodes, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KeyTrial:
    """What nodes could do with the key; all in sentences, each with what to do."""

    refused: tuple[str, ...] = ()  # what pgBackRest would fail at
    field: str = ""  # the part of the key that is wrong: access_key_id or secret_access_key; "" when it is neither
    unread: tuple[str, ...] = ()  # where the console could not read what a node writes: backups work, and are not seen
    broad: tuple[str, ...] = ()  # what it may do outside of the cluster's folder
    untried: str = ""  # why it could not be tried to the end: no answer, a server that is busy
    left: tuple[str, ...] = ()  # what could not be taken away again

    @property
    def may_be_kept_anyway(self) -> bool:
        """Return whether somebody who knows better may keep the key: nothing that nodes need was refused."""
        return not self.refused and bool(self.untried or self.unread)
