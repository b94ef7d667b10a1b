"""What a node goes on to expire in repositories that it writes to no more, as files of its own. Pure.

`expire` asks for access, retention and passphrase, and for no database (tried with 2.45: a configuration with one
repository, whatever its number, whether PostgreSQL runs or not). Only a repository's last backup never expires.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clusters.pgbackrest.configuration import FOLDER, SPOOL, Option, Target, rendered
from clusters.pgbackrest.schedules import MARK, UNITS, File

FILE = f"{FOLDER}/left.conf"
LOCKS = f"{SPOOL}/left"  # made by pgBackRest
HOUR, MINUTE = 4, 40


def configuration(cluster: str, node: str, targets: Sequence[Target]) -> File:
    """Return the configuration; it holds secrets."""
    return File(FILE, rendered(_lines(cluster, node, targets), secrets=True))


def _lines(cluster: str, node: str, targets: Sequence[Target]) -> Iterable[str | Option]:
    yield f"# {cluster}, node {node}: repositories that it writes to no more, and goes on to expire."
    yield "[global]"
    yield Option("log-level-console", "warn")
    yield Option("log-level-file", "off")
    yield "# Of its own: expiring here keeps no backup elsewhere from beginning."
    yield Option("lock-path", LOCKS)
    for target in targets:
        yield ""
        yield f"# {target.store}"
        yield from target.access()
        yield from target.retention()
        yield from target.encryption()


def commands(stanzas: Sequence[str]) -> list[str]:
    """Return what expires each stanza in all repositories of the configuration."""
    return [f"pgbackrest --config={FILE} --stanza={stanza} expire" for stanza in stanzas]


def crontab(stanzas: Sequence[str]) -> str:
    """Return the lines for cron."""
    return "".join(f"{MINUTE} {HOUR} * * * postgres {command}\n" for command in commands(stanzas))


def units(stanzas: Sequence[str]) -> list[File]:
    """Return the same as a systemd service and its timer."""
    title, name = "Expire backups in repositories that this node has left", f"{UNITS}/pgbackrest-left"
    runs = "".join(f"ExecStart=-/usr/bin/{command}\n" for command in commands(stanzas))
    return [
        File(
            f"{name}.service",
            f"{MARK}\n[Unit]\nDescription={title}\nAfter=network-online.target\n\n"
            f"[Service]\nType=oneshot\nUser=postgres\n{runs}",
        ),
        File(
            f"{name}.timer",
            f"{MARK}\n[Unit]\nDescription={title}\n\n[Timer]\nOnCalendar=*-*-* {HOUR:02d}:{MINUTE:02d}:00\n"
            "Persistent=true\n\n[Install]\nWantedBy=timers.target\n",
        ),
    ]
