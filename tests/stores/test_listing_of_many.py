"""The list of stores: each filter, search and order, compared with what plain Python makes of the same rows.

The rows are made once for all tests here, and what a test does is undone after it.
"""

from __future__ import annotations

import random
import re
from datetime import timedelta
from itertools import product
from types import SimpleNamespace
from urllib.parse import parse_qs, parse_qsl
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from clusters.health.verdicts import Verdict
from clusters.models import KnownStanza, Repository
from console.accounts.models import Membership, User
from console.web import lists
from stores import listing
from stores.models import State, Store
from tests import factories
from tests.api.callers import give
from tests.clusters import judged
from tests.responses import HTMX

ROWS = 60
REGIONS = {
    "aws": ("eu-west-1", "us-east-1"),
    "azure": ("northeurope", "eastus"),
    "google": ("europe-west1", "us-east1"),
}
LABELS = {"aws": "aws", "azure": "azure", "google": "google", "s3": "s3-compatible s3"}
NOW = timezone.now()


def fill(organisation, seed=1, rows=ROWS):
    """Make stores in all states and clouds, some in use and judged; return what is known of each, newest first."""
    chance = random.Random(seed)
    accounts = [
        factories.account(organisation, name="Production"),
        factories.account(organisation, name="Staging", number="210987654321"),
        factories.azure(organisation, name="Contoso"),
        factories.google(organisation, name="Analytics"),
        factories.server(organisation, name="Cellar"),
    ]
    known = []
    for number in range(rows):
        account = chance.choice(accounts)
        region = chance.choice(REGIONS.get(account.provider_key, ("us-east-1",)))
        is_used = chance.random() < 0.5
        state = chance.choice([one for one in State.values if not is_used or one != "deleting"])
        store = factories.store(
            account,
            name=f"{chance.choice(('orders', 'Ledger', 'größe'))}-{number:03}",
            region=region,
            state="available",
            created_at=NOW - timedelta(minutes=number),
        )
        fact = SimpleNamespace(
            name=store.name,
            pk=store.pk,
            state=state,
            account=str(account.pk),
            account_name=account.name,
            number=account.number,
            provider=account.provider_key,
            region=f"s3:{region}" if account.provider_key == "s3" else region,
            code=region,
            place=store.place,
            created=-number,
            verdict="none",
            rank=None,
            used="no",
            clusters=[],
            newest=None,
            size=None,
        )
        if is_used:
            cluster = judged.cluster(account, f"{chance.choice(('payments', 'web'))}-{number:03}", stores=[store])
            fact.used, fact.clusters = "yes", [cluster.name]
            for at in range(chance.choice((0, 1, 2))):
                verdict = chance.choice(list(Verdict))
                hours = chance.choice((None, number + 1))
                backup = None if hours is None else NOW - timedelta(hours=hours)
                judged.judge(cluster, verdict, database=f"d{at}", bytes=1000 * number, backup_at=backup)
                fact.newest = max((one for one in (fact.newest, backup) if one), default=None)
                if fact.rank is None or verdict.rank < fact.rank:
                    fact.verdict, fact.rank = verdict.value, verdict.rank
        fact.size = sized(store, number)
        Store.objects.filter(pk=store.pk).update(state=state)
        known.append(fact)
    return known


def sized(store, number):
    """Have stanzas seen in a store, of a repository that is in use and of one that is not; return their bytes."""
    values = {"organisation": store.organisation, "cluster_name": "gone", "prefix": "c-gone", "detached_at": NOW}
    if number % 3 == 0:
        Repository.objects.create(store=store, number=9, **values)
    total = None
    for at, one in enumerate(Repository.objects.filter(store=store).order_by("pk"), 1):
        # Never seen; seen once; seen on two days, of which the last one counts.
        rows = [[], [["2026-11-01", 1000 * number, at]], [["2026-11-01", 7, 7], ["2026-11-02", 500 * number, 3]]]
        for name, sizes in zip(("a", "b", "c"), rows[number % 4 :], strict=False):
            KnownStanza.objects.create(repository=one, node="n1", name=name, sizes=sizes)
            total = (total or 0) + sum(sizes[-1][1:]) if sizes else total
    return total


@pytest.fixture(scope="module")
def filled(django_db_setup, django_db_blocker):
    """Acme, who owns it, and what is known of its stores."""
    with django_db_blocker.unblock(), transaction.atomic():
        acme = factories.organisation("Acme")
        yield acme, factories.user("alice", acme, "owner"), fill(acme)
        transaction.set_rollback(True)


@pytest.fixture
def acme(filled, db):
    return filled[0]


