"""What is run on a node, in its order, for pages. Pure."""

from __future__ import annotations

from clusters.handover.schedule_files import backup_commands
from clusters.pgbackrest.configuration import Configuration, StanzaConfiguration
from clusters.pgbackrest.restore import Command, drill_command


def archive_command(configuration: Configuration, stanza: str) -> str:
    """Return PostgreSQL's archive_command for the stanza."""
    return f"{configuration.layout.pgbackrest} --stanza={stanza} archive-push %p"


def preparation(configuration: Configuration) -> list[str]:
    """Return the commands that prepare repositories that were added; they leave alone what is there."""
    return [
        _pgbackrest(configuration, stanza.name, verb)
        for stanza in configuration.stanzas
        for verb in ("stanza-create", "check")
    ]


def run_setup(configuration: Configuration) -> str:
    """Return the command that runs the set-up script where it was downloaded."""
    return f"sudo sh {configuration.node}-setup.sh"


def commands(configuration: Configuration) -> list[Command]:
    """Return what to run on the node first, in this order, once the set-up script has run."""
    found = [
        Command(f"Have PostgreSQL archive the WAL of {stanza.name}", _archiving(configuration, stanza))
        for stanza in configuration.stanzas
    ]
    found.append(Command("Restart PostgreSQL, which archive_mode needs once", "sudo systemctl restart postgresql"))
    for stanza in configuration.stanzas:
        name = stanza.name
        found.append(Command(f"Create the stanza {name}", _pgbackrest(configuration, name, "stanza-create")))
        found.append(Command(f"Check that WAL of {name} reaches the stores", _pgbackrest(configuration, name, "check")))
        found.extend(
            Command(f"Make a first backup of {name}", configuration.layout.as_user(line))
            for line in backup_commands(configuration, name, "full")
        )
    found.append(Command("Tell the console", configuration.layout.as_user(configuration.layout.report)))
    return found


def drills(configuration: Configuration, repository: int) -> list[Command]:
    """Return how a restore of each database from that repository is tried on the node."""
    return [
        Command(
            f"Restore {stanza.name} into a folder of its own",
            drill_command(stanza.name, stanza.data_directory, repository),
        )
        for stanza in configuration.stanzas
    ]


def _archiving(configuration: Configuration, stanza: StanzaConfiguration) -> str:
    psql = configuration.layout.as_user(f"psql -p {stanza.port}")
    return (
        f'{psql} -c "ALTER SYSTEM SET archive_mode = on" '
        f"-c \"ALTER SYSTEM SET archive_command = '{archive_command(configuration, stanza.name)}'\""
    )


def _pgbackrest(configuration: Configuration, stanza: str, verb: str) -> str:
    return configuration.layout.as_user(f"{configuration.layout.pgbackrest} --stanza={stanza} {verb}")
