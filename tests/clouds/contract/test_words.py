"""What every provider says of itself and of its errors, in words and names."""

from __future__ import annotations

from uuid import uuid4

import pytest

from console.clouds import CLOUDS
from console.clouds.regions import regions
from console.clouds.specs import AccountRef, DeploymentSettings
from tests.clouds import plans
from tests.clouds.contract.running import emulated, failure, make_spec, provider_of, run, steps

pytestmark = pytest.mark.slow


# --- Words and names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", CLOUDS)
def test_provider_describes_itself(key):
    provider = CLOUDS[key]
    assert provider.key == key
    assert provider.vocabulary.bucket == provider.vocabulary.bucket.lower()
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


# --- Errors ---------------------------------------------------------------------------------------------------------


@emulated
def test_errors_are_said_to_people(world):
    """Each message tells what to do, and names nothing of Python's."""
    provider, spec, said = provider_of(world), make_spec(world), set()
    run(plans.creation(provider), spec)
    world.forget()
    run(plans.creation(provider), spec)
    last = len(world.calls())
    # Of the last call, and where a refusal of that is survived, of the last one at which it is not.
    denials = [("denied", nth) for nth in range(last - 1, 0, -1)]
    for fault, nth in [*((fault, last) for fault in world.faults), *denials]:
        if nth < last and "denied" in said:
            break
        world.fault(fault, nth)
        error = failure(run, plans.creation(provider), spec)
        assert world.faults_met() == 1, fault
        if error:
            said.add(fault)
            assert "Traceback" not in error.message
            assert not error.message.startswith(("HTTPSConnectionPool", "("))
            assert error.message[0].isupper()
            assert error.message.rstrip().endswith((".", '"', ")")), error.message
        world.clear_faults()
    assert "denied" in said
