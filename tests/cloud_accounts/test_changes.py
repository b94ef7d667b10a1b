"""What becomes of a linked account: verified every day, given another key with proof, all of it written down."""

from __future__ import annotations

import json
from datetime import timedelta

import boto3
import pytest
from django.db.models import PROTECT
from django.utils import timezone
from moto.iam.models import iam_backends

from console.accounts.models import Membership
from console.audit.models import AuditEvent
from console.cloud_accounts import actions, preflight, verification
from console.cloud_accounts.models import CloudAccount, Verification
from console.clouds.aws.session import statements, trust_policy
from console.clouds.contract import LinkError
from console.demo.object_server import ObjectServer
from console.operations import snapshots
from stores.models import Store
from tests import factories
from tests.cloud_accounts.linking import SECRET, make_role, on, submit
from tests.responses import HTMX
from tests.stores.conftest import due


@pytest.fixture
def iam(amazon):
    return boto3.client(
        "iam",
        region_name="us-east-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )


def another_key(iam, account, *, but=()):
    """Make a user with the permissions of the console, without some actions, and return its key."""
    name = f"console-{CloudAccount.objects.count()}-{timezone.now().timestamp()}"
    policy = statements(account.number, principal=f"user/{name}")
    for statement in policy["Statement"]:
        if isinstance(statement.get("Action"), list) and statement["Effect"] == "Allow":
            statement["Action"] = [action for action in statement["Action"] if action not in but]
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="console", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}


def change(client, account, **values):
    given = {"name": account.name, "access_key_id": account.settings.get("access_key_id", ""), "secret_access_key": ""}
    return submit(client, f"{account.get_absolute_url()}change/", {**given, **values}, headers=HTMX)


def errors(answer):
    assert answer.status_code == 422
    return {field: " ".join(said) for field, said in answer.context["form"].errors.items()}


def kept(account):
    account.refresh_from_db()
    return account.name, account.settings, account.secrets, account.key_since


def last():
    return AuditEvent.objects.latest("created_at")


# Another access key


def test_account_change_tries_the_new_key_before_it_drops_the_old(as_alice, amazon, iam, account):
    factories.store(account, region="eu-west-1")
    CloudAccount.objects.update(created_at=timezone.now() - timedelta(days=200))
    new = another_key(iam, account)
    amazon.calls.clear()
    assert change(as_alice, account, **new).status_code == 204
    name, settings, secrets, since = kept(account)
    assert name == "prod"
    assert settings["access_key_id"] == new["access_key_id"]
    assert secrets == {"secret_access_key": new["secret_access_key"]}
    assert timezone.now() - since < timedelta(minutes=1)
    assert not account.key_is_old
    snapshots.read("preflight", preflight.of(account).get().pk)
    assert due("preflight") == []
    CloudAccount.objects.update(key_since=timezone.now())
    assert due("preflight") == [preflight.of(account).get().pk]  # what it says was seen with another key
    assert {"GetCallerIdentity", "SimulatePrincipalPolicy", "ListBuckets"} <= {one.operation for one in amazon.calls}
    assert last().before == {"access_key_id": amazon.access_key_id}
    assert last().after == {"access_key_id": new["access_key_id"], "secret_access_key": "replaced"}


def test_account_change_refuses_a_key_of_another_account(as_alice, amazon, account):
    before, (key, secret) = kept(account), amazon.add_account("210987654321")
    said = errors(change(as_alice, account, access_key_id=key, secret_access_key=secret))
    assert "210987654321" in said["access_key_id"]
    assert kept(account) == before
    assert (last().action, last().outcome, last().actor_name) == ("Changed cloud account", "refused", "alice")
    assert secret not in json.dumps(last().after)


def test_account_change_refuses_a_key_that_may_do_less(as_alice, amazon, iam, account):
    before = kept(account)
    new = another_key(iam, account, but=("s3:PutBucketLogging",))
    said = errors(change(as_alice, account, **new))
    assert "s3:PutBucketLogging" in said["access_key_id"]
    assert kept(account) == before


