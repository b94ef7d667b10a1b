"""The script that tries restores on a machine, verifies repositories, and tells the console what came of it. Pure.

`drill.sh PLAN` does what one plan says, one job after the other. A restore goes into a folder that the run has made and
marked, with archiving off, no TCP, nothing preloaded and no subscriptions, so that the copy reaches nobody and nobody
reaches it; the folder goes again whatever happens, at the next run where this one was killed.

The checks run as a role that is made in the copy, may read all tables, and is no superuser: else whoever enters SQL in
the console could have PostgreSQL run programs here. `clusters.drills.report` reads what the script sends, at the begin
and at the end of each job. What does not get through waits in `layout.drills`. `drill.sh deliver`, which the machine
runs every few minutes, sends it as soon as the console answers, and does nothing where nothing waits.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from clusters.handover.drill_copy import FACTS, GRANTS, TRUSTED
from clusters.handover.drill_copy import FUNCTIONS as COPY
from clusters.handover.report_script import FUNCTIONS as REPORTING
from clusters.handover.report_script import PYTHON, SEND
from clusters.pgbackrest.drill import CHECK_SECONDS, DELIVER, VERIFY, Drills, Plan
from clusters.pgbackrest.layout import File
from clusters.pgbackrest.root_script import MACHINE

SWEEP = "sweep"  # in place of a plan: only take away what runs that were killed have left
MARK = ".storekeeper-drill"  # in a folder that a run has made: whose it is
PORT = 5433  # part of the socket's name; nothing listens on TCP

# One line for each backup of pgBackRest's list as JSON, whose keys are in alphabetical order: label, first segment,
# database's number, size in bytes, LSN of start and stop, and when it was complete.
LISTED = (
    r's/^"archive":{"start":"\([0-9A-F]*\)".*"database":{"id":\([0-9]*\),.*"repository":{[^}]*},"size":\([0-9]*\)}'
    r'.*"label":"\([0-9FDI_-]*\)".*"lsn":{"start":"\([0-9A-F/]*\)","stop":"\([0-9A-F/]*\)"}'
    r'.*"timestamp":{"start":[0-9]*,"stop":\([0-9]*\)}.*/\4 \1 \2 \3 \5 \6 \7/p'
)

FUNCTIONS = r"""
say() { echo "drill.sh: $1" >&2; }

time_left() { echo $((begun + seconds - $(date +%s))); }

fail() { # WORDS: the first that goes wrong is what is reported
  if [ -n "$words" ]; then
    return 1
  elif [ -n "$stopped" ]; then
    words='It was stopped by a signal, as at a shutdown.'
  elif [ "$(time_left)" -le 0 ]; then
    words="It was not done within $((seconds / 3600)) hours."
  else
    words=$1
  fi
  return 1
}

in_time() { # COMMAND, until the job's time is over
  left=$(time_left)
  [ "$left" -gt 0 ] || return 124
  timeout --foreground -k 60 "$left" "$@"
}

last_error() { # of what was printed
  LC_ALL=C awk '
    /ERROR: |FATAL: |PANIC: / { error = 1; found = ""; sub(/^.*(ERROR|FATAL|PANIC): */, "&"); sub(/^.*: \[/, "[") }
    NF { $1 = $1; found = (error ? found " " : " ") $0 }
    END { sub(/^ /, "", found); print found }' | cut -c 1-300
}

from_repository() { # pgBackRest's options and its command; what it says goes to $work_said
  in_time pgbackrest --config="$configuration" --stanza="$stanza" --repo="$repository" "$@"
}

# Reports

report() { # EVENT, and the rest of the object of JSON
  mkdir -p "$state/unsent" || return
  body=$state/unsent/$begun-$run.$1
  printf '"version":1,"event":"%s","run":"%s","plan":%s,"what":"%s","digest":"%s","machine":"%s","node":"%s",' \
    "$1" "$run" "$plan" "$what" "$digest" "$(MACHINE)" "$node" > "$body" &&
    printf '"stanza":"%s","repository":%s,"begun":%s%s}' "$stanza" "$repository" "$begun" "$2" >> "$body"
  deliver "$body"
}

deliver() { # FILE
  folder=$(mktemp -d) || return
  for pause in $pauses ''; do
    { printf '{"sent":%s,' "$(date +%s)"; cat "$1"; } > "$folder/body"
    rm -f "$folder/answer"
    status=$(send 2>"$folder/why")
    case $status in
      2??) rm -f "$1"; break ;;
      400 | 404 | 409 | 410 | 413 | 422)
        say "The console did not take a report: $(head -c 300 "$folder/answer" | tr -s '\n' ' ')"
        rm -f "$1"
        break
        ;;
    esac
    case ${1##*.} in begin) break ;; esac
    [ -n "$pause" ] && [ -z "$stopped" ] || break
    sleep "$pause"
  done
  [ ! -e "$1" ] || [ -z "$pauses" ] ||
    say "A report waits until the console takes it. It answered ${status:-nothing}. $(cat "$folder/why")"
  rm -rf "$folder"
}

