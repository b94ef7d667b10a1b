"""What can be done to a linked account, for views, the admin and commands."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models import Model, ProtectedError, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_noop

from console.accounts import activity
from console.accounts.models import Membership, Organisation, User
from console.cloud_accounts import preflight
from console.cloud_accounts.models import CloudAccount, Preflight
from console.clouds import foreign, streams
from console.clouds.contract import Capabilities, Check, Identity, LinkError, Unproven
from console.clouds.proof import FOUND
from console.clouds.specs import AccountRef
from console.clouds.steps import NotReady, StepError
from console.operations.actions import ask

log = logging.getLogger(__name__)

Ending = Callable[[CloudAccount], None]  # what else is written in the transaction that keeps the account

# What verification finds out of a server, and nobody has entered.
FOUND_OUT = frozenset({"has", "claims", "breaks", "tls_condition", "plain"})
# For all that is asked when an account is linked or verified while somebody waits; when that is done daily; and when
# an account is changed, which looks up what it may do, too.
IDENTIFY_SECONDS, VERIFY_SECONDS, CHANGE_SECONDS = 30.0, 60.0, 30.0

# Called after the commit with an account of which something else is true than was: refused, lost, or verified again.
turned: list[Callable[[CloudAccount], None]] = []


def _unawaited(account: CloudAccount) -> None:
    """End what nobody waits for, in the transaction that keeps the account."""


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


def external_id(membership: Membership) -> str:
    """Return the external ID of the account that the member links next: ours, and the same until one is linked.

    That of a service account, which keeps none, is made of its ID and of this console's key: the first that no account
    of the organisation has.
    """
    if membership.service:
        return next(one for one in _of_service(membership.service) if not _is_used(one, membership.organisation_id))
    if not membership.external_id:
        Membership.objects.filter(pk=membership.pk, external_id="").update(external_id=str(uuid4()))
        membership.refresh_from_db(fields=["external_id"])
    return membership.external_id


def _of_service(service: UUID) -> Iterator[str]:
    for number in itertools.count():
        digest = salted_hmac("console.cloud_accounts.external_id", f"{service} {number}", algorithm="sha256").digest()
        yield str(UUID(bytes=digest[:16], version=4))


def _is_used(external_id: str, organisation: UUID) -> bool:
    return CloudAccount.objects.filter(organisation=organisation, settings__external_id=external_id).exists()


def link(
    organisation: Organisation,
    *,
    provider: str,
    name: str,
    settings: dict[str, str],
    secrets: dict[str, str],
    by: User | None,
    ending: Ending = _unawaited,
) -> CloudAccount:
    """Ask the cloud who this is, and keep the account; raises LinkError, with nothing kept, when the cloud refuses."""
    account = CloudAccount(
        organisation=organisation, provider_key=provider, name=name, settings=settings, secrets=secrets
    )
    with _refusals_noted("Linked cloud account", account, by):
        identity = _identify(account, account.credentials())
        account.number, account.partition = identity.number, identity.partition
        with _own_name(), transaction.atomic():
            _use_up(settings.get("external_id", ""), by, organisation)
            _verified(account, identity)
            account.save(force_insert=True)
            activity.record("Linked cloud account", account, organisation=organisation, by=by, after=_told(account))
            ending(account)
    return account


def _identify(account: CloudAccount, tried: AccountRef, seconds: float | None = None) -> Identity:
    """Ask the cloud who this is; raises LinkError."""
    try:
        with streams.within(IDENTIFY_SECONDS if seconds is None else seconds, math.inf):
            found = account.cloud.linking.identify(tried)
    except LinkError:
        raise
    except Exception as error:  # of an answer of no known shape, say
        log.exception("%s %s: unexpected error", account.provider_key, account.pk)
        name = type(error).__name__
        raise LinkError(
            gettext_noop("Unexpected error ({name}); the console's log has the details.").format(name=name),
            passing=True,
        ) from error
    known = {name: foreign.text(value) for name, value in found.found.items()}
    proofs = tuple(foreign.text(one) for one in found.proofs)
    return replace(
        found, number=foreign.text(found.number, 64), arn=foreign.text(found.arn), found=known, proofs=proofs
    )


def _use_up(external_id: str, by: User | None, organisation: Organisation) -> None:
    """Have the next account linked with another external ID, even if two are linked in the same moment."""
    if not external_id:
        return
    if by:
        is_free = bool(Membership.objects.filter(user=by, external_id=external_id).update(external_id=""))
    else:
        is_free = not _is_used(external_id, Organisation.locked(organisation.pk).pk)
    if not is_free:
        raise LinkError(
            gettext_noop("Another account was just linked with this external ID. Reload the page: it shows a new one.")
        )


def verify(account: CloudAccount, *, by: User | None = None, ending: Ending = _unawaited) -> bool:
    """Ask the cloud again who this is; the answer is kept on the account.

    Raises LinkError when no answer came, or the account was changed meanwhile: then nothing is known that was not.
    """
    tried, words = account.credentials(), account.cloud.vocabulary
    identity: Identity | None
    refusal, lost = "", False
    try:
        identity = _identify(account, tried, IDENTIFY_SECONDS if by else VERIFY_SECONDS)
        if identity.number != account.number:
            raise LinkError(
                gettext_noop("These credentials now belong to {account} {number}, not {number_2}.").format(
                    account=words.account, number=identity.number, number_2=account.number
                )
            )
    except LinkError as error:
        if error.passing:
            raise
        identity, refusal, lost = None, str(error), isinstance(error, Unproven)
    with transaction.atomic():
        known = _unchanged(account, tried)
        stood = known.unproven, bool(known.verify_error)
        before, known.verify_error = known.verify_error, "" if identity else refusal
        found: list[str] = []
        if identity:
            could = known.capabilities
            _verified(known, identity)
            found = _note_changes(known, could)
        elif lost:  # nothing is done with it any more
            known.settings = {name: value for name, value in known.settings.items() if name != FOUND}
        known.save(update_fields=["settings", "proofs", "verified_at", "verify_error", "changes"])
        _record_changes(known, found)
        _tell(known, stood)
        if by or bool(before) != bool(known.verify_error):  # the daily one, when it finds something else than before
            activity.record(
                "Verified cloud account",
                account,
                organisation=account.organisation,
                by=by,
                outcome=activity.Outcome.DONE if identity else activity.Outcome.FAILED,
                after={} if identity else {"reason": known.verify_error},
            )
        ending(account)
    account.refresh_from_db()
    return identity is not None


def _tell(account: CloudAccount, stood: tuple[str, bool]) -> None:
    """Tell who goes by whether the account works, once that is kept, if it is not as it stood."""
    if (account.unproven, bool(account.verify_error)) != stood:
        for one in turned:
            transaction.on_commit(partial(one, account))


def learn(account: CloudAccount, kept: Mapping[str, Sequence[str]]) -> None:
    """Keep what work on a store has found out about the account's server, beside what its verification did.

    `kept` has words to add to settings, by the setting's name; the next verification finds out for itself.
    """
    with transaction.atomic():
        known = CloudAccount.objects.select_for_update().get(pk=account.pk)
        could = known.capabilities
        more = {name: {*known.settings.get(name, "").split(), *words} for name, words in kept.items()}
        known.settings = {**known.settings, **{name: " ".join(sorted(words)) for name, words in more.items()}}
        found = _note_changes(known, could)
        known.save(update_fields=["settings", "changes"])
        _record_changes(known, found)


def _note_changes(account: CloudAccount, before: Capabilities) -> list[str]:
    """Note on the account what its server does otherwise than it did; return that, in sentences."""
    did = {one.label: one.has for one in before.features}
    known = [one for one in account.capabilities.features if one.label in did]
    gained = [one.label for one in known if one.has and not did[one.label]]
    lost = [one.label for one in known if did[one.label] and not one.has]
    if gained or lost:
        account.changes = {"at": timezone.now().isoformat(), "gained": gained, "lost": lost}
    said = [f"It does now: {', '.join(gained)}."] if gained else []
    return [*said, *([f"It does not any more: {', '.join(lost)}."] if lost else [])]


def _record_changes(account: CloudAccount, found: Sequence[str]) -> None:
    if found:
        after = {"reason": " ".join(found)}
        activity.record("Server changed", account, organisation=account.organisation, by=None, after=after)


def change(
    account: CloudAccount,
    *,
    name: str,
    settings: dict[str, str],
    secrets: dict[str, str],
    by: User | None,
    ending: Ending = _unawaited,
) -> None:
    """Give the account another name, address or key, once that is proven to be as good as the one it has.

    Raises LinkError, with nothing changed, when the cloud refuses it, or it is of another account or may do less.
    """
    present = account.credentials()
    tried = replace(present, settings=settings, secrets=secrets)
    with _refusals_noted("Changed cloud account", account, by):
        with streams.within(CHANGE_SECONDS, math.inf):
            identity = _proven(account, tried) if tried != present else None
        with _own_name(), transaction.atomic():
            known = _unchanged(account, present)
            before, stood = _told(known), (known.unproven, bool(known.verify_error))
            known.name, known.settings, known.secrets = name, settings, secrets
            if identity:
                known.number = identity.number
                _verified(known, identity)
            if _signs_in(account, tried) != _signs_in(account, present):
                known.key_since = timezone.now()
            known.save()
            _take_along(known)
            _tell(known, stood)
            after = _told(known) | {name: "replaced" for name in secrets if secrets[name] != present.secrets.get(name)}
            changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
            activity.record(
                "Changed cloud account",
                account,
                organisation=account.organisation,
                by=by,
                before={key: before[key] for key in sorted(changed & before.keys())},
                after={key: after[key] for key in sorted(changed & after.keys())},
            )
            ending(account)
    account.refresh_from_db()


def _proven(account: CloudAccount, tried: AccountRef) -> Identity:
    """Return who the cloud says that is with what is tried; raises LinkError unless that can take the old's place."""
    cloud, field = account.cloud, next(iter(_identities(account)), "")
    identity = _identify(account, tried)
    moved = tried.settings.get("endpoint") != account.settings.get("endpoint")
    if identity.number != account.number and not moved:
        raise LinkError(
            gettext_noop("This belongs to {account} {number}. Enter one of {number_2}.").format(
                account=cloud.vocabulary.account, number=identity.number, number_2=account.number
            ),
            field,
        )
    tried = replace(tried, number=identity.number, settings={**tried.settings, **identity.found})
    try:
        if moved and (left := _left_behind(account, {one.name for one in cloud.storage.list_unmanaged(tried, ())})):
            words = cloud.vocabulary
            raise LinkError(
                gettext_noop("The {bucket}s of {left}, which use this account, are not there.").format(
                    bucket=words.bucket, left=left
                ),
                "endpoint",
            )
        for name in _brought(account) if moved else ():
            cloud.existing.find(tried, name)
        regions = list(account.stores.order_by("region").values_list("region", flat=True).distinct())
        granted = _passed(cloud.linking.preflight(tried, regions))
    except StepError as error:
        raise LinkError(error.message, field, passing=isinstance(error, NotReady)) from error
    try:
        needed = _passed(cloud.linking.preflight(account.credentials(), regions))
    except StepError:  # it does not work any more: whatever works is better
        needed = set()
    if lacking := sorted({label for label, _ in needed - granted}):
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        raise LinkError(
            gettext_noop(
                "This may not do what the present one may: {lacking}{more}. Give it the permissions of "
                "the file on the account's page, wait a minute, then try again. The present one stays in "
                "use."
            ).format(lacking=", ".join(lacking[:5]), more=more),
            field,
        )
    return identity


