"""What was brought in is named by the files of its account, which an administrator runs again, and by no other's."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from django.utils import timezone

from clusters import actions
from clusters.models import Cluster
from console.cloud_accounts import places, preflight
from console.clouds.specs import Place
from tests import factories
from tests.clusters.bring_in.conftest import plain

pytestmark = pytest.mark.usefixtures("bucket")


def permissions(account):
    [found] = [one for one in account.documents if one.filename == "permissions.json"]
    return {one["Sid"]: one for one in json.loads(found.text)["Statement"]}


def test_the_files_name_a_repository_once_it_is_brought_in(as_alice, bring, text, store, account):
    assert "ReadListsBroughtIn" not in permissions(account)
    bring(text=text)
    assert places.of(account) == (Place(store.bucket, False, ("backups/prod",)),)
    there = permissions(account)
    wanted = [
        f"arn:aws:s3:::{store.bucket}/backups/prod/{one}"
        for one in ("backup/*/backup.info*", "archive/*/archive.info*")
    ]
    assert there["ReadListsBroughtIn"]["Resource"] == wanted
    assert {*wanted} <= {*there["NeverReadBackups"]["NotResource"]}
    assert "UseExistingBuckets" not in there  # the bucket is the console's own
    page = as_alice.get(account.get_absolute_url())
    assert f"{store.bucket}/backups/prod/backup/*/backup.info*" in plain(page)


def test_those_of_a_deleted_cluster_are_read_on(bring, text, account, alice):
    bring(text=text)
    before = places.of(account)
    actions.delete(Cluster.objects.get(), detach=True, by=alice)
    assert places.of(account) == before


def test_another_account_names_nothing_of_it(bring, text, account):
    bring(text=text)
    other = factories.account(account.organisation, name="Other", number="999999999999")
    stranger = factories.account(factories.organisation("Other"))
    assert places.of(other) == places.of(stranger) == ()


def test_a_bucket_that_was_added_is_named_with_what_was_brought_in_from_it(bring, text, store, account):
    store.taken_over = {"found": {}, "tagged": True, "chosen": [], "accepted": {}}
    store.bucket = "archive"
    store.save()
    assert places.of(account) == (Place("archive", True),)
    assert permissions(account)["UseExistingBuckets"]["Resource"] == ["arn:aws:s3:::archive"]
    bring(text=text.replace(text.split("repo1-s3-bucket=")[1].split()[0], "archive"))
    assert places.of(account) == (Place("archive", True, ("backups/prod",)),)


def test_preflight_asks_for_the_places_of_the_account(bring, text, account, monkeypatch):
    asked = []
    bring(text=text)
    row = preflight.of(account).get()
    assert row.due_at <= timezone.now()  # at once, since the account has to name another place
    linking = replace(row.cloud_account.cloud.linking, preflight=lambda one, regions: asked.append(one.places) or [])
    cloud = replace(row.cloud_account.cloud, linking=linking)
    monkeypatch.setattr(type(row.cloud_account), "cloud", cloud)
    preflight.look(row)
    assert asked == [places.of(account)]
