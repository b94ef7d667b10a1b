"""The overview: who sees it, what it says first, and that it costs the same for three clusters and for thirty."""

from __future__ import annotations

import html
import re
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from clusters.health.verdicts import Verdict
from clusters.models import Cluster, Health
from console.accounts import access, impersonation
from console.accounts.models import Membership
from console.overview import states
from console.web import notices
from console.web.notices import Notice, Subject
from stores.models import Store
from tests import factories
from tests.clusters import judged

HTMX = {"HX-Request": "true"}
PAGES = ("/", "/overview/databases/", "/overview/map/", "/stores/map/", "/overview/map.js")


def words(answer):
    text = re.sub(r"<(script|style|svg)\b.*?</\1>", " ", answer.content.decode(), flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


@pytest.fixture
def fleet(account, dub, iad):
    """Three clusters: well, at risk in one of its stores, and lost in its only one."""
    well = judged.cluster(account, "well", stores=[dub, iad])
    half = judged.cluster(account, "half", stores=[dub, iad])
    lost = judged.cluster(account, "lost", stores=[iad])
    for number in (1, 2):
        judged.judge(well, number=number, bytes=2_000_000, bytes_before=1_000_000)
    judged.judge(half, number=1, age=240)
    judged.judge(half, Verdict.AT_RISK, number=2, age=7300, words="The archiver fails <b>here</b>.")
    judged.judge(lost, Verdict.NOT_RECOVERABLE, age=None, words="All backups are gone.")
    return well, half, lost


def test_home_says_how_many_are_recoverable_and_the_worst_first(as_alice, fleet):
    answer = as_alice.get("/")
    page = words(answer)
    assert "2 of 3 databases are recoverable" in page
    assert "1 of them is not recoverable from another of its stores" in page
    assert page.index("All backups are gone.") < page.index("The archiver fails <b>here</b>.")
    assert "<b>here" not in answer.content.decode()
    assert "4.0 MB stored" not in page
    assert "3.8\xa0MB stored, 1.9\xa0MB more than a week ago".replace("\xa0", " ") in page.replace("\xa0", " ")
    assert "Do something about it." in page
    for cluster in fleet:
        assert reverse("clusters:node", args=[cluster.pk, "n1"]) in answer.content.decode()


def test_home_counts_a_database_without_a_store_as_not_set_up(as_alice, account, fleet):
    judged.cluster(account, "alone", nodes=("n1", "n2"), databases=("main", "other"))
    answer = as_alice.get("/")
    page = words(answer)
    assert "2 of 7 databases are recoverable" in page
    assert "4 Not set up yet" in page
    assert "1 cluster has no backup store" in page


def test_hosts_of_a_replication_that_has_no_store_count_once(as_alice, account):
    cluster = judged.cluster(account, nodes=("n1", "n2", "n3"))
    cluster.nodes.filter(name="n2").update(folder="n1")
    assert "0 of 2 databases are recoverable" in words(as_alice.get("/"))


def test_the_matrix_says_ages_and_verdicts_in_words(as_alice, account, dub, iad):
    cluster = judged.cluster(
        account, "orders", stores=[dub, iad], nodes=("n1", "n10", "n2"), databases=("main", "other")
    )
    for database, age in (("main", 60), ("other", 250)):
        judged.judge(cluster, database=database, age=age)
        judged.judge(cluster, Verdict.NOT_SET_UP, node="n10", database=database, age=None, number=2, words="No report.")
    judged.judge(cluster, node="n2", database="main", age=90_000, number=2)
    judged.judge(cluster, Verdict.BEHIND, node="n2", database="other", age=5, number=2, words="A run was missed.")
    text = as_alice.get("/").content.decode()
    table = text[text.index('<table class="freshness">') :]
    rows = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)]
    assert rows == [
        "Node archive-dub archive-iad",
        "n1 4 min . Recoverable. - not backed up there",
        "n2 - not backed up there 1 d . Falling behind: other. A run was missed.",
        "n10 - not backed up there not yet . Not set up yet: main. No report.",
    ]
    assert table.count('class="verdict-behind"') == 1


@pytest.mark.slow
def test_many_clusters_show_only_those_with_trouble_until_all_are_asked_for(as_alice, account, dub):
    for number in range(14):
        cluster = judged.cluster(account, f"c{number:02}", stores=[dub])
        judged.judge(cluster, Verdict.RECOVERABLE if number else Verdict.UNKNOWN)

    def shown(query=""):
        return re.findall(r'id="matrix-[^"]*"><a [^>]*>(c\d\d)<', as_alice.get(f"/{query}").content.decode())

    assert shown() == ["c00"]
    assert shown("?show=all") == ["c00", *(f"c{number:02}" for number in range(1, 12))]
    assert shown("?show=all&page=2") == ["c12", "c13"]
    assert shown("?show=all&page=9") == []
    assert shown("?q=C13") == ["c13"]
    assert shown("?q=nothing") == []
    for strange in ("0", "-1", "²"):
        assert shown(f"?page={strange}") == ["c00"]
    assert shown(f"?page={'9' * 5000}") == []


