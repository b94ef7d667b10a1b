"""Who links an account, whatever the cloud, and that nothing is done before the proof."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import uuid4

import pytest

from console.clouds.contract import LinkError, Unproven
from console.clouds.proof import FOUND, NotProven, is_proven
from console.clouds.specs import AccessSpec, StoreSpec
from tests.clouds import plans
from tests.clouds.contract.running import PREFIX, emulated, failure, provider_of, settled, steps

pytestmark = pytest.mark.slow


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
