"""The clouds and servers that stores can be on, by key."""

from console.clouds.aws.storage import AWS
from console.clouds.azure.storage import AZURE
from console.clouds.google.storage import GOOGLE
from console.clouds.s3.storage import S3_COMPATIBLE

CLOUDS = {p.key: p for p in (AWS, AZURE, GOOGLE, S3_COMPATIBLE)}
