"""The environment, read one setting at a time: what is none says in one line which, what it got, and an example.

Only console.settings reads settings with it, and `manage.py write_environment`, which runs before there are any.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail.message import sanitize_address
from django.core.validators import validate_email

T = TypeVar("T")

LONGEST = 4096  # characters of a setting that is no certificate
CERTIFICATES = 256 * 1024  # characters of those that are
SHOWN = 80  # characters of a wrong value that are repeated
SECRETS = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|DATABASE_URL|REDIS_URL|_CA\b")
HOST = r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
# What is read, by name: the kind of it, which tests go by, and the search for names that were misspelt.
READ: dict[str, str] = {}
# Read by libraries themselves, or by systemd and the shell: names that are close to ours, and right.
OTHERS = ("PROMETHEUS_MULTIPROC_DIR", "CREDENTIALS_DIRECTORY", "DJANGO_SETTINGS_MODULE", "HOSTNAME", "LOGNAME")
# What other programs call the same: Django's own names, and those of other consoles.
ELSEWHERE = {
    "DEFAULT_FROM_EMAIL": "EMAIL_FROM",
    "EMAIL_USE_TLS": "EMAIL_TLS",
    "EMAIL_USER": "EMAIL_HOST_USER",
    "EMAIL_PASSWORD": "EMAIL_HOST_PASSWORD",  # a name, no password
    "BROKER_URL": "REDIS_URL",
    "CELERY_BROKER_URL": "REDIS_URL",
    "VALKEY_URL": "REDIS_URL",
    "LOGLEVEL": "LOG_LEVEL",
}


def env(name: str, default: str | None = None, *, hint: str = "", kind: str = "text", longest: int = LONGEST) -> str:
    """Return a setting: from the file that NAME_FILE names, the environment, or systemd's credential NAME.

    systemd.exec(5), "Credentials": a service finds those of LoadCredential= and the like as files in a folder.
    Raises ImproperlyConfigured for one that is missing, unreadable, too long, or holds what is not printed.
    """
    READ[name] = kind
    text = _found(name, default, hint)
    if len(text) > longest:
        raise ImproperlyConfigured(f"{name} has {len(text):,} characters, and may have {longest:,}. {hint}".strip())
    if kind != "certificates" and not text.isprintable():
        raise ImproperlyConfigured(
            f"{name} holds a line break or another character that is not printed. {hint}".strip()
        )
    return text


def _found(name: str, default: str | None, hint: str) -> str:
    if path := os.environ.get(f"{name}_FILE"):
        return _read(name, Path(path))
    if name in os.environ:
        return os.environ[name]
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (credential := Path(folder, name)).is_file():
        return _read(name, credential)
    if default is None:
        where = (
            f"in the environment, or {name}_FILE to a file that holds it, or give systemd's service a credential {name}"
        )
        raise ImproperlyConfigured(f"Set {name} {where}. {hint}")
    return default


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:  # neither of which holds what is in the file
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ImproperlyConfigured(f"{name} cannot be read from {path}: {why}.") from None


def wrong(name: str, value: str, wanted: str) -> ImproperlyConfigured:
    """Return what to raise: the setting's name, what it got unless that is a secret, and what it wants."""
    if not value.strip():
        return ImproperlyConfigured(f"{name} is empty: it wants {wanted}.")
    if SECRETS.search(name):
        return ImproperlyConfigured(f"{name} is not what it should be (it is not shown): it wants {wanted}.")
    shown = value if len(value) <= SHOWN else f"{value[:SHOWN]}…"
    return ImproperlyConfigured(f"{name} is {shown!r}: it wants {wanted}.")


def _as(name: str, value: str, wanted: str, read: Callable[[str], T | None]) -> T:
    """Return the value as `read` has it; raises ImproperlyConfigured where that gives None or a ValueError."""
    try:
        result = read(value)
    except (ValueError, TypeError):
        result = None
    if result is None:
        raise wrong(name, value, wanted) from None
    return result


