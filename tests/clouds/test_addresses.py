"""Where a linked server may be, and that each connection goes to the address that was checked."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from botocore.exceptions import EndpointConnectionError

from console.clouds import CLOUDS, addresses
from console.clouds.contract import LinkError
from console.clouds.s3 import session as s3_session
from console.clouds.specs import DeploymentSettings
from console.clouds.steps import Failed
from console.demo.object_server import ObjectServer
from tests.clouds import plans
from tests.clouds.s3_accounts import ALLOWED, an_account, make_spec

S3 = CLOUDS["s3"]
slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("8.8.8.8", ""),
        ("2606:4700::1111", ""),
        ("127.0.0.1", "loopback"),
        ("127.8.8.8", "loopback"),
        ("0.0.0.0", "loopback"),
        ("::1", "loopback"),
        ("::", "loopback"),
        ("10.0.0.7", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("fd00:ec2::254", "private"),  # EC2's metadata
        ("fd20:ce::254", "private"),  # Google's
        ("169.254.169.254", "link-local"),
        ("169.254.170.2", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.192", "metadata"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("198.18.0.1", "reserved"),
        ("2001:db8::1", "reserved"),
        ("4000::1", "reserved"),
        ("64:ff9b:1::1", "reserved"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:8.8.8.8", ""),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("64:ff9b::808:808", ""),
        ("2002:7f00:1::", "loopback"),
        ("2002:a9fe:a9fe::1", "link-local"),
    ],
)
def test_kind_of_address(address, kind):
    assert addresses.kind(address) == kind


@pytest.mark.parametrize(
    ("host", "address", "allowed", "expected"),
    [
        ("s3.example.com", "10.0.0.7", (), False),
        ("s3.example.com", "10.0.0.7", ("10.0.0.0/8",), True),
        ("s3.example.com", "::ffff:10.0.0.7", ("10.0.0.0/8",), True),
        ("s3.example.com", "10.0.0.7", ("10.0.0.7",), True),
        ("s3.example.com", "10.0.0.8", ("10.0.0.7",), False),
        ("s3.example.com", "10.0.0.7", ("S3.example.com",), True),
        ("bucket.s3.example.com", "10.0.0.7", ("s3.example.com",), True),
        ("nots3.example.com", "10.0.0.7", ("s3.example.com",), False),
        ("s3.example.com", "fd00::1", ("10.0.0.0/8", "fd00::/8"), True),
    ],
)
def test_what_the_operator_allows(host, address, allowed, expected):
    assert addresses.is_allowed(host, address, allowed) is expected


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:7f00:1]"],
)
def test_resolve_sees_through_the_spelling_of_an_address(host):
    with pytest.raises(addresses.Forbidden, match="loopback"):
        addresses.resolve(host, 443, ())


def test_resolve_refuses_a_name_with_one_address_that_is_denied(monkeypatch):
    answers(monkeypatch, "8.8.8.8", "169.254.169.254")
    with pytest.raises(addresses.Forbidden, match="link-local"):
        addresses.resolve("s3.example.com", 443, ())


def test_resolve_takes_an_impossible_name_for_one_that_is_not_there():
    with pytest.raises(socket.gaierror):
        addresses.resolve(f"{'x' * 64}.example.com", 443, ())


def test_a_name_that_is_answered_for_slowly_holds_nobody(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(addresses, "LOOK_UP_SECONDS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: over.wait(20))
    with pytest.raises(LinkError, match="cannot find the address") as raised:
        S3.linking.identify(an_account("https://s3.example.com"))
    over.set()
    assert raised.value.passing


def test_identify_says_beside_the_endpoint_where_it_may_not_be():
    account = replace(an_account("https://127.0.0.1:9"), deployment=DeploymentSettings())
    with pytest.raises(LinkError, match="S3_ENDPOINTS_ALLOWED") as raised:
        S3.linking.identify(account)
    assert raised.value.field == "endpoint"
    assert not raised.value.passing


def answers(monkeypatch, *found):
    """Have every name lead to these addresses."""

    def look_up(host, port, *args, **kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
def listening():
    """A port on which somebody listens, and the connections that came."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        came = []

        def accept():
            try:
                while True:
                    connection, _ = server.accept()
                    came.append(connection)
                    connection.close()
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], came


