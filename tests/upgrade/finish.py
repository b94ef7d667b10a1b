"""What an upgrade does: `python -m tests.upgrade.finish AWS_ENDPOINT` migrates DATABASE_URL and finishes its work."""

from __future__ import annotations

import os
import sys
from io import StringIO

import tests.environment  # noqa: F401

os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
os.environ["AWS_ENDPOINT_URL"] = sys.argv[1]

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from console.accounts import installation, rotation  # noqa: E402
from stores.models import Store  # noqa: E402
from tests.delivery import deliver  # noqa: E402
from tests.upgrade.dump import STORE  # noqa: E402


def main() -> None:
    """Print what became of the store, and of what is encrypted."""
    call_command("migrate", verbosity=0, stdout=StringIO())
    installation.gate.require()
    store = Store.objects.get(name=STORE)
    before = store.state
    again = 0.0
    while again is not None:
        again = deliver(store.operation.pk)
    store.refresh_from_db()
    unreadable = sum(rotation.count(*field).unreadable for field in rotation.fields())
    print(f"{STORE}: {before}, then {store.state}; {unreadable} secrets that no key opens")


if __name__ == "__main__":
    main()
