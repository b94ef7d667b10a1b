"""Clients of linked servers connect only to where servers may be (console.clouds.addresses)."""

from __future__ import annotations

from typing import Any

from console.clouds import streams
from console.clouds.addresses import checked


def guard(client: Any, allowed: tuple[str, ...]) -> None:
    """Have this one client of botocore connect, over TLS, only to where servers may be."""
    from botocore.awsrequest import AWSHTTPSConnectionPool  # noqa: PLC0415 - loaded by now

    manager = client._endpoint.http_session._manager
    manager.pool_classes_by_scheme = {"https": checked(AWSHTTPSConnectionPool, allowed)}
    streams.limit(manager)
