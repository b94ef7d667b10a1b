"""How a store is taken off a server, and opened again when it may not be."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from console.clouds.contents import Contents
from console.clouds.s3 import session as s3_session
from console.clouds.s3 import storage as s3_storage
from console.clouds.s3api import buckets
from console.clouds.steps import Failed, Refused, TooLate
from tests.clouds import plans
from tests.clouds.plans import run
from tests.clouds.s3 import aws_cli
from tests.clouds.s3.buckets import names, slow, state
from tests.clouds.s3_accounts import S3, an_account, make_spec

pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


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
    commands = [line for line in lines if "aws s3" in line and not line.startswith("#")]
    assert len(commands) == 3
    assert all(part.count("aws s3") == part.count(where) > 0 for part in commands)
    s3_session.bucket_of(store, store.bucket).empty()  # what the commands do
    run(plans.deletion(S3), store)
    assert not names(s3) & {store.bucket, store.log_bucket}


def test_commands_do_not_verify_what_the_console_does_not():
    options, *comments = s3_storage.cli(an_account(skip_tls_verify="yes", ca_certificate="x"), "us-east-1")
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


def run_commands(tmp_path, account, commands):
    """Run the commands as an administrator would, with a stand-in for the AWS CLI; return what they print."""
    aws = tmp_path / "aws"
    aws.write_text(f'#!/bin/sh\nexec {sys.executable} {aws_cli.__file__} "$@"\n')
    aws.chmod(0o755)
    (tmp_path / "ca.pem").write_text(account.settings["ca_certificate"])
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "CA_FILE": str(tmp_path / "ca.pem"),
        "AWS_ACCESS_KEY_ID": account.settings["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": account.secrets["secret_access_key"],
    }
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.stdout + done.stderr


@slow
@pytest.mark.parametrize("prefix", [pytest.param("", marks=pytest.mark.thorough), "c-one"])  # the same, but for a word
def test_the_commands_that_empty_a_bucket_end_by_themselves(store, s3, tmp_path, prefix):
    s3.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    with ThreadPoolExecutor(4) as pool:
        keys = [f'c-one/it\'s a "key" {number}' for number in range(270)] * 2 + ["c-two/other"]
        list(pool.map(lambda key: s3.put_object(Bucket=store.bucket, Key=key, Body=b""), keys))
    s3.delete_object(Bucket=store.bucket, Key="c-one/gone")
    s3.create_multipart_upload(Bucket=store.bucket, Key="c-one/half")
    found = plans.contents(S3, store, lambda counted: None)
    assert (found.objects + found.older + found.markers, found.uploads) == (542, 1)
    said = run_commands(tmp_path, store.account, S3.storage.empty_commands(store, found, prefix))
    left = plans.contents(S3, store, lambda counted: None)
    assert (left.objects, left.older, left.markers, left.uploads) == ((1, 0, 0, 0) if prefix else (0, 0, 0, 0)), said
    s3_session.bucket_of(store, store.bucket).empty()


@pytest.mark.parametrize(
    ("listing", "deleting"),
    [
        ("""echo '[{"Key": "a"}]'""", "echo AccessDenied a"),
        ("""echo '[{"Key": "a"}]'""", "exit 254"),
        ("exit 254", "exit 254"),
        ("echo '[]'", "exit 254"),
    ],
    ids=["refused", "an error", "no list", "nothing"],
)
def test_the_commands_that_empty_a_bucket_end_when_something_is_refused(tmp_path, listing, deleting):
    """The first page would be the same for ever."""
    aws = tmp_path / "aws"
    aws.write_text(
        f'#!/bin/sh\necho "$2" >> {tmp_path}/called\ncase "$2" in *list*) {listing};; *) {deleting};; esac\n'
    )
    aws.chmod(0o755)
    commands = S3.storage.empty_commands(make_spec(an_account()), Contents(objects=1, versioned=True))
    done = subprocess.run(
        ["bash", "-c", commands],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    called = (tmp_path / "called").read_text().split()
    assert (called.count("list-object-versions"), called.count("delete-objects")) in {(1, 0), (1, 1)}
    assert ("AccessDenied" in deleting) is (b"AccessDenied" in done.stdout)


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
