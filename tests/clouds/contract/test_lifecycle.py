"""A store's life, whatever the cloud: every step twice, kills on the way, a fault at each kind of call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.clouds.steps import Conflict, Denied, Failed, Refused, TooLate
from tests.clouds import plans
from tests.clouds.contract.running import (
    KILLED_EVERY,
    PREFIX,
    access_to,
    crash,
    emulated,
    failure,
    make_spec,
    provider_of,
    run,
    settled,
    steps,
    with_keys,
)
from tests.sampling import THOROUGH

pytestmark = pytest.mark.slow


def test_every_step_runs_twice_and_leaves_the_same(world):
    provider, untouched = provider_of(world), world.look()
    for region in world.regions:
        spec = make_spec(world, region)
        for step in steps(plans.creation(provider)):
            step.run(spec)
            once = world.look()
            step.run(spec)
            assert world.look() == once, step.title
        assert once != untouched
        done = replace(spec, complete=True)
        for step in steps(plans.deletion(provider)):
            step.run(done)
            once = world.look()
            step.run(done)
            assert world.look() == once, step.title
        run(plans.deletion(provider), done)
        assert world.look() == untouched


def test_a_worker_may_be_killed_before_any_call_of_the_creation(world, say):
    provider, tried, untouched = provider_of(world), 0, world.look()
    for region in world.regions:
        spec = make_spec(world, region)
        settled(plans.creation(provider), spec)
        wanted = world.look()
        assert wanted != untouched
        settled(plans.deletion(provider), replace(spec, complete=True))
        for nth in range(1, 100, KILLED_EVERY if region == world.regions[0] else KILLED_EVERY // 2):
            died = crash(plans.creation(provider), spec, nth)
            settled(plans.creation(provider), spec)
            assert world.look() == wanted, nth
            settled(plans.deletion(provider), replace(spec, complete=True))
            if not died:
                break
            tried += 1
    assert tried >= 2
    say(**{f"contract, {world.key}: kills survived": tried})


@emulated
def test_a_worker_may_be_killed_before_any_call_of_the_deletion(world, say):
    provider, tried = provider_of(world), 0
    spec, untouched = make_spec(world), world.look()
    done = replace(spec, complete=True)
    for nth in range(1, 100, KILLED_EVERY):
        settled(plans.creation(provider), spec)
        world.put_log(spec)
        died = crash(plans.deletion(provider), done, nth)
        settled(plans.deletion(provider), done)
        assert world.look() == untouched, nth
        if not died:
            break
        tried += 1
    assert tried >= 2
    say(**{f"contract, {world.key}: kills survived": tried})


def lives(provider, spec):
    """Return by verb what leads to its beginning, and gives its spec; and its plan."""
    done, access = replace(spec, complete=True), access_to(spec)

    def create(begun):
        settled(plans.deletion(provider), done)
        settled(plans.creation(provider), spec)
        return begun

    def delete():
        settled(plans.deletion(provider), done)
        return spec

    def take_access():
        settled(provider.access.delete, replace(access, buckets=()))
        return access

    def give_access():
        return replace(with_keys(settled(provider.access.grant, access), access), buckets=())

    return {
        "creation": (delete, plans.creation(provider)),
        "protection": (lambda: create(replace(done, versions_days=30)), plans.versions(provider)),
        "deletion": (lambda: create(done), plans.deletion(provider)),
        "grant": (take_access, provider.access.grant),
        "revocation": (give_access, (*provider.access.revoke, *provider.access.delete)),
    }


def faults_at(world, nth):
    """Return what goes wrong at the nth call: a denial, a lost answer, and one of what keeps a call from being made.

    Those are tried in turn: whichever it is, nothing has happened, and the same call is made again.
    """
    told = ("denied", "reset after")
    assert {*told} < {*world.faults}
    others = [fault for fault in world.faults if fault not in told]
    return (*told, others[nth % len(others)])


@emulated
@pytest.mark.parametrize("verb", ["creation", "protection", "deletion", "grant", "revocation"])
def test_any_fault_at_any_call_ends_as_wanted(world, verb, say, sample):
    provider, store, tried = provider_of(world), make_spec(world), 0
    begin, plan = lives(provider, store)[verb]
    if verb in {"grant", "revocation"}:
        settled(plans.creation(provider), store)

    def prepare():
        world.clear_faults()
        return begin()

    spec = prepare()
    stood = world.look()
    world.forget()
    settled(plan, spec)
    calls, wanted = world.calls(), world.look()
    assert wanted != stood
    assert len(calls) >= len(steps(plan))
    survived, tolerated = [], list(world.denials_survived.get(verb, ()))
    cells = [(call, nth, fault) for nth, call in enumerate(calls, 1) for fault in faults_at(world, nth)]
    for call, nth, fault in sample(f"contract, {world.key}: faults", cells, by=lambda cell: cell[0].split()[0]):
        spec = prepare()
        world.fault(fault, nth)
        error = failure(settled, plan, spec)
        assert world.faults_met() == 1, (fault, nth)
        if fault != "denied":
            assert error is None, (fault, nth, error.message)
        elif error is None:
            survived.append(call.split()[0])
        else:
            assert isinstance(error, Denied), (nth, error)
            assert error.details.get("code"), nth
            assert len(error.message) > 40
        world.clear_faults()
        if error is not None or verb == "grant":  # a key whose answer was lost goes when the next one is given
            settled(plan, spec)
        assert world.look() == wanted, (fault, nth)
        tried += 1
    assert survived == tolerated if THOROUGH else {*survived} <= {*tolerated}
    say(**{f"contract, {world.key}: faults outlasted": tried})


@emulated
@pytest.mark.parametrize("log", [False, True])
def test_what_is_not_the_stores_is_never_touched(world, log):
    provider, spec = provider_of(world), make_spec(world)
    world.occupy(spec, log=log)
    before = world.look()
    with pytest.raises((Failed, Conflict)):
        settled(plans.creation(provider), spec)
    after = world.look()
    assert {name: after[name] for name in before} == before
    settled(plans.deletion(provider), spec)
    assert world.look() == before


@emulated
def test_a_store_that_holds_data_stays_until_it_is_emptied(world):
    provider, untouched = provider_of(world), world.look()
    spec = replace(make_spec(world), complete=True)
    settled(plans.creation(provider), spec)
    access = access_to(spec)
    access = with_keys(settled(provider.access.grant, access), access)
    world.put(spec, f"{PREFIX}/n1/backup/main/backup.info", b"[backrest]\n")
    before, told = world.look(), []
    found = plans.contents(provider, spec, told.append)
    assert (found.objects, found.size, found.more) == (1, 11, False)
    assert told[-1] == 1
    with pytest.raises(Refused, match="1 object") as refused:
        settled(plans.deletion(provider), spec)
    assert refused.value.details["commands"] == provider.storage.empty_commands(spec, found)
    assert spec.bucket in provider.storage.empty_commands(spec, found)
    assert world.look() == before
    objects = provider.storage.objects(spec)
    assert objects.folders(f"{PREFIX}/") == ["n1"]
    assert [entry.key for entry in objects.entries(f"{PREFIX}/")] == [f"{PREFIX}/n1/backup/main/backup.info"]
    if objects.begins_after:
        keys = [f"{PREFIX}/n1/backup/main/backup.inf", f"{PREFIX}/n1/backup/main/backup.info"]
        assert [len(list(objects.entries(f"{PREFIX}/", after))) for after in keys] == [1, 0]
    first = objects.read(f"{PREFIX}/n1/backup/main/backup.info", 5)
    assert first.data == b"[back"
    again = objects.read(f"{PREFIX}/n1/backup/main/backup.info", 5, first.tag)
    assert (again.data, again.is_known, again.tag) == (None, True, first.tag)
    assert objects.read(f"{PREFIX}/n2/backup/main/backup.info", 5).data is None
    assert PREFIX in provider.storage.empty_commands(spec, found, PREFIX)
    world.wipe(spec)
    settled(provider.access.revoke, access)
    settled(provider.access.delete, access)
    settled(plans.deletion(provider), spec)
    assert world.look() == untouched
    assert not plans.contents(provider, spec, told.append).exists


@emulated
def test_a_backup_that_comes_while_its_store_is_deleted_is_kept_and_all_is_put_back(world):
    provider, spec = provider_of(world), replace(make_spec(world), complete=True)
    settled(plans.creation(provider), spec)
    looked, deleted, _ = plans.deletion(provider)
    settled((looked,), spec)
    world.put(spec, f"{PREFIX}/n1/backup/main/backup.info", b"[backrest]\n")
    before = world.look()
    with pytest.raises(Refused, match="1 object"):
        settled((deleted,), spec)
    assert world.look() == before


def test_a_deletion_can_be_cancelled_until_the_backups_place_is_gone(world):
    provider, spec = provider_of(world), replace(make_spec(world), complete=True)
    settled(plans.creation(provider), spec)
    whole = world.look()
    settled(plans.deletion(provider)[:1], spec)
    settled(plans.cancellation(provider), spec)
    assert world.look() == whole
    settled(plans.deletion(provider)[:2], spec)
    with pytest.raises(TooLate):
        settled(plans.cancellation(provider), spec)


@emulated
def test_access_logs_can_be_kept(world):
    provider, untouched = provider_of(world), world.look()
    spec = replace(make_spec(world), complete=True)
    settled(plans.creation(provider), spec)
    world.put_log(spec)
    settled(plans.deletion_but_logs(provider), spec)
    assert any(spec.log_bucket in name for name in world.look())
    assert not any(spec.bucket in name and spec.log_bucket not in name for name in world.look())
    kept = replace(spec, bucket="")
    assert not plans.clear_logs(provider, kept, False)
    logged = world.look()
    assert not plans.clear_logs(provider, kept, True)  # a log is left in it
    assert world.look() == logged
    settled(plans.deletion(provider), spec)  # an administrator was quicker
    assert plans.clear_logs(provider, kept, True)
    assert world.look() == untouched
