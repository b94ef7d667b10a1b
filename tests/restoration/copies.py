"""Copies of a console's database."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.demo_process import ROOT

LIVE = "live"  # the alias of the console's database on a PostgreSQL of the tests


def manage(url, *arguments):
    """Run a command of manage.py on that database, in a process of its own."""
    subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, check=True
    )


def url_of(database, user="postgres", name="postgres"):
    """Return the address of an entry of DATABASES, for another user or another database of its server."""
    return f"postgres://{user}@{database['HOST']}:{database['PORT']}/{name}"


def made_dump(database, file):
    """Write a dump of the database and return its path."""
    url = url_of(database, name=database["NAME"])
    subprocess.run(["pg_dump", "--format=custom", f"--file={file}", url], check=True)
    return file
