"""Backups into an Azure store and back: real PostgreSQL, Debian's pgBackRest, a signature, Azurite over TLS."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, ContainerClient

from clusters.handover.steps import archive_command
from clusters.pgbackrest import repository
from clusters.pgbackrest.backup_info import decrypt, parse
from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, StanzaConfiguration, Target, troubles
from clusters.pgbackrest.layout import Layout
from console.clouds.azure import AZURE
from console.clouds.specs import AccessSpec, StoreSpec
from tests.clouds import plans
from tests.worlds.azure import opened

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="puts files below /etc as root, as an administrator of a node does"),
]
PASSPHRASE = "a-passphrase"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("azure"), "sas") as found:
        yield found


def run(plan, spec):
    for stage in plan:
        for step in stage:
            made = step.run(spec)
            if made and made.keep is not None:
                spec = replace(spec, keys=made.keep)
    return spec


def granted(spec, prefix):
    return run(AZURE.access.grant, AccessSpec(uuid4(), "e2e", spec.account, prefix, (spec.bucket,)))


def hand_over(node, spec, access, place=""):
    """Put the node's files into their places, as the set-up script does."""
    target = Target(
        1,
        "e2e",
        f"/{place or f'{access.prefix}/n1'}",
        AZURE.access.repository(spec, access),
        PASSPHRASE,
        "count",
        2,
        None,
        Layout().folder,
    )
    stanza = StanzaConfiguration("main", 15, str(node.data), node.port)
    configuration = Configuration("e2e", "n1", BY_NUMBER["2.45"], [target], [stanza])
    assert troubles(configuration, "2.45") == []
    layout = configuration.layout
    for folder in (layout.folder, layout.logs, layout.spool):
        Path(folder).mkdir(parents=True)
        os.chown(folder, 0 if folder == layout.folder else node.owner.pw_uid, node.owner.pw_gid)
    file = Path(layout.configuration)
    file.write_text(configuration.render(secrets=True))
    Path(target.ca_file).write_text(target.repository.ca_certificate)
    os.chown(file, 0, node.owner.pw_gid)
    file.chmod(0o640)
    return configuration


def test_backups_into_an_azure_store_and_back(world, node):
    account, store_id = world.account(), uuid4()
    spec = StoreSpec(
        store_id, "e2e", account, "westeurope", *AZURE.storage.names(store_id, "westeurope", account.number)
    )
    run(plans.creation(AZURE), spec)
    other = granted(spec, "c-others7other7")
    access = granted(spec, "c-k3v9x2m7q4ta")
    world.put(spec, f"{other.prefix}/n1/secret", b"theirs")
    configuration = hand_over(node, spec, access)
    assert access.keys[spec.bucket] not in configuration.render(secrets=False)
    node.start()
    node.sql("ALTER SYSTEM SET archive_mode = on")
    node.sql(f"ALTER SYSTEM SET archive_command = '{archive_command(configuration, 'main')}'")
    node.stop()
    node.start()
    stanza = ("pgbackrest", f"--config={configuration.layout.configuration}", "--stanza=main")
    node.run(*stanza, "stanza-create")
    node.run(*stanza, "check")
    node.run(*stanza, "--type=full", "backup")
    node.sql("CREATE TABLE receipts AS SELECT n AS number FROM generate_series(1, 200000) AS n")
    node.run(*stanza, "--type=incr", "backup")
    restored = Path(f"{node.data}-restored")
    node.run(*stanza, f"--pg1-path={restored}", "restore")
    node.start(restored, "-p", str(node.port + 1), "-c", "archive_mode=off")
    assert node.sql("SELECT count(*) FROM receipts", node.port + 1) == "200000"
    node.stop(restored)
    node.run(*stanza, "--repo=1", "--repo1-retention-full=1", "expire")

    # What the console sees of it
    told = json.loads(node.run(*stanza, "info", "--output=json").stdout)[0]
    [holding] = repository.look(AZURE.storage.objects(spec), access.prefix, PASSPHRASE)
    assert (holding.node, holding.stanza, holding.status) == ("n1", "main", "read")
    assert [one.label for one in holding.backups] == [one["label"] for one in told["backup"]]
    assert [one.kind for one in holding.backups] == ["full", "incr"]
    assert holding.last_wal == told["archive"][0]["max"]

    refuse_all_that_is_not_the_node_s(world, spec, access, other)
    # A renewed signature is in the file at once; the old one is good as long as the node has it.
    policies = world.emulator.state["containers"][f"{spec.bucket}/{access.prefix}"]["policies"]
    [policy] = policies.values()
    policy["Expiry"] = re.sub(r"^\d+", "2026", policy["Expiry"])
    renewed = run(AZURE.access.grant, access)
    assert renewed.keys[spec.bucket] != access.keys[spec.bucket]

    # Detached, the signature is void
    run(AZURE.access.revoke, replace(renewed, buckets=()))
    failed = node.run(*stanza, "--io-timeout=3", "--protocol-timeout=10", "check", check=False, timeout=200)
    assert failed.returncode
    assert "AuthenticationFailed" in failed.stdout + failed.stderr


