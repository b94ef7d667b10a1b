"""The database after all migrations, made once: for the tests of a run, and for the next runs (tests/conftest.py)."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests import postgres
from tests.demo_process import ROOT


def sources_of_the_database():
    """Return a digest of all that a database is made of: migrations, what comes after them, and versions."""
    tops = ("console", "stores", "clusters")
    parts = ("*/migrations/*.py", "models.py", "models/*.py", "apps.py", "permissions.py", "settings.py")
    files = {path for top in tops for part in parts for path in (ROOT / top).rglob(part)}
    files |= {*ROOT.glob("requirements*.lock"), Path(__file__)}
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(files):
        digest.update(f"{path.relative_to(ROOT)}".encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Migrated:
    """SQLite's database after all migrations, which the first process of a run makes and the others copy.

    It is kept for the next runs, as long as nothing changes of what it is made of: migrations take ten seconds.
    """

    def __init__(self, folder, file, kept):
        self.made, self.file = folder / "migrated.sqlite3", file
        self.kept = kept / f"{sources_of_the_database()}.sqlite3" if kept else None
        self.lock = (folder / "migrated.lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        if not self.made.exists() and self.kept and self.kept.exists():
            shutil.copyfile(self.kept, self.made)
        self.is_copy = self.made.exists()
        if self.is_copy:
            shutil.copyfile(self.made, file)
            self.lock.close()

    def give(self):
        """Let the others have it; there is none if no test that was chosen asks for it."""
        if not self.is_copy:
            if self.file.exists():
                shutil.copyfile(self.file, self.made)
                self.keep()
            self.lock.close()

    def keep(self):
        """Keep it for the next runs, and none that was made of something else."""
        if self.kept:
            for other in self.kept.parent.iterdir():
                other.unlink(missing_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.kept.parent, delete=False) as new:
                shutil.copyfile(self.made, new.name)
            os.replace(new.name, self.kept)


class Dump:
    """PostgreSQL's database after all migrations, as SQL: kept like SQLite's, for whoever has an empty database."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / f"{sources_of_the_database()}.sql"

    @contextmanager
    def alone(self):
        """Let others wait, of this run and of any other, until it is there."""
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def write(self, url):
        """Keep what is in this database, and nothing that was made of other migrations."""
        postgres.dump(url, self.file)
        for other in {*self.folder.glob("*.sql")} - {self.file}:
            other.unlink(missing_ok=True)

    def migrate(self, url):
        """Give an empty database all migrations; the first one runs them, the others take what it has made."""
        with self.alone():
            if not self.file.exists():
                command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
                subprocess.run(command, cwd=ROOT, env={**os.environ, "DATABASE_URL": url}, check=True)
                self.write(url)
                return
        postgres.load(url, self.file)


class Template:
    """The same of PostgreSQL: the first process leaves a template, from which the others make theirs."""

    def __init__(self, folder, default, run, dump):
        self.facts, self.dump = default, dump
        self.name, self.made = default["TEST"]["NAME"], f"migrated_{run}"
        self.lock = (folder / "migrated.lock").open("w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.is_copy = self.is_mine = False
        if self._do("SELECT 1 FROM pg_database WHERE datname = %s", self.made):
            self.is_copy = True
        elif self.dump.file.exists():
            self._do(f'CREATE DATABASE "{self.made}"')
            postgres.load(self._url(self.made), self.dump.file)
            self.is_copy = self.is_mine = True
        if self.is_copy:
            self._do(f'DROP DATABASE IF EXISTS "{self.name}"')
            self._do(f'CREATE DATABASE "{self.name}" TEMPLATE "{self.made}"')
            self.lock.close()

    def _url(self, name):
        user, password = (quote(self.facts[one] or "", safe="") for one in ("USER", "PASSWORD"))
        return f"postgres://{user}:{password}@{self.facts['HOST']}:{self.facts['PORT'] or 5432}/{name}"

    def _do(self, sql, *values):
        import psycopg

        facts = {name.lower(): self.facts[name] or None for name in ("HOST", "PORT", "USER", "PASSWORD")}
        with psycopg.connect(dbname="postgres", autocommit=True, **facts) as server:
            asked = server.execute(sql, values or None)
            return asked.fetchone() if asked.description else None

    def give(self):
        """Let the others have it."""
        if not self.is_copy:
            self._do(f'CREATE DATABASE "{self.made}" TEMPLATE "{self.name}"')
            self.is_mine = True
            self.lock.close()
            with self.dump.alone():
                if not self.dump.file.exists():
                    self.dump.write(self._url(self.made))

    def forget(self):
        """Leave no template behind: the server may be there longer than the run."""
        if self.is_mine:
            self._do(f'DROP DATABASE IF EXISTS "{self.made}"')
