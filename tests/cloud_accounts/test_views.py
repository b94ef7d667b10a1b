"""Cloud Accounts: linked only after the cloud said who it is, never a secret on a page."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from console.cloud_accounts import actions
from console.cloud_accounts.forms import LinkForm
from console.cloud_accounts.models import CloudAccount
from console.demo.credentials import PEOPLE
from tests import factories
from tests.cloud_accounts.linking import SECRET, by_endpoint, by_key, make_role, on, submit
from tests.responses import HTMX


def test_account_link_reads_the_account_id_from_aws(as_alice, amazon):
    answer = submit(as_alice, "/cloud-accounts/link/", by_key(amazon), headers=HTMX)
    account = CloudAccount.objects.get()
    assert answer["HX-Redirect"] == account.get_absolute_url()  # where it shows what the console may do there
    assert "AWS says it is account 123456789012" in as_alice.get(answer["HX-Redirect"]).content.decode()
    assert (account.number, account.partition, account.sign_in.key) == ("123456789012", "aws", "access_key")
    assert account.secrets == {"secret_access_key": amazon.secret_access_key}


def test_account_link_by_role_uses_our_external_id(as_alice, amazon, own_identity):
    external_id = as_alice.get("/cloud-accounts/link/", {"provider": "aws"}).context["external_id"]
    role_arn = make_role(amazon, external_id)
    answer = submit(
        as_alice,
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
    answer = submit(
        as_alice, "/cloud-accounts/link/", {"provider": "aws", "name": "prod", "method": "role", "role_arn": role_arn}
    )
    assert answer.status_code == 422
    assert "external ID" in answer.context["form"].errors["role_arn"][0]
    assert not CloudAccount.objects.exists()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"provider": "nimbus"}, "provider"),
        ({"method": "telepathy"}, "method"),
        ({"method": "role", "role_arn": "arn:aws:iam::1:role/x"}, "role_arn"),
        ({"method": "role"}, "role_arn"),
        ({"access_key_id": "short"}, "access_key_id"),
        ({"access_key_id": "AKIAUNKNOWN000000000"}, "access_key_id"),
        ({"secret_access_key": ""}, "secret_access_key"),
    ],
)
def test_account_link_refuses_bad_input(as_alice, amazon, values, field):
    answer = submit(as_alice, "/cloud-accounts/link/", by_key(amazon, **values), headers=HTMX)
    assert answer.status_code == 422
    assert answer.context["form"].errors[field]
    assert not CloudAccount.objects.exists()


def test_account_link_refuses_a_taken_name(as_alice, amazon, account):
    answer = submit(as_alice, "/cloud-accounts/link/", by_key(amazon, name=account.name.upper()))
    assert "exists" in answer.context["form"].errors["name"][0]


def test_account_link_never_gives_a_secret_back(as_alice, amazon):
    answer = submit(as_alice, "/cloud-accounts/link/", by_key(amazon, name="", secret_access_key=SECRET))
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
        "/admin/cloud_accounts/cloudaccount/",
        f"/admin/cloud_accounts/cloudaccount/{account.pk}/change/",
        f"/admin/stores/store/{store.pk}/change/",
    ):
        answer = client.get(url)
        assert answer.status_code == 200
        assert SECRET not in answer.content.decode()


def test_secrets_are_ciphertext_in_the_database(acme):
    from django.db import connection

    factories.account(acme, secrets={"secret_access_key": SECRET})
    with connection.cursor() as cursor:
        cursor.execute("SELECT secrets FROM cloud_accounts_cloudaccount")
        assert SECRET.encode() not in bytes(cursor.fetchone()[0])


def test_secrets_are_read_with_an_older_key(acme, settings):
    from cryptography.fernet import Fernet

    account = factories.account(acme, secrets={"secret_access_key": SECRET})
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_ENCRYPTION_KEYS]
    account.refresh_from_db()
    assert account.secrets == {"secret_access_key": SECRET}


def test_account_verify_says_what_went_wrong(as_alice, amazon, account):
    url = reverse("cloud_accounts:verify", args=[account.pk])
    assert submit(as_alice, url, headers=HTMX).status_code == 204
    account.refresh_from_db()
    assert account.verified_at
    assert not account.verify_error
    account.settings = {"access_key_id": "AKIAUNKNOWN000000000"}
    account.save()
    submit(as_alice, url, headers=HTMX)
    account.refresh_from_db()
    assert account.verify_error
    assert account.verify_error in as_alice.get("/cloud-accounts/").content.decode()


def test_account_verify_notices_another_account(as_alice, amazon, account):
    key, secret = amazon.add_account("210987654321")
    account.settings, account.secrets = {"access_key_id": key}, {"secret_access_key": secret}
    account.save()
    assert not actions.verify(account)
    assert "210987654321" in account.verify_error


@pytest.mark.parametrize(
    ("provider", "asked", "not_asked"),
    [("aws", "role_arn", "endpoint"), ("s3", "endpoint", "role_arn"), ("azure", "tenant_id", "endpoint")],
)
def test_account_link_asks_what_the_provider_needs(as_alice, provider, asked, not_asked):
    page = as_alice.get("/cloud-accounts/link/", {"provider": provider}, headers=HTMX).content.decode()
    assert f'name="{asked}"' in page
    assert f'name="{not_asked}"' not in page


@pytest.mark.parametrize(
    ("values", "field", "word"),
    [
        ({"name": ""}, "name", "required"),
        ({"endpoint": ""}, "endpoint", "address"),
        ({"endpoint": "http://s3.example.com"}, "endpoint", "TLS"),
        ({"endpoint": "ftp://s3.example.com"}, "endpoint", "https"),
        ({"endpoint": "https://s3.example.com/bucket"}, "endpoint", "only"),
        ({"endpoint": "https://s3.example.com?x=1"}, "endpoint", "only"),
        ({"endpoint": "https://me:secret@s3.example.com"}, "endpoint", "only"),
        ({"endpoint": "https://@s3.example.com"}, "endpoint", "only"),
        ({"endpoint": "https://s3.example.com:port"}, "endpoint", "address"),
        ({"endpoint": "https://s3.example.com:99999"}, "endpoint", "address"),
        ({"endpoint": "https://[::1]"}, "endpoint", "name"),
        ({"endpoint": "https://-x"}, "endpoint", "name"),
        ({"endpoint": f"https://{'x' * 65}"}, "endpoint", "64"),
        ({"region": ""}, "region", "region"),
        ({"region": "-x"}, "region", "letters"),
        ({"region": "a b"}, "region", "letters"),
        ({"region": "garage"}, "location", "where"),
        ({"location": "Atlantis"}, "location", "Atlantis"),
        ({"addressing_style": "sideways"}, "addressing_style", "sideways"),
        ({"ca_certificate": "hello"}, "ca_certificate", "certificate"),
        ({"ca_certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "ca_certificate", "no"),
        (
            {"ca_certificate": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"},
            "ca_certificate",
            "private",
        ),
        ({"access_key_id": ""}, "access_key_id", "ID"),
        ({"secret_access_key": ""}, "secret_access_key", "secret"),
    ],
)
def test_account_link_of_a_server_refuses_bad_input(as_alice, values, field, word):
    answer = submit(as_alice, "/cloud-accounts/link/", by_endpoint(**values), headers=HTMX)
    assert answer.status_code == 422
    assert word in " ".join(answer.context["form"].errors[field])
    assert SECRET not in answer.content.decode()
    assert not CloudAccount.objects.exists()


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("https://S3.Example.com/", "https://s3.example.com"),
        ("https://s3.example.com:443", "https://s3.example.com"),
        ("s3.example.com:9000", "https://s3.example.com:9000"),
        (" https://10.0.0.7:9000/ ", "https://10.0.0.7:9000"),
    ],
)
def test_account_link_writes_an_endpoint_in_one_way(acme, given, endpoint):
    form = LinkForm(by_endpoint(endpoint=given), organisation=acme, chosen="s3")
    assert form.is_valid(), form.errors
    assert form.account_settings()["endpoint"] == endpoint


@pytest.mark.parametrize(
    ("region", "given", "code"),
    [
        ("us-east-1", "", "ashburn"),
        ("eu-west-1", "", "dublin"),
        ("eu-west-1", "oslo", "oslo"),
        ("garage", "São Paulo, Brazil", "sao-paulo"),
        ("RegionOne", "sao paulo", "sao-paulo"),
    ],
)
def test_account_link_finds_out_where_a_server_stands(acme, region, given, code):
    form = LinkForm(by_endpoint(region=region, location=given), organisation=acme, chosen="s3")
    assert form.is_valid(), form.errors
    assert form.account_settings()["location"] == code
    assert form.account_settings()["region"] == region


def test_account_link_verifies_certificates_unless_told_otherwise(acme):
    for values, expected in (({}, ""), ({"skip_tls_verify": "on"}, "yes")):
        form = LinkForm(by_endpoint(**values), organisation=acme, chosen="s3")
        assert form.is_valid()
        assert form.account_settings().get("skip_tls_verify", "") == expected


@pytest.mark.slow
def test_account_link_of_a_server_proves_it(as_alice, object_server):
    answer = submit(as_alice, "/cloud-accounts/link/", on(object_server), headers=HTMX)
    assert "HX-Redirect" in answer, answer.context["form"].errors
    account = CloudAccount.objects.get()
    number = object_server.endpoint.removeprefix("https://")
    assert (account.provider_key, account.number, account.partition) == ("s3", number, "")
    assert account.secrets == {"secret_access_key": object_server.secret_access_key}
    assert "bucket_policy" in account.settings["has"]
    page = as_alice.get("/cloud-accounts/").content.decode()
    for words in (
        object_server.endpoint,
        "Ashburn, United States",
        "verified with your CA certificate",
        "Access logging",
    ):
        assert words in page
    assert "the log bucket stays empty" in page
    assert object_server.secret_access_key not in page
    assert "The server lacks access logging" in page  # the message of the link


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"secret_access_key": "wrong"}, "secret_access_key"),
        ({"access_key_id": "UNKNOWNUNKNOWN00"}, "access_key_id"),
        ({"ca_certificate": ""}, "ca_certificate"),
        ({"endpoint": "https://localhost:9"}, "endpoint"),
    ],
)
def test_account_link_says_beside_the_field_what_a_server_refused(as_alice, object_server, values, field):
    answer = submit(as_alice, "/cloud-accounts/link/", on(object_server, **values), headers=HTMX)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not CloudAccount.objects.exists()


@pytest.mark.slow
def test_account_verify_of_a_server_finds_out_again_what_it_has(as_alice, acme, object_server):
    assert submit(as_alice, "/cloud-accounts/link/", on(object_server)).status_code == 302
    account = CloudAccount.objects.get()
    found = account.settings["has"]
    account.settings["has"] = "access_logging"  # as if the server had been another one then
    account.save()
    assert actions.verify(account)
    account.refresh_from_db()
    assert account.settings["has"] == found
    account.secrets = {"secret_access_key": "changed"}
    account.save()
    assert not actions.verify(account)
    account.refresh_from_db()
    assert account.settings["has"] == found
    assert "secret" in account.verify_error


def test_account_pane_warns_of_a_certificate_that_is_not_verified(as_alice, acme):
    factories.server(acme, skip_tls_verify="yes")
    page = as_alice.get("/cloud-accounts/").content.decode()
    assert "NOT verified" in page
    assert "Warning" in page


def test_account_unlink_wants_the_exact_name(as_alice, account):
    url = reverse("cloud_accounts:unlink", args=[account.pk])
    assert as_alice.post(url, {"name": "other"}).status_code == 422
    assert as_alice.post(url, {"name": account.name}, headers=HTMX).status_code == 204
    assert not CloudAccount.objects.exists()


def test_account_unlink_names_the_stores_that_use_it(as_alice, account):
    factories.store(account, name="payroll")
    url = reverse("cloud_accounts:unlink", args=[account.pk])
    assert "payroll" in as_alice.get(url).content.decode()
    answer = as_alice.post(url, {"name": account.name})
    assert answer.status_code == 422
    assert "payroll" in answer.content.decode()
    assert CloudAccount.objects.exists()


def test_strangers_see_404_and_viewers_change_nothing(client, account, bob, charlie):
    for path in ("detail", "verify", "unlink"):
        url = reverse(f"cloud_accounts:{path}", args=[account.pk])
        client.force_login(charlie)
        assert (client.get(url) if path == "detail" else client.post(url, {"name": account.name})).status_code == 404
        client.force_login(bob)
        assert (client.get(url) if path == "detail" else client.post(url, {"name": account.name})).status_code == (
            200 if path == "detail" else 403
        )
    for values in ({}, by_endpoint()):
        assert submit(client, "/cloud-accounts/link/", values).status_code == 403
    assert CloudAccount.objects.count() == 1


def test_account_list_asks_the_same_few_questions(as_alice, acme, django_assert_num_queries):
    for number in range(15):
        factories.account(acme, name=f"account-{number}")
    with django_assert_num_queries(8):  # two of them for the permissions of all
        as_alice.get("/cloud-accounts/")


def test_sign_in_has_no_hint_outside_the_demo(client, db):
    page = client.get("/login/")
    assert page.status_code == 200
    assert page.context["demo_sign_in"] == []


def test_sign_in_has_a_hint_in_the_demo(client, db, settings, tmp_path):
    settings.DEMO_FILE = str(tmp_path / "demo.json")
    people = {role: {"username": name, "password": f"{name}-sesame"} for role, (name, _) in PEOPLE.items()}
    (tmp_path / "demo.json").write_text(json.dumps(people))
    page = client.get("/login/").content.decode()
    assert [name for name, _ in PEOPLE.values() if f"{name}-sesame" not in page] == []


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


def test_account_detail_goes_back_to_the_list_when_the_account_is_gone(as_alice, account):
    url = account.get_absolute_url()
    account.delete()
    assert as_alice.get(url, headers=HTMX)["HX-Redirect"] == "/cloud-accounts/"
    assert as_alice.get(url).status_code == 404
