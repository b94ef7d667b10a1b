from __future__ import annotations

import ast
import csv
import inspect
import io
import json
import logging
import textwrap
from datetime import timedelta
from importlib import import_module

import hypothesis
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from hypothesis import strategies as st

from clusters import keys
from clusters.models import Cluster
from console.accounts import activity
from console.accounts.models import User
from console.audit.models import AuditEvent
from console.audit.views import safe
from console.web.logs import JSONFormatter, WithOrigin
from stores import actions as stores
from stores.models import Store
from tests import factories
from tests.delivery import deliver

MODULES = [
    import_module(name)
    for name in (
        "console.cloud_accounts.actions",
        "console.operations.actions",
        "stores.actions",
        "clusters.actions",
        "clusters.keys",
        "clusters.replication_actions",
    )
]
ACTIONS = {
    f"{module.__name__}.{name}": function
    for module in MODULES
    for name, function in vars(module).items()
    if inspect.isfunction(function) and function.__module__ == module.__name__
}


def _calls(function):
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name):
                yield function.__globals__.get(called.id)
            elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                yield getattr(function.__globals__.get(called.value.id), called.attr, None)


def _notes(function, seen=()):
    """Say whether the function writes an audit event, itself or by another one of these modules."""
    return any(
        called is activity.record
        or (called in ACTIONS.values() and called not in seen and _notes(called, (*seen, function)))
        for called in _calls(function)
    )


@pytest.mark.parametrize(
    "name",
    sorted(name for name, f in ACTIONS.items() if f.__name__[0] != "_" and "by" in inspect.signature(f).parameters),
)
def test_an_action_that_somebody_takes_is_noted(name):
    assert _notes(ACTIONS[name])


def test_the_walk_of_actions_finds_one_that_notes_nothing():
    assert not _notes(stores.count)
    assert sum("by" in inspect.signature(f).parameters for f in ACTIONS.values()) > 20


@pytest.fixture
def event(acme, alice, account):
    activity.record("Linked", account, organisation=acme, by=alice, after={"number": account.number})
    return AuditEvent.objects.get()


@pytest.mark.parametrize("how", ["UPDATE audit_auditevent SET action = 'x'", "DELETE FROM audit_auditevent"])
def test_the_database_refuses_to_change_or_delete_an_event(event, how):
    with pytest.raises(DatabaseError, match="neither changed nor deleted"), transaction.atomic():
        connection.cursor().execute(how)
    assert AuditEvent.objects.get().action == "Linked"


def test_the_database_refuses_to_truncate_the_events(event):
    with pytest.raises(DatabaseError, match=r"neither changed nor deleted|syntax error"), transaction.atomic():
        connection.cursor().execute("TRUNCATE audit_auditevent")  # SQLite does not know the word


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("time", [1, 2])
def test_a_flushed_database_still_refuses(acme, time):
    activity.record("Linked", acme, organisation=acme, by=None)
    with pytest.raises(DatabaseError, match="neither changed nor deleted"):
        AuditEvent.objects.all().delete()
    assert AuditEvent.objects.count() == 1


def test_an_event_outlives_the_person_and_the_subject(event, alice, account, client):
    number, pk = str(account.pk), alice.pk
    account.delete()
    User.objects.filter(pk=pk).delete()
    again = AuditEvent.objects.get()
    assert (again.actor_id, again.actor_name, again.subject_id, again.subject) == (pk, "alice", number, "prod")


def test_an_operation_is_noted_when_it_begins_and_once_when_it_ends(acme, alice, account, amazon):
    store = stores.create(account, name="orders", region="eu-west-1", by=alice)
    operation = store.operation
    for _ in range(3):
        deliver(operation.pk)
    found = AuditEvent.objects.order_by("created_at").values_list("outcome", "actor_name", "subject_kind", "subject_id")
    here = ("alice", "stores.store", str(store.pk))
    assert list(found) == [("begun", *here), ("done", *here)]
    assert {event.after["operation"] for event in AuditEvent.objects.all()} == {str(operation.pk)}


def test_a_failed_operation_is_noted_with_the_call_that_failed(alice, account, amazon):
    amazon.inject("CreateBucket", code="TooManyBuckets", status=400, times=2)
    store = stores.create(account, name="orders", region="eu-west-1", by=alice)
    deliver(store.operation.pk)
    ended = AuditEvent.objects.exclude(outcome="begun").get()
    assert ended.outcome == "failed"
    assert ended.after["call"]["code"] == "TooManyBuckets"
    assert ended.after["call"]["request_id"]


