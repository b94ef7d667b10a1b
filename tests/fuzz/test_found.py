"""What the fuzz has found, each fault as the shortest request that showed it."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from io import StringIO

import pytest
from botocore.awsrequest import AWSResponse
from django.db import connection
from django.test import RequestFactory

from clusters.pgbackrest.configuration import VERSIONS, Configuration, StanzaConfiguration
from console.clouds import CLOUDS
from console.clouds.s3 import access as s3_access
from console.clouds.s3api import buckets, clients
from console.clouds.steps import Failed
from console.web.forms import NameField
from console.wsgi import application
from stores.models import Store
from tests import factories
from tests.responses import HTMX
from tests.worlds.boto import Body


@pytest.mark.parametrize(
    "charset", ["zlib", "undefined", "idna", "utf-16", "UTF8", "x" * 20_000], ids=lambda name: name[:9]
)
def test_text_in_another_charset_is_refused_before_django_fails_at_it(charset):
    answers = []
    environ = RequestFactory()._base_environ(PATH_INFO="/login/", QUERY_STRING="q=1")
    environ |= {"CONTENT_TYPE": f"application/x-www-form-urlencoded; charset={charset}", "wsgi.errors": StringIO()}
    list(application(environ, lambda status, headers: answers.append(status)))
    assert answers == ["415 Unsupported Media Type"]


@pytest.mark.parametrize("headers", [{"cookie": 'sessionid="\\000aaaaaaaa"'}, {"HX-Current-URL": "http://["}])
def test_headers_that_make_no_sense_are_refused(as_alice, headers):
    answer = as_alice.get("/clusters/navigation/", headers=headers)
    assert answer.status_code == 400


@pytest.mark.parametrize("query", ["%" * 60_000, "x" * 60_000, "a\x00b"], ids=["wild", "long", "NUL"])
def test_searches_may_be_for_anything(as_alice, account, query):
    factories.store(account)
    for path in ("/stores/", "/tasks/", "/clusters/", "/cloud-accounts/"):
        assert as_alice.get(path, {"q": query}).status_code == 200, path


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00"])
def test_a_cursor_at_the_end_of_time_is_none(as_alice, account, moment):
    key = base64.urlsafe_b64encode(f"{moment} {factories.store(account).pk}".encode()).decode()
    for name in ("after", "before"):
        assert as_alice.get("/stores/", {name: key}).context["page"].items, name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("\U0001d160" * 60, "at most 60"),  # each is three characters when it is composed
        ("a\nb", "control"),
        ("a\u2028b", "control"),
        ("a\u202eb", "control"),
        ("a\x00b", "Null characters"),
        ("\u2800", "cannot be seen"),
        ("a\u3164", "cannot be seen"),
        ("x\u200db", "cannot be seen"),  # looks like xb
    ],
)
@pytest.mark.parametrize("path", ["/stores/create/", "/clusters/create/", "/cloud-accounts/link/"])
def test_names_hold_nothing_that_breaks_a_line_or_turns_it(as_alice, account, path, name, why):
    answer = as_alice.post(path, {"provider": "aws", "name": name}, headers=HTMX)
    assert answer.status_code == 422
    assert why in answer.context["form"].errors["name"][0]
    assert NameField().clean("Zoë\u0308's 備份 👩‍💻")  # and people's own words remain


def test_names_are_compared_as_the_database_compares_them(as_alice, account):
    """Some letters have a lower case and no upper one, so that upper() told two names apart which lower() did not."""
    data = {"provider": "aws", "cloud_account": str(account.pk), "region": "eu-west-1"}
    assert as_alice.post("/stores/create/", {**data, "name": "ϴ"}, headers=HTMX).status_code == 204
    second = as_alice.post("/stores/create/", {**data, "name": "θ"}, headers=HTMX)
    assert second.status_code == (422 if connection.vendor == "postgresql" else 204)  # SQLite's lower() is ASCII's
    assert Store.objects.count() == (1 if connection.vendor == "postgresql" else 2)


def test_a_cluster_can_be_begun_in_an_account_without_stores(as_alice, account):
    answer = as_alice.post("/clusters/create/", {"cloud_account": str(account.pk), "continue": "1"})
    assert f"{account.name} has no backup store yet" in answer.content.decode()


@pytest.mark.parametrize("onwards", ["home", "nowhere", "a b"])
def test_confirming_goes_on_to_addresses_only(as_alice, onwards):
    answer = as_alice.post("/confirm/", {"password": "secret", "next": onwards})
    assert (answer.status_code, answer["Location"]) == (302, onwards.replace(" ", "%20"))


def test_a_server_cannot_put_commands_into_what_is_shown_for_copying(acme):
    account = factories.server(acme).credentials()
    text = CLOUDS["s3"].storage.delete_commands(account, "pgbk-x;touch /tmp/owned", "us-east-1")
    assert "'pgbk-x;touch /tmp/owned'" in text
    assert text.replace("'pgbk-x;touch /tmp/owned'", "").count(";touch") == 0


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("pgbk-x\nrepo1-path=/", "us-east-1"),
        ("pgbk-x;id", "us-east-1"),
        ("pgbk-probe", "us-east-1\n[evil]"),
        ("a", "b"),
    ],
)
def test_a_bucket_that_no_server_can_have_is_passed_over(name, region):
    listing = iter([{"Name": name, "BucketRegion": region}, {"Name": "pgbk-legal"}])
    found = buckets.unmanaged(listing, (), "us-east-1", lambda name, region: {})
    assert [one.name for one in found] == ["pgbk-legal"]


@pytest.mark.parametrize("secret", ["x\nEND_OF_FILE\nid", "x y", "x\u2028"])
def test_a_key_of_two_lines_is_not_taken_from_a_server(acme, secret):
    key = f"<AccessKeyId>K</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><Status>Active</Status>"
    answer = f"<CreateAccessKeyResponse><CreateAccessKeyResult><AccessKey>{key}</AccessKey></CreateAccessKeyResult>"
    account = factories.server(acme).credentials()
    with (
        answering_with("CreateAccessKey", f"{answer}</CreateAccessKeyResponse>"),
        pytest.raises(Failed, match="single"),
    ):
        s3_access._make_key(account, "n1")


@contextmanager
def answering_with(operation, text):
    events, event = clients.session().events, f"before-send.iam.{operation}"

    def answer(request, **_):
        return AWSResponse(request.url, 200, {}, Body(text.encode()))

    events.register(event, answer)
    clients.forget_clients()
    yield
    events.unregister(event, answer)
    clients.forget_clients()


@pytest.mark.parametrize("value", ["a\nrepo2-type=posix", "a\r", "\u2028"])
def test_an_option_of_two_lines_is_in_no_file(value):
    with pytest.raises(ValueError, match="more than one line"):
        Configuration("c", "n1", VERSIONS[0], [], [StanzaConfiguration("main", 17, f"/{value}", 5432)]).render(
            secrets=True
        )


def test_support_acts_on_rows_that_cannot_be(client, db):
    client.force_login(factories.user("sue", is_staff=True, is_superuser=True))
    data = {"action": "try_again", "_selected_action": "no-key", "index": "0"}
    assert client.post("/admin/clusters/cluster/", data).status_code == 400
