"""What every request must be, and every answer carries: a request ID, security headers, flash messages."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from django.conf import settings
from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from prometheus_client import Counter, Histogram

from console.web.logs import Origin, origin

GetResponse = Callable[[HttpRequest], HttpResponse]

log = logging.getLogger("storekeeper.requests")

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
REQUESTS = Counter("storekeeper_requests", "Requests answered.", ["view", "method", "status"])
DURATIONS = Histogram(
    "storekeeper_request_seconds",
    "Time until the answer was ready.",
    ["view", "method"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
# What machines ask every few seconds: where it was answered as it should be, a line of it says nothing.
ROUTINE = frozenset({"healthz", "readyz", "metrics", "clusters:node_applied"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def client_address(request: HttpRequest) -> str:
    """Return the client's address: what the outermost of the trusted proxies saw, else whoever is connected.

    What is no address is not believed. Of servers other than console.rsgi, X_Forwarded_For looks the same here.
    """
    told = request.headers.get("X-Forwarded-For", "").split(",")
    trusted = settings.TRUSTED_PROXY_COUNT
    for found in (told[-trusted] if 0 < trusted <= len(told) else "", request.META.get("REMOTE_ADDR", "")):
        with suppress(ValueError):
            return str(ip_address(found.strip()))
    return ""


def request_origin(get_response: GetResponse) -> GetResponse:
    """Give each request an ID, the proxy's if that is well-formed; count and time it."""

    def respond(request: HttpRequest) -> HttpResponse:
        told = request.headers.get("X-Request-ID", "")
        request_id = told if REQUEST_ID.fullmatch(told) else uuid4().hex
        token, began = origin.set(Origin(client_address(request), request_id)), time.perf_counter()
        try:
            response = get_response(request)
            response.headers["X-Request-ID"] = request_id
            _measure(request, response, time.perf_counter() - began)
        finally:
            origin.reset(token)
        return response

    return respond


def _measure(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    match = request.resolver_match
    # Names of ours alone: a label that a client could make up would fill the memory.
    view = (match.view_name or match._func_path) if match else "unknown"
    method = request.method if request.method in METHODS else "other"
    REQUESTS.labels(view, method, response.status_code).inc()
    DURATIONS.labels(view, method).observe(seconds)
    told = {"view": view, "method": method, "status": response.status_code, "seconds": round(seconds, 4)}
    # One without a name in the URL conf has its function's path.
    routine = response.status_code == 200 and view.rpartition(".")[2] in ROUTINE
    level = logging.DEBUG if routine else logging.INFO
    log.log(level, "%s %s %s", method, view, response.status_code, extra={"data": told})


def limits(get_response: GetResponse) -> GetResponse:
    """Refuse a body that is too large, or of a length that is none, before any of it is read."""

    def respond(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal():
            return HttpResponse("Content-Length is no number.\n", status=400, content_type="text/plain")
        if int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024
            text = f"The request is larger than {most} KiB, the most that the console takes. Send less.\n"
            return HttpResponse(text, status=413, content_type="text/plain; charset=utf-8")
        return get_response(request)

    return respond


CSP_REPORTS = "/csp-reports/"


def content_security_policy() -> str:
    """Return the policy: nothing inline, nothing foreign but the map's tiles where the operator has set a server."""
    tiles, issuer = urlsplit(settings.MAP_TILES_URL), urlsplit(settings.OIDC_ISSUER)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' {tiles.scheme}://{tiles.netloc}" if tiles.netloc else "img-src 'self'",
            "font-src 'self'",
            "connect-src 'self'",
            f"form-action 'self' {issuer.scheme}://{issuer.netloc}" if issuer.netloc else "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "report-to csp",
            f"report-uri {CSP_REPORTS}",  # for browsers that do not know report-to
        )
    )


PERMISSIONS = ", ".join(
    f"{feature}=()"
    for feature in ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "serial", "usb")
)


def headers(get_response: GetResponse) -> GetResponse:
    """Close each page to foreign and inline code, and keep it out of caches unless it says that it may be in one."""
    policy = content_security_policy()

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("Reporting-Endpoints", f'csp="{CSP_REPORTS}"')
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return respond


def well_formed(get_response: GetResponse) -> GetResponse:
    """Refuse what no browser sends, and what htmx's helper or PostgreSQL would fail at on every page."""

    def respond(request: HttpRequest) -> HttpResponse:
        if any("\x00" in value for value in request.COOKIES.values()) or not _is_url(request):
            return HttpResponse("A header of this request makes no sense.\n", status=400, content_type="text/plain")
        return get_response(request)

    return respond


def _is_url(request: HttpRequest) -> bool:
    given = request.headers.get("HX-Current-URL", "")
    try:
        urlsplit(given), urlsplit(unquote(given))
    except ValueError:
        return False
    return True


def flash_messages(get_response: GetResponse) -> GetResponse:
    """Let messages ride along with any fragment, out of band; on a 204 or a redirect they wait for what follows."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if (
            getattr(request, "htmx", False)
            and response.status_code in {200, 422}
            and "X-Without-Messages" not in request.headers
            and "HX-Redirect" not in response  # its body is never shown
            and not response.streaming
            and response.get("Content-Type", "").startswith("text/html")
            and (waiting := list(get_messages(request)))
        ):
            response.content += render_to_string("_flash.html", {"messages": waiting, "oob": True}, request).encode()
        return response

    return respond