def test_account_change_takes_a_lesser_key_when_the_present_one_is_dead(as_alice, amazon, iam, account):
    new = another_key(iam, account, but=("s3:PutBucketLogging",))
    CloudAccount.objects.update(settings={"access_key_id": "AKIAUNKNOWN000000000"})
    account.refresh_from_db()
    assert change(as_alice, account, **new).status_code == 204


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"access_key_id": "AKIAUNKNOWN000000000", "secret_access_key": SECRET}, "access_key_id"),
        ({"access_key_id": "AKIAUNKNOWN000000000"}, "secret_access_key"),
        ({"access_key_id": ""}, "access_key_id"),
        ({"access_key_id": "short", "secret_access_key": SECRET}, "access_key_id"),
        ({"name": ""}, "name"),
    ],
)
def test_account_change_says_beside_the_field_what_is_wrong(as_alice, amazon, account, values, field):
    before = kept(account)
    answer = change(as_alice, account, **values)
    assert field in errors(answer)
    assert SECRET not in answer.content.decode()
    assert kept(account) == before


def test_account_change_of_the_name_keeps_the_key_and_asks_nobody(as_alice, amazon, account):
    _, settings, secrets, since = kept(account)
    assert change(as_alice, account, name="renamed").status_code == 204
    assert kept(account) == ("renamed", settings, secrets, since)
    assert amazon.calls == []
    assert (last().before, last().after) == ({"name": "prod"}, {"name": "renamed"})


def test_account_change_of_the_secret_alone_keeps_the_rest(as_alice, amazon, account, monkeypatch):
    CloudAccount.objects.update(settings={**account.settings, "partition": "aws"})
    assert "does not belong" in errors(change(as_alice, account, secret_access_key="wrong"))["secret_access_key"]
    key = iam_backends[amazon.account_id]["aws"].access_keys[amazon.access_key_id]
    monkeypatch.setattr(key, "secret_access_key", "another-secret")
    assert change(as_alice, account, secret_access_key="another-secret").status_code == 204
    _, settings, secrets, _ = kept(account)
    assert settings == {"access_key_id": amazon.access_key_id, "partition": "aws"}
    assert secrets == {"secret_access_key": "another-secret"}


def test_account_change_refuses_a_taken_name(as_alice, amazon, acme, account):
    factories.account(acme, name="taken")
    assert "exists" in errors(change(as_alice, account, name="Taken"))["name"]
    with pytest.raises(LinkError, match="exists"):  # taken since the form was checked
        actions.change(account, name="taken", settings=account.settings, secrets=account.secrets, by=None)


def test_account_change_never_shows_the_secret_and_wants_the_password(as_alice, account):
    url = f"{account.get_absolute_url()}change/"
    page = as_alice.get(url).content.decode()
    assert account.settings["access_key_id"] in page
    assert account.secrets["secret_access_key"] not in page
    session = as_alice.session
    session["confirmed_at"] = 0
    session.save()
    assert as_alice.get(url).url.startswith("/confirm/")
    assert as_alice.post(url, {"name": "renamed"}).url.startswith("/confirm/")
    assert CloudAccount.objects.get().name == "prod"


def test_account_change_does_not_undo_what_somebody_else_changed(amazon, iam, account):
    stale = CloudAccount.objects.get()
    new = another_key(iam, account)
    settings, secrets = {"access_key_id": new["access_key_id"]}, {"secret_access_key": new["secret_access_key"]}
    actions.change(account, name="prod", settings=settings, secrets=secrets, by=None)
    with pytest.raises(LinkError, match="meanwhile"):
        actions.change(stale, name="older", settings=stale.settings, secrets=stale.secrets, by=None)
    with pytest.raises(LinkError, match="meanwhile"):
        actions.verify(stale)
    assert kept(account)[:3] == ("prod", settings, secrets)


def test_an_old_key_is_said_to_be_old(as_alice, account):
    assert "Over 90 days" not in as_alice.get(account.get_absolute_url()).content.decode()
    CloudAccount.objects.update(created_at=timezone.now() - timedelta(days=91))
    assert "Over 90 days" in as_alice.get(account.get_absolute_url()).content.decode()
    CloudAccount.objects.update(key_since=timezone.now())
    assert "Over 90 days" not in as_alice.get(account.get_absolute_url()).content.decode()


# Another role


