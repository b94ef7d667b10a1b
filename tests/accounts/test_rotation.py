"""Secrets at rest under keys that rotate: `manage.py rotate_keys`."""

from __future__ import annotations

from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from clusters.models import Bringing, BroughtIn, Cluster, Drill, Node, RecoveryIdentity, RemovedNode, Repository
from console.accounts import installation, rotation
from console.alerts.models import AlertSettings, Channel
from console.api.models import KeptAnswer, Token
from console.cloud_accounts.models import Attempt, CloudAccount
from console.restoration.models import NodeFile
from tests import factories


@pytest.fixture
def rows(acme):
    """A row of every model that keeps secrets, and many of one."""
    installation.this()
    account = factories.account(acme)
    cluster = Cluster.objects.create(
        organisation=acme, cloud_account=account, name="orders", state="available", keys={"secret_access_key": "a"}
    )
    Node.objects.create(cluster=cluster, name="n1", region="eu-west-1")
    Drill.objects.create(cluster=cluster, schedule="0 3 * * 0")
    RemovedNode.objects.create(
        cluster=cluster, name="n2", region="eu-west-1", applied_sha256="", reported_at=account.created_at
    )
    Repository.objects.create(cluster=cluster, store=factories.store(account), number=1)
    RecoveryIdentity.objects.create(organisation=acme, cloud_account=account, until=account.created_at)
    Bringing.objects.create(organisation=acme, cloud_account=account, entered={"passphrase": "entered"})
    BroughtIn.objects.create(cluster=cluster, file={"lines": []})
    membership = factories.user("zoe", acme).memberships.get()
    Attempt.objects.create(membership=membership, verb="link", entered={"secrets": "entered"})
    NodeFile.objects.create(organisation=acme, cloud_account=account, node="n1", entered={"text": "repo1-cipher-pass"})
    Channel.objects.create(organisation=acme, kind="slack", name="slack", secrets={"url": "https://a.example.org"})
    AlertSettings.objects.create(organisation=acme, secrets={"url": "https://b.example.org"})
    token = Token.objects.create(organisation=acme, membership=membership, name="ci", expires_at=account.created_at)
    KeptAnswer.objects.create(token=token, key="k1", sealed={"content": {"secret": "shown once"}})
    for number in range(8):
        factories.account(acme, name=f"a{number}", secrets={"secret_access_key": f"secret {number}"})


@pytest.fixture
def new_key(settings):
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEYS]
    return settings


def rotate(*args):
    said = StringIO()
    call_command("rotate_keys", *args, stdout=said)
    return said.getvalue()


def everything():
    return {
        (model.__name__, row.pk): getattr(row, name)
        for model, name in rotation.fields()
        for row in model._base_manager.all()
    }


def older():
    return sum(rotation.count(model, name).older for model, name in rotation.fields())


def test_rotate_keys_finds_every_model_with_secrets(rows):
    assert {model.__name__ for model, _ in rotation.fields()} == {name for name, _ in everything()}


def test_rotate_keys_renews_all_and_then_the_old_key_is_needed_no_more(rows, new_key):
    before = everything()
    said = rotate()
    assert "cloud_accounts.CloudAccount.secrets: 9 encrypted anew, 9 with the newest key, 0 with older ones" in said
    assert "can be taken out" in said
    new_key.FIELD_ENCRYPTION_KEYS = new_key.FIELD_ENCRYPTION_KEYS[:1]
    assert everything() == before
    assert "0 encrypted anew" in rotate()


def test_rotate_keys_check_changes_nothing_and_fails_while_something_remains(rows, new_key):
    with pytest.raises(CommandError, match="24 secrets still need an older key"):
        rotate("--check")
    assert older() == 24
    rotate()
    assert "Nothing needs the older keys" in rotate("--check")


def test_rotate_keys_goes_on_where_it_was_stopped(rows, new_key, monkeypatch):
    before, updates = everything(), 0

    def stop(execute, sql, params, many, context):
        nonlocal updates
        of_an_account = sql.startswith('UPDATE "cloud_accounts_cloudaccount"')
        updates += of_an_account
        if updates == 4 and of_an_account:
            raise KeyboardInterrupt
        return execute(sql, params, many, context)

    monkeypatch.setattr(rotation, "BATCH", 2)
    with connection.execute_wrapper(stop), pytest.raises(KeyboardInterrupt):
        rotate()
    assert rotation.count(CloudAccount, "secrets").older == 7  # of nine: the batch of two that was complete stays
    rotate()
    assert older() == 0
    assert everything() == before


def test_rotate_keys_keeps_what_is_saved_meanwhile(rows, new_key):
    saved = []

    def save_first(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and not saved:
            saved.append(True)
            for account in CloudAccount.objects.all():
                account.secrets = {"secret_access_key": "newer"}
                account.save(update_fields=["secrets"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(save_first):
        assert "cloud_accounts.CloudAccount.secrets: 0 encrypted anew, 9 with the newest key" in rotate()
    assert {account.secrets["secret_access_key"] for account in CloudAccount.objects.all()} == {"newer"}


def test_rotate_keys_says_what_no_key_opens_and_renews_the_rest(rows, acme, settings):
    kept = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    factories.account(acme, name="lost")
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *kept]
    with pytest.raises(CommandError, match="opens 1 secret"):
        rotate()
    assert older() == 0
