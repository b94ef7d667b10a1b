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
from tests import factories
from tests.clusters.bring_in.conftest import FILE, PASSPHRASE, stanza
from tests.clusters.pgbackrest.repository_files import Bucket

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
