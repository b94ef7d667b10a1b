"""What goes for all calls: who may, what is asked, how often; and that each page has one."""

from __future__ import annotations

import json
import re

import pytest
from django.test import Client
from django.urls import get_resolver
from redis import RedisError

from console.accounts.permissions import Permission
from console.api import limits, v1
from console.api.models import SCOPES
from tests import factories, walk
from tests.api.callers import DOCUMENT, Caller, give
from tests.api.not_offered import NOT_OFFERED
from tests.clusters import judged
from tests.sampling import turned

CALLS = [(method.upper(), path) for path, calls in DOCUMENT["paths"].items() for method in calls]
NOWHERE = "00000000-0000-4000-8000-000000000000"
LISTS = [
    path
    for path, calls in DOCUMENT["paths"].items()
    if "cursor" in [one["name"] for one in calls.get("get", {}).get("parameters", ())]
]
OURS = [one for one in walk.routes() if one.pattern.startswith("api/v1/")]


def test_the_openapi_file_is_what_the_calls_say():
    assert v1.FILE.read_text() == v1.openapi(), "write it anew: manage.py write_openapi"
    assert DOCUMENT["openapi"] == "3.1.0"


def test_no_name_in_the_openapi_file_stands_for_two_things():
    """Two classes of one name would be one schema: a filter would be described as a row."""
    for path, calls in DOCUMENT["paths"].items():
        for call in calls.values():
            asked = {one["name"] for one in call["parameters"] if one["in"] == "query"}
            assert len(asked) <= (17 if "/restore" in path else 10), call["operationId"]
    names = [one["name"] for one in DOCUMENT["paths"]["/api/v1/verdicts"]["get"]["parameters"]]
    assert names == ["limit", "cursor", "q", "verdict", "cluster_id", "store_id"]


def test_the_openapi_file_is_handed_out_to_everybody(client):
    answer = client.get("/api/v1/openapi.json")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json() == DOCUMENT
    assert "RateLimit" in answer


def test_each_call_asks_for_a_token_and_names_its_permission():
    without = {path for path, calls in DOCUMENT["paths"].items() for one in calls.values() if "x-permission" not in one}
    assert without == {"/api/v1/me"}
    assert all(one["security"] == [{"Bearer": []}] for calls in DOCUMENT["paths"].values() for one in calls.values())


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_no_call_lets_anybody_in_without_a_good_token(call, alice, as_alice, sample):
    """Neither nobody, nor who is signed in by a cookie, nor what is almost a token."""
    method, path = call
    free = {one["name"]: one["schema"].get("type") for one in DOCUMENT["paths"][path][method.lower()]["parameters"]}
    path = re.sub(r"\{(\w+)\}", lambda one: "7" if free[one[1]] == "integer" else NOWHERE, path)
    _, text = give(alice)
    almost = ("Bearer", f"Basic {text}", f"Bearer {text[:-1]}", f"Bearer {text} {text}")
    # One reader of the header decides for all calls: each gets one of these, in turn.
    almost = sample("what is almost a token", turned(almost, CALLS.index(call)), by=lambda one: "")
    for client, header in ((Client(), None), (as_alice, None), *((Client(), one) for one in almost)):
        headers = {"Authorization": header} if header else {}
        answer = client.generic(method, path, b"{}", content_type="application/json", headers=headers)
        assert (answer.status_code, answer["WWW-Authenticate"][:6]) == (401, "Bearer"), header
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer["X-Request-ID"]
        assert not answer.cookies


def test_a_call_that_a_cookie_is_sent_with_is_the_tokens(as_alice, bob):
    answer = as_alice.get("/api/v1/me", headers={"Authorization": f"Bearer {give(bob)[1]}"})
    assert answer.json()["username"] == "bob"


