"""OpenStack Swift with its s3api from Debian, on one folder, behind nginx (Swift docs, "SAIO" and "s3api")."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from console.demo.servers import HOST, free_port
from tests.servers.real import Key, Server, behind_nginx, child, program, run

PACKAGE = "Debian's swift-proxy, swift-account, swift-container, swift-object and memcached"
PIPELINE = (
    "catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk s3api tempauth copy "
    "container-quotas account-quotas slo dlo versioned_writes symlink proxy-logging proxy-server"
)
FILTERS = {
    "healthcheck": "healthcheck",
    "catch_errors": "catch_errors",
    "gatekeeper": "gatekeeper",
    "proxy-logging": "proxy_logging",
    "listing_formats": "listing_formats",
    "bulk": "bulk",
    "copy": "copy",
    "container-quotas": "container_quotas",
    "account-quotas": "account_quotas",
    "slo": "slo",
    "dlo": "dlo",
    "symlink": "symlink",
}


@contextmanager
def opened(folder):
    """Run all of it until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "node/d1").mkdir(parents=True)
    ports = {name: free_port() for name in ("account", "container", "object", "proxy", "memcached")}
    with ExitStack() as running:
        cache = [program("memcached", PACKAGE), "-u", "root", "-l", HOST, "-p", ports["memcached"], "-m", "32"]
        running.enter_context(child("memcached", cache, folder / "memcached", ports["memcached"]))
        for kind in ("account", "container", "object"):
            _ring(folder, kind, ports[kind])
            (folder / f"{kind}.conf").write_text(_storage(folder, kind, ports[kind]))
            command = [program(f"swift-{kind}-server", PACKAGE), folder / f"{kind}.conf"]
            running.enter_context(child(f"Swift's {kind} server", command, folder / kind, ports[kind]))
        (folder / "proxy.conf").write_text(_proxy(folder, ports["proxy"], ports["memcached"]))
        command = [program("swift-proxy-server", PACKAGE), folder / "proxy.conf"]
        running.enter_context(child("Swift's proxy server", command, folder / "proxy", ports["proxy"]))
        endpoint, ca_file = running.enter_context(behind_nginx(folder / "nginx", ports["proxy"]))
        key = Key("test:tester", "testing")
        yield Server(endpoint, ca_file, key, key)


def _ring(folder, kind, port):
    """Make the ring of one kind: one replica, on the one device."""
    builder, file = program("swift-ring-builder", PACKAGE), f"{kind}.builder"
    run(builder, file, "create", "4", "1", "0", cwd=folder)
    run(builder, file, "add", f"r1z1-{HOST}:{port}/d1", "1", cwd=folder)
    run(builder, file, "rebalance", cwd=folder)


def _default(folder, port):
    user = "root" if os.geteuid() == 0 else os.environ.get("USER", "swift")
    return f"[DEFAULT]\nbind_ip = {HOST}\nbind_port = {port}\nworkers = 0\nuser = {user}\nswift_dir = {folder}\n"


def _storage(folder, kind, port):
    return (
        f"{_default(folder, port)}devices = {folder}/node\nmount_check = false\n"
        f"[pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n"
    )


def _proxy(folder, port, memcached):
    filters = "".join(f"[filter:{name}]\nuse = egg:swift#{egg}\n" for name, egg in FILTERS.items())
    return (
        f"{_default(folder, port)}[pipeline:main]\npipeline = {PIPELINE}\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n"
        "[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = testing .admin\n"
        "[filter:s3api]\nuse = egg:swift#s3api\nlocation = us-east-1\ns3_acl = false\n"
        f"[filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = {HOST}:{memcached}\n"
        "[filter:versioned_writes]\nuse = egg:swift#versioned_writes\nallow_versioned_writes = true\n"
        f"allow_object_versioning = true\n{filters}"
    )
