"""Whatever answers, on real sockets: each kind of call of each cloud ends in time, in little memory, in short words."""

from __future__ import annotations

import ast
import json
import math
import re
import socket
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from console.clouds import CLOUDS, calls, foreign, inspection, sessions, streams
from console.clouds.azure import session as azure_session
from console.clouds.contract import LinkError
from console.clouds.google import session as google_session
from console.clouds.s3 import probe
from console.clouds.s3api import clients
from console.clouds.specs import AccessSpec, AccountRef, DeploymentSettings, StoreSpec
from console.clouds.steps import Failed, StepError
from tests import hostile
from tests.characters import CATEGORIES, of_category
from tests.clouds import plans
from tests.clouds.s3_accounts import an_account
from tests.demo_process import ROOT
from tests.sampling import THOROUGH

# One cloud after the other: each is watched by the clock, and works with eight threads at once.
pytestmark = pytest.mark.xdist_group("streams")
SECONDS, SIZE, WORK = 0.4, 1_000_000, 1.2  # of a call, of its answers, and of all calls that make one piece of work
AT_MOST = 15.0  # seconds for all calls of a cloud at once, on a machine that does other things too
REGIONS = {"aws": "eu-west-1", "s3": "us-east-1", "azure": "westeurope", "google": "europe-west1"}
GUID = "00000000-0000-0000-0000-00000000000{}"


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(streams, "SECONDS", SECONDS)
    monkeypatch.setattr(streams, "SIZE", SIZE)
    monkeypatch.setattr(probe, "TIDY_SECONDS", SECONDS)


@pytest.fixture(scope="module")
def private_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="module", params=CLOUDS)
def cloud(request):
    return CLOUDS[request.param]


@pytest.fixture(scope="module")
def peer(cloud, tmp_path_factory):
    folder, language = tmp_path_factory.mktemp(cloud.key), "xml" if cloud.key in {"aws", "s3"} else "json"
    peer = hostile.Peer(None if cloud.key == "aws" else folder, language)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", peer.url)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        clients.session.cache_clear()
        yield peer
    peer.close()
    clients.forget_clients()
    clients.session.cache_clear()
    azure_session.forget_clients()
    google_session.forget_sessions()


