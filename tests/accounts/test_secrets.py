"""Marked secrets in every encrypted field, and none of them in any page, log, error report, message or table."""

from __future__ import annotations

import itertools
import json
import logging
import re
import sys
from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest
from celery.signals import before_task_publish
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.core.signals import got_request_exception
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django.views.debug import ExceptionReporter
from moto.iam.models import iam_backends

from clusters.models import (
    Attachment,
    Bringing,
    BroughtIn,
    Cluster,
    Database,
    Drill,
    Node,
    RecoveryIdentity,
    RemovedNode,
    Repository,
)
from clusters.node_setup import node_setups
from console.accounts import installation, rotation
from console.alerts.models import AlertSettings, Channel
from console.api.models import KeptAnswer, Token
from console.cloud_accounts import actions as cloud_accounts
from console.cloud_accounts import preflight, verification
from console.cloud_accounts.models import Attempt, CloudAccount, Verification
from console.operations import snapshots
from console.operations.models import Operation
from console.restoration.models import NodeFile
from stores import actions as stores
from stores.models import Store
from tests import factories
from tests.cloud_accounts.linking import by_key, work
from tests.delivery import deliver
from tests.responses import HTMX

MARK = "marked-secret-"
POSTED = f"{MARK}posted-hunter2"


@pytest.fixture
def planted(acme, alice):
    """A row in every model that keeps secrets, each with a secret that is found again wherever it turns up."""
    installation.this()
    account = factories.account(acme)
    server = factories.server(acme)
    cluster = Cluster.objects.create(organisation=acme, cloud_account=server, name="orders", state="available")
    Node.objects.create(cluster=cluster, name="n1", region="us-east-1")
    Database.objects.create(cluster=cluster, name="orders", version="15", data_directory="/var/lib/postgresql/15/main")
    Drill.objects.create(cluster=cluster, schedule="0 3 * * 0", machine="drills-1")
    RemovedNode.objects.create(
        cluster=cluster, name="n9", region="us-east-1", applied_sha256="", reported_at=account.created_at
    )
    store = factories.store(server, region="us-east-1")
    repository = Repository.objects.create(cluster=cluster, store=store, number=1)
    Attachment.objects.create(cluster=cluster, store=store, repository=repository, state="attached")
    RecoveryIdentity.objects.create(
        organisation=acme, cloud_account=server, repository=repository, until=timezone.now() + timedelta(hours=1)
    )
    Attempt.objects.create(membership=alice.memberships.get(), verb="link", tried_at=account.created_at)
    Bringing.objects.create(organisation=acme, cloud_account=server, tried_at=account.created_at)
    BroughtIn.objects.create(cluster=cluster, handed_over_at=account.created_at)
    NodeFile.objects.create(organisation=acme, cloud_account=server, node="n1", tried_at=account.created_at)
    Channel.objects.create(organisation=acme, kind="slack", name="slack", shown="a.example.org", secrets={"url": ""})
    AlertSettings.objects.create(organisation=acme, deadman_shown="a.example.org", secrets={"url": ""})
    token = Token.objects.create(
        organisation=acme, membership=alice.memberships.get(), name="ci", key="A" * 12, expires_at=timezone.now()
    )
    KeptAnswer.objects.create(token=token, key="k1", sealed={"content": ""})
    for model, name in rotation.fields():
        rows = list(model._base_manager.all())
        assert rows, f"{model.__name__} keeps secrets, and this test plants none there"
        for row in rows:
            kept = getattr(row, name) or {"access_key_id": "KEY", "secret_access_key": ""}
            mark = f"{MARK}{model.__name__}-{row.pk}"
            setattr(row, name, {key: value if key == "access_key_id" else mark for key, value in kept.items()})
            row.save()
    return account, server, store, cluster


def patterns(resolver=None, prefix=""):
    """Yield every route of the console with the names of what it takes."""
    for one in (resolver or get_resolver()).url_patterns:
        route = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from patterns(one, route)
        elif isinstance(one, URLPattern):
            yield "/" + route


KINDS = {
    "/alerts/": (Channel,),
    "/api-tokens/": (Token,),
    "/cloud-accounts/": (CloudAccount,),
    "/stores/": (Store, CloudAccount),
    "/clusters/": (Cluster, Store, Repository, Drill),
}
CONVERTERS = {"uuid": UUID, "int": int, "path": object}  # what stands in an address, and the keys that fit there
WORDS = {"nodes": {"n1"}, "removed-nodes": {"n9"}, "databases": {"orders"}}


