"""`manage.py demo_data`: what `manage.py demo` runs to fill the console with sample data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.demo import sample


class Command(BaseCommand):
    """Make the sample data, and again what a restarted emulator has forgotten."""

    help = "Make the demo's sample data; `manage.py demo` runs this."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each thing that was made."""
        if not settings.DEMO_FILE:
            raise CommandError("This fills a demo; run `manage.py demo`, which runs it.")
        for line in sample.load(json.loads(Path(settings.DEMO_FILE).read_text())):
            self.stdout.write(line)
            self.stdout.flush()