BY_HAND = """[global]
repo1-type=azure
repo1-path=/{path}
repo1-azure-account={account}
repo1-azure-container=backups
repo1-azure-key={key}
repo1-azure-key-type=shared
repo1-azure-endpoint={host}
repo1-azure-uri-style=path
repo1-storage-port={port}
repo1-storage-ca-file={ca}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={passphrase}
repo1-retention-full=2
log-path={folder}
lock-path={folder}/lock
[main]
pg1-path={node.data}
pg1-port={node.port}
"""


# A folder of it goes on like one in a bucket (test_bring_in.py), where nothing is like the top of a container.
# Like the test above, for what stands in the file, and like test_bring_in.py, for what is done with it.
@pytest.mark.thorough
@pytest.mark.parametrize("path", ["prod", ""], ids=["path", "root"])
def test_a_repository_made_by_hand_goes_on_in_its_container(world, node, path):
    account, store_id = world.account(), uuid4()
    spec = StoreSpec(
        store_id, "e2e", account, "westeurope", *AZURE.storage.names(store_id, "westeurope", account.number)
    )
    run(plans.creation(AZURE), spec)
    world.emulator.blobs.make(f"{spec.bucket}/backups")
    place, where = f"backups/{path}".rstrip("/"), urlsplit(world.emulator.url)
    ca = node.folder / "ca.pem"
    ca.write_text(Path(world.emulator.ca_file).read_text())
    ca.chmod(0o644)
    former = node.folder / "former.conf"
    former.write_text(
        BY_HAND.format(
            path=path,
            account=spec.bucket,
            key=world.emulator.state["accounts"][spec.bucket]["keys"][0],
            host=where.hostname,
            port=where.port,
            ca=ca,
            passphrase=PASSPHRASE,
            folder=node.folder,
            node=node,
        )
    )
    former.chmod(0o644)
    node.start()
    by_hand = ("pgbackrest", f"--config={former}", "--stanza=main")
    node.run(*by_hand, "stanza-create")
    node.sql("ALTER SYSTEM SET archive_mode = on")
    node.sql(f"ALTER SYSTEM SET archive_command = '{' '.join(by_hand)} archive-push %p'")
    node.stop()
    node.start()
    node.run(*by_hand, "--type=full", "backup")
    objects, base = AZURE.storage.objects(spec), f"{place}/backup/main/backup.info"
    first = parse(decrypt(objects.read(base, 1 << 20).data, PASSPHRASE))["backups"]

    access = AccessSpec(uuid4(), "e2e", account, "c-k3v9x2m7q4tb", (spec.bucket,), kept={spec.bucket: place})
    configuration = hand_over(node, spec, run(AZURE.access.grant, access), place)
    lines = configuration.render(secrets=True).splitlines()
    assert {"repo1-azure-container=backups", f"repo1-path=/{path}"} <= {*lines}
    node.sql(f"ALTER SYSTEM SET archive_command = '{archive_command(configuration, 'main')}'")
    node.sql("SELECT pg_reload_conf()")
    stanza = ("pgbackrest", f"--config={configuration.layout.configuration}", "--stanza=main")
    node.run(*stanza, "check")
    node.run(*stanza, "--type=incr", "backup")
    found = parse(decrypt(objects.read(base, 1 << 20).data, PASSPHRASE))["backups"]
    assert len(found) == len(first) + 1
    assert node.run(*by_hand, "check").returncode == 0  # the former file still opens it
    # The console sees what it wrote, by the keys that begin with the container.
    assert any(one.key.startswith(f"{place}/archive/main/") for one in objects.entries(f"{place}/"))


def refuse_all_that_is_not_the_node_s(world, spec, access, other):
    """Try the node's own signature on its container, and on all that is not the node's."""
    options = {"connection_verify": str(world.emulator.ca_file), "retry_total": 0}
    signature, url = access.keys[spec.bucket], f"{world.emulator.url}/{spec.bucket}"
    own = ContainerClient(url, access.prefix, credential=signature, **options)
    own.upload_blob(f"{access.prefix}/n1/probe", b"")
    own.delete_blob(f"{access.prefix}/n1/probe")
    theirs = ContainerClient(url, other.prefix, credential=signature, **options)
    service = BlobServiceClient(url, credential=signature, **options)
    logs = ContainerClient(f"{world.emulator.url}/{spec.log_bucket}", access.prefix, credential=signature, **options)
    for attempt in (
        lambda: theirs.upload_blob(f"{other.prefix}/n1/x", b""),
        lambda: theirs.download_blob(f"{other.prefix}/n1/secret"),
        lambda: theirs.delete_blob(f"{other.prefix}/n1/secret"),
        lambda: list(theirs.list_blobs()),
        theirs.delete_container,
        own.delete_container,
        own.get_container_access_policy,
        lambda: own.set_container_access_policy({}),
        lambda: list(service.list_containers()),
        lambda: service.create_container("another"),
        lambda: list(logs.list_blobs()),
    ):
        with pytest.raises(HttpResponseError) as raised:
            attempt()
        assert raised.value.status_code in {401, 403}
