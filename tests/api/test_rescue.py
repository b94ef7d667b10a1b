"""Backups that were deleted, by the API: what to run, an identity that reads them, and the scripts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import RecoveryIdentity, Repository
from console.audit.models import AuditEvent
from console.operations import snapshots
from tests import factories
from tests.clusters import judged


@pytest.fixture
def repository(account):
    """A protected store, attached to a cluster with one node and one database."""
    store = factories.store(account, name="archive", versions_days=30)
    return Repository.objects.get(cluster=judged.cluster(account, stores=[store]))


@pytest.fixture
def url(repository):
    return f"/repositories/{repository.pk}/recover-deleted"


@pytest.fixture
def asked():
    return {"stanza": "n1/main", "at": f"{timezone.now() - timedelta(hours=3):%Y-%m-%dT%H:%M:%S}"}


def made():
    """Do what a worker does with the identity."""
    snapshots.read(RecoveryIdentity.LABEL, RecoveryIdentity.objects.get().pk)


def test_what_can_be_had_back_and_what_to_run(as_viewer, repository, url, asked):
    told = as_viewer.get(url).json()
    assert (told["stanzas"], told["kept_days"], told["identity"], told["plan"]) == (["n1/main"], 30, None, None)
    assert told["no_identity"] == ""
    answer = as_viewer.get(url, asked)
    plan = answer.json()["plan"]
    assert plan["at"][:19] == asked["at"]
    assert any("--repo-target-time" in one["text"] for one in plan["commands"])
    assert plan["full_backup_command"].startswith("sudo -u postgres pgbackrest")
    assert repository.passphrase not in answer.content.decode()
    script = as_viewer.get(f"{url}/undelete", asked).content.decode()
    assert f'FOLDER = "{repository.prefix}/"' in script


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"stanza": "n9/main"}, "/stanza"),
        ({"stanza": ""}, "/stanza"),
        ({"at": ""}, "/at"),
        ({"at": "soon"}, "/at"),
        ({"at": "2020-01-01T00:00:00"}, "/at"),
        ({"zone": "Mars/Olympus"}, "/zone"),
        ({"at": "a\x00"}, "/at"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_with_a_pointer(as_owner, url, asked, given, pointer):
    for path in (url, f"{url}/undelete", f"{url}/setup.sh"):
        answer = as_owner.get(path, {**asked, **given})
        assert answer.status_code == 422
        assert pointer in [one["pointer"] for one in answer.json()["errors"]]
    assert "/stanza" in [one["pointer"] for one in as_owner.get(f"{url}/undelete").json()["errors"]]


def test_an_identity_is_made_its_script_handed_out_and_it_ends(as_owner, repository, url, asked, amazon, alice):
    assert as_owner.get(f"{url}/setup.sh", asked).status_code == 409
    answer = as_owner.post(f"{url}/identity", {"hours": 4}, key="k1")
    assert (answer.status_code, answer["Location"]) == (202, f"/api/v1{url}")
    assert answer.json()["identity"]["state"] == "being_made"
    assert as_owner.post(f"{url}/identity", {"hours": 4}).status_code == 409
    made()
    told = as_owner.get(url)
    assert told.json()["identity"]["state"] == "ready"
    script = as_owner.get(f"{url}/setup.sh", asked).content.decode()
    assert repository.passphrase in script
    for secret in (repository.passphrase, *map(str, RecoveryIdentity.objects.get().keys.values())):
        assert secret not in told.content.decode()
    event = AuditEvent.objects.get(action="Was shown the recovery set-up script with its secrets")
    assert event.actor == alice
    answer = as_owner.delete(f"{url}/identity")
    assert (answer.status_code, answer.json()["identity"]["state"]) == (202, "ended")
    assert as_owner.get(f"{url}/setup.sh", asked).status_code == 409
    made()
    assert as_owner.get(url).json()["identity"] is None


@pytest.mark.parametrize(
    ("given", "pointer"),
    [({"hours": 5}, "/hours"), ({"access_key_id": "KEY"}, "/access_key_id"), ({"days": 1}, "/days")],
)
def test_an_identity_that_cannot_be_is_refused(as_owner, url, given, pointer):
    answer = as_owner.post(f"{url}/identity", given)
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]
    assert not RecoveryIdentity.objects.exists()


def test_a_viewer_sees_no_secret_and_a_stranger_nothing(as_viewer, as_stranger, url, asked):
    assert as_viewer.get(f"{url}/setup.sh", asked).status_code == 403
    assert as_viewer.post(f"{url}/identity", {"hours": 4}).status_code == 403
    assert as_viewer.delete(f"{url}/identity").status_code == 403
    for path in (url, f"{url}/undelete"):
        assert as_stranger.get(path, asked).status_code == 404
    assert not RecoveryIdentity.objects.exists()


def test_what_is_gone_with_its_store_is_not_found(as_owner, repository, url, asked):
    Repository.objects.filter(pk=repository.pk).update(store=None)
    assert as_owner.get(url, asked).status_code == 404
