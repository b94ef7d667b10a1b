"""Sessions of requests whose answers have an end (console.clouds.streams); loaded where one is made, as requests is."""

from __future__ import annotations

from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter

from console.clouds import streams

REDIRECTS = 5
SessionT = TypeVar("SessionT", bound=requests.Session)


class Adapter(HTTPAdapter):
    """Opens limited connections only, and asks for answers that are not packed."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Make what opens connections."""
        super().init_poolmanager(*args, **options)
        streams.limit(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """Return what opens connections through the operator's proxy."""
        manager = super().proxy_manager_for(*args, **options)
        streams.limit(manager)
        return manager

    def add_headers(self, request: requests.PreparedRequest, **options: Any) -> None:
        """Say that nothing is to be packed: requests would say the opposite."""
        request.headers["Accept-Encoding"] = "identity"


def limited(session: SessionT, **options: Any) -> SessionT:
    """Return the session, with all that it asks limited; `options` are those of an HTTPAdapter."""
    session.max_redirects = REDIRECTS
    for scheme in ("https://", "http://"):
        session.mount(scheme, Adapter(**options))
    return session
