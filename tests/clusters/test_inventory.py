"""Looking into repositories, as the workers do."""

from __future__ import annotations

import time
from datetime import timedelta

import boto3
import pytest
from botocore.config import Config
from django.utils import timezone

from clusters import actions
from clusters.models import Cluster, Inventory
from clusters.pgbackrest.repository import from_json
from clusters.repositories import inventory
from console.operations import messages, snapshots
from console.operations.tasks import read_due
from stores import actions as stores_actions
from tests import factories
from tests.clusters.conftest import work
from tests.clusters.nodes import detach, kit_text
from tests.clusters.pgbackrest.repository_files import FILES, PASSPHRASE, PLAIN
from tests.delivery import deliver
from tests.responses import text_of, words_of
from tests.stores.conftest import due


@pytest.fixture
def cluster(make, account, alice):
    """A cluster with one store, whose buckets are there."""
    store = stores_actions.create(account, name="archive", region="eu-west-1", by=alice)
    deliver(store.operation_id)
    store.refresh_from_db()
    return make([store])


@pytest.fixture
def put(amazon, cluster):
    """A function that puts an object into the cluster's store, as a node would."""
    client = boto3.client(
        "s3",
        endpoint_url=amazon.url,
        region_name="eu-west-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )
    bucket = cluster.stores.get().bucket

    def put(key, content):
        client.put_object(Bucket=bucket, Key=f"{cluster.prefix}/{key}", Body=content)

    return put


def look(cluster):
    actions.look_into_backups(cluster)
    kept = inventory.of(cluster.pk).get()
    snapshots.read("inventory", kept.pk)
    kept.refresh_from_db()
    return kept


def test_look_keeps_what_the_repository_holds(cluster, put):
    put("n1/backup/orders/backup.info", PLAIN)
    put(f"n1/archive/orders/15-1/0000000100000000/000000010000000000000009-{'a' * 40}.zst", b"wal")
    kept = look(cluster)
    [stanza_state] = from_json(kept.content)
    assert (stanza_state.status, len(stanza_state.backups), stanza_state.last_wal) == (
        "read",
        2,
        "000000010000000000000009",
    )
    assert kept.read_at == kept.tried_at
    assert not kept.is_awaited


def test_a_worker_takes_whatever_a_node_has_written(cluster, put):
    text = PLAIN.decode()
    for wrong, status in (
        (text.replace('"full"', '"archive"'), "damaged"),
        (text.replace(":1795388480", ":1000000000000000000"), "damaged"),
        (text.replace(":22992556", ":NaN"), "damaged"),
        (f"{text[:-60]}", "damaged"),
        (text.replace("format=5", "format=6"), "unknown"),
        (text + "#" * 17_000_000, "unknown"),
        ("[" * 200_000, "damaged"),
        (text, "read"),
    ):
        put("n1/backup/orders/backup.info", wrong.encode())
        kept = look(cluster)
        assert (kept.error, from_json(kept.content)[0].status) == ("", status)


def test_look_reads_with_the_passphrase_of_this_repository(cluster, put):
    put("n1/backup/orders/backup.info", (FILES / "encrypted/backup.info").read_bytes())
    assert from_json(look(cluster).content)[0].status == "encrypted"
    repository = cluster.repositories.get()
    repository.secrets = {"cipher_pass": PASSPHRASE}
    repository.save()
    assert from_json(look(cluster).content)[0].status == "read"


@pytest.mark.slow
def test_look_goes_through_more_than_one_page(cluster, put, monkeypatch):
    for number in range(1005):
        put(f"n1/backup/db{number:04}/x", b"")
    for bound in ("FOLDERS_AT_MOST", "STANZAS_AT_MOST"):
        monkeypatch.setattr(f"clusters.pgbackrest.repository.{bound}", 2000)
    monkeypatch.setattr(
        "clusters.pgbackrest.repository._look_at", lambda objects, base, before, passphrase, report: before
    )
    from clusters.pgbackrest import repository

    store = cluster.stores.get()
    found = repository.look(store.cloud.storage.objects(store.spec()), cluster.prefix, "")
    assert (len(found), found[-1].stanza) == (1005, "db1004")


def test_look_says_which_permission_is_missing_and_keeps_the_rest(cluster, put, amazon):
    put("n1/backup/orders/backup.info", PLAIN)
    before = look(cluster)
    amazon.inject("GetObject", code="AccessDenied", status=403)
    after = look(cluster)
    assert "s3:GetObject" in after.error
    assert (after.content, after.read_at) == (before.content, before.read_at)
    assert look(cluster).error == ""


@pytest.mark.slow
def test_look_keeps_the_last_known_while_the_server_is_down(acme, make, tmp_path):
    """A real server, which is then really stopped."""
    from console.demo.object_server import ObjectServer

    server = ObjectServer(tmp_path / "objects").start()
    try:
        account = factories.server(
            acme,
            endpoint=server.endpoint,
            ca_certificate=server.ca_certificate,
            access_key_id=server.access_key_id,
            has="",
        )
        account.secrets = {"secret_access_key": server.secret_access_key}
        account.save()
        store = factories.store(account, name="cellar", region="us-east-1")
        cluster = make([store], regions=["us-east-1"], account=account)
        client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name=server.region,
            verify=str(server.ca_file),
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
            config=Config(s3={"addressing_style": "path"}),
        )
        client.create_bucket(Bucket=store.bucket)
        client.put_object(Bucket=store.bucket, Key=f"{cluster.prefix}/n1/backup/orders/backup.info", Body=PLAIN)
        before = look(cluster)
        assert (before.error, len(from_json(before.content)[0].backups)) == ("", 2)
        server.stop()
        down = look(cluster)
        assert "no answer" in down.error
        assert (down.content, down.read_at) == (before.content, before.read_at)
        assert down.tried_at > down.read_at
        server.start()
        until = time.monotonic() + 20  # its port answers before its data are there
        while (again := look(cluster)).error and time.monotonic() < until:
            time.sleep(0.2)
        assert (again.error, again.read_at > before.read_at) == ("", True)
    finally:
        server.stop()


