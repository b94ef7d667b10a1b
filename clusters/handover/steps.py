"""What is run on a node, in its order, for pages. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from clusters.handover.promotion import KEPT
from clusters.handover.schedule_files import backup_commands
from clusters.pgbackrest.configuration import Configuration, StanzaConfiguration
from clusters.pgbackrest.restore import Command, drill_command

TIMEOUT = "5min"  # as often as nodes report; a segment that is closed early takes some KB in a store
RELOAD = "SELECT pg_reload_conf()"
RECEIVER = "SELECT status, sender_host FROM pg_stat_wal_receiver"


def archive_command(configuration: Configuration, stanza: str) -> str:
    """Return PostgreSQL's archive_command for the stanza."""
    return f"{configuration.layout.pgbackrest} --stanza={stanza} archive-push %p"


def preparation(configuration: Configuration) -> list[str]:
    """Return the commands that prepare repositories that were added; they leave alone what is there.

    On a standby pgBackRest finds no primary (errors 56 and 27), and its primary's page has them.
    """
    return (
        []
        if configuration.is_standby
        else [
            _pgbackrest(configuration, stanza.name, verb)
            for stanza in configuration.stanzas
            for verb in ("stanza-create", "check")
        ]
    )


def copy_setup(configuration: Configuration, host: str) -> str:
    """Return the command that brings the downloaded script to the machine."""
    return f"scp {configuration.layout.script(configuration.node)} {f'[{host}]' if ':' in host else host}:"


def run_setup(configuration: Configuration) -> str:
    """Return the command that runs the set-up script where it was downloaded."""
    return f"sudo sh {configuration.layout.script(configuration.node)}"


def remove_setup(configuration: Configuration) -> str:
    """Return the command that removes the set-up script from where it ran."""
    return f"rm {configuration.layout.script(configuration.node)}"


def commands(configuration: Configuration, there: Collection[str] = ()) -> list[Command]:
    """Return what to run on the node first, in this order, once the set-up script has run.

    `there` names the stanzas that had backups and archived before the console: their server needs no restart, and
    stanza-create leaves them as they are.
    A stanza is created before PostgreSQL archives into it: until then each segment is refused, and archive-push, which
    works meanwhile, may hold the lock that stanza-create needs (error 050). stanza-create needs no archiving, and a
    server on which archive_mode is off; `check` needs it (tried with 2.45).
    """
    layout, found = configuration.layout, []
    for stanza in [] if configuration.is_standby else configuration.stanzas:
        create = _pgbackrest(configuration, stanza.name, "stanza-create")
        title = (
            f"Have pgBackRest look at the stanza {stanza.name}: where it is there already, it stays as it is"
            if stanza.name in there
            else f"Create the stanza {stanza.name}, before anything is archived into it"
        )
        found.append(Command(title, create))
    for stanza in configuration.stanzas:
        found.append(
            Command(
                f"Have PostgreSQL archive the WAL of {stanza.name}; this replaces another archive_command",
                _archiving(configuration, stanza),
            )
        )
        if stanza.name not in there:
            title = f"Restart it, which archive_mode needs once{_otherwise(configuration, stanza)}"
            found.append(Command(title, restart(configuration, stanza)))
        found.append(
            Command(
                f"Have a quiet {stanza.name} close its WAL after {TIMEOUT}, so that little is in no store; leave this "
                "out where archive_timeout is set already",
                _psql(configuration, stanza, f"ALTER SYSTEM SET archive_timeout = '{TIMEOUT}'", RELOAD),
            )
        )
    if configuration.follows:
        found += _for_a_failover(configuration)
    for stanza in [] if configuration.is_standby else configuration.stanzas:
        name = stanza.name
        found.append(Command(f"Check that WAL of {name} reaches the stores", _pgbackrest(configuration, name, "check")))
        title = f"{'Make a full backup by the new file' if name in there else 'Make a first backup'} of {name}"
        found.extend(Command(title, layout.as_user(line)) for line in backup_commands(configuration, name, "full"))
    found.append(Command("Tell the console", layout.as_user(layout.report)))
    return found


