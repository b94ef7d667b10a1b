"""`manage.py verify_dump`: whether what pg_dump has written could be restored."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import dj_database_url
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.restoration.dumps import NotTried, Proof, prove


class Command(BaseCommand):
    """Restore a dump into a scratch database, look at it, and drop that again; the live database is left alone."""

    help = (
        "Restore a dump of the console's database (pg_dump --format=custom) into a scratch database, and say whether "
        "this version of the console could go on with it: tables, migrations, secrets under the keys at hand, the "
        "audit log's trigger. The scratch database is dropped again. Ends with status 1 when anything is wrong."
    )
    requires_system_checks: list[str] = []  # what is wrong with the settings elsewhere is not this command's

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the file, and perhaps another server."""
        parser.add_argument("dump", type=Path, help="what pg_dump --format=custom has written")
        parser.add_argument(
            "--server",
            help="make the scratch database there, such as postgres://user:password@host/postgres; "
            "else beside the console's own, as its role, which then needs CREATEDB",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was found; raises CommandError when the dump is not good."""
        server: Any = settings.DATABASES["default"]
        if options["server"]:
            try:
                server = dj_database_url.parse(options["server"])
            except (dj_database_url.ParseError, dj_database_url.UnknownSchemeError, ValueError) as error:
                raise CommandError("--server is no address, such as postgres://user:password@host/postgres.") from error
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the scratch database goes, too
        try:
            proof = prove(options["dump"], server)
        except NotTried as error:
            raise CommandError(str(error)) from error
        finally:
            signal.signal(signal.SIGTERM, before)
        self._report(proof)
        if proof.problems:
            raise CommandError("This dump is not good:\n" + "\n".join(f"- {one}" for one in proof.problems))
        self.stdout.write("This dump can be restored.")

    def _report(self, proof: Proof) -> None:
        say = self.stdout.write
        say(f"Restored into a scratch database in {proof.seconds:.1f} s, which is dropped again.")
        if proof.newest:
            say(f"Of: {proof.newest:%Y-%m-%d %H:%M:%S} UTC, its last audit event")
        say(f"Migrations: {proof.applied} run there, {len(proof.missing)} of this version still to be run")
        say(f"Tables: {proof.tables}")
        older = f", {proof.older} of them with older ones: keep those, too" if proof.older else ""
        say(f"Secrets: {proof.opened} open with the keys at hand{older}")
        if proof.roles:
            say(
                f"Roles that this server does not have: {', '.join(proof.roles)}. Their rights are left out of a "
                "restoration (--no-privileges): create them and grant the rights again, or do without."
            )
        for name, number in proof.rows.items():
            say(f"  {name}: {number:,}")
