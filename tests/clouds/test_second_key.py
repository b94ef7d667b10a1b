"""The nodes' key is replaced: two open the stores for a while, and what is ended opens nothing, whatever the cloud."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from uuid import UUID, uuid4

import boto3
import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient
from botocore.exceptions import ClientError
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.service_account import Credentials

from console.clouds import CLOUDS
from console.clouds.specs import AccessSpec, StoreSpec
from console.clouds.steps import LeaseLost, NotReady, StepError, is_held
from tests.clouds import plans
from tests.sampling import THOROUGH

PREFIX = "c-k3v9x2m7q4ta"
pytestmark = pytest.mark.slow


def s3_opens(world, keys, bucket):
    client = boto3.Session().client(
        "s3",
        endpoint_url=world.server.endpoint,
        verify=str(world.server.ca_file),
        region_name=world.server.region,
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
    )
    try:
        client.put_object(Bucket=bucket, Key=f"{PREFIX}/n1/x", Body=b"1")
        client.delete_object(Bucket=bucket, Key=f"{PREFIX}/n1/x")
    except ClientError:
        return False
    return True


def google_opens(world, keys, bucket):
    """Sign in with the key anew, as a node does: a token that was fetched before goes on for a while."""
    key = {**keys, "token_uri": world.emulator.token_uri}
    asking = requests.Session()
    asking.verify, asking.trust_env = str(world.emulator.ca_file), False  # or REQUESTS_CA_BUNDLE counts for more
    scopes = ["https://www.googleapis.com/auth/devstorage.read_write"]
    session = AuthorizedSession(Credentials.from_service_account_info(key, scopes=scopes), auth_request=Request(asking))
    session.verify, session.trust_env = asking.verify, False
    try:
        asked = {"prefix": f"{PREFIX}/n1/"}
        return session.get(f"{world.emulator.url}/storage/v1/b/{bucket}/o", params=asked, timeout=10).ok
    except RefreshError:
        return False


def azure_opens(world, keys, bucket):
    verify = str(world.emulator.ca_file)
    url = f"{world.emulator.url}/{bucket}"
    client = ContainerClient(url, PREFIX, credential=keys[bucket], connection_verify=verify, retry_total=0)
    try:
        list(client.list_blobs())
    except HttpResponseError:
        return False
    return True


WORLDS = {"s3": ((), s3_opens), "google": ((), google_opens), "azure": (("sas",), azure_opens)}


@pytest.fixture(scope="module", params=WORLDS)
def everywhere(request, tmp_path_factory):
    how, opens = WORLDS[request.param]
    with import_module(f"tests.worlds.{request.param}").opened(tmp_path_factory.mktemp(request.param), *how) as world:
        yield world, opens


def steps_of(plan):
    return [step for stage in plan for step in stage]


class Kept:
    """A cluster's keys as the console keeps them, and its nodes, who try them."""

    def __init__(self, world, opens):
        cloud, account, store_id = CLOUDS[world.key], world.account(), uuid4()
        names = cloud.storage.names(store_id, world.regions[0], account.number)
        store = StoreSpec(store_id, "orders", account, world.regions[0], *names, complete=True)
        self.world, self.access, self.opener, self.bucket = world, cloud.access, opens, store.bucket
        self.spec = AccessSpec(UUID(int=7), "orders", account, PREFIX, (store.bucket,))
        self.done(plans.creation(cloud), store)
        self.grant()

    def done(self, plan, spec, keep=lambda kept: None):
        """Do the steps as the worker does, again while something is not ready."""
        for step in steps_of(plan):
            for _ in range(6):
                try:
                    result = step.run(spec)
                    break
                except NotReady as error:
                    last = error
            else:
                raise AssertionError(f"it never settled: {last}")
            if result and result.keep is not None:
                keep(result.keep)

    def keep(self, kept):
        self.spec = replace(self.spec, keys=kept)

    def keep_beside(self, kept):
        self.spec = replace(self.spec, keys=kept, former=self.spec.keys)

    def grant(self):
        self.done(self.access.grant, self.spec, self.keep)

    def second(self):
        self.done(self.access.second_key, self.spec, self.keep_beside)

    def end_former(self):
        self.spec = replace(self.spec, former={})
        self.grant()

    def opens(self, *keys):
        return [self.opener(self.world, one, self.bucket) for one in keys]


