"""The script that puts all that a node is handed into its places, for root to run there. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from clusters.handover import earlier, left, schedule_files
from clusters.handover.backup_script import backup_script
from clusters.handover.drill_script import drill_script
from clusters.handover.guest import Placed, guest_script
from clusters.handover.promotion import promotion_script
from clusters.handover.report_script import report_script
from clusters.handover.steps import preparation
from clusters.handover.undo import FUNCTIONS as UNDO
from clusters.handover.undo import undo_lines, undo_script
from clusters.handover.version_check import version_check
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import CRON, ROTATION, File, Layout
from clusters.pgbackrest.root_script import EXECUTABLE, MACHINE, PRIVATE, PUBLIC, ROOT_S

OPTIONS = (("--replace", "replace=yes"), ("--undo", "mode=undo"))

FUNCTIONS = r"""
# A copy of a node that archives as the node does would mix its WAL with the node's.
same_machine() { # KNOWN
  [ -n "$replace" ] || [ ! -s /etc/machine-id ] || [ "$(MACHINE)" = "$1" ] ||
    refuse "$node has reported from another machine. To restore a copy, take the script of the console's Restore page. \
If this machine takes the place of $node, and that one is off, run this again with --replace."
}

# A read by PostgreSQL's user of its own file: root would follow where a link of that user's leads.
same_database() { # DATA_DIRECTORY, KNOWN system identifier, and which database on which node
  system_id=$(as_user timeout 10 od -An -tu8 -N8 "$1/global/pg_control" 2>/dev/null | tr -d ' ') || system_id=
  [ -n "$replace" ] || [ -z "$system_id" ] || [ "$system_id" = "$2" ] ||
    refuse "$1 has the system identifier $system_id, and $3 has reported $2: this is another database. If it takes the \
place of that one, as after pg_upgrade, run this again with --replace."
}

# Of PostgreSQL's answer what can be printed.
names_new=
names_other=
look_at_archiving() { # PSQL PORT DATA_DIRECTORY, and what the page has PostgreSQL run
  archives=$(as_user timeout 10 "$1" -XAtwq -p "$2" -d postgres -c 'SHOW archive_command' 2>/dev/null < /dev/null) ||
    archives=
  archives=$(printf '%s' "$archives" | LC_ALL=C tr -cd '[:print:]' | cut -c-300)
  case $archives in
    *"--config=$ours/"*) names_new=yes ;;
    '' | '(disabled)') names_other=yes ;;
    *)
      names_other=yes
      note "The PostgreSQL on port $2 archives by: $archives
What the node's page has you run replaces that by: $4"
      ;;
  esac
}

look_for_programs() { # PSQL …
  for program in pgbackrest "$@"; do
    as_user sh -c 'command -v "$1"' sh "$program" >/dev/null ||
      note "There is no $program here that $user can run: install it before you go on."
  done
  command -v curl >/dev/null || command -v wget >/dev/null || command -v python3 >/dev/null ||
    note "There is no curl, wget or python3 here, so the node cannot report: install one of them."
}

