"""Whether a call is signed with its access key's secret ("Signature Version 4 for API requests", IAM user guide)."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote, unquote_to_bytes

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from moto.utilities.utils import PARTITION_NAMES

from console.demo.emulators.aws.calls import Call, Refusal

ALGORITHM = "AWS4-HMAC-SHA256"
UNRESERVED = "-_.~"
AT_OTHERS = "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
MESSAGE = "The request signature we calculated does not match the signature you provided."


def check_signature(call: Call) -> Refusal | None:
    """Refuse what another secret has signed ("Error responses", Amazon S3 API; "Common errors", IAM API reference)."""
    if call.account_id is None:
        return None
    given, names = _given(call)
    expected = signature(call, names, _secret_of(call))
    if hmac.compare_digest(given.encode(), expected.encode()):
        return None
    more = "Check your key and signing method." if call.service == "s3" else AT_OTHERS
    return Refusal(403, "SignatureDoesNotMatch", f"{MESSAGE} {more}")


def signature(call: Call, names: list[str], secret: str) -> str:
    """Return the signature in hex digits which that secret makes of the call with these signed headers."""
    asked = call.query.get("X-Amz-Credential", "")
    scope = "/".join((asked or _part(call, "Credential")).split("/")[1:])
    at = call.query.get("X-Amz-Date") or call.headers.get("X-Amz-Date", "")
    request = hashlib.sha256(_canonical(call, names).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _mac(key, part)
    return _mac(key, "\n".join((ALGORITHM, at, scope, request))).hex()


def _given(call: Call) -> tuple[str, list[str]]:
    if found := call.query.get("X-Amz-Signature"):
        return found, call.query.get("X-Amz-SignedHeaders", "").split(";")
    return _part(call, "Signature"), _part(call, "SignedHeaders").split(";")


def _part(call: Call, name: str) -> str:
    found = re.search(rf"\b{name}=([^,\s]+)", call.headers.get("Authorization", ""))
    return found[1] if found else ""


def _canonical(call: Call, names: list[str]) -> str:
    """Return the canonical request."""
    environ = call.environ
    raw = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    path = unquote_to_bytes(raw.partition("?")[0]) if raw.startswith("/") else environ["PATH_INFO"].encode("latin-1")
    parts = (one.partition("=") for one in environ.get("QUERY_STRING", "").split("&") if one)
    pairs = sorted((_encoded(name), _encoded(value)) for name, _, value in parts)
    query = "&".join(f"{name}={value}" for name, value in pairs if name != "X-Amz-Signature")
    headers = "".join(f"{name}:{' '.join(call.headers.get(name, '').split())}\n" for name in names)
    body = call.headers.get("X-Amz-Content-SHA256") or (
        "UNSIGNED-PAYLOAD" if "X-Amz-Signature" in call.query else hashlib.sha256(call.body).hexdigest()
    )
    return "\n".join(
        (environ["REQUEST_METHOD"], quote(path, safe="/" + UNRESERVED), query, headers, ";".join(names), body)
    )


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe=UNRESERVED)


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _secret_of(call: Call) -> str:
    """Return the secret of the access key, or of the assumed role's session, by its ID."""
    for partition in PARTITION_NAMES:
        if key := iam_backends[call.account_id or ""][partition].access_keys.get(call.access_key_id):
            return str(key.secret_access_key)
        session = sts_backends[call.account_id or ""][partition]
        if assumed := session.get_assumed_role_from_access_key(call.access_key_id):
            return str(assumed.secret_access_key)
    return ""
