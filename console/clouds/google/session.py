"""Getting into a Google project: sessions, tokens by key or by federation, each call, and who we are there.

An account's settings are: `method` (key or federation), `project_id`, `project_number` and `client_email` (as Google
says), `workload_provider`, `service_account` and `external_id` (of a federation), `node_access` (key or attached).
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode
from uuid import UUID

from console.clouds import calls, streams
from console.clouds.contract import Fact, Identity, LinkError, Unproven
from console.clouds.google.errors import (
    CALLS,
    Answer,
    CallTarget,
    NoEntry,
    Silence,
    on_project,
    read_answer,
    step_error,
    who,
)
from console.clouds.proof import FOUND, NO_ID, TAG, SignIn, ensure_proven, on_trial, stands_in
from console.clouds.specs import AccountRef
from console.clouds.steps import ensure_lease

if TYPE_CHECKING:
    import requests
    from google.auth.credentials import Credentials
    from google.auth.transport.requests import AuthorizedSession

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105, an address
STS = "https://sts.googleapis.com/v1/token"
SUBJECT_TOKEN = "urn:ietf:params:oauth:token-type:jwt"  # noqa: S105, a name
TIMEOUT = (5, 20)  # seconds to connect, and for an answer
KEY, FEDERATION = "key", "federation"
NAME, PROJECT = "storekeeper", "YOUR-PROJECT-ID"  # of the service account, while nobody has named it otherwise
NO_OWN_IDENTITY = (
    "The console itself has no identity that Google could be shown. Set GOOGLE_SUBJECT_TOKEN_FILE to a file that holds "
    "a token of the identity provider, such as the one that Kubernetes projects into a pod."
)


# Ways to sign in


def email_of(settings: Mapping[str, str]) -> str:
    """Return the service account that the console acts as, as it is known, also while nobody has named it."""
    own = f"{NAME}@{settings.get('project_id') or PROJECT}.iam.gserviceaccount.com"
    return settings.get("service_account") or settings.get("client_email") or own


def _describe_command(settings: Mapping[str, str]) -> str:
    """Return the command that puts the link's external ID into the service account's description."""
    text = shlex.quote(f"{TAG}={settings.get('external_id', '')}")
    return f"gcloud iam service-accounts update {email_of(settings)} --description={text}"


BY_KEY = SignIn(key=KEY, label="Key", proof="secret")
# The provider trusts the console's token, whoever has linked the project, and Google asks for nothing else. The proof
# stands on the very account that the console acts as, so that it cannot be lent for another project either.
BY_FEDERATION = SignIn(
    key=FEDERATION,
    label="Workload identity federation (recommended: no secret to keep)",
    proof="console",
    where="the description of the service account",
    command=_describe_command,
)
SIGN_INS = (BY_FEDERATION, BY_KEY)


def sign_in(account: AccountRef) -> SignIn:
    """Return how the console signs in to the account; the credentials are made accordingly."""
    return BY_FEDERATION if account.settings.get("method") == FEDERATION else BY_KEY


# Sessions


@dataclass(frozen=True)
class _Entry:
    """A cached session, valid for what the account signs in with."""

    session: AuthorizedSession
    fingerprint: str


_sessions: dict[UUID, _Entry] = {}
_lock = Lock()


def address(account: AccountRef, service: str) -> str:
    """Return where the service is: the operator's emulator, or Google."""
    return account.deployment.endpoint_url.rstrip("/") or f"https://{service}.googleapis.com"


def token_uri(account: AccountRef) -> str:
    """Return where keys are exchanged for tokens: never what a key itself says."""
    return f"{account.deployment.endpoint_url.rstrip('/')}/token" if account.deployment.endpoint_url else TOKEN_URI


def _session(account: AccountRef) -> AuthorizedSession:
    """Return the account's session, made anew when what it signs in with changed; it knows no identity but that."""
    entry = _sessions.get(account.id)
    if entry and entry.fingerprint == account.fingerprint:
        return entry.session
    import requests  # noqa: PLC0415
    from google.auth.transport.requests import AuthorizedSession, Request  # noqa: PLC0415, heavy, and not always needed

    asking = _prepared(requests.Session(), account)
    session = AuthorizedSession(_credentials(account), auth_request=Request(asking), max_refresh_attempts=1)
    _prepared(session, account)
    with _lock:
        _sessions[account.id] = _Entry(session, account.fingerprint)
    return session


