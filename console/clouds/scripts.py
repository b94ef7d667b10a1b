"""The scripts that are offered to administrators: files in the clouds' packages, with gaps between two @."""

from __future__ import annotations

import re
from pathlib import Path

GAP = re.compile(r"@([a-z_]+)@")


def filled(file: Path, **given: str) -> str:
    """Return the script in the file, which is UTF-8, with its gaps filled; raises KeyError for one that is not."""
    return GAP.sub(lambda found: given[found[1]], file.read_text(encoding="utf-8"))
