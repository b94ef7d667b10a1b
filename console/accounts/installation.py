"""Whose database and whose broker this is: a process that has another console's, or lacks a key, does no work.

The database names the installation by an ID, with a proof that only its keys of FIELD_ENCRYPTION_KEYS open (and that
`rotate_keys` encrypts anew, as all else), and an HMAC by its SECRET_KEY. The broker names the installation whose
messages are in it: two consoles on one would take each other's.
"""

from __future__ import annotations

import hmac
import logging
import os
import time
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import Any
from uuid import UUID

import celery
from celery.exceptions import Ignore
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import transaction
from django.db.models import BinaryField, ExpressionWrapper, F
from redis import RedisError

from console.accounts.encryption import cipher
from console.accounts.models import Installation
from console.environment import near_misses
from console.release import VERSION
from console.web import broker
from console.web.checks import keys_are_keys

log = logging.getLogger("storekeeper.installation")

BROKER_KEY = "storekeeper:installation"
AGAIN = 5.0  # seconds between two tries to reach a database that did not answer
ACCEPT = "If it is right, and was changed on purpose: manage.py installation --accept."


SETTINGS = {"secret_key_hmac": "SECRET_KEY", "public_url": "PUBLIC_URL"}  # names alone


class Unknown(Exception):
    """The database does not answer, has no tables yet, or the vault unwraps no key now: nothing can be said."""


@dataclass
class Found:
    """What a process finds of its installation: what keeps it from working, each with what to do, and what is odd."""

    id: UUID
    public_url: str
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    broker_seen: bool = True


def this() -> Installation:
    """Return the row, made by whoever comes first; raises DatabaseError. Its proof is not read."""
    known = Installation.objects.defer("proof").first()
    if known is None:
        mine = Installation()
        defaults = {
            "id": mine.id,
            "proof": {"installation": str(mine.id)},
            "secret_key_hmac": fingerprint(mine.id),
            "public_url": settings.PUBLIC_URL,
            "version": VERSION,
        }
        with transaction.atomic():
            Installation.objects.defer("proof").get_or_create(only=True, defaults=defaults)
        known = Installation.objects.defer("proof").get()
    return known


def fingerprint(pk: UUID) -> str:
    """Return what SECRET_KEY makes of the installation's ID."""
    return hmac.new(settings.SECRET_KEY.encode(), f"storekeeper:{pk}".encode(), sha256).hexdigest()


def keys_open(pk: UUID) -> bool:
    """Return whether the keys of this process open the proof; raises Unknown while a vault unwraps none."""
    raw = ExpressionWrapper(F("proof"), output_field=BinaryField())
    token = Installation.objects.annotate(token=raw).values_list("token", flat=True).get(pk=pk)
    try:
        keys = cipher()
    except ImproperlyConfigured as error:
        raise Unknown(str(error)) from error
    try:
        keys.decrypt(bytes(token))
    except InvalidToken:
        return False
    return True


def look(*, only: bool = False, take_broker: bool = False) -> Found:
    """Return what this process has before it; raises Unknown, and ImproperlyConfigured for keys that are none.

    `only` writes nothing down, neither a new installation nor whose the broker is; `take_broker` names this
    installation in the broker, whoever was there.
    """
    keys_are_keys(settings.FIELD_ENCRYPTION_KEYS)
    try:
        row = Installation.objects.defer("proof").first() if only else this()
        if row is None:
            raise Unknown("Nobody has worked with this database yet.")
        opens = keys_open(row.pk)
    except DatabaseError as error:
        raise Unknown(f"The database does not answer, or is not migrated: {type(error).__name__}.") from error
    found = Found(row.pk, row.public_url)
    if not opens:
        found.problems.append(
            f"No key of FIELD_ENCRYPTION_KEYS opens what is in this database (installation {row.pk}). Either "
            "DATABASE_URL names another console's database: correct it. Or a key is missing: put it back "
            "(console/deploy/keys.md)."
        )
    elif not hmac.compare_digest(row.secret_key_hmac, fingerprint(row.pk)):
        found.problems.append(
            f"This database belongs to installation {row.pk}, whose SECRET_KEY is another one: DATABASE_URL may name "
            f"another console's database. {ACCEPT}"
        )
    if settings.PUBLIC_URL and row.public_url != settings.PUBLIC_URL:
        found.warnings.append(
            f"PUBLIC_URL is {settings.PUBLIC_URL}, and installation {row.pk} was at {row.public_url or 'none'}: "
            f"DATABASE_URL may name another console's database. {ACCEPT}"
        )
    _look_at_broker(found, take=take_broker, only=only)
    return found


