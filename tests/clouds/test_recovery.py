"""How deleted backups come back: the scripts that bring them, and the identity that reads their versions."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from console.clouds import CLOUDS
from console.clouds.s3api import undelete_script
from console.clouds.s3api.recovery import SCRIPT
from console.clouds.specs import AccessSpec, AccountRef, StoreSpec

AT = datetime(2026, 11, 29, 1, 7, tzinfo=UTC)
PREFIX = "c-k3v9x2m7q4ta"


def settings(cloud):
    return {
        "aws": {},
        "s3": {"endpoint": "https://s3.example.com:9000", "region": "us-east-1", "has": "iam_users access_logging"},
        "google": {"node_access": "key"},
        "azure": {"node_access": "sas", "resource_group": "backups"},
    }[cloud]


def store(cloud, days=30):
    account = AccountRef(uuid4(), "123456789012", "aws", settings(cloud), {})
    return StoreSpec(uuid4(), "orders", account, "eu-west-1", "pgbk-x", "pgbk-x-log", versions_days=days)


# What is planned, held against a bucket that is played


class Bucket:
    """A bucket that keeps versions, as S3 does: each call is at a time, in seconds."""

    def __init__(self, rng):
        self.rng, self.history, self.ids = rng, {}, 0

    def at(self, key, moment):
        """Return the content that the key has then; None when there is no such object."""
        live = [one for one in self.history.get(key, []) if one["at"] <= moment]
        return live[-1]["content"] if live else None

    def write(self, key, moment, content):
        self.ids += 1
        version = {"at": moment, "content": content, "id": f"v{self.ids}"}
        self.history.setdefault(key, []).append(version)

    def remove(self, key, version_id):
        self.history[key] = [one for one in self.history[key] if one["id"] != version_id]

    def listing(self):
        versions, markers = [], []
        for key in sorted(self.history):
            for place, one in enumerate(reversed(self.history[key])):
                row = {
                    "Key": key,
                    "VersionId": one["id"],
                    "LastModified": one["at"].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                    "IsLatest": place == 0,
                }
                if one["content"] is None:
                    markers.append(row)
                else:
                    versions.append({**row, "ETag": f'"{hash(one["content"])}"', "Size": len(one["content"])})
        return versions, markers


def undelete(bucket, moment, now):
    """Do as the script does, with calls on the bucket that is played."""
    versions, markers = bucket.listing()
    going, copied, since = undelete_script.plan(versions, markers, moment)
    contents = {one["id"]: one["content"] for several in bucket.history.values() for one in several}
    for one in going:
        bucket.remove(one["Key"], one["VersionId"])
    for one in copied:
        bucket.write(one["Key"], now, contents[one["VersionId"]])
    return going, copied, since


@pytest.mark.parametrize("seed", range(300))
def test_walk_whatever_happened_what_was_there_is_there_again(seed):
    """Of generated histories, with several changes in a second: each object is what it was; what came since stays."""
    rng = random.Random(seed)
    bucket, now, keys = Bucket(rng), AT - timedelta(seconds=20), [f"{PREFIX}/{name}" for name in "abcde"]
    while now < AT + timedelta(seconds=20):
        key = rng.choice(keys)
        # pgBackRest and a thief: they write, overwrite with the same or something else, and delete, also twice
        bucket.write(key, now, rng.choice([None, None, "one", "two", f"{bucket.ids}"]))
        now += timedelta(seconds=rng.choice([0, 1, 1, 3]))
    _forget_ties(bucket)
    wanted = {key: bucket.at(key, AT) for key in keys}
    later = {key: bucket.at(key, now) for key in keys}
    undelete(bucket, AT, now + timedelta(seconds=1))
    end = now + timedelta(seconds=2)
    assert {key: bucket.at(key, end) for key in keys} == {
        key: later[key] if content is None else content for key, content in wanted.items()
    }
    assert undelete(bucket, AT, end)[:2] == ([], [])  # again: nothing is left to do


def _forget_ties(bucket):
    """Leave out what S3 cannot tell apart: a version written in the same second as the marker before it."""
    for key, several in bucket.history.items():
        kept = []
        for one in several:
            tied = kept and kept[-1]["at"] == one["at"] and (kept[-1]["content"] is None) != (one["content"] is None)
            if not tied:
                kept.append(one)
        bucket.history[key] = kept


def test_a_marker_and_a_version_of_one_second():
    """The list says which is the newest, so the marker is not taken for newer than what came after it."""
    second = {"Key": "a", "LastModified": "2026-11-29T01:08:00Z"}
    version = {**second, "VersionId": "v", "IsLatest": True, "Size": 1, "ETag": "x"}
    marker = {**second, "VersionId": "m", "IsLatest": False}
    assert undelete_script.plan([version], [marker], AT) == ([], [], 1)  # it came since, and is there
    version["IsLatest"], marker["IsLatest"] = False, True
    assert undelete_script.plan([version], [marker], AT) == ([], [], 0)  # it came since, and is gone
    before = {**version, "LastModified": "2026-11-29T01:06:00Z"}
    assert undelete_script.plan([before], [marker], AT) == ([marker], [], 0)


# What is handed out


@pytest.mark.parametrize("key", CLOUDS)
@pytest.mark.parametrize("days", [30, 120])
def test_each_cloud_hands_out_a_script_for_one_folder_and_one_time(key, days, tmp_path):
    document = CLOUDS[key].recovery.undelete(store(key, days), PREFIX, AT)
    assert "2026-11-29T01:07:00" in document.text
    assert f"{PREFIX}/" in document.text
    assert "pgbk-x" in document.text
    path = tmp_path / document.filename
    path.write_text(document.text)
    check = [sys.executable, "-m", "py_compile"] if path.suffix == ".py" else ["sh", "-n"]
    subprocess.run([*check, path], check=True)
    assert path.name in document.command


def test_the_script_is_the_module_that_is_tested_with_its_settings_filled_in():
    account = replace(store("s3").account, settings={**settings("s3"), "ca_certificate": "-----BEGIN\n\"'\\\nx"})
    text = CLOUDS["s3"].recovery.undelete(replace(store("s3"), account=account), PREFIX, AT).text
    changed = [line for line in text.splitlines() if line not in SCRIPT.read_text().splitlines()]
    assert [line.split(":")[0].split(" =")[0] for line in changed] == [
        *("BUCKET", "FOLDER", "AT", "OPTIONS", "CA_CERTIFICATE"),
    ]
    found = {}
    exec(compile(text.replace('if __name__ == "__main__"', "if False"), "undelete", "exec"), found)
    assert found["CA_CERTIFICATE"] == account.settings["ca_certificate"]
    assert found["OPTIONS"] == ["--endpoint-url", "https://s3.example.com:9000", "--region", "eu-west-1"]
    assert found["moment"](found["AT"]) == AT


@pytest.mark.parametrize("key", CLOUDS)
def test_each_cloud_says_how_the_logs_tell_who_deleted(key):
    said = CLOUDS[key].recovery.deleters(store(key), PREFIX)
    assert "pgbk-x-log" in said
    assert PREFIX in said
    assert subprocess.run(["sh", "-n"], input=said.encode(), check=False).returncode == 0


def test_the_count_of_deleters_reads_s3_s_format(tmp_path):
    line = (
        "79a5 pgbk-x [29/Nov/2026:01:12:38 +0000] 192.0.2.3 arn:aws:sts::1:assumed-role/pgbk-c/i-0abc 3E57 "
        '{operation} {key} "DELETE /x HTTP/1.1" 204 - - 1 1 - "-" "pgbackrest" - x SigV4 x AuthHeader x TLSv1.3 - -\n'
    )
    (tmp_path / "access-logs").mkdir()
    lines = [("REST.DELETE.OBJECT", f"{PREFIX}/a"), ("BATCH.DELETE.OBJECT", f"{PREFIX}/b")]
    lines += [("REST.DELETE.OBJECT", "c-another/a"), ("REST.PUT.OBJECT", f"{PREFIX}/a")]
    (tmp_path / "access-logs/one").write_text("".join(line.format(operation=one, key=key) for one, key in lines))
    command = CLOUDS["aws"].recovery.deleters(store("aws"), PREFIX).splitlines()[1]
    ran = subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["2", "arn:aws:sts::1:assumed-role/pgbk-c/i-0abc", "192.0.2.3"]


# Who reads


def identity(key, **values):
    given = {"prefix": PREFIX, "buckets": ("pgbk-x",), "reads_until": AT, **values}
    return AccessSpec(id=uuid4(), name="orders", account=store(key).account, **given)


@pytest.mark.parametrize("key", ["aws", "s3"])
def test_an_identity_never_writes_and_stays_in_its_folder(key):
    policy = CLOUDS[key].access.policy(identity(key))
    for statement in policy["Statement"]:
        assert not [one for one in statement["Action"] if one.split(":")[1].startswith(("Put", "Delete", "Abort"))]
        assert PREFIX in json.dumps([statement["Resource"], statement.get("Condition")])
        assert ("2026-11-29T01:07:00Z" in json.dumps(statement)) == (key == "aws")


def test_googles_identity_reads_one_folder_until_its_end():
    (binding,) = CLOUDS["google"].access.policy(identity("google"))["pgbk-x"]["bindings"]
    assert binding["role"] == "roles/storage.objectViewer"
    expression = binding["condition"]["expression"]
    assert expression.endswith(' && request.time < timestamp("2026-11-29T01:07:00Z")')
    assert expression.startswith("(resource.name.startsWith(")
    from console.demo.emulators.google.iam import Condition

    name = f"projects/_/buckets/pgbk-x/objects/{PREFIX}/n1/x"
    later = expression.replace("2026-11", "2126-11")
    assert not Condition(expression).holds({"resource.name": name})
    assert Condition(later).holds({"resource.name": name})
    assert not Condition(later).holds({"resource.name": name.replace(PREFIX, "c-another")})


@pytest.mark.parametrize("key", ["aws", "s3", "google"])
def test_two_identities_and_the_nodes_have_names_of_their_own(key):
    from console.clouds.google.access import account_id
    from console.clouds.s3api.nodes import node_name

    named = account_id if key == "google" else node_name
    names = {named(one) for one in (identity(key), identity(key), identity(key, reads_until=None))}
    assert len(names) == 3
    assert all(len(one) <= 30 for one in names)
