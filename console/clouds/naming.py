"""Our own names and tags, the same in every cloud. Knows no cloud and no library of one."""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from uuid import UUID

PREFIX = "pgbk-"  # of every bucket that the console makes
LOG_DAYS = 90  # how long access logs are kept
KEY_PART = re.compile(r"[!-~]{1,256}")  # an ID or a secret of a key: printable ASCII without a space, as in a header

# What is tagged with another store's, or another cluster's, ID is never touched.
STORE_TAG, NAME_TAG = "storekeeper:store-id", "storekeeper:store-name"
CLUSTER_TAG, CLUSTER_NAME_TAG = "storekeeper:cluster-id", "storekeeper:cluster-name"
OURS = {"storekeeper:managed-by": "storekeeper"}


def base32(data: bytes) -> str:
    """Return the data in small letters and the digits 2 to 7, which every cloud takes in a name."""
    return b32encode(data).decode().rstrip("=").lower()


def id_from(letters: str) -> str:
    """Return the ID that the base32 of all its bytes was made of."""
    return str(UUID(bytes=b32decode(letters.upper() + "======")))


def tag_value(text: str) -> str:
    """Return the text in the characters and the length that tags allow (S3 user guide, "Object tags"; IAM's too)."""
    return "".join(c if c.isalnum() or c in " +-=._:/@" else "_" for c in text).strip()[:256]


def store_tags(store_id: UUID, name: str) -> dict[str, str]:
    """Return the tags of what belongs to a store."""
    return {STORE_TAG: str(store_id), NAME_TAG: tag_value(name), **OURS}


def cluster_tags(cluster_id: UUID, name: str) -> dict[str, str]:
    """Return the tags of what gives a cluster's nodes their access."""
    return {CLUSTER_TAG: str(cluster_id), CLUSTER_NAME_TAG: tag_value(name), **OURS}


def listed(parts: tuple[str, ...]) -> str:
    """Return the parts as a sentence lists them: "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def lower_first(label: str) -> str:
    """Return a label as in the middle of a sentence; an abbreviation and a name (Object Lock) keep their capitals."""
    is_name = label[:2].isupper() or any(word[:1].isupper() and word[1:2].islower() for word in label.split()[1:])
    return label if is_name else label[:1].lower() + label[1:]
