"""How a call of the compatible surface is written, and how it is refused: `{"code", "message"}` with the HTTP status.

Terraform's provider shows the messages of 400 and 401 alone, so what is refused is a 400; pgEdge's command line waits
and tries again at 409, so that is for rows at work only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from ninja import Router

from console.accounts.permissions import ENTERPRISE, Permission
from console.api.authentication import NAMES, Bearer, CallRequest
from console.api.calls import refuse_unknown
from console.api.problems import Problem
from console.operations.actions import NotNow
from console.operations.models import ManagedResource

resources = Router()  # below /v1 and /byoc/v1
account = Router()  # below /account/v1
View = Callable[..., HttpResponse]
DOING = {"list": "listing", "get": "reading", "create": "creating", "update": "changing", "delete": "deleting"}
EMPTY: dict[str, str] = {}


class CompatibleBearer(Bearer):
    """The same as everywhere; what the edition lacks is said in the words that pgEdge's command line looks for."""

    def __init__(self, permission: Permission | None, doing: str) -> None:
        super().__init__(permission)
        self.doing = doing

    def _check(self, request: CallRequest) -> None:
        if self.permission in ENTERPRISE and not request.membership.organisation.is_enterprise:
            raise Problem(400, f"plan does not allow {self.doing}")
        super()._check(request)


def reads(path: str, permission: Permission | None, shape: Any, *, asked: Any = None) -> Callable[[View], View]:
    """Make the view a GET of a resource that answers with this shape."""
    return call(resources, "get", path, permission, {200: shape}, asked=asked)


def writes(method: str, path: str, permission: Permission, shape: Any) -> Callable[[View], View]:
    """Make the view a POST or PATCH of a resource: 200, since Terraform's provider takes nothing else."""
    return call(resources, method, path, permission, {200: shape})


def deletes(path: str, permission: Permission, *, asked: Any = None) -> Callable[[View], View]:
    """Make the view a DELETE of a resource: 204, without a body."""
    return call(resources, "delete", path, permission, {204: None}, asked=asked)


def call(
    router: Router, method: str, path: str, permission: Permission | None, answers: dict[int, Any], *, asked: Any = None
) -> Callable[[View], View]:
    """Put the view on the router; it is asked nothing but `asked` in its query string, and by a good token alone."""
    names = frozenset(asked.model_fields) if asked else frozenset()

    def decorate(view: View) -> View:
        name = view.__name__
        verb, _, what = name.partition("_")

        @wraps(view)
        def checked(request: HttpRequest, **given: Any) -> HttpResponse:
            refuse_unknown(request, names)
            return view(request, **given)

        register: Callable[..., Any] = getattr(router, method)
        register(
            path,
            auth=CompatibleBearer(permission, f"{DOING[verb]} {what.replace('_', ' ')}"),
            response=answers,
            operation_id=name,
            tags=[path.split("/")[1]],
            openapi_extra={"x-permission": NAMES[permission]} if permission else {},
        )(checked)
        checked.permission = permission  # type: ignore[attr-defined]
        return checked

    return decorate


def answer(content: Any) -> HttpResponse:
    """Return ready JSON."""
    return HttpResponse(json.dumps(content), content_type="application/json")


def gone() -> HttpResponse:
    """Return the answer to a DELETE."""
    return HttpResponse(status=204)


def refusal(status: int, message: str) -> HttpResponse:
    """Return an error as these clients read it; `code` is what tells a row that is not there from a path."""
    return HttpResponse(
        json.dumps({"code": status, "message": message}), status=status, content_type="application/json"
    )


def of_problem(problem: Problem) -> HttpResponse:
    """Return the same refusal as these clients read it: fields that are wrong are a 400 that names them."""
    said = [f"{pointer.lstrip('/')}: {detail}" if pointer else detail for pointer, detail in problem.errors]
    response = refusal(400 if problem.status == 422 else problem.status, " ".join(said) or problem.detail)
    for name, value in problem.headers.items():
        response.headers[name] = value
    return response


def of_form(form: forms.BaseForm, names: dict[str, str] = EMPTY) -> Problem:
    """Return the refusal that says what a form has found; `names` are what the call calls its fields."""
    found = form.errors.items()
    return Problem(400, " ".join(f"{names.get(name, name)}: {' '.join(map(str, said))}" for name, said in found))


@contextmanager
def refusing(row: ManagedResource, *refusals: type[Exception]) -> Iterator[None]:
    """Turn what an action refuses into a 400, and into a 409 while something works on the row."""
    known: tuple[type[Exception], ...] = (NotNow, *refusals)
    try:
        yield
    except known as error:
        raise Problem(409 if is_busy(row) else 400, str(error)) from error


def is_busy(row: ManagedResource) -> bool:
    """Return whether something works on the row now, which may be so since it was read."""
    now = type(row)._default_manager.filter(pk=row.pk).first()
    return now is not None and now.is_busy
