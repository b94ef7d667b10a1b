"""From nothing to a restored database at Google, emulated: the product's own actions and files, real PostgreSQL and
Debian's pgBackRest, which signs in with the node's key."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from google.api_core.exceptions import Forbidden, GoogleAPICallError
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import storage
from google.oauth2.service_account import Credentials
from requests import Session

from clusters import actions as clusters
from clusters.models import Attachment, Database
from clusters.node_setup import node_setups
from console.demo.emulators.google.emulator import PROJECT
from stores import actions as stores
from tests import factories
from tests.delivery import deliver
from tests.worlds.google import Google

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="puts files below /etc as root, as an administrator of a node does"),
]


@pytest.fixture
def world(settings):
    world = Google()
    operator = world.deployment
    given = {"endpoint_url": operator.endpoint_url, "ca_file": operator.ca_file}
    settings.DEPLOYMENT_SETTINGS = {**settings.DEPLOYMENT_SETTINGS, "google": given}
    yield world
    world.close()


def work(subject):
    while (again := deliver(subject.operation_id)) is not None:
        time.sleep(again + 0.05)  # its turn to create a bucket


def done(subject):
    work(subject)
    subject.refresh_from_db()
    subject.operation.refresh_from_db()
    assert subject.operation.state == "done", (subject.operation.error, subject.operation.steps)


def session_of(world, key):
    asking = Session()
    asking.trust_env, asking.verify = False, str(world.emulator.ca_file)
    credentials = Credentials.from_service_account_info(key, scopes=["https://www.googleapis.com/auth/cloud-platform"])
    session = AuthorizedSession(credentials, auth_request=Request(asking))
    session.trust_env, session.verify = False, str(world.emulator.ca_file)
    return session


def test_from_nothing_to_a_restored_database(world, acme, alice, node, tmp_path, say):
    linked = world.account()
    account = factories.account(
        acme, provider_key="google", number=PROJECT, partition="", settings=linked.settings, secrets=linked.secrets
    )

    # A store, a cluster with one node, a database
    store, other = (stores.create(account, name=name, region="europe-west1", by=alice) for name in ("one", "two"))
    done(store)
    done(other)
    cluster = clusters.create(account, name="e2e", regions=["europe-west1"], stores=[store], by=alice)
    done(cluster)
    Database.objects.create(cluster=cluster, name="main", version="15", data_directory=str(node.data), port=node.port)
    [node_setup] = node_setups(cluster)
    assert node_setup.troubles == []

    # The files, as they are
    script = tmp_path / "n1-setup.sh"
    script.write_text(node_setup.setup("https://console.example/report/"))
    subprocess.run(["sh", script], check=True, capture_output=True)
    configuration = Path(node_setup.layout.configuration).read_text()
    assert hashlib.sha256(configuration.encode()).hexdigest() == node_setup.sha256
    [file] = node_setup.configuration.keys
    assert f"repo1-gcs-key={file.path}\n" in configuration
    assert "PRIVATE KEY" not in configuration + node_setup.masked
    assert oct(Path(file.path).stat().st_mode & 0o777) == "0o640"
    assert (Path(file.path).owner(), Path(file.path).group()) == ("root", "postgres")
    key = json.loads(Path(file.path).read_text())

    # What the page says to run
    node.start()
    create, archive, _, quiet, check, backup, _ = [one.text for one in node_setup.commands]
    [restore] = [one.text for one in node_setup.drills]
    node.shell(create)
    node.shell(archive)
    node.stop()
    node.start()
    node.shell(quiet)
    node.shell(check)
    node.shell(backup)
    node.sql("CREATE TABLE receipts AS SELECT n AS number FROM generate_series(1, 200000) AS n")
    noise = "SELECT md5(random()::text) AS text FROM generate_series(1, 400000)"  # too much for one part, compressed
    node.sql(f"CREATE TABLE noise AS {noise}")
    incremental = re.search(r"postgres (.*/backup\.sh main incr)$", node_setup.crontab.content, re.MULTILINE)[1]
    node.shell(incremental)
    restored = Path(f"{node.data}-drill")
    node.shell(restore)
    node.start(restored, "-p", str(node.port + 1), "-c", "archive_mode=off")
    assert node.sql("SELECT count(*) FROM receipts", node.port + 1) == "200000"
    node.stop(restored)
    told = json.loads(node.pgbackrest("info", "--output=json").stdout)[0]
    assert [one["type"] for one in told["backup"]] == ["full", "incr"]
    objects = world.emulator.storage.buckets[store.bucket].objects
    assert {name.split("/")[0] for name in objects} == {cluster.prefix}
    resumable = [call for call in world.emulator.calls if call.operation == "objects.insert" and not call.email]
    assert resumable  # both ways of uploading were used
    say(f"Google, emulated: {len(objects)} objects, {len(world.emulator.calls)} calls")

    refuse_all_that_is_not_the_nodes(world, key, store, other, cluster)

    # Another key: another file, another configuration, and the old one is no good any more
    before = node_setup.sha256
    cluster.keys = {}
    cluster.save(update_fields=["keys"])
    clusters.repair(cluster, by=alice)
    done(cluster)
    [again] = node_setups(cluster)
    assert again.sha256 != before
    with pytest.raises(RefreshError):
        session_of(world, key).get(f"{world.emulator.url}/storage/v1/b/{store.bucket}/o")

    # Detached, the node is shut out; emptied, the store goes
    script.write_text(again.setup("https://console.example/report/"))
    subprocess.run(["sh", script], check=True, capture_output=True)
    node.shell(check)
    clusters.update_stores(cluster, stores=[], by=alice)
    done(cluster)
    assert not cluster.attachments.filter(state=Attachment.State.ATTACHED)
    assert node.run("pgbackrest", "--stanza=main", "check", check=False, timeout=200).returncode
    stores.delete(store, by=alice)
    deliver(store.operation_id)
    store.operation.refresh_from_db()
    assert "still holds" in store.operation.error
    world.wipe(store.spec())
    stores.delete(store, by=alice)
    deliver(store.operation_id)
    assert not type(store).objects.filter(pk=store.pk).exists()


def refuse_all_that_is_not_the_nodes(world, key, store, other, cluster):
    """Try the node's own key on its own folder, and on all that is not the node's, by Google's own client."""
    session = session_of(world, key)
    client = storage.Client(
        project=PROJECT,
        credentials=session.credentials,
        _http=session,
        client_options={"api_endpoint": world.emulator.url},
    )
    mine, theirs = client.bucket(store.bucket), client.bucket(other.bucket)
    mine.blob(f"{cluster.prefix}/n1/probe").upload_from_string(b"1")
    mine.blob(f"{cluster.prefix}/n1/probe").delete()
    assert [one.name for one in client.list_blobs(store.bucket, prefix=f"{cluster.prefix}/", max_results=1)]
    world.put(store.spec(), "c-another/n1/secret", b"theirs")
    log = client.bucket(store.log_bucket)
    policy = {"version": 3, "bindings": []}
    iam = f"{world.emulator.url}/v1/projects/{PROJECT}/serviceAccounts"
    for name, attempt in {
        "write elsewhere": lambda: mine.blob("c-another/n1/x").upload_from_string(b""),
        "write beside": lambda: mine.blob(f"{cluster.prefix}x/n1").upload_from_string(b""),
        "write at the top": lambda: mine.blob(cluster.prefix).upload_from_string(b""),
        "read elsewhere": lambda: mine.blob("c-another/n1/secret").download_as_bytes(),
        "delete elsewhere": lambda: mine.blob("c-another/n1/secret").delete(),
        "list elsewhere": lambda: list(client.list_blobs(store.bucket, prefix="c-another/")),
        "list beside": lambda: list(client.list_blobs(store.bucket, prefix=cluster.prefix)),
        "list all": lambda: list(client.list_blobs(store.bucket)),
        "write another store": lambda: theirs.blob(f"{cluster.prefix}/n1/x").upload_from_string(b""),
        "list another store": lambda: list(client.list_blobs(other.bucket, prefix=f"{cluster.prefix}/")),
        "write the log": lambda: log.blob(f"{cluster.prefix}/n1/x").upload_from_string(b""),
        "read the settings": mine.reload,
        "change the settings": lambda: setattr(mine, "labels", {"a": "b"}) or mine.patch(),
        "read the policy": lambda: mine.get_iam_policy(requested_policy_version=3),
        "delete the bucket": theirs.delete,
        "make a bucket": lambda: client.create_bucket("pgbk-of-a-node", location="EU"),
        "list buckets": lambda: list(client.list_buckets()),
    }.items():
        with pytest.raises(GoogleAPICallError) as refused:
            attempt()
        assert isinstance(refused.value, Forbidden), (name, refused.value)
    for method, url, body in (
        ("PUT", f"{world.emulator.url}/storage/v1/b/{store.bucket}/iam", policy),
        ("POST", iam, {"accountId": "of-a-node"}),
        ("GET", f"{iam}/{key['client_email']}", None),
        ("GET", f"{iam}/{key['client_email']}/keys", None),
        ("POST", f"{iam}/{key['client_email']}/keys", {}),
        ("POST", f"{iam}/{world.key_file['client_email']}/keys", {}),
        ("DELETE", f"{iam}/{key['client_email']}", None),
        ("GET", f"{world.emulator.url}/v1/projects/{PROJECT}", None),
    ):
        assert session.request(method, url, json=body).status_code == 403, (method, url)
    found = world.emulator.storage.buckets[store.bucket].live("c-another/n1/secret")
    assert found.data == b"theirs"
    world.emulator.storage.buckets[store.bucket].objects.pop("c-another/n1/secret")