def _take_along(account: CloudAccount) -> None:
    """Write down where the stores' buckets are now; raises LinkError where another store has one of them."""
    try:
        with transaction.atomic():
            account.stores.exclude(namespace=account.namespace).update(namespace=account.namespace)
    except IntegrityError as error:
        noun = account.cloud.vocabulary.bucket
        raise LinkError(
            gettext_noop("A {noun} of its stores is another store's there.").format(noun=noun), "endpoint"
        ) from error


def _identities(account: CloudAccount) -> list[str]:
    """Return the names of the settings that say whom the console signs in as."""
    return [
        one.name for one in account.cloud.linking.fields if one.identity and one.method in {"", account.sign_in.key}
    ]


def _signs_in(account: CloudAccount, tried: AccountRef) -> tuple[object, ...]:
    return *(tried.settings.get(name) for name in _identities(account)), tried.secrets


def _passed(checks: Iterable[Check]) -> set[tuple[str, tuple[str, ...]]]:
    return {(one.label, tuple(one.regions)) for one in checks if one.outcome == "pass" and one.required}


def _left_behind(account: CloudAccount, buckets: set[str]) -> str:
    """Return the names of the stores whose backup bucket is in use and not among these, which are named like ours."""
    there = account.stores.filter(state__in=("available", "degraded"), taken_over__isnull=True)
    return ", ".join(there.exclude(bucket__in=buckets).order_by("name").values_list("name", flat=True)[:10])


