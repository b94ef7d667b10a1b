"""`make release`: the notes of this release, taken from CHANGELOG.md, or why it cannot be tagged yet."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEXT = "Next"  # a heading for what is not in any release yet


def sections(log: str) -> list[tuple[str, str, str]]:
    """Return each section's version, what its heading says of it, and its text; the newest first."""
    found = re.split(r"^## (.+)$", log, flags=re.MULTILINE)[1:]
    heads = [head.partition(", ") for head in found[::2]]
    return [(head[0], head[2], text.strip()) for head, text in zip(heads, found[1::2], strict=True)]


def notes(log: str, version: str) -> str:
    """Return what changed in this version."""
    return next((text for known, _, text in sections(log) if known == version), "")


def problem(log: str, version: str) -> str:
    """Return why the version cannot be released with this changelog, or nothing."""
    heading = next((when for known, when, _ in sections(log) if known == version), None)
    if heading is None:
        return f"CHANGELOG.md has no section {version}."
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", heading):
        return f"CHANGELOG.md says of {version}: {heading!r}; give it a date, such as 2026-11-29."
    return "" if notes(log, version) else f"The section {version} of CHANGELOG.md is empty."


def main() -> int:
    """Print the notes, for the tag's message."""
    from console.release import VERSION

    log = (ROOT / "CHANGELOG.md").read_text()
    if wrong := problem(log, VERSION):
        print(wrong, file=sys.stderr)
        return 1
    print(f"Storekeeper {VERSION}\n\n{notes(log, VERSION)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
