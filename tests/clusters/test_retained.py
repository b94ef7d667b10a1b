"""What stays when a cluster goes: its passphrases, with all that restores them, until they open nothing any more."""

from __future__ import annotations

import base64
import re
from datetime import timedelta

import pytest
import zxingcpp
from django.test import Client
from django.utils import timezone

from clusters import actions, keys
from clusters.models import Attachment, Cluster, Database, Inventory, KnownStanza, Repository, new_passphrase
from clusters.pgbackrest.repository import StanzaState, as_json
from clusters.recovery.kit import QRCode
from console.audit.models import AuditEvent
from tests import factories
from tests.clusters.conftest import work
from tests.clusters.nodes import detach, kit_text, node_setup, stanza_state
from tests.responses import HTMX, text_of, words_of


@pytest.fixture
def cluster(make, stores):
    """Three nodes, two stores, one database, with backups of n1 in the first store."""
    made = make(stores)
    Database.objects.create(cluster=made, name="orders", version="15", data_directory="/var/lib/postgresql/15/main")
    holds(made.repositories.get(number=1), stanza_state())
    return Cluster.objects.with_node_setup().get(pk=made.pk)


def holds(repository, *stanza_states, at=None):
    now = at or timezone.now()
    values = {"content": as_json(list(stanza_states)), "read_at": now, "tried_at": now}
    Inventory.objects.update_or_create(repository=repository, defaults=values)


# The end of a cluster


def test_a_cluster_that_leaves_nothing_asks_for_no_kit(as_alice, make, stores):
    cluster = make(stores)
    for repository in cluster.repositories.all():
        holds(repository)
    detach(cluster)
    page = text_of(as_alice.get(f"/clusters/{cluster.pk}/delete/"))
    assert 'name="kit"' not in page
    assert as_alice.post(f"/clusters/{cluster.pk}/delete/", {"name": "orders"}).status_code == 302


def test_what_nobody_has_looked_into_counts_as_something(as_alice, make, stores):
    cluster = make(stores)
    detach(cluster)
    answer = as_alice.post(f"/clusters/{cluster.pk}/delete/", {"name": "orders"})
    assert answer.status_code == 422
    assert "what the console has not looked into yet" in words_of(answer)


def test_dialogs_name_what_stays_of_a_node_and_of_a_database(as_alice, cluster):
    holds(cluster.repositories.get(number=1), stanza_state(), stanza_state(node="n2"))
    for url in (f"/clusters/{cluster.pk}/nodes/remove/", f"/clusters/{cluster.pk}/databases/orders/remove/"):
        page = words_of(as_alice.get(url))
        assert "archive-dub (repo1, /c-" in page, url
        assert "2 backups, 585.9 KB: orders on n1 and n2" in page, url
        assert "was never taken" in page, url
        kit_text(as_alice, cluster)
        assert "was last taken" in words_of(as_alice.get(url)), url
        Repository.objects.update(kit_taken_at=None)
    refused = words_of(as_alice.post(f"/clusters/{cluster.pk}/nodes/remove/", {"nodes": ["n1", "n9"]}))
    assert "1 backup, 293.0 KB: orders on n1." in refused
    url, choice = f"/clusters/{cluster.pk}/backup-stores/", {"version": cluster.version}
    assert "archive-dub (repo1) keeps 2 backups, 585.9 KB: orders on n1 and n2." in words_of(as_alice.post(url, choice))


@pytest.mark.parametrize("what", ["nodes", "database", "stores", "node's stores", "cluster", "set-up script"])
def test_how_a_stanza_was_set_up_is_known_after_it_is_gone(as_alice, cluster, stores, what):
    n1 = cluster.nodes.get(name="n1")
    database = cluster.databases.get()
    if what == "nodes":
        actions.remove_nodes(cluster, names=["n1"], by=None)
    elif what == "database":
        actions.remove_database(database, by=None)
    elif what == "stores":
        actions.update_stores(cluster, stores=[], by=None)
    elif what == "node's stores":
        actions.write_to(n1, choice="chosen", stores=[stores[1]], by=None)
    elif what == "set-up script":
        as_alice.get(f"/clusters/{cluster.pk}/nodes/n1/setup.sh")
    else:
        detach(cluster)
        actions.delete(cluster, by=None)
        work(cluster)
    known = KnownStanza.objects.get(repository__number=1, node="n1", name="orders")
    assert (known.postgresql, known.data_directory, known.port, known.region) == (
        "15",
        "/var/lib/postgresql/15/main",
        5432,
        "eu-west-1",
    )


