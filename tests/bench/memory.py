"""How much memory processes take, with what they share counted once (PSS, proc_pid_smaps(5))."""

from __future__ import annotations

from pathlib import Path


def of_tree(pid: int) -> list[float]:
    """Return the megabytes of a process and of each below it, that process first; none for what has ended."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        mine, children = _pss(pid), [int(one) for one in listed.read_text().split()]
    except (OSError, ValueError):
        return []
    return [mine, *(size for child in children for size in of_tree(child))]


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(pid)
