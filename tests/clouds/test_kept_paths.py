"""A repository that was there before its cluster: what its nodes may reach beside the cluster's folder, per cloud."""

from __future__ import annotations

from uuid import UUID

from console.clouds.azure.access import policy as azure_policy
from console.clouds.google.access import condition
from console.clouds.s3api.nodes import policy
from console.clouds.specs import AccessSpec, AccountRef

ACCOUNT = AccountRef(UUID(int=1), "123456789012", "aws", {}, {})


def spec(kept, **more):
    return AccessSpec(UUID(int=2), "orders", ACCOUNT, "c-abcdefghijkl", ("one", "two"), kept=kept, **more)


def test_s3_reaches_the_path_in_its_bucket_alone():
    found = policy(spec({"one": "backups/prod"}))["Statement"]
    resources = [one["Resource"] for one in found]
    assert resources == [
        "arn:aws:s3:::one",
        "arn:aws:s3:::one/c-abcdefghijkl/*",
        "arn:aws:s3:::one",
        "arn:aws:s3:::one/backups/prod/*",
        "arn:aws:s3:::two",
        "arn:aws:s3:::two/c-abcdefghijkl/*",
    ]
    assert found[2]["Condition"] == {"StringLike": {"s3:prefix": ["backups/prod", "backups/prod/*"]}}


def test_s3_reaches_all_of_a_bucket_for_its_root():
    listing, objects, *_ = policy(spec({"one": ""}))["Statement"]
    assert (listing["Resource"], "Condition" in listing, objects["Resource"]) == (
        "arn:aws:s3:::one",
        False,
        "arn:aws:s3:::one/*",
    )


def test_google_reaches_the_path():
    expression = condition(spec({"one": "backups/prod"}), "one")["expression"]
    assert '/objects/backups/prod/")' in expression
    assert '"").startsWith("backups/prod/")' in expression
    assert "backups" not in condition(spec({"one": "backups/prod"}), "two")["expression"]


def test_nothing_changes_without_one():
    assert spec({}).folders("one") == ("c-abcdefghijkl",)


def test_azure_reaches_the_container():
    scopes = [one["scope"] for one in azure_policy(spec({"one": "backups/prod"}))["roleAssignments"]]
    assert [one.rpartition("/containers/")[2] for one in scopes] == ["c-abcdefghijkl", "backups", "c-abcdefghijkl"]