deliver_earlier() {
  find "$state/unsent" -type f -mtime +30 -delete 2>/dev/null
  for earlier in $(ls "$state/unsent" 2>/dev/null | head -n 100); do
    deliver "$state/unsent/$earlier"
    [ ! -e "$state/unsent/$earlier" ] || break # nor will it take the others
  done
}

deliver_waiting() { # each of them once, in silence: it comes again in a few minutes
  [ -n "$(ls "$state/unsent" 2>/dev/null)" ] || exit 0
  exec 9>>"$state/running" || exit
  flock -n 9 || exit 0 # a drill is at work, which sends its own
  pauses=
  deliver_earlier
  exit 0
}

has_room() { # BYTES that the database takes; a tenth more for what recovery writes
  needed=$(($1 + $1 / 10 + keep_free))
  there=$(free "$work")
  [ "$there" = null ] || [ "$there" -ge "$needed" ] ||
    fail "There is no room: the copy takes $(($1 * 11 / 10 / 1048576)) MiB, $((keep_free / 1048576)) MiB are to stay \
free, and $place has $((there / 1048576)) MiB."
}

# A restore

find_programs() { # MAJOR
  for bin in "/usr/lib/postgresql/$1/bin" "/usr/pgsql-$1/bin" "$(pg_config --bindir 2>/dev/null)"; do
    ! "$bin/postgres" --version 2>/dev/null | grep -Eq " $1([.a-z ]|\$)" || return 0
  done
  fail "PostgreSQL $1 is not installed here, and this backup needs it."
}

random() { # BELOW: a number from 0
  echo $(($(od -An -tu4 -N4 /dev/urandom) * 1073741824 + $(od -An -tu4 -N4 /dev/urandom) / 4)) |
    awk -v below="$1" '{ printf "%.0f", $1 % below }'
}

position() { # LSN as a number
  echo $((0x${1%/*} * 4294967296 + 0x${1#*/}))
}

