"""The emulated Google is as strict as Google, and Google's own client library finds nothing strange about it."""

from __future__ import annotations

import json
import ssl
import urllib.request

import pytest
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    NotModified,
    PreconditionFailed,
    ServiceUnavailable,
    TooManyRequests,
)
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.cloud import storage
from google.oauth2.service_account import Credentials
from requests import ConnectionError as NoConnection
from requests import Session

from console.demo.credentials import GOOGLE
from console.demo.emulators.google.emulator import PROJECT, Emulator, prepare
from console.demo.emulators.google.iam import CLOUD, DEVSTORAGE, Condition
from console.demo.roles import google_roles


@pytest.fixture(scope="module")
def shared():
    emulator = Emulator().start()
    yield emulator
    emulator.stop()


@pytest.fixture(scope="module")
def key(shared):
    return shared.administrator("root", "roles/storage.admin", "roles/owner")


@pytest.fixture
def emulator(shared, key):
    shared.storage.buckets.clear()
    shared.storage.free_at.clear()
    shared.storage.create_seconds = 0
    shared.faults.clear()
    shared.calls.clear()
    project = shared.directory.projects[PROJECT]
    project.billed, project.disabled, project.constraints = True, set(), set()
    return shared


def client_of(emulator, key, *scopes):
    asking = Session()
    asking.trust_env, asking.verify = False, str(emulator.ca_file)
    credentials = Credentials.from_service_account_info(key, scopes=scopes or [CLOUD])
    session = AuthorizedSession(credentials, auth_request=Request(asking))
    session.trust_env, session.verify = False, str(emulator.ca_file)
    options = {"api_endpoint": emulator.url}
    return storage.Client(project=PROJECT, credentials=credentials, _http=session, client_options=options)


@pytest.fixture
def client(emulator, key):
    return client_of(emulator, key)


@pytest.fixture
def bucket(client):
    return client.create_bucket("a-bucket", location="europe-west1")


def test_buckets_by_googles_own_client(client):
    made = client.bucket("ours")
    made.labels = {"a": "b"}
    made.iam_configuration.uniform_bucket_level_access_enabled = True
    made.add_lifecycle_delete_rule(age=90)
    made.enable_logging("elsewhere", object_prefix="access")
    client.create_bucket(made, location="europe-west1")
    found = client.get_bucket("ours")
    assert (found.location, found.labels) == ("EUROPE-WEST1", {"a": "b"})
    assert [rule["condition"] for rule in found.lifecycle_rules] == [{"age": 90}]
    assert found.get_logging() == {"logBucket": "elsewhere", "logObjectPrefix": "access"}
    assert found.soft_delete_policy.retention_duration_seconds == 604_800  # which nobody asked for
    found.labels = {"c": "d"}
    found.patch()
    assert client.get_bucket("ours").labels == {"c": "d"}
    assert [one.name for one in client.list_buckets(prefix="our")] == ["ours"]
    found.delete()
    with pytest.raises(NotFound):
        client.get_bucket("ours")


@pytest.mark.parametrize("name", ["goog-x", "my-google-x", "my-g00gle-x", "a", "Upper", "a_", "x" * 64, "with.dot"])
def test_illegal_names(client, name):
    with pytest.raises((BadRequest, ValueError)):
        client.create_bucket(name, location="EU")


def test_what_a_bucket_cannot_be(client):
    for settings in (
        {"labels": {"Upper": "x"}},
        {"labels": {"a": "with space"}},
        {"softDeletePolicy": {"retentionDurationSeconds": "86400"}},
        {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {}}]}},
        {"lifecycle": {"rule": [{"action": {"type": "Explode"}, "condition": {"age": 1}}]}},
        {"iamConfiguration": {"publicAccessPrevention": "perhaps"}},
        {"lables": {"a": "b"}},
    ):
        bucket = client.bucket("ours")
        bucket._properties.update(settings)
        for name in settings:
            bucket._changes.add(name)
        with pytest.raises(BadRequest):
            client.create_bucket(bucket, location="EU")
    with pytest.raises(BadRequest, match="location constraint"):
        client.create_bucket("ours", location="atlantis-1")