def test_account_change_of_the_role_proves_the_external_id_again(as_alice, acme, amazon, own_identity):
    arn = make_role(amazon, "8c1f-right", name="first")
    settings = {"role_arn": arn, "external_id": "8c1f-right"}
    account = actions.link(acme, provider="aws", name="prod", settings=settings, secrets={}, by=None)
    open_role = make_role(amazon, "", name="second", condition=False)
    assert "confused deputy" in errors(change(as_alice, account, role_arn=open_role))["role_arn"]
    assert kept(account)[1] == settings
    better = make_role(amazon, "8c1f-right", name="third")
    assert change(as_alice, account, role_arn=better, external_id="mine").status_code == 204
    assert kept(account)[1] == {"role_arn": better, "external_id": "8c1f-right"}


# Another place of a server


@pytest.mark.slow
def test_account_change_of_the_endpoint_wants_the_secret_again(as_alice, object_server):
    assert submit(as_alice, "/cloud-accounts/link/", on(object_server)).status_code == 302
    account = CloudAccount.objects.get()
    before = kept(account)
    given = {**on(object_server), "name": "cellar", "location": "oslo", "secret_access_key": ""}
    assert (
        "again"
        in errors(change(as_alice, account, **{**given, "endpoint": "https://localhost:9"}))["secret_access_key"]
    )
    assert kept(account) == before
    answer = change(as_alice, account, **{**given, "endpoint": "https://10.0.0.7", "secret_access_key": SECRET})
    assert "private address" in errors(answer)["endpoint"]
    assert SECRET not in answer.content.decode()
    assert change(as_alice, account, **given).status_code == 204
    _, settings, secrets, since = kept(account)
    assert (settings["location"], settings["has"]) == ("oslo", before[1]["has"])
    assert (secrets, since) == (before[2], None)


@pytest.mark.slow
def test_account_change_of_the_endpoint_leaves_no_store_behind(as_alice, object_server, tmp_path):
    assert submit(as_alice, "/cloud-accounts/link/", on(object_server)).status_code == 302
    account = CloudAccount.objects.get()
    store, before = factories.store(account, name="payroll", region="us-east-1"), kept(account)
    other = ObjectServer(tmp_path).start()
    try:
        given = {**on(other), "location": "oslo"}
        assert "payroll" in errors(change(as_alice, account, **given))["endpoint"]
        assert kept(account) == before
        assert (last().outcome, "payroll" in last().after["reason"]) == ("refused", True)
        store.delete()
        assert change(as_alice, account, **given).status_code == 204
        assert kept(account)[1]["endpoint"] == other.endpoint
        assert account.number == other.endpoint.removeprefix("https://")
    finally:
        other.stop()


# Verified again


def read(account):
    Verification.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    snapshots.read("verification", Verification.objects.get(cloud_account=account).pk)
    account.refresh_from_db()
    return Verification.objects.get(cloud_account=account)


def test_a_linked_account_is_verified_daily_at_its_own_time(account, amazon):
    assert due("verification") == []  # linking was the first time
    found = verification.of_all().get()
    assert timedelta(hours=11) < found.due_at - timezone.now() <= timedelta(hours=36)
    found = read(account)
    assert (found.error, account.verify_error) == ("", "")
    assert account.proofs == found.content != []
    assert timedelta(hours=11) < found.due_at - timezone.now() <= timedelta(hours=36)
    assert not AuditEvent.objects.exists()  # as before: nothing to say


def test_daily_verification_tries_the_external_id_again(as_alice, acme, amazon, iam, own_identity):
    arn = make_role(amazon, "8c1f-right", name="once-closed")
    settings = {"role_arn": arn, "external_id": "8c1f-right"}
    account = actions.link(acme, provider="aws", name="prod", settings=settings, secrets={}, by=None)
    store = factories.store(account)
    verification.of_all()
    page = as_alice.get(account.get_absolute_url()).content.decode()
    assert "Without an external ID, AWS refuses." in page
    assert "does not verify" not in as_alice.get("/stores/").content.decode()
    open_trust = trust_policy("8c1f-right", "*")
    del open_trust["Statement"][0]["Condition"]
    iam.update_assume_role_policy(RoleName="once-closed", PolicyDocument=json.dumps(open_trust))
    verified_at = account.verified_at
    assert "confused deputy" in read(account).error
    assert "confused deputy" in account.verify_error
    assert account.verified_at == verified_at
    for url in (account.get_absolute_url(), "/cloud-accounts/", "/stores/", store.get_absolute_url()):
        assert "does not verify any more" in as_alice.get(url).content.decode()
    assert (last().action, last().outcome, last().actor_name) == ("Verified cloud account", "failed", "")
    assert AuditEvent.objects.filter(action="Verified cloud account").count() == 1
    read(account)
    assert AuditEvent.objects.filter(action="Verified cloud account").count() == 1  # as before: nothing new to say
    trust = json.dumps(trust_policy("8c1f-right", "*"))
    iam.update_assume_role_policy(RoleName="once-closed", PolicyDocument=trust)
    assert read(account).error == ""
    assert account.verify_error == ""
    assert last().outcome == "done"