choose() { # sets label, first, size, complete and target
  said=$(from_repository --output=json info 2>&1) || { fail "$(printf '%s\n' "$said" | last_error)"; return; }
  listed=$(printf '%s\n' "$said" | sed 's/"archive":{"start":/\n&/g' | sed -n 'LISTED')
  current=$(printf '%s\n' "$listed" | tail -n 1 | cut -d ' ' -f 3)
  listed=$(printf '%s\n' "$listed" | awk -v id="$current" '$3 == id')
  if [ -z "$listed" ]; then # as with another passphrase, or without the stanza
    why=$(printf '%s\n' "$said" | sed -n 's/.*"key":[0-9]*,"status":{"code":[0-9]*,"message":"\([^"\\]*\).*/\1/p')
    fail "No backup of $stanza can be read in the repository: $(printf '%s' "$why" | tr -cd '[:print:]' | cut -c 1-300)"
    return
  fi
  number=$(printf '%s\n' "$listed" | wc -l)
  [ "$kind" = newest ] || number=$(($(random "$number") + 1))
  after=$(printf '%s\n' "$listed" | sed -n "$((number + 1))p")
  set -- $(printf '%s\n' "$listed" | sed -n "${number}p")
  label=$1 first=$2 size=$4 ends=$6 complete=$7 target=
  [ "$kind" = random ] || return 0
  set -- $after
  # Between two backups of one timeline there is WAL at each position.
  if [ $# = 7 ] && [ "$(printf %.8s "$first")" = "$(printf %.8s "$2")" ]; then
    from=$(position "$ends") to=$(position "$5")
    [ "$to" -le "$from" ] || from=$((from + $(random $((to - from)))))
    target=$(printf '%X/%X' $((from / 4294967296)) $((from % 4294967296)))
  fi
}

restore() {
  make_work && find_programs "$major" && choose && has_room "$size" || return
  set -- --set="$label" --pg1-path="$work/data" --tablespace-map-all="$work/tablespaces" --archive-mode=off
  [ -z "$target" ] || set -- "$@" --type=lsn --target="$target" --target-action=promote --target-timeline=current
  said=$(from_repository "$@" restore 2>&1) ||
    { fail "The restore failed: $(printf '%s\n' "$said" | last_error)"; return; }
  restored=$(date +%s)
  configure || { fail "In $place nothing can be written."; return; }
  recover || return
  recovered=$(date +%s)
  facts
  if has_checks; then
    give_rights || return
  fi
  checks
  [ "$amchecked" = false ] || amcheck
  tested=$(date +%s)
  [ -z "$words" ]
}

verify() { # it ends with 0 also where it has found something, so its own word counts; that it says only if --verbose
  said=$(from_repository --output=text --verbose verify 2>&1) ||
    { fail "It failed: $(printf '%s\n' "$said" | last_error)"; return; }
  tested=$(date +%s)
  case $said in
    *'status: ok'*) return 0 ;;
    *'status: error'*) ;;
    *) fail "It said nothing that is known: $(printf '%s' "$said" | tr -s '[:cntrl:]' ' ' | cut -c 1-200)"; return ;;
  esac
  fail "$(printf '%s\n' "$said" | awk '
    function add(text) { found = found (found == "" ? "" : "; ") text }
    /No usable/ { $1 = $1; add($0) }
    /archiveId: |backup: / { where = $1 == "backup:" ? "backup " $2 : "the archive " $2; sub(/,$/, "", where); next }
    /^    / {
      count = split($0, parts, ",")
      for (at = 1; at <= count; at++) {
        gsub(/^ +| +$/, "", parts[at])
        if (parts[at] !~ /: 0$/) add(parts[at] " in " where)
      }
    }
    END { print found == "" ? "Something is wrong in the repository; verify says no more." : found }' | cut -c 1-600)"
}

took() { # FROM TO: seconds
  if [ -n "$1" ] && [ -n "$2" ]; then echo $(($2 - $1)); else echo null; fi
}

job() { # FOLDER STANZA REPOSITORY MAJOR
  [ -z "$stopped" ] || return
  node=$1 stanza=$2 repository=$3 major=$4 configuration=$ours/drill-$1.conf
  words= work= label= first= size= target= complete= restored= recovered= tested= results= checked=off
  system_id= lsn= restored_to= version= timeline= opened= ok=true
  begun=$(date +%s)
  run=$(od -An -tx1 -N16 /dev/urandom | tr -d ' \n')
  role=storekeeper_drill_$run
  report begin ''
  "$what" || ok=false
  [ "$ok" = true ] || [ -n "$words" ] || words='It failed, and nothing says why.'
  ended=$(date +%s)
  [ -z "$work" ] || { remove_copy "$work"; rmdir "$place" 2>/dev/null; }
  since=$begun
  report end ",\"ended\":$ended,\"ok\":$ok,\"words\":$(printf '%s' "$words" | long_text),\"label\":\"$label\",\
\"first_wal\":\"$opened\",\"target\":\"$target\",\"system_id\":\"$system_id\",\"timeline\":$(number "$timeline"),\
\"lsn\":\"$lsn\",\"restored_to\":$(number "$restored_to"),\"postgresql\":$(number "$version"),\
\"size\":$(number "$size"),\"restore_seconds\":$(took "$begun" "$restored"),\
\"recovery_seconds\":$(took "$restored" "$recovered"),\"check_seconds\":$(took "${recovered:-$since}" "$tested"),\
\"amcheck\":\"$checked\",\"checks\":[${results#,}]"
  [ "$ok" = true ] || { result=1; say "$what of $stanza of $node in repository $repository: $words"; }
}

long_text() { # as text(), of what is longer
  printf '"%s"' "$(head -c 2400 | tr -s '\000-\037\177-\377' ' ' | cut -c 1-600 | sed 's/ *$//; s/[\\"]/\\&/g')"
}

