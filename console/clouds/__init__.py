"""The clouds and servers that stores can be on, by key."""

from .aws import AWS
from .azure import AZURE
from .google import GOOGLE
from .s3 import S3_COMPATIBLE

CLOUDS = {cloud.key: cloud for cloud in (AWS, AZURE, GOOGLE, S3_COMPATIBLE)}
