"""What beat has done for clusters."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from clusters.models import Cluster
from clusters.tasks import renew_keys
from console.cloud_accounts.models import CloudAccount
from console.operations.models import Operation

pytestmark = pytest.mark.django_db


@pytest.fixture
def make(acme):
    account = CloudAccount.objects.create(
        organisation=acme,
        name="Azure",
        provider_key="azure",
        number="99999999-8888-4777-8666-555555555555",
        settings={"node_access": "sas", "resource_group": "rg"},
        secrets={"client_secret": "x"},
    )

    def make(name, days, state="available"):
        end = (timezone.now() + timedelta(days=days)).isoformat()
        keys = {"pgbkx": "sv=1", "pgbkx expires": end} if days else {}
        return Cluster.objects.create(organisation=acme, cloud_account=account, name=name, state=state, keys=keys)

    return make


def test_renew_keys_begins_a_month_before_they_end_and_once(make):
    soon = make("soon", 29)
    make("later", 31)
    make("without", 0)
    make("failed", 1, state="failed")
    assert renew_keys() == 1
    assert renew_keys() == 0  # it is at work
    [operation] = Operation.objects.all()
    assert (operation.subject_id, operation.verb) == (soon.pk, "update")


def test_renew_keys_is_in_the_schedule(settings):
    assert renew_keys.name in {one["task"] for one in settings.CELERY_BEAT_SCHEDULE.values()}
