"""How everything that our scripts have put on a machine is taken back, and nothing else. Pure.

The set-up script does it with `--undo`, and leaves a script that does: a removed node's is handed out no more.

The schedule goes first, the list of what is ours last, so that a run that was broken off can be run again. Logs stay,
as they may be what somebody is looking for; the spool goes, which says only what was archived and by now is nobody's.
"""

from __future__ import annotations

import shlex

from clusters.handover.drill_script import SWEEP
from clusters.handover.guest import guest_script
from clusters.handover.steps import stop_archiving
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import UNITS

FUNCTIONS = r"""
begin_undo() {
  sweep
  if ! is_file "$installed"; then
    echo "Storekeeper: nothing of $node is here, and nothing was changed."
    exit 0
  fi
  look_at_our_folder
}

# WAL that PostgreSQL cannot archive fills its disk.
no_archiving() { # PSQL PORT DATA_DIRECTORY, and what stops it
  archives=$(as_user timeout 10 "$1" -XAtwq -p "$2" -d postgres -c 'SHOW archive_command' 2>/dev/null < /dev/null) ||
    archives=
  found=$(as_user timeout 10 grep -lsE -- "^[^#]*--config=$ours/" "$3/postgresql.auto.conf" "$3/postgresql.conf" \
    /etc/postgresql/*/*/postgresql.conf /etc/postgresql/*/*/conf.d/*.conf < /dev/null | head -n 1) || found=
  case $archives in
    *"--config=$ours/"*) ;;
    *) [ -n "$found" ] || return 0 ;;
  esac
  refuse "The PostgreSQL on port $2 archives with $ours/pgbackrest.conf${found:+ ($found names it)}. Have it stop, \
then run this again: $4"
}

undo() {
  timers=
  for path in $(leftovers UNITS/); do
    case $path in *.timer) timers="$timers ${path##*/}" ;; esac
  done
  [ -z "$timers" ] || systemctl disable --now $timers
  for path in $(leftovers /); do remove "$path"; done
  rm -f "$ours/to-reload"
  ! grep -q '  UNITS/' "$installed" || systemctl daemon-reload
  ! { made_by_us "$spool" && is_folder "$spool" -user "$user"; } || as_user find "$spool" -mindepth 1 -delete
  sed -n 's/^folder  //p' "$installed" | sort -ru | while IFS= read -r path; do
    case $path in "$etc" | "$ours") continue ;; esac
    if is_folder "${path%/*}" -user "$user"; then
      as_user rmdir "$path" 2>/dev/null || :
    else
      rmdir "$path" 2>/dev/null || :
    fi
  done
  [ ! -d "$logs" ] || echo "  Logs stay in $logs."
  if [ "$(ls -A "$ours")" = "${installed##*/}" ]; then
    # All at once: a folder without its list would be somebody else's.
    whole=$ours
    ! grep -qxF "folder  $etc" "$installed" || [ "$(ls -A "$etc")" != "${ours##*/}" ] || whole=$etc
    scratch=$(mktemp -d "${whole%/*}/.storekeeper-$called.XXXXXXXXXX")
    mv -T "$whole" "$scratch"
    rm -rf "$scratch"
  else
    echo "  $ours stays: it has what somebody has changed or put there."
  fi
  echo "Storekeeper: nothing of $node is at work here any more."
  exit 0
}
""".replace("UNITS", UNITS)


def undo_lines(configuration: Configuration) -> list[str]:
    """Return the lines that refuse while PostgreSQL archives with our configuration, and take everything back."""
    layout, lines = configuration.layout, ["begin_undo"]
    for one in configuration.stanzas:
        stop = shlex.quote(stop_archiving(configuration, one))
        facts = f"{layout.psql(one.postgresql)} {one.port} {shlex.quote(one.data_directory)}"
        lines.append(f"no_archiving {facts} {stop}")
    if configuration.drills:  # what a drill that was killed has left
        lines.append(f"! is_file {layout.drill} || as_user {layout.drill} {SWEEP} || :")
    return [f"  {line}" for line in (*lines, "undo")]


def undo_script(configuration: Configuration) -> str:
    """Return the script that does this alone; it holds no secret."""
    title = f"{configuration.cluster}, node {configuration.node}: takes back what its set-up script has put here."
    return guest_script(configuration, title, undo_lines(configuration), (), functions=FUNCTIONS, options=None)
