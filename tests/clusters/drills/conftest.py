"""A cluster for each test, made without the work of a worker."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.clusters.nodes import standing


@pytest.fixture
def cluster(account, stores, alice):
    """Three nodes (eu-west-1, us-east-1, eu-central-1), two stores (eu-west-1, us-east-1), one database."""
    return standing(account, alice, stores)


def browser(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def as_bob(bob):
    return browser(bob)


@pytest.fixture
def as_charlie(charlie):
    return browser(charlie)
