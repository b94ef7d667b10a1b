"""Web server and workers are replaced, and end by accident, while people go on: no request fails, no work is lost."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.demo.servers import free_port
from console.operations.models import Operation
from stores import actions
from stores.models import State, Store
from tests.deploy.units import DEBIAN, SERVICES, read
from tests.serving.instances import OPTIONS, Instance, ask, visiting
from tests.serving.processes import DEPLOY
from tests.worker_process import database_url, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def start_web(tmp_path, broker, amazon):
    """A function that starts a web server on a port of this test's; all are gone at the end."""
    port, started = free_port(), []

    def start(*options: str) -> Instance:
        folder = tmp_path / f"web-{len(started)}"
        folder.mkdir()
        environment = {"DATABASE_URL": database_url(), "REDIS_URL": broker.url, "WEB_QUEUE": "1000"}
        started.append(Instance(folder, port, environment, *options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()


@contextmanager
def visits(web, client, alice):
    """Twenty requests a second of somebody who is signed in, for the page that leads them to the first one."""
    client.force_login(alice)
    headers = {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}

    def visit():
        status, answered, _ = ask(web.port, "/login/", **headers)
        return status, answered.get("location", "")

    with visiting(visit, per_second=20) as answers:
        yield answers


def test_web_server_and_workers_are_replaced_and_no_request_fails(
    start_web, start_worker, client, alice, account, amazon
):
    old_web, old_worker = start_web(), start_worker()
    old_web.wait_until_ready()
    with visits(old_web, client, alice) as answers:
        start_worker.wait_until_ready()
        amazon.inject("PutBucketPolicy", when="hang", seconds=1, times=4)
        for number in range(4):
            actions.create(account, name=f"store-{number}", region="eu-west-1", by=alice)
        meanwhile = start_web()  # on the same port
        start_worker(beat=False)
        meanwhile.wait_until_ready()
        assert old_web.stop() == 0
        new_web = start_web()
        new_web.wait_until_ready()
        assert meanwhile.stop() == 0
        start_worker.wait_until_ready()
        old_worker.terminate()
        assert old_worker.wait(60) == 0
        wait_until(lambda: Store.objects.filter(state=State.AVAILABLE).count() == 4)
    assert {*answers} == {(302, "/")}, Counter(map(str, answers))
    assert len(answers) > 20
    assert set(Operation.objects.values_list("state", flat=True)) == {"done"}


def test_the_unit_that_serves_meanwhile_is_the_web_servers_and_no_unit_offers_to_reload():
    text = (DEPLOY / "scaling.md").read_text()
    command, path = re.search(
        r"^(sed '.*?') (/\S+) > /run/systemd/system/storekeeper-web-meanwhile.service$", text, re.M
    ).groups()
    unit = DEBIAN / Path(path).name
    made = subprocess.run([*shlex.split(command), unit], check=True, capture_output=True, text=True).stdout
    assert set(unit.read_text().splitlines()) - set(made.splitlines()) == {"PartOf=storekeeper.target"}
    assert "--respawn-interval" in (DEPLOY / "run").read_text()
    for service in SERVICES:
        assert "ExecReload" not in read(DEBIAN / service)


def test_the_command_that_operators_are_given_has_what_this_is_tried_with():
    web = (DEPLOY / "run").read_text().partition("\nweb)")[2].partition(";;")[0]
    assert {one for one in OPTIONS if one.startswith("--")} <= {*web.split()}


def test_a_web_process_that_dies_does_not_end_the_others(start_web, client, alice):
    web = start_web("--workers", "2")
    web.wait_until_ready(2)
    killed, other = web.children()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in web.children())  # before that, it takes connections
    for _ in range(10):
        assert ask(web.port, "/csp-reports/")[0] == 405
    web.wait_until_ready()  # the one in its place
    assert other in web.children()
    assert killed not in web.children()
    assert web.process.poll() is None
