"""Cloud Accounts: linked only after the cloud said who it is, never a secret on a page."""

from __future__ import annotations

import json

import boto3
import pytest
from django.urls import reverse

from console.accounts import actions
from console.accounts.models import CloudAccount
from stores.providers.aws_access import trust_policy
from tests import factories

SECRET = "marked-secret-hunter2"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def as_alice(client, alice):
    client.force_login(alice)
    return client


def by_key(amazon, **values):
    return {
        "provider": "aws",
        "name": "prod",
        "method": "access_key",
        "access_key_id": amazon.access_key_id,
        "secret_access_key": amazon.secret_access_key,
        **values,
    }


def make_role(amazon, external_id, name="storekeeper", condition=True):
    iam = boto3.client(
        "iam",
        region_name="us-east-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )
    trust = trust_policy(external_id, "*")
    if not condition:
        del trust["Statement"][0]["Condition"]
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]


@pytest.fixture
def own_identity(amazon, monkeypatch):
    """The console's own keys, with which it assumes roles."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", amazon.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", amazon.secret_access_key)


def test_account_link_reads_the_account_id_from_aws(as_alice, amazon):
    answer = as_alice.post("/cloud-accounts/link/", by_key(amazon), headers=HTMX)
    account = CloudAccount.objects.get()
    assert answer.status_code == 204
    assert (account.number, account.partition, account.method) == ("123456789012", "aws", "access_key")
    assert account.secrets == {"secret_access_key": amazon.secret_access_key}


def test_account_link_by_role_uses_our_external_id(as_alice, amazon, own_identity):
    external_id = as_alice.get("/cloud-accounts/link/", {"provider": "aws"}).context["external_id"]
    role_arn = make_role(amazon, external_id)
    answer = as_alice.post(
        "/cloud-accounts/link/",
        {"provider": "aws", "name": "prod", "method": "role", "role_arn": role_arn, "external_id": "chosen-by-me"},
    )
    assert answer.status_code == 302
    account = CloudAccount.objects.get()
    assert account.settings == {"role_arn": role_arn, "external_id": external_id}
    # The next link gets another one.
    assert as_alice.get("/cloud-accounts/link/").context["external_id"] != external_id


def test_account_link_refuses_a_role_that_works_without_the_external_id(as_alice, amazon, own_identity):
    role_arn = make_role(amazon, "", name="open", condition=False)
    answer = as_alice.post(
        "/cloud-accounts/link/", {"provider": "aws", "name": "prod", "method": "role", "role_arn": role_arn}
    )
    assert answer.status_code == 422
    assert "external ID" in answer.context["form"].errors["role_arn"][0]
    assert not CloudAccount.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"provider": "azure"}, "provider"),
        ({"method": "telepathy"}, "method"),
        ({"method": "role", "role_arn": "arn:aws:iam::1:role/x"}, "role_arn"),
        ({"method": "role"}, "role_arn"),
        ({"access_key_id": "short"}, "access_key_id"),
        ({"access_key_id": "AKIAUNKNOWN000000000"}, "access_key_id"),
        ({"secret_access_key": ""}, "secret_access_key"),
    ],
)
def test_account_link_refuses_bad_input(as_alice, amazon, values, field):
    answer = as_alice.post("/cloud-accounts/link/", by_key(amazon, **values), headers=HTMX)
    assert answer.status_code == 422
    assert answer.context["form"].errors[field]
    assert not CloudAccount.objects.exists()


def test_account_link_refuses_a_taken_name(as_alice, amazon, account):
    answer = as_alice.post("/cloud-accounts/link/", by_key(amazon, name=account.name.upper()))
    assert "exists" in answer.context["form"].errors["name"][0]


def test_account_link_never_gives_a_secret_back(as_alice, amazon):
    answer = as_alice.post("/cloud-accounts/link/", by_key(amazon, name="", secret_access_key=SECRET))
    assert answer.status_code == 422
    assert SECRET not in answer.content.decode()


def test_no_page_shows_a_secret(client, alice, acme):
    account = factories.account(acme, secrets={"secret_access_key": SECRET})
    store = factories.failed_store(account)
    client.force_login(alice)
    alice.is_staff = alice.is_superuser = True
    alice.save()
    for url in (
        "/cloud-accounts/",
        account.get_absolute_url(),
        store.get_absolute_url(),
        "/stores/",
        "/tasks/",
        "/admin/accounts/cloudaccount/",
        f"/admin/accounts/cloudaccount/{account.pk}/change/",
        f"/admin/stores/store/{store.pk}/change/",
    ):
        answer = client.get(url)
        assert answer.status_code == 200
        assert SECRET not in answer.content.decode()


def test_secrets_are_ciphertext_in_the_database(acme):
    from django.db import connection

    factories.account(acme, secrets={"secret_access_key": SECRET})
    with connection.cursor() as cursor:
        cursor.execute("SELECT secrets FROM accounts_cloudaccount")
        assert SECRET.encode() not in bytes(cursor.fetchone()[0])


def test_secrets_are_read_with_an_older_key(acme, settings):
    from cryptography.fernet import Fernet

    account = factories.account(acme, secrets={"secret_access_key": SECRET})
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEYS]
    account.refresh_from_db()
    assert account.secrets == {"secret_access_key": SECRET}


def test_account_verify_says_what_went_wrong(as_alice, amazon, account):
    url = reverse("accounts:verify", args=[account.pk])
    assert as_alice.post(url, headers=HTMX).status_code == 204
    account.refresh_from_db()
    assert account.verified_at
    assert not account.verify_error
    account.settings = {"access_key_id": "AKIAUNKNOWN000000000"}
    account.save()
    as_alice.post(url, headers=HTMX)
    account.refresh_from_db()
    assert account.verify_error
    assert account.verify_error in as_alice.get("/cloud-accounts/").content.decode()


def test_account_verify_notices_another_account(as_alice, amazon, account):
    key, secret = amazon.add_account("210987654321")
    account.settings, account.secrets = {"access_key_id": key}, {"secret_access_key": secret}
    account.save()
    assert not actions.verify(account)
    assert "210987654321" in account.verify_error


def test_account_unlink_wants_the_exact_name(as_alice, account):
    url = reverse("accounts:unlink", args=[account.pk])
    assert as_alice.post(url, {"name": "other"}).status_code == 422
    assert as_alice.post(url, {"name": account.name}, headers=HTMX).status_code == 204
    assert not CloudAccount.objects.exists()


def test_account_unlink_names_the_stores_that_use_it(as_alice, account):
    factories.store(account, name="payroll")
    url = reverse("accounts:unlink", args=[account.pk])
    assert "payroll" in as_alice.get(url).content.decode()
    answer = as_alice.post(url, {"name": account.name})
    assert answer.status_code == 422
    assert "payroll" in answer.content.decode()
    assert CloudAccount.objects.exists()


def test_strangers_see_404_and_viewers_change_nothing(client, account, bob, charlie):
    for path in ("detail", "verify", "unlink"):
        url = reverse(f"accounts:{path}", args=[account.pk])
        client.force_login(charlie)
        assert (client.get(url) if path == "detail" else client.post(url, {"name": account.name})).status_code == 404
        client.force_login(bob)
        assert (client.get(url) if path == "detail" else client.post(url, {"name": account.name})).status_code == (
            200 if path == "detail" else 403
        )
    assert client.post("/cloud-accounts/link/", {}).status_code == 403
    assert CloudAccount.objects.count() == 1


def test_account_list_asks_the_same_few_questions(as_alice, acme, django_assert_num_queries):
    for number in range(15):
        factories.account(acme, name=f"account-{number}")
    with django_assert_num_queries(6):
        as_alice.get("/cloud-accounts/")


def test_sign_in_has_no_hint_outside_the_demo(client, db):
    page = client.get("/login/")
    assert page.status_code == 200
    assert page.context["demo_sign_in"] == []


def test_sign_in_has_a_hint_in_the_demo(client, db, settings, tmp_path):
    settings.DEMO_FILE = str(tmp_path / "demo.json")
    (tmp_path / "demo.json").write_text(json.dumps({"username": "olivia", "password": "open-sesame"}))
    assert "open-sesame" in client.get("/login/").content.decode()


def test_sign_in_and_out(client, alice):
    answer = client.post("/login/", {"username": "alice", "password": "secret", "next": "/tasks/"})
    assert (answer.status_code, answer["Location"]) == (302, "/tasks/")
    assert client.post("/logout/").status_code == 302
    assert client.get("/stores/").status_code == 302


def test_sign_in_goes_nowhere_foreign(client, alice):
    answer = client.post("/login/?next=https://example.com/", {"username": "alice", "password": "secret"})
    assert answer["Location"] == "/"


def test_somebody_without_an_organisation_is_told(client, db):
    client.force_login(factories.user("lost"))
    assert client.get("/cloud-accounts/").status_code == 403


def test_constraint_one_account_name_per_organisation(acme, charlie):
    from django.db import IntegrityError

    factories.account(acme, name="prod")
    factories.account(charlie.organisations.get(), name="prod")
    with pytest.raises(IntegrityError):
        factories.account(acme, name="PROD")


def test_constraint_one_membership_per_user_and_organisation(acme, alice):
    from django.db import IntegrityError

    with pytest.raises(IntegrityError):
        acme.memberships.create(user=alice, role="viewer")