def test_names_are_everybodys(emulator, client, bucket):
    with pytest.raises(Conflict, match="you already own it"):
        client.create_bucket("a-bucket", location="EU")
    emulator.add_project("another", "12")
    theirs = emulator.administrator("stranger", "roles/storage.admin", project="another")
    stranger = client_of(emulator, theirs)
    stranger.project = "another"
    with pytest.raises(Conflict, match="not available"):
        stranger.create_bucket("a-bucket", location="EU")
    with pytest.raises(Forbidden):
        stranger.get_bucket("a-bucket")


def test_objects_by_googles_own_client(client, bucket):
    bucket.blob("small").upload_from_string(b"1\r\n2\n", content_type="text/plain")
    large = bytes(range(256)) * 5000
    blob = bucket.blob("a b/ü?", chunk_size=256 * 1024)  # bit by bit
    blob.upload_from_string(large)
    assert bucket.blob("small").download_as_bytes() == b"1\r\n2\n"
    assert bucket.blob("a b/ü?").download_as_bytes() == large
    assert bucket.blob("a b/ü?").download_as_bytes(start=10, end=19) == large[10:20]
    assert [one.name for one in client.list_blobs("a-bucket")] == ["a b/ü?", "small"]
    listed = client.list_blobs("a-bucket", delimiter="/")
    assert [one.name for one in listed] == ["small"]
    assert listed.prefixes == {"a b/"}
    with pytest.raises(PreconditionFailed):
        bucket.blob("small").upload_from_string(b"", if_generation_match=0)
    with pytest.raises(Conflict, match="not empty"):
        bucket.delete()
    bucket.blob("small").delete()
    with pytest.raises(NotFound):
        bucket.blob("small").delete()


def test_listing_page_by_page(client, bucket):
    names = [f"{letter}{sign}{number}" for letter in "ab" for sign in "!/-" for number in range(3)]
    for name in names:
        bucket.blob(name).upload_from_string(b"")
    assert [one.name for one in client.list_blobs("a-bucket", page_size=2)] == sorted(names)
    listed = client.list_blobs("a-bucket", delimiter="/", page_size=2)
    assert len(list(listed)) == 12
    assert listed.prefixes == {"a/", "b/"}


def test_a_list_begins_where_it_is_told_and_nothing_known_is_sent_again(client, bucket):
    for name in ("a", "b/1", "b/2", "c"):
        bucket.blob(name).upload_from_string(b"x")
    assert [one.name for one in client.list_blobs("a-bucket", start_offset="b/2")] == ["b/2", "c"]
    assert [one.name for one in client.list_blobs("a-bucket", prefix="b/", start_offset="b/1~")] == ["b/2"]
    there = bucket.get_blob("a")
    with pytest.raises(NotModified):
        bucket.blob("a").download_as_bytes(if_generation_not_match=there.generation)
    there.upload_from_string(b"y")
    assert bucket.blob("a").download_as_bytes(if_generation_not_match=there.generation - 1) == b"y"


def test_versions_and_soft_delete(client, bucket):
    bucket.versioning_enabled = True
    bucket.patch()
    for data in (b"1", b"22"):
        bucket.blob("one").upload_from_string(data)
    versions = list(client.list_blobs("a-bucket", versions=True))
    assert [(one.size, bool(one.time_deleted)) for one in versions] == [(1, True), (2, False)]
    bucket.blob("one").delete()
    for one in client.list_blobs("a-bucket", versions=True):
        bucket.blob("one", generation=one.generation).delete()
    assert not list(client.list_blobs("a-bucket", versions=True))
    bucket.delete()  # what is soft-deleted keeps nobody from it


def test_policies(emulator, client, bucket):
    member = "serviceAccount:root@storekeeper-demo.iam.gserviceaccount.com"
    condition = {"title": "t", "expression": 'resource.name.startsWith("x")'}
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.version = 3
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {member}, "condition": condition})
    with pytest.raises(PreconditionFailed):  # no uniform access yet
        bucket.set_iam_policy(policy)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    bucket.set_iam_policy(policy)
    with pytest.raises(PreconditionFailed):  # its etag is an old one
        bucket.set_iam_policy(policy)
    with pytest.raises(BadRequest):
        bucket.get_iam_policy(requested_policy_version=1)
    for binding, error in (
        ({"role": "roles/storage.objectViewer", "members": {"allUsers"}}, PreconditionFailed),
        ({"role": "roles/no.such", "members": {member}}, BadRequest),
        ({"role": "roles/storage.objectViewer", "members": {f"{member}x"}}, BadRequest),
        (
            {
                "role": "roles/storage.objectViewer",
                "members": {member},
                "condition": {"title": "t", "expression": "resource.name.matches('x')"},
            },
            BadRequest,
        ),
    ):
        policy = bucket.get_iam_policy(requested_policy_version=3)
        policy.bindings.append(binding)
        with pytest.raises(error):
            bucket.set_iam_policy(policy)


