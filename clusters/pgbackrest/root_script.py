"""Shell scripts that put files into their places on a node, for root to run. Pure.

Root follows nothing that another has put there, and needs no luck for it: it looks before it changes anything, writes
only below folders that nobody else can change, each file beside its place and then renamed (rename(2) replaces a link
itself), and does nothing in a folder that is postgres's.
"""

from __future__ import annotations

from collections.abc import Iterable

from clusters.pgbackrest.layout import File

# Owner, group and mode, as the shell reads them: the group is that of the user that PostgreSQL runs as.
PRIVATE, EXECUTABLE, PUBLIC, ROOT_S = 'root:"$group" 640', 'root:"$group" 750', "root:root 644", "root:root 700"

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

# In this one PostgreSQL's user could write before: once it is root's, it cannot.
becomes_root_s() {
  only_root_changes "${1%/*}"
  ! is_there "$1" || is_folder "$1" -user root || is_folder "$1" -user "$user" ||
    refuse "$1 has to be a folder of root's, and no link. Move it away and run this again."
}

as_user() { # COMMAND; what is the user's own, root leaves to it
  setpriv --reuid="$user" --regid="$group" --init-groups "$@"
}

may_be_replaced() {
  for path; do
    ! is_folder "$path" || refuse "$path is a folder where a file has to be. Move it away and run this again."
  done
}

put() { # OWNER:GROUP MODE PATH, with the content from standard input
  new=$(mktemp "${3%/*}/.storekeeper${called:+-$called}.XXXXXXXXXX")
  cat > "$new"
  chown "$1" "$new"
  chmod "$2" "$new"
  mv -fT "$new" "$3"
}

new=
called=
trap 'rm -f "$new"' EXIT
trap 'exit 1' HUP INT TERM
[ "$(id -u)" = 0 ] || refuse "Run this as root."
group=$(id -gn "$user" 2>/dev/null) || refuse "There is no user $user: install PostgreSQL and pgBackRest first."
"""

NO_ARGUMENT = '[ $# = 0 ] || refuse "It takes no argument."'


def script(
    title: str,
    checks: Iterable[str],
    changes: Iterable[str],
    user: str = "postgres",
    arguments: str = NO_ARGUMENT,
) -> str:
    """Return a script of the lines that look, which may refuse, and of those that change something after them.

    `user` is who PostgreSQL runs as; `arguments` are the lines that read what the script was called with.
    """
    head = ["#!/bin/sh", f"# {title}", "set -eu", "umask 077", f"user={user}"]
    return "\n".join([*head, FUNCTIONS, arguments, *checks, "", *changes, ""])


def put(file: File, how: str) -> list[str]:
    """Return the lines that put the file into its place; `how` is owner:group and mode."""
    return [f"put {how} {file.path} <<'END_OF_FILE'", file.content.rstrip("\n"), "END_OF_FILE"]
