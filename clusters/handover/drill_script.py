"""The script that tries restores on a machine, verifies repositories, and tells the console what came of it. Pure.

`drill.sh PLAN` does what one plan says, one job after the other. A restore goes into a folder that the run has made and
marked, with archiving off, no TCP, nothing preloaded and no subscriptions, so that the copy reaches nobody and nobody
reaches it; the folder goes again whatever happens, at the next run where this one was killed.

The checks run as a role that is made in the copy, may read all tables, and is no superuser: else whoever enters SQL in
the console could have PostgreSQL run programs here. `clusters.drills.report` reads what the script sends, at the begin
and at the end of each job; what does not get through waits in `layout.drills`, and is sent before the next job.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from clusters.handover.report_script import FUNCTIONS as REPORTING
from clusters.handover.report_script import PYTHON, SEND
from clusters.pgbackrest.drill import CHECK_SECONDS, VERIFY, Drills, Plan
from clusters.pgbackrest.layout import File
from clusters.pgbackrest.root_script import MACHINE

SWEEP = "sweep"  # in place of a plan: only take away what runs that were killed have left
MARK = ".storekeeper-drill"  # in a folder that a run has made: whose it is
PORT = 5433  # part of the socket's name; nothing listens on TCP

GRANTS = """DO $$
DECLARE one name;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'storekeeper_drill') THEN
    CREATE ROLE storekeeper_drill LOGIN NOSUPERUSER BYPASSRLS;
  END IF;
  FOR one IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' LOOP
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO storekeeper_drill', one);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO storekeeper_drill', one);
    EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO storekeeper_drill', one);
  END LOOP;
