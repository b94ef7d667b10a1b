"""The identity that reads deleted backups: made beside the nodes' own access, and removed without a trace."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from uuid import uuid4

import pytest

from console.clouds import CLOUDS
from console.clouds.specs import AccessSpec, StoreSpec
from console.clouds.steps import NotReady
from tests.clouds import plans

PREFIX = "c-k3v9x2m7q4ta"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["aws", "s3", "google"])
def everywhere(request, tmp_path_factory):
    module = import_module(f"tests.worlds.{request.param}")
    with module.opened(tmp_path_factory.mktemp(request.param)) as world:
        yield world


@pytest.fixture
def world(everywhere):
    everywhere.clear()
    everywhere.clear_faults()
    return everywhere


def done(plan, spec):
    """Do the steps as the worker does, again while something is not ready; return the spec with what they kept."""
    for stage in plan:
        for step in stage:
            for _ in range(6):
                try:
                    result = step.run(spec)
                    break
                except NotReady as error:
                    last = error
            else:
                raise AssertionError(f"it never settled: {last}")
            if result and result.keep is not None:
                spec = replace(spec, keys=result.keep)
    return spec


@pytest.fixture
def nodes(world):
    """Return the access of a cluster's nodes to a protected store."""
    cloud, account, store_id = CLOUDS[world.key], world.account(), uuid4()
    names = cloud.storage.names(store_id, world.regions[0], account.number)
    store = StoreSpec(store_id, "orders", account, world.regions[0], *names, complete=True, versions_days=120)
    done((*plans.creation(cloud), *plans.versions(cloud)), store)
    assert cloud.recovery.has_versions(store)
    return done(cloud.access.grant, AccessSpec(uuid4(), "orders", account, PREFIX, (store.bucket,)))


def test_it_is_made_beside_the_nodes_access_and_leaves_nothing(world, nodes):
    access, before = CLOUDS[world.key].access, world.look()
    until = datetime.now(UTC) + timedelta(hours=1)
    identity = done(access.grant, replace(nodes, id=uuid4(), keys={}, reads_until=until))
    made = world.look()
    assert made != before
    if world.key != "aws":  # where it signs in as its machine
        assert identity.keys
        assert identity.keys != nodes.keys
    assert done(access.grant, identity) == identity  # again: nothing changes, and the key stays
    assert world.look() == made
    other = done(access.grant, replace(identity, id=uuid4(), keys={}))  # of another store of the same cluster, say
    done(access.delete, other)
    assert world.look() == made
    # A worker that died lost the key that it had just made: the next one makes another, and deletes that one.
    again = done(access.grant, replace(identity, keys={}))
    assert world.key == "aws" or again.keys != identity.keys
    done(access.delete, again)
    assert world.look() == before
    done(access.delete, again)
    assert world.look() == before
    assert done(access.grant, nodes) == nodes
