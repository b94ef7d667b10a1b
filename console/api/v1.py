"""The console's own API, /api/v1: its calls, its errors, its OpenAPI file."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser

from console.api import (
    account_calls,
    alert_calls,
    bring_in_calls,
    channel_calls,
    cluster_calls,
    drill_calls,
    existing_calls,
    key_calls,
    member_calls,
    node_calls,
    overview_calls,
    reading,
    recovery_calls,
    rescue_calls,
    restoration_calls,
    store_calls,
    task_calls,
    token_calls,
    unmanaged_calls,
    writing,
)
from console.api.calls import router
from console.api.document import render
from console.api.problems import Problem, fields, one_of, problem

PREFIX = "/api/v1/"
FILE = Path(__file__).with_name("openapi.json")
DESCRIPTION = (
    "What the pages of the console do, for programs. Lists come page by page: `limit`, and `cursor` with `next` of the "
    "page before. What takes time is answered with 202 and the address of its task. Errors are problem details "
    "(RFC 9457). Each answer says how much of the limit is left (RateLimit)."
)


class JSONBody(Parser):
    """Reads a body that says that it is JSON, and is."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return what the body says; raises ValueError for NaN and Infinity too, which are no JSON."""
        if request.content_type != "application/json":
            raise ValueError("not JSON")
        return json.loads(request.body, parse_constant=_refuse)


TOO_DEEP = "The body is nested too deeply. Send an object, with no more in it than the OpenAPI file says."


def is_too_deep(error: HttpError) -> bool:
    """Return whether a body could not be read because lists and objects in it are nested too deeply."""
    return isinstance(error.__cause__, RecursionError)


def _refuse(name: str) -> None:
    raise ValueError(name)


api = NinjaAPI(
    title="Storekeeper",
    version="1",
    description=DESCRIPTION,
    docs_url=None,
    openapi_url=None,
    urls_namespace="api",
    parser=JSONBody(),
)
PARTS = (
    existing_calls,
    reading,
    task_calls,
    bring_in_calls,
    writing,
    cluster_calls,
    node_calls,
    key_calls,
    recovery_calls,
    rescue_calls,
    drill_calls,
    store_calls,
    unmanaged_calls,
    account_calls,
    alert_calls,
    channel_calls,
    member_calls,
    token_calls,
    restoration_calls,
    overview_calls,
)  # which have put their calls on the router
api.add_router("", router)


@api.exception_handler(Problem)
def _problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return error.answer()


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "There is nothing here.")


@api.exception_handler(HttpError)
def _no_json(request: HttpRequest, error: HttpError) -> HttpResponse:
    if is_too_deep(error):
        return problem(error.status_code, TOO_DEEP)
    return problem(error.status_code, "The body is no JSON. Send an object, with Content-Type: application/json.")


@api.exception_handler(ValidationError)
def _wrong_fields(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return fields([(_pointer(one), words(one)) for one in error.errors]).answer()


def _pointer(found: dict[str, Any]) -> str:
    """Return a JSON pointer: what ninja calls the parameters of a view is left out."""
    names = [str(one) for one in found["loc"][1:] if one != "asked"]
    return "".join(f"/{one}".replace("~", "~0") for one in names)


WORDS = {
    "missing": "This is missing.",
    "extra_forbidden": "There is no such field.",
    "uuid_parsing": "This is no ID.",
    "uuid_type": "This is no ID.",
    "string_type": "Send a text.",
    "int_type": "Send a whole number.",
    "int_parsing": "Send a whole number.",
    "int_from_float": "Send a whole number.",
    "bool_parsing": "Send true or false.",
    "string_pattern_mismatch": "This is not written as it should be: the OpenAPI file says how.",
    "model_attributes_type": "Send an object.",
    "model_type": "Send an object.",
    "string_too_long": "This is too long.",
    "string_unicode": "This is no text: it has half of a character.",
    "string_sub_type": "Send a text.",
    "too_long": "There are too many.",
    "list_type": "Send a list.",
    "dict_type": "Send an object.",
    "bool_type": "Send true or false.",
    "timezone_aware": "Send a time with its zone, such as 2026-11-30T12:00:00Z.",
    "datetime_from_date_parsing": "Send a time with its zone, such as 2026-11-30T12:00:00Z.",
    "datetime_parsing": "Send a time with its zone, such as 2026-11-30T12:00:00Z.",
    "datetime_type": "Send a time with its zone, such as 2026-11-30T12:00:00Z.",
}


def words(found: dict[str, Any]) -> str:
    """Return what is wrong with a field, for a person."""
    context = found.get("ctx", {})
    bounds = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}
    if found["type"] in bounds:
        said, name = bounds[found["type"]]
        return f"Send {said} {context.get(name)}."
    if found["type"] in {"enum", "literal_error"}:
        return one_of(re.findall(r"'([^']*)'", context["expected"]))
    return WORDS.get(found["type"]) or str(found["msg"])


def urls() -> list[URLPattern | URLResolver]:
    """Return the addresses of all calls."""
    return [one for one in api.urls[0] if getattr(one, "name", "") != "api-root"]


def openapi() -> str:
    """Return the OpenAPI file, as the calls say it."""
    return render(api, PREFIX)


@cache
def _file() -> bytes:
    return FILE.read_bytes()


@csrf_exempt  # a POST is the wrong method, and nothing worse
@require_GET
def openapi_file(request: HttpRequest) -> HttpResponse:
    """Hand out the OpenAPI file, to everybody."""
    return HttpResponse(_file(), content_type="application/json")
