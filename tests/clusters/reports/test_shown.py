"""What pages make of a report: what is wrong is on the node's page and on the cluster's, and what is old is said."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import MACHINE_SILENT, Node
from tests.clusters.nodes import at
from tests.clusters.reports.sent import content, send, stanza
from tests.responses import text_of

NOW = int(time.time())
RUN = {"stanza": "orders", "kind": "full", "repository": 1, "begun": NOW - 700, "ended": NOW - 100}


def pages(client, cluster):
    """The node's page and the cluster's."""
    return text_of(client.get(at(cluster))), text_of(client.get(cluster.get_absolute_url()))


def archiver(**values):
    return content()["stanzas"][0]["archiver"] | values


CASES = {
    "a server that is down": ({"stanzas": [{"name": "orders", "server": "down"}]}, "orders does not answer"),
    "archiving that fails": (
        {"stanzas": [stanza(archiver=archiver(failed=3, failed_at=NOW - 60, since=NOW - 9999))]},
        "orders: archiving fails",
    ),
    "an error in the spool": ({"stanzas": [stanza(spool_errors=2, error="unable to find")]}, "orders: archiving fails"),
    "no archiving": ({"stanzas": [stanza(archive_mode="off")]}, "orders does not archive"),
    "another's archiving": ({"stanzas": [stanza(is_archived_here=False)]}, "orders: another archive_command"),
    "a backup that failed": (
        {"runs": [{**RUN, "code": 82, "line": "WAL <segment> missing"}]},
        "Last backup of orders failed",
    ),
    "a clock ahead": ({"ahead": 61 * 60}, "Its clock is 61 min ahead"),
    "a clock behind": ({"ahead": -3 * 86400}, "Its clock is 3 days behind"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_on_both_pages(as_alice, cluster, case):
    said, words = dict(CASES[case][0]), CASES[case][1]
    send(cluster)
    assert not any(words in page for page in pages(as_alice, cluster))
    Node.objects.update(sent_at=None)
    if ahead := said.pop("ahead", 0):
        said["sent"] = int(time.time()) + ahead
    assert send(cluster, **said).status_code == 200
    assert all(words in page for page in pages(as_alice, cluster))


def test_what_the_node_says_is_shown(as_alice, cluster):
    send(
        cluster,
        runs=[
            {**RUN, "code": 82, "line": "WAL <segment> missing"},
            {**RUN, "kind": "incr", "code": 0},
            {**RUN, "ended": None},
        ],
        others=[{"port": 5433, "postgresql": 160002, "data_directory": "/srv/<pg>", "is_archived": True}],
        stanzas=[stanza(waiting=12, spooled=3, archiver=archiver(failed=3, failed_at=NOW - 60))],
    )
    page = text_of(as_alice.get(at(cluster)))
    for words in (
        "Primary", "PostgreSQL 15, timeline 1", "12 segments", "192.0 MB", "3 pushed ahead", "db1",
        "Europe/Berlin", "+0100", "Error 82", "WAL &lt;segment&gt; missing", "orders, incremental", "Done", "Not ended",
        "A PostgreSQL server 16 on port 5433", "/srv/&lt;pg&gt;", "It archives with a command of its own.",
        "Add Database",
    ):  # fmt: skip
        assert words in page, words


def test_an_earlier_script_s_report_asks_for_the_new_one(as_alice, cluster):
    Node.objects.filter(name="n1").update(reported_at=timezone.now(), applied_sha256="0" * 64)
    assert "of an earlier version: run the set-up script" in pages(as_alice, cluster)[0]


@pytest.mark.parametrize(
    ("ago", "words", "css"),
    [
        (MACHINE_SILENT - timedelta(minutes=1), "", ""),
        (MACHINE_SILENT + timedelta(minutes=1), "Silent for 17 minutes", "degraded"),
        (timedelta(hours=3), "Silent for 3 hours", "degraded"),
        (timedelta(days=2), "Silent for 2 days", "failed"),
    ],
)
def test_a_silent_node_is_amber_and_after_a_day_red(as_alice, cluster, ago, words, css):
    send(cluster)
    Node.objects.filter(name="n1").update(reported_at=timezone.now() - ago, sent_at=timezone.now() - ago)
    for page in pages(as_alice, cluster):
        assert (f'<span class="badge {css}">{words}</span>' in page) == bool(words)
        assert ("Silent for" in page) == bool(words)


def test_two_primaries_of_one_folder_are_red_on_every_page_of_theirs(as_alice, cluster):
    Node.objects.filter(name="n2").update(folder="n1")
    for later in range(3):
        for name in ("n1", "n2", "n3"):
            send(cluster, name=name, sent=NOW + later, machine="")
    words = "n1 and n2 are both primary of orders"
    assert all(words in page for page in pages(as_alice, cluster))
    assert words in text_of(as_alice.get(at(cluster, name="n2")))
    assert words not in text_of(as_alice.get(at(cluster, name="n3")))
    send(cluster, name="n2", sent=NOW + 9, stanzas=[stanza(role="standby")])
    assert not any(words in page for page in pages(as_alice, cluster))
