"""The six commands of README's part on the API, as they stand there, against the running demo with real workers."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import storekeeper

from tests.client.documents import blocks
from tests.demo_process import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SECONDS = 400  # for all of it, on a machine that has other things to do


@pytest.fixture
def client(demo):
    api = demo["api"]
    return storekeeper.Client(api["url"], client_id=api["client_id"], client_secret=api["client_secret"])


@pytest.fixture
def clean(client):
    """Take away afterwards what README makes: others use the demo, too."""
    yield
    for cluster in [one for one in client.list_clusters(q="shop") if one["name"] == "shop"]:
        stores = [one["store_id"] for one in cluster["attachments"]]
        if stores:
            client.set_stores(cluster["id"], store_ids=[], detach=stores, if_match="*").wait(timeout=SECONDS)
        client.delete_cluster(cluster["id"], kit_taken=True, if_match="*").wait(timeout=SECONDS)
        for one in stores:
            client.delete_store(one).wait(timeout=SECONDS)


def test_the_whole_job_in_six_commands(demo, client, clean, tmp_path):
    part = (ROOT / "README.md").read_text().partition("\n## The API\n")[2].partition("\n## ")[0]
    [(kind, script)] = blocks(part)
    assert kind == "sh"
    assert re.findall(r"^# (\d)\. ", script, re.MULTILINE) == list("123456")
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "demo.json").write_text(json.dumps(demo))
    ran = subprocess.run(
        ["bash", "-c", f"set -eu -o pipefail\n{script}"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [cluster] = [one for one in client.list_clusters(q="shop") if one["name"] == "shop"]
    store = client.get_store(cluster["attachments"][0]["store_id"])
    assert (store["name"], store["state"], cluster["state"]) == ("orders-paris", "available", "available")
    assert f"repo1-s3-bucket = {store['bucket']}" in ran.stdout.replace("=", " = ").replace("  ", " ")
    assert "[orders]" in ran.stdout
    assert "repo1-cipher-pass" in (tmp_path / "n1-setup.sh").read_text()
    [verdict] = json.loads(ran.stdout.strip().splitlines()[-1])["items"]
    assert (verdict["cluster"], verdict["node"], verdict["verdict"]) == ("shop", "n1", "not_set_up")
