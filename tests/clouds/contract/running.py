"""Stores and clusters of any cloud, and plans that are run as the engine does, or that lose their worker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest

from console.clouds import CLOUDS
from console.clouds.specs import AccessSpec, StoreSpec
from console.clouds.steps import LeaseLost, NotReady, StepError, is_held
from tests.sampling import THOROUGH

PREFIX = "c-k3v9x2m7q4ta"
# A denial leaves at each call what a kill leaves there; what the kills add is that a lost lease ends work at any call.
KILLED_EVERY = 3 if THOROUGH else 5
# What has to write as a node or an administrator does, or to spoil calls: not on a real account.
emulated = pytest.mark.emulated


def provider_of(world):
    return CLOUDS[world.key]


def make_spec(world, region=None, **values):
    account, store_id = world.account(), uuid4()
    region = region or world.regions[0]
    names = provider_of(world).storage.names(store_id, region, account.number)
    return StoreSpec(store_id, "Orders (EU)", account, region, *names, **values)


def access_to(*specs, keys=None):
    account = specs[0].account
    buckets = tuple(spec.bucket for spec in specs)
    return AccessSpec(uuid4(), "Orders (EU)", account, PREFIX, buckets, keys=keys or {})


def steps(plan):
    return [step for stage in plan for step in stage]


def run(plan, spec):
    return [step.run(spec) for step in steps(plan)]


def settled(plan, spec, tries=6):
    """Run the plan as the engine does: again after each NotReady."""
    for _ in range(tries):
        try:
            return run(plan, spec)
        except NotReady as error:
            last = error
    raise AssertionError(f"it never settled: {last}")


def failure(how, plan, spec):
    """Return what the plan failed with, if it did."""
    try:
        how(plan, spec)
    except StepError as error:
        return error
    return None


@contextmanager
def killed_before(nth) -> Iterator[None]:
    """Lose the worker right before its nth call, as a crash does."""
    left = nth

    def still_held():
        nonlocal left
        left -= 1
        return left > 0

    token = is_held.set(still_held)
    try:
        yield
    finally:
        is_held.reset(token)


def crash(plan, spec, nth):
    """Return whether the worker died before its nth call of the plan; else the plan came to its end."""
    with killed_before(nth):
        try:
            settled(plan, spec)
        except LeaseLost:
            return True
    return False


def with_keys(made, access):
    """Return the access with what the steps gave to be kept."""
    kept = [one.keep for one in made if one and one.keep is not None]
    return replace(access, keys=kept[-1]) if kept else access