def test_permissions_and_scopes(emulator, key, client, bucket):
    reader = emulator.administrator("reader")
    with pytest.raises(Forbidden, match=r"does not have storage\.buckets\.get access"):
        client_of(emulator, reader).get_bucket("a-bucket")
    emulator.grant(reader["client_email"], "roles/storage.objectViewer")
    bucket.blob("one").upload_from_string(b"1")
    readers = client_of(emulator, reader).bucket("a-bucket")
    assert readers.blob("one").download_as_bytes() == b"1"
    for attempt in (readers.blob("one").delete, lambda: readers.blob("two").upload_from_string(b"")):
        with pytest.raises(Forbidden):
            attempt()
    writer = emulator.administrator("writer", "roles/storage.objectCreator")
    writers = client_of(emulator, writer).bucket("a-bucket")
    writers.blob("two").upload_from_string(b"")
    with pytest.raises(Forbidden, match=r"storage\.objects\.delete"):  # overwriting deletes
        writers.blob("two").upload_from_string(b"")
    narrow = client_of(emulator, key, f"{DEVSTORAGE}read_only")
    assert narrow.bucket("a-bucket").blob("one").download_as_bytes() == b"1"
    with pytest.raises(Forbidden, match="scopes"):
        narrow.bucket("a-bucket").blob("one").delete()
    with pytest.raises(Forbidden, match="scopes"):
        client_of(emulator, key, f"{DEVSTORAGE}read_write").create_bucket("another", location="EU")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"client_email": "nobody@storekeeper-demo.iam.gserviceaccount.com"}, "account not found"),
        ({"private_key": "another"}, "Invalid JWT Signature"),
    ],
)
def test_keys_are_verified(emulator, key, change, words):
    if "private_key" in change:
        change = {"private_key": emulator.administrator("other")["private_key"]}
    with pytest.raises(RefreshError, match=words):
        client_of(emulator, {**key, **change}).get_bucket("a-bucket")


def test_the_rate_of_creation(emulator, client):
    emulator.storage.create_seconds = 60
    client.create_bucket("first", location="EU")
    with pytest.raises(TooManyRequests, match="rate limit for creating"):
        client.create_bucket("second", location="EU", retry=None)


def test_states_of_a_project(emulator, client, bucket):
    project = emulator.directory.projects[PROJECT]
    project.constraints.add("gcp.resourceLocations")
    with pytest.raises(PreconditionFailed, match=r"constraints/gcp\.resourceLocations"):
        client.create_bucket("second", location="EU")
    project.billed = False
    with pytest.raises(Forbidden, match="billing account for the owning project is disabled"):
        client.get_bucket("a-bucket")
    project.disabled.add("storage.googleapis.com")
    with pytest.raises(Forbidden, match="has not been used in project") as raised:
        client.get_bucket("a-bucket")
    assert raised.value.details[0]["reason"] == "SERVICE_DISABLED"


def test_faults(emulator, client, bucket):
    emulator.inject(503, "backendError", "Backend Error", nth=2)
    client.get_bucket("a-bucket", retry=None)
    with pytest.raises(ServiceUnavailable):
        client.get_bucket("a-bucket", retry=None)
    client.get_bucket("a-bucket", retry=None)
    for reset, there in (("before", False), ("after", True)):
        emulator.inject(reset=reset, operation="objects.insert")
        with pytest.raises(NoConnection):
            bucket.blob(reset).upload_from_string(b"1", retry=None)
        assert bucket.blob(reset).exists() is there


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('resource.name == "a/b"', True),
        ("resource.name.startsWith('a/') && resource.type == ''", True),
        ('!resource.name.endsWith("b")', False),
        ('resource.name.extract("a/{x}") == "b"', True),
        ('resource.name.extract("{x}/c") != ""', False),
        ('(resource.name == "x" || resource.name == "a/b") && resource.name != "x"', True),
        ('api.getAttribute("p", "").startsWith("c-1/")', True),
        ('api.getAttribute("q", "none") == "none"', True),
        ('api.getAttribute("q", []).hasOnly(["a"])', True),
        ('api.getAttribute("list", []).hasOnly(["a", "b", "c"])', True),
        ('api.getAttribute("list", []).hasOnly(["a"])', False),
    ],
)
def test_conditions(text, holds):
    assert Condition(text).holds({"resource.name": "a/b", "p": "c-1/n1/", "list": ["a", "b"]}) is holds


