"""The OpenAPI file: what ninja reads of the calls, and what all of them share."""

from __future__ import annotations

import json
from typing import Any

from ninja import NinjaAPI

from console.api.shapes import ProblemDetails

REFERENCE = "#/components/schemas/{model}"
REFUSALS = {
    "400": "The body is no JSON, or a header makes no sense.",
    "401": "No token, or one that is not good.",
    "403": "Role or token may not do this.",
    "404": "There is no such row, or it is another organisation's.",
    "409": "It cannot be done now: the detail says why.",
    "412": "It was changed since If-Match was read: read it again.",
    "413": "The body is too large.",
    "422": "Fields are wrong, or an Idempotency-Key was used for another call.",
    "428": "This asks for If-Match, with the ETag of what was read.",
    "429": "Too many calls: see Retry-After.",
}
ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key again within 24 hours does nothing, and is answered as the first call was.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag that was read; refused (412) when it was changed since.",
    "schema": {"type": "string", "maxLength": 200},
}
NEEDED = {**MATCH, "description": "The ETag that was read. Without it nothing is taken away (428)."}
TEXT = {"text/plain; charset=utf-8": {"schema": {"type": "string"}}}
LOCATION = {"description": "Where it is, or the task that is at it.", "schema": {"type": "string"}}


def render(api: NinjaAPI, prefix: str) -> str:
    """Return the file, in an order that does not change by itself."""
    document = json.loads(json.dumps(api.get_openapi_schema(path_prefix=prefix)))
    schemas = document["components"]["schemas"]
    problem = ProblemDetails.model_json_schema(ref_template=REFERENCE)
    schemas.update(problem.pop("$defs", {}))
    schemas["ProblemDetails"] = problem
    document["components"]["responses"] = {
        f"Problem{status}": {
            "description": said,
            "content": {"application/problem+json": {"schema": {"$ref": REFERENCE.format(model="ProblemDetails")}}},
        }
        for status, said in REFUSALS.items()
    }
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            _share(call, method=method, has_key="{" in path)
    text = json.dumps(document)
    # Those of query strings, which stand with each call.
    for name in [one for one in schemas if f'"{REFERENCE.format(model=one)}"' not in text]:
        del schemas[name]
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _share(call: dict[str, Any], *, method: str, has_key: bool) -> None:
    is_once, match, is_text = (call.pop(name) for name in ("x-once", "x-match", "x-text"))
    statuses = ["401", "403", "422", "429"]
    if has_key:
        statuses.append("404")
    if method != "get" or is_text:
        statuses.append("409")
    if method != "get":
        statuses.append("413")
    if "requestBody" in call or method == "post":
        statuses.append("400")
    if match:
        call["parameters"] = [*call["parameters"], NEEDED if match == "must" else MATCH]
        statuses += ["412", "428"]
    if is_once:
        call["parameters"] = [*call["parameters"], ONCE]
    if is_text:
        call["responses"]["200"]["content"] = TEXT
    for status in {"201", "202"} & call["responses"].keys():
        call["responses"][status]["headers"] = {"Location": LOCATION}
    if call["operationId"] == "follow_task":
        told = call["responses"]["200"]["content"]
        told["text/event-stream"] = told.pop("application/json")  # of each event, the data
        call["responses"]["204"] = {"description": "The task has ended, and Last-Event-ID says that this is known."}
    for status in statuses:
        call["responses"][status] = {"$ref": f"#/components/responses/Problem{status}"}
