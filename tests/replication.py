"""Hosts of a streaming replication on this machine, each with an /etc and a /var of its own; needs root and sshd.

They share the network, so each has ports of its own, and one repository, which is a folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from clusters.handover import steps
from clusters.handover.backup_from import ssh
from clusters.handover.setup_script import Known, setup_script
from clusters.pgbackrest.configuration import BY_NUMBER, Configuration, OtherHost, StanzaConfiguration, Target
from clusters.pgbackrest.layout import Layout
from console.clouds.contract import RepositoryOptions
from console.demo.servers import free_port
from tests.node_machine import Machine
from tests.postgres import binaries

DATA = "/var/lib/postgresql/15/main"
HOME = "/var/lib/postgresql"
LOCKS = "/var/lib/pgbackrest-locks"  # else both hosts would have pgBackRest's one lock below /tmp
SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
wal_log_hints = on
shared_buffers = 16MB
archive_mode = on
"""
SSHD = """
ListenAddress 127.0.0.1
Port {port}
HostKey /etc/ssh/host_key
PidFile /var/lib/sshd.pid
UsePAM no
StrictModes no
PasswordAuthentication no
AllowUsers postgres
SetEnv PGBACKREST_LOCK_PATH={locks}
"""


class Host(Machine):
    """One machine of the replication: PostgreSQL, pgBackRest, sshd."""

    def __init__(self, folder: Path, name: str, repository: Path) -> None:
        """Make the machine; nothing runs on it yet."""
        super().__init__(folder)
        self.name, self.repository = name, repository
        self.port, self.ssh_port = free_port(), free_port()
        self.layout = Layout()
        self.others: list[Host] = []
        self.from_standby = False
        self.writes_to, self.left = "n1", ""  # in the repository; and the one that it has had before
        self._sshd: subprocess.Popen[bytes] | None = None
        for path in (HOME, f"{HOME}/15", DATA, "/var/run/postgresql", f"{HOME}/.ssh", LOCKS):
            self.place(path).mkdir(parents=True, exist_ok=True)
            self.own(path)
        self.place(DATA).chmod(0o700)

    # What the console hands it

    @property
    def configuration(self) -> Configuration:
        """Return what the node is handed."""
        others = [
            OtherHost("127.0.0.1", "postgres", one.ssh_port, one.layout.configuration, DATA, one.port, at < self.number)
            for at, one in enumerate(self.all)
            if one is not self
        ]
        return Configuration(
            "ledger",
            self.name,
            BY_NUMBER[""],
            [self._target(self.writes_to)],
            [StanzaConfiguration("main", 15, DATA, self.port, others=others)],
            layout=self.layout,
            left=[self._target(self.left)] if self.left else [],
            backs_up_from_standby=self.from_standby,
            follows=self.all[0].name,
        )

    def _target(self, folder: str) -> Target:
        return Target(
            number=1,
            store="a folder",
            path=f"{self.repository}/c-abc/{folder}",
            repository=RepositoryOptions((("type", "posix"),)),
            cipher_pass="only-for-this-test",
            retention_type="count",
            retention_full=9,
            retention_diff=None,
            folder=self.layout.folder,
        )

    @property
    def all(self) -> Sequence[Host]:
        """Return all hosts by their names."""
        return sorted([self, *self.others], key=lambda one: one.name)

    @property
    def number(self) -> int:
        """Return its place among them."""
        return list(self.all).index(self)

    def set_up(self, system_ids: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the set-up script as root."""
        known = Known("https://console.invalid/applied/", "token", system_ids=system_ids or {})
        return self.run(setup_script(self.configuration, known))

    def scheduled(self, kind: str = "full") -> subprocess.CompletedProcess[str]:
        """Do what the schedule does when a backup is due; the run leaves a line unless another host is to make it."""
        self.run_line(kind).unlink(missing_ok=True)
        return self.shell(f"{self.layout.backup} main {kind}", check=False)

    def run_line(self, kind: str = "full") -> Path:
        """Return where the run of a schedule leaves its line."""
        return self.place(f"{self.layout.runs}/main.{kind}.1")

    # What runs there

    def shell(self, line: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a line as postgres."""
        line = line.replace("sudo -u postgres ", "")
        ran = subprocess.run(
            self._as_postgres("sh", "-c", line), check=False, capture_output=True, text=True, timeout=120
        )
        if check and ran.returncode:
            raise RuntimeError(f"{self.name}: {line} ended with {ran.returncode}:\n{ran.stdout}\n{ran.stderr}")
        return ran

    def _as_postgres(self, *command: str) -> list[str]:
        who = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        path = f"PATH={binaries()}:{os.environ['PATH']}"
        return self._inside(
            *who, "env", "-C", HOME, path, f"HOME={HOME}", "LANG=C.UTF-8", f"PGBACKREST_LOCK_PATH={LOCKS}", *command
        )

    def sql(self, text: str, port: int | None = None) -> str:
        """Return what psql prints for the statement."""
        return self.shell(f'psql -XAtq -p {port or self.port} -d postgres -c "{text}"').stdout.strip()

    def pgbackrest(self, rest: str) -> None:
        """Run pgBackRest for the stanza; raises with what it said when it fails."""
        self.shell(f"{self.layout.pgbackrest} --stanza=main {rest}")

    @property
    def ssh_test(self) -> str:
        """Return what shows whether the other host is reached as pgBackRest reaches it."""
        (other,) = self.configuration.stanzas[0].others
        return f"{ssh(other)} pgbackrest version"

    def initialise(self) -> None:
        """Make a new database cluster."""
        self.shell(f"initdb -D {DATA} -A trust --no-sync --locale=C.UTF-8")
        self.configure()

    def configure(self) -> None:
        """Write the server's settings, which a copy has from the other host."""
        archive = steps.archive_command(self.configuration, "main")
        auto = self.place(f"{DATA}/postgresql.conf")
        text = auto.read_text().split("# Of the test")[0]
        auto.write_text(f"{text}# Of the test\n{SETTINGS}port = {self.port}\narchive_command = '{archive}'\n")

    def start(self) -> None:
        """Start PostgreSQL."""
        self.shell(f"pg_ctl -D {DATA} -l {HOME}/server.log -w start")

    def stop(self, how: str = "fast") -> None:
        """Stop it."""
        self.shell(f"pg_ctl -D {DATA} -m {how} -w stop", check=False)

    def copy_from(self, primary: Host) -> None:
        """Become a standby of the primary."""
        shutil.rmtree(self.place(DATA))
        self.shell(f"pg_basebackup -h 127.0.0.1 -p {primary.port} -D {DATA} -c fast -X stream -R")
        self.configure()

    def serve_ssh(self) -> None:
        """Let the other hosts in, without a password, as pgBackRest needs it to back up from a standby."""
        self.place("/etc/ssh").mkdir(exist_ok=True)
        for key in ("/etc/ssh/host_key", f"{HOME}/.ssh/id_ed25519"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.place(key)], check=True)
            self.own(key) if key.startswith(HOME) else None
        self.place("/etc/ssh/sshd_config").write_text(SSHD.format(port=self.ssh_port, locks=LOCKS))
        Path("/run/sshd").mkdir(exist_ok=True)
        self._sshd = subprocess.Popen(self._inside("/usr/sbin/sshd", "-D", "-e"), stderr=subprocess.DEVNULL)

    def trust(self, other: Host) -> None:
        """Take the other's key, and know its host key."""
        with self.place(f"{HOME}/.ssh/authorized_keys").open("a") as file:
            file.write(other.place(f"{HOME}/.ssh/id_ed25519.pub").read_text())
        host_key = other.place("/etc/ssh/host_key.pub").read_text()
        with self.place(f"{HOME}/.ssh/known_hosts").open("a") as file:
            file.write(f"[127.0.0.1]:{other.ssh_port} {host_key}")

    def remove(self) -> None:
        """Stop all that runs there."""
        self.stop("immediate")
        if self._sshd:
            self._sshd.kill()
            self._sshd.wait()


def pair(below: Path) -> tuple[Host, Host, Path]:
    """Return two hosts that know each other, and the folder of their repository."""
    repository = Path(tempfile.mkdtemp(prefix="repository-"))
    first, second = (Host(below / name, name, repository) for name in ("n1", "n2"))
    first.others, second.others = [second], [first]
    os.chown(repository, first.postgres.pw_uid, first.postgres.pw_gid)
    return first, second, repository


def until(true: object, seconds: float = 30) -> None:
    """Wait until the function returns something true."""
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, true
        time.sleep(0.1)
