"""Made by console/client/maker.py from the OpenAPI file: change that, not this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from ..core import Core
from .shapes import (
    SetupFile,
)


class CloudAccountType(TypedDict):
    """A cloud, or a server, whose accounts can be linked."""

    type: str
    label: str
    service: str
    external_id: str
    credentials: list[Question]
    files: list[SetupFile]


class Question(TypedDict):
    """One thing that is asked to link an account."""

    name: str
    label: str
    hint: str
    kind: str
    is_secret: bool
    is_required: bool
    choices: list[str]
    method: str


class CloudAccountTypesCalls(Core):
    """The calls of cloud-account-types."""

    def list_cloud_account_types(
        self,
    ) -> Iterator[CloudAccountType]:
        """List what can be linked, what each asks for, and the files that give the console its access there."""
        return self.rows("list_cloud_account_types", {})
