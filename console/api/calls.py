"""How a call is written: its address, the permission that it needs, the shape of its answer, and nothing else asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja import Router
from ninja.constants import NOT_SET
from pydantic import BaseModel

from console.accounts.permissions import Permission
from console.api.authentication import NAMES, Bearer
from console.api.problems import Problem, fields

router = Router()  # one for all: a second one would hide what the first has at the same address
View = Callable[..., HttpResponseBase]
NOTHING = {b"", b"{}"}  # bodies of a call that takes none


def reads(path: str, permission: Permission | None, shape: Any, *, asked: Any = None) -> Callable[[View], View]:
    """Make the view a GET that answers with this shape; `asked` is the schema of its query string."""
    return _call(router.get, path, permission, {200: shape}, asked)


def hands_out(path: str, permission: Permission, *, asked: Any = None) -> Callable[[View], View]:
    """Make the view a GET that answers with a text, such as a file."""
    return _call(router.get, path, permission, {200: str}, asked, answers_text=True)


def creates(path: str, permission: Permission, shape: Any, *, status: int = 202) -> Callable[[View], View]:
    """Make the view a POST that begins something, and answers with the row (202); 201 where it is there at once."""
    return _call(router.post, path, permission, {status: shape}, None)


def does(
    path: str, permission: Permission, shape: Any, *, status: int = 200, match: str = ""
) -> Callable[[View], View]:
    """Make the view a POST that does something to what is there: done when it is answered (200), or begun (202)."""
    return _call(router.post, path, permission, {status: shape}, None, match=match)


def changes(
    path: str, permission: Permission, shape: Any, *, begun: Any = None, match: str = ""
) -> Callable[[View], View]:
    """Make the view a PATCH: what is not sent stays as it is. `begun` is answered where that takes time (202).

    `match`: as of takes_away().
    """
    answers = {200: shape, **({202: begun} if begun else {})}
    return _call(router.patch, path, permission, answers, None, match=match)


def sets(
    path: str, permission: Permission, shape: Any, *, statuses: Sequence[int] = (200,), match: str = ""
) -> Callable[[View], View]:
    """Make the view a PUT, which sends the whole of something; 202 where that takes time."""
    return _call(router.put, path, permission, dict.fromkeys(statuses, shape), None, match=match)


def takes_away(
    path: str, permission: Permission, shape: Any, *, asked: Any = None, match: str = ""
) -> Callable[[View], View]:
    """Make the view a DELETE that is done when it is answered.

    `match` says that it looks at If-Match: "may", or "must" where it refuses to work without (428).
    """
    return _call(router.delete, path, permission, {200: shape}, asked, match=match)


def deletes(
    path: str, permission: Permission, shape: Any, *, asked: Any = None, match: str = ""
) -> Callable[[View], View]:
    """Make the view a DELETE that begins to delete, and answers with the row (202)."""
    return _call(router.delete, path, permission, {202: shape}, asked, match=match)


def removes(path: str, permission: Permission) -> Callable[[View], View]:
    """Make the view a DELETE that is done when it is answered, with nothing left to show (204)."""
    return _call(router.delete, path, permission, {204: None}, None)


def exports(path: str, permission: Permission, *, asked: Any) -> Callable[[View], View]:
    """Make the view a GET that answers with rows as CSV."""
    rows = {
        "description": "The rows, with a line of titles.",
        "content": {"text/csv; charset=utf-8": {"schema": {"type": "string"}}},
    }
    return _call(router.get, path, permission, NOT_SET, asked, extra={"responses": {200: rows}})


def answered(content: Any, *, status: int = 200, location: str = "", etag: str = "") -> HttpResponse:
    """Return ready JSON: what is shown has its shape, which the tests hold against each answer."""
    given = {"Location": location, "ETag": etag}
    headers = {name: value for name, value in given.items() if value}
    if status == 204:
        return HttpResponse(status=204, headers=headers)
    return HttpResponse(json.dumps(content), status=status, content_type="application/json", headers=headers)


def _call(
    register: Callable[..., Any],
    path: str,
    permission: Permission | None,
    answers: Any,
    asked: Any,
    *,
    match: str = "",
    answers_text: bool = False,
    extra: dict[str, Any] | None = None,
) -> Callable[[View], View]:
    names = frozenset(asked.model_fields) if asked else frozenset()
    is_file = answers_text or answers is NOT_SET

    def decorate(view: View) -> View:
        takes = [one for one in view.__annotations__.values() if isinstance(one, type) and issubclass(one, BaseModel)]

        @wraps(view)
        def checked(request: HttpRequest, **given: Any) -> HttpResponseBase:
            refuse_unknown(request, names)
            refuse_unreadable(given)
            if is_file and hasattr(request, "is_head"):  # else it would be noted as taken, which it was not
                raise Problem(405, "Ask for this by GET: that you take it is noted.", headers={"Allow": "GET"})
            if not takes and request.method != "GET" and request.body.strip() not in NOTHING:
                raise fields([("", "This call takes no body.")])
            return view(request, **given)

        # What ninja reads: the annotations are the view's own, and so are the names in them.
        needs = {**(extra or {}), **({"x-permission": NAMES[permission]} if permission else {})}
        # For the OpenAPI file, which writes them out.
        needs |= {"x-once": hasattr(view, "is_once"), "x-match": match, "x-text": answers_text}
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


def refuse_unreadable(given: Mapping[str, Any]) -> None:
    """Raise Problem for a text of the body that no database keeps: with NUL, or half of a character."""
    wrong = []
    for asked in given.values():
        if isinstance(asked, BaseModel):
            for pointer, text in _texts(asked.model_dump(), ""):
                if "\x00" in text:
                    wrong.append((pointer, "NUL is no character of a text."))
                elif any("\ud800" <= one <= "\udfff" for one in text):
                    wrong.append((pointer, "This holds half of a character."))
    if wrong:
        raise fields(wrong)


def _texts(value: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _texts(one, f"{pointer}/{name}")
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _texts(one, f"{pointer}/{at}")
