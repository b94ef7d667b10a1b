"""Where browsers report what the content security policy stopped: into the log, a few a minute."""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

log = logging.getLogger("storekeeper.csp")

LARGEST = 16 * 1024  # bytes of one report
A_MINUTE = 30  # that each process takes: anybody can send them
KINDS = {"application/csp-report", "application/reports+json", "application/json"}
# By both names that browsers give them (CSP 2, report-uri; CSP 3, report-to).
KEYS = {
    "effective-directive": "directive",
    "effectiveDirective": "directive",
    "violated-directive": "directive",
    "blocked-uri": "blocked",
    "blockedURL": "blocked",
    "document-uri": "document",
    "documentURL": "document",
    "source-file": "source",
    "sourceFile": "source",
    "line-number": "line",
    "lineNumber": "line",
}
_taken: deque[float] = deque(maxlen=A_MINUTE)


@csrf_exempt
@require_POST
def csp_reports(request: HttpRequest) -> HttpResponse:
    """Log what a browser reports; nothing is stored."""
    if request.content_type not in KINDS:
        return HttpResponse(status=415)
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST:  # a number: middleware.limits
        return HttpResponse(status=413)
    if len(_taken) == A_MINUTE and time.monotonic() - _taken[0] < 60:
        return HttpResponse(status=429, headers={"Retry-After": "60"})
    _taken.append(time.monotonic())
    try:
        given = json.loads(request.body)
    except (ValueError, RecursionError):
        return HttpResponse(status=400)
    for report in given[:5] if isinstance(given, list) else [given]:
        if told := _told(report):
            log.warning("the content security policy stopped something", extra={"data": {"csp": told}})
    return HttpResponse(status=204)


def _told(report: Any) -> dict[str, str]:
    """Return what is known of a report, cut short, and of addresses only what stands before their query."""
    body = report.get("csp-report") or report.get("body") if isinstance(report, dict) else None
    if not isinstance(body, dict):
        return {}
    return {
        KEYS[key]: str(value)[:300].split("?")[0]
        for key, value in body.items()
        if key in KEYS and isinstance(value, str | int)
    }
