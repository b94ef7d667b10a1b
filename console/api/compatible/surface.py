"""The compatible surface put together: its errors, its addresses, its OpenAPI file."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from ninja import NinjaAPI, Router
from ninja.errors import HttpError, ValidationError

from console.api.compatible import accounts, calls, clients, clusters, shapes, stores, tasks
from console.api.compatible.calls import of_problem, refusal
from console.api.problems import Problem
from console.api.v1 import TOO_DEEP, JSONBody, is_too_deep, words

PARTS = (accounts, clients, clusters, stores, tasks)  # which have put their calls on the routers
PREFIXES = {"resources": ("v1/", "byoc/v1/"), "account": ("account/v1/",)}
UNREADABLE = "The body is no JSON object whose texts can be kept. Send an object, with Content-Type: application/json."
REFERENCE = "#/components/schemas/{model}"
REFUSALS = {
    "400": "It is refused; the message says why.",
    "401": "The token is not good.",
    "403": "It may not do this.",
}


class Body(JSONBody):
    """Reads JSON; refuses texts that no database takes: with NUL, or with half of a character."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return what the body says; raises ValueError."""
        found = super().parse_body(request)
        if "\x00" in (text := json.dumps(found, ensure_ascii=False)) or "\\u0000" in text:
            raise ValueError("NUL")
        text.encode()
        return found


def _api(name: str, router: Router) -> NinjaAPI:
    """Return an API whose errors are as these clients read them."""
    api = NinjaAPI(
        title="Storekeeper, as pgEdge's clients know it",
        version="1",
        docs_url=None,
        openapi_url=None,
        urls_namespace=f"compatible-{name}",
        parser=Body(),
    )
    api.add_router("", router)
    handlers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        Problem: lambda request, error: of_problem(error),
        Http404: lambda request, error: refusal(404, "There is no such row."),
        HttpError: lambda request, error: refusal(400, TOO_DEEP if is_too_deep(error) else UNREADABLE),
        ValidationError: lambda request, error: refusal(400, " ".join(map(_words, error.errors))),
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)
    return api


APIS = {"resources": _api("resources", calls.resources), "account": _api("account", calls.account)}


def _words(found: dict[str, Any]) -> str:
    """Return what is wrong, and where: what ninja calls the parameters of a view is left out."""
    names = ".".join(str(one) for one in found["loc"][1:] if one != "asked")
    said = f"{words(found).removesuffix('.')}."
    return f"{names}: {said}" if names else said


def urls(name: str) -> list[URLPattern | URLResolver]:
    """Return the addresses of the calls of this kind, to be put below a prefix."""
    return [one for one in APIS[name].urls[0] if getattr(one, "name", "") != "api-root"]


@cache
def _document(name: str, prefix: str) -> bytes:
    api = APIS[name]
    document = json.loads(json.dumps(api.get_openapi_schema(path_prefix=f"/{prefix}")))
    document["components"]["schemas"]["Error"] = shapes.Error.model_json_schema(ref_template=REFERENCE)
    refused = {"application/json": {"schema": {"$ref": REFERENCE.format(model="Error")}}}
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            statuses = dict(REFUSALS)
            if "{" in path:
                statuses["404"] = "There is no such row."
            if method != "get":
                statuses["409"] = "It is busy: wait, and try again."
            statuses["429"] = "Too many calls: see Retry-After."
            for status, said in statuses.items():
                one["responses"][status] = {"description": said, "content": refused}
    return json.dumps(document, indent=1, sort_keys=True).encode()


@csrf_exempt  # a POST is the wrong method, and nothing worse
@require_GET
def openapi_file(request: HttpRequest, name: str, prefix: str) -> HttpResponse:
    """Hand out the OpenAPI file, with the addresses below this prefix, to everybody."""
    return HttpResponse(_document(name, prefix), content_type="application/json")
