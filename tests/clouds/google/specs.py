"""Stores in the emulated Google Cloud, and plans that are run as the engine does."""

from dataclasses import replace
from uuid import uuid4

from console.clouds import CLOUDS
from console.clouds.specs import StoreSpec
from console.demo.emulators.google.emulator import PROJECT

GOOGLE = CLOUDS["google"]


def steps(plan):
    return [step for stage in plan for step in stage]


def run(plan, spec):
    """Run the plan, and return the spec with what its steps gave to keep."""
    for step in steps(plan):
        made = step.run(spec)
        if made and made.keep is not None:
            spec = replace(spec, keys=made.keep)
    return spec


def make_spec(world, region="europe-west1", **values):
    store_id = uuid4()
    account = values.pop("account", None) or world.account()
    names = GOOGLE.storage.names(store_id, region, account.number)
    return StoreSpec(store_id, "Orders (EU)", account, region, *names, **values)


def take_permission(world, permission):
    project = world.emulator.directory.projects[PROJECT]
    for name, permissions in project.roles.items():
        project.roles[name] = tuple(one for one in permissions if one != permission)


def forget_key(world):
    world.emulator.directory.accounts[world.key_file["client_email"]].keys.clear()
