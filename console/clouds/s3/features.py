"""What an S3-compatible server was found to have, to lack, and to claim without doing it; and what each of these means.

The account's settings keep it, as the probe wrote it down (`session`): nobody is asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.clouds.contract import Capabilities, Feature
from console.clouds.naming import listed, lower_first
from console.clouds.s3.access import USERS
from console.clouds.s3.session import breaks, claims, has
from console.clouds.s3api.settings import BLOCKS, CLOSED
from console.clouds.specs import AccountRef


@dataclass(frozen=True)
class Wish:
    """Something that a store would like of its server."""

    name: str  # as the account's settings list it
    label: str
    without: str  # what it means not to have it
    claimed: str = ""  # what it means that the server keeps it, and does not do it


REFUSED = (
    "The server keeps it, and then refuses what a backup does: write, read, list or delete. So stores are made without "
    "it."
)
TLS_REFUSED = (
    "The server takes the console's own TLS for plain HTTP, as behind a proxy that ends the TLS, and would refuse "
    "everybody. So stores have no such policy: if the server also listens for plain HTTP, backups may be sent "
    "unencrypted. Have the proxy refuse plain HTTP."
)
WISHES = (
    Wish(
        "access_logging",
        "Access logging",
        "Who read or changed backups is not recorded; the log bucket stays empty.",
    ),
    Wish(
        "bucket_policy",
        "TLS-only policy",
        "If the server also listens for plain HTTP, backups may be sent unencrypted.",
        "The server keeps the policy, and answers plain HTTP all the same: backups may be sent unencrypted. Close its "
        "port for plain HTTP.",
    ),
    Wish(
        "upload_expiry",
        "Expiry of unfinished uploads",
        "What an interrupted backup has half uploaded takes up room until somebody deletes it.",
    ),
    Wish("log_expiry", "Expiry of objects", "Access logs, where there are any, stay until somebody deletes them."),
    Wish(
        "public_access_block",
        "Public access block",
        "Nothing stops an administrator of the server from opening a bucket to everybody by mistake.",
    ),
    Wish("ownership", "ACLs off", "An ACL that somebody sets on an object can open it to others."),
    Wish(
        "versioning",
        "Versioning",
        "What is deleted or overwritten is gone at once: there are no protected stores.",
        "The server says that it keeps versions, and gives none: what is deleted or overwritten is gone at once, so "
        "there are no protected stores.",
    ),
    Wish(
        "version_expiry",
        "Expiry of older versions",
        "Older versions would take up room for ever: there are no protected stores.",
    ),
    Wish(
        "object_lock",
        "Object Lock",
        "Protected stores keep versions, and who may delete versions on the server can still delete those.",
    ),
    Wish(
        "tags", "Bucket tags", "Whose a bucket is, only its name tells; of one that was there before, an object in it."
    ),
    Wish(
        USERS,
        "IAM users",
        "The access keys of the nodes have to be made by hand, with the policy that is shown.",
    ),
    Wish(
        "deletion_guard",
        "Refusal to delete what is not empty",
        "The server would delete a bucket with what is in it: the console closes it to writers and counts again.",
    ),
)


def capabilities(account: AccountRef) -> Capabilities:
    """Return what can be done with the server, as it was found to be."""
    versions = has(account, "versioning") and has(account, "version_expiry")
    return Capabilities(
        versions=versions,
        lock=versions and has(account, "object_lock"),
        access_logs=has(account, "access_logging"),
        node_key_by_hand=not has(account, USERS),
        features=features(account),
    )


def features(account: AccountRef) -> list[Feature]:
    """Return what the server was found to have, to lack, and to claim without doing it."""
    return [_feature(account, one) for one in WISHES]


def _feature(account: AccountRef, wish: Wish) -> Feature:
    left_out = [part for part in BLOCKS if wish.name == "public_access_block" and breaks(account, part)]
    if breaks(account, wish.name):
        cost = TLS_REFUSED if wish.name == "bucket_policy" else f"{REFUSED} {wish.without}"
        return Feature(wish.label, "claims", cost)
    if left_out:
        words = listed(tuple(f"{BLOCKS[part]} ({part})" for part in left_out))
        return Feature(
            wish.label,
            "claims",
            f"While it blocks {words}, the server refuses what a backup does: write, read, list or delete. So stores "
            f"are made without {'that part' if len(left_out) == 1 else 'these parts'}: what it would stop, somebody "
            "can still do by mistake. Its other parts are in force.",
        )
    if claims(account, wish.name):
        return Feature(wish.label, "claims", wish.claimed or wish.without)
    if not (expires_logs(account) if wish.name == "log_expiry" else has(account, wish.name)):
        return Feature(wish.label, "lacks", wish.without)
    return Feature(wish.label, "has", "", _remark(account, wish.name))


def _remark(account: AccountRef, name: str) -> str:
    if name != "bucket_policy" or "plain" not in account.settings:
        return ""
    if account.settings["plain"]:
        return f"Tried at its port {account.settings['plain']}, which answers plain HTTP and was then refused."
    return "No port was found at which it answers plain HTTP, so only TLS was tried."


def expires_logs(account: AccountRef) -> bool:
    """Return whether objects expire; of an account that an older release verified, unfinished uploads tell."""
    return has(account, "log_expiry" if "claims" in account.settings else "upload_expiry")


def linked(account: AccountRef) -> str:
    """Return what was found, in one sentence or two."""
    found = features(account)
    lacking = tuple(_in_sentence(one.label) for one in found if one.outcome == "lacks")
    claimed = tuple(_in_sentence(one.label) for one in found if one.outcome == "claims")
    said = [f"The server lacks {listed(lacking)}."] if lacking else []
    if claimed:
        said.append(f"It claims {listed(claimed)}, and does not do it as a store needs it.")
    return " ".join(said) or "The server has all that a store uses."


def _in_sentence(label: str) -> str:
    return label if label == "Object Lock" else lower_first(label)  # which is a name


def closed(account: AccountRef) -> dict[str, bool]:
    """Return the public access block that a bucket gets: all parts, but those with which a store does not work."""
    off = breaks(account, "public_access_block")
    return {part: not (off or breaks(account, part)) for part in CLOSED}


def is_closed(wanted: Mapping[str, bool], observed: Mapping[str, Any] | None) -> bool:
    """Return whether these parts are on and off as they should be; none at all is all off."""
    return all(bool((observed or {}).get(part)) is on for part, on in wanted.items())
