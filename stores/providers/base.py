"""What every cloud must offer, and what a step gets to work with. Imports no Django and no model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
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
class AccessSpec:
    """What the nodes of one cluster may use, in one account: their own folder in each of these buckets."""

    id: UUID  # the cluster's
    name: str
    account: Account
    prefix: str  # the cluster's own folder in each bucket, such as c-k3v9x2m7q4ta
    buckets: tuple[str, ...]  # the backup buckets of the attached stores, in a stable order


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
    grant: Plan  # steps on an AccessSpec, whose nodes may then use exactly its buckets
    revoke: Plan  # no store is left: every permission is taken back, what carries them stays
    dismiss: Plan  # what carries the permissions is deleted too
    access_facts: Callable[[AccessSpec], list[tuple[str, str]]]  # label and exact value, for whoever starts nodes
    access_policy: Callable[[AccessSpec], dict[str, Any]]  # the policy document that the nodes get
    access_refusal: Callable[[AccessSpec], str]  # why so many stores do not fit, in one sentence; "" when they do
