"""The clouds that stores can be on, by key, and those that are to come."""

from .aws import AWS

PROVIDERS = {p.key: p for p in (AWS,)}

# Key, label and service of clouds whose tiles say that they are not available yet.
PLANNED = (
    ("azure", "Azure", "Azure Storage"),
    ("google", "Google", "Google Cloud Storage"),
    ("s3", "S3-compatible", "MinIO, Ceph, SeaweedFS …"),
)
