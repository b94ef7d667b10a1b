"""The list of stores: what a few rows show, and how they renew themselves."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import Cluster, KnownStanza, Repository
from stores.models import Store
from tests import factories
from tests.api.callers import give
from tests.clusters import judged
from tests.responses import HTMX

NOW = timezone.now()


def test_what_a_server_signs_with_is_no_place_of_a_cloud(as_alice, alice, acme, account):
    server = factories.server(acme, name="Cellar")
    factories.store(account, name="virginia", region="us-east-1")
    factories.store(server, name="vault", region="us-east-1")
    page = as_alice.get("/stores/").context["page"]
    offered = {one.value: one.told for one in next(one for one in page.filters if one.key == "region").choices}
    assert offered == {
        "us-east-1": "us-east-1 · Ashburn, United States (1)",
        "s3:us-east-1": "S3-compatible · signs as us-east-1 (1)",
    }
    for region, name in (("us-east-1", "virginia"), ("s3:us-east-1", "vault")):
        assert [store.name for store in as_alice.get("/stores/", {"region": region}).context["page"].items] == [name]
    _, token = give(alice)
    by_code = as_alice.get("/api/v1/stores?region=us-east-1", headers={"Authorization": f"Bearer {token}"})
    assert {one["name"] for one in by_code.json()["items"]} == {"virginia", "vault"}
    nothing = as_alice.get("/stores/", {"region": "s3:nowhere"})
    assert "S3-compatible · signs as nowhere" in nothing.content.decode()
    told = as_alice.get("/stores/").content.decode()
    assert 'signs as <code class="whole">us-east-1</code>' in told
    (row,) = [one for one in as_alice.get("/overview/map/").context["places"] if one.region.city == "Dublin"]
    assert not row.codes


def test_panes_show_what_people_look_for(as_alice, account):
    store = factories.store(account, name="payments", region="eu-west-1")
    for name in ("web", "billing"):
        judged.judge(judged.cluster(account, name, stores=[store]), backup_at=NOW - timedelta(days=3))
    for one in Repository.objects.filter(store=store):
        sizes = [["2026-11-01", 2_500_000, 500_000]]
        KnownStanza.objects.create(repository=one, node="n1", name="orders", sizes=sizes)
    page = as_alice.get("/stores/").content.decode()
    for said in ("Dublin, Ireland", "eu-west-1", "Recoverable", "5.7\xa0MB", "3\xa0days ago", "billing", "and 1 more"):
        assert said in page
    assert store.bucket not in page  # on demand
    facts = as_alice.get(f"/stores/{store.pk}/facts/").content.decode()
    for value in (str(store.pk), store.bucket, store.log_bucket, store.identifier, str(account.pk)):
        assert value in facts


RENEWED = ("/stores/", "/clusters/", "/cloud-accounts/", "/tasks/", "/alerts/", "/overview/map/")
LISTS = [("/stores/", "stores"), ("/clusters/", "clusters")]


@pytest.mark.parametrize(("path", "name"), LISTS, ids=["stores", "clusters"])
def test_rows_that_renew_themselves_bring_the_filters_along_when_their_counts_are_others(as_alice, account, path, name):
    def make():
        store = factories.store(account, name=f"s{Store.objects.count()}", state="creating")
        judged.cluster(account, f"c-{store.name}")
        Cluster.objects.update(state="updating")

    def renewed(page):
        headers = {**HTMX, "HX-Target": f"{name}-panes", "HX-Trigger": f"{name}-poll", "X-Counts": page.counts}
        return as_alice.get(path, headers=headers)

    make()
    answer = as_alice.get(path)
    told = answer.content.decode()
    assert told.count(f'"X-Counts": "{answer.context["page"].counts}"') == 2
    same = renewed(answer.context["page"])
    assert "HX-Retarget" not in same
    assert 'id="filter-state"' not in same.content.decode()
    make()
    other = renewed(answer.context["page"])
    assert other["HX-Retarget"] == f"#{name}-list"
    assert "HX-Push-Url" not in other
    assert "(2)</option>" in other.content.decode()
    assert f'id="{name}-panes"' in other.content.decode()


@pytest.mark.parametrize("path", RENEWED)
def test_no_list_renews_rows_beside_counts_that_stay_as_they_were(as_alice, account, path):
    factories.store(account, state="creating")
    judged.cluster(account)
    Cluster.objects.update(state="updating")
    page = as_alice.get(path).content.decode()
    has_counts = re.search(r"<option[^>]*>[^<]*\(\d+\)</option>", page)
    renewing = re.findall(r"<(?:div|section)[^>]*hx-trigger=\"(?:every|renewal-due|[a-z]+-changed)[^>]*>", page)
    renewing = [one for one in renewing if "/clusters/navigation" not in one and "outcome" not in one]
    assert renewing or path in {"/tasks/", "/overview/map/"}
    assert not has_counts or all("X-Counts" in one for one in renewing)
