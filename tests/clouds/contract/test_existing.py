"""A bucket that was there before, whatever the cloud: looked at, brought in, withdrawn, forgotten; never harmed."""

from __future__ import annotations

import re
from dataclasses import replace
from uuid import uuid4

import pytest

from console.clouds import bringing, lifecycle
from console.clouds.existing import TakenOver
from console.clouds.steps import Failed, Refused
from tests.clouds.contract.running import crash, emulated, failure, make_spec, provider_of, run, settled

pytestmark = [pytest.mark.slow, emulated]


@pytest.fixture
def spec(world):
    """A store that is to be, whose backup bucket somebody else has made, with a tag of his own."""
    spec = make_spec(world)
    leave(world, spec)
    return spec


def leave(world, spec):
    world.occupy(spec, log=False)
    if world.key == "aws":  # where what is occupied is another store's
        world._s3.put_bucket_tagging(spec.bucket, {"team": "web"})


def taken(world, spec, *, logs="made"):
    """The store as it is once somebody has decided, with what was found; and what differs."""
    provider = provider_of(world)
    found = provider.existing.find(spec.account, spec.bucket)
    seen = replace(spec, region=found.region, versions_days=found.versions_days, lock_days=found.lock_days)
    lines = bringing.look(provider, seen)
    there = {one.key: one.observed for one in lines if one.state in {"ok", "off"}}
    log_bucket = {"none": ""}.get(logs, spec.log_bucket)
    brought = replace(seen, log_bucket=log_bucket, taken_over=TakenOver(there, logs == "named"))
    chosen = [
        lifecycle.Differing(False, one.key, one.label)
        for one in lines
        if one.state == "off" and one.key not in {"tags", "logging"}
    ]
    return brought, chosen


def off(provider, spec):
    return {one.key for one in lifecycle.check(provider, spec) if one.state != "ok"}


def test_looking_finds_it_and_writes_nothing(world, spec):
    provider = provider_of(world)
    assert re.fullmatch(provider.existing.legal, spec.bucket)
    before = world.look()
    found = provider.existing.find(spec.account, spec.bucket)
    assert found.region.lower() == spec.region.lower()
    lines = bringing.look(provider, replace(spec, region=found.region))
    assert {"tags", "lifecycle", "logging"} & {one.key for one in lines if one.state == "off"}
    assert not [one for one in lines if one.state == "off" and one.fixed]
    assert provider.existing.owner(spec) == ""
    assert world.look() == before


def test_what_is_not_there_or_elsewhere_is_not_found(world):
    spec = make_spec(world)
    with pytest.raises(Failed, match=r"has no|names"):
        provider_of(world).existing.find(spec.account, spec.bucket)


def test_it_is_nobodys_until_its_tag_says_so(world, spec):
    provider = provider_of(world)
    brought, _ = taken(world, spec)
    before = world.look()
    error = failure(settled, bringing.bringing(provider, brought, tag=False, chosen=()), brought)
    assert str(spec.id) in str(error)
    assert world.look() == before


def test_what_is_another_stores_is_left_alone(world, spec):
    provider = provider_of(world)
    brought, chosen = taken(world, spec)
    other = replace(brought, id=uuid4(), name="Theirs", log_bucket="", taken_over=TakenOver({}))
    settled(bringing.bringing(provider, other, tag=True, chosen=()), other)
    before = world.look()
    for tag in (True, False):
        error = failure(settled, bringing.bringing(provider, brought, tag=tag, chosen=chosen), brought)
        assert "another store" in str(error)
    assert world.look() == before


@pytest.mark.parametrize("logs", ["made", "none"])
def test_it_becomes_a_store_beside_what_it_was_and_is_given_back(world, spec, logs):
    provider = provider_of(world)
    brought, chosen = taken(world, spec, logs=logs)
    brought = replace(brought, complete=True)
    before, held = world.look(), provider.storage.contents(brought, brought.bucket)
    plan = bringing.bringing(provider, brought, tag=True, chosen=chosen)
    settled(plan, brought)
    assert not off(provider, brought)
    once = world.look()
    settled(plan, brought)
    assert world.look() == once
    assert provider.existing.owner(brought) == str(spec.id)
    assert any(one.log for one in lifecycle.check(provider, brought)) == (logs == "made")
    made = once.keys() - before.keys()
    assert bool(made) == (logs == "made")
    settled(bringing.forgetting(provider, tagged=True, made_logs=logs == "made", keep_logs=False), brought)
    after = world.look()
    assert after.keys() == before.keys()
    assert provider.existing.owner(brought) == ""
    assert provider.storage.contents(brought, brought.bucket) == held


def test_nothing_is_set_that_was_not_chosen(world, spec):
    provider = provider_of(world)
    brought, _ = taken(world, spec, logs="none")
    before = world.look()
    settled(bringing.bringing(provider, brought, tag=True, chosen=()), brought)
    settled(bringing.withdrawal(provider, tagged=True, made_logs=False), brought)
    assert plain(world.look()) == plain(before)


def plain(found):
    """What stands, whether a bucket has an empty set of labels or none."""
    return {name: full(one) if isinstance(one, dict) else one for name, one in found.items()}


def full(one):
    return {key: value for key, value in one.items() if value or key not in {"labels", "tags"}}


def test_a_worker_that_dies_before_any_call_leaves_what_the_next_one_ends(world, spec):
    provider = provider_of(world)
    brought, chosen = taken(world, spec)
    plan = bringing.bringing(provider, brought, tag=True, chosen=chosen)
    nth = 1
    while crash(plan, brought, nth):
        nth += 3
    assert nth > 1
    assert not off(provider, brought)
    settled(bringing.withdrawal(provider, tagged=True, made_logs=True), brought)
    assert provider.existing.owner(brought) == ""


def test_what_the_console_did_not_set_stays(world, spec):
    provider = provider_of(world)
    brought, _ = taken(world, spec, logs="none")
    run(bringing.bringing(provider, brought, tag=True, chosen=()), brought)
    before = world.look()
    settled(bringing.forgetting(provider, tagged=False, made_logs=False, keep_logs=False), brought)
    assert world.look() == before


def test_no_plan_deletes_a_bucket_that_was_there_before(world, spec):
    provider = provider_of(world)
    brought, _ = taken(world, spec, logs="none")
    brought = replace(brought, complete=True)
    settled(bringing.bringing(provider, brought, tag=True, chosen=()), brought)
    before = world.look()
    step = lifecycle.deletion(provider, keep_logs=False)[1][0]
    with pytest.raises(Refused, match="was there before"):
        step.run(brought)
    assert world.look() == before
