"""What detaching a store means for the database that a node has now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from clusters.models import Stanza
from tests.clusters.nodes import SYSTEM_ID, seen, stanza_state
from tests.responses import words_of


def later(days=0, label="20261122-140000F", system_id=None, wal=None, **values):
    """The state of n1's stanza so many days later."""
    state = stanza_state(**values)
    moved = timedelta(days=days)
    [backup] = state.backups
    backup = replace(backup, label=label, stopped=backup.stopped + int(moved.total_seconds()))
    backup = replace(backup, system_id=system_id or backup.system_id)
    at = datetime.fromisoformat("2026-11-22T14:00:00+00:00") + moved
    return replace(
        state,
        backups=[backup],
        system_id=system_id or state.system_id,
        last_wal=wal or f"0000000100000000000000{days + 7:02X}",
        last_wal_at=at.isoformat(),
    )


@pytest.mark.parametrize(
    ("first", "second", "said", "unsaid"),
    [
        (  # an older full elsewhere
            later(5, "20261127-140000F"),
            later(0),
            (
                "archive-dub (repo1) holds the newest full backup of orders on n1, 20261127-140000F of 2026-11-27",
                "What stays has 20261122-140000F of 2026-11-22",
                "archive-dub (repo1) holds the newest WAL of orders on n1, of 2026-11-27 14:00 UTC: what stays ends",
                "Then orders on n1 can be restored to a time from 2026-11-22 14:49 UTC to 2026-11-22 14:49 UTC",
            ),
            ("the only full backups",),
        ),
        (  # the newer one stays
            later(0),
            later(5, "20261127-140000F"),
            ("keeps 1 backup",),
            ("the newest full", "the newest WAL", "Then orders"),
        ),
        (  # both the same, as a node that writes to all has them
            later(0),
            replace(later(0), last_wal_at="2026-11-22T13:59:58+00:00"),
            (),
            ("the newest full", "the newest WAL", "the only full"),
        ),
        (  # of another database than the present one: no good for it
            later(0),
            later(5, "20261127-140000F", system_id="7000000000000000001"),
            ("holds the only full backups of orders on n1, the newest 20261122-140000F", "no WAL of it stays"),
            ("What stays has",),
        ),
        (  # WAL alone
            replace(later(5, "20261122-140000F"), backups=later(0).backups),
            later(0),
            ("holds the newest WAL of orders on n1, of 2026-11-27",),
            ("the newest full", "the only full"),
        ),
    ],
)
def test_detaching_says_where_the_newest_is(as_alice, cluster, stores, first, second, said, unsaid):
    reported(cluster)
    for number, state in ((1, first), (2, second)):
        seen(cluster, state, number=number)
    url = f"/clusters/{cluster.pk}/backup-stores/"
    page = words_of(as_alice.post(url, {"version": cluster.version, "backup_stores": [str(stores[1].pk)]}))
    for text in said:
        assert text in page, text
    for text in unsaid:
        assert text not in page, text


def reported(cluster):
    Stanza.objects.create(
        cluster=cluster, node=cluster.nodes.get(name="n1"), database=cluster.databases.get(), system_id=SYSTEM_ID
    )


def test_the_dialog_of_a_node_s_stores_says_what_each_has(as_alice, cluster):
    reported(cluster)
    seen(cluster, stanza_state())
    seen(cluster, later(5, "20261127-140000F"), number=2)
    page = words_of(as_alice.get(f"/clusters/{cluster.pk}/nodes/n1/backup-stores/"))
    assert "repo1 · orders: newest full 2026-11-22 14:49 UTC, newest WAL 2026-11-22 14:00 UTC" in page
    assert "repo2 · orders: newest full 2026-11-27 14:49 UTC" in page
