"""What every cloud must offer, and what a step gets to work with. Imports no Django and no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from console.operations.plan import Plan
from console.regions import Region


@dataclass(frozen=True)
class Account:
    """A linked cloud account as its provider needs it; `secrets` never leaves this object."""

    id: UUID
    number: str  # AWS: the 12-digit account ID; S3-compatible: the server's host, with its port if that is not 443
    partition: str  # AWS: aws, aws-cn, aws-us-gov, aws-eusc; S3-compatible: nothing
    settings: Mapping[str, str]  # AWS: role_arn and external_id, or access_key_id; S3-compatible: see s3_server.py
    secrets: Mapping[str, str]  # secret_access_key, or nothing

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
    # The nodes' own key, as an earlier step gave it to the console to keep (`Made.keep`); empty with role-based access.
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Identity:
    """Who the cloud says we are: read from it, never typed."""

    number: str
    partition: str
    arn: str = ""
    found: Mapping[str, str] = field(default_factory=dict)  # what the account's settings shall say from now on


@dataclass(frozen=True)
class Fact:
    """An exact value about an account, with its label."""

    label: str
    value: str
    more: bool = True  # shown with the other details, not at first sight
    warning: bool = False


@dataclass(frozen=True)
class Capability:
    """Something that a store would like of its server, whether this server has it, and what that means if not."""

    label: str
    has: bool
    without: str


Outcome = Literal["pass", "fail", "unknown"]


@dataclass(frozen=True)
class Check:
    """Something that the plans need of an account, whether it is there, and what breaks without it."""

    label: str  # a permission, a region, a control of the server
    on: str  # what of: the ARN that a policy names, the region's place
    outcome: Outcome
    without: str  # what breaks
    why: str = ""  # the reason for the outcome, where there is more to say
    statement: str = ""  # JSON of the policy statement that would mend it
    regions: Sequence[str] = ()  # those that the line is about; none: all
    required: bool = True  # the plans fail without it, or stop half-way


@dataclass(frozen=True)
class Document:
    """A file that an administrator sets up the console's access with."""

    filename: str
    label: str
    text: str
    hint: str  # what it is for
    command: str = ""  # what to run with it


@dataclass(frozen=True)
class Repository:
    """A store as pgBackRest's configuration names it: options without their `repoN-`, in the order of the file."""

    options: tuple[tuple[str, str], ...]
    secret: frozenset[str] = frozenset()  # names of those options that only a member who has just signed in may read
    ca_certificate: str = ""  # PEM, if the server's certificate is not one that every system trusts


@dataclass(frozen=True)
class Entry:
    """An object in a bucket."""

    key: str
    size: int  # bytes
    modified: datetime


class Objects(Protocol):
    """Reading what is in a backup bucket; whatever goes wrong leaves as a StepError."""

    def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix that ends in "/" and hold something, without that prefix."""

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Return the objects below a prefix, in the order of their keys, page by page as they are asked for."""

    def read(self, key: str, at_most: int) -> bytes | None:
        """Return the object, or as much of it as `at_most` bytes; None when there is none."""


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
    regions: Callable[[Account], Sequence[Region]]  # where nodes of the account can be, by code
    store_regions: Callable[[Account], Sequence[Region]]  # where its stores can be made
    capabilities: Callable[[Account], Sequence[Capability]]  # what the server was found to have and to lack; () for all
    repository: Callable[[StoreSpec, AccessSpec], Repository]  # how a node of the cluster reaches the store
    objects: Callable[[StoreSpec], Objects]
    account_facts: Callable[[Account], Sequence[Fact]]  # what identifies the account, and how the console signs in
    store_facts: Callable[[StoreSpec], Sequence[tuple[str, str]]]  # label and exact value of what the store is
    linked: Callable[[Account], str]  # one sentence about the account that was just linked
    # What the plans need of the account, and of these regions in it; nothing is made there. Raises a StepError.
    preflight: Callable[[Account, Sequence[str]], Sequence[Check]]
    # How the console is given its access; the second argument is who the console is. Asks nobody, also before linking.
    documents: Callable[[Account, str], Sequence[Document]]
    # Whether the nodes' key has to be made by hand and given to the console, because the server makes none.
    takes_key: Callable[[Account], bool] = lambda account: False
    one_region: bool = False  # an account is one server in one place, so a store's region is never asked
