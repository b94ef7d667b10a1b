"""How many connections to PostgreSQL the console takes, how long it waits for them, and when it has none.

A request or a task holds a connection while it asks the database, and none while it waits for a cloud or the broker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError, connections

MARGIN = 6  # connections for people and commands: migrate, psql, a backup, monitoring
RESERVED = 3  # of PostgreSQL's max_connections: superuser_reserved_connections, which are for nobody else
USUAL = 100  # PostgreSQL's own max_connections


@dataclass(frozen=True)
class Limits:
    """What one process asks of the database at most; all times in seconds."""

    name: str  # in pg_stat_activity
    connections: int
    wait: float  # for a connection, while all are in use
    statement: float
    lock: float


_inherited: list[Any] = []
_limits: Limits | None = None  # of this process; None: it takes a connection when it needs one, as Django does it
_until: ContextVar[float] = ContextVar("until", default=float("inf"))


def web() -> Limits:
    """Return the limits of a process of the web server: people wait, so what takes long is given up soon."""
    return Limits("storekeeper web", settings.DATABASE_POOL, wait=5.0, statement=10.0, lock=5.0)


def worker() -> Limits:
    """Return the limits of a worker, whose work can wait."""
    return Limits("storekeeper worker", settings.DATABASE_POOL, wait=30.0, statement=60.0, lock=30.0)


def limit(limits: Limits | None) -> None:
    """Have this process share its connections among its threads; call it before it makes the first one.

    On SQLite each thread goes on to have its own.
    """
    global _limits  # noqa: PLW0603 - there is one for the process, as there is one pool
    if limits and _limits is None:
        os.register_at_fork(after_in_child=_leave_to_the_parent)
    _limits = limits


def _leave_to_the_parent() -> None:
    """Begin anew, without a pool, in a forked process such as beat in a worker (`--beat`): its threads are not in it.

    What it has of its parent's is kept, since what is thrown away says goodbye on a socket that is the parent's.
    """
    global _limits  # noqa: PLW0603 - as above
    _limits = None
    for connection in connections.all(initialized_only=True):
        _inherited.append(connection.connection)
        connection.connection = None
        if pools := getattr(connection, "_connection_pools", None):
            _inherited.append({**pools})
            pools.clear()


def limits() -> Limits | None:
    """Return what this process has been limited to."""
    return _limits


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Wait no longer than that for all that is asked inside together, be it for a connection or for an answer."""
    token = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def left() -> float:
    """Return the seconds that one may still wait, as `within` has it; a little when there are none."""
    return max(_until.get() - time.monotonic(), 0.01)


def give_back(**_: Any) -> None:
    """Let others have this thread's connection while it waits for something else, unless it is in a transaction."""
    if _limits is None:
        return
    for connection in connections.all(initialized_only=True):
        if connection.vendor == "postgresql" and connection.connection and not connection.in_atomic_block:
            connection.close()  # back to the pool


def checkpoint() -> None:
    """Move what SQLite has in its write-ahead log into its file, while nobody writes; nothing on PostgreSQL.

    SQLite before 3.51.3, and so Debian 12's, can lose pages when two connections checkpoint while a third one writes
    ("The WAL-reset bug" of sqlite.org/wal.html): left to itself, each connection does after a commit. FULL takes the
    writers' lock first.
    """
    connection = connections["default"]
    if connection.vendor == "sqlite" and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(FULL)")


def fork_nothing(options: dict[str, Any]) -> None:
    """Refuse a worker that would fork, as `--beat` and Celery's own pool do, on SQLite; raises ImproperlyConfigured.

    A forked process believes in locks that only its parent holds, and the file is damaged when both write
    (sqlite.org/howtocorrupt.html, "Carrying an open database connection across a fork()").
    """
    from celery.concurrency import prefork  # noqa: PLC0415 - only a worker needs it

    if connections["default"].vendor != "sqlite":
        return
    if options.get("beat"):
        raise ImproperlyConfigured(
            "on SQLite beat has to be a process of its own. Leave out --beat, and start: celery -A console beat"
        )
    if issubclass(options["pool"], prefork.TaskPool):
        raise ImproperlyConfigured("on SQLite a worker must not fork. Start it with --pool threads.")


def close() -> None:
    """End this process's pool, when it ends itself."""
    if (pool := _pool()) is not None:
        pool.close()


def is_full() -> bool:
    """Return whether somebody in this process waits for a connection, and all are in use."""
    if (pool := _pool()) is None:
        return False
    counts = pool.get_stats()
    return bool(counts.get("requests_waiting") and counts["pool_size"] >= counts["pool_max"])


def _pool() -> Any:
    return getattr(connections["default"], "_connection_pools", {}).get("default") if _limits else None


def is_away(error: BaseException | None) -> bool:
    """Return whether an error says that the database does not answer, or not in time, or has no room.

    psycopg's OperationalError is all of that: PostgreSQL's classes 08, 53, 57, 58 and locks that were not had. Of
    SQLite's it is only the lock.
    """
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    return connections["default"].vendor == "postgresql" or "locked" in str(error)


@dataclass(frozen=True)
class Sum:
    """How many connections there can be at once, by whom; while processes are replaced there is one more of each."""

    web: int
    workers: int
    each: int
    beat: int = 1
    margin: int = MARGIN

    @property
    def total(self) -> int:
        """Return all of them together."""
        return (self.web + 1 + self.workers + 1) * self.each + self.beat + self.margin

    def __str__(self) -> str:
        return (
            f"{self.each} for each of {self.web} + 1 processes of the web server and {self.workers} + 1 workers, "
            f"{self.beat} for beat, {self.margin} for commands and people: {self.total}"
        )


def needed() -> Sum:
    """Return what the settings add up to."""
    return Sum(web=settings.WEB_PROCESSES, workers=settings.WORKER_PROCESSES, each=settings.DATABASE_POOL)


@checks.register(checks.Tags.compatibility, deploy=True)
def connections_are_enough(app_configs: Any, **given: Any) -> Iterator[checks.CheckMessage]:
    """Say how many connections the console may take, and whether PostgreSQL has them.

    The server is asked with `check --deploy --database default`; else it is taken to have as many as it comes with.
    """
    if not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
        return
    found = needed()
    most, told = (
        _available()
        if given.get("databases")
        else (USUAL - RESERVED, "that PostgreSQL has unless it is told otherwise")
    )
    if most is None:
        yield checks.Warning(told, hint="Start PostgreSQL, or correct DATABASE_URL.", id="connections.W004")
    elif found.total > most:
        yield checks.Warning(
            f"The console may take more connections than the {most} {told}: {found}.",
            hint=f"Set PostgreSQL's max_connections to {found.total + RESERVED} or more, or lower DATABASE_POOL, "
            "WEB_PROCESSES or WORKER_PROCESSES.",
            id="connections.W003",
        )
    else:
        said = f"Connections to the database, at most: {found}, of the {most} {told}."
        yield checks.Info(said, id="connections.I001")


def _available() -> tuple[int | None, str]:
    try:
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW max_connections")
            most = int(cursor.fetchone()[0])
            cursor.execute("SHOW superuser_reserved_connections")
            return most - int(cursor.fetchone()[0]), "that this server has"
    except DatabaseError as error:
        return None, f"The database cannot be asked how many connections it has: {str(error).splitlines()[0]}."
