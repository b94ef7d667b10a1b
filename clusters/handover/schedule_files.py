"""When a node makes its backups and reports: a crontab, systemd's units, and the script that installs these. Pure."""

from __future__ import annotations

from clusters.handover import left
from clusters.handover.units import MARK, WANTS, unit
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import CRON, UNITS, File, Layout
from clusters.pgbackrest.root_script import PUBLIC, put, script
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


def timers_script(configuration: Configuration) -> str:
    """Return a shell script that installs the timers instead of the crontab, to be run as root on the node."""
    files, schedule, ours = units(configuration), crontab(configuration).path, configuration.layout.unit("*")
    timers = [file.path.rsplit("/", 1)[1] for file in files if file.path.endswith(".timer")]
    checks = [
        f"only_root_changes {UNITS}",
        f"! is_there {WANTS} || only_root_changes {WANTS}",
        f"! is_there {CRON} || only_root_changes {CRON}",
        f"may_be_replaced {' '.join(file.path for file in files)} {schedule}",
        f"may_be_replaced {' '.join(f'{WANTS}/{timer}' for timer in timers)}",
        f"""is_earlier() {{ [ -f "$1" ] && [ ! -L "$1" ] && grep -q '^{MARK}' "$1"; }}""",
        f"for unit in {ours}.timer; do",
        '  ! is_earlier "$unit" || may_be_replaced "${unit%.timer}.service"',
        "done",
    ]
    changes = [
        "# Those of an earlier schedule go first.",
        f"for unit in {ours}.timer; do",
        '  if is_earlier "$unit"; then',
        '    systemctl disable --now "${unit##*/}"',
        '    rm -f "$unit" "${unit%.timer}.service"',
        "  fi",
        "done",
        *(line for file in files for line in put(file, PUBLIC)),
        f"rm -f {schedule}",
        "systemctl daemon-reload",
        f"systemctl enable --now {' '.join(timers)}",
    ]
    return script(f"{configuration.cluster}, node {configuration.node}: run as root on the node.", checks, changes)
