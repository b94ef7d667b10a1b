"""Access tokens for client credentials, at the addresses where pgEdge's clients ask for them (RFC 6749, 4.4).

Errors are `{"code", "message"}` with the HTTP status, as those clients read them.
"""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from console.api import limits, tokens
from console.web.middleware import client_address

NAMES = ("client_id", "client_secret", "grant_type")


@csrf_exempt
@require_POST
@sensitive_post_parameters()
def token(request: HttpRequest) -> JsonResponse:
    """Answer with an access token of a day; 400 for wrong credentials, whose message these clients show."""
    usage = limits.count(f"grants:{client_address(request)}", limit=limits.GRANTS)
    request.usage = usage  # type: ignore[attr-defined]
    if usage.is_over:
        said = f"At most {usage.limit} access tokens in a minute. Try again in {usage.reset} seconds."
        return _answer(429, {"code": 429, "message": said}, {"Retry-After": str(usage.reset)})
    try:
        given = _given(request)
        _, text, seconds = tokens.grant(given.get("client_id", ""), given.get("client_secret", ""))
    except (ValueError, tokens.TokenRefused) as error:
        return _answer(400, {"code": 400, "message": str(error)})
    told = {"token_type": "Bearer", "access_token": text, "expires_in": seconds}
    return _answer(200, told)


def _answer(status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> JsonResponse:
    return JsonResponse(content, status=status, headers={"Cache-Control": "no-store", **(headers or {})})


def _given(request: HttpRequest) -> dict[str, str]:
    """Return what was sent, as JSON or as a form; raises ValueError, in words for whoever sent it."""
    if request.content_type == "application/json":
        try:
            given = json.loads(request.body)
        except (ValueError, RecursionError):
            raise ValueError("The body is no JSON.") from None
        if not isinstance(given, dict):
            raise ValueError("Send an object.")
    else:
        given = request.POST.dict()
    for name, value in given.items():
        if name not in NAMES:
            raise ValueError(f"There is no field {str(name)[:60]!r}.")
        if not isinstance(value, str):
            raise ValueError(f"{name} is a text.")
    if given.get("grant_type", "client_credentials") != "client_credentials":
        raise ValueError("grant_type is client_credentials.")
    if missing := [name for name in NAMES[:2] if not given.get(name)]:
        raise ValueError(f"{missing[0]} is missing.")
    return {name: given[name] for name in NAMES if name in given}
