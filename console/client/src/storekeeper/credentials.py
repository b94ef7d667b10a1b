"""What a call proves itself with: an API token, or client credentials, which give access tokens of a day."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Protocol

from .errors import Invalid, NotSignedIn, NotTheConsole
from .transport import Transport

EARLY = 300  # seconds before its end in which an access token is not used any more


class Credentials(Protocol):
    """Gives the text that goes into Authorization."""

    def bearer(self, transport: Transport) -> str:
        """Return a token that is good now."""

    def refused(self) -> bool:
        """Say whether another one may be had, now that the last one was refused."""


@dataclass
class ApiToken:
    """A token (sk_…) of the page *API tokens*."""

    token: str = field(repr=False)

    def bearer(self, transport: Transport) -> str:
        """Return it."""
        return self.token

    def refused(self) -> bool:
        """Say no: there is no other."""
        return False


@dataclass
class ClientCredentials:
    """A client ID and its secret; `access_token` and `until` (Unix time) may be kept between two runs."""

    client_id: str
    client_secret: str = field(repr=False)
    access_token: str = field(default="", repr=False)
    until: float = 0

    def bearer(self, transport: Transport) -> str:
        """Return the access token, a new one if need be; raises NotSignedIn for wrong credentials."""
        if not self.access_token or self.until - EARLY < time.time():
            asked = {
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "grant_type": "client_credentials",
            }
            try:
                answer = transport.call(
                    "POST",
                    "/v1/oauth/token",
                    headers={"Content-Type": "application/json"},
                    body=json.dumps(asked).encode(),
                    is_safe_to_repeat=True,  # it only makes one token more
                )
            except Invalid as error:
                raise NotSignedIn(401, error.detail, request_id=error.request_id) from error
            told = answer.json()
            if not isinstance(told, dict) or not isinstance(told.get("access_token"), str):
                raise NotTheConsole("The console's answer holds no access token.")
            self.access_token, self.until = told["access_token"], time.time() + float(told.get("expires_in") or 0)
        return self.access_token

    def refused(self) -> bool:
        """Forget the access token; say whether there was one."""
        had, self.access_token = bool(self.access_token), ""
        return had
