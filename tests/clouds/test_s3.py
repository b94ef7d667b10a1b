"""What the S3-compatible provider does, against a real SeaweedFS server over TLS."""

import json
import secrets
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, SSLError

from console.clouds import CLOUDS
from console.clouds.contract import AccessSpec, AccountRef, DeploymentSettings, LinkError
from console.clouds.s3 import access as s3_access
from console.clouds.s3 import session as s3_session
from console.clouds.s3 import storage as s3_storage
from console.clouds.s3api import buckets, clients, settings
from console.clouds.s3api.errors import code_of
from console.clouds.steps import Conflict, Failed, NotReady, Refused, StepError, StepResult, TooLate
from tests.clouds import plans
from tests.clouds.plans import run, steps
from tests.clouds.s3_accounts import ALLOWED, S3, SEAWEED, SECRET, an_account, make_spec, on
from tests.worlds.boto import Body

PREFIX = "c-k3v9x2m7q4ta"

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
slow = pytest.mark.slow


def node_spec(account, *buckets, **values):
    return AccessSpec(uuid4(), "Orders (EU)", account, f"c-{secrets.token_hex(6)}", buckets, **values)


@pytest.fixture
def account(object_server):
    yield on(object_server)
    clients.forget_clients()


@pytest.fixture
def s3(account):
    """The administrator's own client."""
    return s3_session.s3_client(account)


@pytest.fixture
def iam(account):
    return s3_session.iam_client(account)


@pytest.fixture
def spec(account):
    """A store that is not made yet; whatever is made of it is gone afterwards."""
    spec = make_spec(account)
    yield spec
    for name in (spec.bucket, spec.log_bucket):
        with suppress(ClientError):
            s3_session.s3_client(account).delete_bucket(Bucket=name)


@pytest.fixture
def store(spec):
    run(plans.creation(S3), spec)
    return replace(spec, complete=True)


