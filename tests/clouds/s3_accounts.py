"""Linked accounts of S3 servers, and stores on them, as a provider gets them."""

from __future__ import annotations

from uuid import uuid4

from console.clouds import CLOUDS
from console.clouds.specs import AccountRef, DeploymentSettings, StoreSpec

S3 = CLOUDS["s3"]
SEAWEED = "bucket_policy iam_users log_expiry object_lock ownership tags upload_expiry version_expiry versioning"
FOUND = {"has": SEAWEED, "claims": "", "breaks": "", "tls_condition": "Bool", "plain": ""}  # no port for plain HTTP
SECRET = "marked-secret-hunter2"
ALLOWED = ("127.0.0.0/8", "localhost")


def an_account(endpoint="https://s3.example.com", ca_certificate="", key="KEY", secret=SECRET, **settings):
    return AccountRef(
        uuid4(),
        endpoint.removeprefix("https://"),
        "",
        {
            "endpoint": endpoint,
            "region": "us-east-1",
            "location": "dublin",
            "addressing_style": "path",
            "ca_certificate": ca_certificate,
            "access_key_id": key,
            **FOUND,
            **settings,
        },
        {"secret_access_key": secret},
        DeploymentSettings(ALLOWED),
    )


def make_spec(account, complete=False):
    store_id = uuid4()
    return StoreSpec(store_id, "Orders (EU)", account, "us-east-1", *S3.storage.names(store_id, "", ""), complete)


def on(server, **settings):
    return an_account(
        **{
            "endpoint": server.endpoint,
            "ca_certificate": server.ca_certificate,
            "key": server.access_key_id,
            "secret": server.secret_access_key,
            **settings,
        }
    )
