"""The clients against the running console, with real workers: what newcomers type, and what the documentation says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import storekeeper
from jsonschema import Draft202012Validator
from storekeeper import command, operations

from console.client.maker import DOCUMENT
from tests.client.documents import blocks
from tests.demo_process import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OURS = json.loads(DOCUMENT.read_text())
SOURCE = Path(command.__file__).parents[1]
SECONDS = 300  # for a few commands, on a machine that has other things to do


@pytest.fixture
def client(demo):
    api = demo["api"]
    return storekeeper.Client(api["url"], client_id=api["client_id"], client_secret=api["client_secret"])


@pytest.fixture(scope="module")
def place(demo, tmp_path_factory):
    """A home with `storekeeper` on the PATH, and the environment of somebody who works there."""
    home = tmp_path_factory.mktemp("home")
    (home / "bin").mkdir()
    program = home / "bin" / "storekeeper"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -m storekeeper "$@"\n')
    program.chmod(0o755)
    (home / "bin" / "python3").symlink_to(sys.executable)
    api = demo["api"]
    return {
        "PATH": f"{home}/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(SOURCE),
        "URL": api["url"],
        "CLIENT_ID": api["client_id"],
        "CLIENT_SECRET": api["client_secret"],
    }


@pytest.fixture
def run(place):
    """A function that runs a command as somebody types it, who is not signed in unless he says so."""

    def run(*words, **more):
        environment = {**place, "STOREKEEPER_LOGIN_FILE": "/nonexistent/login.json", **more}
        ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
        return ran.returncode, ran.stdout, ran.stderr

    return run


def test_every_list_and_every_row_has_the_shape_that_is_typed(client):
    tried = 0
    for one in operations.operations().values():
        paths = [argument for argument in one.arguments if argument.place == "path"]
        if one.method != "GET" or one.answers not in {"page", "row"}:
            continue
        if any(argument.is_required and argument.place != "path" for argument in one.arguments):
            continue
        given = {}
        if len(paths) == 1 and paths[0].resolves:
            listing = operations.operations()[paths[0].resolves]
            row = next(iter(client.rows(listing.id, {})), None)
            if row is None:
                continue
            given = {paths[0].name: row["id"]}
        elif paths:
            continue
        content = client.ask(one, given).json()
        said = OURS["paths"][one.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        Draft202012Validator({**said, "components": OURS["components"]}).validate(content)
        tried += 1
    assert tried >= 14


def test_what_a_newcomer_gets_wrong_is_said_in_one_line(demo, run):
    api = demo["api"]
    good = {"STOREKEEPER_URL": api["url"], "STOREKEEPER_CLIENT_ID": api["client_id"]}
    signed_in = {**good, "STOREKEEPER_CLIENT_SECRET": api["client_secret"]}
    plain, some = {"STOREKEEPER_URL": api["url"]}, {"STOREKEEPER_TOKEN": "sk_wrong"}
    nowhere = ["stores", "create", "--name", "a", "--cloud-account-id", "Acme production", "--region", "Atlantis"]
    for words, more, code, said in (
        (["stores", "list"], {}, 2, "Which console?"),
        (["stores", "list"], plain, 2, "There is no token for"),
        (["me"], {**plain, **some}, 5, "The token is not known here."),
        (["me"], {**plain, "STOREKEEPER_TOKEN": api["expired_token"]}, 5, "is over"),
        (["me"], {**good, "STOREKEEPER_CLIENT_SECRET": "wrong"}, 5, "(request "),
        (["me"], {**some, "STOREKEEPER_URL": "https://console.invalid"}, 6, "no network"),
        (["me"], {**some, "STOREKEEPER_URL": "http://127.0.0.1:1"}, 6, "Connection refused"),
        (["me"], {**some, "STOREKEEPER_URL": api["url"].replace("http:", "https:")}, 6, "does not speak TLS"),
        (["me"], {**some, "STOREKEEPER_URL": f"{api['url']}/else"}, 6, "Is that its address?"),
        (["stores", "get", "orders"], signed_in, 4, "Did you mean orders-"),
        (nowhere, signed_in, 3, "region: There is no region Atlantis"),
    ):
        found, out, err = run("storekeeper", *words, **more)
        assert (found, out, err.count("\n")) == (code, "", 1), (words, more, err)
        assert err.startswith("storekeeper: "), err
        assert said in err, err


def test_a_viewer_may_not_and_a_stranger_sees_nothing(demo, run, client):
    store = next(client.list_stores())
    for role, code, said in (("viewer", 5, "role"), ("stranger", 4, "nothing here")):
        who = demo["api"][role]
        more = {
            "STOREKEEPER_URL": demo["api"]["url"],
            "STOREKEEPER_CLIENT_ID": who["client_id"],
            "STOREKEEPER_CLIENT_SECRET": who["client_secret"],
        }
        found, _, err = run("storekeeper", "stores", "delete", store["id"], "--yes", **more)
        assert (found, said in err.lower()) == (code, True), err
    assert client.get_store(store["id"])["state"] == store["state"]


@pytest.mark.thorough
def test_a_limit_that_is_reached_is_waited_for(client):
    """The console's own 429, and not one of a test: 600 calls a minute for a token."""
    client.transport.patience = 0

    def call_on():
        for _ in range(700):
            client.me()

    with pytest.raises(storekeeper.TooManyCalls) as caught:
        call_on()
    assert 0 < caught.value.retry_after <= 60
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        time.sleep(seconds)

    client.transport.patience, client.transport.sleep = 120, sleep
    assert client.me()["role"] == "owner"
    assert slept


