"""Lists that people filter, sort and turn page by page: the page, the map and the API ask the same. Knows no app."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from math import ceil
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.db.models import Count, F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import Promise
from django.utils.translation import gettext

from console.web.natural import natural_key
from console.web.pages import SEARCHED_AT_MOST, fragment_or_page

COUNTED_AT_MOST = 2_000  # rows: counting more for each filter would cost more than the page itself
PAGES_AT_MOST = 100_000
TABLE_ROWS = 25  # of a page of a table
LONGEST = 100  # characters of a filter's value


@dataclass(frozen=True)
class Facet:
    """One filter. `columns` are columns of the rows: the first `compared` are compared, all of them make the words."""

    key: str  # in the address
    label: str | Promise
    columns: tuple[str, ...]
    text: Callable[..., str]  # the compared columns' values as the address has them
    words: Callable[..., str]  # the columns' values as people read them
    where: Callable[[str], Q | None]  # what the address has, as a condition; None when it can name no row
    plain: Callable[[str], str] = str  # what the address has as people read it, where no row has it
    compared: int = 1


def yes_or_no(key: str, label: str | Promise, column: str, yes: str | Promise, no: str | Promise) -> Facet:
    """Return a filter by a column that is true or false."""
    return Facet(
        key,
        label,
        (column,),
        lambda value: "yes" if value else "no",
        lambda value: str(yes if value else no),
        {"yes": Q(**{column: True}), "no": Q(**{column: False})}.get,
        lambda text: str(yes if text == "yes" else no),
    )


@dataclass(frozen=True)
class Order:
    """One way to sort; `by` is a column, and what has none in it comes last either way."""

    key: str
    label: str | Promise  # in its usual direction
    turned: str | Promise  # in the other one
    by: Any
    falls: bool = False  # largest, newest or last first when it is chosen anew


@dataclass(frozen=True)
class Choice:
    """One choice of a filter; `count` is how many rows it would leave, None where that is not counted."""

    value: str
    label: str
    count: int | None
    chosen: bool

    @property
    def told(self) -> str:
        """Return the label with the count, such as "Failed (3)"."""
        return self.label if self.count is None else f"{self.label} ({self.count:,})"


@dataclass(frozen=True)
class Filter:
    """A filter as the form shows it."""

    key: str
    label: str
    choices: list[Choice]

    @property
    def chosen(self) -> str:
        """Return the label of what is chosen; "" for nothing."""
        return next((one.label for one in self.choices if one.chosen), "")


@dataclass(frozen=True)
class Heading:
    """What sorts by one order: its label, the address that does, and how it is sorted now (as aria-sort has it)."""

    key: str
    label: str
    url: str
    sorted: str


@dataclass(frozen=True)
class Asked:
    """What a list is asked: text to search for, a value for each filter, the order and the page."""

    query: str = ""
    chosen: Mapping[str, str] = field(default_factory=dict)
    sort: str = ""
    number: int = 1

    @property
    def is_filtered(self) -> bool:
        """Return whether anything but all rows is asked for."""
        return bool(self.query or self.chosen)

    def address(self, **changed: Any) -> str:
        """Return the query string that asks the same but for what is given, with nothing in it that is usual."""
        one = replace(self, **{"number": 1, **changed})
        page = str(one.number) if one.number > 1 else ""
        given = {"q": one.query, **one.chosen, "sort": one.sort, "page": page}
        return "?" + urlencode({key: value for key, value in given.items() if value})

    @property
    def query_string(self) -> str:
        """Return the query string that asks this, without its question mark; "" for nothing."""
        return self.address(number=self.number).removeprefix("?")

    def without(self, key: str) -> str:
        """Return the query string that asks the same without this filter; "q" is the search."""
        if key == "q":
            return self.address(query="")
        return self.address(chosen={name: value for name, value in self.chosen.items() if name != key})


@dataclass(frozen=True)
class Listing:
    """How the rows of a model are listed: their filters, and their orders with the usual one first."""

    facets: Sequence[Facet]
    orders: Sequence[Order]

    def asked(self, given: Mapping[str, str]) -> Asked:
        """Read what is asked in an address; what names no filter, order or page asks for nothing."""
        chosen = {one.key: text for one in self.facets if (text := _clean(given.get(one.key, ""), LONGEST))}
        chosen = {key: text for key, text in chosen.items() if self._facet(key).where(text) is not None}
        sort = given.get("sort", "")
        known = sort.removeprefix("-") in {one.key for one in self.orders} and sort != self.usual
        page = given.get("page", "")
        number = int(page[:9]) if page.isascii() and page.isdigit() else 1
        return Asked(
            query=_clean(given.get("q", ""), SEARCHED_AT_MOST),
            chosen=chosen,
            sort=sort if known else "",
            number=min(max(number, 1), PAGES_AT_MOST),
        )

    def no_choices(self, given: Mapping[str, str]) -> list[str]:
        """Return the filters of which no row can have what is given."""
        return [one.key for one in self.facets if (text := given.get(one.key, "")) and one.where(text) is None]

    @property
    def usual(self) -> str:
        """Return the order of a list that nobody has sorted, as an address would have it."""
        return _sort(self.orders[0], falls=self.orders[0].falls)

    def filtered(self, rows: QuerySet[Any], asked: Asked) -> QuerySet[Any]:
        """Return the rows that the filters leave; they have the filters' columns."""
        for key, text in asked.chosen.items():
            found = self._facet(key).where(text)
            rows = rows.none() if found is None else rows.filter(found)
        return rows

    def _facet(self, key: str) -> Facet:
        return next(one for one in self.facets if one.key == key)

    def sorted(self, rows: QuerySet[Any], asked: Asked) -> QuerySet[Any]:
        """Return the rows in the order that is asked for; of those that are equal in it, the newest first."""
        sort = asked.sort or self.usual
        order = next(one for one in self.orders if one.key == sort.removeprefix("-"))
        by = F(order.by) if isinstance(order.by, str) else order.by
        if order.by == "created_at":  # never empty: so that its index serves
            ways = ("created_at", "pk") if sort[0] != "-" else ("-created_at", "-pk")
            return rows.order_by(*ways)
        first = by.desc(nulls_last=True) if sort[0] == "-" else by.asc(nulls_last=True)
        return rows.order_by(first, "-created_at", "-pk")


