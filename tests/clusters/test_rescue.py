"""Recovering deleted backups: the page, the identity that reads their versions, and the files that hold its key."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from django.utils import timezone

from clusters.models import Cluster, Database, Inventory, KnownStanza, Node, RecoveryIdentity, Repository
from clusters.recovery import identities
from clusters.recovery.rescue import places
from console.audit.models import AuditEvent
from console.cloud_accounts.actions import users_of
from console.clouds.aws import session as aws_session
from console.operations import snapshots
from stores.models import Store
from tests import factories
from tests.node_machine import Machine
from tests.responses import HTMX, text_of
from tests.stores.conftest import due


@pytest.fixture
def repository(make, account):
    """A protected store, attached to a cluster with one node and one database."""
    store = factories.store(account, name="archive", versions_days=30)
    cluster = make([store], regions=["eu-west-1"])
    Database.objects.create(cluster=cluster, name="main", version="15", data_directory="/var/lib/postgresql/15/main")
    return Repository.objects.get(cluster=cluster)


def at(repository, rest="", **given):
    query = "&".join(f"{name}={quote(str(value))}" for name, value in given.items())
    return f"/clusters/repositories/{repository.pk}/recover-deleted/{rest}" + (f"?{query}" if query else "")


def ago(**how):
    return timezone.now() - timedelta(**how)


def asked(when=None, **more):
    return {"stanza": "n1/main", "at": f"{when or ago(hours=3):%Y-%m-%dT%H:%M:%S}", "zone": "UTC", **more}


def read(identity):
    snapshots.read(RecoveryIdentity.LABEL, identity.pk)
    return RecoveryIdentity.objects.filter(pk=identity.pk).first()


def made(client, repository, **data):
    """Ask for an identity as a person does, and make it as a worker does."""
    answer = client.post(at(repository, "identity/"), {"hours": "4", **data}, headers=HTMX)
    assert answer.status_code == 204, text_of(answer)
    return read(RecoveryIdentity.objects.get(repository=repository))


# The page


def test_page_asks_for_the_time_and_suggests_the_last_look_at_which_all_was_there(as_alice, repository):
    page = as_alice.get(at(repository))
    assert page.status_code == 200
    assert "keeps what was deleted or overwritten for 30 days" in text_of(page)
    assert "--repo-target-time" not in text_of(page)
    seen = ago(hours=5).replace(microsecond=0)
    lost = [{"backup": {}, "seen_at": seen.isoformat(), "missed_at": ago(hours=4).isoformat()}]
    KnownStanza.objects.create(repository=repository, node="n1", name="main", lost=lost, seen_at=ago(minutes=1))
    assert f'value="{seen:%Y-%m-%dT%H:%M:%S}"' in as_alice.get(at(repository)).content.decode()


def test_page_hands_out_commands_for_the_time(as_alice, repository):
    when = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    page = text_of(as_alice.get(at(repository, **asked(when))))
    read = (
        "sudo -u postgres pgbackrest --config=/etc/pgbackrest-recovery/n1-main.conf --stanza=main --repo=1 "
        f'--repo-target-time="{when:%Y-%m-%d %H:%M:%S}+00"'
    ).replace('"', "&quot;")
    assert f"{read} info" in page
    assert f"{read} verify" in page
    folder = "/var/lib/postgresql/15/main-recovered"
    assert f"{read} --archive-mode=off --tablespace-map-all={folder}-tablespaces restore" in page
    assert f"pg_ctl -D {folder} " in page
    script = as_alice.get(at(repository, "undelete", **asked(when))).content.decode()
    assert f'AT = "{when:%Y-%m-%dT%H:%M:%SZ}"' in script
    assert f'FOLDER = "{repository.prefix}/"' in script
    assert repository.passphrase not in page + script


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"at": "soon"}, "Enter a date and a time"),
        ({"at": ""}, "This field is required"),
        ({"zone": "Mars/Olympus"}, "no such time zone"),
        ({"zone": ""}, "This field is required"),
        ({"stanza": "n9/main"}, "not in the repository"),
        ({"stanza": "n1/main' --x"}, "not in the repository"),
        ({"at": "2020-01-01T00:00:00"}, "for 30 days: choose a time between"),
        ({"at": "2090-01-01T00:00:00"}, "for 30 days: choose a time between"),
        ({"at": "0001-01-01T00:00:00", "zone": "Asia/Tokyo"}, "Enter a date and a time"),
        ({"at": "2026-11-29T01:07\x00"}, "Null characters"),
    ],
)
def test_page_says_what_is_wrong_beside_the_field(as_alice, repository, given, said):
    answer = as_alice.get(at(repository, **{**asked(), **given}))
    assert (answer.status_code, said in text_of(answer)) == (422, True), text_of(answer)
    assert "--repo-target-time" not in text_of(answer)
    for rest in ("undelete", "setup.sh"):
        refused = as_alice.get(at(repository, rest, **{**asked(), **given}))
        assert (refused.status_code, refused["Location"]) == (302, at(repository))


def test_an_hour_that_comes_twice_is_asked(as_alice, repository, monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 10, 26, tzinfo=UTC))
    twice = {**asked(), "at": "2026-10-25T02:30:00", "zone": "Europe/Berlin"}
    page = text_of(as_alice.get(at(repository, **twice)))
    assert "showed 02:30 twice" in page
    assert "the first time, CEST (UTC+02:00)" in page
    for offset, utc in (("+02:00", "00:30:00+00"), ("+01:00", "01:30:00+00")):
        answer = as_alice.get(at(repository, **twice, offset=offset))
        assert (answer.status_code, f"2026-10-25 {utc}" in text_of(answer)) == (200, True)


def test_a_store_without_versions_says_so(as_alice, make, account):
    cluster = make([factories.store(account, name="plain")], regions=["eu-west-1"])
    page = text_of(as_alice.get(at(Repository.objects.get(cluster=cluster), **asked())))
    assert "This store keeps nothing that was deleted" in page
    assert "--repo-target-time" not in page


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("", "Not on n1: which pgBackRest it has is not known"),
        ("2.45", "Not on n1: it has pgBackRest 2.45, and before 2.54 the option is refused"),
        ("2.54.1", "n1 itself can do it: it has pgBackRest 2.54.1"),
        ("2.59.1", "Before 2.60, pgBackRest ends with error 029"),
        ("2.60.0", "n1 itself can do it: it has pgBackRest 2.60.0, and 2.54 is enough."),
    ],
)
def test_page_says_on_which_machine(as_alice, repository, version, said):
    Node.objects.update(applied_version=version)
    page = text_of(as_alice.get(at(repository, **asked())))
    assert said in page
    assert ("error 029" in page) == (version != "2.60.0")


def test_names_that_somebody_put_into_the_store_reach_no_command(repository):
    """Folders there are named by whoever has the node's key."""
    evil = ["main; rm -rf /", "$(id)", "a b", "-x", "../x", "main\nnext", "Main"]
    content = [{"node": "n1", "stanza": name} for name in evil] + [{"node": name, "stanza": "main"} for name in evil]
    Inventory.objects.create(repository=repository, content=[*content, {"node": "n7", "stanza": "old"}])
    assert {one.key for one in places(repository)} == {"n1/main", "n7/old"}


