"""That the measurements can be started: nothing of them runs in the suite."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_bench_is_loaded_before_django_is_set_up():
    """Its first measurements choose a database of their own: whatever they load must not ask for Django's apps."""
    load = [sys.executable, "-c", "import tests.bench.__main__"]
    done = subprocess.run(load, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
