"""A real server that speaks S3, SeaweedFS over TLS, and its administrator's own look at it."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from uuid import uuid4

import boto3
from botocore.exceptions import ClientError

from console.clouds import CLOUDS
from console.clouds.specs import AccountRef, DeploymentSettings
from console.demo.object_server import ObjectServer
from tests.worlds import boto


class Server(boto.Spoilt):
    """A SeaweedFS server, with whatever the console found it to have."""

    key, proof, regions = "s3", "server", ("us-east-1",)
    # Whose a bucket is may be hidden: then its creation tells.
    # Reading what is not there, before and after a policy, is asked twice. A trial that is refused once is made again.
    denials_survived = {
        "creation": (
            *("GetBucketTagging", "GetBucketTagging", *("GetObject",) * 4),
            *("PutObject", "GetObject", "ListObjectsV2", "DeleteObjects"),
        )
    }

    def __init__(self, server, spoiler):
        self.server, self.spoiler = server, spoiler
        sign_in = {
            "endpoint_url": server.endpoint,
            "verify": str(server.ca_file),
            "region_name": server.region,
            "aws_access_key_id": server.access_key_id,
            "aws_secret_access_key": server.secret_access_key,
        }
        # A session of its own: what the administrator does is not among the calls of the provider.
        session = boto3.Session()
        self.s3, self.iam = session.client("s3", **sign_in), session.client("iam", **sign_in)
        self.settings = {
            "endpoint": server.endpoint,
            "region": server.region,
            "location": "dublin",
            "ca_certificate": server.ca_certificate,
            "access_key_id": server.access_key_id,
        }
        self.settings = {**self.settings, **CLOUDS["s3"].linking.identify(self.account()).found}
        self.forget()

    def account(self):
        number = self.server.endpoint.removeprefix("https://")
        secrets = {"secret_access_key": self.server.secret_access_key}
        return AccountRef(
            uuid4(), number, "", dict(self.settings), secrets, DeploymentSettings(("127.0.0.0/8", "localhost"))
        )

    def signing_in(self, method):
        return self.account()

    def _names(self):
        return [one["Name"] for one in self.s3.list_buckets().get("Buckets", [])]

    def look(self):
        found = {}
        for name in self._names():
            settings = {
                what: self._read(getattr(self.s3, f"get_bucket_{what}"), Bucket=name)
                for what in ("tagging", "policy", "lifecycle_configuration", "ownership_controls", "versioning")
            }
            keys = [(one["Key"], one["Size"]) for one in self.s3.list_objects_v2(Bucket=name).get("Contents", [])]
            found[f"bucket {name}"] = json.dumps([settings, keys], sort_keys=True, default=str)
        for user in self.iam.list_users()["Users"]:
            name = user["UserName"]
            policies = self._read(self.iam.list_user_policies, UserName=name)
            found[f"user {name}"] = json.dumps([policies, len(self._keys(name))], sort_keys=True, default=str)
        return found

    def _keys(self, user):
        return self.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]

    @staticmethod
    def _read(call, **arguments):
        try:
            answer = call(**arguments)
        except ClientError as error:
            return error.response["Error"]["Code"]
        answer.pop("ResponseMetadata")
        return answer

    def put(self, spec, key, data):
        self.s3.put_object(Bucket=spec.bucket, Key=key, Body=data)

    def take(self, spec, key):
        self.s3.delete_object(Bucket=spec.bucket, Key=key)

    def put_log(self, spec):
        self.s3.put_object(Bucket=spec.log_bucket, Key="access/1", Body=b"a line")

    def wipe(self, spec):
        self._empty(spec.bucket)

    def _empty(self, name):
        while page := self.s3.list_object_versions(Bucket=name):
            if not (found := [*page.get("Versions", []), *page.get("DeleteMarkers", [])]):
                return
            for one in found:
                self.s3.delete_object(Bucket=name, Key=one["Key"], VersionId=one["VersionId"])

    def occupy(self, spec, *, log):
        name = spec.log_bucket if log else spec.bucket
        self.s3.create_bucket(Bucket=name)
        self.s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "team", "Value": "web"}]})
        self.s3.put_object(Bucket=name, Key="precious", Body=b"data")

    def spoils(self, spec):
        open_to_all = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        return {
            "tags": lambda: self.s3.delete_bucket_tagging(Bucket=spec.bucket),
            "policy": lambda: self.s3.delete_bucket_policy(Bucket=spec.log_bucket),
            "lifecycle": lambda: self.s3.delete_bucket_lifecycle(Bucket=spec.log_bucket),
            "ownership": lambda: self.s3.put_bucket_ownership_controls(
                Bucket=spec.bucket, OwnershipControls=open_to_all
            ),
        }

    def clear(self):
        for name in self._names():
            with suppress(ClientError):
                self._empty(name)
                self.s3.delete_bucket(Bucket=name)
        for user in self.iam.list_users()["Users"]:
            if user["UserName"].startswith("pgbk-"):
                for key in self._keys(user["UserName"]):
                    self.iam.delete_access_key(UserName=user["UserName"], AccessKeyId=key["AccessKeyId"])
                self.iam.delete_user(UserName=user["UserName"])


@contextmanager
def opened(folder):
    """Lend the world while it is open."""
    server = ObjectServer(folder).start()
    with boto.Spoiler(verify=str(server.ca_file)) as spoiler:
        yield Server(server, spoiler)
    server.stop()
