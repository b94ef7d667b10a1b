"""A look at what changes day by day: what it sees, what it leaves to the look at all, and what it costs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from clusters.pgbackrest import repository
from clusters.pgbackrest.repository import Report
from tests.clusters.pgbackrest.repository_files import Bucket, info, name_of, row

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FIRST, SECOND = "20261121-000000F", "20261122-000000F"
KEY = ("n1", "orders")


class Node(Bucket):
    """A repository of one node that makes backups and archives."""

    def __init__(self):
        super().__init__({}, {})
        self.now = NOW
        self.backups(FIRST)

    def backups(self, *labels):
        self.objects["c-abc/n1/backup/orders/backup.info"] = info(*(row(one) for one in labels)).encode()
        self.objects |= {f"c-abc/n1/backup/orders/{one}/backup.manifest": b"x" for one in labels}

    def put(self, *numbers, timeline=1, archive="15-1"):
        for number in numbers:
            name = name_of(timeline, number)
            end = hashlib.sha1(name.encode()).hexdigest()
            key = f"c-abc/n1/archive/orders/{archive}/{name[:16]}/{name}-{end}.zst"
            self.objects[key], self.times[key] = b"wal", self.now

    def look(self, before=()):
        return repository.look(self, "c-abc", "", before)

    def news(self, before, reports=None, expected=()):
        self.calls.clear()
        return repository.news(self, "c-abc", "", before, reports=reports or {}, expected=expected)

    def asked(self):
        kinds = [kind for kind, _ in self.calls]
        return kinds.count("read"), kinds.count("entries") + kinds.count("folders")


def same(news, look):
    """Return both as they compare: in which order folders were counted says nothing."""
    return [[replace(one, wal_folders=sorted(one.wal_folders), wal_turn="") for one in found] for found in (news, look)]


@pytest.fixture
def node():
    made = Node()
    made.put(*range(3))
    return made


def test_news_of_nothing_new_are_one_read_and_one_list_and_the_same(node):
    before = node.look()
    assert node.news(before) == before
    assert node.asked() == (1, 1)


def test_news_list_the_archive_before_they_read_the_list_of_backups(node):
    # Else `expire` in between would leave backups on the list with WAL that is gone.
    node.news(node.look())
    assert [kind for kind, _ in node.calls] == ["entries", "read"]


def test_news_have_the_new_backup_and_the_new_wal_as_a_look_at_all_has(node):
    before = node.look()
    node.now += timedelta(minutes=7)
    node.backups(FIRST, SECOND)
    node.put(*range(3, 300))  # into the next folder, too
    news, look = same(node.news(before), node.look(before))
    assert news == look
    assert node.news(before)[0].last_wal == name_of(1, 299)
    assert node.asked() == (1, 1)


def test_news_see_a_backup_that_is_gone_from_the_list(node):
    node.backups(FIRST, SECOND)
    before = node.look()
    node.backups(SECOND)
    assert [one.label for one in node.news(before)[0].backups] == [SECOND]


@pytest.mark.parametrize("what", ["list", "everything", "newest folder", "damaged"])
def test_news_leave_what_is_not_as_it_was_to_a_look_at_all(node, what):
    before = node.look()
    part = {"list": "/backup/", "everything": "/", "newest folder": "/archive/"}.get(what, "no such key")
    keys = [key for key in node.objects if part in key]
    if what == "damaged":
        node.objects["c-abc/n1/backup/orders/backup.info"] = b"nonsense"
    for key in keys:
        del node.objects[key]
    found = node.news(before)
    if what == "newest folder":
        assert found[0].wal_segments == 0
        assert node.asked()[1] > 1
    else:
        assert found is None


def test_news_see_a_second_timeline_at_once_and_whoever_goes_on_writing_to_the_first(node):
    before = node.look()
    node.put(3, timeline=2)
    both = node.news(before)
    assert both == node.look()
    assert [one.number for one in both[0].timelines] == [1, 2]
    node.now += timedelta(minutes=7)
    node.put(4, timeline=1)
    node.put(4, timeline=2)
    news, look = same(node.news(both), node.look(both))
    assert news == look
    assert node.news(both)[0].timelines[0].last == name_of(1, 4)
    assert node.asked() == (1, 2)


def test_news_see_the_first_backup_of_who_is_expected_and_of_nobody_else(node):
    assert Node.news(node, []) == []
    assert node.asked() == (0, 0)
    assert node.news([], expected=[KEY]) is None
    assert node.news([], expected=[("n2", "orders")]) == []
    assert node.asked() == (1, 0)


def test_news_keep_what_a_node_says(node):
    before = node.look()
    told = node.news(before, {KEY: Report("7711134786693777346", 1)})
    assert (told[0].reported, told[0].confirmed) == ("7711134786693777346", ["7711134786693777346"])


def test_where_no_list_begins_in_the_middle_the_archive_is_looked_at_as_before(node, monkeypatch):
    monkeypatch.setattr(Node, "begins_after", False)
    before = node.look()
    node.put(3)
    assert node.news(before) == node.look()
    node.news(before)
    assert node.asked() == (1, 3)


def test_a_list_that_was_read_from_its_copy_is_read_again(node):
    key = "c-abc/n1/backup/orders/backup.info"
    node.objects[f"{key}.copy"], node.objects[key] = node.objects[key], b"nonsense"
    before = node.look()
    assert (before[0].status, before[0].tag) == ("read", "")
    node.news(before)
    assert node.asked()[0] == 2
