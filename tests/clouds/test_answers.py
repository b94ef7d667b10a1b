"""What a cloud or server answers that is an error: whatever it says, or does not say, people are told what to do."""

from __future__ import annotations

import json
import re
from itertools import product
from types import SimpleNamespace

import pytest
from azure.core.exceptions import HttpResponseError
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError, create_parser

from console.clouds import foreign
from console.clouds.aws import errors as aws
from console.clouds.azure import clients as azure_clients
from console.clouds.azure import errors as azure
from console.clouds.google import errors as google
from console.clouds.s3.session import SERVER_ERRORS, on_server
from console.clouds.s3api.errors import answered
from console.clouds.steps import Denied, Failed, NotReady, StepError
from tests.clouds.aws.specs import make_spec as aws_spec
from tests.clouds.s3_accounts import an_account

NGINX = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body></html>"
BODIES = {
    "empty": "",
    "the word": "None",
    "a page": NGINX.format("413 Request Entity Too Large"),
    "a page of its own": "<!DOCTYPE html><html><head><title>Blocked by Example WAF</title></head><body>x<br></body>",
    "no title": "<html><body><p>go away</p></body></html>",
    "no message": "<Error><Code>AccessDenied</Code></Error>",
    "an empty message": "<Error><Code>AccessDenied</Code><Message/></Error>",
    "a word for nothing": "<Error><Code>AccessDenied</Code><Message>None</Message></Error>",
    "the code again": "<Error><Code>QuotaExceeded</Code><Message>QuotaExceeded</Message></Error>",
    "no code": "<Error><Message>Not today.</Message></Error>",
    "an empty code": "<Error><Code></Code><Message>Not today.</Message></Error>",
    "parts in parts": "<Error><Code><b>x</b></Code><Message><b>why</b></Message></Error>",
    "an empty error": "<Error/>",
    "a text for an error": "<Error>no</Error>",
    "twice": "<Error><Code>A</Code><Code>B</Code><Message>x</Message><Message>y</Message></Error>",
    "a namespace": '<Error xmlns="http://s3.example/"><Code>AccessDenied</Code><Message>No.</Message></Error>',
    "braces": "<Error><Code>Odd{0}</Code><Message>{reason} {who} {} {0!r}</Message></Error>",
    "lines": "<Error><Code>AccessDenied</Code><Message>one\n\n\ttwo\u202e</Message></Error>",
    "a page in a message": "<Error><Code>Bad</Code><Message>&lt;html&gt;&lt;h1&gt;502&lt;/h1&gt;</Message></Error>",
    "JSON": '{"message": "no", "error": null}',
    "an error that is a list": '{"error": [1, 2]}',
    "an error that is a text": '{"error": "no"}',
    "nulls": '{"error": {"code": null, "message": null, "errors": [null], "details": [null, {"violations": [7]}]}}',
    "odd types": '{"error": {"code": 3, "message": {"a": 1}, "errors": "x", "details": {"reason": 1}}}',
    "not XML": "\x00\x01 <",
    "very long": f"<Error><Code>{'C' * 4000}</Code><Message>{'m' * 90000}</Message></Error>",
}
STATUSES = (301, 307, 400, 401, 403, 404, 405, 407, 409, 411, 412, 413, 429, 500, 501, 502, 503, 504, 507, 511)
S3_CALLS = ("PutBucketPolicy", "HeadObject", "DeleteObjects", "ListObjectsV2", "CreateBucket")


def of_s3(target, operation, status, body):
    parsed = create_parser("rest-xml").parse({"status_code": status, "headers": {}, "body": body.encode()}, None)
    return answered(ClientError(parsed, operation), target)


def on_amazon(operation, status, body):
    spec = aws_spec()
    return of_s3(aws.on_bucket(spec, spec.bucket), operation, status, body)


def on_a_server(operation, status, body):
    target = on_server(an_account(), "pgbk-x", lambda operation, action: "arn:aws:s3:::pgbk-x", bucket="pgbk-x")
    return of_s3(target, operation, status, body)


def an_azure_account():
    return SimpleNamespace(number="0000", settings={"client_id": "c", "resource_group": "backups", "tenant_id": "t"})


def in_azure(operation, status, body):
    def parsed():
        return json.loads(body)

    response = SimpleNamespace(status_code=status, headers={}, reason="Forbidden", json=parsed)
    error = HttpResponseError(message="", response=response)
    target = azure.CallTarget(an_azure_account(), "storage account b", "/scope")
    return azure.step_error(azure_clients._plain(error), operation, target)