END $$"""
FACTS = """SELECT (SELECT system_identifier FROM pg_control_system()), coalesce(pg_last_wal_replay_lsn()::text, ''),
  coalesce(floor(extract(epoch FROM pg_last_xact_replay_timestamp()))::bigint::text, ''),
  current_setting('server_version_num')"""

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
  for pause in 5 30 ''; do
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
  [ ! -e "$1" ] || say "A report waits for the next run: the console answered ${status:-nothing}. $(cat "$folder/why")"
  rm -rf "$folder"
}

deliver_earlier() {
  find "$state/unsent" -type f -mtime +30 -delete 2>/dev/null
  for earlier in $(ls "$state/unsent" 2>/dev/null | head -n 100); do deliver "$state/unsent/$earlier"; done
}

# The folder in which copies are made: the user's own, with nothing else in it

remove_copy() { # FOLDER that a run has made
  if [ -s "$1/data/postmaster.pid" ]; then
    for ctl in /usr/lib/postgresql/*/bin/pg_ctl /usr/pgsql-*/bin/pg_ctl "$(pg_config --bindir 2>/dev/null)/pg_ctl"; do
      [ ! -x "$ctl" ] || "$ctl" -D "$1/data" -m immediate -w -t 60 stop > /dev/null 2>&1 && break
    done
  fi
  rm -rf "$1"
}

sweep() { # PLACE
  for left in "$1"/run.??????????; do
    [ -d "$left" ] && [ ! -L "$left" ] && [ "$(cat "$left/MARK" 2>/dev/null)" = "$identity" ] || continue
    remove_copy "$left"
  done
  rmdir "$1" 2>/dev/null
}

make_work() {
  mkdir -m 700 "$place" 2>/dev/null
  [ -n "$(find "$place" -prune -type d -user "$(id -un)" ! -perm -020 ! -perm -002 2>/dev/null)" ] ||
    { fail "$place has to be a folder of the user $(id -un) that nobody else may write to, and no link."; return; }
  work=$(mktemp -d "$place/run.XXXXXXXXXX") || { work=; fail "In $place no folder can be made."; return; }
  printf '%s\n' "$identity" > "$work/MARK" && mkdir "$work/data" "$work/tablespaces" ||
    fail "In $place nothing can be written."
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

settings() { # what has to be as large as where the backup was made
  "$bin/pg_controldata" -D "$work/data" | sed -n \
    -e 's/^max_connections setting: */max_connections = /p' \
    -e 's/^max_worker_processes setting: */max_worker_processes = /p' \
    -e 's/^max_wal_senders setting: */max_wal_senders = /p' \
    -e 's/^max_prepared_xacts setting: */max_prepared_transactions = /p' \
    -e 's/^max_locks_per_xact setting: */max_locks_per_transaction = /p'
}

configure() { # the copy archives nothing, follows nobody, and runs nothing by itself
  echo 'local all all trust' > "$work/pg_hba.conf" # the socket is in a folder that only this user can enter
  : > "$work/pg_ident.conf"
  settings > "$work/postgresql.conf"
  cat >> "$work/data/postgresql.auto.conf" <<END
data_directory = '$work/data'
hba_file = '$work/pg_hba.conf'
ident_file = '$work/pg_ident.conf'
port = PORT
listen_addresses = ''
unix_socket_directories = '$work'
unix_socket_permissions = 0700
external_pid_file = ''
archive_mode = 'off'
archive_command = ''
primary_conninfo = ''
primary_slot_name = ''
synchronous_standby_names = ''
max_logical_replication_workers = 0
shared_preload_libraries = ''
session_preload_libraries = ''
local_preload_libraries = ''
autovacuum = 'off'
hot_standby = 'on'
ssl = 'off'
event_source = 'drill'
shared_buffers = '64MB'
huge_pages = 'off'
max_wal_size = '256MB'
logging_collector = 'off'
log_destination = 'stderr'
log_min_messages = 'warning'
END
}

asked() { # PSQL's arguments: as the copy's administrator
  in_time "$bin/psql" -XAtqw -v ON_ERROR_STOP=1 -h "$work" -p PORT "$@" < /dev/null 2>> "$work/said"
}

recover() {
  in_time "$bin/pg_ctl" -D "$work/data" -w -t "$(time_left)" -s -l "$work/log" \
    -o "-c config_file=$work/postgresql.conf" start > "$work/said" 2>&1 9>&- ||
    { fail "PostgreSQL did not start: $(cat "$work/log" "$work/said" | last_error)"; return; }
  while :; do
    case $(asked -d postgres -c 'SELECT pg_is_in_recovery()') in f) return 0 ;; esac
    if [ -n "$stopped" ] || [ "$(time_left)" -le 0 ] ||
      ! "$bin/pg_ctl" -D "$work/data" status > /dev/null 2>&1; then
      fail "Recovery failed: $(last_error < "$work/log")"
      return
    fi
    sleep 1
  done
}

facts() { # what the copy says of itself: it was opened, and these are not to be known without that
  set -- $(asked -d postgres -F ' ' -c "FACTS")
  system_id=${1:-} lsn=${2:-} restored_to=${3:-} version=${4:-}
  [ $# != 3 ] || version=$3 restored_to=
  [ -n "$restored_to" ] || restored_to=$complete
  # A copy begins a timeline of its own: the one it came from stands in its history.
  history=$(ls "$work"/data/pg_wal/*.history 2>/dev/null | tail -n 1)
  timeline=$(awk 'NF > 1 { found = $1 } END { print found }' "${history:-/dev/null}")
  opened=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]*\))$/\1/p' "$work/data/backup_label.old" 2>/dev/null)
}

check() { # NUMBER SQL ANSWER
  said=$(PGOPTIONS="-c statement_timeout=CHECK_SECONDSs -c default_transaction_read_only=on" \
    timeout --foreground -k 5 $((CHECK_SECONDS + 10)) "$bin/psql" -XAtqw -v ON_ERROR_STOP=1 -h "$work" -p PORT \
    -U storekeeper_drill -d "$database" -c "$2" < /dev/null 2> "$work/said" | head -c 1000)
  if [ -s "$work/said" ]; then
    passed=false why="It failed: $(last_error < "$work/said")"
  elif [ "$said" = "$3" ]; then
    passed=true why=
  else
    passed=false why="It answered: $said"
  fi
  [ "$passed" = true ] || fail "Check $1 did not pass. $(printf '%s' "$why" | tr -s '[:cntrl:]' ' ' | cut -c 1-200)"
  results="$results,{\"number\":$1,\"ok\":$passed,\"said\":$(printf '%s' "$why" | text)}"
}

amcheck() {
  [ -x "$bin/pg_amcheck" ] || { checked=absent; return 0; }
  if in_time "$bin/pg_amcheck" -w -h "$work" -p PORT --all --install-missing > "$work/said" 2>&1; then
    checked=passed
  elif grep -q 'extension "amcheck" is not available' "$work/said"; then
    checked=absent
  else
    checked=failed
    fail "pg_amcheck: $(head -n 3 "$work/said" | tr -s '[:cntrl:]' ' ' | cut -c 1-250)"
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
    asked -d "$database" -c "$grants" || { fail "Database $database: $(last_error < "$work/said")"; return; }
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
  report begin ''
  "$what" || ok=false
  [ "$ok" = true ] || [ -n "$words" ] || words='It failed, and nothing says why.'
  ended=$(date +%s)
  [ -z "$work" ] || remove_copy "$work"
  [ "$what" = verify ] || rmdir "$place" 2>/dev/null
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
        "LC_ALL=C PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=10",
        "PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin",
        "export LC_ALL PGCLIENTENCODING PGCONNECT_TIMEOUT PATH",
        "unset PGOPTIONS PGUSER PGDATABASE PGHOST PGPORT PGDATA PGSERVICE",
        f"ours={layout.folder} state={layout.drills} ca={ca_file}",
        f"identity={shlex.quote(layout.prefix or layout.cluster)}",
        f"address={shlex.quote(address)}",
        f"python={shlex.quote(PYTHON)}",
        f"grants={shlex.quote(GRANTS)}",
        f"token() {{ echo {shlex.quote(token)}; }}",
        "stopped= result=0",
    ]
    body = FUNCTIONS.replace("MARK", MARK).replace("$(MACHINE)", f"$({MACHINE})").replace("LISTED", LISTED)
    body = body.replace("FACTS", FACTS).replace("CHECK_SECONDS", str(CHECK_SECONDS)).replace("PORT", str(PORT))
    cases = ["plan=${1:-}", '[ "$#" = 1 ] || plan=', "case $plan in"]
    for plan in drills.plans:
        cases += [f"  {plan.id})", *(f"    {line}" for line in _plan(plan)), "    ;;"]
    cases += [
        f"  {SWEEP})",
        f'    for place in {places}; do sweep "$place"; done',
        "    exit 0",
        "    ;;",
        "  *)",
        f"    echo 'Usage: {layout.drill} {'|'.join(str(plan.id) for plan in drills.plans)}|{SWEEP}' >&2",
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
