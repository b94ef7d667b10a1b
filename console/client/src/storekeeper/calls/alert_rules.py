"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import Core


class AlertRule(TypedDict):
    """A kind of alert."""

    key: str
    label: str


class AlertRulesCalls(Core):
    """The calls of alert-rules."""

    def list_alert_rules(
        self,
    ) -> Iterator[AlertRule]:
        """List the kinds of alerts that channels can choose from."""
        return self.rows("list_alert_rules", {})
