"""A repository that pgBackRest wrote without the console, in a store of Alice's organisation; no server has it."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from clusters.models import Bringing
from console.operations import snapshots
from tests import factories
from tests.clusters.pgbackrest.repository_files import Bucket, encrypted, info, row, signed

LABEL = "20261122-230118F"
SYSTEM_ID = 7711134786693777346
PASSPHRASE = "the-passphrase-of-a-repository"  # gitleaks:allow
FILE = """[global]
repo1-type=s3
repo1-path=/backups/prod
repo1-s3-bucket={bucket}
repo1-s3-endpoint=s3.eu-west-1.amazonaws.com
repo1-s3-region=eu-west-1
repo1-s3-key=AKIAFORMERKEY
repo1-s3-key-secret=former-secret-hunter2
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={passphrase}
repo1-retention-full=3
repo1-bundle=y
compress-type=lz4
spool-path=/var/spool/mine
[main]
pg1-path=/var/lib/postgresql/15/main
[other]
pg1-path=/var/lib/postgresql/15/other
pg1-port=5433
"""


def archive_info(system_id=SYSTEM_ID, version="15", db_id=1):
    return signed(
        "\n".join(
            [
                *("[backrest]", "backrest-format=5", 'backrest-version="2.45"', ""),
                *("[db]", f"db-id={db_id}", f"db-system-id={system_id}", f'db-version="{version}"', ""),
                *("[db:history]", f'{db_id}={{"db-id":{system_id},"db-version":"{version}"}}', ""),
            ]
        )
    )


def stanza(path, name, *, passphrase=PASSPHRASE, system_id=SYSTEM_ID, version="15"):
    """Return the objects of a stanza with one full backup."""
    base = f"{path}/" if path else ""
    lists = {
        f"{base}backup/{name}/backup.info": info(row(LABEL), ids=(system_id,), version=version),
        f"{base}archive/{name}/archive.info": archive_info(system_id, version),
    }
    found = {key: encrypted(text.encode(), passphrase) if passphrase else text.encode() for key, text in lists.items()}
    return {
        **found,
        **{f"{key}.copy": data for key, data in found.items()},
        f"{base}backup/{name}/{LABEL}/backup.manifest": b"x",
        f"{base}archive/{name}/15-1/0000000100000000/000000010000000000000003-{'a' * 40}.lz4": b"wal",
    }


@pytest.fixture
def bucket(monkeypatch):
    """What is in every store's bucket."""
    found = Bucket({**stanza("backups/prod", "main"), **stanza("backups/prod", "other", system_id=7)})
    found.deleted = lambda prefix: iter(())
    monkeypatch.setattr("console.clouds.aws.storage.AWSStorage.objects", lambda self, spec: found)
    return found


@pytest.fixture
def store(account):
    return factories.store(account, name="archive", region="eu-west-1")


@pytest.fixture
def text(store):
    return FILE.format(bucket=store.bucket, passphrase=PASSPHRASE)


@pytest.fixture
def bring(as_alice, store):
    """A function that posts what is given and has a worker open it; returns the row and the page that waits for it."""

    def bring(**given):
        answer = as_alice.post("/clusters/bring-in/", {"store": store.pk, "name": "prod", **given})
        assert answer.status_code == 302, re.sub(r"<[^>]*>|\s+", " ", answer.content.decode())
        row = Bringing.objects.latest("pk")
        Bringing.objects.filter(pk=row.pk).update(due_at=timezone.now() - timedelta(seconds=1))
        snapshots.read("bringing", row.pk)
        row.refresh_from_db()
        return row, as_alice.get(answer["Location"])

    return bring


def plain(answer):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())).split())


def beside(answer, field):
    """Return what is said beside a field."""
    found = re.search(rf'id="id_{field}_error">(.*?)</p>', answer.content.decode(), re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", found[1])).split()) if found else ""
