#!/bin/sh
# Installs the console as a service of Debian 12, or a newer release of it beside the one that runs: `make install`.
#
#   DESTDIR=FOLDER    below FOLDER instead, such as the root of an image
#   PYTHON=PATH       the interpreter that it runs on; default /usr/bin/python3
#
# Settings and keys that are there stay as they are. Nothing that runs is stopped or started.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../../.." && pwd)
DESTDIR=${DESTDIR:-} PYTHON=${PYTHON:-/usr/bin/python3}
export DESTDIR
say() { echo "$*" >&2; }

test "$(id -u)" = 0 || { say "Install as root: sudo make install"; exit 1; }
case $PYTHON in
/home/* | /root/* | /tmp/* | [!/]*)
  say "PYTHON=$PYTHON: the services cannot reach that; take one such as /usr/bin/python3."
  exit 1
  ;;
esac
for needed in "$PYTHON" systemd-sysusers systemd-tmpfiles; do
  command -v "$needed" >/dev/null || { say "$needed is missing: apt install python3 python3-venv systemd"; exit 1; }
done

# The code, once for each content: the same again is found, another one of the same version gets a number.
releases=$DESTDIR/opt/storekeeper/releases
mkdir -p "$releases"
version=$(sed -n 's/^version = "\([^"]*\)".*/\1/p' "$source/pyproject.toml" | head -n 1)
digest=$("$here/../release.sh" --digest)-$("$PYTHON" -c 'import sys; print(sys.version.split()[0])')
name='' number=1
for release in "$releases"/*; do
  if test "$(cat "$release/.digest" 2>/dev/null)" = "$digest"; then name=${release##*/}; fi
done
if test -n "$name"; then
  say "Release $name is there already."
else
  name=$version
  while test -e "$releases/$name"; do number=$((number + 1)) name=$version-$number; done
  rm -rf "$releases"/.new-*    # what one that was broken off has left
  new=$releases/.new-$$
  trap 'rm -rf "$new"' EXIT
  "$here/../release.sh" "$new" "$PYTHON"
  echo "$digest" >"$new/.digest"
  chown -R root:root "$new"
  chmod -R go-w "$new"
  mv -T "$new" "$releases/$name"
fi

# Who runs it.
install -D -m 644 "$here/sysusers.conf" "$DESTDIR/usr/local/lib/sysusers.d/storekeeper.conf"
systemd-sysusers --root="$DESTDIR/" "$DESTDIR/usr/local/lib/sysusers.d/storekeeper.conf"

# What it is set to; keys are made once.
install -d -m 755 "$DESTDIR/etc/storekeeper"
install -d -m 700 "$DESTDIR/etc/credstore"
settings=$DESTDIR/etc/storekeeper/storekeeper.env
test -e "$settings" || install -m 600 "$here/storekeeper.env" "$settings"
random() { "$PYTHON" -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom($1)).decode())"; }
made=
for secret in SECRET_KEY FIELD_ENCRYPTION_KEYS METRICS_TOKEN; do
  case $secret in FIELD*) bytes=32 ;; *) bytes=48 ;; esac    # a Fernet key has 32
  file=$DESTDIR/etc/credstore/storekeeper.$secret
  if test -e "$file" || test -e "$DESTDIR/etc/credstore.encrypted/storekeeper.$secret" ||
    grep -Eq "^[[:space:]]*${secret}(_FILE)?=." "$settings"; then continue; fi
  (umask 077 && random "$bytes" >"$file")
  made="$made $file"
done

"$PYTHON" -I "$DESTDIR/opt/storekeeper/releases/$name/console/deploy/debian/storekeeper" use "$name"

test -z "$made" || say "Made keys:$made
Keep a copy of them apart from the database's backups: without FIELD_ENCRYPTION_KEYS nobody can read its secrets."
say "Next:
  1. Set what is yours in $settings, and the database's address in $DESTDIR/etc/credstore/storekeeper.DATABASE_URL
  2. storekeeper migrate
  3. storekeeper check --deploy
  4. systemctl enable storekeeper.target && systemctl restart storekeeper.target"