def _clean(text: str, most: int) -> str:
    """Return the text without NUL, which PostgreSQL takes in none, and not longer than that."""
    return text.replace("\x00", "").strip()[:most]


def _sort(order: Order, *, falls: bool) -> str:
    return f"-{order.key}" if falls else order.key


@dataclass(frozen=True)
class PlainFilters:
    """The filters of a list that counts nothing for them, for the same form: what is asked, and what is offered."""

    asked: Asked
    filters: list[Filter]


def plain_filters(query: str, *offered: tuple[str, str, str, Iterable[tuple[str, Any]]]) -> PlainFilters:
    """Return filters of which each has a key, a label, what is chosen ("" for nothing) and its values with words."""
    chosen = {key: value for key, _, value, _ in offered if value}
    filters = [
        Filter(key, label, [Choice(text, str(words), None, text == value) for text, words in choices])
        for key, label, value, choices in offered
    ]
    return PlainFilters(Asked(query, chosen), filters)


@dataclass(frozen=True)
class Tally:
    """How many rows there are by all their filters' columns, of those that the search has left."""

    listing: Listing
    asked: Asked
    groups: Sequence[tuple[tuple[Any, ...], int]]  # the values of all facets' columns, one after the other; how many

    @cached_property
    def is_more(self) -> bool:
        """Return whether there are more rows than are counted."""
        return sum(count for _, count in self.groups) > COUNTED_AT_MOST

    @cached_property
    def _texts(self) -> list[tuple[dict[str, str], int, tuple[Any, ...]]]:
        found = []
        for values, count in self.groups:
            at, texts = 0, {}
            for facet in self.listing.facets:
                texts[facet.key] = facet.text(*values[at : at + facet.compared])
                at += len(facet.columns)
            found.append((texts, count, values))
        return found

    @cached_property
    def total(self) -> int:
        """Return how many rows all filters leave, of those that are counted."""
        wanted = self.asked.chosen.items()
        return sum(count for texts, count, _ in self._texts if wanted <= texts.items())

    @cached_property
    def filters(self) -> list[Filter]:
        """Return each filter with its choices: of each, how many rows it leaves beside the other filters."""
        found, at = [], 0
        for facet in self.listing.facets:
            found.append(Filter(facet.key, str(facet.label), self._choices(facet, at)))
            at += len(facet.columns)
        return found

    @cached_property
    def digest(self) -> str:
        """Return what tells these choices with their counts from others."""
        return sha256(repr(self.filters).encode()).hexdigest()[:16]

    def _choices(self, facet: Facet, at: int) -> list[Choice]:
        others = {key: text for key, text in self.asked.chosen.items() if key != facet.key}.items()
        counts: Counter[str] = Counter()
        words: dict[str, str] = {}
        ranks: dict[str, Any] = {}
        for texts, count, values in self._texts:
            text = texts[facet.key]
            told = facet.words(*values[at : at + len(facet.columns)])
            if len(told) > len(words.get(text, "")):  # of a region whose place only one of two clouds knows
                words[text], ranks[text] = told, values[at]
            if others <= texts.items():
                counts[text] += count
        chosen = self.asked.chosen.get(facet.key, "")
        if chosen and chosen not in words:
            words[chosen] = facet.plain(chosen)
        shown = [text for text in words if counts[text] or text == chosen or self.is_more]
        order = sorted(shown, key=lambda text: _rank(ranks.get(text), words[text]))
        return [Choice(text, words[text], None if self.is_more else counts[text], text == chosen) for text in order]


