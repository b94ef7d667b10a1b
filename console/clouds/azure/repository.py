"""How pgBackRest finds a cluster's container and signs in there, as options of its configuration."""

from __future__ import annotations

from urllib.parse import urlsplit

from console.clouds.azure.places import container_in, place_of
from console.clouds.azure.session import gives_signatures
from console.clouds.contract import BroughtKey, KeyPart, Need, RepositoryOptions
from console.clouds.specs import AccessSpec, StoreSpec


def repository(spec: StoreSpec, access: AccessSpec) -> RepositoryOptions:
    """Return pgBackRest's options for the repository's container: the cluster's own, or that of one brought in.

    A node signs in as its identity or with a signature.
    """
    place = place_of(access, spec.bucket)
    container = container_in(access, place)
    options = [("type", "azure"), ("azure-account", spec.bucket), ("azure-container", container)]
    needs: tuple[Need, ...] = ()
    lacks = ""
    if not gives_signatures(spec.account):
        options.append(("azure-key-type", "auto"))
        needs = (_managed_identity(spec),)
    else:
        options.append(("azure-key-type", "sas"))
        if signature := access.keys.get(place):
            options.append(("azure-key", signature))
        else:
            lacks = (
                f"The console has no signature for {spec.name} yet. It makes one when the cluster's backup stores are "
                "updated: look at the cluster's last task."
            )
    ca_certificate = ""
    if emulator := spec.account.deployment.endpoint_url:
        where = urlsplit(emulator)
        options += [
            ("azure-endpoint", where.hostname or ""),
            ("azure-uri-style", "path"),
            ("storage-port", str(where.port or 443)),
        ]
        ca_certificate = _emulators_ca(spec.account.deployment.ca_file)
    by_machine = {"azure-key-type", "azure-key"}
    brought = (*((name, value) for name, value in options if name not in by_machine), ("azure-key-type", "sas"))
    part = KeyPart("azure-key", "Shared access signature (SAS) of the container")
    key = BroughtKey(brought, (part,), "azure-key-type")
    above = "" if place == spec.bucket else container
    return RepositoryOptions(tuple(options), frozenset({"azure-key"}), ca_certificate, (), needs, lacks, key, above)


def _managed_identity(spec: StoreSpec) -> Need:
    return Need(
        "2.58",  # its release notes: repo-azure-key-type=auto
        f"sign in to {spec.name} with a managed identity",
        "have the account's nodes sign in with a signature (the account's page, Change)",
    )


def _emulators_ca(file: str) -> str:
    if not file:
        return ""
    with open(file) as certificate:
        return certificate.read()
