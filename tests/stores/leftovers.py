"""Buckets that belong to no store, as tests make them and look for them."""

from __future__ import annotations

from console.operations import snapshots
from stores import actions, unmanaged
from stores.models import Store, UnmanagedScan


def lose(store):
    """Take the row away, as a database that was restored from before the store lacks it."""
    Store.objects.filter(pk=store.pk).delete()
    return store


def make_bucket(s3, name, region="eu-west-1", **tags):
    tagged = {"Tags": [{"Key": f"storekeeper:{key.replace('_', '-')}", "Value": value} for key, value in tags.items()]}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region, **(tagged if tags else {})})


def scan(account):
    """Do what a worker does when somebody asked for it."""
    actions.scan_for_unmanaged(account)
    kept = UnmanagedScan.objects.get(cloud_account=account)
    snapshots.read("scan", kept.pk)
    kept.refresh_from_db()
    return kept


def listed(user, organisation):
    account_scans = unmanaged.account_scans(user.memberships.get(organisation=organisation))
    return {
        one.bucket.name: one
        for account_scan in account_scans
        for one in (*account_scan.unmanaged, *account_scan.forgotten)
    }


def path(account, bucket, verb):
    return f"/stores/orphans/{account.pk}/{bucket}/{verb}/"
