"""The plans of all clouds: what the engine and the pages take for granted of every one of them."""

from __future__ import annotations

import re

import pytest

from console.clouds import CLOUDS
from console.operations.engine import record_of
from console.operations.models import Operation
from stores.control_status import ControlStatus
from stores.models import DriftReport, State
from stores.plans import repair_plan
from tests import factories
from tests.clouds import plans

ENDS = ("delete", "delete but logs")


def plans_of(provider):
    return {
        "create": (*plans.creation(provider), *plans.versions(provider), *plans.lock(provider)),
        "delete": plans.deletion(provider),
        "delete but logs": plans.deletion_but_logs(provider),
        "cancel": plans.cancellation(provider),
        **{f"{name} access": getattr(provider.access, name) for name in ("grant", "revoke", "delete")},
    }


def steps_of(plan):
    return [step for stage in plan for step in stage]


@pytest.mark.parametrize("key", CLOUDS)
def test_each_step_has_a_key_of_its_own_within_its_plan(key):
    for name, plan in plans_of(CLOUDS[key]).items():
        keys = [step.key for step in steps_of(plan)]
        assert len(keys) == len({*keys}), name
        assert all(re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", one) for one in keys), keys


@pytest.mark.parametrize("key", CLOUDS)
def test_deleting_has_one_point_of_no_return_and_nothing_else_has_any(key):
    for name, plan in plans_of(CLOUDS[key]).items():
        marked = [step.key for step in steps_of(plan) if step.point_of_no_return]
        assert len(marked) == (name in ENDS), name
        assert all(one in {"delete_backup_bucket"} for one in marked)


def test_the_steps_of_a_repair_have_keys_of_their_own(account, amazon):
    store = factories.store(account, state=State.DEGRADED, versions_days=30, lock_days=14)
    controls = store.cloud.storage.settings(store.spec())
    nothing = dict.fromkeys(("wanted_words", "words", "wanted", "observed", "statement", "since"), "")
    lines = [
        ControlStatus(key=one.key, label=one.label, bucket="b", log=one.log, state="off", fixed=False, **nothing)
        for one in controls
    ]
    DriftReport.objects.create(store=store, content=[line.kept() for line in lines])
    keys = [step.key for step in steps_of(repair_plan(store))]
    assert len(keys) == len({*keys}) > 10
    assert {"check_backup_owner", "check_log_owner"} <= {*keys}


def test_google_makes_its_buckets_at_its_pace_and_does_nothing_else_so():
    paced = {}
    for provider in CLOUDS.values():
        for plan in plans_of(provider).values():
            paced |= {(provider.key, step.key): step.pace for step in steps_of(plan) if step.pace}
    assert {*paced} == {("google", "create_log_bucket"), ("google", "create_backup_bucket")}


def test_a_deletion_is_past_return_when_its_bucket_is_gone(account):
    store = factories.store(account, state=State.DELETING)
    for plan in (plans.deletion(store.cloud), plans.deletion_but_logs(store.cloud)):
        records = record_of(plan)
        states = []
        for record in records:
            record["state"] = "done"
            store.operation = Operation(verb="delete", steps=records)
            states.append((store.can_cancel, bool(store.too_late_to_cancel)))
        assert states == [(True, False), (False, True), (False, True)]
