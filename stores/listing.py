"""How stores are listed: searched, filtered, counted and sorted, the same on the list, on the map and in the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Exists, Q, Subquery, TextChoices
from django.utils.translation import gettext, gettext_lazy

from console.accounts.models import Membership
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.clouds.regions import Region, find, mentions
from console.web.lists import Asked, Facet, Listing, ListPage, Order, Tally, groups, list_page, tally, yes_or_no
from console.web.natural import Natural
from console.web.prepared import KEY, Prepared
from stores.models import State, Store, StoreQuerySet, store_verdicts

KEPT_PAGES = 20  # the first pages of the list, whose queries are kept
SHORTEST = 3  # characters of a state or a cloud that are searched for: fewer are in nearly all of them


@dataclass(frozen=True)
class StoreColumns:
    """What an app that knows of backups adds to a list of stores, as columns of a query of stores."""

    newest_backup: Callable[[], Subquery]  # when the newest one in it was complete
    size: Callable[[], Subquery]  # bytes of all backups in it
    is_used: Callable[[], Exists]
    users: Callable[[], Subquery]  # how many use it
    user: Callable[[], Subquery]  # the name of one of them
    user_id: Callable[[], Subquery]  # and its key
    search: Callable[[str], Q]  # whether a user's name holds a text


store_columns: list[StoreColumns] = []  # of one app: appended by its plans.py

NOT_JUDGED = "none"


def columns(rows: StoreQuerySet) -> StoreQuerySet:
    """Return the stores with what filters compare."""
    for verdicts in store_verdicts:
        rows = rows.annotate(worst_rank=verdicts.rank())
    for one in store_columns:
        rows = rows.annotate(is_used=one.is_used())
    return rows


def compared(rows: StoreQuerySet, asked: Asked) -> StoreQuerySet:
    """Return the stores with what those filters and that order compare that are asked for."""
    sort = asked.sort.removeprefix("-")
    for verdicts in store_verdicts if sort == "verdict" or "verdict" in asked.chosen else ():
        rows = rows.annotate(worst_rank=verdicts.rank())
    for one in store_columns:
        made = {"newest_backup": one.newest_backup} if sort == "newest" else {}
        made |= {"size": one.size} if sort == "size" else {}
        made |= {"is_used": one.is_used} if "used" in asked.chosen else {}
        rows = rows.annotate(**{name: make() for name, make in made.items()})
    return rows


@cache  # what they are made of is known once all apps are ready, and making it takes as long as asking for it
def counted() -> StoreQuerySet:
    """Return all stores with what filters compare."""
    return columns(Store.objects.all())


@cache
def shown() -> StoreQuerySet:
    """Return all stores with all that a list shows of them."""
    rows = Store.objects.with_story()
    for one in store_columns:
        rows = rows.annotate(
            newest_backup=one.newest_backup(),
            size=one.size(),
            users=one.users(),
            user_name=one.user(),
            user_id=one.user_id(),
        )
    return rows


def search(
    membership: Membership, rows: StoreQuerySet, text: str, accounts: Iterable[CloudAccount] | None = None
) -> StoreQuerySet:
    """Return the stores that a text names, by what one knows of them.

    That is the name, ID or buckets; the region's code or place; the account's name or number; the cloud; the name of a
    cluster that uses it; the state. `accounts` are the member's, where they have been read already.
    """
    if not text:
        return rows
    mine = CloudAccount.objects.visible_to(membership) if accounts is None else accounts
    named, by_codes = accounts_named(mine, text, lambda account: account.store_regions)
    found = (
        rows.holding(text) | Q(region__icontains=text) | Q(cloud_account__in=named) | Q(state__in=states(State, text))
    )
    for codes, keys in by_codes.items():
        found |= Q(cloud_account__in=keys, region__in=codes)
    for one in store_columns:
        found |= one.search(text)
    return rows.filter(found)


def accounts_named(
    among: Iterable[CloudAccount], text: str, regions: Callable[[CloudAccount], Iterable[Region]]
) -> tuple[list[UUID], dict[frozenset[str], list[UUID]]]:
    """Return those accounts that a text names, by name, number or cloud; of the others those with regions it names.

    The latter by the codes of these regions, all accounts of the same codes together.
    """
    wanted = text.casefold()
    accounts, by_codes = [], dict[frozenset[str], list[UUID]]()
    for account in among:
        if _is_named(account, wanted):
            accounts.append(account.pk)
        elif codes := frozenset(one.code for one in regions(account) if mentions(one, text)):
            by_codes.setdefault(codes, []).append(account.pk)
    return accounts, by_codes


def states(kind: type[TextChoices], text: str) -> list[str]:
    """Return the states whose word begins with a text."""
    wanted = text.casefold()
    return [one.value for one in kind if len(wanted) >= SHORTEST and str(one.label).casefold().startswith(wanted)]


def _is_named(account: CloudAccount, wanted: str) -> bool:
    cloud = f"{account.cloud.label} {account.provider_key}".casefold()
    named = wanted in account.name.casefold() or wanted in account.number.casefold()
    return named or (len(wanted) >= SHORTEST and wanted in cloud)


def _verdict_words(rank: int | None) -> str:
    return next((one.of_rank(rank).label for one in store_verdicts if rank is not None), gettext("No verdict"))


def _verdict_text(rank: int | None) -> str:
    return next((str(one.of_rank(rank).value) for one in store_verdicts if rank is not None), NOT_JUDGED)


def _of_verdict(text: str) -> Q | None:
    if text == NOT_JUDGED:
        return Q(worst_rank=None)
    every = [one for verdicts in store_verdicts for one in verdicts.every]
    return next((Q(worst_rank=one.rank) for one in every if one.value == text), None)


def _verdict_called(text: str) -> str:
    every = [one for verdicts in store_verdicts for one in verdicts.every]
    return next((str(one.label) for one in every if one.value == text), _verdict_words(None))


def _of_account(text: str) -> Q | None:
    try:
        return Q(cloud_account=UUID(text))
    except ValueError:
        return None


def _provider_words(key: str) -> str:
    return CLOUDS[key].label if key in CLOUDS else key


def _servers() -> list[str]:
    """Return the clouds whose accounts are one server each: the region of a store is what requests sign with."""
    return [key for key, cloud in CLOUDS.items() if cloud.storage.one_region]


def _region_text(code: str, provider: str) -> str:
    return f"{provider}:{code}" if provider in _servers() else code


def _region_words(code: str, provider: str) -> str:
    if provider in _servers():
        return gettext("{provider_words} · signs as {code}").format(provider_words=_provider_words(provider), code=code)
    region = find(provider, code)
    return region.words if region else code


def _of_region(text: str) -> Q | None:
    provider, _, code = text.partition(":")
    if provider in _servers():
        return Q(region=code, cloud_account__provider_key=provider)
    return Q(region=text) & ~Q(cloud_account__provider_key__in=_servers())


def _region_called(text: str) -> str:
    provider, _, code = text.partition(":")
    return _region_words(code, provider) if provider in _servers() else text


def of_states(kind: type[TextChoices]) -> Facet:
    """Return the filter by state."""
    return Facet(
        "state",
        gettext_lazy("State"),
        ("state",),
        str,
        lambda state: str(kind(state).label),
        lambda text: Q(state=text) if text in kind.values else None,
        lambda text: str(kind(text).label),
    )


VERDICT = Facet(
    "verdict", gettext_lazy("Verdict"), ("worst_rank",), _verdict_text, _verdict_words, _of_verdict, _verdict_called
)
PROVIDER = Facet(
    "provider",
    gettext_lazy("Provider"),
    ("cloud_account__provider_key",),
    str,
    _provider_words,
    lambda text: Q(cloud_account__provider_key=text) if text in CLOUDS else None,
    _provider_words,
)
ACCOUNT = Facet(
    "account",
    gettext_lazy("Account"),
    ("cloud_account", "cloud_account__name"),
    str,
    lambda key, name: str(name),
    _of_account,
    lambda text: gettext("an account without any"),
)
REGION = Facet(
    "region",
    gettext_lazy("Region"),
    ("region", "cloud_account__provider_key"),
    _region_text,
    _region_words,
    _of_region,
    _region_called,
    compared=2,
)
USE = yes_or_no("used", gettext_lazy("Use"), "is_used", gettext_lazy("In use"), gettext_lazy("Not in use"))
LISTING = Listing(
    facets=(of_states(State), VERDICT, PROVIDER, ACCOUNT, REGION, USE),
    orders=(
        Order("created", gettext_lazy("Newest first"), gettext_lazy("Oldest first"), "created_at", falls=True),
        Order("name", gettext_lazy("Name"), gettext_lazy("Name, Z to A"), Natural("name")),
        Order("verdict", gettext_lazy("Worst verdict first"), gettext_lazy("Best verdict first"), "worst_rank"),
        Order("state", gettext_lazy("State"), gettext_lazy("State, Z to A"), "state"),
        Order(
            "newest",
            gettext_lazy("Newest backup first"),
            gettext_lazy("Oldest backup first"),
            "newest_backup",
            falls=True,
        ),
        Order("size", gettext_lazy("Largest first"), gettext_lazy("Smallest first"), "size", falls=True),
        Order("region", gettext_lazy("Region"), gettext_lazy("Region, Z to A"), "region"),
    ),
)


def page(membership: Membership, given: Mapping[str, str], *, path: str, size: int) -> ListPage:
    """Return a page of the member's stores, as an address asks for it, in two queries (three with a search)."""
    asked = LISTING.asked(given)
    found = _whole(membership, asked, path=path, size=size) or list_page(
        LISTING,
        asked,
        found=search(membership, Store.objects.visible_to(membership), asked.query),
        columns=lambda rows: compared(rows, asked),
        counted=counted(),
        shown=shown(),
        size=size,
        path=path,
    )
    accounts: dict[UUID, CloudAccount] = {}
    for store in found.items:  # one of each, so that what is found out about it is found out once
        store.cloud_account = accounts.setdefault(store.cloud_account_id, store.cloud_account)
    return found


