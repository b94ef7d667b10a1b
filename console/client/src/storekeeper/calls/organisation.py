"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from typing import TypedDict

from ..core import Core


class OrganisationShown(TypedDict):
    """The organisation of the token."""

    id: str
    name: str
    edition: str
    second_factor_required: bool
    created_at: str


class OrganisationCalls(Core):
    """The calls of organisation."""

    def get_organisation(
        self,
    ) -> OrganisationShown:
        """Show the organisation, and what it asks of its members."""
        found: OrganisationShown = self.row("get_organisation", {})
        return found

    def change_organisation(
        self,
        *,
        second_factor_required: bool,
    ) -> OrganisationShown:
        """Ask a second factor of every member from their next click on, or no longer."""
        found: OrganisationShown = self.row("change_organisation", {"second_factor_required": second_factor_required})
        return found
