"""The shell script of one restore, for root to run. Pure.

It looks first and refuses before anything is changed; where pgBackRest fails, everything is put back as it was.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from clusters.pgbackrest.configuration import HIDDEN
from clusters.pgbackrest.restore import Restore
from clusters.pgbackrest.root_script import script

END = "END_OF_FILE"

FUNCTIONS = r"""
cd /
as_postgres() { runuser -u "$user" -- "$@"; }

write() { # PATH, with the content from standard input; only postgres can read it
  as_postgres sh -c 'umask 077; cat > "$1"' sh "$1"
}

find_programs() { # MAJOR
  for bin in "/usr/lib/postgresql/$1/bin" "/usr/pgsql-$1/bin" "$(pg_config --bindir 2>/dev/null || :)"; do
    if "$bin/pg_ctl" --version 2>/dev/null | grep -Eq " $1([. ]|\$)"; then return; fi
  done
  refuse "PostgreSQL $1 is not installed here. Install it first."
}

has_pgbackrest() { # LEAST
  have=$(as_postgres pgbackrest version 2>/dev/null | cut -d' ' -f2) || have=
  [ -n "$have" ] || refuse "pgBackRest is not installed here. Install $1 or newer."
  [ "$(printf '%s\n' "$1" "$have" | sort -V | head -n 1)" = "$1" ] ||
    refuse "This machine has pgBackRest $have, and these backups need $1 or newer. Install that."
}

is_empty() { [ -z "$(ls -A "$1")" ]; }