def test_look_is_done_once_however_often_it_is_asked(cluster, amazon):
    kept = look(cluster)
    calls = len(amazon.calls)
    snapshots.read("inventory", kept.pk)
    assert len(amazon.calls) == calls


def test_due_finds_each_repository_in_its_time(cluster, alice):
    [pk] = due("inventory")
    assert Inventory.objects.get(pk=pk).repository == cluster.repositories.get()
    snapshots.read("inventory", pk)
    assert due("inventory") == []
    Inventory.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert len(due("inventory")) == 1
    actions.update_stores(cluster, stores=[], by=alice)
    work(cluster)
    Inventory.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert due("inventory") == [pk]  # detached: what is in it can still be restored


def test_read_due_sends_each_to_a_worker(cluster, monkeypatch):
    sent = []
    monkeypatch.setattr(messages, "waiting", lambda queue: 0)
    monkeypatch.setattr("console.operations.tasks.read.apply_async", lambda args, **options: sent.append(args))
    assert read_due() == len(sent)
    assert ("inventory", inventory.of(cluster.pk).get().pk) in sent


# Whether a passphrase still opens anything


@pytest.mark.slow
def test_a_passphrase_outlives_its_cluster_and_still_opens_what_is_encrypted(as_alice, cluster, put):
    """Case 01: detach, delete, and look into the repository again with what was kept."""
    repository = cluster.repositories.get()
    repository.secrets = {"cipher_pass": PASSPHRASE}
    repository.save()
    put("n1/backup/orders/backup.info", (FILES / "encrypted/backup.info").read_bytes())
    look(cluster)
    detach(cluster)
    page = words_of(as_alice.get(f"/clusters/{cluster.pk}/delete/"))
    assert "archive (repo1, /c-" in page
    assert "2 backups, " in page
    assert "every backup stay" not in page
    refused = as_alice.post(f"/clusters/{cluster.pk}/delete/", {"name": "orders"})
    assert refused.status_code == 422
    assert 'id="kit-error"' in text_of(refused)
    assert Cluster.objects.get().state == "available"
    assert PASSPHRASE in kit_text(as_alice, cluster)
    assert as_alice.post(f"/clusters/{cluster.pk}/delete/", {"name": "orders", "kit": "on"}).status_code == 302
    assert work(cluster) is None
    repository.refresh_from_db()
    assert (repository.cluster, repository.passphrase, repository.cluster_name) == (None, PASSPHRASE, "orders")
    Inventory.objects.update(content=[], due_at=timezone.now() - timedelta(seconds=1))
    [(label, pk)] = [one for one in snapshots.due() if one[0] == "inventory"]
    snapshots.read(label, pk)
    assert repository.inventory.content[0]["status"] == "read"
    assert PASSPHRASE in kit_text(as_alice, repository)
    assert "Cluster deleted" in words_of(as_alice.get("/clusters/retained/"))


@pytest.mark.slow
def test_a_worker_sees_a_folder_empty_only_without_older_versions(cluster, put, amazon):
    repository = cluster.repositories.get()
    s3 = boto3.client(
        "s3",
        endpoint_url=amazon.url,
        region_name="eu-west-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )
    s3.put_bucket_versioning(Bucket=repository.bucket, VersioningConfiguration={"Status": "Enabled"})
    put("n1/probe", b"x")

    def empty_at():
        look(cluster)
        repository.refresh_from_db()
        return repository.empty_at

    assert empty_at() is None
    detach(cluster)
    assert empty_at() is None  # an object that is no backup
    key = f"{cluster.prefix}/n1/probe"
    s3.delete_object(Bucket=repository.bucket, Key=key)
    assert empty_at() is None  # which still is there as a version
    for one in s3.list_object_versions(Bucket=repository.bucket)["Versions"]:
        s3.delete_object(Bucket=repository.bucket, Key=key, VersionId=one["VersionId"])
    assert empty_at() > repository.detached_at
    put("n1/probe", b"x")
    assert empty_at() is None
    s3.delete_object(Bucket=repository.bucket, Key=key)
    for one in s3.list_object_versions(Bucket=repository.bucket)["Versions"]:
        s3.delete_object(Bucket=repository.bucket, Key=key, VersionId=one["VersionId"])
    assert empty_at()
    actions.update_stores(cluster, stores=[repository.store], by=None)
    work(cluster)
    repository.refresh_from_db()
    assert (repository.empty_at, repository.detached_at) == (None, None)
