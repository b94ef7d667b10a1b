"""A real account of a provider, from the environment: what `make live-test PROVIDER=…` walks the contract on.

Each answer that linking asks for is LIVE_ and the field's name in capitals, such as LIVE_ROLE_ARN; LIVE_REGION is where
stores are made. It makes and deletes buckets whose names begin with pgbk, and leaves alone those that stood before.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID, uuid4

from console.clouds import CLOUDS
from console.clouds.specs import AccountRef, DeploymentSettings, StoreSpec

TESTED = os.environ.get("LIVE_PROVIDER", "")


class Live:
    """A real account; nothing is spoilt there, and it is looked at through the provider's own eyes."""

    proof, faults, denials_survived = "live", (), {}

    def __init__(self, provider):
        self.cloud, self.key = provider, provider.key
        given = {one.name: os.environ.get(f"LIVE_{one.name.upper()}", "") for one in provider.linking.fields}
        for one in provider.linking.fields:
            if one.kind == "choice" and not given[one.name]:
                given[one.name] = one.choices[0][0]
            elif given[one.name]:
                given[one.name] = one.clean(given[one.name])
        secrets = {one.name: given.pop(one.name) for one in provider.linking.fields if one.secret}
        if external_id := os.environ.get("LIVE_EXTERNAL_ID", ""):  # for a way to sign in that is proven by one
            given["external_id"] = external_id
        settings = dict(provider.linking.clean(given))
        operator = DeploymentSettings(
            endpoints_allowed=tuple(filter(None, os.environ.get("S3_ENDPOINTS_ALLOWED", "").split(","))),
            endpoint_url=os.environ.get("LIVE_ENDPOINT_URL", ""),
            ca_file=os.environ.get("LIVE_ENDPOINT_CA", ""),
            token_file=os.environ.get("LIVE_TOKEN_FILE", ""),
        )
        secrets = {name: value for name, value in secrets.items() if value}
        account = AccountRef(uuid4(), "", "", settings, secrets, operator)
        identity = provider.linking.identify(account)
        settings = {**settings, **identity.found}
        self._account = replace(account, number=identity.number, partition=identity.partition, settings=settings)
        own = provider.storage.regions(self._account)
        self.regions = (os.environ.get("LIVE_REGION") or own[0].code,)
        self.before = set(self._names())

    def account(self):
        return self._account

    def _names(self):
        return [one.name for one in self.cloud.storage.list_unmanaged(self._account, ())]

    def look(self):
        """Return what stands of the console's making, and how its controls find it."""
        found = {}
        for one in self.cloud.storage.list_unmanaged(self._account, self.before):
            found[one.name] = one.kind
            if one.kind == "backup" and one.store_id:
                names = self.cloud.storage.names(UUID(one.store_id), one.region, self._account.number)
                spec = StoreSpec(UUID(one.store_id), "Orders (EU)", self._account, one.region, *names)
                for control in self.cloud.storage.settings(spec):
                    with_words = self._observed(control)
                    found[f"{control.bucket} {control.key}"] = json.dumps(with_words, sort_keys=True, default=str)
        return found

    @staticmethod
    def _observed(control):
        try:
            return control.observe()
        except Exception as error:  # whatever it is, it is part of what is seen
            return type(error).__name__

    def calls(self):
        return []

    def forget(self):
        pass

    def clear_faults(self):
        pass

    def faults_met(self):
        return 0

    def clear(self):
        """Take nothing away: what a failed run leaves is listed under Unmanaged Buckets."""


@contextmanager
def opened(folder):
    """Lend the world while it is open."""
    yield Live(CLOUDS[TESTED])