has_room() { # FOLDER BYTES
  free=$(df -Pk "$1" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$(($2 / 1024))" ] ||
    refuse "The database takes $(($2 / 1048576)) MB, and $1 has $((free / 1024)) MB free."
}

is_postgres_s_or_root_s() { # FOLDER in which something is made
  is_folder "$1" -user "$user" || only_root_changes "$1" "Or give it to $user."
}

# Root does these itself only where the folder above is root's alone.
make_folder() { # PATH, for postgres alone
  as_postgres mkdir -m 0700 "$1" 2>/dev/null || { mkdir -m 0700 "$1"; chown -h "$user:$group" "$1"; }
}

move() { as_postgres mv -nT "$1" "$2" 2>/dev/null || mv -nT "$1" "$2"; }

remove() { # FOLDER
  as_postgres find "$1" -mindepth 1 -delete || :
  as_postgres rmdir "$1" 2>/dev/null || rmdir "$1" || :
}

ask() { # WORDS; what is typed is not shown
  printf '%s: ' "$1" >&2
  [ ! -t 0 ] || stty -echo
  IFS= read -r answer || answer=
  [ ! -t 0 ] || { stty echo; echo >&2; }
  case $answer in *[![:graph:]]*) refuse "A key has no spaces and no control characters." ;; esac
}
"""

COPY_CHECKS = r"""
elsewhere=
above=${home%/*}
is_postgres_s_or_root_s "${above:-/}"
if is_there "$home"; then
  is_folder "$home" -user "$user" || refuse "$home has to be an empty folder of the user $user, or not there."
  is_empty "$home" || refuse "$home is not empty. Choose another folder, or empty it."
fi
"""

# What stood there moves aside, tablespaces too: their links in the old data directory then lead to the old ones.
IN_PLACE_CHECKS = r"""
is_there "$data" && data=$(readlink -f "$data")
above=${data%/*}
is_postgres_s_or_root_s "$above"
! as_postgres "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1 ||
  refuse "PostgreSQL runs in $data. Stop it first: $stop"
stays_mounted() {
  ! mountpoint -q "$1" 2>/dev/null || is_empty "$1" ||
    refuse "$1 is a mount point, so it cannot be moved aside. Move what is in it to another place."
}
[ ! -d "$data" ] || stays_mounted "$data"
elsewhere=
for link in "$data"/pg_tblspc/*; do
  [ -L "$link" ] && [ -d "$link" ] || continue
  elsewhere=$(readlink -f "$link")
  stays_mounted "$elsewhere"
  is_postgres_s_or_root_s "${elsewhere%/*}"
done
aside=.before-restore-$(date -u +%Y%m%dT%H%M%SZ)
! is_there "$data$aside" || refuse "$data$aside is there already."
"""

MOVE_ASIDE = r"""
back() { # puts everything where it was
  case " $made " in *" data "*) remove "$data" ;; esac
  if [ -d "$data$aside" ]; then
    for link in "$data$aside"/pg_tblspc/*; do
      [ -L "$link" ] || continue
      place=$(readlink "$link")
      case $place in
        *"$aside")
          remove "${place%"$aside"}"
          move "$place" "${place%"$aside"}"
          as_postgres ln -sfn "${place%"$aside"}" "$link"
          ;;
      esac
    done
    move "$data$aside" "$data"
  fi
}
if [ -d "$data" ] && ! is_empty "$data"; then
  move "$data" "$data$aside"
  for link in "$data$aside"/pg_tblspc/*; do
    [ -L "$link" ] && [ -d "$link" ] || continue
    place=$(readlink -f "$link")
    move "$place" "$place$aside"
    as_postgres ln -sfn "$place$aside" "$link"
    make_folder "$place"
  done
fi
[ -d "$data" ] || make_folder "$data"
made="$made data"
"""

# Recovery refuses to begin where these are smaller than on the server that the backup was made of.
COPY_SETTINGS = r"""
{
  as_postgres "$bin/pg_controldata" -D "$data" | sed -n \
    -e 's/^max_connections setting: */max_connections = /p' \
    -e 's/^max_worker_processes setting: */max_worker_processes = /p' \
    -e 's/^max_wal_senders setting: */max_wal_senders = /p' \
    -e 's/^max_prepared_xacts setting: */max_prepared_transactions = /p' \
    -e 's/^max_locks_per_xact setting: */max_locks_per_transaction = /p'
} | as_postgres sh -c 'cat >> "$1"' sh "$home/postgresql.conf"
"""


def restore_script(restore: Restore, *, secrets: bool) -> str:
    """Return the whole script; without secrets each of them is a row of dots."""
    what = f"{restore.stanza} of {restore.cluster}, from {restore.target.store} (repo{restore.target.number})"
    title = f"Restores {what}: run as root.{' It holds secrets.' if restore.has_own_configuration else ''}"
    return script(title, _checks(restore), _changes(restore, secrets=secrets), restore.layout.user)


def _checks(restore: Restore) -> Iterator[str]:
    yield FUNCTIONS
    yield f"home={shlex.quote(restore.home)}"
    yield f"data={shlex.quote(restore.data)}"
    if restore.is_in_place:
        yield f"stop={shlex.quote(restore.server('stop'))}"
    yield f"find_programs {restore.postgresql}"
    yield f"has_pgbackrest {restore.least}"
    if restore.is_in_place:
        yield IN_PLACE_CHECKS
        if restore.has_own_configuration:
            yield '! is_there "$home" || refuse "$home is there already, of an earlier restore. Remove it first."'
    else:
        yield COPY_CHECKS
    if restore.size:
        # What is in tablespaces elsewhere takes no room here.
        yield f'[ -n "$elsewhere" ] || has_room "${{above:-/}}" {restore.size}'
    for number, part in enumerate(restore.keys):
        yield f"ask {shlex.quote(part.words)}"
        yield f"key{number}=$answer"
        if not part.may_lack:
            yield f'[ -n "$key{number}" ] || refuse "Nothing was given."'
        if part.is_file:
            yield f'[ -r "$key{number}" ] || refuse "There is no file $key{number}."'


def _changes(restore: Restore, *, secrets: bool) -> Iterator[str]:
    yield "made="
    yield "back() { :; }"
    yield "undo() {"
    yield "  status=$?"
    yield '  rm -f "$new"'
    yield '  if [ "$status" != 0 ]; then'
    yield "    back"
    if restore.has_own_configuration:
        # Before it there was nothing in it, or no such folder.
        yield '    case " $made " in *" home "*) remove "$home" ;; esac'
    yield '    echo "Storekeeper: the restore failed, for the reason above. Everything is as it was." >&2'
    yield "  fi"
    yield "}"
    yield "trap undo EXIT"
    if restore.has_own_configuration:
        yield '[ -d "$home" ] || make_folder "$home"'
        yield 'made="$made home"'
        yield from _put(restore.configuration_file, restore.configuration(secrets=secrets))
        yield from _keys(restore)
        for file in restore.files:
            yield from _put(file.path, file.content if secrets else f"{HIDDEN}\n")
    if restore.is_in_place:
        yield MOVE_ASIDE
    else:
        yield 'make_folder "$data"'
    yield f"echo {shlex.quote(f'Storekeeper: restoring {restore.stanza} to {restore.data} …')}"
    yield f"as_postgres {restore.command}"
    if not restore.is_in_place:
        yield from _put(f"{restore.home}/pg_hba.conf", "local all all peer\n")
        yield from _put(f"{restore.home}/pg_ident.conf", "")
        yield from _put(f"{restore.home}/postgresql.conf", restore.settings)
        yield COPY_SETTINGS
        yield f"as_postgres sh -c 'cat >> \"$1\"' sh \"$data/postgresql.auto.conf\" <<'{END}'"
        yield restore.overrides.rstrip("\n")
        yield END
    yield from _said(restore)


def _keys(restore: Restore) -> Iterator[str]:
    """Yield the lines that add the key to the configuration; printf is the shell's own, so that no list shows it."""
    for number, part in enumerate(restore.keys):
        value, line = f"$key{number}", f"repo{restore.target.number}-{part.option}="
        if part.is_file:
            yield f'write "$home/repo{restore.target.number}-key.json" < "{value}"'
            value = f"$home/repo{restore.target.number}-key.json"
        add = f"as_postgres sh -c 'cat >> \"$1\"' sh {shlex.quote(restore.configuration_file)}"
        yield f'[ -z "$key{number}" ] || printf \'%s\\n\' "{line}{value}" | {add}'


def _put(path: str, content: str) -> Iterator[str]:
    yield f"write {shlex.quote(path)} <<'{END}'"
    if content:
        yield content.rstrip("\n")
    yield END


def _said(restore: Restore) -> Iterator[str]:
    yield "echo 'Storekeeper: the files are there. What to do now:'"
    for number, one in enumerate(restore.afterwards("$bin"), 1):
        yield f"echo {shlex.quote(f'{number}. {one.title}')}"
        if one.text:
            # Everything in it is quoted but the folder of the programs, which the script has found.
            before, found, after = one.text.partition("$bin")
            yield f"echo {shlex.quote(f'   {before}')}" + (f'"$bin"{shlex.quote(after)}' if found else "")
