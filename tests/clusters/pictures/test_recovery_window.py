"""What is drawn of the moments that a database can go back to."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest

from clusters.models import Health, KnownStanza, Repository
from clusters.pgbackrest.repository import Backup, StanzaState
from clusters.pgbackrest.retention import Retention
from clusters.pictures.recovery_window import EVENTS_AT_MOST, Seen, lines, next_expiry
from stores.models import Store
from tests.clusters.nodes import seen, stanza_state
from tests.responses import text_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ID = "7711134786693777346"


def ago(**values):
    return NOW - timedelta(**values)


def backup(days, kind="full", of=None):
    at = ago(days=days)
    label = f"{ago(days=of or days):%Y%m%d-%H%M%S}F" + (f"_{at:%Y%m%d-%H%M%S}{kind[0].upper()}" if of else "")
    stopped = int(at.timestamp())
    return Backup(label, kind, stopped - 60, stopped, 1, 1, "", "", ID, False, 1, 1)


BACKUPS = [backup(20), backup(18, "incr", 20), backup(10), backup(7, "diff", 10), backup(3)]


def state(backups=BACKUPS, **values):
    values = {"system_id": ID, "db_id": 1, "last_wal_at": ago(minutes=5).isoformat(), **values}
    return StanzaState("n1", "orders", "read", backups=list(backups), **values)


def stanza(known=None, health=None, lock=None, **values):
    store = Store(name="archive", versions_days=lock, lock_days=lock)
    return Seen(Repository(pk=1, number=1, store=store), state(**values), known and KnownStanza(**known), health)


def judged(**values):
    return Health(oldest=ago(days=20), newest=ago(minutes=5), **values)


def drawn(*args, **values):
    [line] = lines([stanza(*args, **values)], NOW)
    return line


def test_each_backup_is_drawn_by_its_kind_from_the_oldest_to_now():
    line = drawn()
    assert line.full == "M0 4V27M500 4V27M850 4V27"
    assert (line.diff, line.incr) == ("M650 8V27", "M100 13V27")
    assert line.band == "M0 16H1000V27H0Z"
    assert line.now == 100
    assert (line.gaps, line.lost, line.locked, line.expiry) == ("", "", "", None)


def test_a_gap_is_cut_out_of_the_band_and_told():
    gap = {"timeline": 1, "segments": 3, "from": ago(days=10).isoformat(), "to": ago(days=5).isoformat()}
    line = drawn(health=judged(gaps=[gap]))
    assert line.band == "M0 16H500V27H0ZM750 16H1000V27H750Z"
    assert line.gaps == "M500 16H750V27H500Z"
    assert [one.words for one in line.missing] == ["3 WAL segments missing on timeline 1"]
    assert [one.until for one in line.events if one.what == "gap"] == [ago(days=5)]


@pytest.mark.parametrize("gap", [{}, {"from": None, "to": None}, {"from": "x", "to": "y"}, {"from": "2026-11-01"}])
def test_a_gap_without_times_is_not_drawn(gap):
    assert drawn(health=judged(gaps=[gap])).gaps == ""


def test_what_was_judged_counts_more_than_what_the_repository_says():
    line = drawn(health=Health(oldest=ago(days=10), newest=ago(days=5)))
    assert (line.window.oldest, line.window.newest) == (ago(days=10), ago(days=5))
    assert (line.band, line.now) == ("M0 16H500V27H0Z", 100)


def test_what_is_lost_stands_where_it_was_also_before_the_window():
    lost = {"backup": asdict(backup(40)), "seen_at": "", "missed_at": ""}
    line = drawn(known={"lost": [lost]})
    assert line.lost == "M0 4V27"
    assert line.full.startswith("M500 ")
    assert "is gone, and had not expired" in [one.words for one in line.events][-1]


def test_object_lock_holds_what_was_written_lately():
    line = drawn(lock=5)
    assert line.locked == "M750 30H1000V34H750Z"
    assert (line.locked_since, line.locked_until) == (ago(days=5), NOW + timedelta(days=5))
    assert drawn(lock=100).locked == "M0 30H1000V34H0Z"


def test_by_days_the_oldest_full_backup_expires_when_the_next_one_is_old_enough():
    found = next_expiry(BACKUPS, Retention(by_time=True, full=14))
    assert found.labels == sorted([BACKUPS[0].label, BACKUPS[1].label])
    assert found.at == ago(days=10) + timedelta(days=14)
    assert found.begins == ago(days=10)


def test_by_number_it_expires_with_the_next_full_backup():
    found = next_expiry(BACKUPS, Retention(by_time=False, full=3))
    assert (found.labels, found.at) == (sorted([BACKUPS[0].label, BACKUPS[1].label]), None)
    assert next_expiry(BACKUPS, Retention(by_time=False, full=4)) is None
    assert next_expiry([], Retention(by_time=False, full=1)) is None


def test_nothing_expires_while_there_is_one_full_backup():
    assert next_expiry([BACKUPS[-1]], Retention(by_time=True, full=1)) is None


def test_the_line_shows_where_the_window_begins_after_that():
    line = drawn(known={"retentions": [{"by_time": True, "full": 14, "diff": None, "since": ""}]})
    assert line.expiry == 50


def test_all_lines_of_a_database_have_one_scale():
    first, second = lines([stanza(), stanza(backups=[backup(10)])], NOW)
    assert first.labels == second.labels
    assert second.band == "M500 16H1000V27H500Z"


def test_a_line_of_long_ago_ends_when_its_window_does():
    line = drawn(backups=[backup(400), backup(390)], last_wal_at=ago(days=380).isoformat())
    assert (line.band, line.now) == ("M0 16H1000V27H0Z", None)


def test_the_chosen_moment_is_drawn_where_it_can_be_restored():
    assert lines([stanza()], NOW, ago(days=10))[0].chosen == 50
    assert lines([stanza()], NOW, ago(days=21))[0].chosen is None


def test_nothing_is_drawn_where_nothing_was_seen():
    line = drawn(backups=[], last_wal_at="")
    assert (line.window, line.labels, line.events) == (None, (), ())


def test_a_table_ends_and_says_how_much_more_there_is():
    line = drawn(backups=[backup(number) for number in range(100, 0, -1)])
    assert (len(line.events), line.more_events) == (EVENTS_AT_MOST, 100 - EVENTS_AT_MOST)
    assert line.events[0].at == ago(days=1)


def test_the_pages_show_it_with_its_table(as_alice, cluster):
    seen(cluster, stanza_state(), stanza_state(node="n2"))
    found = cluster.repositories.get(number=1)
    gap = {"timeline": 1, "segments": 1, "from": "2026-11-23T00:00:00+00:00", "to": "2026-11-24T00:00:00+00:00"}
    Health.objects.create(
        organisation=cluster.organisation,
        cluster=cluster,
        repository=found,
        node="n1",
        database="orders",
        verdict="at_risk",
        oldest=datetime(2026, 11, 22, 14, tzinfo=UTC),
        newest=datetime(2026, 11, 25, tzinfo=UTC),
        gaps=[gap],
    )
    for address, number in ((cluster.get_absolute_url(), 2), (cluster.nodes.get(name="n1").get_absolute_url(), 1)):
        page = text_of(as_alice.get(address))
        assert page.count('class="window-bar"') == number
        assert page.count('class="window-gap"') == 1
        assert "1 WAL segment missing on timeline 1" in page
        assert re.search(r"2026-11-23 00:00 . 2026-11-24 00:00</td>", page)
        assert "At risk" in page
