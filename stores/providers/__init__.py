"""The clouds and servers that stores can be on, by key."""

from .aws import AWS
from .azure import AZURE
from .google import GOOGLE
from .s3_compatible import S3_COMPATIBLE

PROVIDERS = {p.key: p for p in (AWS, AZURE, GOOGLE, S3_COMPATIBLE)}
