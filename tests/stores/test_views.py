"""Backup Stores in the browser's words: what is answered, to whom, and what changed."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from console.operations.models import Operation
from stores.models import State, Store
from tests import factories
from tests.responses import HTMX

NOBODY = str(UUID(int=0))


@pytest.fixture
def form(account):
    return {"provider": "aws", "name": "orders", "cloud_account": str(account.pk), "region": "eu-west-1"}


def test_store_list_offers_the_next_step_when_empty(as_alice):
    page = as_alice.get("/stores/").content.decode()
    assert reverse("cloud_accounts:link") in page  # no account yet: that is the first step


def test_store_list_answers_htmx_with_the_panes_alone(as_alice, account):
    factories.store(account)
    answer = as_alice.get("/stores/", headers=HTMX)
    assert 'id="stores-panes"' in answer.content.decode()
    assert "<html" not in answer.content.decode()
    assert "HX-Request" in answer["Vary"]


@pytest.mark.parametrize("find", ["name", "id", "bucket", "log_bucket"])
def test_store_list_searches(as_alice, account, find):
    wanted = factories.store(account, name="payments")
    factories.store(account, name="orders")
    answer = as_alice.get("/stores/", {"q": str(getattr(wanted, find))})
    assert [store.name for store in answer.context["page"].items] == ["payments"]


@pytest.mark.parametrize("path", ["/stores/", "/tasks/", "/cloud-accounts/"])
@pytest.mark.parametrize("text", ["\x00", "a\x00b", "%", "'\"--", "💥", "x" * 5000])
def test_no_search_text_breaks_a_list(as_alice, account, path, text):
    factories.store(account)
    assert as_alice.get(path, {"q": text}).status_code == 200


def test_store_list_says_when_nothing_was_found(as_alice, account):
    factories.store(account)
    answer = as_alice.get("/stores/", {"q": "nothing like it"})
    assert answer.status_code == 200
    assert "nothing like it" in answer.content.decode()


def test_store_list_turns_pages_both_ways(as_alice, account):
    for number in range(29):
        factories.store(account, name=f"store-{number:02}")
    seen, url, pages = [], "/stores/", []
    while url:
        page = as_alice.get(url).context["page"]
        pages.append([store.name for store in page.items])
        seen += pages[-1]
        url = page.next and "/stores/" + page.next
        back = page.previous and "/stores/" + page.previous
    assert [len(names) for names in pages] == [12, 12, 5]
    assert seen == [f"store-{number:02}" for number in reversed(range(29))]
    assert [store.name for store in as_alice.get(back).context["page"].items] == pages[1]


def test_store_list_takes_what_is_no_page_for_the_first(as_alice, account):
    factories.store(account)
    for page in ("x", "%00", "-1", "0", "٣", "💥", "9" * 40):
        assert len(as_alice.get("/stores/", {"page": page}).context["page"].items) == 1


@pytest.mark.parametrize("number", [1, 20])
def test_store_list_asks_the_same_few_questions(as_alice, account, django_assert_num_queries, number):
    for n in range(number):
        factories.store(account, name=f"store-{n}")
    # session, user, membership, counts, stores, retained logs, scans, navigation pane
    with django_assert_num_queries(8):
        as_alice.get("/stores/")


def test_store_list_polls_only_while_something_is_busy(as_alice, account):
    store = factories.store(account)
    assert "every 1s" not in as_alice.get("/stores/").content.decode()
    Store.objects.filter(pk=store.pk).update(state=State.CREATING)
    factories.store(account, name="second", state=State.CREATING)
    assert as_alice.get("/stores/").content.decode().count("every 1s") == 1


def test_store_create_expands_for_the_chosen_provider(as_alice, acme, account):
    factories.azure(acme)
    assert 'name="region"' not in as_alice.get("/stores/create/").content.decode()
    opened = as_alice.get("/stores/create/", {"provider": "aws"}).content.decode()
    assert 'name="region"' in opened
    assert account.name in opened


def test_store_create_has_chosen_what_there_is_only_one_of(as_alice, acme, account):
    opened = as_alice.get("/stores/create/")
    assert opened.context["form"]["provider"].value() == "aws"
    assert opened.context["account"] == account
    factories.account(acme, name="second")
    opened = as_alice.get("/stores/create/")
    assert opened.context["form"]["provider"].value() == "aws"
    assert opened.context["account"] is None


def test_store_create_expands_without_scripts_too(as_alice, account):
    answer = as_alice.post("/stores/create/", {"provider": "aws", "continue": "1"})
    assert answer.status_code == 200
    assert 'name="region"' in answer.content.decode()
    assert not Store.objects.exists()


def test_store_create_writes_the_store_and_its_operation(as_alice, alice, form, account):
    answer = as_alice.post("/stores/create/", form, headers=HTMX)
    store = Store.objects.get()
    assert (answer.status_code, store.name, store.state) == (204, "orders", "creating")
    assert "stores-changed" in answer["HX-Trigger"]
    assert "dialog-close" in answer["HX-Trigger"]
    assert store.bucket.startswith("pgbk-")
    assert store.bucket.endswith("-123456789012-eu-west-1-an")
    assert (store.operation.verb, store.operation.requested_by) == ("create", alice)
    assert store.operation.organisation == account.organisation


def test_store_create_redirects_without_scripts(as_alice, form):
    answer = as_alice.post("/stores/create/", form)
    assert (answer.status_code, answer["Location"]) == (302, "/stores/")


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("name", "", "name"),
        ("name", "   ", "name"),
        ("name", "x" * 61, "60"),
        ("name", "bell\x07", "control"),
        ("name", "nul\x00", "Null"),
        ("region", "", "region"),
        ("region", "eu-nowhere-1", "eu-nowhere-1"),
        ("region", "cn-north-1", "aws"),
        ("provider", "nimbus", "available"),
        ("provider", "", "provider"),
        ("cloud_account", "", "account"),
        ("cloud_account", "not-a-uuid", "UUID"),
        ("cloud_account", NOBODY, "account"),
    ],
)
def test_store_create_refuses_bad_input(as_alice, form, field, value, word):
    answer = as_alice.post("/stores/create/", {**form, field: value}, headers=HTMX)
    assert answer.status_code == 422
    assert word in " ".join(answer.context["form"].errors[field])
    assert not Store.objects.exists()
    assert not Operation.objects.exists()


def test_store_create_refuses_an_account_of_another_organisation(as_alice, form, charlie):
    foreign = factories.account(charlie.organisations.get(), name="foreign")
    answer = as_alice.post("/stores/create/", {**form, "cloud_account": str(foreign.pk)})
    assert answer.status_code == 422
    assert not Store.objects.exists()


def test_store_create_refuses_a_taken_name(as_alice, form):
    assert as_alice.post("/stores/create/", form).status_code == 302
    answer = as_alice.post("/stores/create/", {**form, "name": "ORDERS"})
    assert answer.status_code == 422
    assert "exists" in answer.context["form"].errors["name"][0]
    assert Store.objects.count() == Operation.objects.count() == 1


def test_store_create_answers_422_to_an_empty_post(as_alice, account):
    assert as_alice.post("/stores/create/", {}).status_code == 422


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "`${alert(1)}`", "Bestellungen 🚀", "O'Hara & sons"])
def test_store_create_shows_markup_as_text(as_alice, form, name):
    assert as_alice.post("/stores/create/", {**form, "name": name}).status_code == 302
    page = as_alice.get("/stores/").content.decode()
    assert "<img src=x" not in page
    assert Store.objects.get().name == name


@pytest.mark.django_db(transaction=True)
def test_store_create_twice_at_once_makes_one(alice, form):
    """Two requests at the same moment: one wins, the other is told; a double click is the same thing."""
    gate, codes = threading.Barrier(2, timeout=10), []

    def post():
        browser = Client()
        browser.force_login(alice)
        gate.wait()
        codes.append(browser.post("/stores/create/", form).status_code)
        connections.close_all()

    threads = [threading.Thread(target=post) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [302, 422]
    assert Store.objects.count() == Operation.objects.count() == 1


def test_store_create_waits_for_a_broker_that_is_down(as_alice, form, django_capture_on_commit_callbacks, caplog):
    with django_capture_on_commit_callbacks(execute=True):
        answer = as_alice.post("/stores/create/", form)
    assert answer.status_code == 302
    assert Operation.objects.get().state == "waiting"
    assert "Error calling" in caplog.text  # the message could not be sent, and that is logged


@pytest.fixture
def server(acme):
    return factories.server(acme)


def test_store_create_asks_no_region_where_there_is_one(as_alice, server):
    factories.server(server.organisation, name="second")  # so that one is to be chosen
    opened = as_alice.get("/stores/create/", {"provider": "s3"}).content.decode()
    assert server.name in opened
    assert 'name="region"' not in opened
    assert "What this server can do" not in opened


def test_store_create_shows_what_a_server_can_do_before_anything_is_made(as_alice, server):
    given = {"provider": "s3", "name": "orders", "cloud_account": str(server.pk), "continue": "1"}
    answer = as_alice.post("/stores/create/", given, headers=HTMX)
    page = answer.content.decode()
    assert answer.status_code == 200
    for words in ("us-east-1", "Dublin, Ireland", "What this server can do", "the log bucket stays empty", "IAM roles"):
        assert words in page
    assert 'name="region"' not in page
    assert 'value="orders"' in page
    assert not Store.objects.exists()


@pytest.mark.parametrize("region", [None, "", "us-east-1", "US-EAST-1"])
def test_store_create_on_a_server_takes_its_region(as_alice, server, region):
    given = {"provider": "s3", "name": "orders", "cloud_account": str(server.pk)}
    answer = as_alice.post("/stores/create/", given if region is None else {**given, "region": region}, headers=HTMX)
    assert answer.status_code == 204
    store = Store.objects.get()
    assert (store.region, store.place) == ("us-east-1", "Dublin, Ireland")
    assert store.log_bucket == f"{store.bucket}-log"
    facts = {label: value for label, value, _ in store.facts}
    assert list(facts) == ["Cloud Account ID", "Signing Region", "Bucket Name", "Log Bucket Name", "Endpoint"]
    page = as_alice.get(f"/stores/{store.pk}/facts/").content.decode()
    assert "https://s3.example.com:9000" in page
    assert "arn:" not in page


@pytest.mark.parametrize("region", ["eu-west-1", "dublin", "x"])
def test_store_create_on_a_server_refuses_another_region(as_alice, server, region):
    given = {"provider": "s3", "name": "orders", "cloud_account": str(server.pk), "region": region}
    answer = as_alice.post("/stores/create/", given, headers=HTMX)
    assert answer.status_code == 422
    assert "us-east-1" in answer.context["form"].errors["region"][0]
    assert "us-east-1" in answer.content.decode()
    assert not Store.objects.exists()


@pytest.mark.parametrize("values", [{"cloud_account": ""}, {"cloud_account": NOBODY}, {"name": ""}])
def test_store_create_on_a_server_refuses_bad_input(as_alice, server, values):
    given = {"provider": "s3", "name": "orders", "cloud_account": str(server.pk), **values}
    answer = as_alice.post("/stores/create/", given, headers=HTMX)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == list(values)
    assert not Store.objects.exists()


def test_store_create_never_makes_a_store_of_one_provider_in_an_account_of_another(as_alice, server, form):
    answer = as_alice.post("/stores/create/", {**form, "cloud_account": str(server.pk)})
    assert answer.status_code == 422
    assert answer.context["form"].errors["cloud_account"]


def test_region_map_shows_places_for_a_server(as_alice, server):
    for query in ({"provider": "s3"}, {"cloud_account": str(server.pk)}):
        answer = as_alice.get(reverse("clusters:region_map"), query)
        assert answer.status_code == 200
        assert "sao-paulo" in answer.content.decode()


def test_store_detail_shows_one_store(as_alice, account):
    store = factories.store(account)
    assert store.bucket in as_alice.get(store.get_absolute_url()).content.decode()


def test_store_detail_sends_a_watcher_back_when_the_store_is_gone(as_alice):
    url = reverse("stores:detail", args=[NOBODY])
    assert as_alice.get(url).status_code == 404
    assert as_alice.get(url, headers=HTMX)["HX-Redirect"] == "/stores/"


def test_store_delete_wants_the_exact_name(as_alice, account):
    store = factories.store(account, name="Orders")
    url = reverse("stores:delete", args=[store.pk])
    assert "Orders" in as_alice.get(url).content.decode()
    for wrong in ("", "orders", "Orders ", " Orders"):
        answer = as_alice.post(url, {"name": wrong}, headers=HTMX)
        assert answer.status_code == 422
    store.refresh_from_db()
    assert store.state == "available"
    assert not Operation.objects.exists()


def test_store_delete_begins_and_closes_the_dialog(as_alice, account):
    store = factories.store(account)
    answer = as_alice.post(reverse("stores:delete", args=[store.pk]), {"name": store.name}, headers=HTMX)
    store.refresh_from_db()
    assert (answer.status_code, store.state, store.operation.verb) == (204, "deleting", "delete")


@pytest.mark.parametrize("state", [State.CREATING, State.DELETING])
def test_store_delete_is_refused_while_busy(as_alice, account, state):
    store = factories.store(account, state=state)
    operation = Operation.objects.create(
        organisation=store.organisation, subject_kind="store", subject_id=store.pk, subject_name="x", verb="create"
    )
    Store.objects.filter(pk=store.pk).update(operation=operation)
    answer = as_alice.post(reverse("stores:delete", args=[store.pk]), {"name": store.name})
    assert answer.status_code == 422
    assert Operation.objects.count() == 1


def test_store_retry_begins_again_what_failed(as_alice, account, alice):
    store = factories.failed_store(account)
    answer = as_alice.post(reverse("stores:retry", args=[store.pk]), headers=HTMX)
    store.refresh_from_db()
    assert (answer.status_code, store.state, Operation.objects.count()) == (204, "creating", 2)


def test_store_retry_is_refused_when_nothing_failed(as_alice, account):
    store = factories.store(account)
    as_alice.post(reverse("stores:retry", args=[store.pk]), headers=HTMX)
    store.refresh_from_db()
    assert store.state == "available"
    assert not Operation.objects.exists()


def urls_of(store):
    return [
        ("get", "/stores/"),
        ("get", "/stores/create/"),
        ("post", "/stores/create/"),
        ("get", reverse("stores:detail", args=[store.pk])),
        ("get", reverse("stores:delete", args=[store.pk])),
        ("post", reverse("stores:delete", args=[store.pk])),
        ("post", reverse("stores:retry", args=[store.pk])),
    ]


def test_every_url_asks_strangers_to_sign_in(client, account):
    for method, url in urls_of(factories.store(account)):
        answer = getattr(client, method)(url)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/login/")


def test_every_url_of_a_store_is_404_to_another_organisation(client, account, charlie):
    store = factories.store(account)
    client.force_login(charlie)
    for method, url in urls_of(store):
        if str(store.pk) in url:
            assert getattr(client, method)(url, {"name": store.name}).status_code == 404
    assert str(store.pk) not in client.get("/stores/").content.decode()
    store.refresh_from_db()
    assert store.state == "available"


def test_a_viewer_reads_and_changes_nothing(client, account, bob, form):
    store = factories.failed_store(account)
    client.force_login(bob)
    assert client.get("/stores/").status_code == 200
    assert client.get(store.get_absolute_url()).status_code == 200
    assert reverse("stores:create") not in client.get("/stores/").content.decode()
    for method, url in urls_of(store):
        if method == "post" or "create" in url or "delete" in url:
            assert getattr(client, method)(url, {**form, "name": store.name}).status_code == 403
    assert Store.objects.count() == 1
    assert Operation.objects.count() == 1


def test_every_url_refuses_a_developer_edition(client, account, alice, acme):
    store = factories.store(account)
    acme.edition = "developer"
    acme.save()
    client.force_login(alice)
    for method, url in urls_of(store):
        answer = getattr(client, method)(url, {"name": store.name})
        assert answer.status_code == 403
        assert "Enterprise" in answer.content.decode()
    store.refresh_from_db()
    assert store.state == "available"


def test_wrong_methods_are_refused(as_alice, account):
    store = factories.store(account)
    assert as_alice.get(reverse("stores:retry", args=[store.pk])).status_code == 405
    assert as_alice.delete(reverse("stores:detail", args=[store.pk])).status_code == 405


def test_messages_wait_for_a_fragment_that_is_seen(as_alice, account):
    """A region of a dialog that is being closed would take them along to nowhere."""
    store = factories.store(account, state=State.FAILED)
    as_alice.post(reverse("stores:verify", args=[store.pk]))
    unseen = as_alice.get("/stores/", headers={**HTMX, "X-Without-Messages": "1"})
    assert 'id="flash"' not in unseen.content.decode()
    assert 'hx-swap-oob="true"' in as_alice.get("/stores/", headers=HTMX).content.decode()


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ("aws", "The buckets are made in this account."),
        ("azure", "The storage accounts are made in this subscription."),
        ("google", "The buckets are made in this project."),
        ("s3", "The buckets are made on this server."),
    ],
)
def test_store_create_speaks_in_the_clouds_own_words(as_alice, provider, words):
    assert words in as_alice.get("/stores/create/", {"provider": provider}).content.decode()


def test_store_page_of_azure_speaks_of_storage_accounts(as_alice, acme):
    store = factories.store(factories.azure(acme), region="westeurope")
    page = as_alice.get(store.get_absolute_url()).content.decode()
    for text in ("Storage Account", f"/storageAccounts/{store.bucket}", "Amsterdam"):
        assert text in page
    dialog = as_alice.get(f"{store.get_absolute_url()}delete/").content.decode()
    assert "Both storage accounts go" in dialog
    assert "bucket" not in dialog


@pytest.mark.parametrize(
    ("given", "region", "name"),
    [
        ("", "Ireland", "prod-dublin"),
        ("", "", None),
        ("", "no place", None),
        ("mine", "Ireland", "mine"),
        ("prod-dublin", "us-west-2", "prod-portland"),
        ("prod-portland-2", "Ireland", "prod-dublin"),
    ],
)
def test_a_free_name_is_suggested_with_the_region(as_alice, account, given, region, name):
    asked = {"continue": "1", "provider": "aws", "cloud_account": str(account.pk), "region": region, "name": given}
    shown = as_alice.post("/stores/create/", asked).context["form"]["name"].value()
    assert shown == (name if name is not None else given)


def test_a_name_is_suggested_with_a_form_that_is_sent_without_one(as_alice, account):
    # As Enter in the field Region does, before the page has asked for a suggestion.
    given = {"provider": "aws", "cloud_account": str(account.pk), "region": "Ireland", "name": ""}
    answer = as_alice.post("/stores/create/", given)
    form = answer.context["form"]
    assert (answer.status_code, form["name"].value()) == (422, "prod-dublin")
    assert "Give the store a name. One is suggested now." in answer.content.decode()
    assert not account.stores.exists()
    # What was typed stays, and so does what is wrong with it.
    for name in ("\n", "a" * 300):
        form = as_alice.post("/stores/create/", {**given, "name": name}).context["form"]
        assert "suggested" not in str(form.errors["name"]) or name == "\n"
    assert as_alice.post("/stores/create/", {**given, "region": "no place"}).context["form"]["name"].value() == ""


def test_a_suggested_name_is_not_taken(as_alice, account):
    for name in ("prod-dublin", "prod-dublin-2"):
        factories.store(account, name=name)
    asked = {"continue": "1", "provider": "aws", "cloud_account": str(account.pk), "region": "eu-west-1"}
    assert as_alice.post("/stores/create/", asked).context["form"]["name"].value() == "prod-dublin-3"


def test_another_organisation_s_name_is_suggested(as_alice, account, charlie):
    other = factories.account(charlie.memberships.get().organisation)
    factories.store(other, name="prod-dublin")
    asked = {"continue": "1", "provider": "aws", "cloud_account": str(account.pk), "region": "eu-west-1"}
    assert as_alice.post("/stores/create/", asked).context["form"]["name"].value() == "prod-dublin"
