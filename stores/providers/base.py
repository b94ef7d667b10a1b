"""What every cloud must offer, and what a step gets to work with. Imports no Django and no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from console.operations.plan import Plan


@dataclass(frozen=True)
class Account:
    """A linked cloud account as its provider needs it; `secrets` never leaves this object."""

    id: UUID
    number: str  # AWS: the 12-digit account ID
    partition: str  # AWS: aws, aws-cn, aws-us-gov, aws-eusc
    settings: Mapping[str, str]  # AWS: role_arn and external_id, or access_key_id
    secrets: Mapping[str, str]  # AWS: secret_access_key, or nothing

    def __repr__(self) -> str:
        """Return the account without its secrets, since tracebacks and logs print this."""
        return f"Account({self.number}, {self.partition})"


@dataclass(frozen=True)
class StoreSpec:
    """A backup store as its provider needs it; both names were in the database before the first call."""

    id: UUID
    name: str
    account: Account
    region: str
    bucket: str
    log_bucket: str
    complete: bool = False  # its creation was finished once, so both buckets are its own even where a tag was lost


@dataclass(frozen=True)
class Identity:
    """Who the cloud says we are: read from it, never typed."""

    number: str
    partition: str
    arn: str


class LinkError(Exception):
    """The account cannot be used with what was given; `field` is the form field to say it beside, or ''."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Provider:
    """One cloud: its words, and its functions. Adding a cloud is adding one of these to PROVIDERS."""

    key: str
    label: str
    service: str
    provision: Plan  # steps that create both buckets of a StoreSpec
    remove: Plan  # steps that delete both, never an object of the backup bucket
    identify: Callable[[Account], Identity]  # asks the cloud; raises LinkError
    # Store ID, region code, account number: (bucket, log bucket).
    bucket_names: Callable[[UUID, str, str], tuple[str, str]]
    bucket_arn: Callable[[str, str], str]  # bucket name, partition: its ARN
