"""What answers with a file arrives as a file, also after the password was asked for in between."""

from __future__ import annotations

import html
import inspect
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import Cluster, RecoveryIdentity
from console.accounts.permissions import ASKS_AGAIN
from stores.models import Store
from tests import walk
from tests.clusters.addresses import addresses
from tests.clusters.nodes import seen, stanza_state

HTMX = {"HX-Request": "true"}
SECRETS = {name for name, within in ASKS_AGAIN.items() if isinstance(within, int) and ":" in name}


def is_file(answer):
    return "attachment" in answer.get("Content-Disposition", "")


def content(answer):
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def forget(client):
    """As if the password had been given too long ago."""
    session = client.session
    session["confirmed_at"] = 0
    session.save()


def test_every_address_behind_a_confirmation_is_walked(given):
    walked = {route.pattern for route, _ in addresses(given)}
    behind = {one.pattern for one in walk.routes() if one.name in SECRETS}
    assert behind
    assert behind <= walked, "give the values of their addresses above"


def test_every_view_that_answers_with_a_file_says_so_and_is_never_swapped_into_a_page(client, alice, given):
    client.force_login(alice)
    found, nothing_yet = set(), set()
    for route, address in addresses(given):
        answer = client.get(address)
        if hasattr(route.view, "is_file_download") and answer.status_code != 200:
            nothing_yet.add(route.view.__name__)
            continue
        assert is_file(answer) == hasattr(route.view, "is_file_download"), route.pattern
        if is_file(answer):
            found.add(route.view.__name__)
            in_page = client.get(f"{address}?q=1", headers=HTMX)
            assert in_page["HX-Redirect"] == f"{address}?q=1"  # a real navigation
            assert not in_page.content
    assert {"node_setup", "node_configuration", "audit_csv", "account_document"} <= found
    # Where there was never a backup, nothing is restored or recovered.
    assert nothing_yet == {"restore_download", "repository_restore_download", "rescue_setup", "rescue_undelete"}


@pytest.fixture
def with_backups(given, stores):
    """What the addresses need that answer with nothing where there was never a backup: the rest of each."""
    cluster = Cluster.objects.get(pk=given["clusters/"]["pk"])
    repository = cluster.repositories.get(number=1)
    seen(cluster, stanza_state(stanza="main", postgresql="17"), number=1)
    Store.objects.filter(pk=repository.store_id).update(versions_days=30)
    RecoveryIdentity.objects.create(
        repository=repository,
        **{name: getattr(repository, name) for name in ("organisation", "cluster_name", "prefix", "bucket")},
        cloud_account=cluster.cloud_account,
        until=timezone.now() + timedelta(hours=4),
        read_at=timezone.now(),
    )
    given["clusters/repositories/"]["pk"] = repository.pk
    at = f"?stanza=n1/main&zone=UTC&at={timezone.now() - timedelta(hours=2):%Y-%m-%dT%H:%M:%S}"
    return {"rescue_setup": at, "rescue_undelete": at}


@pytest.fixture
def secret_files(client, alice, given, with_backups):
    """The addresses behind a confirmation that answer with a file, each with the file: all of them."""
    client.force_login(alice)
    found, views = {}, set()
    for route, address in addresses(given):
        if route.name not in SECRETS or not hasattr(route.view, "is_file_download"):
            continue
        whole = address + with_backups.get(route.view.__name__, "")
        answer = client.get(whole)
        if route.view.__name__ == "repository_restore_download" and answer.status_code == 404:
            continue  # what is of a cluster is restored from its page
        assert is_file(answer), (whole, answer.status_code, content(answer)[:300])
        found[whole] = content(answer)
        views.add(route.view.__name__)
    assert {"restore_download", "rescue_setup", "node_setup", "node_configuration"} <= views
    return found


def test_nothing_that_answers_with_a_file_takes_a_post_or_forgets_to_say_so(client, alice, given):
    """A post that was put off for the password would have to be sent again, which no redirect does."""
    client.force_login(alice)
    writes = re.compile(r"text_file\(|FileResponse\(|Content-Disposition")
    downloads = 0
    for route, address in addresses(given):
        source = inspect.getsource(inspect.unwrap(route.view))
        says = hasattr(route.view, "is_file_download")
        assert says or not writes.search(source), f"{route.pattern} answers with a file, and is not marked"
        if says:
            downloads += 1
            assert client.post(address).status_code == 405, address
    assert downloads >= 12


def test_a_file_arrives_as_a_file_after_the_password(client, secret_files):
    for address, file in secret_files.items():
        forget(client)
        asked = client.get(address)
        assert asked.status_code == 302
        assert asked["Location"].startswith("/confirm/?next=")
        assert not client.get(asked["Location"]).has_header("Refresh")  # not before the password was given
        answer = client.post("/confirm/", {"password": "secret", "next": address})
        assert (answer.status_code, answer["Location"]) == (302, asked["Location"])
        page = client.get(answer["Location"])
        assert page["Refresh"] == f"0; url={address}"
        assert f'href="{html.escape(address)}"' in page.content.decode()
        again = content(client.get(address))
        assert again[:20] == file[:20]
        # Some hold that, or when, they were downloaded.
        assert again == file or address == "/account/own-data.json" or address.endswith("/kit.txt")


def test_a_file_arrives_as_a_file_after_the_password_was_given_by_htmx_on_a_page(client, secret_files):
    for address in secret_files:
        forget(client)
        asked = client.get(address)["Location"]
        headers = HTMX | {"HX-Current-URL": f"http://testserver{asked}"}
        answer = client.post("/confirm/", {"password": "secret", "next": address}, headers=headers)
        assert answer["HX-Redirect"] == asked
        assert not answer.has_header("HX-Location")
        assert client.get(asked)["Refresh"] == f"0; url={address}"


def test_a_file_arrives_as_a_file_after_the_password_was_given_in_a_dialog(client, secret_files):
    for address in secret_files:
        forget(client)
        dialog = client.get(address, headers=HTMX)
        assert dialog.status_code == 302
        headers = HTMX | {"HX-Current-URL": "http://testserver/clusters/"}
        answer = client.post("/confirm/", {"password": "secret", "next": address}, headers=headers)
        assert answer["HX-Redirect"] == address
        assert "dialog-close" in answer["HX-Trigger"]
        assert not answer.content
        assert not answer.has_header("HX-Location")


def test_what_was_asked_for_as_a_page_goes_on_as_a_page(client, alice):
    client.force_login(alice)
    headers = HTMX | {"HX-Current-URL": "http://testserver/confirm/?next=/organisation/invite/"}
    answer = client.post("/confirm/", {"password": "secret", "next": "/organisation/invite/"}, headers=headers)
    assert answer["HX-Redirect"] == "/organisation/invite/"


@pytest.mark.parametrize("onwards", ["/stores/", "/nowhere/", "https://example.org/audit/events.csv", "//x/y", "/a\nb"])
def test_nothing_else_starts_by_itself_after_the_password(client, alice, onwards):
    client.force_login(alice)
    assert not client.get("/confirm/", {"next": onwards}).has_header("Refresh")
