"""`manage.py migrate`, which waits for no lock longer than others can wait behind it, and runs once at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections

from console.web.checks import BEFORE_COMMANDS

ONE_AT_A_TIME = 0x53746F7265  # the advisory lock of our migrations: "Store"
TRIES, PAUSE = 20, 3.0  # how often a migration that was in the way of others is tried, and after how many seconds
LOCKED = {"55P03", "40P01"}  # lock_not_available, deadlock_detected: "PostgreSQL Error Codes"


class Command(migrate.Command):
    """Django's own, that on PostgreSQL gives up a lock that it does not get, and tries again.

    A change of a table waits for those who read it now, and whoever comes later waits behind it: for as long as the
    longest query of all. With a lock_timeout they wait for so long at most.
    """

    requires_system_checks = BEFORE_COMMANDS

    def add_arguments(self, parser: CommandParser) -> None:
        """Take Django's, and how long to wait for a lock."""
        super().add_arguments(parser)
        parser.add_argument(
            "--lock-timeout",
            type=int,
            default=2,
            metavar="SECONDS",
            help="wait so long for a lock, behind which all others wait, then try again (default 2; 0: for ever)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate; each migration is a transaction, so that what was made stays when another one is tried again."""
        seconds = options.pop("lock_timeout", 2)
        connection = connections[options["database"]]
        if connection.vendor != "postgresql" or options.get("plan") or options.get("check_unapplied"):
            super().handle(*args, **options)
            return
        with _alone(connection, self.stderr.write):
            for again in reversed(range(TRIES)):
                _set(connection, "lock_timeout", f"{seconds}s")
                try:
                    super().handle(*args, **options)
                    return
                except OperationalError as error:
                    if getattr(error.__cause__, "sqlstate", "") not in LOCKED:
                        raise
                    if not again:
                        raise CommandError(
                            f"A table was in use for all of {TRIES} tries of {seconds} seconds "
                            f"({str(error).splitlines()[0]}). "
                            "What was migrated stays; run this again when less is going on, or look for a transaction "
                            "that does not end (pg_stat_activity)."
                        ) from error
                    self.stderr.write(f"A table is in use; {again} more tries. ({str(error).splitlines()[0]})")
                    time.sleep(PAUSE)
                finally:
                    _set(connection, "lock_timeout", "0")


@contextmanager
def _alone(connection: Any, say: Callable[[str], Any]) -> Iterator[None]:
    """Keep two from migrating at once, as when several machines are upgraded at the same time: the second one waits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ONE_AT_A_TIME])
        if not cursor.fetchone()[0]:
            say("Somebody else migrates this database: waiting for them.")
            cursor.execute("SELECT pg_advisory_lock(%s)", [ONE_AT_A_TIME])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ONE_AT_A_TIME])


def _set(connection: Any, name: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