def test_databases_are_filtered_and_paged(as_alice, account, dub, fleet, monkeypatch):
    page = words(as_alice.get("/overview/databases/"))
    assert page.index("of lost") < page.index("of half") < page.index("of well")
    assert "of lost" not in words(as_alice.get("/overview/databases/", {"verdict": "at_risk"})).partition("Since")[2]
    assert "of half" in words(as_alice.get("/overview/databases/", {"verdict": "at_risk", "q": "half"}))
    assert "No database is like that" in words(
        as_alice.get("/overview/databases/", {"verdict": "at_risk", "q": "well"})
    )
    assert "of lost" in words(as_alice.get("/overview/databases/", {"verdict": "nonsense"}))
    monkeypatch.setattr("console.overview.views.ROWS", 2)
    first = as_alice.get("/overview/databases/?q=archive").content.decode()
    assert 'href="?q=archive&amp;page=2"' in first
    assert 'rel="prev"' not in first
    second = words(as_alice.get("/overview/databases/?page=2"))
    assert "of well" in second
    assert "of lost" not in second
    assert as_alice.get("/overview/databases/", headers=HTMX).content.decode().lstrip().startswith("<section")


@pytest.mark.parametrize(
    ("code", "place"),
    [("made_up", "clusters:node"), ("account", "cloud_accounts:detail"), ("out_of_reach", "stores:detail"),
     ("vanished", "clusters:detail")],
)  # fmt: skip
def test_what_is_wrong_leads_to_the_page_that_puts_it_right(as_alice, account, dub, code, place):
    cluster = judged.cluster(account, stores=[dub])
    row = judged.judge(cluster, Verdict.AT_RISK, words="Wrong.")
    row.problems[0]["code"] = code
    row.save()
    of = {
        "clusters:node": [cluster.pk, "n1"],
        "cloud_accounts:detail": [account.pk],
        "stores:detail": [dub.pk],
        "clusters:detail": [cluster.pk],
    }
    assert (
        f'<a href="{reverse(place, args=of[place])}">Do something about it.</a>' in as_alice.get("/").content.decode()
    )


@pytest.mark.slow
def test_queries_do_not_grow_with_the_clusters(as_alice, account, dub, iad):
    def asked(path):
        with CaptureQueriesContext(connection) as queries:
            assert as_alice.get(path).status_code == 200
        return len(queries)

    def add(numbers):
        for number in numbers:
            cluster = judged.cluster(account, f"c{number}", stores=[dub, iad], nodes=("n1", "n2"))
            for node in ("n1", "n2"):
                judged.judge(cluster, Verdict.AT_RISK, node=node, number=1 + number % 2, words="Wrong.")
            judged.cluster(account, f"alone{number}")
            factories.failed_store(account, name=f"failed{number}")

    paths = ("/", "/?show=all", "/overview/databases/", "/overview/map/", "/overview/map.js", "/clusters/", "/stores/")
    add(range(3))
    few = {path: asked(path) for path in paths}
    add(range(3, 30))
    assert {path: asked(path) for path in paths} == few
    assert few["/"] <= 12


# Who sees what


def test_nobody_sees_another_organisation_s(client, charlie, bob, fleet):
    others = [*Cluster.objects.all(), *Store.objects.all()]
    theirs = factories.account(charlie.organisations.get())
    own = judged.cluster(theirs, "own", stores=[factories.store(theirs, name="cellar")])
    judged.judge(own, Verdict.AT_RISK, words="Wrong.")
    client.force_login(charlie)
    for path in (*PAGES, "/?q=half", "/?show=all", "/overview/databases/?q=main"):
        text = client.get(path).content.decode()
        for one in others:
            assert one.name not in re.sub(r'(value|hx-get)="[^"]*"|“half”', "", text), path
            assert str(one.pk) not in text, path
    assert "0 of 1 database is recoverable" in words(client.get("/"))
    client.force_login(bob)
    assert "2 of 3 databases are recoverable" in words(client.get("/"))
    assert "half" in client.get("/?q=half").content.decode()


