"""Django's PostgreSQL, of which a process that serves takes so many connections at most, and waits so long at most."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable
from typing import Any, ClassVar

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import errors
from psycopg_pool import ConnectionPool

from console.web import database

FRESH_SECONDS = 1.0  # after its last answer, in which a connection counts as one that lives
CHECK_SECONDS = 2.0  # in which a connection that was idle must show that it lives
LATE_SECONDS = 2.0  # after its own limit, a server that has ended no statement is one that hangs
KEPT_SECONDS = 60.0  # an idle connection; then the pool ends one in each such time, but for the last
LIFETIME_SECONDS = 1800.0  # of a connection: a server's memory for each grows with what it was asked


class DoesNotAnswer(psycopg.OperationalError):
    """The server has not answered in time, or refuses connections."""


class Connection(psycopg.Connection[Any]):
    """A connection that ends when its server does not answer.

    A server that hangs keeps to no statement_timeout, and its kernel goes on to acknowledge: without a limit of our own
    a thread would wait for ever.
    """

    statement = 60.0  # seconds
    answered_at = -math.inf  # by this process's own clock

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer; raises DoesNotAnswer, and is closed then: what the server does cannot be known."""
        seconds = min(self.statement + LATE_SECONDS, database.left())
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            answer = super().wait(gen, interval, seconds)
        except errors._WaitTimeout:
            self.close()
            raise DoesNotAnswer(f"The database has not answered for {seconds:.0f} seconds.") from None
        self.answered_at = time.monotonic()
        return answer


class Pool(ConnectionPool[Connection]):
    """The connections of a process. Whoever waits for one is told at once when none can be made."""

    def getconn(self, timeout: float | None = None) -> Connection:
        """Return a connection that lives; raises PoolTimeout or DoesNotAnswer."""
        seconds = self.timeout if timeout is None else timeout
        return super().getconn(min(seconds, database.left()))

    def reconnect_failed(self) -> None:
        """Let nobody wait where no connection is left: there is none to come back."""
        with self._lock:
            if self._nconns:
                return
            waiting = list(self._waiting)
            self._waiting.clear()
        for one in waiting:
            one.fail(DoesNotAnswer("The database takes no connections."))


def _check(connection: Connection) -> None:
    """Raise where the connection does not live; one that has answered just now is asked nothing, unless it has ended.

    A server that ends says so on the connection, which can be read then; one that hangs is noticed at the next query.
    """
    if time.monotonic() - connection.answered_at < FRESH_SECONDS and not _says_something(connection):
        return
    with database.within(CHECK_SECONDS):
        Pool.check_connection(connection)


def _says_something(connection: Connection) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's own, whose pool is this process's."""

    _connection_pools: ClassVar[dict[str, Any]] = {}
    _configure_connection: Callable[[Any], None]

    @property
    def pool(self) -> Any:
        """Return the pool; None where this process has no limits, or the connection is to make databases."""
        limits = database.limits()
        if limits is None or self.alias == NO_DB_ALIAS:
            return None
        pools = self._connection_pools
        if self.alias not in pools:
            pools.setdefault(self.alias, self._pool(limits))  # of two threads, one's is kept; neither is open yet
        return pools[self.alias]

    def _pool(self, limits: database.Limits) -> Pool:
        parameters = {"application_name": limits.name, **self.get_connection_params(), "autocommit": True}
        # What the operator has set in DATABASE_URL comes last, and so counts.
        parameters["options"] = f"{options(limits)} {parameters.get('options', '')}".strip()
        return Pool(
            connection_class=type("Connection", (Connection,), {"statement": limits.statement}),
            kwargs=parameters,
            open=False,
            configure=self._configure_connection,
            check=_check,
            min_size=1,
            max_size=limits.connections,
            timeout=limits.wait,
            max_idle=KEPT_SECONDS,
            max_lifetime=LIFETIME_SECONDS,
            reconnect_timeout=0.0,  # tries once more, and leaves the next try to whoever asks next
            num_workers=2,
        )


def options(limits: database.Limits) -> str:
    """Return how long the server itself lets a statement run, wait for a lock, and a transaction do nothing."""
    times = {
        "statement_timeout": limits.statement,
        "lock_timeout": limits.lock,
        "idle_in_transaction_session_timeout": limits.statement,
    }
    return " ".join(f"-c {name}={seconds * 1000:.0f}" for name, seconds in times.items())
