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


class TextFormatter(logging.Formatter):
    """One line for people, with the origin at its end."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what follows it is a traceback."""
        found = getattr(record, "origin", {})
        record.told = "".join(f" {name}={value}" for name, value in found.items())
        return super().format(record)


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