def test_others_see_nothing(client, as_alice, repository, bob, charlie):
    for person, status in ((charlie, 404), (bob, 200)):
        client.force_login(person)
        assert client.get(at(repository, **asked())).status_code == status
        for rest in ("identity/", "setup.sh"):
            assert client.get(at(repository, rest, **asked())).status_code in {404, 403}
        assert client.post(at(repository, "identity/"), {"hours": "4"}).status_code in {404, 403}
        assert client.post(at(repository, "identity/end/")).status_code in {404, 403}
    assert not RecoveryIdentity.objects.exists()


def test_a_retained_repository_is_rescued_too(as_alice, repository):
    """The cluster is deleted: what its stanzas were is remembered, and its passphrase opens what comes back."""
    KnownStanza.objects.create(
        repository=repository, node="n1", name="main", postgresql="16", data_directory="/srv/main", seen_at=ago(hours=1)
    )
    cluster, store = repository.cluster, repository.store
    cluster.attachments.all().delete()
    cluster.delete()
    Repository.objects.filter(pk=repository.pk).update(detached_at=ago(minutes=5))
    assert at(repository) in as_alice.get("/clusters/retained/").content.decode()
    page = text_of(as_alice.get(at(repository, **asked())))
    assert "/usr/lib/postgresql/16/bin/pg_ctl -D /srv/main-recovered" in page
    assert "Repair the nodes" not in page
    assert store.name in page


# The identity


