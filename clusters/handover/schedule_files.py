"""When a node makes its backups and reports: a crontab, and systemd's units. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from clusters.handover import left
from clusters.handover.backup_script import EXPIRE, command
from clusters.handover.promotion import EVERY
from clusters.handover.units import unit
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.drill import DELIVER, RESTORE, Drills
from clusters.pgbackrest.drill import command as drill_command
from clusters.pgbackrest.layout import File, Layout
from clusters.pgbackrest.schedules import KINDS, on_calendar

# Every five minutes, each node at a second of its own (systemd 247 or newer; an older one spreads them anew each time).
REPORTS = "OnCalendar=*:0/5\nRandomizedDelaySec=299\nFixedRandomDelay=true\nAccuracySec=1\n"


def backup_command(stanza: str, kind: str, repository: int, layout: Layout) -> str:
    """Return what makes one backup."""
    return f"{layout.pgbackrest} --stanza={stanza} --repo={repository} --type={kind} backup"


def backup_commands(configuration: Configuration, stanza: str, kind: str) -> list[str]:
    """Return what makes a backup of this type in each repository, one after the other: a stanza takes one at a time."""
    return [backup_command(stanza, kind, one.number, configuration.layout) for one in configuration.targets]


def _runs(configuration: Configuration) -> Iterator[tuple[str, str, str]]:
    """Yield what runs by the clock: its stanza, its kind and its cron expression."""
    for stanza in configuration.stanzas:
        for kind, expression in configuration.schedules.items():
            yield stanza.name, kind, expression
        if configuration.left:
            yield stanza.name, EXPIRE, left.SCHEDULE


def crontab(configuration: Configuration) -> File:
    """Return the node's file below /etc/cron.d; cron ignores all of it for one line that it does not take."""
    layout = configuration.layout
    lines = [f"# Backups of {configuration.cluster}, by the clock of this node"]
    lines += [
        f"{expression} {layout.user} {command(configuration, stanza, kind)}"
        for stanza, kind, expression in _runs(configuration)
    ]
    if configuration.follows:
        lines.append(f"{EVERY} {layout.user} {layout.promoted}")
    lines += drill_lines(configuration.drills)
    lines.append(f"*/5 * * * * {layout.user} {layout.report} --later >/dev/null")
    return File(layout.crontab, "\n".join((*lines, "")))


def drill_lines(drills: Drills | None) -> list[str]:
    """Return the lines of a crontab for restore drills and verifications."""
    if not drills:
        return []
    layout = drills.layout
    lines = [f"{plan.schedule} {layout.user} {drill_command(layout, plan.id)}" for plan in drills.plans]
    return [*lines, f"*/5 * * * * {layout.user} {drill_command(layout, DELIVER)}"]


def drill_units(drills: Drills | None, cluster: str) -> list[File]:
    """Return the same as services and timers; a run that was missed is not made up for, since it can wait."""
    files: list[File] = []
    for plan in drills.plans if drills else ():
        layout = drills.layout  # type: ignore[union-attr]
        title = f"{cluster}: {'restore drill' if plan.what == RESTORE else 'verification of backups'} {plan.id}"
        times = "".join(f"OnCalendar={calendar}\n" for calendar in on_calendar(plan.schedule))
        files += unit(layout.unit(f"drill-{plan.id}"), title, [drill_command(layout, plan.id)], times, layout.user)
    if drills:
        layout, title = drills.layout, f"{cluster}: tell Storekeeper of drills that it has not heard of"
        files += unit(layout.unit("drill-reports"), title, [drill_command(layout, DELIVER)], REPORTS, layout.user)
    return files


def units(configuration: Configuration) -> list[File]:
    """Return the same as systemd's services and timers; a run that fails fails its service."""
    layout, cluster = configuration.layout, configuration.cluster.replace("%", "%%")  # a specifier
    databases = [one.service for one in configuration.stanzas if one.service]
    files = []
    for stanza, kind, expression in _runs(configuration):
        title = (
            f"{cluster}: expire backups of {stanza} in repositories that this node has left"
            if kind == EXPIRE
            else f"{cluster}: {KINDS[kind]} backup of {stanza}"
        )
        times = "".join(f"OnCalendar={calendar}\n" for calendar in on_calendar(expression))
        files += unit(
            layout.unit(f"{stanza}-{kind}"),
            title,
            [command(configuration, stanza, kind)],
            f"{times}Persistent=true\n",
            layout.user,
            # What a machine has missed while it was off runs as soon as it is on: not before the database.
            after=["postgresql.service", *databases],
        )
    if configuration.follows:
        title = "Archive what the earlier primary had not, after a promotion"
        files += unit(layout.unit("promoted"), title, [layout.promoted], REPORTS, layout.user)
    return [
        *files,
        *drill_units(configuration.drills, cluster),
        *unit(
            layout.unit("report"),
            "Tell Storekeeper what is applied",
            [f"{layout.report} --scheduled"],
            REPORTS,
            layout.user,
        ),
    ]
