"""Each rule of the emulator, once allowed and once refused."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from console.demo.emulators.aws.calls import find_bucket
from console.demo.emulators.aws.emulator import Emulator
from tests.demo.emulators.aws.clients import BUCKET, LOGS, OTHER, client, configuration, refused


def test_request_id_is_on_every_answer(emulator: Emulator, s3: Any) -> None:
    created = s3.create_bucket(Bucket=BUCKET, **configuration())["ResponseMetadata"]
    assert created["RequestId"] == created["HTTPHeaders"]["x-amz-request-id"]
    assert created["HostId"]
    with pytest.raises(ClientError) as caught:
        s3.get_bucket_policy(Bucket=BUCKET)
    failed = caught.value.response["ResponseMetadata"]
    assert failed["RequestId"] == failed["HTTPHeaders"]["x-amz-request-id"] != created["RequestId"]
    answered = client("sts", emulator).get_caller_identity()["ResponseMetadata"]
    assert answered["RequestId"] == answered["HTTPHeaders"]["x-amzn-requestid"]


def test_inject_before_does_nothing_so_many_times(emulator: Emulator, s3: Any) -> None:
    emulator.inject("CreateBucket", code="SlowDown", status=503, message="Slow down", bucket=BUCKET, times=2)
    s3.create_bucket(Bucket=LOGS, **configuration())
    assert refused(s3.create_bucket, Bucket=BUCKET, **configuration()) == (503, "SlowDown")
    assert refused(s3.create_bucket, Bucket=BUCKET, **configuration()) == (503, "SlowDown")
    s3.create_bucket(Bucket=BUCKET, **configuration())


def test_inject_after_answers_the_error_though_it_is_done(emulator: Emulator, s3: Any) -> None:
    emulator.inject("CreateBucket", when="after")
    assert refused(s3.create_bucket, Bucket=BUCKET, **configuration()) == (500, "InternalError")
    s3.head_bucket(Bucket=BUCKET)


def test_inject_drop_answers_nothing_though_it_is_done(emulator: Emulator, s3: Any) -> None:
    emulator.inject("CreateBucket", when="drop")
    with pytest.raises(ConnectionClosedError):
        s3.create_bucket(Bucket=BUCKET, **configuration())
    s3.head_bucket(Bucket=BUCKET)
    assert emulator.calls == [("CreateBucket", BUCKET, 0), ("HeadBucket", BUCKET, 200)]


def test_inject_hang_answers_late(emulator: Emulator, s3: Any) -> None:
    emulator.inject("CreateBucket", when="hang", seconds=0.6)
    hasty = client("s3", emulator, read_timeout=0.2)
    with pytest.raises(ReadTimeoutError):
        hasty.create_bucket(Bucket=BUCKET, **configuration())
    s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": []})
    until = time.monotonic() + 30
    while ("CreateBucket", BUCKET, 200) not in emulator.calls:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_inject_refuses_another_moment(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match="between"):
        emulator.inject("CreateBucket", when="between")


def test_calls_count_by_operation_and_bucket(emulator: Emulator, s3: Any) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    s3.put_bucket_lifecycle_configuration(
        Bucket=BUCKET,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "abort",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                }
            ]
        },
    )
    s3.list_object_versions(Bucket=BUCKET)
    s3.list_multipart_uploads(Bucket=BUCKET)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="k")["UploadId"]
    s3.upload_part(Bucket=BUCKET, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=BUCKET, Key="k", UploadId=upload)
    s3.put_object(Bucket=BUCKET, Key="k")
    s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=f"{BUCKET}/k")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "k"}, {"Key": "copy"}]})
    s3.delete_bucket(Bucket=BUCKET)
    assert [(call.operation, call.status) for call in emulator.calls] == [
        ("CreateBucket", 200),
        ("PutBucketLifecycleConfiguration", 200),
        ("ListObjectVersions", 200),
        ("ListMultipartUploads", 200),
        ("CreateMultipartUpload", 200),
        ("UploadPart", 200),
        ("AbortMultipartUpload", 204),
        ("PutObject", 200),
        ("CopyObject", 200),
        ("DeleteObjects", 200),
        ("DeleteBucket", 204),
    ]
    assert Counter(call.bucket for call in emulator.calls) == {BUCKET: 11}


def test_reset_forgets_buckets_faults_and_calls_but_no_accounts(
    emulator: Emulator, s3: Any, other_key: tuple[str, str]
) -> None:
    s3.create_bucket(Bucket=BUCKET, **configuration())
    emulator.inject("ListBuckets")
    emulator.reset()
    assert emulator.calls == []
    assert s3.list_buckets()["Buckets"] == []
    assert client("sts", emulator, key=other_key).get_caller_identity()["Account"] == OTHER


def test_reset_waits_for_what_is_being_answered(emulator: Emulator, s3: Any) -> None:
    """A killed process has let go of its call, and the next test would count it."""
    emulator.inject("ListBuckets", when="hang", seconds=0.3)
    asking = threading.Thread(target=s3.list_buckets)
    asking.start()
    while emulator._faults:
        time.sleep(0.01)
    emulator.reset()
    asking.join()
    assert emulator.calls == []


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "console.demo.emulators.aws.emulator", "--latency", "5", "--watch-parent"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.slow
def test_command_serves_until_terminated_and_is_steered_over_http(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    line = process.stdout.readline().strip()
    assert line.startswith("Amazon, emulated, on http://127.0.0.1:")
    remote = Emulator()
    remote.url = line.rpartition(" ")[2]

    def steer(method: str, path: str, data: object = None) -> Any:
        body = json.dumps(data).encode()
        request = urllib.request.Request(f"{remote.url}/_emulator/{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    account = steer("POST", "accounts", {"account_id": OTHER})
    s3 = client("s3", remote, key=(account["access_key_id"], account["secret_access_key"]))
    steer("POST", "faults", {"operation": "CreateBucket", "code": "SlowDown", "status": 503})
    assert [fault["code"] for fault in steer("GET", "faults")] == ["SlowDown"]
    assert refused(s3.create_bucket, Bucket=BUCKET, **configuration()) == (503, "SlowDown")
    assert steer("GET", "calls") == [{"operation": "CreateBucket", "bucket": BUCKET, "status": 503}]
    steer("DELETE", "calls")
    assert steer("GET", "calls") == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_a_request_that_ends_in_the_middle_of_its_body_changes_nothing(amazon):
    """As of a client that was killed: in us-east-1 no body at all would be a bucket without tags."""
    host, port = amazon.url.removeprefix("http://").split(":")
    credential = f"{amazon.access_key_id}/20261101/us-east-1/s3/aws4_request"
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            f"PUT /half-a-request HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 300\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={credential}\r\n\r\n".encode()
        )
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert find_bucket("half-a-request") is None