@pytest.fixture
def alice(filled, db):
    return User.objects.get(pk=filled[1].pk)


@pytest.fixture
def known(filled, db):
    return filled[2]


@pytest.fixture
def mine(alice):
    return alice.memberships.get()


def names_of(mine, given):
    """The names on all pages, in their order, by the links from page to page."""
    found, address = [], given
    while True:
        page = listing.page(mine, address, path="/stores/", size=25)
        found += [store.name for store in page.items]
        if not page.next:
            return found
        address = dict(parse_qsl(page.next[1:]))


FILTERS = ("state", "verdict", "provider", "account", "region", "used")


@pytest.mark.slow
def test_each_choice_of_each_filter_leaves_what_it_says(mine, known):
    for key in FILTERS:
        choices = {getattr(fact, key) for fact in known}
        page = listing.page(mine, {}, path="/stores/", size=12)
        offered = {one.value: one.count for one in next(one for one in page.filters if one.key == key).choices}
        assert offered == {one: sum(getattr(fact, key) == one for fact in known) for one in choices}
        for choice in choices:
            assert names_of(mine, {key: choice}) == [fact.name for fact in known if getattr(fact, key) == choice], (
                f"{key}={choice}"
            )


@pytest.mark.slow
def test_filters_together_leave_what_both_leave_and_count_beside_each_other(mine, known):
    chance = random.Random(2)
    for first, second in product(FILTERS, FILTERS):
        if first >= second:
            continue
        fact = chance.choice(known)
        given = {first: getattr(fact, first), second: getattr(fact, second)}
        left = [one for one in known if all(getattr(one, key) == value for key, value in given.items())]
        page = listing.page(mine, given, path="/stores/", size=12)
        assert page.total == len(left)
        assert [store.name for store in page.items] == [one.name for one in left][:12]
        for one in page.filters:
            others = {key: value for key, value in given.items() if key != one.key}
            wanted = {}
            for each in known:
                if all(getattr(each, key) == value for key, value in others.items()):
                    wanted[getattr(each, one.key)] = wanted.get(getattr(each, one.key), 0) + 1
            assert {choice.value: choice.count for choice in one.choices} == wanted


KEYS = {
    "name": lambda fact: fact.name.lower(),
    "verdict": lambda fact: fact.rank,
    "state": lambda fact: fact.state,
    "newest": lambda fact: fact.newest,
    "size": lambda fact: fact.size,
    "region": lambda fact: fact.code,
    "created": lambda fact: fact.created,
}


@pytest.mark.parametrize("falls", [False, True])
@pytest.mark.parametrize("key", KEYS)
def test_each_order_sorts_as_python_does_with_what_has_none_last(mine, known, key, falls):
    value = KEYS[key]
    told = sorted((one for one in known if value(one) is not None), key=lambda one: -one.created)
    told = sorted(told, key=value, reverse=falls)
    if falls:  # of those that are equal, the newest first, either way
        told = sorted(sorted(told, key=lambda one: -one.created), key=value, reverse=True)
    rest = [one for one in known if value(one) is None]
    assert names_of(mine, {"sort": f"-{key}" if falls else key}) == [one.name for one in (*told, *rest)]


def is_named(fact, text):
    wanted = text.lower()
    long = len(wanted) >= 3
    return (
        wanted in fact.name.lower()
        or wanted in fact.code.lower()
        or wanted in fact.account_name.lower()
        or wanted in fact.number.lower()
        or any(wanted in one.lower() for one in fact.clusters)
        or wanted in fact.place.lower()
        or (long and wanted in LABELS[fact.provider])
        or (long and State(fact.state).label.lower().startswith(wanted))
    )


WORDS = (
    "orders",
    "LEDGER",
    "dublin",
    "ireland",
    "eu-west-1",
    "staging",
    "2109",
    "contoso",
    "azure",
    "s3-comp",
    "payments",
)


@pytest.mark.parametrize("text", [*WORDS, "failed", "degr", "nothing like it", "us-east"])
def test_the_search_finds_what_people_know_of_a_store(mine, known, text):
    assert names_of(mine, {"q": text}) == [fact.name for fact in known if is_named(fact, text)]


HOSTILE = [
    "%",
    "_",
    "\\",
    "'",
    '"',
    "\x00",
    "a\x00b",
    "💥",
    "x" * 5000,
    "*",
    "[a-z]",
    "<b>",
    "' OR 1=1 --",
    "\u202e",
    "ß",
    "İ",
]


NAMES = ["q", *FILTERS, "sort", "page"]