# The recovery kit


def test_a_kit_holds_all_that_a_restore_needs_and_no_key(as_alice, cluster):
    repository = cluster.repositories.get(number=1)
    text = kit_text(as_alice, cluster)
    for part in (
        repository.passphrase,
        repository.bucket,
        f"repo1-path={cluster.repository_path}/n1",
        "repo1-s3-region=eu-west-1",
        "repo1-cipher-type=aes-256-cbc",
        "pg1-path=/var/lib/postgresql/15/main-recovered",
        "PostgreSQL 15, data directory /var/lib/postgresql/15/main, port 5432",
        "1 backup, 293.0 KB, the newest 20261122-140000F",
        f"--config=/etc/pgbackrest/recovery/{cluster.prefix}-repo1-n1.conf --stanza=orders --repo=1 --archive-mode=off",
        "s3:GetObject",
    ):
        assert part in text, part
    for word in ("backup\n", "expire", "stanza-create", "archive-push", "stanza-delete"):
        assert f" {word}" not in text, word
    assert not Repository.objects.filter(kit_taken_at=None).exists()
    assert AuditEvent.objects.get(action="Was shown a recovery kit").after["repositories"][0].startswith("orders repo1")


def test_a_kit_leaves_the_nodes_keys_out(as_alice, make, acme):
    account = factories.server(acme)
    store = factories.store(account, name="cellar", region="us-east-1")
    cluster = make([store], regions=["us-east-1"], account=account, run=False)
    Attachment.objects.update(state="attached")
    Database.objects.create(cluster=cluster, name="orders", version="15", data_directory="/data/main")
    keys.give_key(cluster, access_key_id="NODESKEYID", secret_access_key="nodes-secret", by=None)
    text = kit_text(as_alice, cluster)
    assert "NODESKEYID" not in text
    assert "nodes-secret" not in text
    assert "\nrepo1-s3-key=FILL-IN" in text
    assert "\nrepo1-s3-key-secret=FILL-IN" in text


def test_a_kit_of_one_repository_knows_its_nodes_before_anything_was_seen(as_alice, make, stores):
    cluster = make(stores)
    Database.objects.create(cluster=cluster, name="orders", version="15", data_directory="/data/main", port=5499)
    text = kit_text(as_alice, cluster.repositories.get(number=2))
    assert "PostgreSQL 15, data directory /data/main, port 5499" in text
    assert "---- Node n2: " in text
    assert "---- Node n1: " not in text  # whose store is the other one


@pytest.mark.parametrize(
    ("make", "region", "options", "keys"),
    [
        (
            factories.account,
            "eu-west-1",
            ("s3-bucket=", "s3-region=eu-west-1", "s3-key-type=auto"),
            ("# or: repo1-s3-key-type=shared", "# or: repo1-s3-key=FILL-IN"),
        ),
        (factories.server, "us-east-1", ("s3-endpoint=s3.example.com", "storage-port=9000"), ("repo1-s3-key=FILL-IN",)),
        (
            factories.azure,
            "westeurope",
            ("azure-account=", "azure-container=c-old"),
            ("repo1-azure-key-type=sas", "repo1-azure-key=FILL-IN"),
        ),
        (
            factories.google,
            "europe-west1",
            ("gcs-bucket=",),
            ("repo1-gcs-key-type=service", "repo1-gcs-key=FILL-IN"),
        ),
    ],
)
def test_a_kit_of_a_deleted_cluster_is_complete_on_every_cloud(as_alice, acme, make, region, options, keys):
    store = factories.store(make(acme), region=region)
    repository = Repository.objects.create(
        organisation=acme, cluster_name="old", prefix="c-old", store=store, number=1, detached_at=timezone.now(),
        secrets=new_passphrase(),
    )  # fmt: skip
    KnownStanza.objects.create(repository=repository, node="n1", name="main", postgresql="17", data_directory="/data")
    lines = kit_text(as_alice, repository).splitlines()
    for option in ("type=", "path=/c-old/n1", f"cipher-pass={repository.passphrase}", *options):
        assert any(line.startswith(f"repo1-{option}") for line in lines), option
    for key in keys:
        assert any(line.startswith(key) for line in lines), key
    assert lines.count("[main]") == 1
    assert "It needs pgBackRest 2.52 or newer." in lines
    assert any(line.startswith("Key:") for line in lines)


