"""Rows for tests, each with the least that is valid."""

from __future__ import annotations

from uuid import uuid4

from django.contrib.auth.models import Group
from django.utils import timezone

from console.accounts.models import Membership, Organisation, User
from console.accounts.permissions import SUPPORT
from console.cloud_accounts.models import CloudAccount
from console.clouds.proof import FOUND
from console.demo.emulators.aws.emulator import Emulator
from console.operations.models import Operation
from stores.models import State, Store


def organisation(name="Acme", edition="enterprise"):
    return Organisation.objects.create(name=name, edition=edition)


def user(username, organisation=None, role="owner", **values):
    person = User.objects.create_user(username, password="secret", **values)
    if organisation:
        Membership.objects.create(user=person, organisation=organisation, role=role)
    return person


def support(username="sue"):
    """A member of staff in the Support group."""
    person = user(username, is_staff=True)
    person.groups.add(Group.objects.get(name=SUPPORT))
    return person


def account(organisation, name="prod", **values):
    return CloudAccount.objects.create(
        **{
            "organisation": organisation,
            "name": name,
            "provider_key": "aws",
            "number": Emulator.account_id,
            "partition": "aws",
            "settings": {"access_key_id": Emulator.access_key_id},
            "secrets": {"secret_access_key": Emulator.secret_access_key},
            **values,
        }
    )


def server(organisation, name="cellar", **settings):
    """A linked S3-compatible server; nothing answers there."""
    return account(
        organisation,
        name=name,
        provider_key="s3",
        number="s3.example.com:9000",
        partition="",
        settings={
            "endpoint": "https://s3.example.com:9000",
            "region": "us-east-1",
            "location": "dublin",
            "addressing_style": "path",
            "ca_certificate": "",
            "access_key_id": "KEY",
            "has": "bucket_policy iam_users ownership tags upload_expiry version_expiry versioning",
            **settings,
        },
    )


def azure(organisation, name="contoso", **settings):
    """A linked Azure subscription; nothing answers there."""
    return account(
        organisation,
        name=name,
        provider_key="azure",
        number="0b1f6471-1bf0-4dda-aec3-111122223333",
        partition="",
        settings={
            "method": "secret",
            "tenant_id": "72f988bf-86f1-41af-91ab-2d7cd011db47",
            "client_id": "11112222-bbbb-3333-cccc-4444dddd5555",
            "subscription_id": "0b1f6471-1bf0-4dda-aec3-111122223333",
            "resource_group": "backups",
            "node_access": "sas",
            **settings,
        },
        secrets={"client_secret": "secret-of-an-application"},
    )


def google(organisation, name="analytics", **settings):
    """A linked Google project; nothing answers there."""
    return account(
        organisation,
        name=name,
        provider_key="google",
        number="acme-analytics",
        partition="",
        settings={
            "method": "federation",
            "project_id": "acme-analytics",
            "workload_provider": "projects/1/locations/global/workloadIdentityPools/pool/providers/own",
            "service_account": "storekeeper@acme-analytics.iam.gserviceaccount.com",
            "client_email": "storekeeper@acme-analytics.iam.gserviceaccount.com",
            "node_access": "key",
            "external_id": "8c1f-own",
            FOUND: "8c1f-own",
            **settings,
        },
        secrets={},
    )


def store(account, name="orders", state=State.AVAILABLE, **values):
    """A store as the database knows it; nothing is made in the cloud."""
    pk = uuid4()
    region = values.pop("region", "eu-west-1")
    bucket, log_bucket = account.cloud.storage.names(pk, region, account.number)
    return Store.objects.create(
        **{
            "id": pk,
            "organisation": account.organisation,
            "cloud_account": account,
            "name": name,
            "region": region,
            "bucket": bucket,
            "log_bucket": log_bucket,
            "state": state,
            **values,
        }
    )


def failed_store(account, name="orders", error="AWS refused it.", details=None):
    """A store whose creation failed."""
    failed = store(account, name=name, state=State.FAILED)
    failed.operation = Operation.objects.create(
        organisation=account.organisation,
        subject_kind="store",
        subject_id=failed.pk,
        subject_name=name,
        verb="create",
        title="Create Backup Store",
        state="failed",
        error=error,
        details=details or {},
        finished_at=timezone.now(),
    )
    failed.save(update_fields=["operation"])
    return failed
