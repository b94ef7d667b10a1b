"""What every request must be, and every answer carries: security headers, flash messages also on a fragment."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

GetResponse = Callable[[HttpRequest], HttpResponse]


def content_security_policy() -> str:
    """Return the policy: nothing inline, nothing foreign but the map's tiles where the operator has set a server."""
    tiles = urlsplit(settings.MAP_TILES_URL)
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' {tiles.scheme}://{tiles.netloc}" if tiles.netloc else "img-src 'self'",
            "font-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def headers(get_response: GetResponse) -> GetResponse:
    """Close each page to foreign and inline code, and keep private pages out of caches."""
    policy = content_security_policy()

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.headers.setdefault("Cache-Control", "private, no-cache")
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
