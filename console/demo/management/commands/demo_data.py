"""`manage.py demo_data`: what `manage.py demo` runs to fill the console with sample data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.demo import sample
from console.demo.clients import clients
from console.demo.files import write_private


class Command(BaseCommand):
    """Make the sample data, and again what a restarted emulator has forgotten."""

    requires_system_checks = ()  # the console's own process makes them; here they would only cost time
    help = "Make the demo's sample data; `manage.py demo` runs this."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each thing that was made."""
        if not settings.DEMO_FILE:
            raise CommandError("This fills a demo; run `manage.py demo`, which runs it.")
        file = Path(settings.DEMO_FILE)
        demo = json.loads(file.read_text())
        for line in sample.load(demo):
            self.stdout.write(line)
            self.stdout.flush()
        if "api" not in demo:  # once a start: what was handed out stays good
            write_private(file, json.dumps({**demo, "api": clients(demo)}, indent=2))
