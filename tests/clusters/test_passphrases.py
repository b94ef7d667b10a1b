"""A repository's passphrase is replaced: another folder of the store, and what the first one held stays what it was."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
from django.utils import timezone

from clusters import actions
from clusters.models import Cluster, Inventory, Repository
from clusters.pgbackrest import repository
from clusters.recovery import restores
from clusters.repositories import inventory
from clusters.repositories.retained import folders_of, kept_by
from console.audit.models import AuditEvent
from console.clouds.contents import Reading
from tests.clusters.nodes import at, detach, kit_text, node_setup, report, seen, stanza_state
from tests.responses import HTMX, words_of


@pytest.fixture
def replaced(as_alice, cluster):
    """The cluster with a third repository, which has replaced the first one; a backup was seen in that."""
    seen(cluster, stanza_state())
    report(cluster, sha256=node_setup(cluster).sha256)
    first = cluster.repositories.get(number=1)
    answer = as_alice.post(f"/clusters/repositories/{first.pk}/passphrase/", headers=HTMX)
    assert answer.status_code == 204
    return Cluster.objects.with_node_setup().get(pk=cluster.pk)


def both(cluster):
    return cluster.repositories.get(number=1), cluster.repositories.get(number=3)


def test_nodes_write_into_another_folder_and_expire_the_first(as_alice, replaced):
    first, made = both(replaced)
    assert (made.prefix, made.store_id) == (f"{replaced.prefix}/r3", first.store_id)
    assert made.passphrase not in {"", first.passphrase}
    after = node_setup(replaced)
    file = after.configuration.render(secrets=True)
    assert f"repo3-path=/{replaced.prefix}/r3/n1" in file
    assert f"repo3-cipher-pass={made.passphrase}" in file
    assert "repo1-" not in file
    [left] = after.left_files
    assert f"repo1-path=/{replaced.prefix}/n1" in left.content
    assert f"repo1-cipher-pass={first.passphrase}" in left.content
    assert made.passphrase not in left.content
    assert (after.state, after.added) == ("outdated", ["repo3"])
    assert "repo3: new to the node." in words_of(as_alice.get(at(replaced)))


def test_the_nodes_access_covers_it_and_no_more(cluster, as_alice):
    before = json.loads(cluster.permissions)["Statement"]
    first = cluster.repositories.get(number=1)
    actions.replace_passphrase(first, by=None)
    fresh = Cluster.objects.get(pk=cluster.pk)
    after = json.loads(fresh.permissions)["Statement"]
    assert sorted(map(str, after)) == sorted(map(str, before))  # the new folder is in the cluster's own
    assert all(one.prefix.startswith(f"{cluster.prefix}/") for one in fresh.repositories.filter(number=3))


def test_what_was_there_is_kept_with_its_passphrase(as_alice, replaced):
    first, made = both(replaced)
    assert first.detached_at is not None
    assert list(Repository.objects.retained()) == [first]
    kit = kit_text(as_alice, replaced)
    assert first.passphrase in kit
    assert made.passphrase in kit
    assert f"/{replaced.prefix}/n1" in kit
    [source] = [one for one in restores.of_cluster(replaced) if one.repository == first]
    assert not source.needs_key  # the nodes' access opens both
    assert source.target.path == f"/{replaced.prefix}/n1"
    assert "n1" in words_of(as_alice.get("/clusters/retained/"))
    [event] = AuditEvent.objects.filter(action="Replaced a passphrase")
    assert first.passphrase not in str(event.after) + str(event.before)
    assert made.passphrase not in str(event.after) + str(event.before)
    page = as_alice.get(replaced.get_absolute_url()).content.decode()
    assert made.passphrase not in page


def test_it_is_replaced_once_more_and_only_while_it_is_in_use(as_alice, replaced):
    first, made = both(replaced)
    url = "/clusters/repositories/{}/passphrase/"
    assert as_alice.get(url.format(first.pk), headers=HTMX).status_code == 404
    assert "step 1 only" in words_of(as_alice.get(url.format(made.pk), headers=HTMX))
    assert as_alice.post(url.format(made.pk), headers=HTMX).status_code == 204
    assert replaced.repositories.get(number=4).prefix == f"{replaced.prefix}/r4"
    with pytest.raises(actions.NotAttachable, match="does not use"):
        actions.replace_passphrase(made, by=None)
    Cluster.objects.update(state="updating")
    busy = as_alice.post(url.format(replaced.repositories.get(number=4).pk), headers=HTMX)
    assert (busy.status_code, "is at work" in words_of(busy)) == (422, True)


def test_a_store_that_comes_back_has_the_newest_passphrase(replaced, stores):
    detach(replaced, stores[1])
    assert not node_setup(replaced).left_files
    actions.update_stores(replaced, stores=stores, by=None)
    assert replaced.attachments.get(store=stores[0]).repository.number == 3


def test_only_who_manages_may_replace_one(client, cluster, bob, charlie):
    first = cluster.repositories.get(number=1)
    for person, status in ((bob, 403), (charlie, {403, 404})):
        client.force_login(person)
        answer = client.post(f"/clusters/repositories/{first.pk}/passphrase/", headers=HTMX)
        assert answer.status_code in ({status} if isinstance(status, int) else status)
    assert cluster.repositories.count() == 2


class Objects:
    """A bucket with these keys, as the clouds' reader shows it."""

    def __init__(self, *keys, deleted=()):
        self.keys, self.gone = sorted(keys), sorted(deleted)

    def folders(self, prefix):
        below = [key.removeprefix(prefix) for key in self.keys if key.startswith(prefix)]
        return sorted({key.partition("/")[0] for key in below if "/" in key})

    begins_after = True

    def entries(self, prefix, after=""):
        return [SimpleNamespace(key=key, size=1, modified="") for key in self.keys if key.startswith(prefix)]

    def deleted(self, prefix):
        return [SimpleNamespace(key=key) for key in self.gone if key.startswith(prefix)]

    def read(self, key, at_most, known=""):
        return Reading()