def addresses():
    """Yield each address of the console, with what was planted put in where it takes something."""
    for route in patterns():
        if "(?P" in route:  # the admin's catch-all
            continue
        kinds = next((found for start, found in KINDS.items() if route.startswith(start)), (Operation,))
        of_admin = re.match(r"/admin/(\w+)/(\w+)/", route)
        if of_admin and "<path" in route:
            kinds = (apps.get_model(*of_admin.groups()),)
        rows = [row.pk for kind in kinds for row in kind._base_manager.all()[:3]]
        keys = {name: {str(key) for key in rows if isinstance(key, kind)} for name, kind in CONVERTERS.items()}
        taken = re.findall(r"<(?:(\w+):)?\w+>", route)
        words = next((found for part, found in WORDS.items() if f"/{part}/" in route), {"aws", "permissions.json"})
        for values in itertools.product(*(keys.get(kind, words) for kind in taken)):
            given = iter(values)
            yield re.sub(r"<[^>]*>", lambda _, given=given: next(given), route).replace("^", "")


def visitors(acme, alice, bob, charlie):
    """Yield a client for each kind of person; all signed in long ago, so what reveals secrets asks who they are."""
    adam = factories.user("adam", acme, "admin")
    sue = factories.user("sue", is_staff=True, is_superuser=True)
    for person in (alice, adam, bob, charlie, sue):
        client = Client()
        client.force_login(person)
        session = client.session
        for key in [key for key in list(session.keys()) if not key.startswith("_auth")]:
            del session[key]
        session.save()
        yield person.username, client
    yield "nobody", Client()


def leaks(text, where):
    found = sorted(set(re.findall(rf"{MARK}\w+-[\w-]+", text)))
    assert not found, f"{where} holds {found}"


@pytest.fixture
def logged(caplog):
    """All that is logged, as loudly as an operator can have it."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    said = logging.Formatter()
    leaks("\n".join(f"{said.format(one)} {one.__dict__}" for one in caplog.records), "the log")


def test_what_is_planted_would_be_found(planted):
    cluster = Cluster.objects.with_node_setup().get(pk=planted[3].pk)
    [node_setup] = node_setups(cluster)
    with pytest.raises(AssertionError, match="Repository"):
        leaks(node_setup.configuration.render(secrets=True), "the file of a node")


@pytest.mark.slow
@pytest.mark.timeout(600)  # thousands of requests
def test_no_page_of_anybody_holds_a_secret(planted, logged, acme, alice, bob, charlie):
    shown, leads = {}, set()
    for who, client in visitors(acme, alice, bob, charlie):
        client.raise_request_exception = False
        for url in sorted({*addresses()}):
            if url.startswith(("/metrics", "/readyz")) or (url.startswith("/admin/") and who != "sue"):
                continue  # what the admin refuses is not looked at again for everybody
            if who != "alice" and url not in leads and not url.startswith("/admin/"):
                continue  # of the keys that were put into it, some belong to nothing of that kind, whoever asks
            answer = client.get(url)
            if who == "alice" and answer.status_code != 404:
                leads.add(url)
            leaks(f"{answer.getvalue().decode(errors='replace')} {answer.headers}", f"{url} for {who}")
            shown[who] = shown.get(who, 0) + (answer.status_code == 200)
    # That it is a walk, and not a row of refusals.
    assert shown["alice"] > 30, shown
    assert shown["sue"] > 20, shown
    assert shown["alice"] >= shown["adam"] > shown["bob"] > shown["charlie"] > shown["nobody"], shown


def has_secret(amazon, secret, monkeypatch):
    """Have the emulated Amazon know the user's access key by a secret of this test."""
    key = iam_backends[amazon.account_id]["aws"].access_keys[amazon.access_key_id]
    monkeypatch.setattr(key, "secret_access_key", secret)


