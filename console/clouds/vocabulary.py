"""The words of a cloud, for sentences that all clouds share."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What a cloud calls things, as in the middle of a sentence; a plural has an s more."""

    bucket: str = "bucket"  # Azure: storage account
    account: str = "account"  # Azure: subscription; Google: project
    within: str = "in"  # what is in an account is on a server
    number: str = "account ID"  # Azure: subscription ID; Google: project ID
    name: str = "AWS"  # the cloud as the subject of a sentence: "The server"
    here: str = "in this account"  # where a store's buckets are: "in this resource group"
    at: str = "in AWS"  # where an administrator goes to change something by hand
    tag: str = "tag"  # Google: label
    owner_tag: str = "storekeeper:store-id"  # the name of the tag that says whose a bucket is
