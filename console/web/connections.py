"""Whether what the console keeps its data in is spoken to over TLS: what `check --deploy` says of it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core import checks

# PostgreSQL documentation, "SSL Support": prefer, which is the default, falls back to plain text; require encrypts and
# lets in whoever answers.
VERIFIED = {"verify-ca", "verify-full"}
DATABASE_HINT = "Add ?sslmode=verify-full to DATABASE_URL, and sslrootcert= with the file of its CA."
BROKER_HINT = "Begin REDIS_URL with rediss://; add ?ssl_ca_certs= with the file of its CA if no system's CA signed it."


@checks.register(checks.Tags.security, deploy=True)
def database_is_verified(app_configs: Any, **_: Any) -> Iterator[checks.CheckMessage]:
    """Yield a warning for a database elsewhere whose certificate is not verified."""
    for name, database in settings.DATABASES.items():
        host = str(database.get("HOST") or "")
        mode = str(database.get("OPTIONS", {}).get("sslmode", "prefer"))
        if database["ENGINE"].endswith("postgresql") and not is_here(host) and mode not in VERIFIED:
            lacks = "is not verified" if mode == "require" else "may be without TLS"
            yield checks.Warning(
                f"The connection to the database {name} at {host} {lacks} (sslmode={mode}).",
                hint=DATABASE_HINT,
                id="connections.W001",
            )


@checks.register(checks.Tags.security, deploy=True)
def broker_is_verified(app_configs: Any, **_: Any) -> Iterator[checks.CheckMessage]:
    """Yield a warning for a broker elsewhere whose certificate is not verified."""
    address = urlsplit(settings.REDIS_URL)
    host, asked = address.hostname or "", parse_qs(address.query).get("ssl_cert_reqs", ["required"])[-1]
    if address.scheme in {"unix", "redis+socket"} or is_here(host):
        return
    if address.scheme != "rediss":
        yield checks.Warning(
            f"The connection to the broker at {host} is without TLS.", hint=BROKER_HINT, id="connections.W002"
        )
    elif asked.upper().removeprefix("CERT_") != "REQUIRED":
        said = f"The certificate of the broker at {host} is not verified (ssl_cert_reqs={asked})."
        yield checks.Warning(said, hint=BROKER_HINT, id="connections.W002")


def is_here(host: str) -> bool:
    """Say whether the host is this machine: no name at all, a socket's folder, or the loopback."""
    if not host or host.startswith("/") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
