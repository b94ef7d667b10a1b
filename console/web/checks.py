"""What `manage.py check --deploy` says beside Django's own: which setting leaves a door open, and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register  # noqa: A004 - as Django calls it
from django.core.exceptions import ImproperlyConfigured

from console.environment import near_misses

LONGEST_IDLE = 12 * 3600  # seconds: as long as a session lasts at all
PLACEHOLDER = re.compile(r"change.?me|^(https://)?console\.example\.org$", re.IGNORECASE)  # of make env
WIDEST = 8  # bits of a network: wider ones are whole classes of addresses


def _is_open_network() -> bool:
    allowed = (*settings.S3_ENDPOINTS_ALLOWED, *settings.ALERT_ENDPOINTS_ALLOWED)
    networks = (ip_network(entry, strict=False) for entry in allowed if "/" in entry)
    return any(network.prefixlen < WIDEST for network in networks)


def _has_no_traces() -> bool:
    collector = settings.OTEL_EXPORTER_OTLP_ENDPOINT
    return bool(collector) and not (collector.startswith(("http://", "https://")) and _is_there("opentelemetry.sdk"))


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _endpoints() -> list[str]:
    return [cloud for cloud, given in settings.DEPLOYMENT_SETTINGS.items() if given.get("endpoint_url")]


def _weak(text: str) -> bool:
    """Return whether a secret can be guessed: too short, of few characters, or left as it was in an example."""
    return len(text) < 32 or len({*text}) < 8 or bool(PLACEHOLDER.search(text))


def _has_placeholder() -> bool:
    given = (settings.SECRET_KEY, settings.METRICS_TOKEN, settings.PUBLIC_URL, *settings.ALLOWED_HOSTS)
    password = str(settings.DATABASES["default"].get("PASSWORD") or "")
    return any(PLACEHOLDER.search(one) for one in (*given, password))


def _unreadable() -> list[str]:
    """Return the files of tokens that this process may not read, of those that are named."""
    named = [str(given.get("token_file") or "") for given in settings.DEPLOYMENT_SETTINGS.values()]
    return [one for one in named if one and not os.access(one, os.R_OK)]


def _no_principal() -> bool:
    given = settings.DEPLOYMENT_SETTINGS.values()
    return any(one.get("principal") == settings.AWS_PRINCIPAL_UNSET for one in given)


def _no_static_files() -> bool:
    return not Path(settings.STATIC_ROOT, "staticfiles.json").is_file()


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
        "Linked servers, or where alerts go, may be nearly anywhere in your network: members can have the console "
        "connect there.",
        "Name in S3_ENDPOINTS_ALLOWED and ALERT_ENDPOINTS_ALLOWED only the servers, or networks, that members need.",
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
        *(
            Error,
            "E007",
            lambda: len({key.strip() for key in settings.FIELD_ENCRYPTION_KEYS}) < len(settings.FIELD_ENCRYPTION_KEYS),
        ),
        "A key stands twice in FIELD_ENCRYPTION_KEYS: a rotation with it changes nothing.",
        "Let each entry of FIELD_ENCRYPTION_KEYS be another key (console/deploy/keys.md).",
    ),
    (
        *(Error, "E008", _has_placeholder),
        "A setting is still as it was in an example (CHANGE-ME, console.example.org).",
        "Look through the environment for what make env left to be set: DATABASE_URL, ALLOWED_HOSTS, PUBLIC_URL, "
        "SECRET_KEY, METRICS_TOKEN.",
    ),
    (
        *(Error, "E009", lambda: _weak(settings.SECRET_KEY)),
        "SECRET_KEY can be guessed, and with it anybody signs in as anybody.",
        "Set SECRET_KEY to 32 random characters or more: openssl rand -base64 48, or make env.",
    ),
    (
        *(Error, "E011", _no_static_files),
        "No static files are collected: pages come without their looks, or not at all.",
        "Run manage.py collectstatic --no-input with the same STATIC_ROOT.",
    ),
    (
        *(Warning, "W008", lambda: settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")),
        "The database is SQLite: one machine, one writer at a time, and no copy while it is written to.",
        "Name a PostgreSQL server in DATABASE_URL, such as postgres://user:password@host/name.",
    ),
    (
        *(Info, "I002", lambda: not settings.EMAIL_HOST),
        "No mail is sent: links of invitations are handed over by hand, and nobody is told of a new password.",
        "Set EMAIL_HOST, and EMAIL_FROM to an address of yours.",
    ),
    (
        *(
            Warning,
            "W009",
            lambda: settings.EMAIL_HOST and settings.DEFAULT_FROM_EMAIL.rstrip(">").endswith("@localhost"),
        ),
        "Mail is from storekeeper@localhost, which mail servers refuse.",
        "Set EMAIL_FROM to an address of yours.",
    ),
    (
        *(Warning, "W013", lambda: settings.DEADMAN_URL and not settings.DEADMAN_URL.startswith("https://")),
        "The dead man's switch is asked over plain HTTP: anybody in between can ask in the console's place.",
        "Let DEADMAN_URL begin with https://.",
    ),
    (
        *(Info, "I006", lambda: not settings.DEADMAN_URL),
        "Nobody hears it when the console itself falls silent, and with it all alerts.",
        "Set DEADMAN_URL to an address that tells when nobody asks for it any more (console/deploy/alerting.md).",
    ),
    (
        *(Info, "I003", _no_principal),
        "The trust policy that is shown to whoever links an account by a role lets nobody in: it names no identity.",
        "Set AWS_PRINCIPAL to the identity that the console runs as, if anybody links an account by a role.",
    ),
    (
        *(Info, "I004", lambda: not settings.PUBLIC_URL),
        "Nodes report to the address at which their scripts were downloaded, and bootstrap has to be told one.",
        "Set PUBLIC_URL to where the nodes reach the console, such as https://console.example.org.",
    ),
    (
        *(Warning, "W011", lambda: settings.METRICS_TOKEN and _weak(settings.METRICS_TOKEN)),
        "The token of /metrics can be guessed.",
        "Set METRICS_TOKEN to 32 random characters or more: openssl rand -hex 24.",
    ),
    (
        *(Info, "I005", lambda: settings.METRICS_TOKEN and not settings.PROMETHEUS_MULTIPROC_DIR),
        "Each answer of /metrics counts what the one process that answers has counted.",
        "Set PROMETHEUS_MULTIPROC_DIR to an empty folder that all processes on the machine share.",
    ),
    (
        *(Warning, "W012", _unreadable),
        "A file with a token of the console's own identity is not there, or this user may not read it.",
        "Look at AZURE_FEDERATED_TOKEN_FILE and GOOGLE_SUBJECT_TOKEN_FILE, and at who may read them.",
    ),
    (
        *(Warning, "W007", lambda: settings.PUBLIC_URL and not settings.PUBLIC_URL.startswith("https://")),
        "The nodes' reports, with their tokens, go over plain HTTP.",
        "Let PUBLIC_URL begin with https://.",
    ),
    (
        *(Error, "E025", _has_no_traces),
        "Traces are wanted, and there are none: the collector has no http:// or https://, or OpenTelemetry is missing.",
        "Let OTEL_EXPORTER_OTLP_ENDPOINT be as http://127.0.0.1:4318, and run make setup ENV=tracing; or unset it.",
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


# What a command of ours looks at before it begins. Django's other checks load every page, which takes as long as all
# the rest of a start; `manage.py check` makes them.
BEFORE_COMMANDS = (Tags.security, Tags.models, Tags.database)


@register(Tags.security)
def environment(app_configs: object, **_: Any) -> Iterator[CheckMessage]:
    """Yield what no command and no process should go on with, and names that nobody reads."""
    if not settings.BUILDING:
        try:
            keys_are_keys(settings.FIELD_ENCRYPTION_KEYS)
        except ImproperlyConfigured as error:
            yield Error(str(error), hint="Set FIELD_ENCRYPTION_KEYS (console/deploy/keys.md).", id="storekeeper.E010")
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
