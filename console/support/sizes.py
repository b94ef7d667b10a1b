"""Support's page of sizes: what the database holds, and until when."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from console.operations import housekeeping


@require_GET
def sizes(request: HttpRequest) -> HttpResponse:
    """Show each table with its rows, its size, its oldest row, and how long rows stay."""
    found = housekeeping.sizes()
    context = {
        **admin.site.each_context(request),
        "title": "Sizes",
        "sizes": found,
        "total": sum(one.bytes or 0 for one in found),
    }
    return render(request, "admin/sizes.html", context)
