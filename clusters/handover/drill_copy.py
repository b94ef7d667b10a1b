"""The drill script's part that makes, opens, asks and removes a copy. Pure.

What is in a copy was written by whoever could write to production, and PostgreSQL here runs it as a user of this
machine. So what we ask as the copy's administrator sees nothing but pg_catalog, and people's checks have another role.
"""

from __future__ import annotations

# What a session of the copy's administrator begins with: names mean what PostgreSQL means by them, whatever somebody
# has made in public or set for the database, and nothing is loaded into it.
TRUSTED = "-c search_path=pg_catalog -c session_preload_libraries= -c local_preload_libraries="

# @ is a role of the run's own, so that it cannot be one that production has, with rights of its own: then it fails.
GRANTS = """SET search_path = pg_catalog;
SET client_min_messages = error;
DO $$
DECLARE
  one pg_catalog.name;
  its pg_catalog.record;
BEGIN
  -- Else reading a foreign table would reach a live server, or run a program.
  FOR one IN SELECT fdwname FROM pg_catalog.pg_foreign_data_wrapper WHERE fdwhandler OPERATOR(pg_catalog.<>) 0 LOOP
    EXECUTE pg_catalog.format('ALTER FOREIGN DATA WRAPPER %I NO HANDLER', one);
  END LOOP;
  FOR its IN SELECT srvname, CASE umuser WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(usename) END AS who
      FROM pg_catalog.pg_user_mappings LOOP
    EXECUTE pg_catalog.format('DROP USER MAPPING FOR %s SERVER %I', its.who, its.srvname);
  END LOOP;
  -- Nobody but us: else a check could fill the disk.
  one := pg_catalog.current_database();
  EXECUTE pg_catalog.format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', one);
  EXECUTE pg_catalog.format('ALTER DATABASE %I RESET temp_file_limit', one);
  EXECUTE pg_catalog.format('ALTER DATABASE %I RESET session_preload_libraries', one);
  REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid),
    pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;
  CREATE ROLE @ LOGIN NOSUPERUSER BYPASSRLS;
  FOR one IN SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.!~) '^pg_' LOOP
    EXECUTE pg_catalog.format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', one);
    EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO @', one);
    EXECUTE pg_catalog.format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO @', one);
    EXECUTE pg_catalog.format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO @', one);
  END LOOP;
END $$"""
FACTS = """SELECT (SELECT system_identifier FROM pg_control_system()), coalesce(pg_last_wal_replay_lsn()::text, ''),
  coalesce(floor(extract(epoch FROM pg_last_xact_replay_timestamp()))::bigint::text, ''),
  current_setting('server_version_num')"""

