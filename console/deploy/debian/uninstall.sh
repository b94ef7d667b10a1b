#!/bin/sh
# Takes the console's service away again: `make uninstall`. Settings, keys, users and the database stay.
set -eu
DESTDIR=${DESTDIR:-}
test "$(id -u)" = 0 || { echo "Uninstall as root: sudo make uninstall" >&2; exit 1; }
if test -z "$DESTDIR" && test -d /run/systemd/system; then
  systemctl disable --now --quiet storekeeper.target 2>/dev/null || true
  systemctl stop 'storekeeper-web.service' 'storekeeper-beat.service' 'storekeeper-worker@*.service' 2>/dev/null || true
fi
rm -rf "$DESTDIR/opt/storekeeper" "$DESTDIR/run/storekeeper"
rm -f "$DESTDIR/usr/local/sbin/storekeeper" "$DESTDIR"/usr/local/lib/sysusers.d/storekeeper.conf \
  "$DESTDIR"/usr/local/lib/tmpfiles.d/storekeeper.conf "$DESTDIR"/usr/local/lib/systemd/system/storekeeper.target \
  "$DESTDIR"/usr/local/lib/systemd/system/storekeeper-*.service
if test -z "$DESTDIR" && test -d /run/systemd/system; then systemctl daemon-reload; fi
echo "Removed. What stays, for you to delete: /etc/storekeeper, /etc/credstore/storekeeper.*, the users storekeeper-web and
storekeeper-work with their group storekeeper, and the database." >&2
