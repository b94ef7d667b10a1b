"""`manage.py write_environment FILE` (`make env`): all settings in a file, with new keys, for a new console."""

from __future__ import annotations

import os
import re
import secrets
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.core.management.base import BaseCommand, CommandError, CommandParser

from console.environment import HOST

SETTINGS = Path(__file__).resolve().parents[3] / "deploy" / "settings.md"
EXAMPLE = "console.example.org"
HEADER = """\
# Storekeeper's environment: for systemd (EnvironmentFile=), docker (--env-file) and sh (set -a; . FILE) alike.
# So a line is NAME=value without quotes, and a value has no space and none of $ & ; ( ) < > | ` and quotes. What needs
# one goes into a file of its own: NAME_FILE=/etc/storekeeper/name.
#
# KEEP FIELD_ENCRYPTION_KEYS: without it, nothing that is encrypted in the database can ever be read again (keys of
# cloud accounts, passphrases of backups). Keep it APART from the dumps of the database: a password store, a safe.
# Whoever has both has everything. Keep SECRET_KEY with it. METRICS_TOKEN can be replaced at any time.
"""
TOLD = """\
Written to {path} (only its owner reads it), with new keys.

Keep, apart from the dumps of the database:
  FIELD_ENCRYPTION_KEYS   in your password store, and on paper in a safe: without it the secrets in every dump are lost
  SECRET_KEY              with it
METRICS_TOKEN goes to Prometheus, and can be replaced. What is in {path} needs no backup beside these.

Now: {edit}
"""
SAFE = re.compile(r"[\w./:=@%+,?\[\]-]*", re.ASCII)


class Command(BaseCommand):
    """Write a file with every setting of settings.md, those that are needed filled in."""

    help = (
        "Write a file with all settings of the environment and new keys, which only its owner may read. A file that is "
        "there is never written over."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take where to, and what is known already."""
        parser.add_argument("file", help="such as /etc/storekeeper/storekeeper.env")
        parser.add_argument("--host", default="", help="the console's host name, such as console.example.org")
        parser.add_argument("--database-url", default="", help="postgres://user:password@host/name")
        parser.add_argument("--redis-url", default="", help="redis://127.0.0.1:6379/0")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write it, and say what to keep where."""
        host = options["host"]
        if host and not re.fullmatch(HOST, host):
            raise CommandError(f"--host is {host[:80]!r}: it wants a host name, such as {EXAMPLE}.", returncode=2)
        for name in ("database_url", "redis_url"):
            if not SAFE.fullmatch(options[name]):
                raise CommandError(
                    f"--{name.replace('_', '-')} holds what a shell would read otherwise: leave it out, and put it "
                    f"into a file of its own, {name.upper()}_FILE.",
                    returncode=2,
                )
        values = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "METRICS_TOKEN": secrets.token_urlsafe(24),
            "DATABASE_URL": options["database_url"] or "postgres://storekeeper:CHANGE-ME@127.0.0.1:5432/storekeeper",
            "REDIS_URL": options["redis_url"] or "redis://127.0.0.1:6379/0",
            "ALLOWED_HOSTS": host or EXAMPLE,
            "PUBLIC_URL": f"https://{host or EXAMPLE}",
            "TRUSTED_PROXY_COUNT": "1",
        }
        path = Path(options["file"]).absolute()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL  # which no link leads elsewhere
            with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(render(SETTINGS.read_text(encoding="utf-8"), values))
        except FileExistsError:
            raise CommandError(f"{path} is there already, and was left as it is. Name another file.") from None
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
        change = ["ALLOWED_HOSTS and PUBLIC_URL"] * (not host) + ["DATABASE_URL"] * (not options["database_url"])
        edit = f"set {', '.join(change)} there, then run" if change else "run"
        self.stdout.write(TOLD.format(path=path, edit=f"{edit} manage.py check --deploy with it."))


def render(settings: str, values: dict[str, str]) -> str:
    """Return the file: the sections of settings.md, each setting below what it means, most of them out of use."""
    lines = [HEADER]
    for section in re.split(r"^## ", settings, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        if title.startswith("For the demo"):
            continue
        lines.append(f"\n# --- {title} ---\n")
        for name, meaning in _rows(text):
            lines += textwrap.wrap(f"{name}: {meaning}", 118, initial_indent="# ", subsequent_indent="#   ")
            if name.isascii():
                lines.append(f"{name}={values[name]}" if name in values else f"#{name}=")
    return "\n".join(lines) + "\n"


def _rows(text: str) -> Iterator[tuple[str, str]]:
    for name, meaning in re.findall(r"^\| `([A-Z_0-9…]+)` \| (.*) \|$", text, re.MULTILINE):
        yield name, re.sub(r"\[([^]]+)\]\([^)]+\)", r"console/deploy/\1", meaning).replace("`", "").replace("*", "")
