"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from typing import TypedDict

from ..core import OMIT, Core, Omit


class DeadmansSwitch(TypedDict):
    """The address that is asked while the console works: whoever misses that knows that it does not."""

    to: str
    minutes: int
    asked_at: str | None
    status: int | None
    answer: str


class ToldAgain(TypedDict):
    """How alerts are told."""

    repeat_hours: int
    dead_mans_switch: DeadmansSwitch


class AlertSettingsCalls(Core):
    """The calls of alert-settings."""

    def get_alert_settings(
        self,
    ) -> ToldAgain:
        """Show after how long alerts are repeated, and the dead man's switch."""
        found: ToldAgain = self.row("get_alert_settings", {})
        return found

    def change_alert_settings(
        self,
        *,
        repeat_hours: int,
    ) -> ToldAgain:
        """Choose after how many hours an open alert is told again; 0: never."""
        found: ToldAgain = self.row("change_alert_settings", {"repeat_hours": repeat_hours})
        return found

    def set_dead_mans_switch(
        self,
        *,
        url: str,
        minutes: int | Omit = OMIT,
    ) -> ToldAgain:
        """Set the address that is asked while the console works, or take it away.

        url: It is never shown again; empty: the switch is taken away.
        minutes: 1, 5, 15 or 60.
        """
        found: ToldAgain = self.row("set_dead_mans_switch", {"url": url, "minutes": minutes})
        return found
