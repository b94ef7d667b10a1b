"""Buckets and repositories that the console did not make: its policies name exactly those, on AWS and on S3 servers."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.clouds.aws import session as aws_session
from console.clouds.aws.boundary import boundary
from console.clouds.aws.existing import lists_need, needs
from console.clouds.s3 import documents as s3_documents
from console.clouds.specs import Place, StoreSpec
from console.clouds.steps import Denied
from console.demo.emulators.aws.permissions import Asked, judge
from tests.clouds.aws_accounts import drop_boundary, make_boundary
from tests.clouds.policies.roles import ACCOUNT, AWS, NUMBER, ROLE, admin, document, give

OWN = f"pgbk-abcdefghijkl-{NUMBER}-eu-west-1-an"
PLACES = (Place("archive", True, ("pg",)), Place(OWN, False, ("old/repo",)))
WITH = replace(ACCOUNT, places=PLACES)
HERE = {"aws:ResourceAccount": NUMBER}
CASES = [  # action, resource, allowed
    ("s3:PutBucketPolicy", "archive", True),
    ("s3:ListBucket", "archive", True),
    ("s3:PutBucketTagging", "archive", True),
    ("s3:DeleteBucket", "archive", False),
    ("s3:PutBucketPolicy", "archive2", False),
    ("s3:ListBucket", "other", False),
    ("s3:GetObject", "archive/pg/backup/main/backup.info", True),
    ("s3:GetObject", "archive/pg/backup/main/backup.info.copy", True),
    ("s3:GetObject", "archive/pg/archive/main/archive.info", True),
    ("s3:GetObject", "archive/c-k3v9x2m7q4ta/n1/backup/main/backup.info", True),
    ("s3:GetObject", "archive/other/backup/main/backup.info", False),
    ("s3:GetObject", "archive/pg/backup/main/20261101-000000F/backup.manifest", False),
    ("s3:GetObject", "archive/pg/archive/main/17-1/0000000100000000/000000010000000000000009.zst", False),
    ("s3:GetObject", f"{OWN}/old/repo/backup/main/backup.info", True),
    ("s3:GetObject", f"{OWN}/old/backup/main/backup.info", False),
    ("s3:PutObject", "archive/pg/backup/main/backup.info", False),
    ("s3:DeleteObject", "archive/pg/backup/main/backup.info", False),
]


def policy(places=PLACES, **more):
    return aws_session.statements(NUMBER, principal=f"role/{ROLE}", places=places, **more)


@pytest.mark.parametrize(("action", "resource", "expected"), CASES)
def test_the_policy_opens_these_places_and_no_other(action, resource, expected):
    asked = Asked(action, f"arn:aws:s3:::{resource}")
    assert (judge(policy()["Statement"], asked, HERE) == "allowed") is expected
    assert judge(policy(())["Statement"], asked, HERE) != "allowed"
    assert judge(policy()["Statement"], asked, {"aws:ResourceAccount": "999999999999"}) != "allowed"


@pytest.mark.parametrize("action", ["s3:PutObject", "s3:DeleteObject", "s3:PutObjectAcl", "s3:GetObject"])
def test_no_policy_of_such_a_bucket_gives_the_console_what_is_denied_it(action):
    """It may write that policy itself, so what it is never to do has to be denied, and not only not allowed."""
    asked = Asked(action, "arn:aws:s3:::archive/pg/archive/main/x")
    assert judge(policy()["Statement"], asked, HERE) == "explicitDeny"


@pytest.mark.parametrize("files_of", [{}, {"access_key_id": "AKIA"}], ids=["role", "key"])
def test_every_file_names_them(files_of):
    account = replace(WITH, settings=files_of or WITH.settings)
    files = {one.filename: one for one in AWS.linking.documents(account)}
    for name, one in files.items():
        if name != "trust.json":
            assert "arn:aws:s3:::archive" in one.text, name
    sids = {one["Sid"] for one in json.loads(files["permissions.json"].text)["Statement"]}
    assert {"UseExistingBuckets", "ReadListsBroughtIn"} <= sids
    assert json.loads(files["boundary.json"].text) == boundary(NUMBER, places=PLACES)
    assert not any("archive" in one.text for one in AWS.linking.documents(replace(account, places=())))


def test_a_policy_that_a_user_cannot_have_is_said_to_be_too_long():
    many = tuple(Place(f"archive-{number}", True, ("a/long/path/of/its/own",)) for number in range(8))
    account = replace(ACCOUNT, settings={"access_key_id": "AKIA"}, places=many)
    assert "longer" in AWS.linking.documents(account)[0].hint
    assert "longer" not in AWS.linking.documents(replace(account, places=PLACES))[0].hint
    whole = re.sub(r"\s", "", json.dumps(policy(many)))
    assert 6144 < len(whole) <= 10_240  # which a role's own policies may have together


def outcomes(account=WITH):
    lines = AWS.linking.preflight(account, ("eu-west-1",))
    return {(one.label, one.on.rpartition(":::")[2]): one for one in lines if one.outcome != "pass"}


def test_preflight_finds_what_the_files_would_add_and_nothing_once_they_are_run_again(amazon, role):
    lines = outcomes()
    refused = {one for one in lines if one[0] == "s3:GetObject"}
    assert {on for _, on in refused} == {
        *(f"archive/{one}" for one in ("c-*/backup/*/backup.info*", "pg/backup/*/backup.info*")),
        "archive/pg/archive/*/archive.info*",
        *(f"{OWN}/old/repo/{one}" for one in ("backup/*/backup.info*", "archive/*/archive.info*")),
    }
    for one in refused:  # the console's own policy denies it, so no statement would do
        assert (lines[one].outcome, lines[one].statement, lines[one].in_files) == ("fail", "", True)
    assert {on for _, on in lines.keys() - refused} == {"archive", f"arn:aws:iam::{NUMBER}:policy/storekeeper-nodes"}
    of_nodes = lines["Permissions boundary storekeeper-nodes", f"arn:aws:iam::{NUMBER}:policy/storekeeper-nodes"]
    assert (of_nodes.in_files, "It does not name archive" in of_nodes.why) == (True, True)
    assert outcomes(ACCOUNT) == {}
    give(policy())
    drop_boundary()
    make_boundary(document=boundary(NUMBER, places=PLACES))
    try:
        assert outcomes() == {}
        assert outcomes(replace(WITH, places=(*PLACES, Place("another", True)))) != {}
    finally:
        drop_boundary()
        make_boundary()


def test_another_policy_that_denies_is_found_too(amazon, role):
    give(policy(), guard=document({"Effect": "Deny", "Action": "s3:GetObject", "Resource": "*"}))
    assert {label for label, _ in outcomes(replace(WITH, places=PLACES[1:]))} == {"s3:GetObject"}


def test_what_is_named_is_read_and_nothing_beside_it(amazon, role):
    s3 = admin("s3")
    s3.create_bucket(Bucket="archive")
    for key in ("pg/backup/main/backup.info", "other/backup/main/backup.info", "pg/backup/main/1/file"):
        s3.put_object(Bucket="archive", Key=key, Body=b"1")
    spec = StoreSpec(ACCOUNT.id, "orders", ACCOUNT, "us-east-1", "archive", "")
    objects = AWS.storage.objects(spec)
    with pytest.raises(Denied):
        objects.read("pg/backup/main/backup.info", 10)
    give(policy())
    assert objects.read("pg/backup/main/backup.info", 10).data == b"1"
    for key in ("other/backup/main/backup.info", "pg/backup/main/1/file"):
        with pytest.raises(Denied):
            objects.read(key, 10)


def test_what_the_dialogs_say_until_then_is_what_the_files_have():
    said = lists_need(ACCOUNT, "archive", "pg")
    reads = next(
        one for one in policy((Place("archive", False, ("pg",)),))["Statement"] if one["Sid"] == "ReadListsBroughtIn"
    )
    assert all(arn in said for arn in reads["Resource"])
    uses = next(one for one in policy((Place("archive", True),))["Statement"] if one["Sid"] == "UseExistingBuckets")
    shown = json.loads(needs(ACCOUNT, "archive")[0].text)
    assert {**shown, "Sid": ""} == {**uses, "Sid": ""}


NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{2,20}[a-z0-9]", fullmatch=True).filter(
    lambda one: not one.startswith("pgbk-")
)
FOLDERS = st.from_regex(r"[a-z0-9_]{1,8}(/[a-z0-9_]{1,8}){0,2}", fullmatch=True)


@given(NAMES, FOLDERS, FOLDERS)
def test_a_place_never_opens_another(bucket, path, other):
    opened = policy((Place(bucket, True, (path,)),))["Statement"]

    def is_open(name, below):
        keys = (f"{below}/backup/main/backup.info", f"{below}/archive/main/archive.info")
        return {judge(opened, Asked("s3:GetObject", f"arn:aws:s3:::{name}/{key}"), HERE) == "allowed" for key in keys}

    assert is_open(bucket, path) == {True}
    assert is_open(f"x{bucket}", path) == {False}
    below = (f"{path}/backup/", f"{path}/archive/")  # "*" stands for slashes, too
    assert other == path or other.startswith(below) or is_open(bucket, other) == {False}


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("s3:PutBucketPolicy", "archive", True),
        ("s3:DeleteBucket", "archive", False),
        ("s3:GetObject", "archive/pg/backup/main/backup.info", True),
        ("s3:GetObject", "archive/pg/backup/main/1/file", False),
        ("s3:PutObject", "archive/storekeeper-owner/x", None),  # where the server keeps no tags
        ("s3:PutObject", "archive/pg/x", False),
    ],
)
def test_the_policy_for_a_server_names_them_too(action, resource, expected):
    for marks in (False, True):
        found = judge(
            s3_documents.policy(PLACES, marks=marks)["Statement"], Asked(action, f"arn:aws:s3:::{resource}"), {}
        )
        assert (found == "allowed") is (marks if expected is None else expected)