def _look_at_broker(found: Found, *, take: bool, only: bool) -> None:
    mine = str(found.id)
    try:
        with broker.client() as server:
            if not found.problems and not only:  # whoever works with a wrong database marks no broker
                server.set(BROKER_KEY, mine, nx=not take)
            there = _text(server.get(BROKER_KEY))
    except (RedisError, ValueError, OSError):  # it is away: /readyz and the log say so
        found.broker_seen = False
        return
    if there not in (mine, ""):
        found.problems.append(
            f"The broker at REDIS_URL has the messages of installation {there}, and this one is {mine}: they would "
            "take each other's work. Give each console a database index of its own, such as redis://…/1. If the other "
            "one is no more: manage.py installation --take-broker."
        )


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


class Gate:
    """Open once the process has found its own database and broker; asks again for as long as it could not."""

    def __init__(self) -> None:
        self.open, self.problem, self._at, self._lock = False, "", 0.0, Lock()

    def require(self) -> None:
        """Raise ImproperlyConfigured, with what to do, where this process must not work."""
        self._look()
        if self.problem:
            raise ImproperlyConfigured(self.problem)

    def refusal(self) -> str:
        """Return why this process must not work now, or nothing."""
        if self.open or (self._at and time.monotonic() - self._at < AGAIN):
            return self.problem
        if self._lock.acquire(blocking=False):  # others go on meanwhile, as before
            try:
                self._look()
                if self.problem:
                    log.critical("%s", self.problem)
            finally:
                self._lock.release()
        return self.problem

    def _look(self) -> None:
        try:
            found = look()
        except ImproperlyConfigured as error:
            self.problem = str(error)
        except Exception as unknown:  # whatever it is, it is no reason to answer nobody
            log.warning("Whose database this is cannot be told yet. %s", unknown)
        else:
            self.problem = " ".join(found.problems)
            self.open = not found.problems and found.broker_seen
            for warning in found.warnings:
                log.warning("%s", warning)
        self._at = time.monotonic()


gate = Gate()


class Task(celery.Task):  # type: ignore[misc,type-arg]
    """A task that a worker leaves alone while it has another console's database, or lacks a key."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work, or drop the message: the sweep of the right worker sends it again."""
        if not self.request.called_directly and gate.refusal():
            raise Ignore
        return super().__call__(*args, **kwargs)


def before_work() -> None:
    """Have a server, a worker or beat look at what it was given, as it starts; raises ImproperlyConfigured."""
    for name, meant in near_misses(os.environ):
        log.warning("%s is in the environment, and nobody reads it. Did you mean %s?", name, meant)
    gate.require()


def accept(*, lost_keys: bool = False) -> list[str]:
    """Take the settings of this process for the installation's; return what changed.

    Raises ValueError where its keys do not open what is in the database, unless those are lost for ever.
    """
    changed: list[str] = []
    with transaction.atomic():
        row = Installation.objects.select_for_update().defer("proof").get(pk=this().pk)
        if not keys_open(row.pk):
            if not lost_keys:
                raise ValueError("these keys open nothing that is in this database")
            row.proof = {"installation": str(row.pk)}
            row.save(update_fields=["proof"])
            changed.append("FIELD_ENCRYPTION_KEYS")
        for name, value in (("secret_key_hmac", fingerprint(row.pk)), ("public_url", settings.PUBLIC_URL)):
            if getattr(row, name) != value:
                setattr(row, name, value)
                row.save(update_fields=[name])
                changed.append(SETTINGS[name])
    return changed