def test_the_qr_code_is_read_as_the_passphrase(as_alice, cluster):
    answer = as_alice.get(f"/clusters/{cluster.pk}/kit/")
    page = text_of(answer)
    assert "no-store" in answer["Cache-Control"]
    drawn = re.findall(r'viewBox="0 0 (\d+) \1"[^>]*><path d="([^"]+)"', page)
    read = [scanned(int(side), path) for side, path in drawn]
    assert read == [one.passphrase for one in cluster.repositories.order_by("number")]
    assert len(set(read)) == 2


def scanned(side, path, pixels=4):
    """What a scanner makes of the drawn squares."""
    width = side * pixels
    image = bytearray(b"\xff" * width * width)
    for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path):
        for line in range(pixels):
            at = (int(y) * pixels + line) * width + int(x) * pixels
            image[at : at + pixels] = b"\0" * pixels
    [found] = zxingcpp.read_barcodes(memoryview(bytes(image)).cast("B", (width, width)))
    return found.text


@pytest.mark.parametrize("text", ["a", "-_" * 32, "ä" * 64, "A0" * 40])
def test_qr_codes_hold_whatever_a_passphrase_may_be(text):
    code = QRCode.of(text)
    assert scanned(code.side, code.path) == text


def test_two_clusters_kits_at_once_do_not_mix(as_alice, client, alice, cluster, make, stores):
    other = make(stores, name="shop")
    client.force_login(alice)
    both = {one: {row.passphrase for row in one.repositories.all()} for one in (cluster, other)}
    for mine, theirs, browser in ((cluster, other, as_alice), (other, cluster, client)):
        text = kit_text(browser, mine)
        assert all(passphrase in text for passphrase in both[mine])
        assert not any(passphrase in text for passphrase in both[theirs])
        assert mine.prefix in text
        assert theirs.prefix not in text


def test_a_kit_tells_of_what_was_only_seen_in_the_store(as_alice, cluster):
    repository = cluster.repositories.get(number=1)
    strange = [
        stanza_state(node="n7"),
        StanzaState("n7", "Not $(one)", "damaged", bytes=3, objects=1),
        StanzaState("../x", "orders", "empty"),
    ]
    holds(repository, *strange)
    text = kit_text(as_alice, repository)
    assert f"repo1-path={cluster.repository_path}/n7" in text
    assert "There is Not $(one) on n7, too" in text
    assert "orders on ../x, too" in text
    assert "[Not" not in text
    assert "/var/lib/postgresql/orders-recovered" in text


def test_kits_are_for_who_may_see_secrets_and_has_just_shown_who_they_are(as_alice, client, bob, charlie, cluster):
    addresses = [
        *(f"/clusters/{cluster.pk}/{one}" for one in ("kit/", "kit.txt")),
        *(f"/clusters/repositories/{cluster.repositories.first().pk}/{one}" for one in ("kit/", "kit.txt")),
    ]
    for person, status in ((bob, 403), (charlie, 404)):
        client.force_login(person)
        assert [client.get(one).status_code for one in addresses] == [status] * 4
    session = as_alice.session
    session["confirmed_at"] = 0
    session.save()
    assert {as_alice.get(one)["Location"].partition("?")[0] for one in addresses} == {"/confirm/"}
    assert not AuditEvent.objects.filter(action="Was shown a recovery kit").exists()


# Retained repositories


