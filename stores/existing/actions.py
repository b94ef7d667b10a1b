"""What can be done with existing buckets: look, look again, bring in, think better of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext

from console.accounts import activity
from console.accounts.models import Membership, Organisation
from console.cloud_accounts import preflight
from console.cloud_accounts.models import CloudAccount
from console.clouds.inspection import PRESENCE
from console.operations.actions import NotNow, ask, begin
from console.web.logs import origin
from console.web.retold import retold
from stores.actions import NameTaken, no_more_stores
from stores.control_status import ControlStatus, agreed, digest
from stores.drift import Changed
from stores.existing.reading import held_here, spec_of, taken_here
from stores.models import BucketLook, Logs, State, Store

LOOKS_AT_MOST = 200  # of an organisation that are kept
KEPT_FOR = timedelta(days=30)
NOT_CHOSEN = {"tags", "logging", PRESENCE}  # what other questions decide, or nobody


class TooMany(Exception):
    """The organisation looks at as many buckets as it may; the message says what to do."""


@dataclass(frozen=True)
class Wish:
    """A bucket that is to be looked at."""

    account: CloudAccount
    bucket: str
    name: str  # of the store that it is to be
    region: str = ""
    log_bucket: str = ""


@dataclass(frozen=True)
class Decision:
    """What somebody has decided about a bucket that he saw."""

    logs: str  # one of Logs
    logs_into: str = ""
    tag: bool = False  # the console may set the store's tags
    chosen: Collection[str] = ()  # the keys of the controls that are set; all others are accepted as they are
    seen: str = ""  # agreed() of what was shown


def look_at(wishes: Sequence[Wish], *, by: Membership) -> list[BucketLook]:
    """Have these buckets looked at; raises TooMany, with nothing changed."""
    with transaction.atomic():
        Organisation.locked(by.organisation_id)
        looks = BucketLook.objects.filter(cloud_account__organisation=by.organisation_id)
        looks.filter(created_at__lt=timezone.now() - KEPT_FOR).delete()
        if looks.count() + len(wishes) > LOOKS_AT_MOST:
            raise TooMany(
                gettext(
                    "{organisation} looks at {looks_at_most} at most. Forget some of those that are listed."
                ).format(organisation=by.organisation, looks_at_most=LOOKS_AT_MOST)
            )
        found = [_look(wish) for wish in wishes]
        ask(BucketLook.objects.filter(pk__in=[one.pk for one in found]))
    return found


def _look(wish: Wish) -> BucketLook:
    given = {"name": wish.name, "region": wish.region, "log_bucket": wish.log_bucket}
    look, _ = BucketLook.objects.update_or_create(
        cloud_account=wish.account, bucket=wish.bucket, defaults={**given, "created_at": timezone.now()}
    )
    return look


def look_again(look: BucketLook) -> None:
    """Have the bucket looked at now."""
    ask(BucketLook.objects.filter(pk=look.pk))


def drop(look: BucketLook) -> None:
    """Forget what was seen; nothing was written, so nothing is left."""
    look.delete()


def lines_of(look: BucketLook) -> list[ControlStatus]:
    """Return what was seen of each control; nothing before it was looked at."""
    return [ControlStatus(**one) for one in look.content["lines"]] if look.content else []


def choices_of(lines: Sequence[ControlStatus]) -> list[ControlStatus]:
    """Return those that differ and can be set, or accepted as they are."""
    return [one for one in lines if one.state == "off" and one.key not in NOT_CHOSEN and not one.fixed]


def tag_command(look: BucketLook) -> str:
    """Return the command with which its administrator shows that a bucket that was looked at may be added."""
    found = next((one.observed for one in lines_of(look) if one.key == "tags" and one.state in {"ok", "off"}), None)
    return str(look.cloud_account.cloud.existing.tag_command(replace(spec_of(look), name=look.name), found or {}))


def obstacle(look: BucketLook, *, by: Membership, known: Collection[tuple[str, str]] | None = None) -> str:
    """Return why the bucket cannot be added, in a sentence; "" when it can.

    `known` are the known_names() of those that are asked about, where they were asked for. What another organisation
    has is told by the bucket's tag, or to an account that has read the bucket: nobody learns of it by a name alone.
    """
    if not look.content:
        return gettext("It has not been looked at yet.")
    account, words = look.cloud_account, look.cloud_account.cloud.vocabulary
    is_known = known is None or (account.namespace, look.bucket) in known
    here = taken_here(look.bucket, account) if is_known else None
    if here and here.organisation_id == by.organisation_id:
        return gettext("This console has a store with this {bucket} already, {here}.").format(
            bucket=retold(words.bucket), here=here
        )
    if look.content["owner"] == "other":
        return gettext("It carries the {one} of another store, {content}. It is left alone.").format(
            one=account.bucket_proof.one, content=look.content["tag"]
        )
    if here:
        return gettext("It is another store's. It is left alone.")
    if fixed := [one for one in lines_of(look) if one.state == "off" and one.fixed]:
        return gettext("It cannot be used: {sentence}").format(sentence=fixed[0].sentence)
    return ""


def all_seen(looks: Iterable[BucketLook]) -> str:
    """Return a digest of all that was found, by which somebody agrees to have all of these added."""
    return digest(sorted([str(look.key), agreed(lines_of(look))] for look in looks if look.content))


def as_it_is(look: BucketLook, *, tag: bool) -> Decision:
    """Return the decision to leave a bucket as it is; its logs go where they were named, or go now, or nowhere."""
    lines = lines_of(look)
    now = next((one.observed for one in lines if one.key == "logging" and one.state in {"ok", "off"}), None)
    into = look.log_bucket or target_of(now)
    needed = tag and not look.content["owner"]  # a tag that is there was not set by the console
    return Decision(Logs.NAMED if into else Logs.NONE, into, needed, (), agreed(lines))


def target_of(logging: Any) -> str:
    """Return the bucket that a bucket's access logs go into now, whatever its cloud calls that; "" without one."""
    found = logging if isinstance(logging, dict) else {}
    return str(found.get("bucket") or found.get("logBucket") or found.get("account") or "")


