"""Repositories that were there before are brought in by a program: looked at, shown, added as they were seen."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from clusters.bring_in import taking
from clusters.models import Bringing, Cluster
from console.api.models import KeptAnswer
from console.operations import snapshots
from console.operations.models import Operation
from tests import factories
from tests.clusters.bring_in.conftest import FILE, PASSPHRASE, stanza
from tests.clusters.pgbackrest.repository_files import Bucket
from tests.delivery import deliver

URL = "/clusters/bring-in"


@pytest.fixture
def bucket(monkeypatch):
    found = Bucket({**stanza("backups/prod", "main"), **stanza("backups/prod", "other", system_id=7)})
    monkeypatch.setattr("console.clouds.aws.storage.AWSStorage.objects", lambda self, spec: found)
    return found


@pytest.fixture
def store(account):
    return factories.store(account, name="archive", region="eu-west-1")


@pytest.fixture
def row(store):
    return {"name": "prod", "store_id": str(store.pk), "path": "/backups/prod", "stanzas": ["main"]}


def look():
    for one in taking.of_all():
        Bringing.objects.filter(pk=one.pk).update(due_at=timezone.now() - timedelta(seconds=1))
        snapshots.read("bringing", one.pk)


def test_a_list_is_looked_at_and_added_as_it_was_seen(as_owner, store, bucket, row):
    file = FILE.format(bucket=store.bucket, passphrase=PASSPHRASE)
    wrong = {**row, "name": "closed", "stanzas": ["other"], "passphrase": "another"}
    with_file = {"name": "prod", "store_id": str(store.pk), "file": file, "stanzas": ["main"], "region": "Ireland"}
    answer = as_owner.post(URL, {"repositories": [with_file, wrong]})
    assert answer.status_code == 202
    assert [one["state"] for one in answer.json()["clusters"]] == ["waiting", "waiting"]
    look()
    url = answer["Location"].removeprefix("/api/v1")
    told = as_owner.get(url)
    prod, closed = told.json()["clusters"]
    assert prod["state"] == "ready"
    assert prod["repositories"] == [
        {
            "number": 1,
            "store_id": str(store.pk),
            "stanzas": [{"name": "main", "postgresql": "15", "system_id": "7711134786693777346", "backups": 1}],
        }
    ]
    assert (closed["state"], closed["error_field"], closed["seen"]) == ("refused", "passphrase", "")
    for text in (answer.content.decode(), told.content.decode()):
        assert PASSPHRASE not in text
        assert "another" not in text.replace("is another one", "")
    assert as_owner.post(f"{url}/add", {"seen": [prod["seen"]]}, key="a").status_code == 202
    look()
    prod = as_owner.get(url).json()["clusters"][0]
    cluster = Cluster.objects.get()
    assert (prod["state"], prod["cluster_id"]) == ("added", str(cluster.pk))
    assert cluster.is_watched_only
    assert PASSPHRASE not in str([*KeptAnswer.objects.values_list("content", flat=True)])


def test_what_is_wrong_is_named_by_its_pointer_and_nothing_is_kept(as_owner, store, row):
    given = [
        row,
        {**row, "name": "b", "store_id": str(uuid4())},
        {**row, "name": "c", "path": "/x*"},
        {**row, "name": "d", "file": "nonsense"},
        {**row, "name": "PROD", "path": "/elsewhere"},
    ]
    answer = as_owner.post(URL, {"repositories": given})
    assert answer.status_code == 422
    assert {one["pointer"]: one["detail"] for one in answer.json()["errors"]} == {
        "/repositories/1/store_id": "Choose one of the stores.",
        "/repositories/2/path": "A path has letters, digits, dots, - and _, with one / between its folders, such as "
        "/backups/prod.",
        "/repositories/3/file": answer.json()["errors"][2]["detail"],
        "/repositories/4/path": "repo1 has another path. Item 0 has the same cluster name: /backups/prod.",
    }
    assert not Bringing.objects.exists()


def test_a_list_is_one_to_a_hundred(as_owner, store, row):
    for many in (0, 101):
        assert as_owner.post(URL, {"repositories": [row] * many}).status_code == 422
    assert not Bringing.objects.exists()


def test_what_was_not_seen_is_not_added(as_owner, store, bucket, row):
    answer = as_owner.post(URL, {"repositories": [{**row, "passphrase": PASSPHRASE}]})
    look()
    url = answer["Location"].removeprefix("/api/v1")
    said = as_owner.post(f"{url}/add", {"seen": ["x" * 64]})
    assert (said.status_code, said.json()["errors"][0]["pointer"]) == (422, "/seen/0")
    assert as_owner.get(url).json()["clusters"][0]["state"] == "ready"
    look()
    assert not Cluster.objects.exists()


def test_those_that_were_refused_are_looked_at_again(as_owner, store, bucket, row):
    given = {**row, "passphrase": PASSPHRASE, "path": "/later"}
    url = as_owner.post(URL, {"repositories": [given]})["Location"].removeprefix("/api/v1")
    look()
    assert as_owner.get(url).json()["clusters"][0]["state"] == "refused"
    bucket.objects.update(stanza("later", "main"))
    assert as_owner.post(f"{url}/look", {}).json()["clusters"][0]["state"] == "waiting"
    look()
    assert as_owner.get(url).json()["clusters"][0]["state"] == "ready"


def test_a_viewer_and_a_stranger(as_owner, as_viewer, as_stranger, store, bucket, row):
    url = as_owner.post(URL, {"repositories": [row]})["Location"].removeprefix("/api/v1")
    assert as_viewer.post(URL, {"repositories": [row]}).status_code == 403
    assert as_viewer.get(url).status_code == 403
    answer = as_stranger.post(URL, {"repositories": [row]})
    assert answer.json()["errors"][0]["pointer"] == "/repositories/0/store_id"
    assert as_stranger.get(url).status_code == 404
    for name, body in (("add", {"seen": ["x"]}), ("look", b"")):
        assert as_stranger.post(f"{url}/{name}", body).status_code == 404
    assert Bringing.objects.count() == 1


def test_a_list_is_forgotten_and_what_came_of_it_stays(as_owner, as_viewer, as_stranger, watched):
    url = f"{URL}/{Bringing.objects.get().batch}"
    assert as_viewer.delete(url).status_code == 403
    assert as_stranger.delete(url).status_code == 404
    assert Bringing.objects.exists()
    assert as_owner.delete(url).status_code == 204
    assert as_owner.get(url).status_code == 404
    assert not Bringing.objects.exists()
    assert Cluster.objects.get().is_watched_only


@pytest.fixture
def watched(as_owner, bucket, row):
    """A cluster that was brought in."""
    url = as_owner.post(URL, {"repositories": [{**row, "passphrase": PASSPHRASE}]})["Location"].removeprefix("/api/v1")
    look()
    as_owner.post(f"{url}/add", {"seen": [as_owner.get(url).json()["clusters"][0]["seen"]]})
    look()
    return Cluster.objects.get()


def test_a_node_goes_on_with_the_key_that_it_has(as_owner, watched, amazon):
    path, key = f"/clusters/{watched.pk}/hand-over", "repo1-s3-key=AKIAFORMERKEY\nrepo1-s3-key-secret=former-hunter2\n"
    for given, said in (("nonsense", "there is no ="), (key, "cannot try the key of repo1 itself")):
        refused = as_owner.post(path, {"own_key": given})
        [error] = refused.json()["errors"]
        assert (refused.status_code, error["pointer"]) == (422, "/own_key")
        assert said in error["detail"]
        assert "hunter2" not in refused.content.decode()
    assert Cluster.objects.get().is_watched_only
    assert as_owner.get(f"/clusters/{watched.pk}").json()["is_watched_only"]
    answer = as_owner.post(path, {"own_key": key, "save_anyway": True}, key="k1")
    assert (answer.status_code, answer.json()["warnings"]) == (202, [])
    assert "hunter2" not in answer.content.decode()
    file = as_owner.get(f"/clusters/{watched.pk}/nodes/n1/pgbackrest.conf").content.decode()
    assert "repo1-s3-key-secret=former-hunter2" in file
    assert "hunter2" not in str([*KeptAnswer.objects.values_list("content", "sealed")])


def test_a_cluster_is_handed_over_and_taken_back(as_owner, as_viewer, as_stranger, watched, amazon):
    cluster = watched
    path = f"/clusters/{cluster.pk}/hand-over"
    assert as_owner.post(f"{path}/back", {"done": True}).status_code == 409
    answer = as_owner.post(path, {"left_seen": True})
    assert answer.status_code == 202
    assert as_owner.post(f"{path}/back", {"done": True}).status_code == 409, "its task is not over"
    deliver(Operation.objects.get(verb="update").pk)
    cluster.refresh_from_db()
    assert (cluster.state, cluster.is_watched_only) == ("available", False)
    refused = as_owner.post(f"{path}/back", {"done": False})
    assert [one["pointer"] for one in refused.json()["errors"]] == ["/done"]
    assert as_viewer.post(f"{path}/back", {"done": True}).status_code == 403
    assert as_stranger.post(f"{path}/back", {"done": True}).status_code == 404
    assert not Cluster.objects.get().is_watched_only
    answer = as_owner.post(f"{path}/back", {"done": True})
    assert (answer.status_code, "/tasks/" in answer["Location"]) == (202, True)
    assert Cluster.objects.get().is_watched_only


def test_machines_with_stanzas_of_their_own_are_one_cluster(as_owner, store, bucket, row):
    rows = [{**row, "passphrase": PASSPHRASE}, {**row, "stanzas": ["other"], "passphrase": PASSPHRASE}]
    url = as_owner.post(URL, {"repositories": rows})["Location"].removeprefix("/api/v1")
    look()
    [told] = as_owner.get(url).json()["clusters"]
    assert (told["nodes"], [one["name"] for one in told["repositories"][0]["stanzas"]]) == (2, ["main", "other"])
    as_owner.post(f"{url}/add", {"seen": [told["seen"]]})
    look()
    told = as_owner.get(f"/clusters/{Cluster.objects.get().pk}").json()
    assert {one["name"]: one["folder"] for one in told["databases"]} == {"main": "n1", "other": "n2"}
    assert [one["folder"] for one in told["nodes"]] == ["n1", "n2"]
    given = {"differences": [{"database": "main", "port": 5999}]}
    refused = as_owner.send("PATCH", f"/clusters/{told['id']}/nodes/n2", given)
    assert refused.status_code == 422, "n2 does not have it"


def test_machines_with_some_stanzas_in_common_are_no_cluster(as_owner, store, row):
    file = FILE.format(bucket=store.bucket, passphrase=PASSPHRASE)
    rows = [
        {"name": "prod", "store_id": str(store.pk), "file": file, "stanzas": one}
        for one in (["main", "other"], ["main"])
    ]
    [error] = as_owner.post(URL, {"repositories": rows}).json()["errors"]
    assert error["pointer"] == "/repositories/1/stanzas"
    assert "Item 0 has the same cluster name and other stanzas: main, other" in error["detail"]