def _rank(value: Any, words: str) -> tuple[bool, int, str]:
    """Sort choices by their number where they have one, such as a verdict's, else by their words; nothing last."""
    return (value is None, value if isinstance(value, int) else 0, natural_key(words))


def tally(listing: Listing, rows: QuerySet[Any], asked: Asked, found: QuerySet[Any]) -> Tally:
    """Count in one query; `found` are the keys of the rows that the search leaves, `rows` have the filters' columns."""
    return Tally(listing, asked, [(tuple(values), count) for *values, count in groups(listing, rows, found)])


def groups(listing: Listing, rows: QuerySet[Any], found: QuerySet[Any]) -> Any:
    """Return the query of a tally: the values of all filters' columns, and how many rows have them."""
    columns = [column for facet in listing.facets for column in facet.columns]
    some = found.order_by().values("pk")[: COUNTED_AT_MOST + 1]
    return rows.filter(pk__in=some).order_by().values_list(*columns).annotate(number_of_rows=Count("pk"))


@dataclass(frozen=True)
class ListPage:
    """One page of a list, with all that its template shows around the rows."""

    items: Sequence[Any]
    asked: Asked
    tally: Tally
    size: int
    is_more: bool  # whether there are rows after these
    path: str = ""  # of the list

    @property
    def filters(self) -> list[Filter]:
        """Return the filters of the form."""
        return self.tally.filters

    @property
    def counts(self) -> str:
        """Return what tells the filters with their counts from what they were before."""
        return self.tally.digest

    @property
    def total(self) -> int:
        """Return how many rows there are, as far as they are counted."""
        return self.tally.total

    @property
    def is_counted(self) -> bool:
        """Return whether the total is exact."""
        return not self.tally.is_more

    @property
    def summary(self) -> str:
        """Return which rows these are, and of how many, such as "13-24 of 228", with an en dash."""
        first = (self.asked.number - 1) * self.size + 1
        last = first + len(self.items) - 1
        of = (
            f"{self.total:,}"
            if self.is_counted
            else gettext("more than {counted_at_most}").format(counted_at_most=f"{COUNTED_AT_MOST:,}")
        )
        if self.asked.chosen and not self.is_counted:
            of = "" if self.is_more else f"{last:,}"
        which = f"{first:,}" if first == last else f"{first:,}\N{EN DASH}{last:,}"
        if self.is_counted and self.total == len(self.items):
            return of
        return (
            gettext("{which} of {of}").format(which=which, of=of)
            if of
            else gettext("{which} of more").format(which=which)
        )

    @property
    def first(self) -> str:
        """Return the address of the first page; "" on it."""
        return self.asked.address() if self.asked.number > 1 else ""

    @property
    def previous(self) -> str:
        """Return the address of the page before; "" on the first."""
        return self.asked.address(number=self.asked.number - 1) if self.asked.number > 1 else ""

    @property
    def next(self) -> str:
        """Return the address of the page after; "" on the last."""
        return self.asked.address(number=self.asked.number + 1) if self.is_more else ""

    @property
    def last(self) -> str:
        """Return the address of the last page; "" on it, or where the rows are not counted."""
        number = ceil(self.total / self.size)
        return self.asked.address(number=number) if self.is_more and self.is_counted else ""

    @property
    def url(self) -> str:
        """Return the address of this page of the list."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def query(self) -> str:
        """Return what its address asks, such as "state=failed"; "" for nothing."""
        return self.asked.query_string

    @property
    def filter_query(self) -> str:
        """Return what its address asks but for order and page, for what shows the same rows otherwise."""
        return replace(self.asked, sort="", number=1).query_string

    @property
    def narrowed(self) -> list[tuple[str, str, str]]:
        """Return what narrows the list: a filter's label, what is chosen, and the address without it."""
        found = [(gettext("Search"), f"“{self.asked.query}”", self.asked.without("q"))] if self.asked.query else []
        chosen = [one for one in self.filters if one.key in self.asked.chosen]
        return [*found, *((one.label, one.chosen, self.asked.without(one.key)) for one in chosen)]

    @property
    def unfiltered(self) -> str:
        """Return the address of all rows, in the same order."""
        return self.asked.address(query="", chosen={})

    @property
    def headings(self) -> dict[str, Heading]:
        """Return what sorts the list, by the key of the order."""
        now = self.asked.sort or self.tally.listing.usual
        found = {}
        for order in self.tally.listing.orders:
            is_now = now.removeprefix("-") == order.key
            falls = not now.startswith("-") if is_now else order.falls
            said = ("descending" if now.startswith("-") else "ascending") if is_now else "none"
            sort = _sort(order, falls=falls)
            url = self.asked.address(sort="" if sort == self.tally.listing.usual else sort)
            found[order.key] = Heading(order.key, str(order.label), url, said)
        return found

    @property
    def sorts(self) -> list[Choice]:
        """Return what the list can be sorted by, as a field offers it: each in its usual way, and how it is now."""
        now = self.asked.sort or self.tally.listing.usual
        found = []
        for order in self.tally.listing.orders:
            usual = _sort(order, falls=order.falls)
            is_now = now.removeprefix("-") == order.key
            label = order.label if not is_now or now == usual else order.turned
            found.append(Choice(now if is_now else usual, str(label), None, is_now))
        return found


