"""How the console reaches a server: certificates, addresses, and nothing from the environment."""

from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import SSLError

from console.clouds.contract import LinkError
from console.clouds.s3 import session as s3_session
from console.clouds.s3api import clients
from console.clouds.steps import Failed
from tests.clouds import plans
from tests.clouds.s3.buckets import slow
from tests.clouds.s3_accounts import S3, an_account, make_spec, on

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


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