def test_the_first_is_empty_though_the_second_in_its_folder_is_not(replaced):
    first, made = both(replaced)
    theirs, own = f"{made.prefix}/n1/backup/orders/x", f"{first.prefix}/n1/backup/orders/x"
    assert repository.look(Objects(theirs), first.prefix, first.passphrase) == []
    assert inventory._is_empty(Objects(theirs, deleted=[theirs]), first)
    for there in (Objects(own), Objects(theirs, deleted=[own]), Objects(f"{first.prefix}/r3x"), Objects(theirs, own)):
        assert not inventory._is_empty(there, first)
    assert not inventory._is_empty(Objects(theirs), made)
    assert inventory._is_empty(Objects(own), made)


def test_what_cannot_be_looked_through_is_not_called_empty(replaced, monkeypatch):
    first, made = both(replaced)
    monkeypatch.setattr(inventory, "ENTRIES_AT_MOST", 3)
    theirs = [f"{made.prefix}/n1/{number}" for number in range(3)]
    assert inventory._is_empty(Objects(*theirs[:2]), first)
    assert not inventory._is_empty(Objects(*theirs), first)


def test_the_commands_that_empty_the_first_leave_the_second_alone(as_alice, replaced):
    first, made = both(replaced)
    assert folders_of(made) == [made.prefix]
    assert f"{first.prefix}/n1" in folders_of(first)
    assert all(re.fullmatch(rf"{first.prefix}/n\d", folder) for folder in folders_of(first))
    dialog = as_alice.get(f"/clusters/repositories/{first.pk}/let-go/", headers=HTMX).content.decode()
    assert f"/{first.prefix}/n1/" in dialog
    assert f"/{first.prefix}/ " not in dialog
    Inventory.objects.update(content=[])
    Repository.objects.filter(pk=first.pk).update(empty_at=timezone.now())
    first = Repository.objects.with_inventory().get(pk=first.pk)
    assert kept_by(first) == ""
