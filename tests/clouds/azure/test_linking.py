"""Who the console is in Azure, and what is wrong with what was filled in."""

import base64
import json
from dataclasses import replace

import pytest

from console.clouds.azure import AZURE
from console.clouds.azure import session as azure_session
from console.clouds.contract import LinkError, Unproven
from console.demo.credentials import AZURE_IDENTITY
from tests.clouds.azure.specs import OTHER

pytestmark = pytest.mark.slow  # Azurite is a process


def test_identify_proves_who_we_are(world):
    found = AZURE.linking.identify(world.account())
    assert found.number == world.emulator.subscription
    assert found.found["location"] == "westeurope"
    assert any("rg-backups in westeurope" in proof for proof in found.proofs)
    # The role is on the resource group alone, so the subscription's name may stay unknown.
    assert any("not shown" in proof for proof in found.proofs)
    world.emulator.assign(
        world.emulator.object_id(),
        world.emulator.define_role("Sees", {"actions": ["Microsoft.Resources/subscriptions/read"]}),
        f"/subscriptions/{world.emulator.subscription}",
    )
    assert AZURE.linking.identify(world.account()).found["subscription_name"] == "Acme production"


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"tenant_id": OTHER}, "tenant_id", "no tenant"),
        ({"client_id": OTHER}, "client_id", "does not know application"),
        ({"subscription_id": OTHER}, "subscription_id", "does not know this subscription"),
        ({"resource_group": "nothing"}, "", "its role is assigned|is assigned on the resource group"),
        ({"method": "federation", "external_id": "8c1f"}, "method", "no identity of its own"),
    ],
)
def test_identify_says_beside_the_field_what_is_wrong(world, changes, field, says):
    with pytest.raises(LinkError, match=says) as raised:
        AZURE.linking.identify(world.account(**changes))
    assert raised.value.field == field
    assert not raised.value.passing


def test_identify_says_that_the_secret_is_wrong_or_expired(world):
    wrong = replace(world.account(), secrets={"client_secret": "wrong"})
    with pytest.raises(LinkError, match="its value, not its ID") as raised:
        AZURE.linking.identify(wrong)
    assert raised.value.field == "client_secret"
    world.emulator.state["apps"][world.emulator.client_id]["expired"] = True
    with pytest.raises(LinkError, match="has expired") as raised:
        AZURE.linking.identify(world.account())
    assert raised.value.field == "client_secret"


def test_identify_says_that_there_is_no_such_group_or_role(world):
    world.emulator.state["groups"].clear()
    with pytest.raises(LinkError, match="has no resource group rg-backups") as raised:
        AZURE.linking.identify(world.account())
    assert raised.value.field == "resource_group"
    world.clear()
    world.emulator.state["assignments"].clear()
    with pytest.raises(LinkError, match="role is assigned on the resource group"):
        AZURE.linking.identify(world.account())


def test_identify_knows_when_to_try_again(world):
    world.fault("busy", 1)
    with pytest.raises(LinkError) as raised:
        AZURE.linking.identify(world.account())
    assert raised.value.passing
    world.fault("reset before", 1)
    with pytest.raises(LinkError, match="got no answer") as raised:
        AZURE.linking.identify(world.account())
    assert raised.value.passing


def assertion(**claims):
    parts = [
        {"alg": "none"},
        {
            "iss": AZURE_IDENTITY["issuer"],
            "sub": AZURE_IDENTITY["subject"],
            "aud": AZURE_IDENTITY["audience"],
            **claims,
        },
    ]
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "x"]
    )


def test_identify_signs_in_by_federation_without_a_secret(world, tmp_path):
    file = tmp_path / "token"
    world.emulator.state["apps"][world.emulator.client_id] |= {"secret": "", "federated": AZURE_IDENTITY}
    account = world.account(method="federation", external_id="8c1f-own")
    account = replace(account, secrets={}, deployment=replace(account.deployment, token_file=str(file)))
    world.prove(account)
    file.write_text(assertion())
    assert AZURE.linking.identify(account).number == world.emulator.subscription
    azure_session.forget_clients()
    file.write_text(assertion(sub="somebody else"))
    with pytest.raises(LinkError, match="federated credential has to name that token's issuer"):
        AZURE.linking.identify(account)
    azure_session.forget_clients()
    file.unlink()
    with pytest.raises(LinkError, match="no identity of its own"):
        AZURE.linking.identify(account)


@pytest.mark.parametrize(
    ("tags", "proven"),
    [
        ({"storekeeper:external-id": "8c1f-own"}, True),
        ({"Storekeeper:External-ID": "8c1f-own"}, True),  # names of tags know no case
        ({"storekeeper:external-id": "9d2e-other 8c1f-own"}, True),
        ({"storekeeper:external-id": "9d2e-other"}, False),
        ({"storekeeper:external-id": "8C1F-OWN"}, False),
        ({"storekeeper:external-id": "8c1f-own-not"}, False),
        ({"storekeeper:external-id": ""}, False),
        ({"owner": "8c1f-own"}, False),
        ({}, False),
    ],
)
def test_identify_looks_for_the_external_id_in_the_tag_of_the_group(world, tags, proven):
    account = world.signing_in("federation")
    account = replace(account, settings={**account.settings, "external_id": "8c1f-own"})
    world.emulator.state["group_tags"][world.emulator.group.lower()] = tags
    if proven:
        assert AZURE.linking.identify(account).found["proven_id"] == "8c1f-own"
        return
    with pytest.raises(Unproven, match="8c1f-own") as raised:
        AZURE.linking.identify(account)
    assert raised.value.field == "resource_group"


@pytest.mark.parametrize("name", ["tenant_id", "client_id", "subscription_id"])
def test_link_fields_take_ids_and_nothing_else(name):
    [field] = [one for one in AZURE.linking.fields if one.name == name]
    assert field.clean(OTHER.upper()) == OTHER
    with pytest.raises(LinkError) as raised:
        field.clean("acme.onmicrosoft.com")
    assert raised.value.field == name


@pytest.mark.parametrize("text", ["a/b", "ends.", "x" * 91, "'; drop"])
def test_link_refuses_a_resource_group_that_is_none(text):
    [field] = [one for one in AZURE.linking.fields if one.name == "resource_group"]
    assert field.clean("rg-(prod).1_x") == "rg-(prod).1_x"
    with pytest.raises(LinkError):
        field.clean(text)
