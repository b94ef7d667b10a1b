"""What became of each step on each server."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

# What a server cannot do, whatever the console does: the step has to fail there.
KNOWN = {("s3rver", "objects"): "s3rver 3.7 lists no folders, so pgBackRest finds no backups there"}
STEPS = (
    "link",
    "create",
    "posture",
    "node access",
    "objects",
    "pgBackRest",
    "deletion",
    "protected",
    "orphans",
    "brought in",
)


class Table:
    """The results by server and step, as they come."""

    def __init__(self):
        self.rows = {}

    @contextmanager
    def step(self, server, name):
        """Note how the step went, and how long it took; `said` is what it adds to "yes"."""
        assert name in STEPS
        row, said, begun = self.rows.setdefault(server, {}), [], time.monotonic()
        try:
            yield said.append
        except Exception as error:
            row[name] = f"NO: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
            if reason := KNOWN.get((server, name)):
                row[name] = f"no: {reason}"
                pytest.xfail(reason)
            raise
        assert (server, name) not in KNOWN, "it works: take it out of KNOWN"
        row[name] = f"{said[0] if said else 'yes'} ({time.monotonic() - begun:.1f} s)"

    def lines(self):
        """Return the table as Markdown, which also goes to the file that SERVERS_TABLE names."""
        if not self.rows:
            return []
        lines = [f"| server | {' | '.join(STEPS)} |", f"|{'---|' * (len(STEPS) + 1)}"]
        for server, row in self.rows.items():
            lines.append(f"| {server} | {' | '.join(row.get(step, '-') for step in STEPS)} |")
        if file := os.environ.get("SERVERS_TABLE"):
            with Path(file).open("a") as out:
                out.write("\n".join(lines) + "\n")
        return lines
