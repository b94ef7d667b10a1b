"""What is said to be restorable, where WAL is missing, has waited, or is only said to be there."""

from __future__ import annotations

from dataclasses import replace

from clusters.health.facts import Before, Look
from clusters.health.judgement import judge
from clusters.health.window import not_arrived
from tests.clusters.health.known import (
    BACKUPS,
    DAY,
    HOUR,
    LINE,
    MINUTE,
    NOW,
    SUNDAY,
    archiver,
    backup,
    facts,
    gap,
    host,
    segment,
    server,
    state,
)


def codes(found):
    return [one["code"] for one in found.problems]


def begins(number, **values):
    return facts(state=state(timelines=[replace(LINE, first=segment(number))], **values))


def test_an_archive_that_was_emptied_restores_nothing():
    found = judge(facts(state=state(timelines=[], last_wal="", last_wal_at="")))
    assert (found.verdict, codes(found)[0]) == ("not_recoverable", "no_usable")
    # So does one that has only WAL of another database, or of another timeline.
    assert judge(facts(state=state(timelines=[replace(LINE, archive="14-0")]))).verdict == "not_recoverable"
    other = replace(LINE, number=2, first=segment(10, 2), last=segment(60, 2))
    assert judge(facts(state=state(timelines=[other]))).verdict == "not_recoverable"


def test_wal_that_is_missing_in_front_of_what_is_there_breaks_the_backups_that_need_it():
    assert judge(begins(59)).verdict == "not_recoverable"
    found = judge(begins(15))  # the first backup needs 10 and 11, the next one 20
    assert (found.verdict, codes(found)[0]) == ("at_risk", "broken")
    assert found.window.oldest == SUNDAY + DAY
    assert judge(begins(10)).verdict == "recoverable"


def test_wal_that_ends_before_the_end_of_a_backup_breaks_it():
    cut = replace(LINE, last=segment(50), newest=segment(50))  # the last backup ends with 51
    found = judge(facts(state=state(timelines=[cut], last_wal=cut.last)))
    assert (found.verdict, len(found.window.reach.broken)) == ("at_risk", 1)


def test_a_backup_that_was_just_made_waits_for_its_wal_but_promises_no_more_than_itself():
    made = backup("full", NOW - 5 * MINUTE, 70)
    found = judge(facts(state=state(backups=[*BACKUPS, made])))
    assert found.verdict == "recoverable"
    assert [one.label for one in found.window.reach.broken] == []
    assert (
        judge(facts(state=state(backups=[*BACKUPS, replace(made, stopped=made.stopped - 3600)]))).verdict == "at_risk"
    )


def test_nothing_is_missing_in_front_where_more_was_there_than_was_counted():
    assert judge(begins(59, wal_more=True)).verdict == "recoverable"
    assert judge(facts(state=state(timelines=[], wal_more=True))).verdict == "recoverable"
    # Nor of an offline backup, which needs none.
    offline = backup("full", SUNDAY + 4 * DAY, first_wal="", last_wal="")
    known = facts(state=state(backups=[offline], timelines=[], last_wal="", last_wal_at=""))
    assert not judge(known).window.reach.broken


def test_a_segment_of_a_timeline_of_which_nothing_is_there_has_not_arrived():
    offline = [backup("full", SUNDAY + 4 * DAY, first_wal="", last_wal="")]
    known = facts(state=state(backups=offline, timelines=[], last_wal="", last_wal_at=""))
    archived = replace(known.host.report.stanzas[0].archiver, last_at=int((NOW - HOUR).timestamp()))
    stanza = replace(known.host.report.stanzas[0], archiver=archived)
    report = replace(known.host.report, stanzas=(stanza,))
    known = replace(known, host=replace(known.host, report=report))
    assert not_arrived(known) == segment(60)
    assert "not_arrived" in codes(judge(known))
    assert judge(known).window.newest == SUNDAY + 4 * DAY
    assert not_arrived(replace(known, state=replace(known.state, wal_more=True))) == ""
    # A store to which nothing has come since it was attached has no part in what was archived before.
    assert not_arrived(replace(known, since=NOW - HOUR / 2)) == ""


