"""Lists as pgEdge has them: plain arrays without a total, by limit and offset, oldest first unless asked otherwise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.dateparse import parse_datetime
from ninja import Schema
from pydantic import ConfigDict, Field

from console.api.compatible.calls import answer
from console.api.problems import Problem

MOST, USUAL = 100, 10  # rows: more than so many are silently so many, as pgEdge does it
FARTHEST = 1_000_000  # rows that are passed over


class Slice(Schema):
    """Which part of a list is asked for."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, description=f"Rows; {MOST} at most, whatever is asked.")] = USUAL
    offset: Annotated[int, Field(ge=0, le=FARTHEST)] = 0


class Listed(Slice):
    """What the lists of stores and clusters are asked."""

    descending: bool = False
    created_after: Annotated[str, Field(max_length=40, description="RFC 3339, with a zone.")] = ""
    created_before: Annotated[str, Field(max_length=40, description="RFC 3339, with a zone.")] = ""


def part(rows: QuerySet[Any], asked: Slice, show: Callable[[Any], dict[str, Any]]) -> HttpResponse:
    """Answer with the part of the rows that is asked for."""
    most = min(asked.limit, MOST)
    return answer([show(one) for one in rows[asked.offset : asked.offset + most]])


def listed(rows: QuerySet[Any], asked: Listed, show: Callable[[Any], dict[str, Any]]) -> HttpResponse:
    """Answer with the rows that were created in the time that is asked for, in the order that is."""
    if asked.created_after:
        rows = rows.filter(created_at__gt=_moment("created_after", asked.created_after))
    if asked.created_before:
        rows = rows.filter(created_at__lt=_moment("created_before", asked.created_before))
    order = ("-created_at", "-pk") if asked.descending else ("created_at", "pk")
    return part(rows.order_by(*order), asked, show)


def _moment(name: str, text: str) -> datetime:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Problem(400, f"{name}: Send a time with its zone, such as 2026-11-30T12:00:00Z.")
    return found
