"""Shell scripts that put files into their places on a node, for root to run. Pure.

Root follows nothing that another has put there, and needs no luck for it: it looks before it changes anything, writes
only below folders that nobody else can change, each file beside its place and then renamed (rename(2) replaces a link
itself), and does nothing in a folder that is postgres's.
"""

from __future__ import annotations

from collections.abc import Iterable

from clusters.pgbackrest.layout import File

PRIVATE, EXECUTABLE, PUBLIC = "root:postgres 0640", "root:postgres 0750", "root:root 0644"  # owner, group and mode

# What identifies a machine is not to leave it as it is (machine-id(5)).
MACHINE = "{ echo storekeeper; cat /etc/machine-id; } 2>/dev/null | sha256sum | cut -d' ' -f1"

# find(1) without -L looks at a link itself, and `-prune` keeps it from going further.
FUNCTIONS = r"""
refuse() {
  echo "Storekeeper: $1 Nothing was changed." >&2
  exit 1
}

is_folder() { # PATH, and further tests of find(1); a link to a folder is none
  folder=$1
  shift
  [ -n "$(find "$folder" -prune -type d "$@" 2>/dev/null)" ]
}

is_there() { [ -e "$1" ] || [ -L "$1" ]; }

# Below these root writes: what a path means there, nobody else can change.
only_root_changes() { # PATH, and what else can be done
  above=$1
  while :; do
    is_there "$above" || refuse "There is no folder $above."
    is_folder "$above" -user root ! -perm -020 ! -perm -002 ||
      refuse "$above has to be a folder of root's that nobody else may write to, and no link.${2:+ $2}"
    [ "$above" != / ] || break
    above=${above%/*}
    above=${above:-/}
  done
}

# In this one postgres could write before: once it is root's, postgres cannot.
becomes_root_s() {
  only_root_changes "${1%/*}"
  ! is_there "$1" || is_folder "$1" -user root || is_folder "$1" -user postgres ||
    refuse "$1 has to be a folder of root's, and no link. Move it away and run this again."
}

# In these only postgres writes.
missing=
is_postgres_s() {
  if ! is_there "$1"; then
    only_root_changes "${1%/*}" "Or make $1 yourself, and give it to postgres."
    missing="$missing $1"
  elif ! is_folder "$1" -user postgres; then
    refuse "$1 has to be a folder of the user postgres, and no link. Move it away and run this again."
  fi
}

may_be_replaced() {
  for path; do
    ! is_folder "$path" || refuse "$path is a folder where a file has to be. Move it away and run this again."
  done
}

# A copy of a node that archives as the node does would mix its WAL with the node's.
same_machine() { # KNOWN, and the node's name
  [ -n "$replace" ] || [ ! -s /etc/machine-id ] || [ "$(MACHINE)" = "$1" ] ||
    refuse "$2 has reported from another machine. To restore a copy, take the script of the console's Restore page. If \
this machine takes the place of $2, and that one is off, run this again with --replace."
}

# A read by postgres of its own file: root would follow where a link of postgres's leads.
same_database() { # DATA_DIRECTORY, KNOWN system identifier, and which database on which node
  system_id=$(setpriv --reuid=postgres --regid=postgres --clear-groups \
    timeout 10 od -An -tu8 -N8 "$1/global/pg_control" 2>/dev/null | tr -d ' ') || system_id=
  [ -n "$replace" ] || [ -z "$system_id" ] || [ "$system_id" = "$2" ] ||
    refuse "$1 has the system identifier $system_id, and $3 has reported $2: this is another database. If it takes the \
place of that one, as after pg_upgrade, run this again with --replace."
}

put() { # OWNER:GROUP MODE PATH, with the content from standard input
  new=$(mktemp "${3%/*}/.storekeeper.XXXXXXXXXX")
  cat > "$new"
  chown "$1" "$new"
  chmod "$2" "$new"
  mv -fT "$new" "$3"
}

replace=
case $*:$# in
  :0) ;;
  --replace:1) replace=yes ;;
  *) refuse "It takes no argument but --replace." ;;
esac
new=
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM
[ "$(id -u)" = 0 ] || refuse "Run this as root."
id -u postgres >/dev/null 2>&1 || refuse "There is no user postgres: install PostgreSQL and pgBackRest first."
""".replace("MACHINE", MACHINE)


def script(title: str, checks: Iterable[str], changes: Iterable[str]) -> str:
    """Return a script of the lines that look, which may refuse, and of those that change something after them."""
    head = ["#!/bin/sh", f"# {title}", "set -eu", "umask 077"]
    return "\n".join([*head, FUNCTIONS, *checks, "", *changes, ""])


def put(file: File, how: str) -> list[str]:
    """Return the lines that put the file into its place; `how` is owner:group and mode."""
    return [f"put {how} {file.path} <<'END_OF_FILE'", file.content.rstrip("\n"), "END_OF_FILE"]
