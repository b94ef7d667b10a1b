"""Who calls below which prefix."""

from __future__ import annotations

import pytest

from tests.api.callers import give
from tests.api.compatible.clients import Caller


@pytest.fixture(params=["/v1", "/byoc/v1"])
def prefix(request):
    return request.param


@pytest.fixture
def caller(prefix):
    """A function that gives a person a token with these scopes, or all, and returns who calls with it."""

    def caller(person, *scopes):
        return Caller(give(person, *scopes)[1], prefix)

    return caller


@pytest.fixture
def stores(account):
    from tests import factories

    return [factories.store(account, name=name) for name in ("near", "far")]


@pytest.fixture
def declared(account, stores):
    """A cluster as Terraform's provider sends it."""
    networks = [
        {
            "region": region,
            "cidr": f"10.{at}.0.0/16",
            "public_subnets": [f"10.{at}.0.0/24"],
            "private_subnets": [],
            "name": f"net{at}",
        }
        for at, region in enumerate(("eu-west-1", "us-east-1"), 1)
    ]
    return {
        "name": "orders",
        "cloud_account_id": str(account.pk),
        "node_location": "public",
        "regions": ["us-east-1", "eu-west-1"],
        "nodes": [
            {"name": "n1", "region": "eu-west-1", "instance_type": "r6g.medium", "volume_size": 100, "options": []},
            {"name": "n2", "region": "us-east-1", "instance_type": "r6g.large", "availability_zone": "us-east-1b"},
        ],
        "networks": networks,
        "firewall_rules": [{"name": "postgres", "port": 5432, "sources": ["10.0.0.0/8"]}],
        "backup_store_ids": [str(stores[1].pk), str(stores[0].pk)],
        "resource_tags": {"team": "orders"},
        "capacity": 100,
        "ssh_key_id": "11111111-2222-4333-8444-555555555555",
    }
