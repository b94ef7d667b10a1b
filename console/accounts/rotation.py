"""Secrets at rest, encrypted anew: every encrypted field of every model, found by walking them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, models, transaction
from django.db.models import ExpressionWrapper, F, QuerySet, Value

from console.accounts.encryption import EncryptedJSONField, cipher, is_newest

BATCH = 200  # rows in one transaction
_FACTOR_SECRETS = {"secret", "seed"}  # of an authenticator app, of recovery codes; passkeys have none here


@dataclass
class Count:
    """How many secrets of one field are encrypted with what."""

    name: str  # such as cloud_accounts.CloudAccount.secrets
    newest: int = 0
    older: int = 0
    unreadable: int = 0  # with none of the keys

    def add(self, token: bytes) -> None:
        """Count one."""
        if is_newest(token):
            self.newest += 1
        elif _rotated(token):
            self.older += 1
        else:
            self.unreadable += 1


def fields(known: Any = apps) -> list[tuple[type[models.Model], str]]:
    """Return the models that keep secrets, each with the name of the field: of these apps, or of a migration's."""
    return [
        (model, field.name)
        for model in known.get_models()
        for field in model._meta.local_concrete_fields
        if isinstance(field, EncryptedJSONField)
    ]


def renew(model: type[models.Model], name: str) -> int:
    """Encrypt with the newest key what an older one has encrypted; return how many rows that were.

    Each row changes only if it still holds what was read: what somebody else has saved meanwhile stays as it is, and is
    encrypted with the newest key already, unless a process runs that does not know it yet.
    """
    renewed = 0
    for batch in _batches(model, name):
        with transaction.atomic():
            for pk, token in batch:
                if not is_newest(token) and (fresh := _rotated(token)):
                    same = _tokens(model, name).filter(pk=pk, ciphertext=token)
                    renewed += same.update(**{name: Value(fresh, models.BinaryField())})
    return renewed


def renew_factors() -> Count:
    """Encrypt the secrets of second factors with the newest key, too, and return with what they are encrypted now."""
    for factor in Authenticator.objects.order_by("pk").iterator(BATCH):
        for name in _FACTOR_SECRETS & factor.data.keys():
            token = factor.data[name].encode()
            if not is_newest(token) and (fresh := _rotated(token)):
                same = Authenticator.objects.filter(pk=factor.pk, data=factor.data)
                same.update(data={**factor.data, name: fresh.decode()})
    return count_factors()


def count_factors(using: str = DEFAULT_DB_ALIAS) -> Count:
    """Return with what the secrets of second factors are encrypted now."""
    found = Count("mfa.Authenticator.data")
    for factor in Authenticator.objects.using(using).order_by("pk").values_list("data", flat=True).iterator(BATCH):
        for name in _FACTOR_SECRETS & factor.keys():
            found.add(factor[name].encode())
    return found


def count(model: type[models.Model], name: str, using: str = DEFAULT_DB_ALIAS) -> Count:
    """Return with what the secrets of the field are encrypted now, in that database."""
    found = Count(f"{model._meta.app_label}.{model.__name__}.{name}")
    for batch in _batches(model, name, using):
        for _, token in batch:
            found.add(token)
    return found


def _rotated(token: bytes) -> bytes | None:
    """Return the same secret under the newest key; None when no key opens it."""
    try:
        return cipher().rotate(token)
    except InvalidToken:
        return None


def _tokens(model: type[models.Model], name: str, using: str = DEFAULT_DB_ALIAS) -> QuerySet[models.Model]:
    """Return the rows with what the database itself holds of the field, as `ciphertext`, which no model has."""
    raw = ExpressionWrapper(F(name), output_field=models.BinaryField())
    rows = model._base_manager.using(using).annotate(ciphertext=raw)
    held: QuerySet[models.Model] = rows.exclude(**{f"{name}__isnull": True})
    return held


def _batches(
    model: type[models.Model], name: str, using: str = DEFAULT_DB_ALIAS
) -> Iterator[list[tuple[object, bytes]]]:
    rows, after = _tokens(model, name, using).order_by("pk").values_list("pk", "ciphertext"), None
    while batch := [(pk, bytes(token)) for pk, token in (rows.filter(pk__gt=after) if after else rows)[:BATCH]]:
        yield batch
        after = batch[-1][0]