def test_nothing_that_work_leaves_behind_holds_a_secret(
    planted, logged, amazon, alice, capfd, monkeypatch, django_capture_on_commit_callbacks
):
    account, server, _, cluster = planted
    has_secret(amazon, CloudAccount.objects.get(pk=account.pk).secrets["secret_access_key"], monkeypatch)
    sent = []

    def seen(**message):
        sent.append(repr(message))

    before_task_publish.connect(seen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            made = [stores.create(account, name=f"new-{n}", region="eu-west-1", by=alice) for n in range(2)]
            cloud_accounts.check_account(account)
    finally:
        before_task_publish.disconnect(seen)
    amazon.inject("PutBucketPolicy", code="AccessDenied", status=403, times=3)
    for store in made:
        deliver(store.operation_id)
    for reading in (*preflight.of_all(), *verification.of_all()):
        Verification.objects.update(due_at="2020-01-01T00:00Z")
        snapshots.read(reading.LABEL, reading.pk)  # of the server too, which is not there
    assert Operation.objects.filter(state="failed").exists()
    assert {one.operation for one in amazon.calls} >= {"CreateBucket", "SimulatePrincipalPolicy", "GetCallerIdentity"}
    assert len(sent) >= 3
    leaks(" ".join(sent), "a message to the workers")
    out, err = capfd.readouterr()
    leaks(out + err, "what was printed")
    leaks(database(), "the database")
    dumped = StringIO()
    call_command("dumpdata", stdout=dumped)
    assert str(account.pk) in dumped.getvalue()
    leaks(dumped.getvalue(), "dumpdata")
    for row in (account, server, cluster, account.credentials(), made[0].spec(), cluster.spec()):
        leaks(repr(row) + str(row), f"repr of {type(row).__name__}")


def database():
    """Return all that any table holds, as the database itself shows it, and what is in the sessions."""
    found = [json.dumps(one.get_decoded()) for one in Session.objects.all()]
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                found += [str(bytes(one) if isinstance(one, memoryview) else one) for one in row]
    return " ".join(found)


@pytest.fixture
def reports():
    """What Django makes of each unexpected error: the page for developers, and the text for a mail."""
    made = []

    def report(request, **_):
        reporter = ExceptionReporter(request, *sys.exc_info(), is_email=True)
        made.extend([reporter.get_traceback_html(), reporter.get_traceback_text()])

    got_request_exception.connect(report)
    yield made
    got_request_exception.disconnect(report)


def test_no_error_report_holds_a_secret(planted, logged, amazon, alice, reports, monkeypatch):
    account = planted[0]
    has_secret(amazon, POSTED, monkeypatch)
    client = Client(raise_request_exception=False)
    client.force_login(alice)

    def broken(execute, sql, params, many, context):
        if any(sql.startswith((f'INSERT INTO "{table}"', f'UPDATE "{table}"')) for table in gone):
            raise RuntimeError("The database is gone.")
        return execute(sql, params, many, context)

    given = {"name": "renamed", "access_key_id": amazon.access_key_id, "secret_access_key": POSTED}
    gone = ["cloud_accounts_attempt"]
    with connection.execute_wrapper(broken):
        posts = (
            ("/cloud-accounts/link/", by_key(amazon, name="new", secret_access_key=POSTED)),
            (f"{account.get_absolute_url()}change/", given),
            (f"{account.get_absolute_url()}verify/", {}),
        )
        answers = [client.post(url, values) for url, values in posts]
    assert [answer.status_code for answer in answers] == [500, 500, 500]
    assert len(reports) == 6
    assert all("The database is gone." in one for one in reports)
    assert any("secret_access_key" in one for one in reports)  # the name of the field, not what was in it
    leaks(" ".join(reports), "an error report")
    leaks(" ".join(answer.content.decode() for answer in answers), "the page of an error")
    assert [client.post(url, values).status_code for url, values in posts[:2]] == [302, 302]
    gone = ["cloud_accounts_cloudaccount"]
    with connection.execute_wrapper(broken):
        work()
    assert [one.error for one in Attempt.objects.exclude(tried_at=None).exclude(error="")] == [
        "Unexpected error (RuntimeError); the console's log has the details."
    ] * 2
    assert CloudAccount.objects.count() == 2
    leaks(database(), "the database")


def test_an_error_report_holds_no_password_of_a_setting(rf, settings):
    settings.REDIS_URL = f"rediss://:{POSTED}@redis.example.com"
    try:
        raise RuntimeError
    except RuntimeError:
        report = ExceptionReporter(rf.get("/"), *sys.exc_info()).get_traceback_html()
    assert "REDIS_URL" in report
    leaks(report, "an error report")


def test_no_answer_to_a_form_holds_what_was_posted(planted, logged, amazon, alice):
    account, server = planted[:2]
    client = Client()
    client.force_login(alice)
    given = {"name": "", "access_key_id": "short", "secret_access_key": POSTED, "endpoint": "https://127.0.0.1:9"}
    for url in (
        "/cloud-accounts/link/",
        f"{account.get_absolute_url()}change/",
        f"{server.get_absolute_url()}change/",
    ):
        for provider, headers in itertools.product(("aws", "s3", "azure"), ({}, HTMX)):
            answer = client.post(url, {**given, "provider": provider, "method": "access_key"}, headers=headers)
            assert answer.status_code == 422
            leaks(answer.content.decode(), url)
