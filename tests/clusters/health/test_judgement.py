"""What is said of a database in a store: each row of README's table, and what passes."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from clusters.health.alerts import UNKNOWN_FOR
from clusters.health.facts import Before, Host, Look, Proof
from clusters.health.judgement import judge
from clusters.health.schedule import Plan
from clusters.health.verdicts import Verdict
from clusters.pgbackrest.clocks import zone
from clusters.pgbackrest.window import needed, with_files
from clusters.reports.report import Run
from tests.clusters.health.known import (
    BACKUPS,
    DAY,
    HOUR,
    MINUTE,
    NIGHTLY,
    NOW,
    SUNDAY,
    THEIRS,
    WAL_AT,
    archiver,
    backup,
    facts,
    gap,
    host,
    later,
    never,
    segment,
    server,
    state,
)

README = Path(__file__).parents[3] / "README.md"
OTHERS = [backup("full", SUNDAY, system_id=THEIRS, db_id=0)]
FAILED = archiver(failed=9, failed_at=int((NOW - MINUTE).timestamp()))
LONG_AGO = NOW - 26 * HOUR

# A row of the table, by what stands in its first column: the verdict, the problem, and facts to which it applies.
ROWS = {
    "All is well": ("recoverable", "", facts()),
    "Its list of backups is broken, or encrypted with another passphrase": (
        *("not_recoverable", "unreadable"),
        facts(state=state(status="damaged", backups=[], note="line 3 is not JSON.")),
    ),
    "Backups were there, and all are gone": (
        *("not_recoverable", "gone"),
        facts(state=state(status="empty", backups=[]), lost=5),
    ),
    "No backup is of the database that runs now, or has its files and the WAL that makes it consistent": (
        *("not_recoverable", "no_usable"),
        facts(state=state(backups=OTHERS)),
    ),
    "It is set up, a planned first backup did not come, and there is none": (
        *("not_recoverable", "no_backup"),
        never(plan=Plan(NIGHTLY, zone("UTC"), NOW - 12 * HOUR)),
    ),
    "WAL is missing after the newest backup": (
        *("at_risk", "gap"),
        facts(state=state(wal_gaps=[gap(55, 58)])),
    ),
    "The node has archived WAL that is not there": (
        *("at_risk", "not_arrived"),
        facts(host=host(server(archiver=replace(archiver(NOW - 12 * MINUTE), last_wal=segment(61))))),
    ),
    "The newest moment that can be restored is older than allowed (RPO)": (
        *("at_risk", "rpo"),
        facts(state=state(last_wal_at=(NOW - 3 * HOUR).isoformat()), host=host(server(waiting=1)), rpo=2 * HOUR),
    ),
    "Two runs of the schedule or more were missed": (
        *("at_risk", "missed"),
        facts(state=state(backups=BACKUPS[:3])),
    ),
    "Some backups vanished that had not expired": (
        *("at_risk", "vanished"),
        facts(lost=2, lost_since=NOW - MINUTE),
    ),
    "The files of a backup are gone that is still listed": (
        *("at_risk", "files_gone"),
        facts(state=state(without_files=[BACKUPS[2].label])),
    ),
    "A backup lacks WAL of the time in which it was made": (
        *("at_risk", "broken"),
        facts(state=state(wal_gaps=[gap(30, 32)])),
    ),
    "Something else writes into its folder: another database, or another timeline": (
        *("at_risk", "foreign"),
        facts(foreign="Another database archives here."),
    ),
    "Two nodes say that they are its primary": ("at_risk", "two_primaries", facts(two_primaries="n1 and n2")),
    "Archiving fails": ("at_risk", "archiver", facts(host=host(server(archiver=FAILED)))),
    "The server does not archive here": ("at_risk", "not_archiving", facts(host=host(server(archive_mode="off")))),
    "More than 256 WAL segments wait on the node": ("at_risk", "backlog", facts(host=host(server(waiting=300)))),
    "The node has been silent for a day": ("at_risk", "lost", facts(host=host(reported_at=NOW - 25 * HOUR))),
    "The last try of a restore, or the last verification, failed": (
        *("at_risk", "proof_failed"),
        facts(proof=Proof(NOW - DAY, 60, NOW - HOUR, "no space left")),
    ),
    "The account has not proved itself": ("unknown", "account", facts(account="It has no external ID.")),
    "The store is out of reach": (
        *("unknown", "out_of_reach"),
        facts(look=Look(NOW - DAY, "It does not answer.", NOW - DAY, NOW + MINUTE)),
    ),
    "The store was not read when it should have been": (
        *("unknown", "not_read"),
        facts(look=Look(NOW - 7 * HOUR, due_at=NOW - HOUR)),
    ),
    "Its list of backups is of a newer pgBackRest, or too large": (
        *("unknown", "list_unknown"),
        facts(state=state(status="unknown", backups=[], note="a newer format.")),
    ),
    "A run of the schedule was missed": ("behind", "missed", facts(state=state(backups=BACKUPS[:4]))),
    "More than 16 WAL segments wait on the node": ("behind", "backlog", facts(host=host(server(waiting=17)))),
    "The node has been silent for 16 minutes": ("behind", "silent", facts(host=host(reported_at=NOW - 17 * MINUTE))),
    "The server does not answer": ("behind", "down", facts(host=host(server(server="down")))),
    "The node does not have the newest configuration": ("behind", "not_applied", facts(host=host(is_applied=False))),
    "The node's clock is off by more than 5 minutes": ("behind", "clock", facts(host=host(ahead=-6 * MINUTE))),
    "Pages of a backup were damaged as they were copied": (
        *("behind", "damaged_pages"),
        facts(state=state(backups=[*BACKUPS[:-1], replace(BACKUPS[-1], failed=True)])),
    ),
    "There is no word of a drill since it began": (
        *("behind", "proof_lost"),
        facts(proof=Proof(NOW - DAY, 60, lost_at=NOW - HOUR)),
    ),
    "No restore was proved for as long as allowed": (
        *("behind", "proof_overdue"),
        facts(proof_within=30 * DAY, proof=Proof(NOW - 31 * DAY, 60)),
    ),
    "The node has never reported, and nothing was seen": (
        *("not_set_up", "script"),
        never(host=Host("n1"), state=None),
    ),
    "The store is not in the node's configuration yet": ("not_set_up", "file", never(host=host(has_store=False))),
    "The stanza was not created in the store yet": ("not_set_up", "stanza", never(state=None)),
    "The first backup is not due yet": ("not_set_up", "first_backup", never()),
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_of_the_table(row):
    verdict, code, known = ROWS[row]
    found = judge(known)
    assert (found.verdict, found.problems[0]["code"] if found.problems else "") == (verdict, code)
    assert all(one["words"] and one["since"] for one in found.problems)
    assert found.due > known.now


def table():
    text = README.read_text()
    section = text[text.index("## What a verdict says") :].partition("\n## ")[0]
    verdicts = {one.label: str(one) for one in Verdict}
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \|$", section, re.MULTILINE)
    return {row: verdicts[label] for label, cell in rows for row in cell.split("; ")}


def test_the_table_in_the_readme_has_just_these_rows():
    assert table() == {row: verdict for row, (verdict, _, _) in ROWS.items()}


# Backups whose files are gone


def test_what_was_built_on_files_that_are_gone_is_gone_too():
    newer = backup("full", SUNDAY + 3 * DAY, 45)
    found = judge(facts(state=state(backups=[*BACKUPS, newer], without_files=[BACKUPS[0].label])))
    assert (found.verdict, found.window.reach.usable) == ("at_risk", [newer])
    assert found.problems[0]["words"].startswith("The files of 5 backups are gone")
    assert found.window.oldest == SUNDAY + 3 * DAY


def test_what_is_gone_is_what_a_restore_needs():
    days = [SUNDAY + n * DAY for n in range(6)]
    kinds = ["full", "incr", "diff", "incr", "diff", "incr"]
    made = [backup(kind, day, 10 + 10 * n) for n, (kind, day) in enumerate(zip(kinds, days, strict=True))]
    for missing in made:
        seen = state(backups=made, without_files=[missing.label])
        assert with_files(seen) == [one for one in made if missing not in needed(seen, one)]


def test_nothing_is_left_where_the_only_full_backup_has_no_files():
    known = facts(state=state(without_files=[BACKUPS[0].label]))
    found = judge(known)
    assert (found.verdict, found.problems[0]["code"], found.window.newest) == ("not_recoverable", "no_usable", None)
    assert "the files of 5 backups are gone" in found.problems[0]["words"]
    assert judge(replace(known, known_at=None)).verdict == "not_recoverable"


# What passes, and what does not


def judged(known, before=None):
    """Judge by what was judged before."""
    return judge(replace(known, before=before and taken(before)))


def taken(found):
    return Before(
        found.verdict,
        found.since,
        found.problems,
        found.held,
        found.coming,
        found.coming_since,
        found.missed,
        found.window.newest,
    )


def silent_for(minutes, after=0 * MINUTE):
    now = NOW + after
    known = later(facts(), after)
    return replace(known, now=now, host=replace(known.host, reported_at=now - minutes * MINUTE))


def test_a_flapping_node_does_not_make_the_verdict_flap():
    found, said = judged(facts()), []
    for minutes in range(0, 600, 5):
        # A report comes every 40 minutes: for 16 of them all is well.
        found = judged(silent_for(minutes % 40, minutes * MINUTE), found)
        said.append(found.verdict)
    changes = [b for a, b in pairwise(said) if a != b]
    assert changes == ["behind"]


def test_silence_counts_once_it_has_stood_and_the_time_for_that_is_known():
    first = judged(silent_for(0))
    second = judged(silent_for(17), first)
    assert (second.verdict, second.coming, second.problems) == ("recoverable", "behind", [])
    assert second.due <= NOW + 10 * MINUTE
    third = judged(replace(silent_for(0), now=NOW + 8 * MINUTE), second)
    assert (third.verdict, third.coming) == ("recoverable", "")
    late = replace(silent_for(17), now=NOW + 10 * MINUTE)
    assert judged(late, second).verdict == "behind"


def test_what_is_certain_counts_at_once_and_is_over_at_once():
    first = judged(facts())
    second = judged(facts(lost=1, lost_since=NOW), first)
    assert (second.verdict, second.coming) == ("at_risk", "")
    assert judged(facts(), second).verdict == "recoverable"


def test_since_is_when_the_verdict_and_each_problem_began():
    first = judged(facts(lost=1, lost_since=NOW))
    known = later(facts(lost=1, lost_since=NOW), HOUR)
    second = judged(replace(known, foreign="Another database archives here."), first)
    assert second.since == NOW
    since = {one["code"]: one["since"] for one in second.problems}
    assert since == {"vanished": NOW.isoformat(), "foreign": (NOW + HOUR).isoformat()}


def test_a_store_out_of_reach_is_neither_green_nor_red():
    away = Look(NOW - 30 * HOUR, "It does not answer.", NOW - 30 * HOUR, NOW - 24 * HOUR)
    found = judge(facts(look=away, rpo=HOUR, host=host(reported_at=NOW - 17 * MINUTE)))
    assert found.verdict == "unknown"
    assert [one["code"] for one in found.problems] == ["out_of_reach", "silent"]
    # What is known to be lost is red all the same.
    assert judge(facts(look=away, state=state(status="empty", backups=[]), lost=5)).verdict == "not_recoverable"
    assert judge(facts(look=away, lost=1)).verdict == "at_risk"


def test_one_failed_read_changes_nothing():
    first = judged(facts())
    away = Look(NOW - MINUTE, "It does not answer.", NOW - MINUTE, NOW + 14 * MINUTE)
    second = judged(facts(look=away), first)
    assert (second.verdict, second.coming) == ("recoverable", "unknown")
    assert judged(replace(facts(look=away), now=NOW + 20 * MINUTE), second).verdict == "unknown"
    assert judged(facts(), second).coming == ""


def test_one_failed_read_takes_no_alert_back():
    old = facts(state=state(last_wal_at=(NOW - 3 * HOUR).isoformat()), host=host(server(waiting=1)), rpo=2 * HOUR)
    first = judged(old)
    away = Look(NOW - MINUTE, "It does not answer.", NOW - MINUTE, NOW + 14 * MINUTE)
    found = judged(replace(old, look=away), first)
    assert (found.verdict, found.coming, found.problems[0]["code"]) == ("at_risk", "", "rpo")
    # What is over while nobody can look is not known to be over: the alert changes after an hour, and does not close.
    for before in (judged(facts(lost=1, lost_since=NOW)), judged(facts(state=state(backups=BACKUPS[:4])))):
        second = judged(facts(look=away), before)
        assert (second.verdict, second.coming) == (before.verdict, "unknown")
        third = judged(replace(facts(look=away), now=NOW + 59 * MINUTE), second)
        assert third.verdict == before.verdict
        last = judged(replace(facts(look=away), now=NOW + UNKNOWN_FOR), third)
        assert (last.verdict, last.since) == ("unknown", NOW)


def test_a_console_that_was_away_for_a_day_waits_for_reports():
    def away(minutes, after):
        return replace(silent_for(minutes, after), plan=Plan())

    first = judged(away(0, 0 * MINUTE))
    silent = judged(away(25 * 60, 26 * HOUR), first)
    assert (silent.verdict, silent.coming) == ("recoverable", "at_risk")
    assert judged(away(0, 26 * HOUR + 5 * MINUTE), silent).verdict == "recoverable"
    assert judged(away(25 * 60 + 10, 26 * HOUR + 10 * MINUTE), silent).verdict == "at_risk"


def test_nothing_is_red_before_it_was_set_up_and_the_first_run_makes_it_so():
    first = judged(never(plan=Plan(NIGHTLY, zone("UTC"), NOW), host=host(reported_at=NOW + DAY)))
    assert "begins 27 Nov 01:00 UTC" in first.problems[0]["words"]
    assert first.due == NOW + HOUR
    known = later(never(plan=Plan(NIGHTLY, zone("UTC"), NOW)), 13 * HOUR + 17 * MINUTE)
    assert judged(known, first).verdict == "not_recoverable"
    assert judge(never(plan=Plan({}, None, NOW))).problems[0]["words"] == "No backup is planned."


def test_a_database_without_backups_in_a_store_that_was_not_read_is_unknown():
    assert judge(never(look=Look(), state=None)).verdict == "unknown"


# How old the newest moment may be


def quiet(since, **values):
    """Nothing was written since then, and the node says that nothing waits."""
    said = server(archiver=archiver(since), **values)
    return {"state": state(last_wal_at=since.isoformat()), "host": host(said)}


def test_the_newest_moment_of_a_quiet_database_is_no_later_than_what_is_known():
    since = NOW - 10 * HOUR  # later than its last backup
    found = judge(facts(**quiet(since)))
    assert (found.verdict, found.window.newest) == ("recoverable", since)
    # An RPO that was set is meant: what is in the open segment is in no store.
    found = judge(facts(**quiet(since), rpo=2 * HOUR))
    assert (found.verdict, found.problems[0]["code"]) == ("at_risk", "rpo")
    assert "archive_timeout" in found.problems[0]["advice"]
    found = judge(facts(**quiet(since, archive_timeout=60), rpo=2 * HOUR))
    assert (found.verdict, found.window.newest) == ("recoverable", NOW - 4 * MINUTE)


@pytest.mark.parametrize(
    "change",
    [
        {"may_drop": True},
        {"host": host(server(waiting=1))},
        {"host": host(server(is_archived_here=False))},
        {"host": host(server(spool_errors=1))},
        {"host": host(server(role="standby"))},
        {"host": host(has_store=False)},
        {"host": host(server(archive_mode="off", archive_timeout=60))},
        {"host": host(reported_at=NOW - HOUR)},
    ],
)
def test_the_word_of_a_node_counts_only_where_it_proves_something(change):
    old = NOW - 8 * HOUR
    known = facts(**{"state": state(last_wal_at=old.isoformat()), **change})
    assert judge(known).window.newest == old
    assert judge(facts(state=state(last_wal_at=old.isoformat()))).window.newest == NOW - 4 * MINUTE


def test_what_had_to_wait_is_as_old_as_it_was_before():
    queue = host(server(waiting=40))
    first = judged(facts())
    second = judged(later(facts(host=queue), HOUR), first)
    assert second.window.newest == first.window.newest
    # Without anything that was known before, nothing but the backup is certain.
    assert judge(facts(host=queue)).window.newest == SUNDAY + 4 * DAY
    retried = server(archiver=archiver(failed=3, failed_at=int((NOW - 5 * MINUTE).timestamp())))
    assert judged(later(facts(host=host(retried)), HOUR), first).window.newest == first.window.newest


def test_the_rpo_goes_by_the_schedule_where_none_is_set():
    waits = host(server(waiting=1))
    hourly = Plan({"full": "0 0 * * 0", "incr": "0 * * * *"}, zone("UTC"), SUNDAY - 30 * DAY)
    backups = [*BACKUPS, backup("incr", NOW - 2 * HOUR, 52)]
    known = facts(state=state(backups=backups, last_wal_at=(NOW - 2 * HOUR).isoformat()), host=waits, plan=hourly)
    codes = {one["code"]: one["words"] for one in judge(known).problems}
    assert codes["rpo"].endswith("2 hours is allowed.")
    assert judge(facts(host=waits)).due <= WAL_AT + 2 * DAY


def test_the_moment_is_told_at_which_an_rpo_is_exceeded():
    known = facts(**quiet(NOW - HOUR), rpo=2 * HOUR)
    found = judge(known)
    assert found.verdict == "recoverable"
    assert found.due == NOW + 14 * MINUTE  # the node's silence comes first
    assert judge(replace(known, rpo=61 * MINUTE)).due == NOW + MINUTE


def test_a_run_that_the_node_is_at_is_not_missed():
    begun = int((NOW - 11 * HOUR).timestamp())
    at_it = host(runs=[Run("orders", "incr", 1, begun, None, None)])
    assert judge(facts(state=state(backups=BACKUPS[:4]), host=at_it)).verdict == "recoverable"
    over = host(runs=[Run("orders", "incr", 1, begun, begun + 60, 1)])
    assert judge(facts(state=state(backups=BACKUPS[:4]), host=over)).verdict == "behind"


def test_what_was_missed_before_the_schedule_was_changed_stays_missed():
    first = judged(facts(state=state(backups=BACKUPS[:3])))
    assert first.verdict == "at_risk"
    changed = Plan({"full": "0 3 * * 0", "incr": "0 3 * * *"}, zone("UTC"), NOW)
    assert judged(facts(state=state(backups=BACKUPS[:3]), plan=changed), first).verdict == "at_risk"
    made = [*BACKUPS[:3], backup("full", NOW - MINUTE, 53)]
    assert judged(facts(state=state(backups=made), plan=changed), first).verdict == "recoverable"


@pytest.mark.parametrize("ahead", [3 * HOUR, -3 * HOUR])
def test_clocks_that_differ_make_nothing_newer_than_it_is(ahead):
    # The node's clock was so far off when it made a backup, an hour ago; no WAL has come since.
    made = backup("full", NOW - HOUR + ahead, 53)
    said = host(server(archiver=archiver(NOW - 90 * MINUTE + ahead), waiting=1), ahead=ahead)
    known = facts(state=state(backups=[made], last_wal_at=(NOW - 90 * MINUTE).isoformat()), host=said)
    assert judge(known).window.newest in {NOW - HOUR, NOW - 90 * MINUTE}
    assert judge(known).window.newest <= NOW - HOUR
    # What the store says has come after it was read is no newer than that.
    wrong = facts(state=state(last_wal_at=(NOW + HOUR).isoformat()), host=host(server(waiting=1)))
    assert judge(wrong).window.newest == NOW - MINUTE


def test_what_a_report_says_is_as_old_as_when_it_was_begun():
    said = server(archive_timeout=60, archiver=archiver(NOW - 30 * MINUTE))
    reported_at = NOW - 2 * MINUTE
    seen = state(last_wal_at=(NOW - 30 * MINUTE).isoformat())
    quick, slow = (facts(state=seen, host=host(said, reported_at=reported_at, ahead=-n * MINUTE)) for n in (0, 3))
    assert judge(quick).window.newest == reported_at - 2 * MINUTE
    assert judge(slow).window.newest == reported_at - 4 * MINUTE


def test_what_a_node_with_a_wrong_clock_says_is_taken_by_ours():
    said = host(server(archiver=archiver(NOW - 4 * MINUTE + 3 * HOUR)), ahead=3 * HOUR)
    known = facts(state=state(last_wal_at=(NOW - 8 * HOUR).isoformat()), host=said)
    assert judge(known).window.newest == NOW - 4 * MINUTE


def test_damage_that_a_verification_found_is_not_mended_by_a_later_restore():
    found = judge(facts(proof=Proof(NOW - HOUR, 60, NOW - DAY, "Verification: 2 files are damaged.")))
    assert (found.verdict, found.problems[0]["code"]) == ("at_risk", "proof_failed")
    assert found.problems[0]["words"] == "The last try failed 25 Nov 12:00 UTC. Verification: 2 files are damaged."


def _watched(now, **values):
    look = Look(read_at=now - MINUTE, due_at=now + HOUR)
    return facts(now=now, look=look, host=Host("n1"), plan=Plan({}), is_watched=True, **values)


def _codes(known):
    return [one["code"] for one in judge(known).problems]


def test_who_watches_only_knows_the_schedule_by_its_backups():
    # One a day; WAL goes on, or stops.
    late = NOW + 7 * DAY
    goes_on = state(last_wal_at=(late - MINUTE).isoformat())
    assert judge(_watched(NOW)).verdict == Verdict.RECOVERABLE
    assert _codes(_watched(late, state=goes_on)) == ["missed"]
    assert _codes(_watched(late)) == ["rpo", "missed"]
    # A schedule that the console has is not guessed, and one backup tells nothing but that a week is long.
    assert _codes(replace(_watched(late), is_watched=False)) == []
    once = state(backups=BACKUPS[:1], last_wal_at=(SUNDAY + HOUR).isoformat())
    assert _codes(_watched(SUNDAY + 13 * DAY, state=once)) == []
    assert _codes(_watched(SUNDAY + 15 * DAY, state=once)) == ["rpo", "missed"]


def test_who_is_watched_only_is_not_asked_to_run_a_script():
    bare = replace(never(plan=Plan({})), is_watched=True, host=Host("n1"))
    [problem] = judge(bare).problems
    assert problem["code"] == "first_backup"
    assert "script" not in problem["words"] + problem["advice"]
