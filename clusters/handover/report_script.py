"""The script with which a node tells the console what it has and how it does. Pure.

`clusters.reports.report` reads what it sends. It needs a shell, GNU's coreutils, and curl, wget or python3; it goes on
where PostgreSQL or pgBackRest do not answer. Servers make their part as JSON themselves; what else is text is cleaned.
"""

from __future__ import annotations

import hashlib
import shlex

from clusters.handover.steps import archive_command
from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import File
from clusters.pgbackrest.root_script import MACHINE

EVERY = 300  # seconds from one report to the next

# A standby is on the timeline that it receives; after a promotion the last checkpoint is still of the one before.
SERVER = """SELECT json_strip_nulls(json_build_object(
  'role', CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END,
  'postgresql', current_setting('server_version_num')::int,
  'system_id', (SELECT system_identifier::text FROM pg_control_system()),
  'timeline', CASE WHEN pg_is_in_recovery()
    THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END,
  'archive_mode', current_setting('archive_mode'),
  'is_archived_here', current_setting('archive_command') = :'command',
  'segment', pg_size_bytes(current_setting('wal_segment_size')),
  'archive_timeout', (SELECT setting::int FROM pg_settings WHERE name = 'archive_timeout'),
  'archiver', (SELECT json_build_object(
    'archived', archived_count, 'last_wal', last_archived_wal,
    'last_at', floor(extract(epoch FROM last_archived_time))::bigint,
    'failed', failed_count, 'failed_wal', last_failed_wal,
    'failed_at', floor(extract(epoch FROM last_failed_time))::bigint,
    'since', floor(extract(epoch FROM stats_reset))::bigint) FROM pg_stat_archiver)));"""
OTHER = """SELECT json_build_object(
  'postgresql', current_setting('server_version_num')::int,
  'data_directory', left(current_setting('data_directory'), 200),
  'is_archived', current_setting('archive_mode') <> 'off'
    AND current_setting('archive_command') NOT IN ('', '(disabled)'));"""

# The token goes in by a file or by standard input: a command line can be read by every user of the node.
PYTHON = """
import ssl, sys, urllib.error, urllib.request
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *given): return None
url, body, answer, ca = sys.argv[1:]
head = {"Content-Type": "application/json", "Authorization": "Bearer " + sys.stdin.read().strip()}
secure = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca or None))
try:
    with open(body, "rb") as file: asked = urllib.request.Request(url, file.read(), head)
    said = urllib.request.build_opener(Stay, secure).open(asked, timeout=20)
except urllib.error.HTTPError as error: said = error
with open(answer, "wb") as file: file.write(said.read(65536))
print(said.code)
"""