# What has waited


def after(known, found):
    """Return the facts with what was judged before."""
    said = (found.verdict, found.since, found.problems, found.held, found.coming, found.coming_since, found.missed)
    return replace(known, before=Before(*said, found.window.newest))


def at(now, arrived, said=None, reported_at=None):
    """Return what is known then, by a report, with the newest WAL that came."""
    wal = state(last_wal_at=arrived.isoformat(), timelines=[replace(LINE, last_at=arrived.isoformat())])
    last = archiver(min(arrived, reported_at or now))
    node = host(said or server(archiver=last), reported_at=reported_at or now - MINUTE)
    return facts(now=now, state=wal, host=node, look=Look(now - MINUTE / 2, due_at=now + HOUR))


def test_what_comes_first_after_an_outage_of_node_and_site_is_as_old_as_the_outage():
    ten = NOW - 2 * HOUR
    then = ten - 5 * MINUTE
    first = judge(at(ten, then, reported_at=ten - 2 * MINUTE))
    assert first.window.newest == then
    silent = judge(after(at(NOW - HOUR, then, reported_at=ten - 2 * MINUTE), first))
    assert silent.window.newest == then
    # A segment that was written at ten comes at noon, before any report.
    came = judge(after(at(NOW + MINUTE, NOW, reported_at=ten - 2 * MINUTE), silent))
    assert came.window.newest == then
    # The node is back, and says what waits: a few segments, which hold two hours of a quiet night.
    back = server(waiting=5, archiver=archiver(NOW + MINUTE))
    more = judge(after(at(NOW + 3 * MINUTE, NOW + MINUTE, back, NOW + 2 * MINUTE), came))
    assert more.window.newest == then
    drained = judge(after(at(NOW + 8 * MINUTE, NOW + 4 * MINUTE, reported_at=NOW + 7 * MINUTE), more))
    assert drained.window.newest == NOW + 4 * MINUTE


def test_while_archiving_fails_what_came_says_nothing_of_when_it_was_written():
    failed = archiver(failed=9, failed_at=int((NOW - MINUTE).timestamp()))
    known = facts(host=host(server(archiver=failed)))
    assert judge(after(known, judge(at(NOW - HOUR, NOW - 2 * HOUR)))).window.newest == NOW - 2 * HOUR
    assert judge(known).window.newest == SUNDAY + 4 * DAY


# What is not there yet


def test_the_window_ends_before_what_may_still_be_on_its_way():
    awaited = gap(55, 58, at=NOW - 4 * MINUTE)
    quiet = server(archive_timeout=60)
    found = judge(facts(state=state(wal_gaps=[awaited]), host=host(quiet)))
    assert (found.verdict, found.window.newest, found.window.is_idle) == ("recoverable", NOW - 5 * MINUTE, False)
    early = gap(55, 58, at=NOW - 4 * MINUTE)
    days = replace(early, after_at=(NOW - 3 * HOUR).isoformat())
    assert judge(facts(state=state(wal_gaps=[days]))).window.newest == NOW - 3 * HOUR
    # Before the newest backup it costs nothing at the end, and once it has come, nothing at all.
    before = gap(30, 32, at=NOW - 4 * MINUTE)
    assert judge(facts(state=state(wal_gaps=[before]))).window.newest == judge(facts()).window.newest
    # When what is before it came is not always known: then what was known stands.
    unknown = facts(state=state(wal_gaps=[replace(early, after_at="")]))
    assert judge(after(unknown, judge(at(NOW - HOUR, NOW - 2 * HOUR)))).window.newest == NOW - 2 * HOUR


def test_a_node_says_nothing_of_a_store_to_which_nothing_came_since_it_was_attached_again():
    old = state(last_wal_at=(NOW - 8 * HOUR).isoformat())
    again = facts(state=old, since=NOW - HOUR)
    assert judge(again).window.newest == NOW - 8 * HOUR
    assert judge(again).window.is_idle is False
    made = replace(old, backups=[*BACKUPS, backup("full", NOW - 30 * MINUTE, 55)])
    assert judge(replace(again, state=made)).window.newest == NOW - 4 * MINUTE
