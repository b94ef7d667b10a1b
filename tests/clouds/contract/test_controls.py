"""What is watched, whatever the cloud: seen, mended, never weakened; and what belongs to no store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.clouds import plans
from tests.clouds.contract.running import emulated, make_spec, provider_of, settled

pytestmark = pytest.mark.slow


@emulated
def test_a_new_store_is_as_wanted_and_what_is_changed_by_hand_is_seen_and_mended(world, say):
    provider, spec = provider_of(world), replace(make_spec(world), complete=True)
    settled(plans.creation(provider), spec)
    whole = world.look()
    spoils = world.spoils(spec)
    keys = {control.key for control in provider.storage.settings(spec) if control.offered}
    assert spoils.keys() <= keys
    assert len(spoils) >= 3
    for key, spoil in spoils.items():
        assert not differing(provider, spec)
        spoil()
        changed = differing(provider, spec)
        assert key in {control.key for control in changed}
        for control in changed:
            observed = control.observe()
            assert control.describe(observed) != control.describe(control.wanted), control.key
            control.ensure()
        assert world.look() == whole, key
    say(**{f"contract, {world.key}: changes by hand seen and mended": len(spoils)})


def differing(provider, spec):
    offered = [control for control in provider.storage.settings(spec) if control.offered]
    return [control for control in offered if not control.matches(control.observe())]


def test_a_protected_store_keeps_versions_and_is_as_wanted(world):
    provider, spec = provider_of(world), replace(make_spec(world, versions_days=30), complete=True)
    if not provider.capabilities(spec.account).versions:
        pytest.fail(f"{world.key} protects nothing, and no other provider is like that")
    settled((*plans.creation(provider), *plans.versions(provider)), spec)
    assert not differing(provider, spec)
    once = world.look()
    settled((*plans.creation(provider), *plans.versions(provider)), spec)
    assert world.look() == once


def test_a_locked_store_is_as_wanted_and_never_weakened(world):
    provider, spec = provider_of(world), replace(make_spec(world, versions_days=30, lock_days=2), complete=True)
    plan = (*plans.creation(provider), *plans.versions(provider), *plans.lock(provider))
    if not provider.capabilities(spec.account).lock:
        assert plans.lock(provider) == ()
        return
    settled(plan, spec)
    assert not differing(provider, spec)
    once = world.look()
    settled(plans.lock(provider), replace(spec, lock_days=1))
    assert world.look() == once


def test_survey_finds_what_belongs_to_no_store(world):
    provider, spec = provider_of(world), make_spec(world)
    settled(plans.creation(provider), spec)
    found = {one.name: one for one in provider.storage.list_unmanaged(spec.account, ())}
    assert {spec.bucket, spec.log_bucket} <= found.keys()
    assert (found[spec.bucket].kind, found[spec.log_bucket].kind) == ("backup", "log")
    assert {found[name].store_id for name in (spec.bucket, spec.log_bucket)} == {str(spec.id)}
    assert found[spec.bucket].region == spec.region
    known = {spec.bucket, spec.log_bucket}
    assert not known & {one.name for one in provider.storage.list_unmanaged(spec.account, known)}
    assert spec.bucket in provider.storage.delete_commands(spec.account, spec.bucket, spec.region)
