"""`manage.py installation`: whose database and broker this is, and what to do where that is not right."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.accounts import activity, installation
from console.web.checks import BEFORE_COMMANDS


class Command(BaseCommand):
    """Say which installation the settings lead to; accept changed settings, or take over a broker."""

    requires_system_checks = BEFORE_COMMANDS
    help = (
        "Say whose database and broker the settings lead to. Web server, workers and beat refuse to work with another "
        "installation's. Ends with status 1 while something keeps them from working."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what may be changed."""
        parser.add_argument(
            "--accept",
            action="store_true",
            help="this SECRET_KEY and this PUBLIC_URL are the installation's from now on",
        )
        parser.add_argument(
            "--keys-are-lost",
            action="store_true",
            help="with --accept: the old keys of FIELD_ENCRYPTION_KEYS are lost, and all secrets of before with them",
        )
        parser.add_argument(
            "--take-broker", action="store_true", help="the console whose messages are in the broker is no more"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was found."""
        try:
            if options["accept"]:
                self._accept(lost_keys=options["keys_are_lost"])
            found = installation.look(take_broker=options["take_broker"])
        except (installation.Unknown, ImproperlyConfigured) as error:
            raise CommandError(str(error), returncode=1) from error
        if options["take_broker"]:
            activity.record("Took over the broker", f"installation {found.id}", organisation=None, by=None)
        self.stdout.write(f"Installation {found.id}")
        for warning in found.warnings:
            self.stdout.write(f"Odd: {warning}")
        if not found.broker_seen:
            self.stdout.write("The broker does not answer: nothing is known of it.")
        if found.problems:
            raise CommandError(" ".join(found.problems))
        self.stdout.write(
            "Database and keys belong together" + (", and so does the broker." if found.broker_seen else ".")
        )

    def _accept(self, *, lost_keys: bool) -> None:
        try:
            changed = installation.accept(lost_keys=lost_keys)
        except ValueError as error:
            raise CommandError(
                f"Nothing was changed: {error}. If the right ones are lost for ever, and all secrets in the database "
                "with them, add --keys-are-lost."
            ) from error
        for name in changed:
            activity.record("Accepted settings", name, organisation=None, by=None)
            self.stdout.write(f"{name} is this installation's from now on.")
