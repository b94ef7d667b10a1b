"""Machines that have stanzas of their own and share their repositories: one cluster, each node with its own stanzas."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from clusters import actions
from clusters.bring_in import taking
from clusters.health import judging
from clusters.models import Bringing, Cluster, Health, Inventory, KnownStanza
from clusters.node_setup import node_setups
from console.operations import snapshots
from tests import factories
from tests.clusters.bring_in.conftest import PASSPHRASE, beside, plain, stanza

URL = "/clusters/bring-in/lists/"
HEAD = "name,store,path,stanzas,passphrase,file,region\n"
SECOND = "a-second-passphrase"  # gitleaks:allow
REPOSITORIES = """[global]
repo1-type=s3
repo1-path=/backups/prod
repo1-s3-bucket={first}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={passphrase}
repo1-retention-full=3
repo2-type=s3
repo2-path=/other/place
repo2-s3-bucket={second}
repo2-cipher-type=aes-256-cbc
repo2-cipher-pass={other}
repo2-retention-full=7
compress-type=lz4
"""
# Two servers on one machine, and two machines whose servers have the same port and data directory as the first's.
PRIMARY = "[main]\npg1-path=/srv/main\n[extra]\npg1-path=/srv/extra\npg1-port=5433\n"
LEDGER = "process-max=7\n[ledger]\npg1-path=/srv/main\ncompress-level=9\narchive-copy=y\nforeign-option=hidden-42\n"
IDS = {"main": 11, "extra": 12, "ledger": 13}


@pytest.fixture
def second(account):
    return factories.store(account, name="second", region="us-east-1")


@pytest.fixture
def both(monkeypatch, store, second, bucket):
    """What is in the buckets of both stores; each repository has its own passphrase, and each stanza its database."""
    there = {store.bucket: bucket, second.bucket: type(bucket)({})}
    there[second.bucket].deleted = lambda prefix: iter(())
    bucket.objects.clear()
    for name, number in IDS.items():
        bucket.objects.update(stanza("backups/prod", name, system_id=number))
        there[second.bucket].objects.update(stanza("other/place", name, passphrase=SECOND, system_id=number))
    monkeypatch.setattr("console.clouds.aws.storage.AWSStorage.objects", lambda self, spec: there[spec.bucket])
    return there


@pytest.fixture
def texts(store, second):
    head = REPOSITORIES.format(first=store.bucket, second=second.bucket, passphrase=PASSPHRASE, other=SECOND)
    return {"primary": head + PRIMARY, "ledger": head + LEDGER}


def look():
    """Have a worker look at all that waits."""
    for row in taking.of_all():
        Bringing.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(seconds=1))
        snapshots.read("bringing", row.pk)


def send(as_alice, lines, texts):
    files = [SimpleUploadedFile(f"{name}.conf", text.encode()) for name, text in texts.items()]
    return as_alice.post(URL, {"lines": HEAD + lines, "files_given": files})


LINES = (
    "prod,archive,,,,primary.conf,eu-west-1\n"
    "prod,archive,,,,ledger.conf,us-east-1\n"
    "prod,archive,,,,primary.conf,eu-central-1\n"
    "prod,archive,,,,ledger.conf,us-west-2\n"
)


@pytest.fixture
def cluster(as_alice, both, texts):
    """Two machines with two stanzas, and two with one other; all four back up into the same two repositories."""
    before = {name: dict(one.objects) for name, one in both.items()}
    answer = send(as_alice, LINES, texts)
    assert answer.status_code == 302, plain(answer)
    look()
    page = as_alice.get(answer["Location"])
    said = plain(page)
    for name in IDS:
        assert said.count(f"{name} (PostgreSQL 15, 1 backup)") == 2  # in each repository
    as_alice.post(f"{answer['Location']}add/", {"seen": ",".join(page.context["seen"])})
    look()
    assert {name: one.objects for name, one in both.items()} == before
    return Cluster.objects.with_node_setup().get()


def look_into(cluster):
    for one in Inventory.objects.filter(repository__cluster=cluster):
        Inventory.objects.filter(pk=one.pk).update(due_at=timezone.now() - timedelta(seconds=1))
        snapshots.read("inventory", one.pk)
    Cluster.objects.filter(pk=cluster.pk).judge_now()
    judging.judge_due()


def test_each_machine_has_its_own_stanzas(cluster):
    assert [(one.name, one.repository_folder) for one in cluster.nodes.all()] == [
        ("n1", "n1"),
        ("n2", "n2"),
        ("n3", "n1"),
        ("n4", "n2"),
    ]
    assert {one.name: (one.folder, one.data_directory, one.port) for one in cluster.databases.all()} == {
        "main": ("n1", "/srv/main", 5432),
        "extra": ("n1", "/srv/extra", 5433),
        "ledger": ("n2", "/srv/main", 5432),
    }
    for setup in node_setups(cluster):
        file = setup.configuration.render(secrets=False)
        mine = {"n1": {"main", "extra"}, "n2": {"ledger"}}[setup.node.repository_folder]
        assert {one.name for one in setup.configuration.stanzas} == mine
        for name in IDS:
            assert (f"\n[{name}]\n" in file) == (name in mine)
        assert ("compress-level=9\n" in file) == ("ledger" in mine)
        assert ("foreign-option=" in file) == ("ledger" in mine)
        assert "process-max=7" not in file  # options of all are the first machine's, and that is said
        for line in ("repo1-path=/backups/prod", "repo2-path=/other/place", "compress-type=lz4"):
            assert f"{line}\n" in file
        for line in ("repo1-retention-full=3", "repo2-retention-full=7"):
            assert f"{line}\n" in file


def test_what_is_there_is_read_judged_and_restored_by_its_machine(as_alice, cluster):
    look_into(cluster)
    for one in Inventory.objects.all():
        assert {(row["node"], row["stanza"]) for row in one.content} == {
            ("n1", "main"),
            ("n1", "extra"),
            ("n2", "ledger"),
        }
    pairs = {("n1", "main"), ("n1", "extra"), ("n2", "ledger")}
    assert {*KnownStanza.objects.values_list("node", "name")} == pairs
    assert Health.objects.count() == 6
    assert {*Health.objects.values_list("node", "database")} == pairs
    for node, mine in (("n1", ["main", "extra"]), ("n2", ["ledger"])):
        page = plain(as_alice.get(f"/clusters/{cluster.pk}/nodes/{node}/machine/"))
        assert [name for name in IDS if f"{name}" in page] == mine or all(name in page for name in mine)
    assert "on n2 and n4" in plain(as_alice.get(cluster.get_absolute_url()))


def test_the_hand_over_says_what_to_do_on_each_machine(as_alice, cluster):
    page = as_alice.get(f"{cluster.get_absolute_url()}hand-over/")
    said = plain(page)
    assert [one["setup"].node.name for one in page.context["machines"]] == ["n1", "n2"]
    assert "n1 has extra and main, n2 has ledger" in said
    assert "On n1, in this order" in said
    assert "On n2, in this order" in said
    first, other = (one["difference"] for one in page.context["machines"])
    assert "[main]" in first
    assert "[ledger]" not in first
    assert "[ledger]" in other
    assert "[main]" not in other
    assert "-process-max=7" in other  # the file of n2 has it, and its new one does not
    assert "[global] process-max The file of n2 has it otherwise" in said
    assert "[ledger] foreign-option pgBackRest knows no such option" in said
    assert "hidden-42" not in page.content.decode()
    assert PASSPHRASE not in page.content.decode()


def test_it_is_handed_over_once_each_machine_has_its_file(as_alice, cluster):
    given = {"full_schedule": "0 1 * * 0", "incr_schedule": "0 1 * * 1-6"}
    assert as_alice.post(f"{cluster.get_absolute_url()}hand-over/", given).status_code == 302
    for name, left in (("n1", True), ("n4", False)):
        cluster.nodes.filter(name=name).update(applied_sha256="x" * 64)
        assert Cluster.objects.with_node_setup().get().is_being_handed_over is left


def test_a_machine_of_other_stanzas_follows_nobody_and_a_new_one_has_those_of_its_primary(as_alice, alice, cluster):
    answer = as_alice.post(
        f"/clusters/{cluster.pk}/nodes/n4/replication/", {"follows": "n1", "leaves_own": "on", **HOST}
    )
    assert answer.status_code == 422
    assert "n4 has stanzas of its own, ledger, and n1 has others" in plain(answer)
    [name] = actions.add_nodes(cluster, regions=["eu-west-1"], first=cluster.nodes.get(name="n2"), by=alice)
    cluster = Cluster.objects.with_node_setup().get()
    made = next(one for one in node_setups(cluster) if one.node.name == name)
    assert [one.name for one in made.configuration.stanzas] == ["ledger"]


def test_no_stanza_is_added_to_all_of_them(alice, cluster):
    cluster.brought_in.handed_over_at = timezone.now()
    cluster.brought_in.save()
    database = type(cluster.databases.first())(
        cluster=cluster, name="more", version="15", data_directory="/srv/more", port=5439
    )
    with pytest.raises(actions.NotAttachable, match="stanzas of their own"):
        actions.add_database(Cluster.objects.get(pk=cluster.pk), database, by=alice)
    assert not cluster.databases.filter(name="more").exists()


def test_with_the_last_machine_of_a_set_its_stanzas_go(alice, cluster):
    look_into(cluster)
    actions.remove_nodes(cluster, names=["n2"], by=alice)
    assert cluster.databases.filter(name="ledger").exists()  # n4 goes on with it
    actions.remove_nodes(cluster, names=["n4"], by=alice)
    assert {*cluster.databases.values_list("name", flat=True)} == {"main", "extra"}
    look_into(cluster)
    rows = Inventory.objects.first().content
    assert ("n2", "ledger") in {(row["node"], row["stanza"]) for row in rows}  # what it left is still seen


HOST = {"address": "n4.example.com", "ssh_port": "22"}
WRONG = {
    "some in common": ("[main]\npg1-path=/a\n", "stanzas: Line 2 has the same cluster name and other stanzas"),
    "another retention": (
        "repo1-retention-full=5\n[ledger]\npg1-path=/a\n",
        "file: repo1-retention-full is not as in Line 2",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_machines_that_share_less_than_that_are_no_cluster(as_alice, both, texts, case):
    more, said = WRONG[case]
    head = texts["ledger"].partition("process-max")[0]
    if "retention" in more:
        head = head.replace("repo1-retention-full=3\n", "")
    answer = send(as_alice, "".join(LINES.splitlines(keepends=True)[:2]), {**texts, "ledger": head + more})
    assert answer.status_code == 422
    assert said in plain(answer)
    assert not Bringing.objects.exists()


def test_another_cluster_of_the_list_has_none_of_its_stanzas(as_alice, both, texts):
    lines = [*LINES.splitlines(keepends=True)[:2], "else,archive,,,,ledger.conf,\n"]
    assert "Line 2 has a stanza of this repository, too" in plain(send(as_alice, "".join(lines), texts))
    lines = [lines[2], *lines[:2]]
    assert "Line 2 has a stanza of this repository, too" in plain(send(as_alice, "".join(lines), texts))


def test_machines_that_are_told_without_a_file(as_alice, both):
    lines = f"prod,archive,/backups/prod,main,{PASSPHRASE},,\nprod,archive,/backups/prod,ledger,{PASSPHRASE},,\n"
    answer = send(as_alice, lines, {})
    assert answer.status_code == 302, plain(answer)
    look()
    as_alice.post(f"{answer['Location']}add/", {"seen": ",".join(as_alice.get(answer["Location"]).context["seen"])})
    look()
    assert {*Cluster.objects.get().databases.values_list("name", "folder")} == {("main", "n1"), ("ledger", "n2")}


def test_the_dialog_leads_to_the_list(as_alice, store, texts):
    text = texts["primary"] + LEDGER.partition("\n")[2]
    answer = as_alice.post("/clusters/bring-in/", {"store": store.pk, "name": "prod", "text": text})
    assert answer.status_code == 422
    assert "A list with a line for each machine" in beside(answer, "stanzas")