@pytest.mark.parametrize(
    "text", ["", "resource.name", "request.time < x", 'resource.name == "a" ||', "true", "'a'('b')"]
)
def test_conditions_that_are_none(text):
    with pytest.raises(ValueError, match=r".+"):
        Condition(text)


def test_it_speaks_tls_only_and_only_to_whom_it_knows(emulator):
    context = ssl.create_default_context(cafile=str(emulator.ca_file))
    with pytest.raises(urllib.request.HTTPError) as refused:
        urllib.request.urlopen(f"{emulator.url}/storage/v1/b?project={PROJECT}", context=context)
    assert refused.value.code == 401
    assert json.loads(refused.value.read())["error"]["errors"][0]["reason"] == "required"
    with pytest.raises(urllib.request.URLError):
        urllib.request.urlopen(f"{emulator.url}/storage/v1/b")


def test_it_keeps_what_it_has(tmp_path):
    first = Emulator(tmp_path).start()
    prepare(first, google_roles())
    key = json.loads((tmp_path / "administrator.json").read_text())
    client_of(first, key).create_bucket("kept", location="EU").blob("one").upload_from_string(b"1")
    first.stop()
    again = Emulator(tmp_path).start()
    prepare(again, google_roles())  # at another address: the keys stay, and say so
    key = json.loads((tmp_path / "administrator.json").read_text())
    assert client_of(again, key).bucket("kept").blob("one").download_as_bytes() == b"1"
    assert (tmp_path / "state.pickle").stat().st_mode & 0o777 == 0o600
    again.stop()


def session_of(emulator, key):
    asking = Session()
    asking.trust_env, asking.verify = False, str(emulator.ca_file)
    credentials = Credentials.from_service_account_info(key, scopes=[CLOUD])
    session = AuthorizedSession(credentials, auth_request=Request(asking))
    session.trust_env, session.verify = False, str(emulator.ca_file)
    return session


def test_a_service_account_is_described_by_whoever_may_and_not_by_the_console(tmp_path, emulator, key):
    own = emulator.directory.add_account(emulator.directory.projects[PROJECT], "described")
    url = f"{emulator.url}/v1/projects/-/serviceAccounts/{own.email}"
    root = session_of(emulator, key)

    def patch(session, mask, **values):
        return session.patch(url, json={"serviceAccount": values, "updateMask": mask})

    assert patch(root, "description", description="first", displayName="left").json()["description"] == "first"
    shown = root.get(url).json()
    assert (shown["description"], "displayName" in shown) == ("first", False)
    assert patch(root, "displayName", displayName="Console").json()["displayName"] == "Console"
    assert [patch(root, mask, description="x").status_code for mask in ("", "email")] == [400, 400]
    assert patch(root, "description", description="x" * 257).status_code == 400
    console = emulator.administrator("console-itself")
    emulator.let_in(console["client_email"], google_roles())
    refused = patch(session_of(emulator, console), "description", description="mine")
    assert refused.status_code == 403
    assert "iam.serviceAccounts.update" in refused.text
    assert root.get(url).json()["description"] == "first"


def test_the_demo_s_console_has_an_identity_of_its_own_that_the_project_trusts(tmp_path):
    emulator = Emulator(tmp_path).start()
    prepare(emulator, google_roles())
    file = tmp_path / GOOGLE["identity_file"]
    first = file.read_text()
    prepare(emulator, google_roles())
    assert file.read_text() == first
    account = emulator.directory.accounts[f"storekeeper@{PROJECT}.iam.gserviceaccount.com"]
    assert len(account.users) == 1
    form = {"audience": f"//iam.googleapis.com/{GOOGLE['workload_provider']}", "subject_token": first}
    token = emulator.directory.exchange_subject(form)["access_token"]
    assert emulator.directory.impersonate(f"Bearer {token}", account.email, {"scope": [CLOUD]})["accessToken"]
    emulator.stop()