def _prepared(session: requests.Session, account: AccountRef) -> requests.Session:
    """Set what a session trusts and how long it tries: only connecting is tried twice, since nothing was sent then."""
    from requests.utils import get_environ_proxies  # noqa: PLC0415
    from urllib3.util import Retry  # noqa: PLC0415

    from console.clouds.sessions import limited  # noqa: PLC0415

    retry = Retry(total=None, connect=1, read=0, redirect=0, status=0, other=0)
    limited(session, pool_maxsize=64, max_retries=retry)
    # The environment's proxies, but not its .netrc, which would sign in instead, nor its list of authorities.
    session.proxies = get_environ_proxies(address(account, "storage"))
    session.trust_env = False
    session.max_redirects = 0
    if account.deployment.ca_file:
        session.verify = account.deployment.ca_file
    return session


def _credentials(account: AccountRef) -> Credentials:
    """Return what the account signs in with, built by the console from the few parts that it keeps.

    Nothing of it comes from the environment, and no address or file of it from whoever linked the account.
    """
    if sign_in(account) is BY_FEDERATION:
        from google.auth.identity_pool import Credentials as Federated  # noqa: PLC0415

        if not account.deployment.token_file:
            raise NoEntry("no_subject_token", NO_OWN_IDENTITY)
        email = quote(account.settings["service_account"], safe="@")
        there = address(account, "iamcredentials")
        federated: Credentials = Federated(
            audience=f"//iam.googleapis.com/{account.settings['workload_provider']}",
            subject_token_type=SUBJECT_TOKEN,
            token_url=f"{account.deployment.endpoint_url.rstrip('/')}/v1/token"
            if account.deployment.endpoint_url
            else STS,
            credential_source={"file": account.deployment.token_file},
            service_account_impersonation_url=f"{there}/v1/projects/-/serviceAccounts/{email}:generateAccessToken",
            scopes=SCOPES,
        )
        return federated
    from google.oauth2.service_account import Credentials as ByKey  # noqa: PLC0415

    try:
        key = json.loads(account.secrets.get("key", ""))
        by_key: Credentials = ByKey.from_service_account_info(
            {
                "client_email": key["client_email"],
                "private_key": key["private_key"],
                "private_key_id": key["private_key_id"],
                "token_uri": token_uri(account),
            },
            scopes=SCOPES,
        )
    except (ValueError, KeyError) as error:
        raise NoEntry("no_key", "the key that is kept cannot be read") from error
    return by_key


def forget_sessions(account: AccountRef | None = None) -> None:
    """Drop the cached sessions of this account, or of all: the next call signs in again."""
    with _lock:
        for key in [key for key in _sessions if account is None or key == account.id]:
            _sessions.pop(key).session.close()


# Calls


def call(
    operation: str, subject: CallTarget, body: Mapping[str, Any] | None = None, *, accept: int = 0, **query: Any
) -> Any:
    """Make one call and return what is answered, None for the accepted status; what else goes wrong is a StepError."""
    try:
        return ask(operation, subject, body, **query)
    except (Answer, Silence, NoEntry) as error:
        if isinstance(error, Answer) and error.status == accept:
            return None
        raise reported(error, operation, subject) from error


def reported(error: Answer | Silence | NoEntry, operation: str, subject: CallTarget) -> Exception:
    """Return the StepError for what `ask` raised."""
    if isinstance(error, Answer) and error.status == 401:
        forget_sessions(subject.account)
    return step_error(error, operation, subject)


