"""Choosing a restore in a real browser: the page follows each answer, in the reader's own zone, or without scripts."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from clusters.pgbackrest.repository import Backup, StanzaState, as_json

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NOON = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def address(demo):
    """The page of a cluster whose store has a full and an incremental backup of its one node's database."""
    began = int((NOON - timedelta(days=2)).timestamp())
    full = f"{NOON - timedelta(days=2):%Y%m%d-%H%M%SF}"
    wal = "000000010000000000000002"
    backups = [
        Backup(full, "full", began, began + 60, 2**30, 2**28, wal, wal, "7711", False, 1, 1),
        Backup(
            f"{full}_{NOON:%Y%m%d-%H%M%SI}",
            "incr",
            began + 86400,
            began + 86460,
            2**30,
            2**20,
            wal,
            wal,
            "7711",
            False,
            1,
            1,
        ),
    ]
    with closing(sqlite3.connect(demo.data / "demo.sqlite3", timeout=30)) as database, database:
        cluster = "select id from clusters_cluster where name = 'ledger'"
        [key] = database.execute(cluster).fetchone()
        [stanza, postgresql] = database.execute(
            f"select name, version from clusters_database where cluster_id in ({cluster})"
        ).fetchone()
        state = StanzaState(
            "n1", stanza, "read", "", "7711", postgresql, backups, wal, (NOON + timedelta(hours=1)).isoformat(), 1
        )
        repositories = f"(select id from clusters_repository where cluster_id in ({cluster}))"
        read = f"select 1 from clusters_inventory where read_at is not null and repository_id in {repositories}"
        until = time.monotonic() + 100
        while not database.execute(read).fetchone():  # else the worker's first look would follow on what is put there
            assert time.monotonic() < until
            time.sleep(0.5)
        database.execute(
            "update clusters_inventory set content = ?, due_at = datetime('now', '+1 day') "
            f"where repository_id in {repositories}",
            (json.dumps(as_json([state])),),
        )
    return f"/clusters/{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}/restore/"


def test_the_page_follows_each_answer(visit, address):
    page = visit(path=address, timezone_id="Europe/Berlin")
    script = page.get_by_label("The script, secrets hidden")
    page.get_by_text("The script, with its secrets hidden").click()
    expect(script).to_contain_text("--archive-mode=off")
    page.get_by_label("A time", exact=True).check()
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
    expect(page.get_by_role("heading", name="What to run will appear here")).to_be_visible()
    page.get_by_label("Time", exact=True).fill("2020-01-01T00:00:00")
    page.get_by_label("Time", exact=True).blur()
    expect(page.locator("#id_time_error")).to_contain_text("Choose a time between")
    page.get_by_label("Time", exact=True).fill(f"{NOON:%Y-%m-%dT%H:%M:%S}")
    page.get_by_label("Time", exact=True).blur()
    page.get_by_text("The script, with its secrets hidden").click()
    expect(script).to_contain_text(re.compile(rf"--target={NOON:%Y-%m-%d} 1[01]:00:00\+00"))  # Berlin is ahead
    expect(page).to_have_url(re.compile("zone=Europe"))
    page.get_by_label("n1 itself").check()
    expect(page.get_by_text("This takes the production database back.")).to_be_visible()
    expect(page.get_by_label("Folder", exact=True)).to_have_count(0)
    page.reload()
    expect(page.get_by_label("n1 itself")).to_be_checked()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the script").click()
    assert download.value.suggested_filename == "restore-ledger-of-n1.sh"


def test_it_works_without_scripts(visit, address):
    page = visit(path=address, java_script_enabled=False)
    page.get_by_label("A transaction").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#id_xid_error")).to_contain_text("Give the transaction's ID.")
    page.get_by_label("Transaction ID").fill("728")
    page.get_by_label("Stop just before it").check()
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("pre.configuration")).to_contain_text("--type=xid --target=728", use_inner_text=False)


def test_accessibility_of_a_restore(visit, address, inspector):
    for what, query in (
        ("a copy", ""),
        ("a time", f"?target=time&time={NOON:%Y-%m-%dT%H:%M:%S}&where=machine"),
        ("in place", "?where=in_place"),
        ("what is wrong", "?target=time&time=2020-01-01T00:00&folder=x&port=0&backup=none"),
    ):
        inspector.check(visit(path=f"{address}{query}", bypass_csp=True), f"restore: {what}")