def _brought(account: CloudAccount) -> list[str]:
    """Return the backup buckets in use that were there before, whatever they are named."""
    there = account.stores.filter(state__in=("available", "degraded")).exclude(taken_over__isnull=True)
    return list(there.order_by("bucket").values_list("bucket", flat=True))


def _verified(account: CloudAccount, identity: Identity) -> None:
    account.settings = {**account.settings, **identity.found}
    account.proofs, account.verified_at, account.verify_error = list(identity.proofs), timezone.now(), ""


def _unchanged(account: CloudAccount, tried: AccountRef) -> CloudAccount:
    """Return the account, held until the transaction ends; raises LinkError when it was changed since it was read."""
    known: CloudAccount | None = CloudAccount.objects.select_for_update().filter(pk=account.pk).first()
    if known is None or (known.settings, known.secrets, known.number) != (tried.settings, tried.secrets, tried.number):
        raise LinkError(
            gettext_noop("The account was changed meanwhile by somebody else. Reload the page."), passing=True
        )
    return known


def _told(account: CloudAccount) -> dict[str, str]:
    """Return what the audit log says of an account: nothing secret."""
    settings = {key: value for key, value in account.settings.items() if key not in FOUND_OUT | {"ca_certificate"}}
    certificate = account.settings.get("ca_certificate", "")
    digest = {"ca_certificate": f"SHA-256 {sha256(certificate.encode()).hexdigest()}"} if certificate else {}
    return {"name": account.name, "provider": account.provider_key, "number": account.number, **settings, **digest}