@pytest.mark.parametrize("path", LISTS)
def test_lists_refuse_what_they_do_not_know(path, as_owner, account):
    short = path.removeprefix("/api/v1")
    if "/clusters/{pk}/" in short:
        short = short.replace("{pk}", str(judged.cluster(account).pk))
    for query, pointer in (
        ({"everything": "1"}, "/everything"),
        ({"limit": "0"}, "/limit"),
        ({"limit": "101"}, "/limit"),
        ({"limit": "ten"}, "/limit"),
        ({"limit": "9" * 5000}, "/limit"),
        ({"cursor": "nothing"}, "/cursor"),
        ({"cursor": "é"}, "/cursor"),
        ({"cursor": "W10"}, "/cursor"),
        ({"cursor": "WyJhIiwiYiJd"}, "/cursor"),
        ({"cursor": "a\x00"}, "/cursor"),
        ({"limit": ["1", "2"]}, "/limit"),
    ):
        answer = as_owner.get(short, query)
        assert answer.status_code == 422, query
        assert answer.json()["errors"][0]["pointer"] == pointer, query


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/stores", {"cloud_account_id": "nothing"}),
        ("/verdicts", {"verdict": "fine"}),
        ("/verdicts", {"store_id": "1"}),
        ("/alerts", {"severity": "terrible"}),
        ("/alerts", {"cluster": "00000000-0000-4000-8000-000000000000"}),
        ("/tasks", {"state": "tired"}),
        ("/tasks", {"subject_id": "x"}),
        ("/audit", {"since": "yesterday"}),
        ("/audit", {"until": "0"}),
        ("/audit", {"until": "2026-02-30"}),
        ("/audit", {"outcome": "odd"}),
        ("/stores", {"q": "x" * 201}),
        ("/stores", {"q": "a\x00"}),
        ("/tasks/00000000-0000-4000-8000-000000000000", {"wait": "31"}),
        ("/tasks/00000000-0000-4000-8000-000000000000", {"wait": "-1"}),
        ("/stores/00000000-0000-4000-8000-000000000000", {"limit": "1"}),
    ],
    ids=str,
)
def test_filters_refuse_what_makes_no_sense(as_owner, path, query):
    answer = as_owner.get(path, query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(query))}"


@pytest.mark.parametrize(
    "path", ["/nothing", "/stores/", "/stores/1", "/stores/00000000-0000-4000-8000-000000000000", "/", "/clusters/x"]
)
def test_what_is_not_there_is_a_problem(as_owner, path):
    answer = as_owner.get(path, held=False)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert answer.json()["detail"] == "There is nothing here."


def test_what_middlewares_refuse_is_a_problem_too(as_owner):
    answer = as_owner.post("/stores", b"x" * (10 * 1024 * 1024))
    assert (answer.status_code, "1024 KiB" in answer.json()["detail"]) == (413, True)
    answer = as_owner.get("/me", held=False, **{"HX-Current-URL": "http://[a"})
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    answer = as_owner.client.put("/api/v1/stores")
    assert (answer.status_code, {*answer["Allow"].split(", ")}, answer.json()["status"]) == (405, {"GET", "POST"}, 405)


def test_an_error_of_ours_is_a_problem_that_tells_nothing(as_owner, monkeypatch):
    monkeypatch.setattr("console.api.shown.me", lambda *given: 1 / 0)
    as_owner.client.raise_request_exception = False
    answer = as_owner.get("/me", held=False)
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
    assert "zero" not in answer.content.decode()


def test_each_answer_says_what_is_left_of_the_limit(as_owner, as_viewer, monkeypatch):
    monkeypatch.setattr(limits, "CALLS", 3)
    monkeypatch.setattr(limits.count, "__kwdefaults__", {"limit": 3})
    left = [re.search(r"r=(\d+)", as_owner.get("/me")["RateLimit"])[1] for _ in range(3)]
    assert left == ["2", "1", "0"]
    answer = as_owner.get("/me")
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60
    assert as_viewer.get("/me").status_code == 200, "another client has a limit of its own"


def test_who_guesses_is_counted_by_address(monkeypatch, db):
    monkeypatch.setattr(limits.count, "__kwdefaults__", {"limit": 2})
    nobody = Caller("sk_nothing")
    assert [nobody.get("/me").status_code for _ in range(3)] == [401, 401, 429]


def test_processes_count_together_where_the_broker_answers(broker, settings, monkeypatch):
    monkeypatch.undo()  # of what counts each test by itself
    settings.REDIS_URL = broker.url
    limits._state["away_until"] = 0
    assert [limits.count("a").used for _ in range(3)] == [1, 2, 3]
    assert not limits._own
    broker.kill()
    assert limits.count("a").used == 1, "each process counts for itself"
    assert limits._state["away_until"] > 0
    with pytest.raises((RedisError, OSError)):
        limits._client().ping()


