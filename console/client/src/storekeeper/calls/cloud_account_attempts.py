"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from ..core import Core
from .shapes import (
    Attempting,
)


class CloudAccountAttemptsCalls(Core):
    """The calls of cloud-account-attempts."""

    def get_cloud_account_attempt(
        self,
        key: str,
    ) -> Attempting:
        """Show how far an attempt of one's own is; it is forgotten after ten minutes."""
        found: Attempting = self.row("get_cloud_account_attempt", {"key": key})
        return found
