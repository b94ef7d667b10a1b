"""A repository that was brought in is handed over: what goes on as it was, and what nobody may do meanwhile."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from clusters import actions, plans
from clusters.bring_in import hand_over as handing
from clusters.models import Attachment, BroughtIn, Cluster, Node, Repository
from clusters.node_setup import node_setups
from clusters.repositories.retained import folders_of, kept_by
from console.operations.models import Operation
from tests import factories
from tests.clusters.bring_in.conftest import PASSPHRASE, beside, plain


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


def _finish():
    Operation.objects.unfinished().update(state="done", finished_at=timezone.now())
    Cluster.objects.update(state="available")


def test_a_hand_over_is_taken_back(handed_over, as_alice, bucket):
    before = dict(bucket.objects)
    Node.objects.filter(cluster=handed_over).update(applied_sha256="a" * 64)
    page = as_alice.get(handed_over.get_absolute_url())
    url = f"{handed_over.get_absolute_url()}hand-over/back/"
    assert url in page.content.decode()
    assert handed_over.run_undo in plain(as_alice.get(url))
    answer = as_alice.post(url, {})
    assert answer.status_code == 422
    assert "Do that first" in beside(answer, "done")
    assert not Cluster.objects.get().is_watched_only
    _finish()
    assert as_alice.post(url, {"done": "on"}).status_code == 302
    cluster = Cluster.objects.with_node_setup().get()
    assert cluster.is_watched_only
    assert (cluster.spec().buckets, cluster.policy.schedules) == ((), {})
    assert plans.access(cluster) == cluster.cloud.access.revoke
    assert Node.objects.get().applied_sha256 == ""
    assert bucket.objects == before
    assert as_alice.get(f"{cluster.get_absolute_url()}nodes/n1/setup.sh").status_code == 409
    assert url not in as_alice.get(cluster.get_absolute_url()).content.decode()
    # And handed over again
    _finish()
    again = as_alice.post(f"{cluster.get_absolute_url()}hand-over/", {"full_schedule": "0 1 * * 0"})
    assert again.status_code == 302


def test_what_was_made_here_does_not_go_back(handed_over, alice, as_alice):
    actions.replace_passphrase(handed_over.repositories.get(), by=alice)
    Cluster.objects.update(state="available")
    answer = as_alice.post(f"{handed_over.get_absolute_url()}hand-over/back/", {"done": "on"})
    assert "cannot go back" in plain(answer)
    assert not Cluster.objects.get().is_watched_only


def test_a_key_s_page_names_the_former_path_too(handed_over, as_alice, store):
    assert Cluster.objects.with_node_setup().get().opened == [
        f"/{handed_over.prefix} in {store.name}",
        f"/backups/prod in {store.name}",
    ]


def test_a_cluster_that_is_watched_only_lacks_nothing(as_alice, bring, bucket, text):
    row, _ = bring(text=text)
    said = plain(as_alice.get(row.cluster.get_absolute_url()))
    assert "Its own: watched only" in said
    assert "Add a database first" not in said
    assert "Will not work" not in said
    assert "This will not work" not in plain(as_alice.get(f"{row.cluster.get_absolute_url()}nodes/n1/"))


def test_the_hand_over_creates_nothing_that_is_there(as_alice, bring, bucket, text):
    row, _ = bring(text=text)
    said = plain(as_alice.get(f"{row.cluster.get_absolute_url()}hand-over/"))
    assert "look at the stanza main: where it is there already, it stays as it is" in said
    assert "Make a full backup by the new file of main" in said
    assert "Create the stanza" not in said
    assert "first backup" not in said


def test_its_node_s_page_lists_nothing_that_is_done_already(handed_over, as_alice):
    url = f"{handed_over.get_absolute_url()}nodes/n1/"
    said = plain(as_alice.get(url))
    assert "look at the stanza main: where it is there already, it stays as it is" in said
    assert not [one for one in ("Restart it", "Create the stanza", "Make a first backup") if one in said]
    # A database that is added later archives nothing yet, and neither does a node.
    assert _add(as_alice, handed_over, "third").status_code == 302
    said = plain(as_alice.get(url))
    assert "Create the stanza third" in said
    assert "Create the stanza main" not in said
    assert said.count("Restart it, which archive_mode needs once") == 1
    Node.objects.create(cluster=handed_over, name="n2", region="eu-west-1", folder="n1", writes_to="all")
    assert "Restart it" in plain(as_alice.get(f"{handed_over.get_absolute_url()}nodes/n2/"))
