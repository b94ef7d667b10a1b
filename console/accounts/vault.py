"""Keys that are kept wrapped: the transit engine of HashiCorp Vault, or of OpenBao, unwraps them for the processes.

So neither the environment nor a file of the console holds a key that opens anything, the vault writes down who asked,
and whoever is refused there reads no secret. "Transit secrets engine (API)", Vault documentation.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from console.clouds import streams
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
    import requests  # noqa: PLC0415 - only where a key is wrapped

    from console.clouds.sessions import limited  # noqa: PLC0415

    address = urlsplit(settings.VAULT_ADDR)
    if address.scheme != "https" and not (address.scheme == "http" and is_here(address.hostname or "")):
        raise ImproperlyConfigured("VAULT_ADDR begins with https://, or names this machine: a token is sent there.")
    headers = {"X-Vault-Token": settings.VAULT_TOKEN, "X-Vault-Request": "true"}
    if settings.VAULT_NAMESPACE:
        headers["X-Vault-Namespace"] = settings.VAULT_NAMESPACE
    with limited(requests.Session()) as session:
        session.trust_env = False  # no .netrc, which would sign in instead, and no proxy
        session.verify = settings.VAULT_CACERT or True
        try:
            with streams.within(SECONDS, BYTES):
                answer = session.post(
                    settings.VAULT_ADDR.rstrip("/") + path,
                    json=body,
                    headers=headers,
                    timeout=SECONDS,
                    allow_redirects=False,
                )
            return answer.status_code, answer.json()
        except (requests.RequestException, ValueError, RecursionError) as error:
            why = streams.end_of(error) or type(error).__name__
            raise ImproperlyConfigured(f"The vault at {settings.VAULT_ADDR} does not answer: {why}.") from None
