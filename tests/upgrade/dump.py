"""A database of this release, with one of everything and a store that is half made: `python -m tests.upgrade.dump`.

Whoever cuts a release writes release.sql with it, after the migrations are frozen (frozen.py). Later ones migrate it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.postgres import binaries, cluster

FILE = Path(__file__).with_name("release.sql")
STORE = "half-made"
# Of the server that wrote it, or of roles that others have not.
LEFT_OUT = re.compile(r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*|)$")


class Killed(BaseException):
    """Ends the work in its middle, as a kill would: nothing catches it."""


def fill() -> None:
    """Make one of everything, and begin a store; runs where DATABASE_URL names an empty database."""
    import tests.environment  # noqa: F401

    os.environ["DJANGO_SETTINGS_MODULE"] = "console.settings"
    import django

    django.setup()
    from django.core.management import call_command

    from console.accounts import installation
    from console.cloud_accounts.models import CloudAccount
    from console.demo.emulators.aws.emulator import Emulator
    from console.operations import engine
    from stores import actions

    call_command("migrate", verbosity=0)
    from tests.clouds.aws_accounts import make_boundary
    from tests.fuzz import world

    installation.this()
    organisation = world._organisation("Acme")
    owner = world.factories.user("olga", organisation, "owner")
    emulator = Emulator().start()
    make_boundary()
    os.environ["AWS_ENDPOINT_URL"] = emulator.url
    account = CloudAccount.objects.filter(organisation=organisation, provider_key="aws").first()
    store = actions.create(account, name=STORE, region="eu-west-1", by=owner)
    made, call_step = [], engine.call_step

    def killed(step, *given):
        if made:
            raise Killed
        made.append(step)
        return call_step(step, *given)

    engine.call_step = killed
    try:
        dict(engine.execute_next(store.operation.pk))
    except Killed:
        pass
    finally:
        emulator.stop()
    store.refresh_from_db()
    print(store.state, [(step["key"], step["state"]) for step in store.operation.steps if step["state"] != "waiting"])


def main() -> None:
    """Write the file."""
    with cluster() as server:
        environment = {**os.environ, "DATABASE_URL": server.url, "LOG_LEVEL": "CRITICAL"}
        subprocess.run([sys.executable, "-m", "tests.upgrade.dump", "fill"], env=environment, check=True)
        options = ["--no-owner", "--no-privileges", "--column-inserts", "--rows-per-insert=1", "--dbname", server.url]
        text = subprocess.run([binaries() / "pg_dump", *options], check=True, capture_output=True, text=True).stdout
    kept = [line for line in text.splitlines() if not LEFT_OUT.match(line)]
    FILE.write_text("\n".join(kept).replace("public.", "") + "\n")


if __name__ == "__main__":
    fill() if sys.argv[1:] == ["fill"] else main()