FUNCTIONS = r"""
say() { echo "report.sh: $1" >&2; }

number() { # what is one as JSON has it, or null
  case $1 in '' | *[!0-9]* | 0?* | ?????????????????*) echo null ;; *) echo "$1" ;; esac
}

text() { # from standard input: the first 200 characters as a string of JSON, on one line, in ASCII
  printf '"%s"' "$(head -c 800 | tr -s '\000-\037\177-\377' ' ' | cut -c 1-200 | sed 's/ *$//; s/[\\"]/\\&/g')"
}

free() { # bytes in the file system of a folder
  kilobytes=$(timeout 5 df -k --output=avail "$1" 2>/dev/null | tail -n 1 | tr -cd 0-9)
  if [ -n "$kilobytes" ]; then echo $((kilobytes * 1024)); else echo null; fi
}

count() { # files in a folder, by a pattern
  if [ -r "$1" ] && [ -x "$1" ]; then
    number "$(timeout 10 find "$1" -maxdepth 1 -name "$2" 2>/dev/null | wc -l | tr -cd 0-9)"
  else
    echo null
  fi
}

ask() { # what a server says of itself, by the statement on standard input; arguments are psql's
  timeout -k 5 15 psql -XAtqw -v ON_ERROR_STOP=1 -d postgres "$@" -f - 2>/dev/null
}

stanza() { # NAME PORT DATA_DIRECTORY ARCHIVE_COMMAND
  said=$(ask -p "$2" -v command="$4" <<'END'
SERVER
END
)
  case $said in '{'*'}') said="\"server\":\"up\",${said#?}" ;; *) said='"server":"down"}' ;; esac
  out=$spool/archive/$1/out
  if failed=$(ls -t "$out"/*.error 2>/dev/null | head -n 1) && [ -n "$failed" ]; then
    error=$(tail -n +2 "$failed" 2>/dev/null | text)
  else
    error='""'
  fi
  printf '{"name":"%s","waiting":%s,"spooled":%s,"spool_errors":%s,"error":%s,"free":%s,%s' "$1" \
    "$(count "$3/pg_wal/archive_status" '*.ready')" "$(count "$out" '*.ok')" "$(count "$out" '*.error')" \
    "$error" "$(free "$3")" "$said"
}

others() { # servers that listen here and are none of ours; $known has the ports that are
  found=
  for socket in /var/run/postgresql/.s.PGSQL.* /tmp/.s.PGSQL.*; do
    port=${socket##*.}
    [ -S "$socket" ] && [ "$(number "$port")" != null ] && [ "${#found}" -lt 2000 ] || continue
    case " $known " in *" $port "*) continue ;; esac
    known="$known $port"
    said=$(ask -h "${socket%/*}" -p "$port" <<'END'
OTHER
END
)
    case $said in
      '{'*'}') found="$found,{\"port\":$port,${said#?}" ;;
      *)
        pg_isready -q -t 3 -h "${socket%/*}" -p "$port" 2>/dev/null
        [ $? -gt 1 ] || found="$found,{\"port\":$port}"
        ;;
    esac
  done
  printf '[%s]' "${found#,}"
}

runs() { # what the backup script has written down, the newest first
  found=
  for name in $(ls -t "$kept" 2>/dev/null | head -n 40); do
    [ "$(number "${name##*.}")" != null ] || continue
    begun= ended= code= line=
    IFS="$tab" read -r stanza kind repository begun ended code line < "$kept/$name" || [ -n "$begun" ] || continue
    case $stanza$kind in *[!a-z0-9_-]*) continue ;; esac
    found="$found,{\"stanza\":\"$stanza\",\"kind\":\"$kind\",\"repository\":$(number "$repository")"
    found="$found,\"begun\":$(number "$begun"),\"ended\":$(number "$ended"),\"code\":$(number "$code")"
    found="$found,\"line\":$(printf %s "$line" | text)}"
  done
  printf '[%s]' "${found#,}"
}

zone() { # IANA's name of the time zone
  zone=$(readlink /etc/localtime 2>/dev/null)
  case $zone in
    *zoneinfo/*) zone=${zone##*zoneinfo/} ;;
    *) zone=$(head -n 1 /etc/timezone 2>/dev/null) ;;
  esac
  case $zone in '' | *[!A-Za-z0-9_/+-]*) ;; *) echo "$zone" ;; esac
}
"""

SEND = r"""
send() { # $folder/body; prints the status of the answer, which is in $folder/answer
  if command -v curl >/dev/null; then
    curl -q -sS --max-time 20 --max-filesize 65536 ${ca:+--cacert "$ca"} -o "$folder/answer" -w '%{http_code}' \
      -H 'Content-Type: application/json' --data-binary "@$folder/body" --config - "$address" <<END
header = "Authorization: Bearer $(token)"
END
  elif command -v wget >/dev/null; then
    printf 'header = Authorization: Bearer %s\n' "$(token)" > "$folder/wgetrc"
    timeout 30 wget --config="$folder/wgetrc" --no-verbose --server-response --content-on-error --max-redirect=0 \
      --timeout=20 --tries=1 ${ca:+--ca-certificate="$ca"} --header='Content-Type: application/json' \
      --post-file="$folder/body" -O "$folder/answer" "$address" 2> "$folder/said"
    status=$(sed -n 's|^ *HTTP/[0-9.]* \([0-9][0-9][0-9]\).*|\1|p' "$folder/said" | tail -n 1)
    [ -n "$status" ] || cat "$folder/said" >&2
    echo "$status"
  elif command -v python3 >/dev/null; then
    token | timeout 30 python3 -c "$python" "$address" "$folder/body" "$folder/answer" "$ca"
  else
    say "Install curl, wget or python3: nothing here can send the report."
  fi
}
"""