@pytest.fixture(scope="module")
def ready(cloud, account):
    """All SDKs are loaded and all clients made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "SECONDS", SECONDS)
        patch.setattr(probe, "TIDY_SECONDS", SECONDS)
        run_all(cloud, account)


@pytest.fixture(scope="module")
def account(cloud, peer, private_key):
    """Return an account at the peer, which lets the console sign in and nothing more."""
    tenant = f"{peer.url}/{GUID.format(1)}"
    deployment = DeploymentSettings(endpoint_url=peer.url, ca_file=getattr(peer, "ca_file", ""))
    if cloud.key == "aws":
        return AccountRef(uuid4(), "123456789012", "aws", {"access_key_id": "KEY"}, {"secret_access_key": "s"})
    if cloud.key == "s3":
        return an_account(peer.url, peer.ca_certificate)
    if cloud.key == "google":
        peer.honest = {"/token": {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}}
        key = {"client_email": "c@p.iam.gserviceaccount.com", "private_key": private_key, "private_key_id": "1"}
        known = {"method": "key", "project_id": "acme-1", "client_email": key["client_email"], "node_access": "key"}
        return AccountRef(uuid4(), "acme-1", "", known, {"key": json.dumps(key)}, deployment)
    peer.honest = {
        "/openid-configuration": {
            "issuer": f"{tenant}/v2.0",
            "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
            "token_endpoint": f"{tenant}/oauth2/v2.0/token",
        },
        "/oauth2/v2.0/token": {"access_token": "t", "expires_in": 3600, "token_type": "Bearer"},
    }
    known = {"tenant_id": GUID.format(1), "client_id": GUID.format(2), "subscription_id": GUID.format(3)}
    known |= {"resource_group": "stores", "method": "secret", "node_access": "sas"}
    return AccountRef(uuid4(), GUID.format(3), "", known, {"client_secret": "s"}, deployment)


def every_call(cloud, account):
    """Return all that the console ever asks of a cloud, by name: each primitive, and each step of each plan."""
    region, store_id = REGIONS[cloud.key], uuid4()
    names = cloud.storage.names(store_id, region, account.number)
    spec = StoreSpec(store_id, "orders", account, region, *names, versions_days=30)
    access = AccessSpec(uuid4(), "orders", account, "c-k3v9x2m7q4ta", (spec.bucket,))
    storage, objects = cloud.storage, cloud.storage.objects(spec)
    found = {
        "link": partial(cloud.linking.identify, account),
        "preflight": lambda: list(cloud.linking.preflight(account, [region])),
        "owner": partial(storage.owner, spec, spec.bucket),
        "adopt": partial(storage.adopt, spec, spec.bucket),
        "check": lambda: inspection.inspect(storage.settings(spec)),
        "contents": partial(storage.contents, spec, spec.bucket, lambda counted: None),
        "left": partial(storage.contents, spec, spec.bucket),
        "empty": partial(storage.empty, spec, spec.log_bucket),
        "unmanaged": lambda: list(storage.list_unmanaged(account, ())),
        "folders": partial(objects.folders, "c-k3v9x2m7q4ta/"),
        "entries": lambda: list(objects.entries("c-k3v9x2m7q4ta/")),
        "read": partial(objects.read, "c-k3v9x2m7q4ta/backup.info", 100_000),
    }
    of_store = {"create": plans.creation(cloud), "delete": plans.deletion(cloud), "cancel": plans.cancellation(cloud)}
    of_nodes = {"grant": cloud.access.grant, "revoke": cloud.access.revoke, "forget": cloud.access.delete}
    for of, known in ((spec, of_store), (access, of_nodes)):
        for name, plan in known.items():
            found |= {f"{name}: {step.key}": partial(step.run, of) for step in plans.steps(plan)}
    return found


def ended(call):
    """Return what the call raised, and how long it took."""
    began, said = time.monotonic(), []
    try:
        with streams.within(WORK, math.inf):
            call()
    except (StepError, LinkError) as error:
        said = [str(error), *getattr(error, "details", {}).values()]
    except (KeyError, TypeError, AttributeError, ValueError, IndexError):
        pass  # an answer of no known shape: the engine says so to people
    return said, time.monotonic() - began


def is_fit_to_keep(said):
    return all(one == foreign.text(one, foreign.LINES, lines=True) for one in said)


def run_all(cloud, account, which=slice(None)):
    """Make all the calls at once; returns by name how each ended, and the most memory that they took together."""
    known = dict(list(every_call(cloud, account).items())[which])
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew from here (proc(5))
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(known, pool.map(ended, known.values()), strict=True))
    return found, memory("VmHWM") - before


def memory(kind):
    [line] = [one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(f"{kind}:")]
    return int(line.split()[1]) * 1024


# One of each way to end that a call itself deals with: nothing came, too late, too much, a refusal, an answer of no
# known shape. The others end below all calls, in the one kind of connection that each client has (a test below looks at
# it): each of them meets every third call, the next one another third. In `make test` each of all meets every sixth.
AT_EACH_CALL = {"silence", "body that drips", "endless body", "error with controls", "nested deeply", "garbage"}


@pytest.mark.slow
@pytest.mark.parametrize("behaviour", hostile.BEHAVIOURS)
def test_every_call_of_every_cloud_ends_whatever_answers(cloud, peer, account, ready, behaviour):
    part = 6 if not THOROUGH else 1 if behaviour in AT_EACH_CALL else 3
    which = slice(hostile.BEHAVIOURS.index(behaviour) % part, None, part)
    peer.behaviour = behaviour
    hostile.fifty_megabytes(peer.language)  # which is the peer's memory, in this process
    hostile.bomb()
    peer.asked.clear()
    found, peak = run_all(cloud, account, which)
    assert peer.asked
    for name, (said, seconds) in found.items():
        assert seconds < AT_MOST, f"{name} took {seconds:.1f} s"
        assert is_fit_to_keep(said), f"{name}: {said!r:.500}"
    assert peak < 60 * SIZE, f"{peak / 1e6:.0f} MB"


@pytest.mark.parametrize("behaviour", hostile.HANDSHAKES)
@pytest.mark.parametrize("cloud", [key for key in CLOUDS if key != "aws"], indirect=True)  # whose endpoint has no TLS
def test_connecting_ends_too(peer, cloud, account, behaviour):
    peer.behaviour = behaviour
    for forget in (clients.forget_clients, azure_session.forget_clients, google_session.forget_sessions):
        forget()  # the connections that are open
    said, seconds = ended(partial(CLOUDS[cloud.key].linking.identify, account))
    assert said
    assert is_fit_to_keep(said)
    assert seconds < AT_MOST


# Lists without end


def s3_list(path):
    asked = urlsplit(path)
    if "versions" in asked.query:
        name, more = (
            "ListVersionsResult",
            "<NextKeyMarker>k</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>",
        )
    elif "uploads" in asked.query:
        name, more = (
            "ListMultipartUploadsResult",
            "<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>",
        )
    elif "list-type" in asked.query:
        name, more = "ListBucketResult", "<NextContinuationToken>t</NextContinuationToken>"
    else:
        name, more = "ListAllMyBucketsResult", "<Buckets/><ContinuationToken>t</ContinuationToken>"
    return f"<{name}><IsTruncated>true</IsTruncated>{more}</{name}>".encode()


def google_list(path):
    return b'{"nextPageToken": "t"}'


def azure_list(path):
    if "comp=list" in path:
        return b"<EnumerationResults><Blobs/><NextMarker>t</NextMarker></EnumerationResults>"
    named = [{"name": "c-k3v9x2m7q4ta", "properties": {}}] if "containers" in path else []
    return json.dumps({"value": named, "id": "x", "name": "x"}).encode()


LISTS = {"aws": s3_list, "s3": s3_list, "google": google_list, "azure": azure_list}
LISTING = {
    "aws": ("contents", "left", "unmanaged", "folders", "entries"),
    "s3": ("contents", "left", "unmanaged", "folders", "entries"),
    "google": ("contents", "left", "unmanaged", "folders", "entries", "empty"),
    "azure": ("contents", "folders", "entries"),
}


@pytest.mark.slow
def test_a_list_has_an_end(cloud, peer, account, ready, monkeypatch):
    monkeypatch.setattr(calls, "PAGES", 3)
    monkeypatch.setattr(streams, "SECONDS", 5.0)
    monkeypatch.setitem(peer.honest, "", LISTS[cloud.key])
    peer.behaviour = "garbage"
    every = every_call(cloud, account)
    for name in LISTING[cloud.key]:
        peer.asked.clear()
        with pytest.raises(Failed, match="more than 3 pages"):
            every[name]()
        assert 3 <= len(peer.asked) < 8, name


# The parts


@pytest.mark.parametrize("category", CATEGORIES)
def test_text_of_others_is_one_short_line_that_nothing_turns(category):
    for character in of_category(category):
        said = foreign.text(f"a{character}b" * 3000)
        assert len(said) <= foreign.MESSAGE
        assert said == foreign.text(said)
        assert len(said.splitlines()) == 1
        assert not {unicodedata.category(one) for one in said} & foreign.CATEGORIES
        assert said.encode()
        assert (character in said) is (unicodedata.category(character) not in foreign.CATEGORIES)


def test_text_is_cut_where_it_is_too_long_only():
    assert foreign.text("x" * foreign.MESSAGE) == "x" * foreign.MESSAGE
    assert foreign.text("x" * (foreign.MESSAGE + 1)).endswith("x…")
    assert len(foreign.text("\x00" * 10_000_000 + "x")) <= 1
    assert foreign.text("a\n\r\n\x00b\n") == "a b"
    assert foreign.text('{\n  "a": 1\n}', lines=True) == '{\n  "a": 1\n}'
    assert foreign.text(None) == "None"


def test_what_was_read_of_json_is_cut_at_all_its_levels():
    deep = value = {}
    for _ in range(10_000):
        value["a\x00" * 500] = value = {}
    found = foreign.tidy({"deep": deep, "wide": ["x" * 10**6] * 10**4, "number": 7, "none": None})
    assert len(json.dumps(found)) < foreign.PARTS * (foreign.MESSAGE + 10) + 10_000
    assert (found["number"], found["none"]) == (7, None)


def test_a_shorter_time_around_wins_and_an_answer_has_its_size_in_each_piece_of_work():
    with streams.within(5, math.inf):
        with streams.within(50, 1000):
            assert streams._of_answer().remaining() <= 5
            streams._of_answer().take(b"x" * 600)
            with pytest.raises(streams.TooMuch):  # what is read for one call counts together
                streams._of_answer().take(b"x" * 600)
        streams._of_answer().take(b"x" * SIZE)
        streams._of_answer().take(b"x" * SIZE)  # of another answer
        with pytest.raises(streams.TooMuch):
            streams._of_answer().take(b"x" * (SIZE + 1))
        with streams.within(50, 1000, afresh=True):
            assert streams._of_answer().remaining() > 5
    with streams.within(0.01, math.inf), streams.within(50):
        time.sleep(0.02)
        with pytest.raises(streams.TooLong, match=r"within 0\.01 seconds"):
            streams._of_answer().remaining()


@pytest.mark.parametrize("part", [b"<", b",", b"{", b"["])
def test_an_answer_has_so_many_parts_and_an_object_any_number(part):
    with streams.within():
        allowance = streams._of_answer()
        allowance.take(part * streams.PARTS)
        with pytest.raises(streams.TooMuch, match="parts"):
            allowance.take(part)
    with streams.within():
        streams.expect(SIZE)
        streams._of_answer().take(part * SIZE * 2)


def test_an_object_may_be_larger_than_an_answer():
    with streams.within():
        streams.expect(5 * SIZE)
        streams._of_answer().take(b"x" * 6 * SIZE)
        with pytest.raises(streams.TooMuch, match="more than"):
            streams._of_answer().take(b"x")


def test_nobody_waits_for_ever_to_send(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))  # and never read from
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    began = time.monotonic()
    with sessions.limited(requests.Session()) as session, pytest.raises(requests.RequestException) as raised:
        session.post(url, data=b"x" * 50_000_000, timeout=60)
    assert time.monotonic() - began < AT_MOST
    assert "did not end" in streams.end_of(raised.value)
    listener.close()


# Nothing goes round it


MAKERS = {"requests", "urllib3", "httpx", "aiohttp", "boto3", "botocore", "smtplib"}
STANDARD = {"urllib.request", "http.client", "ftplib", "telnetlib", "imaplib", "poplib", "xmlrpc.client"}
# Who may have to do with what opens connections, and what holds those to an end.
KNOWN = {
    "console/clouds/streams.py": "is what holds them",
    "console/clouds/sessions.py": "limits those of requests",
    "console/clouds/s3api/clients.py": "limits those of boto3: a test below looks at each client",
    "console/clouds/azure/clients.py": "a limited session is the transport of each client: a test below",
    "console/clouds/google/session.py": "prepares both of its sessions: a test below",
    "console/clouds/s3/guard.py": "chooses where a connection goes, and limits it again",
    "console/alerts/sending.py": "chooses where one goes, and limits it again; mail in ten seconds",
    "console/clouds/s3/plain_http.py": "chooses where one goes, and limits it",
    "console/clouds/calls.py": "the events of botocore",
    "console/clouds/s3api/settings.py": "how botocore spells the name of a call",
    "console/accounts/oidc.py": "a limited session",
    "console/accounts/vault.py": "a limited session",
}
WORDS_ONLY = re.compile(r"botocore\.(exceptions|parsers|config)|urllib3\.(exceptions|util)|requests\.utils")


@pytest.mark.slow
def test_nothing_opens_connections_but_what_is_known_to_be_limited():
    for path in [*ROOT.glob("console/**/*.py"), *ROOT.glob("stores/**/*.py"), *ROOT.glob("clusters/**/*.py")]:
        name = path.relative_to(ROOT).as_posix()
        # The client runs at whoever calls the console (tests/client holds it to its own deadline and size).
        if name.startswith(("console/demo/", "console/client/src/")) or name in KNOWN:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for one in names:
                if WORDS_ONLY.match(one):
                    continue
                assert one.partition(".")[0] not in MAKERS, f"{name} imports {one}"
                assert one not in STANDARD, f"{name} imports {one}"


def managers(cloud, account):
    """Return all that opens connections for an account: the managers of urllib3, below whatever stands on them."""
    if cloud.key in {"aws", "s3"}:
        known = [one.client for one in clients._clients.values()]
        known += [clients.new_client(service, "eu-west-1") for service in ("sts", "s3")]
        for one in known:
            http = one._endpoint.http_session
            yield http._manager
            yield http._get_proxy_manager("http://proxy.example:3128")
    elif cloud.key == "google":
        session = google_session._session(account)
        for one in (session, session._auth_request.session):
            yield from of_session(one)
    else:
        known = azure_session.cloud_of(account)
        pipelines = [known.storage._client._pipeline, known.blobs("a")._pipeline, known.credential._client._pipeline]
        for one in pipelines:
            transport = one._transport
            yield from of_session(getattr(transport, "_transport", transport).session)


def of_session(session):
    for adapter in session.adapters.values():
        yield adapter.poolmanager
        yield adapter.proxy_manager_for("http://proxy.example:3128")


def test_every_client_of_every_cloud_is_limited(cloud, peer, account, ready):
    found = list(managers(cloud, account))
    assert len(found) >= 4
    for manager in found:
        assert all(
            issubclass(one.ConnectionCls, streams._Connection) for one in manager.pool_classes_by_scheme.values()
        )
