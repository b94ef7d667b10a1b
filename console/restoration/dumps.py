"""Whether a dump of the console's database can be restored: it is, into a scratch database beside the live one.

Nothing here writes to the live database, or reads it: only its server is asked to make another one and to drop it.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from django.db import Error as DatabaseError
from django.db import connections, transaction
from django.db.backends.postgresql.client import DatabaseClient
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from console.accounts import rotation

ALIAS = "proof"  # of the scratch database, among Django's
MAINTENANCE = "postgres"  # the database to connect to for making another; every server has it
SECONDS = 3600  # that pg_restore may take
# Of a line of pg_dump's, and of its "ALTER DEFAULT PRIVILEGES … GRANT": to whom.
GRANTED = re.compile(
    r'^(?:GRANT|ALTER DEFAULT PRIVILEGES) .* TO (?:"((?:[^"]|"")+)"|(\w+))(?: WITH GRANT OPTION)?;$', re.M
)


class NotTried(Exception):
    """The dump could not be tried; the message says why, and what to do."""


@dataclass
class Proof:
    """What a dump holds, and what keeps it from being good."""

    seconds: float = 0.0  # that restoring it took
    newest: datetime | None = None  # the last audit event
    applied: int = 0  # migrations
    missing: list[str] = field(default_factory=list)  # that this version has and the dump has not: migrate runs them
    tables: int = 0
    secrets: list[rotation.Count] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)  # by model, without those that have none
    roles: list[str] = field(default_factory=list)  # that have rights in the dump, and that the server does not know
    problems: list[str] = field(default_factory=list)  # in sentences; none: it can be restored

    @property
    def opened(self) -> int:
        """Return how many secrets open with the keys at hand."""
        return sum(one.newest + one.older for one in self.secrets)

    @property
    def older(self) -> int:
        """Return how many of them need another key than the first."""
        return sum(one.older for one in self.secrets)


def prove(dump: Path, server: dict[str, Any]) -> Proof:
    """Restore the dump into a database of its own, and look at that; raises NotTried.

    `server` is an entry of Django's DATABASES: whoever that is needs CREATEDB there.
    """
    if not server["ENGINE"].endswith("postgresql"):
        raise NotTried(
            "The dump is tried on PostgreSQL, and this console's own database is none. Name a server where a scratch "
            "database may be made: --server postgres://user:password@host/postgres."
        )
    if not dump.exists():
        raise NotTried(f"There is no {dump}.")
    if not shutil.which("pg_restore"):
        raise NotTried("pg_restore is not on PATH. Install the client programs of PostgreSQL (postgresql-client).")
    with _scratch(server) as there:
        proof = Proof()
        begun = time.monotonic()
        _restore(dump, there)
        proof.seconds = time.monotonic() - begun
        proof.roles = _unknown_roles(dump, there)
        connections.databases[ALIAS] = there
        try:
            _look(proof)
        finally:
            connections[ALIAS].close()
            del connections[ALIAS]
            del connections.databases[ALIAS]
    return proof


@contextmanager
def _scratch(server: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Make a database with a name that nobody has, and drop it at the end, whatever happens."""
    name = f"storekeeper_proof_{secrets.token_hex(4)}"
    there = {**server, "NAME": name, "CONN_MAX_AGE": 0, "OPTIONS": {**server.get("OPTIONS", {})}}
    there["OPTIONS"].pop("pool", None)
    usual: dict[str, Any] = {"TIME_ZONE": None, "AUTOCOMMIT": True, "ATOMIC_REQUESTS": False, "TEST": {}}
    there = {**usual, **there}
    address = _environment({**server, "NAME": MAINTENANCE})
    # From its own template: nothing of what somebody has put into template1 gets into the proof.
    make = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    try:
        with psycopg.connect(**_keywords(address), autocommit=True) as connection:
            connection.execute(make)
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotTried(
            f"{server['USER'] or 'The role'} may not make the scratch database. Let it (ALTER ROLE … CREATEDB), or "
            "name another role or server: --server postgres://user:password@host/postgres."
        ) from error
    except psycopg.Error as error:
        raise NotTried(f"The server does not make a scratch database: {str(error).strip()}") from error
    try:
        yield there
    finally:
        with psycopg.connect(**_keywords(address), autocommit=True) as connection:
            connection.execute(drop)


def _environment(database: dict[str, Any]) -> dict[str, str]:
    """Return how libpq reaches the database, as its variables: a password in arguments would show in `ps`."""
    _, given = DatabaseClient.settings_to_cmd_args_env({"OPTIONS": {}, **database}, [])
    named = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGDATABASE": "NAME"}
    found = {variable: str(database.get(key) or "") for variable, key in named.items()}
    return {key: value for key, value in {**found, **(given or {})}.items() if value}


def _keywords(environment: dict[str, str]) -> dict[str, Any]:
    """Return the same as psycopg takes it."""
    names = {"database": "dbname"}
    return {names.get(name := key.removeprefix("PG").lower(), name): value for key, value in environment.items()}


