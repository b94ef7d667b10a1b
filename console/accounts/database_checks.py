"""What `check --deploy` says after asking the database and the broker: whether they are ours, up to date and on time.

Without `--deploy`, and where they do not answer, nothing is asked twice: `/readyz` is there for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - as Django calls it
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from redis import RedisError

from console.accounts import installation
from console.accounts.models import Installation
from console.release import VERSION, ordered
from console.web.broker import client

ASKS = "installation"  # the tag of checks that ask others: manage.py check --deploy --tag installation
SKEW = 2.0  # seconds that clocks may differ: a message, or a code of a second factor, lives for some


@register(ASKS, deploy=True)
def database(app_configs: object, **_: Any) -> Iterator[CheckMessage]:
    """Yield what is wrong with the database: away, older or newer than the code, or of another clock."""
    try:
        yield from _migrations()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT clock_timestamp()")
                [there] = cursor.fetchone()
            yield from _skew("database", there, "W021")
    except DatabaseError as error:
        yield Error(
            f"The database does not answer: {type(error).__name__}.",
            hint="Look at DATABASE_URL, and whether PostgreSQL lets this machine and user in.",
            id="storekeeper.E020",
        )


def _migrations() -> Iterator[CheckMessage]:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        yield Error(
            f"The database is older than the code ({VERSION}): {len(waiting)} migrations were not made, such as "
            f"{waiting[0][0]}.",
            hint="Run manage.py migrate (console/deploy/upgrading.md).",
            id="storekeeper.E021",
        )
    ours = {app for app, _name in executor.loader.disk_migrations}
    unknown = sorted(
        f"{app}.{name}"
        for app, name in {*executor.loader.applied_migrations} - {*executor.loader.disk_migrations}
        if app in ours
    )
    try:
        by = Installation.objects.values_list("version", flat=True).first() or ""
    except DatabaseError:
        by = ""
    if unknown or ordered(by) > ordered(VERSION):
        yield Error(
            f"The database is newer than the code ({VERSION}): migrated by {by or 'a later release'}"
            + (f", with {unknown[0]}." if unknown else "."),
            hint="Run the release that has migrated it; for going back, see console/deploy/upgrading.md.",
            id="storekeeper.E022",
        )


@register(ASKS, deploy=True)
def broker(app_configs: object, **_: Any) -> Iterator[CheckMessage]:
    """Yield what is wrong with the broker: away, or of another clock."""
    try:
        with client() as there:
            seconds, micro = there.time()  # type: ignore[misc]
    except (RedisError, ValueError, OSError) as error:
        yield Error(
            f"The broker does not answer: {type(error).__name__}.",
            hint="Look at REDIS_URL, and whether Redis or Valkey lets this machine in.",
            id="storekeeper.E023",
        )
        return
    yield from _skew("broker", datetime.fromtimestamp(seconds + micro / 1e6, UTC), "W022")


def _skew(whose: str, there: datetime, number: str) -> Iterator[CheckMessage]:
    seconds = (there - datetime.now(UTC)).total_seconds()
    if abs(seconds) > SKEW:
        where = "ahead of" if seconds > 0 else "behind"
        yield Warning(
            f"The clock of the {whose} is {abs(seconds):,.0f} seconds {where} this machine's.",
            hint="Set both by NTP (systemd-timesyncd, chrony).",
            id=f"storekeeper.{number}",
        )


@register(ASKS, deploy=True)
def belongs_together(app_configs: object, **_: Any) -> Iterator[CheckMessage]:
    """Yield what keeps this process from working with this database and this broker."""
    if settings.BUILDING:
        return
    try:
        found = installation.look(only=True)
    except (installation.Unknown, ImproperlyConfigured):  # which others say
        return
    for problem in found.problems:
        yield Error(problem, hint="See manage.py installation, and console/deploy/keys.md.", id="storekeeper.E024")
    for warning in found.warnings:
        yield Warning(warning, hint="See manage.py installation.", id="storekeeper.W024")
