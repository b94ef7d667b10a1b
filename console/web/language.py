"""The language of a page: what the person has chosen, else what the browser asks for. Knows no app.

What is recorded, what machines read and what nodes get stays in the language of the source, English: workers and
commands never leave it, and of requests the console's pages alone do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language, get_language_from_request, override

# What machines ask for: the API, also by pgEdge's addresses, nodes that enrol, and those that watch.
MACHINES = re.compile(r"/(api/|v1/|account/v1/|byoc/v1/|enrol/|healthz|readyz|metrics|csp-reports/)")


def chosen(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Answer in the reader's language, and leave the thread in that of the source."""

    def respond(request: HttpRequest) -> HttpResponse:
        if len(settings.LANGUAGES) == 1 or MACHINES.match(request.path):
            return get_response(request)
        language = of(request)
        with override(language):
            response = get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Language", language)
            patch_vary_headers(response, ("Accept-Language",))
        return response

    return respond


def of(request: HttpRequest) -> str:
    """Return the language to answer in: the person's own, else the best of those that the browser reads."""
    session = getattr(request, "session", None)
    if session is not None and SESSION_KEY in session:
        own = getattr(request.user, "language", None)
        if is_known(own):
            return str(own)
    return get_language_from_request(request)


def of_person(person: object) -> str:
    """Return the language of what somebody reads outside a page, such as a mail: their own, else English."""
    own = getattr(person, "language", None)
    return str(own) if is_known(own) else settings.LANGUAGE_CODE


def spoken() -> str:
    """Return the active language as HTML's lang has it."""
    active = get_language() or settings.LANGUAGE_CODE
    return "en" if active == settings.LANGUAGE_CODE else active


def is_known(language: object) -> bool:
    """Return whether the console speaks the language: one that was chosen may be gone with another release."""
    return any(language == code for code, _ in settings.LANGUAGES)


def in_english() -> AbstractContextManager[None]:
    """Return a context in which texts are in the language of the source, for what is recorded."""
    return override(settings.LANGUAGE_CODE)