def _restore(dump: Path, there: dict[str, Any]) -> None:
    """Raise NotTried when pg_restore does not get to the end of it."""
    command = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    _run([*command, f"--dbname={there['NAME']}", str(dump.absolute())], there)


def _unknown_roles(dump: Path, there: dict[str, Any]) -> list[str]:
    """Return who has rights in the dump without being a role of the server, such as a reader for dashboards."""
    said = _run(["--no-owner", "--schema-only", "--file=-", str(dump.absolute())], there)
    named = {(quoted or plain).replace('""', '"') for quoted, plain in GRANTED.findall(said)}
    with psycopg.connect(**_keywords(_environment(there))) as connection:
        known = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
    return sorted(named - known - {"PUBLIC"})


def _run(arguments: list[str], there: dict[str, Any]) -> str:
    """Return what pg_restore has written; raises NotTried when it does not get to the end."""
    environment = {**os.environ, **_environment(there)}
    try:
        ended = subprocess.run(  # noqa: S603 - our own words and a file
            ["pg_restore", *arguments],  # noqa: S607 - as the operator's PATH has it
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotTried(f"pg_restore had not ended after {SECONDS // 60} minutes.") from error
    if ended.returncode:
        said = ended.stderr.strip() or f"it ended with status {ended.returncode}"
        raise NotTried(f"pg_restore does not restore it. Make the dump with pg_dump --format=custom. It says: {said}")
    return ended.stdout


def _look(proof: Proof) -> None:
    """Look at the restored database as the version that wrote it knew it, so that an older dump can be good, too."""
    connection = connections[ALIAS]
    there = {*connection.introspection.table_names()}
    if "django_migrations" not in there:
        proof.problems.append("It is no dump of this console: it has no table of migrations.")
        return
    loader = MigrationLoader(connection)
    applied = {*loader.applied_migrations}
    ours = {one for one in applied if one in loader.graph.nodes}
    labels = {label for label, _ in loader.disk_migrations}
    proof.applied = len(applied)
    proof.missing = [".".join(one) for one in sorted({*loader.graph.nodes} - applied)]
    if newer := sorted(".".join(one) for one in applied - ours if one[0] in labels):
        proof.problems.append(
            f"It was made by a newer version of the console, whose migrations this one does not have: "
            f"{', '.join(newer)}. Prove it with that version."
        )
    if not ours:
        proof.problems.append("It is no dump of this console: none of its migrations was run there.")
        return
    known = loader.project_state(sorted(ours)).apps
    _tables(proof, known, there)
    if not proof.problems:
        _rows(proof, known)
        _append_only(proof)


def _tables(proof: Proof, known: Any, there: set[str]) -> None:
    """Note which tables and columns are missing."""
    connection = connections[ALIAS]
    expected = {model._meta.db_table: model for model in known.get_models(include_auto_created=True)}
    proof.tables = len(expected.keys() & there)
    if lacking := sorted(expected.keys() - there):
        proof.problems.append(f"Tables are missing: {', '.join(lacking)}.")
    with connection.cursor() as cursor:
        for table in sorted(expected.keys() & there):
            columns = {one.name for one in connection.introspection.get_table_description(cursor, table)}
            wanted = {one.column for one in expected[table]._meta.local_concrete_fields}
            if lacking := sorted(wanted - columns):
                proof.problems.append(f"{table} lacks columns: {', '.join(lacking)}.")


def _rows(proof: Proof, known: Any) -> None:
    """Count the rows, and open every secret."""
    for model in known.get_models():
        if number := model._base_manager.using(ALIAS).count():
            proof.rows[f"{model._meta.app_label}.{model.__name__}"] = number
    proof.secrets = [rotation.count(model, name, ALIAS) for model, name in rotation.fields(known)]
    proof.secrets.append(rotation.count_factors(ALIAS))
    if unreadable := [one for one in proof.secrets if one.unreadable]:
        which = ", ".join(f"{one.unreadable} of {one.name}" for one in unreadable)
        proof.problems.append(
            f"No key of FIELD_ENCRYPTION_KEYS opens these secrets: {which}. Put back the key that the console had when "
            "the dump was made."
        )
    for label, name in (("accounts", "Organisation"), ("accounts", "User")):
        if f"{label}.{name}" not in proof.rows:
            proof.problems.append(f"It has no row of {label}.{name}: it is of a console that nobody had used yet.")
    events = known.get_model("audit", "AuditEvent")._base_manager.using(ALIAS)
    proof.newest = events.order_by("-created_at").values_list("created_at", flat=True).first()


def _append_only(proof: Proof) -> None:
    """Try what the database must refuse, in a transaction that is given up either way."""
    try:
        with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
            cursor.execute("UPDATE audit_auditevent SET action = action WHERE false")  # its trigger is the statement's
            transaction.set_rollback(True, using=ALIAS)
    except DatabaseError:
        return
    proof.problems.append(
        "Its audit log can be changed: the trigger audit_is_append_only is missing or off. The dump was made, or the "
        "table changed, by somebody who took it away."
    )
