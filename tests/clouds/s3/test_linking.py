"""What a server has, and what is wrong with what was filled in."""

import ssl

import pytest
from botocore.exceptions import SSLError

from console.clouds.contract import LinkError
from console.clouds.s3 import session as s3_session
from tests.clouds.s3.buckets import answering, names, slow
from tests.clouds.s3_accounts import FOUND, S3, SEAWEED, an_account, on

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


@slow
def test_identify_finds_out_what_the_server_has_and_leaves_nothing(object_server, account, s3, iam):
    identity = S3.linking.identify(on(object_server, **dict.fromkeys(FOUND, "")))
    assert identity.number == object_server.endpoint.removeprefix("https://")
    assert identity.partition == ""
    assert identity.found == FOUND
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
@pytest.mark.parametrize(
    ("operation", "status", "code", "service", "lacking"),
    [
        ("PutBucketTagging", 501, "NotImplemented", "s3", "tags"),
        ("PutBucketPolicy", 405, "MethodNotAllowed", "s3", "bucket_policy"),
        ("GetBucketPolicy", 200, "", "s3", "bucket_policy"),  # answered 200, and was not kept
        ("PutBucketLifecycleConfiguration", 400, "MalformedXML", "s3", "log_expiry upload_expiry version_expiry"),
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
