"""`manage.py rotate_keys`: what follows a new first key in FIELD_ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.accounts import rotation
from console.web.checks import BEFORE_COMMANDS


class Command(BaseCommand):
    """Encrypt all secrets with the newest key; safe to run while the console works, and again after it was stopped."""

    requires_system_checks = BEFORE_COMMANDS
    help = (
        "Encrypt all secrets with the first key of FIELD_ENCRYPTION_KEYS, and say what remains under others. "
        "Ends with status 1 while anything does."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --check."""
        parser.add_argument("--check", action="store_true", help="change nothing, only say what remains")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each field that holds secrets."""
        found = []
        for model, name in rotation.fields():
            renewed = 0 if options["check"] else rotation.renew(model, name)
            one = rotation.count(model, name)
            found.append(one)
            self._say(one, "" if options["check"] else f"{renewed} encrypted anew, ")
        found.append(rotation.count_factors() if options["check"] else rotation.renew_factors())
        self._say(found[-1])
        older, unreadable = sum(one.older for one in found), sum(one.unreadable for one in found)
        if unreadable:
            raise CommandError(f"No key of FIELD_ENCRYPTION_KEYS opens {unreadable} secrets: put back the old one.")
        if older:
            raise CommandError(
                f"{older} secrets still need an older key. Run rotate_keys"
                + (" without --check." if options["check"] else " again when every process has the newest key.")
            )
        self.stdout.write("Nothing needs the older keys any more: they can be taken out of FIELD_ENCRYPTION_KEYS.")

    def _say(self, one: rotation.Count, done: str = "") -> None:
        lost = f", {one.unreadable} that no key opens" if one.unreadable else ""
        self.stdout.write(f"{one.name}: {done}{one.newest} with the newest key, {one.older} with older ones{lost}")
