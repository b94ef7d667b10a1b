"""The files that Storekeeper once put into places that two clusters on a machine would share, and how they go. Pure.

They are known by what stands in them: the configuration by its first line, which names cluster and node; the crontab by
its own; units by their mark and by what they start. The schedule goes at once, so that nothing runs twice. The
configuration stays for as long as PostgreSQL's archive_command reads it.
"""

from __future__ import annotations

import shlex

from clusters.handover.units import MARK
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import ABOVE, CRON, UNITS

CONFIGURATION, CRONTAB, LEFT, REPORT = (
    f"{ABOVE}/pgbackrest.conf",
    f"{CRON}/pgbackrest",
    f"{ABOVE}/left.conf",
    f"{ABOVE}/report.sh",
)
LOCKS = "/tmp/pgbackrest"  # noqa: S108 - pgBackRest's lock-path where none was given

FUNCTIONS = r"""
find_earlier() { # FIRST LINE of the configuration, and of the crontab
  first=$(as_user timeout 10 head -n 1 ABOVE/pgbackrest.conf 2>/dev/null) || first=
  case $first in "$1"*) earlier=yes ;; esac
  earlier_crontab=
  if is_file CRONTAB && [ "$(head -n 1 CRONTAB)" = "$2" ]; then
    earlier_crontab=CRONTAB
    will "remove the earlier schedule CRONTAB"
  fi
  earlier_units=
  [ -n "$earlier" ] || return 0
  for unit in UNITS/pgbackrest-*.service; do
    if is_file "$unit" && [ "$(head -n 1 "$unit")" = 'MARK' ] && grep -q 'STARTS' "$unit"; then
      earlier_units="$earlier_units $unit"
      will "remove the earlier schedule ${unit%.service}"
    fi
  done
  [ -z "$earlier_units" ] || note "Timers have made the backups here: run TIMERS to have them go on."
}

# Two backups of a stanza by two configurations would not wait for each other.
no_earlier_backup() { # STANZA
  [ -n "$earlier" ] && is_there "LOCKS/$1-backup.lock" || return 0
  held=0
  as_user flock -n "LOCKS/$1-backup.lock" true 2>/dev/null || held=$?
  [ "$held" != 1 ] || refuse "A backup of $1 is being made. Run this again when it has ended."
}

# Read by PostgreSQL until its archive_command names the new one.
look_at_earlier_files() {
  [ -n "$earlier" ] || return 0
  if [ -n "$names_new" ] && [ -z "$names_other" ]; then
    will "remove the earlier CONFIGURATION and its files"
  else
    earlier=stays
    note "PostgreSQL may still read CONFIGURATION, of an earlier set-up: it stays. Change archive_command as the \
node's page says, then run this again: it removes the file."
  fi
}

remove_earlier() {
  if [ -n "$earlier_crontab" ]; then
    if grep -qvE '^(# Backups of .*|([^ ]+ ){5}postgres (pgbackrest -|ABOVE/report\.sh ).*)$' CRONTAB; then
      keep_aside CRONTAB
    else
      rm -f CRONTAB
    fi
  fi
  for unit in $earlier_units; do
    timer=${unit%.service}.timer
    systemctl disable --now "${timer##*/}"
    rm -f "$timer" "$unit"
  done
  [ -z "$earlier_units" ] || systemctl daemon-reload
  [ "$earlier" = yes ] || return 0
  # What they name is theirs. The configuration goes last: it is what all of it is known by.
  sed -n 's|^repo[0-9]*-[a-z-]*=\(ABOVE/repo[^/]*\)$|\1|p' CONFIGURATION LEFT 2>/dev/null | sort -u |
    while IFS= read -r path; do ! is_file "$path" || rm -f "$path"; done
  ! { is_file REPORT && grep -q '^# Tells Storekeeper ' REPORT; } || rm -f REPORT
  ! { is_file LEFT && head -n 1 LEFT | grep -q ': repositories that it writes to no more'; } || rm -f LEFT
  ! is_file CONFIGURATION || rm -f CONFIGURATION
}
"""
# As services of that time began what they ran.
STARTS = rf"^ExecStart=-\{{0,1\}}\(/usr/bin/pgbackrest --stanza=\|/usr/bin/pgbackrest --config={LEFT} \|{REPORT}$\)"
for _name, _value in (
    ("CONFIGURATION", CONFIGURATION),
    ("CRONTAB", CRONTAB),
    ("REPORT", REPORT),
    ("LEFT", LEFT),
    ("ABOVE", ABOVE),
    ("UNITS", UNITS),
    ("MARK", MARK),
    ("LOCKS", LOCKS),
    ("STARTS", STARTS),
):
    FUNCTIONS = FUNCTIONS.replace(_name, _value)  # TIMERS is the name of a script, which the set-up script fills in


def checks(configuration: Configuration) -> list[str]:
    """Return the lines that look whether this node's earlier files are there, before those that look at our folder."""
    cluster, node = configuration.cluster, configuration.node
    made = f"# {cluster}, node {node}: made by Storekeeper for pgBackRest "
    crontab = f"# Backups of {cluster}, by the clock of this node"
    return [
        f"find_earlier {shlex.quote(made)} {shlex.quote(crontab)}",
        *(f"no_earlier_backup {stanza.name}" for stanza in configuration.stanzas),
    ]
