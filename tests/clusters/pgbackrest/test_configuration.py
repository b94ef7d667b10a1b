"""The configuration file of a node, and what differs between releases of pgBackRest."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from clusters.pgbackrest.configuration import (
    BY_NUMBER,
    HIDDEN,
    VERSIONS,
    Configuration,
    StanzaConfiguration,
    Target,
    troubles,
)
from clusters.pgbackrest.layout import Layout
from console.clouds.contract import Need, RepositoryOptions, SecretFile
from tests.clusters.pgbackrest.configuration_file import options

BY_ROLE = RepositoryOptions(
    (("type", "s3"), ("s3-bucket", "b"), ("s3-endpoint", "s3.eu-west-1.amazonaws.com"), ("s3-key-type", "auto"))
)
BY_KEY = RepositoryOptions(
    (
        ("type", "s3"),
        ("s3-bucket", "b"),
        ("s3-endpoint", "store.example"),
        ("s3-key", "AK"),
        ("s3-key-secret", "SECRET"),
    ),
    frozenset({"s3-key", "s3-key-secret"}),
    "-----BEGIN CERTIFICATE-----",
)


def target(number=1, repository=BY_ROLE, **values):
    return Target(
        **{
            "number": number,
            "store": f"store {number}",
            "path": "/c-abc/n1",
            "repository": repository,
            "cipher_pass": f"passphrase-{number}",
            "retention_type": "time",
            "retention_full": 14,
            "retention_diff": None,
            "folder": Layout().folder,
            **values,
        }
    )


def configuration(*targets, version="2.59", postgresql=15):
    stanzas = [StanzaConfiguration("orders", postgresql, "/var/lib/postgresql/15/main", 5432)]
    return Configuration("shop", "n1", BY_NUMBER[version], targets or (target(),), stanzas)


def test_render_numbers_every_option_of_a_repository():
    found = options(configuration(target(2), target(7, BY_KEY)).render(secrets=True))
    assert found["repo2-path"] == found["repo7-path"] == "/c-abc/n1"
    assert found["repo2-s3-key-type"] == "auto"
    assert found["repo7-s3-key-secret"] == "SECRET"
    assert found["repo7-storage-ca-file"] == f"{Layout().folder}/repo7-ca.pem"
    assert found["repo2-cipher-pass"] == "passphrase-2"
    assert {name.split("-")[0] for name in found if name.startswith("repo")} == {"repo2", "repo7"}


def test_render_names_a_file_with_a_secret_and_never_shows_it():
    by_file = RepositoryOptions(
        (("type", "gcs"), ("gcs-bucket", "b"), ("gcs-key-type", "service")),
        files=(SecretFile("gcs-key", "gcs-0a1b2c3d.json", "the key"),),
    )
    one = configuration(target(3, by_file))
    assert options(one.render(secrets=True))["repo3-gcs-key"] == f"{Layout().folder}/repo3-gcs-0a1b2c3d.json"
    assert "the key" not in one.render(secrets=True) + repr(by_file)
    other = replace(by_file, files=(SecretFile("gcs-key", "gcs-9f8e7d6c.json", "another"),))
    assert configuration(target(3, other)).sha256 != one.sha256


def test_render_hides_each_secret():
    text = configuration(target(7, BY_KEY)).render(secrets=False)
    assert not {"AK", "SECRET", "passphrase-7"} & set(options(text).values())
    assert text.count(HIDDEN) == 3


def test_render_has_one_section_for_each_stanza_and_no_comment_behind_a_value():
    lines = configuration().render(secrets=True).splitlines()
    assert [line for line in lines if line.startswith("[")] == ["[global]", "[orders]"]
    assert not [line for line in lines if "#" in line and not line.startswith("#")]  # pgBackRest would read them


@pytest.mark.parametrize(("version", "block"), [("", False), ("2.45", False), ("2.46", True), ("2.59", True)])
def test_render_asks_for_block_incremental_backups_where_they_are_known(version, block):
    found = options(configuration(version=version).render(secrets=True))
    assert ("repo1-block" in found) == block
    assert found["repo1-bundle"] == "y"


def test_sha256_is_what_sha256sum_prints_of_the_whole_file():
    given = configuration()
    assert given.sha256 == hashlib.sha256(given.render(secrets=True).encode()).hexdigest()
    other = replace(given, targets=[replace(given.targets[0], cipher_pass="another")])
    assert other.sha256 != given.sha256


def test_render_for_any_release_stays_when_another_one_is_known():
    assert "for pgBackRest 2.45 or newer." in configuration(version="").render(secrets=False)
    assert VERSIONS[-1].number not in configuration(version="").render(secrets=False)


def test_render_gives_retention_as_it_was_set():
    found = options(
        configuration(target(retention_type="count", retention_full=3, retention_diff=5)).render(secrets=True)
    )
    assert (found["repo1-retention-full-type"], found["repo1-retention-full"]) == ("count", "3")
    assert found["repo1-retention-diff"] == "5"


@pytest.mark.parametrize(
    ("version", "postgresql", "needed"),
    [("2.45", 17, "2.52"), ("2.51", 17, "2.52"), ("2.52", 17, ""), ("2.45", 15, "")],
)
def test_troubles_name_the_release_that_a_postgresql_needs(version, postgresql, needed):
    said = troubles(configuration(version=version, postgresql=postgresql))
    assert bool(said) == bool(needed)
    assert not needed or f"Install {needed} or newer" in said[0]


def test_troubles_believe_the_node_more_than_the_form():
    said = troubles(configuration(version="2.59"), "2.45")
    assert "each backup would end with an error" in said[0]
    assert troubles(configuration(version="2.59"), "2.59.1") == []
    assert troubles(configuration(version=""), "2.45") == []


@pytest.mark.parametrize(
    ("version", "works"), [("", False), ("2.45", False), ("2.57", False), ("2.58", True), ("2.60", True)]
)
def test_troubles_say_which_release_a_repository_needs(version, works):
    asks = replace(BY_ROLE, needs=(Need("2.58", "sign in with a smile", "frown"),))
    said = troubles(configuration(target(1, asks), version=version))
    label = BY_NUMBER[version].label
    assert (
        said == []
        if works
        else said
        == [
            f"pgBackRest {label} does not sign in with a smile. Install 2.58 or newer on the node and say so, or frown."
        ]
    )


def test_troubles_compare_releases_by_number_and_believe_the_node():
    asks = replace(BY_ROLE, needs=(Need("2.100", "count", "wait"),))
    assert troubles(configuration(target(1, asks), version="2.60"))
    asks = replace(BY_ROLE, needs=(Need("2.58", "count", "wait"),))
    assert troubles(configuration(target(1, asks), version="2.59"), "2.57.1")
    assert not troubles(configuration(target(1, asks), version="2.46"), "2.58.0")


@pytest.mark.parametrize("reported", ["2.61.0", "2.61dev", "2.100", "3.0.0", "10.1"])
def test_troubles_take_a_release_that_nobody_knows_yet_for_a_new_one(reported):
    asks = replace(BY_ROLE, needs=(Need("2.58", "sign in", "wait"),))
    for version in ("", "2.45", "2.60"):
        assert troubles(configuration(target(1, asks), version=version, postgresql=18), reported) == []


@pytest.mark.parametrize("reported", ["2.44", "2.9.1", "1.29", "0.1"])
def test_troubles_take_a_release_from_before_all_others_for_an_old_one(reported):
    asks = replace(BY_ROLE, needs=(Need("2.58", "sign in", "wait"),))
    said = troubles(configuration(target(1, asks), version="2.60", postgresql=17), reported)
    assert ["no repo-block" in said[0], "PostgreSQL 17" in said[1], "does not sign in" in said[2]] == [True] * 3


def test_troubles_say_what_a_repository_lacks():
    without = replace(BY_ROLE, lacks="The nodes have no key yet.")
    assert troubles(configuration(target(4, without))) == ["The nodes have no key yet."]
