"""What can go wrong with a call: each is an Error, whose text is one sentence for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Error(Exception):
    """Something did not work; str() says what, and what to do."""


class WrongUse(Error):
    """The caller gave something that cannot be sent: an unknown argument, a plain HTTP address, no token."""


class Unreachable(Error):
    """No answer came: no network, a wrong address, a certificate that nobody trusts, or the time was over."""


class NotTheConsole(Unreachable):
    """Something else answered: a proxy, another program, or too much."""


class ApiError(Error):
    """The console refused a call (RFC 9457).

    `status` is HTTP's; `errors` are pairs of a JSON pointer into the body (or `/name` of a query parameter) and what is
    wrong there; `request_id` finds the call in the console's log; `retry_after` is in seconds, 0 without.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        request_id: str = "",
        retry_after: float = 0,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, tuple(errors)
        self.request_id, self.retry_after = request_id, retry_after

    def __str__(self) -> str:
        wrong = "; ".join(
            f"{pointer.lstrip('/')}: {said}" if pointer.strip("/") else said for pointer, said in self.errors
        )
        said = wrong or self.detail
        return f"{said} (request {self.request_id})" if self.request_id else said


class NotSignedIn(ApiError):
    """401: no token, or one that is not good any more."""


class Forbidden(ApiError):
    """403: role or token may not do this."""


class NotFound(ApiError):
    """404: there is no such row, or it is another organisation's."""


class Conflict(ApiError):
    """409: it cannot be done now."""


class Stale(ApiError):
    """412, 428: the row was changed meanwhile, or the call must say which version of it is meant (If-Match)."""


class Invalid(ApiError):
    """400, 413, 422: the call makes no sense; `errors` names the fields."""


class TooManyCalls(ApiError):
    """429: the limit was reached, also after the repetitions."""


class ConsoleDown(ApiError):
    """5xx: the console, or what it needs, does not work now."""


BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    401: NotSignedIn,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Stale,
    413: Invalid,
    422: Invalid,
    428: Stale,
    429: TooManyCalls,
}


def of(status: int, content: Any, headers: Mapping[str, str]) -> ApiError:
    """Return the error for an answer: of problem details, of OAuth's endpoint, or of anything else."""
    told = content if isinstance(content, dict) else {}
    detail = told.get("detail") or told.get("message") or told.get("title") or f"The console answered {status}."
    errors = [
        (str(one.get("pointer", "")), str(one.get("detail", "")))
        for one in told.get("errors") or []
        if isinstance(one, dict)
    ]
    kind = BY_STATUS.get(status, ConsoleDown if status >= 500 else ApiError)
    return kind(
        status,
        str(detail),
        errors=errors,
        request_id=str(told.get("request_id") or headers.get("x-request-id") or ""),
        retry_after=seconds(headers.get("retry-after", "")),
    )


def seconds(text: str) -> float:
    """Return Retry-After in seconds; 0 for none, and for a date, which the console does not send."""
    return float(text) if text.strip().isdigit() else 0


class TaskFailed(Error):
    """A task has ended, and not well; `task` is the task as the console shows it."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        self.task = dict(task)
        why = task.get("error") or task.get("note") or "the console says no more"
        super().__init__(f"{task.get('name') or task.get('verb') or 'The task'}: {task.get('state', 'failed')}: {why}")


class StillRunning(Error):
    """The time for waiting is over; the task goes on. `task` is what was seen last."""

    def __init__(self, task: Mapping[str, Any], waited: float) -> None:
        self.task = dict(task)
        super().__init__(f"{task.get('name', 'The task')} still runs after {waited:.0f} seconds, and goes on.")