def list_page(
    listing: Listing,
    asked: Asked,
    *,
    found: QuerySet[Any],
    columns: Callable[[Any], QuerySet[Any]],
    counted: QuerySet[Any],
    shown: QuerySet[Any],
    size: int,
    path: str,
) -> ListPage:
    """Return a page in two queries.

    `found` are the rows that the search leaves; `columns` gives rows what the filters and the order that are asked for
    compare. `counted` are all rows with the columns of all filters, `shown` all rows with what the page shows. Which
    rows are on the page is found first, by their keys alone: so what a row shows costs nothing for the pages before.
    """
    number = tally(listing, counted, asked, found)
    if not number.is_more:
        asked = replace(asked, number=min(asked.number, max(ceil(number.total / size), 1)))
        number = replace(number, asked=asked)
    first = (asked.number - 1) * size
    keys = listing.sorted(listing.filtered(columns(found), asked), asked).values("pk")[first : first + size + 1]
    items = list(listing.sorted(shown.filter(pk__in=keys), asked))
    if not items and asked.number > 1:  # there are no longer so many, and nobody had counted them
        asked = replace(asked, number=1)
        options: Any = {"columns": columns, "counted": counted, "shown": shown, "size": size, "path": path}
        return list_page(listing, asked, found=found, **options)
    return ListPage(items[:size], asked, number, size, len(items) > size, path)


def listed(
    request: HttpRequest, template: str, page: ListPage, context: dict[str, Any], *, target: str, rows: str
) -> HttpResponse:
    """Answer with a list: all of the page, its part with the filters (`target`, which it is put into), or its rows.

    The parts of the template are called "list" and `rows`. Who changes a filter finds the list in the address bar, by
    the shortest address. Rows that renew themselves name the counts of the filters that stand above them (X-Counts): if
    these are others by now, all of the list is the answer, whose filters are put where they stood.
    """
    is_asked = part_of(request, target, rows) == "list"
    is_stale = request.headers.get("X-Counts", page.counts) != page.counts
    response = fragment_or_page(request, template, "list" if is_asked or is_stale else rows, context)
    if is_asked:
        push(request, response, page.url)
    elif is_stale:
        response["HX-Retarget"] = f"#{target}"
    return response


def part_of(request: HttpRequest, target: str, rows: str) -> str:
    """Return the part of a list's template that is asked for: "list", with the filters, or its rows."""
    return "list" if request.htmx.target == target else rows  # type: ignore[attr-defined]


def push(request: HttpRequest, response: HttpResponse, url: str) -> None:
    """Put the address of what is shown now into the address bar, once: Back leads to another one."""
    if request.htmx.current_url_abs_path != url:  # type: ignore[attr-defined]
        response["HX-Push-Url"] = url


def is_table(request: HttpRequest) -> bool:
    """Return whether the person that looks wants lists as tables."""
    return bool(getattr(request.user, "lists_as_tables", False))


def keep_view(request: HttpRequest, path: str) -> HttpResponse:
    """Keep for the person whether lists are tables (as=table) or panes, and go back to the list of the same address."""
    people: Any = get_user_model()._default_manager
    people.filter(pk=request.user.pk).update(lists_as_tables=request.POST.get("as") == "table")
    query = request.META.get("QUERY_STRING", "")
    return redirect(f"{path}?{query}" if query else path)
