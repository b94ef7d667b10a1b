"""Secrets at rest: a model field that is ciphertext in the database, under keys that rotate."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from console.accounts.vault import WRAPPED, unwrap


@cache
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    plain = [unwrap(key.strip()) if key.strip().startswith(WRAPPED) else key.strip() for key in keys]
    try:
        return MultiFernet([Fernet(key) for key in plain])
    except ValueError as error:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEYS must be Fernet keys, 32 bytes in url-safe base64, or such that a vault has wrapped."
        ) from error


def cipher() -> MultiFernet:
    """Return the cipher of FIELD_ENCRYPTION_KEYS: the first key encrypts, each of them decrypts."""
    return _cipher(tuple(settings.FIELD_ENCRYPTION_KEYS))


def is_newest(token: bytes) -> bool:
    """Return whether the ciphertext is of the first key: a token does not say whose it is, so that is tried."""
    try:
        _cipher(tuple(settings.FIELD_ENCRYPTION_KEYS[:1])).decrypt(token)
    except InvalidToken:
        return False
    return True


class EncryptedJSONField(models.BinaryField):  # type: ignore[type-arg]
    """A dict of secrets; the database sees one Fernet token (AES-128-CBC with HMAC-SHA256)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "editable": False})

    def get_prep_value(self, value: Any) -> Any:
        """Return the ciphertext of the value."""
        return None if value is None else cipher().encrypt(json.dumps(value).encode())

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """Return the value that was saved; raises InvalidToken when no key fits."""
        return None if value is None else json.loads(cipher().decrypt(bytes(value)))

    def value_to_string(self, obj: models.Model) -> str:
        """Return nothing: a dump of the database's rows as text must not hold secrets."""
        return ""
