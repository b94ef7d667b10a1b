"""The probe tells the truth: what a server has, lacks, and claims without doing it; and it leaves nothing."""

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from console.clouds.contract import LinkError
from console.clouds.s3 import plain_http, probe, trial
from console.clouds.s3 import session as s3_session
from console.clouds.s3.proving import LOCKED_OUT, ensure_policy
from console.clouds.s3.trial import Part, left_out, tls_statement
from console.clouds.s3api import clients
from console.clouds.s3api.buckets import document
from console.clouds.s3api.settings import LIFECYCLE, OBJECT_LOCK, POLICY, TAGS, VERSIONING
from console.clouds.steps import Denied, Failed, NotReady, Refused
from tests.clouds.s3.buckets import answering, names, slow
from tests.clouds.s3.oddities import PARTS, Closing, Policies, Proxy, answer, error, odd
from tests.clouds.s3_accounts import FOUND, S3, SEAWEED, an_account, make_spec, on
from tests.sampling import thorough_but

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


def probes(s3):
    return {name for name in names(s3) if "probe" in name}


def rows(account, found):
    return {
        one.label: one for one in S3.capabilities(replace(account, settings={**account.settings, **found})).features
    }


# --- A store's own work, after all settings -------------------------------------------------------------------------


@slow
@pytest.mark.parametrize("refuses", ["PutObject", "GetObject", "ListObjectsV2", "DeleteObjects"])
def test_a_part_with_which_the_server_refuses_a_store_s_work_is_named_and_left_out(account, s3, refuses):
    with odd(Closing("BlockPublicAcls", refuses=refuses)):
        found = S3.linking.identify(account).found
    assert found["breaks"] == "BlockPublicAcls"
    assert "public_access_block" in found["has"].split()
    row = rows(account, found)["Public access block"]
    assert row.outcome == "claims"
    assert "new public ACLs (BlockPublicAcls)" in row.without
    # Where the deletion itself was refused, the object had to wait for the part to be taken back.
    assert not probes(s3)


@slow
def test_a_public_access_block_that_breaks_with_every_part_is_left_out_as_a_whole(account):
    with odd(Closing(*PARTS)):
        found = S3.linking.identify(account).found
    assert found["breaks"].split() == sorted([*PARTS, "public_access_block"])
    assert "public_access_block" not in found["has"].split()


def test_what_makes_the_work_fail_is_found_one_by_one_whatever_it_is(monkeypatch):
    names_of_all = "abcd"
    for size in range(len(names_of_all) + 1):
        for culprits in combinations(names_of_all, size):
            force = dict.fromkeys(names_of_all, True)

            def work(spec, bucket, force=force, culprits=culprits):
                if any(force[one] for one in culprits):
                    raise Denied("refused")
                return False

            parts = [
                Part(
                    one,
                    one,
                    lambda one=one, force=force: force.update({one: False}),
                    lambda one=one, force=force: force.update({one: True}),
                )
                for one in names_of_all
            ]
            monkeypatch.setattr(trial, "do_own_work", work)
            out, _ = left_out(None, "b", parts)
            assert out == list(culprits)
            assert force == {one: one not in culprits for one in names_of_all}


@pytest.mark.parametrize("why", [Denied, Failed, NotReady])
def test_what_fails_without_any_setting_too_blames_none_and_leaves_all(monkeypatch, why):
    force = {"a": True, "b": True}

    def work(spec, bucket):
        raise why("for another reason")

    parts = [
        Part(one, one, lambda one=one: force.update({one: False}), lambda one=one: force.update({one: True}))
        for one in force
    ]
    monkeypatch.setattr(trial, "do_own_work", work)
    with pytest.raises(why):
        left_out(None, "b", parts)
    assert force == {"a": True, "b": True}


# --- A policy is tried before it can lock anybody out ---------------------------------------------------------------


@pytest.fixture
def behind_a_proxy(object_server, tmp_path):
    proxy = Proxy(tmp_path, object_server.ports["s3.port"])
    yield on(object_server, endpoint=proxy.endpoint, ca_certificate=proxy.ca_certificate)
    for entry in [*clients._clients.values()]:
        entry.client.close()
    clients.forget_clients()
    proxy.close()


@slow
def test_behind_a_proxy_that_ends_the_tls_there_is_no_policy_and_nobody_is_locked_out(behind_a_proxy, s3):
    found = S3.linking.identify(behind_a_proxy).found
    assert found["breaks"] == "bucket_policy"
    assert "bucket_policy" not in found["has"].split()
    assert "Have the proxy refuse plain HTTP" in rows(behind_a_proxy, found)["TLS-only policy"].without
    assert not probes(s3)


@slow
def test_a_store_behind_a_proxy_that_came_later_is_not_locked_out_either(behind_a_proxy, s3):
    spec = make_spec(behind_a_proxy)
    s3.create_bucket(Bucket=spec.bucket)
    made = ensure_policy(spec, spec.bucket, document(tls_statement(spec.bucket, "Bool")))
    assert (made.note, made.keep) == (LOCKED_OUT, {"breaks": ["bucket_policy"]})
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=spec.bucket)
    s3.delete_bucket(Bucket=spec.bucket)