def _whole(membership: Membership, asked: Asked, *, path: str, size: int) -> ListPage | None:
    """Return a page of all stores as they come, which is what is asked for most; None for what is asked otherwise."""
    if asked.is_filtered or asked.sort or asked.number > KEPT_PAGES:
        return None
    number = Tally(
        LISTING, asked, [(tuple(values), count) for *values, count in _groups.all(membership.organisation_id)]
    )
    items = _page(asked.number, size).all(membership.organisation_id)
    if not items and asked.number > 1:
        return None
    return ListPage(items[:size], asked, number, size, len(items) > size, path)


def _mine(organisation: UUID) -> StoreQuerySet:
    return Store.objects.visible_to(Membership(organisation_id=organisation))


_groups: Prepared[tuple[Any, ...]] = Prepared(lambda organisation: groups(LISTING, counted(), _mine(organisation)), KEY)


@lru_cache(maxsize=KEPT_PAGES)
def _page(number: int, size: int) -> Prepared[Store]:
    first, asked = (number - 1) * size, Asked(number=number)

    def rows(organisation: UUID) -> StoreQuerySet:
        keys = LISTING.sorted(_mine(organisation), asked).values("pk")[first : first + size + 1]
        return LISTING.sorted(shown().filter(pk__in=keys), asked)  # type: ignore[return-value]

    return Prepared(rows, KEY)


def without_rows(membership: Membership, given: Mapping[str, str], *, path: str) -> ListPage:
    """Return the filters of the member's stores alone, for what shows them otherwise than as a list."""
    asked = LISTING.asked({key: text for key, text in given.items() if key not in {"page", "sort"}})
    found = search(membership, Store.objects.visible_to(membership), asked.query)
    return ListPage((), asked, tally(LISTING, counted(), asked, found), 1, is_more=False, path=path)


def asked_for(membership: Membership, given: Mapping[str, str]) -> StoreQuerySet:
    """Return all of the member's stores that an address asks for, in no order."""
    asked = LISTING.asked(given)
    rows: StoreQuerySet = columns(search(membership, Store.objects.visible_to(membership), asked.query))
    return LISTING.filtered(rows, asked)  # type: ignore[return-value]