def bring(look: BucketLook, decision: Decision, *, name: str, by: Membership) -> Store:
    """Write the store down and begin to bring it in.

    Raises Changed when something else was seen than what was decided about, NameTaken, LimitReached, and NotNow when
    the bucket is somebody else's or shows nobody's.
    """
    try:
        with transaction.atomic():
            look = BucketLook.objects.select_for_update().select_related("cloud_account").get(pk=look.pk)
            look.name = name
            if not look.content or agreed(lines_of(look)) != decision.seen:
                raise Changed
            if why := obstacle(look, by=by):
                raise NotNow(why)
            if why := _cannot_log(look, decision):
                raise NotNow(why)
            if not look.content["owner"] and not decision.tag:
                shows = look.cloud_account.bucket_proof.one
                raise NotNow(
                    gettext(
                        "Nothing shows yet that you may add it. Set its {shows} and check, or let the console."
                    ).format(shows=shows)
                )
            no_more_stores(Organisation.locked(by.organisation_id))
            store = _write_down(look, decision, by)
            user = by.user if by.user_id else None  # a service account is no person
            begin(store, "bring", by=user)
            after = {"bucket": store.bucket, "logs": str(store.logs), "set": sorted(decision.chosen)}
            activity.record("Added an existing store", store, organisation=by.organisation, by=user, after=after)
            look.delete()
            preflight.of(store.cloud_account).soon(timedelta())  # its permissions have to name the bucket now
    except IntegrityError as error:
        if Store.objects.filter(organisation_id=by.organisation_id).named(name).exists():
            raise NameTaken from error
        raise NotNow(gettext("Somebody has just added it. Reload the page.")) from error
    except BucketLook.DoesNotExist:
        raise NotNow(gettext("Somebody has just added it, or forgotten it. Reload the page.")) from None
    return store


def _cannot_log(look: BucketLook, decision: Decision) -> str:
    """Return why the access logs cannot go where they were named, in a sentence; "" when they can.

    That may be where the bucket itself says that they go, and whoever runs its server says that.
    """
    if decision.logs != Logs.NAMED:
        return ""
    existing, words = look.cloud_account.cloud.existing, look.cloud_account.cloud.vocabulary
    if not re.fullmatch(existing.legal, decision.logs_into):
        return gettext("Its access logs go into a {bucket} without a usable name. {legal_words}").format(
            bucket=retold(words.bucket), legal_words=existing.legal_words
        )
    if decision.logs_into == look.bucket:
        return gettext("It logs into itself and never stops growing. Name another {bucket} for its logs.").format(
            bucket=retold(words.bucket)
        )
    here = held_here(decision.logs_into, look.cloud_account)
    if here and here.organisation_id == look.cloud_account.organisation_id:  # whose another is, its tag says
        return gettext("A store of this console uses the {bucket} that its logs go into. Name another.").format(
            bucket=retold(words.bucket)
        )
    return ""


def _write_down(look: BucketLook, decision: Decision, by: Membership) -> Store:
    account, seen = look.cloud_account, look.content
    pk, region = UUID(seen["store_id"]), seen["found"]["region"]
    lines = lines_of(look)
    now, who = timezone.now().isoformat(), by.user.get_username() if by.user_id else origin.get().actor
    accepted = {
        one.name: {"seen": one.seen, "by": who, "at": now, "words": one.words}
        for one in lines
        if one.state == "off" and one.key not in {*decision.chosen, "logging", PRESENCE}
    }
    taken_over: dict[str, Any] = {
        "found": {one.key: one.observed for one in lines if one.state in {"ok", "off"}},
        "tagged": decision.tag and not seen["owner"],  # what was there the console has not set, and leaves there
        "chosen": [[one.key, one.label] for one in choices_of(lines) if one.key in decision.chosen],
        "accepted": accepted,
    }
    return Store.objects.create(
        id=pk,
        organisation_id=account.organisation_id,
        cloud_account=account,
        name=look.name,
        region=region,
        bucket=look.bucket,
        log_bucket=account.cloud.storage.names(pk, region, account.number)[1],
        versions_days=seen["found"]["versions_days"] or None,
        lock_days=seen["found"]["lock_days"] or None,
        state=State.FAILED,  # where it is again when somebody cancels
        taken_over=taken_over,
        logs=decision.logs,
        logs_into=decision.logs_into if decision.logs == Logs.NAMED else None,
    )
