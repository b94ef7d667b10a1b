"""Overview: the page after sign-in, all that is not recoverable, and the fleet on a map."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET
from django_htmx.http import trigger_client_event

from clusters.health.verdicts import Verdict
from console.accounts.access import MemberRequest, require_permission
from console.accounts.permissions import Permission
from console.overview import beginning, finding, fleet, freshness, states, troubles
from console.web import notices
from console.web.lists import part_of, plain_filters, push
from console.web.pages import fragment_or_page, searched
from stores import listing
from stores.models import StoreQuerySet

ROWS = 50  # of the list of databases, on a page
PAGES_AT_MOST = 100_000  # what comes after is the last page of whatever there is


@require_GET
def home(request: HttpRequest) -> HttpResponseBase:
    """Show the first page that the visitor has a use for: of staff without an organisation, the admin's."""
    if request.user.is_staff and not getattr(request, "membership", None):  # type: ignore[union-attr]
        return redirect("admin:index")
    return overview(request)


@require_permission(Permission.SEE_ACCOUNTS)
def overview(request: MemberRequest) -> HttpResponse:
    """Show how recoverable the organisation's databases are; in the Developer edition, what that has."""
    if not request.membership.organisation.is_enterprise:
        context: dict[str, Any] = {"notices": [*troubles.of_accounts(request.membership)]}
        return fragment_or_page(request, "overview/edition.html", "page", context)
    found = troubles.rows(request.membership)
    path = beginning.path(request.membership)
    context = {"path": path, "now": timezone.now()}
    if path.has_cluster:
        context |= _state(request, found)
    context["notices"] = sorted(
        [*troubles.notices(found, request.membership), *notices.notices(request.membership)], key=notices.by_level
    )
    response = fragment_or_page(request, "overview/home.html", "page", context)
    if request.htmx:  # the dots beside it may be others, too
        trigger_client_event(response, "navigation-changed")
    return response


def _state(request: MemberRequest, found: list[troubles.Row]) -> dict[str, Any]:
    """Return how the databases are, with the page of the matrix that is asked for."""
    summary = states.summary(request.membership, nowhere=troubles.nowhere(found))
    query, page = searched(request), _page(request)
    asked = request.GET.get("show", "")
    everything = asked == "all" or bool(query) or (asked != "trouble" and summary.clusters <= freshness.CLUSTERS)
    matrices, more = freshness.matrices(request.membership, query=query, everything=everything, page=page)
    worst = states.rows(states.pairs(request.membership).troubled()[: states.WORST]) if summary.troubled_pairs else []
    return {
        "summary": summary,
        "worst": worst,
        "matrices": matrices,
        "everything": everything,
        "query": query,
        "pages": _neighbours(request, page, more),
    }


@require_GET
@require_permission(Permission.SEE_STORES)
def databases(request: MemberRequest) -> HttpResponse:
    """List each database in each of its stores, the worst first, filtered by ?q= and ?verdict=."""
    rows, query, verdict = states.pairs(request.membership), searched(request), request.GET.get("verdict", "")
    if query:
        named = ("database", "node", "cluster__name", "repository__store_name")
        rows = rows.filter(Q(*((f"{one}__icontains", query) for one in named), _connector=Q.OR))
    if verdict in Verdict.values:
        rows = rows.filter(rank=Verdict(verdict).rank)
    page = _page(request)
    first = page * ROWS
    found = states.rows(rows[first : first + ROWS + 1])
    context = {
        "rows": found[:ROWS],
        "filters": plain_filters(
            query, ("verdict", gettext("Verdict"), verdict if verdict in Verdict.values else "", Verdict.choices)
        ),
        "pages": _neighbours(request, page, len(found) > ROWS),
    }
    return fragment_or_page(request, "overview/databases.html", part_of(request, "databases-list", "rows"), context)


@require_GET
@require_permission(Permission.SEE_STORES)
def fleet_page(request: MemberRequest) -> HttpResponse:
    """Show all nodes and stores by their place, on a map and in a table; with the filters of the list, its stores."""
    path = request.path  # below the overview or below the stores: whence it was opened
    page = listing.without_rows(request.membership, request.GET, path=path)
    places = fleet.places(request.membership, _filtered_stores(request))
    is_own = request.htmx.target == "overview-fleet"
    context = {
        "page": page,
        "list_url": path,
        "is_of_stores": path == reverse("stores_map"),
        "has_filters": is_own or not request.htmx,  # the overview shows the map without them
        "places": places,
        "spots": [spot for place in places for spot in place.stores],
        "at": fleet.digest(places),
    }
    response = fragment_or_page(request, "overview/fleet.html", "fleet", context)
    if is_own:
        push(request, response, page.url)
    return response


@require_GET
@require_permission(Permission.SEE_STORES)
def fleet_map(request: MemberRequest) -> HttpResponse:
    """Return the fleet's map as an ES module, of the stores that the filters of the list leave."""
    found = fleet.places(request.membership, _filtered_stores(request))
    script = fleet.module(found, settings.MAP_TILES)
    return HttpResponse(script, content_type="text/javascript; charset=utf-8")


def _filtered_stores(request: MemberRequest) -> StoreQuerySet | None:
    """Return the stores that the address asks for; None when it asks for all, and for nodes beside them."""
    if not listing.LISTING.asked(request.GET).is_filtered:
        return None
    return listing.asked_for(request.membership, request.GET)


@require_GET
@require_permission(Permission.SEE_ACCOUNTS)
def search(request: MemberRequest) -> HttpResponse:
    """Show what ?q= finds, things and pages; while one types in the dialog, the list alone."""
    query = searched(request)
    partial = "found" if request.htmx.target == "found" else "dialog"
    context = {"query": query, "groups": finding.find(request.membership, query), "shortest": finding.SHORTEST}
    return fragment_or_page(request, "overview/search.html", partial, context)


def _page(request: HttpRequest) -> int:
    """Return which page is asked for, from 0 on; what is no number asks for the first."""
    asked = request.GET.get("page", "")
    number = int(asked[:9]) if asked.isascii() and asked.isdigit() else 0
    return min(max(number, 1), PAGES_AT_MOST) - 1


def _neighbours(request: HttpRequest, page: int, more: bool) -> dict[str, str]:
    """Return the query strings of the pages before and after this one; "" where there is none."""
    kept = {key: str(value) for key, value in request.GET.items() if key != "page" and value}

    def link(number: int) -> str:
        return "?" + urlencode({**kept, "page": number})

    return {"previous": link(page) if page else "", "next": link(page + 2) if more else ""}
