"""Buckets that are named like ours and belong to no store: found by a scan of each account, explained in words."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from console.accounts.models import Membership, Organisation
from console.cloud_accounts.models import CloudAccount, namespace
from console.clouds import CLOUDS, foreign
from console.clouds.contract import UnmanagedBucket
from console.clouds.naming import base32
from console.operations.models import Operation
from console.operations.snapshots import SnapshotQuerySet
from console.restoration import models as restoration
from console.web.natural import Natural
from console.web.prepared import KEY, Prepared
from stores.models import IgnoredBucket, RetainedLogs, Store, UnmanagedScan

BUCKETS_AT_MOST = 1000  # of an account that are kept
FOREIGN = ("region", "created", "store_id", "store_name")  # what else others have written is cut elsewhere
TELL_EVERY = 20  # buckets: each takes a call, and a reading that tells nothing loses its worker


# Reading


def known_names(among: Iterable[str] | None = None) -> set[tuple[str, str]]:
    """Return the buckets that are no unmanaged, of every store in any state and of retained logs.

    Each by what its name is unique in (`CloudAccount.namespace`), and its name. Two organisations may have linked the
    same account. What else the console keeps in a cloud belongs here.
    """
    stores, retained = Store.objects.all(), RetainedLogs.objects.all()
    if among is not None:
        names = list(among)
        stores = stores.filter(Q(bucket__in=names) | Q(log_bucket__in=names) | Q(logs_into__in=names))
        retained = retained.filter(bucket__in=names)
    places = [f"cloud_account__{name}" for name in ("provider_key", "partition", "number")]
    rows = [*stores.values_list(*places, "bucket", "log_bucket", "logs_into"), *retained.values_list(*places, "bucket")]
    return {(namespace(*row[:3]), name) for row in rows for name in row[3:] if name}


def scans() -> SnapshotQuerySet:
    """Return the scans of the linked accounts whose organisation has backup stores.

    Stores that the release before has written meanwhile are told where their buckets' names are unique.
    """
    for store in Store.objects.filter(namespace=None).select_related("cloud_account")[:100]:
        with suppress(IntegrityError), transaction.atomic():
            Store.objects.filter(pk=store.pk).update(namespace=store.cloud_account.namespace)
    accounts = CloudAccount.objects.filter(
        organisation__edition=Organisation.Edition.ENTERPRISE, provider_key__in=CLOUDS
    )
    missing = accounts.filter(scan=None).values_list("pk", flat=True)
    UnmanagedScan.objects.bulk_create([UnmanagedScan(cloud_account_id=pk) for pk in missing], ignore_conflicts=True)
    return UnmanagedScan.objects.filter(cloud_account__in=accounts)


def scan(reading: UnmanagedScan) -> list[dict[str, Any]]:
    """Return what the account has that is named like ours and belongs to no store; raises a StepError."""
    account = reading.cloud_account
    # The names are read first: a store that is made meanwhile is left out when the list is shown.
    found: list[dict[str, Any]] = []
    known_here = {name for space, name in known_names() if space == account.namespace}
    for leftover in account.cloud.storage.list_unmanaged(account.credentials(), known_here):
        known: dict[str, Any] = {name: foreign.word(getattr(leftover, name)) for name in FOREIGN}
        found.append(asdict(replace(leftover, **known)))
        if len(found) == BUCKETS_AT_MOST:
            break
        if len(found) % TELL_EVERY == 0:
            reading.tell(f"{len(found)} {account.cloud.vocabulary.bucket}s looked at")
    return found


# What was found, in words


@dataclass(frozen=True)
class ExplainedBucket:
    """A bucket that belongs to no store: what it is, in words, and the store that it can be adopted as."""

    bucket: UnmanagedBucket
    account: CloudAccount
    what: str
    proof: str = ""  # what says whose it is: its tag, or its name on a server that keeps no tags
    name: str = ""  # of the store that it was, as the history of its organisation has it
    adoptable: bool = False
    store: Store | None = None  # that has its ID and other buckets
    forgotten: IgnoredBucket | None = None

    @property
    def key(self) -> str:
        """Return what it is known by in the IDs of a page: buckets of two accounts may have one name."""
        return f"{self.account.pk}-{self.bucket.name}"

    @property
    def created(self) -> datetime | None:
        """Return when the cloud says that it was made."""
        return datetime.fromisoformat(self.bucket.created) if self.bucket.created else None

    @property
    def removal(self) -> str:
        """Return the commands with which an administrator deletes it when it is empty."""
        return self.account.cloud.storage.delete_commands(
            self.account.credentials(), self.bucket.name, self.bucket.region
        )


@dataclass(frozen=True)
class AccountScan:
    """One account: its last scan, and what that found."""

    account: CloudAccount
    scan: UnmanagedScan | None
    unmanaged: list[ExplainedBucket] = field(default_factory=list)
    forgotten: list[ExplainedBucket] = field(default_factory=list)

    def find(self, bucket: str) -> ExplainedBucket | None:
        """Return the explained of that name, forgotten or not."""
        return next((one for one in (*self.unmanaged, *self.forgotten) if one.bucket.name == bucket), None)


def _with_scans(organisation: UUID) -> QuerySet[CloudAccount]:
    mine = CloudAccount.objects.visible_to(Membership(organisation_id=organisation))
    found: QuerySet[CloudAccount] = mine.filter(provider_key__in=list(CLOUDS)).select_related("scan")
    return found.order_by(Natural("name"), "pk")


# The list of stores asks for it each time.
_scanned: Prepared[CloudAccount] = Prepared(_with_scans, KEY, made_of=lambda: [*CLOUDS])


def account_scans(membership: Membership, account: UUID | None = None) -> list[AccountScan]:
    """Return the organisation's accounts, or one of them, with what their last scans found; asks no cloud."""
    mine = membership.organisation_id
    every = _with_scans(mine).filter(pk=account) if account else _scanned.all(mine)
    read = [(one, getattr(one, "scan", None)) for one in every]
    found = {one.pk: [UnmanagedBucket(**each) for each in kept.content] for one, kept in read if kept and kept.content}
    if not found:
        return [AccountScan(one, kept) for one, kept in read]
    known = known_names(leftover.name for each in found.values() for leftover in each)
    told = getattr(membership, "is_restored", None)  # by the query that found the membership, in a request
    is_copy = restoration.is_open(membership.organisation_id) if told is None else told
    explain = _explainer(membership.organisation, is_copy, [leftover for each in found.values() for leftover in each])
    forgotten = {
        (one.cloud_account_id, one.bucket): one for one in IgnoredBucket.objects.filter(cloud_account__in=found)
    }
    answer = []
    for one, kept in read:
        unmanaged = [
            explain(leftover, one, forgotten.get((one.pk, leftover.name)))
            for leftover in found.get(one.pk, [])
            if (one.namespace, leftover.name) not in known
        ]
        shown, hidden = ([o for o in unmanaged if bool(o.forgotten) is hide] for hide in (False, True))
        answer.append(AccountScan(one, kept, shown, hidden))
    return answer


