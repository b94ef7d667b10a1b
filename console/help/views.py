"""The manual: its chapters, and what ?q= finds in them. It holds nothing of anybody's, so it asks for no sign-in."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.help import chapters, searching
from console.web.pages import searched

CONTENTS_FROM = 3  # headings of a chapter from which on it gets a table of contents


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Show the manual's first page, or what ?q= finds in all of it."""
    if query := searched(request):
        context = {"query": query, "found": searching.search(query), "sections": chapters.sections()}
        return render(request, "help/search.html", context)
    return chapter(request, "")


@require_safe
def chapter(request: HttpRequest, chapter: str) -> HttpResponse:
    """Show one chapter, with those before and after it."""
    found = chapters.by_slug().get(chapter)
    if found is None:
        raise Http404
    contents = [one for one in found.outline if one.level == 2]
    before, after = chapters.neighbours(found)
    context = {
        "chapter": found,
        "rendered": found.rendered,
        "contents": contents if chapter and len(contents) >= CONTENTS_FROM else [],  # the index is one itself
        "previous": before,
        "next": after,
        "sections": chapters.sections(),
    }
    return render(request, "help/chapter.html", context)
