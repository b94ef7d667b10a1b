"""The script that cron and the timers run on a node: one kind of backup of one stanza, in each repository. Pure.

A stanza takes one backup at a time (pgBackRest's second ends with error 050), so a run waits for the one before it. The
wait is a lock of the kernel's: a machine that is switched off, or a script that is killed, leaves none behind.

What became of a run stands in one file for each stanza, kind and repository, below `layout.runs`, named
`STANZA.KIND.REPOSITORY`: one line, replaced as a whole, of these fields with a tab between them:

    stanza  kind (full, diff, incr, expire)  repository number  begun (epoch)  ended (epoch)  exit code  last error

While it runs, and until the next run if the machine was switched off meanwhile, the fields after `begun` are empty. The
error is pgBackRest's, at most 200 printable ASCII characters, and empty after a success. Of the files there, only these
end in a dot and a number.
"""

from __future__ import annotations

from clusters.handover.backup_from import is_to_back_up
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import File

EXPIRE = "expire"  # the kind of run that expires backups in repositories that the node has left
LOCK_HELD = 50  # what pgBackRest ends with while another of its processes has the stanza
PATIENCE = 24 * 60 * 60  # seconds that a run waits for the one before it
PAUSE = 15  # seconds between tries, where it is no run of ours that it waits for

# Printed is what fails alone: cron mails whatever is printed. Signals are kept until pgBackRest has ended, so that its
# end is written down.
RUN = r"""
write() { # REPOSITORY BEGUN ENDED CODE ERROR
  line=$runs/$stanza.$kind.$1
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$stanza" "$kind" "$1" "$2" "$3" "$4" "$5" > "$line.new" &&
    mv -f "$line.new" "$line"
}

last_error() { # from what pgBackRest has printed: its last error, which may have several lines
  LC_ALL=C awk '
    /ERROR: / { error = 1; found = ""; sub(/^.*ERROR: /, "ERROR: ") }
    NF { $1 = $1; found = (error ? found " " : " ") $0 }
    END { print substr(found, 2) }' | LC_ALL=C tr -c '[:print:]' ' ' | cut -c 1-200 | sed 's/ *$//'
}

failed() { # CODE: the first one is what the run ends with
  [ "$result" != 0 ] || result=$1
}

run() { # REPOSITORY
  begun=$(date +%s)
  write "$1" "$begun" '' '' ''
  while :; do
    said=$(pgbackrest_for "$1" 2>&1)
    code=$?
    # A backup that was begun by hand, or a stanza that is being created.
    [ "$code" = LOCK_HELD ] && [ -z "$stopped" ] && [ "$(date +%s)" -lt "$until" ] || break
    sleep PAUSE
  done
  if [ "$code" = 0 ]; then
    write "$1" "$begun" "$(date +%s)" 0 ''
    return
  fi
  [ -z "$stopped" ] || said=${said:-It was stopped by a signal, as at a shutdown.}
  failed "$code"
  write "$1" "$begun" "$(date +%s)" "$code" "$(printf '%s\n' "$said" | last_error)"
  printf '%s: %s backup in repository %s failed with code %s:\n%s\n' "$stanza" "$kind" "$1" "$code" "$said" >&2
}

main() {
  umask 027
  mkdir -p "$runs" || exit
  # One of a kind that runs or waits is enough, as systemd has it too.
  exec 8>>"$runs/$stanza.$kind.waiting" || exit
  flock -n 8 || exit 0
  exec 9>>"$runs/$stanza.$queue" || exit
  until=$(($(date +%s) + PATIENCE))
  if ! flock -w PATIENCE 9; then
    for repository in $repositories; do
      now=$(date +%s)
      write "$repository" "$now" "$now" LOCK_HELD "ERROR: [050]: the backup before this one has not ended in a day"
    done
    echo "$stanza: no $kind backup was made, as the one before it has not ended in a day" >&2
    exit LOCK_HELD
  fi
  is_to_back_up "$stanza" || exit 0 # another host does
  trap 'stopped=yes' HUP INT TERM
  for old in "$runs/$stanza.$kind".[0-9]*; do # and none of repositories that the node writes to no more
    case " $repositories " in *" ${old##*.} "*) ;; *) rm -f "$old" ;; esac
  done
  for repository in $repositories; do
    [ -n "$stopped" ] || run "$repository"
  done
  [ -z "$stopped" ] || failed 143
  exit "$result"
}

PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin
export PATH
result=0
stopped=
main
"""


def command(configuration: Configuration, stanza: str, kind: str) -> str:
    """Return what cron and systemd run for one kind of backup of a stanza."""
    return f"{configuration.layout.backup} {stanza} {kind}"


def backup_script(configuration: Configuration) -> File:
    """Return the script; `backup.sh STANZA KIND` ends with the code of the first repository that failed."""
    layout = configuration.layout
    stanzas = "|".join(stanza.name for stanza in configuration.stanzas) or "''"
    written, left = (" ".join(str(one.number) for one in some) for some in (configuration.targets, configuration.left))
    # In place of the shell that would end on a signal without waiting for it.
    backs_up = f'exec {layout.pgbackrest} --stanza="$stanza" --repo="$1" --type="$kind" backup'
    expires = f'exec pgbackrest --config={layout.left} --stanza="$stanza" --repo="$1" expire'
    head = [
        "#!/bin/sh",
        "# Makes one kind of backup of one stanza in each repository, after the one that is being made.",
        "stanza=${1:-} kind=${2:-}",
        f"runs={layout.runs}",
        "usage() {",
        f"  echo 'Usage: {layout.backup} STANZA full|diff|incr|{EXPIRE}' >&2",
        "  exit 64",
        "}",
        f"case $stanza in {stanzas}) ;; *) usage ;; esac",
        "case $kind in",
        f"  full|diff|incr) repositories='{written}' queue=queue ;;",
        f"  {EXPIRE}) repositories='{left}' queue={EXPIRE} ;;",
        "  *) usage ;;",
        "esac",
        "",
        "pgbackrest_for() { # REPOSITORY, in a shell of its own",
        f"  if [ $kind = {EXPIRE} ]; then",
        f"    {expires}",
        "  else",
        f"    {backs_up}",
        "  fi",
        "}",
        "",
    ]
    run = RUN
    for name, value in (("LOCK_HELD", LOCK_HELD), ("PATIENCE", PATIENCE), ("PAUSE", PAUSE)):
        run = run.replace(name, str(value))
    return File(layout.backup, "\n".join(head) + is_to_back_up(configuration) + run)
