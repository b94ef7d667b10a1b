"""Whether a demo's data folder is of this release: its database must not be ahead of, or apart from, our migrations."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from django.apps import apps

OURS = ("console", "stores", "clusters")


def unknown_migrations(database: Path) -> list[str]:
    """Return the migrations of our apps that the database has and this release has not, such as "stores 0002_owner".

    Such a database was made by another release, and `migrate` would leave it half converted.
    """
    if not database.exists():
        return []
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'django_migrations'").fetchone():
            return []  # its first start ended before anything was made
        rows = connection.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()
    folders = {
        app.label: Path(app.path) / "migrations" for app in apps.get_app_configs() if app.name.partition(".")[0] in OURS
    }
    return [
        f"{label} {name}" for label, name in rows if label in folders and not (folders[label] / f"{name}.py").exists()
    ]
