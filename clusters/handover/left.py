"""What a node goes on to expire in repositories that it writes to no more, as files of its own. Pure.

`expire` asks for access, retention and passphrase, and for no database (tried with 2.45: a configuration with one
repository, whatever its number, whether PostgreSQL runs or not). Only a repository's last backup never expires.
"""

from __future__ import annotations

from collections.abc import Iterable

from clusters.handover.units import unit
from clusters.pgbackrest.configuration import Configuration, Option, rendered
from clusters.pgbackrest.layout import File

HOUR, MINUTE = 4, 40


def file(configuration: Configuration) -> File:
    """Return the configuration with which the node expires what it has left; it holds secrets."""
    return File(configuration.layout.left, rendered(_lines(configuration), secrets=True))


def _lines(configuration: Configuration) -> Iterable[str | Option]:
    yield (
        f"# {configuration.cluster}, node {configuration.node}: repositories that it writes to no more, and goes on to "
        "expire."
    )
    yield "[global]"
    yield Option("log-level-console", "warn")
    yield Option("log-level-file", "off")
    yield "# Of its own: expiring here keeps no backup elsewhere from beginning."
    yield Option("lock-path", configuration.layout.left_locks)
    for target in configuration.left:
        yield ""
        yield f"# {target.store}"
        yield from target.access()
        yield from target.retention()
        yield from target.encryption()


def commands(configuration: Configuration) -> list[str]:
    """Return what expires each stanza in all repositories of that configuration."""
    return [
        f"pgbackrest --config={configuration.layout.left} --stanza={stanza.name} expire"
        for stanza in configuration.stanzas
    ]


def crontab(configuration: Configuration) -> list[str]:
    """Return the lines for cron."""
    return [f"{MINUTE} {HOUR} * * * {configuration.layout.user} {command}" for command in commands(configuration)]


def units(configuration: Configuration) -> list[File]:
    """Return the same as a systemd service and its timer."""
    return unit(
        configuration.layout.unit("left"),
        "Expire backups in repositories that this node has left",
        [f"-/usr/bin/{command}" for command in commands(configuration)],
        f"OnCalendar=*-*-* {HOUR:02d}:{MINUTE:02d}:00\nPersistent=true\n",
        configuration.layout.user,
    )
