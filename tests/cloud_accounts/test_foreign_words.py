"""What remains of what a hostile server says, when it is linked, verified, changed and looked at: small rows."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from console.audit.models import AuditEvent
from console.cloud_accounts import actions, preflight
from console.cloud_accounts.models import CloudAccount, Preflight, Verification
from console.clouds import CLOUDS, foreign, streams
from console.clouds.contract import LinkError
from console.clouds.s3 import probe
from console.clouds.s3api import clients
from console.operations import snapshots
from console.operations.models import Operation
from stores import actions as store_actions
from tests import factories, hostile
from tests.clouds.s3_accounts import an_account
from tests.delivery import deliver

ROW = 20_000  # characters of all that one row holds
QUICK = ("long error", "body that drips")
BEHAVIOURS = ("large error", "error with controls", "endless body", "garbage")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(actions, "IDENTIFY_SECONDS", 0.6)
    monkeypatch.setattr(actions, "CHANGE_SECONDS", 0.9)
    monkeypatch.setattr(probe, "TIDY_SECONDS", 0.3)
    monkeypatch.setattr(streams, "SECONDS", 0.5)
    monkeypatch.setattr(streams, "SIZE", 1_000_000)


@pytest.fixture(params=[*QUICK, *(pytest.param(one, marks=pytest.mark.slow) for one in BEHAVIOURS)])
def peer(request, tmp_path, settings):
    settings.DEPLOYMENT_SETTINGS = {"s3": {"endpoints_allowed": ("127.0.0.0/8", "localhost")}}
    peer = hostile.Peer(tmp_path, "xml")
    peer.behaviour = request.param
    yield peer
    peer.close()
    clients.forget_clients()


@pytest.fixture
def theirs(acme, peer):
    """An account that was linked when its server was still honest."""
    known = an_account(peer.url, peer.ca_certificate)
    return factories.account(
        acme, provider_key="s3", name="cellar", number=known.number, settings=known.settings, secrets=known.secrets
    )


def check(row):
    """Whatever others have written in a row is short, and shows what it is."""
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        assert len(json.dumps(value, default=str)) < ROW, f"{row!r}: {field.name}"
        for said in texts(value):
            assert said == foreign.text(said, ROW, lines=True), f"{row!r}: {field.name}: {said[:200]!r}"


def texts(value):
    if isinstance(value, str) and not value.startswith("-----BEGIN"):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(one)


def test_linking_leaves_small_rows(acme, alice, peer):
    known, began = an_account(peer.url, peer.ca_certificate), time.monotonic()
    with pytest.raises(LinkError):
        actions.link(
            acme, provider="s3", name="cellar", settings=dict(known.settings), secrets=dict(known.secrets), by=alice
        )
    assert time.monotonic() - began < 15
    assert not CloudAccount.objects.exists()
    check(AuditEvent.objects.get(action="Linked cloud account"))


def test_why_it_was_refused_is_said_and_nothing_is_made_where_no_deletion_is_answered(acme, alice, peer):
    known = an_account(peer.url, peer.ca_certificate)
    with pytest.raises(LinkError) as raised:
        actions.link(
            acme, provider="s3", name="cellar", settings=dict(known.settings), secrets=dict(known.secrets), by=alice
        )
    if peer.behaviour == "body that drips":
        assert "stopped reading what" in str(raised.value)
        assert "did not end within" in str(raised.value)
        assert "could not delete" not in str(raised.value)
        assert {one.split(" ")[0] for one in peer.asked} <= {"DELETE"}
        assert (raised.value.field, raised.value.passing) == ("endpoint", True)


@pytest.mark.slow
def test_verifying_and_changing_leave_small_rows(theirs, alice):
    settings = {**theirs.settings, "access_key_id": "ANOTHER"}
    with suppress(LinkError):  # where nothing was found out
        actions.verify(theirs, by=alice)
    with pytest.raises(LinkError):
        actions.change(theirs, name="cellar", settings=settings, secrets=theirs.secrets, by=alice)
    theirs.refresh_from_db()
    check(theirs)
    for event in AuditEvent.objects.all():
        check(event)


@pytest.mark.slow
def test_what_workers_read_leaves_small_rows(theirs):
    preflight.of(theirs)
    Verification.objects.get_or_create(cloud_account=theirs)
    for model in (Preflight, Verification):
        row = model.objects.get(cloud_account=theirs)
        model.objects.update(due_at="2000-01-01T00:00Z")
        snapshots.read(model.LABEL, row.pk)
        row.refresh_from_db()
        assert row.tried_at
        assert row.error
        check(row)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_what_a_task_meets_leaves_small_rows(theirs, alice):
    store = store_actions.create(theirs, name="orders", region="us-east-1", by=alice)
    operation = Operation.objects.get()
    deliver(operation.pk)
    operation.refresh_from_db()
    assert operation.retry_note or operation.error
    check(operation)
    store.refresh_from_db()
    check(store)
    for event in AuditEvent.objects.all():
        check(event)


def test_a_reading_that_is_too_large_is_not_kept(theirs, monkeypatch):
    preflight.of(theirs)
    row = Preflight.objects.get(cloud_account=theirs)
    source = snapshots._sources[Preflight.LABEL]
    large = [{"label": "x" * snapshots.SIZE_AT_MOST}]
    monkeypatch.setitem(snapshots._sources, Preflight.LABEL, replace(source, read=lambda snapshot: large))
    snapshots.read(Preflight.LABEL, row.pk)
    row.refresh_from_db()
    assert (row.content, row.read_at) == ([], None)
    assert "more than the console keeps" in row.error


def test_an_error_of_no_known_kind_is_said_and_not_shown(acme, alice, monkeypatch):
    def identify(account):
        raise KeyError("x" * 10_000_000)

    cloud = CLOUDS["s3"]
    monkeypatch.setitem(CLOUDS, "s3", replace(cloud, linking=replace(cloud.linking, identify=identify)))
    with pytest.raises(LinkError, match="KeyError") as raised:
        actions.link(acme, provider="s3", name="cellar", settings={}, secrets={}, by=alice)
    assert raised.value.passing
    assert len(str(raised.value)) < 300