def restart(configuration: Configuration, stanza: StanzaConfiguration) -> str:
    """Return the command that restarts this one server."""
    layout = configuration.layout
    unit = stanza.service or layout.unit_of_server(stanza.postgresql, stanza.data_directory)
    return (
        f"sudo systemctl restart {shlex.quote(unit)}"
        if unit
        else layout.pg_ctl(stanza.postgresql, stanza.data_directory, "restart")
    )


def stop_archiving(configuration: Configuration, stanza: StanzaConfiguration) -> str:
    """Return the command after which PostgreSQL calls pgBackRest no more.

    Until it is restarted it keeps its WAL, as archive_mode goes with a restart alone.
    """
    names = ("archive_command", "archive_mode")
    return _psql(configuration, stanza, *(f"ALTER SYSTEM RESET {one}" for one in names), RELOAD)


def removal(configuration: Configuration, stanza: StanzaConfiguration) -> list[Command]:
    """Return what to run on the node, in this order, when the console is to forget a database."""
    layout, name = configuration.layout, stanza.name
    stop = layout.as_user(f"{layout.pgbackrest} --stanza={name} stop")
    deletes = [
        layout.as_user(f"{layout.pgbackrest} --stanza={name} --repo={one.number} stanza-delete --force")
        for one in configuration.targets
    ]
    return [
        Command("Before: have PostgreSQL archive no more", stop_archiving(configuration, stanza)),
        Command("Restart it: until then it keeps its WAL", restart(configuration, stanza)),
        Command(
            "Only if its backups are to go too: delete the stanza. Nothing brings it back from a store that is not "
            "protected",
            "\n".join((stop, *deletes)),
        ),
        Command(
            "After: download the set-up script again, copy it and run it. The new files know the stanza no more",
            run_setup(configuration),
        ),
    ]


def _for_a_failover(configuration: Configuration) -> list[Command]:
    keep = f'-c "ALTER SYSTEM SET wal_keep_size = \'{KEPT}\'" -c "SELECT pg_reload_conf()"'
    found = [
        Command(
            f"Keep WAL of {one.name}: what a failed primary had not archived yet, the next one archives",
            configuration.layout.as_user(f"psql -p {one.port} {keep}"),
        )
        for one in configuration.stanzas
    ]
    if configuration.is_standby:
        found += [
            Command(
                f"See that {one.name} follows {configuration.follows}: it says streaming",
                configuration.layout.as_user(f"psql -p {one.port} -c '{RECEIVER}'"),
            )
            for one in configuration.stanzas
        ]
    return found


def drills(configuration: Configuration, repository: int) -> list[Command]:
    """Return how a restore of each database from that repository is tried on the node."""
    return [
        Command(
            f"Restore {stanza.name} into a folder of its own",
            drill_command(stanza.name, stanza.data_directory, repository, configuration.layout),
        )
        for stanza in configuration.stanzas
    ]


def _otherwise(configuration: Configuration, stanza: StanzaConfiguration) -> str:
    command = configuration.layout.pg_ctl(stanza.postgresql, stanza.data_directory, "restart")
    return "" if command == restart(configuration, stanza) else f" (without systemd: {command})"


def _psql(configuration: Configuration, stanza: StanzaConfiguration, *statements: str) -> str:
    layout = configuration.layout
    given = " ".join(f'-c "{one}"' for one in statements)
    return layout.as_user(f"{layout.psql(stanza.postgresql)} -p {stanza.port} -d postgres {given}")


def _archiving(configuration: Configuration, stanza: StanzaConfiguration) -> str:
    command = archive_command(configuration, stanza.name)
    statements = ("ALTER SYSTEM SET archive_mode = on", f"ALTER SYSTEM SET archive_command = '{command}'")
    return _psql(configuration, stanza, *statements, RELOAD)


def _pgbackrest(configuration: Configuration, stanza: str, verb: str) -> str:
    return configuration.layout.as_user(f"{configuration.layout.pgbackrest} --stanza={stanza} {verb}")