@contextmanager
def _own_name() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise LinkError(gettext_noop("A linked account of this name exists. Choose another name."), "name") from error


@contextmanager
def _refusals_noted(action: str, account: CloudAccount, by: User | None) -> Iterator[None]:
    try:
        yield
    except LinkError as error:
        activity.record(
            action,
            account,
            organisation=account.organisation,
            by=by,
            outcome=activity.Outcome.FAILED if error.passing else activity.Outcome.REFUSED,
            after={"reason": str(error)},
        )
        raise


_user_finders: list[tuple[type[Model], Callable[[Any], QuerySet[Any]]]] = []


def register_users(of: type[Model], find: Callable[[Any], QuerySet[Any]]) -> None:
    """Make known which rows keep one of these from being deleted: told by the apps' plans.py."""
    _user_finders.append((of, find))


def users_of(used: Model) -> list[Use]:
    """Return what keeps an account or a store from being deleted, whatever app it lives in."""
    found = [row for of, find in _user_finders if isinstance(used, of) for row in find(used).order_by("pk")[:50]]
    return [Use(f"{row._meta.verbose_name} {row}", getattr(row, "get_absolute_url", str)()) for row in found]


def unlink(account: CloudAccount, *, by: User | None) -> None:
    """Forget the account and its secrets; raises InUse while stores or clusters use it."""
    organisation, before = account.organisation, _told(account)
    try:
        with transaction.atomic():
            # Before, because what is deleted has lost its ID.
            activity.record("Unlinked cloud account", account, organisation=organisation, by=by, before=before)
            account.delete()
    except ProtectedError as error:
        users = users_of(account)
        names = ", ".join(str(user) for user in users)
        activity.record(
            "Unlinked cloud account",
            account,
            organisation=organisation,
            by=by,
            outcome=activity.Outcome.REFUSED,
            after={"reason": f"In use by {names[:400]}"},
        )
        raise InUse(users) from error


def check_account(account: CloudAccount, *, region: str = "") -> None:
    """Have looked up what the console may do in the account, and in this region of it if one is named."""
    with transaction.atomic():
        found = preflight.of(account)
        chosen = Preflight.objects.select_for_update().get(cloud_account=account).chosen if region else []
        wanted = [*(one for one in chosen if one != region), region][-preflight.CHOSEN_AT_MOST :] if region else []
        found.update(chosen=wanted)
        ask(found)