# Weekly, as the packages' own file has it; the folder is not root's, so logrotate has to be told as whom.
rotation() {
  cat <<END
$logs/*.log {
    weekly
    rotate 10
    delaycompress
    compress
    notifempty
    missingok
    copytruncate
    su $user $group
}
END
}

look_at_rotation() { # PATH
  is_folder ROTATION || return 0
  only_root_changes ROTATION
  look root:root 644 "$1" "$(rotation | sha256sum | cut -c-64)"
}

put_rotation() { # PATH
  ! is_folder ROTATION || rotation | put_ours root:root 644 "$1" "$(rotation | sha256sum | cut -c-64)"
}

look_at_crontab() { # OWNER:GROUP MODE PATH DIGEST
  if is_folder CRON; then
    only_root_changes CRON
    look "$@"
    command -v cron >/dev/null || command -v crond >/dev/null ||
      note "No cron runs here: install it, or run TIMERS where systemd runs. Until then nothing makes backups."
  else
    note "There is no CRON, so nothing makes backups yet: run TIMERS where systemd runs, or have what runs commands \
here run those of the node's page, Schedule files."
  fi
}
"""


@dataclass(frozen=True)
class Known:
    """What the console knows of the node beside what it is handed."""

    report_address: str  # where it reports
    report_token: str
    machine: str = ""  # that it has reported from; "" before its first report
    system_ids: Mapping[str, str] = field(default_factory=dict)  # that it has reported, by stanza
    added: Sequence[str] = ()  # repositories whose stanzas it has never created, such as repo2
    console_ca: str = ""  # the certificates that the console's is checked against; "": the machine's own
    drill_address: str = ""  # where it tells of drills

    def ca_file(self, layout: Layout) -> str:
        """Return where the report script finds those certificates; "" without them."""
        return layout.console_ca if self.console_ca else ""


def files(configuration: Configuration, known: Known) -> list[Placed]:
    """Return what goes into our folder, what is named before what names it."""
    layout = configuration.layout
    private = [*configuration.keys, File(layout.configuration, configuration.render(secrets=True))]
    if configuration.left:
        private.append(left.file(configuration))
    public = [*configuration.certificates]
    if known.console_ca:
        public.append(File(layout.console_ca, known.console_ca))
    reports = report_script(configuration, known.report_address, known.report_token, known.ca_file(layout))
    return [
        *(Placed(one, PUBLIC) for one in public),
        *(Placed(one, PRIVATE) for one in private),
        Placed(backup_script(configuration), EXECUTABLE),
        *([Placed(promotion_script(configuration), EXECUTABLE)] if configuration.follows else ()),
        Placed(reports, EXECUTABLE),
        *_drills(configuration, known),
        Placed(File(layout.undo, undo_script(configuration)), ROOT_S),
    ]


def _drills(configuration: Configuration, known: Known) -> list[Placed]:
    """Return what restore drills and verifications need, where the node has any to do."""
    if not (drills := configuration.drills):
        return []
    script = drill_script(drills, known.drill_address, known.report_token, known.ca_file(configuration.layout))
    return [*(Placed(one, PRIVATE) for one in drills.configurations()), Placed(script, EXECUTABLE)]


def setup_script(configuration: Configuration, known: Known) -> str:
    """Return the script; it holds secrets."""
    placed = files(configuration, known)
    title = f"{configuration.cluster}, node {configuration.node}: run as root on the node. It holds secrets."
    return _script(configuration, title, _checks(configuration, known, placed), _changes(configuration, placed))


def check_script(configuration: Configuration, known: Known) -> str:
    """Return a script that only looks, as the other one with --check does; of files it has the digests, no secrets."""
    title = f"{configuration.cluster}, node {configuration.node}: says what its set-up would do, and changes nothing."
    checks = _checks(configuration, known, files(configuration, known))
    return _script(configuration, title, ("mode=check", *checks), ())


def _script(configuration: Configuration, title: str, checks: Iterable[str], changes: Iterable[str]) -> str:
    functions = "".join((FUNCTIONS, earlier.FUNCTIONS)).replace("TIMERS", _timers(configuration))
    for name, value in (("MACHINE", MACHINE), ("CRON", CRON), ("ROTATION", ROTATION)):
        functions = functions.replace(name, value)
    return guest_script(configuration, title, checks, changes, functions=f"{functions}{UNDO}", options=OPTIONS)


def _timers(configuration: Configuration) -> str:
    return configuration.layout.script(configuration.node, "timers")


def _has_timers(configuration: Configuration) -> str:
    """Return the test for timers: beside them a crontab would begin each backup twice."""
    return f"is_there {configuration.layout.unit('report')}.timer"


def _checks(configuration: Configuration, known: Known, placed: Sequence[Placed]) -> Iterator[str]:
    layout = configuration.layout
    yield 'if [ "$mode" = undo ]; then'
    yield from undo_lines(configuration)
    yield "fi"
    yield from version_check(configuration)
    yield from _identity(configuration, known)
    yield from earlier.checks(configuration)
    yield "look_at_our_folder"
    yield from (f"look_at_user_s {folder}" for folder in (layout.logs, layout.spool))
    yield from (one.look for one in placed)
    yield "look_at_leftovers $ours/"
    yield f"look_at_rotation {layout.rotation}"
    yield from _schedule_checks(configuration)
    yield from _archiving(configuration)
    yield "look_at_earlier_files"
    yield f"look_for_programs {' '.join(sorted({layout.psql(one.postgresql) for one in configuration.stanzas}))}"
    if known.added:
        lines = "\n".join(("", *(f"  {one}" for one in preparation(configuration))))
        said = f"{' and '.join(known.added)}: no WAL leaves this node until you have run{lines}"
        yield f"note {shlex.quote(said)}"
    yield "decide"


def _schedule_checks(configuration: Configuration) -> Iterator[str]:
    crontab = Placed(schedule_files.crontab(configuration), PUBLIC)
    units = [Placed(one, PUBLIC) for one in schedule_files.units(configuration)]
    differs = " || ".join(one.differs for one in units)
    yield f"if {_has_timers(configuration)}; then"
    yield f'  wanted="$wanted {" ".join(one.file.path for one in units)} "'
    yield f'  if {differs} || [ -n "$(leftovers {configuration.layout.unit("")})" ]; then'
    yield f'    note "Timers make the backups here, and their schedule has changed: run {_timers(configuration)} too."'
    yield "  fi"
    yield "else"
    yield f"  {crontab.look.replace('look ', 'look_at_crontab ', 1)}"
    yield "fi"


def _changes(configuration: Configuration, placed: Sequence[Placed]) -> Iterator[str]:
    layout = configuration.layout
    yield "make_our_folder"
    yield f"for one in {layout.logs} {layout.spool}; do make_user_s $one; done"
    yield from (line for one in placed for line in one.put)
    yield f"put_rotation {layout.rotation}"
    yield f"if ! {_has_timers(configuration)} && is_folder {CRON}; then"
    yield from Placed(schedule_files.crontab(configuration), PUBLIC).put
    yield "fi"
    yield "remove_earlier"
    yield "remove_leftovers $ours/"
    yield 'done_with_it "its files"'


def _archiving(configuration: Configuration) -> Iterator[str]:
    layout = configuration.layout
    for one in configuration.stanzas:
        facts = f"{layout.psql(one.postgresql)} {one.port} {shlex.quote(one.data_directory)}"
        yield f"look_at_archiving {facts} {shlex.quote(f'{layout.pgbackrest} --stanza={one.name} archive-push %p')}"


def _identity(configuration: Configuration, known: Known) -> list[str]:
    """Return the lines that refuse another machine than the node's, and another database, as far as it reported."""
    name = configuration.node
    return [
        *([f"same_machine {known.machine}"] if known.machine else []),
        *(
            f"same_database {shlex.quote(one.data_directory)} {known.system_ids[one.name]} '{one.name} on {name}'"
            for one in configuration.stanzas
            if one.name in known.system_ids
        ),
    ]