FUNCTIONS = r"""
# The folder in which copies are made: the user's own, with nothing else in it

is_own() { # FOLDER: this user's, no link, and nobody else may write to it
  [ -n "$(find "$1" -prune -type d -user "$(id -un)" ! -perm /022 2>/dev/null)" ]
}

is_reached() { # PLACE: nobody else can put another folder where it is, by what is above it
  above=${1%/*}
  [ -n "$above" ] && [ "$(readlink -f "$above")" = "$above" ] || return
  while [ -n "$above" ]; do
    [ -n "$(find "$above" -prune -type d \( -user root -o -user "$(id -un)" \) \
      \( ! -perm /022 -o -perm -1000 \) 2>/dev/null)" ] || return
    above=${above%/*}
  done
}

is_in_data() { # PLACE: a server's own, where nobody makes or removes anything else
  within=$1
  while [ -n "$within" ]; do
    [ ! -e "$within/PG_VERSION" ] || return 0
    within=${within%/*}
  done
  return 1
}

remove_copy() { # FOLDER that a run has made
  # The process of that number may be any by now: only one that works in the copy is its server.
  pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
  if [ "$(number "$pid")" != null ] && [ "$(readlink "/proc/$pid/cwd")" = "$(readlink -f "$1")/data" ]; then
    for ctl in /usr/lib/postgresql/*/bin/pg_ctl /usr/pgsql-*/bin/pg_ctl "$(pg_config --bindir 2>/dev/null)/pg_ctl"; do
      [ -x "$ctl" ] || continue
      "$ctl" -D "$1/data" -m immediate -w -t 60 stop > /dev/null 2>&1 && break
    done
  fi
  rm -rf "$1"
}

sweep() { # PLACE
  [ -n "$1" ] && ! is_in_data "$1" && is_reached "$1" && is_own "$1" || return 0
  for left in "$1"/run.??????????; do
    is_own "$left" && [ ! -L "$left/data" ] && [ "$(cat "$left/MARK" 2>/dev/null)" = "$identity" ] || continue
    # Another plan's run holds its own, and a run that was killed does while pgBackRest still writes there.
    [ ! -f "$left/lock" ] || flock -n "$left/lock" true || continue
    remove_copy "$left"
  done
  rmdir "$1" 2>/dev/null
}

make_work() {
  ! is_in_data "$place" || { fail "$place is in the data directory of a PostgreSQL."; return; }
  is_reached "$place" ||
    { fail "Who else may write to a folder above $place could replace it, or one is a link."; return; }
  mkdir -m 700 "$place" 2>/dev/null
  is_own "$place" ||
    { fail "$place has to be a folder of the user $(id -un) that nobody else may write to, and no link."; return; }
  work=$(mktemp -d "$place/run.XXXXXXXXXX") || { work=; fail "In $place no folder can be made."; return; }
  # Locked before it is marked: a sweep takes nothing that is not. With touch, as a shell would end at a full disk.
  touch "$work/lock" && exec 8>> "$work/lock" && flock -n 8 && printf '%s\n' "$identity" > "$work/MARK" &&
    mkdir "$work/data" "$work/tablespaces" || fail "In $place nothing can be written."
}

# The copy, once it is restored

settings() { # what has to be as large as where the backup was made
  "$bin/pg_controldata" -D "$work/data" | sed -n \
    -e 's/^max_connections setting: */max_connections = /p' \
    -e 's/^max_worker_processes setting: */max_worker_processes = /p' \
    -e 's/^max_wal_senders setting: */max_wal_senders = /p' \
    -e 's/^max_prepared_xacts setting: */max_prepared_transactions = /p' \
    -e 's/^max_locks_per_xact setting: */max_locks_per_transaction = /p'
}

room_for_sorting() { # kilobytes of temporary files for each process: half of what is not to stay free
  there=$(free "$work")
  [ "$there" != null ] || there=$keep_free
  there=$(((there - keep_free) / 2048))
  [ "$there" -ge 1024 ] || there=1024
  [ "$there" -le 2147483647 ] || there=2147483647 # the most that PostgreSQL takes
  echo "$there"
}

configure() { # the copy archives nothing, follows nobody, and runs nothing by itself
  echo 'local all all trust' > "$work/pg_hba.conf" # the socket is in a folder that only this user can enter
  : > "$work/pg_ident.conf"
  settings > "$work/postgresql.conf"
  # Of what ALTER SYSTEM has set in production, nothing holds here: it may name programs and libraries.
  sed -i -n '/^restore_command *=/p; /^recovery_target[a-z_]* *=/p' "$work/data/postgresql.auto.conf" || return
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
archive_cleanup_command = ''
recovery_end_command = ''
primary_conninfo = ''
primary_slot_name = ''
synchronous_standby_names = ''
max_logical_replication_workers = 0
shared_preload_libraries = ''
session_preload_libraries = ''
local_preload_libraries = ''
autovacuum = 'off'
temp_file_limit = $(room_for_sorting)
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
  in_time env PGOPTIONS="$trusted" "$bin/psql" -XAtqw -v ON_ERROR_STOP=1 -h "$work" -p PORT "$@" \
    < /dev/null 2>> "$work/said"
}

give_rights() { # in the database of the checks
  asked -d "$database" -c "$(printf '%s\n' "$grants" | sed "s/@/$role/")" ||
    fail "Database $database: $(last_error < "$work/said")"
}

recover() {
  in_time "$bin/pg_ctl" -D "$work/data" -w -t "$(time_left)" -s -l "$work/log" \
    -o "-c config_file=$work/postgresql.conf" start > "$work/said" 2>&1 8>&- 9>&- ||
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
    -U "$role" -d "$database" -c "$2" < /dev/null 2> "$work/said" | head -c 1000)
  if [ -s "$work/said" ]; then
    passed=false why="It failed: $(last_error < "$work/said")"
  elif [ "$said" = "$3" ]; then
    passed=true why=
  else
    passed=false why="It answered: $said"
  fi
  [ "$passed" = true ] || fail "Check $1 did not pass. $(printf '%s' "$why" | tr -s '[:cntrl:]' ' ' | cut -c 1-200)"
  end_sessions || fail "Check $1 cannot be ended."
  results="$results,{\"number\":$1,\"ok\":$passed,\"said\":$(printf '%s' "$why" | text)}"
}

end_sessions() { # of the checks: a statement can give itself more time, and goes on when psql is gone
  for pause in 0 1 5 30; do
    sleep "$pause"
    asked -d postgres -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '$role'" > /dev/null
    case $(asked -d postgres -c "SELECT count(*) FROM pg_stat_activity WHERE usename = '$role'") in 0) return 0 ;; esac
  done
  return 1
}

amcheck() {
  [ -x "$bin/pg_amcheck" ] || { checked=absent; return 0; }
  set -- -w -h "$work" -p PORT --all --install-missing
  if in_time env PGOPTIONS="$trusted" "$bin/pg_amcheck" "$@" > "$work/said" 2>&1; then
    checked=passed
  elif grep -q 'extension "amcheck" is not available' "$work/said"; then
    checked=absent
  else
    checked=failed
    fail "pg_amcheck: $(head -n 3 "$work/said" | tr -s '[:cntrl:]' ' ' | cut -c 1-250)"
  fi
}
"""