def names(s3):
    return {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


def read(call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        return code_of(error)
    answer.pop("ResponseMetadata")
    return answer


def state(spec):
    client = s3_session.s3_client(spec.account)
    return {
        bucket: [
            read(getattr(client, f"get_bucket_{what}"), Bucket=bucket)
            for what in ("tagging", "policy", "lifecycle_configuration", "logging", "ownership_controls", "versioning")
        ]
        for bucket in (spec.bucket, spec.log_bucket)
    }


@contextmanager
def answering(operation, status, code, service="s3"):
    """Let the server answer this to each such call of the clients that are made from now on."""
    text = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>" if code else ""

    def answer(request, **_):
        return AWSResponse(request.url, status, {}, Body(text.encode()))

    events, event = clients.session().events, f"before-send.{service}.{operation}"
    events.register(event, answer)
    clients.forget_clients()
    try:
        yield
    finally:
        events.unregister(event, answer)
        clients.forget_clients()


# --- Without a server -----------------------------------------------------------------------------------------------


def test_the_plans_have_the_shape_and_the_titles_of_amazons():
    aws, s3 = ([[step.title for step in stage] for stage in plans.creation(CLOUDS[key])] for key in ("aws", "s3"))
    assert s3 == aws


def test_bucket_names_hold_the_whole_id():
    names = S3.storage.names(UUID("00112233-4455-4677-8899-aabbccddeeff"), "us-east-1", "s3.example.com")
    assert names == ("pgbk-aaisem2ekvdhpcezvk54zxpo74", "pgbk-aaisem2ekvdhpcezvk54zxpo74-log")


def test_repository_says_how_a_node_reaches_the_bucket():
    account = an_account("https://s3.example.com:9000", ca_certificate="-----BEGIN …")
    spec, keys = make_spec(account), {"access_key_id": "NODE", "secret_access_key": SECRET}
    found = S3.access.repository(spec, node_spec(account, spec.bucket, keys=keys))
    assert found.options == (
        ("type", "s3"),
        ("s3-bucket", spec.bucket),
        ("s3-endpoint", "s3.example.com"),
        ("s3-region", "us-east-1"),
        ("s3-uri-style", "path"),
        ("storage-port", "9000"),
        ("s3-key", "NODE"),
        ("s3-key-secret", SECRET),
    )
    assert found.secret == {"s3-key", "s3-key-secret"}
    assert found.ca_certificate == "-----BEGIN …"
    assert (found.needs, found.lacks) == ((), "")


def test_repository_without_keys_leaves_them_out():
    account = an_account(addressing_style="host", skip_tls_verify="yes")
    spec, access = make_spec(account), node_spec(account)
    found = S3.access.repository(spec, access)
    assert [name for name, _ in found.options] == [
        *("type", "s3-bucket", "s3-endpoint", "s3-region"),
        "storage-verify-tls",
    ]
    assert dict(found.options)["storage-verify-tls"] == "n"

    assert f"limited to {access.prefix}/ in {spec.bucket}" in found.lacks


@pytest.mark.parametrize(
    ("endpoint", "given", "needed"),
    [
        ("https://192.0.2.7:9000", {}, ("2.46",)),
        ("https://192.0.2.7:9000", {"skip_tls_verify": "yes"}, ()),
        ("https://store.example:9000", {}, ()),
    ],
)
def test_repository_says_which_release_finds_an_address_in_a_certificate(endpoint, given, needed):
    account = an_account(endpoint, **given)
    found = S3.access.repository(make_spec(account), node_spec(account))
    assert tuple(one.release for one in found.needs) == needed
    assert all("find an IP address (192.0.2.7) in a certificate" in one.what for one in found.needs)


def test_facts_say_what_the_server_is():
    account = an_account("https://s3.example.com:9000", region="RegionOne", location="sao-paulo")
    facts = {fact.label: fact.value for fact in S3.linking.facts(account)}
    assert facts == {
        "Endpoint": "https://s3.example.com:9000",
        "Access Key ID": "KEY",
        "TLS": "verified with the system's certificates",
        "Region": "RegionOne",
        "Location": "São Paulo, Brazil",
        "Addressing Style": "path",
    }
    spec = make_spec(account)
    assert S3.storage.facts(spec) == [
        ("Bucket Name", spec.bucket),
        ("Log Bucket Name", spec.log_bucket),
        ("Endpoint", "https://s3.example.com:9000"),
    ]


@pytest.mark.parametrize(
    ("given", "words", "warning"),
    [({"ca_certificate": "x"}, "your CA certificate", False), ({"skip_tls_verify": "yes"}, "NOT verified", True)],
)
def test_facts_warn_of_a_certificate_that_is_not_verified(given, words, warning):
    [tls] = [fact for fact in S3.linking.facts(an_account(**given)) if fact.label == "TLS"]
    assert words in tls.value
    assert tls.warning is warning


def test_a_server_has_one_region_and_its_nodes_may_be_anywhere():
    account = an_account(region="dublin", location="oslo")
    [own] = S3.storage.regions(account)
    assert (own.code, own.city) == ("dublin", "Oslo")
    found = S3.access.regions(account)
    assert found[0] == own
    assert [region.city for region in found if region.code == "dublin"] == ["Oslo"]  # the own one wins
    assert {"singapore", "sao-paulo"} <= {region.code for region in found}


def test_capabilities_say_what_a_missing_control_means():
    rows = {one.label: one.has for one in S3.capabilities(an_account()).features}
    assert rows == {
        "Access logging": False,
        "TLS-only policy": True,
        "Expiry of unfinished uploads": True,
        "Public access block": False,
        "Versioning": True,
        "Expiry of older versions": True,
        "Object Lock": True,
        "IAM users": True,
        "Refusal to delete what is not empty": False,
    }
    assert "log bucket stays empty" in S3.capabilities(an_account()).features[0].without
    assert S3.linking.linked(an_account()) == (
        "The server lacks access logging, public access block and refusal to delete what is not empty."
    )


def test_policies_are_the_same_however_a_server_writes_them():
    ours = {"Statement": [{"Principal": "*", "Action": "s3:*", "Resource": ["a", "b"]}]}
    theirs = {"Statement": [{"Principal": {"AWS": ["*"]}, "Action": ["s3:*"], "Resource": ["b", "a"]}]}
    assert settings.same_document(ours, theirs)
    assert not settings.same_document(ours, {"Statement": [{**theirs["Statement"][0], "Action": "s3:Get*"}]})
    assert not settings.same_document(ours, None)


def test_no_message_speaks_of_amazon():
    for _, message in s3_session.SERVER_ERRORS.values():
        assert "AWS" not in message
        assert "Amazon" not in message


def test_secrets_are_in_no_repr():
    account = an_account()
    keys = {"access_key_id": "NODE", "secret_access_key": SECRET}
    s3_session.s3_client(account)
    shown = repr((account, make_spec(account), node_spec(account, keys=keys), list(clients._clients.values())))
    assert SECRET not in shown + repr(StepResult(keep=keys))
    clients.forget_clients()


# --- Linking --------------------------------------------------------------------------------------------------------


@slow
def test_identify_finds_out_what_the_server_has_and_leaves_nothing(object_server, account, s3, iam):
    identity = S3.linking.identify(on(object_server, has=""))
    assert identity.number == object_server.endpoint.removeprefix("https://")
    assert identity.partition == ""
    assert identity.found == {"has": SEAWEED}
    assert not {name for name in names(s3) if "probe" in name}
    assert not [user for user in iam.list_users()["Users"] if "probe" in user["UserName"]]


REFUSALS = [
    ({"secret": "wrong"}, "secret_access_key", "does not belong"),
    ({"key": "UNKNOWNUNKNOWN00"}, "access_key_id", "does not know"),
    ({"key": ""}, "access_key_id", "Enter the access key ID"),
    ({"secret": ""}, "secret_access_key", "Enter the secret access key"),
    ({"ca_certificate": ""}, "ca_certificate", "Paste the certificate of the authority"),
    ({"endpoint": "https://localhost:9"}, "endpoint", "no answer from localhost:9"),
    ({"endpoint": "https://no-such-server.invalid"}, "endpoint", "cannot find the address"),
]


@slow
@pytest.mark.parametrize(("given", "field", "words"), REFUSALS)
def test_identify_says_what_is_wrong_and_where(object_server, given, field, words):
    with pytest.raises(LinkError, match=words) as raised:
        S3.linking.identify(on(object_server, **given))
    assert raised.value.field == field
    assert object_server.secret_access_key not in str(raised.value)


@slow
def test_identify_names_a_certificate_for_another_name(object_server):
    address = object_server.endpoint.replace("localhost", "127.0.0.2")
    with pytest.raises(LinkError) as raised:
        S3.linking.identify(on(object_server, endpoint=address))
    assert raised.value.field == "endpoint"


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", "ca_certificate"),
        ("hostname '127.0.0.1' doesn't match 'localhost'", "endpoint"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired", "endpoint"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "endpoint"),
    ],
)
def test_tls_trouble_is_said_beside_its_field(reason, field):
    error = SSLError(endpoint_url="https://s3.example.com", error=ssl.SSLError(reason))
    message, found = s3_session.trouble(error, an_account())
    assert found == field
    assert "s3.example.com" in message


@slow
@pytest.mark.parametrize(
    ("operation", "status", "code", "field", "words"),
    [
        ("CreateBucket", 403, "AccessDenied", "access_key_id", "may not make buckets"),
        ("CreateBucket", 404, "", "endpoint", "not an S3 server"),
        ("CreateBucket", 405, "", "endpoint", "not an S3 server"),
        ("CreateBucket", 400, "AuthorizationHeaderMalformed", "region", "region"),
        ("CreateBucket", 400, "Odd", "", "Odd"),
        ("PutObject", 403, "AccessDenied", "access_key_id", "may not"),
        ("GetObject", 200, "", "endpoint", "does not keep objects"),
        ("PutBucketTagging", 403, "AccessDenied", "", "s3:PutBucketTagging"),
        ("PutBucketLifecycleConfiguration", 503, "SlowDown", "", "busy"),
        ("GetBucketPolicy", 403, "AccessDenied", "", "s3:GetBucketPolicy"),
        ("PutBucketVersioning", 500, "InternalError", "", "busy"),
    ],
)
def test_identify_leaves_nothing_when_something_goes_wrong_in_the_middle(
    object_server, account, operation, status, code, field, words
):
    with answering(operation, status, code), pytest.raises(LinkError, match=words) as raised:
        S3.linking.identify(account)
    assert raised.value.field == field
    assert not {name for name in names(s3_session.s3_client(account)) if "probe" in name}


@slow
def test_identify_names_the_buckets_that_it_could_not_delete(account):
    with answering("DeleteBucket", 403, "AccessDenied"), pytest.raises(LinkError) as raised:
        S3.linking.identify(account)
    client = s3_session.s3_client(account)
    left = {name for name in names(client) if "probe" in name}
    assert len(left) == 3
    for name in left:
        assert name in str(raised.value)
        client.delete_bucket(Bucket=name)


@slow
@pytest.mark.parametrize(
    ("operation", "status", "code", "service", "lacking"),
    [
        ("PutBucketTagging", 501, "NotImplemented", "s3", "tags"),
        ("PutBucketPolicy", 405, "MethodNotAllowed", "s3", "bucket_policy"),
        ("GetBucketPolicy", 200, "", "s3", "bucket_policy"),  # answered 200, and was not kept
        ("PutBucketLifecycleConfiguration", 400, "MalformedXML", "s3", "upload_expiry version_expiry"),
        ("CreateUser", 403, "AccessDenied", "iam", "iam_users"),
        ("CreateUser", 405, "", "iam", "iam_users"),
        ("CreateAccessKey", 200, "", "iam", "iam_users"),
    ],
)
def test_identify_takes_no_answer_on_trust(account, iam, operation, status, code, service, lacking):
    with answering(operation, status, code, service):
        found = S3.linking.identify(account).found["has"].split()
    assert found == [name for name in SEAWEED.split() if name not in lacking.split()]
    assert not [user for user in iam.list_users()["Users"] if "probe" in user["UserName"]]


# --- TLS and clients ------------------------------------------------------------------------------------------------


@slow
def test_each_client_verifies_for_itself(object_server, account, tmp_path):
    from console.demo.object_server import ObjectServer

    stranger = ObjectServer(tmp_path / "stranger")  # never started: only its authority is wanted
    trusting = on(object_server, skip_tls_verify="yes", ca_certificate="")
    wrong = on(object_server, ca_certificate=stranger.ca_certificate)
    assert s3_session.s3_client(trusting).list_buckets()["Buckets"] is not None
    with pytest.raises(SSLError):
        s3_session.s3_client(wrong).list_buckets()
    assert s3_session.s3_client(trusting).list_buckets()["Buckets"] is not None
    assert s3_session.s3_client(account).list_buckets()["Buckets"] is not None
    with pytest.raises(LinkError) as raised:
        S3.linking.identify(wrong)
    assert raised.value.field == "ca_certificate"
    with pytest.raises(Failed, match="does not trust the certificate"):
        plans.create(S3, make_spec(wrong))
    clients.forget_clients()


@slow
def test_nothing_in_the_environment_redirects_a_client(account, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere.pem")
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    clients.session.cache_clear()
    try:
        assert s3_session.s3_client(account).list_buckets()["Buckets"] is not None
        assert s3_session.iam_client(account).list_users()["Users"]
    finally:
        clients.session.cache_clear()


def test_the_file_of_a_certificate_is_private_named_by_content_and_made_again():
    one, other = s3_session._file_of("one"), s3_session._file_of("other")
    assert one != other
    assert Path(one).read_text() == "one"
    assert Path(one).parent.stat().st_mode & 0o777 == 0o700
    Path(one).unlink()
    assert s3_session._file_of("one") == one
    assert Path(one).read_text() == "one"


def test_a_client_is_kept_until_the_account_changes():
    account = an_account()
    first = s3_session.s3_client(account)
    assert s3_session.s3_client(account) is first
    changed = replace(account, settings={**account.settings, "skip_tls_verify": "yes"})
    assert s3_session.s3_client(changed) is not first
    clients.forget_clients()


@pytest.mark.parametrize(
    ("style", "url"), [("path", "https://s3.example.com/bucket/k"), ("host", "https://bucket.s3.example.com/k")]
)
def test_a_client_addresses_buckets_as_the_account_says(style, url):
    client = s3_session.s3_client(an_account(addressing_style=style))
    assert client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}).startswith(url)
    clients.forget_clients()


