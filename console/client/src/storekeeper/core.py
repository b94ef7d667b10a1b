"""How a call of the table is made: where its arguments go, what becomes of its answer."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote

from .credentials import Credentials
from .errors import NotSignedIn, NotTheConsole, StillRunning, TaskFailed, WrongUse
from .operations import Operation, operations
from .transport import Answer, Transport

T = TypeVar("T")
LONG_LOOK = 30  # seconds that the console waits for a task's end
SHORT_LOOK = 5  # seconds, where somebody looks on
PLACE = re.compile(r"/api/v1/(?!.*\.\.)[\w./%=&?-]{1,300}", re.ASCII)
TASKS = "/api/v1/tasks/"
AT_WORK = {"waiting", "running"}  # of what is no task, such as an attempt to link an account
KEY, MATCH = "Idempotency-Key", "If-Match"


class Omit:
    """What is not sent; None is sent as null."""

    def __repr__(self) -> str:
        return "OMIT"

    def __bool__(self) -> bool:
        return False


OMIT = Omit()


class Row(dict[str, Any]):
    """A row as the console shows it, with the ETag that If-Match takes."""

    etag: str = ""


def etag(row: Any) -> str:
    """Return the ETag that a row came with, to be sent as If-Match; empty without."""
    return getattr(row, "etag", "")


@dataclass(frozen=True)
class File:
    """What is no JSON: a script, a table, a page."""

    content: bytes
    type: str
    name: str = ""

    def text(self) -> str:
        """Return it as text."""
        return self.content.decode("utf-8", "replace")


@dataclass(frozen=True)
class Begun(Generic[T]):
    """What has begun: the row now, and where it can be followed (empty if nothing was left to do)."""

    row: T
    place: str
    client: Core = field(repr=False)

    def wait(self, timeout: float = 3600, on_look: Callable[[Mapping[str, Any]], None] | None = None) -> dict[str, Any]:
        """Wait for the end and return the task, or what stands there in place of one.

        `timeout` in seconds; `on_look` gets the task each time that it was seen.
        Raises TaskFailed when it ended otherwise than well, StillRunning when the time is over.
        """
        return self.client.wait_for(self.place, timeout, on_look) if self.place else {}

    @property
    def task(self) -> str:
        """The task's ID; empty where it is no task that is followed."""
        return self.place.removeprefix(TASKS) if self.place.startswith(TASKS) else ""


