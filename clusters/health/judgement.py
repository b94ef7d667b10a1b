"""From what was read of a database in a store to one verdict, with its reasons. Pure.

The table in README.md, "What a verdict says", has a row for each problem; its tests hold it to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from clusters.health import schedule
from clusters.health.facts import Facts
from clusters.health.problems import HOLD, Clock, Problem, count, worst
from clusters.health.schedule import Missed
from clusters.health.verdicts import Verdict
from clusters.health.window import CLOCK_OFF, Window, not_arrived, window
from clusters.pgbackrest.backup_info import Backup
from clusters.pgbackrest.schedules import KINDS
from clusters.reports.primaries import SILENT

NOT_RECOVERABLE, AT_RISK, BEHIND = Verdict.NOT_RECOVERABLE, Verdict.AT_RISK, Verdict.BEHIND
UNKNOWN, NOT_SET_UP, RECOVERABLE = Verdict.UNKNOWN, Verdict.NOT_SET_UP, Verdict.RECOVERABLE

LOST = timedelta(days=1)  # of a node's silence
TRIED = timedelta(minutes=2)  # after it is due, it was looked again, or that has failed
OVERDUE = timedelta(minutes=30)  # of a look: it is due by the store's own interval
QUEUE_BEHIND, QUEUE_AT_RISK = 16, 256  # segments that wait on the node: with 16 MB, 256 MB and 4 GB
RPO_AT_LEAST = timedelta(hours=1)  # where none is set: twice the schedule's longest interval
RHYTHM = 10  # backups whose times tell a schedule that the console does not know
DAY, WEEK = timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True)
class Judgement:
    """What is said of one database in one store."""

    verdict: Verdict
    since: datetime
    problems: Sequence[Mapping[str, Any]]  # as Health has them, the worst first
    held: Sequence[Mapping[str, Any]]  # what does not count yet, or still does
    window: Window
    missed: Sequence[Missed]
    coming: str  # another verdict, by what is wrong now, whether it counts yet or not
    coming_since: datetime | None
    due: datetime  # when time alone may change it


def judge(facts: Facts) -> Judgement:
    """Return the verdict on a database in a store, and when to judge again."""
    clock, before = Clock(facts.now), facts.before
    seen = window(facts)
    missed = _missed(facts, seen)
    found = list(_problems(facts, seen, missed, clock))
    counted = count(found, before, clock)
    verdict, coming = counted.verdict, _worst(found)
    since = before.since if before and before.verdict == verdict else counted.since or facts.now
    told = (verdict, since, counted.problems, counted.held, seen, missed)
    if coming == verdict:
        return Judgement(*told, "", None, clock.due)
    coming_since = before.coming_since if before and before.coming == coming else None
    return Judgement(*told, str(coming), coming_since or facts.now, clock.due)


def _worst(found: Sequence[Problem]) -> Verdict:
    return worst([one.as_json() for one in found])


def _missed(facts: Facts, seen: Window) -> list[Missed]:
    """Return the runs that were missed by what was read; nothing where the store was never read."""
    if not facts.look.read_at or facts.plan.is_empty:
        return []
    told = [one for one in facts.host.report.runs if one.stanza == facts.database and one.begun and not one.ended]
    running = {
        one.kind: at
        for one in told
        if one.begun and facts.now - (at := datetime.fromtimestamp(one.begun, UTC)) < schedule.LASTS_AT_MOST
    }
    backups = seen.reach.usable
    found = schedule.missed(facts.plan, backups, facts.look.read_at, running)
    before = facts.before.missed if facts.before else ()
    found += [one for one in schedule.still_missed(before, facts.plan, backups) if one not in found]
    return sorted(found, key=lambda one: one.at, reverse=True)[: schedule.MISSED_AT_MOST]


# What is wrong


def _problems(facts: Facts, seen: Window, missed: Sequence[Missed], clock: Clock) -> Iterator[Problem]:
    yield from _of_the_store(facts, clock)
    if (
        facts.known_at is None
        and not seen.reach.usable
        and not (seen.reach.broken or seen.reach.others or seen.reach.gone)
    ):
        yield from _beginning(facts, missed)
    else:
        yield from _of_backups(facts, seen)
        yield from _of_the_schedule(facts, seen, missed, clock)
    yield from _of_the_node(facts, clock)
    yield from _of_proofs(facts, clock)


def _of_the_store(facts: Facts, clock: Clock) -> Iterator[Problem]:
    look = facts.look
    if facts.account:
        yield Problem("account", UNKNOWN, f"Nobody looks into {facts.store}: {facts.account}", "Verify the account.")
    elif look.error:
        words = f"{facts.store} could not be read since {_at(look.failing_since)}: {look.error}"
        yield Problem("out_of_reach", UNKNOWN, words, "See that the store is there, and what its page says.")
    elif look.read_at is None:
        clock.passed(facts.now + HOLD)
        yield Problem("not_read", UNKNOWN, f"{facts.store} was not read yet.", "A worker does so within minutes.")
    elif look.due_at and clock.passed(look.due_at + OVERDUE):
        words = f"{facts.store} was last read {_at(look.read_at)}, and should have been since."
        yield Problem("not_read", UNKNOWN, words, "See that workers run, and that the account has calls left.")
    if look.due_at:
        clock.passed(look.due_at + TRIED)
    if facts.state and facts.state.status == "unknown":
        yield Problem("list_unknown", UNKNOWN, f"The list of backups is not understood: {facts.state.note}")


def _beginning(facts: Facts, missed: Sequence[Missed]) -> Iterator[Problem]:
    """Yield what has to be done until there is a first backup."""
    host, state = facts.host, facts.state
    if state and state.status in {"damaged", "encrypted"}:
        yield _unreadable(state.note)
        return
    if facts.is_watched:
        if facts.look.read_at is not None:
            words = f"There is no backup of {facts.database} in {facts.store}."
            yield Problem("first_backup", NOT_SET_UP, words, "Its machine makes them: the console only watches it.")
        return
    run_script = f"Download the set-up script on the page of {host.node}, and run it there."
    if host.reported_at is None:
        yield Problem(
            "script", NOT_SET_UP, f"{host.node} has not reported yet: its set-up script was not run.", run_script
        )
    elif not host.has_store:
        yield Problem(
            "file", NOT_SET_UP, f"{host.node} does not have {facts.store} in its configuration yet.", run_script
        )
    elif facts.look.read_at is None:
        return
    elif missed:
        words = f"No backup was ever made: that of {_at(missed[-1].at)} did not come."
        yield Problem("no_backup", NOT_RECOVERABLE, words, _look_at_log(facts))
    elif state is None or not state.db_id:
        words = f"The stanza {facts.database} was not created in {facts.store} yet."
        yield Problem("stanza", NOT_SET_UP, words, f"Run stanza-create on {host.node}: its page has the command.")
    else:
        following = schedule.next_run(facts.plan, facts.now)
        words = f"The first backup begins {_at(following)}." if following else "No backup is planned."
        advice = f"Or make one now: the page of {host.node} has the command."
        yield Problem("first_backup", NOT_SET_UP, words, advice)


def _unreadable(note: str) -> Problem:
    advice = "Repair a broken one from its copy. If another passphrase wrote it, find out whose backups these are."
    return Problem("unreadable", NOT_RECOVERABLE, f"The list of backups cannot be read: {note}", advice)


def _of_backups(facts: Facts, seen: Window) -> Iterator[Problem]:
    reach, state = seen.reach, facts.state
    if state and state.status in {"damaged", "encrypted"}:
        yield _unreadable(state.note)
    elif not (state and state.status == "unknown") and not reach.usable:
        yield _nothing_usable(facts, seen)
    if facts.lost and reach.usable:
        words = f"{_number(facts.lost, 'backup')} vanished that had not expired, first missed {_at(facts.lost_since)}."
        yield Problem("vanished", AT_RISK, words, "See on the cluster's page what can come back, and who deleted them.")
    if reach.usable and reach.gone:
        words = f"The files of {_named(reach.gone)} are gone, though the list of backups still names them."
        yield Problem("files_gone", AT_RISK, words, "Make a full backup now, and find out who deletes there.")
    if reach.usable and reach.broken:
        words = f"{_number(len(reach.broken), 'backup')} cannot be restored, since WAL of the time is missing."
        yield Problem("broken", AT_RISK, words, "Make a new backup.")
    if damaged := [one for one in reach.usable if one.failed]:
        words = f"Pages of {_named(damaged)} are damaged: their checksums were wrong as they were copied."
        advice = "See pgBackRest's log and the server's: the database itself is damaged there, or its disk."
        yield Problem("damaged_pages", BEHIND, words, advice)
    if reach.usable and (hole := reach.ends_in):
        lacking = _number(hole.gap.segments, "WAL segment")
        words = (
            f"{lacking} {'is' if hole.gap.segments == 1 else 'are'} missing after {hole.gap.after}: nothing after "
            f"{_at(hole.begin)} can be restored."
        )
        yield Problem("gap", AT_RISK, words, "Make a backup now: what comes after it can be restored again.")
    elif reach.usable and (segment := not_arrived(facts)):
        words = f"{segment} was archived, as {facts.host.node} says, and is not in {facts.store}."
        yield Problem("not_arrived", AT_RISK, words, "Find out who deletes WAL there, and make a backup now.")
    if facts.foreign:
        advice = "Stop what writes there, or it takes the next restore away from this database."
        yield Problem("foreign", AT_RISK, facts.foreign, advice)


def _nothing_usable(facts: Facts, seen: Window) -> Problem:
    make = "Make a full backup now."
    if seen.reach.gone and not seen.reach.broken:
        words = f"No backup can be restored: the files of {_named(seen.reach.gone)} are gone."
        return Problem("no_usable", NOT_RECOVERABLE, words, f"{make} See on the cluster's page what can come back.")
    if seen.reach.broken:
        words = "No backup can be restored: WAL is missing that makes them consistent."
        return Problem("no_usable", NOT_RECOVERABLE, words, make)
    if seen.reach.others:
        words = f"None of the {_number(seen.reach.others, 'backup')} is of the database that runs now."
        return Problem("no_usable", NOT_RECOVERABLE, words, make)
    words = f"All backups are gone; the newest was complete {_at(facts.known_at)}."
    return Problem("gone", NOT_RECOVERABLE, words, f"{make} See on the cluster's page what can come back.")


def _of_the_schedule(facts: Facts, seen: Window, missed: Sequence[Missed], clock: Clock) -> Iterator[Problem]:
    if not seen.reach.usable or facts.look.read_at is None:
        return
    if missed:
        kinds = " and ".join(KINDS[one] for one in KINDS if any(each.kind == one for each in missed))
        words = f"The {kinds} backup of {_at(missed[0].at)} was not made."
        if len(missed) > 1:
            words = f"{len(missed)} {kinds} backups were not made, the last that of {_at(missed[0].at)}."
        yield Problem("missed", AT_RISK if len(missed) > 1 else BEHIND, words, _look_at_log(facts))
    rhythm = _rhythm(seen.reach.usable) if facts.is_watched and facts.plan.is_empty else None
    if rhythm and clock.passed((at := _stopped(seen.reach.usable[-1])) + rhythm):
        words = f"The newest backup was complete {_at(at)}: by those before it, another one would have come since."
        yield Problem("missed", BEHIND, words, "See why its machine makes none: the console only watches it.")
    rpo = facts.rpo or _rpo_by_schedule(facts) or rhythm
    if rpo is None or seen.newest is None:
        return
    if facts.rpo is None and seen.is_idle:
        return  # all that the server has closed is there
    if clock.passed(seen.newest + rpo) and (_is_known(facts, clock) or _was_told(facts, "rpo")):
        words = f"The newest moment that can be restored is {_at(seen.newest)}, {_long(rpo)} is allowed."
        advice = _look_at_log(facts)
        if seen.is_idle:
            advice = "All closed WAL is there. Set archive_timeout, so that what a quiet database writes is closed too."
        yield Problem("rpo", AT_RISK, words, advice)


def _rpo_by_schedule(facts: Facts) -> timedelta | None:
    longest = facts.plan.longest
    return max(RPO_AT_LEAST, 2 * longest) if longest else None


def _rhythm(backups: Sequence[Backup]) -> timedelta:
    """Return twice the longest time between the last backups, where nobody has said when they are planned."""
    stops = [_stopped(one) for one in backups[-RHYTHM:]]
    longest = max((b - a for a, b in pairwise(stops)), default=WEEK)
    return max(DAY, 2 * longest)


def _stopped(backup: Backup) -> datetime:
    return datetime.fromtimestamp(backup.stopped, UTC)


def _is_known(facts: Facts, clock: Clock) -> bool:
    """Return whether the store was read since the newest moment became too old, or is as it should be read."""
    look = facts.look
    return not look.error and not (look.due_at and clock.passed(look.due_at + OVERDUE))


def _was_told(facts: Facts, code: str) -> bool:
    """Return whether it was said before: a store that cannot be read now takes nothing back."""
    return facts.before is not None and any(one["code"] == code for one in facts.before.problems)


def _of_the_node(facts: Facts, clock: Clock) -> Iterator[Problem]:
    host = facts.host
    if host.reported_at is None:
        return
    if clock.passed(host.reported_at + LOST):
        words = f"{host.node} has been silent since {_at(host.reported_at)}."
        yield Problem("lost", AT_RISK, words, "See whether the machine runs, and has its report in cron.")
    elif clock.passed(host.reported_at + SILENT):
        words = f"{host.node} has been silent since {_at(host.reported_at)}."
        yield Problem("silent", BEHIND, words, "See whether the machine runs, and reaches the console.")
    if facts.two_primaries:
        words = f"{facts.two_primaries} are primaries of {facts.database}, and archive into one folder."
        yield Problem(
            "two_primaries",
            AT_RISK,
            words,
            "Stop the one that is not to be it; if it is gone for good, remove it here.",
        )
    if abs(host.ahead) > CLOCK_OFF:
        minutes = round(abs(host.ahead) / timedelta(minutes=1))
        words = f"The clock of {host.node} is {minutes:,} min {'ahead' if host.ahead > timedelta() else 'behind'}."
        yield Problem("clock", BEHIND, words, "Set it: a restore to a moment goes by it.")
    if not host.is_applied:
        words = f"{host.node} does not have the newest configuration."
        yield Problem("not_applied", BEHIND, words, f"Run its set-up script again: the page of {host.node} has it.")
    yield from _of_the_archiver(facts)


def _of_the_archiver(facts: Facts) -> Iterator[Problem]:
    said, node = facts.said, facts.host.node
    if said is None or not said.server:
        return
    if said.server == "down":
        yield Problem("down", BEHIND, f"{facts.database} on {node} does not answer.", "See why the server is down.")
        return
    archiver = said.archiver
    fails = archiver and archiver.failed_at and archiver.failed_at > (archiver.last_at or 0)
    if fails or said.spool_errors:
        words = f"Archiving fails on {node}{': ' + said.error if said.error else '.'}"
        yield Problem("archiver", AT_RISK, words, "Its page has what pgBackRest said.")
    elif said.archive_mode == "off" or said.is_archived_here is False:
        words = f"{facts.database} on {node} does not archive its WAL to the stores: archive_mode or archive_command."
        yield Problem("not_archiving", AT_RISK, words, f"Run what the page of {node} says, and restart the server.")
    waiting = (said.waiting or 0) + (said.spooled or 0 if fails else 0)
    if waiting > QUEUE_BEHIND:
        words = f"{waiting:,} WAL segments wait on {node}."
        verdict = AT_RISK if waiting > QUEUE_AT_RISK else BEHIND
        yield Problem("backlog", verdict, words, "See how fast it reaches the store, and whether the store takes them.")


def _of_proofs(facts: Facts, clock: Clock) -> Iterator[Problem]:
    proof = facts.proof
    if proof.failed_at:  # of a restore or a verification, and none of its kind has succeeded since
        words = f"The last try failed {_at(proof.failed_at)}{'. ' + proof.reason if proof.reason else '.'}"
        yield Problem("proof_failed", AT_RISK, words, "See what the drill said, put that right, and try again.")
    elif facts.proof_within and (since := proof.good_at or facts.since) and clock.passed(since + facts.proof_within):
        last = f"was last proved {_at(proof.good_at)}" if proof.good_at else "was never proved"
        words = f"A restore {last}, and should be every {_number(facts.proof_within.days, 'day')}."
        yield Problem("proof_overdue", BEHIND, words, "Try a restore, or plan drills.")
    if proof.lost_at:
        words = f"There is no word of the drill that began {_at(proof.lost_at)}."
        advice = (
            "See whether its machine runs and reaches the console. A report that waits there comes within five minutes."
        )
        yield Problem("proof_lost", BEHIND, words, advice)


# Words


def _look_at_log(facts: Facts) -> str:
    return f"See the last runs on the page of {facts.host.node}, and pgBackRest's log there."


def _at(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%d %b %H:%M} UTC" if moment else "at an unknown time"


def _named(backups: Sequence[Backup]) -> str:
    return f"backup {backups[0].label}" if len(backups) == 1 else f"{len(backups):,} backups"


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _long(delta: timedelta) -> str:
    minutes = round(delta / timedelta(minutes=1))
    if minutes % 1440 == 0:
        return _number(minutes // 1440, "day")
    return _number(minutes // 60, "hour") if minutes % 60 == 0 else _number(minutes, "minute")
