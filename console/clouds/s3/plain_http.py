"""Whether a server answers plain HTTP, and what: the one way to see whether it refuses that when it is told to.

What is asked for is one object of the probe. The request is signed as any other, so who listens learns the ID of the
access key and a signature for just that object, and nothing that opens more.
"""

from __future__ import annotations

import itertools
import time
from urllib.parse import urlsplit

from urllib3 import PoolManager
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import HTTPError

from console.clouds import streams
from console.clouds.addresses import checked
from console.clouds.specs import AccountRef
from console.clouds.steps import ensure_lease

# HTTP's own, then where servers listen unless they are told otherwise, each in its documentation: Ceph RGW 7480, Swift
# and others 8080, SeaweedFS 8333, MinIO 9000 (behind a proxy that ends the TLS: with certificates of its own it speaks
# TLS alone there), Garage 3900, Ceph's examples and CloudServer 8000, ECS 9020, Ozone 9878, VersityGW 7070. 9090 is
# nobody's, but what people take next to 9000. What listens at the port of the endpoint speaks TLS there, yet a
# multiplexer (sslh, HAProxy in TCP mode) may take both.
PORTS = (80, 7480, 8080, 8333, 9000, 3900, 8000, 9020, 9090, 9878, 7070)
CONNECT_SECONDS, SECONDS, SIZE = 0.7, 2.0, 64 * 1024
ALL_SECONDS = 6.0  # a firewall that answers nothing costs CONNECT_SECONDS a port: the rest is left out then


def find_port(account: AccountRef, bucket: str, key: str, body: bytes) -> int:
    """Return the port at which the server gives this object over plain HTTP; 0 when none of those that are tried."""
    own, until = urlsplit(account.settings["endpoint"]).port or 443, time.monotonic() + ALL_SECONDS
    tried = itertools.takewhile(lambda port: time.monotonic() < until, dict.fromkeys((*PORTS, own)))
    return next((port for port in tried if read(account, port, bucket, key) == (200, body)), 0)


def read(account: AccountRef, port: int, bucket: str, key: str) -> tuple[int, bytes]:
    """Return the status and the body with which this port answers plain HTTP; (0, b"") when it does not."""
    from botocore.auth import S3SigV4Auth  # noqa: PLC0415 - with the first client, not with the process
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    ensure_lease()
    name = str(urlsplit(account.settings["endpoint"]).hostname)
    path = f"{bucket}/{key}"
    if account.settings.get("addressing_style") == "host":
        name, path = f"{bucket}.{name}", key
    url = f"http://{name}:{port}/{path}"
    request = AWSRequest("GET", url, {"Host": name if port == 80 else f"{name}:{port}"})
    secret = Credentials(account.settings.get("access_key_id", ""), account.secrets.get("secret_access_key", ""))
    S3SigV4Auth(secret, "s3", account.settings["region"]).add_auth(request)
    try:
        with streams.within(SECONDS, SIZE), _manager(account) as manager:
            answer = manager.request("GET", url, headers=dict(request.headers), redirect=False, retries=False)
            return answer.status, answer.data
    except (HTTPError, OSError, ValueError):
        return 0, b""


def _manager(account: AccountRef) -> PoolManager:
    """Return what connects, without TLS, only to where servers may be (console.clouds.addresses)."""
    manager = PoolManager(timeout=CONNECT_SECONDS, retries=False)
    allowed = account.deployment.endpoints_allowed
    manager.pool_classes_by_scheme = {"http": checked(HTTPConnectionPool, allowed)}
    streams.limit(manager)
    return manager
