"""A machine of its own for the scripts that root runs on a node: its /etc and /var are folders of the test; needs root.

Each script gets a mount namespace, so nothing of the real machine is in reach of its paths.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOTS = ("etc", "var")
USERS = ("passwd", "group", "nsswitch.conf", "ld.so.cache")  # of the real /etc: without them there is no postgres
# No systemd runs here, so nothing is started; the links are made as systemd's own program does.
SYSTEMCTL = """#!/bin/sh
echo "$@"
case $1 in daemon-reload) exit;; esac
verb=$1
shift
for unit; do
  case $unit in
    --*) ;;
    *)
      wants=/etc/systemd/system/timers.target.wants
      mkdir -p $wants
      case $verb in enable) ln -sfT "/etc/systemd/system/$unit" "$wants/$unit" ;; disable) rm -f "$wants/$unit" ;; esac
      ;;
  esac
done
"""
INSIDE = """mount --bind "$1/etc" /etc; mount --bind "$1/var" /var
[ ! -d /tmp/pgbackrest ] || mount -t tmpfs none /tmp/pgbackrest
PATH="/var/bin:$1/bin:$PATH"; export PATH; shift; exec "$@\""""

Look = tuple[str, int, int, int, str]  # kind, owner, group, mode, content


class Machine:
    """The files of a node, and what root or postgres runs on it."""

    def __init__(self, folder: Path) -> None:
        """Make a Debian that has PostgreSQL, cron and systemd, and nothing of ours."""
        self.folder, self.postgres = folder, pwd.getpwnam("postgres")
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        for name in (
            "etc/cron.d",
            "etc/logrotate.d",
            "etc/systemd/system",
            "var/log",
            "var/spool",
            "var/lib/postgresql/15/main",
            "outside/folder",
            "bin",
        ):
            (folder / name).mkdir(parents=True)
        for name in USERS:
            shutil.copy(f"/etc/{name}", folder / "etc")
        for name in ("etc/shadow", "outside/secret", "outside/folder/secret"):
            (folder / name).write_text("root's alone\n")
            (folder / name).chmod(0o600)
        (folder / "outside/folder").chmod(0o700)
        (folder / "bin/systemctl").write_text(SYSTEMCTL)
        (folder / "bin/systemctl").chmod(0o755)

    def place(self, path: str) -> Path:
        """Return where the machine's path is for us."""
        return self.folder / path.lstrip("/")

    def run(self, script: str, seconds: int = 20) -> subprocess.CompletedProcess[str]:
        """Run a script as root on the machine; one that waits for something ends with 124."""
        command = self._inside("timeout", "-k", "1", str(seconds), "sh", "-s")
        return subprocess.run(command, input=script, check=False, capture_output=True, text=True)

    @contextmanager
    def postgres_runs(self, *command: str) -> Iterator[None]:
        """Have postgres run something on the machine for as long as the block takes."""
        as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        process = subprocess.Popen(self._inside(*as_postgres, *command), stdout=subprocess.DEVNULL)
        try:
            yield
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()

    def own(self, path: str) -> None:
        """Give the path to postgres."""
        os.chown(self.place(path), self.postgres.pw_uid, self.postgres.pw_gid, follow_symlinks=False)

    def _inside(self, *command: str) -> list[str]:
        return ["unshare", "-m", "sh", "-ec", INSIDE, "sh", str(self.folder), *command]

    def look(self) -> dict[str, Look]:
        """Return everything that there is, by the machine's path; links are not followed."""
        found = {}
        for at, folders, files in os.walk(self.folder):
            for name in (*folders, *files):
                path = Path(at, name)
                if not path.is_relative_to(self.folder / "bin"):
                    found[f"/{path.relative_to(self.folder)}"] = self._one(path)
        return found

    def _one(self, path: Path) -> Look:
        facts, content = path.lstat(), ""
        if stat.S_ISLNK(facts.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(facts.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        kind = stat.filemode(facts.st_mode)[0]
        return kind, facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode), content
