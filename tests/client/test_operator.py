"""Two commands of one name: the operator's, on the console's machine, and the client's, wherever it is installed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import subprocess
import sys

from django.core.management import get_commands
from storekeeper.completion import OWN
from storekeeper.operations import operations

from tests.demo_process import ROOT

WRAPPER = ROOT / "console/deploy/debian/storekeeper"


def load(monkeypatch, folder):
    """The operator's command as a module, below a folder."""
    monkeypatch.setenv("DESTDIR", str(folder))
    loader = importlib.machinery.SourceFileLoader("operators_command", str(WRAPPER))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("operators_command", loader))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    return module


def test_no_command_of_the_client_hides_one_of_the_operators(monkeypatch, tmp_path):
    (tmp_path / "opt/storekeeper").mkdir(parents=True)
    (tmp_path / "opt/storekeeper/current").symlink_to(ROOT)
    _, clients = load(monkeypatch, tmp_path).client()
    assert {one.group for one in operations().values()} <= clients
    assert {*OWN} - {"help", "version"} <= clients  # both have those: the operator's command says its own
    assert not clients & {*get_commands(), "releases", "use", "help"}


def test_the_operators_command_becomes_the_client_for_the_clients_commands(tmp_path):
    (tmp_path / "opt/storekeeper").mkdir(parents=True)
    (tmp_path / "opt/storekeeper/current").symlink_to(ROOT)
    environment = {"DESTDIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def run(*words):
        command = ["/usr/bin/python3", "-I", "-B", str(WRAPPER), *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert "storekeeper stores COMMAND" in run("stores").stdout
    asked = run("stores", "list")
    assert (asked.returncode, "Which console?" in asked.stderr) == (2, True)


def test_a_release_without_the_client_has_the_operators_commands_alone(monkeypatch, tmp_path):
    assert load(monkeypatch, tmp_path).client()[1] == set()
