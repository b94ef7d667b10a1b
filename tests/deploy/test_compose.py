"""compose.yaml: what its schema allows, and all of it at once, each service as it is written, without images."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deploy import containers
from tests.deploy.containers import CONTAINER, Project

ASK = """
import json, socket, ssl, sys, time, urllib.request
trusting = ssl._create_unverified_context()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting))
for _ in range(100):
    try:
        socket.create_connection(("localhost", 443)).close()
        break
    except OSError:
        time.sleep(0.1)
with opener.open(sys.argv[1], timeout=60) as answer:
    print(json.dumps([answer.status, dict(answer.headers), answer.read().decode()]))
"""


def check(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_the_file_is_what_the_compose_specification_allows(tmp_path):
    text = (CONTAINER / "compose.yaml").read_text()
    checked = check(CONTAINER / "compose.yaml")
    assert checked.returncode == 0, checked.stdout
    (tmp_path / "compose.yaml").write_text(text.replace("stop_grace_period", "stop_grace_time", 1))
    assert "'stop_grace_time' was unexpected" in check(tmp_path / "compose.yaml").stdout


def test_without_a_host_name_the_file_says_what_is_missing():
    text = containers.COMPOSE["x-console"]["environment"]["ALLOWED_HOSTS"]
    with pytest.raises(AssertionError, match=r"say in \.env under which name people reach the console"):
        containers.filled(text, {})
    assert containers.filled(text, {"HOST_NAME": "one"}) == "one"


@pytest.fixture
def project(tmp_path, installed):
    """All services, up, with the console as `make install` puts it together."""
    release = (installed / "opt/storekeeper/current").resolve()
    made = Project(tmp_path, release, {"HOST_NAME": "localhost"})
    try:
        made.up()
        yield made
    finally:
        made.end()


def ask(project: Project, url: str) -> tuple[int, dict[str, str], str]:
    command = project.inside(sys.executable, "-c", ASK, url)
    asked = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(asked.stdout)


@pytest.mark.thorough  # test_debian.py starts the same three services; what the file says is held above
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("deploy")  # with test_debian.py, which is after it, and takes the installation away in the end
def test_all_services_come_up_in_their_order_and_end_in_time(project):
    services = project.services
    assert {*services} == {*containers.COMPOSE["services"]}
    until = time.monotonic() + 120
    waiting = {"worker", "beat"}
    while waiting:
        assert time.monotonic() < until, {name: services[name].log.read_text()[-2000:] for name in waiting}
        for name in waiting:
            services[name].look()
        waiting = {name for name in waiting if services[name].state != "service_healthy"}
        time.sleep(0.2)
    status, headers, text = ask(project, "https://localhost/readyz")
    assert (status, {*json.loads(text).values()}) == (200, {"ok"})
    status, headers, text = ask(project, "https://localhost/login/")
    assert (status, "__Host-" in headers["Set-Cookie"] or "Secure" in headers["Set-Cookie"]) == (200, True)
    words = ["bootstrap", "--organisation", "Acme", "--owner", "ada@example.org", "--operator", "ada@example.org"]
    made = project.run("web", *words)
    assert (made.returncode, "https://localhost/invitations/" in made.stdout) == (0, True), made.stdout + made.stderr
    for name, service in services.items():
        if name != "migrate":
            confined(service)
    order = ["proxy", "web", "worker", "beat", "valkey", "postgres"]
    assert {name: services[name].stop() for name in order} == dict.fromkeys(order, 0)


def confined(service: containers.Service) -> None:
    """Assert that the process has what compose.yaml gives it: no more rights, and fewer threads than it may have."""
    pid, told = service.process.pid, service.told
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    facts = dict(line.split(":\t") for line in lines if ":\t" in line)
    may = int(facts["CapBnd"], 16)
    assert (may, facts["NoNewPrivs"]) == (1 << 10 if "cap_add" in told else 0, "1"), service.name
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    threads = sum(len(list(Path(f"/proc/{one}/task").iterdir())) for one in [pid, *listed])
    assert threads < told.get("pids_limit", 512) / 1.5, (service.name, threads)