def in_google(operation, status, body):
    try:
        read = json.loads(body)
    except ValueError:
        read = None
    account = SimpleNamespace(number="p-1", settings={"client_email": "console@p-1"})
    return google.step_error(google.read_answer(status, read, ""), operation, google.CallTarget(account, "bucket b"))


CLOUDS = {
    "aws": (on_amazon, S3_CALLS),
    "s3": (on_a_server, S3_CALLS),
    "azure": (in_azure, ("StorageAccounts_Create", "Blobs_List")),
    "google": (in_google, ("buckets.insert", "buckets.setIamPolicy", "objects.list")),
}
# What is left of a sentence where somebody said nothing, or what nobody can read.
ODD = re.compile(r"None\b|null|<|says: *$|says: [.,]|\(\)|: :|: *\.|:$|  |\{|\}|\[|\bno reason given| \.|\\")


@pytest.mark.slow
@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_odd_answer_ends_as_a_sentence(cloud):
    answer, operations = CLOUDS[cloud]
    wrong = []
    for operation, status, (kind, body) in product(operations, STATUSES, BODIES.items()):
        try:
            error = answer(operation, status, body)
        except ResponseParserError:
            continue  # no answer of S3 at all: said elsewhere
        said = error.message
        if not isinstance(error, StepError) or (ODD.search(said) and kind != "braces") or len(said) > 2000:
            wrong.append((operation, status, kind, said))
    assert wrong == []


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(aws.ERRORS, id="aws"),
        pytest.param(SERVER_ERRORS, id="s3"),
        pytest.param(azure.ERRORS, id="azure"),
        pytest.param(google.ERRORS, id="google"),
    ],
)
def test_every_sentence_does_without_the_words_of_the_other_side(rows):
    for code, (_, template) in rows.items():
        bare = foreign.QUOTING.sub("", template)
        assert "{reason}" not in bare, code
        names = set(re.findall(r"\{(\w+)\}", template)) - {"reason", "code"}
        said = foreign.told(template, "", code="Code", **{name: name for name in names})
        assert said.endswith("."), (code, said)
        assert not re.search(r"says[:.]|\(\)|: *\.", said), (code, said)


