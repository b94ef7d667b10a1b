"""Clusters in the browser's words: what is answered, to whom, and what changed."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from django.db.models.signals import pre_save
from django.urls import reverse
from django.utils import timezone

from clusters.models import BackupPolicy, Cluster, Database, Node
from stores.models import State, Store
from tests import factories
from tests.clusters.conftest import work
from tests.responses import HTMX, text_of, words_of

NOBODY = str(UUID(int=0))
EVIL = "`${alert(1)}`<img src=x onerror=alert(2)></script>"


@pytest.fixture
def form(account, stores):
    return {
        "name": "orders",
        "cloud_account": str(account.pk),
        "regions": ["eu-west-1", "eu-central-1"],
        "backup_stores": [str(store.pk) for store in stores],
    }


def test_cluster_list_offers_the_next_step_when_empty(as_alice):
    assert reverse("clusters:create") in text_of(as_alice.get("/clusters/"))


def test_cluster_list_needs_the_same_queries_for_ten_clusters_as_for_one(
    as_alice, make, stores, django_assert_max_num_queries
):
    make(stores, name="first")
    with django_assert_max_num_queries(10) as one:
        as_alice.get("/clusters/")
    for number in range(9):
        make(stores, name=f"cluster-{number}")
    with django_assert_max_num_queries(len(one)):
        answer = as_alice.get("/clusters/")
    assert "<strong>10</strong> Clusters" in text_of(answer)


def test_cluster_list_is_searched_by_name_and_id(as_alice, make):
    orders, shop = make(name="orders"), make(name="shop")
    for query in ("ord", str(orders.pk)):
        page = text_of(as_alice.get("/clusters/", {"q": query}, headers=HTMX))
        assert str(orders.pk) in page
        assert str(shop.pk) not in page


def test_cluster_detail_counts_what_its_nodes_have_said(as_alice, make, stores):
    cluster = make(stores)
    page = words_of(as_alice.get(cluster.get_absolute_url()))
    assert f"{cluster.nodes.count()} Nodes {cluster.nodes.count()} not reported" in page
    cluster.nodes.filter(name="n1").update(reported_at=timezone.now(), applied_sha256="a" * 64)
    page = words_of(as_alice.get(cluster.get_absolute_url()))
    assert f"1 out of date · {cluster.nodes.count() - 1} not reported" in page


def test_cluster_create_writes_it_down_and_goes_to_its_page(as_alice, form):
    answer = as_alice.post("/clusters/create/", form)
    cluster = Cluster.objects.get()
    assert answer["Location"] == cluster.get_absolute_url()
    assert [(node.name, node.region) for node in cluster.nodes.all()] == [("n1", "eu-west-1"), ("n2", "eu-central-1")]
    assert cluster.stores.count() == 2


def test_cluster_create_answers_htmx_with_the_way_to_its_page(as_alice, form):
    answer = as_alice.post("/clusters/create/", form, headers=HTMX)
    assert answer["HX-Redirect"] == Cluster.objects.get().get_absolute_url()


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("name", "", "Give the cluster a name."),
        ("name", "a\x01b", "control characters"),
        ("cloud_account", "", "Choose the account"),
        ("cloud_account", NOBODY, "Choose one of the linked accounts."),
        ("regions", [], "Choose at least one region"),
        ("regions", ["mars-1"], "There is no region mars-1"),
        ("regions", ["cn-north-1"], "is an account of aws"),
        ("regions", ["eu-west-1"] * 21, "at most 20 nodes"),
        ("backup_stores", ["nonsense"], "This is not a backup store."),
        ("backup_stores", [NOBODY], "1 of the chosen stores does not exist any more"),
        ("backup_stores", [str(UUID(int=n)) for n in range(257)], "at most 256 repositories"),
    ],
)
def test_cluster_create_says_beside_the_field_what_is_wrong(as_alice, form, field, value, said):
    answer = as_alice.post("/clusters/create/", form | {field: value})
    assert answer.status_code == 422
    assert said in text_of(answer)
    assert not Cluster.objects.exists()


def test_cluster_create_refuses_a_name_that_is_taken(as_alice, form, make):
    make(name="Orders")
    answer = as_alice.post("/clusters/create/", form)
    assert answer.status_code == 422
    assert "A cluster of this name exists." in text_of(answer)


def test_cluster_create_takes_the_same_store_twice_for_once(as_alice, form, stores):
    as_alice.post("/clusters/create/", form | {"backup_stores": [str(stores[0].pk)] * 2})
    assert Cluster.objects.get().attachments.count() == 1


@pytest.mark.parametrize("whose", ["account", "organisation"])
def test_cluster_create_refuses_a_store_of_another(as_alice, form, acme, charlie, whose):
    other = (
        factories.account(acme, name="other") if whose == "account" else factories.account(charlie.organisations.get())
    )
    store = factories.store(other, name="theirs")
    answer = as_alice.post("/clusters/create/", form | {"backup_stores": [str(store.pk)]})
    assert answer.status_code == 422
    assert ("theirs" in text_of(answer)) == (whose == "account")  # nothing is told of another organisation's
    assert not Cluster.objects.exists()


def test_cluster_create_continues_without_scripts_and_keeps_what_was_typed(as_alice, form, stores):
    answer = as_alice.post("/clusters/create/", form | {"continue": "1"})
    page = text_of(answer)
    assert answer.status_code == 200
    assert 'value="orders"' in page
    assert "1 of 2 nodes has a store in its region; n2 archives over 1,088 km to eu-west-1." in page
    assert not Cluster.objects.exists()


def test_the_field_offers_the_nearest_first_and_says_what_cannot_be_chosen(as_alice, form, account, stores):
    factories.store(account, name="archive-fra", region="eu-central-1", state=State.CREATING)
    page = text_of(as_alice.post("/clusters/create/", form | {"backup_stores": [], "continue": "1"}))
    assert page.index("archive-dub") < page.index("archive-iad")
    assert "cannot be chosen: creating" in page


def test_cluster_stores_holds_what_is_attached_and_offers_the_rest(as_alice, make, stores):
    cluster = make(stores[:1])
    page = text_of(as_alice.get(f"/clusters/{cluster.pk}/backup-stores/"))
    assert re.search(rf'value="{stores[0].pk.hex}"[^>]* data-attached checked', page)
    assert re.search(rf'value="{stores[1].pk.hex}"(?![^>]*checked)', page)


def test_cluster_stores_attaches(as_alice, make, stores):
    cluster = make(stores[:1])
    answer = as_alice.post(
        f"/clusters/{cluster.pk}/backup-stores/", {"backup_stores": [str(store.pk) for store in stores]}, headers=HTMX
    )
    assert answer.status_code == 204
    assert {"dialog-close", "clusters-changed"} <= set(answer.headers["HX-Trigger"].replace('"', " ").split())
    assert len(work(cluster).wanted) == 2


def test_cluster_stores_detaches_only_after_saying_what_it_means(as_alice, make, stores):
    cluster = make(stores)
    url, choice = f"/clusters/{cluster.pk}/backup-stores/", {"backup_stores": [str(stores[1].pk)]}
    answer = as_alice.post(url, choice)
    page = text_of(answer)
    assert answer.status_code == 422
    assert "n1 loses archive-dub, the only store in its region (eu-west-1)." in page
    assert "may hold the only full backup" in page
    assert Cluster.objects.get().state == "available"
    yes = re.search(r'name="confirmed" value="([^"]*)"', page)[1]
    other = as_alice.post(url, {"backup_stores": [], "confirmed": yes})  # the yes was to something else
    assert other.status_code == 422
    assert "No store is left" in text_of(other)
    assert as_alice.post(url, choice | {"confirmed": yes}).status_code == 302
    assert [one.store.name for one in work(cluster).wanted] == ["archive-iad"]


def test_cluster_stores_tells_the_second_of_two_administrators(as_alice, make, stores, account):
    cluster = make(stores[:1])
    url, shown = f"/clusters/{cluster.pk}/backup-stores/", cluster.version
    both = {"backup_stores": [str(store.pk) for store in stores], "version": str(shown)}
    assert as_alice.post(url, both).status_code == 302
    work(cluster)
    third = factories.store(account, name="third")
    mine = {"backup_stores": [str(stores[0].pk), str(third.pk)], "version": str(shown)}
    answer = as_alice.post(url, mine)
    page = text_of(answer)
    assert answer.status_code == 422
    assert "it has archive-dub, archive-iad now" in page
    assert re.search(rf'value="{third.pk.hex}"[^>]* checked', page)  # the choice is not lost
    assert f'name="version" value="{shown + 1}"' in page
    assert len(Cluster.objects.with_story().get().wanted) == 2


def test_cluster_stores_refuses_a_store_that_was_deleted_while_the_dialog_was_open(as_alice, make, stores, alice):
    cluster = make(stores[:1])
    choice = {"backup_stores": [str(store.pk) for store in stores]}
    Store.objects.filter(pk=stores[1].pk).update(state="deleting")
    answer = as_alice.post(f"/clusters/{cluster.pk}/backup-stores/", choice)
    assert answer.status_code == 422
    assert "archive-iad is deleting" in text_of(answer)
    Store.objects.filter(pk=stores[1].pk).delete()
    answer = as_alice.post(f"/clusters/{cluster.pk}/backup-stores/", choice)
    assert answer.status_code == 422
    assert "does not exist any more" in text_of(answer)


def test_cluster_stores_waits_for_the_task_that_is_at_work(as_alice, make, stores):
    cluster = make(stores[:1], run=False)
    choice = {"backup_stores": [str(store.pk) for store in stores]}
    answer = as_alice.post(f"/clusters/{cluster.pk}/backup-stores/", choice)
    assert answer.status_code == 422
    assert len(Cluster.objects.with_story().get().wanted) == 1


def test_a_store_that_is_degraded_may_stay_attached(as_alice, make, stores, account):
    cluster = make(stores)
    Store.objects.filter(pk=stores[0].pk).update(state=State.DEGRADED)
    third = factories.store(account, name="third")
    choice = {"backup_stores": [str(store.pk) for store in (*stores, third)]}
    assert as_alice.post(f"/clusters/{cluster.pk}/backup-stores/", choice).status_code == 302


def test_store_delete_names_the_clusters(as_alice, make, stores):
    cluster = make(stores)
    page = text_of(as_alice.get(f"/stores/{stores[0].pk}/delete/"))
    assert "attachment to cluster orders" in page
    for address in (f"/stores/{stores[0].pk}/", f"/stores/{stores[0].pk}/delete/"):
        link = f'<a href="{cluster.get_absolute_url()}">attachment to cluster orders</a>'
        assert link in as_alice.get(address).content.decode()
    answer = as_alice.post(f"/stores/{stores[0].pk}/delete/", {"name": stores[0].name})
    assert answer.status_code == 422
    assert "attachment to cluster orders" in text_of(answer)


def test_cluster_delete_is_refused_with_the_stores_that_hold_it(as_alice, make, stores):
    cluster = make(stores)
    answer = as_alice.post(f"/clusters/{cluster.pk}/delete/", {"name": "orders"})
    assert answer.status_code == 422
    assert "archive-dub" in text_of(answer)
    assert Cluster.objects.get().state == "available"


def test_cluster_delete_wants_the_exact_name(as_alice, make):
    cluster = make()
    assert as_alice.post(f"/clusters/{cluster.pk}/delete/", {"name": "order"}).status_code == 422
    assert as_alice.post(f"/clusters/{cluster.pk}/delete/", {"name": "orders"}).status_code == 302
    assert work(cluster) is None
    assert as_alice.get(cluster.get_absolute_url(), headers=HTMX)["HX-Redirect"] == "/clusters/"


def test_nodes_are_added_and_removed(as_alice, make):
    cluster = make()
    assert as_alice.post(f"/clusters/{cluster.pk}/nodes/add/", {"regions": ["eu-north-1"]}).status_code == 302
    assert as_alice.post(f"/clusters/{cluster.pk}/nodes/remove/", {"nodes": ["n1", "n2"]}).status_code == 302
    assert [node.name for node in Node.objects.all()] == ["n3", "n4"]
    for nodes in ([], ["n9"], ["n3", "n4"]):
        assert as_alice.post(f"/clusters/{cluster.pk}/nodes/remove/", {"nodes": nodes}).status_code == 422
    for regions in ([], ["mars-1"]):
        assert as_alice.post(f"/clusters/{cluster.pk}/nodes/add/", {"regions": regions}).status_code == 422
    assert Node.objects.count() == 2


def test_databases_are_added_and_removed(as_alice, make):
    cluster = make()
    url = f"/clusters/{cluster.pk}/databases/"
    good = {"name": "main", "version": "17", "data_directory": "/var/lib/postgresql/17/main", "port": "5432"}
    assert as_alice.post(f"{url}add/", good).status_code == 302
    assert "/var/lib/postgresql/17/main" in text_of(as_alice.get(cluster.get_absolute_url()))
    other = {**good, "name": "second", "data_directory": "/data", "port": "5433"}
    for wrong in (
        {"name": "Main"},
        {"name": "main"},
        {"name": "a]\n[b"},
        {"port": "5432"},
        {"port": "0"},
        {"port": "65536"},
        {"data_directory": "relative"},
        {"data_directory": "/a\nrepo1-path=/x"},
        {"data_directory": good["data_directory"]},
        {"version": "9"},
    ):
        assert as_alice.post(f"{url}add/", other | wrong).status_code == 422, wrong
    assert as_alice.post(f"{url}add/", other).status_code == 302
    assert as_alice.post(f"{url}second/remove/", {"name": "main"}).status_code == 422
    assert as_alice.post(f"{url}second/remove/", {"name": "second"}).status_code == 302
    assert [database.name for database in Database.objects.all()] == ["main"]


def test_cluster_proximity_follows_the_choice(as_alice, make, stores):
    cluster = make(stores)
    answer = as_alice.post(f"/clusters/proximity/?cluster={cluster.pk}", {"backup_stores": [str(stores[0].pk)]})
    page = text_of(answer)
    assert "1 of 3 nodes has a store in its region" in page
    assert "(choosing archive-iad would make it 0 km)" in page
    assert f'data-node="n2" data-store="{stores[0].pk.hex}"' in page


def test_maps_hold_no_name_and_every_pin(as_alice, make, account):
    store = factories.store(account, name=EVIL[:60])
    cluster = make([store])
    for query in (
        f"cluster={cluster.pk}",
        f"cluster={cluster.pk}&offer=1",
        f"cloud_account={account.pk}&regions=eu-west-1",
    ):
        answer = as_alice.get(f"/clusters/stores.js?{query}")
        script = answer.content.decode()
        assert answer["Content-Type"].startswith("text/javascript")
        assert store.pk.hex in script
        assert "alert" not in script
    regions = as_alice.get(f"/clusters/regions.js?cloud_account={account.pk}").content.decode()
    assert "ap-northeast-1" in regions
    assert "cn-north-1" not in regions


def test_maps_of_what_is_not_there(as_alice):
    for url in (
        "stores.js",
        "stores.js?cluster=x",
        f"stores.js?cluster={NOBODY}",
        f"stores.js?cloud_account={NOBODY}",
    ):
        assert as_alice.get(f"/clusters/{url}").status_code == 404
    for query in ("", "?provider=mars", "?provider=%00"):
        assert as_alice.get(f"/clusters/regions.js{query}").status_code == 404


def test_the_navigation_pane_shows_the_clusters_with_their_states(as_alice, make):
    cluster = make()
    page = text_of(as_alice.get("/tasks/"))
    assert cluster.get_absolute_url() in page
    assert 'class="state-dot verdict-not-set-up" title="Not set up yet"' in page
    assert 'class="nav-state' not in page
    fragment = text_of(
        as_alice.get(
            "/clusters/navigation/", headers={**HTMX, "HX-Current-URL": f"http://testserver/clusters/{cluster.pk}/"}
        )
    )
    assert 'aria-current="page"' in fragment


PAGES = ("", "backup-stores/", "nodes/add/", "nodes/remove/", "databases/add/", "delete/")


@pytest.mark.parametrize("page", PAGES)
def test_strangers_find_nothing(client, charlie, make, page):
    cluster = make()
    client.force_login(charlie)
    assert client.get(f"/clusters/{cluster.pk}/{page}").status_code == 404
    if page:
        assert client.post(f"/clusters/{cluster.pk}/{page}", {"name": "orders"}).status_code == 404


def test_strangers_find_no_map_and_no_verdict(client, charlie, make, account):
    cluster = make()
    client.force_login(charlie)
    assert client.get(f"/clusters/stores.js?cluster={cluster.pk}").status_code == 404
    assert client.get(f"/clusters/stores.js?cloud_account={account.pk}").status_code == 404
    assert client.post(f"/clusters/proximity/?cluster={cluster.pk}").status_code == 404
    assert client.post("/clusters/proximity/", {"cloud_account": str(account.pk)}).status_code == 404
    assert str(cluster.pk) not in client.get("/clusters/").content.decode()


def test_viewers_look_and_change_nothing(client, bob, make, stores, form):
    cluster = make(stores)
    client.force_login(bob)
    page = text_of(client.get(f"/clusters/{cluster.pk}/"))
    assert "archive-dub" in page
    assert "Update Backup Stores" not in page
    for path in (*PAGES[1:], "retry/", "repair/", "databases/x/remove/"):
        assert client.post(f"/clusters/{cluster.pk}/{path}", {"name": "orders"}).status_code == 403
    assert client.post("/clusters/create/", form | {"name": "more"}).status_code == 403
    assert Cluster.objects.count() == 1


def test_the_developer_edition_is_told_what_it_lacks(client, db):
    organisation = factories.organisation("Small", edition="developer")
    client.force_login(factories.user("dora", organisation))
    for path in ("", "create/", "stores.js", "regions.js?provider=aws"):
        assert client.get(f"/clusters/{path}").status_code == 403


def test_support_finds_clusters(client, make, db):
    cluster = make()
    client.force_login(factories.user("sue", is_staff=True, is_superuser=True))
    page = client.get("/admin/clusters/cluster/", {"q": str(cluster.pk)})
    assert "orders" in page.content.decode()
    # Whether anything can be restored is told apart from how it stands in its cloud.
    assert '<td class="field-verdict_words">Not set up yet</td>' in page.content.decode()
    assert '<td class="field-cloud_words">Available</td>' in page.content.decode()
    assert client.get(f"/admin/clusters/cluster/{cluster.pk}/change/").status_code == 200


def test_tiles_are_asked_for_only_where_the_operator_set_a_server(as_alice, settings, make, rf):
    from console.web.middleware import content_security_policy

    assert "img-src 'self';" in content_security_policy()
    settings.MAP_TILES_URL = "https://tiles.example.org/{z}/{x}/{y}.png"
    settings.MAP_TILES = (settings.MAP_TILES_URL, "Example")
    assert "img-src 'self' https://tiles.example.org;" in content_security_policy()
    script = as_alice.get("/clusters/regions.js?provider=aws").content.decode()
    assert "tiles.example.org" in script


# Roles of an earlier version


def test_a_cluster_whose_role_has_no_boundary_says_so_and_is_repaired(as_alice, client, bob, charlie, make, stores):
    from console.clouds.aws.session import iam_client

    cluster = make(stores)
    assert cluster.keys == {"boundary": f"arn:aws:iam::{cluster.cloud_account.number}:policy/storekeeper-nodes"}
    iam, role = iam_client(cluster.cloud_account.credentials()), {"RoleName": f"pgbk-{cluster.prefix}"}
    Cluster.objects.update(keys={})  # as an earlier version left it
    iam.delete_role_permissions_boundary(**role)
    client.force_login(bob)
    page = client.get(f"/clusters/{cluster.pk}/").content.decode()
    assert "was made without a permissions boundary" in page
    assert "repair/" not in page
    client.force_login(charlie)
    assert client.post(f"/clusters/{cluster.pk}/repair/").status_code == 404
    assert f"/clusters/{cluster.pk}/repair/" in as_alice.get(f"/clusters/{cluster.pk}/").content.decode()
    assert as_alice.post(f"/clusters/{cluster.pk}/repair/", headers=HTMX).status_code == 204
    assert as_alice.post(f"/clusters/{cluster.pk}/repair/").status_code == 302  # at work already, which is said
    work(cluster)
    assert iam.get_role(**role)["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith("storekeeper-nodes")
    assert "permissions boundary" not in as_alice.get(f"/clusters/{cluster.pk}/").content.decode()


# What the fuzz has found


def test_schedules_that_never_meet_before_the_calendar_ends(as_alice, make):
    schedules = {"full_schedule": "0 0 29 2 */7", "diff_schedule": "30 0 29 2 *", "incr_schedule": ""}
    values = {"retention_full": "14", "retention_type": "time", "retention_diff": "", **schedules}
    cluster = make(run=False)
    assert as_alice.post(f"/clusters/{cluster.pk}/policy/", values, headers=HTMX).status_code == 204
    assert BackupPolicy.objects.get().full_schedule == "0 0 29 2 */7"


def test_the_second_of_two_databases_added_at_once_is_told_so(as_alice, make):
    cluster, values = make(run=False), {"name": "main", "version": "17", "data_directory": "/data", "port": "5432"}

    def rival(instance, **_):  # is there between the check and the row
        Database.objects.bulk_create([Database(cluster=cluster, **values)], ignore_conflicts=True)

    pre_save.connect(rival, sender=Database)
    try:
        answer = as_alice.post(f"/clusters/{cluster.pk}/databases/add/", values, headers=HTMX)
    finally:
        pre_save.disconnect(rival, sender=Database)
    assert answer.status_code == 422
    assert "at the same time" in answer.content.decode()
