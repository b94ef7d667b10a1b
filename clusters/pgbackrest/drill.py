"""What is tried again and again of what is in a repository: restore drills and verifications, as plain facts. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from clusters.pgbackrest.configuration import Option, Target, rendered
from clusters.pgbackrest.grammar import Unfit, data_directory, is_a_line
from clusters.pgbackrest.layout import File, Layout

RESTORE, VERIFY = "restore", "verify"
NEWEST, RANDOM = "newest", "random"
CHECKS_AT_MOST, SQL_AT_MOST, ANSWER_AT_MOST = 10, 500, 200
ARROW = " => "  # between a check's SQL and the answer that is expected
CHECK_SECONDS = 300  # that one check may take
PLACE = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9_.-]*){2,}", re.ASCII)
PLACE_AT_MOST = 70  # characters: a run's folder and the socket come after it, and a socket's path has 107 at most
MACHINE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,59}", re.ASCII)
DATABASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class Check:
    """A question to the restored copy, and what it has to answer: one row of one column, as psql prints it."""

    sql: str
    answer: str

    def __str__(self) -> str:
        return f"{self.sql}{ARROW}{self.answer}"


def checks(text: str) -> list[Check]:
    """Return the checks of a text with one on each line, such as SELECT count(*) > 0 FROM orders => t; raises Unfit.

    A backslash at the beginning would be a command to psql, which may run programs.
    """
    found = []
    for number, line in enumerate(filter(None, map(str.strip, text.splitlines())), 1):
        sql, arrow, answer = (part.strip() for part in line.rpartition(ARROW.strip()))
        if not arrow or not sql:
            raise Unfit(f"Line {number}: write a statement, {ARROW.strip()} and its answer, such as SELECT 1 => 1.")
        if not is_a_line(sql) or not is_a_line(answer or "-"):
            raise Unfit(f"Line {number} has a character that cannot be seen. Write it in letters, digits and signs.")
        if sql.startswith("\\"):
            raise Unfit(f"Line {number} begins with a backslash. Only SQL is taken, and no command of psql's.")
        if len(sql) > SQL_AT_MOST or len(answer) > ANSWER_AT_MOST:
            raise Unfit(
                f"Line {number} is too long: SQL has at most {SQL_AT_MOST} characters, an answer {ANSWER_AT_MOST}."
            )
        found.append(Check(sql, answer))
    if len(found) > CHECKS_AT_MOST:
        raise Unfit(f"There are {len(found)} checks; at most {CHECKS_AT_MOST} are taken.")
    return found


def database_name(text: str) -> str:
    """Return the name of a database to connect to; raises Unfit for what psql could read as something else."""
    if not DATABASE_NAME.fullmatch(text):
        raise Unfit("Give the database's name: letters, digits, _, $ and -, beginning with a letter.")
    return text


def place(text: str) -> str:
    """Return the folder in which copies are made; raises Unfit."""
    path = data_directory(text)
    if path != text or not PLACE.fullmatch(path):
        raise Unfit("Give a folder for nothing else, such as /var/lib/postgresql/drill: letters, digits, _ . - and /.")
    if len(path) > PLACE_AT_MOST:
        raise Unfit(f"Give a path of at most {PLACE_AT_MOST} characters: the copy's socket is in it.")
    return path


def machine_name(text: str) -> str:
    """Return how a drill machine is called; raises Unfit."""
    if not MACHINE_NAME.fullmatch(text):
        raise Unfit("Give the machine's name: letters, digits, . and -.")
    return text


@dataclass(frozen=True)
class Job:
    """What one run of a plan tries: a stanza in one repository."""

    folder: str  # of the node whose backups they are, below the cluster's in the store
    stanza: str
    repository: int  # its number
    postgresql: int  # major version


@dataclass(frozen=True)
class Plan:
    """One plan, with all that its runs try, one after the other."""

    id: int
    what: str  # restore, verify
    schedule: str  # a cron expression
    jobs: Sequence[Job]
    kind: str = NEWEST  # of a restore: the newest backup up to the end of the archive, or a random moment
    checks: Sequence[Check] = ()
    database: str = "postgres"  # that the checks connect to
    is_amchecked: bool = False
    place: str = ""  # the folder in which restores are made, for nothing else
    keep_free: int = 0  # bytes that stay free in its file system
    seconds: int = 6 * 3600  # that one restore or verification may take
    reads: str = ""  # of a drill machine: what tells its keys and passphrases from others

    @property
    def digest(self) -> str:
        """Return what tells this plan from one with anything else in it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Drills:
    """All that one machine tries, and how it reaches the repositories."""

    plans: Sequence[Plan]
    folders: Sequence[tuple[str, Sequence[Target]]]  # of nodes, with the repositories that their backups are read from
    layout: Layout = field(default_factory=Layout)

    @property
    def digest(self) -> str:
        """Return what tells it from other ones."""
        return hashlib.sha256("".join(plan.digest for plan in self.plans).encode()).hexdigest()[:16]

    def placed(self, target: Target) -> Target:
        """Return the repository with its files in our folder."""
        return replace(target, folder=self.layout.folder)

    def configurations(self) -> list[File]:
        """Return a pgbackrest.conf for the backups of each node; it reads repositories, and has no retention."""
        return [
            File(self.layout.drill_configuration(folder), rendered(self._lines(folder, targets), secrets=True))
            for folder, targets in self.folders
        ]

    def _lines(self, folder: str, targets: Sequence[Target]) -> Iterator[str | Option]:
        yield f"# Reads the backups of {folder} for restore drills and verifications. It holds secrets."
        yield "[global]"
        yield Option("process-max", "2")
        yield Option("log-level-console", "warn")
        yield Option("log-level-file", "off")
        yield "# Of its own: a drill keeps no backup from beginning."
        yield Option("lock-path", f"{self.layout.drills}/lock")
        yield Option("spool-path", self.layout.drills)
        for target in map(self.placed, targets):
            yield ""
            yield f"# {target.store}"
            yield from target.access()
            yield from target.encryption()


DELIVER = "deliver"  # in place of a plan: only send the reports that wait


def command(layout: Layout, plan: int | str) -> str:
    """Return what cron, systemd and people run for one plan."""
    return f"{layout.drill} {plan}"
