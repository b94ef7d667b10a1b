"""How much WAL there is, and on which timelines."""

from __future__ import annotations

import hashlib
import json
import random
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters.pgbackrest import archive, repository
from clusters.pgbackrest.archive import Wal
from clusters.pgbackrest.repository import Report
from clusters.pgbackrest.timelines import Timeline, live, strangers, strays, unreported
from console.clouds.contents import Entry
from tests.clusters.pgbackrest.repository_files import Bucket, info, name_of, row

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
BASE = "c-abc/n1/archive/orders/"


class Archive(Bucket):
    """An archive that a server writes to, and pgBackRest expires."""

    def __init__(self):
        super().__init__({}, {})
        self.now = NOW

    def put(self, name, size=3, at=None, archive="15-1"):
        key = f"{BASE}{archive}/{name[:16]}/{name}-{hashlib.sha1(name.encode()).hexdigest()}.zst"
        self.objects[key], self.times[key] = b"x" * size, at or self.now
        return key

    def history(self, timeline, at=None, archive="15-1"):
        key = f"{BASE}{archive}/{timeline:08X}.history"
        self.objects[key], self.times[key] = b"1\t0/5000000\tno recovery target specified\n", at or self.now

    def truth(self):
        """Return the number and the size of the segments, counted one by one."""
        sizes = [len(data) for key, data in self.objects.items() if key.endswith(".zst")]
        return len(sizes), sum(sizes)


def look(bucket, before=None):
    return archive.look(bucket, BASE, before or Wal())


def counted(wal):
    return wal.segments, wal.bytes


def test_wal_is_counted_and_what_is_no_segment_is_not():
    bucket = Archive()
    for number in range(250, 260):
        bucket.put(name_of(1, number))
    bucket.history(2)
    sha1 = "a" * 40
    folder = f"{BASE}15-1/0000000100000001/"
    for key in (
        f"{folder}000000010000000100000003.partial-{sha1}.zst",
        f"{folder}000000010000000100000000.00000028.backup",
        f"{folder}000000010000000100000009-{sha1[:-1]}.zst",
        f"{folder}0000000200000001000000FF-{sha1}.zst",  # of another folder
        f"{folder}deeper/000000010000000100000009-{sha1}.zst",
        f"{BASE}15-1/00000001000000010/x",
        f"{BASE}15-1/0000000g00000001/x",
        f"{BASE}not-1/0000000100000001/000000010000000100000009-{sha1}",
        f"{BASE}archive.info",
    ):
        bucket.objects[key] = b"x"
    wal = look(bucket)
    assert (wal.segments, wal.bytes, wal.more) == (10, 30, False)
    [one] = wal.timelines
    assert (one.archive, one.number, one.first, one.last) == ("15-1", 1, name_of(1, 250), name_of(1, 259))


def test_last_is_what_came_last_not_what_is_named_last():
    """A timeline of a copy was started three days ago; the database's own goes on."""
    bucket = Archive()
    bucket.put("00000001000000000000003B")
    bucket.put("000000020000000000000003", at=NOW - timedelta(days=3))
    bucket.history(2, at=NOW - timedelta(days=3))
    [state] = repository.look(bucket, "c-abc", "")
    assert (state.last_wal, state.last_wal_at) == ("00000001000000000000003B", NOW.isoformat())
    [told] = repository.look(bucket, "c-abc", "", [state], {("n1", "orders"): Report("", 2)})
    assert told.last_wal == "000000020000000000000003"


def test_last_is_what_came_last_within_a_folder_too():
    bucket = Archive()
    bucket.put(name_of(1, 7))
    bucket.put(name_of(1, 9), at=NOW - timedelta(minutes=1))  # it was pushed beside the other, and was done first
    [one] = look(bucket).timelines
    assert (one.newest, one.last, one.last_at) == (name_of(1, 7), name_of(1, 9), NOW.isoformat())


