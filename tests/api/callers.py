"""Who calls the API in tests, and what each answer is held against."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from django.test import Client
from django.utils import timezone
from jsonschema import Draft202012Validator, FormatChecker

from console.api import tokens, v1
from console.api.models import SCOPES

DOCUMENT = json.loads(v1.FILE.read_text())


def give(person, *scopes, kind="token", days=30):
    """Return a token of the person's (all scopes unless some are named), and its text."""
    return _issued(person.memberships.get(), scopes, kind=kind, days=days, by=person)


def give_service(account, by, *scopes):
    """Return a token of the service account's, and its text."""
    return _issued(account, scopes, kind="token", days=30, by=by)


def _issued(of, scopes, *, kind, days, by):
    until = timezone.now() + timedelta(days=days)
    return tokens.issue(of, name="ci", kind=kind, scopes=scopes or SCOPES, expires_at=until, by=by)


def described(method, path):
    """Return what the file says of the call at this address."""
    for known, calls in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", r"[^/]+", known), path.partition("?")[0]) and method.lower() in calls:
            return calls[method.lower()]
    raise LookupError(f"{method} {path} is in no OpenAPI file")


def hold(answer, method, path):
    """Hold an answer against the file: its status is one that is named, and its body has the shape."""
    said = described(method, path)["responses"][str(answer.status_code)]
    if "$ref" in said:
        said = DOCUMENT["components"]["responses"][said["$ref"].rpartition("/")[2]]
    if "content" not in said:
        assert not answer.content
        return
    [(kind, content)] = said["content"].items()
    assert answer["Content-Type"] == kind
    if kind.startswith("text/"):
        return
    schema = {**content["schema"], "components": DOCUMENT["components"]}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(answer.json())


class Caller:
    """Calls the API with a token, and holds each answer of a call that is there against the OpenAPI file."""

    def __init__(self, token):
        self.token, self.client = token, Client(headers={"Authorization": f"Bearer {token}"} if token else {})

    def get(self, path, query=None, *, held=True, **headers):
        answer = self.client.get(f"/api/v1{path}", query, headers=headers)
        if held:
            hold(answer, "GET", f"/api/v1{path}")
        return answer

    def post(self, path, body, *, key=None, held=True):
        headers = {"Idempotency-Key": key} if key else {}
        data = body if isinstance(body, bytes) else json.dumps(body)
        answer = self.client.post(f"/api/v1{path}", data, content_type="application/json", headers=headers)
        if held:
            hold(answer, "POST", f"/api/v1{path}")
        return answer

    def delete(self, path, *, held=True):
        answer = self.client.delete(f"/api/v1{path}")
        if held:
            hold(answer, "DELETE", f"/api/v1{path}")
        return answer

    def send(self, method, path, body=None, *, held=True, **headers):
        """Send a call of any method; the body is JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body)
        kind = "application/json"
        answer = self.client.generic(method, f"/api/v1{path}", data, content_type=kind, headers=headers)
        if held:
            hold(answer, method, f"/api/v1{path}")
        return answer
