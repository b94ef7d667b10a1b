"""Runs the services' units without systemd as the first process: their users, command lines, settings and credentials.

What systemd would confine beyond that is read by `systemd-analyze`; a whole boot is no test of a suite.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.demo_process import ROOT

DEBIAN = ROOT / "console/deploy/debian"
SERVICES = ("storekeeper-web.service", "storekeeper-worker@.service", "storekeeper-beat.service")
# What lies below a folder appears in its place, for one command: the machine itself is left as it is.
PLACES = """
set -eu
root=$1; shift
mount -t overlay overlay -o "lowerdir=$root/etc:/etc" /etc
mkdir -p "$root/opt" "$root/run" "$root/usr/local"
mount --bind "$root/usr/local" /usr/local
mount --bind "$root/opt" /opt
mount --bind "$root/run" /run
exec "$@"
"""


def read(path: Path) -> dict[str, list[str]]:
    """Return what a unit says, each name with all of its values in their order, with those of all sections together."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        name, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def inside(root: Path, *command: str) -> list[str]:
    """Return a command that runs where what lies below `root` is installed."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", PLACES, "sh", str(root), *command]


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command there, as root, with nothing of this process's environment; its output is in `stdout`."""
    clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    said: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(inside(root, *command), check=False, env=clean, **said)


class Service:
    """One of the services, started by the line of its unit, as the unit's user."""

    def __init__(self, root: Path, unit: str, instance: str = "") -> None:
        self.root, self.unit, self.told = root, unit, read(root / "usr/local/lib/systemd/system" / unit)
        self.name = unit.replace("@", f"@{instance}")
        self.log = root / f"{self.name}.log"
        self.notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notified.bind("\0storekeeper-test-" + self.name + str(os.getpid()))
        self.notified.settimeout(60)
        (self.user,), (self.group,) = self.told["User"], self.told["Group"]
        self.instance = instance

    def environment(self) -> dict[str, str]:
        """Return what systemd would hand it, with a watchdog that wants to hear every two seconds."""
        found = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        for line in self.told["Environment"]:
            found |= dict(one.split("=", 1) for one in shlex.split(line.replace("%i", self.instance)))
        for (path,) in [self.told["EnvironmentFile"]]:
            lines = (self.root / path.lstrip("/")).read_text().splitlines()
            found |= dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        found |= {"NOTIFY_SOCKET": "@" + self.notified.getsockname()[1:].decode(), "WATCHDOG_USEC": "2000000"}
        found["CREDENTIALS_DIRECTORY"] = f"/run/credentials/{self.name}"
        return found

    def start(self) -> None:
        """Start it; raises AssertionError if it needs more than the unit gives."""
        credentials = self.root / f"run/credentials/{self.name}"
        credentials.mkdir(parents=True)
        identity = dict(line.split(":")[::2][:2] for line in (self.root / "etc/passwd").read_text().splitlines())
        for line in self.told["LoadCredential"]:
            name, _, stored = line.partition(":")
            with suppress(FileNotFoundError):  # one that is not there is left out (systemd.exec(5))
                (credentials / name).write_bytes((self.root / "etc/credstore" / stored).read_bytes())
                os.chown(credentials / name, int(identity[self.user]), -1)
                (credentials / name).chmod(0o400)
        (line,) = self.told["ExecStart"]
        as_user = ["setpriv", f"--reuid={self.user}", f"--regid={self.group}", "--clear-groups", "--no-new-privs"]
        command = inside(self.root, *as_user, "--bounding-set=-all", "--inh-caps=-all", *shlex.split(line))
        with self.log.open("ab") as log:
            quiet: dict[str, Any] = {
                "stdin": subprocess.DEVNULL,
                "stdout": log,
                "stderr": log,
                "start_new_session": True,
            }
            self.process = subprocess.Popen(command, env=self.environment(), **quiet)

    def hears(self, state: bytes) -> bool:
        """Wait until it has told a state; False when it has not within a minute."""
        with suppress(TimeoutError):
            while self.notified.recv(64) != state:
                pass
            return True
        return False

    def stop(self) -> int:
        """Ask it to end; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.notified.close()