@pytest.mark.slow
def test_nothing_that_is_asked_breaks_the_list_or_stands_on_it_as_markup(as_alice, known, sample):
    """All of it as a search; of the others, which are choices or none, each takes some, and all of it is met."""
    cells = list(product(NAMES, HOSTILE))
    for name, text in sample(
        "what a list is asked", cells, by=lambda cell: cell if cell[0] == "q" else cell[0], of_each=4
    ):
        answer = as_alice.get("/stores/", {name: text})
        assert answer.status_code == 200, (name, text)
        assert "<b>" not in answer.content.decode().replace("&lt;b&gt;", "")
    for name, text in sample("what the maps are asked", cells, by=lambda cell: cell[0], of_each=2):  # as the list is
        assert as_alice.get("/overview/map/", {name: text}).status_code == 200
        assert as_alice.get("/overview/map.js", {name: text}).status_code == 200


def test_what_is_no_choice_asks_for_nothing(as_alice, known):
    for given in (
        {"state": "sleeping"},
        {"verdict": "fine"},
        {"provider": "nimbus"},
        {"account": "x"},
        {"used": "maybe"},
    ):
        assert as_alice.get("/stores/", given).context["page"].total == len(known)
    assert as_alice.get("/stores/", {"account": str(UUID(int=0))}).context["page"].total == 0


def test_pages_say_which_rows_they_show_and_lead_to_each_other(as_alice, known):
    first = as_alice.get("/stores/").context["page"]
    assert (first.summary, first.previous, first.first) == ("1–12 of 60", "", "")  # noqa: RUF001
    second = as_alice.get("/stores/" + first.next).context["page"]
    assert second.summary == "13–24 of 60"  # noqa: RUF001
    last = as_alice.get("/stores/" + first.last).context["page"]
    assert (last.summary, last.next, last.last) == ("49–60 of 60", "", "")  # noqa: RUF001
    assert as_alice.get("/stores/" + last.first).context["page"].summary == first.summary
    assert as_alice.get("/stores/?page=99999").context["page"].summary == last.summary


def names_by_links(client, given):
    """The same as a browser finds them."""
    found, answer = [], client.get("/stores/", given)
    while True:
        page = answer.context["page"]
        found += [store.name for store in page.items]
        if not page.next:
            return found
        answer = client.get("/stores/" + page.next)


def test_more_rows_than_are_counted_are_still_found(as_alice, known, monkeypatch):
    monkeypatch.setattr(lists, "COUNTED_AT_MOST", 30)
    page = as_alice.get("/stores/").context["page"]
    assert page.summary == "1–12 of more than 30"  # noqa: RUF001
    assert all(choice.count is None for one in page.filters for choice in one.choices)
    assert names_by_links(as_alice, {}) == [fact.name for fact in known]
    failed = [fact.name for fact in known if fact.state == "failed"]
    assert names_by_links(as_alice, {"state": "failed"}) == failed


def test_an_empty_answer_says_which_filters_to_clear(as_alice, known):
    answer = as_alice.get("/stores/", {"q": "nothing like it", "state": "failed", "sort": "name"})
    narrowed = {label: (words, parse_qs(url[1:])) for label, words, url in answer.context["page"].narrowed}
    assert narrowed == {
        "Search": ("“nothing like it”", {"state": ["failed"], "sort": ["name"]}),
        "State": ("Failed", {"q": ["nothing like it"], "sort": ["name"]}),
    }
    for _, _, url in answer.context["page"].narrowed:
        assert url.replace("&", "&amp;") in answer.content.decode()


def test_nobody_sees_or_counts_another_organisation_s(client, charlie, acme, known):
    client.force_login(charlie)
    for given in ({}, {"q": "orders"}, {"account": known[0].account}, {"state": known[0].state}, {"q": "Production"}):
        answer = client.get("/stores/", given)
        assert not answer.context["page"].items
        assert not any(choice.count for one in answer.context["page"].filters for choice in one.choices)
        assert known[0].name not in answer.content.decode()
        assert "Staging" not in answer.content.decode()  # an account of theirs
    assert client.get(f"/stores/{known[0].pk}/facts/").status_code == 404


def test_the_map_shows_the_stores_that_the_filters_leave(as_alice, known):
    for given in ({"state": "failed"}, {"q": "dublin"}, {"used": "yes", "provider": "aws"}):
        left = {
            store.name for store in as_alice.get("/overview/map/", given).context["spots"] for store in [store.store]
        }
        asked = listing.LISTING.asked(given)
        membership = Membership.objects.get(user__username="alice")
        rows = listing.asked_for(membership, given)
        assert left == {store.name for store in rows}
        assert asked.is_filtered
        script = as_alice.get("/overview/map.js", given).content.decode()
        assert {str(store.pk) for store in rows if str(store.pk) in script} == {str(store.pk) for store in rows}
        outside = Store.objects.exclude(pk__in=[store.pk for store in rows])
        assert not any(str(store.pk) in script for store in outside)


