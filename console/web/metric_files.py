"""The folder in which the processes of a machine count (PROMETHEUS_MULTIPROC_DIR): it may be full, and it stays small.

A file there is mapped into the memory of its process. Where the disk is full, writing to a page of it that has no block
yet ends the process (SIGBUS), so each block is asked for before. What finds no place is counted in memory alone: no
scrape sees it, and nobody else notices.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

log = logging.getLogger("storekeeper.metrics")

SUMMED = ("counter", "histogram", "summary")  # kinds of files whose values are added up
GONE = "gone"  # what stands for a process in the name of the file that has the sums of those which have ended
STILL = 600.0  # seconds for which nobody has written to it, before the file of a process counts as that of a dead one


class InMemory:
    """Values of a process that nobody else sees."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, float]] = {}

    def read_value(self, key: str) -> tuple[float, float]:
        """Return the value, and when it was set."""
        return self._values.setdefault(key, (0.0, 0.0))

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Keep the value."""
        self._values[key] = (value, timestamp)

    def close(self) -> None:
        """Do nothing."""


class Spared(MmapedDict):
    """A file of values, of which each block is there before it is written to."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        self._rest = InMemory()
        if not read_mode:
            _make_room(filename)
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        wanted = 4 + len(key.encode()) + 8 + 16
        if self._used + wanted > self._capacity:
            os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def read_value(self, key: str) -> tuple[float, float]:
        """Return the value; of one for which there is no place, the one in memory."""
        try:
            return super().read_value(key)  # type: ignore[no-untyped-call,no-any-return]
        except OSError as error:
            _tell(error)
            return self._rest.read_value(key)

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Keep the value, in memory where there is no place for it."""
        if key not in self._positions and key in self._rest._values:
            self._rest.write_value(key, value, timestamp)
            return
        try:
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
        except OSError as error:
            _tell(error)
            self._rest.write_value(key, value, timestamp)


def _make_room(filename: str) -> None:
    """Have the file's first blocks there; raises OSError, and leaves no empty file behind."""
    file = Path(filename)
    with file.open("a+b") as opened:
        if os.fstat(opened.fileno()).st_size:
            return
        try:
            os.posix_fallocate(opened.fileno(), 0, 1 << 16)  # as many as MmapedDict begins with
        except OSError:
            file.unlink(missing_ok=True)
            raise


def values_of(filename: str) -> Any:
    """Return the file of values, or values in memory where there can be none."""
    try:
        return Spared(filename)
    except OSError as error:
        _tell(error)
        return InMemory()


_told: set[str] = set()


def _tell(error: OSError) -> None:
    why = error.strerror or str(error)
    if why not in _told:  # once: it is met at each request
        _told.add(why)
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
        log.warning("%s: %s. Some of this process's counts are in no scrape until it starts again.", folder, why)


def spare() -> None:
    """Have prometheus_client keep its values in such files, in this process and from now on."""
    values.MmapedDict = values_of  # type: ignore[misc,assignment,attr-defined]


# Files of processes that have ended


def gather(folder: str) -> list[str]:
    """Add up the files of dead processes into one of each kind; return those that are gone."""
    with locked(folder, fcntl.LOCK_EX):
        found = of_dead_processes(folder)
        for kind in SUMMED:
            mine = [one for one in found if one.startswith(f"{kind}_")]
            if mine:
                _add_up(Path(folder), kind, mine)
    return found


def of_dead_processes(folder: str) -> list[str]:
    """Return the names of the files whose process is no more, and to which nobody has written for a while."""
    found = []
    for file in sorted(Path(folder).glob("*_*.db")):
        kind, _, pid = file.stem.rpartition("_")
        with suppress(OSError):
            if (
                kind in SUMMED
                and pid.isdecimal()
                and not _lives(int(pid))
                and time.time() - file.stat().st_mtime > STILL
            ):
                found.append(file.name)
    return found


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _add_up(folder: Path, kind: str, names: list[str]) -> None:
    """Make a new file with the sums, then take away what is in it; a broken file is taken away as it is."""
    kept, new = folder / f"{kind}_{GONE}.db", folder / f"{kind}_{GONE}.new"
    sums: dict[str, float] = {}
    for file in (kept, *(folder / name for name in names)):
        with suppress(OSError, ValueError, RuntimeError, struct.error):
            for key, value, *_ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]
                sums[key] = sums.get(key, 0.0) + value
    new.unlink(missing_ok=True)
    try:
        made = Spared(str(new))
        for key, value in sums.items():
            made._init_value(key)
            made.write_value(key, value, 0.0)
        made.close()  # type: ignore[no-untyped-call]
        new.replace(kept)
    except OSError as error:  # no place for the sums: then what is there stays
        new.unlink(missing_ok=True)
        _tell(error)
        return
    for name in names:
        (folder / name).unlink(missing_ok=True)


@contextmanager
def locked(folder: str, how: int) -> Iterator[None]:
    """Have the files stay as they are inside; where no lock can be had, they may be counted twice for a moment."""
    try:
        file = open(Path(folder) / "lock", "ab")  # noqa: SIM115 - it is closed below
    except OSError:
        yield
        return
    with file:
        fcntl.flock(file, how)
        yield