def env_list(
    name: str, default: str = "", *, each: str = "", wanted: str = "", required: bool = False, hint: str = ""
) -> list[str]:
    """Return a comma-separated setting as a list; `each` is a pattern that each entry has to fit."""
    text = env(name, default, hint=hint, kind="list")
    entries = [item.strip() for item in text.split(",") if item.strip()]
    for entry in entries:
        if each and not re.fullmatch(each, entry):
            raise wrong(name, entry, wanted)
    if not entries and (required or text.strip()):
        raise wrong(name, text, wanted)
    return entries


def env_number(name: str, default: int, *, least: int = 0, most: int = 1_000_000) -> int:
    """Return a setting that is a whole number, of at least and at most so much."""
    text = env(name, str(default), kind="number")
    wanted = f"a whole number from {least} to {most}, such as {default}"
    return _as(name, text, wanted, lambda one: int(one) if one.isascii() and least <= int(one) <= most else None)


def env_switch(name: str, default: bool = False) -> bool:
    """Return a setting that is on (1) or off (0, or empty): any other word would be taken for the wrong one."""
    text = env(name, "1" if default else "", kind="switch").strip()
    return _as(name, text, "1 for on, or 0 for off", {"1": True, "0": False, "": False}.get)


def env_choice(name: str, default: str, choices: Iterable[str]) -> str:
    """Return a setting that is one of these words, in capitals or not."""
    known = {one.casefold(): one for one in choices}
    text = env(name, default, kind="choice")
    return _as(name, text, f"one of {', '.join(known.values())}", lambda one: known.get(one.strip().casefold()))


def env_pattern(name: str, default: str | None, pattern: str, wanted: str, *, hint: str = "") -> str:
    """Return a text that fits the pattern; where the default is empty, it may be empty."""
    text = env(name, default, hint=hint, kind="pattern").strip()
    if default == "" and not text:
        return ""
    return _as(name, text, wanted, lambda one: one if re.fullmatch(pattern, one) else None)


def env_url(
    name: str, example: str, *, schemes: Iterable[str] = ("https", "http"), path: bool = True, default: str = ""
) -> str:
    """Return an address, or nothing where none is set."""
    text = env(name, default, kind="url").strip()

    def read(value: str) -> str | None:
        url = urlsplit(value)
        right = url.scheme in schemes and re.fullmatch(rf"({HOST}|\[[0-9a-fA-F:.]+\])(:\d+)?", url.netloc)
        plain = not (url.query or url.fragment or re.search(r"[\s'\"\\<>?#]", value)) and (
            path or url.path in ("", "/")
        )
        return value if right and plain and (url.port is None or url.port > 0) else None

    return _as(name, text, f"an address, such as {example}", read) if text else ""


def env_path(
    name: str, default: str = "", *, folder: bool = False, exists: bool = False, writable: bool = False
) -> str:
    """Return the absolute path of a file (or folder), or nothing where none is set."""
    text = env(name, default, kind="path").strip()
    if not text and not default:
        return ""
    what = "folder" if folder else "file"
    more = (" that is there" if exists else "") + (" and may be written to" if writable else "")
    example = "/var/lib/storekeeper" if folder else "/etc/storekeeper/file"
    wanted = f"the absolute path of a {what}{more}, such as {example}"

    def read(value: str) -> str | None:
        path = Path(value)
        wrong_kind = path.is_file() if folder else path.is_dir()
        there = (not exists or path.exists()) and (not writable or os.access(path, os.W_OK | os.X_OK))
        return value if path.is_absolute() and not wrong_kind and there else None

    try:
        return _as(name, text, wanted, read)
    except OSError as error:  # a name that is too long for this file system, or a folder that may not be looked into
        raise ImproperlyConfigured(f"{name} is {text[:SHOWN]!r}: {error.strerror}; it wants {wanted}.") from None


def env_email(name: str, default: str) -> str:
    """Return whom e-mail is from: an address, or a name with one in angle brackets."""

    def read(value: str) -> str | None:
        try:
            validate_email(re.sub(r"^[^<>]*<([^<>]*)>$", r"\1", value))
        except ValidationError:
            return None
        sanitize_address(value, "utf-8")
        return value

    wanted = "an address, such as storekeeper@example.org or Storekeeper <storekeeper@example.org>"
    return _as(name, env(name, default, kind="email").strip(), wanted, read)


