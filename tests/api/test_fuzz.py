"""Calls made by schemathesis from the OpenAPI file that the console serves: none may end in a server error.

Each answer is held against the file, too: its status, its type and its shape.
"""

from __future__ import annotations

import re
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from console.alerts.models import Alert, Channel, MaintenanceWindow
from console.api import limits
from tests import factories, sampling
from tests.api.callers import Caller, give, give_service
from tests.clusters import judged

CASES = 60 if sampling.THOROUGH else 4  # of each call and mode
# Without the paths that hold keys, as most calls would end at the first one that is none.
KEYS = ("pk", "key", "account", "bucket")


@pytest.fixture
def keys(acme, alice, bob, account):
    """Keys of rows that are there, by the first part of the address."""
    store = factories.store(account)
    cluster = judged.cluster(account, stores=[store])
    token, _ = give(bob)
    robot = acme.service_accounts.create(name="robot", role="viewer")
    give_service(robot, alice)
    alert = Alert.objects.create(
        organisation=acme, key="k", group="g", rule="r", severity="warning", weight=1, title="t"
    )
    channel = Channel.objects.create(organisation=acme, kind="webhook", name="hook", secrets={"url": "https://a.b"})
    window = MaintenanceWindow.objects.create(
        organisation=acme, starts_at=alert.created_at, ends_at=alert.created_at, why="w", by_name="alice"
    )
    rows = {
        "stores": store,
        "clusters": cluster,
        "cloud-accounts": factories.account(acme, name="spare"),
        "unmanaged-buckets": account,
        "tokens": token,
        "service-accounts": robot,
        "alerts": alert,
        "alert-channels": channel,
        "maintenance-windows": window,
        "members": bob.memberships.get(),
    }
    return {name: str(row.pk) for name, row in rows.items()}


def given_keys(case, keys, real):
    """Put keys of rows that are there into the address, where that was drawn."""
    part = re.match(r"/api/v1/([\w-]+)", case.path)[1]
    if real and part in keys:
        for name in case.path_parameters or {}:
            if name in KEYS[:3]:
                case.path_parameters[name] = keys[part]


@pytest.mark.thorough  # test_each_call.py and tests/fuzz/test_json.py send nonsense to each call
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
def test_no_call_that_schemathesis_makes_ends_in_a_server_error(
    django_db_setup, live_server, keys, alice, monkeypatch, say
):
    # Loaded here: schemathesis takes half a second, which each process would pay that collects the tests.
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    held = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    # The database first: else the server takes it for one in memory, and has all of its threads share one connection.
    monkeypatch.setitem(limits.count.__kwdefaults__, "limit", 10**9)
    _, text = give(alice)
    schema = schemathesis.openapi.from_url(f"{live_server.url}/api/v1/openapi.json")
    headers = {"Authorization": f"Bearer {text}"}
    found, statuses, began = [], Counter(), time.process_time()
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                cases = operation.as_strategy(generation_mode=mode)
            except Exception:  # nothing of it can be wrong
                continue

            @settings(
                max_examples=CASES,
                derandomize=True,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(cases, st.booleans())
            def call(case, real):
                given_keys(case, keys, real)
                answer = case.call(headers=headers)
                statuses[answer.status_code] += 1
                try:
                    case.validate_response(answer, checks=held)
                except Exception as wrong:
                    found.append(f"{case.method} {case.formatted_path} {answer.status_code}: {wrong}")

            call()
    assert Caller(text).get("/me", held=False).status_code == 200, "the token was good to the end"
    say(schemathesis_calls=sum(statuses.values()))
    say(f"schemathesis: {dict(sorted(statuses.items()))} in {time.process_time() - began:.0f} s of CPU")
    assert not found, "\n\n".join(found[:5])
    assert {one for one in statuses if one < 300} >= {200, 201, 202}, "some do what they are for"
