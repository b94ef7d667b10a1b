"""The search: what it finds, for whom, and that its pages are those that there are."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from clusters import actions as clusters
from clusters.models import Database
from console.accounts.models import Membership
from console.overview import finding
from stores.actions import create
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def member(alice):
    return Membership.objects.select_related("organisation").get(user=alice)


def found(member, text):
    return {group.title: [hit.title for hit in group.hits] for group in finding.find(member, text)}


@pytest.fixture
def orders(account, alice):
    store = factories.store(account, name="archive-dub", region="eu-west-1")
    cluster = clusters.create(account, name="orders", regions=["eu-west-1"], stores=[store], by=alice)
    Database.objects.create(
        cluster=cluster, name="ledger", version="17", data_directory="/var/lib/postgresql/17/ledger"
    )
    create(account, name="archive-new", region="eu-west-1", by=alice)
    return cluster


def test_things_are_found_by_name_bucket_number_and_id(orders, account, member):
    store = orders.attachments.get().store
    assert found(member, "ARCHIVE")["Backup stores"] == ["archive-dub", "archive-new"]
    assert found(member, store.bucket)["Backup stores"] == ["archive-dub"]
    assert found(member, str(orders.pk))["Clusters"] == ["orders"]
    assert found(member, "edge")["Databases"] == ["ledger"]
    assert found(member, account.number)["Cloud accounts"] == [account.name]
    assert found(member, "archive-new")["Tasks"] == ["Create Backup Store: archive-new"]
    node = orders.nodes.all()[0]
    assert node.name in found(member, node.name)["Nodes"]


def test_stores_and_clusters_are_found_by_their_place_as_their_lists_find_them(orders, member, client, alice):
    client.force_login(alice)
    server = factories.server(orders.organisation, name="Cellar", location="frankfurt")
    factories.store(server, name="vault", region="us-east-1")
    for text in ("Dublin", "ireland", "eu-west-1", "Frankfurt", "germany", "Cellar"):
        groups = found(member, text)
        for title, path in (("Backup stores", "/stores/"), ("Clusters", "/clusters/")):
            listed = client.get(path, {"q": text}).context["page"].items
            assert groups.get(title, []) == sorted(one.name for one in listed), (text, title)
    assert found(member, "Frankfurt")["Backup stores"] == ["vault"]
    assert found(member, "Dublin").keys() >= {"Backup stores", "Clusters"}
    (hit,) = next(one for one in finding.find(member, "Frankfurt") if one.title == "Backup stores").hits
    assert hit.detail.startswith("Frankfurt, Germany · ")


def test_what_is_another_organisations_is_not_found(orders, stranger_member):
    known = ("archive", "orders", "ledger", "dublin", "eu-west-1", "create")
    for text in (*known, orders.nodes.all()[0].name, orders.cloud_account.number):
        assert found(stranger_member, text).keys() <= {"Pages", "Help"}, text


@pytest.fixture
def stranger_member(db):
    mallory = factories.user("mallory", factories.organisation("Elsewhere"))
    return Membership.objects.select_related("organisation").get(user=mallory)


def test_each_page_is_shown_to_those_who_may_open_it(member, client, alice):
    """As the page itself answers."""
    for role in Membership.Role.values:
        Membership.objects.filter(user=alice).update(role=role)
        client.force_login(alice)
        mine = Membership.objects.select_related("organisation").get(user=alice)
        shown = found(mine, "")["Pages"]
        for title, name, _ in finding.PAGES:
            allowed = client.get(reverse(name)).status_code != 403
            assert (title in shown) == allowed, (role, title)


def test_many_are_cut_short_and_lead_to_their_list(account, member):
    for number in range(finding.EACH + 1):
        factories.store(account, name=f"archive-{number}", region="eu-west-1")
    group = next(group for group in finding.find(member, "archive") if group.title == "Backup stores")
    assert len(group.hits) == finding.EACH
    assert group.more == "/stores/?q=archive"


def test_one_letter_finds_pages_alone(orders, member):
    assert found(member, "a").keys() == {"Pages"}


def test_the_dialog_the_list_in_it_and_the_page(orders, client, alice):
    client.force_login(alice)
    page = client.get("/search/?q=orders").text
    assert "<!DOCTYPE html>" in page
    assert f'href="/clusters/{orders.pk}/"' in page
    dialog = client.get("/search/", headers={"HX-Request": "true", "HX-Target": "dialog"}).text
    assert 'id="finder-q"' in dialog
    assert "<!DOCTYPE" not in dialog
    listed = client.get("/search/?q=orders", headers={"HX-Request": "true", "HX-Target": "found"}).text
    assert listed.strip().startswith('<div id="found"')
    nothing = client.get("/search/?q=<b>%00'", headers={"HX-Request": "true", "HX-Target": "found"}).text
    assert "Nothing matches “&lt;b&gt;&#x27;”" in nothing


def test_it_asks_in_a_fixed_number_of_queries(orders, account, member, django_assert_max_num_queries):
    for number in range(5):
        clusters.create(account, name=f"orders-{number}", regions=["eu-west-1"], stores=[], by=None)
    with django_assert_max_num_queries(7):
        finding.find(member, "orders")


def test_who_is_signed_out_is_asked_to_sign_in(db):
    assert Client().get("/search/?q=a").url.startswith("/login/")
