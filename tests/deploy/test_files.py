"""The files of console/deploy by which the console is installed: what they promise each other and the settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet

from tests.demo_process import ROOT
from tests.deploy import units

DEPLOY = ROOT / "console/deploy"
CONTAINER = DEPLOY / "container"
COMPOSE = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
OURS = ("migrate", "web", "worker", "beat")
# What differs between the services, by what they do.
OWN = {"Description", "Environment", "MemoryMax", "NotifyAccess", "TimeoutStopSec"}
OWN |= {"ExecStart", "User", "WatchdogSec"}


def settings() -> set[str]:
    """Return every setting that settings.md names."""
    rows = re.findall(r"^\| (`.*?) \|", (DEPLOY / "settings.md").read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row)}


def test_the_services_are_confined_alike():
    web, *others = (units.read(units.DEBIAN / unit) for unit in units.SERVICES)
    for other in others:
        assert {name: web[name] for name in web.keys() - OWN} == {name: other[name] for name in other.keys() - OWN}
    for told in (web, *others):
        assert told["ExecStart"] == [f"/opt/storekeeper/current/console/deploy/run {told['ExecStart'][0].split()[-1]}"]


def test_each_secret_can_be_a_credential():
    secret = {name for name in settings() if re.search(r"(_KEYS?|PASSWORD|SECRET|TOKEN|^DATABASE_URL)$", name)}
    told = {line.partition(":")[0] for line in units.read(units.DEBIAN / units.SERVICES[0])["LoadCredential"]}
    assert secret - told == {"VAULT_KEY"}  # the name of one
    assert told <= settings()


def test_the_template_of_the_settings_names_settings():
    names = re.findall(r"^#?([A-Z][A-Z0-9_]+)=", (units.DEBIAN / "storekeeper.env").read_text(), re.MULTILINE)
    ours = {*re.findall(r"\$\{(\w+):-", (DEPLOY / "run").read_text())}
    assert (len(names) > 5, {*names} - settings() - ours) == (True, set())


def test_run_says_what_it_can_run():
    for words in ([], ["shell"]):
        run = subprocess.run([DEPLOY / "run", *words], capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr.endswith("run web | worker | beat\n")) == (2, True)


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_container_is_confined(name):
    service = COMPOSE["services"][name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
    assert not service.get("privileged")
    assert ("ports" in service) == (name == "proxy")
    if name in {"web", "worker", "beat", "postgres", "valkey"}:
        assert "test" in service["healthcheck"]
    if name in {"postgres", "valkey"}:
        assert service["networks"] == ["inside"]
        assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_what_the_containers_are_given_are_settings_and_secrets_that_are_made(tmp_path):
    shutil.copy(CONTAINER / "make-secrets", tmp_path)
    made: dict[str, str] = {}
    for _ in range(2):
        subprocess.run([tmp_path / "make-secrets"], check=True, capture_output=True)
        found = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
        assert made in ({}, found)
        made = found
    assert {name: one["file"] for name, one in COMPOSE["secrets"].items()} == {
        name: f"./secrets/{name}" for name in made
    }
    Fernet(made["FIELD_ENCRYPTION_KEYS"])
    assert made["POSTGRES_PASSWORD"] in made["DATABASE_URL"]
    assert len({*made.values()}) == 5
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    for name in OURS:
        service = COMPOSE["services"][name]
        assert {*service["environment"], *service["secrets"]} <= settings()
        assert service["env_file"] == ["storekeeper.env"]
    assert (tmp_path / "storekeeper.env").exists()


def test_the_image_runs_as_nobody_who_may_write_and_holds_nothing_that_builds():
    _, build, final = re.split(r"^FROM ", (CONTAINER / "Containerfile").read_text(), flags=re.MULTILINE)
    assert re.findall(r"^USER (.*)", final, re.MULTILINE) == ["10001:10001"]
    assert not re.search(r"venv|pip|gcc|make|COPY \.", final.replace("/opt/storekeeper/.venv/bin", ""))
    assert "HEALTHCHECK" in final
    assert "release.sh /opt/storekeeper" in build
    for path in re.findall(r'"(/opt/storekeeper/\S+?)"', final):
        assert os.access(ROOT / path.removeprefix("/opt/storekeeper/"), os.X_OK), path


def test_a_container_is_well_as_long_as_its_process_says_so(tmp_path):
    file = tmp_path / "alive"

    def is_well() -> bool:
        environment = {**os.environ, "ALIVE_FILE": str(file)}
        return subprocess.run([CONTAINER / "alive"], env=environment, check=False).returncode == 0

    assert not is_well()
    file.touch()
    assert is_well()
    os.utime(file, (time.time() - 70,) * 2)
    assert not is_well()


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The operator's command, as a module that looks below a folder of this test's."""
    monkeypatch.setenv("DESTDIR", str(tmp_path))
    (tmp_path / "etc/storekeeper").mkdir(parents=True)
    loader = SourceFileLoader("storekeeper_command", str(units.DEBIAN / "storekeeper"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_the_command_reads_settings_as_systemd_does(command):
    command.SETTINGS.write_text(
        '# NO=thing\n; NO=thing\n\nPLAIN=a b=c \nQUOTED="one two"\nSINGLE=\'x"y\'\n  SPACED = 1\nexport NO=1\nEMPTY=\n'
    )
    found = command.settings()
    assert found == {"PLAIN": "a b=c", "QUOTED": "one two", "SINGLE": 'x"y', "EMPTY": ""}


def test_the_command_finds_secrets_by_their_names(command, tmp_path):
    (tmp_path / "etc/credstore").mkdir()
    (tmp_path / "etc/credstore/storekeeper.SECRET_KEY").write_text("one\n")
    (tmp_path / "etc/credstore/other.SECRET_KEY").write_text("two\n")
    assert command.credentials() == {"SECRET_KEY": "one"}


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_command_says_what_it_does(command, arguments):
    with pytest.raises(SystemExit, match="storekeeper use RELEASE"):
        command.main(arguments)


def test_the_command_is_for_root(command, monkeypatch):
    monkeypatch.setattr(command.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match=r"run it as root, .*: sudo storekeeper migrate --plan"):
        command.main(["migrate", "--plan"])


@pytest.mark.parametrize("path", ["/root/bin/python3", "python3", "/home/x/python"])
def test_install_refuses_an_interpreter_that_services_cannot_reach(path):
    words = "the services cannot reach that" if os.geteuid() == 0 else "Install as root"
    environment = {**os.environ, "PYTHON": path, "DESTDIR": "/nonexistent"}
    run = subprocess.run([units.DEBIAN / "install.sh"], env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, words in run.stderr) == (1, True)
    assert not Path("/nonexistent").exists()
