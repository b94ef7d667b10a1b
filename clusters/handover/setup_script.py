"""The script that puts all that a node is handed into its places, for root to run there. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clusters.handover import left, schedule_files
from clusters.handover.report_script import report_script
from clusters.handover.steps import preparation
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import CRON, File
from clusters.pgbackrest.root_script import EXECUTABLE, PRIVATE, PUBLIC, put, script


@dataclass(frozen=True)
class Known:
    """What the console knows of the node beside what it is handed."""

    report_address: str  # where it reports
    report_token: str
    machine: str = ""  # that it has reported from; "" before its first report
    system_ids: Mapping[str, str] = field(default_factory=dict)  # that it has reported, by stanza
    added: Sequence[str] = ()  # repositories whose stanzas it has never created, such as repo2


def setup_script(configuration: Configuration, known: Known) -> str:
    """Return the script; it holds secrets."""
    layout = configuration.layout
    keys, crontab = configuration.keys, schedule_files.crontab(configuration)
    files = [
        *((one, PRIVATE) for one in keys),  # before the configuration that names them
        (File(layout.configuration, configuration.render(secrets=True)), PRIVATE),
        *([(left.file(configuration), PRIVATE)] if configuration.left else ()),
        *((one, PUBLIC) for one in configuration.certificates),
        (report_script(configuration, known.report_address, known.report_token), EXECUTABLE),
    ]
    has_timers = f"[ -e {layout.unit('report')}.timer ]"  # else each backup would be begun twice
    checks = [
        *_identity(configuration, known),
        f"becomes_root_s {layout.folder}",
        *(f"is_postgres_s {folder}" for folder in (layout.logs, layout.spool)),
        f"{has_timers} || only_root_changes {CRON}",
        f"may_be_replaced {' '.join(file.path for file, _ in files)}",
        f"{has_timers} || may_be_replaced {crontab.path}",
    ]
    changes = [
        f"install -d -o root -g postgres -m 0750 {layout.folder}",
        'for one in $missing; do install -d -o postgres -g postgres -m 0750 "$one"; done',
        *(line for file, how in files for line in put(file, how)),
        *([] if configuration.left else [f"is_folder {layout.left} || rm -f {layout.left}"]),
        f"if {has_timers}; then",
        f"  echo 'Timers make the backups here: run {configuration.node}-timers.sh too.'",
        "else",
        *put(crontab, PUBLIC),
        "fi",
    ]
    if known.added:
        changes += [f"echo '{' and '.join(known.added)}: no WAL leaves this node until you have run'"]
        changes += [f"echo '  {command}'" for command in preparation(configuration)]
    if keys:
        kept = "|".join(shlex.quote(one.path) for one in keys)
        removed = '[ -d "$old" ] && [ ! -L "$old" ] || rm -f "$old"'
        # Files of keys, also of those that were replaced.
        changes.append(f"for old in {layout.folder}/repo*.json; do case $old in {kept}) ;; *) {removed} ;; esac; done")
    changes.append(f"echo 'Storekeeper: {configuration.node} has its files.'")
    title = f"{configuration.cluster}, node {configuration.node}: run as root on the node. It holds secrets."
    return script(title, checks, changes)


def _identity(configuration: Configuration, known: Known) -> list[str]:
    """Return the lines that refuse another machine than the node's, and another database, as far as it reported."""
    name = configuration.node
    return [
        *([f"same_machine {known.machine} {name}"] if known.machine else []),
        *(
            f"same_database {shlex.quote(one.data_directory)} {known.system_ids[one.name]} '{one.name} on {name}'"
            for one in configuration.stanzas
            if one.name in known.system_ids
        ),
    ]
