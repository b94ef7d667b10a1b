"""What each answer of the API carries: limits, and errors as JSON, whoever made them.

Django, its middlewares and this console's own answer some requests before any call of the API is found: with a page, or
a line of text. A client of the API gets the same as problem details, and one of the addresses that pgEdge's clients
know as those read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse

from console.api import limits
from console.api.problems import PROBLEM, Problem, problem
from console.web.middleware import client_address

OURS = "/api/"
COMPATIBLE = re.compile(r"/(account/|byoc/)?v1/")
BODY = {"content-type", "content-length", "content-encoding", "etag", "last-modified", "vary"}  # of what is replaced
WORDS = {
    400: "The request makes no sense.",
    403: "This is not allowed.",
    404: "There is nothing here.",
    405: "This address does not take this method.",
    500: "Something went wrong. It was noted.",
    503: "The console is busy, or its database does not answer. Try again.",
}


def answers(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Give each answer of the API its limits, and each error its form."""

    def respond(request: HttpRequest) -> HttpResponse:
        is_compatible = COMPATIBLE.match(request.path) is not None
        if not is_compatible and not request.path.startswith(OURS):
            return get_response(request)
        is_head = request.method == "HEAD"
        if is_head:  # what a GET answers, without its body
            request.method = "GET"
            request.is_head = True  # type: ignore[attr-defined]
        response = get_response(request)
        if response.status_code >= 400 and not _is_json(response):
            response = _in_place_of(response, _as_json(response, is_compatible=is_compatible))
        usage = getattr(request, "usage", None) or limits.count(f"address:{client_address(request)}")
        if usage.is_over and response.status_code in {401, 404}:  # who guesses
            refused = _in_place_of(response, too_many(usage).answer())
            response = _in_place_of(refused, _as_json(refused, is_compatible=True)) if is_compatible else refused
        for name, value in usage.headers.items():
            response.headers[name] = value
        return _without_body(request, response) if is_head else response

    return respond


def _without_body(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Return the answer to a HEAD: with the headers of the GET alone."""
    request.method = "HEAD"
    if not response.streaming:
        response.headers.setdefault("Content-Length", str(len(response.content)))
        response.content = b""
    return response


def refusal(path: str, status: int, why: str, headers: dict[str, str]) -> HttpResponse | None:
    """Return how a request is refused before Django sees it; None where whoever sent it reads no JSON."""
    if path.startswith(OURS):
        return problem(status, why, headers=headers)
    if COMPATIBLE.match(path):
        return JsonResponse({"code": status, "message": why}, status=status, headers=headers)
    return None


def too_many(usage: limits.Usage) -> Problem:
    """Return the refusal of a call beyond the limit."""
    said = f"At most {usage.limit} calls in {limits.WINDOW} seconds. Try again in {usage.reset} seconds."
    return Problem(429, said, headers={"Retry-After": str(usage.reset)})


def _is_json(response: HttpResponse) -> bool:
    return response.get("Content-Type", "").partition(";")[0] in {"application/json", PROBLEM}


def _in_place_of(response: HttpResponse, other: HttpResponse) -> HttpResponse:
    """Return the other one with the headers of the first that are not about its body: what all answers carry."""
    for name, value in response.headers.items():
        if name.lower() not in BODY:
            other.headers.setdefault(name, value)
    return other


def _as_json(response: HttpResponse, *, is_compatible: bool) -> HttpResponse:
    status = response.status_code
    text = "" if response.streaming else response.content.decode(errors="replace").strip()
    is_line = response.get("Content-Type", "").startswith("text/plain") and len(text) < 300
    said = WORDS.get(status) or (text if is_line else HTTPStatus(status).phrase)
    if is_line and text and status not in {404, 500}:
        said = text
    if not is_compatible:
        return problem(status, said)
    if status == 404:  # no address of ours: without a code, which tells it from a row that is gone
        return JsonResponse({"message": "Not Found"}, status=404)
    return JsonResponse({"code": status, "message": said}, status=status)