def test_what_is_not_begun_is_not_noted(alice, account):
    store = factories.store(account)
    stores.delete(store, by=alice)
    with pytest.raises(stores.NotNow):
        stores.delete(store, by=alice)
    assert AuditEvent.objects.count() == 1


def test_a_key_that_is_entered_shows_in_no_event(acme, alice, account):
    cluster = Cluster.objects.create(organisation=acme, cloud_account=account, name="ledger", nodes_made=0)
    keys.give_key(cluster, access_key_id="AKIA1", secret_access_key="very-secret", by=alice)
    event = AuditEvent.objects.get()
    assert event.after == {"access_key_id": "AKIA1"}
    assert "very-secret" not in json.dumps(event.as_json())


def test_a_refused_attempt_is_noted_with_its_address_and_request(client, bob, settings):
    client.force_login(bob)
    answer = client.get("/audit/", headers={"X-Request-ID": "proxy-1234567"}, REMOTE_ADDR="192.0.2.7")
    assert answer.status_code == 403
    event = AuditEvent.objects.get()
    assert (event.outcome, event.actor_name, event.subject) == ("refused", "bob", "/audit/")
    assert (event.address, event.request_id) == ("192.0.2.7", "proxy-1234567")
    assert event.after == {"needs": "see_audit"}


def test_refused_attempts_of_one_person_do_not_fill_the_table(client, acme, bob, monkeypatch):
    monkeypatch.setattr(activity, "REFUSALS_AN_HOUR", 3)
    client.force_login(bob)
    for _ in range(5):
        assert client.get("/audit/").status_code == 403
    assert AuditEvent.objects.count() == 3


