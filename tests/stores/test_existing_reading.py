"""What is read of a bucket that was there before: its days, its tags, the repositories in it."""

from __future__ import annotations

import json
import shlex

import pytest

from console.clouds.s3api import existing
from stores.existing.reading import repositories_in
from stores.models import Store
from tests import factories


@pytest.mark.parametrize(("said", "kept"), [(10**12, 36_500), (-5, 1), (0, 1), (7, 7)])
def test_days_of_any_number_fit_a_store(monkeypatch, said, kept):
    rule = {"Status": "Enabled", "NoncurrentVersionExpiration": {"NoncurrentDays": said}}
    answers = {"versioning": "Enabled", "lifecycle": [rule]}
    monkeypatch.setattr(existing.Setting, "read", lambda one, there: answers.get(one.key))
    monkeypatch.setattr(existing, "_read_lock", lambda there: {"days": said})
    monkeypatch.setattr(existing, "_open_acl", lambda there: False)
    monkeypatch.setattr(existing, "_payer", lambda there: "")
    found = existing.describe(Bucket("archive"), "eu-west-1", "")
    assert (found.versions_days, found.lock_days) == (kept, kept if said else 0)


class Bucket:
    def __init__(self, name):
        self.name = name


def test_a_tag_hides_nothing_in_the_command_that_is_shown(account):
    spec = factories.store(account).spec()
    command = existing.tag_command(spec, {"team": "a\u202eb\x9bc'd"}, "")
    assert command.isascii()
    [document] = [one for one in shlex.split(command) if one.startswith("{")]
    assert {"Key": "team", "Value": "a\u202eb\x9bc'd"} in json.loads(document)["TagSet"]


class Folders:
    """Objects that know only their folders."""

    def __init__(self, *keys):
        self.keys, self.asked = keys, 0

    def folders(self, prefix):
        self.asked += 1
        below = (one.removeprefix(prefix) for one in self.keys if one.startswith(prefix))
        return sorted({one.split("/")[0] for one in below if "/" in one})


def test_repositories_are_found_at_any_depth_that_people_use():
    keys = (
        "archive/a/x",
        "backup/a/x",
        "one/two/archive/b/x",
        "one/two/backup/c/x",
        "1/2/3/4/backup/d/x",
        "z/archive/e/x",
    )
    found, is_whole = repositories_in(Folders(*keys), lambda said: None)
    assert [(one["path"], one["stanzas"]) for one in found] == [("/", ["a"]), ("/z", ["e"]), ("/one/two", ["b", "c"])]
    assert is_whole


def test_looking_for_repositories_ends():
    there = Folders(*(f"folder-{number}/file/x" for number in range(1000)))
    found, is_whole = repositories_in(there, lambda said: None)
    assert (found, is_whole, there.asked) == ([], False, 200)


def test_its_object_lock_is_said_as_it_is():
    locked = {"found": {"object_lock": {"mode": "COMPLIANCE", "days": 30}}}
    assert Store(versions_days=40, lock_days=30, taken_over=locked).protection.endswith(
        "Object Lock (compliance) for 30 days"
    )
    assert Store(versions_days=40, lock_days=30).protection.endswith("Object Lock (governance) for 30 days")
