"""A folder on this machine as the bucket that a repository is in."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from console.clouds.contents import Entry, Reading


class Folder:
    """A folder as a bucket."""

    begins_after = True

    def __init__(self, root):
        self.root = root
        self.calls = []

    def folders(self, prefix):
        self.calls.append(("folders", prefix))
        there = self.root / prefix
        return sorted(one.name for one in there.iterdir() if one.is_dir()) if there.is_dir() else []

    def entries(self, prefix, after=""):
        self.calls.append(("entries", prefix))
        keys = sorted(str(one.relative_to(self.root)) for one in self.root.rglob("*") if one.is_file())
        for key in keys:
            if key.startswith(prefix) and key > after:
                stat = (self.root / key).stat()
                yield Entry(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))

    def read(self, key, at_most, known=""):
        there = self.root / key
        if not there.is_file():
            return Reading()
        data = there.read_bytes()
        tag = hashlib.md5(data).hexdigest()
        return Reading(tag=tag, is_known=True) if tag == known else Reading(data[:at_most], tag)
