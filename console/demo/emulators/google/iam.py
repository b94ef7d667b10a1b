"""Who is who in the emulated Google, and who may do what: projects, service accounts, keys, tokens, policies.

Each rule names the page of Google's documentation that it is taken from.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

CLOUD = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE = "https://oauth2.googleapis.com/token"
DEVSTORAGE = "https://www.googleapis.com/auth/devstorage."
OBJECTS = tuple(f"storage.objects.{verb}" for verb in ("create", "delete", "get", "list", "update", "restore"))
UPLOADS = tuple(f"storage.multipartUploads.{verb}" for verb in ("abort", "create", "list", "listParts"))
BUCKETS = tuple(
    f"storage.buckets.{verb}" for verb in ("create", "delete", "get", "list", "update", "getIamPolicy", "setIamPolicy")
)
OWNER = (
    *("storage.buckets.create", "storage.buckets.delete", "storage.buckets.list", "resourcemanager.projects.get"),
    *(f"iam.serviceAccounts.{verb}" for verb in ("create", "get", "update", "delete", "list")),
    *(f"iam.serviceAccountKeys.{verb}" for verb in ("create", "list", "delete")),
)
# "IAM roles for Cloud Storage" and "IAM basic and predefined roles reference", as far as anybody here uses them.
ROLES: dict[str, tuple[str, ...]] = {
    "roles/owner": OWNER,
    "roles/storage.admin": (*BUCKETS, *OBJECTS, *UPLOADS),
    "roles/storage.objectAdmin": (*OBJECTS, *UPLOADS, "storage.objects.getIamPolicy", "storage.objects.setIamPolicy"),
    "roles/storage.objectUser": (*OBJECTS, *UPLOADS),
    "roles/storage.objectCreator": ("storage.objects.create", "storage.multipartUploads.create"),
    "roles/storage.objectViewer": ("storage.objects.get", "storage.objects.list"),
    "roles/storage.legacyBucketOwner": (
        *("storage.buckets.get", "storage.buckets.update", "storage.buckets.getIamPolicy"),
        *("storage.buckets.setIamPolicy", "storage.objects.create", "storage.objects.delete", "storage.objects.list"),
    ),
    "roles/storage.legacyBucketReader": ("storage.buckets.get", "storage.objects.list"),
    "roles/storage.legacyObjectOwner": ("storage.objects.get", "storage.objects.update"),
    "roles/storage.legacyObjectReader": ("storage.objects.get",),
    "roles/iam.workloadIdentityUser": ("iam.serviceAccounts.getAccessToken",),
}
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class Refusal(Exception):
    """An error as Google words it; `details` are google.rpc details, and what OAuth answers is `oauth`."""

    def __init__(
        self, status: int, reason: str, message: str, *, details: Iterable[Mapping[str, Any]] = (), oauth: bool = False
    ) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.details, self.oauth = list(details), oauth

    def answer(self, *, storage: bool) -> tuple[int, dict[str, Any]]:
        """Return status and body: "HTTP status and error codes for JSON" (Cloud Storage), AIP-193 elsewhere, RFC 6749.

        Who was slower than another gets 412 from Cloud Storage, and 409 ABORTED from the others (google.rpc.Code).
        """
        if self.oauth:
            return self.status, {"error": self.reason, "error_description": self.message}
        status = 409 if self.reason == "conditionNotMet" and not storage else self.status
        error: dict[str, Any] = {"code": status, "message": self.message}
        if storage:
            error["errors"] = [{"message": self.message, "domain": "global", "reason": self.reason}]
        else:
            named = {"failedPrecondition": "FAILED_PRECONDITION", "conditionNotMet": "ABORTED"}
            error["status"] = named.get(self.reason) or STATUS[self.status]
        if self.details:
            error["details"] = self.details
        return status, {"error": error}


def service_disabled(service: str, title: str, number: str) -> Refusal:
    """Return what is answered when an API was not switched on ("Troubleshoot API errors", Service Infrastructure)."""
    address = f"https://console.developers.google.com/apis/api/{service}/overview?project={number}"
    return Refusal(
        403,
        "accessNotConfigured",
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting {address} then "
        "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and "
        "retry.",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "SERVICE_DISABLED",
                "domain": "googleapis.com",
                "metadata": {"service": service, "consumer": f"projects/{number}", "activationUrl": address},
            }
        ],
    )


# Conditions ("Overview of IAM Conditions"; attributes: "Attribute reference for IAM Conditions")

TOKEN = re.compile(r"""\s*(?:(\|\||&&|==|!=|[()\[\].,!<])|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([A-Za-z_][\w]*))""")


def _extract(text: str, template: str) -> str:
    """Return what stands in the text where the template has braces, or nothing ("extract()")."""
    before, _, rest = template.partition("{")
    after = rest.partition("}")[2]
    _, there, tail = text.partition(before) if before else ("", True, text)
    found, ends, _ = tail.partition(after) if after else (tail, "", "")
    return found if there and (ends or not after) else ""


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "extract": _extract,
    "hasOnly": lambda found, named: {*found} <= {*named},
}


class Condition:
    """A condition in the part of CEL that policies here use: names, texts, lists, functions, ==, !=, <, !, &&, ||."""

    def __init__(self, text: str) -> None:
        """Read the expression; raises ValueError for what is not in that part."""
        self.tokens: list[tuple[str, str]] = []
        at, text = 0, text.strip()
        while at < len(text):
            found = TOKEN.match(text, at)
            if not found:
                raise ValueError(f"no such token: {text[at:]}")
            kinds = ("sign", "text", "text", "name")
            kind, value = next((k, v) for k, v in zip(kinds, found.groups(), strict=True) if v is not None)
            self.tokens.append((kind, value))
            at = found.end()
        self.holds({})  # reads all of it once

    def holds(self, attributes: Mapping[str, Any]) -> bool:
        """Return whether it is true of these attributes, texts and lists; what is missing of them is an empty text."""
        self._at, self._attributes = 0, attributes
        found = self._any()
        if self._at != len(self.tokens) or not isinstance(found, bool):
            raise ValueError("not a condition")
        return found

    def _sees(self, *signs: str) -> str:
        if self._at < len(self.tokens) and self.tokens[self._at][0] == "sign" and self.tokens[self._at][1] in signs:
            self._at += 1
            return self.tokens[self._at - 1][1]
        return ""

    def _take(self, kind: str) -> str:
        if self._at >= len(self.tokens) or self.tokens[self._at][0] != kind:
            raise ValueError(f"expected a {kind}")
        self._at += 1
        return self.tokens[self._at - 1][1]

    def _need(self, sign: str) -> None:
        if not self._sees(sign):
            raise ValueError(f"expected {sign}")

    def _any(self) -> Any:
        found = self._all()
        while self._sees("||"):
            other = self._all()
            found = found or other
        return found

    def _all(self) -> Any:
        found = self._one()
        while self._sees("&&"):
            other = self._one()
            found = found and other
        return found

    def _one(self) -> Any:
        if self._sees("!"):
            return not self._one()
        found = self._value()
        if sign := self._sees("==", "!="):
            return (found == self._value()) is (sign == "==")
        if self._sees("<"):
            return bool(found < self._value())
        return found

    def _value(self) -> Any:
        found: Any
        if self._sees("("):
            found = self._any()
            self._need(")")
            return found
        if self._at < len(self.tokens) and self.tokens[self._at][0] == "text":
            found = self._take("text")
        elif self._sees("["):
            found = self._list()
        else:
            found = self._named()
        while self._sees("."):
            function = FUNCTIONS.get(self._take("name"))
            if function is None:
                raise ValueError("no such function")
            self._need("(")
            found = function(found, self._value())
            self._need(")")
        return found

    def _list(self) -> list[Any]:
        found: list[Any] = []
        while not self._sees("]"):
            if found:
                self._need(",")
            found.append(self._value())
        return found

    def _named(self) -> Any:
        first = self._take("name")
        if first == "timestamp":
            self._need("(")
            at = datetime.fromisoformat(self._take("text"))
            self._need(")")
            return at
        self._need(".")
        name = f"{first}.{self._take('name')}"
        if name == "api.getAttribute":
            self._need("(")
            attribute = self._take("text")
            self._need(",")
            default = self._value()
            self._need(")")
            return self._attributes.get(attribute, default)
        if name == "request.time":
            return datetime.now(UTC)
        if name not in {"resource.name", "resource.type", "resource.service"}:
            raise ValueError(f"no such attribute: {name}")
        return self._attributes.get(name, "")


# What there is


@dataclass
class Account:
    """A service account; its keys are public keys in PEM, by ID."""

    email: str
    project: str
    unique_id: str
    display_name: str = ""
    description: str = ""
    disabled: bool = False
    keys: dict[str, str] = field(default_factory=dict)
    users: list[str] = field(default_factory=list)  # principals with roles/iam.workloadIdentityUser on it

    @property
    def resource(self) -> dict[str, Any]:
        """Return it as the IAM API shows it."""
        shown: dict[str, Any] = {
            "name": f"projects/{self.project}/serviceAccounts/{self.email}",
            "projectId": self.project,
            "uniqueId": self.unique_id,
            "email": self.email,
            "displayName": self.display_name,
            "description": self.description,
            "etag": "MDEwMjE5MjA=",
        }
        if self.disabled:
            shown["disabled"] = True
        return {name: value for name, value in shown.items() if value != ""}


@dataclass
class Project:
    """A project: what it is called, what is switched on, and who may do what in it."""

    id: str
    number: str
    active: bool = True
    billed: bool = True
    disabled: set[str] = field(default_factory=set)  # services that nobody has switched on
    constraints: set[str] = field(default_factory=set)  # of its organisation, such as gcp.resourceLocations
    bindings: list[dict[str, Any]] = field(default_factory=list)
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)  # its own, by full name


@dataclass(frozen=True)
class Token:
    """An access token: whose, for what, until when."""

    email: str
    scopes: tuple[str, ...]
    until: float


@dataclass
class Directory:
    """All identities and projects."""

    projects: dict[str, Project] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    issuers: dict[str, str] = field(default_factory=dict)  # a workload identity provider's public key, by resource name

    def project(self, named: str) -> Project | None:
        """Return the project of this ID or number."""
        return self.projects.get(named) or next((one for one in self.projects.values() if one.number == named), None)

    # Who is calling

    def signed_in(self, authorization: str) -> Token:
        """Return whose the bearer token is; raises the refusal for one that is no longer, or never was, good."""
        if not authorization:
            raise Refusal(401, "required", "Login Required.")
        token = self.tokens.get(authorization.removeprefix("Bearer "))
        account = self.accounts.get(token.email) if token else None
        if token is None or token.until < time.time() or account is None or account.disabled:
            raise Refusal(401, "authError", "Invalid Credentials")
        return token

    def may(
        self, email: str, permission: str, project: Project, policy: Iterable[Mapping[str, Any]], **about: Any
    ) -> bool:
        """Return whether a binding of the project or of the resource's own policy grants the permission."""
        attributes = {name.replace("__", ".", 1): value for name, value in about.items()}
        if "list_prefix" in attributes:
            attributes["storage.googleapis.com/objectListPrefix"] = attributes.pop("list_prefix")
        if "modified_roles" in attributes:
            attributes["iam.googleapis.com/modifiedGrantsByRole"] = attributes.pop("modified_roles")
        for binding in (*project.bindings, *policy):
            if f"serviceAccount:{email}" not in binding["members"]:
                continue
            if permission not in (ROLES.get(binding["role"]) or project.roles.get(binding["role"], ())):
                continue
            condition = binding.get("condition")
            if not condition or Condition(condition["expression"]).holds(attributes):
                return True
        return False

    # Keys and tokens

    def add_account(self, project: Project, name: str, **values: Any) -> Account:
        """Make a service account of this name."""
        email = f"{name}@{project.id}.iam.gserviceaccount.com"
        account = Account(email, project.id, str(secrets.randbelow(10**21)), **values)
        self.accounts[email] = account
        return account

    def add_key(self, account: Account, token_uri: str) -> dict[str, str]:
        """Make a key and return it as the file that an administrator downloads."""
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key_id = secrets.token_hex(20)
        account.keys[key_id] = (
            private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        )
        return {
            "type": "service_account",
            "project_id": account.project,
            "private_key_id": key_id,
            "private_key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "client_email": account.email,
            "client_id": account.unique_id,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }

    def issue(self, email: str, scopes: Iterable[str], seconds: float = 3599) -> str:
        """Return a new access token."""
        token = f"ya29.{secrets.token_urlsafe(40)}"
        self.tokens[token] = Token(email, tuple(scopes), time.time() + seconds)
        return token

    def exchange_assertion(self, form: Mapping[str, str], audience: str) -> dict[str, Any]:
        """Return a token for a signed assertion ("Using OAuth 2.0 for Server to Server Applications")."""
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise Refusal(400, "unsupported_grant_type", "Invalid grant_type", oauth=True)
        claims, signed, signature = _parts(form.get("assertion", ""))
        account = self.accounts.get(str(claims.get("iss")))
        if account is None:
            raise Refusal(400, "invalid_grant", "Invalid grant: account not found", oauth=True)
        if not any(_verifies(key, signed, signature) for key in account.keys.values()):
            raise Refusal(400, "invalid_grant", "Invalid JWT Signature.", oauth=True)
        issued, until = float(claims.get("iat", 0)), float(claims.get("exp", 0))
        if claims.get("aud") not in {audience, AUDIENCE}:  # Google's own clients always name Google's
            raise Refusal(400, "invalid_grant", f"Invalid JWT: Failed audience check. Expected {audience}", oauth=True)
        if not (issued - 300 <= time.time() < until <= issued + 3600):
            message = (
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check "
            )
            message += "your iat and exp values in the JWT claim."
            raise Refusal(400, "invalid_grant", message, oauth=True)
        if account.disabled:
            raise Refusal(401, "disabled_client", "The OAuth client was disabled.", oauth=True)
        if not claims.get("scope"):
            raise Refusal(400, "invalid_scope", "Invalid OAuth scope or ID token audience provided.", oauth=True)
        token = self.issue(account.email, str(claims["scope"]).split())
        return {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}

    def exchange_subject(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Return a federated token for somebody else's ("Method: token", Security Token Service API)."""
        pool = form.get("audience", "").removeprefix("//iam.googleapis.com/")
        if pool not in self.issuers:
            message = 'The target service indicated by the "audience" parameters is invalid. This might either be '
            message += "because the pool or provider is disabled or deleted or because it doesn't exist."
            raise Refusal(400, "invalid_target", message, oauth=True)
        claims, signed, signature = _parts(form.get("subject_token", ""))
        if not _verifies(self.issuers[pool], signed, signature) or float(claims.get("exp", 0)) < time.time():
            raise Refusal(400, "invalid_grant", "Error connecting to the given credential's issuer.", oauth=True)
        principal = f"principal://iam.googleapis.com/{pool.rsplit('/providers/', 1)[0]}/subject/{claims.get('sub', '')}"
        token = f"ya29.d.{secrets.token_urlsafe(40)}"
        self.tokens[token] = Token(principal, (CLOUD,), time.time() + 3599)
        return {
            "access_token": token,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 3599,
        }

    def impersonate(self, authorization: str, email: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a token of the service account ("Method: serviceAccounts.generateAccessToken")."""
        token = self.tokens.get(authorization.removeprefix("Bearer "))
        if token is None or token.until < time.time():
            raise Refusal(401, "authError", "Request had invalid authentication credentials.")
        account = self.accounts.get(email)
        if account is None or token.email not in account.users:
            message = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
            raise Refusal(403, "forbidden", message)
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return {"accessToken": self.issue(email, body.get("scope", ())), "expireTime": until}


def subject_token(private_key: str, subject: str, seconds: float = 3600) -> str:
    """Return a token as an identity provider outside Google signs it, such as a Kubernetes cluster."""
    key = load_pem_private_key(private_key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    now = int(time.time())
    claims = {"iss": "https://issuer.example", "sub": subject, "aud": "storekeeper", "iat": now, "exp": now + seconds}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    return f"{signed}.{_encoded(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def key_pair() -> tuple[str, str]:
    """Return a private and a public key in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _parts(token: str) -> tuple[dict[str, Any], bytes, bytes]:
    """Return the claims of a JWT, what is signed of it, and the signature."""
    try:
        head, claims, signature = token.split(".")
        decoded = [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (head, claims, signature)]
        found = json.loads(decoded[1])
        if json.loads(decoded[0]).get("alg") != "RS256" or not isinstance(found, dict):
            raise ValueError
    except ValueError:
        raise Refusal(400, "invalid_grant", "Invalid JWT: malformed.", oauth=True) from None
    return found, f"{head}.{claims}".encode(), decoded[2]


def _verifies(public_key: str, signed: bytes, signature: bytes) -> bool:
    key = load_pem_public_key(public_key.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    try:
        key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
