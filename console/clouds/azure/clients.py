"""The clients of Azure's SDK, and the one place where its exceptions end; loaded when an account is first called.

Loading the SDK takes a second or two and some memory, which a console without Azure should not spend.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import requests
from azure.core.credentials import AzureNamedKeyCredential, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    ContentDecodePolicy,
    HeadersPolicy,
    RequestIdPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest
from azure.identity import ClientAssertionCredential, ClientSecretCredential
from azure.mgmt.storage import StorageManagementClient
from azure.storage.blob import BlobServiceClient
from urllib3.util import Retry

from console.clouds import streams
from console.clouds.azure.errors import NoAnswer, Refusal
from console.clouds.azure.session import BY_FEDERATION, sign_in
from console.clouds.sessions import limited
from console.clouds.specs import AccountRef
from console.clouds.steps import ensure_lease

ARM = "https://management.azure.com"
LOGIN = "https://login.microsoftonline.com"  # named, so that nothing in the console's environment changes it
SCOPE = f"{ARM}/.default"
TIMES: dict[str, Any] = {"connection_timeout": 5, "read_timeout": 20}
# The ID that Azure gave the last call of this thread, for its support.
request_id: ContextVar[str] = ContextVar("request_id", default="")
TOKEN_TRIES = 1
PART = 4 * 1024 * 1024  # bytes of a blob in one answer
# It would write a dozen lines for each call, of which console.clouds.calls writes one.
logging.getLogger("azure").setLevel(logging.WARNING)


class _Watch(SansIOHTTPPolicy[Any, Any]):
    """Lets no call out that is not this worker's any more, and notes the ID of each answer."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        ensure_lease()

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        note(response)


def note(response: PipelineResponse[Any, Any]) -> None:
    """Note the ID of this answer."""
    request_id.set(response.http_response.headers.get("x-ms-request-id", ""))


class AzureClients:
    """What one linked account is called with; no call is repeated here, since the operation's own backoff follows."""

    def __init__(self, account: AccountRef) -> None:
        """Prepare the clients; nothing is asked yet."""
        settings, operator = account.settings, account.deployment
        self.endpoint = operator.endpoint_url.rstrip("/")
        self.group = settings.get("resource_group", "")
        verify: dict[str, Any] = {"connection_verify": operator.ca_file} if operator.ca_file else {}
        # One session and one pool of connections for all that the account is asked.
        session = limited(requests.Session(), max_retries=Retry(total=False, redirect=False, raise_on_status=False))
        self._transport = RequestsTransport(session=session, session_owner=False, **TIMES, **verify)
        self.credential = self._credential(account)
        self.storage = StorageManagementClient(
            self.credential,
            settings.get("subscription_id", ""),
            base_url=self.endpoint or ARM,
            policies=[
                RequestIdPolicy(),
                HeadersPolicy(),
                UserAgentPolicy("storekeeper"),
                ContentDecodePolicy(),
                BearerTokenCredentialPolicy(self.credential, SCOPE),
                _Watch(),
            ],
            transport=self._transport,
        )

    def _credential(self, account: AccountRef) -> TokenCredential:
        settings = account.settings
        known = (settings.get("tenant_id", ""), settings.get("client_id", ""))
        options: dict[str, Any] = {"authority": self.endpoint or LOGIN, "transport": self._transport}
        options |= {"retry_total": TOKEN_TRIES, "retry_backoff_factor": 0.1}
        if sign_in(account) is BY_FEDERATION:
            return ClientAssertionCredential(*known, lambda: token(account.deployment.token_file), **options)
        # Without asking the public cloud whether an emulator is known to it.
        options["disable_instance_discovery"] = bool(self.endpoint)
        return ClientSecretCredential(*known, account.secrets.get("client_secret", ""), **options)

    def principal(self) -> str:
        """Return the object ID of the console's own service principal, as its token says; "" where it does not.

        "Access token claims reference": oid. What the token says is shown and compared, and nothing is allowed by it.
        """
        part = self.credential.get_token(SCOPE).token.split(".")[1:2]
        with suppress(ValueError, IndexError):
            claims = json.loads(base64.urlsafe_b64decode(part[0] + "=" * (-len(part[0]) % 4)))
            return str(claims.get("oid", "")) if isinstance(claims, dict) else ""
        return ""

    def send(self, method: str, path: str, version: str, body: Any = None, **query: str) -> dict[str, Any]:
        """Send a request to Azure Resource Manager and return what it answers."""
        request = HttpRequest(method, path, params={"api-version": version, **query}, json=body)
        response = self.storage.send_request(request)
        response.raise_for_status()
        return response.json() if response.content else {}  # type: ignore[no-any-return]

    def url(self, name: str) -> str:
        """Return where the blobs of a storage account are."""
        return f"{self.endpoint}/{name}" if self.endpoint else f"https://{name}.blob.core.windows.net"

    def blobs(self, name: str, key: str = "") -> BlobServiceClient:
        """Return a client of a storage account's blobs, as whoever the account is linked as, or with a shared key."""
        return BlobServiceClient(
            self.url(name),
            credential=AzureNamedKeyCredential(name, key) if key else self.credential,
            transport=self._transport,
            retry_total=0,
            max_single_get_size=PART,
            max_chunk_get_size=PART,
            raw_request_hook=lambda _: ensure_lease(),
            raw_response_hook=note,
        )


