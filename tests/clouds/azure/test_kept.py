"""A repository that was there before its cluster, in a container of somebody: how it is read, and who gets in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient

from clusters.pgbackrest.configuration import Target
from console.clouds.azure import AZURE
from console.clouds.azure.places import blob_of, key_of
from console.clouds.steps import Failed
from tests.clouds import plans
from tests.clouds.azure.specs import make_spec, node_client, run
from tests.worlds.azure import opened

pytestmark = pytest.mark.slow  # Azurite is a process
OWN = "c-k3v9x2m7q4ta"


@pytest.mark.parametrize(
    ("key", "blob"),
    [("backups/prod/archive/x", "prod/archive/x"), ("backups", ""), (f"{OWN}/n1/x", f"{OWN}/n1/x"), (OWN, OWN)],
)
def test_what_a_key_stands_for(key, blob):
    assert blob_of(key) == blob
    assert key_of(key.partition("/")[0], blob) in {key, f"{key}/"}


def test_what_is_in_a_container_of_somebody_s_is_read_by_its_name_there(worlds):
    spec = make_spec(worlds)
    run(plans.creation(AZURE), spec)
    worlds.put(spec, "backups/prod/backup/main/backup.info", b"info")
    objects = AZURE.storage.objects(spec)
    assert objects.folders("") == ["backups"]
    assert objects.folders("backups/") == ["prod"]
    assert objects.folders("backups/prod/") == ["backup"]
    assert objects.read("backups/prod/backup/main/backup.info", 99).data == b"info"
    assert objects.read("backups/backups/prod/backup/main/backup.info", 99).data is None
    assert [one.key for one in objects.entries("backups/prod/")] == ["backups/prod/backup/main/backup.info"]
    worlds.take(spec, "backups/prod/backup/main/backup.info")
    assert [one.key for one in objects.entries("backups/")] == []


def refused(call):
    with pytest.raises(HttpResponseError) as raised:
        call()
    return raised.value.status_code in {401, 403, 404}


def client_of(world, spec, access):
    """Return a client as pgBackRest is configured with the options of the repository."""
    options = dict(AZURE.access.repository(spec, access).options)
    if "azure-key" not in options:
        return node_client(world, spec, access, options["azure-container"])
    return ContainerClient(
        f"{world.emulator.url}/{options['azure-account']}",
        options["azure-container"],
        credential=options["azure-key"],
        connection_verify=str(world.emulator.ca_file),
        retry_total=0,
    )


def test_grant_opens_the_container_that_was_there_and_no_other(worlds):
    spec = make_spec(worlds)
    run(plans.creation(AZURE), spec)
    worlds.put(spec, "backups/prod/x", b"theirs")
    worlds.put(spec, "private/x", b"of others")
    asked = replace(worlds.access(spec), kept={spec.bucket: "backups/prod"})
    access = run(AZURE.access.grant, asked)
    assert run(AZURE.access.grant, access) == access
    node = client_of(worlds, spec, access)
    assert node.container_name == "backups"
    assert node.download_blob("prod/x").readall() == b"theirs"
    node.upload_blob("prod/y", b"more")
    assert AZURE.storage.objects(spec).read("backups/prod/y", 99).data == b"more"
    own = node_client(worlds, spec, access)
    own.upload_blob(f"{access.prefix}/n1/x", b"mine")
    assert refused(lambda: list(node_client(worlds, spec, access, container="private").list_blobs()))
    # It is taken back, whoever looks after that, and what is there stays.
    after = run(AZURE.access.grant, replace(access, kept={}))
    assert refused(lambda: list(node.list_blobs()))
    assert own.download_blob(f"{access.prefix}/n1/x").readall() == b"mine"
    run(AZURE.access.revoke, replace(after, buckets=()))
    assert AZURE.storage.objects(spec).read("backups/prod/x", 99).data == b"theirs"


def test_its_options_have_the_container_and_the_path_apart(worlds):
    spec = make_spec(worlds)
    for kept, path in (("backups/prod", "/prod"), ("backups", "/")):
        access = replace(worlds.access(spec), kept={spec.bucket: kept})
        target = Target(1, "x", f"/{kept}", AZURE.access.repository(spec, access), "", "count", 1, None, "/etc")
        lines = {one.name: one.value for one in target.access()}
        assert (lines["repo1-azure-container"], lines["repo1-path"]) == ("backups", path)
    access = worlds.access(spec)
    target = Target(1, "x", f"/{access.prefix}/n1", AZURE.access.repository(spec, access), "", "count", 1, None, "/etc")
    lines = {one.name: one.value for one in target.access()}
    assert (lines["repo1-azure-container"], lines["repo1-path"]) == (access.prefix, f"/{access.prefix}/n1")


@pytest.fixture(scope="module")
def signing_world(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("azure"), "sas") as world:
        yield world


def test_stored_policies_of_others_stay(signing_world):
    signing_world.clear()
    spec = make_spec(signing_world)
    run(plans.creation(AZURE), spec)
    signing_world.put(spec, "backups/prod/x", b"theirs")
    container = signing_world.emulator.state["containers"][f"{spec.bucket}/backups"]
    theirs = {"Start": "2026-01-01T00:00:00Z", "Expiry": "2027-01-01T00:00:00Z", "Permission": "rl"}
    container["policies"] = {"reports": dict(theirs)}
    asked = replace(signing_world.access(spec), kept={spec.bucket: "backups/prod"})
    access = run(AZURE.access.grant, asked)
    names = {*container["policies"]}
    assert len(names) == 2
    assert access.keys[f"{spec.bucket}/backups policy"] in names
    assert container["policies"]["reports"]["Permission"] == "rl"
    assert container["policies"]["reports"]["Expiry"].startswith("2027-01-01")
    run(AZURE.access.second_key, access)
    assert len(container["policies"]) == 3
    run(AZURE.access.revoke, access)
    assert {*container["policies"]} == {"reports"}
    # Azure takes five.
    container["policies"] = {f"p{number}": dict(theirs) for number in range(5)}
    with pytest.raises(Failed, match="has 5 stored access policies of others"):
        run(AZURE.access.grant, asked)
    assert len(container["policies"]) == 5
