"""The demo's sample data: what a newcomer finds, what a second start adds, and what an older demo gets."""

import threading

import boto3
import pytest
from botocore.config import Config
from django.db import connection
from moto.iam.models import iam_backends

from clusters import actions as clusters
from clusters.models import Cluster
from console.cloud_accounts.models import CloudAccount
from console.demo import sample
from console.demo.credentials import GOOGLE, PEOPLE
from console.demo.emulators.google.emulator import Emulator, prepare
from console.demo.roles import google_roles
from console.operations.models import Operation
from stores import actions as stores
from stores.models import Store
from tests import factories
from tests.delivery import deliver

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def google(tmp_path_factory):
    """The emulated Google, with the keys that the demo has."""
    emulator = Emulator(tmp_path_factory.mktemp("google")).start()
    prepare(emulator, google_roles())
    yield emulator
    emulator.stop()


@pytest.fixture
def demo(amazon, google, object_server, settings, monkeypatch):
    """What the supervisor writes into demo.json."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", amazon.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", amazon.secret_access_key)
    roles = iam_backends[amazon.account_id]["aws"].roles
    roles.clear()  # the emulator keeps them, and their external ID is of another test
    given = {"endpoint_url": google.url, "ca_file": str(google.ca_file)}
    settings.DEPLOYMENT_SETTINGS = {**settings.DEPLOYMENT_SETTINGS, "google": given}
    yield {
        **{role: {"username": username, "password": "secret"} for role, (username, _) in PEOPLE.items()},
        "aws": {
            "endpoint": amazon.url,
            "account_id": amazon.account_id,
            "access_key_id": amazon.access_key_id,
            "secret_access_key": amazon.secret_access_key,
        },
        "google": {"project": GOOGLE["project"], "key_file": str(google.folder / "storekeeper.json")},
        "s3": {
            "endpoint": object_server.endpoint,
            "region": object_server.region,
            "access_key_id": object_server.access_key_id,
            "secret_access_key": object_server.secret_access_key,
            "ca_certificate": str(object_server.ca_file),
        },
    }
    roles.clear()


@pytest.fixture
def load(demo, transactional_db):
    """Load the sample data while a thread does what the workers do; return the lines."""
    ended = threading.Event()

    def work():
        while not ended.wait(0.05):
            for pk in Operation.objects.due().values_list("pk", flat=True):
                deliver(pk)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    yield lambda: list(sample.load(demo))
    ended.set()
    worker.join()


@pytest.fixture
def no_broker(monkeypatch):
    """Send nothing to workers: the thread that does what they do finds it by itself."""
    monkeypatch.setattr(sample.run_operation, "delay", lambda pk: None)


def settle():
    """Wait until nothing is at work any more."""
    pause = threading.Event()
    while Operation.objects.unfinished().exists():
        pause.wait(0.05)


def test_load_makes_three_accounts_with_their_stores_and_clusters(load, demo, object_server):
    lines = load()
    assert "ledger-frankfurt in Frankfurt, Germany: available" in " ".join(lines)
    assert dict(Store.objects.values_list("name", "state")) == dict.fromkeys(
        [*sample.STORES, "ledger-frankfurt", "events-belgium"], "available"
    )
    assert CloudAccount.objects.get(provider_key="google").number == GOOGLE["project"]
    assert Cluster.objects.get(name="events").keys["private_key_id"]
    ledger = Cluster.objects.get(name="ledger")
    assert ledger.state == "available"
    assert [store.name for store in ledger.stores.all()] == ["ledger-frankfurt"]
    # As Debian 12 has it, so that a newcomer can follow by hand.
    nodes = [(node.region, node.pgbackrest_version) for node in ledger.nodes.all()]
    assert nodes == [(object_server.region, "2.45")]
    database = ledger.databases.get()
    facts = (database.name, database.version, database.data_directory, database.port)
    assert facts == ("ledger", "15", "/var/lib/postgresql/15/main", 5432)
    account = CloudAccount.objects.get(provider_key="s3")
    assert (account.name, account.settings["location"]) == ("Acme datacentre", "frankfurt")
    server = boto3.client(
        "s3",
        endpoint_url=object_server.endpoint,
        region_name=object_server.region,
        aws_access_key_id=object_server.access_key_id,
        aws_secret_access_key=object_server.secret_access_key,
        verify=str(object_server.ca_file),
        config=Config(s3={"addressing_style": "path"}),
    )
    bucket = Store.objects.get(name="ledger-frankfurt").bucket
    assert bucket in {one["Name"] for one in server.list_buckets()["Buckets"]}
    server.close()


def test_load_makes_nothing_twice_and_repairs_what_the_emulator_forgot(load):
    load()
    before = Store.objects.count(), Cluster.objects.count(), CloudAccount.objects.count()
    lines = " ".join(load())
    settle()
    assert (Store.objects.count(), Cluster.objects.count(), CloudAccount.objects.count()) == before
    for name in (*sample.STORES, "orders"):
        assert f"{name}: the emulator forgot" in lines
    assert "ledger" not in lines  # the object server forgets nothing
    assert "events" not in lines  # nor does the emulated Google
    assert set(Store.objects.values_list("state", flat=True)) == {"available"}


def test_load_tries_again_what_failed_before_the_emulator_had_its_role(load):
    load()
    settle()
    store = Store.objects.get(name="orders-ireland")
    lost = {"state": "failed", "verb": "repair", "error": "AWS does not let the console in."}
    Operation.objects.filter(pk=store.operation_id).update(**lost)
    Store.objects.filter(pk=store.pk).update(state="failed")
    load()
    settle()
    assert set(Store.objects.values_list("state", flat=True)) == {"available"}


def test_load_gives_an_older_demo_what_is_new(load, transactional_db):
    acme = factories.organisation(sample.ACME)
    account = factories.account(acme, name="Acme production")
    load()
    assert list(CloudAccount.objects.filter(provider_key="aws")) == [account]
    assert {store.name for store in Store.objects.all()} == {"ledger-frankfurt", "events-belgium"}
    assert {cluster.name for cluster in Cluster.objects.all()} == {"ledger", "events"}


def test_load_follows_the_object_server_to_another_port(load, demo):
    factories.account(factories.organisation(sample.ACME), name="Acme production")
    load()
    demo["s3"]["endpoint"] = "https://localhost:1"
    assert "https://localhost:1" in " ".join(load())
    account = CloudAccount.objects.get(provider_key="s3")
    assert (account.settings["endpoint"], account.number) == ("https://localhost:1", "localhost:1")


def test_load_goes_on_when_a_store_is_deleted_that_the_last_run_was_deleting(load, amazon, no_broker):
    load()
    settle()
    amazon.latency_ms = 100  # so that it is still at work when the second start looks
    try:
        stores.delete(Store.objects.get(name="orders-frankfurt"), by=None)
        lines = " ".join(load())
    finally:
        amazon.latency_ms = 0
    settle()
    assert not Store.objects.filter(name="orders-frankfurt").exists()
    assert "orders-frankfurt" not in lines  # nothing of it is made again
    assert "orders-ireland: the emulator forgot" in lines


@pytest.mark.parametrize("model", [Store, Cluster])
def test_wait_is_over_when_the_subject_is_deleted_meanwhile(model, transactional_db, monkeypatch):
    account = factories.account(factories.organisation())
    cluster = Cluster.objects.create(organisation=account.organisation, cloud_account=account, name="orders")
    subject = factories.store(account) if model is Store else cluster
    model.objects.filter(pk=subject.pk).update(state="deleting")
    subject.refresh_from_db()
    monkeypatch.setattr(sample.time, "sleep", lambda seconds: model.objects.filter(pk=subject.pk).delete())
    assert list(sample._wait([subject])) == []


def test_heal_leaves_alone_what_something_else_works_on(transactional_db, no_broker):
    account = factories.account(factories.organisation())
    store = factories.store(account)
    cluster = clusters.create(account, name="ledger", regions=["eu-west-1"], stores=[store], by=None)
    Cluster.objects.update(state="available")  # as one whose task was begun after it was looked at
    Operation.objects.create(
        organisation=account.organisation,
        subject_kind="store",
        subject_id=store.pk,
        subject_name=store.name,
        verb="delete",
        title="Delete Backup Store",
    )
    assert list(sample._heal()) == []
    assert not Operation.objects.exclude(verb__in=("create", "delete")).exists()
    assert cluster.attachments.exists()