def test_wal_that_is_brought_back_is_no_newer_than_it_was():
    """A rescue writes it again, after a look that has seen less of it, or nothing."""
    for left in ((), (250, 251)):
        bucket = Archive()
        keys = {number: bucket.put(name_of(1, number)) for number in range(250, 260)}
        [state] = repository.look(bucket, "c-abc", "")
        assert state.last_wal_at == NOW.isoformat()
        for number, key in keys.items():
            if number not in left:
                del bucket.objects[key]
        states = repository.look(bucket, "c-abc", "", [state]) or [state]
        bucket.objects.setdefault(f"{BASE}archive.info", b"x")
        states = repository.look(bucket, "c-abc", "", states)
        bucket.now += timedelta(hours=3)
        for number in range(250, 260):
            bucket.put(name_of(1, number))
        [back] = states = repository.look(bucket, "c-abc", "", states)
        assert (back.last_wal, back.last_wal_at) == (name_of(1, 259), NOW.isoformat())
        bucket.put(name_of(1, 260))
        [back] = repository.look(bucket, "c-abc", "", states)
        assert (back.last_wal, back.last_wal_at) == (name_of(1, 260), bucket.now.isoformat())


def test_a_stanza_that_is_made_anew_has_its_own_times():
    bucket = Archive()
    bucket.objects["c-abc/n1/backup/orders/backup.info"] = info(ids=(7,)).encode()
    key = bucket.put(name_of(1, 900))
    states = repository.look(bucket, "c-abc", "")
    del bucket.objects[key]
    bucket.objects["c-abc/n1/backup/orders/backup.info"] = info(ids=(8,)).encode()
    bucket.now += timedelta(hours=1)
    bucket.put(name_of(1, 1))
    states = repository.look(bucket, "c-abc", "", states)
    bucket.put(name_of(1, 2))
    [state] = repository.look(bucket, "c-abc", "", states)
    assert (state.last_wal, state.last_wal_at) == (name_of(1, 2), bucket.now.isoformat())