def env_certificates(name: str) -> str:
    """Return certificates in PEM, or nothing where none are set."""
    text = env(name, "", kind="certificates", longest=CERTIFICATES).strip()
    if not text:
        return ""

    def read(value: str) -> str | None:
        from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - few set any

        return (
            value
            if value.startswith("-----BEGIN CERTIFICATE-----") and load_pem_x509_certificates(value.encode())
            else None
        )

    return _as(name, text, f"certificates in PEM, such as by {name}_FILE=/etc/ssl/our-ca.pem", read)


def env_places(name: str) -> list[str]:
    """Return networks, addresses and host names."""
    example = "networks, addresses or host names, comma-separated, such as 10.20.0.0/16,minio.internal"
    entries = env_list(name, wanted=example)
    for entry in entries:
        _as(name, entry, example, _place)
    return entries


def _place(entry: str) -> str | None:
    if "/" in entry:
        return str(ip_network(entry, strict=False))
    if re.fullmatch(r"[\d.]+|.*:.*", entry):
        return str(ip_address(entry))
    return entry if re.fullmatch(HOST, entry) else None


def env_database(name: str, default: str | None = None) -> str:
    """Return the address of a database of PostgreSQL or SQLite that can be parsed."""
    wanted = "postgres://user:password@host/name, with %-codes for what is special in the password"
    text = env(name, default, hint="postgres://user:password@host/name", kind="database").strip()

    def read(value: str) -> str | None:
        found = dj_database_url.parse(value)
        scheme = value.partition(":")[0]
        if scheme == "sqlite":
            return value if found["NAME"] else None
        right = scheme in {"postgres", "postgresql", "pgsql"} and 0 < len(str(found["NAME"])) < 64
        return value if right and re.fullmatch(r"[\w.:%/@,-]*", str(found["HOST"])) else None

    try:
        return _as(name, text, wanted, read)
    except ImproperlyConfigured:
        raise
    except Exception:  # what dj_database_url raises tells the address, and that the password
        raise wrong(name, text, wanted) from None


def env_broker(name: str, default: str) -> str:
    """Return the address of a database of Redis or Valkey."""

    def read(value: str) -> str | None:
        url = urlsplit(value)
        if url.scheme in {"unix", "redis+socket"}:
            return value if url.path.startswith("/") else None
        right = (
            url.scheme in {"redis", "rediss"} and url.hostname and re.fullmatch(HOST + r"|[0-9a-fA-F:.]+", url.hostname)
        )
        return (
            value if right and (url.port is None or url.port > 0) and re.fullmatch(r"(/\d{0,5})?", url.path) else None
        )

    return _as(name, env(name, default, kind="broker").strip(), "an address such as redis://127.0.0.1:6379/0", read)


def env_hosts(name: str, default: str) -> list[str]:
    """Return host names, `*` among them at the operator's risk; never an address with its scheme or port."""
    pattern = rf"\*|\.?{HOST}|\[[0-9a-fA-F:.]+\]"
    wanted = "host names without https:// and port, comma-separated, such as console.example.org"
    return env_list(name, default, each=pattern, wanted=wanted, required=True)


def near_misses(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return which of these names are read by nobody, and each time the one that was probably meant."""
    known = {plain(name): name for name in (*READ, *(f"{name}_FILE" for name in READ))}
    right = {*known.values(), *OTHERS}
    found = []
    for name in sorted({*names} - right):
        bare = re.sub(r"^(STOREKEEPER|DJANGO)_", "", name.upper())
        meant = ELSEWHERE.get(bare) or known.get(plain(bare)) or _closest(plain(bare), known)
        if meant and not name.startswith(("AWS_", "LIVE_", "VAULT_SKIP", "VAULT_CAPATH")):
            found.append((name, meant))
    return found


def plain(name: str) -> str:
    """Return a name without what is most often mistaken in one."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def _closest(name: str, known: dict[str, str]) -> str:
    close: list[Any] = get_close_matches(name, known, n=1, cutoff=0.87) if len(name) > 6 else []
    return known[close[0]] if close else ""
