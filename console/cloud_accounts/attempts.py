"""Linking, changing and verifying while somebody waits: a worker asks the cloud, the dialog shows how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext

from console.accounts.models import Membership, Organisation
from console.cloud_accounts import actions
from console.cloud_accounts.models import Attempt, CloudAccount
from console.clouds.contract import LinkError
from console.clouds.steps import Failed
from console.operations.actions import ask
from console.operations.snapshots import SnapshotQuerySet
from console.web.logs import Origin, origin

AT_ONCE = 2  # accounts of one organisation that somebody waits for
GONE = (
    "No worker has told how it ended, so nothing was changed. Try again; if it ends the same way, ask whoever runs the "
    "console whether its workers run."
)


def of_all() -> SnapshotQuerySet:
    """Return the attempts that are to be made, and forget those that are over, with what was entered."""
    Attempt.objects.over().delete()
    return Attempt.objects.waiting()


def begin(
    membership: Membership, verb: Attempt.Verb, *, account: CloudAccount | None = None, entered: dict[str, Any]
) -> Attempt:
    """Have a worker ask the cloud; the same that is sent twice is one attempt.

    Raises LinkError, with nothing written down, while others of the organisation are at it.
    """
    with transaction.atomic():
        if membership.pk:
            Membership.objects.select_for_update().get(pk=membership.pk)  # one after the other, of each member
        else:
            Organisation.locked(membership.organisation_id)
        whose = Q(organisation=membership.organisation_id) | Q(membership__organisation=membership.organisation_id)
        waiting = Attempt.objects.waiting().filter(whose)
        mine: Iterable[Attempt] = waiting.of(membership).filter(verb=verb, cloud_account=account)
        if same := next((one for one in mine if one.entered == entered), None):
            return same
        if waiting.count() >= AT_ONCE:
            raise LinkError(
                gettext(
                    "{at_once} cloud accounts of your organisation are being asked at this moment. Try again "
                    "when one of them has answered."
                ).format(at_once=AT_ONCE),
                passing=True,
            )
        attempt: Attempt = Attempt.objects.create(
            membership=membership if membership.pk else None,
            service=membership.service,
            organisation=membership.organisation,
            verb=verb,
            cloud_account=account,
            entered=entered,
            origin=asdict(origin.get()),
        )
        ask(Attempt.objects.filter(pk=attempt.pk))
    return attempt


def change(membership: Membership, account: CloudAccount, entered: dict[str, Any]) -> Attempt | None:
    """Have a worker try what the account is to have; None where only its name is another, which is changed now.

    Raises LinkError, with nothing changed.
    """
    asked = entered["asked"]
    seen = {"number": account.number, "settings": account.settings, "secrets": account.secrets}
    if any(asked[name] != seen[name] for name in ("settings", "secrets")):
        return begin(membership, Attempt.Verb.CHANGE, account=account, entered={**entered, "seen": seen})
    actions.change(account, **asked, by=membership.person)  # of another name at most: nobody is asked
    return None


def find(membership: Membership, key: str, verb: Attempt.Verb, account: CloudAccount | None = None) -> Attempt | None:
    """Return the member's own attempt, if there is one of this key that is about this."""
    try:
        found = Attempt.objects.of(membership).filter(key=UUID(key), verb=verb)
    except ValueError:
        return None
    return found.filter(cloud_account=account).first() if account else found.select_related("cloud_account").first()


def how_it_ended(attempt: Attempt) -> str:
    """Return why the account was not kept."""
    return attempt.error if attempt.tried_at else GONE


def look(attempt: Attempt) -> Any:
    """Make the attempt; raises Failed, with the field that it is about, when the cloud refuses it."""
    here = origin.set(Origin(**attempt.origin))
    try:
        _WAYS[Attempt.Verb(attempt.verb)](attempt, lambda account: _end(attempt, account))
    except LinkError as error:
        raise Failed(str(error), field=error.field) from error
    finally:
        origin.reset(here)
    return []


def _end(attempt: Attempt, account: CloudAccount) -> None:
    """Note, in the transaction that keeps the account, that it is; raises LinkError when nobody waits for it any more.

    What was entered is forgotten with that, also what was refused or lost before.
    """
    ended = Attempt.objects.waiting().filter(pk=attempt.pk)
    if not ended.update(done_at=Now(), cloud_account=account, entered={}):
        raise LinkError(GONE, passing=True)
    earlier = Attempt.objects.filter(
        membership=attempt.membership_id,
        service=attempt.service,
        verb=attempt.verb,
        cloud_account=attempt.cloud_account_id,
        done_at=None,
    )
    earlier.exclude(Attempt.WAITING).delete()


def _link(attempt: Attempt, ending: Callable[[CloudAccount], None]) -> None:
    actions.link(attempt.whose, **attempt.entered["asked"], by=attempt.person, ending=ending)


def _account(attempt: Attempt) -> CloudAccount:
    assert attempt.cloud_account  # of every attempt but one that links
    return attempt.cloud_account


def _change(attempt: Attempt, ending: Callable[[CloudAccount], None]) -> None:
    account = _account(attempt)
    for name, value in attempt.entered["seen"].items():  # what the member saw: it may be another by now
        setattr(account, name, value)
    actions.change(account, **attempt.entered["asked"], by=attempt.person, ending=ending)


def _verify(attempt: Attempt, ending: Callable[[CloudAccount], None]) -> None:
    actions.verify(_account(attempt), by=attempt.person, ending=ending)


_WAYS = {Attempt.Verb.LINK: _link, Attempt.Verb.CHANGE: _change, Attempt.Verb.VERIFY: _verify}
