"""One pass opens, changes, closes and has it told: whoever makes it, however often, whenever it was broken off."""

from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from console.alerts import actions, conditions, evaluation
from console.alerts.conditions import Condition, Rule, Severity
from console.alerts.evaluation import evaluate
from console.alerts.messages import Message
from console.alerts.models import Alert, AlertEvent, AlertSettings, Delivery, MaintenanceWindow
from tests import factories


def told():
    """What messages say, in their order."""
    rows = Delivery.objects.order_by("created_at", "pk")
    return [[(one.event, one.key) for one in Message.from_json(row.content).items] for row in rows]


def story(key="a"):
    return list(AlertEvent.objects.filter(alert__key=key).order_by("pk").values_list("kind", flat=True))


def later(**time):
    """Have all that was said have been said so long ago."""
    ago = timedelta(**time)
    for one in Alert.objects.exclude(told_at=None):
        Alert.objects.filter(pk=one.pk).update(told_at=one.told_at - ago)


def test_what_holds_is_told_once_and_its_end_too(acme, holding, channel):
    channel()
    holding.add(acme, words="for want of WAL", severity=Severity.CRITICAL)
    assert evaluate()
    assert evaluate()
    alert = Alert.objects.get()
    assert (alert.severity, alert.words, alert.is_open) == ("critical", "for want of WAL", True)
    assert told() == [[("opened", "a")]]
    holding.drop(acme)
    evaluate()
    evaluate()
    alert.refresh_from_db()
    assert alert.closed_why == "It no longer holds."
    assert told() == [[("opened", "a")], [("closed", "a")]]
    assert story() == ["opened", "told", "closed"]
    holding.add(acme)  # once more: that is another alert
    evaluate()
    assert Alert.objects.count() == 2
    assert told()[2:] == [[("opened", "a")]]


def test_a_pass_that_finds_nothing_new_asks_little_whatever_number_is_open(
    acme, holding, channel, django_assert_max_num_queries
):
    channel()
    for number in range(60):
        holding.add(acme, f"a{number}")
    evaluate()
    with django_assert_max_num_queries(5):
        evaluate()


def test_a_storm_is_one_message_and_few_queries(acme, holding, channel, django_assert_max_num_queries):
    channel()
    for number in range(300):
        holding.add(acme, f"a{number}")
    with django_assert_max_num_queries(40):
        evaluate()
    [row] = Delivery.objects.all()
    message = Message.from_json(row.content)
    assert row.subject.endswith(", and 299 more")
    assert (len(message.items), message.more) == (100, 200)
    assert Alert.objects.open().count() == 300


def test_of_two_workers_one_tells(acme, holding, channel, monkeypatch):
    """Another one is through before this one has the lock."""
    channel()
    holding.add(acme)
    settle = evaluation.settle

    def overtaken(pk):
        settle(pk)
        return settle(pk)

    monkeypatch.setattr(evaluation, "settle", overtaken)
    evaluate()
    assert told() == [[("opened", "a")]]


def test_the_database_refuses_a_second_open_alert(acme, holding):
    holding.add(acme)
    evaluate()
    alert = Alert.objects.get()
    alert.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        alert.save(force_insert=True)
    Alert.objects.update(closed_at=timezone.now())
    alert.pk = None
    alert.save(force_insert=True)  # beside a closed one


def test_a_pass_that_is_broken_off_leaves_nothing_and_the_next_does_all(acme, holding, channel, monkeypatch):
    channel()
    holding.add(acme)

    def dies(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "send_soon", dies)
        with pytest.raises(SystemExit), transaction.atomic():
            evaluate()
    assert not Alert.objects.exists()
    assert not Delivery.objects.exists()
    evaluate()
    assert told() == [[("opened", "a")]]


def test_what_gets_worse_and_better_is_told_and_an_acknowledgement_ends(acme, alice, holding, channel):
    channel()
    holding.add(acme)
    evaluate()
    actions.acknowledge(Alert.objects.get(), why="at it", by=alice)
    holding.add(acme, title="orders is not recoverable", severity=Severity.CRITICAL)
    evaluate()
    alert = Alert.objects.get()
    assert (alert.title, alert.acknowledged_at, alert.acknowledged_by_name) == ("orders is not recoverable", None, "")
    holding.add(acme)
    evaluate()
    assert told() == [[("opened", "a")], [("worse", "a")], [("better", "a")]]
    holding.add(acme, words="other words")
    evaluate()
    assert len(told()) == 3  # words alone are no news
    assert Alert.objects.get().words == "other words"


