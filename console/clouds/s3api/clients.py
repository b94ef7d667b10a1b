"""The clients of boto3, Amazon's and those of any other server: one session for all, each made once and kept."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from console.clouds import calls, streams
from console.clouds.s3api import endpoints
from console.clouds.specs import AccountRef
from console.clouds.steps import ensure_lease

if TYPE_CHECKING:  # and loaded with the first client: three in four processes make none
    import boto3
    from botocore.config import Config

FOREVER = datetime.max.replace(tzinfo=UTC)

Service = Literal["s3", "iam", "sts"]


@dataclass(frozen=True)
class _Entry:
    """A cached client, valid for these credentials until then."""

    client: Any
    fingerprint: str
    until: datetime


_clients: dict[tuple[UUID, str, str], _Entry] = {}
_lock = Lock()  # making a client is the one thing in a session that threads must not do together


def network(**more: Any) -> Config:
    """Return how clients speak with a server.

    Few attempts, and no adaptive mode, which sleeps inside a worker: the operation's own backoff, which is recorded and
    holds no worker, follows. The pool is as large as the number of threads that may share a client.
    """
    from botocore.config import Config  # noqa: PLC0415

    tried: Any = {"mode": "standard", "total_max_attempts": 3}
    return Config(retries=tried, connect_timeout=5, read_timeout=20, max_pool_connections=64, **more)


def s3_network(**more: Any) -> Config:
    """Return the same for clients of S3."""
    return network(signature_version="s3v4", **more)


@cache
def session() -> boto3.Session:
    """Return the process's one session: each further one would cost 13 MB, a client of it half of one."""
    import boto3  # noqa: PLC0415

    one = boto3.Session()
    one.events.register("before-send", _before_send)  # also before each attempt that botocore makes by itself
    calls.watch(one.events)
    return one


@cache
def _who_asks() -> Config:
    """Return botocore's own User-Agent as one that was given: else it is put together anew, twice for each call."""
    from botocore.config import Config  # noqa: PLC0415

    return Config(user_agent=session()._session.user_agent())


def _before_send(**_: Any) -> None:
    ensure_lease()


def new_client(service: Service, region: str, **options: Any) -> Any:
    """Return a client that is not kept; `options` are what it is made with beside the region."""
    with _lock:
        given: Config | None = options.get("config")
        options["config"] = given.merge(_who_asks()) if given else _who_asks()
        client: Any = session().client(service, region_name=region, **options)
    if service == "s3":
        endpoints.keep(client)
    http = client._endpoint.http_session
    streams.limit(http._manager)
    http._pool_classes_by_scheme = http._manager.pool_classes_by_scheme  # for the operator's proxies
    return client


def send_md5(client: Any) -> None:
    """Have this client of S3 send Content-MD5 where S3 asks for a checksum, and not the CRC32 of newer clients.

    Every server knows Content-MD5. Many want it and refuse DeleteObjects, lifecycles and policies without it (MinIO's
    `MissingContentMD5`, Swift 2.30's `InvalidRequest`); others refuse the headers of the CRC32 (Backblaze B2:
    "Unsupported header 'x-amz-sdk-checksum-algorithm'").
    """
    client.meta.events.register("before-call.s3", _with_md5)


def _with_md5(params: dict[str, Any], **_: Any) -> None:
    checksum = params.get("context", {}).get("checksum", {})
    body = params.get("body")
    body = body.encode() if isinstance(body, str) else body
    if not checksum.get("request_algorithm") or not isinstance(body, bytes):
        return
    for name in ("request_algorithm", "request_algorithm_header"):
        checksum.pop(name, None)
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = b64encode(digest).decode()


def client_of(
    service: Service,
    account: AccountRef,
    region: str,
    sign_in: Callable[[], tuple[dict[str, Any], datetime]],
    prepare: Callable[[Any], None] = lambda client: None,
) -> Any:
    """Return the account's client in this region, made anew when what it signs in with changed or is about to expire.

    `sign_in` returns what only this client is made with, and until when that is valid; `prepare` gets the new client
    before anybody uses it.
    """
    key, fingerprint = (account.id, service, region), account.fingerprint
    entry = _clients.get(key)
    if entry and entry.fingerprint == fingerprint and datetime.now(UTC) < entry.until:
        return entry.client
    options, until = sign_in()  # outside the lock: it may wait for the network
    client = new_client(service, region, **options)
    prepare(client)
    with _lock:
        _clients[key] = _Entry(client, fingerprint, until)
    return client


def forget_clients(account: AccountRef | None = None) -> None:
    """Drop the cached clients of this account, or of all: the next call signs in again."""
    with _lock:
        for key in [key for key in _clients if account is None or key[0] == account.id]:
            del _clients[key]
