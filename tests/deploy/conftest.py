"""An installation below a folder of its own, which the tests of this package share."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.demo_process import ROOT


def make(target, folder):
    """Run `make install` or `make uninstall` below a folder; return what it says."""
    made = subprocess.run(
        ["make", "--no-print-directory", target, f"DESTDIR={folder}"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in {"PYTHON", "VIRTUAL_ENV"}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout
    return made.stdout


@pytest.fixture(scope="package")
def installed(tmp_path_factory):
    """The folder below which the console was installed, once."""
    assert os.geteuid() == 0, "make install needs root, and so do its tests"
    folder = tmp_path_factory.mktemp("root")
    (folder / "etc").mkdir()
    for name in ("passwd", "group", "shadow", "gshadow"):
        shutil.copy(f"/etc/{name}", folder / "etc" / name)
    (folder / "said").write_text(make("install", folder))
    return folder


@pytest.fixture
def make_again(installed):
    """A function that runs make once more, below the same folder."""
    return lambda target: make(target, installed)
