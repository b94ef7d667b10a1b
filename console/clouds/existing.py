"""Buckets that were there before the console knew of them: found, shown to be somebody's, configured with care.

Such a bucket may be in use. So it is read before anything is written, keeps its policy's statements, its lifecycle
rules and its other tags, and is neither emptied nor deleted by anything here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

# Those of contract.py, which knows this module.
AccountRef: TypeAlias = Any
Control: TypeAlias = Any
Document: TypeAlias = Any
StoreSpec: TypeAlias = Any


@dataclass(frozen=True)
class TakenOver:
    """What a backup bucket had when it was brought in: plain data, by the key of the control that observes it."""

    found: Mapping[str, Any] = field(default_factory=dict)
    logs_named: bool = False  # its access logs go into a bucket of somebody else's, which is left as it is


@dataclass(frozen=True)
class FoundBucket:
    """A bucket as its cloud describes it, beside what the controls observe."""

    region: str  # its code
    created: str = ""  # ISO 8601
    versions_days: int = 0  # for how long it keeps what is overwritten or deleted; 0: not at all, or nobody can say
    lock_days: int = 0  # for how long nobody may delete what was written
    warnings: tuple[str, ...] = ()  # sentences that somebody has to read before he adds it


@dataclass(frozen=True)
class Proof:
    """What shows on a bucket whose it is, as in the middle of a sentence."""

    one: str  # tag
    all: str  # tags: that a store has there
    before: str  # what stands before the store's ID, such as storekeeper:store-id=
    hint: str = ""  # what somebody should know of it, in sentences


@dataclass(frozen=True, kw_only=True)
class ExistingBuckets:
    """How a cloud deals with buckets that were there before. Whatever goes wrong leaves as a StepError."""

    legal: str  # what a name has to match, whole: it goes into files that root runs
    legal_words: str  # that, in a sentence
    # What the account's administrator has: raises Failed with words to act on when the account has no such bucket.
    find: Callable[[AccountRef, str], FoundBucket]
    # The store ID in the backup bucket's tag, "" without one, None without a bucket. Nothing but the tag counts.
    owner: Callable[[StoreSpec], str | None]
    # A control of the backup bucket as it suits a bucket that others use: what was there stays beside what is wanted.
    adjusted: Callable[[StoreSpec, Control], Control]
    left_out: frozenset[str] = frozenset()  # keys of controls that are not for buckets which others may want to delete
    untag: Callable[[StoreSpec], None]  # takes the store's tags off, and no other
    stop_logging: Callable[[StoreSpec], None]  # ends the logging into the store's own log bucket, and no other
    # The command that gives the bucket the store's tags, beside those that were found.
    tag_command: Callable[[StoreSpec, Mapping[str, str]], str]
    # What shows whose a bucket is in an account where that is no tag.
    other_proof: Callable[[AccountRef], Proof | None] = lambda account: None
    # What an administrator adds to the console's permissions for a bucket that is not named like ours; often nothing.
    needs: Callable[[AccountRef, str], Sequence[Document]] = lambda account, bucket: ()
    # What lets the console read the lists of a repository that it did not make, by account, bucket and path, in
    # sentences; "" where a linked account may do it already.
    lists_need: Callable[[AccountRef, str, str], str] = lambda account, bucket, path: ""