def store_id(leftover: UnmanagedBucket) -> UUID | None:
    """Return the ID that the bucket's tag names; None when it names none."""
    try:
        return UUID(leftover.store_id)
    except ValueError:
        return None


def _explainer(organisation: Organisation, is_copy: bool, found: list[UnmanagedBucket]) -> Any:
    """Return the function that explains these; it knows this organisation's stores and history, and no other's."""
    ids = {pk for leftover in found if (pk := store_id(leftover))}
    stores = {store.pk: store for store in Store.objects.filter(pk__in=ids)}
    history = Operation.objects.filter(subject_kind=Store.kind(), subject_id__in=ids, organisation=organisation)
    names = dict(history.order_by("created_at").values_list("subject_id", "subject_name"))  # the last name it had
    # Of what was made after the copy nothing is known here: where two share an account, it may be either's.
    others = Operation.objects.filter(subject_kind=Store.kind(), subject_id__in=ids).exclude(organisation=organisation)
    of_others = set(others.values_list("subject_id", flat=True)) if is_copy else set()

    def explain(leftover: UnmanagedBucket, account: CloudAccount, forgotten: IgnoredBucket | None) -> ExplainedBucket:
        pk = store_id(leftover)
        store = stores.get(pk) if pk else None
        ours = store is not None and store.organisation_id == organisation.pk
        word, tag = account.cloud.vocabulary.bucket, account.cloud.vocabulary.tag
        # Our tags have the store's name beside its ID; without tags the ID is that in the bucket's name.
        is_by_name = pk is not None and not leftover.store_name and base32(pk.bytes) in leftover.name
        proof = "name" if is_by_name else tag
        noun = {"backup": f"Backup {word}", "log": f"Log {word}"}.get(leftover.kind, word.capitalize())
        name, adoptable = "", False
        if leftover.kind == "probe":
            what = "Left by an interrupted link test of this server. It holds at most one small test object."
        elif leftover.error:
            what = f"Its name begins like ours. Whose it is cannot be said, because its {tag}s could not be read."
        elif not leftover.store_id:
            what = (
                f"Its name is one that the console gives, but it carries no {tag} of a store."
                if leftover.kind
                else f"Its name only begins like ours, and it carries no {tag} of a store: hardly made by the console."
            )
        elif store and ours:
            where = "" if store.cloud_account_id == account.pk else f" of {store.cloud_account}"
            what = (
                f"Its {proof} says that it is a {word} of {store.name}, which uses other {word}s now{where}. Look what "
                "is in it before anybody deletes it."
            )
        elif pk and pk in names and not store:
            name, adoptable = names[pk], True
            what = f"{noun} of {name}, a store that the console has no longer. It can be adopted."
        elif pk and is_copy and not store and pk not in of_others and not is_shared(account):
            name, adoptable = leftover.store_name, True
            what = f"{noun} of a store that was made after the copy from which this console was restored. Adopt it."
        else:
            what = f"{noun} whose {proof} is that of a store that your organisation never had in this console."
        return ExplainedBucket(leftover, account, what, proof, name, adoptable, store if ours else None, forgotten)

    return explain


def is_shared(account: CloudAccount) -> bool:
    """Return whether another organisation has linked the same account: then no tag says whose a store is."""
    same = CloudAccount.objects.filter(provider_key=account.provider_key, number=account.number)
    return same.exclude(organisation=account.organisation_id).exists()


@dataclass(frozen=True)
class Pair:
    """The two buckets that an adopted store gets; those that were found, and those that are made."""

    bucket: str
    log_bucket: str
    found: frozenset[str]


def pair(explained: ExplainedBucket, among: list[ExplainedBucket]) -> Pair | None:
    """Return the store's two buckets: those found with its tag, else as it names them; None when there are too many."""
    leftover, pk = explained.bucket, store_id(explained.bucket)
    if pk is None:
        return None
    names = explained.account.cloud.storage.names(pk, leftover.region, explained.account.number)
    tagged = [one.bucket for one in among if store_id(one.bucket) == pk and one.bucket.region == leftover.region]
    chosen = []
    for name, kinds in zip(names, (("backup", ""), ("log",)), strict=True):
        of_kind = [one.name for one in tagged if one.kind in kinds]
        if len(of_kind) > 1 and name not in of_kind:
            return None
        chosen.append(name if name in of_kind or not of_kind else of_kind[0])
    return Pair(chosen[0], chosen[1], frozenset(one.name for one in tagged))