@pytest.mark.slow
def test_a_verification_without_an_answer_changes_nothing(as_alice, account, amazon):
    verification.of_all()
    amazon.inject("GetCallerIdentity", code="Throttling", status=400, times=3)
    found = read(account)
    assert "Throttling" in found.error
    assert account.verify_error == ""
    assert found.due_at - timezone.now() <= timedelta(minutes=1)
    amazon.inject("GetCallerIdentity", code="Throttling", status=400, times=3)
    assert submit(as_alice, f"{account.get_absolute_url()}verify/", headers=HTMX).status_code == 204
    assert "just now: AWS refused: Throttling" in as_alice.get("/cloud-accounts/").content.decode()
    account.refresh_from_db()
    assert account.verify_error == ""


# External IDs


def external_id(client):
    return client.get("/cloud-accounts/link/", {"provider": "aws"}).context["external_id"]


def test_an_external_id_is_each_members_own_and_survives_signing_out(client, alice, acme, charlie):
    client.force_login(alice)
    first = external_id(client)
    client.post("/logout/")
    client.force_login(alice)
    assert external_id(client) == first
    other = factories.user("adam", acme, "admin")
    client.force_login(other)
    assert external_id(client) != first
    client.force_login(charlie)
    assert external_id(client) != first


def test_an_external_id_is_used_up_with_the_link(alice, acme, amazon, own_identity):
    membership = Membership.objects.get(user=alice)
    given = actions.external_id(membership)
    settings = {"role_arn": make_role(amazon, given, name="linked-once"), "external_id": given}
    actions.link(acme, provider="aws", name="prod", settings=settings, secrets={}, by=alice)
    with pytest.raises(LinkError, match="just linked"):
        actions.link(acme, provider="aws", name="again", settings=settings, secrets={}, by=alice)
    assert CloudAccount.objects.count() == 1
    membership.refresh_from_db()
    assert actions.external_id(membership) != given


def test_a_stranger_cannot_link_a_role_whose_arn_they_know(client, acme, charlie, amazon, own_identity):
    arn = make_role(amazon, "acme-own", name="of-acme")
    client.force_login(charlie)
    external_id(client)
    values = {"provider": "aws", "name": "stolen", "method": "role", "role_arn": arn, "external_id": "acme-own"}
    assert "external ID" in errors(submit(client, "/cloud-accounts/link/", values, headers=HTMX))["role_arn"]
    assert not CloudAccount.objects.exists()
    assert (last().action, last().outcome) == ("Linked cloud account", "refused")


# The audit log


def test_linking_and_unlinking_are_written_down(as_alice, account, alice):
    factories.store(account, name="payroll")
    url = f"{account.get_absolute_url()}unlink/"
    with pytest.raises(actions.InUse):
        actions.unlink(account, by=alice)
    assert (last().outcome, "payroll" in last().after["reason"]) == ("refused", True)
    account.stores.all().delete()
    assert as_alice.post(url, {"name": account.name}, headers=HTMX).status_code == 204
    assert (last().action, last().subject, last().outcome) == ("Unlinked cloud account", "prod", "done")
    assert account.secrets["secret_access_key"] not in json.dumps(last().before)


@pytest.mark.parametrize("used", [CloudAccount, Store])
def test_whatever_keeps_an_account_or_a_store_is_registered(used):
    """The database refuses to delete what a row points to with PROTECT; people have to be told which row it is."""
    found = [find(used()).model for of, find in actions._user_finders if of is used]
    relations = [one for one in used._meta.get_fields(include_hidden=True) if one.auto_created and one.is_relation]
    protecting = [one.related_model for one in relations if one.on_delete is PROTECT]
    assert {*found} == {*protecting}
    assert len(found) == len(protecting) > 0
