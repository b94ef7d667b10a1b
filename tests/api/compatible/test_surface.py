"""What goes for all calls of the compatible surface: errors as pgEdge's clients read them, lists, tokens, prefixes."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from console.api import limits
from console.api.compatible import surface
from tests import factories, walk
from tests.api.callers import give
from tests.api.compatible.clients import DOCUMENTS, Caller

NOBODY_S = "00000000-0000-4000-8000-000000000000"
CALLS = [
    (method.upper(), path) for one in DOCUMENTS.values() for path, calls in one["paths"].items() for method in calls
]
LISTS = ["/backup-stores", "/clusters", "/tasks"]


def filled(path):
    return path.replace("{pk}", NOBODY_S).replace("{region}", "eu-west-1")


def test_both_prefixes_have_the_same_and_accounts_have_their_own():
    plain, byoc = (
        {path.removeprefix(prefix) for path in DOCUMENTS[prefix]["paths"]} for prefix in ("/v1/", "/byoc/v1/")
    )
    assert plain == byoc >= {"backup-stores", "tasks", "clusters/{pk}"}
    assert set(DOCUMENTS["/account/v1/"]["paths"]) == {
        "/account/v1/clients", "/account/v1/clients/{pk}", "/account/v1/tenants", "/account/v1/tenants/{pk}"
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/", "/byoc/v1/", "/account/v1/"])
def test_the_openapi_file_is_handed_out_to_everybody(client, path):
    answer = client.get(f"{path}openapi.json")
    assert (answer.status_code, answer.json()) == (200, DOCUMENTS[path])
    assert client.post(f"{path}openapi.json").json()["code"] == 405


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_no_call_lets_anybody_in_without_a_good_token(call, alice, as_alice):
    method, path = call
    for client, header in ((Client(), None), (as_alice, None), (Client(), f"Bearer {give(alice)[1][:-1]}")):
        headers = {"Authorization": header} if header else {}
        answer = client.generic(method, filled(path), b"{}", content_type="application/json", headers=headers)
        assert (answer.status_code, answer["Content-Type"], answer.json()["code"]) == (401, "application/json", 401)
        assert not answer.cookies


@pytest.mark.parametrize("call", [one for one in CALLS if one[0] != "GET"], ids=" ".join)
def test_a_viewer_changes_nothing(call, bob, db):
    method, path = call
    answer = Caller(give(bob)[1], "")(method, filled(path), {"name": "a"})
    assert (answer.status_code, answer.json()["code"]) == (403, 403)


@pytest.mark.parametrize(
    "call", [one for one in CALLS if "{pk}" in one[1] and one[0] in {"GET", "DELETE"}], ids=" ".join
)
def test_a_row_that_is_not_there_has_a_code_and_a_path_has_none(call, alice):
    method, path = call
    calls = Caller(give(alice)[1], "")
    assert calls(method, filled(path)).json()["code"] == 404
    answer = calls(method, f"{filled(path)}/nothing", held=False)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_what_is_another_organisation_s_is_not_there(charlie, account, stores, declared, alice):
    mine, theirs = Caller(give(alice)[1]), Caller(give(charlie)[1])
    cluster = mine.post("/clusters", declared).json()["id"]
    for method, path in (
        ("GET", f"/backup-stores/{stores[0].pk}"),
        ("DELETE", f"/backup-stores/{stores[0].pk}"),
        ("GET", f"/cloud-accounts/{account.pk}"),
        ("DELETE", f"/cloud-accounts/{account.pk}"),
        ("GET", f"/clusters/{cluster}"),
        ("GET", f"/clusters/{cluster}/nodes"),
        ("DELETE", f"/clusters/{cluster}"),
    ):
        assert theirs(method, path).status_code == 404, path
    assert theirs.patch(f"/clusters/{cluster}", {"regions": ["eu-west-1"]}).status_code == 404
    for path in ("/backup-stores", "/cloud-accounts", "/clusters", "/tasks", f"/tasks?subject_id={cluster}"):
        assert theirs.get(path).json() == [], path
    store = {"name": "a", "cloud_account_id": str(account.pk), "region": "eu-west-1"}
    assert theirs.post("/backup-stores", store).status_code == 400
    assert theirs.post("/clusters", {**declared, "name": "theirs"}).status_code == 400


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=ten", "offset=-1", f"offset={'9' * 400}", "limit=1&limit=2", "everything=1", "limit=%00"],
    ids=lambda one: one[:20],
)
def test_lists_refuse_what_makes_no_sense(alice, path, query):
    answer = Caller(give(alice)[1]).get(f"{path}?{query}")
    assert (answer.status_code, query[:5] in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize("path", ["/backup-stores", "/clusters"])
@pytest.mark.parametrize(
    "query",
    [
        "descending=perhaps",
        "created_after=yesterday",
        "created_before=2026-01-01",
        "created_after=2026-02-30T00:00:00Z",
    ],
)
def test_times_and_orders_that_make_no_sense_are_refused(alice, path, query):
    assert Caller(give(alice)[1]).get(f"{path}?{query}").status_code == 400


def test_lists_are_plain_arrays_oldest_first_of_ten_and_of_a_hundred_at_most(alice, account):
    for number in range(103):
        factories.store(account, name=f"s{number:03}")
    calls = Caller(give(alice)[1])

    def names(query):
        return [one["name"] for one in calls.get(f"/backup-stores?{query}").json()]

    assert names("") == [f"s{number:03}" for number in range(10)]
    assert names("limit=2&offset=3") == ["s003", "s004"]
    assert len(names("limit=500")) == 100
    assert names("descending=true&limit=1") == ["s102"]
    stamps = [one["created_at"] for one in calls.get("/backup-stores?limit=3").json()]
    assert names(f"created_after={stamps[0]}&created_before={stamps[2]}") == ["s001"]


BODIES = {
    "no JSON": b"{",
    "a list": b"[]",
    "a form": b"name=a",
    "deep": b"[" * 100_000,
    "NUL": b'{"name": "a\\u0000b"}',
    "half a character": b'{"name": "a\\ud800b"}',
    "NaN": b'{"name": NaN}',
    "no UTF-8": b"\xff\xfe",
    "an unknown field": b'{"colour": "red"}',
}


@pytest.mark.parametrize("call", [one for one in CALLS if one[0] in {"POST", "PATCH"}], ids=" ".join)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bodies_that_are_none_are_refused_as_400(alice, call, body):
    method, path = call
    answer = Caller(give(alice)[1], "")(method, filled(path), body)
    assert answer.status_code == 400, answer.content
    if b"colour" in body:
        assert "colour: There is no such field." in answer.json()["message"]


def test_what_middlewares_refuse_has_a_code_too(alice):
    calls = Caller(give(alice)[1])
    answer = calls.post("/backup-stores", b"x" * (10 * 1024 * 1024), held=False)
    assert (answer.status_code, answer.json()["code"]) == (413, 413)
    answer = calls("PUT", "/backup-stores", held=False)
    assert (answer.status_code, answer.json()["code"], "POST" in answer["Allow"]) == (405, 405, True)
    answer = calls.client.get("/v1/backup-stores", headers={"HX-Current-URL": "http://[a"})
    assert (answer.status_code, answer.json()["code"]) == (400, 400)


def test_what_goes_wrong_here_is_a_500_with_a_code(alice, monkeypatch):
    monkeypatch.setattr("console.api.compatible.stores.stores", lambda membership: 1 / 0)
    calls = Caller(give(alice)[1])
    calls.client.raise_request_exception = False
    answer = calls.get("/backup-stores", held=False)
    assert (answer.status_code, answer.json()["code"], answer["Content-Type"]) == (500, 500, "application/json")


def test_a_client_that_calls_too_often_is_told_when_to_come_again(alice, monkeypatch):
    monkeypatch.setattr(limits, "count", lambda client, limit=limits.CALLS: limits.Usage(600, 601, 17))
    answer = Caller(give(alice)[1]).get("/backup-stores")
    assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (429, "17", 429)


@pytest.mark.parametrize(
    ("method", "path", "doing"),
    [
        ("POST", "/v1/backup-stores", "creating backup store"),
        ("POST", "/byoc/v1/clusters", "creating cluster"),
        ("GET", "/v1/tasks", "listing tasks"),
        ("DELETE", f"/v1/backup-stores/{NOBODY_S}", "deleting backup store"),
    ],
)
def test_the_developer_edition_says_so_in_the_words_that_the_command_line_looks_for(db, method, path, doing):
    person = factories.user("dora", factories.organisation("Small", edition="developer"), "owner")
    answer = Caller(give(person)[1], "")(method, path, {} if method == "POST" else None)
    assert (answer.status_code, answer.json()["message"]) == (400, f"plan does not allow {doing}")


def test_a_scope_that_is_not_named_is_not_given(alice):
    answer = Caller(give(alice, "see_stores")[1]).post("/backup-stores", {})
    assert (answer.status_code, "manage_stores" in answer.json()["message"]) == (403, True)


def test_each_address_has_a_permission_and_takes_no_slash_at_its_end(alice):
    mine = [one for one in walk.routes() if one.pattern.startswith(("byoc/v1/", "account/v1/", "v1/"))]
    assert {one.pattern for one in mine} >= {"v1/tasks", "byoc/v1/tasks", "account/v1/clients"}
    assert not [one.pattern for one in mine if one.pattern.endswith("/")]
    assert Caller(give(alice)[1]).get("/tasks/", held=False).status_code == 404
    assert set(surface.PREFIXES) == set(surface.APIS)


def test_a_secret_of_the_database_is_in_no_answer(alice, account, stores, declared):
    calls = Caller(give(alice)[1])
    made = calls.post("/clusters", declared).json()
    said = json.dumps(
        [calls.get(f"{path}").json() for path in ("/cloud-accounts", "/clusters", "/backup-stores", "/tasks")]
    )
    assert made["name"] in said
    assert account.secrets["secret_access_key"] not in said
    assert "cipher" not in said
