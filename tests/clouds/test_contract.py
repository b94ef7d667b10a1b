"""The contract that every provider keeps, whatever the cloud: walked for each of PROVIDERS, through its World."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from uuid import uuid4

import pytest

from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, StanzaConfiguration, Target
from console.clouds import CLOUDS
from console.clouds.contract import AccessSpec, AccountRef, DeploymentSettings, LinkError, StoreSpec, Unproven
from console.clouds.proof import FOUND, NotProven, is_proven
from console.clouds.regions import regions
from console.clouds.steps import Conflict, Denied, Failed, LeaseLost, NotReady, Refused, StepError, TooLate, is_held
from tests.clouds import plans
from tests.worlds import live

pytestmark = pytest.mark.slow

PREFIX = "c-k3v9x2m7q4ta"


# What has to write as a node or an administrator does, or to spoil calls: not on a real account.
emulated = pytest.mark.emulated


@pytest.fixture(scope="module", params=["live"] if live.TESTED else CLOUDS)
def opened(request, tmp_path_factory):
    module = import_module(f"tests.worlds.{request.param}")
    with module.opened(tmp_path_factory.mktemp(request.param)) as world:
        yield world


@pytest.fixture
def world(opened):
    opened.clear()
    opened.mend()
    opened.forget()
    return opened


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


# --- Words and names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", CLOUDS)
def test_provider_describes_itself(key):
    provider = CLOUDS[key]
    assert provider.key == key
    assert provider.vocabulary.bucket == provider.vocabulary.bucket.lower()
    assert len(provider.mark) <= 3
    for plan in (plans.deletion(provider), plans.deletion_but_logs(provider)):
        titles = [
            step.title
            for part in (plans.creation(provider), plan, plans.cancellation(provider))
            for step in steps(part)
        ]
        assert len(set(titles)) == len(titles)
    assert len({field.name for field in provider.linking.fields}) == len(provider.linking.fields)
    assert {field.method for field in provider.linking.fields} - {""} <= {
        key for field in provider.linking.fields if field.name == "method" for key, _ in field.choices
    }


@pytest.mark.parametrize("key", CLOUDS)
def test_provider_names_are_legal_stable_and_distinct(key):
    provider, number = CLOUDS[key], "123456789012"
    for region in regions(key):
        one, other = uuid4(), uuid4()
        found = provider.storage.names(one, region.code, number)
        assert found == provider.storage.names(one, region.code, number)
        assert len({*found, *provider.storage.names(other, region.code, number)}) == 4
        assert all(3 <= len(name) <= 63 and name == name.lower() and "." not in name for name in found)


@pytest.mark.parametrize("key", CLOUDS)
def test_every_way_to_sign_in_says_what_proves_a_link(key):
    linking, given = CLOUDS[key].linking, "0c0e9f4e-own"
    methods = [chosen for field in linking.fields if field.name == "method" for chosen, _ in field.choices]
    assert [way.key for way in linking.sign_ins] == (methods or [""])
    for way in linking.sign_ins:
        # A way without a secret is one that anybody who knows the IDs could ask for.
        secrets = [one for one in linking.fields if one.secret and one.method in {"", way.key} and one.required]
        assert bool(secrets) is (way.proof == "secret"), way.key
        assert bool(way.where) is way.takes_external_id
        assert (given in way.command({"external_id": given})) is (way.proof == "console")
        account = AccountRef(
            uuid4(), "", "", {"external_id": given}, {}, DeploymentSettings(principal="arn:aws:iam::1:x")
        )
        files = [document.filename for document in linking.documents(account) if given in document.text]
        assert bool(files) is any(one.takes_external_id for one in linking.sign_ins)
        if way.takes_external_id:
            assert any(name.endswith(".tf") for name in files)
            assert any(name.endswith((".sh", ".json")) for name in files)


# --- A store's life -------------------------------------------------------------------------------------------------


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
        for nth in range(1, 100):
            died = crash(plans.creation(provider), spec, nth)
            settled(plans.creation(provider), spec)
            assert world.look() == wanted, nth
            settled(plans.deletion(provider), replace(spec, complete=True))
            if not died:
                break
            tried += 1
    assert tried >= 4
    say(**{f"contract, {world.key}: kills survived": tried})


@emulated
def test_a_worker_may_be_killed_before_any_call_of_the_deletion(world, say):
    provider, tried = provider_of(world), 0
    spec, untouched = make_spec(world), world.look()
    done = replace(spec, complete=True)
    for nth in range(1, 100):
        settled(plans.creation(provider), spec)
        world.put_log(spec)
        died = crash(plans.deletion(provider), done, nth)
        settled(plans.deletion(provider), done)
        assert world.look() == untouched, nth
        if not died:
            break
        tried += 1
    assert tried >= 4
    say(**{f"contract, {world.key}: kills survived": tried})


def with_keys(made, access):
    """Return the access with what the steps gave to be kept."""
    kept = [one.keep for one in made if one and one.keep is not None]
    return replace(access, keys=kept[-1]) if kept else access


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
    """What goes wrong at the nth call: a denial, an answer that is lost, and one of what keeps a call from being made.

    Those are tried in turn: whichever it is, nothing has happened, and the same call is made again.
    """
    told = ("denied", "reset after")
    assert {*told} < {*world.faults}
    others = [fault for fault in world.faults if fault not in told]
    return (*told, others[nth % len(others)])


@emulated
@pytest.mark.parametrize("verb", ["creation", "protection", "deletion", "grant", "revocation"])
def test_any_fault_at_any_call_ends_as_wanted(world, verb, say):
    provider, store, tried = provider_of(world), make_spec(world), 0
    begin, plan = lives(provider, store)[verb]
    if verb in {"grant", "revocation"}:
        settled(plans.creation(provider), store)

    def prepare():
        world.mend()
        return begin()

    spec = prepare()
    stood = world.look()
    world.forget()
    settled(plan, spec)
    calls, wanted = world.calls(), world.look()
    assert wanted != stood
    assert len(calls) >= len(steps(plan))
    survived = []
    for nth, call in enumerate(calls, 1):
        for fault in faults_at(world, nth):
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
            world.mend()
            settled(plan, spec)
            assert world.look() == wanted, (fault, nth)
            tried += 1
    assert survived == list(world.denials_survived.get(verb, ()))
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
    assert objects.read(f"{PREFIX}/n1/backup/main/backup.info", 5) == b"[back"
    assert objects.read(f"{PREFIX}/n2/backup/main/backup.info", 5) is None
    world.wipe(spec)
    settled(provider.access.revoke, access)
    settled(provider.access.delete, access)
    settled(plans.deletion(provider), spec)
    assert world.look() == untouched
    assert not plans.contents(provider, spec, told.append).exists


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
    settled(plans.deletion(provider), spec)  # an administrator was quicker
    assert plans.clear_logs(provider, kept, True)
    assert world.look() == untouched


# --- Watching -------------------------------------------------------------------------------------------------------


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


# --- Accounts and nodes ---------------------------------------------------------------------------------------------


def test_an_account_says_who_it_is_and_lacks_nothing(world):
    provider, account = provider_of(world), world.account()
    identity = provider.linking.identify(account)
    assert identity.number == account.number
    assert identity.proofs or world.key == "s3"
    checks = provider.linking.preflight(account, [world.regions[0]])
    assert checks
    assert [one.label for one in checks if one.required and one.outcome == "fail"] == []
    assert [fact.label for fact in provider.linking.facts(account)]
    region = world.regions[0]
    assert region in {one.code for one in provider.storage.regions(account)}


def given_id(account, external_id):
    return replace(account, settings={**account.settings, "external_id": external_id})


@emulated
def test_only_whom_the_account_s_administrator_lets_in_links_it(world, say):
    """Two organisations give the same answers, each with its own external ID; by every way to sign in."""
    linking, refused = provider_of(world).linking, 0
    for way in linking.sign_ins:
        world.clear()
        answers = world.signing_in(way.key)
        assert linking.sign_in(answers) is way
        first, second = given_id(answers, str(uuid4())), given_id(answers, str(uuid4()))
        before = world.look()
        if way.proof == "secret":  # who has it is let in, and who knows all but that is not
            assert linking.identify(answers).number == answers.number
            strangers = [replace(answers, id=uuid4(), secrets={})]
        else:
            for nobody in (first, second, given_id(answers, "")):
                with pytest.raises(LinkError) as raised:
                    linking.identify(nobody)
                assert not raised.value.passing
                assert isinstance(raised.value, Unproven) is (way.proof == "console")
            world.prove(first)
            identity = linking.identify(first)
            assert identity.number == first.number
            proven = replace(first, settings={**first.settings, **identity.found})
            assert is_proven(way, proven.settings)
            first_half = first.settings["external_id"][:18]
            # Also one that brings the mark of a proof along, none, or a part of the ID.
            strangers = [second, given_id(proven, second.settings["external_id"]), given_id(proven, ""), answers]
            strangers.append(given_id(answers, first_half))
        for stranger in strangers:
            with pytest.raises(LinkError) as raised:
                linking.identify(replace(stranger, id=uuid4()))
            assert not raised.value.passing
            assert not is_proven(way, stranger.settings) or way.proof != "console"
            refused += 1
        assert world.look() == before
    assert refused
    say(**{f"contract, {world.key}: strangers not let in": refused})


def everything(cloud, account, region):
    """Yield all that is ever done in an account: what it is called, and the call."""
    storage, names = cloud.storage, cloud.storage.names(uuid4(), region, account.number)
    spec = StoreSpec(uuid4(), "Orders (EU)", account, region, *names, versions_days=30, complete=True)
    access = AccessSpec(uuid4(), "Orders (EU)", account, PREFIX, (spec.bucket,))
    whole = (plans.creation, plans.versions, plans.lock, plans.deletion, plans.deletion_but_logs, plans.cancellation)
    for plan in (*(plan(cloud) for plan in whole), cloud.access.grant, cloud.access.revoke, cloud.access.delete):
        for step in steps(plan):
            yield step.title, partial(step.run, access if step in steps_of_access(cloud) else spec)
    for bucket in names:
        for call in (storage.owner, storage.create, storage.adopt, storage.contents, storage.empty, storage.delete):
            yield f"{call.__name__} {bucket}", partial(call, spec, bucket)
    for call in (storage.close, storage.release):
        yield call.__name__, partial(call, spec)
    for control in storage.settings(spec):
        yield f"observe {control.key}", control.observe
        yield f"ensure {control.key}", control.ensure
    objects = storage.objects(spec)
    yield "folders", lambda: objects.folders(f"{PREFIX}/")
    yield "entries", lambda: list(objects.entries(f"{PREFIX}/"))
    yield "read", lambda: objects.read(f"{PREFIX}/n1/backup/main/backup.info", 100)
    yield "list_unmanaged", lambda: list(storage.list_unmanaged(account, ()))
    yield "preflight", lambda: cloud.linking.preflight(account, [region])


def steps_of_access(cloud):
    return [step for plan in (cloud.access.grant, cloud.access.revoke, cloud.access.delete) for step in steps(plan)]


@emulated
def test_nothing_is_done_with_a_link_before_its_proof(world, say):
    cloud, refused = provider_of(world), 0
    for way in cloud.linking.sign_ins:
        if way.proof != "console":
            continue
        world.clear()
        account = given_id(world.signing_in(way.key), str(uuid4()))
        before, region = world.look(), world.regions[0]
        world.forget()
        # One that was proven with another ID is as good as none.
        for unproven in (account, replace(account, settings={**account.settings, FOUND: str(uuid4())})):
            for title, call in everything(cloud, unproven, region):
                error = failure(lambda _, call: call(), None, call)
                if error is None:  # what there is nothing to do for
                    assert title.split()[0] in {"close", "release", "empty"} or title == "ensure location", title
                    continue
                assert isinstance(error, NotProven), (title, error.message)
                assert account.settings["external_id"] in error.message
                refused += 1
        assert world.calls() == []
        assert world.look() == before
        world.prove(account)
        proven = replace(account, settings={**account.settings, **cloud.linking.identify(account).found})
        spec = StoreSpec(uuid4(), "Orders", proven, region, *cloud.storage.names(uuid4(), region, proven.number))
        settled(plans.creation(cloud), spec)
        assert world.look() != before
    say(**{f"contract, {world.key}: calls refused before the proof": refused})
    assert refused > 50 or not any(way.proof == "console" for way in cloud.linking.sign_ins)


@emulated
def test_granting_converges_after_a_kill_before_any_call(world):
    provider, spec = provider_of(world), replace(make_spec(world), complete=True)
    settled(plans.creation(provider), spec)
    untouched, access = world.look(), access_to(spec)
    settled(provider.access.grant, access)
    wanted = world.look()
    assert wanted != untouched
    settled(provider.access.delete, replace(access, buckets=()))
    for nth in range(1, 100):
        died = crash(provider.access.grant, access, nth)
        settled(provider.access.grant, access)
        assert world.look().keys() == wanted.keys(), nth
        settled(provider.access.revoke, replace(access, buckets=()))
        settled(provider.access.delete, replace(access, buckets=()))
        if not died:
            break
    assert nth > 2


def test_pgbackrest_takes_the_configuration(world, tmp_path):
    provider, spec = provider_of(world), replace(make_spec(world), complete=True)
    settled(plans.creation(provider), spec)
    access = access_to(spec)
    access = with_keys(settled(provider.access.grant, access), access)
    repository = provider.access.repository(spec, access)
    target = Target(1, "orders", f"/{PREFIX}/n1", repository, "secret", "time", 14, None)
    file = tmp_path / "pgbackrest.conf"
    configuration = Configuration(
        "ledger", "n1", BY_NUMBER[""], [target], [StanzaConfiguration("main", 15, "/data", 5432)]
    )
    file.write_text(configuration.render(secrets=True))
    assert all(value in file.read_text() for _, value in repository.options)
    binary = shutil.which("pgbackrest")
    assert binary, "pgBackRest is not installed"
    options = [f"--config={file}", f"--lock-path={tmp_path}", f"--log-path={tmp_path}", "--log-level-console=warn"]
    # It reads every option, and touches nothing but its own lock.
    done = subprocess.run(
        [binary, *options, "--stanza=main", "stop"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    wrong = tmp_path / "wrong.conf"
    wrong.write_text(file.read_text().replace("repo1-bundle=y", "repo1-bundel=y"))
    options[0] = f"--config={wrong}"
    done = subprocess.run(
        [binary, *options, "--stanza=main", "stop"], capture_output=True, text=True, timeout=60, check=False
    )
    assert "repo1-bundel" in done.stdout + done.stderr


@emulated
def test_errors_are_said_to_people(world):
    """Each message tells what to do, and names nothing of Python's."""
    provider, spec, said = provider_of(world), make_spec(world), set()
    run(plans.creation(provider), spec)
    world.forget()
    run(plans.creation(provider), spec)
    last = len(world.calls())
    for fault in world.faults:
        world.fault(fault, last)
        error = failure(run, plans.creation(provider), spec)
        assert world.faults_met() == 1, fault
        if error:
            said.add(fault)
            assert "Traceback" not in error.message
            assert not error.message.startswith(("HTTPSConnectionPool", "("))
            assert error.message[0].isupper()
            assert error.message.rstrip().endswith((".", '"', ")")), error.message
        world.mend()
    assert "denied" in said
