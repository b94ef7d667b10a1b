"""`manage.py reconcile`: what follows when the console's database was restored from an older copy."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.operations import holding
from console.operations.models import Operation
from console.restoration import actions, generation
from console.restoration.models import Restoration
from console.web.checks import BEFORE_COMMANDS


class Command(BaseCommand):
    """Hold back what an older copy would go on with, until people have said what became of it."""

    requires_system_checks = BEFORE_COMMANDS
    help = (
        "With --begin, before any worker runs on a database that was restored from a copy: every unfinished task is "
        "held back, nothing is deleted, and all accounts are looked through for what was made since. Each "
        "organisation then settles what was found (Restored from a Copy). Without an option, says how far that is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what to do."""
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--begin", action="store_true", help="this database was restored from a copy")
        what.add_argument(
            "--dismiss",
            action="store_true",
            help="it was not, or nothing was done since: end it for all, and let everything go on",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, and say what was done."""
        if options["begin"]:
            number = actions.begin("An operator said so (manage.py reconcile --begin)")
            if not number:
                raise CommandError(
                    "This has begun already for each organisation: manage.py reconcile says how far it is."
                )
            generation.look()  # so that no worker takes this for another copy
            self.stdout.write(
                f"Begun for {number} organisation{'s' if number > 1 else ''}. Everybody is signed out. Start the "
                "workers now; owners and admins find Restored from a copy at the top of each page."
            )
        elif options["dismiss"]:
            self.stdout.write(f"Ended for {actions.dismiss()}. What was held back goes on.")
        self._tell()

    def _tell(self) -> None:
        rows = list(Restoration.objects.open().select_related("organisation").order_by("organisation__name"))
        if not rows:
            self.stdout.write("Nothing is held back on account of a copy.")
        for row in rows:
            held = holding.held_back(Operation.objects.filter(organisation=row.organisation)).count()
            copied = f"{row.copied_at:%Y-%m-%d %H:%M} UTC" if row.copied_at else "an unknown time"
            self.stdout.write(
                f"{row.organisation}: copy of {copied}, found {row.begun_at:%Y-%m-%d %H:%M} UTC. {row.found_by}. "
                f"Tasks held back: {held}"
            )
