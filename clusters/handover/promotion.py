"""What the new primary archives that the earlier one had not, when it failed: else the archive has a gap there. Pure.

A standby marks what it receives as archived (PostgreSQL's archive_mode=on), and begins to archive with its promotion.
What waited in the earlier primary's pg_wal, such as while a store was out of reach, nobody would archive any more
(measured with PostgreSQL 15: four segments that waited were in pg_wal of the new primary, and never in the archive).
pgBackRest leaves alone what it has with the same checksum; with another one it ends with error 45, and what came first
stays.
"""

from __future__ import annotations

import shlex

from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import File

KEPT = "1GB"  # wal_keep_size: of what the standby has received, so much is there after a promotion
EVERY = "*/5 * * * *"
DUPLICATE = 45

TIMELINE = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END"
# At the first byte of a segment, PostgreSQL before 17 names the one before it: so one byte later.
# Whole segments in pg_wal of each timeline that this one came from, up to where that was left (by the history file).
EARLIER = """
SELECT name FROM regexp_split_to_table(pg_read_file('pg_wal/$timeline.history', 0, 1000000, true), E'\\\\n') AS line,
  regexp_match(line, '^([0-9]+)[[:space:]]+([0-9A-F]+/[0-9A-F]+)') AS part, pg_ls_dir('pg_wal') AS name
WHERE part IS NOT NULL AND name ~ '^[0-9A-F]{24}$' AND left(name, 8) = upper(lpad(to_hex(part[1]::bigint), 8, '0'))
  AND substr(name, 9) COLLATE \\"C\\" < substr(pg_walfile_name(regexp_replace(part[2], '0$', '1')::pg_lsn), 9)
ORDER BY name
""".strip()

FUNCTION = f"""
ask() {{ # PSQL PORT STATEMENT
  "$1" -XAtq -p "$2" -d postgres -c "$3" 2>/dev/null
}}

push_earlier() {{ # STANZA PORT DATA_DIRECTORY PSQL
  timeline=$(ask "$4" "$2" "{TIMELINE}")
  case $timeline in ''|00000001) return ;; esac
  pushed=$spool/earlier-$1
  [ "$timeline" != "$(cat "$pushed" 2>/dev/null)" ] || return
  earlier=$(ask "$4" "$2" "{EARLIER}") || {{ failed=1; return; }}
  waits=
  for name in $earlier; do
    push "$1" "$3/pg_wal/$name" >/dev/null 2>&1 || [ $? = {DUPLICATE} ] || waits=yes
  done
  if [ -n "$waits" ]; then failed=1; else echo "$timeline" > "$pushed"; fi
}}

failed=0
"""


def promotion_script(configuration: Configuration) -> File:
    """Return the script; cron runs it, and after a promotion it does something once."""
    layout = configuration.layout
    return File(
        layout.promoted,
        "#!/bin/sh\n# After a promotion: archives what the earlier primary had not archived.\n"
        f"spool={layout.spool}\n"
        f'push() {{ {layout.pgbackrest} --stanza="$1" --no-archive-async archive-push "$2"; }}\n'
        f"{FUNCTION}"
        + "".join(
            f"push_earlier {one.name} {one.port} {shlex.quote(one.data_directory)} {layout.psql(one.postgresql)}\n"
            for one in configuration.stanzas
        )
        + "exit $failed\n",
    )
