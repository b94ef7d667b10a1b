"""What is said of an account whose server does otherwise than it did, and what stores make of that."""

from dataclasses import replace

import pytest

from console.audit.models import AuditEvent
from console.cloud_accounts import actions
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.clouds.contract import Identity
from tests.clouds.s3_accounts import FOUND, SEAWEED, an_account


@pytest.fixture
def account(acme):
    known = an_account()
    return CloudAccount.objects.create(
        organisation=acme,
        provider_key="s3",
        name="cellar",
        number=known.number,
        settings=dict(known.settings),
        secrets=dict(known.secrets),
    )


@pytest.fixture
def finds(account, monkeypatch):
    """Let the next verifications find this."""

    def find(**found):
        identity = Identity(number=account.number, partition="", found={**FOUND, **found}, proofs=("It answered.",))
        linking = replace(account.cloud.linking, identify=lambda _: identity)
        cloud = replace(account.cloud, linking=linking)
        monkeypatch.setitem(CLOUDS, "s3", cloud)

    return find


def events():
    return [one.after["reason"] for one in AuditEvent.objects.filter(action="Server changed").order_by("created_at")]


def test_a_daily_verification_says_what_a_server_lost_and_gained(account, finds, as_alice):
    finds(has=SEAWEED.replace("object_lock ", "") + " access_logging")
    assert actions.verify(account)
    assert events() == ["It does now: Access logging. It does not any more: Object Lock."]
    for url in ("/cloud-accounts/", account.get_absolute_url()):
        page = " ".join(as_alice.get(url).content.decode().split())
        assert "It does not do any more what stores need: Object Lock." in page
        assert "It does now: Access logging." in page
    assert actions.verify(account)
    assert len(events()) == 1  # as before: nothing new to say


def test_what_did_not_change_is_not_said(account, finds, as_alice):
    finds()
    assert actions.verify(account)
    assert (events(), account.changes) == ([], None)
    assert "The server of" not in as_alice.get(account.get_absolute_url()).content.decode()


def test_what_a_store_found_out_is_kept_until_a_verification_finds_out_for_itself(account, finds):
    actions.learn(account, {"breaks": ["BlockPublicAcls"]})
    account.refresh_from_db()
    assert account.settings["breaks"] == "BlockPublicAcls"
    assert events() == []  # it lacked the whole control before, and so it is still not whole
    actions.learn(account, {"breaks": ["bucket_policy"]})
    account.refresh_from_db()
    assert account.settings["breaks"] == "BlockPublicAcls bucket_policy"
    assert events() == ["It does not any more: TLS-only policy."]
    finds()
    assert actions.verify(account)
    assert account.settings["breaks"] == ""
    assert sorted(events()) == ["It does not any more: TLS-only policy.", "It does now: TLS-only policy."]


def test_the_account_s_page_has_a_table_of_what_the_server_does(account, as_alice):
    account.settings = {**account.settings, "claims": "versioning", "breaks": "BlockPublicAcls", "plain": "8080"}
    account.save()
    page = as_alice.get(account.get_absolute_url()).content.decode()
    assert page.count("in name only") == 2
    assert "While it blocks new public ACLs (BlockPublicAcls), the server refuses what a backup does" in page
    assert "Tried at its port 8080" in page


def test_what_was_found_out_is_no_part_of_what_an_audit_says_that_somebody_entered(account):
    assert not actions._told(account).keys() & FOUND.keys()