class Core:
    """A console, as somebody with a token calls it."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self.transport, self.credentials = transport, credentials
        self.clock: Callable[[], float] = time.monotonic

    def ask(self, operation: Operation, given: Mapping[str, Any]) -> Answer:
        """Make a call with these arguments, by their Python names; OMIT is left out. Raises as Transport.call."""
        known = {one.name: one for one in operation.arguments}
        placed: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}, "body": {}}
        for name, value in given.items():
            if name not in known:
                raise WrongUse(f"{operation.id} takes no {name}.")
            if value is not OMIT:
                placed[known[name].place][known[name].sent] = value
        for argument in operation.arguments:
            if argument.is_required and argument.sent not in placed[argument.place]:
                raise WrongUse(f"{operation.id} needs {argument.name}.")
        path = re.sub(r"\{(\w+)\}", lambda found: _segment(found[1], placed["path"]), operation.path)
        query = {name: _text(value) for name, value in placed["query"].items() if value is not None}
        headers = {name: _text(value) for name, value in placed["header"].items()}
        if (tag := headers.get(MATCH, "*")) != "*" and '"' not in tag:
            headers[MATCH] = f'"{tag}"'
        keyed = operation.argument("header", KEY) is not None
        if keyed:
            headers.setdefault(KEY, str(uuid.uuid4()))
        body = _body(operation, placed["body"])
        if body is not None:
            headers["Content-Type"] = operation.takes
        is_safe = operation.method == "GET" or keyed
        return self.send(operation.method, path, query, headers=headers, body=body, is_safe_to_repeat=is_safe)

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        is_safe_to_repeat: bool | None = None,
    ) -> Answer:
        """Send a call with a token; once more with a new one when it was refused and another can be had."""
        for is_last in (False, True):
            bearer = {"Authorization": f"Bearer {self.credentials.bearer(self.transport)}"}
            try:
                return self.transport.call(
                    method,
                    path,
                    query=query,
                    headers={**(headers or {}), **bearer},
                    body=body,
                    is_safe_to_repeat=is_safe_to_repeat,
                )
            except NotSignedIn:
                if is_last or not self.credentials.refused():
                    raise
        raise AssertionError("the loop returns or raises")

    def row(self, name: str, given: Mapping[str, Any]) -> Any:
        """Make a call that answers with a row."""
        return shown(self.ask(operations()[name], given))

    def nothing(self, name: str, given: Mapping[str, Any]) -> None:
        """Make a call whose answer is empty."""
        self.ask(operations()[name], given)

    def file(self, name: str, given: Mapping[str, Any]) -> File:
        """Make a call that answers with a file."""
        return as_file(self.ask(operations()[name], given))

    def begun(self, name: str, given: Mapping[str, Any]) -> Begun[Any]:
        """Make a call that begins something."""
        answer = self.ask(operations()[name], given)
        return Begun(shown(answer), place_of(answer), self)

    def rows(self, name: str, given: Mapping[str, Any]) -> Iterator[Any]:
        """Make a call that answers page by page, and give all rows; the next page is asked for when it is needed."""
        operation, given = operations()[name], dict(given)
        cursor = operation.argument("query", "cursor")
        seen = set()
        while True:
            page = self.ask(operation, given).json()
            if isinstance(page, list):
                yield from page
                return
            if not isinstance(page, dict) or not isinstance(page.get("items"), list):
                raise NotTheConsole(f"{operation.path} answered with no list.")
            yield from page["items"]
            following = page.get("next")
            if not following or cursor is None:
                return
            if following in seen:
                raise NotTheConsole(f"{operation.path} gave the same cursor twice.")
            seen.add(following)
            given[cursor.name] = following

    def wait_for(
        self, task: str, timeout: float = 3600, on_look: Callable[[Mapping[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Wait for a task's end and return it: an address as Location has it, or an ID. See Begun.wait."""
        is_task = not task.startswith("/") or task.startswith(TASKS)
        path = task if task.startswith("/") else f"{TASKS}{task}"
        if not PLACE.fullmatch(path):
            raise WrongUse(f"{task[:100]!r} is no task.")
        began, longest = self.clock(), SHORT_LOOK if on_look else LONG_LOOK
        seen: dict[str, Any] = {}
        while True:
            left = timeout - (self.clock() - began)
            if seen and left <= 0:
                raise StillRunning(seen, timeout)
            asked_at, look = self.clock(), max(0, min(longest, int(left)))
            seen = self.send("GET", path, {"wait": look} if look and is_task else None).json()
            ended = has_ended(seen)
            if ended is None:
                if is_task:
                    raise NotTheConsole(f"{path} answered with no task.")
                return seen
            if on_look:
                on_look(seen)
            if ended:
                if (is_task or "error" in seen) and seen.get("state") != "done":
                    raise TaskFailed(seen)
                return seen
            # Where too many wait already, the console answers at once.
            if (early := 1 - (self.clock() - asked_at)) > 0:
                self.transport.sleep(min(early, max(0.05, left)))


def shown(answer: Answer) -> Any:
    """Return what the answer shows: a row knows its ETag."""
    if not answer.body:
        return None
    content = answer.json()
    if isinstance(content, dict):
        row = Row(content)
        row.etag = answer.headers.get("etag", "")
        return row
    return content


def place_of(answer: Answer) -> str:
    """Return where it can be followed, or nothing: an address outside of the API gets no token."""
    found = answer.headers.get("location", "")
    return found if PLACE.fullmatch(found) else ""


def has_ended(row: Any) -> bool | None:
    """Say whether what a row shows has ended; None where it does not say."""
    if isinstance(row, dict) and isinstance(row.get("is_finished"), bool):
        return bool(row["is_finished"])
    if isinstance(row, dict) and isinstance(row.get("state"), str):
        return row["state"] not in AT_WORK
    return None


def as_file(answer: Answer) -> File:
    """Return a file with the name that the console gave it, which is never a path."""
    named = re.search(r'filename="?([\w.() -]{1,200})"?', answer.headers.get("content-disposition", ""))
    name = named[1].strip() if named else ""
    return File(answer.body, answer.type, "" if name.startswith(".") else name)


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return [_text(one) for one in value]
    return str(value)


def _segment(name: str, given: Mapping[str, Any]) -> str:
    text = str(given[name])
    if not text or text in {".", ".."}:
        raise WrongUse(f"{name} is {text!r}, which is no name.")
    return quote(text, safe="")


def _body(operation: Operation, fields: Mapping[str, Any]) -> bytes | None:
    if not operation.takes:
        return None
    if operation.whole_body:
        if not fields:
            return None
        [content] = fields.values()
        if isinstance(content, bytes):
            return content
        return json.dumps(content).encode()
    return json.dumps(cast(dict[str, Any], dict(fields))).encode()