main() {
  cd / || exit
  [ "$plan" != DELIVER ] || deliver_waiting
  renice -n 19 -p $$ > /dev/null 2>&1 # whatever else is to be done here goes first
  ionice -c 3 -p $$ > /dev/null 2>&1
  mkdir -p "$state" || exit
  exec 9>>"$state/running" || exit
  flock -w "$seconds" 9 || { say "Another drill has not ended in time."; exit 75; }
  trap 'stopped=yes' HUP INT TERM
  deliver_earlier
  sweep "$place"
  jobs
  exit "$result"
}
"""


def drill_script(drills: Drills, address: str, token: str, ca_file: str = "") -> File:
    """Return the script that reports at that address; it holds the token.

    `ca_file` is where the machine keeps the certificate that the console's is checked against; "" for the system's.
    """
    layout = drills.layout
    places = " ".join(shlex.quote(one) for one in dict.fromkeys(plan.place for plan in drills.plans if plan.place))
    head = [
        "#!/bin/sh",
        "# Tries restores and verifies repositories, as the console plans it, and says there what came of it.",
        f"# It holds a token. {layout.drill} PLAN does what one plan says.",
        "set -u",
        "umask 077",
        "# Whatever somebody's environment says of servers and repositories is not for what we ask.",
        r"unset $(env | sed -n 's/^\(PG[A-Z0-9_]*\)=.*/\1/p')",
        "LC_ALL=C PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=10",
        "PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin",
        "export LC_ALL PGCLIENTENCODING PGCONNECT_TIMEOUT PATH",
        f"ours={layout.folder} state={layout.drills} ca={ca_file}",
        f"identity={shlex.quote(f'{layout.prefix} {layout.cluster}'.strip())}",
        f"address={shlex.quote(address)}",
        f"python={shlex.quote(PYTHON)}",
        f"trusted={shlex.quote(TRUSTED)}",
        f"grants={shlex.quote(GRANTS)}",
        f"token() {{ echo {shlex.quote(token)}; }}",
        "stopped= result=0 pauses='5 30'",
    ]
    body = (COPY + FUNCTIONS).replace("MARK", MARK).replace("$(MACHINE)", f"$({MACHINE})").replace("LISTED", LISTED)
    body = body.replace("FACTS", FACTS).replace("DELIVER", DELIVER)
    body = body.replace("CHECK_SECONDS", str(CHECK_SECONDS)).replace("PORT", str(PORT))
    cases = ["plan=${1:-}", '[ "$#" = 1 ] || plan=', "case $plan in"]
    for plan in drills.plans:
        cases += [f"  {plan.id})", *(f"    {line}" for line in _plan(plan)), "    ;;"]
    cases += [
        f"  {SWEEP})",
        f'    for place in {places}; do sweep "$place"; done',
        "    exit 0",
        "    ;;",
        f"  {DELIVER}) ;;",
        "  *)",
        f"    echo 'Usage: {layout.drill} {'|'.join(str(plan.id) for plan in drills.plans)}|{SWEEP}|{DELIVER}' >&2",
        "    exit 64",
        "    ;;",
        "esac",
        f'[ "$(id -un)" = {layout.user} ] || {{',
        f"  echo 'drill.sh: Run it as {layout.user}: {layout.as_user(layout.drill)} PLAN' >&2",
        "  exit 1",
        "}",
        "main",
        "",
    ]
    return File(layout.drill, "\n".join(head) + REPORTING + SEND + body + "\n" + "\n".join(cases))


def _plan(plan: Plan) -> Iterator[str]:
    yield f"what={plan.what} kind={plan.kind} digest={plan.digest} seconds={plan.seconds}"
    yield f"place={shlex.quote(plan.place)} keep_free={plan.keep_free} database={shlex.quote(plan.database)}"
    yield f"amchecked={'true' if plan.is_amchecked and plan.what != VERIFY else 'false'}"
    yield f"has_checks() {{ {'true' if plan.checks else 'false'}; }}"
    yield "checks() {"
    for number, one in enumerate(plan.checks, 1):
        yield f"  check {number} {shlex.quote(one.sql)} {shlex.quote(one.answer)}"
    yield "  :"
    yield "}"
    yield "jobs() {"
    for job in plan.jobs:
        yield f"  job {job.folder} {job.stanza} {job.repository} {job.postgresql}"
    yield "  :"
    yield "}"
