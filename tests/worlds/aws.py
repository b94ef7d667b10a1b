"""Amazon, by the emulator that is as strict as Amazon, and moto's own memory behind it."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from console.clouds.aws.session import trust_policy
from console.clouds.s3api import clients
from console.clouds.specs import AccountRef
from console.demo.emulators.aws.emulator import Emulator
from tests.cloud_accounts.linking import make_role
from tests.clouds.aws_accounts import make_boundary
from tests.faults import world as memory
from tests.worlds import boto


class Amazon(boto.Spoilt):
    """One account of an emulated Amazon."""

    key, proof = "aws", "emulator"
    # Usual; answers 200 to a second creation; without the namespace.
    regions = ("eu-west-1", "us-east-1", "me-south-1")

    def __init__(self, emulator, spoiler):
        self.emulator, self.spoiler = emulator, spoiler

    def account(self):
        return AccountRef(
            uuid4(),
            Emulator.account_id,
            "aws",
            {"access_key_id": Emulator.access_key_id},
            {"secret_access_key": Emulator.secret_access_key},
        )

    def signing_in(self, method):
        if method == "access_key":
            return self.account()
        arn = make_role(self.emulator, "", name=f"storekeeper-{uuid4().hex[:8]}", condition=False)
        return replace(self.account(), settings={"role_arn": arn}, secrets={})

    def prove(self, account):
        iam = iam_backends[Emulator.account_id]["aws"]
        role = next(one for one in iam.roles.values() if one.arn == account.settings["role_arn"])
        role.assume_role_policy_document = json.dumps(trust_policy(account.settings["external_id"], "*"))

    def look(self):
        return memory.look()

    @property
    def _s3(self):
        return s3_backends[Emulator.account_id]["aws"]

    def put(self, spec, key, data):
        self._s3.put_object(spec.bucket, key, data)

    def take(self, spec, key):
        self._s3.delete_object(spec.bucket, key)

    def put_log(self, spec):
        self._s3.put_object(spec.log_bucket, "access/1", b"a line")

    def wipe(self, spec):
        there = self._s3.buckets[spec.bucket]
        there.keys = type(there.keys)()

    def occupy(self, spec, *, log):
        memory.stand_foreign(Emulator.account_id, spec.log_bucket if log else spec.bucket, spec.region)

    def spoils(self, spec):
        bucket, log_bucket = self._s3.buckets[spec.bucket], self._s3.buckets[spec.log_bucket]
        return {
            "tags": lambda: self._s3.put_bucket_tagging(spec.bucket, {}),
            "public_access_block": lambda: setattr(bucket, "public_access_block", None),
            "ownership": lambda: setattr(bucket, "ownership_rule", "ObjectWriter"),
            "policy": lambda: setattr(log_bucket, "policy", None),
            "lifecycle": lambda: setattr(log_bucket, "rules", []),
            "logging": lambda: setattr(bucket, "logging", {}),
        }

    def clear(self):
        self.emulator.reset()
        clients.forget_clients()


@contextmanager
def opened(folder):
    """Lend the world while it is open."""
    emulator = Emulator().start()
    make_boundary()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        # The console's own identity, which roles trust; an account that is linked by key has its own.
        patch.setenv("AWS_ACCESS_KEY_ID", emulator.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", emulator.secret_access_key)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_ENDPOINT_URL", emulator.url)
        clients.session.cache_clear()
        with boto.Spoiler() as spoiler:
            yield Amazon(emulator, spoiler)
    emulator.stop()
    clients.session.cache_clear()
