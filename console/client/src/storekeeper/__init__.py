"""Storekeeper's API for Python programs, and the command `storekeeper`. Needs nothing but Python."""

from .client import Client
from .core import OMIT, Begun, File, Omit, etag
from .errors import (
    ApiError,
    Conflict,
    ConsoleDown,
    Error,
    Forbidden,
    Invalid,
    NotFound,
    NotSignedIn,
    NotTheConsole,
    Stale,
    StillRunning,
    TaskFailed,
    TooManyCalls,
    Unreachable,
    WrongUse,
)

__all__ = [
    "OMIT",
    "ApiError",
    "Begun",
    "Client",
    "Conflict",
    "ConsoleDown",
    "Error",
    "File",
    "Forbidden",
    "Invalid",
    "NotFound",
    "NotSignedIn",
    "NotTheConsole",
    "Omit",
    "Stale",
    "StillRunning",
    "TaskFailed",
    "TooManyCalls",
    "Unreachable",
    "WrongUse",
    "etag",
]
