"""The clouds and servers that stores can be on, by key, and those that are to come."""

from .aws import AWS
from .s3_compatible import S3_COMPATIBLE

PROVIDERS = {p.key: p for p in (AWS, S3_COMPATIBLE)}

# Key, label and service of clouds whose tiles say that they are not available yet.
PLANNED = (
    ("azure", "Azure", "Azure Storage"),
    ("google", "Google", "Google Cloud Storage"),
)
