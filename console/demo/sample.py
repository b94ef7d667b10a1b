"""The demo's sample data: people, linked accounts, stores and clusters, all made by the product's own actions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import boto3
from botocore.exceptions import ClientError
from django.contrib.auth.models import Group
from django.core.exceptions import ObjectDoesNotExist
from django.db.models.functions import Now

from clusters import actions as clusters
from clusters import enrolment
from clusters.drills import actions as drills
from clusters.models import Cluster, Database, Drill
from console.accounts.models import Membership, Organisation, User
from console.accounts.permissions import SUPPORT
from console.cloud_accounts import actions as accounts
from console.cloud_accounts.models import CloudAccount
from console.clouds import CLOUDS
from console.clouds.aws.boundary import BOUNDARY, boundary
from console.clouds.aws.session import statements, trust_policy
from console.operations.actions import NotNow, retry
from console.operations.models import Operation
from console.operations.tasks import run_operation
from stores import actions as stores
from stores.models import DriftReport, State, Store

ACME, OTHER, DEVELOPER = "Acme Retail", "Globex Logistics", "Initech Labs"
ROLE_NAME = "storekeeper"
STORES = {"orders-ireland": "eu-west-1", "orders-oregon": "us-west-2", "orders-frankfurt": "eu-central-1"}
ATTACHED = ("orders-ireland", "orders-oregon")  # the third is what the map recommends
CLUSTER, NODES, DATA_DIRECTORY = "orders", ("eu-west-1", "us-west-2", "eu-central-1"), "/var/lib/postgresql/17/main"
CHECK = "SELECT count(*) > 0 FROM pg_class => t"  # of a restored copy
# Beside Amazon: a server that keeps what real nodes write, and a cluster that is Debian 12's own, to follow by hand.
SERVER, SERVER_STORE, SERVER_PLACE = "Acme datacentre", "ledger-frankfurt", "frankfurt"
SERVER_CLUSTER, SERVER_DATABASE = "ledger", {"version": "15", "data_directory": "/var/lib/postgresql/15/main"}
SERVER_PGBACKREST = "2.45"
# And a project at Google, emulated, whose nodes get a key file.
PROJECT, PROJECT_STORE, PROJECT_CLUSTER, PROJECT_REGION = "Acme analytics", "events-belgium", "events", "europe-west1"
AZURE, AZURE_STORE, AZURE_CLUSTER, AZURE_REGION = "Acme on Azure", "invoices-amsterdam", "invoices", "westeurope"
MEMBERS = (  # key in demo.json, first name, last name, organisation, role
    ("owner", "Olivia", "Owens", ACME, Membership.Role.OWNER),
    ("admin", "Adam", "Ames", ACME, Membership.Role.ADMIN),
    ("owner", "Olivia", "Owens", OTHER, Membership.Role.VIEWER),  # so that switching can be tried
    ("auditor", "Audrey", "Archer", ACME, Membership.Role.AUDITOR),
    ("viewer", "Vera", "Vance", ACME, Membership.Role.VIEWER),
    ("stranger", "Sam", "Stone", OTHER, Membership.Role.ADMIN),
    ("developer", "Dora", "Dean", DEVELOPER, Membership.Role.OWNER),
)
WAIT_SECONDS = 60


def load(demo: dict[str, Any]) -> Iterator[str]:
    """Make what is missing of the sample data; yields a line for each thing that a newcomer should know."""
    organisations = {
        name: Organisation.objects.get_or_create(name=name, defaults=defaults)[0]
        for name, defaults in (
            # support has raised the limits of this one
            (ACME, {"edition": "enterprise", "stores_at_most": 1_000, "operations_at_once": 16}),
            (OTHER, {"edition": "enterprise"}),
            (DEVELOPER, {"edition": "developer"}),
        )
    }
    for key, first, last, organisation, role in MEMBERS:
        user = _user(demo[key], first_name=first, last_name=last)
        Membership.objects.get_or_create(user=user, organisation=organisations[organisation], defaults={"role": role})
    support = _user(demo["support"], first_name="Sue", last_name="Summers", is_staff=True)
    support.groups.add(Group.objects.get(name=SUPPORT))

    owner = User.objects.get(username=demo["owner"]["username"])
    yield from _amazon(organisations[ACME], demo["aws"], owner)
    yield from _server(organisations[ACME], demo["s3"], owner)
    yield from _google(organisations[ACME], demo["google"], owner)
    if "azure" in demo:
        yield from _azure(organisations[ACME], demo["azure"], owner)


def _amazon(acme: Organisation, aws: dict[str, str], owner: User) -> Iterator[str]:
    """Make the AWS account with its stores and cluster, or what the emulator has forgotten of them."""
    account = CloudAccount.objects.filter(organisation=acme, provider_key="aws").order_by("created_at").first()
    external_id = account.settings.get("external_id", "") if account else str(uuid4())
    if external_id:
        role_arn = _role(aws, external_id)
    if account:
        yield from _heal()
        return
    settings = {"role_arn": role_arn, "external_id": external_id}
    account = accounts.link(acme, provider="aws", name="Acme production", settings=settings, secrets={}, by=None)
    made = [stores.create(account, name=name, region=region, by=owner) for name, region in STORES.items()]
    yield from _wait(made)
    attached = [store for store in made if store.state == State.AVAILABLE and store.name in ATTACHED]
    cluster = _cluster(account, name=CLUSTER, regions=NODES, stores=attached, by=owner)
    Database.objects.create(cluster=cluster, name="orders", version="17", data_directory=DATA_DIRECTORY)
    yield from _wait([cluster])
    begun, _ = enrolment.begin(acme, nodes=list(cluster.nodes.all()), hostnames={}, hours=1, by=owner)
    drills.save(Drill(cluster=cluster, schedule="0 3 * * 0", machine="drills-1", checks=CHECK), by=owner)
    enrolment.revoke(begun, by=owner)  # its page is there to look at, and nobody has its token


def _server(acme: Organisation, server: dict[str, str], owner: User) -> Iterator[str]:
    """Link the object server and make its store and cluster; all of that stays, and follows when the server moves."""
    endpoint = server["endpoint"]
    account = CloudAccount.objects.filter(organisation=acme, provider_key="s3").order_by("created_at").first()
    if account:
        if account.name == SERVER and account.settings["endpoint"] != endpoint:
            account.settings["endpoint"], account.number = endpoint, urlsplit(endpoint).netloc
            account.save(update_fields=["settings", "number"])
            yield f"  {'account':<17} {account.name}: its port was taken, it is at {endpoint} now"
        return
    settings = {
        "endpoint": endpoint,
        "region": server["region"],
        "location": SERVER_PLACE,
        "addressing_style": "path",
        "ca_certificate": Path(server["ca_certificate"]).read_text(),
        "access_key_id": server["access_key_id"],
    }
    key = {"secret_access_key": server["secret_access_key"]}
    account = accounts.link(acme, provider="s3", name=SERVER, settings=settings, secrets=key, by=None)
    store = stores.create(account, name=SERVER_STORE, region=server["region"], by=owner)
    yield from _wait([store])
    attached = [store] if store.state == State.AVAILABLE else []
    cluster = _cluster(account, name=SERVER_CLUSTER, regions=[server["region"]], stores=attached, by=owner)
    cluster.nodes.update(pgbackrest_version=SERVER_PGBACKREST)
    Database.objects.create(cluster=cluster, name="ledger", **SERVER_DATABASE)
    yield from _wait([cluster])


def _google(acme: Organisation, google: dict[str, str], owner: User) -> Iterator[str]:
    """Link the emulated Google project and make its store and cluster; the emulator keeps all of that."""
    if CloudAccount.objects.filter(organisation=acme, provider_key="google").exists():
        return
    given = {"method": "key", "project_id": google["project"], "node_access": "key"}
    key = next(field for field in CLOUDS["google"].linking.fields if field.name == "key")
    secrets = {"key": key.clean(Path(google["key_file"]).read_text())}
    account = accounts.link(acme, provider="google", name=PROJECT, settings=given, secrets=secrets, by=None)
    store = stores.create(account, name=PROJECT_STORE, region=PROJECT_REGION, by=owner)
    yield from _wait([store])
    attached = [store] if store.state == State.AVAILABLE else []
    cluster = _cluster(account, name=PROJECT_CLUSTER, regions=[PROJECT_REGION], stores=attached, by=owner)
    Database.objects.create(cluster=cluster, name="events", version="17", data_directory=DATA_DIRECTORY)
    yield from _wait([cluster])


def _azure(acme: Organisation, azure: dict[str, str], owner: User) -> Iterator[str]:
    """Link the emulated Azure and make its store and cluster; it keeps them, as the server does."""
    if CloudAccount.objects.filter(organisation=acme, provider_key="azure").exists():
        return
    settings = {name: azure[name] for name in ("tenant_id", "subscription_id", "resource_group", "client_id")}
    settings |= {"method": "secret", "node_access": "sas"}  # which Debian's pgBackRest can do, too
    key = {"client_secret": azure["client_secret"]}
    account = accounts.link(acme, provider="azure", name=AZURE, settings=settings, secrets=key, by=None)
    store = stores.create(account, name=AZURE_STORE, region=AZURE_REGION, by=owner)
    yield from _wait([store])
    attached = [store] if store.state == State.AVAILABLE else []
    cluster = _cluster(account, name=AZURE_CLUSTER, regions=[AZURE_REGION], stores=attached, by=owner)
    cluster.nodes.update(pgbackrest_version=SERVER_PGBACKREST)
    Database.objects.create(cluster=cluster, name="invoices", **SERVER_DATABASE)
    yield from _wait([cluster])


def _cluster(account: CloudAccount, *, stores: list[Store], **values: Any) -> Cluster:
    """Make a cluster with these stores, or with none if somebody has begun to delete one of them meanwhile."""
    try:
        return clusters.create(account, stores=stores, **values)
    except clusters.NotAttachable:
        return clusters.create(account, stores=[], **values)


def _user(person: dict[str, str], **values: Any) -> User:
    user, made = User.objects.get_or_create(username=person["username"], defaults=values)
    if made:
        user.set_password(person["password"])
        user.save()
    return user


def _role(aws: dict[str, str], external_id: str) -> str:
    """Make the role that the linked account trusts the console with, as an administrator would; return its ARN."""
    iam = boto3.client(
        "iam",
        endpoint_url=aws["endpoint"],
        region_name="us-east-1",
        aws_access_key_id=aws["access_key_id"],
        aws_secret_access_key=aws["secret_access_key"],
    )
    trust = trust_policy(external_id, f"arn:aws:iam::{aws['account_id']}:root")
    try:
        iam.create_role(RoleName=ROLE_NAME, AssumeRolePolicyDocument=json.dumps(trust))
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise
    bounds = json.dumps(boundary(aws["account_id"]))
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_policy(PolicyName=BOUNDARY, PolicyDocument=bounds)
    policy = json.dumps(statements(aws["account_id"]))
    iam.put_role_policy(RoleName=ROLE_NAME, PolicyName="storekeeper", PolicyDocument=policy)
    return f"arn:aws:iam::{aws['account_id']}:role/{ROLE_NAME}"


def _wait(made: Sequence[Store | Cluster]) -> Iterator[str]:
    """Wait until the worker has made them, so that a newcomer finds them available; leaves out what is deleted."""
    until = time.monotonic() + WAIT_SECONDS
    for one in made:
        is_there = True
        while is_there and one.is_busy and time.monotonic() < until:
            time.sleep(0.1)
            is_there = _look_again(one)
        if is_there:
            region = one.cloud_account.region(one.region) if isinstance(one, Store) else None
            where = f" in {region.place}" if region else ""
            yield f"  {one.kind():<17} {one.name}{where}: {one.get_state_display().lower()}"


def _look_again(subject: Store | Cluster) -> bool:
    """Read it anew; False when it is gone: a worker ends what the last run was deleting."""
    try:
        subject.refresh_from_db()
    except ObjectDoesNotExist:
        return False
    return True


def _take_up() -> None:
    """Have the worker go on with what the last run left: its own worker is gone, whatever its leases say."""
    left = Operation.objects.unfinished()
    left.update(due_at=Now())
    for pk in left.values_list("pk", flat=True):
        run_operation.delay(str(pk))


def _heal() -> Iterator[str]:
    """Have made again what an emulator that was started anew has forgotten: buckets, and the nodes' role."""
    mine = Store.objects.filter(cloud_account__provider_key="aws").order_by("created_at")
    used = Cluster.objects.filter(cloud_account__provider_key="aws", attachments__isnull=False).distinct()
    _take_up()
    DriftReport.objects.filter(store__in=mine).delete()  # what was seen of buckets that are no more
    for _ in _wait([*mine, *used]):  # what the last run left unfinished fails now, if the role was not there yet
        pass
    for store in mine.select_related("operation"):
        if _begin_again(store, "repair", stores.repair):
            told = "the emulator forgot its buckets, they are made again (without objects)"
            yield f"  {'store':<17} {store.name}: {told}"
    for cluster in used.select_related("operation"):
        if _begin_again(cluster, "update", clusters.repair):
            yield f"  {'cluster':<17} {cluster.name}: the emulator forgot its nodes' role, it is made again"


def _begin_again(subject: Store | Cluster, verb: str, repair: Callable[..., None]) -> bool:
    """Have what failed tried again, or what is there repaired; False when something else works on it."""
    with suppress(NotNow):
        if subject.can_retry:
            retry(subject, by=None)
            return True
        if subject.may(verb):
            repair(subject, by=None)
            return True
    return False
