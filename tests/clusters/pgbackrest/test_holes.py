"""Segments that are missing in an archive, as looks find them, and what that costs of the recovery window."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from clusters.pgbackrest import archive, gaps, repository
from clusters.pgbackrest.archive import Wal
from clusters.pgbackrest.repository import StanzaState
from clusters.pgbackrest.timelines import Timeline
from tests.clusters.health.known import DAY, HOUR, LINE, MINUTE, NOW, OURS, SUNDAY, WAL_AT, backup, gap, segment, state
from tests.clusters.pgbackrest.repository_files import Bucket

BASE = "c-abc/n1/archive/orders/"
START = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Archive(Bucket):
    """An archive whose segments come one a minute, of which some are taken away."""

    def __init__(self, full=256):
        super().__init__({}, {})
        self.full = full

    def name(self, number, timeline=1):
        return f"{timeline:08X}{number // self.full:08X}{number % self.full:08X}"

    def _key(self, number, timeline=1):
        name = self.name(number, timeline)
        return f"{BASE}15-1/{name[:16]}/{name}-{hashlib.sha1(name.encode()).hexdigest()}.zst"

    def put(self, *numbers, timeline=1):
        for number in numbers:
            key = self._key(number, timeline)
            self.objects[key], self.times[key] = b"xyz", START + number * MINUTE

    def drop(self, *numbers, timeline=1):
        for number in numbers:
            self.objects.pop(self._key(number, timeline), None)

    def also(self, name):
        """Something beside the segments."""
        key = f"{BASE}15-1/{name}"
        self.objects[key], self.times[key] = b"", START

    def truth(self, timeline=1):
        """The gaps, counted one by one: the segments before and after, as numbers."""
        there = sorted(
            int(name[8:16], 16) * self.full + int(name[16:24], 16)
            for key in self.objects
            if (name := key.rpartition("/")[2])[:8] == f"{timeline:08X}" and len(name) > 60
        )
        return [(a, b) for a, b in pairwise(there) if b - a > 1]


def numbers(wal, full=256, timeline=1):
    def number(name):
        return int(name[8:16], 16) * full + int(name[16:24], 16)

    found = [one for one in wal.gaps if one.timeline == timeline]
    assert all(number(one.before) - number(one.after) - 1 == one.segments for one in found)
    return [(number(one.after), number(one.before)) for one in found]


def look(bucket, before=None, size=2**24):
    return archive.look(bucket, BASE, before or Wal(), size)


def test_a_whole_archive_has_no_gap_whatever_lies_beside_the_segments():
    bucket = Archive()
    bucket.put(*range(250, 1100))
    bucket.also(f"{segment(300)[:16]}/{segment(300)}.00000028.backup")
    bucket.also(f"{segment(1100)[:16]}/{segment(1100)}.partial")
    bucket.also("00000002.history")
    wal = look(bucket)
    assert (wal.gaps, wal.per_folder) == ([], 256)
    assert look(bucket, wal).gaps == []


def test_what_is_missing_is_found_within_a_folder_at_its_edges_and_whole():
    bucket = Archive()
    bucket.put(*range(1300))
    bucket.drop(5, 255, 256, 700, 701, *range(768, 1024))
    wal = look(bucket)
    assert numbers(wal) == bucket.truth() == [(4, 6), (254, 257), (699, 702), (767, 1024)]
    first = wal.gaps[0]
    assert (first.after_at, first.before_at) == ((START + 4 * MINUTE).isoformat(), (START + 6 * MINUTE).isoformat())
    # The same where nothing is listed again, after it was kept.
    [kept] = repository.from_json(repository.as_json([StanzaState("n1", "orders", "read", wal_gaps=wal.gaps)]))
    assert kept.wal_gaps == wal.gaps


def test_what_expires_at_the_old_end_is_no_gap():
    bucket = Archive()
    bucket.put(*range(1300))
    wal = look(bucket)
    bucket.drop(*range(600))
    wal = look(bucket, wal)
    assert wal.gaps == []
    # Nor is it where the gap goes with what was before it.
    bucket.drop(700)
    wal = look(bucket, wal)
    assert numbers(wal) == [(699, 701)]
    bucket.drop(*range(600, 900))
    assert look(bucket, wal).gaps == []


@pytest.mark.slow
@pytest.mark.parametrize(("size", "full"), [(2**20, 4096), (2**26, 64), (2**30, 4)])
def test_segments_of_another_size_make_no_gaps(size, full, monkeypatch):
    bucket = Archive(full)
    bucket.put(*range(full // 2, 5 * full + 2))
    assert look(bucket, size=size).gaps == []
    assert look(bucket, size=None).gaps == []  # nor where the node has not said
    bucket.drop(3 * full - 1)
    assert numbers(look(bucket, size=size), full) == [(3 * full - 2, 3 * full)]


def test_each_timeline_is_looked_at_by_itself():
    bucket = Archive()
    bucket.put(*range(300))
    bucket.put(*range(299, 400), timeline=2)
    bucket.drop(350, timeline=2)
    wal = look(bucket)
    assert numbers(wal) == []
    assert numbers(wal, timeline=2) == [(349, 351)]


def test_what_comes_late_closes_the_gap_in_the_news_too():
    bucket = Archive()
    bucket.put(*range(300))
    wal = look(bucket)
    bucket.put(301, 302)
    wal = archive.news(bucket, BASE, wal)
    assert numbers(wal) == [(299, 301)]
    bucket.put(300)
    wal = archive.news(bucket, BASE, wal)
    assert wal.gaps == []
    bucket.put(*range(303, 600))
    bucket.drop(511, 512)
    assert numbers(archive.news(bucket, BASE, wal)) == [(510, 513)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_gaps_follow_an_archive_through_its_life(seed, monkeypatch):
    some = random.Random(seed)
    monkeypatch.setattr(archive, "FOLDERS_AGAIN", 2)
    bucket, wal, begin, end = Archive(16), Wal(), 0, 40
    bucket.put(*range(end))
    for _ in range(12):
        more = some.randrange(60)
        bucket.put(*range(end, end + more))
        end += more
        bucket.drop(*(some.randrange(begin, end) for _ in range(some.randrange(3))))
        if some.random() < 0.4:
            begin = some.randrange(begin, end - 20)
            bucket.drop(*range(begin))
        # Each folder has its turn within so many looks, and the news say nothing else.
        for _ in range(20):
            wal = look(bucket, wal, 2**28)
        assert numbers(wal, 16) == bucket.truth()
        if news := archive.news(bucket, BASE, wal, 2**28):
            assert news.gaps == wal.gaps


def test_what_a_release_before_has_kept_is_listed_once_more():
    bucket = Archive()
    bucket.put(*range(1300))
    bucket.drop(600)
    wal = look(bucket)
    old = replace(wal, gaps=[], per_folder=0)
    assert archive.news(bucket, BASE, old) is None
    assert numbers(look(bucket, old)) == [(599, 601)]


# What gaps cost


def reach(found, read_at=NOW):
    return gaps.reach(found, read_at, {OURS})


def test_a_gap_ends_the_window_until_the_next_backup():
    after = reach(state(wal_gaps=[gap(55, 57)]))
    assert (after.newest, after.ends_in.end) == (NOW - HOUR - MINUTE, None)
    assert len(after.usable) == 5
    between = reach(state(wal_gaps=[gap(25, 28, at=SUNDAY + DAY + HOUR)]))
    assert (between.newest, between.ends_in) == (WAL_AT, None)
    [hole] = between.holes
    assert (hole.begin, hole.end) == (SUNDAY + DAY + HOUR - MINUTE, SUNDAY + 2 * DAY)
    assert between.oldest == SUNDAY


def test_a_gap_before_the_oldest_backup_costs_nothing():
    found = reach(state(wal_gaps=[gap(3, 8)]))
    assert (found.holes, found.oldest, found.newest) == ([], SUNDAY, WAL_AT)


def test_a_backup_without_its_own_wal_is_no_use():
    found = reach(state(wal_gaps=[gap(49, 51)]))
    assert [one.label for one in found.broken] == [state().backups[-1].label]
    # Nothing comes through the gap, and no backup is behind it.
    assert found.ends_in
    only = reach(state(wal_gaps=[gap(9, 11)], backups=state().backups[:1]))
    assert (only.usable, len(only.broken), only.newest) == ((), 1, None)


def test_what_may_still_come_is_no_gap_yet():
    fresh = state(wal_gaps=[gap(58, 60, at=NOW - 2 * MINUTE)])
    assert (reach(fresh).newest, gaps.pending(fresh, NOW)) == (WAL_AT, True)
    assert reach(fresh, NOW + 9 * MINUTE).ends_in
    assert not gaps.pending(fresh, NOW + 9 * MINUTE)


def switched(first, last, began=None, **values):
    """The database was promoted: its second timeline goes on where the first one ended."""
    second = Timeline("15-1", 2, segment(first, 2), segment(last, 2), WAL_AT.isoformat(), 9, 9, segment(last, 2))
    second = replace(second, began=segment(began or first, 2), began_at=(NOW - 5 * HOUR).isoformat())
    return state(timelines=[LINE, second], last_wal=second.last, last_wal_at=second.last_at, **values)


def test_a_restore_goes_on_to_the_timeline_that_follows():
    # The last segment of the first is the first of the second, or the one before it: that was partial.
    for first in (60, 61):
        assert reach(switched(first, 70)).newest == WAL_AT
    lacking = reach(switched(64, 70))
    assert lacking.ends_in.gap.segments == 3
    assert lacking.newest == datetime.fromisoformat(LINE.last_at)
    # A hole of the first that comes after the second has left it is none of the database's.
    assert reach(switched(56, 70, wal_gaps=[gap(57, 59)])).newest == WAL_AT
    assert reach(switched(58, 70, wal_gaps=[gap(55, 57)])).ends_in
    assert reach(switched(56, 70, wal_gaps=[gap(60, 63, timeline=2)])).ends_in


def test_a_backup_of_the_new_timeline_is_behind_the_gaps_of_the_old_one():
    made = [*state().backups, backup("full", NOW - HOUR, 65, timeline=2)]
    found = reach(switched(61, 70, backups=made, wal_gaps=[gap(52, 54, at=NOW - 8 * HOUR)]))
    assert (found.ends_in, found.newest) == (None, WAL_AT)
    assert [(one.begin, one.end) for one in found.holes] == [(NOW - 8 * HOUR - MINUTE, NOW - HOUR)]


def test_backups_of_others_count_for_nothing():
    others = [backup("full", SUNDAY, system_id="7000000000000000001", db_id=0)]
    found = reach(state(backups=others))
    assert (found.usable, found.others, found.newest) == ((), 1, None)
