"""One console for all tests that ask it as the network does."""

from __future__ import annotations

import pytest

from tests.serving.processes import Console, Proxy, Upstream


@pytest.fixture(scope="package")
def served(tmp_path_factory, migrated_file):
    """The console, as console/deploy runs it."""
    with Console(tmp_path_factory.mktemp("console"), migrated_file).running() as console:
        yield console


@pytest.fixture(scope="package", params=["nginx", "caddy"])
def proxy(served, request, tmp_path_factory):
    """Each of the two proxies, in front of it."""
    with Proxy(request.param, served, tmp_path_factory.mktemp(request.param)).running() as running:
        yield running


@pytest.fixture(scope="package", params=["nginx", "caddy"])
def alone(request, tmp_path_factory):
    """Each of the two proxies, in front of a server that believes everything: what the proxy does by itself."""
    upstream = Upstream()
    with Proxy(request.param, upstream, tmp_path_factory.mktemp(f"alone-{request.param}")).running() as running:
        yield running
    upstream.listener.close()