def test_a_critical_channel_hears_that_it_is_better(acme, holding, channel):
    channel(at_least="critical")
    holding.add(acme)
    evaluate()
    assert told() == []
    holding.add(acme, severity=Severity.CRITICAL)
    evaluate()
    holding.add(acme)
    evaluate()
    holding.drop(acme)
    evaluate()
    assert told() == [[("worse", "a")], [("better", "a")]]


def test_it_is_told_again_after_hours_unless_somebody_is_at_it(acme, alice, holding, channel):
    channel()
    holding.add(acme)
    evaluate()
    later(hours=23)
    evaluate()
    assert len(told()) == 1
    later(hours=1)
    evaluate()
    assert told()[1:] == [[("repeated", "a")]]
    actions.acknowledge(Alert.objects.get(), why="", by=alice)
    later(hours=100)
    evaluate()
    assert len(told()) == 2
    actions.unacknowledge(Alert.objects.get(), by=alice)
    actions.change_repeat(acme, hours=0, by=alice)
    evaluate()
    assert len(told()) == 2


def test_silence_lasts_until_its_end_and_what_still_holds_is_told_then(acme, alice, holding, channel):
    channel()
    holding.add(acme)
    evaluate()
    actions.silence(Alert.objects.get(), until=timezone.now() + timedelta(hours=1), why="noise", by=alice)
    holding.add(acme, severity=Severity.CRITICAL)
    evaluate()
    assert len(told()) == 1
    Alert.objects.update(silenced_until=timezone.now() - timedelta(seconds=1))
    evaluate()
    evaluate()
    assert told()[1:] == [[("worse", "a")]]


def test_silence_that_is_over_has_the_same_told_again_once(acme, alice, holding, channel):
    channel()
    holding.add(acme)
    evaluate()
    actions.silence(Alert.objects.get(), until=timezone.now() + timedelta(hours=1), why="noise", by=alice)
    Alert.objects.update(silenced_until=timezone.now() - timedelta(seconds=1))
    evaluate()
    evaluate()
    assert told()[1:] == [[("repeated", "a")]]


@pytest.mark.parametrize("of_all", [True, False])
def test_in_a_maintenance_window_nobody_is_told_and_after_it_of_what_is_left(acme, alice, holding, channel, of_all):
    channel()
    cluster, other = acme.pk, alice.memberships.get().organisation_id  # any IDs
    assert cluster == other
    now = timezone.now()
    window = MaintenanceWindow.objects.create(
        organisation=acme,
        cluster=None if of_all else cluster,
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(hours=1),
    )
    holding.add(acme, "inside", cluster=cluster)
    holding.add(acme, "passes", cluster=cluster)
    holding.add(acme, "elsewhere")
    evaluate()
    assert told() == ([] if of_all else [[("opened", "elsewhere")]])
    assert Alert.objects.open().count() == 3
    holding.drop(acme, "passes")
    evaluate()
    actions.end_window(window, by=alice)
    evaluate()
    after = [one for message in told() for one in message]
    assert sorted(after) == [("opened", "elsewhere"), ("opened", "inside")]


def test_the_end_of_what_was_told_is_told_after_the_window(acme, alice, holding, channel):
    channel()
    holding.add(acme)
    evaluate()
    now = timezone.now()
    window = MaintenanceWindow.objects.create(
        organisation=acme, starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=1)
    )
    holding.drop(acme)
    evaluate()
    assert len(told()) == 1
    actions.end_window(window, by=alice)
    evaluate()
    assert told()[1:] == [[("closed", "a")]]


def test_an_alert_is_closed_when_its_subject_is_deleted(acme, account, holding, channel):
    channel()
    holding.add(acme, subject_kind="cloud_accounts.cloudaccount", subject_id=str(account.pk))
    evaluate()
    account.delete()
    holding.drop(acme)
    evaluate()
    assert Alert.objects.get().closed_why == "What it is about is gone."
    assert told()[1:] == [[("closed", "a")]]


def test_without_a_channel_it_waits_for_one(acme, holding, channel):
    holding.add(acme, "a")
    holding.add(acme, "over")
    evaluate()
    holding.drop(acme, "over")
    evaluate()
    assert not Delivery.objects.exists()
    one = channel()
    evaluate()
    assert told() == [[("opened", "a")]]
    one.delete()
    holding.drop(acme, "a")
    evaluate()
    assert not Alert.objects.pending().exists()  # nobody is left who would have to hear its end


def test_the_end_of_what_nobody_was_told_is_not_told(acme, holding, channel):
    holding.add(acme)
    evaluate()
    channel()
    holding.drop(acme)
    evaluate()
    assert told() == []


