"""What tests of stores do as the workers do, and as an administrator does in AWS itself."""

from __future__ import annotations

from datetime import timedelta

import boto3
import pytest
from django.utils import timezone

from console.operations import snapshots
from console.operations.models import Operation
from stores import actions
from stores.models import DriftReport, Store
from tests.delivery import deliver


def settled():
    """Let the last change lie so long ago that AWS shows it."""
    Operation.objects.exclude(finished_at=None).update(finished_at=timezone.now() - timedelta(hours=1))


def check(store):
    actions.verify(store)
    snapshots.read("drift_report", DriftReport.objects.get(store=store).pk)
    return again(store)


def again(store):
    return Store.objects.with_story().get(pk=store.pk)


def work(store):
    deliver(again(store).operation_id)
    return again(store)


@pytest.fixture
def s3(amazon):
    return boto3.client(
        "s3",
        endpoint_url=amazon.url,
        region_name="eu-west-1",
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )


@pytest.fixture
def made(account, alice, amazon):
    """A function that makes a store with its buckets."""

    def made(name="orders", region="eu-west-1", **promised):
        store = actions.create(account, name=name, region=region, by=alice, **promised)
        deliver(store.operation_id)
        store.refresh_from_db()
        assert store.state == "available"
        return store

    return made


def due(label):
    """Return the keys of the readings of one kind that are due."""
    return [pk for kind, pk in snapshots.due() if kind == label]
