"""Copies of a console's database."""

from __future__ import annotations

import subprocess

LIVE = "live"  # the alias of the console's database on a PostgreSQL of the tests


def url_of(database, user="postgres", name="postgres"):
    """Return the address of an entry of DATABASES, for another user or another database of its server."""
    return f"postgres://{user}@{database['HOST']}:{database['PORT']}/{name}"


def made_dump(database, file):
    """Write a dump of the database and return its path."""
    url = url_of(database, name=database["NAME"])
    subprocess.run(["pg_dump", "--format=custom", f"--file={file}", url], check=True)
    return file
