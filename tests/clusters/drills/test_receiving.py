"""What machines say of drills: what is kept, what is refused, and what is not believed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.drills import receiving
from clusters.drills.checking import EARLIER
from clusters.drills.proofs import proofs
from clusters.drills.report import BYTES_AT_MOST
from clusters.models import Cluster, Drill, DrillRun, Health
from tests.clusters.drills.said import LABEL, begun, digest, drill, ended, known, say
from tests.clusters.nodes import FOREIGN_ID


@pytest.fixture
def plan(cluster):
    known(cluster)
    return drill(cluster)


@pytest.fixture
def health(cluster, plan):
    Cluster.objects.update(judge_at=timezone.now())
    repository = cluster.repositories.get(number=1)
    return Health.objects.create(
        organisation=cluster.organisation, cluster=cluster, repository=repository, node="n1", database="orders"
    )


def only():
    return DrillRun.objects.get()


def test_a_restore_proves_its_database_in_its_store(cluster, plan, health):
    first = begun(plan)
    assert say(cluster, first).content == b"kept\n"
    assert only().state == "running"
    assert say(cluster, ended(plan, first["run"])).status_code == 200
    run = only()
    assert (run.state, run.words, run.seconds, run.store) == ("succeeded", "", 60, "archive-dub")
    health.refresh_from_db()
    assert (health.proved_at, health.proof_seconds) == (run.ended_at, 60)
    assert Cluster.objects.get().judge_at is None
    [(key, proof)] = proofs(cluster).items()
    assert key == (run.repository_id, "n1", "orders")
    assert (proof.last_success, proof.seconds, proof.last_failure, proof.failed_words) == (run.ended_at, 60, None, "")
    plan.refresh_from_db()
    assert plan.reported_at
    assert plan.applied_digest == digest(plan)


def test_a_run_that_is_reported_twice_counts_once(cluster, plan):
    content = ended(plan)
    assert [say(cluster, content).content for _ in range(2)] == [b"kept\n", b"kept already\n"]
    first = only()
    # Not even with another outcome.
    assert say(cluster, content | {"ok": False, "words": "no"}).content == b"kept already\n"
    assert say(cluster, begun(plan, content["run"])).content == b"kept already\n"
    assert only().state == first.state == "succeeded"


def test_a_machine_that_dies_is_lost_and_may_still_be_heard(cluster, plan):
    first = begun(plan)
    say(cluster, first)
    assert receiving.settle() == 0
    DrillRun.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    Cluster.objects.update(judge_at=timezone.now())
    assert receiving.settle() == 1
    assert only().state == "lost"
    assert only().words.startswith("No word since it began")
    assert Cluster.objects.get().judge_at is None
    [proof] = proofs(cluster).values()
    assert (proof.lost_at, proof.last_failure, proof.failed_words) == (only().created_at, None, "")
    assert say(cluster, ended(plan, first["run"])).content == b"kept\n"
    assert only().state == "succeeded"
    assert proofs(cluster)[only().repository_id, "n1", "orders"].lost_at is None


def test_what_is_lost_takes_neither_a_success_nor_a_failure_away(cluster, plan):
    say(cluster, ended(plan))
    first = begun(plan)
    say(cluster, first | {"begun": first["begun"] + 50})
    DrillRun.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    receiving.settle()
    [proof] = proofs(cluster).values()
    assert (bool(proof.last_success), proof.last_failure, bool(proof.lost_at)) == (True, None, True)
    failed = ended(plan, ok=False, words="There is no room.", label="")
    say(cluster, failed | {"begun": failed["begun"] + 20, "restore_seconds": 10, "recovery_seconds": 10})
    [proof] = proofs(cluster).values()
    assert (proof.failed_words, bool(proof.lost_at)) == ("Restore drill: There is no room.", True)


def test_an_earlier_report_does_not_take_a_later_ones_place(cluster, plan, health):
    say(cluster, ended(plan))
    last = only().ended_at
    late = ended(plan)
    for name in ("begun", "ended", "restored_to"):
        late[name] -= 5000
    say(cluster, late | {"restored_to": late["restored_to"] + 3000, "restore_seconds": 1000})
    assert DrillRun.objects.count() == 2
    health.refresh_from_db()
    assert (health.proved_at, health.proof_seconds) == (last, 60)
    newest = DrillRun.objects.newest_first().first()
    assert newest.ended_at == last
    say(cluster, late | {"run": "f" * 32, "ok": False, "words": "It was worse then."})
    [proof] = proofs(cluster).values()
    assert (proof.last_success, proof.failed_words) == (last, "")


def test_a_failure_stands_until_something_succeeds(cluster, plan):
    earlier = ended(plan)
    say(cluster, earlier | {name: earlier[name] - 1000 for name in ("begun", "ended")})
    say(cluster, ended(plan, ok=False, words="The restore failed: [055]: unable to open missing file", label=""))
    [proof] = proofs(cluster).values()
    assert proof.failed_words == "Restore drill: The restore failed: [055]: unable to open missing file"
    assert proof.last_success < proof.last_failure
    say(cluster, ended(plan))
    [proof] = proofs(cluster).values()
    assert (proof.last_failure, proof.failed_words) == (None, "")


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ({"system_id": FOREIGN_ID}, "The copy has the system identifier"),
        ({"system_id": ""}, "It does not say what only the restored copy knows"),
        ({"first_wal": "000000010000000000000001"}, "The copy began at WAL segment"),
        ({"timeline": None}, "It does not say what only the restored copy knows"),
        ({"label": "20200101-000000F"}, "the store has no backup 20200101-000000F"),
        ({"label": ""}, "the store has no backup"),
        ({"lsn": "0/2000000"}, "which is before the backup was consistent"),
        ({"target": "0/5000000"}, "and was to be to 0/5000000"),
        ({"postgresql": 160001}, "The copy was run by PostgreSQL 16"),
        ({"restored_to": 1000}, "The copy was recovered to"),
        ({"restored_to": None}, "It does not say to which moment"),
        ({"restore_seconds": None}, "it does not say how long"),
        ({"amcheck": "failed"}, "that a check did not pass"),
        ({"checks": [{"number": 1, "ok": False, "said": "It answered: 7"}]}, "that a check did not pass"),
    ],
)
def test_a_machine_that_lies_is_not_believed(cluster, plan, health, lie, words):
    assert say(cluster, ended(plan, **lie)).status_code == 200
    assert only().state == "not_believed"
    assert only().words.startswith("Not believed: ")
    assert words in only().words
    health.refresh_from_db()
    assert health.proved_at is None
    [proof] = proofs(cluster).values()
    assert words in proof.failed_words


def test_a_backup_that_has_expired_meanwhile_is_neither_proof_nor_lie(cluster, plan, health):
    repository = cluster.repositories.get(number=1)
    row = [LABEL, 1, 10, 100]
    repository.known_stanzas.update(backups={}, made=[row])
    seen = repository.inventory.__class__.objects
    seen.update(read_at=timezone.now() + timedelta(seconds=1))
    content = ended(plan)
    say(cluster, content)
    assert (only().state, only().state_words) == ("lost", "Not compared")
    assert only().words == "Its backup has expired meanwhile, so that it cannot be compared."
    assert proofs(cluster) == {}
    health.refresh_from_db()
    assert health.proved_at is None
    # One that is missed has not expired.
    repository.known_stanzas.update(lost=[{"backup": {"label": LABEL}, "missed_at": "2026-11-22"}])
    say(cluster, ended(plan))
    assert DrillRun.objects.newest_first().first().state == "not_believed"


def test_a_backup_that_was_not_seen_yet_waits_for_a_look(cluster, plan):
    repository = cluster.repositories.get(number=1)
    repository.known_stanzas.update(backups={})
    repository.inventory.__class__.objects.update(read_at=timezone.now() - timedelta(hours=1))
    say(cluster, ended(plan))
    assert only().state == "reported"
    assert receiving.settle() == 0
    assert only().state == "reported"
    known(cluster)
    receiving.settle()
    assert only().state == "succeeded"
    # What a look since then has not shown is not there.
    repository.known_stanzas.update(backups={})
    say(cluster, ended(plan))
    assert DrillRun.objects.newest_first().first().words == f"Not believed: the store has no backup {LABEL}."


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run": "x"}, "run has to be text like"),
        ({"run": ""}, "run is missing"),
        ({"version": 2}, "version has to be 1"),
        ({"event": "middle"}, "event has to be begin or end"),
        ({"plan": "1"}, "plan has to be a whole number"),
        ({"stanza": "../x"}, "stanza has to be text like"),
        ({"repository": 0}, "repository has to be a whole number from 1 to 256"),
        ({"label": "1; rm"}, "label has to be text like"),
        ({"ended": None}, "ended is missing"),
        ({"ended": 1}, "have to follow one another"),
        ({"sent": 1}, "have to follow one another"),
        ({"checks": [{}] * 11}, "checks has to be a list of at most 10 objects"),
        ({"restore_seconds": -1}, "restore_seconds has to be a whole number"),
        ({"ok": "yes"}, "ok has to be true or false"),
        ({"amcheck": "maybe"}, "amcheck has to be"),
    ],
)
def test_what_is_no_report_is_refused_in_words(cluster, plan, change, words):
    answer = say(cluster, ended(plan) | change)
    assert (answer.status_code, words in answer.content.decode()) == (400, True)
    assert not DrillRun.objects.exists()


@pytest.mark.parametrize("body", ["", "[]", "{", "1", '{"version":NaN}', "[" * 5000], ids=range(6))
def test_what_is_no_object_is_refused(cluster, plan, body):
    assert say(cluster, body).status_code == 400


def test_a_long_report_is_refused(cluster, plan):
    assert say(cluster, ended(plan, words="x" * BYTES_AT_MOST)).status_code == 413
    say(cluster, ended(plan, ok=False, words="x" * 5000))
    assert len(only().words) == 600


def test_only_who_has_the_token_reports(cluster, plan, as_alice):
    machine = drill(cluster, machine="drills-1")
    other = drill(cluster, machine="drills-2")
    assert say(cluster, ended(plan), token="wrong").status_code == 401
    assert say(cluster, ended(plan), name="n2").status_code == 409  # of n1's backups
    assert say(cluster, ended(plan, node="n2")).status_code == 409
    assert say(cluster, ended(machine)).status_code == 410  # no plan of the nodes
    assert say(cluster, ended(machine), plan=other).status_code == 409
    assert say(cluster, ended(machine), plan=machine, token=other.secrets["report_token"]).status_code == 401
    assert say(cluster, ended(plan, repository=9)).status_code == 409
    assert say(cluster, ended(plan, stanza="nothing")).status_code == 409
    assert say(cluster, ended(plan, what="verify")).status_code == 409
    assert not DrillRun.objects.exists()
    assert say(cluster, ended(machine), plan=machine).status_code == 200
    assert only().machine == "drills-1"


def test_nobody_ends_anothers_run(cluster, make, stores, plan):
    machine = drill(cluster, machine="drills-1")
    first = begun(plan)
    say(cluster, first)
    assert say(cluster, ended(machine, first["run"]), plan=machine).status_code == 409
    assert say(cluster, ended(plan, first["run"], stanza="other")).status_code == 409
    assert only().state == "running"


def test_a_plan_that_was_removed_takes_no_new_run_and_lets_one_end(cluster, plan):
    first, key = begun(plan), plan.pk
    say(cluster, first)
    content = ended(plan, first["run"])
    Drill.objects.all().delete()
    plan.pk = key
    assert say(cluster, ended(plan)).status_code == 410
    assert say(cluster, content).status_code == 200
    assert (only().state, only().drill) == ("succeeded", None)


def test_runs_have_a_limit(cluster, plan, monkeypatch):
    monkeypatch.setattr(receiving, "AN_HOUR", 2)
    answers = [say(cluster, begun(plan)) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[2]["Retry-After"] == "3600"


def test_a_verification_says_what_it_found(cluster):
    known(cluster)
    plan = drill(cluster, what="verify")
    say(cluster, begun(plan) | {"event": "end", "ended": begun(plan)["begun"], "ok": True})
    [proof] = proofs(cluster).values()
    assert proof.verified_at == only().ended_at
    assert (proof.last_success, proof.failed_words) == (None, "")
    words = "missing: 1 in backup 20261122-140000F"
    say(cluster, begun(plan) | {"event": "end", "ended": begun(plan)["begun"], "ok": False, "words": words})
    [proof] = proofs(cluster).values()
    assert proof.failed_words == f"Verification: {words}"


def test_a_clock_that_is_wrong_changes_no_order(cluster, plan):
    content = ended(plan)
    for name in ("begun", "ended", "sent", "restored_to"):
        content[name] += 86_400 * 365
    say(cluster, content)
    assert abs(timezone.now() - only().ended_at) < timedelta(minutes=1)
    assert only().state == "succeeded"


def test_what_was_proved_outlives_what_it_is_of(cluster, plan):
    say(cluster, ended(plan))
    Cluster.objects.filter(pk=cluster.pk).first().databases.all().delete()
    Drill.objects.all().delete()
    run = only()
    assert (run.database, run.node, run.cluster_name, run.store) == ("orders", "n1", "orders", "archive-dub")


def test_the_limit_counts_by_when_they_come_whatever_they_say(cluster, plan, monkeypatch):
    monkeypatch.setattr(receiving, "AN_HOUR", 2)
    old = {"begun": begun(plan)["begun"] - 86_400}
    answers = [say(cluster, begun(plan) | old) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    DrillRun.objects.update(received_at=timezone.now() - timedelta(hours=2))
    assert say(cluster, begun(plan) | old).status_code == 200


def test_of_two_begins_at_once_the_second_is_a_repeat(cluster, plan, monkeypatch):
    content, kept = begun(plan), receiving._plan
    answers = []

    def meanwhile(*given):
        monkeypatch.setattr(receiving, "_plan", kept)
        answers.append(say(cluster, content).content)  # the other one comes after this one has looked
        return kept(*given)

    monkeypatch.setattr(receiving, "_plan", meanwhile)
    answers.append(say(cluster, content).content)
    assert answers == [b"kept\n", b"kept already\n"]
    assert DrillRun.objects.count() == 1


def test_of_two_begins_of_two_clusters_at_once_the_second_is_refused(cluster, plan, monkeypatch):
    content = begun(plan)
    say(cluster, content)
    monkeypatch.setattr(receiving, "_known", lambda *given: None)  # neither sees the other's before both are written
    assert say(cluster, content).status_code == 409
    assert DrillRun.objects.count() == 1


def test_what_waits_for_a_look_keeps_nothing_else_waiting(cluster, plan, monkeypatch):
    monkeypatch.setattr(receiving, "AT_ONCE", 2)
    say(cluster, ended(plan))
    one = only()
    DrillRun.objects.all().delete()
    waits = {"state": "reported", "created_at": timezone.now() + timedelta(minutes=5)}

    def another(number, **values):
        one.pk, one.run_id = None, f"{number:032x}"
        for name, value in values.items():
            setattr(one, name, value)
        one.save(force_insert=True)
        return one.run_id

    for number in range(3):
        another(number, **waits)
    last = another(9, created_at=timezone.now() - timedelta(minutes=5))
    assert receiving.settle() == 1
    assert DrillRun.objects.get(run_id=last).state == "succeeded"
    assert DrillRun.objects.filter(state="reported").count() == 3
    DrillRun.objects.filter(state="reported").update(created_at=timezone.now() - receiving.WAITS)
    assert [receiving.settle() for _ in range(3)] == [2, 1, 0]


def test_a_backup_older_than_a_month_is_restored_to_its_own_time(cluster, plan):
    old = ended(plan)
    content = old | {"restored_to": old["sent"] - 86_400 * 200}
    known(cluster, now=content["restored_to"] + 7000)
    say(cluster, content)
    assert (only().state, only().words) == ("succeeded", "")
    assert abs(timezone.now() - timedelta(days=200) - only().restored_to) < timedelta(minutes=1)


CHECKED = "SELECT count(*) > 0 FROM orders => t\nSELECT 1 => 1"


@pytest.mark.parametrize(
    ("told", "amcheck", "words"),
    [
        ([1, 2], "passed", ""),
        ([2, 1], "absent", ""),
        ([], "passed", "the plan has 2 checks, and it tells of these: none."),
        ([1], "passed", "it tells of these: 1."),
        ([1, 1], "passed", "it tells of these: 1, 1."),
        ([1, 2, 3], "passed", "it tells of these: 1, 2, 3."),
        ([1, 2], "off", "the plan asks for pg_amcheck"),
        ([1, 2], "", "the plan asks for pg_amcheck"),
    ],
)
def test_a_success_without_the_plan_s_checks_is_not_believed(cluster, told, amcheck, words):
    known(cluster)
    plan = drill(cluster, checks=CHECKED)
    checks = [{"number": one, "ok": True, "said": ""} for one in told]
    assert say(cluster, ended(plan, checks=checks) | {"amcheck": amcheck or None}).status_code == 200
    run = only()
    assert run.state == ("not_believed" if words else "succeeded")
    assert words in run.words
    if not words:
        assert {one["sql"] for one in run.results} == {"SELECT count(*) > 0 FROM orders", "SELECT 1"}


def test_the_checks_of_an_earlier_version_are_not_taken_for_those_of_now(cluster):
    known(cluster)
    plan = drill(cluster, checks=CHECKED)
    former = ended(plan, checks=[{"number": 1, "ok": True, "said": ""}])
    Drill.objects.update(checks="SELECT 2 => 2\nSELECT 3 => 3")
    say(cluster, former)
    assert (only().state, only().words) == ("succeeded", EARLIER)
    assert only().results == [{"number": 1, "ok": True, "said": "", "sql": ""}]
