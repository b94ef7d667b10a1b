"""What workers do, and what an administrator does in the cloud, while a copy is compared with it."""

from __future__ import annotations

import json
from datetime import timedelta

import boto3
from django.utils import timezone

from clusters.models import Cluster
from clusters.node_setup import node_setups
from console.clouds.aws.session import statements
from console.operations import snapshots
from console.operations.models import Operation
from stores.models import Store
from tests import factories
from tests.clusters.pgbackrest.repository_files import encrypted, info, row
from tests.delivery import deliver

LABEL = "20261122-140000F"


def client(amazon, service, region="eu-west-1"):
    return boto3.client(
        service,
        region_name=region,
        aws_access_key_id=amazon.access_key_id,
        aws_secret_access_key=amazon.secret_access_key,
    )


class Key:
    """A user of the account with the console's permissions, whose access key is replaced from time to time."""

    def __init__(self, amazon, account):
        self.iam = client(amazon, "iam", "us-east-1")
        self.iam.create_user(UserName="console")
        policy = json.dumps(statements(account.number, principal="user/console"))
        self.iam.put_user_policy(UserName="console", PolicyName="console", PolicyDocument=policy)
        self.id = ""

    def replace(self):
        """End the present one, and return the next one."""
        if self.id:
            self.iam.delete_access_key(UserName="console", AccessKeyId=self.id)
        made = self.iam.create_access_key(UserName="console")["AccessKey"]
        self.id = made["AccessKeyId"]
        return self.id, made["SecretAccessKey"]

    def give(self, account):
        """Have the account signed in to with the next one, as if somebody had changed it."""
        key, secret = self.replace()
        account.settings = {**account.settings, "access_key_id": key}
        account.secrets = {"secret_access_key": secret}
        account.save()


def run(operation_id):
    """Do what workers do with the operation, and return how it ended."""
    deliver(operation_id)
    return Operation.objects.get(pk=operation_id).state


def read_all():
    """Read all that is due, as workers do."""
    for label, pk in snapshots.due():
        snapshots.read(label, pk)


def back_up(amazon, repository, stanza, node="n1"):
    """Put a list of backups into the store, encrypted as the node would."""
    data = encrypted(info(row(LABEL)).encode(), repository.passphrase)
    key = f"{repository.prefix}/{node}/backup/{stanza}/backup.info"
    client(amazon, "s3", repository.region).put_object(Bucket=repository.bucket, Key=key, Body=data)


def setup_of(cluster, name="n1"):
    fresh = Cluster.objects.with_node_setup().get(pk=cluster.pk)
    return next(one for one in node_setups(fresh) if one.node.name == name)


def files_of(cluster, name="n1", *, report=True):
    """Return what the node's files hold, as the command prints them."""
    setup = setup_of(cluster, name)
    path = f"https://console.example.org/clusters/{cluster.pk}/nodes/{name}/applied/"
    return setup.configuration.render(secrets=True) + (setup.report(path).content if report else "")


def at_work(account, verb, state, name="orders", was="available"):
    """Return an operation that waits for a worker, on a store of its own."""
    yesterday = timezone.now() - timedelta(days=1)
    store = factories.store(account, name=name, state=state, created_at=yesterday)
    operation = Operation.objects.create(
        organisation=account.organisation,
        subject_kind="store",
        subject_id=store.pk,
        subject_name=store.name,
        subject_state_before=was,
        verb=verb,
        title=f"{verb.title()} Backup Store",
    )
    Store.objects.filter(pk=store.pk).update(operation=operation)
    return operation
