"""The migrations of the last release, each with its digest: `python -m tests.upgrade.frozen` writes the list anew.

That is done once, by whoever cuts a release: from then on they are never edited, and what comes after them has to be
such that the code of that release goes on working (tests/upgrade/additive.py).
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("frozen.txt")


def on_disk() -> dict[str, str]:
    """Return the digest of each migration of ours, by its path."""
    files = [path for top in ("console", "stores", "clusters") for path in (ROOT / top).rglob("migrations/*.py")]
    return {
        path.relative_to(ROOT).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.name != "__init__.py"
    }


def frozen() -> dict[str, str]:
    """Return the digest of each migration of the last release, by its path."""
    lines = [line.split() for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    return {path: digest for digest, path in lines}


def main() -> int:
    """Write the list; or, with --check, say what is not in it."""
    if "--check" in sys.argv:
        if missing := sorted(on_disk().items() - frozen().items()):
            print(f"Freeze the migrations first (python -m tests.upgrade.frozen): {missing[0][0]}", file=sys.stderr)
        return bool(missing)
    lines = [f"{digest}  {path}" for path, digest in on_disk().items()]
    LIST.write_text("# Written by python -m tests.upgrade.frozen at each release.\n" + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
