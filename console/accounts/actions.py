"""What can be done to a linked account, for views, the admin and commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from django.conf import settings as django_settings
from django.db import IntegrityError, transaction
from django.db.models import PROTECT, Model, ProtectedError
from django.utils import timezone

from console.accounts.models import CloudAccount, Organisation
from stores.providers import PROVIDERS
from stores.providers.base import Account, LinkError


@dataclass(frozen=True)
class Use:
    """What uses an account or a store: its name, and its page, if it has one."""

    name: str
    url: str = ""

    def __str__(self) -> str:
        return self.name


class InUse(Exception):
    """It cannot be deleted while it is in use; `users` are what uses it."""

    def __init__(self, users: Sequence[Use]) -> None:
        super().__init__(", ".join(str(user) for user in users))
        self.users = list(users)


def link(
    organisation: Organisation, *, provider: str, name: str, settings: dict[str, str], secrets: dict[str, str]
) -> CloudAccount:
    """Ask the cloud who this is, and keep the account; raises LinkError, with nothing kept, when the cloud refuses."""
    pk = uuid4()
    identity = PROVIDERS[provider].identify(
        Account(pk, "", "", settings, secrets, tuple(django_settings.S3_ENDPOINTS_ALLOWED))
    )
    try:
        with transaction.atomic():
            return CloudAccount.objects.create(
                id=pk,
                organisation=organisation,
                provider_key=provider,
                name=name,
                number=identity.number,
                partition=identity.partition,
                settings={**settings, **identity.found},
                secrets=secrets,
                verified_at=timezone.now(),
            )
    except IntegrityError as error:
        raise LinkError("A linked account of this name exists. Choose another name.", "name") from error


def verify(account: CloudAccount) -> bool:
    """Ask the cloud again who this is; the answer, or what went wrong, is kept on the account."""
    try:
        identity = account.provider.identify(account.credentials())
    except LinkError as error:
        account.verify_error = str(error)
    else:
        account.verify_error = ""
        if identity.number != account.number:
            account.verify_error = f"These credentials now belong to account {identity.number}, not {account.number}."
    if not account.verify_error:
        account.verified_at = timezone.now()
        account.settings = {**account.settings, **identity.found}
    account.save(update_fields=["verify_error", "verified_at", "settings"])
    return not account.verify_error


def users_of(used: Model) -> list[Use]:
    """Return what keeps an account or a store from being deleted, whatever app it lives in."""
    protecting = [relation for relation in used._meta.related_objects if relation.on_delete is PROTECT]
    return [
        Use(f"{relation.related_model._meta.verbose_name} {row}", getattr(row, "get_absolute_url", str)())
        for relation in protecting
        for row in relation.related_model._default_manager.filter(**{relation.field.name: used}).order_by("pk")[:50]
    ]


def unlink(account: CloudAccount) -> None:
    """Forget the account and its secrets; raises InUse while stores or clusters use it."""
    try:
        account.delete()
    except ProtectedError as error:
        raise InUse(users_of(account)) from error
