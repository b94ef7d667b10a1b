"""What every app's views share: the two answers of a dialog, lists page by page. Knows no app."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import Resolver404, resolve
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect, trigger_client_event

from console.release import VERSION
from console.web import language
from console.web.script_words import script_words

PAGE_SIZE = 20
SEARCHED_AT_MOST = 200  # characters
COUNT_AT_MOST = 1000  # counting 100,000 rows costs more than the page itself


def page(request: HttpRequest) -> dict[str, Any]:
    """Context of every page: member, theme, language, the file of icons."""
    theme = request.COOKIES.get("theme", "")
    return {
        "company": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "icons": static("icons.svg"),
        "language": language.spoken(),
        "languages": settings.LANGUAGES,
        "script_words": script_words(),
        "membership": getattr(request, "membership", None),
        "memberships": getattr(request, "memberships", ()),
        "theme": theme if theme in {"light", "dark"} else "",
        "version": VERSION,
    }


def fragment_or_page(
    request: HttpRequest, template: str, partial: str, context: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """Answer htmx with the partial and everybody else with the page that holds it."""
    name = f"{template}#{partial}" if request.htmx else template  # type: ignore[attr-defined]
    response = render(request, name, context, status=status)
    # Without this the Back button shows a bare fragment, from the browser's cache.
    patch_vary_headers(response, ("HX-Request", "HX-Target"))
    return response


def posted(request: HttpRequest) -> QueryDict | None:
    """Return what a form is bound to: what was posted, be it empty, which is refused; None when it is only shown."""
    return request.POST if request.method == "POST" else None


def dialog_form(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Answer with a dialog (or its page): 422 when its form was posted and has errors."""
    form = context.get("form")
    refused = form is not None and form.is_bound and not form.is_valid()
    return fragment_or_page(request, template, "dialog", context, status=422 if refused else 200)


def dialog_done(request: HttpRequest, url: str, *events: str, message: str = "", follow: str = "") -> HttpResponse:
    """Close the dialog and announce what changed; without htmx, go to the page where it shows."""
    return announced(request, url, "dialog-close", *events, message=message, follow=follow)


def announced(request: HttpRequest, url: str, *events: str, message: str = "", follow: str = "") -> HttpResponse:
    """Announce what changed; without htmx, go to the page where it shows. `follow` is as in began()."""
    if message and follow:
        began(request, message, follow=follow)
    elif message:
        messages.success(request, message)
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(url)
    response = HttpResponse(status=204)
    response["HX-Trigger"] = json.dumps({event: {} for event in events})
    return response


def began(request: HttpRequest, message: str, *, follow: str) -> None:
    """Say what has only begun: no success yet. `follow` is the address that answers with how it ended.

    The message asks there every second, as `outcome` answers, and gives way to what it is told.
    """
    messages.info(request, message, extra_tags=follow)


def outcome(
    request: HttpRequest, url: str, *, text: str, level: str, links: Sequence[tuple[str, str]] = ()
) -> HttpResponse:
    """Answer a message that follows something: 204 while `text` is empty, then the message that takes its place.

    `level` is its colour: "success", "warning" or "error". `links` are words and addresses. A browser that asks for it
    as a page goes to `url`, where the same can be seen.
    """
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect(url)
    if not text:
        return HttpResponse(status=204)
    return render(request, "_outcome.html", {"text": text, "level": level, "links": links})


def file_download(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Mark a view that answers with a file: htmx, which cannot save one, is told to have the browser ask for it."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.htmx:  # type: ignore[attr-defined]
            return view(request, *args, **kwargs)
        response = HttpResponseClientRedirect(request.get_full_path())
        return trigger_client_event(response, "dialog-close")  # it is not left by a download

    answered.is_file_download = True  # type: ignore[attr-defined]
    return answered


def text_file(content: str, name: str) -> HttpResponse:
    """Answer with a text that the browser saves under this name."""
    response = HttpResponse(content, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def is_file_download(url: str) -> bool:
    """Return whether a view that answers with a file is at the address."""
    try:
        return hasattr(resolve(urlsplit(url).path).func, "is_file_download")
    except Resolver404:
        return False


def searched(request: HttpRequest) -> str:
    """Return what ?q= asks for: without NUL, which PostgreSQL takes in no text, and not too long for SQLite's LIKE."""
    return request.GET.get("q", "").replace("\x00", "").strip()[:SEARCHED_AT_MOST]


@dataclass(frozen=True)
class Page:
    """One page of a list, newest first, with the query strings of its neighbours ("" where there is none)."""

    items: Sequence[Any]
    previous: str
    next: str
    summary: str
    total: int


def paginate(request: HttpRequest, rows: QuerySet[Any], *, size: int = PAGE_SIZE) -> Page:
    """Return the page that ?after= or ?before= names: found by index, so the last one costs what the first one does."""
    key = rows.model._meta.pk
    after, before = (_cursor(request.GET.get(name, ""), key) for name in ("after", "before"))
    total = rows.order_by()[: COUNT_AT_MOST + 1].count()
    if before:
        created, pk = before
        newer = rows.filter(Q(created_at__gt=created) | Q(created_at=created, pk__gt=pk), created_at__gte=created)
        items = list(newer.order_by("created_at", "pk")[: size + 1])
        more_before, more_after = len(items) > size, True
        items = items[:size][::-1]
    else:
        if after:
            created, pk = after
            rows = rows.filter(Q(created_at__lt=created) | Q(created_at=created, pk__lt=pk), created_at__lte=created)
        items = list(rows.order_by("-created_at", "-pk")[: size + 1])
        more_before, more_after = after is not None, len(items) > size
        items = items[:size]
    kept = {key: str(value) for key, value in request.GET.items() if key not in {"after", "before"} and value}
    return Page(
        items=items,
        previous=_link(kept, "before", items[0]) if items and more_before else "",
        next=_link(kept, "after", items[-1]) if items and more_after else "",
        summary=f"{COUNT_AT_MOST:,}+" if total > COUNT_AT_MOST else f"{total:,}",
        total=total,
    )


def _link(kept: dict[str, str], name: str, item: Model) -> str:
    key = f"{item.created_at.isoformat()} {item.pk}"  # type: ignore[attr-defined]
    return "?" + urlencode({**kept, name: base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")})


def _cursor(text: str, key: Any) -> tuple[datetime, Any] | None:
    """Read a cursor; one that was tampered with is no cursor: the list starts at its beginning."""
    try:
        created, pk = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(" ")
        moment = datetime.fromisoformat(created)
        return (moment.astimezone(UTC), key.to_python(pk)) if moment.tzinfo else None
    except (ValueError, OverflowError, ValidationError):  # the second: no such time in UTC
        return None
