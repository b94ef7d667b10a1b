"""What a node goes on to expire in repositories that it writes to no more, as files of its own. Pure.

`expire` asks for access, retention and passphrase, and for no database (tried with 2.45: a configuration with one
repository, whatever its number, whether PostgreSQL runs or not). Only a repository's last backup never expires.
"""

from __future__ import annotations

from collections.abc import Iterable

from clusters.pgbackrest.configuration import Configuration, Option, rendered
from clusters.pgbackrest.layout import File

SCHEDULE = "40 4 * * *"  # cron's, by the clock of the node


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
