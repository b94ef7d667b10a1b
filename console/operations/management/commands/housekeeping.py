"""`manage.py housekeeping`: what beat has a worker do once a day."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from console.operations.housekeeping import tidy
from console.web import metric_files
from console.web.checks import BEFORE_COMMANDS


class Command(BaseCommand):
    """Throw away what is outdated; safe to run at any time, and again after it was stopped."""

    requires_system_checks = BEFORE_COMMANDS
    help = "Throw away what is outdated: sessions, tasks, invitations and the like. A worker does so once a day."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take --dry-run."""
        parser.add_argument("--dry-run", action="store_true", help="change nothing, only say what would go")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each table of which something goes."""
        dry_run = options["dry_run"]
        total = 0
        for table, number in tidy(dry_run=dry_run):
            total += number
            if number:
                self.stdout.write(f"{table}: {number:,} rows{' would go' if dry_run else ''}")
        if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            files = metric_files.of_dead_processes(folder) if dry_run else metric_files.gather(folder)
            if files:
                self.stdout.write(f"{folder}: {len(files)} files of processes that have ended")
            total += len(files)
        if not total:
            self.stdout.write("Nothing is outdated.")
