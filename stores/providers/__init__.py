"""The clouds and servers that stores can be on, by key."""

from .aws import AWS
from .s3_compatible import S3_COMPATIBLE

PROVIDERS = {p.key: p for p in (AWS, S3_COMPATIBLE)}
