"""Stores in the emulated Azure, and plans that are run as the engine does."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from azure.storage.blob import ContainerClient

from console.clouds.azure import AZURE
from console.clouds.azure import access as azure_access
from console.clouds.specs import StoreSpec

OTHER = "00000000-1111-4222-8333-444444444444"


def make_spec(world, region="westeurope", **changes):
    store_id, account = uuid4(), world.account()
    bucket, log_bucket = AZURE.storage.names(store_id, region, account.number)
    return replace(StoreSpec(store_id, "Orders (EU)", account, region, bucket, log_bucket), **changes)


def steps(plan):
    return [step for stage in plan for step in stage]


def run(plan, spec):
    """Run the plan and return the spec with what its steps gave to be kept."""
    for step in steps(plan):
        made = step.run(spec)
        if made and made.keep is not None:
            spec = replace(spec, keys=made.keep)
    return spec


class Token:
    """What a machine with this identity gets from Azure."""

    def __init__(self, emulator, principal):
        self.emulator, self.principal = emulator, principal

    def get_token(self, *scopes, **_):
        from azure.core.credentials import AccessToken

        audience = scopes[0].removesuffix("/.default").rstrip("/")
        return AccessToken(self.emulator.token(self.principal, audience), int(datetime.now(UTC).timestamp()) + 600)


def node_client(world, spec, access, container=""):
    """Return a client of a container as the cluster's node has it."""
    if world.node_access == "sas":
        credential = access.keys[spec.bucket]
    else:
        identity = world.emulator.state["identities"][azure_access.identity_id(access).lower()]
        credential = Token(world.emulator, identity["properties"]["principalId"])
    return ContainerClient(
        f"{world.emulator.url}/{spec.bucket}",
        container or access.prefix,
        credential=credential,
        connection_verify=str(world.emulator.ca_file),
        retry_total=0,
    )