DELETED = "clusters/repositories/<int:pk>/recover-deleted/"
# What shows or does on a page what a call does; what gets none stands in NOT_OFFERED.
DONE_BY = {
    "": "/verdicts",
    "overview/databases/": "/verdicts",
    "stores/": "/stores",
    "stores/<uuid:pk>/": "/stores/{pk}",
    "stores/create/": "POST /stores",
    "stores/<uuid:pk>/delete/": "DELETE /stores/{pk}",
    "stores/existing/": "/stores/existing",
    "stores/existing/add/": "POST /stores/existing",
    "stores/existing/import/": "POST /stores/existing",
    "stores/existing/<uuid:key>/": "POST /stores/existing/{pk}/add",
    "stores/existing/<uuid:key>/look/": "POST /stores/existing/{pk}/look",
    "stores/existing/<uuid:key>/drop/": "DELETE /stores/existing/{pk}",
    "stores/existing/add-all/": "POST /stores/existing/{pk}/add",
    "clusters/": "/clusters",
    "clusters/bring-in/": "POST /clusters/bring-in",
    "clusters/bring-in/lists/": "POST /clusters/bring-in",
    "clusters/bring-in/lists/<uuid:batch>/": "/clusters/bring-in/{pk}",
    "clusters/bring-in/lists/<uuid:batch>/add/": "POST /clusters/bring-in/{pk}/add",
    "clusters/bring-in/lists/<uuid:batch>/look/": "POST /clusters/bring-in/{pk}/look",
    "clusters/<uuid:pk>/": "/clusters/{pk}",
    "clusters/<uuid:pk>/nodes/<slug:name>/": "/clusters/{pk}/nodes/{name}",
    "clusters/<uuid:pk>/alarm/": "PATCH /clusters/{pk}",
    "clusters/<uuid:pk>/archiving/": "PATCH /clusters/{pk}/policy",
    "clusters/<uuid:pk>/backup-stores/": "PUT /clusters/{pk}/attachments",
    "clusters/<uuid:pk>/backups/refresh/": "POST /clusters/{pk}/backups/refresh",
    "clusters/<uuid:pk>/databases/<slug:name>/remove/": "DELETE /clusters/{pk}/databases/{name}",
    "clusters/<uuid:pk>/databases/add/": "POST /clusters/{pk}/databases",
    "clusters/<uuid:pk>/delete/": "DELETE /clusters/{pk}",
    "clusters/<uuid:pk>/drills/": "/drill-runs",
    "clusters/<uuid:pk>/drills/<int:drill>/edit/": "PATCH /clusters/{pk}/drills/{drill}",
    "clusters/<uuid:pk>/drills/<int:drill>/remove/": "DELETE /clusters/{pk}/drills/{drill}",
    "clusters/<uuid:pk>/drills/<int:drill>/setup.sh": "/clusters/{pk}/drills/{drill}/setup.sh",
    "clusters/<uuid:pk>/drills/add/": "POST /clusters/{pk}/drills",
    "clusters/<uuid:pk>/hand-over/": "POST /clusters/{pk}/hand-over",
    "clusters/<uuid:pk>/key/": "PUT /clusters/{pk}/key",
    "clusters/<uuid:pk>/key/back/": "POST /clusters/{pk}/key/back",
    "clusters/<uuid:pk>/key/end/": "POST /clusters/{pk}/key/end",
    "clusters/<uuid:pk>/key/replace/": "POST /clusters/{pk}/key/replace",
    "clusters/<uuid:pk>/kit.txt": "/clusters/{pk}/kit",
    "clusters/<uuid:pk>/kit/": "/clusters/{pk}/kit",
    "clusters/<uuid:pk>/nodes/<slug:name>/archiving/": "PATCH /clusters/{pk}/nodes/{name}/policy",
    "clusters/<uuid:pk>/nodes/<slug:name>/backup-stores/": "PATCH /clusters/{pk}/nodes/{name}",
    "clusters/<uuid:pk>/nodes/<slug:name>/crontab": "/clusters/{pk}/nodes/{name}/crontab",
    "clusters/<uuid:pk>/nodes/<slug:name>/edit/": "PATCH /clusters/{pk}/nodes/{name}",
    "clusters/<uuid:pk>/nodes/<slug:name>/files/": "/clusters/{pk}/nodes/{name}/pgbackrest.conf",
    "clusters/<uuid:pk>/nodes/<slug:name>/machine/": "PATCH /clusters/{pk}/nodes/{name}",
    "clusters/<uuid:pk>/nodes/<slug:name>/pgbackrest.conf": "/clusters/{pk}/nodes/{name}/pgbackrest.conf",
    "clusters/<uuid:pk>/nodes/<slug:name>/policy/": "PATCH /clusters/{pk}/nodes/{name}/policy",
    "clusters/<uuid:pk>/nodes/<slug:name>/replication/": "PATCH /clusters/{pk}/nodes/{name}",
    "clusters/<uuid:pk>/nodes/<slug:name>/setup.sh": "/clusters/{pk}/nodes/{name}/setup.sh",
    "clusters/<uuid:pk>/nodes/<slug:name>/timers.sh": "/clusters/{pk}/nodes/{name}/timers.sh",
    "clusters/<uuid:pk>/nodes/<slug:name>/token/": "POST /clusters/{pk}/nodes/{name}/token",
    "clusters/<uuid:pk>/nodes/add/": "POST /clusters/{pk}/nodes",
    "clusters/<uuid:pk>/nodes/remove/": "DELETE /clusters/{pk}/nodes/{name}",
    "clusters/<uuid:pk>/policy/": "PATCH /clusters/{pk}/policy",
    "clusters/<uuid:pk>/removed-nodes/<slug:name>/forget/": "DELETE /clusters/{pk}/removed-nodes/{name}",
    "clusters/<uuid:pk>/repair/": "POST /clusters/{pk}/repair",
    "clusters/<uuid:pk>/restore.sh": "/clusters/{pk}/restore.sh",
    "clusters/<uuid:pk>/restore/": "/clusters/{pk}/restore",
    "clusters/<uuid:pk>/retry/": "POST /clusters/{pk}/retry",
    "clusters/create/": "POST /clusters",
    "clusters/enrolment/": "/enrolments",
    "clusters/enrolment/<int:pk>/": "/enrolments/{pk}",
    "clusters/enrolment/<int:pk>/<int:place>/again/": "POST /enrolments/{pk}/places/{place}/again",
    "clusters/enrolment/<int:pk>/revoke/": "POST /enrolments/{pk}/revoke",
    "clusters/enrolment/begin/": "POST /enrolments",
    "clusters/repositories/<int:pk>/kit.txt": "/repositories/{pk}/kit",
    "clusters/repositories/<int:pk>/kit/": "/repositories/{pk}/kit",
    "clusters/repositories/<int:pk>/let-go/": "DELETE /repositories/{pk}",
    "clusters/repositories/<int:pk>/lost/forget/": "POST /repositories/{pk}/losses/forget",
    "clusters/repositories/<int:pk>/passphrase/": "POST /repositories/{pk}/passphrase",
    "clusters/repositories/<int:pk>/restore.sh": "/repositories/{pk}/restore.sh",
    "clusters/repositories/<int:pk>/restore/": "/repositories/{pk}/restore",
    "clusters/retained/": "/repositories",
    "clusters/stores/<uuid:pk>/backups/": "/backups",
    "cloud-accounts/": "/cloud-accounts",
    "cloud-accounts/<uuid:pk>/": "/cloud-accounts/{pk}",
    "alerts/": "/alerts",
    "alerts/<uuid:pk>/": "/alerts/{pk}",
    "tasks/": "/tasks",
    "tasks/<uuid:pk>/": "/tasks/{pk}",
    "audit/": "/audit",
    "audit/audit.csv": "/audit.csv",
    "organisation/": "/members",
    "alerts/<uuid:pk>/acknowledge/": "POST /alerts/{pk}/acknowledge",
    "alerts/<uuid:pk>/silence/": "POST /alerts/{pk}/silence",
    "alerts/<uuid:pk>/unacknowledge/": "POST /alerts/{pk}/unacknowledge",
    "alerts/<uuid:pk>/unsilence/": "POST /alerts/{pk}/unsilence",
    "alerts/channels/<uuid:pk>/": "PATCH /alert-channels/{pk}",
    "alerts/channels/<uuid:pk>/delete/": "DELETE /alert-channels/{pk}",
    "alerts/channels/<uuid:pk>/link/": "POST /alert-channels/{pk}/link",
    "alerts/channels/<uuid:pk>/secret/": "POST /alert-channels/{pk}/secret",
    "alerts/channels/<uuid:pk>/switch/": "PATCH /alert-channels/{pk}",
    "alerts/channels/<uuid:pk>/test/": "POST /alert-channels/{pk}/test",
    "alerts/channels/create/<slug:kind>/": "POST /alert-channels",
    "alerts/deliveries/": "/alert-deliveries",
    "alerts/settings/": "/alert-settings",
    "alerts/settings/dead-mans-switch/": "PUT /alert-settings/dead-mans-switch",
    "alerts/settings/repeat/": "PATCH /alert-settings",
    "alerts/windows/<uuid:pk>/end/": "POST /maintenance-windows/{pk}/end",
    "alerts/windows/create/": "POST /maintenance-windows",
    "api-tokens/": "/tokens",
    "api-tokens/create/": "POST /tokens",
    "api-tokens/<uuid:pk>/revoke/": "DELETE /tokens/{pk}",
    "api-tokens/service-accounts/create/": "POST /service-accounts",
    "api-tokens/service-accounts/<uuid:pk>/remove/": "DELETE /service-accounts/{pk}",
    "api-tokens/service-accounts/<uuid:pk>/token/": "POST /service-accounts/{pk}/tokens",
    "cloud-accounts/<uuid:pk>/change/": "PATCH /cloud-accounts/{pk}",
    "cloud-accounts/<uuid:pk>/documents/<str:filename>/": "/cloud-accounts/{pk}/files",
    "cloud-accounts/<uuid:pk>/looking/": "PUT /cloud-accounts/{pk}/looking",
    "cloud-accounts/<uuid:pk>/unlink/": "DELETE /cloud-accounts/{pk}",
    "cloud-accounts/<uuid:pk>/verify/": "POST /cloud-accounts/{pk}/verify",
    "cloud-accounts/link/": "POST /cloud-accounts",
    "cloud-accounts/link/<slug:provider>/<str:filename>/": "/cloud-account-types",
    "clusters/evidence/": "/evidence",
    "clusters/evidence/backups.csv": "/evidence/backups.csv",
    "clusters/proximity/": "POST /proximity",
    "clusters/<uuid:pk>/hand-over/back/": "POST /clusters/{pk}/hand-over/back",
    "clusters/bring-in/lists/<uuid:batch>/forget/": "DELETE /clusters/bring-in/{pk}",
    DELETED: "/repositories/{pk}/recover-deleted",
    f"{DELETED}identity/": "POST /repositories/{pk}/recover-deleted/identity",
    f"{DELETED}identity/end/": "DELETE /repositories/{pk}/recover-deleted/identity",
    f"{DELETED}setup.sh": "/repositories/{pk}/recover-deleted/setup.sh",
    f"{DELETED}undelete": "/repositories/{pk}/recover-deleted/undelete",
    "organisation/invitations/<uuid:pk>/revoke/": "DELETE /invitations/{pk}",
    "organisation/invite/": "POST /invitations",
    "organisation/members/<int:pk>/remove/": "DELETE /members/{pk}",
    "organisation/members/<int:pk>/role/": "PATCH /members/{pk}",
    "organisation/second-factor/": "PATCH /organisation",
    "overview/map/": "/overview",
    "stores/map/": "/stores",
    "restoration/": "/restoration",
    "restoration/end/": "POST /restoration/end",
    "restoration/look/": "POST /restoration/look",
    "restoration/node-file/": "POST /restoration/node-file",
    "restoration/settle/": "POST /restoration/settle",
    "restoration/tasks/<uuid:pk>/give-up/": "POST /restoration/tasks/{pk}/give-up",
    "restoration/tasks/<uuid:pk>/go-on/": "POST /restoration/tasks/{pk}/go-on",
    "stores/<uuid:pk>/accept/": "POST /stores/{pk}/accept",
    "stores/<uuid:pk>/cancel/": "POST /stores/{pk}/cancel",
    "stores/<uuid:pk>/dossier/": "/stores/{pk}/deletion-preview",
    "stores/<uuid:pk>/facts/": "/stores/{pk}",
    "stores/<uuid:pk>/reconsider/": "POST /stores/{pk}/reconsider",
    "stores/<uuid:pk>/repair/": "POST /stores/{pk}/repair",
    "stores/<uuid:pk>/retry/": "POST /stores/{pk}/retry",
    "stores/<uuid:pk>/verify/": "POST /stores/{pk}/verify",
    "stores/calculator/": "/stores/protection",
    "stores/orphans/": "/unmanaged-buckets",
    "stores/orphans/<uuid:account>/<str:bucket>/adopt/": "POST /unmanaged-buckets/{account}/{bucket}/adopt",
    "stores/orphans/<uuid:account>/<str:bucket>/forget/": "POST /unmanaged-buckets/{account}/{bucket}/hide",
    "stores/orphans/<uuid:account>/<str:bucket>/remember/": "POST /unmanaged-buckets/{account}/{bucket}/show",
    "stores/orphans/<uuid:account>/look/": "POST /unmanaged-buckets/{account}/look",
    "stores/preflight/": "/cloud-accounts/{pk}/permissions",
    "stores/preflight/<uuid:pk>/": "/cloud-accounts/{pk}/permissions",
    "stores/preflight/<uuid:pk>/check/": "POST /cloud-accounts/{pk}/permissions/check",
}
# Pages of a browser alone: what a client has no use for, or asks in another way.
OF_A_BROWSER = re.compile(
    r"account/|confirm/|login/|logout/|invitations/|stop-seeing/|admin/|healthz|readyz|metrics|csp-reports/"
    r"|v1/|byoc/v1/|api/v1/|enrol/|alerts/confirm/|.*\.js$|clusters/navigation/|(stores|clusters)/view/"
    r"|clusters/<uuid:pk>/nodes/<slug:name>/(applied|drill)/|clusters/<uuid:pk>/drills/<int:drill>/report/"
    r"|organisation/switch/|search/"
)


