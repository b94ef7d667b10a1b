"""A newer pgBackRest than the machine's own: the package of a later Debian, unpacked beside it, with its libraries.

It comes from where the machine's own packages come from: the same sources, with another suite. Nothing is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
KEPT = Path("/var/tmp/storekeeper-tests")  # the packages, so that the next run downloads nothing
LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
LIBRARIES = "usr/lib/x86_64-linux-gnu"


class Unavailable(Exception):
    """It cannot be had here; the message says why."""


def unpacked(folder: Path, suite: str = "trixie") -> Path:
    """Return a folder with that suite's `pgbackrest`, for PATH; raises Unavailable."""
    if not SOURCES.is_file():
        raise Unavailable(f"There is no {SOURCES}.")
    packages = KEPT / suite
    if not list(packages.glob("pgbackrest_*.deb")):
        _download(packages, suite)
    root, programs = folder / "root", folder / "bin"
    for package in sorted(packages.glob("*.deb")):
        _run("dpkg-deb", "-x", package, root)
    programs.mkdir()
    program = programs / "pgbackrest"
    # Its own loader and libraries; under its own name, by which it starts itself again for each process.
    program.write_text(
        f'#!/bin/sh\nexec {root}/{LOADER} --argv0 "$0" --library-path {root}/{LIBRARIES}:/{LIBRARIES} '
        f'{root}/usr/bin/pgbackrest "$@"\n'
    )
    program.chmod(0o755)
    for place in (folder, *folder.parents):  # postgres runs it
        if place.stat().st_uid == 0 and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)
    return programs


def _download(packages: Path, suite: str) -> None:
    packages.mkdir(parents=True, exist_ok=True)
    for name in ("lists/partial", "cache/archives/partial"):
        (packages / name).mkdir(parents=True, exist_ok=True)
    (packages / "status").touch()  # as if nothing were installed
    first = SOURCES.read_text().split("\n\n")[0]
    (packages / "debian.sources").write_text(re.sub(r"(?m)^Suites:.*$", f"Suites: {suite}", first) + "\n")
    options = [
        f"Dir::Etc::sourcelist={packages}/debian.sources",
        "Dir::Etc::sourceparts=/dev/null",
        f"Dir::State::lists={packages}/lists",
        f"Dir::State::status={packages}/status",
        f"Dir::Cache={packages}/cache",
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
        "Acquire::Retries=1",
        "Acquire::http::Timeout=15",
    ]
    given = [part for option in options for part in ("-o", option)]
    _run("apt-get", *given, "update")
    # What it depends on beside libraries is PostgreSQL's, and that is the machine's own.
    names, added = {"pgbackrest"}, {"pgbackrest"}
    while added:
        told = _run("apt-cache", *given, "depends", "--important", *sorted(added))
        added = {*re.findall(r"(?m)^ +Depends: (lib[a-z0-9.+-]+|zlib1g)$", told)} - names
        names |= added
    _run("apt-get", *given, "download", *sorted(names), cwd=packages)
    for name in ("lists", "cache"):
        shutil.rmtree(packages / name)


def _run(*command: object, cwd: Path | None = None) -> str:
    ran = subprocess.run([str(part) for part in command], cwd=cwd, check=False, capture_output=True, text=True)
    if ran.returncode:
        raise Unavailable(f"{command[0]} said: {ran.stderr.strip()[-500:]}")
    return ran.stdout