@slow
@pytest.mark.parametrize("known", ["", "Bool", "BoolIfExists"])
def test_plain_http_is_tried_where_a_port_answers_it(object_server, account, monkeypatch, known):
    port = object_server.ports["s3.port"]
    monkeypatch.setattr(plain_http, "PORTS", (port,))
    found = S3.linking.identify(on(object_server, tls_condition=known)).found
    assert (found["plain"], found["tls_condition"]) == (str(port), "Bool")
    assert str(port) in rows(account, found)["TLS-only policy"].remark


def test_plain_http_is_looked_for_where_servers_listen_and_no_longer_than_it_may_take(account, monkeypatch):
    clock, asked = [0.0], []

    def read(account, port, bucket, key):
        asked.append(port)
        clock[0] += 1.0
        return (200, b"x") if port == answers else (0, b"")

    monkeypatch.setattr(plain_http, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(plain_http, "read", read)
    monkeypatch.setattr(plain_http, "PORTS", (80, 9000, 3900))
    moved = replace(account, settings={**account.settings, "endpoint": "https://s3.example.com:9443"})
    for answers in (3900, 9443):
        assert plain_http.find_port(moved, "b", "k", b"x") == answers
    assert asked == [80, 9000, 3900, 80, 9000, 3900, 9443]
    asked.clear()
    monkeypatch.setattr(plain_http, "ALL_SECONDS", 2.0)
    assert (plain_http.find_port(moved, "b", "k", b"x"), asked) == (0, [80, 9000])


@slow
@pytest.mark.parametrize("is_tried", [True, False])
def test_a_policy_that_is_kept_and_not_followed_is_claimed(object_server, account, s3, monkeypatch, is_tried):
    monkeypatch.setattr(plain_http, "PORTS", (object_server.ports["s3.port"],) if is_tried else ())
    with odd(Policies()):
        found = S3.linking.identify(account).found
    assert (found["claims"], found["breaks"], found["tls_condition"]) == ("bucket_policy", "", "")
    assert "answers plain HTTP all the same" in rows(account, found)["TLS-only policy"].without
    assert not probes(s3)


@pytest.mark.parametrize(
    ("answers", "refuses"),
    [
        ((403,), True),
        ((0, 403), True),
        ((503, 0, 401), True),
        ((200,), False),
        ((0, 200), False),
        ((0, 0, 0), False),
        ((302,), False),
    ],
    ids=["refused", "late", "busy first", "given", "given late", "no answer", "redirected"],
)
def test_a_port_that_gives_no_answer_refuses_nothing(monkeypatch, answers, refuses):
    told = iter(answers)
    monkeypatch.setattr(probe, "read", lambda *_: (next(told), b""))
    assert probe._refuses(an_account(), 80, "bucket") is refuses


@slow
def test_plain_http_goes_only_to_where_servers_may_be(object_server, monkeypatch):
    asked = on(object_server)
    refusing = replace(asked, deployment=replace(asked.deployment, endpoints_allowed=()))
    port = object_server.ports["s3.port"]
    assert plain_http.read(asked, port, "nowhere", "probe")[0] != 0
    assert plain_http.read(refusing, port, "nowhere", "probe") == (0, b"")


# --- Lacking is a short list ----------------------------------------------------------------------------------------

TROUBLE = [
    (403, "QuotaExceeded"),
    (403, "UserSuspended"),
    (403, "AccountProblem"),
    (400, "ExpiredToken"),
    (400, "XMinioAdminBucketQuotaExceeded"),
    (413, ""),
    (503, "XMinioServerNotInitialized"),
    (502, ""),
    (400, "InvalidRequest"),
]


@slow
@pytest.mark.parametrize(("status", "code"), TROUBLE)
def test_no_trouble_is_taken_for_a_server_without_bucket_policies(spec, s3, status, code):
    s3.create_bucket(Bucket=spec.bucket)
    wanted = document(tls_statement(spec.bucket, "Bool"))
    with answering("PutBucketPolicy", status, code), pytest.raises((Failed, NotReady)) as raised:
        ensure_policy(spec, spec.bucket, wanted)
    assert not isinstance(raised.value, s3_session.Lacking)


OPERATIONS = ("CreateBucket", "PutBucketLifecycleConfiguration", "DeleteObjects", "DeleteBucket")


@slow
@pytest.mark.parametrize(
    ("status", "code", "operation"),
    thorough_but([(*trouble, one) for trouble in TROUBLE for one in OPERATIONS], by=lambda cell: cell[:2]),
)
def test_no_trouble_undoes_an_account_or_hides_that_this_is_an_s3_server(account, s3, operation, status, code):
    before = probes(s3)
    with answering(operation, status, code), pytest.raises(LinkError) as raised:
        S3.linking.identify(account)
    assert raised.value.passing
    assert "not an S3 server" not in str(raised.value)
    for name in probes(s3_session.s3_client(account)) - before:
        assert f"aws s3 rb s3://{name} --force" in str(raised.value)
        s3.delete_bucket(Bucket=name)


LACKING = {
    *(("PutBucketPolicy", one) for one in ("MalformedPolicy", "InvalidPolicyDocument")),
    *(("PutObjectLockConfiguration", one) for one in ("InvalidBucketState", "InvalidRequest")),
}
ANYWHERE = {"NotImplemented", "501", "MethodNotAllowed", "405"}
AS_A_CREATION = {"BucketAlreadyExists", "BucketAlreadyOwnedByYou", "InvalidArgument", "MalformedXML"}


@pytest.mark.slow
def test_lacking_is_a_short_list():
    codes = {*ANYWHERE, *AS_A_CREATION, *(code for _, code in TROUBLE if code), *(code for _, code in LACKING)}
    codes |= {"AccessDenied", "SlowDown", "InternalError", "NoSuchBucket", "RequestTimeout", "BadDigest", "Odd"}
    for setting in (TAGS, POLICY, LIFECYCLE, VERSIONING, OBJECT_LOCK):
        operation = f"Put{setting.name}"
        for code in sorted(codes):
            reply = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            spec = make_spec(an_account())
            with pytest.raises((Failed, NotReady, Refused)) as raised, s3_session.calling(operation, spec, "b"):
                raise ClientError(reply, operation)
            lacks = code in ANYWHERE | AS_A_CREATION or (operation, code) in LACKING
            assert isinstance(raised.value, s3_session.Lacking) is lacks, (operation, code)


@slow
def test_a_server_that_refuses_to_abort_uploads_may_well_expire_versions(account):
    def react(operation, request):
        if operation != "PutBucketLifecycleConfiguration":
            return None
        rules = request.body.decode().split("<Rule>")[1:]
        alone = any("AbortIncomplete" in one and "Expiration" not in one for one in rules)
        return error(request, 400, "MalformedXML") if alone else None

    with odd(react):
        found = S3.linking.identify(account).found
    assert {*SEAWEED.split()} - {*found["has"].split()} == {"upload_expiry"}
    able = S3.capabilities(replace(account, settings={**account.settings, **found}))
    assert (able.versions, able.lock) == (True, True)


@slow
def test_versions_that_nothing_gets_are_claimed(account):
    def react(operation, request):
        if operation == "GetBucketVersioning":
            return answer(request, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        return answer(request, "") if operation == "PutBucketVersioning" else None

    with odd(react):
        found = S3.linking.identify(account).found
    assert found["claims"] == "versioning"
    assert not S3.capabilities(replace(account, settings={**account.settings, **found})).versions


# --- The probe leaves nothing ---------------------------------------------------------------------------------------


@slow
def test_a_key_that_may_not_delete_makes_nothing(account, s3):
    with answering("DeleteBucket", 403, "AccessDenied"), pytest.raises(LinkError, match="nothing was made") as raised:
        S3.linking.identify(account)
    assert raised.value.field == "access_key_id"
    assert not probes(s3)


@slow
def test_a_server_that_deletes_no_objects_gets_none(account, s3):
    sent = []

    def react(operation, request):
        sent.append(operation)
        return error(request, 400, "MissingContentMD5") if operation == "DeleteObjects" else None

    with odd(react), pytest.raises(LinkError, match="MissingContentMD5"):
        S3.linking.identify(account)
    assert "PutObject" not in sent
    assert not probes(s3)


@slow
def test_what_stays_is_named_with_the_command_and_hides_no_first_error(account, s3):
    refused = []

    def react(operation, request):
        if operation == "DeleteBucket" and refused:
            return error(request, 403, "AccessDenied")
        if operation == "PutBucketTagging":
            refused.append(operation)
            return error(request, 403, "QuotaExceeded")
        return None

    with odd(react), pytest.raises(LinkError) as raised:
        S3.linking.identify(account)
    left = probes(s3_session.s3_client(account))
    assert len(left) == 2
    assert str(raised.value).startswith("The server")
    assert str(raised.value).index("QuotaExceeded") < str(raised.value).index("could not delete")
    for name in left:
        assert f"aws s3 rb s3://{name} --force --endpoint-url {account.settings['endpoint']}" in str(raised.value)
        s3.delete_bucket(Bucket=name)


@slow
def test_an_accident_leaves_nothing_and_is_not_hidden(account, s3, monkeypatch):
    def accident(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("console.clouds.s3.probe._try_versions", accident)
    with pytest.raises(ZeroDivisionError):
        S3.linking.identify(account)
    assert not probes(s3)


def test_an_account_of_an_older_release_is_not_said_to_have_changed():
    older = SEAWEED.replace("log_expiry ", "")
    account = an_account()
    settings = {name: value for name, value in account.settings.items() if name not in FOUND} | {"has": older}
    was = S3.capabilities(replace(account, settings=settings)).features
    assert [(one.label, one.outcome) for one in was] == [
        (one.label, one.outcome) for one in S3.capabilities(account).features
    ]
