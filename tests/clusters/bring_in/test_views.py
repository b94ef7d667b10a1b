"""Bring in a repository: what is asked, what is refused and where that is said, and what comes of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from clusters import actions
from clusters.bring_in import hand_over as handing
from clusters.bring_in import opening, taking
from clusters.models import Bringing, BroughtIn, Cluster, Inventory, Repository
from clusters.node_setup import node_setups
from clusters.repositories import memory
from console.audit.models import AuditEvent
from console.clouds.steps import Denied
from console.operations import snapshots
from tests import factories
from tests.clusters.bring_in.conftest import PASSPHRASE, beside, plain, stanza
from tests.clusters.pgbackrest.repository_files import encrypted

# A file whose first stanza says nothing of a repository, and the second does.
OWN = """[global]
repo1-type=s3
repo1-s3-bucket=b
repo1-path=/a
[first]
pg1-path=/first
pg1-port=5433
[main]
pg1-path=/a
repo1-{}
"""
AZURE = "[main]\npg1-path=/a\nrepo1-type=azure\nrepo1-azure-account=b\nrepo1-path=/x\nrepo1-azure-container={}\n"


def test_a_file_becomes_a_cluster_that_is_watched(bring, text, bucket, store):
    before = dict(bucket.objects)
    row, page = bring(text=text)
    cluster = row.cluster
    assert page["Location"] == cluster.get_absolute_url()
    assert cluster.is_watched_only
    assert [(one.name, one.version, one.data_directory, one.port) for one in cluster.databases.all()] == [
        ("main", "15", "/var/lib/postgresql/15/main", 5432),
        ("other", "15", "/var/lib/postgresql/15/other", 5433),
    ]
    [node] = cluster.nodes.all()
    assert (node.name, node.region) == ("n1", "eu-west-1")
    [repository] = cluster.repositories.all()
    assert (repository.passphrase, repository.folder, repository.number) == (PASSPHRASE, "/backups/prod", 1)
    assert [(one.name, one.system_id) for one in repository.known_stanzas.all()] == [
        ("main", "7711134786693777346"),
        ("other", "7"),
    ]
    assert (row.entered, bucket.objects) == ({}, before)
    assert AuditEvent.objects.filter(action="Brought in a repository").exists()
    # The console has nothing made in the cloud for it.
    assert cluster.spec().buckets == ()
    assert cluster.operation is None


def test_its_backups_are_seen(bring, text, bucket, as_alice):
    row, _ = bring(text=text, stanzas="main")
    inventory = Inventory.objects.get(repository__cluster=row.cluster)
    Inventory.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    snapshots.read("inventory", inventory.pk)
    inventory.refresh_from_db()
    assert [(one["node"], one["stanza"], one["status"]) for one in inventory.content] == [("n1", "main", "read")]
    # And by a look at news alone
    Inventory.objects.update(due_at=timezone.now() - timedelta(seconds=1), wanted_at=None)
    bucket.calls.clear()
    snapshots.read("inventory", inventory.pk)
    inventory.refresh_from_db()
    assert inventory.error == ""
    assert ("read", "backups/prod/backup/main/backup.info") in bucket.calls
    page = plain(as_alice.get(row.cluster.get_absolute_url()))
    assert "20261122-230118F" in page
    assert "Watched only" in page


def test_nothing_is_handed_out_while_it_is_watched(bring, text, bucket, as_alice):
    row, _ = bring(text=text)
    for name in ("setup.sh", "pgbackrest.conf"):
        assert as_alice.get(f"{row.cluster.get_absolute_url()}nodes/n1/{name}").status_code == 409


def test_the_file_s_secrets_are_kept_nowhere_else(bring, text, bucket, as_alice):
    row, _ = bring(text=text + "\n[global:backup]\nrepo1-s3-key-secrt=slip-hunter3\n")
    brought = BroughtIn.objects.get(cluster=row.cluster)
    kept = json.dumps(brought.file)
    for secret in (PASSPHRASE, "former-secret-hunter2", "AKIAFORMERKEY"):
        assert secret not in kept
    page = as_alice.get(f"{row.cluster.get_absolute_url()}hand-over/").content.decode()
    for secret in (PASSPHRASE, "former-secret-hunter2", "AKIAFORMERKEY", "slip-hunter3"):
        assert secret not in page
    assert "repo1-s3-key-secrt" in page
    # A column of its own, encrypted
    with_text = Bringing.objects.create(
        organisation=row.organisation, cloud_account=row.cloud_account, entered={"text": PASSPHRASE}
    )
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT entered FROM clusters_bringing WHERE id = %s", [with_text.pk])
        assert PASSPHRASE not in str(cursor.fetchall())


def test_path_and_passphrase_without_a_file(bring, bucket, as_alice):
    row, _ = bring(path="/backups/prod/", stanzas="main", passphrase=PASSPHRASE)
    assert row.cluster.repositories.get().brought["path"] == "backups/prod"
    assert row.cluster.databases.get().data_directory == "/var/lib/postgresql/15/main"
    assert "so they are guessed" in plain(as_alice.get(f"{row.cluster.get_absolute_url()}hand-over/"))


def test_what_expires_by_an_unknown_retention_is_not_lost(bring, bucket, as_alice, alice):
    row, _ = bring(path="/backups/prod", stanzas="main", passphrase=PASSPHRASE)
    page = plain(as_alice.get(row.cluster.get_absolute_url()))
    assert "not known, since no file told it" in page
    assert memory.own_retention(Repository.objects.get()) == {"by_time": False, "full": 1, "diff": 1}
    handing.hand_over(row.cluster, schedules={"full_schedule": "0 1 * * 0"}, by=alice)
    assert memory.own_retention(Repository.objects.get())["full"] == memory.NEVER


def test_what_no_policy_names_stays_when_the_retention_changes(bring, text, bucket, alice):
    more = "\n[global]\nrepo1-retention-archive=3\nrepo1-retention-archive-type=diff\nrepo1-retention-history=90\n"
    row, _ = bring(text=text + more, stanzas="main")
    handing.hand_over(row.cluster, schedules={"full_schedule": "0 1 * * 0"}, by=alice)
    stays = {"archive": "3", "archive-type": "diff", "history": "90"}
    for days in (9, 10):  # also when it changes once more
        actions.plan_backups(row.cluster, None, by=alice, retention_full=days, retention_type="time")
        brought = Repository.objects.get().brought
        assert (brought["retention"], brought["retention_rest"]) == (None, stays)
        cluster = Cluster.objects.with_node_setup().get()
        [setup] = node_setups(cluster)
        lines = setup.configuration.render(secrets=True).splitlines()
        assert [one for one in lines if "retention-" in one][:2] == [
            "repo1-retention-full-type=time",
            f"repo1-retention-full={days}",
        ]
        for name, value in stays.items():
            assert f"repo1-retention-{name}={value}" in lines


def test_the_root_of_a_bucket(bring, bucket):
    bucket.objects = stanza("", "main", passphrase="")
    row, _ = bring(path="/", stanzas="main")
    assert row.cluster.repositories.get().place_of("n1") == ""
    inventory = Inventory.objects.get(repository__cluster=row.cluster)
    Inventory.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    snapshots.read("inventory", inventory.pk)
    inventory.refresh_from_db()
    assert [one["status"] for one in inventory.content] == ["read"]


def test_an_uploaded_file(as_alice, text, bucket, store):
    upload = SimpleUploadedFile("pgbackrest.conf", text.encode())
    answer = as_alice.post("/clusters/bring-in/", {"store": store.pk, "name": "prod", "upload": upload})
    assert answer.status_code == 302
    assert Bringing.objects.get().entered["text"] == text


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"text": "[global"}, "text", "Line 1: a section ends with ]"),
        ({"text": "[global]\nprocess-max=1\n"}, "text", "No stanza is in it"),
        ({"text": "[main]\npg1-path=/a\nexclude=\u00a0x\n"}, "text", "cannot be seen"),
        ({"text": "[main]\npg1-path=/a\n", "stanzas": "other"}, "stanzas", "The file has no stanza other"),
        ({"text": "[Main]\npg1-path=/a\n"}, "stanzas", "lower-case"),
        ({"text": "[main]\npg1-port=1\n"}, "stanzas", "main has no pg1-path"),
        ({"text": "[a]\npg1-path=/a\n[b]\npg1-path=/b\n"}, "stanzas", "have the same port"),
        ({"text": "[main]\npg1-path=/a\nrepo1-cipher-type=rot13\n"}, "text", "none or aes-256-cbc"),
        ({"text": "[main]\npg1-path=/a\nrepo1-s3-sse-customer-key=k\n"}, "text", "could not read the objects"),
        ({"text": "[main]\npg1-path=/a\nrepo1-retention-full=0\n"}, "text", "1 to 9999999"),
        (
            {"text": "[main]\npg1-path=/a\nrepo1-type=s3\nrepo1-s3-bucket=b\nrepo1-path=/a*\n"},
            "text",
            "A path has letters",
        ),
        # What is brought in is asked, and not the first stanza of the file.
        ({"text": OWN.format("path=/*"), "stanzas": "main"}, "text", "A path has letters"),
        ({"text": OWN.format("path=/a'b"), "stanzas": "main"}, "text", "A path has letters"),
        ({"text": OWN.format("retention-full=0"), "stanzas": "main"}, "text", "1 to 9999999"),
        ({"text": OWN.format("s3-sse-customer-key=k"), "stanzas": "main"}, "text", "could not read the objects"),
        ({"text": OWN.format("path=/b")}, "stanzas", "repo1-path is not the same for these stanzas"),
        ({"text": AZURE.format("a;id"), "stanzas": "main"}, "text", "that Azure does not take"),
        ({"text": AZURE.format("a*b"), "stanzas": "main"}, "text", "that Azure does not take"),
        ({"text": "[main]\npg1-path=/a\n[main:\x1b]\nexclude=x\n"}, "text", "cannot be seen"),
        ({"path": "/a/../b", "stanzas": "main"}, "path", "A path has letters"),
        ({"stanzas": "main"}, "path", "Give the path as repo1-path has it"),
        ({"path": "/a"}, "stanzas", "Name the stanzas"),
        ({"path": "/a", "stanzas": "main", "region": "atlantis"}, "region", "There is no region atlantis"),
        ({"path": "/a", "stanzas": "main", "passphrase": "a\nb"}, "passphrase", "one line"),
        ({"path": "/a", "stanzas": " ".join(f"s{n}" for n in range(21))}, "stanzas", "At most 20"),
        ({"path": "/a", "stanzas": "main other"}, "stanzas", "Name one, or give the file"),
        ({"name": "", "path": "/a", "stanzas": "main"}, "name", "Give the cluster a name"),
    ],
    ids=lambda one: None if not isinstance(one, str) else re.sub(r"\W+", "-", one)[:30],
)
def test_what_is_wrong_is_said_beside_it(as_alice, store, given, field, message):
    answer = as_alice.post("/clusters/bring-in/", {"store": store.pk, "name": "prod", **given})
    assert answer.status_code == 422
    assert message in beside(answer, field), plain(answer)
    assert "pg1-path=/a" not in answer.content.decode()  # a file has secrets in it
    assert not Bringing.objects.exists()


@pytest.mark.parametrize("upload", [b"\xff\xfe", b"#" * 300_000], ids=["not-text", "too-large"])
def test_an_upload_that_is_no_such_file(as_alice, store, upload):
    given = {"store": store.pk, "name": "prod", "upload": SimpleUploadedFile("x.conf", upload)}
    answer = as_alice.post("/clusters/bring-in/", given)
    assert answer.status_code == 422
    assert beside(answer, "upload")


def _spoil(bucket, which, change):
    for key in list(bucket.objects):
        if which in key:
            bucket.objects[key] = change(bucket.objects[key])


@pytest.mark.parametrize(
    ("spoil", "given", "field", "message"),
    [
        (None, {"passphrase": "another"}, "passphrase", "Its passphrase is another one"),
        (None, {"passphrase": ""}, "passphrase", "no passphrase was given"),
        (None, {"stanzas": "nobody"}, "stanzas", "There is no stanza nobody there"),
        (None, {"path": "/elsewhere"}, "stanzas", "There is no stanza main there"),
        (("backup.info", lambda data: data[:100]), {}, "path", "backup.info of main"),
        (
            ("archive.info", lambda _: encrypted(b"[backrest]\nnonsense\n", PASSPHRASE)),
            {},
            "path",
            "archive.info of main",
        ),
        (("backup.info", lambda _: b"[backrest]\n"), {}, "passphrase", "is not encrypted: leave the passphrase out"),
    ],
    ids=["wrong", "none", "no-stanza", "no-path", "cut", "nonsense", "plain"],
)
def test_what_does_not_open_is_said_beside_it(bring, bucket, spoil, given, field, message):
    if spoil:
        _spoil(bucket, *spoil)
    row, page = bring(**{"path": "/backups/prod", "stanzas": "main", "passphrase": PASSPHRASE, **given})
    assert row.cluster is None
    assert message in beside(page, field), plain(page)
    assert not Cluster.objects.exists()
    assert PASSPHRASE not in page.content.decode()


def test_a_broken_list_is_read_from_its_copy(bring, bucket):
    bucket.objects["backups/prod/backup/main/backup.info"] = b"Salted__12345678" + b"x" * 32
    row, _ = bring(path="/backups/prod", stanzas="main", passphrase=PASSPHRASE)
    assert row.cluster, row.error


def test_a_newer_format(bring, bucket):
    for key, data in stanza("backups/prod", "main", passphrase="").items():
        bucket.objects[key] = data.replace(b"backrest-format=5", b"backrest-format=6")
    row, page = bring(path="/backups/prod", stanzas="main")
    assert row.cluster is None
    assert "newer pgBackRest (format 6)" in plain(page)


def test_two_databases_under_one_name(bring, bucket):
    other = stanza("backups/prod", "main", system_id=99)
    bucket.objects |= {key: data for key, data in other.items() if "archive.info" in key}
    row, page = bring(path="/backups/prod", stanzas="main", passphrase=PASSPHRASE)
    assert row.cluster is None
    assert "are of two databases" in beside(page, "path")


def test_an_old_postgresql(bring, bucket):
    bucket.objects = stanza("backups/prod", "main", version="9.6")
    row, page = bring(path="/backups/prod", stanzas="main", passphrase=PASSPHRASE)
    assert row.cluster is None
    assert "PostgreSQL 9" in beside(page, "stanzas")


def test_a_folder_of_a_cluster_is_refused(bring, bucket, make, store, account):
    own = make([store], name="orders")
    bucket.objects = stanza(f"{own.prefix}/n1", "main")
    row, page = bring(path=f"/{own.prefix}/n1", stanzas="main", passphrase=PASSPHRASE)
    assert row.cluster is None
    assert "It is the folder of orders" in beside(page, "path")
    strange = "c-abcdefghijkl/n1"
    bucket.objects = stanza(strange, "main")
    row, page = bring(path=f"/{strange}", stanzas="main", passphrase=PASSPHRASE)
    assert "a cluster that a console made" in beside(page, "path")


def test_it_is_brought_in_once(bring, bucket, text):
    bring(text=text, stanzas="main")
    row, page = bring(text=text, stanzas="main", name="again")
    assert row.cluster is None
    assert "prod has brought it in already, as repo1" in plain(page)
    row, _ = bring(text=text, stanzas="other", name="another machine")
    assert row.cluster


@pytest.mark.parametrize(("name", "field"), [("again", "text"), ("prod", "name")])
def test_of_two_at_once_one_is_taken(as_alice, store, bucket, text, name, field):
    for one in ("prod", name):
        given = {"store": store.pk, "name": one, "text": text, "stanzas": "main"}
        assert as_alice.post("/clusters/bring-in/", given).status_code == 302
    rows = list(Bringing.objects.order_by("pk"))
    for row in rows:
        row.content = opening.look(row)
    for row in rows:
        taking.take(row)
    Bringing.objects.update(tried_at=timezone.now())
    assert [one.name for one in Cluster.objects.all()] == ["prod"]
    assert beside(as_alice.get(f"/clusters/bring-in/?bringing={rows[1].key}"), field)


def test_of_two_who_bring_it_in_at_once_one_is_told(bring, bucket, text, monkeypatch):
    look, second = opening.look, []

    def slow(row):
        found = look(row)
        if not second:
            second.append(row)
            second.append(bring(text=text, stanzas="main", name="faster")[0])
        return found

    monkeypatch.setitem(snapshots._sources, "bringing", replace(snapshots._sources["bringing"], read=slow))
    row, page = bring(text=text, stanzas="main")
    assert second[1].cluster
    assert row.cluster is None
    assert "faster has brought it in already, as repo1" in plain(page)


def test_a_bucket_that_is_no_store(bring, bucket, text, store):
    row, page = bring(text=text.replace(store.bucket, "somebody-elses"), stanzas="main")
    assert row.cluster is None
    assert "No repository of the file is in this store" in beside(page, "store")


def test_a_second_repository_elsewhere_is_left_out(bring, bucket, text, as_alice):
    row, _ = bring(text=text.replace("[main]", "repo2-path=/mnt/nas\nrepo2-retention-full=1\n[main]"), stanzas="main")
    url = f"{row.cluster.get_absolute_url()}hand-over/"
    assert "after the hand-over nothing is written there" in plain(as_alice.get(url))
    answer = as_alice.post(url, {"full_schedule": "0 1 * * 0"})
    assert answer.status_code == 422
    assert "Say that you have seen" in beside(answer, "left")
    assert "repo2" not in node_setups(Cluster.objects.with_node_setup().get())[0].configuration.render(secrets=True)


def test_only_so_many_are_tried(as_alice, store, monkeypatch):
    monkeypatch.setattr(taking, "AT_ONCE", 2, raising=False)
    given = {"store": store.pk, "name": "prod", "path": "/a", "stanzas": "main", "passphrase": PASSPHRASE}
    assert [as_alice.post("/clusters/bring-in/", given).status_code for _ in range(3)] == [302, 302, 422]
    answer = as_alice.post("/clusters/bring-in/", given)
    assert "2 repositories were tried within 10 minutes" in plain(answer)
    assert PASSPHRASE not in answer.content.decode()
    Bringing.objects.update(begun_at=timezone.now() - timedelta(minutes=11))
    assert as_alice.post("/clusters/bring-in/", given).status_code == 302


# Who may


def test_tenants(bring, bucket, text, as_alice, store):
    from django.test import Client

    other = factories.organisation("Initech")
    client = Client()
    client.force_login(factories.user("eve", other))
    assert (
        client.post("/clusters/bring-in/", {"store": store.pk, "name": "x", "path": "/a", "stanzas": "m"}).status_code
        == 422
    )
    row, _ = bring(text=text, stanzas="main")
    assert client.get(f"/clusters/bring-in/?bringing={row.key}").status_code == 404
    assert client.get(f"{row.cluster.get_absolute_url()}hand-over/").status_code == 404
    assert as_alice.get("/clusters/bring-in/?bringing=nonsense").status_code == 404


def test_a_viewer_brings_nothing_in(client, bob, store):
    client.force_login(bob)
    assert client.get("/clusters/bring-in/").status_code == 403


# The hand-over


def test_what_the_console_s_own_policy_forbids_is_named(bring, text, bucket, monkeypatch):
    def read(key, at_most, known=""):
        said = "AWS refused s3:GetObject. Allow it (the statement is in the details)."
        raise Denied(said, action="s3:GetObject", statement="of the console's own folders")

    monkeypatch.setattr(bucket, "read", read)
    row, page = bring(text=text)
    assert row.cluster is None
    said = plain(page)
    assert "AWS refused s3:GetObject in pgbk-" in said
    assert ("statement" in row.details, "in the details" in said) == (False, False)
    assert "/backups/prod/archive/*/archive.info*, and name both in NotResource" in said


ELSEWHERE = """repo2-type=s3
repo2-path=/second
repo2-s3-bucket={bucket}
repo2-s3-endpoint={endpoint}
repo2-cipher-type=aes-256-cbc
repo2-cipher-pass=another-passphrase-of-repo2
[main]
"""


@pytest.mark.parametrize("endpoint", ["minio.example:9000", "https://minio.example", "MINIO.example/"])
def test_a_bucket_of_the_same_name_on_another_server_is_left_out(as_alice, bring, store, bucket, text, endpoint):
    text = text.replace("[main]\n", ELSEWHERE.format(bucket=store.bucket, endpoint=endpoint))
    row, _ = bring(text=text, stanzas="main")
    assert not row.error
    assert [one.number for one in row.cluster.repositories.all()] == [1]
    said = plain(as_alice.get(f"{row.cluster.get_absolute_url()}hand-over/"))
    assert "repo2 It is of type s3 at minio.example:" in said
    assert "in no store of this account" in said


def test_two_repositories_of_one_server_in_a_store_are_told_apart_by_nobody(bring, store, bucket, text):
    endpoint = "s3.eu-west-1.amazonaws.com"
    row, _ = bring(text=text.replace("[main]\n", ELSEWHERE.format(bucket=store.bucket, endpoint=endpoint)))
    assert row.error.startswith("repo1 and repo2 of the file are in archive, and a cluster has one repository")


@pytest.fixture
def second(account):
    return factories.store(account, name="second", region="us-east-1")


@pytest.mark.parametrize("there", ["nothing", "another passphrase", "the same"])
def test_what_does_not_open_here_and_is_elsewhere_is_left_out(bring, store, second, bucket, text, there):
    """The other server has a bucket that is called as a store of this account is."""
    if there != "nothing":
        secret = "another-passphrase-of-repo2" if there == "the same" else "a-third"
        bucket.objects.update(stanza("second", "main", passphrase=secret))
    text = text.replace("[main]\n", ELSEWHERE.format(bucket=second.bucket, endpoint="minio.example"))
    row, _ = bring(text=text, stanzas="main")
    assert not row.error
    # A server may be known by several names: what opens is the repository, whatever it is called.
    assert [one.number for one in row.cluster.repositories.all()] == ([1, 2] if there == "the same" else [1])


def test_a_chosen_store_that_is_on_another_server_than_the_file_says_so(bring, store, second, bucket, text):
    text = text.replace("[main]\n", ELSEWHERE.format(bucket=second.bucket, endpoint="minio.example"))
    row, page = bring(text=text, stanzas="main", store=second.pk)
    assert row.cluster is None
    assert "The file has repo2 at minio.example:443, and the store is at s3.us-east-1.amazonaws.com:443" in plain(page)
    assert "None of these stanzas is in second" in beside(page, "store")
