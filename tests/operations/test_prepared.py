"""What is asked for at each message gives what the query itself would (console/web/prepared.py)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import Count, Min
from django.utils import timezone

from console.operations import compiled, leases
from console.operations.models import Operation
from stores.models import State
from tests import factories


@pytest.fixture
def operations(account):
    """Some that wait, some at work, and one that is to wait, of two organisations."""
    now, other = timezone.now(), factories.account(factories.organisation("Globex"))
    for number, (where, state, seconds) in enumerate(
        [(account, "waiting", -5), (account, "running", 9), (account, "waiting", 60), (other, "running", -1)]
    ):
        Operation.objects.create(
            organisation=where.organisation,
            subject_kind="store",
            subject_id=factories.store(where, name=f"store-{number}", state=State.CREATING).pk,
            verb="create",
            state=state,
            due_at=now + timedelta(seconds=seconds),
        )


@pytest.mark.usefixtures("operations")
def test_it_gives_what_the_query_gives(account):
    counted = Operation.objects.unfinished().values_list("organisation", "organisation__operations_at_once")
    busy, oldest = Count("pk", filter=leases.is_held()), Min("due_at", filter=leases.is_due(0))
    for _ in range(2):
        assert sorted(compiled.TURNS_NOW.all()) == sorted(counted.annotate(busy=busy, oldest=oldest))
    assert [bool(compiled.DUE.first()), bool(compiled.THROTTLED.first())] == [True, False]
    Operation.objects.filter(organisation=account.organisation).update(throttled=True)
    assert compiled.THROTTLED.first()
    Operation.objects.update(due_at=timezone.now() + timedelta(seconds=9))
    assert not compiled.DUE.first()
