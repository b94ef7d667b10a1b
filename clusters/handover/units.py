"""systemd's units as text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from clusters.pgbackrest.layout import UNITS, File

MARK = "# Made by Storekeeper"  # by which its own units are known
WANTS = f"{UNITS}/timers.target.wants"  # where systemctl links what is enabled


def unit(name: str, title: str, runs: Sequence[str], timer: str, user: str, *, after: Sequence[str] = ()) -> list[File]:
    """Return a service and its timer; `after` are the units that begin before it, those that exist."""
    order = " ".join(dict.fromkeys(("network-online.target", *after)))
    starts = "".join(f"ExecStart={one}\n" for one in runs)
    return [
        File(
            f"{name}.service",
            f"{MARK}\n[Unit]\nDescription={title}\nWants=network-online.target\nAfter={order}\n\n"
            f"[Service]\nType=oneshot\nUser={user}\n{starts}",
        ),
        File(
            f"{name}.timer",
            f"{MARK}\n[Unit]\nDescription={title}\n\n[Timer]\n{timer}\n[Install]\nWantedBy=timers.target\n",
        ),
    ]