def ask(operation: str, subject: CallTarget, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
    """Make one call and return what is answered, as JSON; raises Answer, Silence or NoEntry."""
    with streams.within(), _answered(operation, subject, body, query) as answer:
        if not answer.content:
            return {}
        if not isinstance(found := _body(answer), dict):
            raise Silence("what answers is not Google's API")
        return found


def read(operation: str, subject: CallTarget, at_most: int, **query: Any) -> tuple[bytes, str]:
    """Return what an object holds, or as much of it as `at_most` bytes, and its generation.

    Raises Answer, Silence or NoEntry.
    """
    query = {"alt": "media", **query}
    with streams.within(), _answered(operation, subject, None, query, stream=True) as answer:
        import requests  # noqa: PLC0415

        found = b""
        streams.expect(at_most)
        try:
            for part in answer.iter_content(64 * 1024):
                found += part
                if len(found) >= at_most:
                    break
        except requests.RequestException as error:
            raise _silence(error) from error
        return found[:at_most], answer.headers.get("x-goog-generation", "")


def _answered(
    operation: str,
    subject: CallTarget,
    body: Mapping[str, Any] | None,
    query: Mapping[str, Any],
    *,
    stream: bool = False,
) -> requests.Response:
    import requests  # noqa: PLC0415
    from google.auth import exceptions  # noqa: PLC0415

    known = CALLS[operation]
    path = known.path.format_map({key: quote(value, safe="") for key, value in subject.path.items()})
    url = f"{address(subject.account, known.service)}{path}"
    if query:
        url += f"?{urlencode(query, doseq=True)}"
    ensure_lease()
    ensure_proven(sign_in(subject.account), subject.account.settings)
    code, request_id, began = "", "", time.perf_counter()
    try:
        answer: requests.Response = _session(subject.account).request(
            known.method, url, json=body, timeout=TIMEOUT, stream=stream, allow_redirects=False
        )
        request_id = answer.headers.get("x-guploader-uploadid", "")
        if answer.status_code < 300:
            return answer
        error = read_answer(answer.status_code, _body(answer), request_id)
        answer.close()
        code = error.reason
        raise error
    except requests.RequestException as error:
        code = type(error).__name__
        raise _silence(error) from error
    except exceptions.TransportError as error:
        code = type(error).__name__
        raise _silence(error) from error
    except exceptions.GoogleAuthError as error:
        found = _no_entry(error)
        code = found.code
        raise found from error
    finally:
        calls.tell(
            known.service,
            operation,
            code,
            time.perf_counter() - began,
            {"google_upload_id": request_id} if request_id else {},
        )


def _body(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except (ValueError, RecursionError):  # no JSON, or some that is nested very deeply
        return None


def _silence(error: Exception) -> Silence:
    text = streams.end_of(error) or str(error)
    return Silence(text, resolves="resolve" in text or "Name or service not known" in text)


def _no_entry(error: Exception) -> NoEntry:
    """Return the token service's own words, which google-auth hands on as a text or as what it was read to."""
    for part in error.args:
        try:
            found = json.loads(part) if isinstance(part, str) else part
        except ValueError:
            continue
        if not isinstance(found, dict) or "error" not in found:
            continue
        inner = found["error"]
        if isinstance(inner, dict):  # of the IAM Credentials API
            return NoEntry(str(inner.get("status", "error")), str(inner.get("message") or ""))
        return NoEntry(str(inner), str(found.get("error_description") or ""))
    text = str(error.args[0]) if error.args else type(error).__name__
    if "was not found" in text or "File" in text:
        return NoEntry("no_subject_token", NO_OWN_IDENTITY)
    return NoEntry(type(error).__name__, text)


def pages(operation: str, subject: CallTarget, **query: Any) -> Iterator[dict[str, Any]]:
    """Return the pages of a listing, as they are asked for."""

    def one(token: str | None) -> tuple[dict[str, Any], str | None]:
        page: dict[str, Any] = call(operation, subject, **query | ({"pageToken": token} if token else {}))
        return page, page.get("nextPageToken")

    return calls.pages(one)


# Who the account is


def account_facts(account: AccountRef) -> list[Fact]:
    """Return which project it is, and how the console signs in to it."""
    settings = account.settings
    found = [
        Fact("Project ID", account.number, more=False),
        Fact("Service Account", who(account), more=False),
        Fact("Project Number", settings.get("project_number", "")),
    ]
    if sign_in(account) is BY_FEDERATION:
        found.append(Fact("Workload Identity Provider", settings.get("workload_provider", "")))
        found.append(Fact("External ID", settings.get("external_id", "")))
    else:
        found.append(Fact("Key ID", settings.get("private_key_id", "")))
    attached = settings.get("node_access") == "attached"
    found.append(Fact("Nodes Sign In", "as their machine's service account" if attached else "with a key of their own"))
    return [one for one in found if one.value]


# What a token service answers, and what it means for whoever links an account (OAuth 2.0 for server-to-server
# applications, "Error codes"; Security Token Service, "Method: token").
REFUSED = (
    (
        "invalid_target",
        "Google knows no workload identity provider {provider}, or it is disabled. Check the resource name.",
        "workload_provider",
    ),
    ("account not found", "Google knows no service account {email}: it was deleted, or never was.", ""),
    ("JWT Signature", "Google does not know this key of {email}: it was deleted or disabled. Make a new one.", "key"),
    ("disabled", "The service account {email}, or its key, is disabled. Enable it, then try again.", ""),
    (
        "reasonable timeframe",
        "The console's clock differs from Google's. Set the clock of each machine that it runs on.",
        "",
    ),
    (
        "getAccessToken",
        "Google does not let the console's identity act as {email}. Give it the role roles/iam.workloadIdentityUser on "
        "that service account, and check that the IAM Service Account Credentials API is enabled.",
        "service_account",
    ),
    (NO_OWN_IDENTITY[:40], NO_OWN_IDENTITY, ""),
)


def identify(account: AccountRef) -> Identity:
    """Ask Google for a token and the project; raise LinkError when it cannot, or must not, be used as it was given."""
    way, settings = sign_in(account), account.settings
    if way.takes_external_id and not settings.get("external_id"):
        raise Unproven(NO_ID)
    account = replace(account, settings=on_trial(settings))
    wanted, proven = settings.get("project_id", ""), ""
    subject = CallTarget(account, f"project {wanted}", path={"project": wanted})
    if way is BY_KEY and "key" in account.secrets:
        key = json.loads(account.secrets["key"])
        if key.get("token_uri", TOKEN_URI) not in {TOKEN_URI, token_uri(account)}:
            raise LinkError("The key names a token service that is not Google's (token_uri). It was not used.", "key")
        account_email, key_id = key["client_email"], key["private_key_id"]
    else:
        account_email, key_id = settings.get("service_account", ""), ""
    try:
        found = ask("projects.get", subject)
        if way.takes_external_id:
            proven = _prove(account, account_email)
        ask("buckets.list", on_project(account), project=wanted, maxResults=1, fields="kind")
    except NoEntry as error:
        raise _refused(error, account, account_email) from error
    except Silence as error:
        raise LinkError(f"The console got no answer from Google: {error}", passing=True) from error
    except Answer as error:
        raise _unusable(error, wanted, account_email, subject) from error
    if found.get("lifecycleState", "ACTIVE") != "ACTIVE":
        raise LinkError(f"Project {wanted} is being deleted.", "project_id")
    number = str(found.get("projectNumber", ""))
    how = "key" if key_id else "federation"
    proofs = [
        f"Google gives the console a token of {account_email} for its {how}.",
        f"Google says that project {wanted} has the number {number}, and lists its buckets to the console.",
    ]
    known = {"project_number": number, "client_email": account_email}
    if proven:
        known[FOUND] = settings["external_id"]
        proofs.append(proven)
    return Identity(
        number=str(found.get("projectId") or wanted),
        partition="",
        arn=account_email,
        found={**known, **({"private_key_id": key_id} if key_id else {})},
        proofs=tuple(proofs),
    )


def _prove(account: AccountRef, email: str) -> str:
    """Return what proves the link, in a sentence; raises Unproven, and Answer for what goes wrong otherwise.

    Who may describe a service account administers it: no role of the console's own has such a permission.
    """
    target = CallTarget(account, f"service account {email}", path={"project": "-", "email": email})
    try:
        shown = ask("serviceAccounts.get", target)
    except Answer as error:
        if error.status not in {403, 404}:
            raise
        raise LinkError(
            f"Google does not let {email} read its own description, in which the console looks for the external ID. "
            "Give it iam.serviceAccounts.get: the roles described here have it; a service account of another project "
            f"needs roles/iam.serviceAccountViewer on itself. Google says: {error.message}",
            "service_account",
        ) from error
    if stands_in(str(shown.get("description", "")), account.settings):
        return f"The description of {email} has the external ID of this link."
    wanted = account.settings.get("external_id", "")
    raise Unproven(
        f"The description of {email} does not have the external ID {wanted}, which would say "
        "that your organisation may use it. Put it there, then try again.",
        "service_account",
    )


def _refused(error: NoEntry, account: AccountRef, email: str) -> LinkError:
    for said, message, name in REFUSED:
        if said in error.message or said in error.code:
            text = message.format(email=email, provider=account.settings.get("workload_provider", ""))
            return LinkError(text, name)
    return LinkError(f"Google gives no token for {email}: {error.code}: {error.message}")


def _unusable(error: Answer, project: str, email: str, subject: CallTarget) -> LinkError:
    if error.reason in {"forbidden", "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", "notFound", "NOT_FOUND"}:
        return LinkError(
            f"Project {project} does not exist, or {email} has no access to it. Check the project ID, and give the "
            f"service account the role that is described here. Google says: {error.message}",
            "project_id",
        )
    meant = step_error(error, "projects.get", subject)
    passing = error.status >= 500 or error.status == 429
    return LinkError(str(meant), "project_id", passing=passing)
