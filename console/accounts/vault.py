"""Keys that are kept wrapped: the transit engine of HashiCorp Vault, or of OpenBao, unwraps them for the processes.

So neither the environment nor a file of the console holds a key that opens anything, the vault writes down who asked,
and whoever is refused there reads no secret. "Transit secrets engine (API)", Vault documentation.
"""

from __future__ import annotations

import base64
import json
import ssl
from contextlib import suppress
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from socket import SHUT_RDWR, socket
from threading import Timer
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from console.web.connections import is_here

WRAPPED = "vault:"  # begins what transit has encrypted: vault:v1:…
SECONDS, BYTES = 10, 65_536  # of one answer, whatever the other side does


@cache
def unwrap(wrapped: str) -> str:
    """Return the key; asks once for each key and process. Raises ImproperlyConfigured, in words without a secret."""
    if not settings.VAULT_ADDR:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS holds a wrapped key: set VAULT_ADDR and VAULT_TOKEN.")
    path = f"/v1/{quote(settings.VAULT_MOUNT.strip('/'))}/decrypt/{quote(settings.VAULT_KEY, safe='')}"
    status, answer = _post(path, {"ciphertext": wrapped})
    try:
        if status == 200:
            return base64.b64decode(answer["data"]["plaintext"], validate=True).decode("ascii").strip()
        said = "; ".join(str(one)[:200] for one in answer.get("errors", [])) or "no reason given"
    except (KeyError, TypeError, AttributeError, ValueError):  # or no text, or none of ours
        said = "an answer that is none of Vault's"
    raise ImproperlyConfigured(f"The vault at {settings.VAULT_ADDR} unwraps no key ({status}): {said!r}.")


def _post(path: str, body: dict[str, str]) -> tuple[int, Any]:
    headers = {"X-Vault-Token": settings.VAULT_TOKEN, "X-Vault-Request": "true", "Content-Type": "application/json"}
    if settings.VAULT_NAMESPACE:
        headers["X-Vault-Namespace"] = settings.VAULT_NAMESPACE
    connection, timer = _connection(), None
    try:
        connection.connect()
        timer = Timer(SECONDS, _hang_up, [connection.sock])  # whatever drips in until then
        timer.daemon = True
        timer.start()
        connection.request("POST", path, json.dumps(body), headers)
        with connection.getresponse() as answer:
            read = answer.read(BYTES + 1)
            return answer.status, json.loads(read) if len(read) <= BYTES else None
    except (OSError, HTTPException, ValueError) as error:
        raise ImproperlyConfigured(f"The vault at {settings.VAULT_ADDR} does not answer: {error!r}.") from None
    finally:
        if timer:
            timer.cancel()
        connection.close()


def _connection() -> HTTPConnection:
    address = urlsplit(settings.VAULT_ADDR)
    host, port = address.hostname or "", address.port
    if address.scheme == "https":
        context = ssl.create_default_context(cafile=settings.VAULT_CACERT or None)
        return HTTPSConnection(host, port, timeout=SECONDS, context=context)
    if address.scheme == "http" and is_here(host):
        return HTTPConnection(host, port, timeout=SECONDS)
    raise ImproperlyConfigured("VAULT_ADDR begins with https://, or names this machine: a token is sent there.")


def _hang_up(stream: socket) -> None:
    with suppress(OSError):
        stream.shutdown(SHUT_RDWR)
