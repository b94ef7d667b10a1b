"""`manage.py version`: which release this is, and which one the database was last migrated by."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError

from console.accounts.models import Installation
from console.release import VERSION


class Command(BaseCommand):
    """Print the version of the code, and of the database where that answers."""

    help = "Say which release this is, and which one has migrated the database."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Print both."""
        self.stdout.write(f"Storekeeper {VERSION}")
        try:
            migrated_by = Installation.objects.values_list("version", flat=True).first()
        except DatabaseError:
            migrated_by = ""
        self.stdout.write(f"Database: migrated by {migrated_by}" if migrated_by else "Database: not known")