def test_the_list_the_page_and_the_api_tell_the_same_size(as_alice, alice, known):
    listed = {store.pk: store.size for store in as_alice.get("/stores/", {"sort": "-size"}).context["page"].items}
    assert len({*listed.values()}) > 5
    sizes = {fact.pk: fact.size for fact in known}
    assert listed == {pk: sizes[pk] for pk in listed}
    assert {store.pk: store.stored for store in Store.objects.all()} == sizes
    _, token = give(alice)
    told = as_alice.get("/api/v1/stores?limit=100", headers={"Authorization": f"Bearer {token}"}).json()["items"]
    assert {UUID(one["id"]): one["stored_bytes"] for one in told} == sizes


def test_the_list_asks_at_most_eight_questions(as_alice, client, charlie, known, django_assert_max_num_queries):
    fill(charlie.memberships.get().organisation, rows=1)
    client.force_login(charlie)
    for browser in (as_alice, client):
        for given in ({}, {"q": "orders", "state": "failed"}, {"sort": "-size", "page": 2}, {"verdict": "at_risk"}):
            with django_assert_max_num_queries(8):
                browser.get("/stores/", given)


def test_the_table_is_kept_for_the_person_alone(as_alice, alice, bob, client, known):
    answer = as_alice.post("/stores/view/?state=failed&sort=name", {"as": "table"})
    assert (answer.status_code, answer["Location"]) == (302, "/stores/?state=failed&sort=name")
    for path in ("/stores/", "/clusters/"):
        page = as_alice.get(path).content.decode()
        assert '<table class="listed">' in page
        assert 'aria-sort="descending"' in page
    client.force_login(bob)
    assert '<table class="listed">' not in client.get("/stores/").content.decode()
    client.force_login(alice)
    as_alice.post("/clusters/view/", {"as": "panes"})
    assert '<table class="listed">' not in as_alice.get("/stores/").content.decode()


def test_headings_sort_and_turn_the_order(as_alice, alice, known):
    alice.lists_as_tables = True
    alice.save()
    page = as_alice.get("/stores/", {"state": "failed"}).context["page"]
    assert page.headings["name"].url == "?state=failed&sort=name"
    assert page.headings["created"].url == "?state=failed&sort=created"
    turned = as_alice.get("/stores/", {"sort": "name"}).context["page"].headings["name"]
    assert (turned.url, turned.sorted) == ("?sort=-name", "ascending")


def test_the_part_with_the_filters_names_its_shortest_address(as_alice, known):
    answer = as_alice.get("/stores/?q=&state=failed&sort=-created", headers={**HTMX, "HX-Target": "stores-list"})
    assert answer["HX-Push-Url"] == "/stores/?state=failed"
    assert 'id="filter-state"' in answer.content.decode()
    there = {**HTMX, "HX-Target": "stores-list", "HX-Current-URL": "http://testserver/stores/?state=failed"}
    assert "HX-Push-Url" not in as_alice.get("/stores/?state=failed", headers=there)  # else Back would lead nowhere
    rows = as_alice.get("/stores/?state=failed", headers={**HTMX, "HX-Target": "stores-panes"})
    assert "HX-Push-Url" not in rows
    assert 'id="filter-state"' not in rows.content.decode()


CURRENT = re.compile(r'<a href="([^"]*)" aria-current="page"')


def test_panes_and_table_change_in_place_and_the_map_belongs_to_where_it_was_opened(as_alice, known):
    """What changes in place leaves no address behind that Back would show the same list at."""
    shown = as_alice.get("/stores/?state=failed").content.decode()
    assert 'hx-post="/stores/view/?state=failed" hx-target="#stores-list"' in shown
    assert 'href="/stores/map/?state=failed"' in shown
    there = {**HTMX, "HX-Target": "stores-list", "HX-Current-URL": "http://testserver/stores/?state=failed"}
    answer = as_alice.post("/stores/view/?state=failed", {"as": "table"}, headers=there, follow=True)
    assert "HX-Push-Url" not in answer.headers
    assert answer.content.decode().strip().startswith('<div id="stores-list">')
    marked = {path: CURRENT.findall(as_alice.get(path).content.decode()) for path in ("/stores/map/", "/overview/map/")}
    assert marked == {"/stores/map/": ["/stores/"], "/overview/map/": ["/"]}
