"""What a cloud is told: of an account, of a store, and of what the nodes of a cluster may use. No Django, no model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from uuid import UUID

from console.clouds.existing import TakenOver


@dataclass(frozen=True)
class DeploymentSettings:
    """What whoever runs the console has set for all linked accounts of one cloud."""

    # Names, addresses and networks that are not public, and that linked servers may be at.
    endpoints_allowed: tuple[str, ...] = ()
    endpoint_url: str = ""  # where an emulator stands in for the cloud, over TLS; nothing: the cloud itself
    ca_file: str = ""  # of the authority that signed the emulator's certificate
    token_file: str = ""  # holds a token of the console's own identity, which the cloud takes instead of a key
    principal: str = ""  # who the console is, for the policies that let it in


@dataclass(frozen=True)
class Place:
    """A bucket of which the console uses what it did not make: all of it, or repositories in it."""

    bucket: str
    is_existing: bool = False  # the bucket was there before; else only the repositories were
    repositories: tuple[str, ...] = ()  # their paths, without slashes at their ends; "": at the bucket's root


@dataclass(frozen=True)
class AccountRef:
    """A linked cloud account as its cloud needs it; `secrets` never leaves this object."""

    id: UUID
    # AWS: the 12-digit account ID; S3-compatible: the server's host, with its port if that is not 443; Azure: the
    # subscription ID; Google: the project ID.
    number: str
    partition: str  # AWS: aws, aws-cn, aws-us-gov, aws-eusc; elsewhere nothing
    settings: Mapping[str, str]  # what the fields of `Linking.fields` say, those that are no secrets; see each cloud
    secrets: Mapping[str, str]  # and those that are
    deployment: DeploymentSettings = DeploymentSettings()
    # What its permissions have to name beside our own buckets; known where those are shown and looked up, only.
    places: tuple[Place, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Return a digest of what the account signs in with, so that a changed key takes effect at once."""
        where = [self.deployment.endpoint_url, self.deployment.ca_file, self.deployment.token_file]
        given = json.dumps([dict(self.settings), dict(self.secrets), where], sort_keys=True)
        return hashlib.sha256(given.encode()).hexdigest()

    def __repr__(self) -> str:
        """Return the account without its secrets, since tracebacks and logs print this."""
        return f"Account({self.number}, {self.partition})"


@dataclass(frozen=True)
class StoreSpec:
    """A backup store as its cloud needs it; both names were in the database before the first call."""

    id: UUID
    name: str
    account: AccountRef
    region: str
    bucket: str
    log_bucket: str
    complete: bool = False  # its creation was finished once, so both buckets are its own even where a tag was lost
    versions_days: int = 0  # how long the backup bucket keeps what was overwritten or deleted; 0: not at all
    lock_days: int = 0  # how long nobody may delete what was written (Object Lock, governance); 0: no lock
    taken_over: TakenOver | None = None  # the backup bucket was there before; then `log_bucket` may be "": no logs


@dataclass(frozen=True)
class AccessSpec:
    """What the nodes of one cluster may use, in one account: their own folder in each of these buckets."""

    id: UUID  # the cluster's
    name: str
    account: AccountRef
    prefix: str  # the cluster's own folder in each bucket, such as c-k3v9x2m7q4ta
    buckets: tuple[str, ...]  # the backup buckets of the attached stores, in a stable order
    # The nodes' own key, as an earlier step gave it to the console to keep (`Made.keep`); empty with role-based access.
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    former: Mapping[str, str] = field(default_factory=dict, repr=False)  # the key that `keys` replaces, and still opens
    # Of a recovery identity, which is not the nodes' (`Recovery`): it reads until then, also versions, and no more. The
    # ID is its own.
    reads_until: datetime | None = None
    # Where in a bucket a repository is that was there before the cluster, by bucket; "": all of it.
    kept: Mapping[str, str] = field(default_factory=dict)

    def folders(self, bucket: str) -> tuple[str, ...]:
        """Return the folders of the bucket that they may use, without slashes at their ends; "" is all of it."""
        kept = self.kept.get(bucket)
        return (self.prefix,) if kept is None else ("",) if not kept else (self.prefix, kept)

    @property
    def label(self) -> str:
        """Return what the name of all that carries the permissions ends in: at most 25 characters."""
        return f"{self.prefix}-r{self.id.hex[-8:]}" if self.reads_until else self.prefix

    @property
    def ends(self) -> str:
        """Return when a recovery identity ends, as policies of every cloud write it."""
        return f"{self.reads_until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if self.reads_until else ""
