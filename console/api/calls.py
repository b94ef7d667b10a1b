"""How a call is written: its address, the permission that it needs, the shape of its answer, and nothing else asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja import Router

from console.accounts.permissions import Permission
from console.api.authentication import NAMES, Bearer
from console.api.problems import fields

router = Router()  # one for all: a second one would hide what the first has at the same address
View = Callable[..., HttpResponseBase]


def reads(path: str, permission: Permission | None, shape: Any, *, asked: Any = None) -> Callable[[View], View]:
    """Make the view a GET that answers with this shape; `asked` is the schema of its query string."""
    return _call(router.get, path, permission, {200: shape}, asked)


def creates(path: str, permission: Permission, shape: Any) -> Callable[[View], View]:
    """Make the view a POST that begins something, and answers with the row (202)."""
    return _call(router.post, path, permission, {202: shape}, None)


def deletes(path: str, permission: Permission, shape: Any, *, asked: Any = None) -> Callable[[View], View]:
    """Make the view a DELETE that begins to delete, and answers with the row (202)."""
    return _call(router.delete, path, permission, {202: shape}, asked)


def answered(content: Any, *, status: int = 200, location: str = "") -> HttpResponse:
    """Return ready JSON: what is shown has its shape, which the tests hold against each answer."""
    headers = {"Location": location} if location else {}
    return HttpResponse(json.dumps(content), status=status, content_type="application/json", headers=headers)


def _call(
    register: Callable[..., Any], path: str, permission: Permission | None, answers: dict[int, Any], asked: Any
) -> Callable[[View], View]:
    names = frozenset(asked.model_fields) if asked else frozenset()

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, **given: Any) -> HttpResponseBase:
            refuse_unknown(request, names)
            return view(request, **given)

        # What ninja reads: the annotations are the view's own, and so are the names in them.
        needs = {"x-permission": NAMES[permission]} if permission else {}
        name = view.__name__
        register(
            path,
            auth=Bearer(permission),
            response=answers,
            operation_id=name,
            tags=[path.split("/")[1]],
            openapi_extra=needs,
        )(checked)
        checked.permission = permission  # type: ignore[attr-defined]
        return checked

    return decorate


def refuse_unknown(request: HttpRequest, names: frozenset[str]) -> None:
    """Raise Problem for a query parameter that the call does not know, or that holds NUL or comes twice."""
    wrong = []
    for name, values in request.GET.lists():
        shown = name[:60].replace("\x00", "")
        if name not in names:
            wrong.append((f"/{shown}", "There is no such query parameter."))
        elif len(values) > 1:
            wrong.append((f"/{shown}", "Send it once."))
        elif "\x00" in values[0]:
            wrong.append((f"/{shown}", "NUL is no character of a text."))
    if wrong:
        raise fields(wrong)