def test_last_is_of_the_current_database():
    bucket = Archive()
    bucket.objects["c-abc/n1/backup/orders/backup.info"] = info(ids=(7, 8)).encode()
    bucket.put(name_of(1, 900))
    bucket.put(name_of(1, 3), at=NOW - timedelta(hours=1), archive="15-2")
    [state] = repository.look(bucket, "c-abc", "", (), {("n1", "orders"): Report("7", 1)})
    assert (state.archive, state.last_wal) == ("15-2", name_of(1, 3))
    assert [one.archive for one in state.timelines] == ["15-1", "15-2"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_counting_follows_an_archive_through_its_life(seed, monkeypatch):
    """Pushes, promotions, expiry, in any order: what each look says is what there is, without listing all of it."""
    monkeypatch.setattr(archive, "FOLDERS_AGAIN", 0)
    chance, bucket, wal = random.Random(seed), Archive(), Wal()
    own, timeline, number = [], 1, 0
    for _ in range(30):
        how = chance.choice(["push", "push", "push", "expire", "promote", "nothing"])
        bucket.now += timedelta(minutes=10)
        if how == "push":
            for _ in range(chance.randrange(1, 900)):
                own.append(bucket.put(name_of(timeline, number), chance.randrange(1, 9)))
                number += 1
        elif how == "expire" and own:
            cut = chance.randrange(len(own) // 4 + 1)
            for key in own[:cut]:
                del bucket.objects[key]
            own = own[cut:]
        elif how == "promote":
            timeline += 1
            bucket.history(timeline)
        bucket.calls.clear()
        wal = look(bucket, wal)
        assert counted(wal) == bucket.truth(), how
        assert not wal.more
        if own:
            keys = [key.rsplit("/", 1)[1][:24] for key in own]
            ends = [(one.first, one.last, one.newest) for one in wal.timelines]
            assert min(first for first, _, _ in ends) == min(keys)
            assert ends[-1][1:] == (max(keys), max(keys))
            assert sum(one.segments for one in wal.timelines) == wal.segments
    assert (
        repository.from_json(
            repository.as_json(
                [repository.StanzaState("n1", "orders", "read", timelines=wal.timelines, wal_folders=wal.folders)]
            )
        )[0].timelines
        == wal.timelines
    )


def test_what_a_thief_takes_out_of_the_middle_is_found_in_its_turn():
    bucket = Archive()
    keys = [bucket.put(name_of(1, number)) for number in range(256 * 50)]
    wal = look(bucket)
    for key in random.Random(1).sample(keys, 5000):
        del bucket.objects[key]
    for _ in range(50 // archive.FOLDERS_AGAIN + 1):
        wal = look(bucket, wal)
    assert counted(wal) == bucket.truth()
    for key in [one for one in bucket.objects if "0000000100000007/" in one]:
        del bucket.objects[key]
    assert counted(look(bucket, wal)) == bucket.truth()  # a whole folder is missed at once


class Large:
    """An archive of so many full folders, made up as it is asked for."""

    begins_after = True

    def __init__(self, folders):
        self.names, self.calls = [f"00000001{number:08X}" for number in range(folders)], []

    def folders(self, prefix):
        self.calls.append(prefix)
        return self.names if prefix.endswith("15-1/") else ["15-1"]

    def entries(self, prefix, after=""):
        self.calls.append(prefix)
        folder = prefix.rstrip("/").rsplit("/", 1)[1]
        if folder in self.names:
            for number in range(256):
                yield Entry(f"{prefix}{folder}{number:08X}-{'a' * 40}.zst", 16 * 2**20, NOW)


@pytest.mark.slow
def test_hundreds_of_thousands_of_segments_are_counted_in_a_few_looks_and_kept():
    bucket, wal, looks = Large(1200), Wal(), []
    began = time.process_time()
    while not looks or wal.more:
        bucket.calls.clear()
        wal = look(bucket, wal)
        looks.append(len(bucket.calls))
    assert (wal.segments, wal.bytes) == (307_200, 307_200 * 16 * 2**20)
    assert len(looks) == 13  # the newest first, 25,600 segments in each
    assert max(looks) <= archive.FOLDERS_AT_ONCE + 3
    for _ in range(3):
        bucket.calls.clear()
        assert counted(look(bucket, wal)) == counted(wal)
        assert len(bucket.calls) <= archive.FOLDERS_AGAIN + 6
    assert time.process_time() - began < 10


def test_an_archive_without_end_is_said_to_have_more():
    bucket = Large(archive.FOLDERS_AT_MOST + 500)
    wal = look(bucket, Wal(folders=[[f"15-1/{name}", 256, 1] for name in bucket.names]))
    assert wal.more
    assert len(wal.folders) == archive.FOLDERS_AT_MOST

    class Deep(Large):
        def entries(self, prefix, after=""):
            for number in range(10**9):
                self.calls.append(number)
                yield Entry(f"{prefix}{'0' * 7}1{'0' * 16}-{number:040x}", 1, NOW)

    deep = Deep(1)
    assert look(deep).more
    assert len(deep.calls) <= archive.ENTRIES_AT_MOST + 5


KEYS = st.lists(
    st.sampled_from(["15-1", "9.6-12", "0000000100000000", "FFFFFFFFFFFFFFFF", "15-1/0000000100000000"])
    | st.text(max_size=12)
    | st.builds(
        lambda archive, name, end: f"{archive}/{name[:16]}/{name}{end}",
        st.sampled_from(["15-1", "15-2", "999-9999", "1-0"]),
        st.text("0123456789ABCDEFg", min_size=20, max_size=26),
        st.sampled_from([f"-{'a' * 40}", f"-{'a' * 40}.zst", ".partial", "", f"-{'A' * 40}"]),
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=3))
def test_whatever_lies_in_an_archive_it_is_counted_or_left_out(looks):
    wal = Wal()
    for keys in looks:
        bucket = Bucket({f"{BASE}{key}": b"x" for key in keys})
        wal = look(bucket, wal)
        assert counted(wal) == counted(look(bucket)), "what was seen before"
        json.dumps([asdict(one) for one in wal.timelines], allow_nan=False)
        for one in wal.timelines:
            assert one.first <= one.last
            assert one.arrived


# Which timelines are whose


def timeline(number, last, minutes, began=0, began_minutes=0, of="15-1"):
    """Return a timeline whose newest segment came so many minutes after noon, and that began at a segment then."""
    return Timeline(
        of,
        number,
        name_of(number, began),
        name_of(number, last),
        (NOW + timedelta(minutes=minutes)).isoformat(),
        last - began + 1,
        1,
        name_of(number, last),
        name_of(number, began),
        (NOW + timedelta(minutes=began_minutes)).isoformat(),
    )


def at(minutes):
    return NOW + timedelta(minutes=minutes)


#          timelines, the reported one, when, those that are strays, those that wait for a report
CASES = {
    "one timeline": ([timeline(1, 9, 60)], 1, 60, [], []),
    "never reported": ([timeline(1, 9, 60)], None, None, [], []),
    "promoted, reported": ([timeline(1, 9, 60), timeline(2, 12, 90, 9, 61)], 2, 95, [], []),
    "promoted, not reported yet": ([timeline(1, 9, 60), timeline(2, 12, 90, 9, 61)], 1, 60, [], [2]),
    "restored to the past, reported": ([timeline(1, 30, 60), timeline(2, 12, 90, 9, 61)], 2, 95, [], []),
    "restored twice": ([timeline(1, 30, 60), timeline(2, 15, 90, 9, 61), timeline(3, 20, 120, 12, 95)], 3, 121, [], []),
    "what was pushed late": ([timeline(1, 8, 65), timeline(2, 12, 90, 9, 61)], 2, 95, [], []),
    "a copy on a new timeline": ([timeline(1, 30, 120), timeline(2, 12, 90, 9, 61)], 1, 120, [2], []),
    "a copy, and the node idle": ([timeline(1, 8, 60), timeline(2, 12, 90, 9, 61)], 1, 120, [2], []),
    "a copy, and nobody reported": ([timeline(1, 30, 120), timeline(2, 12, 90, 9, 61)], None, None, [2], []),
    "a copy that wrote last, and nobody reported": (
        [timeline(1, 30, 80), timeline(2, 12, 90, 9, 61)],
        None,
        None,
        [1],
        [],
    ),
    "the former machine is still at work": ([timeline(1, 30, 120), timeline(2, 12, 90, 9, 61)], 2, 95, [1], []),
    "a copy of long ago, and the node restored": (
        [timeline(1, 30, 80), timeline(2, 12, 70, 9, 61), timeline(3, 40, 120, 20, 85)],
        3,
        121,
        [],
        [],
    ),
    "another database's timelines": ([timeline(1, 30, 120), timeline(2, 12, 90, 9, 61, of="14-0")], 1, 120, [], []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_timeline_that_something_else_writes_is_found(case):
    there, reported, when, others, waiting = CASES[case]
    own = live(there, "15-1", reported)
    told = at(when) if when is not None else None
    assert [one.number for one in strays(there, own, told, at(130))] == others
    assert [one.number for one in unreported(there, own, told) if one.number not in others] == waiting


def test_a_former_primary_that_wrote_on_for_a_while_is_a_stray_for_a_day():
    there = [timeline(1, 30, 120), timeline(2, 12, 90, 9, 61)]
    asked = [strays(there, there[1], at(95), at(120) + timedelta(days=days)) for days in (0, 0.9, 20)]
    assert [[one.number for one in found] for found in asked] == [[1], [1], []]


def test_live_is_the_reported_one_or_the_one_with_the_newest_arrival():
    there = [timeline(1, 30, 80), timeline(2, 12, 90), timeline(1, 1, 99, of="16-2")]
    assert live(there, "15-1", 1) == there[0]
    assert live(there, "15-1", None) == there[1]
    assert live(there, "15-1", 7) == there[1]
    assert live(there, "16-2", 1) == there[2]
    assert live(there, "17-3", None) == there[2]  # nothing of the current database yet
    assert live([], "15-1", 1) is None


def test_an_archive_that_is_not_in_the_history_is_a_stranger():
    assert strangers(["15-1", "15-1", "16-2"], ["15-1"]) == ["16-2"]
    assert strangers(["15-1"], ["14-1"]) == ["15-1"]  # the version is part of it
    assert strangers(["16-2"], []) == []  # the list of backups is not read


def test_a_timeline_s_beginning_is_kept_when_its_first_segments_expire():
    bucket = Archive()
    bucket.history(2, at=NOW - timedelta(days=2))
    keys = [bucket.put(name_of(2, number)) for number in range(100, 400)]
    wal = look(bucket)
    for key in keys[:250]:
        del bucket.objects[key]
    [one] = look(bucket, wal).timelines
    assert (one.first, one.began) == (name_of(2, 350), name_of(2, 100))
    assert one.began_at == (NOW - timedelta(days=2)).isoformat()


def test_no_file_is_read_but_the_lists_of_backups():
    """The console's role in AWS may read nothing else (`backup/*/backup.info*`)."""
    bucket = Archive()
    bucket.objects["c-abc/n1/backup/orders/backup.info"] = info(row("20261122-230118F")).encode()
    bucket.put(name_of(2, 3))
    bucket.history(2)
    repository.look(bucket, "c-abc", "")
    read = [key for how, key in bucket.calls if how == "read"]
    assert read == ["c-abc/n1/backup/orders/backup.info"]
