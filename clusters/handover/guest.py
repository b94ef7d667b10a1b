"""How our scripts are guests on a machine: what they wrote is remembered there, and nothing else is ever changed. Pure.

`installed`, in our folder, which only root writes, lists every digest that our scripts gave to a file, as sha256sum
does, and the folders that they made. Each line is there before what it tells of, so that a run that was broken off is
known for what it was. A file that is not on the list is somebody else's: a script that wants its place refuses. One
that is on it with another digest was changed by somebody: it is kept aside in our folder, where cron and systemd do
not look.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clusters.pgbackrest.configuration import Configuration
from clusters.pgbackrest.layout import ABOVE, CRON, ROTATION, UNITS, File
from clusters.pgbackrest.root_script import script

FUNCTIONS = r"""
plan=
notes=
will() { plan="$plan
  $1"; }
note() { notes="$notes
$1"; }

is_file() { # PATH: a file, no link, and no second name of another one
  [ -n "$(find "$1" -prune -type f -links 1 2>/dev/null)" ]
}

digest_of() { sha256sum < "$1" | cut -c-64; }
remembered() { is_file "$installed" && grep -qxF "$2  $1" "$installed"; } # PATH DIGEST
is_ours() { is_file "$installed" && cut -c67- "$installed" | grep -qxF "$1"; } # PATH
remember() { remembered "$1" "$2" || printf '%s  %s\n' "$2" "$1" >> "$installed"; } # PATH DIGEST

made_by_us() { grep -qsxF "folder  $1" "$etc"/*/installed; } # FOLDER, of this or of another cluster
remember_folder() { # FOLDER, before it is made
  ! is_there "$1" || made_by_us "$1" || return 0
  grep -qxF "folder  $1" "$installed" || printf 'folder  %s\n' "$1" >> "$installed"
}

state_of() { # OWNER:GROUP MODE PATH DIGEST; sets $state
  if ! is_there "$3"; then
    state=new
  elif is_file "$3" && now=$(digest_of "$3") && { remembered "$3" "$now" || [ "$now" = "$4" ]; }; then
    state=old
    ! remembered "$3" "$4" || [ "$now" != "$4" ] || [ "$(stat -c '%U:%G %a' "$3")" != "$1 $2" ] || state=same
  elif is_ours "$3"; then
    state=changed
  else
    state=foreign
  fi
}

look() { # OWNER:GROUP MODE PATH DIGEST
  wanted="$wanted $3 "
  state_of "$@"
  case $state in
    new) will "write $3" ;;
    old) will "replace $3" ;;
    changed) will "keep aside what somebody has made of $3, and write it anew" ;;
    foreign) refuse "$3 is there, and Storekeeper did not write it. Move it away and run this again." ;;
  esac
}

# What an earlier script wrote and this one has no more.
leftovers() { # BEGINNING of their paths
  is_file "$installed" || return 0
  sed -n '/^[0-9a-f]\{64\}  \//s/^.\{66\}//p' "$installed" | sort -u | while IFS= read -r path; do
    case $path in "$1"*) ;; *) continue ;; esac
    case $wanted in *" $path "*) ;; *) ! is_there "$path" || printf '%s\n' "$path" ;; esac
  done
}

look_at_leftovers() { # BEGINNING
  for path in $(leftovers "$1"); do will "remove $path"; done
}

keep_aside() { # PATH
  aside=$ours/${1##*/}.changed-$(date -u +%Y%m%dT%H%M%SZ)
  while is_there "$aside"; do aside=$aside-; done
  mv -T "$1" "$aside"
  echo "  $1 was changed by somebody: it is $aside now."
}

remove() { # PATH of ours
  if is_file "$1" && remembered "$1" "$(digest_of "$1")"; then rm -f "$1"; else keep_aside "$1"; fi
}

remove_leftovers() { # BEGINNING
  for path in $(leftovers "$1"); do remove "$path"; done
}

put_ours() { # OWNER:GROUP MODE PATH DIGEST, with the content from standard input
  state_of "$@"
  if [ "$state" = same ]; then cat > /dev/null; return; fi
  [ "$state" != changed ] || keep_aside "$3"
  remember "$3" "$4"
  put "$1" "$2" "$3"
}

# Our own folder is root's, below root's.
look_at_our_folder() {
  only_root_changes "${etc%/*}"
  if ! is_there "$etc"; then
    will "make the folder $etc"
  elif [ -n "$earlier" ] && is_folder "$etc" -user "$user"; then
    will "make $etc, which an earlier script gave to $user, root's"
  else
    only_root_changes "$etc" "Give it to root, or move it away, and run this again."
    as_user test -x "$etc" || refuse "$user cannot get into $etc. Let it in (chmod o+x $etc) and run this again."
  fi
  if ! is_there "$ours"; then
    will "make the folder $ours"
    return
  fi
  only_root_changes "$ours"
  if ! is_file "$installed"; then
    [ -z "$(ls -A "$ours")" ] ||
      refuse "$ours is there, and Storekeeper did not make it. Move it away and run this again."
    will "make the folder $ours"
  elif [ "$(head -n 1 "$installed")" != "$identity" ]; then
    refuse "$ours has the files of another node: $(head -n 1 "$installed" | LC_ALL=C tr -cd '[:print:]'). Run its \
own script with --undo there first."
  fi
}

sweep() { # what a run that was broken off has left
  for place in "${etc%/*}" "$etc" "$ours" CRON ROTATION UNITS; do
    ! is_folder "$place" -user root || rm -rf "$place/.storekeeper-$called".??????????
  done
}

make_our_folder() {
  sweep
  if is_folder "$etc" -user "$user"; then
    chown -h root "$etc"
    chmod go-w "$etc"
    ! is_there "$ours" || only_root_changes "$ours"  # what was seen before is nothing any more
  fi
  if ! is_file "$installed"; then
    whole=$ours
    is_there "$etc" || whole=$etc
    scratch=$(mktemp -d "${whole%/*}/.storekeeper-$called.XXXXXXXXXX")
    inside=$scratch${ours#"$whole"}
    [ "$whole" = "$ours" ] || mkdir "$inside"
    chmod 755 "$scratch"
    { echo "$identity"; [ "$whole" = "$ours" ] && ! made_by_us "$etc" || echo "folder  $etc"
      echo "folder  $ours"; } > "$inside/installed"
    chown "root:$group" "$inside"
    chmod 750 "$inside"
    [ ! -d "$ours" ] || rmdir "$ours"
    mv -T "$scratch" "$whole"
  fi
}

# In these only PostgreSQL's user writes.
look_at_user_s() { # FOLDER, below one that the packages make
  within=${1%/*}
  if is_there "$1"; then
    is_folder "$1" -user "$user" ||
      refuse "$1 has to be a folder of the user $user, and no link. Move it away and run this again."
    return
  fi
  will "make the folder $1"
  if ! is_there "$within"; then
    only_root_changes "${within%/*}" "Or make $within yourself, and give it to $user."
  elif ! is_folder "$within" -user "$user"; then
    only_root_changes "$within" "Or give it to $user."
    as_user test -x "$within" ||
      refuse "$user cannot get into $within. Let it in (chmod o+x $within) and run this again."
  fi
}

make_user_s() { # FOLDER
  ! is_there "$1" || return 0
  within=${1%/*}
  remember_folder "$within"
  is_there "$within" || install -d -o root -g root -m 0755 "$within"
  remember_folder "$1"
  if is_folder "$within" -user "$user"; then
    as_user mkdir -m 0750 "$1"
  else
    install -d -o "$user" -g "$group" -m 0750 "$1"
  fi
}

# Says what is to be done, and ends here unless something is, and may be.
decide() {
  if [ -z "$plan" ]; then
    echo "Storekeeper: $node is in order, and nothing was changed."
  elif [ "$mode" = check ]; then
    echo "Storekeeper: on $node it would$plan"
  else
    echo "Storekeeper: on $node it does this:$plan"
    return
  fi
  [ -z "$notes" ] || printf '%s\n' "${notes#?}"
  [ -z "$plan" ] || exit 1
  exit 0
}

done_with_it() {
  [ -z "$notes" ] || printf '%s\n' "${notes#?}"
  echo "Storekeeper: $node has $1."
}
"""
for _name, _value in (("CRON", CRON), ("ROTATION", ROTATION), ("UNITS", UNITS)):
    FUNCTIONS = FUNCTIONS.replace(_name, _value)

ARGUMENTS = r"""
mode=run
replace=
earlier=
wanted=
case $*:$# in
  :0) ;;
  OPTIONS
  *) refuse "It takes no argumentLISTED." ;;
esac
"""


@dataclass(frozen=True)
class Placed:
    """A file, with whose it is: owner, group and mode, as of root_script."""

    file: File
    how: str

    @property
    def _content(self) -> str:
        return self.file.content.rstrip("\n")

    @property
    def _facts(self) -> str:
        digest = hashlib.sha256(f"{self._content}\n".encode()).hexdigest()
        return f"{self.how} {self.file.path} {digest}"

    @property
    def look(self) -> str:
        """Return the line that looks at its place."""
        return f"look {self._facts}"

    @property
    def put(self) -> list[str]:
        """Return the lines that put it there."""
        return [f"put_ours {self._facts} <<'END_OF_FILE'", self._content, "END_OF_FILE"]

    @property
    def differs(self) -> str:
        """Return the condition that it is not there as it is here."""
        return f'{{ state_of {self._facts}; [ "$state" != same ]; }}'


def guest_script(
    configuration: Configuration,
    title: str,
    checks: Iterable[str],
    changes: Iterable[str],
    *,
    functions: str = "",
    options: Sequence[tuple[str, str]] | None = (),
) -> str:
    """Return a script of the lines that look and may refuse, and of those that change something after them.

    `options` are what it takes beside `--check`, each with the shell's assignment that it means; None: not even that.
    """
    layout = configuration.layout
    taken = (("--check", "mode=check"), *options) if options is not None else ()
    listed = [name for name, _ in taken]
    cases = "\n  ".join(f"{name}:1) {assignment} ;;" for name, assignment in taken)
    said = f" but {' or '.join(filter(None, (', '.join(listed[:-1]), listed[-1])))}" if listed else ""
    head = [
        f"etc={ABOVE} ours={layout.folder} installed={layout.installed} called={layout.cluster}",
        f"node={shlex.quote(configuration.node)}",
        f"identity={shlex.quote(f'# {layout.prefix}, {configuration.cluster}, node {configuration.node}')}",
        f"spool={layout.spool} logs={layout.logs}",
    ]
    arguments = ARGUMENTS.replace("OPTIONS", cases).replace("LISTED", said)
    return script(title, checks, changes, layout.user, "\n".join((FUNCTIONS, *head, functions, arguments)))