def test_identity_only_reads_one_folder_of_one_bucket_and_ends(as_alice, amazon, repository):
    identity = made(as_alice, repository)
    assert identity.is_ready
    iam, name = aws_session.iam_client(identity.cloud_account.credentials()), f"pgbk-{identity.spec().label}"
    bucket, until = repository.store.bucket, identity.spec().ends
    assert re.fullmatch(rf"pgbk-{repository.prefix}-r[0-9a-f]{{8}}", name)
    before = {"DateLessThan": {"aws:CurrentTime": until}}
    assert iam.get_role_policy(RoleName=name, PolicyName="backup-stores")["PolicyDocument"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": f"arn:aws:s3:::{bucket}",
            "Condition": {"StringLike": {"s3:prefix": [repository.prefix, f"{repository.prefix}/*"]}, **before},
        },
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:GetObjectVersion"],
            "Resource": f"arn:aws:s3:::{bucket}/{repository.prefix}/*",
            "Condition": before,
        },
    ]
    assert iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"][0]["RoleName"] == name
    page = text_of(as_alice.get(at(repository, **asked())))
    assert "Ready" in page
    assert f"instance-profile/pgbk/{name}" in page


def test_identity_is_removed_by_a_worker_at_its_end(as_alice, amazon, repository):
    identity = made(as_alice, repository)
    assert due(RecoveryIdentity.LABEL) == []
    assert identities.every(identity) > timedelta(hours=3, minutes=59)
    RecoveryIdentity.objects.update(until=ago(seconds=1), due_at=ago(seconds=1))
    assert due(RecoveryIdentity.LABEL) == [identity.pk]
    iam, name = aws_session.iam_client(identity.cloud_account.credentials()), f"pgbk-{identity.spec().label}"
    assert "A worker removes it" in text_of(as_alice.get(at(repository, **asked())))
    assert as_alice.get(at(repository, "setup.sh", **asked())).status_code == 302
    assert read(identity) is None
    assert name not in json.dumps(iam.list_roles()["Roles"], default=str)
    assert name not in json.dumps(iam.list_instance_profiles()["InstanceProfiles"], default=str)
    told = AuditEvent.objects.filter(action__contains="recovery identity").order_by("created_at")
    assert [(one.action, bool(one.actor_id)) for one in told] == [
        ("Asked for a recovery identity", True),
        ("Removed a recovery identity", False),
    ]


def test_identity_is_ended_at_once(as_alice, amazon, repository):
    identity = made(as_alice, repository)
    assert as_alice.post(at(repository, "identity/end/"), headers=HTMX).status_code == 204
    assert due(RecoveryIdentity.LABEL) == [identity.pk]
    assert read(identity) is None


def test_identity_is_removed_although_repository_store_and_cluster_are_gone(as_alice, amazon, repository):
    identity = made(as_alice, repository)
    cluster, store = repository.cluster, repository.store
    account = identity.cloud_account
    cluster.attachments.all().delete()
    KnownStanza.objects.all().delete()
    repository.delete()
    Cluster.objects.filter(pk=cluster.pk).delete()
    Store.objects.filter(pk=store.pk).delete()
    RecoveryIdentity.objects.update(until=ago(seconds=1), due_at=ago(seconds=1))
    assert due(RecoveryIdentity.LABEL) == [identity.pk]
    name = f"pgbk-{identity.spec().label}"
    assert read(identity) is None
    assert name not in json.dumps(aws_session.iam_client(account.credentials()).list_roles()["Roles"], default=str)


def test_a_removal_that_fails_is_tried_until_it_is_gone(as_alice, amazon, repository):
    identity = made(as_alice, repository)
    RecoveryIdentity.objects.update(until=ago(seconds=1), due_at=ago(seconds=1))
    amazon.inject("DeleteRole", code="AccessDenied", status=403)
    left = read(identity)
    assert left.error
    assert timedelta() < left.due_at - timezone.now() <= timedelta(minutes=15)
    assert "AWS refused iam:DeleteRole" in text_of(as_alice.get(at(repository, **asked())))
    RecoveryIdentity.objects.update(due_at=ago(seconds=1))
    assert read(left) is None


def test_a_worker_that_dies_leaves_the_work_to_the_next(as_alice, amazon, repository):
    identity = made(as_alice, repository)
    RecoveryIdentity.objects.update(
        until=ago(seconds=1), due_at=ago(seconds=1), held_until=timezone.now() + timedelta(minutes=2)
    )
    assert due(RecoveryIdentity.LABEL) == []
    RecoveryIdentity.objects.update(held_until=ago(seconds=1))
    assert read(identity) is None


def test_there_is_one_at_a_time(as_alice, amazon, repository):
    made(as_alice, repository)
    answer = as_alice.post(at(repository, "identity/"), {"hours": "4"}, headers=HTMX)
    assert (answer.status_code, "There is one already" in text_of(answer)) == (422, True)
    for wrong in ("", "0", "2", "9999", "x"):
        assert as_alice.post(at(repository, "identity/"), {"hours": wrong}, headers=HTMX).status_code == 422
    assert RecoveryIdentity.objects.count() == 1


