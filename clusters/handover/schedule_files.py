"""When a node makes its backups and reports: a crontab, and systemd's units. Pure."""

from __future__ import annotations

from clusters.handover import left
from clusters.handover.units import unit
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import File, Layout
from clusters.pgbackrest.schedules import KINDS, on_calendar

REPORTS = "OnCalendar=*:0/5\n"


def backup_command(stanza: str, kind: str, repository: int, layout: Layout) -> str:
    """Return what makes one backup."""
    return f"{layout.pgbackrest} --stanza={stanza} --repo={repository} --type={kind} backup"


def backup_commands(configuration: Configuration, stanza: str, kind: str) -> list[str]:
    """Return what makes a backup of this type in each repository, one after the other: a stanza takes one at a time."""
    return [backup_command(stanza, kind, one.number, configuration.layout) for one in configuration.targets]


def crontab(configuration: Configuration) -> File:
    """Return the node's file below /etc/cron.d; a failure in one repository does not keep the next from its backup."""
    layout = configuration.layout
    lines = [f"# Backups of {configuration.cluster}, by the clock of this node"]
    lines += [
        f"{expression} {layout.user} {'; '.join(backup_commands(configuration, stanza.name, kind))}"
        for stanza in configuration.stanzas
        for kind, expression in configuration.schedules.items()
    ]
    if configuration.left:
        lines += left.crontab(configuration)
    lines.append(f"*/5 * * * * {layout.user} {layout.report} >/dev/null")
    return File(layout.crontab, "\n".join((*lines, "")))


def units(configuration: Configuration) -> list[File]:
    """Return the same as systemd's services and timers."""
    layout = configuration.layout
    files = []
    for stanza in configuration.stanzas:
        for kind, expression in configuration.schedules.items():
            title = f"{configuration.cluster.replace('%', '%%')}: {KINDS[kind]} backup of {stanza.name}"  # a specifier
            runs = [f"-/usr/bin/{command}" for command in backup_commands(configuration, stanza.name, kind)]
            times = "".join(f"OnCalendar={calendar}\n" for calendar in on_calendar(expression))
            name = layout.unit(f"{stanza.name}-{kind}")
            files += unit(name, title, runs, f"{times}Persistent=true\n", layout.user)
    if configuration.left:
        files += left.units(configuration)
    return [
        *files,
        *unit(layout.unit("report"), "Tell Storekeeper what is applied", [layout.report], REPORTS, layout.user),
    ]
