"""The demo's processes: starts them, watches them, starts again those that die, and ends them all.

One thread, one loop. Nothing outlives the supervisor, whatever ends it: on a signal it ends its children itself; when
it is killed, a guard ends them; when the guard is killed as well, the kernel tells them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from console.demo import processes
from console.demo.credentials import AMAZON, AZURE, GOOGLE, PEOPLE, azure_token, load_secrets
from console.demo.emulators.azure import azurite
from console.demo.files import write_private
from console.demo.guard import Guard, signal_group
from console.demo.object_server import ObjectServer
from console.demo.processes import GRACE_SECONDS, Child, Job, end_processes
from console.demo.release import unknown_migrations
from console.demo.roles import azure_roles, google_roles
from console.demo.servers import HOST, end_with_parent, free_port, kept_port

BASE_DIR = Path(__file__).resolve().parent.parent.parent
DATABASE = "demo.sqlite3"  # in the data folder
# What management commands make: their sources here, and their result in the data folder.
MADE = {
    "migrate": ("*/migrations/*.py", DATABASE),
    "collectstatic": ("static/**/*.*", "static/staticfiles.json"),
}
STEADY_SECONDS = 10.0  # a child that lived so long did not die of its start
LONGEST_BACK_OFF = 30.0


class DemoFailed(Exception):
    """The demo cannot go on; the message says why, in words for the terminal."""


class Ended(Exception):
    """Somebody asked the demo to end while it was busy starting."""


def fingerprint(paths: Iterable[Path]) -> str:
    """Return a short text that changes when any of these files does."""
    seen = hashlib.sha256()
    for path in sorted(paths):
        stat = path.stat()
        seen.update(f"{path}\0{stat.st_mtime_ns}\0{stat.st_size}\n".encode())
    return seen.hexdigest()


def state_of(command: str) -> str:
    """Return a short text that changes when anything does of which a command makes its result."""
    # Apps of others bring migrations and static files as well, and settings.py says which apps there are.
    sources = MADE[command][0]
    paths = [*BASE_DIR.glob(sources), *BASE_DIR.glob(f"console/{sources}")]
    return fingerprint([*paths, BASE_DIR / "requirements.lock", BASE_DIR / "console" / "settings.py"])


def tell(line: str) -> None:
    """Print a line on the terminal, if it is still there: the demo goes on without a reader."""
    with suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


class Demo:
    """The console on this machine, with all that it needs; `run` returns when it has ended."""

    def __init__(self, *, port: int, data: Path, latency: int) -> None:
        """Prepare a demo that keeps everything in one folder; each cloud call takes `latency` milliseconds."""
        self.wanted_port, self.data, self.latency = port, data.resolve(), latency
        self.children: list[Child] = []
        self.jobs: list[Job] = []
        self.ending = False
        self.guard: Guard | None = None
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
        """Note that the demo has to end; the loop sees it within a moment."""
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
        if strange := unknown_migrations(self.data / DATABASE):
            raise DemoFailed(
                f"{self.data} is of another release, which had the migration {strange[0]}: delete that folder, and "
                "start again."
            )
        self.guard = Guard(self.file, lock)
        servers, (worker, scheduler, console) = self.prepare()
        for child in servers:
            self.launch(child)
        migrations, files = self.refresh("migrate"), self.refresh("collectstatic")
        self.wait_for_jobs(*migrations)
        self.launch(worker)
        if not files:
            self.launch(console)
        self.wait(*servers)
        draft = self.file.with_name("demo-draft.json")
        write_private(draft, json.dumps(self.demo, indent=2))
        samples = self.launch_job("demo_data", speaks=True, DEMO_FILE=str(draft))
        if files:  # the console reads the list of them when it starts
            self.wait_for_jobs(*files)
            self.launch(console)
        self.wait(console)
        self.wait_for_jobs(samples)
        self.launch(scheduler)  # sweeps what stalled: the last thing that a start has to wait for
        draft.replace(self.file)
        self.greet()

    def prepare(self) -> tuple[list[Child], tuple[Child, Child, Child]]:
        """Choose ports, passwords and the children's environment, and describe the children: what serves the others."""
        port = free_port(self.wanted_port)
        if self.wanted_port not in (0, port):
            tell(f"Port {self.wanted_port} is taken; the console takes {port}.")
        kept = load_secrets(self.data / "secrets.json")
        s3 = ObjectServer(self.data / "objects")
        folder = self.data / "google"
        servers = [
            broker := processes.broker(self.data, free_port()),
            amazon := processes.amazon(free_port(), self.latency),
            google := processes.google(folder, kept_port(folder / "port"), self.latency),
            processes.object_server(s3),
        ]
        ours = (processes.worker(), processes.scheduler(self.data), processes.console(port))
        people = {
            role: {"username": username, "password": kept["passwords"][username]}
            for role, (username, _) in PEOPLE.items()
        }
        self.demo = {
            "url": f"http://{HOST}:{port}",
            **people["owner"],
            **people,
            "aws": {"endpoint": amazon.where, **AMAZON},
            "google": {
                "endpoint": google.where,
                "project": GOOGLE["project"],
                "workload_provider": GOOGLE["workload_provider"],
                "service_account": f"storekeeper@{GOOGLE['project']}.iam.gserviceaccount.com",
                "ca_certificate": str(folder / "ca.pem"),
                "key_file": str(folder / "storekeeper.json"),
                "administrator_key_file": str(folder / "administrator.json"),
            },
            "s3": {
                "endpoint": s3.endpoint,
                "region": s3.region,
                "access_key_id": s3.access_key_id,
                "secret_access_key": s3.secret_access_key,
                "ca_certificate": str(s3.ca_file),
            },
        }
        clouds = {}
        write_private(folder / processes.ROLES, json.dumps(google_roles()))
        if azurite.MAIN.exists():  # else there is no Azure: `make demo` installs it where npm's registry answers
            servers.append(azure := processes.azure(self.data / "azure", self.latency))
            write_private(self.data / "azure" / processes.ROLES, json.dumps(azure_roles("identity", "sas")))
            certificate = str(self.data / "azure" / "ca.pem")
            self.demo["azure"] = {"endpoint": azure.where, "ca_certificate": certificate, **AZURE}
            write_private(token := self.data / "azure" / "token", azure_token())
            clouds = {"AZURE_ENDPOINT_URL": azure.where, "AZURE_ENDPOINT_CA": certificate}
            clouds["AZURE_FEDERATED_TOKEN_FILE"] = str(token)
        # The machine's own cloud credentials, settings and proxies have no business in a demo.
        strange = ("AWS_", "AZURE_", "GOOGLE_", "CELERY_", "GRANIAN_", "DJANGO_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
        settings = {
            "SECRET_KEY": kept["SECRET_KEY"],
            "FIELD_ENCRYPTION_KEYS": kept["FIELD_ENCRYPTION_KEYS"],
            "DATABASE_URL": f"sqlite:///{self.data / DATABASE}",
            "REDIS_URL": broker.where,
            "ALLOWED_HOSTS": f"{HOST},localhost",
            "CSRF_TRUSTED_ORIGINS": "",
            "STATIC_ROOT": str(self.data / "static"),
            "DEMO_FILE": str(self.file),
            "INSECURE_HTTP": "1",
            "SUPPORT_SECOND_FACTOR": "",
            "DEBUG": "",
            "S3_ENDPOINTS_ALLOWED": f"{HOST},localhost",
            "ALERT_ENDPOINTS_ALLOWED": f"{HOST},localhost",
        }
        self.environment = {
            **{name: value for name, value in inherited.items() if name.removesuffix("_FILE") not in settings},
            **settings,
            "GOOGLE_ENDPOINT_URL": google.where,
            "GOOGLE_ENDPOINT_CA": str(folder / "ca.pem"),
            "GOOGLE_SUBJECT_TOKEN_FILE": str(folder / GOOGLE["identity_file"]),
            **clouds,
            "AWS_ENDPOINT_URL": amazon.where,
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
        return servers, ours

    def refresh(self, command: str) -> list[Job]:
        """Start a management command if its sources changed since it last made its result."""
        state, stamp = state_of(command), self.data / f"{command}.stamp"
        if (self.data / MADE[command][1]).exists() and stamp.exists() and stamp.read_text() == state:
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
        if self.guard:
            known = [child.process for child in self.children] + [job.process for job in self.jobs]
            self.guard.watch_over(one.pid for one in (process, *known) if one)
        return process

    def launch(self, child: Child) -> None:
        """Start a child, with its output in its log."""
        environment = {**self.environment, **child.environment}
        with (self.data / "logs" / f"{child.key}.log").open("ab") as output:
            child.process = self.spawn(child.command, stdout=output, stderr=output, env=environment)
        child.started, child.ready = time.monotonic(), False
        if child not in self.children:
            self.children.append(child)
        pids = {known.key: known.process.pid for known in self.children if known.process}
        write_private(self.data / "pids.json", json.dumps({"supervisor": os.getpid(), **pids}))

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
                self.say(child, f"started again: {child.where}")
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
            if child.key == "amazon":
                self.void_sessions()
        elif not child.ready and child.answers():
            again, child.ready = self.file.exists(), True
            if not again:
                self.say(child, child.where)
            elif child.key == "amazon":
                self.launch_job("demo_data", speaks=True)  # it forgot its buckets

    def void_sessions(self) -> None:
        """Have the worker sign in to Amazon anew: an emulator that was started again knows none of its sessions."""
        for child in self.children:
            if child.key == "worker" and child.process:
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

    def end(self) -> None:
        """End all children: first those that use the others, each with a moment to finish what it is at."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # asked twice, it does not end half-way
        self.file.unlink(missing_ok=True)
        users = [child.process for child in self.children if not child.serves]
        for group in ([*users, *(job.process for job in self.jobs)], [child.process for child in self.children]):
            end_processes([process for process in group if process])
        self.children, self.jobs = [], []
        (self.data / "pids.json").unlink(missing_ok=True)
        if self.guard:
            self.guard.dismiss()
