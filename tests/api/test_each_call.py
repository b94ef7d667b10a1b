"""Each call of the OpenAPI file: who may, and what it does with what makes no sense. A new call is in it at once."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from clusters.models import Drill, Enrolment, EnrolmentPlace, RemovedNode, Repository
from console.accounts.permissions import ROLES, Permission
from console.alerts.models import Alert
from console.api.models import SCOPES
from console.audit.models import AuditEvent
from console.operations.models import Operation
from tests import factories
from tests.api.callers import DOCUMENT, Caller, give
from tests.clusters import judged
from tests.sampling import turned

CALLS = {
    f"{method.upper()} {path.removeprefix('/api/v1')}": call
    for path, calls in DOCUMENT["paths"].items()
    for method, call in calls.items()
}
SENT = [name for name, call in CALLS.items() if "requestBody" in call]
NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def there(account, alice, acme):
    """One of everything, by what stands in addresses."""
    store = factories.failed_store(account, name="failed")
    cluster = judged.cluster(account, stores=[factories.store(account, name="kept")], nodes=("n1", "n2"), nodes_made=9)
    RemovedNode.objects.create(cluster=cluster, name="n9", region="eu-west-1")
    now = timezone.now()
    enrolment = Enrolment.objects.create(
        organisation=acme, token_sha256="0" * 64, by=alice, expires_at=now + timedelta(hours=1)
    )
    place = EnrolmentPlace.objects.create(enrolment=enrolment, node=cluster.nodes.first())
    drill = Drill.objects.create(cluster=cluster, schedule="0 3 * * 0", machine="drills-1")
    alert = Alert.objects.create(
        organisation=acme, key="a", severity="warning", rule="task", group="a", weight=1, title="A task failed"
    )
    return {
        "/stores/{pk}": store.pk,
        "/cloud-accounts/{pk}": account.pk,
        "/clusters/{pk}": cluster.pk,
        "/nodes/{name}": "n1",
        "/removed-nodes/{name}": "n9",
        "/databases/{name}": "main",
        "/drills/{drill}": drill.pk,
        "/repositories/{pk}": cluster.repositories.first().pk,
        "/enrolments/{pk}": enrolment.pk,
        "/places/{place}": place.pk,
        "/alerts/{pk}": alert.pk,
        "/tasks/{pk}": store.operation_id,
    }


def addressed(name, there):
    """The method and the address of a call, of what is there; of what the table has not, one that is nowhere."""
    method, path = name.split(" ")
    for known, value in there.items():
        path = path.replace(known, f"{known.rpartition('/')[0]}/{value}")
    schemas = {one["name"]: one["schema"] for one in CALLS[name]["parameters"] if one["in"] == "path"}
    free = {one: "7" if schema.get("type") == "integer" else NOWHERE for one, schema in schemas.items()}
    path = re.sub(r"\{(\w+)\}", lambda found: free[found[1]], path)
    asked = [one for one in CALLS[name]["parameters"] if one["in"] == "query" and one.get("required")]
    query = urlencode({one["name"]: example(one["schema"]) for one in asked})
    return method, f"{path}?{query}" if query else path


def resolved(schema):
    return DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def wanted(name):
    return resolved(CALLS[name]["requestBody"]["content"]["application/json"]["schema"])


def example(schema):
    """What the file gives as an example of a body, or else the least that its schema lets through."""
    schema = resolved(schema)
    for key in ("example", "const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("examples"):
        return schema["examples"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        return {one: example(properties[one]) for one in schema.get("required", ())}
    if schema.get("type") == "array":
        return [example(schema["items"])] * schema.get("minItems", 0)
    made = {"string": "a", "integer": schema.get("minimum", 1), "boolean": True, "number": 1, "null": None}
    formats = {"uuid": NOWHERE, "date-time": "2026-11-30T12:00:00Z", "date": "2026-11-30"}
    return formats.get(schema.get("format"), made[schema.get("type", "string")])


def body_of(name):
    return example(wanted(name)) if "requestBody" in CALLS[name] else None


def texts(schema, value):
    """Bodies like this one, each with NUL in another of the texts that the schema lets in, and where that stands."""
    schema = resolved(schema)
    for one, part in schema.get("properties", {}).items():
        kinds = [resolved(each) for each in part.get("anyOf", [part])]
        for kind in kinds:
            if kind.get("type") == "string" and "format" not in kind and "enum" not in kind:
                yield {**value, one: "a\x00b"}, f"/{one}"
            if kind.get("type") == "array":
                items = resolved(kind["items"])
                if items.get("type") == "string" and "format" not in items and "enum" not in items:
                    yield {**value, one: ["a\x00b"]}, f"/{one}/0"
                if items.get("type") == "object":
                    for inner, pointer in texts(items, example(items)):
                        yield {**value, one: [inner]}, f"/{one}/0{pointer}"


def whole(schema):
    """The fields of a body that are whole numbers."""
    for one, part in resolved(schema).get("properties", {}).items():
        if any(resolved(each).get("type") == "integer" for each in part.get("anyOf", [part])):
            yield one


@pytest.mark.parametrize("name", [name for name in CALLS if name.startswith("GET ")])
def test_a_head_takes_nothing(as_owner, there, name):
    """A kit, or a file with secrets, counts as taken when it is: whoever only asks whether it is there has not."""
    _, path = addressed(name, there)
    before = AuditEvent.objects.count(), [*Repository.objects.values_list("kit_taken_at")]
    assert as_owner.client.head(f"/api/v1{path}").content == b""
    assert (AuditEvent.objects.count(), [*Repository.objects.values_list("kit_taken_at")]) == before


# Bodies that are none, and how they are refused.
NONE = (
    (b"{", 400),
    (b"\xff\xfe", 400),
    (b"[" * 100_000, 400),
    (b'{"a":NaN}', 400),
    (b"[]", 422),
    (b"1", 422),
    (b'"a"', 422),
    (b"x" * (10 * 1024 * 1024), 413),
)


@pytest.fixture
def stranger(caller, charlie):
    """An owner of the other organisation: nothing but the rows keeps them out."""
    charlie.memberships.update(role="owner")
    return caller(charlie)


def pointers(answer):
    assert answer.status_code == 422
    return [one["pointer"] for one in answer.json()["errors"]]


def done():
    """What has been done so far, but for calls that were refused."""
    events = AuditEvent.objects.exclude(outcome="refused").exclude(action="Created an API token")
    return events.count(), Operation.objects.count()


@pytest.mark.parametrize("name", CALLS)
def test_an_owner_is_answered_as_the_file_says(name, there, as_owner):
    """Whatever the answer is, it is one that the file names, in its shape: Caller holds it against the file."""
    method, path = addressed(name, there)
    answer = as_owner.send(method, path, body_of(name), **{"If-Match": "*"})
    assert answer.status_code < 500
    assert answer.status_code not in {401, 403}
    if not {NOWHERE, "7"} & {*path.split("/")} and "repositories" not in path:
        assert answer.status_code != 404, "it is there"


@pytest.mark.parametrize("name", CALLS)
def test_what_may_not_be_is_refused_and_changes_nothing(name, there, alice, as_owner, as_viewer, stranger, sample):
    method, path = addressed(name, there)
    body = body_of(name)
    before = done()
    if "{" in name:
        assert stranger.send(method, path, body, **{"If-Match": "*"}).status_code == 404
    if scope := CALLS[name].get("x-permission"):
        _is_for_who_may(scope, alice, as_viewer, method, path, body)
    assert pointers(
        as_owner.send(method, f"{path}{'&' if '?' in path else '?'}nonsense=1", body, **{"If-Match": "*"})
    ) == ["/nonsense"]
    if body is not None:
        assert pointers(as_owner.send(method, path, {**body, "nonsense": 1})) == ["/nonsense"]
        for other, pointer in texts(wanted(name), body):
            assert pointers(as_owner.send(method, path, other))[0] in {pointer, pointer.rpartition("/")[0]}, other
        # One reader decides for all calls, before any of them looks at its body: three for each call, in turn.
        none = turned(NONE, [*CALLS].index(name))
        for other, status in sample("bodies that are none", none, by=lambda one: none.index(one) // 3):
            assert as_owner.send(method, path, other).status_code == status, other[:10]
    assert done() == before


@pytest.mark.parametrize("name", [one for one in SENT if [*whole(wanted(one))]])
def test_a_whole_number_is_neither_yes_nor_a_text(name, there, as_owner):
    """true is 1 in Python: a store would be locked for a day that nobody asked for."""
    method, path = addressed(name, there)
    before = done()
    for field in whole(wanted(name)):
        for value in (True, "3", 3.5):
            answer = as_owner.send(method, path, {**body_of(name), field: value}, **{"If-Match": "*"})
            if answer.status_code != 404 or NOWHERE not in path:
                assert f"/{field}" in pointers(answer), value
    assert done() == before


def _is_for_who_may(scope, alice, as_viewer, method, path, body):
    other = next(one for one in SCOPES if one != scope)
    asking = [Caller(give(alice, other)[1])]
    if SCOPES[scope] not in ROLES["viewer"]:
        asking.append(as_viewer)
    for one in asking:
        answer = one.send(method, path, body, **{"If-Match": "*"})
        assert (answer.status_code, answer["X-Accepted-Permissions"]) == (403, scope)


def test_the_walk_has_bodies_and_texts_to_send():
    """A walk that found nothing to send would hold whatever the calls do."""
    assert len(CALLS) > 60
    assert sum(len([*texts(wanted(name), body_of(name))]) for name in SENT) > 40
    assert {Permission.MANAGE_CLUSTERS.value, "secrets:read"} <= {one.get("x-permission") for one in CALLS.values()}