def test_each_page_has_a_call_or_stands_with_its_reason_in_the_list_of_those_that_get_none():
    """Whoever adds a page adds its call, or a line there."""
    there = {f"{'' if method == 'GET' else method + ' '}{path.removeprefix('/api/v1')}" for method, path in CALLS}
    assert {*DONE_BY.values()} <= there
    pages = {one.pattern for one in walk.routes() if not OF_A_BROWSER.match(one.pattern)}
    assert {*DONE_BY} <= pages
    assert pages - {*DONE_BY} == {*NOT_OFFERED}


def test_permissions_of_a_call_and_its_page_are_the_same():
    views = {one.pattern: one.view for one in walk.routes()}
    for pattern, done in DONE_BY.items():
        method, _, path = done.rpartition(" ")
        wanted = getattr(views[pattern], "permission", None)
        if wanted is None or pattern == "":
            continue
        call = DOCUMENT["paths"][f"/api/v1{path}"][method.lower() or "get"]
        assert SCOPES[call["x-permission"]] is wanted, pattern


def test_the_calls_have_the_addresses_of_the_file():
    addresses = {"/" + re.sub(r"<(?:[a-z]+:)?(.*?)>", r"{\1}", one.pattern) for one in OURS}
    assert addresses - {"/api/v1/openapi.json"} == {*DOCUMENT["paths"]}
    assert get_resolver().url_patterns


def test_no_call_needs_a_permission_that_is_none():
    known = {"secrets:read", *(one.value for one in Permission)}
    found = {
        one["x-permission"] for calls in DOCUMENT["paths"].values() for one in calls.values() if "x-permission" in one
    }
    assert found <= known


def test_support_has_no_token(db):
    sue = factories.support()
    assert json.loads(Client().get("/api/v1/me").content)["status"] == 401
    assert not sue.memberships.exists()
