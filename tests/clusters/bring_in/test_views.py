"""Bring in a repository: what is asked, what is refused and where that is said, and what comes of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from clusters import actions, plans
from clusters.bring_in import hand_over as handing
from clusters.bring_in import opening, taking
from clusters.models import Attachment, Bringing, BroughtIn, Cluster, Inventory, Node, Repository
from clusters.node_setup import node_setups
from clusters.repositories import memory
from clusters.repositories.retained import folders_of, kept_by
from console.audit.models import AuditEvent
from console.operations import snapshots
from tests import factories
from tests.clusters.bring_in.conftest import PASSPHRASE, stanza
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


def plain(answer):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())).split())


def beside(answer, field):
    """Return what is said beside a field."""
    found = re.search(rf'id="id_{field}_error">(.*?)</p>', answer.content.decode(), re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", found[1])).split()) if found else ""


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


@pytest.fixture
def brought(bring, text, bucket):
    row, _ = bring(text=text, stanzas="main")
    return row.cluster


def _file(cluster):
    return node_setups(Cluster.objects.with_node_setup().get(pk=cluster.pk))[0].configuration.render(secrets=True)


def test_the_file_goes_on_with_what_was_set(brought):
    text = _file(brought)
    for line in (
        "repo1-path=/backups/prod",
        f"repo1-cipher-pass={PASSPHRASE}",
        "repo1-retention-full=3",
        "repo1-bundle=y",
        "compress-type=lz4",
        "pg1-path=/var/lib/postgresql/15/main",
    ):
        assert f"\n{line}\n" in text
    for line in ("/var/spool/mine", "block", "retention-full-type", "process-max", "start-fast", "former", "[other]"):
        assert line not in text


def test_no_page_shows_a_password_that_a_standby_signs_in_with(bring, text, bucket, as_alice, client, bob):
    option = "recovery-option=primary_conninfo=host=db1 user=repl password=hunter4"
    row, _ = bring(text=f"{text}{option}\n[main:restore]\n{option}\n", stanzas="main other")
    node = f"{row.cluster.get_absolute_url()}nodes/n1/"
    client.force_login(bob)
    for who, url in ((client, node), (as_alice, node), (as_alice, f"{row.cluster.get_absolute_url()}hand-over/")):
        page = who.get(url)
        assert page.status_code == 200
        assert "hunter4" not in page.content.decode(), url
    assert _file(row.cluster).count(option) == 2
    # What viewers see of the file once it is handed over.
    assert "hunter4" not in node_setups(Cluster.objects.with_node_setup().get(pk=row.cluster.pk))[0].masked


def test_the_hand_over_gives_access_to_the_path(brought, as_alice, amazon):
    url = f"{brought.get_absolute_url()}hand-over/"
    page = as_alice.get(url)
    said = plain(page)
    assert "/etc/pgbackrest.conf" in said
    assert "repo1 keeps 3 full backups. Full backups that come more often" in said
    assert "nor what another machine runs" in said
    order = (
        "sudo grep -rnE",
        "pgrep -af",
        "Download the set-up script",
        "stanza-create",
        "archive-push %p",
        "SHOW archive",
    )
    assert [said.find(one) for one in order] == sorted(said.find(one) for one in order)
    assert -1 not in [said.find(one) for one in order]
    assert as_alice.post(url, {"full_schedule": "0 1 * * 0", "incr_schedule": ""}).status_code == 302
    cluster = Cluster.objects.with_node_setup().get(pk=brought.pk)
    assert not cluster.is_watched_only
    [bucket] = cluster.spec().buckets
    assert cluster.spec().kept == {bucket: "backups/prod"}
    allowed = json.dumps(cluster.cloud.access.policy(cluster.spec()))
    assert f"arn:aws:s3:::{bucket}/backups/prod/*" in allowed
    assert cluster.policy.schedules == {"full": "0 1 * * 0"}
    assert as_alice.post(url, {"full_schedule": "0 1 * * 0"}).status_code == 422  # once
    # Who has begun finds the steps again, until the node has its file.
    for page in (cluster.get_absolute_url(), f"{cluster.get_absolute_url()}nodes/n1/"):
        assert "The hand-over has begun" in plain(as_alice.get(page))
        assert url in as_alice.get(page).content.decode()
    Node.objects.filter(cluster=cluster).update(applied_sha256="a" * 64)
    assert "The hand-over has begun" not in plain(as_alice.get(cluster.get_absolute_url()))
    assert "repo1-retention-full=3" in _file(cluster)


def test_the_hand_over_wants_full_backups(brought, as_alice):
    answer = as_alice.post(f"{brought.get_absolute_url()}hand-over/", {"full_schedule": "", "incr_schedule": "x"})
    assert answer.status_code == 422
    assert beside(answer, "incr_schedule")
    assert BroughtIn.objects.get().handed_over_at is None


def test_a_retention_that_somebody_sets_goes_before_the_file_s(brought, alice):
    actions.plan_backups(brought, None, by=alice, retention_full=9, retention_type="count", retention_diff=None)
    assert "repo1-retention-full=9\n" in _file(brought)


def test_pages_say_how_it_expires_until_somebody_changes_that(brought, as_alice, alice):
    policy = f"{brought.get_absolute_url()}policy/"
    for page in (brought.get_absolute_url(), policy):
        assert "repo1" in plain(as_alice.get(page))
        assert "retention-full=3" in plain(as_alice.get(page))
    assert "each of them expires by that" in plain(as_alice.get(policy))
    # Also by a node's own, which its page says then
    node = brought.nodes.get()
    actions.plan_backups(brought, node, by=alice, retention_full=90, retention_type="time", retention_diff=None)
    assert "repo1-retention-full=90\n" in _file(brought)
    assert "former file" not in plain(as_alice.get(policy))


def test_a_repository_without_retention_expires_nothing(bring, bucket, text, as_alice):
    row, _ = bring(text=text.replace("repo1-retention-full=3\n", ""), stanzas="main")
    assert "no full backup expires by itself" in plain(as_alice.get(row.cluster.get_absolute_url()))


def test_no_other_primary_writes_there(brought):
    with pytest.raises(actions.NodesRefused, match="brought in for one node"):
        actions.add_nodes(brought, regions=["eu-west-1"], by=None)
    first = Node.objects.get(cluster=brought)
    assert actions.add_nodes(brought, regions=["eu-west-1"], first=first, by=None) == ["n2"]


@pytest.fixture
def handed_over(brought, alice):
    handing.hand_over(brought, schedules={"full_schedule": "0 1 * * 0"}, by=alice)
    Cluster.objects.filter(pk=brought.pk).update(state="available")
    return Cluster.objects.get(pk=brought.pk)


def _add(as_alice, cluster, name):
    folder, port = f"/var/lib/postgresql/15/{name}", 5500 + ord(name[0])
    given = {"name": name, "version": "15", "data_directory": folder, "port": str(port)}
    return as_alice.post(f"{cluster.get_absolute_url()}databases/add/", given)


def test_a_database_that_is_added_is_looked_for(bring, text, handed_over, as_alice):
    assert _add(as_alice, handed_over, "third").status_code == 302
    repository = handed_over.repositories.get()
    assert repository.brought["stanzas"] == ["main", "third"]
    assert "backups/prod/backup/third/" in repository.folders
    # Not one that another machine writes there.
    row, _ = bring(text=text, stanzas="other", name="another machine")
    assert row.cluster
    answer = _add(as_alice, handed_over, "other")
    assert answer.status_code == 422
    assert "another machine has the stanza other in repo1" in beside(answer, "name")
    assert not handed_over.databases.filter(name="other").exists()


def test_a_database_is_added_after_the_hand_over(brought, as_alice):
    answer = _add(as_alice, brought, "third")
    assert answer.status_code == 422
    assert "Hand its node over first" in beside(answer, "name")
    assert not brought.databases.filter(name="third").exists()


def test_what_was_replaced_is_still_reached(handed_over, brought, alice):
    actions.replace_passphrase(handed_over.repositories.get(), by=alice)
    spec = Cluster.objects.get(pk=handed_over.pk).spec()
    assert [*spec.kept.values()] == ["backups/prod"]
    assert Cluster.objects.with_node_setup().get(pk=handed_over.pk).spec_as_read().kept == spec.kept


def test_no_passphrase_is_replaced_of_what_is_watched(brought, alice):
    with pytest.raises(actions.NotAttachable, match="watched only"):
        actions.replace_passphrase(brought.repositories.get(), by=alice)


def test_a_store_beside_it_is_closed_again(brought, account):
    beside_it = factories.store(account, name="beside it", region="eu-west-1")
    assert plans.access(brought) == ()
    repository = Repository.objects.create(cluster=brought, store=beside_it, number=2)
    row = Attachment.objects.create(cluster=brought, store=beside_it, repository=repository, state="attached")
    assert plans.access(brought) == brought.cloud.access.grant
    Attachment.objects.filter(pk=row.pk).update(state="detaching")
    assert plans.access(brought) == brought.cloud.access.revoke


def test_its_cluster_s_deletion_leaves_it(brought, bring, text, bucket, alice, amazon):
    from tests.clusters.conftest import work

    before = dict(bucket.objects)
    brought.attachments.all().delete()  # as a detached store leaves it
    actions.delete(Cluster.objects.get(pk=brought.pk), by=alice)
    work(brought)
    assert not Cluster.objects.exists()
    kept = Repository.objects.get()
    assert (kept.passphrase, kept.folder) == (PASSPHRASE, "/backups/prod")
    assert bucket.objects == before
    assert kept.folders == ["backups/prod/archive/main/", "backups/prod/backup/main/"]
    assert folders_of(kept) == ["backups/prod/archive/main", "backups/prod/backup/main"]
    # Brought in again, nobody is told to empty what the new cluster goes on with.
    row, page = bring(text=text, stanzas="main", name="back again")
    assert row.cluster, plain(page)
    assert folders_of(kept) == []
    assert "back again has brought the same repository in again" in kept_by(kept)
