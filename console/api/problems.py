"""What a refused call is answered: problem details (RFC 9457), with the field that is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse

from console.web.logs import origin

PROBLEM = "application/problem+json"
Errors = Sequence[tuple[str, str]]  # JSON pointer into the body, or /name of a query parameter; and what is wrong


class Problem(Exception):
    """A call is refused: with this status, in these words."""

    def __init__(
        self, status: int, detail: str, *, errors: Errors = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, headers or {}

    def answer(self) -> HttpResponse:
        """Return the answer."""
        return problem(self.status, self.detail, errors=self.errors, headers=self.headers)


def problem(status: int, detail: str, *, errors: Errors = (), headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return an answer that says what is wrong; `request_id` finds it in the console's log."""
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": origin.get().request_id,
    }
    if errors:
        content["errors"] = [{"pointer": pointer, "detail": said} for pointer, said in errors]
    return HttpResponse(json.dumps(content), status=status, headers={"Content-Type": PROBLEM, **(headers or {})})


def one_of(choices: Sequence[str]) -> str:
    """Return what is wrong with a value that is none of these."""
    return f"Choose one of these: {', '.join(choices)}."


def fields(errors: Errors) -> Problem:
    """Return the refusal of what some fields hold."""
    return Problem(422, "Some fields are wrong. Nothing was changed.", errors=errors)