def test_retained_repositories_are_listed_for_everybody_without_secrets(
    as_alice, client, bob, charlie, cluster, stores
):
    assert "No retained repository" in words_of(as_alice.get("/clusters/retained/"))
    detach(cluster, stores[1])
    repository = cluster.repositories.get(number=1)
    for browser in (as_alice, logged_in(client, bob)):
        answer = browser.get("/clusters/retained/")
        page = words_of(answer)
        for part in (
            "orders",
            "repo1",
            "archive-dub",
            "eu-west-1",
            cluster.prefix,
            "1 backup, 293.0 KB",
            "never taken",
        ):
            assert part in page, part
        assert repository.passphrase not in text_of(answer)
        assert "archive-iad" not in page
    assert "Recovery Kit" not in words_of(client.get("/clusters/retained/"))
    assert "Let Go" not in words_of(client.get("/clusters/retained/"))
    assert "Let Go" in words_of(as_alice.get("/clusters/retained/"))
    assert "archive-dub" not in text_of(logged_in(client, charlie).get("/clusters/retained/"))
    for query, found in (("dub", 1), (cluster.prefix, 1), ("orders", 1), ("eu-west", 1), ("nowhere", 0), ("\x00", 1)):
        page = text_of(as_alice.get("/clusters/retained/", {"q": query}, headers=HTMX))
        assert page.count("<article") == found, query
    assert "1 repository that the nodes write to no more" in words_of(as_alice.get(cluster.get_absolute_url()))


def logged_in(client, person):
    client.force_login(person)
    return client