@pytest.fixture
def cluster(everywhere):
    world, opens = everywhere
    world.clear()
    world.clear_faults()
    return Kept(world, opens)


@contextmanager
def killed_before(nth):
    left = nth

    def still_held():
        nonlocal left
        left -= 1
        return left > 0

    token = is_held.set(still_held)
    try:
        yield
    finally:
        is_held.reset(token)


def test_both_keys_open_until_the_first_ends(cluster):
    first = cluster.spec.keys
    cluster.second()
    second = cluster.spec.keys
    id_of = cluster.access.key_id
    assert id_of(first) != id_of(second)
    assert cluster.opens(first, second) == [True, True]
    cluster.grant()  # a store that is attached meanwhile, say
    cluster.second()  # and the worker again, after a crash
    assert (cluster.spec.keys, cluster.spec.former) == (second, first)
    assert cluster.opens(first, second) == [True, True]
    cluster.end_former()
    assert cluster.spec.keys == second
    assert cluster.opens(first, second) == [False, True]
    # No third key brings the first one back.
    for _ in range(2):
        cluster.second()
        cluster.end_former()
        assert cluster.opens(first, second, cluster.spec.keys) == [False, False, True]


def test_going_back_to_the_first_ends_the_second(cluster):
    first = cluster.spec.keys
    cluster.second()
    second = cluster.spec.keys
    cluster.spec = replace(cluster.spec, keys=first, former=second)
    cluster.grant()
    assert cluster.opens(first, second) == [True, True]
    cluster.end_former()
    assert cluster.opens(first, second) == [True, False]


def test_at_once_nothing_opens_before_there_is_another(cluster):
    first = cluster.spec.keys
    cluster.second()
    second = cluster.spec.keys
    cluster.done(cluster.access.end_keys, cluster.spec)
    assert cluster.opens(first, second) == [False, False]
    cluster.spec = replace(cluster.spec, former={})
    cluster.grant()
    assert cluster.opens(first, second, cluster.spec.keys) == [False, False, True]


def test_a_worker_that_dies_at_any_call_leaves_two_keys_in_the_end(cluster):
    for nth in range(1, 60, 1 if THOROUGH else 2):
        before = cluster.spec
        with killed_before(nth):
            try:
                cluster.second()
                died = False
            except LeaseLost:
                died = True
        cluster.second()
        assert cluster.spec.former == before.keys, nth
        assert cluster.opens(before.keys, cluster.spec.keys) == [True, True], nth
        cluster.end_former()
        assert cluster.opens(before.keys, cluster.spec.keys) == [False, True], nth
        if not died:
            break
    assert nth > 1
    assert not died


def test_a_key_whose_answer_was_lost_is_gone_in_the_end(cluster):
    world, before = cluster.world, cluster.world.look()
    lost = "reset after" if "reset after" in world.faults else next(one for one in world.faults if "after" in one)
    for nth in range(1, 60, 1 if THOROUGH else 2):
        world.clear_faults()
        world.fault(lost, nth)
        try:
            cluster.second()
        except StepError:
            cluster.second()
        met = world.faults_met()
        world.clear_faults()
        assert cluster.opens(cluster.spec.former, cluster.spec.keys) == [True, True], nth
        cluster.end_former()
        assert counted(world.look()) == counted(before), nth
        if not met:
            break
    assert nth > 1


def counted(look):
    """Return what stands without the names of keys, which are others each time."""
    return {key: (len(value) if isinstance(value, list | dict) else str(value)) for key, value in look.items()}