def test_an_account_is_not_unlinked_while_one_is_there(as_alice, amazon, repository):
    identity = made(as_alice, repository)
    assert f"recovery identity {identity}" in [one.name for one in users_of(identity.cloud_account)]


def test_the_page_asks_for_the_password_before_it_makes_one(client, alice, repository):
    client.force_login(alice)
    session = client.session
    session["confirmed_at"] = 0
    session.save()
    answer = client.post(at(repository, "identity/"), {"hours": "4"})
    assert (answer.status_code, RecoveryIdentity.objects.count()) == (302, 0)
    answer = client.get(at(repository, "setup.sh", **asked()))
    assert "/confirm" in answer["Location"]


# On a server that makes keys, and on one that makes none


@pytest.fixture
def cellar(make, acme, monkeypatch):
    """A function that makes a protected store on a server, attached to a cluster; nothing answers there."""

    def attached(**settings):
        account = factories.server(acme, **settings)
        store = factories.store(account, name="cellar-store", region="us-east-1", versions_days=30)
        cluster = make([store], name="orders", regions=["us-east-1"], account=account, run=False)
        cluster.attachments.update(state="attached")
        database = {"name": "main", "version": "15", "data_directory": "/var/lib/postgresql/15/main"}
        Database.objects.create(cluster=cluster, **database)
        return Repository.objects.get(cluster=cluster)

    return attached


def test_a_key_that_was_made_by_hand_is_kept_until_its_end(as_alice, cellar, tmp_path):
    repository = cellar(has="bucket_policy versioning version_expiry")
    dialog = text_of(as_alice.get(at(repository, "identity/")))
    assert "s3:ListBucketVersions" in dialog
    assert as_alice.post(at(repository, "identity/"), {"hours": "4"}, headers=HTMX).status_code == 422
    key = {"access_key_id": "HANDMADE", "secret_access_key": "of-a-reader"}
    identity = made(as_alice, repository, **key)
    assert identity.keys == key
    script = as_alice.get(at(repository, "setup.sh", **asked()))
    assert "repo1-s3-key-secret=of-a-reader\n" in script.content.decode()
    assert f"repo1-cipher-pass={repository.passphrase}\n" in script.content.decode()
    assert AuditEvent.objects.filter(action__startswith="Was shown the recovery set-up script").count() == 1
    page = text_of(as_alice.get(at(repository, **asked())))
    assert "of-a-reader" not in page
    assert repository.passphrase not in page
    RecoveryIdentity.objects.update(until=ago(seconds=1), due_at=ago(seconds=1))
    assert read(identity) is None


def test_the_set_up_script_puts_its_files_where_only_root_and_postgres_read_them(as_alice, cellar, tmp_path):
    repository = cellar(has="bucket_policy versioning", ca_certificate="-----BEGIN CERTIFICATE-----\nx\n")
    made(as_alice, repository, access_key_id="HANDMADE", secret_access_key="of-a-reader")
    script = as_alice.get(at(repository, "setup.sh", **asked())).content.decode()
    machine = Machine(tmp_path / "machine")
    ran = machine.run(script)
    assert ran.returncode == 0, ran.stderr
    seen = machine.look()
    assert seen["/etc/pgbackrest-recovery"][:4] == ("d", 0, machine.postgres.pw_gid, 0o750)
    assert seen["/etc/pgbackrest-recovery/n1-main.conf"][:4] == ("-", 0, machine.postgres.pw_gid, 0o640)
    assert not machine.place("/etc/pgbackrest").exists()  # the node's own files are left alone
    text = machine.place("/etc/pgbackrest-recovery/n1-main.conf").read_text()
    assert "retention" not in text
    assert "pg1-path=/var/lib/postgresql/15/main-recovered\n" in text
    refused = Machine(tmp_path / "other")
    refused.place("/etc/pgbackrest-recovery").symlink_to("/outside/folder")
    assert machine.run(script).returncode == 0  # again
    assert refused.run(script).returncode == 1


def test_scripts_are_what_a_shell_reads(as_alice, cellar):
    repository = cellar(has="bucket_policy versioning")
    made(as_alice, repository, access_key_id="HANDMADE", secret_access_key="of-a-reader")
    script = as_alice.get(at(repository, "setup.sh", **asked())).content
    assert subprocess.run(["sh", "-n"], input=script, check=False).returncode == 0
