"""What linking a server that speaks S3 asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from console.clouds.contract import Fact, Field, LinkError, key_part
from console.clouds.proof import SignIn
from console.clouds.regions import find, find_places, places
from console.clouds.s3.session import own_region, verifies
from console.clouds.specs import AccountRef

HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)
SIGNING_REGION = re.compile(r"(?!\d+$)(?!-)[a-zA-Z0-9-]{1,40}(?<!-)", re.ASCII)  # what botocore takes for a region
NUMBER_AT_MOST = 64  # of the account's number, which for a server is its name and port


def _endpoint(text: str) -> str:
    """Return the endpoint as https://host, with :port if that is not 443."""
    try:
        url = urlsplit(text if "//" in text else f"https://{text}")
        port = url.port
    except ValueError as error:
        raise LinkError("This is no address. Enter one such as https://s3.example.com.") from error
    if url.scheme != "https":
        raise LinkError("Enter an address with https://: pgBackRest speaks S3 over TLS only.")
    if url.username is not None or url.query or url.fragment or url.path not in {"", "/"}:
        raise LinkError("Enter only the server's name and port, such as https://s3.example.com:9000.")
    host = url.hostname or ""
    if not HOST.fullmatch(host):
        raise LinkError("This is no name of a server. Enter one such as https://s3.example.com.")
    number = host if port in {None, 443} else f"{host}:{port}"
    if len(number) > NUMBER_AT_MOST:
        raise LinkError(f"The server's name and port may have {NUMBER_AT_MOST} characters at most.")
    return f"https://{number}"


def _region(text: str) -> str:
    """Return the region as it is given: other servers than Amazon's have capitals in it."""
    if not SIGNING_REGION.fullmatch(text):
        raise LinkError("A region has letters, digits and hyphens, such as us-east-1.")
    return text


def _certificates(text: str) -> str:
    """Return the certificates and nothing else of what was pasted."""
    if "PRIVATE KEY" in text:
        raise LinkError("This holds a private key, which only the server may have. Paste only the certificate.")
    from cryptography import x509  # noqa: PLC0415 - half a megabyte, for whoever links a server
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise LinkError("This is no certificate. Paste one as PEM: it begins with -----BEGIN CERTIFICATE-----.") from (
            error
        )
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in found)


BY_KEY = SignIn(key="", label="Access key", proof="secret")
FIELDS = (
    Field(
        "endpoint",
        "Endpoint",
        "Where the server answers S3 over TLS, such as https://s3.example.com:9000. Only https://, because pgBackRest "
        "needs it.",
        required="Enter the server's address, such as https://s3.example.com.",
        at_most=300,
        placeholder="https://s3.example.com",
        binds_secrets=True,
        clean=_endpoint,
    ),
    Field(
        "region",
        "Region",
        "The region that requests are signed for; us-east-1 for most servers.",
        required="Enter the region that the server signs for, such as us-east-1.",
        at_most=40,
        clean=_region,
    ),
    Field(
        "location",
        "Location",
        "Where the server stands, for the map: a city or a country. A region of AWS says it itself.",
        at_most=80,
        suggestions=lambda: [(place.code, place.place) for place in places()],
    ),
    Field(
        "access_key_id",
        "Access Key ID",
        "Of a user who may make buckets named pgbk-* and, if the server has IAM, users named pgbk-*.",
        required="Enter the access key's ID.",
        at_most=128,
        identity=True,
        binds_secrets=True,
        clean=key_part,
    ),
    Field(
        "secret_access_key",
        "Secret Access Key",
        secret=True,
        required="Enter the secret of the access key.",
        clean=key_part,
    ),
    Field(
        "addressing_style",
        "Addressing Style",
        "Path works with every server.",
        kind="choice",
        choices=(("path", "Path: https://server/bucket"), ("host", "Host: https://bucket.server")),
    ),
    Field(
        "ca_certificate",
        "CA Certificate",
        "Only if the server's certificate is signed by an authority of your own: that authority's certificate, as PEM.",
        kind="area",
        at_most=100_000,
        clean=_certificates,
    ),
    # Not "verify": an answer that is absent must mean that certificates are verified.
    Field(
        "skip_tls_verify",
        "Do not verify the server's certificate",
        "Leave this off: anybody on the way to a server whose certificate is not verified can read and change backups, "
        "and learn the keys.",
        kind="flag",
    ),
)


def clean(given: Mapping[str, str]) -> Mapping[str, str]:
    """Return what is kept of a server, with where it stands; the regions of a cloud say that themselves."""
    cloud, location = find("aws", given["region"]), given.get("location", "")
    found = find_places(location or (cloud.city if cloud else ""))
    if len(found) == 1:
        return {**given, "location": found[0].code}
    if found:
        names = ", ".join(place.city for place in found)
        raise LinkError(f"There are {len(found)} places in {location}: {names}. Enter one of them.", "location")
    if location:
        raise LinkError(f"There is no place {location} here. Choose the one nearest to the server.", "location")
    raise LinkError(f"Say where the server stands: {given['region']} does not tell.", "location")


def account_facts(account: AccountRef) -> list[Fact]:
    """Return where the server is, how the console signs in, and whom it trusts."""
    settings = account.settings
    if not verifies(account):
        tls = "NOT verified: anybody on the way to the server can read and change everything"
    else:
        tls = "verified with " + (
            "your CA certificate" if settings.get("ca_certificate") else "the system's certificates"
        )
    return [
        Fact("Endpoint", settings["endpoint"], more=False),
        Fact("Access Key ID", settings.get("access_key_id", ""), more=False),
        Fact("TLS", tls, more=verifies(account), warning=not verifies(account)),
        Fact("Region", settings["region"]),
        Fact("Location", own_region(account).place),
        Fact("Addressing Style", settings.get("addressing_style", "path")),
    ]
