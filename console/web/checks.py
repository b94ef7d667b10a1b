"""What `manage.py check --deploy` says beside Django's own: which setting leaves a door open, and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_network
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register  # noqa: A004 - as Django calls it
from django.core.exceptions import ImproperlyConfigured

from console.environment import near_misses

LONGEST_IDLE = 12 * 3600  # seconds: as long as a session lasts at all
WIDEST = 8  # bits of a network: wider ones are whole classes of addresses


def _is_open_network() -> bool:
    networks = (ip_network(entry, strict=False) for entry in settings.S3_ENDPOINTS_ALLOWED if "/" in entry)
    return any(network.prefixlen < WIDEST for network in networks)


def _endpoints() -> list[str]:
    return [cloud for cloud, given in settings.DEPLOYMENT_SETTINGS.items() if given.get("endpoint_url")]


# Kind, number, when it is so, what it means, what to do.
CHECKS: Sequence[tuple[Callable[..., CheckMessage], str, Callable[[], Any], str, str]] = (
    (
        *(Error, "E001", lambda: settings.DEMO_FILE),
        "The page to sign in at shows the demo's passwords, and /metrics is open to everybody.",
        "Unset DEMO_FILE.",
    ),
    (
        *(Error, "E002", lambda: {"*", "."} & {*settings.ALLOWED_HOSTS}),
        "The console believes any host name that a request names, and writes it into links of invitations.",
        "Set ALLOWED_HOSTS to the console's own host names, such as console.example.org.",
    ),
    (
        *(Error, "E003", lambda: settings.INSECURE_HTTP),
        "Passwords and cookies go over plain HTTP.",
        "Unset INSECURE_HTTP, and put TLS in front (console/deploy/README.md, The proxy).",
    ),
    (
        *(Error, "E004", lambda: any(not one.startswith("https://") for one in settings.CSRF_TRUSTED_ORIGINS)),
        "Forms are taken from pages that came over plain HTTP.",
        "Let each entry of CSRF_TRUSTED_ORIGINS begin with https://.",
    ),
    (
        *(Error, "E005", lambda: settings.OIDC_ISSUER and not settings.OIDC_ISSUER.startswith("https://")),
        "The identity provider is asked over plain HTTP: whoever is in between says who signs in.",
        "Let OIDC_ISSUER begin with https://.",
    ),
    (
        *(Error, "E006", lambda: settings.DEBUG),
        "Error pages show the source, and queries are kept in memory.",
        "Unset DEBUG.",
    ),
    (
        *(Warning, "W001", lambda: not settings.SUPPORT_SECOND_FACTOR),
        "Support staff, who see every organisation, come in by a password alone.",
        "Unset SUPPORT_SECOND_FACTOR, or set it to 1.",
    ),
    (
        *(Info, "I001", lambda: not settings.INSECURE_HTTP and settings.TRUSTED_PROXY_COUNT < 1),
        "Everybody has the address of the proxy that ends TLS: in the audit, and for limits on wrong passwords.",
        "Set TRUSTED_PROXY_COUNT to the number of your proxies in front, mostly 1.",
    ),
    (
        *(Warning, "W002", lambda: not 0 < settings.SESSION_IDLE_SECONDS <= LONGEST_IDLE),
        "A session that nobody uses stays open.",
        "Set SESSION_IDLE_MINUTES to 30, or to what your rules say.",
    ),
    (
        *(Warning, "W003", lambda: settings.EMAIL_HOST and not settings.EMAIL_USE_TLS),
        "Links of invitations go to the mail server in the clear.",
        "Unset EMAIL_TLS, or set it to 1.",
    ),
    (
        *(Warning, "W004", _is_open_network),
        "Linked servers may be nearly anywhere in your network: members can have the console connect there.",
        "Name in S3_ENDPOINTS_ALLOWED only the servers, or the networks, that members may link.",
    ),
    (
        *(Warning, "W005", lambda: settings.MAP_TILES_URL and not settings.MAP_TILES_URL.startswith("https://")),
        "Browsers fetch the map over plain HTTP, or refuse to.",
        "Let MAP_TILES_URL begin with https://.",
    ),
    (
        *(Warning, "W006", _endpoints),
        "A cloud is looked for at an address of your own: all keys of linked accounts are sent there.",
        "Unset each variable whose name ends in _ENDPOINT_URL: they are for the demo.",
    ),
    (
        *(Warning, "W007", lambda: settings.PUBLIC_URL and not settings.PUBLIC_URL.startswith("https://")),
        "The nodes' reports, with their tokens, go over plain HTTP.",
        "Let PUBLIC_URL begin with https://.",
    ),
)


def keys_are_keys(keys: Sequence[str]) -> None:
    """Raise ImproperlyConfigured for what is neither a Fernet key nor one that a vault has wrapped."""
    for number, key in enumerate(keys, 1):
        try:
            if not key.strip().startswith("vault:"):
                Fernet(key.strip())
        except ValueError:
            which = f"its entry {number}" if len(keys) > 1 else "it"
            raise ImproperlyConfigured(
                f"FIELD_ENCRYPTION_KEYS is not what it should be: {which} is no Fernet key, which has 44 characters "
                "(32 bytes in url-safe base64), nor one that a vault has wrapped (vault:v1:…). Keys are separated by "
                "commas; `make env` makes one, and console/deploy/keys.md says how."
            ) from None


@register(Tags.security)
def environment(app_configs: object, **_: Any) -> Iterator[CheckMessage]:
    """Yield what no command and no process should go on with, and names that nobody reads."""
    if not settings.BUILDING:
        try:
            keys_are_keys(settings.FIELD_ENCRYPTION_KEYS)
        except ImproperlyConfigured as error:
            yield Error(str(error), id="storekeeper.E010")
    for name, meant in near_misses(os.environ):
        yield Warning(
            f"{name} is in the environment, and nobody reads it.", hint=f"Did you mean {meant}?", id="storekeeper.W010"
        )


@register(Tags.security, deploy=True)
def deployment(app_configs: object, **_: Any) -> list[CheckMessage]:
    """Return what is open."""
    return list(_found())


def _found() -> Iterator[CheckMessage]:
    for kind, number, is_so, meaning, what_to_do in CHECKS:
        if is_so():
            yield kind(meaning, hint=what_to_do, id=f"storekeeper.{number}")
