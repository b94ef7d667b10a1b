"""Lists of repositories: what a line may say, what of a list is looked at, and what is added of what was seen."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from clusters.bring_in import taking
from clusters.models import Bringing, Cluster
from clusters.node_setup import node_setups
from console.operations import snapshots
from tests import factories
from tests.clusters.bring_in.conftest import PASSPHRASE, plain, stanza

URL = "/clusters/bring-in/lists/"
HEAD = "name,store,path,stanzas,passphrase,file,region\n"
STANDBY = """[global]
repo1-type=s3
repo1-path=/backups/prod
repo1-s3-bucket={bucket}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={passphrase}
repo1-retention-full=3
repo1-bundle=y
compress-type=zst
[main]
pg1-path=/srv/main
pg1-port=5499
[other]
pg1-path=/var/lib/postgresql/15/other
pg1-port=5433
"""


def look():
    """Have a worker look at all that waits."""
    for row in taking.of_all():
        Bringing.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(seconds=1))
        snapshots.read("bringing", row.pk)


def files(**texts):
    return [SimpleUploadedFile(f"{name}.conf", text.encode()) for name, text in texts.items()]


def send(as_alice, lines, **texts):
    return as_alice.post(URL, {"lines": HEAD + lines, "files_given": files(**texts)})


@pytest.fixture
def standby(store):
    return STANDBY.format(bucket=store.bucket, passphrase=PASSPHRASE)


def test_a_list_is_looked_at_and_what_was_seen_is_added(as_alice, store, bucket, text):
    bucket.objects.update(stanza("backups/more", "main", passphrase=""))
    before = dict(bucket.objects)
    lines = "first,archive,,main other,,prod.conf,\nsecond,ARCHIVE,/backups/more,main,,,Ireland\n"
    lines += f"wrong,archive,/no,main,{PASSPHRASE},,\n"
    answer = send(as_alice, lines, prod=text)
    assert answer.status_code == 302, plain(answer)
    look()
    assert not Cluster.objects.exists()
    page = as_alice.get(answer["Location"])
    said = plain(page)
    assert "repo1 in archive: main (PostgreSQL 15, 1 backup), other (PostgreSQL 15, 1 backup)" in said
    assert "There is no stanza main there" in said
    assert "Add 2 clusters" in said
    assert PASSPHRASE not in page.content.decode()
    assert as_alice.post(f"{answer['Location']}add/", {"seen": ",".join(page.context["seen"])}).status_code == 302
    look()
    assert {*Cluster.objects.values_list("name", flat=True)} == {"first", "second"}
    assert "first, second, wrong" in plain(as_alice.get(URL))
    assert all(one.is_watched_only for one in Cluster.objects.select_related("brought_in"))
    assert [row.entered for row in Bringing.objects.exclude(cluster=None)] == [{}, {}]
    assert bucket.objects == before
    said = plain(as_alice.get(answer["Location"]))
    assert "Add" not in said.partition("State")[2]
    assert answer["Location"] in as_alice.get(URL).content.decode()  # the way back
    assert as_alice.post(f"{answer['Location']}forget/").status_code == 302
    assert as_alice.get(answer["Location"]).status_code == 404
    assert Cluster.objects.count() == 2


def test_what_has_changed_since_it_was_seen_is_refused(as_alice, store, bucket, text):
    bucket.objects.update(stanza("backups/more", "main", passphrase="", system_id=5))
    answer = send(as_alice, "a,archive,,main,,prod.conf,\nb,archive,/backups/more,main,,,\n", prod=text)
    look()
    url = answer["Location"]
    seen = ",".join(as_alice.get(url).context["seen"])
    bucket.objects.update(stanza("backups/prod", "main", system_id=99))
    as_alice.post(f"{url}add/", {"seen": seen})
    look()
    assert [one.name for one in Cluster.objects.all()] == ["b"]
    assert "has changed since it was shown" in plain(as_alice.get(url))
    # Once it was looked at again, it can be added as it is now, and not as it was.
    as_alice.post(f"{url}look/")
    look()
    as_alice.post(f"{url}add/", {"seen": seen})
    look()
    assert Cluster.objects.count() == 1
    as_alice.post(f"{url}add/", {"seen": ",".join(as_alice.get(url).context["seen"])})
    look()
    assert Cluster.objects.count() == 2


def test_what_only_came_later_is_no_change(as_alice, store, bucket, text):
    answer = send(as_alice, "a,archive,,main,,prod.conf,\n", prod=text)
    look()
    row = Bringing.objects.get()
    seen = taking.seen_of(row.content)
    row.content["opened"]["1"]["main"]["backups"] = 77
    assert taking.seen_of(row.content) == seen
    row.content["opened"]["1"]["main"]["postgresql"] = "16"
    assert taking.seen_of(row.content) != seen
    assert answer.status_code == 302


def test_machines_of_one_replication_become_one_cluster(as_alice, store, bucket, text, standby):
    lines = "prod,archive,,,,primary.conf,eu-west-1\nPROD,archive,,,,standby.conf,eu-central-1\n"
    answer = send(as_alice, lines, primary=text, standby=standby)
    assert answer.status_code == 302, plain(answer)
    look()
    page = as_alice.get(answer["Location"])
    assert [row["machines"] for row in page.context["rows"]] == [2]
    as_alice.post(f"{answer['Location']}add/", {"seen": ",".join(page.context["seen"])})
    look()
    cluster = Cluster.objects.with_node_setup().get()
    assert [(one.name, one.region, one.repository_folder) for one in cluster.nodes.all()] == [
        ("n1", "eu-west-1", "n1"),
        ("n2", "eu-central-1", "n1"),
    ]
    assert cluster.nodes_made == 2
    first, second = (one.configuration.render(secrets=False) for one in node_setups(cluster))
    assert "pg1-path=/var/lib/postgresql/15/main\npg1-port=5432\n" in first
    assert "pg1-path=/srv/main\npg1-port=5499\n" in second
    for one in (first, second):
        assert "repo1-path=/backups/prod\n" in one
        assert "compress-type=lz4\n" in one
    assert second.count("pg1-path=/var/lib/postgresql/15/other\n") == 1
    said = plain(as_alice.get(f"{cluster.get_absolute_url()}hand-over/"))
    assert "[global] compress-type The file of n2 has it otherwise" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("/backups/prod", "/backups/else"), "path: repo1 has another path. Line 2 has the same cluster name"),
        ((PASSPHRASE, "another-passphrase"), "passphrase: repo1 has another passphrase"),
        (("[other]\n", "[third]\n"), "stanzas: Line 2 has the same cluster name and other stanzas: main, other"),
        (
            ("repo1-bundle=y", "repo2-type=s3\nrepo2-s3-bucket=b-two"),
            "file: Line 2 has the same cluster name and other",
        ),
    ],
    ids=["path", "passphrase", "stanzas", "repositories"],
)
def test_machines_that_disagree_are_no_cluster(as_alice, store, bucket, text, standby, change, said):
    lines = "prod,archive,,,,primary.conf,\nprod,archive,,,,standby.conf,\n"
    answer = send(as_alice, lines, primary=text, standby=standby.replace(*change))
    assert answer.status_code == 422
    assert said in plain(answer)
    assert not Bringing.objects.exists()


def test_another_store_under_the_same_name(as_alice, store, account, bucket):
    factories.store(account, name="second", region="eu-west-1")
    answer = send(as_alice, "prod,archive,/a,main,,,\nprod,second,/a,main,,,\n")
    assert "Line 3: store: Line 2 has the same cluster name and another store." in plain(answer)


WRONG = {
    "no store": ("a,nowhere,/a,main,,,\n", "Line 2: store: There is no store of this name."),
    "an empty store": ("a,,/a,main,,,\n", "Line 2: Choose the store that it is in."),
    "no path": ("a,archive,,main,,,\n", "Line 2: path: Give the path"),
    "a path that is none": ("a,archive,/a*,main,,,\n", "Line 2: path: A path has"),
    "two stanzas without a file": ("a,archive,/a,b c,,,\n", "Line 2: stanzas: Without the file"),
    "a file that was not sent": ("a,archive,,,,x.conf,\n", "Line 2: file: No file of this name"),
    "a file and a path": ("a,archive,/a,,,prod.conf,\n", "Line 2: path: The file has the path already"),
    "a file of nonsense": ("a,archive,,,,bad.conf,\n", "Line 2: file: Line 1:"),
    "a region that is none": ("a,archive,/a,main,,,mars\n", "Line 2: region:"),
    "no name": (",archive,/a,main,,,\n", "Line 2: name: Give the cluster a name."),
    "the same place twice": (
        "a,archive,/a,main,,,\nb,archive,a/,main,,,\n",
        "Line 3: name: Line 2 has a stanza of this",
    ),
    "too few values": ("a,archive\n", "Line 2: 2 values instead of 7."),
    "a store of strangers": ("a,theirs,/a,main,,,\n", "Line 2: store: There is no store of this name."),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_list_with_anything_wrong_changes_nothing(as_alice, store, charlie, text, case):
    [membership] = charlie.memberships.all()
    factories.store(factories.account(membership.organisation), name="theirs", region="eu-west-1")
    lines, said = WRONG[case]
    answer = send(as_alice, lines, prod=text, bad="nonsense\n")
    assert answer.status_code == 422
    assert said.replace("Line 2: Choose", "Line 2: store: Choose") in plain(answer)
    assert not Bringing.objects.exists()


def test_a_list_is_never_shown_again(as_alice, store):
    answer = send(as_alice, f"a,archive,/a*,main,{PASSPHRASE},,\n")
    assert answer.status_code == 422
    assert PASSPHRASE not in answer.content.decode()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([SimpleUploadedFile("a.conf", b"\xff\xfe")], "a.conf is not a text file"),
        ([SimpleUploadedFile("a.conf", b"x" * 300_000)], "a.conf is larger than 256 KiB"),
        (
            [SimpleUploadedFile("a.conf", b"x"), SimpleUploadedFile("a.conf", b"y")],
            "Two of the files are called a.conf",
        ),
        ([SimpleUploadedFile("a.conf", b"")], "empty"),
    ],
    ids=["no text", "too large", "twice", "empty"],
)
def test_files_that_cannot_be_read(as_alice, store, sent, said):
    answer = as_alice.post(URL, {"lines": f"{HEAD}a,archive,,,,a.conf,\n", "files_given": sent})
    assert answer.status_code == 422
    assert said in plain(answer)
    assert not Bringing.objects.exists()


def test_only_so_many_are_kept_and_not_for_long(as_alice, store, monkeypatch):
    monkeypatch.setattr(taking, "IN_LISTS", 1)
    assert send(as_alice, "a,archive,/a,main,,,\n").status_code == 302
    answer = send(as_alice, "b,archive,/b,main,,,\n")
    assert answer.status_code == 422
    assert "are kept at most" in plain(answer)
    for minutes, left in ((60, 1), (121, 0)):
        Bringing.objects.update(begun_at=timezone.now() - timedelta(minutes=minutes))
        taking.of_all()
        assert Bringing.objects.count() == left


def test_who_may_see_a_list(as_alice, store, bucket, client, bob, charlie):
    url = send(as_alice, "a,archive,/backups/prod,main,x,,\n")["Location"]
    for person, status in ((bob, 403), (charlie, 404)):
        client.force_login(person)
        assert client.get(url).status_code == status
        for name in ("add", "look", "forget"):
            assert client.post(f"{url}{name}/", {"seen": "x"}).status_code == status
    client.force_login(bob)
    assert client.get(URL).status_code == 403
    assert Bringing.objects.count() == 1