def test_a_connection_to_a_denied_address_is_never_opened(listening):
    port, came = listening
    account = an_account(f"https://127.0.0.1:{port}")
    with pytest.raises(EndpointConnectionError):
        s3_session.s3_client(replace(account, deployment=DeploymentSettings())).list_buckets()
    assert came == []
    with pytest.raises(Failed, match="loopback"):
        plans.clear_logs(S3, make_spec(replace(account, deployment=DeploymentSettings())), True)
    assert came == []


def test_the_same_connection_is_opened_where_the_operator_allows_it(listening):
    port, came = listening
    with pytest.raises(Exception, match=r"SSL|Connection was closed|EOF|reset"):
        s3_session.s3_client(an_account(f"https://127.0.0.1:{port}")).list_buckets()
    assert came


def test_a_name_that_leads_elsewhere_when_the_connection_opens_is_refused(listening, monkeypatch):
    port, came = listening
    account = replace(an_account(f"https://s3.example.com:{port}"), deployment=DeploymentSettings())
    answers(monkeypatch, "8.8.8.8")
    addresses.resolve("s3.example.com", port, ())  # the check when it is linked
    answers(monkeypatch, "127.0.0.1")
    with pytest.raises(EndpointConnectionError) as raised:
        s3_session.s3_client(account).list_buckets()
    message, field = s3_session.trouble(raised.value, account)
    assert "loopback" in message
    assert field == "endpoint"
    assert came == []


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch):
    """Between the check and the connection the name is not looked up again."""
    went = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: went.append(address) or self.close())
    looked = []

    def look_up(host, port, *args, **kwargs):
        address = (
            host if host[0].isdigit() else ("8.8.8.8" if not looked.append(host) and len(looked) % 2 else "127.0.0.1")
        )
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(Exception, match=r"."):
        s3_session.s3_client(replace(an_account(), deployment=DeploymentSettings())).list_buckets()
    assert {address for address, _ in went} == {"8.8.8.8"}


class Redirecting(BaseHTTPRequestHandler):
    """Sends everybody elsewhere, in each way that S3 knows."""

    status, to = 307, ""
    asked = 0

    def do_GET(self):
        type(self).asked += 1
        body = f"<Error><Code>PermanentRedirect</Code><Message>Go</Message><Endpoint>{self.to}</Endpoint></Error>"
        self.send_response(self.status)
        self.send_header("Location", f"https://{self.to}/")
        self.send_header("x-amz-bucket-region", "eu-west-1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode() if self.command != "HEAD" else b"")

    do_HEAD = do_GET  # noqa: N815 - the base class calls it so

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_a_denied_address_is_not_followed(tmp_path, listening, status):
    certified = ObjectServer(tmp_path)
    port, came = listening
    handler = type("Handler", (Redirecting,), {"status": status, "to": f"127.0.0.1:{port}", "asked": 0})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certified.folder / "server.pem", certified.folder / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        account = an_account(f"https://localhost:{server.server_port}", ca_certificate=certified.ca_certificate)
        account = replace(account, deployment=DeploymentSettings(("localhost",)))
        with pytest.raises(Exception, match=r"."):
            s3_session.s3_client(account).list_objects_v2(Bucket="pgbk-one")
        server.shutdown()
    assert handler.asked
    assert came == []


@slow
def test_the_certificate_is_still_compared_with_the_name(object_server):
    account = an_account(
        object_server.endpoint,
        ca_certificate=object_server.ca_certificate,
        key=object_server.access_key_id,
        secret=object_server.secret_access_key,
    )
    s3_session.s3_client(account).list_buckets()
    port = object_server.endpoint.rpartition(":")[2]
    other = replace(account, settings={**account.settings, "endpoint": f"https://127.0.0.2:{port}"})
    with pytest.raises(LinkError, match=r"is not for the name|no answer"):
        S3.linking.identify(other)
    assert account.deployment.endpoints_allowed == ALLOWED
