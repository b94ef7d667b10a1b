"""The console as a WSGI application. Servers run console.rsgi, which takes each request whole before it gets here."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.utils.http import parse_header_parameters

from console.clouds.calls import told_of_calls
from console.starting import or_exit
from console.web import tracing

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

with or_exit():
    tracing.start(told_of_calls)  # before its middleware is asked whether it is used
    _django = get_wsgi_application()
    # Only now are there models.
    from console.accounts.installation import before_work, gate

    before_work()
    connection.close()  # of the thread that loads this, and answers nobody

PROBES = {"/healthz", "/readyz"}  # which answer whatever the database does
CLOSED = "This console is not set up for its database; what is wrong, and what to do, is in its log.\n"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request; refuse text that is not UTF-8.

    Here, because Django takes any codec that the sender names, and fails at some of them before its first middleware.
    """
    try:
        charset = parse_header_parameters(environ.get("CONTENT_TYPE", ""))[1].get("charset", "utf-8")
    except ValueError:  # too long to be one
        charset = ""
    if charset.lower() != "utf-8":  # as Django has it: "utf8" it refuses, and then fails at its own refusal
        start_response("415 Unsupported Media Type", [("Content-Type", "text/plain")])
        return [b"Send text as UTF-8.\n"]
    if not gate.open and environ.get("PATH_INFO") not in PROBES and gate.refusal():
        start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "60")])
        return [CLOSED.encode()]
    return _django(environ, start_response)
