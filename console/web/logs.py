"""Where what happens now was asked for, and log lines that say so."""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

INVITATION = re.compile(r"(/invitations/)[\w-]+")


@dataclass(frozen=True)
class Origin:
    """Who asked for what happens now, and where: a request, an operation, or, with nothing set, the console itself."""

    address: str = ""  # the client's, as the proxies that the operator trusts tell it
    request_id: str = ""
    operation_id: str = ""
    user_id: str = ""
    organisation_id: str = ""
    actor: str = ""  # who asks without being a person: a service account's name
    token: str = ""  # with which the API was called: its name, and how it begins


origin: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - it is frozen


class WithOrigin(logging.Filter):
    """Give each record its origin where it was made: a handler may run in another thread.

    The address of an invitation is as good as a key, so what follows /invitations/ is taken out.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        if "/invitations/" in (said := record.getMessage()):
            record.msg, record.args = INVITATION.sub(r"\1…", said), ()
        record.origin = {name: value for name, value in vars(origin.get()).items() if value}
        return True


# What a worker works on for somebody; of all its other tasks, which come every few seconds, each line says nothing.
TOLD_OF = frozenset({"console.operations.tasks.run_operation"})
TASK = re.compile(r"(?:^Task |^Scheduler: Sending due task \S+ \()([\w.]+)")


class WithoutRoutine(logging.Filter):
    """Leave out that a sweep or a reading was sent, came and went well, unless debugging is wanted: 15 MB a day."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what went wrong, all that is no task, and what somebody waits for."""
        if record.levelno != logging.INFO or logging.getLogger().level <= logging.DEBUG:
            return True
        task = TASK.match(record.getMessage())
        return task is None or task[1] in TOLD_OF


def printable(text: str) -> str:
    r"""Return the text with all that is not printed written as Python writes it: \n, \u202e (str.isprintable)."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class TextFormatter(logging.Formatter):
    """One line for people, with the origin at its end; a traceback below it is set in, so that it is no other record.

    What is logged may come from anybody: a user name, the error code of a linked server.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what follows it is a traceback."""
        found = getattr(record, "origin", {})
        record.told = "".join(f" {name}={value}" for name, value in found.items())
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        # Not what another formatter may have left in the record, which is of its own making.
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        below = "\n".join(part for part in (trace, record.stack_info) if part)
        lines = (f"    {printable(line)}" for line in below.split("\n")) if below else ()
        return "\n".join((printable(self.formatMessage(record)), *lines))


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, origin, and what was logged with `extra={"data": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback is a member of it."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "origin", {}),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
