"""`manage.py demo`: the whole console on this machine, with nothing to install."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.demo.packages import missing_packages
from console.demo.supervisor import Demo


class Command(BaseCommand):
    """Run the console, its worker, its broker and an emulated Amazon until Ctrl-C."""

    help = "Run the console, its worker, its broker and an emulated Amazon until Ctrl-C."
    requires_system_checks = ()  # the console's own process makes them; here they would only cost time

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Offer where to answer, where to keep things, and how slow the cloud is."""
        parser.add_argument("--port", type=int, default=8000, help="port of the console; 0 takes a free one")
        parser.add_argument("--data", type=Path, default=Path(settings.BASE_DIR) / ".demo", help="folder to keep it in")
        parser.add_argument("--latency", type=int, default=60, help="milliseconds that each call to the cloud takes")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until the demo is told to end, and leave with its exit status."""
        if missing := missing_packages():
            raise CommandError(f"The demo also needs {', '.join(missing)}: run `make setup ENV=demo`.")
        raise SystemExit(Demo(port=options["port"], data=options["data"], latency=options["latency"]).run())