def test_a_rule_that_fails_closes_nothing_and_is_told(acme, holding, channel, caplog):
    channel()
    holding.add(acme)
    evaluate()
    holding.fails = True
    assert not evaluate()
    assert Alert.objects.open().exists()
    assert "The alert rule verdict failed" in caplog.text
    other = Condition(organisation=acme.pk, key="b", rule="drift", title="b")
    conditions.register(Rule("drift", "Drift", lambda organisations: [other]))
    assert not evaluate()
    assert {one.key for one in Alert.objects.open()} == {"a", "b"}  # what another rule finds is opened all the same


def test_one_organisation_s_trouble_is_not_another_s(acme, holding, channel, monkeypatch, caplog):
    other = factories.organisation("Other")
    channel()
    channel(organisation=other)
    holding.add(acme)
    holding.add(other, "b")
    settle = evaluation.settle

    def fails_for_acme(pk):
        if pk == acme.pk:
            raise ValueError
        settle(pk)

    monkeypatch.setattr(evaluation, "settle", fails_for_acme)
    assert not evaluate()
    assert [one.organisation for one in Delivery.objects.all()] == [other]


def test_evaluate_looks_at_one_organisation_when_asked(acme, holding, channel):
    other = factories.organisation("Other")
    holding.add(acme)
    holding.add(other, "b")
    evaluate([other.pk])
    assert [one.key for one in Alert.objects.all()] == ["b"]


def test_an_incident_is_a_group_and_resolved_with_its_last_alert(acme, alice, holding, channel):
    channel("pagerduty")
    holding.add(acme, "a", group="store")
    holding.add(acme, "b", group="store")
    holding.add(acme, "c")
    evaluate()

    def sent():
        rows = Delivery.objects.order_by("created_at", "pk")
        return [(row.group.split(" ")[1], row.kind) for row in rows]

    assert sorted(sent()) == [("c", "trigger"), ("store", "trigger")]
    holding.drop(acme, "a")
    evaluate()
    assert sent()[2:] == [("store", "trigger")]  # that one of two is left
    actions.acknowledge(Alert.objects.get(key="b"), why="", by=alice)
    assert sent()[3:] == [("store", "acknowledge")]
    holding.drop(acme, "b")
    evaluate()
    assert sent()[4:] == [("store", "resolve")]


def test_a_condition_with_a_long_key_keeps_a_digest_of_it(acme, holding):
    holding.add(acme, "x" * 500 + "1")
    holding.add(acme, "x" * 500 + "2")
    evaluate()
    evaluate()
    assert Alert.objects.open().count() == 2
    assert all(len(one.key) <= 200 for one in Alert.objects.all())


def test_a_title_is_cut_and_cleaned():
    one = Condition(organisation=None, key="a", rule="r", title="x\r\nBcc: me\u202e" + "y" * 500)
    values = evaluation._fields(one)
    assert len(values["title"]) == 200
    assert values["title"].startswith("x Bcc: me y")


def test_settings_are_made_with_the_first_alert(acme, holding):
    holding.add(acme)
    evaluate()
    assert AlertSettings.objects.get().repeat_hours == 24


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_open_it_once(acme, holding, channel):
    """Two threads with connections of their own, both in a pass over what is new: the second waits for the first."""
    channel()
    for number in range(5):
        holding.add(acme, f"a{number}")
    together, done = Barrier(2), []

    def work():
        together.wait()
        done.append(evaluate())
        connection.close()

    threads = [Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert done == [True, True]
    assert Alert.objects.count() == 5
    assert [len(one) for one in told()] == [5]


@pytest.mark.django_db(transaction=True)
def test_an_acknowledgement_in_the_midst_of_a_pass_is_not_lost(acme, alice, holding, channel, monkeypatch):
    """The pass has read the alert, somebody acknowledges it, then the pass writes it."""
    holding.add(acme)
    evaluate()
    alert, compare = Alert.objects.get(), evaluation.Pass.compare
    threads = []

    def acknowledge():
        actions.acknowledge(alert, why="at it", by=alice)
        connection.close()

    def meanwhile(self, found):
        threads.append(Thread(target=acknowledge))
        threads[0].start()
        threads[0].join(0.3)  # it waits for the pass to end; if it did not, it would be through by now
        compare(self, found)

    monkeypatch.setattr(evaluation.Pass, "compare", meanwhile)
    holding.add(acme, words="other words")
    evaluate()
    threads[0].join()
    alert.refresh_from_db()
    assert (alert.words, alert.acknowledged_by_name) == ("other words", "alice")