@pytest.mark.parametrize("document", ["console/client/README.md"])
def test_what_the_documentation_says_works_as_it_stands(document, place, client):
    before = sorted(one["name"] for one in client.list_stores())
    text = (ROOT / document).read_text()
    script = "set -eu -o pipefail\n"
    kinds = []
    for kind, block in blocks(text):
        script += block if kind == "sh" else f"python3 -W error - <<'PYTHON'\n{block}PYTHON\n"
        kinds.append(kind)
    assert (kinds.count("sh"), kinds.count("python")) >= (3, 1)
    ran = subprocess.run(
        ["bash", "-c", script], env=place, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "python-orders available" in ran.stdout
    assert "cli-orders,available," in ran.stdout
    assert sorted(one["name"] for one in client.list_stores()) == before


def test_the_wheel_is_installed_by_itself_and_works(tmp_path, demo):
    uv = Path(sys.executable).with_name("uv")
    build = [uv, "build", "--quiet", "--offline", "--wheel", "--out-dir", tmp_path, ROOT / "console/client"]
    subprocess.run(build, check=True, capture_output=True, timeout=SECONDS)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"storekeeper/operations.json", "storekeeper/py.typed", "storekeeper/calls/stores.py"} <= {*names}
    python = tmp_path / "venv/bin/python"  # where nothing else is, pip neither
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True, timeout=SECONDS)
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-index", "--python", python, wheel]
    subprocess.run(install, check=True, capture_output=True, timeout=SECONDS)
    api = demo["api"]
    environment = {
        "HOME": str(tmp_path),
        "STOREKEEPER_URL": api["url"],
        "STOREKEEPER_CLIENT_ID": api["client_id"],
        "STOREKEEPER_CLIENT_SECRET": api["client_secret"],
    }
    command = [tmp_path / "venv/bin/storekeeper", "me", "-o", "json"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=SECONDS)
    assert json.loads(ran.stdout)["organisation"] == "Acme Retail"


@pytest.mark.thorough  # the README's commands do the same by the command line
def test_the_playbook_makes_a_store_once(demo, tmp_path, client, place):
    token = client.credentials.bearer(client.transport)
    settings = {
        "PATH": place["PATH"],
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(tmp_path),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "STOREKEEPER_URL": demo["api"]["url"],
        "STOREKEEPER_TOKEN": token,
    }
    given = {
        "storekeeper_account": "Acme production",
        "storekeeper_store": "ansible-orders",
        "storekeeper_region": "eu-west-1",
    }
    has_clusters = "create_cluster" in operations.operations()
    if has_clusters:
        given |= {
            "storekeeper_cluster": "ansible-orders",
            "storekeeper_cluster_regions": ["eu-west-1"],
            "storekeeper_databases": [
                {"name": "orders", "postgresql": "15", "data_directory": "/var/lib/postgresql/15/main"}
            ],
            "storekeeper_token_file": str(tmp_path / "token"),
        }
    given["ansible_python_interpreter"] = sys.executable
    program = Path(sys.executable).with_name("ansible-playbook")

    def play():
        command = [program, ROOT / "console/deploy/ansible/backups.yml", "-e", json.dumps(given)]
        ran = subprocess.run(
            command,
            env=settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert token not in ran.stdout + ran.stderr
        return ran.stdout

    assert f"changed={4 if has_clusters else 1} " in play()
    assert "changed=0 " in play()
    [store] = [one for one in client.list_stores(q="ansible-orders") if one["name"] == "ansible-orders"]
    assert store["state"] == "available"
    if has_clusters:
        [cluster] = client.list_clusters(q="ansible-orders")
        assert [one["store_id"] for one in cluster["attachments"]] == [store["id"]]
        assert os.stat(tmp_path / "token").st_mode & 0o777 == 0o600
    else:
        client.delete_store(store["id"]).wait()
