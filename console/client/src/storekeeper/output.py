"""What the command line prints: tables for people, JSON and CSV for programs, and how far a task is."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

GOOD = {"available", "done", "recoverable", "attached", "succeeded", "yes"}
BAD = {"failed", "not_recoverable", "refused", "critical", "denied"}
POOR = {
    "degraded",
    "at_risk",
    "behind",
    "unknown",
    "warning",
    "waiting",
    "creating",
    "deleting",
    "updating",
    "repairing",
}
COLOURED = {"state", "verdict", "severity", "outcome"}
# What a spreadsheet may take for a formula, as in the console's own CSV files.
FORMULA = re.compile(r"""((?:^|[;|\t\v\f\r\n\x1c-\x1e\x85\u2028\u2029])[\s"']*)([=+\-@\uff1d\uff0b\uff0d\uff20])""")
# Control signs, and those that turn the direction of text: a name of a row must not drive the terminal.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def is_colourful(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Say whether colours are seen there: on a terminal, unless NO_COLOR is set."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def safe(text: str) -> str:
    """Return text that only shows, and is on one line."""
    return UNSAFE.sub(" ", text)


def cell(value: Any) -> str:
    """Return a value as a table has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (dict, list)):
        return safe(json.dumps(value, ensure_ascii=False)) if value else ""
    return safe(str(value))


def spread(value: Any) -> Any:
    """Return a value as CSV has it; no spreadsheet takes it for a formula."""
    if isinstance(value, (dict, list, bool)):
        value = json.dumps(value, ensure_ascii=False)
    return FORMULA.sub(r"\1'\2", value) if isinstance(value, str) else value


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def cut(text: str, columns: int) -> str:
    """Return as much of a text as fits."""
    if width(text) <= columns:
        return text
    while text and width(text) > columns - 1:
        text = text[:-1]
    return f"{text}…"


class Printer:
    """Prints rows in one of the ways, `table`, `json` or `csv`."""

    def __init__(self, way: str, columns: Sequence[str], stream: TextIO | None = None) -> None:
        self.way, self.columns, self.stream = way, list(columns), stream or sys.stdout
        self.colours = is_colourful(self.stream)

    def rows(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Print a list; JSON and CSV row by row, as they come. Returns how many there were."""
        if self.way == "json":
            return self._json(rows)
        if self.way == "csv":
            return self._csv(rows)
        kept = list(rows)
        names = self.columns or scalars(kept)
        lines = [[cell(row.get(name)) for name in names] for row in kept]
        widths = [max([width(name), *(width(line[at]) for line in lines)]) for at, name in enumerate(names)]
        self._line([name.upper() for name in names], widths, [])
        for line in lines:
            self._line(line, widths, names)
        return len(kept)

    def row(self, row: Any) -> None:
        """Print one row: as a table, a line for each field."""
        if not isinstance(row, Mapping) or self.way == "json":
            self.stream.write(json.dumps(row, ensure_ascii=False, indent=2) + "\n")
        elif self.way == "csv":
            self._csv([row])
        else:
            names = list(row)
            longest = max((width(name) for name in names), default=0)
            for name in names:
                text = self._colour(name, cell(row[name]))
                self.stream.write(f"{name}{' ' * (longest - width(name))}  {text}".rstrip() + "\n")

    def _json(self, rows: Iterable[Mapping[str, Any]]) -> int:
        count = 0
        self.stream.write("[")
        for count, row in enumerate(rows, 1):
            chosen = {name: row.get(name) for name in self.columns} if self.columns else row
            self.stream.write(("," if count > 1 else "") + "\n" + json.dumps(chosen, ensure_ascii=False))
        self.stream.write("\n]\n" if count else "]\n")
        return count

    def _csv(self, rows: Iterable[Mapping[str, Any]]) -> int:
        writer, count, names = csv.writer(self.stream, lineterminator="\n"), 0, self.columns
        for count, row in enumerate(rows, 1):
            if count == 1:
                names = names or list(row)
                writer.writerow(names)
            writer.writerow([spread(row.get(name)) for name in names])
        if not count and names:
            writer.writerow(names)
        return count

    def _line(self, texts: Sequence[str], widths: Sequence[int], names: Sequence[str]) -> None:
        room = shutil.get_terminal_size().columns if self.stream.isatty() else 0
        parts, used = [], 0
        for at, text in enumerate(texts):
            left = room - used if room else widths[at]
            if left <= 0:
                break
            fit = cut(text, left)
            pad = " " * max(0, min(widths[at], left) - width(fit)) if at < len(texts) - 1 else ""
            parts.append((self._colour(names[at], fit) if names else fit) + pad)
            used += widths[at] + 2
        self.stream.write("  ".join(parts).rstrip() + "\n")

    def _colour(self, name: str, text: str) -> str:
        if not self.colours or name not in COLOURED:
            return text
        number = 32 if text in GOOD else 31 if text in BAD else 33 if text in POOR else 0
        return f"\x1b[{number}m{text}\x1b[0m" if number else text


def scalars(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the fields of the first row that are no lists, where the document says nothing of columns."""
    return [name for name, value in rows[0].items() if not isinstance(value, (dict, list))][:6] if rows else []


class Progress:
    """Says on standard error how far a task is: one line that changes on a terminal, else a line for each change."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream, self.last = stream or sys.stderr, ""
        self.is_live = self.stream.isatty()

    def __call__(self, task: Mapping[str, Any]) -> None:
        """Say how far it is."""
        if "progress" not in task:  # no task, but what an attempt shows
            return
        steps = [one for one in task.get("steps") or [] if isinstance(one, Mapping)]
        at = next((str(one.get("title")) for one in steps if one.get("state") not in {"done", "skipped"}), "")
        ended = task.get("is_finished")
        what = str(task.get("state")) if ended or not at else at
        said = safe(f"{task.get('subject', '')}: {task.get('progress', 0)} % · {what}")
        if said == self.last:
            return
        self.last = said
        if self.is_live:
            self.stream.write(f"\r\x1b[K{cut(said, shutil.get_terminal_size().columns - 1)}" + ("\n" if ended else ""))
        else:
            self.stream.write(f"{said}\n")
        self.stream.flush()

    def break_off(self) -> None:
        """Leave the line that changes."""
        if self.is_live and self.last:
            self.stream.write("\n")