@pytest.mark.parametrize(
    ("cloud", "operation", "status", "body", "kind", "words"),
    [
        ("s3", "PutBucketPolicy", 413, NGINX.format("413 Request Entity Too Large"), Failed, "client_max_body_size"),
        ("s3", "PutBucketPolicy", 502, NGINX.format("502 Bad Gateway"), NotReady, "A proxy or load balancer"),
        ("s3", "PutBucketPolicy", 503, "no healthy upstream", NotReady, "A proxy or load balancer"),
        ("s3", "PutBucketPolicy", 503, "<Error><Code>XMinioServerNotInitialized</Code></Error>", NotReady, "is busy"),
        ("s3", "PutBucketPolicy", 403, "<Error><Code>QuotaExceeded</Code></Error>", Failed, "quota"),
        ("s3", "PutBucketPolicy", 400, "<Error><Code>XMinioAdminBucketQuotaExceeded</Code></Error>", Failed, "quota"),
        ("s3", "PutBucketPolicy", 403, "<Error><Code>UserSuspended</Code></Error>", Failed, "has suspended"),
        ("s3", "PutBucketPolicy", 403, "<Error><Code>AccountProblem</Code></Error>", Failed, "has suspended"),
        ("s3", "PutBucketPolicy", 400, "<Error><Code>ExpiredToken</Code></Error>", Failed, "has expired"),
        ("s3", "PutBucketPolicy", 403, "", Denied, "a firewall or proxy"),
        ("s3", "DeleteObjects", 400, "<Error><Code>ObjectLocked</Code></Error>", Failed, "legal hold"),
        ("s3", "CreateBucket", 403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", NotReady, "clocks"),
        ("s3", "CreateBucket", 307, "<Error><Code>TemporaryRedirect</Code></Error>", Failed, "another address"),
        ("azure", "StorageAccounts_Create", 413, NGINX.format("413"), Failed, "too large"),
        ("azure", "StorageAccounts_Create", 502, "", NotReady, "A proxy on the way to Azure"),
        ("azure", "StorageAccounts_Create", 403, "", Denied, "firewall or proxy"),
        ("google", "buckets.insert", 413, "", Failed, "too large"),
        ("google", "buckets.insert", 502, "", NotReady, "A proxy on the way to Google"),
        ("google", "buckets.insert", 403, "", Denied, "firewall or proxy"),
    ],
)
def test_answers_that_are_no_lack_of_a_permission_are_named(cloud, operation, status, body, kind, words):
    error = CLOUDS[cloud][0](operation, status, body)
    assert type(error) is kind
    assert words in error.message


# As they word them: "Troubleshoot access denied error messages", Object Lock, VPC endpoints at Amazon; B2's caps;
# Google's "Troubleshooting" of Cloud Storage, of VPC Service Controls and of bucket IP filtering.
NOT_ALLOWED = "User: x is not authorized to perform: "
REASONS = [
    (
        "aws",
        f"{NOT_ALLOWED}kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/a because no policy allows it",
        "KMS key",
    ),
    ("aws", "Access Denied because object protected by object lock.", "legal hold"),
    ("aws", f"{NOT_ALLOWED}s3:X on resource: y with an explicit deny in a service control policy", "administers that"),
    ("aws", f"{NOT_ALLOWED}s3:X because no VPC endpoint policy allows the s3:X action", "addresses or networks"),
    ("s3", "Access denied by IP address restriction", "certain addresses or networks"),
    ("s3", "Cannot upload files, storage cap exceeded. See the Caps page to increase your cap.", "quota"),
    ("s3", "User is suspended", "suspended"),
    (
        "google",
        "Permission denied on Cloud KMS key. Please ensure that your service account may use it.",
        "Cloud KMS key",
    ),
    ("google", "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: a", "VPC Service"),
    (
        "google",
        "Object 'b/o' is subject to bucket's retention policy and cannot be deleted until x",
        "retention policy or",
    ),
    ("google", "There is an IP filtering condition that is preventing access to the resource.", "IP filter"),
]


@pytest.mark.parametrize(("cloud", "reason", "words"), REASONS, ids=range(len(REASONS)))
def test_other_reasons_for_a_403_are_found_in_its_words(cloud, reason, words):
    if cloud == "google":
        body = json.dumps({"error": {"code": 403, "message": reason, "errors": [{"reason": "forbidden"}]}})
        error = in_google("objects.delete", 403, body)
    else:
        error = CLOUDS[cloud][0](
            "PutBucketPolicy", 403, f"<Error><Code>AccessDenied</Code><Message>{reason}</Message></Error>"
        )
    assert words in error.message
    assert reason[:60] in error.message


def test_a_key_of_kms_is_named_with_the_statement_that_allows_it():
    key = "arn:aws:kms:eu-west-1:123456789012:key/abc"
    reason = (
        f"x is not authorized to perform: kms:Decrypt on resource: {key} because no identity-based policy allows it"
    )
    error = on_amazon("GetObject", 403, f"<Error><Code>AccessDenied</Code><Message>{reason}</Message></Error>")
    assert json.loads(error.details["statement"]) == {"Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": key}
    assert error.details["action"] == "kms:Decrypt"


def test_the_firewall_of_a_storage_account_is_named():
    reason = "This request is not authorized to perform this operation."
    refusal = azure.Refusal("AuthorizationFailure", reason, status=403)
    error = azure.step_error(refusal, "Blobs_Get", azure.CallTarget(an_azure_account(), "storage account b", "/s"))
    assert "firewall (Networking)" in error.message
    assert reason in error.message


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        ("BlobImmutableDueToLegalHold", "x", "legal hold"),
        ("KeyVaultEncryptionKeyNotFound", "x", "Key Vault"),
        ("AccountIsDisabled", "x", "has disabled"),
        ("AuthenticationFailed", "Request date header too old: 'Mon, 01 Jan'", "Set the clock"),
        ("AuthorizationSourceIPMismatch", "x", "firewall (Networking)"),
    ],
)
def test_other_refusals_of_azure_are_named(code, reason, words):
    target = azure.CallTarget(an_azure_account(), "storage account b", "/s")
    assert words in azure.step_error(azure.Refusal(code, reason, status=403), "Blobs_Get", target).message


def test_a_clock_that_is_wrong_is_named_where_google_gives_no_token():
    account = SimpleNamespace(number="p-1", settings={"client_email": "console@p-1"})
    refused = google.NoEntry("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                             "reasonable timeframe.")  # fmt: skip
    assert "Set the clock" in google.step_error(refused, "buckets.list", google.CallTarget(account, "b")).message
    silent = google.NoEntry("invalid_grant", "")
    assert "None" not in google.step_error(silent, "buckets.list", google.CallTarget(account, "b")).message


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (None, ""),
        ({"b": "x"}, ""),
        ("None", ""),
        (" none. ", ""),
        ("Forbidden", ""),
        ("403 Forbidden", ""),
        ("AccessDenied", ""),
        (NGINX.format("502 Bad Gateway"), ""),
        (NGINX.format("Blocked by Example"), "Blocked by Example"),
        ("None of your buckets is here", "None of your buckets is here"),
    ],
    ids=range(10),
)
def test_said_keeps_only_words(message, kept):
    assert foreign.said(message, "AccessDenied") == kept
