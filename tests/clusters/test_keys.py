"""The nodes' key, and a report token, is replaced: who has which, and when the first one ends."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from clusters import keys
from clusters.models import Cluster, Database, Node
from clusters.tasks import end_replaced_keys, renew_keys
from console.audit.models import AuditEvent
from console.clouds import CLOUDS
from console.clouds.key_trial import KeyTrial
from console.clouds.s3 import session as s3_session
from console.operations.actions import NotNow
from tests import factories
from tests.clusters.conftest import work
from tests.clusters.iam_server import Users
from tests.clusters.nodes import at, node_setup, report
from tests.responses import HTMX, words_of


@pytest.fixture
def iam(monkeypatch):
    users = Users()
    monkeypatch.setattr(s3_session, "iam_client", lambda account: users)
    return users


@pytest.fixture
def keyed(acme, make, iam):
    """Two nodes on a server that makes users, with a store and a database."""
    account = factories.server(acme)
    store = factories.store(account, name="cellar", region="us-east-1")
    made = make([store], name="ledger", regions=["us-east-1", "us-east-1"], account=account)
    Database.objects.create(cluster=made, name="orders", version="15", data_directory="/data", port=5432)
    assert iam.there == ["AK1"]
    return made


@pytest.fixture
def by_hand(acme, make):
    """One node on a server without users, whose key was made by hand."""
    account = factories.server(acme, has="")
    store = factories.store(account, name="cellar", region="us-east-1")
    made = make([store], name="cellar", regions=["us-east-1"], account=account)
    Database.objects.create(cluster=made, name="orders", version="15", data_directory="/data", port=5432)
    keys.give_key(made, access_key_id="HAND1", secret_access_key="S1", by=None)
    return now(made)


@pytest.fixture
def trials(monkeypatch):
    """What became of trying the keys that are entered, one after the other; none is left: they work."""
    results, tried = [], []

    def try_key(spec, key, logs):
        tried.append((spec, dict(key), list(logs)))
        return results.pop(0) if results else KeyTrial()

    monkeypatch.setitem(CLOUDS["s3"].access.__dict__, "try_key", try_key)
    return SimpleNamespace(results=results, tried=tried)


def now(cluster):
    return Cluster.objects.with_story().get(pk=cluster.pk)


def ask(client, cluster, how="beside", what="key/replace/"):
    return client.post(f"/clusters/{cluster.pk}/{what}", {"how": how}, headers=HTMX)


def apply(cluster, *names):
    """Have the nodes report the files of now."""
    for name in names:
        assert report(cluster, name, sha256=node_setup(cluster, name).sha256).content == b"applied\n"


def test_the_former_key_ends_when_every_node_has_reported_the_new_one(as_alice, keyed, iam):
    apply(keyed, "n1", "n2")
    assert ask(as_alice, keyed).status_code == 204
    found = work(keyed)
    assert (found.state, found.key_id, found.former_key_id, iam.there) == ("available", "AK2", "AK1", ["AK1", "AK2"])
    assert node_setup(keyed).state == "outdated"
    assert "repo1-s3-key=AK2" in as_alice.get(at(keyed, "pgbackrest.conf")).content.decode()
    page = words_of(as_alice.get(keyed.get_absolute_url()))
    assert "The nodes' key is being replaced." in page
    assert "It works with the former one until that ends" in words_of(as_alice.get(at(keyed)))
    apply(keyed, "n1")
    assert end_replaced_keys() == 0
    assert [one.name for one in keys.replacement(now(keyed)).waiting] == ["n2"]
    assert "It works with the former one" not in words_of(as_alice.get(at(keyed)))
    apply(keyed, "n2")
    assert end_replaced_keys() == 1
    found = work(keyed)
    assert (found.former_keys, found.key_replaced_at, iam.there) == ({}, None, ["AK2"])
    assert end_replaced_keys() == 0
    assert "being replaced" not in words_of(as_alice.get(keyed.get_absolute_url()))
    titles = AuditEvent.objects.order_by("created_at").values_list("action", "outcome")
    assert [one for one in titles if "Key" in one[0]] == [
        ("Replace the Nodes' Key", "begun"),
        ("Replace the Nodes' Key", "done"),
        ("End the Former Key of the Nodes", "begun"),
        ("End the Former Key of the Nodes", "done"),
    ]


def test_a_node_that_goes_back_to_its_old_file_is_waited_for(as_alice, keyed):
    old = node_setup(keyed, "n1").sha256
    apply(keyed, "n1", "n2")
    ask(as_alice, keyed)
    work(keyed)
    apply(keyed, "n1", "n2")
    report(keyed, "n1", sha256=old)
    assert end_replaced_keys() == 0
    assert [one.name for one in keys.replacement(now(keyed)).waiting] == ["n1"]


def test_a_node_that_had_the_new_key_need_not_have_the_newest_file(as_alice, keyed):
    ask(as_alice, keyed)
    work(keyed)
    apply(keyed, "n1", "n2")
    Database.objects.create(cluster=keyed, name="other", version="15", data_directory="/other", port=5433)
    assert node_setup(keyed).state == "outdated"
    assert end_replaced_keys() == 1


def test_a_file_that_nobody_knows_is_no_file_with_the_new_key(as_alice, keyed):
    ask(as_alice, keyed)
    work(keyed)
    for name in ("n1", "n2"):
        report(keyed, name, sha256="0" * 64)
    assert end_replaced_keys() == 0


def test_at_once_every_key_ends_before_there_is_another(as_alice, keyed, iam):
    apply(keyed, "n1", "n2")
    ask(as_alice, keyed)
    work(keyed)
    assert ask(as_alice, keyed, "at_once").status_code == 204
    iam.deny = "create_access_key"
    work(keyed)
    assert iam.there == []  # whatever comes afterwards, what was stolen opens nothing
    iam.deny = ""
    for _ in range(3):
        found = work(keyed)
    if found.state == "failed":
        as_alice.post(f"/clusters/{keyed.pk}/retry/", headers=HTMX)
        found = work(keyed)
    assert found.state == "available"
    assert iam.there == [found.key_id]
    assert found.former_keys == {}
    page = words_of(as_alice.get(keyed.get_absolute_url()))
    assert "was replaced at once" in page
    assert "End the Former Key" not in page
    assert "n1 has no access to its stores until it has the new key" in words_of(as_alice.get(at(keyed)))
    apply(keyed, "n1", "n2")
    assert end_replaced_keys() == 1
    assert "replaced at once" not in words_of(as_alice.get(keyed.get_absolute_url()))


@pytest.mark.parametrize("how", ["beside", "at_once"])
@pytest.mark.parametrize("call", ["create_access_key", "delete_access_key"])
def test_a_worker_that_dies_right_after_a_call_leaves_no_unknown_key(as_alice, keyed, iam, how, call):
    ask(as_alice, keyed, how)
    iam.lose = call
    for _ in range(3):
        found = work(keyed)
    assert found.state == "available"
    assert sorted(iam.there) == sorted({found.key_id, found.former_key_id} - {""})
    assert found.key_id != "AK1"
    assert found.former_key_id == ("AK1" if how == "beside" else "")


def test_going_back_hands_out_the_first_key_again(as_alice, keyed, iam):
    apply(keyed, "n1", "n2")
    ask(as_alice, keyed)
    work(keyed)
    apply(keyed, "n1")
    assert as_alice.post(f"/clusters/{keyed.pk}/key/back/", headers=HTMX).status_code == 204
    found = work(keyed)
    assert (found.key_id, found.former_key_id, sorted(iam.there)) == ("AK1", "AK2", ["AK1", "AK2"])
    assert [one.name for one in keys.replacement(now(keyed)).waiting] == ["n1"]  # n2 never had another
    apply(keyed, "n1")
    assert end_replaced_keys() == 1
    work(keyed)
    assert iam.there == ["AK1"]


def test_the_former_key_can_be_ended_though_a_node_is_silent(as_alice, keyed, iam):
    apply(keyed, "n1", "n2")
    ask(as_alice, keyed)
    work(keyed)
    apply(keyed, "n1")
    Node.objects.filter(name="n2").update(reported_at=timezone.now() - timedelta(days=9))
    Cluster.objects.update(key_replaced_at=timezone.now() - timedelta(days=9))
    page = words_of(as_alice.get(keyed.get_absolute_url()))
    assert page.count("1 week, 2 days ago") >= 2
    dialog = words_of(as_alice.get(f"/clusters/{keyed.pk}/key/end/", headers=HTMX))
    assert "n2 has not reported since" in dialog
    assert "n1" not in dialog
    assert ask(as_alice, keyed, what="key/end/").status_code == 204
    work(keyed)
    assert iam.there == ["AK2"]
    assert ask(as_alice, keyed, what="key/end/").status_code == 422


def test_a_removed_node_is_named_and_not_waited_for(as_alice, keyed):
    apply(keyed, "n1", "n2")
    as_alice.post(f"/clusters/{keyed.pk}/nodes/remove/", {"nodes": ["n2"]}, headers=HTMX)
    ask(as_alice, keyed)
    work(keyed)
    assert "n2 was removed" in words_of(as_alice.get(f"/clusters/{keyed.pk}/key/end/", headers=HTMX))
    apply(keyed, "n1")
    assert end_replaced_keys() == 1


def test_a_second_replacement_waits_for_the_first(as_alice, keyed, iam):
    ask(as_alice, keyed)
    assert "Another task" in words_of(ask(as_alice, keyed)) or "cannot do this now" in words_of(ask(as_alice, keyed))
    work(keyed)
    refused = ask(as_alice, keyed)
    assert (refused.status_code, "End it first, or go back to it" in words_of(refused)) == (422, True)
    assert ask(as_alice, keyed, how="").status_code == 422
    assert ask(as_alice, keyed, how="soon").status_code == 422
    assert iam.there == ["AK1", "AK2"]


def test_a_store_that_is_attached_meanwhile_ends_no_key(keyed, iam, as_alice):
    ask(as_alice, keyed)
    work(keyed)
    other = factories.store(keyed.cloud_account, name="attic", region="us-east-1")
    stores = [*keyed.stores.all(), other]
    as_alice.post(f"/clusters/{keyed.pk}/backup-stores/", {"backup_stores": [one.pk for one in stores]}, headers=HTMX)
    found = work(keyed)
    assert found.attachments.count() == 2
    assert iam.there == ["AK1", "AK2"]
    assert found.former_key_id == "AK1"


def test_nodes_that_sign_in_as_their_machines_have_nothing_to_replace(as_alice, cluster):
    page = as_alice.get(cluster.get_absolute_url())
    assert "they sign in as their machines" in words_of(page)
    assert b"/key/replace/" not in page.content
    assert "There is nothing to replace" in words_of(as_alice.get(f"/clusters/{cluster.pk}/key/replace/", headers=HTMX))
    assert ask(as_alice, cluster).status_code == 422
    assert ask(as_alice, cluster, "at_once").status_code == 422
    with pytest.raises(NotNow):
        keys.go_back(now(cluster), by=None)


def test_keys_are_for_who_manages_and_for_nobody_else(client, keyed, bob, charlie):
    client.force_login(bob)
    for what in ("key/replace/", "key/end/", "key/back/", "nodes/n1/token/"):
        assert ask(client, keyed, what=what).status_code == 403
    client.force_login(charlie)
    for what in ("key/replace/", "key/end/", "key/back/", "nodes/n1/token/"):
        assert ask(client, keyed, what=what).status_code in {403, 404}
    assert not now(keyed).former_keys


def test_a_renewed_signature_is_a_replacement(acme):
    account = factories.azure(acme)
    soon = (timezone.now() + timedelta(days=3)).isoformat()
    old = {"b": "sig=1", "b policy": "storekeeper-1", "b expires": soon, "b key": "k"}
    cluster = Cluster.objects.create(organisation=acme, cloud_account=account, name="x", state="available", keys=old)
    assert renew_keys() == 1
    keys.keep(cluster, {**old, "b": "sig=2", "b policy": "storekeeper-2"})
    found = now(cluster)
    assert (found.key_id, found.former_key_id) == ("storekeeper-2", "storekeeper-1")
    keys.keep(cluster, {**found.keys, "c": "sig=3", "c policy": "storekeeper-3"})  # another store is attached
    assert now(cluster).former_keys == old
    keys.keep(cluster, {"b role": "given"})  # from now on they have a managed identity
    found = now(cluster)
    assert (found.former_keys, found.key_replaced_at, found.key_id) == ({}, None, "")


# By hand


def test_by_hand_the_console_says_what_to_delete_and_when(as_alice, by_hand, trials):
    url = f"/clusters/{by_hand.pk}/key/"
    apply(by_hand, "n1")
    assert "replaces HAND1" in words_of(as_alice.get(url, headers=HTMX))
    as_alice.post(url, {"access_key_id": "HAND2", "secret_access_key": "S2"}, headers=HTMX)
    page = words_of(as_alice.get(by_hand.get_absolute_url()))
    assert "( HAND1 ) opens the stores until you delete it on the server" in page
    assert "Every node has the new key" not in page
    assert end_replaced_keys() == 0
    apply(by_hand, "n1")
    assert end_replaced_keys() == 0  # nobody but a person can end it
    page = words_of(as_alice.get(by_hand.get_absolute_url()))
    assert "Every node has the new key. Delete HAND1 on the server" in page
    assert ask(as_alice, by_hand, what="key/end/").status_code == 204
    assert now(by_hand).former_keys == {}
    [event] = AuditEvent.objects.filter(action="Said that the nodes' former key is deleted")
    assert event.before == {"access_key_id": "HAND1"}
    assert ask(as_alice, by_hand).status_code == 422  # the console cannot make one


def test_by_hand_a_wrong_secret_is_corrected_and_a_wrong_key_replaced(as_alice, by_hand, trials):
    url = f"/clusters/{by_hand.pk}/key/"
    as_alice.post(url, {"access_key_id": "HAND1", "secret_access_key": "S1b"}, headers=HTMX)
    found = now(by_hand)
    assert (found.keys["secret_access_key"], found.former_keys, found.key_replaced_at) == ("S1b", {}, None)
    for key in ("HAND2", "HAND3"):
        as_alice.post(url, {"access_key_id": key, "secret_access_key": "S"}, headers=HTMX)
    assert (now(by_hand).key_id, now(by_hand).former_key_id) == ("HAND3", "HAND1")
    as_alice.post(url, {"access_key_id": "HAND1", "secret_access_key": "S1b"}, headers=HTMX)
    assert (now(by_hand).key_id, now(by_hand).former_key_id) == ("HAND1", "HAND3")
    as_alice.post(f"/clusters/{by_hand.pk}/key/back/", headers=HTMX)
    assert (now(by_hand).key_id, now(by_hand).former_key_id) == ("HAND3", "HAND1")


KEY = {"access_key_id": "HAND2", "secret_access_key": "marked-S2"}


def enter(client, cluster, **more):
    return client.post(f"/clusters/{cluster.pk}/key/", {**KEY, **more}, headers=HTMX)


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (KeyTrial(refused=("Listing its folder was refused.",)), "could not work with this key"),
        (KeyTrial(refused=("Not known.",), field="secret_access_key"), "Not known."),
        (KeyTrial(refused=("X was refused.",), unread=("Y.",), untried="Z."), "X was refused."),
        (KeyTrial(refused=("X was refused.",), left=("aws s3 rm s3://b/k",)), "aws s3 rm s3://b/k"),
    ],
    ids=["refused", "wrong", "refused and more", "left"],
)
def test_by_hand_a_key_that_does_not_work_is_not_saved_whatever_is_asked(as_alice, by_hand, trials, trial, words):
    for more in ({}, {"save_anyway": "on"}):
        trials.results.append(trial)
        answer = enter(as_alice, by_hand, **more)
        assert answer.status_code == 422
        assert words in words_of(answer)
        assert "Save it anyway" not in words_of(answer)
        assert KEY["secret_access_key"] not in answer.content.decode()
    assert now(by_hand).key_id == "HAND1"
    assert not AuditEvent.objects.filter(action="Entered the nodes' key", after__access_key_id="HAND2").exists()


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (KeyTrial(untried="No answer came."), "could not be tried: No answer came."),
        (KeyTrial(unread=("It could not read in b.",)), "It could not read in b."),
    ],
    ids=["untried", "unread"],
)
def test_by_hand_a_key_that_may_work_is_saved_only_when_that_is_asked(as_alice, by_hand, trials, trial, words):
    trials.results += [trial, trial]
    answer = enter(as_alice, by_hand)
    assert (answer.status_code, now(by_hand).key_id) == (422, "HAND1")
    assert words in words_of(answer)
    assert 'name="save_anyway"' in answer.content.decode()
    assert enter(as_alice, by_hand, save_anyway="on").status_code == 204
    assert now(by_hand).key_id == "HAND2"
    event = AuditEvent.objects.get(action="Entered the nodes' key", after__access_key_id="HAND2")
    assert event.after["trial"] in {"No answer came.", "It could not read in b."}


def test_by_hand_a_key_that_is_too_wide_is_saved_with_a_warning(as_alice, by_hand, trials):
    trials.results.append(KeyTrial(broad=("It may list all of pgbk-x.",)))
    assert enter(as_alice, by_hand).status_code == 204
    assert "It may list all of pgbk-x." in words_of(as_alice.get(by_hand.get_absolute_url()))
    [(spec, key, logs)] = trials.tried
    store = by_hand.attachments.get().store
    assert (spec.buckets, key, logs) == ((store.bucket,), KEY, [store.log_bucket])


def test_by_hand_without_a_store_there_is_nothing_to_try(as_alice, by_hand, trials):
    by_hand.attachments.all().delete()
    assert enter(as_alice, by_hand).status_code == 204
    assert trials.tried == []


def test_by_hand_a_server_that_does_not_answer_is_said(as_alice, by_hand):
    answer = enter(as_alice, by_hand)
    assert answer.status_code == 422
    assert "could not be tried: The console" in words_of(answer)
    assert now(by_hand).key_id == "HAND1"


def test_by_hand_the_page_shows_what_works_on_that_server(as_alice, by_hand):
    url = f"/clusters/{by_hand.pk}/key/"
    assert f"{by_hand.prefix}/*" in words_of(as_alice.get(url))
    for kind, words in (("ceph", "radosgw-admin user create"), ("swift", "swift post")):
        account = by_hand.cloud_account
        account.settings = {**account.settings, "has": kind}
        account.save()
        assert words in words_of(as_alice.get(url))


# Report tokens


def token_of(cluster):
    return Node.objects.get(cluster=cluster, name="n1").secrets["report_token"]


def test_a_former_token_is_taken_until_the_new_one_comes(as_alice, keyed):
    old = token_of(keyed)
    assert ask(as_alice, keyed, what="nodes/n1/token/").status_code == 204
    assert token_of(keyed) != old
    assert "The token is being replaced" in words_of(as_alice.get(at(keyed)))
    for _ in range(2):
        assert report(keyed, token=old, sha256="0" * 64).status_code == 200
    ask(as_alice, keyed, what="nodes/n1/token/")  # once more: the node still has the first
    assert report(keyed, token=old, sha256="0" * 64).status_code == 200
    assert report(keyed, sha256="short").status_code == 422
    assert report(keyed, token=old, sha256="0" * 64).status_code == 200  # what was no report ends nothing
    assert report(keyed, sha256="0" * 64).status_code == 200
    assert report(keyed, token=old, sha256="0" * 64).status_code == 401
    assert "The token is being replaced" not in words_of(as_alice.get(at(keyed)))
    assert not any(old in str(one.after) + str(one.before) for one in AuditEvent.objects.all())


def test_a_stolen_token_is_refused_at_once(as_alice, keyed):
    old = token_of(keyed)
    ask(as_alice, keyed, what="nodes/n1/token/")
    second = token_of(keyed)
    ask(as_alice, keyed, "at_once", what="nodes/n1/token/")
    for stolen in (old, second, ""):
        assert report(keyed, token=stolen or " ", sha256="0" * 64).status_code == 401
    assert report(keyed, sha256="0" * 64).status_code == 200