# --- Creating -------------------------------------------------------------------------------------------------------


@slow
def test_every_step_runs_twice_and_leaves_the_same(spec, s3):
    for step in steps(plans.creation(S3)):
        once = step.run(spec)
        after = state(spec)
        assert step.run(spec) == once
        assert state(spec) == after
    for step in steps(plans.deletion(S3)):
        step.run(spec)
        step.run(spec)
    assert not names(s3) & {spec.bucket, spec.log_bucket}


@slow
def test_provision_leaves_what_the_specification_says(spec, s3):
    notes = {}
    with ThreadPoolExecutor() as pool:
        for stage in plans.creation(S3):
            for step, made in zip(stage, pool.map(lambda step: step.run(spec), stage), strict=True):
                notes[step.title] = made.note if made else ""
    assert notes == {
        "Creating the log bucket": "This server has no public access block.",
        "Creating the backup bucket": "This server has no public access block.",
        "Closing the log bucket to all but log delivery": "",
        "Closing the backup bucket to plain HTTP": "",
        "Setting the log bucket to expire old logs": "",
        "Setting the backup bucket to drop unfinished uploads": "",
        "Turning on access logging": "This server has no access logging.",
    }
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=spec.bucket)["TagSet"]}
    assert tags == {
        "storekeeper:store-id": str(spec.id),
        "storekeeper:store-name": "Orders _EU_",
        "storekeeper:managed-by": "storekeeper",
    }
    for bucket in (spec.bucket, spec.log_bucket):
        [tls] = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert (tls["Effect"], tls["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    [abort] = s3.get_bucket_lifecycle_configuration(Bucket=spec.bucket)["Rules"]
    assert "Expiration" not in abort
    assert abort["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    [expiry] = s3.get_bucket_lifecycle_configuration(Bucket=spec.log_bucket)["Rules"]
    assert expiry["Expiration"]["Days"] == 90


@slow
@pytest.mark.parametrize("done", range(8))
def test_remove_after_a_half_made_creation(spec, s3, done):
    for step in steps(plans.creation(S3))[:done]:
        step.run(spec)
    run(plans.deletion(S3), spec)
    assert not names(s3) & {spec.bucket, spec.log_bucket}


@slow
def test_provision_goes_on_after_a_crash_before_the_tag(spec, s3):
    s3.create_bucket(Bucket=spec.bucket)
    run(plans.creation(S3), spec)
    assert s3.get_bucket_tagging(Bucket=spec.bucket)["TagSet"]


@slow
def test_access_logging_creates_no_bucket(spec, s3):
    with pytest.raises(NotReady):
        plans.ensure(S3, "logging", spec)
    assert spec.bucket not in names(s3)


@slow
@pytest.mark.parametrize("occupied", ["bucket", "log_bucket"])
@pytest.mark.parametrize("tags", [{}, {"storekeeper:store-id": "another"}, {"team": "web"}])
def test_a_bucket_that_is_not_the_stores_is_never_touched(spec, s3, occupied, tags):
    bucket = getattr(spec, occupied)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="theirs", Body=b"1")
    if tags:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": pairs})
    before = state(spec)[bucket]
    with pytest.raises(Failed, match="does not belong to this store"):
        run(plans.creation(S3), spec)
    run(plans.deletion(S3), spec)
    assert state(spec)[bucket] == before
    assert s3.get_object(Bucket=bucket, Key="theirs")["Body"].read() == b"1"


@slow
def test_without_tags_the_name_is_the_proof(spec, account, s3):
    bare = replace(spec, account=replace(account, settings={**account.settings, "has": ""}))
    with answering("PutBucketTagging", 501, "NotImplemented"), answering("GetBucketTagging", 501, "NotImplemented"):
        first = plans.creation(S3)[0][1].run(bare)
        assert first.note == "This server has no bucket tags and public access block."
        run(plans.creation(S3), bare)
        run(plans.deletion(S3), bare)
        run(plans.deletion(S3), bare)
    assert not names(s3) & {spec.bucket, spec.log_bucket}


# --- Errors ---------------------------------------------------------------------------------------------------------


@slow
@pytest.mark.parametrize(
    ("step", "operation", "status", "code", "kind", "words"),
    [
        (1, "CreateBucket", 403, "AccessDenied", Failed, "refused s3:CreateBucket on pgbk-"),
        (1, "CreateBucket", 409, "BucketAlreadyExists", Conflict, "taken on this server"),
        (1, "CreateBucket", 400, "TooManyBuckets", Failed, "no more buckets"),
        (1, "PutBucketTagging", 403, "AccessDenied", Failed, "refused s3:PutBucketTagging"),
        (3, "PutBucketPolicy", 403, "AccessDenied", Failed, "refused s3:PutBucketPolicy"),
        (3, "PutBucketPolicy", 503, "SlowDown", NotReady, "slow down"),
        (3, "PutBucketPolicy", 500, "", NotReady, "slow down"),
        (3, "PutBucketPolicy", 404, "NoSuchBucket", NotReady, "does not show bucket"),
        (3, "PutBucketPolicy", 403, "InvalidAccessKeyId", Failed, "does not accept the console's access key"),
        (5, "PutBucketLifecycleConfiguration", 403, "AccessDenied", Failed, "refused s3:PutLifecycleConfiguration"),
        (6, "PutBucketLogging", 403, "AccessDenied", Failed, "refused s3:PutBucketLogging"),
    ],
)
def test_a_refusal_says_what_to_do_and_names_the_server(spec, step, operation, status, code, kind, words):
    plan = steps(plans.creation(S3))
    for one in plan[:step]:
        one.run(spec)
    with answering(operation, status, code), pytest.raises(kind, match=words) as raised:
        plan[step].run(spec)
    assert "AWS" not in raised.value.message
    if words.startswith("refused"):
        assert json.loads(raised.value.details["statement"])["Resource"] == f"arn:aws:s3:::{spec.bucket}"
        assert spec.account.number in raised.value.message
    plan[step].run(spec)


@slow
def test_a_server_that_does_not_answer_is_asked_again():
    with pytest.raises(NotReady, match="no answer from localhost:9") as raised:
        plans.create(S3, make_spec(an_account("https://localhost:9")))
    assert raised.value.patience == 600
    clients.forget_clients()


# --- Deleting -------------------------------------------------------------------------------------------------------


@slow
def test_remove_refuses_with_counts_and_commands(store, s3):
    s3.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a", "b", "c"):
        s3.put_object(Bucket=store.bucket, Key=key, Body=b"1")
    s3.delete_object(Bucket=store.bucket, Key="c")
    s3.create_multipart_upload(Bucket=store.bucket, Key="e")
    before = state(store)
    with pytest.raises(Refused) as raised:
        run(plans.deletion(S3), store)
    assert "holds 2 objects, 2 older versions, 1 delete marker and 1 unfinished upload." in raised.value.message
    assert "AWS" not in raised.value.message
    assert state(store) == before
    where = f"--endpoint-url {store.account.settings['endpoint']} --region us-east-1 --ca-bundle ca.pem"
    lines = raised.value.details["commands"].splitlines()
    assert lines[0].startswith("# Sign in as a user of localhost:")
    commands = [line for line in lines if not line.startswith("#")]
    assert len(commands) == 4
    assert all(part.count("aws s3") == part.count(where) > 0 for part in commands)
    s3_session.bucket_of(store, store.bucket).empty()  # what the commands do
    run(plans.deletion(S3), store)
    assert not names(s3) & {store.bucket, store.log_bucket}


def test_commands_do_not_verify_what_the_console_does_not():
    options, *comments = s3_storage._cli(an_account(skip_tls_verify="yes", ca_certificate="x"), "us-east-1")
    assert options == "--endpoint-url https://s3.example.com --region us-east-1 --no-verify-ssl"
    assert len(comments) == 1


@slow
def test_remove_never_deletes_a_backup_that_came_in_between(store, s3):
    """This server deletes buckets with all that is in them: nothing but the console's own care protects a backup."""
    before = state(store)
    plans.check_empty(S3, store)
    s3.put_object(Bucket=store.bucket, Key="late", Body=b"1")
    with pytest.raises(Refused, match="1 object"):
        plans.delete_backups(S3, store)
    assert state(store) == before
    assert s3.get_object(Bucket=store.bucket, Key="late")["Body"].read() == b"1"
    s3.put_object(Bucket=store.bucket, Key="later", Body=b"1")  # it is open again


@slow
def test_remove_closes_the_bucket_before_it_counts_for_the_last_time(store, s3):
    S3.storage.close(store)
    for call in (s3.put_object, s3.create_multipart_upload):
        with pytest.raises(ClientError) as raised:
            call(Bucket=store.bucket, Key="late")
        assert raised.value.response["Error"]["Code"] == "AccessDenied"
    run(plans.deletion(S3), store)


@slow
def test_remove_deletes_the_logs(store, s3):
    for number in range(3):
        s3.put_object(Bucket=store.log_bucket, Key=f"access/{number}", Body=b"1")
    s3.create_multipart_upload(Bucket=store.log_bucket, Key="m")
    run(plans.deletion(S3), store)
    assert store.log_bucket not in names(s3)


@slow
def test_remove_leaves_a_complete_stores_bucket_alone_when_its_tag_is_gone(store, s3):
    s3.put_object(Bucket=store.bucket, Key="backup", Body=b"1")
    s3.delete_bucket_tagging(Bucket=store.bucket)
    with pytest.raises(Failed, match=f"storekeeper:store-id={store.id}"):
        run(plans.deletion(S3), store)
    assert store.bucket in names(s3)


@slow
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_contents_are_counted_on_any_number_of_pages(store, s3, monkeypatch, size):
    s3.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a", "b", "c"):
        s3.put_object(Bucket=store.bucket, Key=key, Body=b"12345")
    s3.delete_object(Bucket=store.bucket, Key="c")
    for key in ("half", "half", "other"):
        s3.create_multipart_upload(Bucket=store.bucket, Key=key)
    monkeypatch.setattr(buckets, "PAGE", size)
    told = []
    found = plans.contents(S3, store, told.append)
    assert (found.objects, found.older, found.markers, found.uploads, found.size) == (2, 2, 1, 3, 20)
    assert (found.more, found.more_uploads, found.lock) == (False, False, "")
    assert told[-1] == 5
    monkeypatch.setattr(buckets, "COUNT_AT_MOST", 4)
    assert plans.contents(S3, store, told.append).counts[0] == "more than 4 objects, older versions and delete markers"
    commands = S3.storage.empty_commands(store, found)
    assert commands.startswith("# Sign in as a user of localhost:")
    s3_session.bucket_of(store, store.bucket).empty()


@slow
def test_contents_of_a_bucket_that_is_not_there(spec, store):
    assert plans.contents(S3, store, lambda counted: None).is_empty
    run(plans.deletion(S3), store)
    assert not plans.contents(S3, store, lambda counted: None).exists


@slow
def test_restore_opens_the_bucket_again(store, s3):
    before = state(store)
    S3.storage.close(store)
    run(plans.cancellation(S3), store)
    run(plans.cancellation(S3), store)
    assert state(store) == before
    s3.put_object(Bucket=store.bucket, Key="later", Body=b"1")
    s3.delete_object(Bucket=store.bucket, Key="later")
    run(plans.deletion(S3), store)
    with pytest.raises(TooLate, match="not there any more"):
        run(plans.cancellation(S3), store)


@slow
def test_logs_are_kept_until_all_is_over(store, s3):
    s3.put_object(Bucket=store.log_bucket, Key="access/1", Body=b"1")
    for _ in range(2):
        run(plans.deletion_but_logs(S3), store)
    assert names(s3) & {store.bucket, store.log_bucket} == {store.log_bucket}
    assert not plans.clear_logs(S3, store, True)  # there is still a log
    s3.delete_object(Bucket=store.log_bucket, Key="access/1")
    assert not plans.clear_logs(S3, store, False)
    assert plans.clear_logs(S3, store, True)
    assert plans.clear_logs(S3, store, True)
    assert store.log_bucket not in names(s3)


# --- Nodes ----------------------------------------------------------------------------------------------------------


def granted(spec):
    """Run the plan as the engine does and return the cluster with the key that it keeps from then on."""
    kept = None
    for step in steps(S3.access.grant):
        made = step.run(spec)
        kept = made.keep if made and made.keep else kept
    return replace(spec, keys=kept) if kept else spec


@pytest.fixture
def node(store):
    spec = granted(node_spec(store.account, store.bucket))
    yield spec
    run(S3.access.delete, spec)


def client_of(spec):
    """Return a client that signs in with the nodes' key."""
    settings = {**spec.account.settings, "access_key_id": spec.keys["access_key_id"]}
    secrets = {"secret_access_key": spec.keys["secret_access_key"]}
    return s3_session.s3_client(AccountRef(uuid4(), "", "", settings, secrets, DeploymentSettings(ALLOWED)))


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] in {"AccessDenied", "InvalidAccessKeyId"}
    return False


@slow
def test_a_nodes_key_reaches_its_own_folder_and_nothing_else(node, store, s3):
    other, bucket = make_spec(store.account), store.bucket
    run(plans.creation(S3), other)
    mine = client_of(node)
    mine.put_object(Bucket=bucket, Key=f"{node.prefix}/backup", Body=b"1")
    assert mine.get_object(Bucket=bucket, Key=f"{node.prefix}/backup")["Body"].read() == b"1"
    assert mine.list_objects_v2(Bucket=bucket, Prefix=f"{node.prefix}/")["KeyCount"] == 1
    assert mine.list_objects_v2(Bucket=bucket, Prefix=node.prefix, Delimiter="/")["KeyCount"] == 1
    mine.delete_object(Bucket=bucket, Key=f"{node.prefix}/backup")
    for key in ("c-another/backup", f"{node.prefix}x/backup", "top"):
        assert refused(mine.put_object, Bucket=bucket, Key=key, Body=b"1")
        assert refused(mine.get_object, Bucket=bucket, Key=key)
        assert refused(mine.delete_object, Bucket=bucket, Key=key)
    assert refused(mine.list_objects_v2, Bucket=bucket)
    assert refused(mine.list_objects_v2, Bucket=bucket, Prefix="c-another/")
    for foreign in (other.bucket, store.log_bucket):
        assert refused(mine.put_object, Bucket=foreign, Key=f"{node.prefix}/x", Body=b"1")
        assert refused(mine.list_objects_v2, Bucket=foreign, Prefix=f"{node.prefix}/")
    assert refused(mine.get_bucket_policy, Bucket=bucket)
    assert refused(mine.delete_bucket_policy, Bucket=bucket)
    assert refused(mine.delete_bucket, Bucket=bucket)
    assert refused(mine.create_bucket, Bucket="pgbk-evil")
    run(plans.deletion(S3), other)


@slow
def test_grant_twice_keeps_the_key(node, iam):
    assert all(step.run(node) is None for step in steps(S3.access.grant))
    [key] = iam.list_access_keys(UserName=f"pgbk-{node.prefix}")["AccessKeyMetadata"]
    assert key["AccessKeyId"] == node.keys["access_key_id"]
    assert S3.access.facts(node) == [
        ("User", f"pgbk-{node.prefix}"),
        ("Access Key ID", node.keys["access_key_id"]),
    ]


@slow
def test_a_key_whose_secret_a_crash_lost_is_replaced(node, iam):
    again = granted(replace(node, keys={}))
    [key] = iam.list_access_keys(UserName=f"pgbk-{node.prefix}")["AccessKeyMetadata"]
    assert key["AccessKeyId"] == again.keys["access_key_id"] != node.keys["access_key_id"]
    assert refused(client_of(node).list_objects_v2, Bucket=node.buckets[0], Prefix=f"{node.prefix}/")


@slow
def test_a_key_that_a_node_made_for_itself_goes(node, iam):
    settings = {**node.account.settings, "access_key_id": node.keys["access_key_id"]}
    own = AccountRef(
        uuid4(), "", "", settings, {"secret_access_key": node.keys["secret_access_key"]}, DeploymentSettings(ALLOWED)
    )
    made = s3_session.iam_client(own).create_access_key()["AccessKey"]["AccessKeyId"]
    granted(node)
    found = {key["AccessKeyId"] for key in iam.list_access_keys(UserName=f"pgbk-{node.prefix}")["AccessKeyMetadata"]}
    assert found == {node.keys["access_key_id"]} != {made}


@slow
def test_grant_takes_a_detached_store_away(node, store):
    other = make_spec(store.account)
    run(plans.creation(S3), other)
    both = granted(replace(node, buckets=(store.bucket, other.bucket)))
    client_of(both).put_object(Bucket=other.bucket, Key=f"{node.prefix}/x", Body=b"1")
    client_of(both).delete_object(Bucket=other.bucket, Key=f"{node.prefix}/x")
    granted(replace(both, buckets=(store.bucket,)))
    assert refused(client_of(both).put_object, Bucket=other.bucket, Key=f"{node.prefix}/x", Body=b"1")
    run(plans.deletion(S3), other)


@slow
def test_revoke_takes_everything_back_and_grant_gives_it_again(node):
    own = {"Bucket": node.buckets[0], "Key": f"{node.prefix}/x"}
    run(S3.access.revoke, node)
    run(S3.access.revoke, node)
    assert refused(client_of(node).put_object, **own, Body=b"1")
    run(S3.access.grant, node)
    client_of(node).put_object(**own, Body=b"1")
    client_of(node).delete_object(**own)


@slow
def test_dismiss_leaves_neither_user_nor_key_nor_policy(node, iam):
    name = f"pgbk-{node.prefix}"
    run(S3.access.delete, node)
    run(S3.access.delete, node)
    assert refused(client_of(node).list_objects_v2, Bucket=node.buckets[0], Prefix=f"{node.prefix}/")
    iam.create_user(UserName=name)  # the next user of that name finds nothing of the last one
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == []
    with pytest.raises(ClientError):
        iam.get_user_policy(UserName=name, PolicyName="backup-stores")


@slow
@pytest.mark.parametrize("done", range(4))
def test_grant_converges_after_a_crash(store, iam, done):
    spec = node_spec(store.account, store.bucket)
    for step in steps(S3.access.grant)[:done]:
        step.run(spec)
    kept = granted(spec)
    assert len(iam.list_access_keys(UserName=f"pgbk-{spec.prefix}")["AccessKeyMetadata"]) == 1
    client_of(kept).list_objects_v2(Bucket=store.bucket, Prefix=f"{spec.prefix}/")
    run(S3.access.delete, spec)


@slow
def test_the_user_of_another_cluster_is_never_touched(store, iam):
    spec = node_spec(store.account, store.bucket)
    name = f"pgbk-{spec.prefix}"
    iam.create_user(UserName=name)
    iam.tag_user(UserName=name, Tags=[{"Key": "storekeeper:cluster-id", "Value": "another"}])
    for plan in (S3.access.grant, S3.access.revoke):
        with pytest.raises(Failed, match="does not belong to this cluster"):
            run(plan, spec)
    run(S3.access.delete, spec)
    assert iam.get_user(UserName=name)["User"]
    assert iam.list_access_keys(UserName=name)["AccessKeyMetadata"] == []
    iam.delete_user(UserName=name)


def test_without_users_a_person_makes_the_key():
    spec = node_spec(an_account(has="tags"), "pgbk-b")
    notes = [made.note for step in steps(S3.access.grant) if (made := step.run(spec))]
    assert notes == [s3_access.BY_HAND]
    assert "by hand" in S3.access.revoke[0][0].run(spec).note
    assert "by hand" in S3.access.delete[0][0].run(spec).note
    assert S3.access.facts(spec) == []
    assert S3.access.policy(spec)["Statement"][0]["Resource"] == "arn:aws:s3:::pgbk-b"
    assert S3.access.refusal(spec) == ""


@slow
def test_objects_reads_what_is_in_the_bucket(store, s3):
    for key in ("c-a/backup/main/backup.info", "c-a/archive/x", "c-b/y"):
        s3.put_object(Bucket=store.bucket, Key=key, Body=key.encode())
    objects = S3.storage.objects(store)
    assert objects.folders("c-a/") == ["archive", "backup"]
    assert [entry.key for entry in objects.entries("c-a/")] == ["c-a/archive/x", "c-a/backup/main/backup.info"]
    assert objects.read("c-b/y", 3) == b"c-b"
    assert objects.read("c-b/none", 3) is None


@slow
def test_the_server_behaves_as_the_code_says_it_does(store, s3, iam):
    """The traps that the provider's order answers: should they go, so may the care."""
    name = f"pgbk-trap-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    document = json.dumps(S3.access.policy(node_spec(store.account, store.bucket)))
    iam.put_user_policy(UserName=name, PolicyName="kept", PolicyDocument=document)
    iam.delete_user(UserName=name)
    iam.create_user(UserName=name)
    assert iam.get_user_policy(UserName=name, PolicyName="kept")["PolicyDocument"]  # of the user that was deleted
    iam.delete_user_policy(UserName=name, PolicyName="kept")
    iam.delete_user(UserName=name)
    s3.put_object(Bucket=store.bucket, Key="backup", Body=b"1")
    s3.delete_bucket(Bucket=store.bucket)  # with what was in it
    assert store.bucket not in names(s3)
    with suppress(StepError, ClientError):
        s3.put_bucket_logging(Bucket=store.bucket, BucketLoggingStatus={})
    assert store.bucket in names(s3)  # made by asking it to log