@pytest.mark.parametrize(("trusted", "told", "address"), [
    (0, "203.0.113.9", "127.0.0.1"),
    (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
    (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
    (2, "203.0.113.9", "127.0.0.1"),
    (1, "6.6.6.6, unknown", "127.0.0.1"),
    (1, "203.0.113.9:443", "127.0.0.1"),
    (1, "203.0.113.9\nforged", "127.0.0.1"),
    (1, "2001:DB8::0:1", "2001:db8::1"),
])  # fmt: skip
def test_the_address_is_what_a_trusted_proxy_saw(client, bob, settings, trusted, told, address):
    settings.TRUSTED_PROXY_COUNT = trusted
    client.force_login(bob)
    client.get("/audit/", headers={"X-Forwarded-For": told})
    assert AuditEvent.objects.get().address == address


def test_each_event_is_a_line_of_json_in_the_log_after_the_commit(
    acme, alice, account, caplog, django_capture_on_commit_callbacks
):
    with caplog.at_level(logging.INFO, "storekeeper.audit"):
        with django_capture_on_commit_callbacks(execute=True):
            activity.record("Linked", account, organisation=acme, by=alice, after={"name": "prod\nfalse line"})
            assert not caplog.records
        (record,) = caplog.records
    WithOrigin().filter(record)
    line = JSONFormatter().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert (told["who"], told["what"], told["kind"], told["id"]) == (
        *("alice", "Linked", "cloud_accounts.cloudaccount", str(account.pk)),
    )


# The page


@pytest.fixture
def events(acme, alice, account):
    """Some events on different days, by different people."""
    store = factories.store(account)
    day = timezone.now().replace(hour=12)
    made = [
        ("alice", "Create Backup Store", store, "done", day),
        ("bob", "Was refused", None, "refused", day - timedelta(days=2)),
        ("", "Delete Backup Store", None, "failed", day - timedelta(days=4)),
    ]
    return AuditEvent.objects.bulk_create(
        AuditEvent(
            organisation=acme,
            actor_name=who,
            action=what,
            subject=str(subject or "/gone/"),
            subject_kind="stores.store",
            subject_id=str(subject.pk if subject else "c0ffee00-0000-4000-8000-000000000000"),
            outcome=outcome,
            created_at=at,
        )
        for who, what, subject, outcome, at in made
    )


def _day(days):
    return (timezone.now() - timedelta(days=days)).date().isoformat()


@pytest.mark.parametrize(("name", "value", "shown"), [
    ("who", "alice", [0]),
    ("who", "the console", [2]),
    ("action", "Was refused", [1]),
    ("outcome", "failed", [2]),
    ("subject", "c0ffee00-0000-4000-8000-000000000000", [1, 2]),
    ("subject", "ord", [0]),
    ("since", 3, [0, 1]),
    ("until", 3, [2]),
])  # fmt: skip
def test_audit_list_shows_what_is_filtered(client, alice, events, name, value, shown):
    client.force_login(alice)
    answer = client.get("/audit/", {name: _day(value) if isinstance(value, int) else value})
    assert [row[0].pk for row in answer.context["rows"]] == [events[at].pk for at in shown]


def test_audit_list_offers_the_people_and_actions_that_there_are(client, alice, charlie, events):
    client.force_login(alice)
    context = client.get("/audit/?outcome=failed").context
    assert context["people"] == ["alice", "bob", "the console"]
    assert context["actions"] == ["Create Backup Store", "Delete Backup Store", "Was refused"]
    client.force_login(charlie)
    assert not client.get("/audit/").context["people"]


def test_audit_list_links_only_a_subject_that_exists(client, alice, events):
    client.force_login(alice)
    page = client.get("/audit/").content.decode()
    assert f"/stores/{Store.objects.get().pk}/" in page
    assert "/stores/c0ffee00" not in page


@pytest.mark.parametrize("query", ["since=31.12.2025", "outcome=maybe", "who=%00", "until=9999-99-99"])
def test_audit_list_refuses_a_filter_that_is_none(client, alice, events, query):
    client.force_login(alice)
    assert client.get(f"/audit/?{query}").status_code == 422
    assert client.get(f"/audit/audit.csv?{query}").status_code == 422


@pytest.mark.parametrize("query", ["since=0001-01-01", "until=9999-12-31"])
def test_audit_list_takes_the_first_and_the_last_day(client, alice, events, query):
    client.force_login(alice)
    assert len(client.get(f"/audit/?{query}").context["rows"]) == 3


def test_audit_list_shows_nothing_of_others(client, charlie, events):
    client.force_login(charlie)
    assert client.get("/audit/").context["rows"] == []


def test_audit_list_takes_few_queries(client, alice, events, django_assert_num_queries):
    client.force_login(alice)
    with django_assert_num_queries(8):
        client.get("/audit/")


def test_audit_csv_holds_what_is_filtered_and_is_noted(client, alice, events):
    client.force_login(alice)
    answer = client.get("/audit/audit.csv", {"outcome": "failed"})
    assert answer.streaming
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [row["event_id"] for row in rows] == [str(events[2].pk)]
    assert AuditEvent.objects.get(action="Downloaded audit events").after == {"filter": {"outcome": "failed"}}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_audit_csv_holds_no_formula(client, acme, alice, start):
    evil = f'{start}HYPERLINK("https://example.com")'
    AuditEvent.objects.create(organisation=acme, actor_name=evil, action="x", subject=evil, request_id=evil)
    client.force_login(alice)
    rows = csv.reader(io.StringIO(client.get("/audit/audit.csv").getvalue().decode(), newline=""))
    cells = [cell for row in rows for cell in row]
    assert sum("HYPERLINK" in cell for cell in cells) == 3
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert safe(evil) == f"'{evil}"


PIECES = st.sampled_from(
    [";", ",", "\t", "|", "\r", "\n", "\v", "\u2028", '"', "'", " ", "=", "+", "-", "@", "\uff1d", "x", "1"]
)


@pytest.mark.slow
@hypothesis.settings(max_examples=400, derandomize=True, database=None, deadline=None)
@hypothesis.given(st.lists(st.lists(PIECES, max_size=8).map("".join), min_size=1, max_size=3))
def test_no_cell_is_a_formula_whatever_separates_cells_for_a_spreadsheet(texts):
    line = io.StringIO(newline="")
    csv.writer(line).writerow(["2026-01-01", *map(safe, texts)])
    file = line.getvalue()
    for delimiter in ",;\t|":
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            for row in csv.reader(io.StringIO(file, newline=""), delimiter=delimiter, quoting=quoting):
                starts = [cell.strip().lstrip('"').strip()[:1] for cell in row]
                if delimiter == "," and quoting == csv.QUOTE_NONE:
                    continue  # commas in a cell are quoted; who reads commas reads quotes
                assert not {*starts} & {*"=+-@\uff1d"}, (delimiter, row)
