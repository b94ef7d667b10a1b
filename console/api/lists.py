"""Lists, page by page, by cursors: the last page costs what the first one does."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import Model, Q, QuerySet
from ninja import Schema
from pydantic import ConfigDict, Field

from console.api.problems import fields
from console.web.pages import SEARCHED_AT_MOST

MOST, USUAL = 100, 50  # rows of a page
NEWEST = ("-created_at", "-pk")


class ListQuery(Schema):
    """What each list may be asked."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MOST, description=f"Rows of a page, {MOST} at most.")] = USUAL
    cursor: Annotated[str, Field(max_length=1000, description="`next` of the page before.")] = ""


class Searched(ListQuery):
    """What a list that can be searched may be asked."""

    q: Annotated[str, Field(max_length=SEARCHED_AT_MOST, description="What to search for, as on the page.")] = ""


def page(
    rows: QuerySet[Any], query: ListQuery, show: Callable[[Any], dict[str, Any]], *, order: Sequence[str] = NEWEST
) -> dict[str, Any]:
    """Return a page of the rows as `items`, and as `next` the cursor of the one that follows, or None.

    `order` ends in the key, so that no two rows are equal in it.
    """
    rows = rows.order_by(*order)
    if query.cursor:
        rows = rows.filter(_beyond(rows.model, order, query.cursor))
    found = list(rows[: query.limit + 1])
    items = found[: query.limit]
    more = len(found) > query.limit
    return {"items": [show(one) for one in items], "next": _cursor(items[-1], order) if more else None}


def encode(values: Sequence[Any]) -> str:
    """Return a cursor that holds these values."""
    return base64.urlsafe_b64encode(json.dumps([str(one) for one in values]).encode()).decode().rstrip("=")


def decode(cursor: str, number: int) -> list[str]:
    """Return the values of a cursor; raises Problem for what is none."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) != number or not all(isinstance(one, str) for one in values):
        raise no_cursor()
    return values


def no_cursor() -> Exception:
    """Return the refusal of a cursor that is none."""
    return fields([("/cursor", "This is no cursor. Send `next` of the page before as it is.")])


def _cursor(row: Model, order: Sequence[str]) -> str:
    return encode([_text(getattr(row, name.lstrip("-"))) for name in order])


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _beyond(model: type[Model], order: Sequence[str], cursor: str) -> Q:
    names = [name.lstrip("-") for name in order]
    values = [_value(model, name, text) for name, text in zip(names, decode(cursor, len(order)), strict=True)]
    found, equal = Q(), Q()
    for name, asked, value in zip(names, order, values, strict=True):
        found |= equal & Q(**{f"{name}__{'lt' if asked.startswith('-') else 'gt'}": value})
        equal &= Q(**{name: value})
    # The first column bounds what an index is read from.
    return found & Q(**{f"{names[0]}__{'lte' if order[0].startswith('-') else 'gte'}": values[0]})


def _value(model: type[Model], name: str, text: str) -> Any:
    try:
        field = model._meta.pk if name == "pk" else model._meta.get_field(name)
        value = field.to_python(text)  # type: ignore[union-attr]
    except (ValidationError, FieldDoesNotExist, ValueError, OverflowError) as error:
        raise no_cursor() from error
    if value is None or (hasattr(value, "tzinfo") and value.tzinfo is None):
        raise no_cursor()
    if isinstance(value, int) and abs(value) > 2**62:
        raise no_cursor()
    return value