@pytest.mark.slow
def test_hundreds_are_shown_page_by_page_in_a_fixed_number_of_queries(
    as_alice, acme, account, django_assert_max_num_queries
):
    store, start = factories.store(account), timezone.now() - timedelta(days=1)
    rows = [
        Repository(
            organisation=acme, cluster_name=f"old-{number:03}", prefix="c-x", store=store, store_name=store.name,
            number=1, detached_at=start + timedelta(minutes=number // 2),
        )
        for number in range(250)
    ]  # fmt: skip
    Repository.objects.bulk_create(rows)
    url, seen = "/clusters/retained/", []
    with django_assert_max_num_queries(20):
        as_alice.get(url)
    while url:
        page = text_of(as_alice.get(url))
        seen += re.findall(r"old-\d{3}(?=\s*<span)", page)
        found = re.search(r'rel="next" href="([^"]+)"', page)
        url = f"/clusters/retained/{found[1]}" if found else ""
    assert seen == [f"old-{number:03}" for number in reversed(range(250))]
    for key in (b"", b"2026-11-29T00:00:00+00:00 abc", b"2026-11-29T00:00:00+00:00 " + b"9" * 30):
        cursor = base64.urlsafe_b64encode(key).decode()
        assert as_alice.get("/clusters/retained/", {"after": cursor}).status_code == 200


def test_a_store_s_page_counts_what_no_cluster_uses_any_more(as_alice, cluster, stores):
    detach(cluster, stores[1])
    url = f"/clusters/stores/{stores[0].pk}/backups/"
    page = words_of(as_alice.get(url))
    assert "1 Repository, 1 of which no cluster uses any more" in page
    assert "20261122-140000F" in page
    assert "Detached" in page
    assert "Not in the cluster" not in page  # its node is, which says what its database is
    repository = cluster.repositories.get(number=1)
    for address in (f"/clusters/repositories/{repository.pk}/restore/", f"/clusters/repositories/{repository.pk}/kit/"):
        assert address in text_of(as_alice.get(url))
        assert as_alice.get(address).status_code == 200
    holds(cluster.repositories.get(number=1), stanza_state())
    Cluster.objects.get().attachments.all().delete()
    Cluster.objects.all().delete()
    assert "Cluster deleted" in words_of(as_alice.get(url))


def test_deleting_a_store_names_the_repositories_that_are_kept_in_it(as_alice, cluster, stores):
    detach(cluster, stores[1])
    page = words_of(as_alice.get(f"/stores/{stores[0].pk}/delete/"))
    assert f"orders repo1 in archive-dub, /{cluster.prefix}: 1 backup, 293.0 KB: orders on n1" in page
    holds(cluster.repositories.get(number=1))
    assert "orders repo1" not in words_of(as_alice.get(f"/stores/{stores[0].pk}/delete/"))


# Letting go


def test_a_passphrase_is_let_go_only_when_it_opens_nothing(as_alice, client, cluster, stores, account, alice):
    repository = cluster.repositories.get(number=1)
    url = f"/clusters/repositories/{repository.pk}/let-go/"
    assert "uses it. Detach archive-dub there first" in words_of(as_alice.post(url, {"name": "orders"}))
    detach(cluster, stores[1])
    repository.refresh_from_db()
    kept = words_of(as_alice.post(url, {"name": "orders"}))
    assert "archive-dub holds 1 backup, 293.0 KB: orders on n1" in kept
    assert f"s3 rm s3://{repository.bucket}/{cluster.prefix}/ --recursive" in kept
    holds(repository)  # which says nothing of older versions
    assert "No worker has seen the folder" in words_of(as_alice.post(url, {"name": "orders"}))
    Repository.objects.filter(pk=repository.pk).update(empty_at=repository.detached_at - timedelta(seconds=1))
    assert "No worker has seen the folder" in words_of(as_alice.post(url, {"name": "orders"}))
    Repository.objects.filter(pk=repository.pk).update(empty_at=timezone.now())
    admin = factories.user("adam", alice.memberships.get().organisation, "admin")
    assert logged_in(client, admin).post(url, {"name": "orders"}).status_code == 403
    assert as_alice.post(url, {"name": "order"}).status_code == 422
    assert as_alice.post(url, {"name": "orders"}).status_code == 302
    assert not Repository.objects.filter(pk=repository.pk).exists()
    assert "archive-dub" in AuditEvent.objects.get(action="Let a passphrase go").before["repository"]
    # A node may still have the old store under its number.
    actions.update_stores(cluster, stores=[stores[0], stores[1], factories.store(account, name="third")], by=None)
    assert sorted(cluster.repositories.values_list("number", flat=True)) == [2, 3, 4]


def test_the_highest_number_is_not_given_again_after_it_was_let_go(cluster, stores, account):
    detach(cluster, stores[0])
    Repository.objects.filter(number=2).update(empty_at=timezone.now())
    holds(cluster.repositories.get(number=2))
    actions.let_go(cluster.repositories.get(number=2), by=None)
    actions.update_stores(cluster, stores=stores, by=None)
    assert sorted(cluster.repositories.values_list("number", flat=True)) == [1, 3]


def test_of_a_deleted_store_a_passphrase_may_be_let_go_at_once(as_alice, cluster, stores):
    detach(cluster, stores[1])
    repository = cluster.repositories.get(number=1)
    stores[0].delete()
    assert "archive-dub Deleted" in words_of(as_alice.get("/clusters/retained/"))
    url = f"/clusters/repositories/{repository.pk}/let-go/"
    assert "Its store is deleted" in words_of(as_alice.get(url))
    assert kit_text(as_alice, repository).count(repository.passphrase) >= 1
    assert as_alice.post(url, {"name": "orders"}).status_code == 302


# What a node has left


def test_a_node_goes_on_to_expire_what_it_has_left(cluster, stores):
    n1 = cluster.nodes.get(name="n1")
    before = node_setup(cluster)
    assert before.left_files == []
    assert "expire" not in before.crontab.content
    assert f" {before.layout.left} " not in before.setup("https://console.example.com/")
    actions.write_to(n1, choice="chosen", stores=[stores[1]], by=None)
    after = node_setup(cluster)
    [file] = after.left_files
    assert re.findall(r"^repo(\d+)-", file.content, re.MULTILINE)[0] == "1"
    assert cluster.repositories.get(number=1).passphrase in file.content
    assert "repo2" not in file.content
    assert f"40 4 * * * postgres {after.layout.backup} orders expire\n" in after.crontab.content
    assert f"{after.layout.unit('orders-expire')}.timer" in [one.path for one in after.units]
    assert file.content.strip() in after.setup("https://console.example.com/")
    # It is applied only when that file is there too.
    assert after.sha256 != node_setup_without_left(cluster).sha256
    detach(cluster, stores[1])  # its access is gone
    assert node_setup(cluster).left_files == []


def node_setup_without_left(cluster):
    Inventory.objects.update(content=[])
    return node_setup(cluster)


def test_the_pages_are_served_to_a_browser_without_scripts(alice, cluster):
    browser = Client()
    browser.force_login(alice)
    page = text_of(browser.get(f"/clusters/{cluster.pk}/kit/"))
    assert "<script>" not in page
    assert " style=" not in page
