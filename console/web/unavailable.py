"""What is answered when the console cannot work at this moment: 503, and when to try again."""

from __future__ import annotations

import logging
import sys

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import defaults

from console.web import database

RETRY_SECONDS = 5
BUSY = "The console is busy: more is asked of it than it can answer at once."
AWAY = "The console's database does not answer."
FULL = "The console's database is busy: all of its connections are in use."


def answer(why: str, *, accept: str, is_fragment: bool) -> tuple[dict[str, str], str]:
    """Return headers and body of a 503: a page for a browser, a line of text for everybody else.

    Neither asks the database. A fragment is text, too: what asked for it shows a message of its own.
    """
    headers = {"Retry-After": str(RETRY_SECONDS), "Cache-Control": "no-store", "Content-Type": "text/plain"}
    if "text/html" not in accept or is_fragment:
        return headers, f"{why} Try again in {RETRY_SECONDS} seconds.\n"
    headers["Content-Type"] = "text/html"
    return headers, render_to_string("503.html", {"why": why})


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a request that an error has ended: 503 when the database was away, else as Django does."""
    error = sys.exc_info()[1]
    if not database.is_away(error):
        return defaults.server_error(request)
    why = FULL if database.is_full() else AWAY
    is_fragment = "HX-Request" in request.headers
    headers, body = answer(why, accept=request.headers.get("Accept", ""), is_fragment=is_fragment)
    kind = headers.pop("Content-Type")
    return HttpResponse(body, status=503, headers=headers, content_type=f"{kind}; charset=utf-8")


class Briefly(logging.Filter):
    """Make one line of a request that had no database: hundreds of tracebacks would say no more."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if database.is_away(error):
            record.msg, record.args = f"{record.getMessage()}: {' '.join(str(error).split())[:300]}", ()
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True
