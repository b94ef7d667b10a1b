"""The plans of a store's life in each cloud, for tests that run their steps by hand."""

from __future__ import annotations

from uuid import UUID

from console.clouds import lifecycle
from console.clouds.specs import AccountRef, StoreSpec

PLAIN = StoreSpec(UUID(int=0), "plain", AccountRef(UUID(int=0), "", "", {}, {}), "", "", "")


def steps(plan):
    return [step for stage in plan for step in stage]


def run(plan, spec):
    for step in steps(plan):
        step.run(spec)


def creation(cloud):
    return lifecycle.creation(cloud, PLAIN)


def versions(cloud):
    return _only_with(cloud, "versions")


def lock(cloud):
    return _only_with(cloud, "lock")


def _only_with(cloud, promise):
    stages = [[one for one in stage if one.only_with == promise] for stage in cloud.creation]
    return tuple(lifecycle.Stage(*(lifecycle._set_step(cloud, one) for one in stage)) for stage in stages if stage)


def deletion(cloud):
    return lifecycle.deletion(cloud, keep_logs=False)


def deletion_but_logs(cloud):
    return lifecycle.deletion(cloud, keep_logs=True)


def cancellation(cloud):
    return lifecycle.cancellation(cloud)


def contents(cloud, spec, tell):
    return lifecycle.contents(cloud, spec, tell)


def clear_logs(cloud, spec, over):
    return lifecycle.clear_logs(cloud, spec, over=over)


# One step of them


def create(cloud, spec):
    return creation(cloud)[0][1].run(spec)


def create_log(cloud, spec):
    return creation(cloud)[0][0].run(spec)


def ensure(cloud, key, spec, *, log=False):
    return lifecycle._set(cloud, [key], log, spec)


def check_empty(cloud, spec):
    return deletion(cloud)[0][0].run(spec)


def delete_backups(cloud, spec):
    return deletion(cloud)[1][0].run(spec)


def delete_logs(cloud, spec):
    return deletion(cloud)[2][0].run(spec)


def keep_logs(cloud, spec):
    return deletion_but_logs(cloud)[2][0].run(spec)


def cancel(cloud, spec):
    return cancellation(cloud)[0][0].run(spec)
