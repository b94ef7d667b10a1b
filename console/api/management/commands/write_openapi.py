"""`manage.py write_openapi`: writes console/api/openapi.json and the client anew, after a call was added or changed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from console.api import v1
from console.client import maker


class Command(BaseCommand):
    """Write the OpenAPI file that is handed out and committed, and the calls of the client, which are made of it."""

    help = "Write console/api/openapi.json anew, and the client's calls."

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it, and say where."""
        v1.FILE.write_text(v1.openapi())
        self.stdout.write(f"{v1.FILE} is written.")
        maker.main()
