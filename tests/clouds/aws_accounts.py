"""Linked accounts of the emulated Amazon, as a provider gets them."""

from __future__ import annotations

from uuid import uuid4

from console.clouds.contract import AccountRef
from console.demo.emulators.aws.emulator import Emulator

NUMBER = Emulator.account_id
SECRET = Emulator.secret_access_key


def key_account(number=NUMBER, key=Emulator.access_key_id, secret=SECRET):
    return AccountRef(uuid4(), number, "aws", {"access_key_id": key}, {"secret_access_key": secret})
