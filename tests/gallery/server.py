"""A console with the scene, as a process: `python -m tests.gallery.server FOLDER PORT`, on FOLDER/gallery.sqlite3.

It writes FOLDER/scene.json before it answers: the addresses that screens name, and a session for each reader.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from console.demo.servers import HOST, free_port, takes_connections
from tests import environment  # noqa: F401 - before Django's settings are read
from tests.demo_process import ROOT
from tests.gallery.screens import MOMENT

DATABASE, SCENE = "gallery.sqlite3", "scene.json"
SECONDS = 90  # in which it is there, on a machine that has much else to do


def main(folder: Path, port: str) -> None:
    """Fill the database, which has all migrations, and serve it; the clock stands, so that no age changes."""
    import django
    import time_machine

    clock = time_machine.travel(MOMENT, tick=False).start()
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db.models.signals import post_save
    from django.test import Client

    from tests.gallery import scene

    def tick(**_: object) -> None:  # what is made later is newer: lists of what is equally new have no order
        clock.shift(0.001)

    post_save.connect(tick)
    made = scene.make()
    sessions = {}
    for who in ("olivia", "newcomer"):
        client = Client(headers={"host": "localhost"})
        client.force_login(getattr(made, who))
        sessions[who] = client.cookies[settings.SESSION_COOKIE_NAME].value
    facts = {name: getattr(made, name).get_absolute_url() for name in ("store", "cluster", "account")}
    told = {**facts, "sessions": sessions, "cookie": settings.SESSION_COOKIE_NAME}
    (folder / SCENE).write_text(json.dumps(told))
    call_command("runserver", f"{HOST}:{port}", "--noreload", "--insecure", "--skip-checks")


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give its address and what it wrote until the end of the block; the folder has the migrated database."""
    port = free_port()
    environ = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{folder / DATABASE}",
        "DJANGO_SETTINGS_MODULE": "tests.serving.plain",
        "ALLOWED_HOSTS": HOST,
    }
    command = [sys.executable, "-m", "tests.gallery.server", str(folder), str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
    try:
        wait(process, port, folder)
        yield f"http://{HOST}:{port}", json.loads((folder / SCENE).read_text())
    finally:
        process.terminate()
        process.wait(20)


def wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    """Return when it takes connections; raises RuntimeError, with its output, when it ends or takes too long."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and process.poll() is None:
        if takes_connections(port):
            return
        time.sleep(0.1)
    raise RuntimeError((folder / "server.log").read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
