"""An older copy is restored and the broker was emptied: real workers hang nowhere, and do nothing twice."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone
from redis import Redis

from console.operations.chores import Chore
from console.operations.models import Operation
from console.restoration import generation
from console.restoration.models import Generation, Restoration
from stores import actions
from stores.models import State, Store
from tests.delivery import deliver
from tests.worker_process import changes, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]
HOURS = timedelta(hours=3)
QUIET = "tests.crash.quiet"


@pytest.fixture
def copied(account, amazon, alice, broker, settings):
    """A store that is there, one that a worker had in hand and one that waited when the copy was made, hours ago.

    Meanwhile the creations were finished, and all messages of then are gone: the broker is empty.
    """
    settings.REDIS_URL = broker.url
    there, begun, waiting = (
        actions.create(account, name=name, region="eu-west-1", by=alice) for name in ("there", "begun", "waiting")
    )
    deliver(there.operation_id)
    actions.delete(Store.objects.get(pk=there.pk), by=alice)  # which somebody cancelled after the copy
    then = timezone.now() - HOURS
    lost = {"state": "running", "worker": "gone:1:1", "due_at": then, "fence": 1}
    Operation.objects.filter(pk=begun.operation_id).update(**lost)
    Chore.objects.create(name="resume-stalled", due_at=then, sent_at=then)
    Generation.objects.get_or_create()
    Generation.objects.update(generation=180, marked_at=then)
    amazon.calls.clear()
    return there, begun, waiting


def operations(*states):
    return Operation.objects.filter(state__in=states)


def test_what_was_held_back_goes_on_once_when_somebody_says_so(copied, start_worker, broker, amazon, alice, account):
    there, begun, waiting = copied
    call_command("reconcile", "--begin", verbosity=0)
    for _ in range(2):
        start_worker(settings=QUIET)
    start_worker.wait_until_ready()
    fresh = actions.create(account, name="fresh", region="eu-west-1", by=alice)
    wait_until(lambda: Store.objects.get(pk=fresh.pk).state == State.AVAILABLE)  # work goes on
    time.sleep(10)  # three looks for what stalled
    assert {one.name for one in Store.objects.filter(state=State.AVAILABLE)} == {"fresh"}
    assert {bucket for _, bucket, _ in changes(amazon)} == {fresh.bucket, fresh.log_bucket}
    assert operations("waiting").count() == 3
    assert "remembers nothing" not in start_worker.log.read_text()  # somebody has said already what it is
    with Redis.from_url(f"unix://{broker.socket}") as client:
        client.flushall()  # and once more, in the middle
    call_command("reconcile", "--dismiss", verbosity=0)
    wait_until(lambda: not Operation.objects.unfinished().exists(), seconds=120)
    assert {(one.verb, one.state) for one in Operation.objects.all()} == {("create", "done"), ("delete", "done")}
    assert not Store.objects.filter(pk=there.pk).exists()
    done = Counter((call, bucket) for call, bucket, status in changes(amazon) if status < 400)
    assert set(done.values()) == {1}
    created = {bucket for call, bucket, _ in changes(amazon) if call == "CreateBucket"}
    assert created == {name for one in (begun, waiting, fresh) for name in (one.bucket, one.log_bucket)}


@pytest.mark.thorough  # like the one above, whose work goes on in the same way; what is logged has test_generation.py
def test_without_the_command_the_log_says_it_and_all_goes_on_once(copied, start_worker, broker, amazon):
    for _ in range(2):
        start_worker(settings=QUIET)
    wait_until(lambda: not Operation.objects.unfinished().exists(), seconds=120)
    assert "manage.py reconcile --begin" in start_worker.log.read_text()
    assert not Restoration.objects.exists()
    done = Counter((call, bucket) for call, bucket, status in changes(amazon) if status < 400)
    assert set(done.values()) == {1}
    assert not generation.look()  # both count on together
