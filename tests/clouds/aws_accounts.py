"""Linked accounts of the emulated Amazon, as a provider gets them."""

from __future__ import annotations

import json
from uuid import uuid4

from moto.iam.models import iam_backends

from console.clouds.aws.boundary import BOUNDARY, boundary, boundary_arn
from console.clouds.specs import AccountRef
from console.demo.emulators.aws.emulator import Emulator

NUMBER = Emulator.account_id
SECRET = Emulator.secret_access_key


def key_account(number=NUMBER, key=Emulator.access_key_id, secret=SECRET):
    return AccountRef(uuid4(), number, "aws", {"access_key_id": key}, {"secret_access_key": secret})


def make_boundary(number=NUMBER, document=None):
    """Make the nodes' permissions boundary in the account, as its administrator does, whatever was there."""
    iam = iam_backends[number]["aws"]
    iam.managed_policies.pop(boundary_arn(number, "aws"), None)
    iam.create_policy("", "/", json.dumps(document or boundary(number)), BOUNDARY, [])


def drop_boundary(number=NUMBER):
    iam_backends[number]["aws"].managed_policies.pop(boundary_arn(number, "aws"), None)