def token(file: str) -> str:
    """Return the console's own token, read anew each time, because it is replaced before it expires."""
    try:
        return Path(file).read_text().strip() if file else ""
    except OSError as error:
        raise NoTokenFile(str(error)) from error


class NoTokenFile(AzureError):
    """There is no token of the console's own."""


def calling(do: Callable[[], Any]) -> Any:
    """Return what the SDK returns; whatever it raises leaves as Refusal or NoAnswer."""
    request_id.set("")
    try:
        return do()
    except NoTokenFile as error:
        raise Refusal("NoTokenFile", str(error)) from error
    except AzureError as error:
        raise _plain(error) from error
    except RecursionError as error:  # JSON that is nested very deeply
        raise NoAnswer("what answers is not Azure's API") from error


def _plain(error: AzureError) -> Refusal | NoAnswer:
    message = str(error.message or error)
    if found := re.search(r"AADSTS\d+", message):  # the token was refused, so the call was not made
        return Refusal(found[0], message.partition(" Trace ID")[0].removeprefix("Authentication failed: "), status=401)
    if not isinstance(error, HttpResponseError) or error.response is None:
        if "authority configuration" in message:  # MSAL's words for a tenant that is not there
            return Refusal("AADSTS90002", message, status=400)
        if ended := streams.end_of(error):
            return NoAnswer(ended)
        if isinstance(error, ClientAuthenticationError):
            return Refusal("temporarily_unavailable", message, status=401)
        return NoAnswer(message)
    response: Any = error.response
    headers, status = response.headers, int(response.status_code or 0)
    body = _body(error)
    reported = body.get("error", body)
    if isinstance(reported, str):  # as the token endpoint says it
        reported = {"code": reported, "message": body.get("error_description", "")}
    reported = reported if isinstance(reported, dict) else {}
    said = reported.get("message")
    code = headers.get("x-ms-error-code") or reported.get("code") or getattr(error, "error_code", None) or status
    return Refusal(
        str(getattr(code, "value", code)),
        str(said if isinstance(said, str) and said else error.reason or message).partition("\n")[0],
        status=status,
        request_id=headers.get("x-ms-request-id", ""),
        policies=_policies(reported),
    )


def _body(error: HttpResponseError) -> dict[str, Any]:
    try:
        body = error.response.json()  # type: ignore[union-attr]
    except (AzureError, AttributeError, ValueError, RecursionError):
        return {}  # the blobs' errors are XML, and have their code in a header
    return body if isinstance(body, dict) else {}


def _policies(reported: dict[str, Any]) -> str:
    """Return the names of the policies that refused ("Resolve errors for request disallowed by policy")."""
    names = [
        str(more.get("info", {}).get("policyAssignmentDisplayName") or more.get("info", {}).get("policyAssignmentName"))
        for more in reported.get("additionalInfo") or ()
        if more.get("type") == "PolicyViolation"
    ]
    return ", ".join(names)