def test_home_leads_strangers_to_sign_in_and_staff_to_the_admin(client, db):
    assert client.get("/")["Location"] == "/login/?next=/"
    client.force_login(factories.support())
    assert client.get("/")["Location"] == "/admin/"
    client.force_login(factories.user("nobody"))
    answer = client.get("/")
    assert answer.status_code == 403
    assert "not a member" in answer.content.decode()
    assert client.post("/").status_code == 405


def test_developers_see_what_their_edition_has(client, db):
    organisation = factories.organisation("Dev", edition="developer")
    factories.account(organisation, name="mine", verify_error="Refused.")
    client.force_login(factories.user("dora", organisation))
    page = words(client.get("/"))
    assert "comes with the Enterprise edition" in page
    assert "1 account does not verify" in page
    assert client.get("/overview/databases/").status_code == 403


def test_support_sees_it_as_the_organisation_does(client, fleet, acme):
    sue = factories.support()
    client.force_login(sue)
    request = client.get("/admin/").wsgi_request
    impersonation.start(request, acme, reason="asked to", by=sue)
    request.session.save()
    page = words(client.get("/"))
    assert "2 of 3 databases are recoverable" in page
    assert "Nothing can be changed" in page


# Around it


def test_the_page_renews_itself_without_being_somebody_at_the_keyboard(as_alice, fleet, monkeypatch, settings):
    now = [time.time()]
    monkeypatch.setattr("console.accounts.access.time.time", lambda: now[0])
    settings.SESSION_IDLE_SECONDS = 1800
    as_alice.get("/")
    renewed = as_alice.get("/", headers=HTMX)
    own = renewed.content.decode()
    assert own.lstrip().startswith("<section")
    assert "navigation-changed" in renewed["HX-Trigger"]
    assert f'hx-headers=\'{{"{access.BY_ITSELF}": "1"}}\'' in own
    for _ in range(4):
        now[0] += 400
        assert as_alice.get("/", headers={**HTMX, access.BY_ITSELF: "1"}).status_code == 200
    now[0] += 400
    assert as_alice.get("/", headers={**HTMX, access.BY_ITSELF: "1"}).status_code == 302


def test_verdicts_stand_in_lists_and_pages_beside_what_the_cloud_said(as_alice, fleet, dub, iad):
    _, half, lost = fleet
    Cluster.objects.filter(pk=half.pk).update(state="failed")
    listed = as_alice.get("/clusters/").content.decode()
    assert re.search(r'lost</a>\s*<span class="badge verdict-not-recoverable">Not recoverable</span>\s*'
                     r'<span class="badge said available">Available</span>', listed)  # fmt: skip
    assert re.search(r'verdict-at-risk" title="At risk"></span>\s*<span class="nav-name">half</span>'
                     r'<span class="unseen">, At risk</span>'
                     r'\s*<span class="nav-state failed" title="Failed">', listed)  # fmt: skip
    stores = as_alice.get("/stores/").content.decode()
    assert re.search(r'archive-iad</a>\s*<span class="badge verdict-not-recoverable">', stores)
    assert re.search(r'archive-dub</a>\s*<span class="badge verdict-recoverable">', stores)
    for address in (iad.get_absolute_url(), lost.get_absolute_url(), reverse("clusters:node", args=[lost.pk, "n1"])):
        assert '<span class="badge verdict-not-recoverable">' in as_alice.get(address).content.decode()
    Health.objects.all().delete()
    assert "verdict-" not in as_alice.get("/stores/").content.decode().partition("<main")[2]
    assert "Not set up yet" in words(as_alice.get("/clusters/"))


def test_other_apps_tell_what_they_know(as_alice, fleet, acme, monkeypatch):
    told = Notice(
        "channels",
        "bad",
        "Nobody is told",
        "Add a channel.",
        "/x/",
        "Alerts",
        [Subject(str(n), f"/{n}/") for n in range(7)],
    )
    monkeypatch.setattr(
        notices, "notice_finders", [lambda membership: [told] if membership.organisation == acme else []]
    )
    page = words(as_alice.get("/"))
    assert "Nobody is told 0 , 1 , 2 , 3 , 4 and 2 more Add a channel. Alerts" in page


def test_a_second_store_that_is_not_set_up_hides_no_database_that_is_lost(alice, account, dub, iad):
    """Attaching one is what is done about it, and makes nothing better yet."""
    cluster = judged.cluster(account, "lost", stores=[dub, iad])
    judged.judge(cluster, Verdict.NOT_RECOVERABLE, number=1, age=None, words="All backups are gone.")
    judged.judge(cluster, Verdict.NOT_SET_UP, number=2, age=None, words="No report.")
    counts = states.summary(Membership.objects.get(user=alice), nowhere=0).counts
    assert {one: number for one, number in counts.items() if number} == {Verdict.NOT_RECOVERABLE: 1}