MAIN = r"""
tab=$(printf '\t')
sha256=$(sha256sum < "$configuration" 2>/dev/null | cut -c 1-64)
repositories=$(sed -n 's/^repo\([1-9][0-9]*\)-type=.*/\1/p' "$configuration" 2>/dev/null | sort -nu | paste -s -d , -)
release=$(pgbackrest version 2>/dev/null | cut -d ' ' -f 2)
case $release in *[!0-9.dev]*) release= ;; esac
sent=$(date +%s) # before the servers are asked, which may take a minute: what they say is no older than that
servers=$(stanzas)
known="$ports"
others=$(others)
runs=$(runs)

body() {
  printf '{"version":2,"sent":%s,"by_hand":%s,"sha256":"%s","repositories":[%s],"pgbackrest":"%s","machine":"%s",' \
    "$sent" "$by_hand" "$sha256" "$repositories" "$release" "$(MACHINE)"
  printf '"hostname":%s,"timezone":"%s","utc_offset":"%s","spool_free":%s,"stanzas":[%s],"runs":%s,"others":%s}' \
    "$(uname -n | text)" "$(zone)" "$(date +%z)" "$(free "$spool")" "$servers" "$runs" "$others"
}

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
body > "$folder/body"
[ "$(wc -c < "$folder/body")" -le 16384 ] || { runs='[]' others='[]'; body > "$folder/body"; }
status=$(send)
case $status in
  2??) head -c 1000 "$folder/answer" ;;
  *)
    say "The console answered ${status:-nothing}."
    [ ! -e "$folder/answer" ] || head -c 1000 "$folder/answer" >&2
    exit 1
    ;;
esac
"""


def delay(address: str) -> int:
    """Return after how many of the five minutes' seconds the node that reports there does so, always the same."""
    return int.from_bytes(hashlib.sha256(address.encode()).digest()[:4]) % EVERY


def report_script(configuration: Configuration, address: str, token: str, ca_file: str = "") -> File:
    """Return the script that reports at that address; it holds the token.

    `ca_file` is where the node keeps the certificate that the console's is checked against; "" for the system's.
    """
    layout = configuration.layout
    head = [
        "#!/bin/sh",
        "# Tells Storekeeper what this node has and how it does. It holds a token.",
        f"#   {layout.report}               at once, and says whether the configuration is applied",
        f"#   {layout.report} --scheduled   at once: from a timer, which spreads the nodes itself",
        f"#   {layout.report} --later       within five minutes, always at the same second: from cron",
        *_settings(configuration),
        f"configuration={layout.configuration} spool={layout.spool} kept={layout.runs} ca={ca_file}",
        f"address={shlex.quote(address)}",
        f"ports={shlex.quote(' '.join(str(one.port) for one in configuration.stanzas))}",
        f"python={shlex.quote(PYTHON)}",
        f"token() {{ echo {shlex.quote(token)}; }}",
        *_stanzas(configuration),
        "",
        "by_hand=true",
        "case $*:$# in",
        "  :0) ;;",
        "  --scheduled:1) by_hand=false ;;",
        f"  --later:1) by_hand=false && sleep {delay(address)} ;;",
        "  *) echo 'report.sh: It takes --later or --scheduled, or nothing.' >&2 && exit 64 ;;",
        "esac",
        f'[ "$(id -un)" = {layout.user} ] || {{',
        f"  echo 'report.sh: Run it as {layout.user}: {layout.as_user(layout.report)}' >&2",
        "  exit 1",
        "}",
    ]
    functions = FUNCTIONS.replace("SERVER\nEND", f"{SERVER}\nEND").replace("OTHER\nEND", f"{OTHER}\nEND")
    return File(layout.report, "\n".join(head) + functions + SEND + MAIN.replace("$(MACHINE)", f"$({MACHINE})"))


def _settings(configuration: Configuration) -> list[str]:
    """Return what is the same for every program that the script runs; of psql, the newest is found first."""
    releases = sorted({one.postgresql for one in configuration.stanzas}, reverse=True)
    programs = "".join(f":/usr/lib/postgresql/{one}/bin:/usr/pgsql-{one}/bin" for one in releases)
    return [
        "set -u",
        "umask 077",
        "LC_ALL=C PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=5 PGOPTIONS='-c statement_timeout=10s'",
        f"PATH=${{PATH:-/usr/bin:/bin}}:/usr/local/bin{programs}",
        "export LC_ALL PGCLIENTENCODING PGCONNECT_TIMEOUT PGOPTIONS PATH",
    ]


def _stanzas(configuration: Configuration) -> list[str]:
    """Return the function that prints what each server says of itself, with commas between."""
    calls = [
        f"  stanza {one.name} {one.port} {shlex.quote(one.data_directory)} "
        f"{shlex.quote(archive_command(configuration, one.name))}"
        for one in configuration.stanzas
    ]
    return ["stanzas() {", *("\n  echo ,\n".join(calls).splitlines() or ["  :"]), "}"]
